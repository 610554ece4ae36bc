/* hub.c — the I/O threads: epoll, the parts of a turn, their start and stop. Each turn takes input, then mail, then sends. Threads: its
 * own; main starts and stops them. */
#include "hub/hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/logmsg.h"
#include "base/pulse.h"
#include "hub/impl.h"
#include "hub/lists.h"
#include "net/seats.h"

#define BUDGET_RETRY_MS 20
/* Bounds for the parts of a turn. All are short, because one part may bring what another waits for. */
#define EVENTS 512              /* taken from epoll at once */
#define TAKES_A_TURN 64         /* as long as there are that many */
#define READ_TURN_US 500        /* for those who are in, and as much for those who want to be */
#define READ_MUCH_US 250        /* for those who send more than a turn takes */
#define READ_AHEAD (128 * 1024) /* bytes of a log, before those who talk wait for its round to end */
#define FLUSH_TURN_US 250       /* for each queue of output */

/* --- One turn's parts */

static void stop_begin(struct hub *h)
{
	h->is_stopping = true;
	h->stop_at_ms = mono_ms() + h->all->stop_timeout_ms;
	for (int l = 0; l < LISTS; l++)
		for (uint32_t i = h->lists[l].n; i-- > 0;)
			conn_start_close(h->lists[l].v[i], M_LEFT_SHUTDOWN, WS_CLOSE_RESTART, "server restarts");
}

/* All mail there is, oldest first. */
static struct mail *take_mailbox(struct hub *h)
{
	struct mail *top = atomic_exchange(&h->mailbox, NULL), *list = NULL;
	while (top) {
		struct mail *next = top->next;
		top->next = list;
		list = top;
		top = next;
	}
	return list;
}

/* Mail that waits until the rest of the drain is in place. */
struct late {
	struct mail *first, **end;
};

static void defer(struct late *late, struct mail *m)
{
	m->next = NULL;
	*late->end = m;
	late->end = &m->next;
}

static void deliver_to_dead(struct conn *c, struct mail *m)
{
	if (m->kind == MAIL_RELEASE) {
		c->is_released = true;
		conn_forget(c);
	} else if (m->kind == MAIL_RESUME || m->kind == MAIL_SUBSCRIBE) {
		conn_resume(c, PAUSE_HELPER);
	}
	mail_free(m);
}

/* Takes m. */
static void deliver(struct hub *h, struct conn *c, struct mail *m, struct late *late)
{
	switch ((enum mail_kind)m->kind) {
	case MAIL_INSERT:
	case MAIL_HOLD:
		if (c->is_closing)
			mail_free(m); /* nothing follows a close frame */
		else if (m->at == MAIL_AT_HEAD)
			defer(late, m);
		else
			conn_insert(c, m);
		return;
	case MAIL_FILL: conn_fill(c, m); return;
	case MAIL_CLOSE: defer(late, m); return; /* wherever it stands: earlier mail that waits for the head would be dropped behind it */
	case MAIL_RESUME: conn_resume(c, PAUSE_HELPER); break;
	case MAIL_SUBSCRIBE: conn_subscribe(c, (int)m->skip, m->at, m->id); break;
	case MAIL_ADOPT:
		conn_open(h, c);
		if (h->is_stopping)
			conn_start_close(c, M_LEFT_SHUTDOWN, WS_CLOSE_RESTART, "");
		break;
	case MAIL_DROP: conn_kill(c, M_EVICTED_MEMORY, "dropped by the room"); break;
	case MAIL_RELEASE: WC_ASSERT(c->is_dead); break;
	case MAIL_STOP: break; /* for the hub, see drain */
	}
	mail_free(m);
}

/* Takes m. */
static void deliver_late(struct conn *c, struct mail *m)
{
	if (c->is_dead || c->is_closing) {
		mail_free(m);
	} else if (m->kind == MAIL_CLOSE) {
		conn_start_close_at(c, (enum metric)(M_EVICTED_FIRST + m->why), m->at, (int)m->skip, m->nparts ? m->parts[0]->data : NULL,
		                    m->nparts ? m->parts[0]->len : 0);
		mail_free(m);
	} else {
		conn_insert(c, m);
	}
}

/* Delivers all mail there is, oldest first. Mail for the head waits until the rest is in place: a room's insert in the same drain may
 * belong before it. MAIL_STOP waits, too: mail that belongs before the close frames would be dropped behind them. */
static void drain(struct hub *h)
{
	struct late late = { .end = &late.first };
	bool stops = false;
	for (struct mail *m = take_mailbox(h), *next; m; m = next) {
		next = m->next;
		if (m->kind == MAIL_STOP) {
			mail_free(m);
			stops = true;
		} else if (m->conn->is_dead) {
			deliver_to_dead(m->conn, m);
		} else {
			deliver(h, m->conn, m, &late);
		}
	}
	for (struct mail *m = late.first, *next; m; m = next) {
		next = m->next;
		deliver_late(m->conn, m);
	}
	if (stops)
		stop_begin(h);
}

