/* test_buf.c — the growable buffer and JSON output. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void appends(void **state)
{
	struct buf b;
	size_t len;

	(void)state;
	buf_init(&b, 1000);
	buf_puts(&b, "one");
	buf_putc(&b, ' ');
	buf_put(&b, "two-", 3);
	buf_put(&b, NULL, 0);
	buf_printf(&b, " %d%s", 3, "!");
	buf_putc(&b, ' ');
	buf_u64(&b, 0);
	buf_putc(&b, ' ');
	buf_u64(&b, UINT64_MAX);
	assert_false(b.failed);
	char *text = buf_take(&b, &len);
	assert_string_equal(text, "one two 3! 0 18446744073709551615");
	assert_int_equal(len, strlen(text));
	assert_null(b.p);
	free(text);
	text = buf_take(&b, NULL);
	assert_string_equal(text, "");
	free(text);
	buf_fini(&b);
}

static void cap_is_exact_and_failure_is_remembered(void **state)
{
	struct buf b;

	(void)state;
	for (size_t cap = 0; cap < 1200; cap += 7) {
		buf_init(&b, cap);
		for (size_t i = 0; i < cap; i++)
			buf_putc(&b, (char)('a' + i % 26));
		assert_false(b.failed);
		assert_int_equal(b.len, cap);
		assert_true(b.room <= cap);
		buf_puts(&b, "");
		assert_false(b.failed);
		buf_putc(&b, 'x');
		assert_true(b.failed);
		assert_int_equal(b.len, cap);
		buf_puts(&b, "");
		assert_null(buf_take(&b, NULL));
		buf_fini(&b);
	}
}

static void a_failed_append_changes_nothing_and_blocks_later_ones(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	buf_puts(&b, "12345678");
	buf_puts(&b, "abc");
	assert_true(b.failed);
	buf_puts(&b, "x");
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.p, "12345678", 8);
	buf_reset(&b);
	assert_false(b.failed);
	buf_puts(&b, "1234567890");
	assert_false(b.failed);
	assert_true(buf_reserve(&b, 0));
	assert_false(buf_reserve(&b, SIZE_MAX));
	buf_fini(&b);
	buf_init(&b, SIZE_MAX);
	buf_puts(&b, "x");
	assert_false(buf_reserve(&b, SIZE_MAX));
	assert_false(buf_reserve(&b, SIZE_MAX / 2));
	buf_fini(&b);
	assert_false(b.failed);
}

static void printf_grows(void **state)
{
	struct buf b;
	char long_text[3000];

	(void)state;
	memset(long_text, 'y', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	for (size_t start = 200; start < 300; start++) {
		buf_init(&b, 4000);
		for (size_t i = 0; i < start; i++)
			buf_putc(&b, '.');
		buf_printf(&b, "[%s]", long_text);
		buf_printf(&b, "%s", "");
		assert_false(b.failed);
		assert_int_equal(b.len, start + 3001);
		assert_int_equal(b.p[b.len - 1], ']');
		buf_printf(&b, "%s", long_text);
		assert_true(b.failed);
		buf_fini(&b);
	}
	/* Exactly the first room and exactly the cap. */
	buf_init(&b, 256);
	buf_printf(&b, "%.*s", 256, long_text);
	assert_false(b.failed);
	assert_int_equal(b.len, 256);
	buf_fini(&b);
}

static void check_json(const char *in, size_t n, const char *want)
{
	struct buf b;
	size_t len;

	buf_init(&b, 1 << 20);
	json_str(&b, (struct str){ in, n });
	char *text = buf_take(&b, &len);
	assert_non_null(text);
	assert_string_equal(text, want);
	assert_int_equal(len, strlen(want));
	assert_int_equal(json_str_len((struct str){ in, n }), len);
	free(text);
}

