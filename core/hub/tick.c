/* tick.c — a connection's deadlines, looked at once a second, and its pings. Thread: its hub's. */
#include "hub/impl.h"

#define STALL_S 30      /* output without any progress */
#define LARGE_SLOW_S 5  /* for a large frame, when memory for those is short */
#define WANTED_SLOW_S 3 /* the same, when somebody waits for just that memory */
#define FRAME_S 900     /* for one message over WS_SMALL to arrive */
#define FRAME_SILENT_S 30
#define BUDGET_WAIT_S 15 /* for others' large frames to leave the budget; half-read ones could wait for each other for ever */
#define SHARE_WAIT_S 60  /* the same, of those who wait for their own person or address */
#define BUDGET_WANT_S 3  /* of waiting, before others are to make room */
#define SLOW_PART 4      /* of the slow readers of an address, one in four goes in a second */

/* Each of these returns true when the connection has been ended, or is on its way out. */

static bool is_past_deadline(struct conn *c, uint32_t now)
{
	if (!c->deadline_s || now < c->deadline_s)
		return false;
	if (conn_is_deaf(c))
		conn_kill(c, M_LEFT_BROKEN, "close timed out");
	else if (!(c->pause & PAUSE_HELPER))
		conn_start_close(c, M_EVICTED_JOIN_TIMEOUT, WS_CLOSE_POLICY, "join within 15 s");
	return true;
}

static bool is_output_stuck(struct conn *c, uint32_t now)
{
	const struct hub_opts *o = &c->hub->all->o;
	if (c->is_blocked && now - c->blocked_s >= STALL_S)
		conn_kill(c, M_EVICTED_STALLED, "output stalled");
	else if (c->is_blocked && c->large_bytes && now - c->blocked_s >= LARGE_SLOW_S && shbuf_large_bytes() > o->large_cap_bytes / 2)
		conn_kill(c, M_EVICTED_LARGE, "slow reader of a large frame while memory for those is short");
	else if (c->is_blocked && now - c->blocked_s >= WANTED_SLOW_S && conn_pins_what_is_wanted(c))
		conn_kill(c, M_EVICTED_LARGE, "does not read a large frame whose memory is wanted");
	else if (conn_is_hoarding(c))
		conn_kill(c, M_EVICTED_PENDING, "does not read while memory for output is short");
	return c->is_dead;
}

/* A reader that takes a little now and then is never blocked for long, but the memory that it holds is missing all the same. While others
 * want it, one that hardly reads goes at once; of those that are only slow, tick_end ends some. While nobody wants it, all may be slow. */
static bool is_reader_slow(struct conn *c)
{
	uint32_t wanted = 0;
	if (!c->large_bytes)
		return false;
	const uint32_t pace = conn_reading_pace(c, &wanted);
	if (pace == STRIDE_UNKNOWN || !c->is_blocked || pace >= wanted || !conn_pins_what_is_wanted(c))
		return false;
	if (pace < CRAWL_PACE)
		conn_kill(c, M_EVICTED_LARGE, "hardly reads a large frame whose memory is wanted");
	else
		slow_add(&c->hub->slow_readers, c, 0, pace);
	return c->is_dead;
}

/* No other I/O thread has found an address that holds more, a second ago or since: else that one's connections go first. */
static bool is_foremost(const struct hub *h, bool of_senders)
{
	const struct slow_list *own = of_senders ? &h->slow_senders : &h->slow_readers;
	for (int i = 0; i < h->all->count; i++) {
		const struct hub *other = h->all->v[i];
		const struct slow_list *l = of_senders ? &other->slow_senders : &other->slow_readers;
		if (atomic_load_explicit(&l->most, memory_order_relaxed) > atomic_load_explicit(&own->most, memory_order_relaxed))
			return false;
	}
	return own->n > 0;
}

/* Of the address that most waits for, the slowest. */
static void end_slow_readers(struct hub *h)
{
	struct slow_list *l = &h->slow_readers;
	size_t n = 0;
	for (size_t i = 0; i < l->n; i++)
		l->v[i].holds = WC_MAX(holdings_of_address(&h->all->large, l->v[i].c->in.owner), l->v[i].c->large_bytes);
	slow_sort(l);
	if (!is_foremost(h, false))
		return;
	while (n < l->n && l->v[n].holds == l->v[0].holds)
		n++;
	for (size_t i = 0; i < (n + SLOW_PART - 1) / SLOW_PART; i++)
		conn_kill(l->v[i].c, M_EVICTED_LARGE, "slow reader of a large frame whose memory is wanted");
}

/* is_unread: what the peer may have sent has not been looked at yet, so the delay is the server's. */
static bool is_frame_late(struct conn *c, uint32_t now, bool is_unread)
{
	const struct hub_opts *o = &c->hub->all->o;
	const uint32_t timeout_s = (uint32_t)o->message_timeout_s;
	if (!ws_in_is_unfinished(&c->in))
		c->frame_s = 0;
	else if (!c->frame_s)
		c->frame_s = now;
	if (!c->frame_s || is_unread)
		return false;
	/* A message over the limit is read to its end, so that its sender can be told; only its head is kept. */
	const bool is_large = ws_in_reserved(&c->in) || c->in.is_oversize;
	if (!is_large && timeout_s && now - c->frame_s > timeout_s) {
		conn_start_close(c, M_EVICTED_UNFINISHED, WS_CLOSE_POLICY, "a message was not finished in time");
		ws_in_fini(&c->in, &o->limits);
		return true;
	}
	if (is_large && (now - c->frame_s > FRAME_S || now - c->rx_s > FRAME_SILENT_S)) {
		conn_kill(c, M_EVICTED_LATE, "a large frame did not arrive in time");
		return true;
	}
	return false;
}

