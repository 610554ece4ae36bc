/* Buckets: what passes at once and over time, what comes of ignoring a refusal; and the same by address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/iprate.h"
#include "state/pace.h"

#define SECOND 1000000

/* 5 a second after 60 at once; 1 MB/s after 10 MB. */
static const struct pace_limits limits = {
	.message = { SECOND / 5, 59 * SECOND / 5 },
	.request = { SECOND / 20, 199 * SECOND / 20 },
	.typing = { SECOND / 2, 5 * SECOND / 2 },
	.bytes_per_s = 1024 * 1024,
	.bytes_ahead_us = 10 * SECOND - 1,
	.mute_us = 30 * SECOND,
};

static int pass(struct pace *p, int64_t now_us, int n, uint64_t bytes)
{
	int passed = 0;
	int64_t wait_us;
	for (int i = 0; i < n; i++)
		passed += pace_check(p, &limits, now_us, PACE_MESSAGE, bytes, 0, &wait_us) == PACE_PASS;
	return passed;
}

static void test_burst_and_rate(void **state)
{
	(void)state;
	struct pace p = { 0 };
	int64_t now = 1000 * SECOND, wait_us;
	assert_int_equal(pass(&p, now, 100, 10), 60);
	assert_int_equal(pace_check(&p, &limits, now, PACE_MESSAGE, 10, 0, &wait_us), PACE_WAIT);
	assert_int_equal(wait_us, SECOND / 5);
	assert_int_equal(pass(&p, now + wait_us - 1, 1, 10), 0);
	assert_int_equal(pass(&p, now + wait_us, 2, 10), 1);
	assert_int_equal(pass(&p, now + 10 * SECOND, 100, 10), 49);   /* one was spent meanwhile */
	assert_int_equal(pass(&p, now + 1000 * SECOND, 100, 10), 60); /* full again, and not fuller */
}

/* A person who waits as told, for ever, is never muted: one refusal for each message. */
static void test_who_waits_is_never_muted(void **state)
{
	(void)state;
	struct pace p = { 0 };
	int64_t now = SECOND, wait_us;
	int passed = 0;
	while (passed < 2000) {
		enum pace_verdict verdict = pace_check(&p, &limits, now, PACE_MESSAGE, 10, 0, &wait_us);
		assert_true(verdict == PACE_PASS || verdict == PACE_WAIT);
		passed += verdict == PACE_PASS;
		now += verdict == PACE_PASS ? 1000 : wait_us;
	}
}

static void test_flood_is_muted_then_closed(void **state)
{
	(void)state;
	struct pace p = { 0 };
	int64_t now = SECOND, wait_us;
	int seen[PACE_CLOSE + 1] = { 0 };
	while (!seen[PACE_CLOSE])
		seen[pace_check(&p, &limits, now, PACE_MESSAGE, 10, 0, &wait_us)]++;
	assert_int_equal(seen[PACE_PASS], 60);
	assert_int_equal(seen[PACE_WAIT], PACE_STRIKES);
	assert_int_equal(seen[PACE_MUTED], PACE_STRIKES);
	assert_int_equal(wait_us, limits.mute_us);
	assert_int_equal(pace_check(&p, &limits, now, PACE_MESSAGE, 10, 0, &wait_us), PACE_MUTED); /* on another connection */
	/* Requests are another matter, and so is the time after. */
	assert_int_equal(pace_check(&p, &limits, now, PACE_REQUEST, 0, 0, &wait_us), PACE_PASS);
	assert_int_equal(pass(&p, now + 29 * SECOND, 1, 10), 0);
	assert_int_equal(pass(&p, now + 100 * SECOND, 100, 10), 60);
	assert_int_equal(pace_check(&p, &limits, now + 100 * SECOND, PACE_MESSAGE, 10, 0, &wait_us), PACE_WAIT);
}

static void test_without_a_mute(void **state)
{
	(void)state;
	struct pace_limits mild = limits;
	struct pace p = { 0 };
	int64_t wait_us;
	mild.mute_us = 0;
	for (int i = 0; i < 5000; i++)
		assert_int_equal(pace_check(&p, &mild, SECOND, PACE_MESSAGE, 10, 0, &wait_us), i < 60 ? PACE_PASS : PACE_WAIT);
}

