/* conn.c — one connection: reading frames, keeping its inserts in order, flushing, closing. Thread: its hub's, throughout. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/logmsg.h"
#include "hub/impl.h"
#include "net/seats.h"

#define FLUSH_IOVECS 64
#define OUTPUT_AT_ONCE ((size_t)16 * 1024) /* what is sent in the turn it comes in */
#define FLUSH_BYTES ((size_t)128 * 1024)   /* at once to one connection; at least a record of TLS */
#define CLOSE_WRITE_S 5                    /* for a close frame to go out */
#define CLOSE_LINGER_S 2                   /* for the peer to close after it */
#define STALL_S 30                         /* output without any progress */
#define LARGE_SLOW_S 5                     /* for a large frame, when memory for those is short */
#define FRAME_S 900                        /* for one message over WS_SMALL to arrive */
#define FRAME_SILENT_S 30
#define READ_NEW_BYTES ((size_t)4 * 1024)
#define READ_SHORT_BYTES ((size_t)8 * 1024)
#define BUDGET_WAIT_S 15 /* for others' large frames to leave the budget; half-read ones could wait for each other for ever */

static const uint8_t wait_of[QUEUES] = {
	[QUEUE_READ] = WAIT_READ,
	[QUEUE_READ_NEW] = WAIT_READ,
	[QUEUE_FLUSH] = WAIT_FLUSH,
	[QUEUE_FLUSH_MUCH] = WAIT_FLUSH_MUCH,
};

static void queue_add(enum queue_name name, struct conn *c)
{
	struct queue *q = &c->hub->queues[name];
	const int wait = wait_of[name];
	if (c->is_dead || c->waits & 1 << wait)
		return;
	c->waits |= (uint8_t)(1 << wait);
	c->next[wait] = NULL;
	if (q->last)
		q->last->next[wait] = c;
	else
		q->first = c;
	q->last = c;
}

struct conn *queue_take(struct hub *h, enum queue_name name)
{
	struct queue *q = &h->queues[name];
	const int wait = wait_of[name];
	struct conn *c = q->first;
	if (!c)
		return NULL;
	q->first = c->next[wait];
	if (!q->first)
		q->last = NULL;
	c->waits &= (uint8_t) ~(1 << wait);
	return c;
}

void conn_mark_ready(struct conn *c)
{
	queue_add(c->list == LIST_NEW ? QUEUE_READ_NEW : QUEUE_READ, c);
}

void conn_mark_dirty(struct conn *c)
{
	if (!conn_is_behind(c))
		queue_add(QUEUE_FLUSH, c);
}

void conn_mark_behind(struct conn *c)
{
	queue_add(QUEUE_FLUSH_MUCH, c);
}

bool conn_is_behind(const struct conn *c)
{
	return c->waits & 1 << WAIT_FLUSH_MUCH;
}

void conn_forget(struct conn *c)
{
	if (c->is_dead && c->is_released && !c->waits)
		conn_free(c);
}

void conn_open(struct hub *h, struct conn *c)
{
	c->all_next = h->all_conns;
	if (h->all_conns)
		h->all_conns->all_prev = c;
	h->all_conns = c;
	c->rx_s = h->now_s;
	/* The first comes up to a quarter sooner, by chance of the port: who came in one storm is not pinged in one second for ever. */
	uint32_t interval_s = (uint32_t)(h->all->o.ping_interval_ms / 1000);
	c->ping_s = h->now_s + interval_s - c->port % (interval_s / 4 + 1);
	c->deadline_s = h->now_s + (uint32_t)((h->all->o.join_timeout_ms + 999) / 1000);
	list_add(h, c, LIST_NEW);
	/* Edge-triggered, both ways, once: no epoll_ctl is ever needed again. */
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };
	if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, c->io.fd, &ev) < 0) {
		conn_kill(c, M_EVICTED_MEMORY, "epoll");
		return;
	}
	if (h->is_stopping)
		conn_start_close(c, M_LEFT_SHUTDOWN, WS_CLOSE_RESTART, "");
	conn_mark_ready(c);
}

/* What waits is counted for each connection and for all of its hub. */
static void count_inserts(struct conn *c, int64_t bytes)
{
	c->insert_bytes = (uint32_t)(c->insert_bytes + bytes);
	c->hub->insert_bytes = (size_t)((int64_t)c->hub->insert_bytes + bytes);
}

