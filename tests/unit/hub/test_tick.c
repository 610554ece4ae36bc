/* test_tick.c — deadlines of a connection (tick.c), called by hand with a clock of the test's own: each ends it for its own reason, and
 * pings. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hub/lists.h"

#define NOW 100000u

struct world {
	struct hubs hubs;
	struct hub *h;
	struct conn *c;
	int peer, closed;
};

static void on_closed(void *arg, struct conn *c)
{
	(void)c;
	((struct world *)arg)->closed++;
}

/* A connection in good order: subscribed, heard a second ago. */
static int come(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	w->hubs.count = w->hubs.o.threads = 1;
	w->hubs.o.ping_interval_ms = 30000;
	w->hubs.o.message_timeout_s = 20;
	w->hubs.o.insert_cap_bytes = 1 << 20;
	w->hubs.o.pending_cap_bytes = SIZE_MAX;
	w->hubs.o.large_cap_bytes = SIZE_MAX;
	w->hubs.o.ops = (struct hub_ops){ .closed = on_closed, .arg = w };
	w->hubs.ping = shbuf_copy("\x89", 2);
	for (int r = 0; r < HUB_RINGS; r++)
		w->hubs.rings[r] = bcast_new(1 << 16, 1);
	w->h = aligned_alloc(64, (sizeof(*w->h) + 63) / 64 * 64);
	memset(w->h, 0, sizeof(*w->h));
	w->h->all = &w->hubs;
	w->hubs.v = &w->h;
	w->h->now_s = NOW;
	int sv[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	w->peer = sv[1];
	struct taken t = { .fd = sv[0], .peer.ss_family = AF_INET };
	w->c = conn_new(w->h, &t);
	assert_non_null(w->c);
	list_add(w->h, w->c, LIST_RING_1);
	w->c->rx_s = NOW - 1;
	w->c->ping_s = NOW + 10;
	*state = w;
	return 0;
}

static int go(void **state)
{
	struct world *w = *state;
	conn_kill(w->c, M_LEFT_SHUTDOWN, "the test is over");
	assert_int_equal(w->closed, 1);
	free(w->c);
	close(w->peer);
	for (int r = 0; r < HUB_RINGS; r++)
		bcast_free(w->hubs.rings[r]);
	for (int l = 0; l < LISTS; l++)
		free(w->h->lists[l].v);
	shbuf_unref(w->hubs.ping);
	slow_fini(&w->h->slow_readers);
	slow_fini(&w->h->slow_senders);
	free(w->h);
	free(w);
	return 0;
}

/* Ticks once. The connection must be killed for this reason, or with `closes` be on its way out, counted once. */
static void assert_ends(struct world *w, enum metric why, bool closes)
{
	uint64_t before = metric_get(why);
	conn_tick(w->c);
	assert_int_equal(metric_get(why), before + 1);
	assert_int_equal(w->c->is_dead, !closes);
	assert_int_equal(w->c->is_closing, closes);
}

static void assert_stays(struct world *w)
{
	conn_tick(w->c);
	assert_false(w->c->is_dead || w->c->is_closing);
}

static void test_good_order(void **state)
{
	struct world *w = *state;
	assert_stays(w);
	assert_null(w->c->first);
	w->c->ping_s = NOW;
	assert_stays(w);
	assert_non_null(w->c->first);
	assert_ptr_equal(w->c->first->parts[0], w->hubs.ping);
	assert_int_equal(w->c->ping_s, NOW + 30);
}

static void test_join_deadline(void **state)
{
	struct world *w = *state;
	w->c->deadline_s = NOW + 1;
	assert_stays(w);
	w->c->deadline_s = NOW;
	w->c->pause = PAUSE_HELPER; /* the join is being worked on */
	assert_stays(w);
	w->c->pause = 0;
	assert_ends(w, M_EVICTED_JOIN_TIMEOUT, true);
}

static void test_close_deadline(void **state)
{
	struct world *w = *state;
	w->c->deadline_s = NOW;
	w->c->is_ending = true;
	assert_ends(w, M_LEFT_BROKEN, false);
}

static void test_stalled_output(void **state)
{
	struct world *w = *state;
	w->c->is_blocked = true;
	w->c->blocked_s = NOW - 29;
	assert_stays(w);
	w->c->blocked_s = NOW - 30;
	assert_ends(w, M_EVICTED_STALLED, false);
}

static void test_large_output(void **state)
{
	struct world *w = *state;
	struct shbuf *large = shbuf_new(SHBUF_LARGE);
	struct mail *m = mail_new(MAIL_INSERT, w->c);
	mail_part(m, large);
	conn_insert(w->c, m);
	w->c->is_blocked = true;
	w->c->blocked_s = NOW - 5;
	assert_stays(w); /* memory is not short */
	w->hubs.o.large_cap_bytes = SHBUF_LARGE;
	assert_ends(w, M_EVICTED_LARGE, false);
}

/* Somebody waits for just that memory: its readers that do not read go sooner. */
static void test_wanted_output(void **state)
{
	struct world *w = *state;
	shbuf_bound(8 * SHBUF_LARGE);
	const shbuf_owner person = shbuf_for(shbuf_owner_of(7, NULL), SHBUF_FILE);
	for (int i = 0; i < 300; i++) { /* small mail in front hides nothing */
		struct mail *small = mail_new(MAIL_INSERT, w->c);
		mail_part(small, frame_of("{}", 2));
		conn_insert(w->c, small);
	}
	struct mail *m = mail_new(MAIL_INSERT, w->c);
	mail_part(m, shbuf_new_spare(SHBUF_LARGE, person));
	conn_insert(w->c, m);
	w->c->is_blocked = true;
	w->c->blocked_s = NOW - 3;
	assert_stays(w);
	assert_false(shbuf_has_room(SHBUF_LARGE, person));
	w->c->blocked_s = NOW - 2;
	assert_stays(w);
	w->c->blocked_s = NOW - 3;
	assert_ends(w, M_EVICTED_LARGE, false);
	shbuf_bound(SIZE_MAX);
}

#define MB (1u << 20)

/* A second of it, as the hub has them. */
static void one_second(struct world *w, struct conn *other)
{
	w->h->now_s++;
	tick_begin(w->h);
	for (int i = 0; i < 2; i++) {
		struct conn *c = i ? other : w->c;
		if (!c || c->is_dead)
			continue;
		c->rx_s = w->h->now_s;
		if (c->is_blocked)
			c->blocked_s = w->h->now_s; /* a little went out */
		conn_tick(c);
	}
	tick_end(w->h);
}

/* 4 MB wait for it, all that this owner may have. */
static void wait_for_large(struct conn *c, shbuf_owner owner)
{
	struct mail *m = mail_new(MAIL_INSERT, c);
	mail_part(m, shbuf_new_spare(4 * MB, owner));
	conn_insert(c, m);
	c->is_blocked = true;
}

/* It reads all the time, but slowly, and so holds memory that its owner wants. */
static void test_slow_reader(void **state)
{
	struct world *w = *state;
	const shbuf_owner person = shbuf_for(shbuf_owner_of(11, NULL), SHBUF_FILE);
	shbuf_bound(32 * MB);
	wait_for_large(w->c, person);
	for (int s = 0; s < 20; s++) {
		w->c->first->sent += 1000;
		one_second(w, NULL); /* nobody wants it: it may be as slow as it likes */
	}
	for (int s = 0; s < 10; s++) { /* as fast as it must be, after a while */
		w->c->first->sent += 150000;
		if (s > 7)
			assert_false(shbuf_has_room(SHBUF_LARGE, person));
		one_second(w, NULL);
	}
	assert_false(w->c->is_dead);
	const uint64_t before = metric_get(M_EVICTED_LARGE);
	for (int s = 0; s < 20; s++) {
		w->c->first->sent += 20000;
		assert_false(shbuf_has_room(SHBUF_LARGE, person));
		one_second(w, NULL);
		if (w->c->is_dead)
			break;
	}
	assert_true(w->c->is_dead);
	assert_int_equal(metric_get(M_EVICTED_LARGE), before + 1);
	shbuf_bound(SIZE_MAX);
}

/* The helper or the room still owes it what comes first: the delay is the server's. */
static void test_reader_behind_a_hold(void **state)
{
	struct world *w = *state;
	const shbuf_owner person = shbuf_for(shbuf_owner_of(12, NULL), SHBUF_FILE);
	shbuf_bound(32 * MB);
	conn_insert(w->c, mail_new(MAIL_HOLD, w->c));
	wait_for_large(w->c, person);
	for (int s = 0; s < 20; s++) {
		assert_false(shbuf_has_room(SHBUF_LARGE, person));
		one_second(w, NULL);
	}
	assert_false(w->c->is_dead);
	shbuf_bound(SIZE_MAX);
}

/* Of two that are as slow, the one whose address has more waiting goes first. */
static void test_slow_readers_of_two_addresses(void **state)
{
	struct world *w = *state;
	const shbuf_owner person = shbuf_for(shbuf_owner_of(13, NULL), SHBUF_FILE);
	int sv[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	struct taken t = { .fd = sv[0] };
	struct sockaddr_in *in = (void *)&t.peer;
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(0x7f000002);
	struct conn *c = conn_new(w->h, &t);
	assert_non_null(c);
	list_add(w->h, c, LIST_RING_1);
	c->ping_s = NOW + 100;
	shbuf_bound(32 * MB);
	wait_for_large(w->c, person);
	wait_for_large(c, shbuf_for(shbuf_owner_of(14, NULL), SHBUF_FILE));
	holdings_add(&w->hubs.large, holder_address(c->in.owner), 1); /* another tab of it */
	assert_false(shbuf_has_room(SHBUF_LARGE, shbuf_for(shbuf_owner_of(14, NULL), SHBUF_FILE)));
	for (int s = 0; s < 4; s++) {
		w->c->first->sent += 20000;
		c->first->sent += 30000;
		assert_false(w->c->is_dead || c->is_dead);
		assert_false(shbuf_has_room(SHBUF_LARGE, person));
		one_second(w, c);
	}
	assert_true(c->is_dead);
	assert_false(w->c->is_dead);
	/* Another I/O thread has one whose address has still more. */
	struct hub *both[2] = { w->h, aligned_alloc(64, (sizeof(struct hub) + 63) / 64 * 64) };
	memset(both[1], 0, sizeof(*both[1]));
	both[1]->slow_readers.most = 5 * MB;
	w->hubs.v = both;
	w->hubs.count = 2;
	one_second(w, c);
	assert_false(w->c->is_dead);
	both[1]->slow_readers.most = 0;
	one_second(w, c);
	assert_true(w->c->is_dead);
	assert_int_equal(w->closed, 2);
	free(both[1]);
	w->hubs.count = 1;
	w->closed = 1; /* for the teardown */
	conn_free(c);
	close(sv[1]);
	shbuf_bound(SIZE_MAX);
}

/* Much of what is large waits for one connection that does not read, while that is short. */
static void test_glutton(void **state)
{
	struct world *w = *state;
	struct shbuf *large = shbuf_new(SHBUF_LARGE);
	w->hubs.o.large_cap_bytes = 4 * SHBUF_LARGE;
	w->c->is_blocked = true;
	w->c->blocked_s = NOW;
	for (int i = 0; i < 3; i++) { /* the same one, so that nothing is short */
		struct mail *m = mail_new(MAIL_INSERT, w->c);
		mail_part(m, shbuf_ref(large));
		conn_insert(w->c, m);
	}
	assert_stays(w);
	struct shbuf *others = shbuf_new(3 * SHBUF_LARGE);
	struct mail *m = mail_new(MAIL_INSERT, w->c);
	mail_part(m, large);
	conn_insert(w->c, m);
	assert_true(w->c->is_dead);
	assert_int_equal(w->c->large_bytes, 0);
	shbuf_unref(others);
}

static void test_hoard(void **state)
{
	struct world *w = *state;
	struct mail *m = mail_new(MAIL_INSERT, w->c);
	mail_part(m, shbuf_copy("private", 7));
	conn_insert(w->c, m);
	w->h->insert_bytes += 10; /* of others */
	w->hubs.o.pending_cap_bytes = 8;
	assert_stays(w); /* it reads */
	w->c->is_blocked = true;
	w->c->blocked_s = NOW;
	w->c->insert_bytes += 11; /* more than the mean of one connection */
	w->h->insert_bytes += 11;
	w->h->lists[LIST_NEW].n = 1; /* another one */
	assert_ends(w, M_EVICTED_PENDING, false);
	w->h->lists[LIST_NEW].n = 0;
}

static void test_unfinished_message(void **state)
{
	struct world *w = *state;
	w->c->in.in_message = 1;
	assert_stays(w);
	assert_int_equal(w->c->frame_s, NOW); /* since when */
	w->c->frame_s = NOW - 21;
	w->c->pause = PAUSE_HELPER; /* the delay is ours */
	assert_stays(w);
	w->c->pause = 0;
	w->hubs.o.message_timeout_s = 0;
	assert_stays(w);
	w->hubs.o.message_timeout_s = 20;
	assert_ends(w, M_EVICTED_UNFINISHED, true);
}

static void test_late_large_message(void **state)
{
	struct world *w = *state;
	w->c->in.in_message = w->c->in.is_oversize = 1;
	w->c->frame_s = NOW - 900;
	assert_stays(w);
	w->c->rx_s = NOW - 31;
	assert_ends(w, M_EVICTED_LATE, false);
}

static void test_budget(void **state)
{
	struct world *w = *state;
	w->c->pause = PAUSE_BUDGET;
	w->h->budget_waiters = 1;
	w->c->budget_s = NOW - 16;
	w->h->budget_was_freed = true; /* one connection a second */
	assert_stays(w);
	w->h->budget_was_freed = false;
	assert_ends(w, M_EVICTED_BUDGET, true);
	assert_true(w->h->budget_was_freed);
	assert_int_equal(w->h->budget_waiters, 0);
}

/* A megabyte of a large message is on its way. */
static void begin_large(struct world *w, struct ws_budget *b)
{
	w->hubs.o.limits.budget = b;
	w->c->in.in_message = 1;
	w->c->in.msg = xmalloc(MB);
	w->c->in.msg_room = MB;
	w->c->in.msg_len = 1000;
	ws_budget_add(b, (struct ws_share){ MB, w->c->in.owner });
	for (int s = 0; s < 20; s++)
		one_second(w, NULL); /* it hardly comes on, but nobody waits */
	assert_false(w->c->is_dead || w->c->is_closing);
}

static void assert_made_room(const struct world *w, const struct ws_budget *b, uint64_t before)
{
	assert_true(w->c->is_closing);
	assert_int_equal(metric_get(M_EVICTED_BUDGET), before + 1);
	assert_false(ws_in_reserved(&w->c->in));
	assert_true(b->used_bytes % MB == 0);
}

/* A large message comes slowly, and somebody waits for the budget that it takes. */
static void test_slow_sender(void **state)
{
	static struct ws_budget budget = { .cap_bytes = 8 * MB };
	const uint64_t before = metric_get(M_EVICTED_BUDGET);
	struct world *w = *state;
	begin_large(w, &budget);
	for (int s = 0; s < 10; s++) {
		w->c->in.msg_len += 2 * 4096;
		one_second(w, NULL);
	}
	ws_budget_want(&budget, &(struct ws_in){ .owner = holder_of(7, NULL) }, mono_ms());
	one_second(w, NULL);
	assert_false(w->c->is_closing); /* slow, but it comes */
	for (int s = 0; s < 10; s++) {
		w->c->in.msg_len++;
		one_second(w, NULL);
	}
	assert_made_room(w, &budget, before);
}

/* The same pace is too slow for a message that would take longer than one may. */
static void test_sender_too_slow_for_its_message(void **state)
{
	static struct ws_budget budget = { .cap_bytes = 64 * MB };
	const uint64_t before = metric_get(M_EVICTED_BUDGET);
	struct world *w = *state;
	begin_large(w, &budget);
	w->c->in.remaining = 32 * MB;
	for (int s = 0; s < 10; s++) {
		w->c->in.msg_len += 2 * 4096;
		one_second(w, NULL);
	}
	assert_false(w->c->is_closing);
	ws_budget_want(&budget, &(struct ws_in){ .owner = holder_of(7, NULL) }, mono_ms());
	one_second(w, NULL);
	assert_made_room(w, &budget, before);
}

/* However fast it comes: its address has more than its share, and somebody else waits for one. */
static void test_sender_over_its_share(void **state)
{
	static struct ws_budget budget = { .cap_bytes = 8 * MB };
	const uint64_t before = metric_get(M_EVICTED_BUDGET);
	struct world *w = *state;
	begin_large(w, &budget);
	const struct ws_share others = { 3 * MB, holder_address(w->c->in.owner) };
	ws_budget_add(&budget, others);
	for (int s = 0; s < 8; s++) {
		w->c->in.msg_len += 100000;
		ws_budget_want(&budget, &(struct ws_in){ .owner = others.owner },
		               mono_ms()); /* of the same address: nothing is owed to that one */
		one_second(w, NULL);
	}
	assert_false(w->c->is_closing);
	assert_true(ws_budget_moves(&budget, mono_ms()));
	ws_budget_want(&budget, &(struct ws_in){ .owner = holder_of(7, NULL) }, mono_ms());
	w->c->in.msg_len += 100000;
	one_second(w, NULL);
	assert_made_room(w, &budget, before);
	ws_budget_give(&budget, others);
	assert_int_equal(budget.used_bytes, 0);
}

/* A reader that waits for a share of its own waits longer: others do not make room for it. */
static void test_waiting_for_a_share(void **state)
{
	static struct ws_budget budget = { .cap_bytes = 8 * MB };
	struct world *w = *state;
	w->hubs.o.limits.budget = &budget;
	ws_budget_add(&budget, (struct ws_share){ 3 * MB, w->c->in.owner });
	w->c->pause = PAUSE_BUDGET;
	w->h->budget_waiters = 1;
	w->c->budget_s = NOW - 15;
	assert_stays(w);
	ws_budget_move(&budget, mono_ms()); /* another one gets on */
	w->c->budget_s = NOW - 60;
	assert_stays(w);
	budget.moved_ms = 0; /* they all wait for each other */
	w->c->budget_s = NOW - 15;
	assert_stays(w);
	assert_true(ws_budget_is_wanted(&budget, mono_ms()));
	assert_false(ws_budget_is_owed(&budget, mono_ms()));
	w->c->budget_s = NOW - 16;
	assert_ends(w, M_EVICTED_BUDGET, true);
}

static void test_silence(void **state)
{
	struct world *w = *state;
	w->c->rx_s = NOW - 60;
	conn_mark_ready(w->c); /* bytes may have come that were not looked at */
	assert_stays(w);
	assert_ptr_equal(queue_take(w->h, QUEUE_READ), w->c);
	assert_ends(w, M_EVICTED_SILENT, false);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, come, go)
	const struct CMUnitTest tests[] = {
		ROW(test_good_order),
		ROW(test_join_deadline),
		ROW(test_close_deadline),
		ROW(test_stalled_output),
		ROW(test_large_output),
		ROW(test_wanted_output),
		ROW(test_slow_reader),
		ROW(test_reader_behind_a_hold),
		ROW(test_slow_readers_of_two_addresses),
		ROW(test_glutton),
		ROW(test_hoard),
		ROW(test_unfinished_message),
		ROW(test_late_large_message),
		ROW(test_budget),
		ROW(test_slow_sender),
		ROW(test_sender_too_slow_for_its_message),
		ROW(test_sender_over_its_share),
		ROW(test_waiting_for_a_share),
		ROW(test_silence),
	};
	wc_thread_is(ROLE_IO, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
