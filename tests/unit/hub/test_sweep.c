/* Rounds over a hub's connections (sweep.c), called by hand: who is visited, and in which order. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hub/lists.h"

static struct hub *hub_make(struct hubs *all)
{
	struct hub *h = aligned_alloc(64, (sizeof(*h) + 63) / 64 * 64);
	memset(h, 0, sizeof(*h));
	h->all = all;
	return h;
}

/* People come and go while a round is left off: whoever was there when it went on is visited exactly once, wherever it stood. */
static void test_round_outlives_removals(void **state)
{
	(void)state;
	struct hub *h = hub_make(NULL);
	struct conn *all = xcalloc(200, sizeof(*all));
	bool is_in[200] = { 0 }, was_visited[200] = { 0 };
	struct list *l = &h->lists[0];
	srandom(7);
	for (int step = 0; step < 200000; step++) {
		int i = (int)(random() % (step / 100 % 2 ? 200 : 12)); /* many, and so few that the list empties */
		switch (random() % 3) {
		case 0:
			if (!is_in[i]) {
				list_add(h, &all[i], 0);
				is_in[i] = true;
				was_visited[i] = false;
			}
			break;
		case 1:
			if (is_in[i])
				list_remove(h, &all[i]);
			is_in[i] = false;
			break;
		default: /* a visit, as sweep makes it */
			if (l->at < l->n) {
				long k = l->v[l->at++] - all;
				assert_false(was_visited[k]);
				was_visited[k] = true;
			} else {
				l->at = 0;
				memset(was_visited, 0, sizeof(was_visited));
			}
		}
		uint32_t n = 0;
		for (int k = 0; k < 200; k++) {
			n += is_in[k];
			if (!is_in[k])
				continue;
			assert_true(all[k].slot < l->n && l->v[all[k].slot] == &all[k]);
			assert_int_equal(all[k].slot < l->at, was_visited[k]);
		}
		assert_int_equal(n, l->n);
	}
	free(l->v);
	free(all);
	free(h);
}

#define CROWD 4000
#define FRONT 160 /* sweep.c has 256, in slices */
#define REST 400

/* A socket that takes whatever is sent to it. */
static int sink(int *receiver)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	*receiver = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(*receiver, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(*receiver, (struct sockaddr *)&a, &len), 0);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, len), 0);
	return fd;
}

static void say(struct hub *h)
{
	for (int r = 0; r < HUB_RINGS; r++) {
		memcpy(bcast_reserve(h->all->rings[r], 10), "0123456789", 10);
		bcast_commit(h->all->rings[r], 10);
		bcast_release(h->all->rings[r]);
		h->heads[r] = bcast_head(h->all->rings[r]);
	}
}

struct crowd {
	struct hubs hubs;
	struct hub *h;
	struct conn *v;
	int fd, receiver;
};

/* A crowd so large that no turn serves it. ring_of: of the i-th to come. */
static void crowd_come(struct crowd *w, int (*ring_of)(int i))
{
	w->hubs.count = 1;
	w->h = hub_make(&w->hubs);
	w->v = xcalloc(CROWD, sizeof(*w->v));
	w->fd = sink(&w->receiver);
	for (int r = 0; r < HUB_RINGS; r++)
		w->hubs.rings[r] = bcast_new(1 << 20, 1);
	for (int i = 0; i < CROWD; i++) {
		w->v[i].io.fd = w->fd;
		w->v[i].hub = w->h;
		list_add(w->h, &w->v[i], ring_of(i));
		w->v[i].serial = w->h->subscribed++;
	}
}

static void crowd_go(struct crowd *w)
{
	for (int r = 0; r < HUB_RINGS; r++) {
		free(w->h->lists[r].v);
		bcast_free(w->hubs.rings[r]);
	}
	close(w->fd);
	close(w->receiver);
	free(w->v);
	free(w->h);
}

static int by_chance(int i)
{
	(void)i;
	return random() % 3 == 0;
}

static int second_half(int i)
{
	return i >= CROWD / 2;
}

/* What is new goes to those who have been there longest, on either ring, though a round that is left off goes on behind them; and rounds
 * end, with everybody served up to where they began. */
