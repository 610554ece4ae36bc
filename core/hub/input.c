/* input.c — a connection's input: bytes of its socket, the frames in them, and the action on each frame. Thread: its hub's. */
#include <stdlib.h>
#include <string.h>

#include "base/logmsg.h"
#include "hub/impl.h"
#include "hub/lists.h"

#define FLOOD_LOG_MS 60000
#define CLOSE_WRITE_S 5            /* for the room to answer earlier messages */
#define TURN_UNITS 16              /* about frames: what a turn takes of a connection that sends little … */
#define TURN_UNITS_MUCH 64         /* … and of one that sends much */
#define UNIT_BYTES 2048            /* bytes of a message that take as long as one more frame */
#define LATER_UNITS 4              /* of WS_EV_LATER */
#define OVERSIZE_SHARE (16 * 1024) /* bytes that are thrown away, of one unit of the toll */
#define READ_BYTES ((size_t)16 * 1024)
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
		struct ws_share share;
		uint8_t *taken = ws_in_take(&c->in, &c->hub->all->o.limits, &share);
		metric_add(M_MESSAGES_IN, 1);
		c->frame_s = 0;
		if (ops->message(ops->arg, c, taken ? taken : out->data, out->len, taken != NULL, share))
			c->pause |= PAUSE_HELPER;
		break;
	}
	case WS_EV_OVERSIZE:
		c->frame_s = 0;
		conn_charge(c, (uint32_t)WC_MIN(c->in.discarded / OVERSIZE_SHARE, (uint64_t)TOLL_MOST));
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
	case WS_EV_PONG: c->is_pinged = false; break;
	case WS_EV_LATER:
	case WS_EV_MORE: break;
	}
}

/* Small frames of this feed are to be paid for. The answer to a ping is free. */
static void note_noise(struct conn *c, enum ws_event ev)
{
	if (c->in.noise && !(ev == WS_EV_PONG && c->is_pinged))
		conn_charge(c, c->in.noise);
	c->in.noise = 0;
}

static int units_of(const struct ws_out *out)
{
	return out->event == WS_EV_LATER ? LATER_UNITS : 1 + (int)(out->len / UNIT_BYTES);
}

/* Parses data until it is used up, the turn is over (*units), or the connection pauses, closes or dies. Returns how much was used. */
static size_t parse(struct conn *c, uint8_t *data, size_t n, int *units)
{
	size_t at = 0;
	while (at < n && !c->is_dead && !conn_is_deaf(c) && !c->pause && *units > 0) {
		struct ws_out out;
		size_t used = 0;
		enum ws_event ev = ws_in_feed(&c->in, &c->hub->all->o.limits, data + at, n - at, &used, &out);
		at += used;
		note_noise(c, ev);
		if (ev != WS_EV_BLOCKED)
			c->budget_s = 0; /* it goes on: should it have to wait again, that is counted anew */
		if (ev == WS_EV_MORE)
			break;
		*units -= units_of(&out);
		handle(c, &out);
	}
	return conn_is_deaf(c) ? n : at;
}

/* Frames that came to nothing are paid for. A client that sends no end of them is closed. */
void conn_pay(struct conn *c)
{
	static struct log_gap gap;
	uint8_t addr[16];
	uint64_t missed;
	struct sockaddr_storage peer;
	/* Not before the answers to what a helper or the room has of it. */
	if (c->is_dead || conn_is_deaf(c) || c->pause)
		return;
	if (!atomic_load_explicit(&c->dues, memory_order_relaxed))
		return;
	uint32_t units = atomic_exchange_explicit(&c->dues, 0, memory_order_relaxed);
	conn_peer(c, &peer);
	if (toll_pay(c->hub->all->toll, &c->toll_us, c->identity, ip_bytes(&peer, addr) ? addr : NULL, units, mono_us()))
		return;
	metric_add(M_LIMITED_FRAMES, 1);
	if (log_gap_is_over(&gap, FLOOD_LOG_MS, &missed))
		log_info("flood closed", "reason=\"frames that do nothing\" more_since_the_last_line=%llu", (unsigned long long)missed);
	end(c, M_EVICTED_FLOOD, WS_CLOSE_POLICY, "too many frames that do nothing");
}