/* Below it the message would not be whole in FRAME_S. */
static uint32_t least_pace(const struct conn *c, uint32_t now)
{
	const uint32_t left_s = c->frame_s && now - c->frame_s < FRAME_S ? FRAME_S - (now - c->frame_s) : 1;
	return (uint32_t)WC_MIN(WC_MAX(c->in.remaining / left_s, (uint64_t)CRAWL_PACE), (uint64_t)STRIDE_UNKNOWN - 1);
}

/* While others wait for the budget: an address over its share is to make room for those within theirs, and so is a client that hardly
 * sends. tick_end ends one of those found. is_unread: as above. */
static void judge_large_frame(struct conn *c, uint32_t now, bool is_unread)
{
	struct ws_budget *b = c->hub->all->o.limits.budget;
	if (!ws_in_reserved(&c->in) || c->in.is_oversize || conn_is_deaf(c))
		return;
	const uint32_t pace = stride_pace(&c->in.pace, c->in.msg_len, now);
	const int64_t now_ms = mono_ms();
	if (!ws_budget_is_wanted(b, now_ms))
		return;
	/* Those who wait for a share of their own are in nobody's way but their own. */
	const bool crawls = !is_unread && pace < least_pace(c, now), is_owed = ws_budget_is_owed(b, now_ms);
	const bool is_over = ws_budget_is_over_share(b, &c->in);
	if (is_over && !crawls && !(c->pause & PAUSE_BUDGET))
		ws_budget_move(b, now_ms);
	if (pace == STRIDE_UNKNOWN)
		return;
	if (is_over ? is_owed || crawls : is_owed && crawls)
		slow_add(&c->hub->slow_senders, c, WC_MAX(holdings_of_address(&b->held, c->in.owner), (size_t)ws_in_reserved(&c->in)),
		         pace);
}

static void end_large_frame(struct conn *c)
{
	struct hub *h = c->hub;
	h->budget_was_freed = true;
	conn_start_close(c, M_EVICTED_BUDGET, WS_CLOSE_TRY_LATER, "too many large frames at once");
	ws_in_fini(&c->in, &h->all->o.limits);
}

/* At most one connection a second, of these and of the slow ones: the bytes it gives back may let the others finish. */
static bool is_budget_wait_over(struct conn *c, uint32_t now)
{
	struct hub *h = c->hub;
	struct ws_budget *b = h->all->o.limits.budget;
	if (!(c->pause & PAUSE_BUDGET))
		return false;
	const uint32_t waited_s = now - c->budget_s;
	if (b && waited_s >= BUDGET_WANT_S)
		ws_budget_want(b, &c->in, mono_ms());
	/* Those who wait for their own may wait longer, unless they only wait for each other. */
	const bool is_for_itself = b && !c->saw_hangup && ws_budget_is_over_share(b, &c->in) && ws_budget_moves(b, mono_ms());
	if (h->budget_was_freed || waited_s <= (is_for_itself ? SHARE_WAIT_S : BUDGET_WAIT_S))
		return false;
	end_large_frame(c);
	return true;
}

static bool is_silent(struct conn *c, uint32_t now, bool is_unread)
{
	const uint32_t silent_s = 2 * (uint32_t)(c->hub->all->o.ping_interval_ms / 1000);
	if (is_unread || now - c->rx_s < silent_s)
		return false;
	conn_kill(c, M_EVICTED_SILENT, "no answer to pings");
	return true;
}

static void ping_if_due(struct conn *c, uint32_t now)
{
	const struct hubs *all = c->hub->all;
	if (now < c->ping_s || conn_is_deaf(c))
		return;
	c->ping_s = now + (uint32_t)(all->o.ping_interval_ms / 1000);
	struct mail *m = mail_new(MAIL_INSERT, c);
	m->at = MAIL_AT_HEAD;
	mail_part(m, shbuf_ref(all->ping));
	c->is_pinged = true;
	conn_insert(c, m);
}

void conn_tick(struct conn *c)
{
	const uint32_t now = c->hub->now_s;
	const bool is_unread = c->pause || c->waits & 1 << WAIT_READ;
	if (!is_past_deadline(c, now) && !is_output_stuck(c, now) && !is_reader_slow(c) && !is_frame_late(c, now, is_unread) &&
	    !is_budget_wait_over(c, now) && !is_silent(c, now, is_unread))
		ping_if_due(c, now);
	if (!c->is_dead)
		judge_large_frame(c, now, is_unread);
	/* Of what it sent last the room may have found out after its last turn of reading. */
	conn_pay(c);
}

void tick_begin(struct hub *h)
{
	h->budget_was_freed = false;
	h->slow_readers.n = h->slow_senders.n = 0;
}

void tick_end(struct hub *h)
{
	struct slow_list *l = &h->slow_senders;
	end_slow_readers(h);
	slow_sort(l);
	for (size_t i = 0; i < l->n && !h->budget_was_freed && is_foremost(h, true); i++)
		if (!l->v[i].c->is_dead && ws_in_reserved(&l->v[i].c->in))
			end_large_frame(l->v[i].c);
}