/* Flushes the connections that wait in the queue now, in turn, for at most FLUSH_TURN_US. */
static void flush_some(struct hub *h, enum queue_name q)
{
	const struct conn *last = h->queues[q].last;
	const int64_t until_us = h->is_stopping ? INT64_MAX : mono_us() + FLUSH_TURN_US; /* close frames all go out at once */
	bool was_last = !last;
	while (!was_last && mono_us() < until_us) {
		struct conn *c = queue_take(h, q);
		was_last = c == last;
		if (c->is_dead)
			conn_forget(c);
		else if (q == QUEUE_FLUSH_MUCH || !conn_is_behind(c))
			conn_flush(c);
	}
}

static bool has_news(const struct hub *h)
{
	if (atomic_load(&h->mailbox))
		return true;
	for (int r = 0; r < HUB_RINGS; r++)
		if (bcast_head(h->all->rings[r]) != h->swept[r])
			return true;
	return false;
}

/* Reads connections that wait in the queue, in turn, a part of their input each, for the time of a turn. So a crowd that talks does not
 * hold up output. A connection that has more than its part joins QUEUE_READ_MUCH: then it shares that queue's time with others like it, and
 * delays nobody who sends little. That queue goes round as often as its time allows, the others once. */
static void read_some(struct hub *h, enum queue_name q, bool only_one)
{
	const struct hub_ops *ops = &h->all->o.ops;
	const struct conn *last = q == QUEUE_READ_MUCH ? NULL : h->queues[q].last;
	const int64_t until_us = mono_us() + (q == QUEUE_READ_MUCH ? READ_MUCH_US : READ_TURN_US);
	while (h->queues[q].first && !ops->is_full(ops->arg)) {
		struct conn *c = queue_take(h, q);
		bool was_last = c == last;
		if (c->is_dead)
			conn_forget(c);
		else
			conn_read_turn(c);
		if (was_last || only_one || mono_us() > until_us)
			break;
	}
}

/* Much of the log is still to be sent by this thread. Peers that do not read do not count. */
static bool is_overdue(const struct hub *h)
{
	for (int r = 0; r < HUB_RINGS; r++)
		if (bcast_head(h->all->rings[r]) - h->swept[r] > READ_AHEAD)
			return true;
	return false;
}

/* Subscribed connections first, so that thousands at the door do not delay them. Neither shuts the other out. A thread that is overdue
 * still reads one connection a turn: another thread's talkers may keep it overdue for long. */
static void read_ready(struct hub *h)
{
	const bool only_one = is_overdue(h);
	read_some(h, QUEUE_READ, only_one);
	read_some(h, QUEUE_READ_MUCH, only_one);
	read_some(h, QUEUE_READ_NEW, false);
	h->all->o.ops.flush(h->all->o.ops.arg, h);
}

static void tick(struct hub *h)
{
	tick_begin(h);
	for (int l = 0; l < LISTS; l++)
		for (uint32_t i = h->lists[l].n; i-- > 0;) {
			conn_tick(h->lists[l].v[i]);
			if (i > h->lists[l].n)
				i = h->lists[l].n;
		}
	tick_end(h);
}

static void retry_budget(struct hub *h)
{
	for (int l = 0; l < LISTS; l++)
		for (uint32_t i = h->lists[l].n; i-- > 0;)
			if (h->lists[l].v[i]->pause & PAUSE_BUDGET)
				conn_resume(h->lists[l].v[i], PAUSE_BUDGET);
}

static bool has_work(const struct hub *h)
{
	const struct queue *q = h->queues;
	bool can_read = (q[QUEUE_READ].first || q[QUEUE_READ_MUCH].first || q[QUEUE_READ_NEW].first) &&
	                !h->all->o.ops.is_full(h->all->o.ops.arg);
	return has_news(h) || q[QUEUE_FLUSH].first || q[QUEUE_FLUSH_MUCH].first || can_read;
}

