/* test_name.c — names cleaned, and the keys by which they clash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "wire/name.h"

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

static void cleans_names(void **state)
{
	/* clang-format off */
	static const struct {
		const char *raw, *want;
	} cases[] = {
		{ "", "" }, { "Anna", "Anna" }, { "  Аня\t\n Иванова  ", "Аня Иванова" }, { "a\u00a0\u2003\u3000b", "a b" },
		{ "\u2028", "" }, { " \u2800\u00a0 ", "" }, { "a\u2800b", "a b" },
		/* control characters: white ones part words, others vanish */
		{ "a\x01\x1b[31mb\x7f", "a[31mb" }, { "a\xc2\x85" "b", "a b" }, { "a\xc2\x9b" "b", "ab" },
		/* bidi controls: a name must not turn its surroundings round */
		{ "\u202eevil\u202c", "evil" }, { "a\u2066b\u2067c\u2068d\u2069e", "abcde" }, { "\u200ea\u200fb\u061c" "c", "abc" },
		{ "\u202a\u202b\u202d", "" },
		/* zero width and otherwise unseen */
		{ "ad\u200bm\u200ci\u200dn\u2060\ufeff", "admin" }, { "a\u00ad" "b", "ab" }, { "\u034f\u115f\u1160\u3164\uffa0", "" },
		{ "a\u180e" "b\u2064", "ab" }, { "\ufff9x\ufffa", "x" }, { "a\ufe0e" "b\ufe0f" "c", "abc" },
		{ "x\U000E0041\U000E007F", "x" }, { "\U000E0100y", "y" }, { "\U000E0001\U000E0020", "" },
		{ "n\ufffe\ufdd0\U0010ffff", "n" },
		/* emoji sequences stay whole */
		{ "👨‍👩‍👧‍👦", "👨‍👩‍👧‍👦" }, { "❤️", "❤️" }, { "🏳️‍🌈", "🏳️‍🌈" }, { "👩🏽‍🚀", "👩🏽‍🚀" }, { "🏃🏽‍♂️ go", "🏃🏽‍♂️ go" },
		{ "1️⃣", "1️⃣" }, { "#️⃣*️⃣", "#️⃣*️⃣" }, { "🇺🇦", "🇺🇦" }, { "👍🏿", "👍🏿" },
		/* their parts out of place do not */
		{ "👨\u200d", "👨" }, { "\u200d👨", "👨" }, { "👨\u200d\u200d👩", "👨\u200d👩" }, { "👨\u200dx", "👨x" }, { "👨 \u200d👩", "👨 👩" },
		{ "❤\ufe0f\ufe0f", "❤\ufe0f" }, { "1\ufe0f", "1" }, { "a\ufe0f", "a" }, { "❤ \ufe0f", "❤" },
		/* combining marks */
		{ "e\u0301", "e\u0301" }, { "\u0301\u0302e\u0301", "e\u0301" }, { "\u0301\u20dd", "" }, { "  \u0301", "" }, { "हिन्दी", "हिन्दी" },
		{ "e\u0301\u0302\u0303\u0304\u0305\u0306x", "e\u0301\u0302\u0303\u0304x" }, { "q\u0489\u0489\u0489\u0489\u0489", "q\u0489\u0489\u0489\u0489" },
		{ "e\u0301\u0302\u0303\u0304 \u0305a\u0306", "e\u0301\u0302\u0303\u0304 \u0305a\u0306" },
		{ "e\u0301\u0302\u0303\u200b\u0304\u034f\u0305", "e\u0301\u0302\u0303\u0304" },
		{ "का\u0301\u0302\u0303\u0304\u0305", "का\u0301\u0302\u0303\u0304" }, { "မြွှေး", "မြွှေး" },
		/* blanks of all kinds */
		{ "\U0001d159\ufffc", "" }, { "a\U0001d159\U00013441\U00013442\U00016fe4 b", "a b" }, { "\u17b4\u17b5\u1160\u2065", "" },
		{ "\u2800Mark\u3164\ufffc", "Mark" },
		/* joiners stay where a script needs them: Persian, Malayalam, Sinhala, Syriac */
		{ "می\u200cخواهم", "می\u200cخواهم" }, { "علی\u200cرضا", "علی\u200cرضا" }, { "نَ\u200cم", "نَ\u200cم" }, { "അവന്\u200d", "അവന്\u200d" },
		{ "ന്\u200cയ", "ന്\u200cയ" }, { "ශ්\u200dරී", "ශ්\u200dරී" }, { "ක්\u200dෂ", "ක්\u200dෂ" },
		/* and go where they would only hide */
		{ "ا\u200cب", "اب" }, { "می\u200c", "می" }, { "\u200cمی", "می" }, { "می\u200c خ", "می خ" }, { "می\u200c\tخ", "می خ" },
		{ "می\u200c\u200c\u200cخ", "می\u200cخ" }, { "می\u200dخ", "میخ" }, { "ന\u200dx", "നx" }, { "ശ്\u200d\u200dര", "ശ്\u200dര" }, { "می\u200cx", "میx" },
		{ "Ma\u200crk", "Mark" }, { "می\u200cَخ", "میَخ" },
		{ "0123456789012345678901234567می\u200c\u200cخ", "0123456789012345678901234567می\u200cخ" },
		{ "01234567890123456789012345678می\u200cخ", "01234567890123456789012345678می" },
		/* 32 code points */
		{ "0123456789012345678901234567890123", "01234567890123456789012345678901" },
		{ "012345678901234567890123456789 123", "012345678901234567890123456789 1" },
		{ "0123456789012345678901234567890 123", "0123456789012345678901234567890" },
		{ "012345678901234567890123456789👨\u200d👩", "012345678901234567890123456789👨" },
		{ "01234567890123456789012345678901️⃣", "0123456789012345678901234567890" "1" },
		{ "0123456789012345678901234567891️⃣", "0123456789012345678901234567891" },
		{ "абвгдежзийклмнопрстуфхцчшщъыьэюяАБВ", "абвгдежзийклмнопрстуфхцчшщъыьэюя" },
		{ "🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊",
		  "🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊🌊" },
	};
	/* clang-format on */
	char out[WC_NAME_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		size_t n = name_clean(out, text(cases[i].raw));
		assert_string_equal(out, cases[i].want);
		assert_int_equal(n, strlen(cases[i].want));
	}
	assert_int_equal(name_clean(out, STR("a\0b")), 2);
	assert_string_equal(out, "ab");
	assert_int_equal(name_clean(out, (struct str){ NULL, 0 }), 0);
}

