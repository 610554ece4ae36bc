/* test_base64.c — base64 both ways: the RFC's vectors, white space, garbage, and a bitwise decoder to agree with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"

static uint32_t random_state = 7;

static uint32_t random_u32(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

/* In a block of just the documented size, elsewhere and in place. Returns the length, or -WC_EBAD. */
static ssize_t decode_both_ways(uint8_t *out, const char *in, size_t len)
{
	uint8_t *apart = xmalloc(len / 4 * 3 + 2);
	char *inside = xmalloc(len ? len : 1);

	if (len)
		memcpy(inside, in, len);
	ssize_t n = base64_decode(apart, (struct str){ inside, len });
	ssize_t m = base64_decode(inside, (struct str){ inside, len });
	assert_int_equal(n, m);
	if (n > 0) {
		assert_true((size_t)n <= len / 4 * 3 + 2);
		assert_memory_equal(apart, inside, (size_t)n);
		memcpy(out, apart, (size_t)n);
	}
	free(apart);
	free(inside);
	return n;
}

static const struct {
	const char *text, *plain, *padded;
} vectors[] = {
	{ "", "", "" },
	{ "f", "Zg", "Zg==" },
	{ "fo", "Zm8", "Zm8=" },
	{ "foo", "Zm9v", "Zm9v" },
	{ "foob", "Zm9vYg", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
	{ "\xff\xfe\xfd", "//79", "//79" },
	{ "\xfb\xef", "++8", "++8=" },
};

static void test_vectors(void **state)
{
	uint8_t out[16];

	(void)state;
	for (size_t i = 0; i < WC_LEN(vectors); i++) {
		size_t n = strlen(vectors[i].text);
		char *made = xmalloc(BASE64_LEN(n) + 1);
		made[BASE64_LEN(n)] = '#';
		base64_encode(made, vectors[i].text, n);
		assert_int_equal(BASE64_LEN(n), strlen(vectors[i].padded));
		assert_memory_equal(made, vectors[i].padded, BASE64_LEN(n));
		assert_int_equal(made[BASE64_LEN(n)], '#');
		free(made);
		assert_int_equal(decode_both_ways(out, vectors[i].padded, strlen(vectors[i].padded)), n);
		assert_memory_equal(out, vectors[i].text, n);
		assert_int_equal(decode_both_ways(out, vectors[i].plain, strlen(vectors[i].plain)), n);
		assert_memory_equal(out, vectors[i].text, n);
	}
	assert_int_equal(base64_decode(out, (struct str){ NULL, 0 }), 0);
}

static void decoding_table(void **state)
{
	/* clang-format off */
	static const struct {
		const char *in;
		size_t len;
		const char *want; /* NULL: refused */
	} cases[] = {
#define CASE(in, want) { in, sizeof(in) - 1, want }
		CASE(" ", ""), CASE("\r\n\t ", ""), CASE("Zm9v\r\nYmFy", "foobar"), CASE("Z m 9 v", "foo"), CASE(" Zg==\n", "f"),
		CASE("Zg= =", "f"), CASE("Z\ng\n=\n=\n", "f"), CASE("\nZm9vYg", "foob"), CASE("Zm9vYmE = ", "fooba"),
		/* spare bits that are not zero: some encoders leave them, and nothing hangs on it */
		CASE("Zh==", "f"), CASE("Zm9=", "fo"),
		/* one character is no byte */
		CASE("Z", NULL), CASE("Zm9vY", NULL), CASE("Z===", NULL), CASE("Zm9v Y", NULL),
		/* padding: too little, too much, alone, in the middle */
		CASE("Zg=", NULL), CASE("Zg===", NULL), CASE("Zm8==", NULL), CASE("Zm9v=", NULL), CASE("Zm9v====", NULL), CASE("=", NULL),
		CASE("====", NULL), CASE("Zg==Zg==", NULL), CASE("Zm8=Zm8=", NULL), CASE("Z=g=", NULL), CASE("=Zg=", NULL), CASE("Zg==Z", NULL),
		/* not of the alphabet, at each place of four */
		CASE("!m9v", NULL), CASE("Z!9v", NULL), CASE("Zm!v", NULL), CASE("Zm9!", NULL), CASE("Zm9vYmFy!", NULL),
		CASE("Zm9v-mFy", NULL), CASE("Zm9v_mFy", NULL), CASE("Zm9v\0mFy", NULL), CASE("Zm9v\x7f", NULL), CASE("Zm9v\xd0\xb6==", NULL),
		CASE("data:text/plain;base64,Zm9v", NULL), CASE("Zm9v\v", NULL), CASE("Zm9v\f", NULL), CASE("\xef\xbb\xbfZm9v", NULL),
#undef CASE
	};
	/* clang-format on */
	uint8_t out[32];

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		ssize_t n = decode_both_ways(out, cases[i].in, cases[i].len);
		if (!cases[i].want) {
			if (n != -WC_EBAD)
				fail_msg("%s decoded", cases[i].in);
			continue;
		}
		assert_int_equal(n, strlen(cases[i].want));
		assert_memory_equal(out, cases[i].want, (size_t)n);
	}
}

