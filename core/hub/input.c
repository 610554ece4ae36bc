/* input.c — a connection's input: bytes of its socket, the frames in them, and the action on each frame. Thread: its hub's. */
#include <stdlib.h>
#include <string.h>

#include "hub/impl.h"
#include "hub/lists.h"

#define CLOSE_WRITE_S 5 /* for the room to answer earlier messages */
#define READ_NEW_BYTES ((size_t)4 * 1024)
#define READ_SHORT_BYTES ((size_t)8 * 1024)

static void send_control(struct conn *c, enum ws_opcode op, const uint8_t *data, size_t len)
{
	uint8_t frame[WS_HEADER_MAX + 125];
	size_t n = ws_header(frame, op, len);
	memcpy(frame + n, data, len);
	struct mail *m = mail_new(MAIL_INSERT, c);
	m->at = MAIL_AT_HEAD;
	mail_part(m, shbuf_copy(frame, n + len));
	conn_insert(c, m);
}

/* The peer's own end, good or bad. Its earlier messages may still be on their way through the room; their answers go out before the close
 * frame. */
static void end(struct conn *c, enum metric why, int code, const char *reason)
{
	const struct hub_ops *ops = &c->hub->all->o.ops;
	conn_count_end(c, why);
	if (!ops->ending || !conn_is_subscribed(c)) {
		conn_start_close(c, why, code, reason);
		return;
	}
	c->is_ending = true;
	c->deadline_s = c->hub->now_s + CLOSE_WRITE_S;
	ops->ending(ops->arg, c, code, reason);
}

/* Acts on one thing the framing found. */
static void handle(struct conn *c, const struct ws_out *out)
{
	const struct hub_ops *ops = &c->hub->all->o.ops;
	switch (out->event) {
	case WS_EV_MESSAGE: {
		size_t reserved = 0;
		uint8_t *taken = ws_in_take(&c->in, &reserved);
		metric_add(M_MESSAGES_IN, 1);
		c->frame_s = c->budget_s = 0;
		if (ops->message(ops->arg, c, taken ? taken : out->data, out->len, taken != NULL, reserved))
			c->pause |= PAUSE_HELPER;
		break;
	}
	case WS_EV_OVERSIZE:
		c->frame_s = 0;
		if (ops->oversize(ops->arg, c, out->data, out->len))
			c->pause |= PAUSE_HELPER;
		break;
	case WS_EV_PING:
		if (!c->in.in_message)
			c->frame_s = 0;
		send_control(c, WS_PONG, out->data, out->len);
		break;
	case WS_EV_CLOSE: end(c, M_LEFT_CLOSED, out->code, ""); break;
	case WS_EV_FAIL: end(c, M_EVICTED_PROTOCOL, out->code, out->reason); break;
	case WS_EV_BLOCKED:
		if (!(c->pause & PAUSE_BUDGET)) {
			c->pause |= PAUSE_BUDGET;
			c->hub->budget_waiters++;
			metric_add(M_BUDGET_WAITS, 1);
			if (!c->budget_s)
				c->budget_s = c->hub->now_s;
		}
		break;
	case WS_EV_PONG:
	case WS_EV_MORE: break;
	}
}

/* Parses data until it is used up, or the connection pauses, closes or dies. Returns how much was used. */
static size_t parse(struct conn *c, uint8_t *data, size_t n)
{
	size_t at = 0;
	while (at < n && !c->is_dead && !conn_is_deaf(c) && !c->pause) {
		struct ws_out out;
		size_t used = 0;
		enum ws_event ev = ws_in_feed(&c->in, &c->hub->all->o.limits, data + at, n - at, &used, &out);
		at += used;
		if (ev == WS_EV_MORE)
			break;
		handle(c, &out);
	}
	return conn_is_deaf(c) ? n : at;
}

/* The rest of a read that is not parsed at once is kept. So a connection that has not joined, whose first frame is small, is read in small
 * pieces; so is every connection when memory is short. */
static size_t read_room(const struct conn *c)
{
	return c->list == LIST_NEW ? READ_NEW_BYTES : ws_budget_is_short(c->hub->all->o.limits.budget) ? READ_SHORT_BYTES : SCRATCH_BYTES;
}

void conn_read_turn(struct conn *c)
{
	struct hub *h = c->hub;
	if (c->is_dead)
		return;
	c->is_held = c->pause;
	if (c->pause)
		return; /* conn_resume marks it ready again */
	if (c->stash_len && !conn_is_deaf(c)) {
		c->stash_at += (uint32_t)parse(c, c->stash + c->stash_at, c->stash_len - c->stash_at);
		if (c->is_dead)
			return;
		if (c->stash_at < c->stash_len && !conn_is_deaf(c))
			return;
	}
	if (c->stash) {
		conn_drop_stash(c);
		c->is_held = c->pause;
		if (c->pause)
			return;
	}
	size_t room = read_room(c);
	ssize_t got = transport_recv(&c->io, h->scratch, room);
	if (got == -WC_EAGAIN)
		return;
	if (got <= 0) {
		conn_kill(c, M_LEFT_BROKEN, got == 0 ? "peer closed" : "receive failed");
		return;
	}
	c->rx_s = h->now_s;
	h->received_bytes += (uint64_t)got;
	size_t used = conn_is_deaf(c) ? (size_t)got : parse(c, h->scratch, (size_t)got);
	if (c->is_dead)
		return;
	if (used < (size_t)got) {
		size_t rest = (size_t)got - used;
		c->stash = malloc(rest);
		if (!c->stash) {
			conn_kill(c, M_EVICTED_MEMORY, "no memory");
			return;
		}
		memcpy(c->stash, h->scratch + used, rest);
		c->stash_len = (uint32_t)rest;
		c->stash_at = 0;
		ws_budget_add(h->all->o.limits.budget, rest);
	}
	/* A short read emptied the socket: the next bytes bring a new edge. A hangup brings none, so that is read to its end. */
	if ((size_t)got == room || c->saw_hangup || transport_has_more(&c->io))
		conn_mark_ready(c);
}
