/* fuzz_utf8.c — any bytes as text: validation in two pieces against a naive one, names, and JSON strings.
 *
 * Compiled with
 *   clang -std=gnu11 -D_GNU_SOURCE -Icore -g -O1 -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_utf8.c LIBRARY -lutf8proc
 * or with replay_main.c in place of libFuzzer.
 *
 * Input: a byte that says where to cut, then the text. */
#include <stdlib.h>
#include <string.h>

#include "../ws_naive.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "wire/look.h"
#include "wire/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool check_validation(const uint8_t *p, size_t n, size_t cut)
{
	struct naive_text naive = { .n = 0 };
	struct utf8 u = { 0 };
	bool is_possible = true;

	for (size_t i = 0; i < n && is_possible; i++)
		is_possible = naive_feed(&naive, p[i]);
	bool first = utf8_feed(&u, p, cut);
	bool second = utf8_feed(&u, p + cut, n - cut);
	WC_ASSERT(second == is_possible && (first || !second));
	bool is_valid = is_possible && naive.n == 0;
	WC_ASSERT((second && utf8_done(&u)) == is_valid && utf8_valid(p, n) == is_valid);

	size_t at = 0, step;
	while ((step = utf8_step(p + at, n - at)))
		at += step;
	WC_ASSERT((at == n) == is_valid);
	return is_valid;
}

/* A name is taken for itself. */
static void check_looks(struct str name)
{
	struct looks held, wish;
	int same = 0;

	looks_of_name(&held, name);
	looks_of_wish(&wish, name);
	WC_ASSERT(held.count >= 1 && held.count <= LOOKS_OF_NAME && wish.count <= LOOKS_MAX);
	for (int i = 0; i < held.count; i++) {
		WC_ASSERT(utf8_valid(held.key[i], strlen(held.key[i])));
		for (int k = 0; k < wish.count; k++)
			same += strcmp(held.key[i], wish.key[k]) == 0;
	}
	WC_ASSERT(same == held.count);
	looks_fini(&held);
	looks_fini(&wish);
}

static void check_name(struct str s)
{
	char name[WC_NAME_BYTES + 1], again[WC_NAME_BYTES + 1];
	size_t len = name_clean(name, s);
	struct str clean = { name, len };

	WC_ASSERT(len <= WC_NAME_BYTES && strlen(name) == len && utf8_valid(name, len));
	WC_ASSERT(utf8_count(clean) <= WC_NAME_POINTS && utf8_trim(clean).len == len);
	WC_ASSERT(name_clean(again, clean) == len && strcmp(name, again) == 0);
	char *key = name_key(clean);
	WC_ASSERT(utf8_valid(key, strlen(key)));
	free(key);
	check_looks(clean);
}

static void check_text(struct str s)
{
	size_t points = utf8_count(s), half = points / 2;
	struct str head = utf8_prefix(s, half), trimmed = utf8_trim(s);

	WC_ASSERT(utf8_count(head) == half && utf8_valid(head.p, head.len));
	WC_ASSERT(trimmed.p >= s.p && trimmed.p + trimmed.len <= s.p + s.len && utf8_valid(trimmed.p, trimmed.len));
	WC_ASSERT(utf8_trim(trimmed).len == trimmed.len && utf8_width(s) <= 2 * points);
	char *key = name_key(s);
	free(key);
}

static void check_json(struct str s, bool is_valid)
{
	struct buf b;
	size_t len;

	buf_init(&b, 6 * s.len + 2);
	json_str(&b, s);
	char *text = buf_take(&b, &len);
	WC_ASSERT(text && len >= 2 && text[0] == '"' && text[len - 1] == '"');
	WC_ASSERT(utf8_valid(text, len) && (!is_valid || len >= s.len + 2));
	for (size_t i = 1; i < len - 1; i++) {
		WC_ASSERT((uint8_t)text[i] >= 0x20 && text[i] != '"');
		if (text[i] == '\\')
			i++;
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (!n)
		return 0;
	/* A block of its own: reading past the end of the text is then seen. */
	size_t len = n - 1;
	uint8_t *p = xmalloc(len ? len : 1);
	memcpy(p, data + 1, len);
	struct str s = { (const char *)p, len };
	bool is_valid = check_validation(p, len, data[0] % (len + 1));

	check_name(s);
	check_json(s, is_valid);
	if (is_valid)
		check_text(s);
	else
		(void)utf8_trim(s);
	free(p);
	return 0;
}
