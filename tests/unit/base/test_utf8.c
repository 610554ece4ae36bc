/* test_utf8.c — validation (also cut at every byte), counting, trimming. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

/* The textbook decoder: what is valid at all, one sequence at a time, by value and not by byte ranges. */
static int naive_sequence(const uint8_t *p, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	int len = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : (p[0] & 0xf8) == 0xf0 ? 4 : 0;

	if (len < 2)
		return len;
	if ((size_t)len > n)
		return 0;
	uint32_t c = p[0] & (0xff >> (len + 1));
	for (int i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : len;
}

static bool naive_valid(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		int len = naive_sequence(p + i, n - i);
		if (!len)
			return false;
		i += (size_t)len;
	}
	return true;
}

/* Could p be the beginning of something valid? Tried by completing it. */
static bool naive_is_prefix(const uint8_t *p, size_t n)
{
	uint8_t t[64];
	size_t whole = 0;

	for (size_t i = 0; i < n; i = whole) {
		int len = naive_sequence(p + i, n - i);
		if (!len)
			break;
		whole = i + (size_t)len;
	}
	if (whole == n)
		return true;
	if (n - whole > 3)
		return false;
	static const uint8_t next[] = { 0x80, 0x90, 0xa0, 0xbf };
	memcpy(t, p + whole, n - whole);
	for (size_t more = 1; more + n - whole <= 4; more++) {
		for (size_t k = 0; k < WC_LEN(next); k++) {
			memset(t + n - whole, 0x80, more);
			t[n - whole] = next[k];
			if ((size_t)naive_sequence(t, n - whole + more) == n - whole + more)
				return true;
		}
	}
	return false;
}

static size_t put(uint8_t *out, uint32_t c)
{
	if (c < 0x80)
		return out[0] = (uint8_t)c, 1;
	int len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (int i = len - 1; i > 0; i--, c >>= 6)
		out[i] = (uint8_t)(0x80 | (c & 0x3f));
	out[0] = (uint8_t)((0xf00 >> len) | c);
	return (size_t)len;
}

static struct str text(const char *s)
{
	return (struct str){ s, strlen(s) };
}

/* The same verdict whole, in two pieces at every place, and byte by byte; and refused no later than it must be. */
static void check_feed(const uint8_t *p, size_t n, bool want)
{
	assert_int_equal(utf8_valid(p, n), want);
	for (size_t cut = 0; cut <= n; cut++) {
		struct utf8 u = { 0 };
		bool ok = utf8_feed(&u, p, cut) && utf8_feed(&u, p + cut, n - cut) && utf8_done(&u);
		assert_int_equal(ok, want);
	}
	struct utf8 u = { 0 };
	for (size_t i = 0; i < n; i++) {
		bool ok = utf8_feed(&u, p + i, 1);
		assert_int_equal(ok, naive_is_prefix(p, i + 1));
		struct utf8 whole = { 0 };
		assert_int_equal(utf8_feed(&whole, p, i + 1), ok);
		if (!ok) {
			assert_false(utf8_done(&u));
			assert_false(utf8_feed(&u, "a", 1));
			assert_false(utf8_feed(&u, "", 0));
			break;
		}
	}
}