static void json_strings(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		const char *want;
	} cases[] = {
#define CASE(in, want) { in, sizeof(in) - 1, want }
		CASE("", "\"\""),
		CASE("plain", "\"plain\""),
		CASE("a\"b\\c/d", "\"a\\\"b\\\\c/d\""),
		CASE("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""),
		CASE("\0\1\x1f\x7f", "\"\\u0000\\u0001\\u001f\x7f\""),
		CASE("</script>", "\"</script>\""),
		CASE("привет, 世界 🌊", "\"привет, 世界 🌊\""),
		CASE("a\u2028b\u2029c\u2027\u202a", "\"a\\u2028b\\u2029c\u2027\u202a\""),
		CASE("\u2028", "\"\\u2028\""),
		CASE("ж\xff\xfeж", "\"ж\ufffd\ufffdж\""),
		CASE("\xc0\xaf", "\"\ufffd\ufffd\""),
		CASE("\xed\xa0\x80", "\"\ufffd\ufffd\ufffd\""),
		CASE("\xf0\x9f\x8c", "\"\ufffd\ufffd\ufffd\""),
		CASE("\xf4\x90\x80\x80", "\"\ufffd\ufffd\ufffd\ufffd\""),
		CASE("\xd0", "\"\ufffd\""),
		CASE("\xd0\"", "\"\ufffd\\\"\""),
		CASE("\xe2\x80", "\"\ufffd\ufffd\""),
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++)
		check_json(cases[i].in, cases[i].len, cases[i].want);
}

/* The word-at-a-time scan against one byte at a time: every byte at every place in a word. */
static void json_every_byte_at_every_place(void **state)
{
	static const char raw[] = "\b\f\n\r\t\"\\";
	char in[24], want[80];

	(void)state;
	for (unsigned at = 0; at < 20; at++) {
		for (unsigned c = 0; c < 256; c++) {
			memset(in, 'a' + at, 20);
			in[at] = (char)c;
			size_t n = 0;
			want[n++] = '"';
			for (unsigned i = 0; i < 20; i++) {
				unsigned x = (uint8_t)in[i];
				const char *hit = x ? strchr(raw, (int)x) : NULL;
				if (hit) {
					want[n++] = '\\';
					want[n++] = "bfnrt\"\\"[hit - raw];
				} else if (x < 0x20) {
					n += (size_t)sprintf(want + n, "\\u%04x", x);
				} else if (x >= 0x80) {
					n += (size_t)sprintf(want + n, "\ufffd");
				} else {
					want[n++] = (char)x;
				}
			}
			want[n++] = '"';
			want[n] = '\0';
			check_json(in, 20, want);
		}
	}
}

static void json_past_the_cap(void **state)
{
	struct buf b;

	(void)state;
	/* Fits as it is, not with its escapes; fits but for the last quote. */
	for (size_t cap = 1; cap < 14; cap++) {
		buf_init(&b, cap);
		json_str(&b, STR("\1\1"));
		assert_true(b.failed);
		assert_true(b.len <= cap);
		buf_fini(&b);
	}
	buf_init(&b, 14);
	json_str(&b, STR("\1\1"));
	assert_false(b.failed);
	buf_fini(&b);
	buf_init(&b, SIZE_MAX);
	json_str(&b, (struct str){ "", SIZE_MAX });
	assert_true(b.failed);
	buf_fini(&b);
}

static void json_numbers(void **state)
{
	static const struct {
		double n;
		const char *want;
	} cases[] = {
		{ 0, "0" },
		{ 1, "1" },
		{ -1, "-1" },
		{ 0.1, "0.1" },
		{ 1.5, "1.5" },
		{ 0.1 + 0.2, "0.30000000000000004" },
		{ 9007199254740991.0, "9007199254740991" },
		{ 1e15, "1e+15" },
		{ 1e21, "1e+21" },
		{ 1e-7, "1e-07" },
		{ 3.14159265358979, "3.14159265358979" },
		{ 123456789012345.0, "123456789012345" },
		{ DBL_MAX, "1.7976931348623157e+308" },
		{ INFINITY, "0" },
		{ -INFINITY, "0" },
		{ NAN, "0" },
	};
	struct buf b;

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		buf_init(&b, 100);
		json_num(&b, cases[i].n);
		char *text = buf_take(&b, NULL);
		assert_string_equal(text, cases[i].want);
		if (isfinite(cases[i].n))
			assert_true(strtod(text, NULL) == cases[i].n);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends),
		cmocka_unit_test(cap_is_exact_and_failure_is_remembered),
		cmocka_unit_test(a_failed_append_changes_nothing_and_blocks_later_ones),
		cmocka_unit_test(printf_grows),
		cmocka_unit_test(json_strings),
		cmocka_unit_test(json_every_byte_at_every_place),
		cmocka_unit_test(json_past_the_cap),
		cmocka_unit_test(json_numbers),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