static void take_events(struct hub *h, const struct epoll_event *evs, int n)
{
	for (int i = 0; i < n; i++) {
		struct conn *c = evs[i].data.ptr;
		if (!c) {
			uint64_t count;
			if (read(h->event, &count, sizeof(count)) < 0 && errno != EAGAIN)
				log_error("eventfd", "error=\"%s\"", strerror(errno));
			continue;
		}
		if (c->is_dead)
			continue;
		if (evs[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			c->saw_hangup = true;
		if (evs[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			conn_mark_ready(c);
		if ((evs[i].events & EPOLLOUT) && c->io.tls)
			conn_mark_ready(c); /* a read of TLS may have waited for room to write */
		if ((evs[i].events & EPOLLOUT) && c->is_blocked) {
			c->is_blocked = false;
			conn_mark_behind(c); /* it had much to send */
		}
	}
}

static bool is_done_stopping(const struct hub *h)
{
	if (!h->is_stopping)
		return false;
	return h->lists[LIST_NEW].n + h->lists[LIST_RING_0].n + h->lists[LIST_RING_1].n == 0 || mono_ms() >= h->stop_at_ms;
}

static void count_turn(struct hub *h)
{
	if (h->insert_bytes != h->insert_bytes_told) {
		metric_add(M_PENDING_OUT, h->insert_bytes - h->insert_bytes_told); /* wraps: also what goes down */
		h->insert_bytes_told = h->insert_bytes;
	}
	if (h->sends)
		metric_add(M_SENDS, h->sends);
	if (h->sent_bytes)
		metric_add(M_SENT_BYTES, h->sent_bytes);
	if (h->received_bytes)
		metric_add(M_RECEIVED_BYTES, h->received_bytes);
	h->sends = h->sent_bytes = h->received_bytes = 0;
}

static void *hub_main(void *arg)
{
	struct hub *h = arg;
	char name[16];
	snprintf(name, sizeof(name), "io/%d", h->number);
	wc_thread_is(ROLE_IO, name);
	struct epoll_event evs[EVENTS];
	while (!is_done_stopping(h)) {
		int timeout = h->budget_waiters ? BUDGET_RETRY_MS : h->is_stopping ? 50 : 1000;
		/* Sleep only if nothing came between the last look and the flag: a waker sets its work first and looks at the flag
		 * after. */
		atomic_store(&h->is_sleeping, true);
		atomic_thread_fence(memory_order_seq_cst);
		if (has_work(h))
			timeout = 0;
		pulse_rest();
		int n = epoll_wait(h->epoll, evs, EVENTS, timeout);
		pulse_work();
		fault_stall(FAULT_IO_STALL_MS);
		atomic_store(&h->is_sleeping, false);
		take_events(h, evs, n);
		/* All events there are: they come in order of arrival, and behind a crowd's events one would wait for twenty turns. */
		for (int i = 1; n == EVENTS && i < TAKES_A_TURN; i++) {
			n = epoll_wait(h->epoll, evs, EVENTS, 0);
			take_events(h, evs, n);
		}
		if (h->budget_waiters)
			retry_budget(h);
		read_ready(h);

		/* The heads first, the mail after: see bcast.h. */
		for (int r = 0; r < HUB_RINGS; r++)
			h->heads[r] = bcast_head(h->all->rings[r]);
		drain(h);
		hub_sweep(h);
		flush_some(h, QUEUE_FLUSH);
		flush_some(h, QUEUE_FLUSH_MUCH);

		uint32_t now_s = (uint32_t)((mono_ms() - h->all->start_ms) / 1000) + 1;
		if (now_s != h->now_s) {
			h->now_s = now_s;
			tick(h);
		}
		h->all->o.ops.flush(h->all->o.ops.arg, h); /* closings of this turn */
		count_turn(h);
	}
	for (int l = 0; l < LISTS; l++)
		while (h->lists[l].n)
			conn_kill(h->lists[l].v[h->lists[l].n - 1], M_LEFT_SHUTDOWN, "server stops");
	h->all->o.ops.flush(h->all->o.ops.arg, h);
	pulse_end();
	/* This thread sweeps no more, and the room must not wait for it. */
	for (int r = 0; r < HUB_RINGS; r++)
		bcast_swept(h->all->rings[r], h->number, UINT64_MAX / 2);
	return NULL;
}

/* --- Life */

static struct hub *hub_new(struct hubs *hs, int number)
{
	struct hub *h = aligned_alloc(64, (sizeof(*h) + 63) / 64 * 64);
	WC_ASSERT(h);
	memset(h, 0, sizeof(*h));
	h->all = hs;
	h->number = number;
	h->now_s = 1;
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	h->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	if (h->epoll < 0 || h->event < 0 || epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->event, &ev) < 0) {
		if (h->epoll >= 0)
			close(h->epoll);
		if (h->event >= 0)
			close(h->event);
		free(h);
		return NULL;
	}
	return h;
}

struct hubs *hubs_start(const struct hub_opts *opts, char **cause)
{
	struct hubs *hs = xcalloc(1, sizeof(*hs));
	hs->o = *opts;
	hs->start_ms = mono_ms();
	hs->toll = toll_new();
	toll_exempt(hs->toll, opts->exempt);
	hs->v = xcalloc((size_t)opts->threads, sizeof(*hs->v));
	uint8_t ping[WS_HEADER_MAX];
	size_t n = ws_header(ping, WS_PING, 0);
	hs->ping = shbuf_copy(ping, n);
	WC_ASSERT(hs->ping);
	for (int r = 0; r < HUB_RINGS; r++) {
		hs->rings[r] = bcast_new(opts->ring_bytes, opts->threads);
		if (!hs->rings[r]) {
			wc_cause(cause, "cannot map the broadcast log (%zu bytes): %s", opts->ring_bytes, strerror(errno));
			goto fail;
		}
	}
	for (; hs->count < opts->threads; hs->count++) {
		struct hub *h = hs->v[hs->count] = hub_new(hs, hs->count);
		if (!h) {
			wc_cause(cause, "cannot set up an I/O thread: %s; raise the limit of open files (ulimit -n)", strerror(errno));
			goto fail;
		}
	}
	for (int i = 0; i < hs->count; i++) {
		int rc = pthread_create(&hs->v[i]->thread, NULL, hub_main, hs->v[i]);
		if (rc) {
			wc_cause(cause, "cannot start an I/O thread: %s", strerror(rc));
			hs->stop_timeout_ms = 0;
			for (int j = i; j < hs->count; j++)
				hs->v[j]->thread = 0;
			hubs_stop(hs, 0);
			goto fail;
		}
	}
	return hs;
fail:
	hubs_free(hs);
	return NULL;
}

void hubs_stop(struct hubs *hs, int timeout_ms)
{
	if (atomic_exchange(&hs->is_stopped, true))
		return;
	hs->stop_timeout_ms = timeout_ms;
	for (int i = 0; i < hs->count; i++)
		if (hs->v[i]->thread) {
			struct mail *m = mail_new(MAIL_STOP, NULL);
			hub_post(hs->v[i], m, m);
		}
	for (int i = 0; i < hs->count; i++)
		if (hs->v[i]->thread)
			pthread_join(hs->v[i]->thread, NULL);
}

void hubs_free(struct hubs *hs)
{
	if (!hs)
		return;
	for (int i = 0; i < hs->count; i++) {
		struct hub *h = hs->v[i];
		for (struct mail *m = atomic_load(&h->mailbox), *next; m; m = next) {
			next = m->next;
			if (m->kind == MAIL_ADOPT) /* came after the end */
				conn_discard(m->conn);
			mail_free(m);
		}
		while (h->all_conns)
			conn_free(h->all_conns);
		for (int l = 0; l < LISTS; l++)
			free(h->lists[l].v);
		slow_fini(&h->slow_readers);
		slow_fini(&h->slow_senders);
		close(h->epoll);
		close(h->event);
		free(h);
	}
	for (int r = 0; r < HUB_RINGS; r++)
		bcast_free(hs->rings[r]);
	shbuf_unref(hs->ping);
	toll_free(hs->toll);
	free(hs->v);
	free(hs);
}

/* A taken socket that no hub will have. */
static void refuse(struct taken *t)
{
	transport_close(&(struct transport){ .fd = t->fd, .tls = t->tls });
	seat_leave(t->seat);
	free(t->early);
}

int hubs_adopt(struct hubs *hs, struct taken *t)
{
	if (atomic_load(&hs->is_stopped)) {
		refuse(t);
		return -WC_ECLOSED;
	}
	struct hub *h = hs->v[atomic_fetch_add_explicit(&hs->next, 1, memory_order_relaxed) % (uint32_t)hs->count];
	struct conn *c = conn_new(h, t);
	if (!c) {
		refuse(t);
		return -WC_ENOMEM;
	}
	hub_post_one(mail_new(MAIL_ADOPT, c));
	return 0;
}

void hubs_set_limits(struct hubs *hs, const struct hub_opts *opts)
{
	hs->o.limits.soft_bytes = opts->limits.soft_bytes;
	hs->o.limits.hard_bytes = opts->limits.hard_bytes;
	hs->o.pending_cap_bytes = opts->pending_cap_bytes;
	hs->o.large_cap_bytes = opts->large_cap_bytes;
	hs->o.message_timeout_s = opts->message_timeout_s;
	toll_exempt(hs->toll, opts->exempt);
}

struct bcast *hubs_ring(struct hubs *hs, int ring)
{
	return hs->rings[ring];
}

size_t hubs_receiving_bytes(const struct hubs *hs)
{
	const struct ws_budget *b = hs->o.limits.budget;
	return b ? atomic_load_explicit(&b->used_bytes, memory_order_relaxed) : 0;
}

int hubs_count(const struct hubs *hs)
{
	return hs->count;
}

int hub_number(const struct hub *h)
{
	return h->number;
}