static void stress_table(void **state)
{
	static const struct {
		const char *bytes;
		bool is_valid;
	} cases[] = {
		{ "κόσμε", true },
		/* first and last of each length */
		{ "\xc2\x80", true },
		{ "\xe0\xa0\x80", true },
		{ "\xf0\x90\x80\x80", true },
		{ "\x7f", true },
		{ "\xdf\xbf", true },
		{ "\xef\xbf\xbf", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\xf8\x88\x80\x80\x80", false },
		{ "\xfc\x84\x80\x80\x80\x80", false },
		{ "\xf7\xbf\xbf\xbf", false },
		{ "\xfb\xbf\xbf\xbf\xbf", false },
		{ "\xfd\xbf\xbf\xbf\xbf\xbf", false },
		/* around the surrogates and the end */
		{ "\xed\x9f\xbf", true },
		{ "\xee\x80\x80", true },
		{ "\xef\xbf\xbd", true },
		{ "\xf4\x90\x80\x80", false },
		/* lone continuation bytes */
		{ "\x80", false },
		{ "\xbf", false },
		{ "\x80\xbf", false },
		{ "\x80\xbf\x80\xbf\x80\xbf\x80", false },
		/* lone first bytes */
		{ "\xc0 ", false },
		{ "\xdf ", false },
		{ "\xe0 ", false },
		{ "\xef ", false },
		{ "\xf0 ", false },
		{ "\xf7 ", false },
		{ "\xf8 ", false },
		{ "\xfc ", false },
		/* last byte missing */
		{ "\xc2", false },
		{ "\xe0\xa0", false },
		{ "\xe0\x80", false },
		{ "\xf0\x90\x80", false },
		{ "\xdf", false },
		{ "\xef\xbf", false },
		{ "\xf4\x8f\xbf", false },
		{ "\xe0\xa0\xc2\x80", false },
		/* impossible bytes */
		{ "\xfe", false },
		{ "\xff", false },
		{ "\xfe\xfe\xff\xff", false },
		/* overlong: '/', then the greatest of each, then NUL */
		{ "\xc0\xaf", false },
		{ "\xe0\x80\xaf", false },
		{ "\xf0\x80\x80\xaf", false },
		{ "\xf8\x80\x80\x80\xaf", false },
		{ "\xc1\xbf", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xc0\x80", false },
		{ "\xe0\x80\x80", false },
		{ "\xf0\x80\x80\x80", false },
		/* surrogates, alone and paired */
		{ "\xed\xa0\x80", false },
		{ "\xed\xad\xbf", false },
		{ "\xed\xae\x80", false },
		{ "\xed\xaf\xbf", false },
		{ "\xed\xb0\x80", false },
		{ "\xed\xbe\x80", false },
		{ "\xed\xbf\xbf", false },
		{ "\xed\xa0\x80\xed\xb0\x80", false },
		{ "\xed\xaf\xbf\xed\xbf\xbf", false },
		/* non-characters are valid */
		{ "\xef\xbf\xbe", true },
		{ "\xef\xb7\x90", true },
		{ "\xf0\x9f\xbf\xbe", true },
	};
	uint8_t in[64];

	(void)state;
	check_feed((const uint8_t *)"", 0, true);
	/* Alone, and at every place within a run of ASCII and of Cyrillic, so that each path of the scan meets each. */
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		size_t n = strlen(cases[i].bytes);
		check_feed((const uint8_t *)cases[i].bytes, n, cases[i].is_valid);
		for (size_t before = 0; before < 20; before++) {
			memset(in, 'x', sizeof(in));
			memcpy(in + before, cases[i].bytes, n);
			check_feed(in, before + n + 9, cases[i].is_valid);
		}
		for (size_t before = 0; before < 10; before++) {
			for (size_t k = 0; k + 1 < sizeof(in); k += 2)
				memcpy(in + k, "\xd0\xb6", 2);
			memcpy(in + 2 * before, cases[i].bytes, n);
			for (size_t k = 2 * before + n; k + 1 < sizeof(in); k += 2)
				memcpy(in + k, "\xd1\x8f", 2);
			check_feed(in, 2 * before + n + 8, cases[i].is_valid);
		}
	}
}

static void every_code_point(void **state)
{
	uint8_t p[4], near[20];

	(void)state;
	for (uint32_t c = 0; c <= 0x110000; c++) {
		size_t n = put(p, c);
		bool want = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
		assert_int_equal(utf8_valid(p, n), want);
		assert_int_equal(utf8_step(p, n), want ? n : 0);
		assert_int_equal(utf8_step(p, n - 1), 0);
		memset(near, 'a', sizeof(near));
		memcpy(near + c % 12, p, n);
		assert_int_equal(utf8_valid(near, sizeof(near)), want);
	}
}

/* All two-byte and three-byte strings, and random ones biased to the interesting bytes. */
static void agrees_with_the_textbook(void **state)
{
	static const uint8_t odd[] = { 0x00, 0x20, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xd0, 0xd0, 0xd1,
		                       0xd1, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff };
	uint8_t p[64];
	uint32_t seed = 12345;

	(void)state;
	for (uint32_t v = 0; v < 1u << 24; v += v < 0xc00000 && (v & 0xffff) == 0xffff ? 0x70001 : 1) {
		p[0] = (uint8_t)(v >> 16);
		p[1] = (uint8_t)(v >> 8);
		p[2] = (uint8_t)v;
		if (utf8_valid(p, 3) != naive_valid(p, 3))
			fail_msg("%02x %02x %02x", p[0], p[1], p[2]);
	}
	for (int round = 0; round < 60000; round++) {
		size_t n = 0, target = (size_t)(round % 40);
		while (n < target) {
			seed = seed * 1664525 + 1013904223;
			uint32_t r = seed >> 8;
			if (r % 16 == 0)
				p[n++] = odd[(r >> 4) % sizeof(odd)];
			else if (r % 16 < 6)
				p[n++] = 'a';
			else if (r % 16 < 13)
				n += put(p + n, 0x400 + (r >> 4) % 256);
			else
				n += put(p + n, (r >> 4) % 0xd800);
		}
		check_feed(p, n, naive_valid(p, n));
	}
}

static void counts_and_prefixes(void **state)
{
	static const struct {
		const char *s;
		size_t points;
	} cases[] = {
		{ "", 0 },
		{ "abc", 3 },
		{ "привет", 6 },
		{ "世界", 2 },
		{ "🌊🌊", 2 },
		{ "e\u0301", 2 },
		{ "👨‍👩‍👧", 5 },
		{ "abcdefghijklmnopqrstuvwxyz", 26 },
		{ "смешанный text и 世界 🌊 вместе", 28 },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		struct str s = text(cases[i].s);
		assert_int_equal(utf8_count(s), cases[i].points);
		for (size_t k = 0; k <= cases[i].points + 2; k++) {
			struct str head = utf8_prefix(s, k);
			assert_ptr_equal(head.p, s.p);
			assert_int_equal(utf8_count(head), WC_MIN(k, cases[i].points));
			assert_true(utf8_valid(head.p, head.len));
		}
		assert_int_equal(utf8_prefix(s, cases[i].points).len, s.len);
		assert_int_equal(utf8_prefix(s, SIZE_MAX).len, s.len);
	}
}

static void trims_what_python_strips(void **state)
{
	static const uint32_t white[] = { 9,      10,     11,     12,     13,     28,     29,     30,     31,     32,
		                          0x85,   0xa0,   0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006,
		                          0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000 };
	uint8_t p[32];
	size_t found = 0;

	(void)state;
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		bool is_white = found < WC_LEN(white) && white[found] == c;
		found += is_white;
		size_t n = put(p, c);
		n += put(p + n, c);
		assert_int_equal(utf8_trim((struct str){ (char *)p, n }).len, is_white ? 0 : n);
		size_t head = n;
		p[n++] = 'x';
		p[n++] = ' ';
		p[n++] = 'y';
		n += put(p + n, c);
		struct str t = utf8_trim((struct str){ (char *)p, n });
		assert_int_equal(t.len, is_white ? 3 : n);
		assert_ptr_equal(t.p, p + (is_white ? head : 0));
	}
	assert_int_equal(found, WC_LEN(white));
	assert_int_equal(utf8_trim(STR("")).len, 0);
	assert_int_equal(utf8_trim((struct str){ NULL, 0 }).len, 0);
	/* Hostile: not valid. Nothing is read outside. */
	assert_int_equal(utf8_trim(STR(" \x80\x80 ")).len, 2);
	assert_int_equal(utf8_trim(STR("\xe3\x80")).len, 2);
}

