/* wsframe_fixture.h — streams of frames, and the reader under test fed in pieces. */
#ifndef WSFRAME_FIXTURE_H
#define WSFRAME_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../ws_naive.h"
#include "hub/wsframe.h"

static const struct ws_limits roomy = { .soft_bytes = 1 << 20, .hard_bytes = 2 << 20 };

static uint32_t random_state = 1;

static inline uint32_t random_u32(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

/* --- streams */

struct stream {
	uint8_t *p;
	size_t len, room;
};

static inline void put(struct stream *s, const void *data, size_t n)
{
	if (s->len + n > s->room)
		s->p = xrealloc(s->p, s->room = (s->len + n) * 2);
	if (n)
		memcpy(s->p + s->len, data, n);
	s->len += n;
}

/* form: bytes of length after the second byte: 0, 2, 8, or -1 for the shortest. */
static inline void frame_as(struct stream *s, int first, int form, const uint8_t mask[4], const void *payload, size_t n, uint64_t claimed)
{
	uint8_t head[14], *at = head;
	if (form < 0)
		form = claimed < 126 ? 0 : claimed < 65536 ? 2 : 8;
	*at++ = (uint8_t)first;
	*at++ = (uint8_t)((mask ? 0x80 : 0) | (form == 0 ? claimed : form == 2 ? 126 : 127));
	for (int i = form - 1; i >= 0; i--)
		*at++ = (uint8_t)(claimed >> 8 * i);
	if (mask) {
		memcpy(at, mask, 4);
		at += 4;
	}
	put(s, head, (size_t)(at - head));
	size_t start = s->len;
	put(s, payload, n);
	for (size_t i = 0; mask && i < n; i++)
		s->p[start + i] ^= mask[i % 4];
}

static inline void frame(struct stream *s, int first, const void *payload, size_t n)
{
	uint32_t r = random_u32() * 2654435761u;
	uint8_t mask[4];
	memcpy(mask, &r, 4);
	frame_as(s, first, -1, mask, payload, n, n);
}

static inline void frame_text(struct stream *s, int first, const char *text)
{
	frame(s, first, text, strlen(text));
}

static inline void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)('a' + i * 7 % 26);
}

/* --- the reader under test, fed in pieces, each a heap block of its own so that a step outside is seen */

struct feeder {
	struct ws_in in;
	struct ws_limits limits;
	struct log log;
	bool is_dead;
	size_t blocked;
};

static inline void feed(struct feeder *f, const uint8_t *data, size_t n)
{
	uint8_t *piece = xmalloc(n + 1);
	size_t at = 0, used;
	struct ws_out out;
	if (n)
		memcpy(piece, data, n);
	piece = xrealloc(piece, n ? n : 1);
	while (!f->is_dead) {
		enum ws_event event = ws_in_feed(&f->in, &f->limits, piece + at, n - at, &used, &out);
		assert_int_equal(event, out.event);
		assert_true(used <= n - at);
		at += used;
		/* Not touched: it will be fed again. */
		if (n > at)
			assert_memory_equal(piece + at, data + at, n - at);
		if (event == WS_EV_MORE) {
			assert_int_equal(at, n);
			break;
		}
		if (event == WS_EV_LATER)
			continue;
		if (event == WS_EV_BLOCKED) {
			f->blocked++;
			f->limits.budget->cap_bytes += 1 + random_u32() % (3000 + n / 4 + f->in.msg_room / 4);
			continue;
		}
		note_event(&f->log, &out);
		f->is_dead = event == WS_EV_FAIL;
	}
	free(piece);
}

static inline void feeder_fini(struct feeder *f)
{
	ws_in_fini(&f->in, &f->limits);
	assert_null(f->in.msg);
	assert_null(f->in.control);
	if (f->limits.budget)
		assert_int_equal(f->limits.budget->used_bytes, 0);
	free(f->log.p);
}

static inline void check_whole(const struct stream *s, const struct ws_limits *limits, const char *want)
{
	struct feeder f = { .limits = *limits };
	feed(&f, s->p, s->len);
	assert_string_equal(log_text(&f.log), want);
	feeder_fini(&f);
}

static inline void check_pieces(const struct stream *s, const struct ws_limits *limits, size_t least, size_t spread, const char *want)
{
	struct feeder f = { .limits = *limits };
	for (size_t at = 0; at < s->len;) {
		size_t n = least + (spread ? random_u32() % spread : 0);
		n = WC_MIN(n, s->len - at);
		feed(&f, s->p + at, n);
		at += n;
	}
	assert_string_equal(log_text(&f.log), want);
	feeder_fini(&f);
}

static inline void check_every_split(const struct stream *s, const struct ws_limits *limits, const char *want)
{
	check_whole(s, limits, want);
	check_pieces(s, limits, 1, 0, want);
	for (size_t cut = 0; cut <= s->len; cut++) {
		struct feeder f = { .limits = *limits };
		feed(&f, s->p, cut);
		feed(&f, s->p + cut, s->len - cut);
		assert_string_equal(log_text(&f.log), want);
		feeder_fini(&f);
	}
}

static inline void check_against_naive(const struct stream *s, const struct ws_limits *limits)
{
	struct log want = { 0 };
	naive_read(s->p, s->len, limits, &want);
	const char *text = log_text(&want);
	if (s->len < 400) {
		check_every_split(s, limits, text);
	} else {
		check_whole(s, limits, text);
		check_pieces(s, limits, 1, 3, text);
		check_pieces(s, limits, 1, 700, text);
		check_pieces(s, limits, 4096, 0, text);
		check_pieces(s, limits, s->len - 1, 0, text);
	}
	/* The same with nearly no budget, granted in drips. */
	for (size_t least = s->len < 400 ? 1 : 300; least < 100000; least = least * 50 + 7) {
		struct ws_budget budget = { .cap_bytes = random_u32() % 2000 };
		struct ws_limits tight = *limits;
		tight.budget = &budget;
		check_pieces(s, &tight, least, least, text);
	}
	free(want.p);
}

#endif
