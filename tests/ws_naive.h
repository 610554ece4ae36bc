/* ws_naive.h — what a WebSocket reader must make of a stream, told by one that is slow and plain: the whole stream at once, one
 * byte after another. The unit test and the fuzz target hold core/wsframe.c to it.
 *
 * What happened is written down as text, one line an event: its name, its code, its length and a hash of its data. */
#ifndef WC_TESTS_WS_NAIVE_H
#define WC_TESTS_WS_NAIVE_H

#include <stdio.h>
#include <string.h>

#include "hub/wsframe.h"

struct log {
	char *p;
	size_t len;
};

static inline void note(struct log *l, const char *what, int code, const uint8_t *data, size_t n)
{
	uint64_t hash = 14695981039346656037u;
	char line[80];

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ data[i]) * 1099511628211u;
	int len = snprintf(line, sizeof(line), "%s %d %zu %016llx\n", what, code, n, (unsigned long long)hash);
	l->p = xrealloc(l->p, l->len + (size_t)len + 1);
	memcpy(l->p + l->len, line, (size_t)len + 1);
	l->len += (size_t)len;
}

static inline const char *log_text(const struct log *l)
{
	return l->p ? l->p : "";
}

static inline void note_event(struct log *l, const struct ws_out *out)
{
	static const char *names[] = { "more", "message", "oversize", "ping", "pong", "close", "blocked", "fail" };

	WC_ASSERT(out->event != WS_EV_FAIL || out->reason);
	note(l, names[out->event], out->code, out->data, out->len);
}

/* Can these 1..4 bytes begin a character, and which lengths are whole? By value, not by ranges of bytes. */
static inline int naive_character(const uint8_t *p, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : (p[0] & 0xf8) == 0xf0 ? 4 : 0;

	if (!len)
		return -1;
	if (len == 1)
		return 1;
	uint32_t low = p[0] & (0xff >> (len + 1)), high = low;
	for (size_t i = 1; i < len; i++) {
		if (i < n && (p[i] & 0xc0) != 0x80)
			return -1;
		low = low << 6 | (i < n ? p[i] & 0x3f : 0);
		high = high << 6 | (i < n ? p[i] & 0x3f : 0x3f);
	}
	low = WC_MAX(low, least[len]);
	high = WC_MIN(high, 0x10ffff);
	if (low > high || (low >= 0xd800 && high <= 0xdfff))
		return -1;
	return n == len ? 1 : 0;
}

struct naive_text {
	uint8_t pending[4];
	size_t n;
};

static inline bool naive_feed(struct naive_text *t, uint8_t c)
{
	t->pending[t->n++] = c;
	int verdict = naive_character(t->pending, t->n);
	if (verdict > 0)
		t->n = 0;
	return verdict >= 0;
}

static inline void naive_fail(struct log *l, int code)
{
	note(l, "fail", code, NULL, 0);
}

static inline void naive_read(const uint8_t *p, size_t n, const struct ws_limits *limits, struct log *l)
{
	const uint8_t *end = p + n;
	uint8_t *message = xmalloc(n + 1);
	uint64_t message_len = 0; /* what its headers claim */
	size_t have = 0;
	bool in_message = false, is_oversize = false;
	struct naive_text text = { .n = 0 };

	while (p < end) {
		uint8_t first = *p++;
		int opcode = first & 15;
		bool is_final = first >= 0x80, is_control = opcode >= 8;
		if (first & 0x70 || (opcode > 2 && opcode < 8) || opcode > 10 || (is_control && !is_final) ||
		    (opcode == 0 && !in_message) || (in_message && (opcode == 1 || opcode == 2))) {
			naive_fail(l, 1002);
			break;
		}
		if (opcode == 2) {
			naive_fail(l, 1003);
			break;
		}
		if (p == end)
			break;
		uint8_t second = *p++;
		uint64_t len = second & 0x7f;
		if (second < 0x80 || (is_control && len > 125)) {
			naive_fail(l, 1002);
			break;
		}
		int more = len == 126 ? 2 : len == 127 ? 8 : 0;
		if (end - p < more + 4)
			break;
		if (more) {
			len = 0;
			for (int i = 0; i < more; i++)
				len = len * 256 + *p++;
			if (len < 126 || (more == 8 && len < 65536) || len > INT64_MAX) {
				naive_fail(l, 1002);
				break;
			}
		}
		const uint8_t *mask = p;
		p += 4;
		uint64_t avail = WC_MIN(len, (uint64_t)(end - p));
		if (is_control) {
			uint8_t body[125];
			if (avail < len)
				break;
			for (uint64_t i = 0; i < len; i++)
				body[i] = p[i] ^ mask[i % 4];
			p += len;
			if (opcode == 9 || opcode == 10) {
				note(l, opcode == 9 ? "ping" : "pong", 0, body, len);
				continue;
			}
			int code = len >= 2 ? body[0] * 256 + body[1] : 1005;
			if (len == 1 || (len && (code < 1000 || code == 1004 || code == 1005 || code == 1006 ||
			                         (code > 1014 && code < 3000) || code > 4999))) {
				naive_fail(l, 1002);
				break;
			}
			bool is_text = true;
			struct naive_text reason = { .n = 0 };
			for (uint64_t i = 2; i < len && is_text; i++)
				is_text = naive_feed(&reason, body[i]);
			if (!is_text || reason.n)
				naive_fail(l, 1007);
			else
				note(l, "close", code, len ? body + 2 : body, len ? len - 2 : 0);
			break;
		}
		if (opcode == 1) {
			in_message = true;
			is_oversize = false;
			message_len = have = text.n = 0;
		}
		if (len > limits->hard_bytes || message_len + len > limits->hard_bytes) {
			naive_fail(l, 1009);
			break;
		}
		message_len += len;
		if (message_len > limits->soft_bytes)
			is_oversize = true;
		bool is_text = true;
		for (uint64_t i = 0; i < avail && is_text; i++) {
			message[have] = p[i] ^ mask[i % 4];
			is_text = naive_feed(&text, message[have++]);
		}
		p += avail;
		if (is_text && (avail < len || !is_final))
			continue;
		if (!is_text || text.n) {
			naive_fail(l, 1007);
			break;
		}
		in_message = false;
		if (is_oversize) {
			size_t shown = WC_MIN(have, WS_HEAD_KEPT);
			while (shown < have && (message[shown] & 0xc0) == 0x80)
				shown--;
			note(l, "oversize", 0, message, shown);
		} else {
			note(l, "message", 0, message, have);
		}
	}
	free(message);
}

#endif