static void test_bytes(void **state)
{
	(void)state;
	struct pace p = { 0 };
	const int64_t now = SECOND;
	int64_t wait_us;
	/* The last of a burst may be larger than what is left of it, even than all of it, and is paid for afterwards. */
	assert_int_equal(pass(&p, now, 20, 3 << 20), 4);
	assert_int_equal(pace_check(&p, &limits, now, PACE_MESSAGE, 1, 0, &wait_us), PACE_WAIT);
	assert_int_equal(wait_us, 2 * SECOND + 1);
	p = (struct pace){ 0 };
	assert_int_equal(pass(&p, now, 2, 1000 << 20), 1);
	assert_int_equal(pass(&p, now + 980 * SECOND, 1, 1), 0);
	assert_int_equal(pass(&p, now + 991 * SECOND, 1, 1), 1);
	/* Large files wear patience out sooner: 8 of 25 MB. */
	p = (struct pace){ 0 };
	assert_int_equal(pass(&p, now, 1, 1000 << 20), 1);
	int waits = 0;
	while (pace_check(&p, &limits, now, PACE_MESSAGE, 25 << 20, 0, &wait_us) == PACE_WAIT)
		waits++;
	assert_int_equal(waits, PACE_STRIKES / 26);
}

static void test_a_repeat_costs_nothing(void **state)
{
	(void)state;
	struct pace p = { 0 };
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(pass(&p, SECOND, 1, 1 << 20), 1);
		pace_give_back(&p, &limits, 1 << 20);
	}
	assert_int_equal(pass(&p, SECOND, 100, 10), 60);
}

static void test_no_limits(void **state)
{
	(void)state;
	const struct pace_limits none = { 0 };
	struct pace p = { 0 };
	int64_t wait_us;
	for (int i = 0; i < 100000; i++) {
		assert_int_equal(pace_check(&p, &none, SECOND, PACE_MESSAGE, 1 << 30, 0, &wait_us), PACE_PASS);
		assert_int_equal(pace_check(&p, &none, SECOND, PACE_REQUEST, 0, 0, &wait_us), PACE_PASS);
		assert_true(pace_typing(&p, &none, SECOND));
	}
}

static void test_typing(void **state)
{
	(void)state;
	struct pace p = { 0 };
	int passed = 0;
	for (int ms = 0; ms < 10000; ms += 10)
		passed += pace_typing(&p, &limits, SECOND + ms * 1000);
	assert_in_range(passed, 25, 26); /* 6 at once, then 2 a second */
}

static void test_by_address(void **state)
{
	(void)state;
	struct iprate *t = iprate_new();
	uint8_t v4[16] = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 }, v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
	const int64_t now = SECOND, cost = SECOND, ahead = 9 * SECOND;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(iprate_wait(t, v4, now, ahead), 0);
		iprate_add(t, v4, now, cost);
		iprate_add(t, v6, now, cost);
	}
	assert_int_equal(iprate_wait(t, v4, now, ahead), SECOND);
	assert_int_equal(iprate_wait(t, v4, now + SECOND, ahead), 0);
	v4[15] = 2; /* a neighbour is somebody else … */
	assert_int_equal(iprate_wait(t, v4, now, ahead), 0);
	v6[15] = 2; /* … but not within one /64 */
	assert_int_equal(iprate_wait(t, v6, now, ahead), SECOND);
	v6[7] = 1;
	assert_int_equal(iprate_wait(t, v6, now, ahead), 0);
	/* A customer with a /48 has 65,536 of these, and four times what one of them may do. */
	for (int i = 0; i < 27; i++) {
		v6[6] = (uint8_t)(1 + i);
		assert_int_equal(iprate_wait(t, v6, now, ahead), 0);
		iprate_add(t, v6, now, cost);
	}
	v6[6] = 99;
	assert_int_equal(iprate_wait(t, v6, now, ahead), SECOND / 4);
	v6[5] = 1; /* another customer */
	assert_int_equal(iprate_wait(t, v6, now, ahead), 0);
	iprate_free(t);
}

static void test_many_addresses(void **state)
{
	(void)state;
	struct iprate *t = iprate_new();
	const uint8_t heavy[16] = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 };
	for (int i = 0; i < 100; i++)
		iprate_add(t, heavy, SECOND, SECOND);
	/* A hundred thousand others, once each, do not make the table forget who is far over. */
	for (uint32_t i = 0; i < 100000; i++) {
		uint8_t addr[16] = { [10] = 0xff, [11] = 0xff, 10 };
		memcpy(addr + 13, &i, 3);
		iprate_add(t, addr, SECOND, SECOND);
	}
	assert_int_equal(iprate_wait(t, heavy, SECOND, 0), 100 * SECOND);
	iprate_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_and_rate),
		cmocka_unit_test(test_who_waits_is_never_muted),
		cmocka_unit_test(test_flood_is_muted_then_closed),
		cmocka_unit_test(test_without_a_mute),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_a_repeat_costs_nothing),
		cmocka_unit_test(test_no_limits),
		cmocka_unit_test(test_typing),
		cmocka_unit_test(test_by_address),
		cmocka_unit_test(test_many_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