/* Exactly once for each connection, whatever else happens to it on its way out. */
static void count_end(struct conn *c, enum metric why)
{
	WC_ASSERT(why >= M_EVICTED_FIRST && why <= M_END_LAST);
	if (!c->is_counted)
		metric_add(why, 1);
	c->is_counted = true;
}

static void drop_stash(struct conn *c)
{
	free(c->stash);
	ws_budget_give(c->hub->all->o.limits.budget, c->stash_len);
	c->stash = NULL;
	c->stash_len = c->stash_at = 0;
}

void conn_kill(struct conn *c, enum metric why, const char *reason)
{
	if (c->is_dead)
		return;
	struct hub *h = c->hub;
	log_debug("connection closed", "reason=\"%s\"", reason);
	count_end(c, why);
	list_remove(h, c);
	count_inserts(c, -(int64_t)c->insert_bytes);
	transport_close(&c->io); /* takes it out of epoll: the descriptor was never duplicated */
	seat_leave(c->seat);
	c->is_dead = true;
	metric_sub(M_CONNECTIONS, 1);
	while (c->first) {
		struct mail *m = c->first;
		c->first = m->next;
		mail_free(m);
	}
	c->last = NULL;
	if (c->pause & PAUSE_BUDGET)
		h->budget_waiters--;
	ws_in_fini(&c->in, &h->all->o.limits);
	drop_stash(c);
	/* While a helper has its frame, an event for it is still to come: closed must be the last. */
	if (!(c->pause & PAUSE_HELPER))
		h->all->o.ops.closed(h->all->o.ops.arg, c);
	c->pause &= PAUSE_HELPER;
}

void conn_free(struct conn *c)
{
	struct hub *h = c->hub;
	if (c->all_prev)
		c->all_prev->all_next = c->all_next;
	else
		h->all_conns = c->all_next;
	if (c->all_next)
		c->all_next->all_prev = c->all_prev;
	free(c);
}

/* --- Output */

/* Memory for what waits is short, and this one has more than its share of it and does not read. */
static bool is_hoarding(const struct conn *c)
{
	const struct hub *h = c->hub;
	size_t n = 0;
	if (!c->is_blocked || h->insert_bytes <= h->all->o.pending_cap_bytes / (size_t)h->all->o.threads)
		return false;
	for (int l = 0; l < LISTS; l++)
		n += h->lists[l].n;
	return c->insert_bytes > h->insert_bytes / WC_MAX(n, (size_t)1);
}

static bool is_large(const struct shbuf *b)
{
	return b->len >= SHBUF_LARGE;
}

static size_t all_bytes(const struct mail *m)
{
	size_t sum = 0;
	for (int i = 0; i < m->nparts; i++)
		sum += m->parts[i]->len;
	return sum;
}

static uint32_t small_bytes(const struct mail *m)
{
	size_t sum = 0;
	for (int i = 0; i < m->nparts; i++)
		if (!is_large(m->parts[i]))
			sum += m->parts[i]->len;
	return (uint32_t)(sum + sizeof(*m));
}

/* What takes long waits with those that take long: a thousand inits must not come before the next message to everybody. */
static void mark_for_output(struct conn *c, const struct mail *m)
{
	if (all_bytes(m) > OUTPUT_AT_ONCE)
		conn_mark_behind(c);
	else
		conn_mark_dirty(c);
}

void conn_insert(struct conn *c, struct mail *m)
{
	m->next = NULL;
	if (m->at == MAIL_AT_HEAD)
		m->at = c->list == LIST_NEW ? 0 : c->hub->heads[c->list];
	uint32_t bytes = small_bytes(m);
	if (c->insert_bytes + bytes > c->hub->all->o.insert_cap_bytes) {
		mail_free(m);
		conn_kill(c, M_EVICTED_INSERTS, "too much private output waits");
		return;
	}
	if (is_hoarding(c)) {
		mail_free(m);
		conn_kill(c, M_EVICTED_PENDING, "does not read while memory for output is short");
		return;
	}
	count_inserts(c, bytes);
	/* Nearly always the end. What the hub itself puts at its head can precede, never follow, what the room puts there later. */
	if (!c->last) {
		c->first = c->last = m;
	} else if (c->last->at <= m->at) {
		c->last->next = m;
		c->last = m;
	} else {
		struct mail **at = &c->first;
		while (*at && (*at)->at <= m->at)
			at = &(*at)->next;
		m->next = *at;
		*at = m;
	}
	mark_for_output(c, m);
}