static void every_byte_at_every_place(void **state)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t out[16];

	(void)state;
	for (int c = 0; c < 256; c++) {
		bool is_letter = c && strchr(alphabet, c), is_white = c && strchr(" \t\r\n", c);
		for (size_t at = 0; at < 12; at++) {
			char in[12];
			memset(in, 'A', sizeof(in));
			in[at] = (char)c;
			ssize_t n = decode_both_ways(out, in, sizeof(in));
			/* With one skipped, eleven are left: two whole groups and three. One pad at the end is right as well. */
			ssize_t want = is_letter ? 9 : is_white || (c == '=' && at == 11) ? 8 : -WC_EBAD;
			assert_int_equal(n, want);
			if (!is_letter)
				continue;
			uint32_t value = (uint32_t)(strchr(alphabet, c) - alphabet) << 6 * (3 - at % 4);
			for (size_t i = 0; i < 9; i++)
				assert_int_equal(out[i], i / 3 == at / 4 ? (value >> 8 * (2 - i % 3) & 255) : 0);
		}
	}
}

/* Collects bits one character at a time; -1 if refused. */
static ssize_t naive_decode(uint8_t *out, const char *in, size_t len)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t letters = 0, pads = 0, bits = 0;

	memset(out, 0, len);
	for (size_t i = 0; i < len; i++) {
		if (in[i] && strchr(" \t\r\n", in[i]))
			continue;
		if (in[i] == '=') {
			pads++;
			continue;
		}
		const char *at = in[i] ? strchr(alphabet, in[i]) : NULL;
		if (!at || pads)
			return -WC_EBAD;
		for (int b = 5; b >= 0; b--, bits++)
			if ((at - alphabet) >> b & 1)
				out[bits / 8] |= (uint8_t)(0x80 >> bits % 8);
		letters++;
	}
	if (letters % 4 == 1 || (pads && letters % 4 + pads != 4) || (pads && letters % 4 == 0))
		return -WC_EBAD;
	return (ssize_t)(bits / 8);
}

static void agrees_with_a_bitwise_decoder(void **state)
{
	static const char odd[] = "==\n \r\t!-_\0";
	char in[100];
	uint8_t have[100], want[100];
	size_t good = 0, bad = 0;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		size_t len = random_u32() % sizeof(in);
		unsigned spoil = round % 3 == 0 ? 4 : 60;
		for (size_t i = 0; i < len; i++)
			in[i] = random_u32() % spoil == 0
			                ? odd[random_u32() % (sizeof(odd) - 1)]
			                : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[random_u32() % 64];
		for (size_t pads = random_u32() % 4; pads && pads < 3 && pads <= len; pads--)
			in[len - pads] = '=';
		ssize_t n = naive_decode(want, in, len);
		assert_int_equal(decode_both_ways(have, in, len), n);
		if (n > 0)
			assert_memory_equal(have, want, (size_t)n);
		n < 0 ? bad++ : good++;
	}
	/* Both kinds were met, or nothing was compared. */
	assert_true(good > 20000 && bad > 20000);
}

static void what_is_encoded_decodes_to_itself(void **state)
{
	uint8_t data[300], back[300];

	(void)state;
	for (size_t n = 0; n <= sizeof(data); n++) {
		for (size_t i = 0; i < n; i++)
			data[i] = (uint8_t)random_u32();
		char *text = xmalloc(BASE64_LEN(n) + 1);
		base64_encode(text, data, n);
		assert_int_equal(decode_both_ways(back, text, BASE64_LEN(n)), n);
		assert_memory_equal(back, data, n);

		/* The URL-safe one is the same text in another alphabet, less its padding. */
		char *url = xmalloc(BASE64_LEN(n) + 1);
		size_t len = base64url_encode(url, data, n);
		assert_int_equal(len, strlen(url));
		assert_int_equal(len, (n * 8 + 5) / 6);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(url[i], text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
		free(url);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(decoding_table),
		cmocka_unit_test(every_byte_at_every_place),
		cmocka_unit_test(agrees_with_a_bitwise_decoder),
		cmocka_unit_test(what_is_encoded_decodes_to_itself),
	};

	return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
