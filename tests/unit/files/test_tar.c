/* test_tar.c — headers as they are written and read again, archives whole and damaged, and which names a backup has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/rest.h"
#include "files/tar.h"

struct bytes {
	uint8_t p[64 * TAR_BLOCK];
	size_t len, at, step; /* step: given at a time; 0: as asked for */
};

static ssize_t give(void *arg, void *to, size_t n)
{
	struct bytes *b = arg;
	size_t left = b->len - b->at;

	n = WC_MIN(n, left);
	if (b->step)
		n = WC_MIN(n, b->step);
	memcpy(to, b->p + b->at, n);
	b->at += n;
	return (ssize_t)n;
}

static void put(struct bytes *b, const char *name, const char *text, bool is_folder)
{
	size_t n = text ? strlen(text) : 0;

	tar_format(b->p + b->len, name, n, is_folder, 1700000000);
	b->len += TAR_BLOCK;
	if (n)
		memcpy(b->p + b->len, text, n);
	b->len += (n + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}

static void end(struct bytes *b)
{
	b->len += 2 * TAR_BLOCK;
}

/* After a byte of a header was changed. */
static void sum_anew(uint8_t *h)
{
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
	h[155] = ' ';
}

static struct bytes *two_entries(void)
{
	struct bytes *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	put(b, "blobs/", NULL, true);
	put(b, "wavechat.db", "all that was said", false);
	end(b);
	return b;
}

static struct tar_reader reader(struct bytes *b)
{
	return (struct tar_reader){ .read = give, .arg = b };
}

static void what_is_written_is_read(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 511, 512, 0777777777, (1ull << 33) - 1, 1ull << 33, 1ull << 40, INT64_MAX };
	uint8_t h[TAR_BLOCK];
	struct tar_entry e;
	const char *why;

	(void)state;
	for (size_t i = 0; i < WC_LEN(sizes); i++) {
		tar_format(h, "blobs/ab/cd", sizes[i], false, 1700000000);
		assert_int_equal(tar_parse(h, &e, &why), 0);
		assert_string_equal(e.name, "blobs/ab/cd");
		assert_true(e.size == sizes[i] && !e.is_folder);
	}
	tar_format(h, "blobs/ab/", 0, true, -5);
	assert_int_equal(tar_parse(h, &e, &why), 0);
	assert_true(e.is_folder);
	memset(h, 0, sizeof(h));
	assert_int_equal(tar_parse(h, &e, &why), 1);
}

static void a_whole_archive_is_read_in_pieces_of_any_size(void **state)
{
	static const size_t steps[] = { 0, 1, 7, 512, 513 };

	(void)state;
	for (size_t i = 0; i < WC_LEN(steps); i++) {
		struct bytes *b = two_entries();
		struct tar_reader t = reader(b);
		char text[64] = "";
		size_t have = 0;
		ssize_t n;

		b->step = steps[i];
		assert_int_equal(tar_next(&t), 1);
		assert_true(t.entry.is_folder);
		assert_int_equal(tar_next(&t), 1);
		assert_string_equal(t.entry.name, "wavechat.db");
		while ((n = tar_read(&t, text + have, 5)) > 0)
			have += (size_t)n;
		assert_int_equal(n, 0);
		assert_string_equal(text, "all that was said");
		assert_int_equal(tar_next(&t), 0);
		free(b);
	}
}

static void what_is_not_read_is_stepped_over(void **state)
{
	struct bytes *b = two_entries();
	struct tar_reader t = reader(b);

	(void)state;
	assert_int_equal(tar_next(&t), 1);
	assert_int_equal(tar_next(&t), 1);
	assert_int_equal(tar_next(&t), 0);
	assert_true(t.at == b->len);
	free(b);
}

/* Wherever it ends, but at its end, it is told that it is cut short. */
static void no_cut_passes_for_an_end(void **state)
{
	struct bytes *b = two_entries();
	const size_t whole = b->len;

	(void)state;
	for (b->len = 0; b->len < whole; b->len += b->len < 16 ? 1 : 61) {
		struct tar_reader t = reader(b);
		int rc;

		b->at = 0;
		while ((rc = tar_next(&t)) > 0)
			;
		assert_int_equal(rc, -WC_EBAD);
		assert_true(t.is_cut_short);
		assert_true(t.why[0]);
	}
	free(b);
}

static void only_zeros_may_lie_behind_the_end(void **state)
{
	struct bytes *b = two_entries();
	struct tar_reader t = reader(b);

	(void)state;
	b->len += 5 * TAR_BLOCK;
	while (tar_next(&t) > 0)
		;
	assert_int_equal(t.why[0], 0);
	b->at = 0;
	b->p[b->len - 3] = 'x';
	t = reader(b);
	assert_int_equal(tar_next(&t), 1);
	assert_int_equal(tar_next(&t), 1);
	assert_int_equal(tar_next(&t), -WC_EBAD);
	assert_non_null(strstr(t.why, "behind"));
	free(b);
}