void conn_fill(struct conn *c, struct mail *fill)
{
	for (struct mail *m = c->first; m; m = m->next) {
		if (m->kind != MAIL_HOLD)
			continue;
		m->kind = MAIL_INSERT;
		count_inserts(c, -(int64_t)small_bytes(m));
		m->nparts = fill->nparts;
		memcpy(m->parts, fill->parts, sizeof(m->parts));
		count_inserts(c, small_bytes(m));
		fill->nparts = 0;
		mark_for_output(c, m);
		break;
	}
	mail_free(fill);
}

/* Walks what is due, in order: ranges of the log and parts of inserts. With got < 0 it fills iov and returns how many; otherwise
 * it takes `got` bytes as sent and moves on past them, and past everything empty behind them. One walk, so that the two cannot disagree. */
static int output_walk(struct conn *c, struct iovec *iov, ssize_t got)
{
	const bool is_taking = got >= 0;
	const bool is_subscribed = c->list != LIST_NEW;
	struct bcast *ring = is_subscribed ? c->hub->all->rings[c->list] : NULL;
	const uint64_t head = is_subscribed ? c->hub->heads[c->list] : 0;
	uint64_t pos = c->cursor;
	size_t left = is_taking ? (size_t)got : 0;
	int n = 0;
	struct mail *m = c->first;
	while (n < FLUSH_IOVECS) {
		uint64_t stop = m && m->at < head ? m->at : head;
		if (is_subscribed && pos < stop) {
			size_t len = (size_t)(stop - pos);
			if (is_taking) {
				len = WC_MIN(len, left);
				left -= len;
			} else {
				iov[n++] = (struct iovec){ (void *)bcast_at(ring, pos), len };
			}
			pos += len;
			if (pos < stop)
				break;
		}
		/* What stands in place of a frame waits for that frame's release: nobody sees an echo before the others may see the message. */
		if (!m || (is_subscribed && (m->at > pos || m->at + m->skip > head)) || m->kind == MAIL_HOLD)
			break;
		uint8_t part = m->part;
		size_t sent = m->sent;
		while (part < m->nparts && n < FLUSH_IOVECS) {
			struct shbuf *b = m->parts[part];
			size_t len = b->len - sent;
			if (is_taking) {
				len = WC_MIN(len, left);
				left -= len;
				sent += len;
				if (sent < b->len)
					break;
			} else {
				iov[n++] = (struct iovec){ b->data + sent, len };
			}
			sent = 0;
			part++;
		}
		if (is_taking) {
			m->part = part;
			m->sent = sent;
		}
		if (part < m->nparts)
			break;
		if (is_subscribed)
			pos = WC_MAX(pos, m->at + m->skip);
		struct mail *next = m->next;
		if (m->kind == MAIL_CLOSE) {
			/* Nothing follows a close frame. */
			if (is_taking)
				c->is_close_sent = true;
			break;
		}
		if (is_taking) {
			c->first = next;
			if (!next)
				c->last = NULL;
			count_inserts(c, -(int64_t)small_bytes(m));
			mail_free(m);
		}
		m = next;
	}
	if (is_taking)
		c->cursor = pos;
	return n;
}

static bool has_output(const struct conn *c)
{
	return c->first || (c->list != LIST_NEW && c->cursor < c->hub->heads[c->list]);
}

/* How many of the iovecs make at most FLUSH_BYTES, the last one cut. */
static int cut(struct iovec *iov, int n)
{
	size_t sum = 0;
	for (int i = 0; i < n; i++) {
		if (sum + iov[i].iov_len >= FLUSH_BYTES) {
			iov[i].iov_len = FLUSH_BYTES - sum;
			return i + 1;
		}
		sum += iov[i].iov_len;
	}
	return n;
}

/* A socket with much to take (a file, an init) gets a part of it in a turn, and waits its turn for the rest: the other connections' messages do
 * not wait for it. */
