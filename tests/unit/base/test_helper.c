/* test_helper.c — jobs run once or are dropped: kinds that do not wait for each other, turns, moot jobs, and the end. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/helper.h"

static int open_none(struct store *store, struct store_reader **out)
{
	(void)store;
	*out = NULL;
	return 0;
}

static void close_none(struct store_reader *r)
{
	(void)r;
}

static struct helpers *start(int threads)
{
	char *cause = NULL;
	struct helpers *hs = helpers_start(&(struct helpers_opts){ .threads = threads, .open = open_none, .close = close_none }, &cause);
	assert_non_null(hs);
	return hs;
}

struct work {
	sem_t *starts, *may_end; /* NULL: it waits for nothing */
	_Atomic int *clock;
	int at; /* its place among what ran */
	bool is_dropped, is_moot;
};

static void run(void *arg, struct store_reader *r)
{
	struct work *w = arg;
	(void)r;
	if (w->starts)
		sem_post(w->starts);
	if (w->may_end)
		sem_wait(w->may_end);
	w->at = atomic_fetch_add(w->clock, 1) + 1;
}

static void drop(void *arg)
{
	struct work *w = arg;
	w->is_dropped = true;
	atomic_fetch_add(w->clock, 1);
}

static bool is_moot(const void *arg)
{
	return ((const struct work *)arg)->is_moot;
}

static void submit_for(struct helpers *hs, enum job_kind kind, const struct rota_owner *owner, struct work *w)
{
	helpers_submit(hs, &(struct job){ .kind = kind, .owner = *owner, .run = run, .arg = w, .drop = drop, .is_moot = is_moot });
}

static void submit(struct helpers *hs, enum job_kind kind, uint64_t person, struct work *w)
{
	submit_for(hs, kind, &(struct rota_owner){ .addr = { 10 }, .person = person }, w);
}

static void no_kind_waits_for_another(void **state)
{
	(void)state;
	struct helpers *hs = start(0);
	_Atomic int clock = 0;
	sem_t may_end[JOB_KINDS], done;
	sem_init(&done, 0, 0);
	struct work slow[JOB_KINDS][64], quick[JOB_KINDS][JOB_KINDS];
	for (int stuck = 0; stuck < JOB_KINDS; stuck++) {
		sem_init(&may_end[stuck], 0, 0);
		for (size_t i = 0; i < WC_LEN(slow[0]); i++) {
			slow[stuck][i] = (struct work){ .may_end = &may_end[stuck], .clock = &clock };
			submit(hs, (enum job_kind)stuck, i, &slow[stuck][i]);
		}
		for (int kind = 0; kind < JOB_KINDS; kind++) {
			if (kind == stuck)
				continue;
			quick[stuck][kind] = (struct work){ .starts = &done, .clock = &clock };
			submit(hs, (enum job_kind)kind, 1, &quick[stuck][kind]);
			sem_wait(&done); /* for ever, if it waited for the others */
		}
		for (size_t i = 0; i < WC_LEN(slow[0]); i++)
			sem_post(&may_end[stuck]);
	}
	helpers_stop(hs, 60000);
	assert_int_equal(atomic_load(&clock), JOB_KINDS * (64 + JOB_KINDS - 1));
	for (int k = 0; k < JOB_KINDS; k++)
		sem_destroy(&may_end[k]);
	sem_destroy(&done);
}

static void people_take_turns(void **state)
{
	(void)state;
	struct helpers *hs = start(1);
	_Atomic int clock = 0;
	sem_t starts, may_end;
	sem_init(&starts, 0, 0);
	sem_init(&may_end, 0, 0);
	struct work first = { .starts = &starts, .may_end = &may_end, .clock = &clock }, many[100], one = { .clock = &clock };
	submit(hs, JOB_PAGE, 7, &first);
	sem_wait(&starts);
	for (size_t i = 0; i < WC_LEN(many); i++) {
		many[i] = (struct work){ .clock = &clock };
		submit(hs, JOB_PAGE, 7, &many[i]);
	}
	submit(hs, JOB_PAGE, 8, &one);
	sem_post(&may_end);
	helpers_stop(hs, 60000);
	assert_int_equal(one.at, 3);
	assert_int_equal(many[99].at, 102);
	sem_destroy(&starts);
	sem_destroy(&may_end);
}

static void moot_jobs_are_dropped(void **state)
{
	(void)state;
	struct helpers *hs = start(0);
	_Atomic int clock = 0;
	struct work moot = { .clock = &clock, .is_moot = true }, wanted = { .clock = &clock };
	submit(hs, JOB_JOIN, 7, &moot);
	submit(hs, JOB_JOIN, 7, &wanted);
	helpers_stop(hs, 60000);
	assert_true(moot.is_dropped);
	assert_int_equal(moot.at, 0);
	assert_false(wanted.is_dropped);
	assert_true(wanted.at > 0);
}

static void run_slowly(void *arg, struct store_reader *r)
{
	usleep(10000);
	run(arg, r);
}

static void the_end_waits_for_no_queue(void **state)
{
	(void)state;
	struct helpers *hs = start(1);
	_Atomic int clock = 0;
	static struct work many[2000]; /* 20 s, if the end waited for them */
	for (size_t i = 0; i < WC_LEN(many); i++) {
		many[i] = (struct work){ .clock = &clock };
		helpers_submit(hs,
		               &(struct job){ .kind = (enum job_kind)(i % JOB_KINDS), .run = run_slowly, .arg = &many[i], .drop = drop });
	}
	struct work sure = { .clock = &clock };
	helpers_submit(hs, &(struct job){ .kind = JOB_UPKEEP, .run = run, .arg = &sure });
	helpers_stop(hs, 0);
	size_t dropped = 0;
	for (size_t i = 0; i < WC_LEN(many); i++) {
		assert_true(many[i].is_dropped != (many[i].at > 0)); /* one or the other, once */
		dropped += many[i].is_dropped;
	}
	assert_true(dropped > WC_LEN(many) / 2);
	assert_true(sure.at > 0);
}

static void a_network_has_its_own_bound(void **state)
{
	(void)state;
	struct helpers *hs = start(1);
	_Atomic int clock = 0;
	sem_t starts, may_end;
	sem_init(&starts, 0, 0);
	sem_init(&may_end, 0, 0);
	struct work first = { .starts = &starts, .may_end = &may_end, .clock = &clock }, many = { .clock = &clock };
	struct rota_owner busy = { .addr = { 0x20, 1, 0x0d, 0xb8, 0, 7 } };
	const struct rota_owner other = { .addr = { 0x20, 1, 0x0d, 0xb8, 0, 8 } };
	submit(hs, JOB_LOOK_UP, 7, &first);
	sem_wait(&starts);
	int n = 0;
	while (!helpers_are_full(hs, JOB_LOOK_UP, &busy)) {
		submit_for(hs, JOB_LOOK_UP, &busy, &many);
		assert_true(++n < 8000);
		busy.addr[7] = (uint8_t)n; /* a /64 of its own each, all of one /48 */
		busy.person = (uint64_t)n;
	}
	assert_false(helpers_are_full(hs, JOB_LOOK_UP, &other));
	assert_false(helpers_are_full(hs, JOB_PAGE, &busy));
	sem_post(&may_end);
	helpers_stop(hs, 60000);
	sem_destroy(&starts);
	sem_destroy(&may_end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_kind_waits_for_another),   cmocka_unit_test(people_take_turns),
		cmocka_unit_test(moot_jobs_are_dropped),       cmocka_unit_test(the_end_waits_for_no_queue),
		cmocka_unit_test(a_network_has_its_own_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