/* The rest of a read that is not parsed at once is kept. So only a message that is on its way is read in large pieces; a connection that
 * has not joined, whose first frame is small, in small ones, and every connection when memory is short. */
static size_t read_room(const struct conn *c)
{
	if (c->list == LIST_NEW)
		return READ_NEW_BYTES;
	if (ws_budget_is_short(c->hub->all->o.limits.budget))
		return READ_SHORT_BYTES;
	return c->in.remaining > READ_BYTES ? SCRATCH_BYTES : READ_BYTES;
}

/* There is more than this turn took. */
static void go_on_later(struct conn *c)
{
	c->is_held = c->pause; /* then conn_resume marks it */
	if (c->pause)
		return;
	c->is_heavy = true;
	conn_mark_ready(c);
}

/* Parses what is left of an earlier read. True: all of it, and there is time for more. */
static bool parse_stash(struct conn *c, int *units)
{
	if (c->stash_len && !conn_is_deaf(c))
		c->stash_at += (uint32_t)parse(c, c->stash + c->stash_at, c->stash_len - c->stash_at, units);
	if (c->is_dead)
		return false;
	if (c->stash_at == c->stash_len || conn_is_deaf(c)) {
		conn_drop_stash(c);
		c->is_held = c->pause;
	}
	if (!c->pause && !c->stash && (*units > 0 || conn_is_deaf(c)))
		return true;
	go_on_later(c);
	return false;
}

/* Parses what was just read; keeps the rest. False: the connection is dead. */
static bool parse_read(struct conn *c, size_t got, int *units)
{
	struct hub *h = c->hub;
	size_t used = conn_is_deaf(c) ? got : parse(c, h->scratch, got, units);
	if (c->is_dead)
		return false;
	if (used == got)
		return true;
	size_t rest = got - used;
	c->stash = malloc(rest);
	if (!c->stash) {
		conn_kill(c, M_EVICTED_MEMORY, "no memory");
		return false;
	}
	memcpy(c->stash, h->scratch + used, rest);
	c->stash_len = (uint32_t)rest;
	c->stash_at = 0;
	ws_budget_add(h->all->o.limits.budget, stash_share(c, rest));
	return true;
}

void conn_read_turn(struct conn *c)
{
	struct hub *h = c->hub;
	int units = c->is_heavy ? TURN_UNITS_MUCH : TURN_UNITS;
	if (c->is_dead)
		return;
	c->is_held = c->pause;
	if (c->pause)
		return; /* conn_resume marks it ready again */
	if (c->stash) {
		bool goes_on = parse_stash(c, &units);
		conn_pay(c);
		if (!goes_on || c->is_dead)
			return;
	}
	size_t room = read_room(c);
	ssize_t got = transport_recv(&c->io, h->scratch, room);
	if (got == -WC_EAGAIN) {
		c->is_heavy = false;
		if (transport_has_more(&c->io)) { /* records without bytes */
			conn_charge(c, TOLL_FRAME);
			go_on_later(c);
		}
		conn_pay(c); /* also what others found to be worth nothing */
		return;
	}
	if (got <= 0) {
		conn_kill(c, M_LEFT_BROKEN, got == 0 ? "peer closed" : "receive failed");
		return;
	}
	c->rx_s = h->now_s;
	h->received_bytes += (uint64_t)got;
	if (!parse_read(c, (size_t)got, &units))
		return;
	conn_pay(c);
	/* A short read emptied the socket: the next bytes bring a new edge. A hangup brings none, so that is read to its end. */
	if (c->stash || (size_t)got == room || c->saw_hangup || transport_has_more(&c->io))
		go_on_later(c);
	else
		c->is_heavy = false;
}
