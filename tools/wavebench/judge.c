/* judge.c — the meaning of a received frame: init, a message in its place, a DM at its two ends, a whole file, or a fault.
 *
 * Thread: the worker that owns the client. */
#include "wavebench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

static uint64_t number_after(const char *p, size_t n, const char *key)
{
	const char *q = memmem(p, n, key, strlen(key));
	if (!q)
		return 0;
	q += strlen(key);
	while (q < p + n && *q == ' ')
		q++;
	uint64_t v = 0;
	for (; q < p + n && *q >= '0' && *q <= '9'; q++)
		v = v * 10 + (uint64_t)(*q - '0');
	return v;
}

static bool has_type(const char *p, size_t n, const char *type)
{
	char key[40];
	int len = snprintf(key, sizeof(key), "\"type\":\"%s\"", type);
	if (memmem(p, n, key, (size_t)len))
		return true;
	len = snprintf(key, sizeof(key), "\"type\": \"%s\"", type);
	return memmem(p, n, key, (size_t)len) != NULL;
}

static void on_init(struct worker *w, struct client *c, const char *p, size_t n, int64_t now)
{
	c->id = number_after(p, n, "\"my_id\":");
	if (run.opt.dialect == 2 && !c->is_reader) {
		c->head = number_after(p, n, "\"head\":");
		const char *t = memmem(p, n, "\"token\":\"", 9);
		const char *end = t ? memchr(t + 9, '"', (size_t)(p + n - t - 9)) : NULL;
		if (end) {
			free(c->token);
			c->token = strndup(t + 9, (size_t)(end - t - 9));
		}
	}
	c->has_history_last = marker_find_last(&c->history_last, run.id, p, n) && c->history_last.kind == 'P';
	/* After more than a page missed, the rest is to be asked for with sync, which no workload does: the page need not meet what is
	 * live. */
	bool has_gap = c->has_history_last && memmem(p, n, "\"gap\":true", 10);
	c->state = CL_READY;
	w->connecting--;
	w->tally.inits++;
	hist_add(&w->init_latency, (uint64_t)(now - c->start_us));
	atomic_fetch_add(&run.ready, 1);
	c->is_late = atomic_load(&run.is_talking) || c->is_churner || c->has_history_last;
	c->has_history_last &= !has_gap;
	c->place = c->is_late ? PLACE_UNKNOWN : 0;
	c->unplaced = 0;
	c->dm_next = 0;
	if (c->is_stalled)
		epoll_ctl(w->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	if (c->is_churner)
		c->leave_us = now + (int64_t)(c->index * 7919u % 100000u);
}

/* In a storm it is those already there whose latency counts: the others have an init before them in the same socket. */
static void on_delivery(struct worker *w, const struct client *c, int64_t due_us, int64_t now)
{
	int phase = atomic_load_explicit(&run.phase, memory_order_relaxed);
	bool is_quiet = run.opt.workload == LOAD_FILE && !atomic_load_explicit(&run.is_loaded, memory_order_relaxed);
	w->tally.all_deliveries++;
	if (phase == PHASE_MEASURE)
		w->tally.deliveries++;
	if (run.opt.workload == LOAD_STORM && (int)c->index >= run.opt.chatters)
		return;
	if (phase >= PHASE_MEASURE && due_us >= atomic_load_explicit(&run.measure_from_us, memory_order_relaxed))
		hist_add(is_quiet ? &w->quiet : &w->latency, (uint64_t)WC_MAX(now - due_us, (int64_t)0));
}

/* A client that joined amid the talk finds its place by the first message that somebody else has seen already. */
void try_place(struct worker *w, struct client *c)
{
	uint64_t k, first, last;
	if (!order_place(&c->unplaced_last, &k))
		return;
	c->place = k + 1;
	if (k + 1 < c->unplaced || !order_place(&c->unplaced_first, &first) || first != k + 1 - c->unplaced) {
		w->tally.misordered++;
		clients_say("what it saw after joining is not a run of the order", c);
	} else if (c->has_history_last && order_place(&c->history_last, &last) && last + 1 != first) {
		w->tally.duplicate_or_gap++;
		clients_say("its history and its first live message do not meet", c);
	}
}

static void place_late(struct worker *w, struct client *c, const struct marker *m)
{
	if (c->unplaced++ == 0)
		c->unplaced_first = *m;
	c->unplaced_last = *m;
	try_place(w, c);
}

static void on_public(struct worker *w, struct client *c, const struct marker *m, const char *p, size_t n)
{
	bool is_self = m->sender == c->index && !c->is_churner;
	if (is_self) {
		if (m->seq != c->echoed) {
			w->tally.duplicate_or_gap++;
			clients_say("its own message came back twice or out of turn", c);
		}
		c->echoed = m->seq + 1;
		if (c->in_flight)
			c->in_flight--;
	}
	if (c->place == PLACE_UNKNOWN) {
		place_late(w, c, m);
		return;
	}
	switch (order_check(c->place, m, p, n, is_self)) {
	case ORDER_OK: break;
	case ORDER_WRONG:
		w->tally.misordered++;
		clients_say("another message than others saw here (order, gap or duplicate)", c);
		uint64_t k;
		if (order_place(m, &k))
			c->place = k; /* go on from there, so that one fault counts once */
		break;
	case ORDER_DIFFERENT:
		w->tally.different++;
		clients_say("other bytes than others got", c);
		break;
	case ORDER_MALFORMED:
		w->tally.malformed++;
		clients_say("a frame that is not what the wire promises", c);
		break;
	}
	c->place++;
}

static void on_direct(struct worker *w, struct client *c, const struct marker *m)
{
	if (m->sender == c->index) {
		if (m->seq != c->echoed)
			w->tally.duplicate_or_gap++;
		c->echoed = m->seq + 1;
		if (c->in_flight)
			c->in_flight--;
	} else if (m->sender == (uint32_t)run.opt.clients - 1 - c->index) {
		if (m->seq != c->dm_next) {
			w->tally.duplicate_or_gap++;
			clients_say("a DM twice, out of turn or after a gap", c);
		}
		c->dm_next = m->seq + 1;
	} else {
		w->tally.privacy++;
		clients_say("somebody else's DM", c);
	}
}

void judge_text(struct worker *w, struct client *c, const char *p, size_t n, int64_t now)
{
	int64_t due_us;
	w->tally.frames++;
	if (c->state == CL_READY && c->place != PLACE_UNKNOWN && order_same(c->place, p, n, &due_us)) {
		c->place++;
		on_delivery(w, c, due_us, now);
		return;
	}
	if (c->state == CL_JOINING) {
		if (has_type(p, WC_MIN(n, (size_t)4096), "init")) {
			on_init(w, c, p, n, now);
		} else {
			w->tally.errors++;
			clients_say("something else than init after join", c);
		}
		return;
	}
	if (c->is_reader) { /* its wire is another than the clients': it is there for the files alone */
		c->is_in_file = has_type(p, WC_MIN(n, (size_t)4096), "file");
		if (has_type(p, WC_MIN(n, (size_t)4096), "error")) {
			w->tally.errors++;
			clients_say("an error for a reader", c);
		}
		return;
	}
	struct marker m;
	if (marker_find(&m, run.id, p, n)) {
		if (m.kind == 'D')
			on_direct(w, c, &m);
		else
			on_public(w, c, &m, p, n);
		on_delivery(w, c, m.due_us, now);
		return;
	}
	if (has_type(p, n, "users") || has_type(p, n, "presence") || has_type(p, n, "system")) {
		w->tally.list_bytes += n;
	} else if (has_type(p, n, "error")) {
		w->tally.errors++;
		char what[200];
		snprintf(what, sizeof(what), "the server says %.*s", (int)WC_MIN(n, (size_t)150), p);
		clients_say(what, c);
	}
}