void conn_flush(struct conn *c)
{
	struct iovec iov[FLUSH_IOVECS];
	size_t sum = 0;
	while (!c->is_dead && !c->is_blocked && has_output(c)) {
		if (sum >= FLUSH_BYTES) {
			conn_mark_behind(c);
			return;
		}
		int n = cut(iov, output_walk(c, iov, -1));
		if (n == 0) {
			output_walk(c, iov, 0); /* pure skips */
			break;
		}
		ssize_t got = transport_sendv(&c->io, iov, n);
		c->hub->sends++;
		if (got == -WC_EAGAIN) {
			c->is_blocked = true;
			c->blocked_s = c->hub->now_s;
			break;
		}
		if (got < 0) {
			conn_kill(c, M_LEFT_BROKEN, "send failed");
			return;
		}
		c->hub->sent_bytes += (uint64_t)got;
		sum += (size_t)got;
		output_walk(c, iov, got);
		if (c->is_close_sent)
			break;
		/* After a part of it, once more: only a refused send arms the edge that tells when there is room. */
	}
	if (c->is_dead || !c->is_close_sent)
		return;
	while (c->first) {
		struct mail *m = c->first;
		c->first = m->next;
		mail_free(m);
	}
	c->last = NULL;
	count_inserts(c, -(int64_t)c->insert_bytes);
	if (c->list != LIST_NEW) {
		/* Out of the log for good: only the peer's end is waited for. */
		list_remove(c->hub, c);
		list_add(c->hub, c, LIST_NEW);
	}
	c->is_close_sent = false;
	c->deadline_s = c->hub->now_s + CLOSE_LINGER_S;
	transport_shutdown(&c->io);
	conn_mark_ready(c);
}

void conn_subscribe(struct conn *c, int ring, uint64_t at, uint64_t identity)
{
	c->identity = identity;
	c->deadline_s = 0;
	if (!c->is_closing) {
		list_remove(c->hub, c);
		list_add(c->hub, c, ring);
		c->serial = c->hub->subscribed++;
		c->cursor = at;
		conn_mark_dirty(c);
	}
	conn_resume(c, PAUSE_HELPER);
}

void conn_start_close(struct conn *c, enum metric why, int code, const char *reason)
{
	conn_start_close_at(c, why, MAIL_AT_HEAD, code, reason, strlen(reason));
}

void conn_start_close_at(struct conn *c, enum metric why, uint64_t at, int code, const void *reason, size_t reason_len)
{
	if (c->is_closing || c->is_dead)
		return;
	count_end(c, why);
	c->is_closing = true;
	reason_len = WC_MIN(reason_len, 123u);
	uint8_t frame[WS_HEADER_MAX + 125];
	bool has_code = code != WS_CLOSE_NO_STATUS;
	size_t n = ws_header(frame, WS_CLOSE, has_code ? 2 + reason_len : 0);
	if (has_code) {
		frame[n++] = (uint8_t)(code >> 8);
		frame[n++] = (uint8_t)code;
		if (reason_len)
			memcpy(frame + n, reason, reason_len);
		n += reason_len;
	}
	struct mail *m = mail_new(MAIL_CLOSE, c);
	m->at = at;
	mail_part(m, shbuf_copy(frame, n));
	c->deadline_s = c->hub->now_s + CLOSE_WRITE_S;
	conn_insert(c, m);
	conn_resume(c, PAUSE_BUDGET);
	conn_mark_ready(c);
}

/* --- Input */

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

/* Nothing of what comes from now on counts. */
static bool is_deaf(const struct conn *c)
{
	return c->is_ending || c->is_closing;
}

/* The peer's own end, good or bad. What it sent before may still be on its way through the room: its answers go out before the close frame. */
static void end(struct conn *c, enum metric why, int code, const char *reason)
{
	const struct hub_ops *ops = &c->hub->all->o.ops;
	count_end(c, why);
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
	while (at < n && !c->is_dead && !is_deaf(c) && !c->pause) {
		struct ws_out out;
		size_t used = 0;
		enum ws_event ev = ws_in_feed(&c->in, &c->hub->all->o.limits, data + at, n - at, &used, &out);
		at += used;
		if (ev == WS_EV_MORE)
			break;
		handle(c, &out);
	}
	return is_deaf(c) ? n : at;
}

