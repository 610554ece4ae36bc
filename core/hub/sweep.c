/* sweep.c — the rounds over a hub's connections that send what is new in the logs. Thread: the hub's. */
#include <stdlib.h>

#include "base/fault.h"
#include "hub/impl.h"
#include "hub/lists.h"

#define SLICE 16          /* connections, before a look at the clock */
#define SWEEP_TURN_US 250 /* of a long round, before what came in is read */
#define FRONT 256         /* connections that do not wait for a long round's end */
/* The front may be served again and again, for as much time as the rounds themselves take. */
#define FRONT_LEAST_US 1000 /* with less saved up it is not served */
#define FRONT_MOST_US 6000  /* saved up at most, as after a pause */
#define FRONT_AHEAD 16384   /* bytes that it may be ahead of the others */

/* Sends the news to one connection, or drops it if the log would overtake it. */
static void visit(struct hub *h, struct conn *c, int ring)
{
	const uint64_t head = h->heads[ring], lag_max = bcast_lag_max(h->all->rings[ring]);
	if (fault("lost-cursor") && c->cursor < head && !c->first && random() % 2000 == 0)
		c->cursor = head;
	/* A connection with much else to send (an init, a file) is served in its turn, unless the log is about to overtake it. */
	if (!c->is_blocked && (!c->first || !conn_is_behind(c) || c->cursor + lag_max / 2 < head))
		conn_flush(c);
	if (!c->is_dead && c->list == ring && c->cursor < head && head - c->cursor > lag_max)
		conn_kill(c, M_EVICTED_LAG, "too slow");
}

/* Visits the next SLICE connections of the ring. After the last one the round is over. */
static void sweep_slice(struct hub *h, int ring)
{
	struct list *l = &h->lists[ring];
	for (int n = 0; n < SLICE && l->at < l->n; n++) {
		if (l->at + 8 < l->n)
			__builtin_prefetch(l->v[l->at + 8]);
		struct conn *c = l->v[l->at];
		visit(h, c, ring);
		if (l->at < l->n && l->v[l->at] == c) /* else it is gone, and another connection has its slot */
			l->at++;
	}
	if (l->at < l->n)
		return;
	bcast_swept(h->all->rings[ring], h->number, l->round_head);
	h->swept[ring] = l->round_head;
	l->is_in_round = false;
	l->at = 0;
	metric_add(M_SWEEPS, 1);
}

/* The ring that is due whose connection at at[ring] is the oldest; a ring that has none left comes first. -1: none is due. */
static int oldest(const struct hub *h, const bool due[HUB_RINGS], const uint32_t at[HUB_RINGS], const uint32_t n[HUB_RINGS])
{
	int found = -1;
	for (int r = 0; r < HUB_RINGS; r++) {
		if (!due[r])
			continue;
		if (at[r] >= n[r])
			return r;
		if (found < 0 || h->lists[r].v[at[r]]->serial < h->lists[found].v[at[found]]->serial)
			found = r;
	}
	return found;
}

/* Rounds begin together, when the last ones are over on every ring: the older of two crowds must not shut the other out. */
static void begin_rounds(struct hub *h)
{
	for (int r = 0; r < HUB_RINGS; r++)
		if (h->lists[r].is_in_round)
			return;
	for (int r = 0; r < HUB_RINGS; r++) {
		struct list *l = &h->lists[r];
		l->is_in_round = h->swept[r] != h->heads[r];
		l->round_head = l->front_head = h->heads[r];
		l->at = 0;
	}
}

/* How many connections of the ring wait for news because a round goes on behind them. */
static uint32_t front_count(const struct hub *h, int ring)
{
	const struct list *l = &h->lists[ring];
	return l->is_in_round ? l->at : h->lists[!ring].is_in_round ? l->n : 0;
}
_Static_assert(HUB_RINGS == 2, "!ring is the other");

/* Sends news that came after a round was left off to the oldest connections. now_us and the result: mono_us. */
static int64_t sweep_front(struct hub *h, int64_t now_us)
{
	bool has_news[HUB_RINGS];
	uint32_t at[HUB_RINGS] = { 0 }, n[HUB_RINGS];
	const int64_t from_us = now_us;
	if (h->front_us < FRONT_LEAST_US)
		return now_us;
	for (int r = 0; r < HUB_RINGS; r++) {
		struct list *l = &h->lists[r];
		const uint64_t others_have = l->is_in_round ? l->round_head : h->swept[r];
		has_news[r] = l->front_head != h->heads[r] && h->heads[r] - others_have <= FRONT_AHEAD && front_count(h, r);
		if (has_news[r])
			l->front_head = h->heads[r];
	}
	for (int served = 0; served < FRONT && now_us - from_us < h->front_us;) {
		for (int r = 0; r < HUB_RINGS; r++) {
			n[r] = front_count(h, r); /* a visit may end a connection */
			has_news[r] &= at[r] < n[r];
		}
		const int r = oldest(h, has_news, at, n);
		if (r < 0)
			break;
		struct conn *c = h->lists[r].v[at[r]];
		visit(h, c, r);
		if (at[r] < front_count(h, r) && h->lists[r].v[at[r]] == c)
			at[r]++;
		if (++served % SLICE == 0)
			now_us = mono_us();
	}
	now_us = mono_us();
	h->front_us -= now_us - from_us;
	return now_us;
}

/* Visits every connection of the rings that have moved, the oldest first, on either ring. A long round is left off after a while and goes
 * on in the next turn: input does not wait for its end, and the rest of the round also sends what has come meanwhile. The oldest
 * connections, the front, do not wait for the end of a long round either: a crowd that comes later delays itself, not them. That costs
 * further sends, so the front gets no more than a share of the time. */
void hub_sweep(struct hub *h)
{
	const int64_t from_us = sweep_front(h, mono_us());
	int64_t now_us = from_us;
	begin_rounds(h);
	for (;;) {
		const uint32_t at[HUB_RINGS] = { h->lists[0].at, h->lists[1].at }, n[HUB_RINGS] = { h->lists[0].n, h->lists[1].n };
		const bool due[HUB_RINGS] = { h->lists[0].is_in_round, h->lists[1].is_in_round };
		const int r = oldest(h, due, at, n);
		if (r < 0 || now_us - from_us > (at[0] + at[1] < FRONT ? FRONT_MOST_US : SWEEP_TURN_US))
			break;
		sweep_slice(h, r);
		now_us = mono_us();
	}
	h->front_us = WC_MIN(h->front_us + now_us - from_us, (int64_t)FRONT_MOST_US);
}