/* Whatever comes in, what goes out is valid, short, trimmed, and clean already. */
static void cleaning_is_sound_for_any_input(void **state)
{
	static const uint32_t odd[] = { ' ',    'a',    '1',    0x301,  0x200d, 0xfe0f, 0x20e3, 0x1f468, 0x2764, 0x1f3fd,
		                        0x2800, 0x202e, 0x3000, 0x200c, 0x6cc,  0x627,  0xd4d,  0x64e,   0x9,    0x1d159 };
	char out[WC_NAME_BYTES + 1], again[WC_NAME_BYTES + 1];
	uint8_t p[512];
	uint32_t seed = 99;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		size_t n = 0;
		int points = round % 45;
		for (int i = 0; i < points; i++) {
			seed = seed * 1664525 + 1013904223;
			uint32_t r = seed >> 8, pick = r % 30;
			if (pick < WC_LEN(odd))
				n += put(p + n, odd[pick]);
			else if (pick == 29 && round % 5 == 0)
				p[n++] = (uint8_t)(r >> 6); /* not even UTF-8 */
			else
				n += put(p + n, (r >> 5) % 0xd800);
		}
		size_t len = name_clean(out, (struct str){ (char *)p, n });
		assert_true(len <= WC_NAME_BYTES);
		assert_int_equal(strlen(out), len);
		struct str s = { out, len };
		assert_true(utf8_valid(out, len));
		assert_true(utf8_count(s) <= WC_NAME_POINTS);
		assert_int_equal(utf8_trim(s).len, len);
		assert_int_equal(name_clean(again, s), len);
		assert_memory_equal(again, out, len);
	}
}

static void keys(void **state)
{
	/* clang-format off */
	static const struct {
		const char *a, *b;
		bool is_same;
	} cases[] = {
		{ "Аня", "аня", true }, { "АНЯ", "аня", true }, { "ﬁ", "fi", true }, { "ＡＢＣ１", "abc1", true }, { "Straße", "STRASSE", true },
		{ "\u00e9", "e\u0301", true }, { "①", "1", true }, { "ΣΑΣ", "σας", true }, { "\u212b", "\u00e5", true }, { "Ⅷ", "viii", true },
		{ "a\u200bb", "ab", true }, { "👨‍👩", "👨👩", true }, { "❤️", "❤", true }, { "\u3164", "", true }, { "ｶﾞ", "ガ", true },
		/* NFKC_Casefold is not Turkish: dotted capital I keeps its dot, dotless i is a letter of its own */
		{ "\u0130", "i\u0307", true }, { "\u0130", "i", false }, { "\u0131", "i", false }, { "I", "i", true },
		/* look-alikes of other scripts are other letters */
		{ "а", "a", false }, { "Аня", "Аня2", false },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		char *a = name_key(text(cases[i].a)), *b = name_key(text(cases[i].b));
		assert_int_equal(strcmp(a, b) == 0, cases[i].is_same);
		free(a);
		free(b);
	}
	/* Part of a longer text only; and bytes that cannot be folded are their own key. */
	char *k = name_key((struct str){ "ANNAbella", 4 });
	assert_string_equal(k, "anna");
	free(k);
	k = name_key(STR("\xff\xfe"));
	assert_string_equal(k, "\xff\xfe");
	free(k);
	k = name_key((struct str){ NULL, 0 });
	assert_string_equal(k, "");
	free(k);
}

static void a_key_is_its_own_key(void **state)
{
	uint8_t p[5];

	(void)state;
	for (uint32_t c = 1; c <= 0x10ffff; c++) {
		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		size_t n = put(p, c);
		char *once = name_key((struct str){ (char *)p, n }), *twice = name_key(text(once));
		if (strcmp(once, twice) != 0)
			fail_msg("U+%04X", c);
		free(once);
		free(twice);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cleans_names),
		cmocka_unit_test(cleaning_is_sound_for_any_input),
		cmocka_unit_test(keys),
		cmocka_unit_test(a_key_is_its_own_key),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