static void what_is_no_file_or_folder_is_refused(void **state)
{
	static const struct {
		char type;
		const char *word;
	} kinds[] = { { '1', "link" }, { '2', "link" }, { '3', "device" }, { '4', "device" }, { '6', "pipe" },
		      { 'x', "kind" }, { 'g', "kind" }, { 'L', "kind" },   { 'S', "kind" },   { '\xff', "kind" } };
	uint8_t h[TAR_BLOCK];
	struct tar_entry e;
	const char *why = "";

	(void)state;
	for (size_t i = 0; i < WC_LEN(kinds); i++) {
		tar_format(h, "wavechat.db", 0, false, 0);
		h[156] = (uint8_t)kinds[i].type;
		sum_anew(h);
		assert_int_equal(tar_parse(h, &e, &why), -WC_EBAD);
		assert_non_null(strstr(why, kinds[i].word));
	}
}

static void damaged_headers_are_refused(void **state)
{
	static const char *const sizes[] = { "", "x", "0000000000y", "-0000000001", "0x000000010", "9999999999" };
	uint8_t h[TAR_BLOCK];
	struct tar_entry e;
	const char *why = "";

	(void)state;
	for (size_t i = 0; i < TAR_BLOCK; i++) { /* one bit anywhere; some in the checksum's own field change nothing */
		tar_format(h, "wavechat.db", 10, false, 0);
		h[i] ^= 0x40;
		if (i < 148 || i >= 156)
			assert_int_equal(tar_parse(h, &e, &why), -WC_EBAD);
	}
	for (size_t i = 0; i < WC_LEN(sizes); i++) {
		tar_format(h, "wavechat.db", 10, false, 0);
		memset(h + 124, 0, 12);
		memcpy(h + 124, sizes[i], strlen(sizes[i]));
		sum_anew(h);
		assert_int_equal(tar_parse(h, &e, &why), -WC_EBAD);
	}
	/* negative, and past 2^63, in base 256 */
	for (int i = 0; i < 2; i++) {
		tar_format(h, "wavechat.db", 1ull << 40, false, 0);
		memset(h + 124, 0xff, 12);
		h[124] = i ? 0x80 : 0xff;
		sum_anew(h);
		assert_int_equal(tar_parse(h, &e, &why), -WC_EBAD);
	}
	/* a folder with bytes */
	tar_format(h, "blobs/", 0, true, 0);
	memcpy(h + 124, "00000000010", 12);
	sum_anew(h);
	assert_int_equal(tar_parse(h, &e, &why), -WC_EBAD);
}

#define HEX62 "00112233445566778899aabbccddeeff00112233445566778899aabbccddee"

static void names(void **state)
{
	static const struct {
		const char *name;
		bool is_folder;
		enum rest_name what;
	} cases[] = {
		{ "wavechat.db", false, REST_DATABASE },
		{ "./wavechat.db", false, REST_DATABASE },
		{ "blobs/ab/" HEX62, false, REST_BLOB },
		{ "./blobs/ab/" HEX62, false, REST_BLOB },
		{ "./", true, REST_FOLDER },
		{ ".", true, REST_FOLDER },
		{ "blobs/", true, REST_FOLDER },
		{ "blobs", true, REST_FOLDER },
		{ "blobs/ab/", true, REST_FOLDER },
		{ "BAD-FILES", false, REST_BAD_FILES },
		{ "/wavechat.db", false, REST_ABSOLUTE },
		{ "/", true, REST_ABSOLUTE },
		{ "../wavechat.db", false, REST_CLIMBS },
		{ "./../wavechat.db", false, REST_CLIMBS },
		{ "blobs/../../x", false, REST_CLIMBS },
		{ "blobs/ab/..", false, REST_CLIMBS },
		{ "..", true, REST_CLIMBS },
		{ "", false, REST_FOREIGN },
		{ "wavechat.db/", false, REST_FOREIGN },
		{ "wavechat.db", true, REST_FOREIGN },
		{ "wavechat.db-wal", false, REST_FOREIGN },
		{ "lock", false, REST_FOREIGN },
		{ "blobs/AB/" HEX62, false, REST_FOREIGN },
		{ "blobs//ab" HEX62, false, REST_FOREIGN },
		{ "blobs/ab/" HEX62 "0", false, REST_FOREIGN },
		{ "blobs/ab" HEX62, false, REST_FOREIGN },
		{ "././blobs/ab/" HEX62, false, REST_FOREIGN },
		{ "blobs/ab/", false, REST_FOREIGN },
		{ "uploads/", true, REST_FOREIGN },
		{ "blobs/xy/", true, REST_FOREIGN },
	};
	uint8_t sha[WC_SHA_BYTES];

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++)
		if (rest_name(cases[i].name, cases[i].is_folder, sha) != cases[i].what)
			fail_msg("%s", cases[i].name);
	assert_int_equal(rest_name("blobs/ab/" HEX62, false, sha), REST_BLOB);
	assert_true(sha[0] == 0xab && sha[1] == 0x00 && sha[31] == 0xee);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),           cmocka_unit_test(a_whole_archive_is_read_in_pieces_of_any_size),
		cmocka_unit_test(what_is_not_read_is_stepped_over),  cmocka_unit_test(no_cut_passes_for_an_end),
		cmocka_unit_test(only_zeros_may_lie_behind_the_end), cmocka_unit_test(what_is_no_file_or_folder_is_refused),
		cmocka_unit_test(damaged_headers_are_refused),       cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
