/* tar.c — headers of a ustar archive, written and read, and a reader of whole archives (see tar.h). Owns nothing; opens no file. */
#include "files/tar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Offsets and lengths of a header's fields. */
/* clang-format off */
enum {
	AT_NAME = 0, AT_MODE = 100, AT_UID = 108, AT_GID = 116, AT_SIZE = 124, AT_MTIME = 136, AT_SUM = 148, AT_TYPE = 156,
	AT_MAGIC = 257, AT_PREFIX = 345, NAME_LEN = 100, SIZE_LEN = 12, SUM_LEN = 8, PREFIX_LEN = 155,
};
/* clang-format on */

static const uint8_t zeros[TAR_BLOCK];

/* The checksum counts its own field as blanks. */
static unsigned sum_of(const uint8_t block[TAR_BLOCK])
{
	unsigned sum = 0;

	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= AT_SUM && i < AT_SUM + SUM_LEN ? ' ' : block[i];
	return sum;
}

/* ustar has eleven octal digits for a size; a larger one is binary, as GNU tar and libarchive have it. */
static void put_size(uint8_t field[SIZE_LEN], uint64_t size)
{
	if (size < 1ull << 33) {
		char digits[32];

		snprintf(digits, sizeof(digits), "%011llo", (unsigned long long)size);
		memcpy(field, digits, SIZE_LEN);
		return;
	}
	memset(field, 0, SIZE_LEN);
	field[0] = 0x80;
	for (int i = SIZE_LEN - 1; i > 3; i--, size >>= 8)
		field[i] = (uint8_t)size;
}

void tar_format(uint8_t block[TAR_BLOCK], const char *name, uint64_t size, bool is_folder, int64_t mtime_s)
{
	char digits[32];

	memset(block, 0, TAR_BLOCK);
	snprintf((char *)block + AT_NAME, NAME_LEN, "%s", name);
	memcpy(block + AT_MODE, is_folder ? "0000700" : "0000600", 8);
	memcpy(block + AT_UID, "0000000", 8);
	memcpy(block + AT_GID, "0000000", 8);
	put_size(block + AT_SIZE, size);
	snprintf(digits, sizeof(digits), "%011llo", (unsigned long long)WC_MIN(WC_MAX(mtime_s, 0), (1ll << 33) - 1));
	memcpy(block + AT_MTIME, digits, 12);
	block[AT_TYPE] = is_folder ? '5' : '0';
	memcpy(block + AT_MAGIC, "ustar\00000", 8);
	snprintf(digits, sizeof(digits), "%06o", sum_of(block));
	memcpy(block + AT_SUM, digits, 7);
	block[AT_SUM + 7] = ' ';
}

/* Blanks, octal digits, then a blank, a NUL or the field's end. */
static int get_octal(const uint8_t *field, size_t n, uint64_t *out)
{
	size_t i = 0, first;

	*out = 0;
	while (i < n && field[i] == ' ')
		i++;
	for (first = i; i < n && field[i] >= '0' && field[i] <= '7'; i++)
		*out = *out << 3 | (uint64_t)(field[i] - '0');
	return i > first && (i == n || field[i] == ' ' || field[i] == '\0') ? 0 : -WC_EBAD;
}

static int get_size(const uint8_t *field, uint64_t *out)
{
	if (!(field[0] & 0x80))
		return get_octal(field, SIZE_LEN, out);
	*out = 0;
	for (size_t i = 1; i < SIZE_LEN; i++) {
		if (*out >> 55)
			return -WC_EBAD;
		*out = *out << 8 | field[i];
	}
	return field[0] == 0x80 ? 0 : -WC_EBAD;
}

static const char *refusal(uint8_t type)
{
	switch (type) {
	case '1':
	case '2': return "it is a link";
	case '3':
	case '4':
	case '6': return "it is a device or a pipe";
	default: return "it is of a kind that a backup does not have";
	}
}