static void test_front_does_not_wait_for_the_crowd(void **state)
{
	(void)state;
	struct crowd w = { 0 };
	int left_off = 0, ended = 0;
	srandom(5);
	crowd_come(&w, by_chance);
	struct hub *h = w.h;
	struct conn *all = w.v;
	for (int step = 0; step < 3000; step++) {
		uint64_t swept[HUB_RINGS];
		memcpy(swept, h->swept, sizeof(swept));
		if (step % 3 == 0) {
			say(h);
			h->front_us = 10000000; /* time is not what is tested here */
		}
		hub_sweep(h);
		/* All but who is reached within the turn's time for a new round: the oldest are never behind somebody younger. */
		uint64_t least = UINT64_MAX;
		for (int i = 0; i < CROWD; i++) {
			if (i < FRONT)
				least = WC_MIN(least, all[i].cursor);
			else if (i >= REST)
				assert_true(all[i].cursor <= least);
		}
		for (int r = 0; r < HUB_RINGS; r++) {
			left_off += h->lists[r].is_in_round;
			if (h->swept[r] == swept[r])
				continue;
			ended++;
			for (int i = 0; i < CROWD; i++)
				assert_true(all[i].list != r || all[i].cursor >= h->swept[r]);
		}
	}
	assert_true(left_off > 0);
	assert_true(ended > 0);
	crowd_go(&w);
}

/* The younger crowd on one ring has its rounds as the older on the other, also where something is said in every turn, and while people
 * leave: then the lists stay in the order of rank. */
static void test_no_ring_shuts_out_the_other(void **state)
{
	(void)state;
	struct crowd w = { 0 };
	int ended[HUB_RINGS] = { 0 };
	srandom(6);
	crowd_come(&w, second_half);
	for (int step = 0; step < 2000; step++) {
		uint64_t swept[HUB_RINGS];
		memcpy(swept, w.h->swept, sizeof(swept));
		say(w.h);
		hub_sweep(w.h);
		for (int r = 0; r < HUB_RINGS; r++) {
			struct list *l = &w.h->lists[r];
			ended[r] += w.h->swept[r] != swept[r];
			for (uint32_t i = 1; step % 50 == 0 && i < l->at; i++)
				assert_true(l->v[i - 1]->serial < l->v[i]->serial);
			if (l->n > CROWD / 4)
				list_remove(w.h, l->v[(unsigned long)random() % l->n]);
		}
	}
	assert_true(ended[0] > 3);
	assert_true(ended[1] > 3);
	assert_true(abs(ended[0] - ended[1]) <= 1);
	crowd_go(&w);
}

/* Input: who is in, and who is at the door, wait in two queues, each first come, first served, and nobody twice. */
static void test_queues(void **state)
{
	(void)state;
	struct hub *h = hub_make(NULL);
	struct conn v[6] = { 0 };
	for (int i = 0; i < 6; i++) {
		v[i].hub = h;
		v[i].list = i % 2 ? LIST_NEW : LIST_RING_1;
	}
	v[4].is_dead = true;
	for (int twice = 0; twice < 2; twice++)
		for (int i = 0; i < 6; i++) {
			conn_mark_ready(&v[i]);
			conn_mark_dirty(&v[5 - i]);
		}
	conn_mark_behind(&v[2]);
	assert_ptr_equal(queue_take(h, QUEUE_READ), &v[0]);
	v[2].list = LIST_NEW; /* it stays where it is */
	conn_mark_ready(&v[2]);
	assert_ptr_equal(queue_take(h, QUEUE_READ), &v[2]);
	assert_null(queue_take(h, QUEUE_READ));
	for (int i = 1; i < 6; i += 2)
		assert_ptr_equal(queue_take(h, QUEUE_READ_NEW), &v[i]);
	assert_null(queue_take(h, QUEUE_READ_NEW));
	static const int order[] = { 5, 3, 2, 1, 0 };
	for (int i = 0; i < 5; i++)
		assert_ptr_equal(queue_take(h, QUEUE_FLUSH), &v[order[i]]);
	assert_null(queue_take(h, QUEUE_FLUSH));
	conn_mark_dirty(&v[2]); /* has its turn already */
	assert_null(queue_take(h, QUEUE_FLUSH));
	assert_true(conn_is_behind(&v[2]));
	assert_ptr_equal(queue_take(h, QUEUE_FLUSH_MUCH), &v[2]);
	assert_false(conn_is_behind(&v[2]));
	for (int i = 0; i < 6; i++)
		assert_int_equal(v[i].waits, 0);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_outlives_removals),
		cmocka_unit_test(test_front_does_not_wait_for_the_crowd),
		cmocka_unit_test(test_no_ring_shuts_out_the_other),
		cmocka_unit_test(test_queues),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