static void widths(void **state)
{
	(void)state;
	assert_int_equal(utf8_width(STR("")), 0);
	assert_int_equal(utf8_width(STR("abc")), 3);
	assert_int_equal(utf8_width(STR("Аня")), 3);
	assert_int_equal(utf8_width(STR("世界")), 4);
	assert_int_equal(utf8_width(STR("e\u0301")), 1);
	assert_int_equal(utf8_width(STR("🌊")), 2);
	assert_int_equal(utf8_width(STR("\n\u200b")), 0);
}

/* Draws as the callers do; the answer has the points that fit. */
static void fits(const char *text, const char *want)
{
	struct str s = str_of(text);
	char out[256];
	size_t len = 0, step;
	int marks = 0;
	int32_t c;

	for (size_t i = 0; i < s.len; i += step) {
		step = utf8_next(s, i, &c);
		if (utf8_marks_fit(&marks, c)) {
			memcpy(out + len, text + i, step);
			len += step;
		}
	}
	out[len] = '\0';
	assert_string_equal(out, want);
}

static void marks(void **state)
{
	(void)state;
	fits("", "");
	fits("Z\u0301\u0302\u0303\u0304\u0305\u0306e\u0301", "Z\u0301\u0302\u0303\u0304e\u0301");
	/* What is not seen, or has a width of its own but belongs to the letter, begins none. */
	fits("Z\u0301\u0302\u200d\u0303\u0304\u00ad\u0305\u2060\u0306", "Z\u0301\u0302\u200d\u0303\u0304\u00ad\u2060");
	fits("क\u0301\u0302\u0303\u0304ा\u0305", "क\u0301\u0302\u0303\u0304ा");
	fits("\u0301\u0301\u0301\u0301\u0301", "\u0301\u0301\u0301\u0301");
	fits("မြွှေး हिन्दी ❤\ufe0f", "မြွှေး हिन्दी ❤\ufe0f");
}

static void what_shows(void **state)
{
	static const char *const unseen[] = { "",
		                              " \t\n",
		                              "\u2800",
		                              "\u3164\u200b",
		                              "\ufe0f",
		                              "\U000e0041\U000e007f",
		                              "\u200d\u00ad\U0001d159",
		                              "\ufffc\U00013441\U00016fe4",
		                              "\u2065\ufff3\ufdd0",
		                              "\u115f\u1160\uffa0\u17b4\u180e\u034f" };
	static const char *const seen[] = { "a", " .", "\u2800x", "❤\ufe0f", "\u0301", "世", "👨\u200d👩", "\u2801" };

	(void)state;
	for (size_t i = 0; i < WC_LEN(unseen); i++)
		assert_false(utf8_shows(str_of(unseen[i])));
	for (size_t i = 0; i < WC_LEN(seen); i++)
		assert_true(utf8_shows(str_of(seen[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stress_table),
		cmocka_unit_test(every_code_point),
		cmocka_unit_test(agrees_with_the_textbook),
		cmocka_unit_test(counts_and_prefixes),
		cmocka_unit_test(trims_what_python_strips),
		cmocka_unit_test(widths),
		cmocka_unit_test(marks),
		cmocka_unit_test(what_shows),
	};

	return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