/* What of a read is not taken at once is kept. So those who are not in yet, whose first frame is small, are read in small pieces, and everybody is
 * when memory is short. */
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
	if (c->stash_len && !is_deaf(c)) {
		c->stash_at += (uint32_t)parse(c, c->stash + c->stash_at, c->stash_len - c->stash_at);
		if (c->is_dead)
			return;
		if (c->stash_at < c->stash_len && !is_deaf(c))
			return;
	}
	if (c->stash) {
		drop_stash(c);
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
	size_t used = is_deaf(c) ? (size_t)got : parse(c, h->scratch, (size_t)got);
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

void conn_resume(struct conn *c, int pause)
{
	if (c->is_dead) {
		if ((pause & PAUSE_HELPER) && (c->pause & PAUSE_HELPER)) {
			c->pause = 0;
			c->hub->all->o.ops.closed(c->hub->all->o.ops.arg, c);
		}
		return;
	}
	if ((pause & PAUSE_BUDGET) && (c->pause & PAUSE_BUDGET))
		c->hub->budget_waiters--;
	c->pause &= (uint8_t)~pause;
	/* Mostly nothing came meanwhile: thousands that have just joined need not be asked. */
	if (!c->pause && (c->is_held || c->stash_len))
		conn_mark_ready(c);
}

/* --- Time */

void conn_tick(struct conn *c)
{
	struct hub *h = c->hub;
	const struct hub_opts *o = &h->all->o;
	uint32_t now = h->now_s, silent = 2 * (uint32_t)(o->ping_interval_ms / 1000);
	const bool is_unread = c->pause || c->waits & 1 << WAIT_READ; /* what it may have sent is not looked at yet: the delay is ours */
	bool is_large;

	if (c->deadline_s && now >= c->deadline_s) {
		if (is_deaf(c))
			conn_kill(c, M_LEFT_BROKEN, "close timed out");
		else if (!(c->pause & PAUSE_HELPER)) {
			conn_start_close(c, M_EVICTED_JOIN_TIMEOUT, WS_CLOSE_POLICY, "join within 15 s");
		}
		return;
	}
	if (c->is_blocked && now - c->blocked_s >= STALL_S) {
		conn_kill(c, M_EVICTED_STALLED, "output stalled");
		return;
	}
	if (c->is_blocked && c->first && now - c->blocked_s >= LARGE_SLOW_S && shbuf_large_bytes() > o->large_cap_bytes / 2) {
		conn_kill(c, M_EVICTED_LARGE, "slow reader of a large frame while memory for those is short");
		return;
	}
	if (is_hoarding(c)) {
		conn_kill(c, M_EVICTED_PENDING, "does not read while memory for output is short");
		return;
	}
	if (!ws_in_is_unfinished(&c->in))
		c->frame_s = 0;
	else if (!c->frame_s)
		c->frame_s = now;
	/* One that is over the limit is read to its end, so that its sender can be told; of it only the head is kept. */
	is_large = c->in.reserved || c->in.is_oversize;
	const uint32_t timeout_s = (uint32_t)o->message_timeout_s;
	if (c->frame_s && !is_large && !is_unread && timeout_s && now - c->frame_s > timeout_s) {
		conn_start_close(c, M_EVICTED_UNFINISHED, WS_CLOSE_POLICY, "a message was not finished in time");
		ws_in_fini(&c->in, &o->limits);
		return;
	}
	if (c->frame_s && is_large && !is_unread && (now - c->frame_s > FRAME_S || now - c->rx_s > FRAME_SILENT_S)) {
		conn_kill(c, M_EVICTED_LATE, "a large frame did not arrive in time");
		return;
	}
	if ((c->pause & PAUSE_BUDGET) && !h->budget_was_freed && now - c->budget_s > BUDGET_WAIT_S) {
		h->budget_was_freed = true; /* one a second: what it held may let the others finish */
		conn_start_close(c, M_EVICTED_BUDGET, WS_CLOSE_TRY_LATER, "too many large frames at once");
		ws_in_fini(&c->in, &o->limits);
		return;
	}
	if (now - c->rx_s >= silent && !is_unread) {
		conn_kill(c, M_EVICTED_SILENT, "no answer to pings");
		return;
	}
	if (now >= c->ping_s && !is_deaf(c)) {
		c->ping_s = now + (uint32_t)(o->ping_interval_ms / 1000);
		struct mail *m = mail_new(MAIL_INSERT, c);
		m->at = MAIL_AT_HEAD;
		mail_part(m, shbuf_ref(h->all->ping));
		conn_insert(c, m);
	}
}
