/* base64.c — RFC 4648 base64, both ways.
 *
 * Pure; allocates nothing. Files of tens of megabytes pass through here. So the usual case, letters without white space, goes four
 * characters at a time with one test for all. Any thread. */
#include "base/base64.h"

#define WHITE 0x40 /* to be skipped */
#define WRONG 0x80 /* not of the alphabet; padding too, which is met outside the fast loop */

#define W4 WRONG, WRONG, WRONG, WRONG
#define W16 W4, W4, W4, W4

static const uint8_t values[256] = {
	WRONG, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG, WHITE, WHITE, WRONG, WRONG, WHITE, WRONG, WRONG, W16, WHITE, WRONG,
	WRONG, WRONG, W4,    WRONG, WRONG, WRONG, 62,    WRONG, WRONG, WRONG, 63,    52,    53,    54,    55,    56,    57,  58,    59,
	60,    61,    WRONG, WRONG, W4,    WRONG, 0,     1,     2,     3,     4,     5,     6,     7,     8,     9,     10,  11,    12,
	13,    14,    15,    16,    17,    18,    19,    20,    21,    22,    23,    24,    25,    WRONG, W4,    WRONG, 26,  27,    28,
	29,    30,    31,    32,    33,    34,    35,    36,    37,    38,    39,    40,    41,    42,    43,    44,    45,  46,    47,
	48,    49,    50,    51,    WRONG, W4,    W16,   W16,   W16,   W16,   W16,   W16,   W16,   W16,
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

ssize_t base64_decode(void *out, struct str s)
{
	const uint8_t *in = (const uint8_t *)s.p;
	uint8_t *to = out;
	size_t i = 0, pads = 0;
	uint32_t bits = 0;
	unsigned have = 0; /* characters in bits, 0..3 */

	/* Writing never overtakes reading, so out may be s.p. */
	for (;;) {
		while (!have && s.len - i >= 4) {
			uint32_t a = values[in[i]], b = values[in[i + 1]], c = values[in[i + 2]], d = values[in[i + 3]];
			if ((a | b | c | d) & (WHITE | WRONG))
				break;
			uint32_t three = a << 18 | b << 12 | c << 6 | d;
			to[0] = (uint8_t)(three >> 16);
			to[1] = (uint8_t)(three >> 8);
			to[2] = (uint8_t)three;
			to += 3;
			i += 4;
		}
		if (i == s.len)
			break;
		uint8_t c = in[i++], value = values[c];
		if (value == WHITE)
			continue;
		if (c == '=') {
			pads++;
			continue;
		}
		if (value == WRONG || pads)
			return -WC_EBAD;
		bits = bits << 6 | value;
		if (++have < 4)
			continue;
		*to++ = (uint8_t)(bits >> 16);
		*to++ = (uint8_t)(bits >> 8);
		*to++ = (uint8_t)bits;
		have = 0;
	}
	/* Padding may be left out, but what there is of it must be right. */
	if (have == 1 || (pads && (have == 0 || pads != 4 - have)))
		return -WC_EBAD;
	if (have == 2) {
		*to++ = (uint8_t)(bits >> 4);
	} else if (have == 3) {
		*to++ = (uint8_t)(bits >> 10);
		*to++ = (uint8_t)(bits >> 2);
	}
	return to - (uint8_t *)out;
}

/* Returns the number of characters written; without padding if pad is 0. */
static size_t encode(char *out, const uint8_t *p, size_t n, const char set[static 64], char pad)
{
	char *to = out;

	for (; n >= 3; n -= 3, p += 3) {
		uint32_t three = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		to[0] = set[three >> 18];
		to[1] = set[three >> 12 & 63];
		to[2] = set[three >> 6 & 63];
		to[3] = set[three & 63];
		to += 4;
	}
	if (n) {
		uint32_t rest = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
		*to++ = set[rest >> 18];
		*to++ = set[rest >> 12 & 63];
		if (n == 2)
			*to++ = set[rest >> 6 & 63];
		for (size_t k = n; pad && k < 3; k++)
			*to++ = pad;
	}
	return (size_t)(to - out);
}

void base64_encode(char *out, const void *data, size_t n)
{
	encode(out, data, n, alphabet, '=');
}

size_t base64url_encode(char *out, const void *data, size_t n)
{
	size_t len = encode(out, data, n, url_alphabet, '\0');

	out[len] = '\0';
	return len;
}
