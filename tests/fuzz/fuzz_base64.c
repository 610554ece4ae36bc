/* fuzz_base64.c — any bytes as base64, decoded apart and in place; what comes out, encoded, decodes to itself.
 *
 * Compiled with
 *   clang -std=gnu11 -D_GNU_SOURCE -Icore -g -O1 -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_base64.c LIBRARY
 * or with replay_main.c in place of libFuzzer.
 *
 * Input: the text as it is. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_round_trip(const uint8_t *data, size_t n)
{
	size_t len = BASE64_LEN(n);
	char *text = xmalloc(len + 1), *url = xmalloc(len + 1);

	base64_encode(text, data, n);
	size_t url_len = base64url_encode(url, data, n);
	WC_ASSERT(url_len == (n * 8 + 5) / 6 && strlen(url) == url_len && !strpbrk(url, "+/="));
	WC_ASSERT(base64_decode(text, (struct str){ text, len }) == (ssize_t)n);
	WC_ASSERT(n == 0 || memcmp(text, data, n) == 0);
	free(text);
	free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *apart = xmalloc(n / 4 * 3 + 2), *inside = xmalloc(n ? n : 1);

	if (n)
		memcpy(inside, data, n);
	ssize_t len = base64_decode(apart, (struct str){ (const char *)data, n });
	WC_ASSERT(base64_decode(inside, (struct str){ (const char *)inside, n }) == len);
	WC_ASSERT(len == -WC_EBAD || (len >= 0 && (size_t)len <= n / 4 * 3 + 2));
	if (len > 0) {
		WC_ASSERT(memcmp(apart, inside, (size_t)len) == 0);
		check_round_trip(apart, (size_t)len);
	}
	check_round_trip(data, n);
	free(apart);
	free(inside);
	return 0;
}
