/* wsframe.c — the RFC 6455 reader of a server, and frame headers to send.
 *
 * Owns the bytes of unfinished messages and nothing else. Never reads a socket, never takes memory for what a header merely
 * claims, never looks into a message beyond its being UTF-8. One thread at a time per reader; the budget is shared by all.
 *
 * A frame goes   header bytes -> judge_header() -> payload -> end_of_frame() -> an event or the next frame.
 * Between feeds a message in pieces lies in w->msg:
 *
 *   0 .. msg_len          unmasked, checked
 *   msg_len .. msg_room   free; all of msg_room is reserved from the budget if it is over WS_SMALL
 *
 * A block that was handed out with an event is freed at the next feed. That is `msg` while !in_message, and `control` while no control
 * frame is being read. */
#include "hub/wsframe.h"

#include <stdlib.h>
#include <string.h>

#define CONTROL_MAX 125
#define FIRST_ROOM 512

enum { ALIVE, DEAD_FAILED, DEAD_CLOSED };

bool ws_close_code_ok(int code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

size_t ws_header(uint8_t out[WS_HEADER_MAX], enum ws_opcode opcode, uint64_t len)
{
	out[0] = (uint8_t)(0x80 | opcode);
	if (len < 126) {
		out[1] = (uint8_t)len;
		return 2;
	}
	size_t bytes = len <= UINT16_MAX ? 2 : 8;
	out[1] = bytes == 2 ? 126 : 127;
	for (size_t i = 0; i < bytes; i++)
		out[2 + i] = (uint8_t)(len >> 8 * (bytes - 1 - i));
	return 2 + bytes;
}

/* --- memory */

/* The most that an owner may have while the budget is more than half spent. */
static size_t share_of(const struct ws_budget *b, enum holder_by by)
{
	const size_t cap = atomic_load_explicit(&b->cap_bytes, memory_order_relaxed);
	return by == HOLDER_PERSON ? cap / 8 : by == HOLDER_HOUSEHOLD ? cap / 4 : cap / 2;
}

/* own: what one message of the owner's has. Alone it may be longer than the share. Crumbs of others, such as pieces that wait to be
 * parsed, do not matter. */
static bool is_over_share(const struct ws_budget *b, holder who, enum holder_by by, size_t own)
{
	const size_t held = holdings_of(&b->held, who, by), share = share_of(b, by);
	return held > share && held > own && held - own > share / 8;
}

bool ws_budget_is_over_share(const struct ws_budget *b, const struct ws_in *w)
{
	const size_t own = ws_in_reserved(w);
	return is_over_share(b, w->owner, HOLDER_PERSON, own) || is_over_share(b, w->owner, HOLDER_HOUSEHOLD, own) ||
	       is_over_share(b, w->owner, HOLDER_SITE, own);
}

void ws_budget_give(struct ws_budget *b, struct ws_share s)
{
	if (!b || !s.bytes)
		return;
	atomic_fetch_sub_explicit(&b->used_bytes, s.bytes, memory_order_relaxed);
	holdings_add(&b->held, s.owner, -(int64_t)s.bytes);
}

void ws_budget_add(struct ws_budget *b, struct ws_share s)
{
	if (!b || !s.bytes)
		return;
	atomic_fetch_add_explicit(&b->used_bytes, s.bytes, memory_order_relaxed);
	holdings_add(&b->held, s.owner, s.bytes);
}

/* Is the message the one of its owner that may go past the share? It becomes that where there is none. */
static bool is_first(struct ws_budget *b, const struct ws_in *w, enum holder_by by)
{
	const void *none = NULL;
	_Atomic(const void *) *first = &b->first[by][holder_place(w->owner, by)];
	return atomic_compare_exchange_strong_explicit(first, &none, w, memory_order_relaxed, memory_order_relaxed) || none == w;
}

/* The message is over, or needs no budget any more. */
static void end_first(struct ws_budget *b, const struct ws_in *w)
{
	for (int by = 0; b && by < HOLDER_BYS; by++) {
		const void *own = w;
		atomic_compare_exchange_strong_explicit(&b->first[by][holder_place(w->owner, (enum holder_by)by)], &own, NULL,
		                                        memory_order_relaxed, memory_order_relaxed);
	}
}

static bool budget_take(struct ws_budget *b, const struct ws_in *w, uint32_t bytes)
{
	if (!b || !bytes)
		return true;
	const struct ws_share s = { bytes, w->owner };
	size_t used = atomic_load_explicit(&b->used_bytes, memory_order_relaxed), cap = b->cap_bytes;
	do
		if (used > cap || bytes > cap - used)
			return false;
	while (!atomic_compare_exchange_weak_explicit(&b->used_bytes, &used, used + bytes, memory_order_relaxed, memory_order_relaxed));
	holdings_add(&b->held, s.owner, bytes);
	if (used + bytes <= cap / 2)
		return true;
	for (int by = 0; by < HOLDER_BYS; by++)
		if (is_over_share(b, s.owner, (enum holder_by)by, (size_t)ws_in_reserved(w) + bytes) &&
		    !is_first(b, w, (enum holder_by)by)) {
			ws_budget_give(b, s);
			return false;
		}
	return true;
}

#define WANTED_MS 2500 /* waiters say so once a second */

static bool was_lately(const _Atomic int64_t *ms, int64_t now_ms)
{
	const int64_t then_ms = atomic_load_explicit(ms, memory_order_relaxed);
	return then_ms && now_ms - then_ms < WANTED_MS;
}

void ws_budget_want(struct ws_budget *b, const struct ws_in *waiter, int64_t now_ms)
{
	atomic_store_explicit(&b->wanted_ms, now_ms, memory_order_relaxed);
	if (!ws_budget_is_over_share(b, waiter))
		atomic_store_explicit(&b->owed_ms, now_ms, memory_order_relaxed);
}

bool ws_budget_is_wanted(const struct ws_budget *b, int64_t now_ms)
{
	return b && was_lately(&b->wanted_ms, now_ms);
}

void ws_budget_move(struct ws_budget *b, int64_t now_ms)
{
	atomic_store_explicit(&b->moved_ms, now_ms, memory_order_relaxed);
}

bool ws_budget_moves(const struct ws_budget *b, int64_t now_ms)
{
	return was_lately(&b->moved_ms, now_ms);
}

bool ws_budget_is_owed(const struct ws_budget *b, int64_t now_ms)
{
	return b && was_lately(&b->owed_ms, now_ms);
}

bool ws_budget_is_short(const struct ws_budget *b)
{
	return b && atomic_load_explicit(&b->used_bytes, memory_order_relaxed) > b->cap_bytes / 4 * 3;
}

static struct ws_share reservation(const struct ws_in *w)
{
	return (struct ws_share){ ws_in_reserved(w), w->owner };
}

static void drop_message(struct ws_in *w, const struct ws_limits *limits)
{
	free(w->msg);
	if (ws_in_reserved(w)) {
		end_first(limits->budget, w);
		ws_budget_give(limits->budget, reservation(w));
	}
	w->msg = NULL;
	w->msg_len = w->msg_room = 0;
}

static void drop_control(struct ws_in *w)
{
	free(w->control);
	w->control = NULL;
	w->control_len = 0;
}

void ws_in_fini(struct ws_in *w, const struct ws_limits *limits)
{
	drop_message(w, limits);
	drop_control(w);
	*w = (struct ws_in){ .is_dead = DEAD_FAILED, .owner = w->owner };
}

bool ws_in_is_unfinished(const struct ws_in *w)
{
	return w->in_message || w->in_frame || w->header_len;
}

uint8_t *ws_in_take(struct ws_in *w, const struct ws_limits *limits, struct ws_share *share)
{
	*share = (struct ws_share){ 0, w->owner };
	if (w->in_message || w->msg_room <= WS_SMALL)
		return NULL;
	uint8_t *block = w->msg;
	*share = reservation(w);
	end_first(limits->budget, w);
	w->msg = NULL;
	w->msg_len = w->msg_room = 0;
	return block;
}

/* Makes the block exactly `room` bytes, if the budget and the heap allow. */
static bool resize(struct ws_in *w, const struct ws_limits *limits, size_t room)
{
	const uint32_t had = ws_in_reserved(w), charge = room > WS_SMALL ? (uint32_t)room : 0;
	const struct ws_share more = { charge > had ? charge - had : 0, w->owner };

	uint8_t *p = NULL;
	if (budget_take(limits->budget, w, more.bytes) && !(p = realloc(w->msg, room)))
		ws_budget_give(limits->budget, more);
	if (!p) {
		if (!had) /* it holds nothing, so it is nobody's first */
			end_first(limits->budget, w);
		return false;
	}
	if (charge < had)
		ws_budget_give(limits->budget, (struct ws_share){ had - charge, w->owner });
	if (had && !charge)
		end_first(limits->budget, w);
	w->msg = p;
	w->msg_room = (uint32_t)room;
	return true;
}

/* Room for up to `more` bytes, which have arrived; `total` is what the message will have when this frame ends.
 * Returns how many of them now fit: fewer when the budget is spent. */
static size_t make_room(struct ws_in *w, const struct ws_limits *limits, size_t more, size_t total)
{
	const size_t needed = w->msg_len + more, soft = limits->soft_bytes;

	if (needed <= w->msg_room)
		return more;
	size_t want = WC_MAX(WC_MAX(needed, (size_t)w->msg_room * 2), FIRST_ROOM);
	if (w->fin) {
		/* Nothing will follow this frame. With a quarter of it here, the rest is no longer a mere claim. */
		if (needed >= total / 4)
			want = total;
		want = WC_MIN(want, total);
	}
	/* The limit may have come down since the frame began. */
	want = WC_MIN(want, WC_MAX(soft, needed));
	if (resize(w, limits, want) || (want > needed && resize(w, limits, needed)))
		return more;
	/* Small messages cost no budget: up to there even this one can go. */
	if (w->msg_room < WS_SMALL && needed > WS_SMALL)
		(void)resize(w, limits, WS_SMALL);
	return w->msg_room - w->msg_len;
}

/* --- payload */

/* dst and src are either the same or apart. */
static void unmask(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t mask[4], uint8_t *mask_at)
{
	uint8_t turned[8];
	uint64_t key;
	size_t i = 0;

	for (size_t k = 0; k < 8; k++)
		turned[k] = mask[(*mask_at + k) & 3];
	memcpy(&key, turned, 8);
	for (; n - i >= 32; i += 32) {
		uint64_t w[4];
		memcpy(w, src + i, 32);
		for (size_t k = 0; k < 4; k++)
			w[k] ^= key;
		memcpy(dst + i, w, 32);
	}
	for (; n - i >= 8; i += 8) {
		uint64_t w;
		memcpy(&w, src + i, 8);
		w ^= key;
		memcpy(dst + i, &w, 8);
	}
	for (; i < n; i++)
		dst[i] = src[i] ^ turned[i & 7];
	*mask_at = (uint8_t)((*mask_at + n) & 3);
}

static enum ws_event fail(struct ws_in *w, const struct ws_limits *limits, struct ws_out *out, int code, const char *reason)
{
	drop_message(w, limits);
	drop_control(w);
	w->is_dead = DEAD_FAILED;
	*out = (struct ws_out){ .event = WS_EV_FAIL, .code = code, .reason = reason };
	return WS_EV_FAIL;
}

static enum ws_event give(struct ws_out *out, enum ws_event event, uint8_t *data, size_t len)
{
	*out = (struct ws_out){ .event = event, .data = data, .len = len };
	return event;
}

/* The length of a frame's header, as far as it is known. */
static size_t header_size(const struct ws_in *w)
{
	if (w->header_len < 2)
		return 2;
	size_t len = w->header[1] & 0x7f;
	return 2 + (len == 126 ? 2 : len == 127 ? 8 : 0) + 4;
}

/* The fault of the header bytes so far, found at the earliest byte that shows it; NULL: none. */
static const char *judge_first_bytes(const struct ws_in *w, int *code)
{
	uint8_t opcode = w->header[0] & 0x0f;
	bool is_final = w->header[0] & 0x80;

	*code = WS_CLOSE_PROTOCOL;
	if (w->header_len == 1) {
		if (w->header[0] & 0x70)
			return "reserved bit set";
		if (opcode > WS_PONG || (opcode > WS_BINARY && opcode < WS_CLOSE))
			return "reserved opcode";
		if (opcode >= WS_CLOSE)
			return is_final ? NULL : "fragmented control frame";
		if (opcode == WS_CONT)
			return w->in_message ? NULL : "continuation of nothing";
		if (w->in_message)
			return "new message inside a fragmented one";
		if (opcode == WS_BINARY) {
			*code = WS_CLOSE_UNSUPPORTED;
			return "binary message";
		}
	} else if (w->header_len == 2) {
		if (!(w->header[1] & 0x80))
			return "unmasked frame";
		if (opcode >= WS_CLOSE && (w->header[1] & 0x7f) > CONTROL_MAX)
			return "control frame too long";
	}
	return NULL;
}

/* Reads header bytes. True when the header is whole. On an error *why is set and *code is what to close with. */
static bool read_header(struct ws_in *w, const uint8_t *data, size_t n, size_t *at, const char **why, int *code)
{
	*why = NULL;
	while (*at < n) {
		w->header[w->header_len++] = data[(*at)++];
		if (w->header_len <= 2) {
			*why = judge_first_bytes(w, code);
			if (*why)
				return false;
		}
		if (w->header_len == header_size(w))
			return true;
	}
	return false;
}

/* A message that will be over soft_bytes: keeps its head, gives the rest back. */
static void begin_discarding(struct ws_in *w, const struct ws_limits *limits)
{
	w->is_oversize = 1;
	w->discarded = 0;
	if (w->msg_len > WS_HEAD_KEPT) {
		w->discarded = w->msg_len - WS_HEAD_KEPT;
		w->msg_len = WS_HEAD_KEPT;
	}
	if (w->msg_room > WS_HEAD_KEPT)
		(void)resize(w, limits, WS_HEAD_KEPT);
}

/* The header is whole: what it says becomes the reader's state. */
static const char *begin_frame(struct ws_in *w, const struct ws_limits *limits, int *code)
{
	size_t len_bytes = (size_t)header_size(w) - 6;
	uint64_t len = w->header[1] & 0x7f;

	if (len_bytes) {
		len = 0;
		for (size_t i = 0; i < len_bytes; i++)
			len = len << 8 | w->header[2 + i];
	}
	*code = WS_CLOSE_PROTOCOL;
	if (len >> 63)
		return "length with its highest bit set";
	if ((len_bytes == 2 && len < 126) || (len_bytes == 8 && len <= UINT16_MAX))
		return "length not in its shortest form";
	memcpy(w->mask, w->header + 2 + len_bytes, 4);
	w->mask_at = 0;
	w->opcode = w->header[0] & 0x0f;
	w->fin = w->header[0] >> 7;
	w->remaining = len;
	w->in_frame = 1;
	w->header_len = 0;
	if (w->opcode >= WS_CLOSE) {
		w->noise = (uint8_t)WC_MIN(w->noise + WS_NOISE_CONTROL, UINT8_MAX);
		return NULL;
	}
	if (len < WS_FRAGMENT_SMALL && !(w->fin && w->opcode == WS_TEXT))
		w->noise = (uint8_t)WC_MIN(w->noise + WS_NOISE_FRAGMENT, UINT8_MAX);
	if (w->opcode == WS_TEXT) {
		w->in_message = 1;
		w->is_oversize = 0;
		w->discarded = 0;
		w->utf8 = (struct utf8){ 0 };
	}
	/* The bytes so far are within hard_bytes, unless the limit came down meanwhile. */
	const uint64_t so_far = w->msg_len + (w->is_oversize ? w->discarded : 0), hard = limits->hard_bytes;
	if (len > hard || so_far > hard - len) {
		*code = WS_CLOSE_TOO_BIG;
		return "message too big";
	}
	if (!w->is_oversize && so_far + len > limits->soft_bytes)
		begin_discarding(w, limits);
	return NULL;
}

static enum ws_event end_control(struct ws_in *w, const struct ws_limits *limits, uint8_t *data, size_t len, struct ws_out *out)
{
	w->in_frame = 0;
	if (w->opcode == WS_PING)
		return give(out, WS_EV_PING, data, len);
	if (w->opcode == WS_PONG)
		return give(out, WS_EV_PONG, data, len);
	if (len == 1)
		return fail(w, limits, out, WS_CLOSE_PROTOCOL, "close frame of one byte");
	int code = len ? data[0] << 8 | data[1] : WS_CLOSE_NO_STATUS;
	if (len && !ws_close_code_ok(code))
		return fail(w, limits, out, WS_CLOSE_PROTOCOL, "close code that may not be sent");
	if (len && !utf8_valid(data + 2, len - 2))
		return fail(w, limits, out, WS_CLOSE_BAD_UTF8, "close reason not UTF-8");
	drop_message(w, limits);
	w->is_dead = DEAD_CLOSED;
	give(out, WS_EV_CLOSE, len ? data + 2 : data, len ? len - 2 : 0);
	out->code = code;
	return WS_EV_CLOSE;
}

/* A control frame that is not whole in the input is put together apart, because it may come inside a message. */
static enum ws_event read_control(struct ws_in *w, const struct ws_limits *limits, uint8_t *data, size_t n, size_t *at, struct ws_out *out)
{
	size_t take = WC_MIN(w->remaining, n - *at);
	uint8_t *from = data + *at;

	*at += take;
	if (!w->control_len && take == w->remaining) {
		unmask(from, from, take, w->mask, &w->mask_at);
		return end_control(w, limits, from, take, out);
	}
	if (take) {
		if (!w->control)
			w->control = xmalloc(CONTROL_MAX);
		unmask(w->control + w->control_len, from, take, w->mask, &w->mask_at);
		w->control_len += (uint8_t)take;
		w->remaining -= take;
	}
	return w->remaining ? WS_EV_MORE : end_control(w, limits, w->control, w->control_len, out);
}

/* The last byte of a data frame is read. WS_EV_MORE: the message goes on in another frame. */
static enum ws_event end_of_frame(struct ws_in *w, const struct ws_limits *limits, uint8_t *data, size_t len, struct ws_out *out)
{
	w->in_frame = 0;
	if (!w->fin)
		return WS_EV_MORE;
	if (!utf8_done(&w->utf8))
		return fail(w, limits, out, WS_CLOSE_BAD_UTF8, "text ends inside a character");
	w->in_message = 0;
	if (!w->is_oversize)
		return give(out, WS_EV_MESSAGE, data, len);
	/* The head may end inside a character; only whole ones are shown. */
	size_t whole = 0, step;
	while ((step = utf8_step(data + whole, len - whole)))
		whole += step;
	return give(out, WS_EV_OVERSIZE, data, whole);
}

static enum ws_event discard(struct ws_in *w, const struct ws_limits *limits, uint8_t *from, size_t n, struct ws_out *out)
{
	unmask(from, from, n, w->mask, &w->mask_at);
	w->remaining -= n;
	if (!utf8_feed(&w->utf8, from, n))
		return fail(w, limits, out, WS_CLOSE_BAD_UTF8, "text not UTF-8");
	size_t keep = WC_MIN(n, WS_HEAD_KEPT - w->msg_len);
	if (keep) {
		if (!w->msg || w->msg_room < WS_HEAD_KEPT) {
			w->msg = xrealloc(w->msg, WS_HEAD_KEPT);
			w->msg_room = WS_HEAD_KEPT;
		}
		memcpy(w->msg + w->msg_len, from, keep);
		w->msg_len += keep;
	}
	w->discarded += n - keep;
	return w->remaining ? WS_EV_MORE : end_of_frame(w, limits, w->msg, w->msg_len, out);
}

/* Reads the part of a data frame's payload that is here. */
static enum ws_event read_payload(struct ws_in *w, const struct ws_limits *limits, uint8_t *data, size_t n, size_t *at, struct ws_out *out)
{
	size_t take = WC_MIN(w->remaining, n - *at);
	uint8_t *from = data + *at;

	if (w->is_oversize) {
		*at += take;
		return discard(w, limits, from, take, out);
	}
	if (w->fin && !w->msg_len && take == w->remaining) {
		*at += take;
		w->remaining = 0;
		unmask(from, from, take, w->mask, &w->mask_at);
		if (!utf8_feed(&w->utf8, from, take))
			return fail(w, limits, out, WS_CLOSE_BAD_UTF8, "text not UTF-8");
		return end_of_frame(w, limits, from, take, out);
	}
	if (take) {
		size_t fits = make_room(w, limits, take, w->msg_len + (size_t)w->remaining);
		if (!fits)
			return give(out, WS_EV_BLOCKED, NULL, 0);
		uint8_t *to = w->msg + w->msg_len;
		unmask(to, from, fits, w->mask, &w->mask_at);
		*at += fits;
		w->msg_len += fits;
		w->remaining -= fits;
		if (!utf8_feed(&w->utf8, to, fits))
			return fail(w, limits, out, WS_CLOSE_BAD_UTF8, "text not UTF-8");
	}
	return w->remaining ? WS_EV_MORE : end_of_frame(w, limits, w->msg, w->msg_len, out);
}

enum ws_event ws_in_feed(struct ws_in *w, const struct ws_limits *limits, uint8_t *data, size_t n, size_t *used, struct ws_out *out)
{
	enum ws_event event = WS_EV_MORE;
	const char *why;
	size_t at = 0;
	int code, frames = 0;

	*out = (struct ws_out){ .event = WS_EV_MORE };
	/* The blocks that the last event handed out. */
	if (!w->in_message && w->msg)
		drop_message(w, limits);
	if (w->control && !(w->in_frame && w->opcode >= WS_CLOSE))
		drop_control(w);
	if (w->is_dead) {
		*used = n;
		/* RFC 6455 1.4: what comes after a close frame is to be thrown away. */
		if (w->is_dead == DEAD_CLOSED)
			return WS_EV_MORE;
		return fail(w, limits, out, WS_CLOSE_PROTOCOL, "the connection has failed already");
	}
	while (event == WS_EV_MORE) {
		if (!w->in_frame) {
			if (at == n)
				break;
			if (frames++ == WS_FRAMES_A_FEED) {
				event = give(out, WS_EV_LATER, NULL, 0);
				break;
			}
			bool is_whole = read_header(w, data, n, &at, &why, &code);
			if (is_whole)
				why = begin_frame(w, limits, &code);
			if (why) {
				event = fail(w, limits, out, code, why);
				break;
			}
			if (!is_whole)
				break;
		}
		/* A frame of no payload ends with its header, whether or not more input is here. */
		if (at == n && w->remaining)
			break;
		if (w->opcode >= WS_CLOSE)
			event = read_control(w, limits, data, n, &at, out);
		else
			event = read_payload(w, limits, data, n, &at, out);
	}
	*used = at;
	return event;
}
