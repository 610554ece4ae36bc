/* fuzz_tar.c — any bytes as a backup's archive: the reader ends, within what there is, and the same whatever pieces the bytes come in; no
 * name that it lets through leads anywhere but into the folder.
 *
 * Input: the archive as it is. */
#include <stdlib.h>
#include <string.h>

#include "admin/rest.h"
#include "files/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct input {
	const uint8_t *p;
	size_t len, step;
};

static ssize_t give(void *arg, void *to, size_t n)
{
	struct input *in = arg;

	n = WC_MIN(n, WC_MIN(in->len, in->step));
	if (n)
		memcpy(to, in->p, n);
	in->p += n;
	in->len -= n;
	return (ssize_t)n;
}

static void judge(const struct tar_entry *e)
{
	uint8_t sha[WC_SHA_BYTES];
	const enum rest_name what = rest_name(e->name, e->is_folder, sha);

	WC_ASSERT(memchr(e->name, '\0', sizeof(e->name)));
	WC_ASSERT(!e->is_folder || e->size == 0);
	if (what == REST_DATABASE || what == REST_BLOB || what == REST_BAD_FILES || what == REST_FOLDER)
		WC_ASSERT(e->name[0] != '/' && !strstr(e->name, ".."));
}

/* What the archive is, in a number; read by readers of `size` bytes. */
static uint64_t walk(const uint8_t *data, size_t n, size_t step, size_t size)
{
	struct input in = { data, n, step };
	struct tar_reader t = { .read = give, .arg = &in };
	uint8_t piece[1024];
	uint64_t sum = 0;
	int rc;

	while ((rc = tar_next(&t)) > 0) {
		ssize_t got;
		uint64_t left = t.entry.size;

		judge(&t.entry);
		sum = sum * 31 + t.entry.size + (uint8_t)t.entry.name[0];
		if (sum % 3 == 0)
			continue; /* stepped over */
		while ((got = tar_read(&t, piece, size)) > 0) {
			WC_ASSERT((uint64_t)got <= left && (size_t)got <= size);
			left -= (uint64_t)got;
		}
		WC_ASSERT(got < 0 || left == 0);
		if (got < 0)
			break;
	}
	WC_ASSERT(t.at <= n);
	WC_ASSERT(rc != 0 || in.len == 0);
	return sum * 31 + (uint64_t)rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint64_t whole = walk(data, n, SIZE_MAX, 1024);

	WC_ASSERT(n > 4096 || walk(data, n, 1, 1024) == whole);
	WC_ASSERT(walk(data, n, 700, 7) == whole);
	return 0;
}