int tar_parse(const uint8_t block[TAR_BLOCK], struct tar_entry *out, const char **why)
{
	const size_t prefix = block[AT_MAGIC + 5] == '\0' ? strnlen((const char *)block + AT_PREFIX, PREFIX_LEN)
	                                                  : 0; /* GNU's own has other things there */
	const size_t name = strnlen((const char *)block + AT_NAME, NAME_LEN);
	const uint8_t type = block[AT_TYPE];
	uint64_t sum;

	memset(out, 0, sizeof(*out));
	if (memcmp(block, zeros, TAR_BLOCK) == 0)
		return 1;
	if (memcmp(block + AT_MAGIC, "ustar", 5) != 0 || get_octal(block + AT_SUM, SUM_LEN, &sum) < 0 || sum != sum_of(block)) {
		*why = "a header is damaged, or this is no tar archive";
		return -WC_EBAD;
	}
	snprintf(out->name, sizeof(out->name), "%.*s%s%.*s", (int)prefix, (const char *)block + AT_PREFIX, prefix ? "/" : "", (int)name,
	         (const char *)block + AT_NAME);
	out->is_folder = type == '5';
	if (type != '0' && type != '\0' && type != '5') {
		*why = refusal(type);
		return -WC_EBAD;
	}
	if (get_size(block + AT_SIZE, &out->size) < 0 || out->size > INT64_MAX || (out->is_folder && out->size)) {
		*why = "its size makes no sense";
		return -WC_EBAD;
	}
	return 0;
}

/* --- The reader. */

static int bad(struct tar_reader *t, const char *name, const char *why)
{
	snprintf(t->why, sizeof(t->why), "%s%s%s", name, *name ? ": " : "", why);
	return -WC_EBAD;
}

/* As many bytes as there are, at most n. */
static ssize_t fill(struct tar_reader *t, void *to, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t got = t->read(t->arg, (uint8_t *)to + have, n - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -WC_EIO;
		if (got == 0)
			break;
		have += (size_t)got;
		t->at += (uint64_t)got;
	}
	return (ssize_t)have;
}

static int cut_short(struct tar_reader *t)
{
	t->is_cut_short = true;
	if (!t->entry.name[0])
		return bad(t, "", t->at ? "it is cut short" : "it is empty");
	return bad(t, t->entry.name, "the archive is cut short there");
}

ssize_t tar_read(struct tar_reader *t, void *to, size_t n)
{
	uint8_t rest[TAR_BLOCK];
	ssize_t got = fill(t, to, (size_t)WC_MIN(t->left, (uint64_t)n));

	if (got < 0)
		return got;
	if (got == 0 && t->left && n)
		return cut_short(t);
	t->left -= (uint64_t)got;
	if (t->left == 0 && t->padding) {
		ssize_t padding = fill(t, rest, t->padding);

		if (padding < 0)
			return padding;
		if ((size_t)padding < t->padding)
			return cut_short(t);
		t->padding = 0;
	}
	return got;
}

/* The second block of zeros, and more of them up to the end: some tars fill up a record. */
static int read_end(struct tar_reader *t)
{
	uint8_t block[TAR_BLOCK];
	ssize_t got = fill(t, block, sizeof(block));

	if (got >= 0 && got < TAR_BLOCK)
		return cut_short(t);
	while (got > 0) {
		if (memcmp(block, zeros, (size_t)got) != 0)
			return bad(t, "", "something lies behind the archive's end");
		got = fill(t, block, sizeof(block));
	}
	return got < 0 ? (int)got : 0;
}

int tar_next(struct tar_reader *t)
{
	uint8_t block[16 * TAR_BLOCK];
	struct tar_entry next;
	const char *why = NULL;
	ssize_t got;
	int rc;

	while (t->left) {
		got = tar_read(t, block, sizeof(block));
		if (got < 0)
			return (int)got;
	}
	got = fill(t, block, TAR_BLOCK);
	if (got < 0)
		return (int)got;
	if (got < TAR_BLOCK)
		return cut_short(t);
	rc = tar_parse(block, &next, &why);
	if (rc == 1)
		return read_end(t);
	if (rc < 0)
		return bad(t, next.name, why);
	t->entry = next;
	t->left = next.size;
	t->padding = (TAR_BLOCK - next.size % TAR_BLOCK) % TAR_BLOCK;
	return 1;
}
