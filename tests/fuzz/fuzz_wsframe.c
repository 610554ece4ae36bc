/* fuzz_wsframe.c — a WebSocket stream, cut at will, read under a drip-fed budget: the same events as the naive reader's.
 *
 * Compiled with
 *   clang -std=gnu11 -D_GNU_SOURCE -Icore -g -O1 -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_wsframe.c LIBRARY -lutf8proc
 * or with replay_main.c in place of libFuzzer.
 *
 * Input: a byte that picks the limits and the cutting, a byte that seeds the cuts, then the stream. */
#include <stdlib.h>
#include <string.h>

#include "../ws_naive.h"
#include "hub/wsframe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_in_pieces(const uint8_t *data, size_t n, const struct ws_limits *limits, uint32_t most, uint32_t seed, struct log *l)
{
	struct ws_in in = { 0 };
	struct ws_out out;
	size_t used;

	for (size_t start = 0, len; start < n; start += len) {
		seed = seed * 1664525 + 1013904223;
		len = 1 + (seed >> 8) % most;
		len = WC_MIN(len, n - start);
		uint8_t *piece = xmalloc(len);
		memcpy(piece, data + start, len);
		for (size_t at = 0;;) {
			enum ws_event event = ws_in_feed(&in, limits, piece + at, len - at, &used, &out);
			WC_ASSERT(event == out.event && used <= len - at);
			at += used;
			WC_ASSERT(memcmp(piece + at, data + start + at, len - at) == 0);
			WC_ASSERT(in.msg_len <= in.msg_room && in.msg_room <= WC_MAX(limits->soft_bytes, WS_HEAD_KEPT));
			if (event == WS_EV_MORE) {
				WC_ASSERT(at == len);
				break;
			}
			if (event == WS_EV_BLOCKED) {
				WC_ASSERT(limits->budget && at < len);
				limits->budget->cap_bytes += 1 + len / 2 + in.msg_room / 2;
				continue;
			}
			note_event(l, &out);
			if (event == WS_EV_FAIL) {
				free(piece);
				goto out;
			}
		}
		free(piece);
	}
out:
	ws_in_fini(&in, limits);
	WC_ASSERT(!limits->budget || limits->budget->used_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct ws_limits choices[] = {
		{ .soft_bytes = 1 << 20, .hard_bytes = 2 << 20 },
		{ .soft_bytes = 300, .hard_bytes = 900 },
		{ .soft_bytes = 20, .hard_bytes = 40 },
		{ .soft_bytes = 0, .hard_bytes = 10 },
	};
	static const uint32_t most[] = { 1, 4, 64, 1 << 20 };
	struct ws_budget budget = { .cap_bytes = 0 };
	struct log want = { 0 }, have = { 0 };

	if (n < 2)
		return 0;
	struct ws_limits limits = choices[data[0] & 3];
	if (data[0] & 0x10)
		limits.budget = &budget;
	naive_read(data + 2, n - 2, &limits, &want);
	read_in_pieces(data + 2, n - 2, &limits, most[data[0] >> 2 & 3], data[1], &have);
	WC_ASSERT(strcmp(log_text(&want), log_text(&have)) == 0);
	free(want.p);
	free(have.p);
	return 0;
}
