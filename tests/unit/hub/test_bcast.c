/* The broadcast log: bounds, wrapping, and a writer racing sweeping readers. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hub/bcast.h"

#define SIZE 65536

static void fill(uint8_t *to, size_t len, uint64_t pos)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)((pos + i) * 167 >> 3);
}

static bool is_filled(const uint8_t *p, size_t len, uint64_t pos)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != (uint8_t)((pos + i) * 167 >> 3))
			return false;
	return true;
}

static void test_half_a_ring_ahead(void **state)
{
	(void)state;
	struct bcast *b = bcast_new(SIZE, 2);
	size_t written = 0;
	while (bcast_reserve(b, 1000)) {
		bcast_commit(b, 1000);
		written += 1000;
	}
	assert_in_range(written, SIZE / 2 - 1000, SIZE / 2);
	assert_int_equal(bcast_head(b), 0); /* nothing is seen before the release */
	assert_true(bcast_release(b));
	assert_false(bcast_release(b));
	assert_int_equal(bcast_head(b), written);
	bcast_swept(b, 0, written);
	assert_null(bcast_reserve(b, 1000)); /* the slowest reader counts */
	bcast_swept(b, 1, written);
	assert_non_null(bcast_reserve(b, 1000));
	bcast_free(b);
}

static void test_contiguous_across_the_end(void **state)
{
	(void)state;
	struct bcast *b = bcast_new(SIZE, 1);
	for (int i = 0; i < 1000; i++) {
		size_t len = 1 + (size_t)(rand() % 8000);
		uint8_t *to = bcast_reserve(b, len);
		assert_non_null(to);
		uint64_t pos = bcast_tail(b);
		fill(to, len, pos);
		assert_int_equal(bcast_commit(b, len), pos);
		bcast_release(b);
		assert_true(is_filled(bcast_at(b, pos), len, pos));
		/* What is within half a ring of the head is still whole. */
		uint64_t from = pos > bcast_lag_max(b) ? pos - bcast_lag_max(b) : 0;
		assert_true(is_filled(bcast_at(b, from), (size_t)(pos + len - from), from));
		bcast_swept(b, 0, bcast_head(b));
	}
	bcast_free(b);
}

#define READERS 3
#define TOTAL (8u * 1024 * 1024)

struct reader {
	struct bcast *b;
	int number;
	bool is_ok;
};

/* Sweeps like an I/O thread with one cursor that lags as far as it may. */
static void *reader_main(void *arg)
{
	struct reader *r = arg;
	uint64_t cursor = 0, seen = 0;
	unsigned seed = (unsigned)r->number + 1;
	r->is_ok = true;
	while (cursor < TOTAL) {
		uint64_t head = bcast_head(r->b);
		if (head == seen && cursor == head) {
			sched_yield();
			continue;
		}
		seen = head;
		uint64_t to = rand_r(&seed) % 3 || head == TOTAL ? head : cursor;
		if (head - to > bcast_lag_max(r->b))
			to = head;
		r->is_ok &= is_filled(bcast_at(r->b, cursor), (size_t)WC_MIN(to - cursor, 4096), cursor);
		cursor = to;
		bcast_swept(r->b, r->number, head);
	}
	return NULL;
}

static void test_race(void **state)
{
	(void)state;
	struct bcast *b = bcast_new(SIZE, READERS);
	struct reader r[READERS];
	pthread_t t[READERS];
	for (int i = 0; i < READERS; i++) {
		r[i] = (struct reader){ b, i, false };
		assert_int_equal(pthread_create(&t[i], NULL, reader_main, &r[i]), 0);
	}
	while (bcast_tail(b) < TOTAL) {
		size_t len = WC_MIN((size_t)(1 + rand() % 8192), (size_t)(TOTAL - bcast_tail(b)));
		uint8_t *to;
		while (!(to = bcast_reserve(b, len))) {
			bcast_release(b);
			bcast_wait(b, len, 100);
		}
		fill(to, len, bcast_tail(b));
		bcast_commit(b, len);
		if (rand() % 4 == 0)
			bcast_release(b);
	}
	bcast_release(b);
	for (int i = 0; i < READERS; i++) {
		pthread_join(t[i], NULL);
		assert_true(r[i].is_ok);
	}
	bcast_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_a_ring_ahead),
		cmocka_unit_test(test_contiguous_across_the_end),
		cmocka_unit_test(test_race),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
