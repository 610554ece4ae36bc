/* test_toll.c — frames that do nothing: what passes of one connection, one person and one address, and who is closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hub/toll.h"

#define SECOND 1000000
#define ALL (TOLL_BURST_S * TOLL_FRAMES_S)

static const uint8_t here[16] = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 1 }, there[16] = { [10] = 0xff, [11] = 0xff, 192, 0, 2, 2 };

/* How many of n frames can be paid, one by one. */
static int paid(struct toll *t, int64_t *own_us, uint64_t person, const uint8_t addr[16], int n, int64_t now_us)
{
	int count = 0;
	for (int i = 0; i < n; i++)
		count += toll_pay(t, own_us, person, addr, TOLL_FRAME, now_us);
	return count;
}

static void a_connection_has_a_burst_then_a_rate(void **state)
{
	(void)state;
	struct toll *t = toll_new();
	int64_t own_us = 0, now_us = 100 * SECOND;
	assert_int_equal(paid(t, &own_us, 0, here, ALL, now_us), ALL);
	assert_false(toll_pay(t, &own_us, 0, here, 1, now_us));
	assert_int_equal(paid(t, &own_us, 0, here, 2 * TOLL_FRAMES_S, now_us + 2 * SECOND), 2 * TOLL_FRAMES_S - 1);
	toll_free(t);
}

static void connections_of_a_person_share(void **state)
{
	(void)state;
	struct toll *t = toll_new();
	int count = 0;
	for (int i = 0; i < 200; i++) {
		int64_t own_us = 0;
		count += paid(t, &own_us, 7, here, 100, SECOND);
	}
	assert_in_range(count, ALL, ALL + 1);
	int64_t own_us = 0;
	assert_int_equal(paid(t, &own_us, 8, here, 10, SECOND), 10);       /* another person is somebody else … */
	assert_int_equal(paid(t, &own_us, 7, here, 100, 3 * SECOND), 100); /* … and what was refused was not added */
	toll_free(t);
}

static void an_address_has_room_for_a_crowd(void **state)
{
	(void)state;
	struct toll *t = toll_new();
	int count = 0;
	for (int i = 0; i < 40; i++) {
		int64_t own_us = 0;
		count += paid(t, &own_us, (uint64_t)i + 1, here, 500, SECOND);
	}
	assert_in_range(count, TOLL_CROWD * ALL, TOLL_CROWD * ALL + 40 * TOLL_QUIET);
	/* A neighbour who sends little is not closed for it, and other addresses are not concerned. */
	int64_t own_us = 0;
	assert_int_equal(paid(t, &own_us, 100, here, 40, SECOND), TOLL_QUIET);
	own_us = 0;
	assert_int_equal(paid(t, &own_us, 101, there, 500, SECOND), 500);
	toll_free(t);
}

static void exempt_addresses_are_not_counted(void **state)
{
	(void)state;
	struct toll *t = toll_new();
	struct ip_net net = { .bits = 128 };
	memcpy(net.addr, here, sizeof(here));
	toll_exempt(t, (struct ip_nets){ &net, 1 });
	for (int i = 0; i < 40; i++) {
		int64_t own_us = 0;
		assert_int_equal(paid(t, &own_us, (uint64_t)i + 1, here, 500, SECOND), 500);
	}
	toll_free(t);
}

static void one_payment_is_at_most_a_burst(void **state)
{
	(void)state;
	struct toll *t = toll_new();
	int64_t own_us = 0;
	assert_true(toll_pay(t, &own_us, 1, here, UINT32_MAX, SECOND));
	assert_int_equal(own_us, SECOND + TOLL_BURST_S * SECOND);
	assert_false(toll_pay(t, &own_us, 1, here, 1, SECOND));
	assert_true(toll_pay(t, &own_us, 1, here, 1, (2 + TOLL_BURST_S) * SECOND));
	toll_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_has_a_burst_then_a_rate), cmocka_unit_test(connections_of_a_person_share),
		cmocka_unit_test(an_address_has_room_for_a_crowd),      cmocka_unit_test(exempt_addresses_are_not_counted),
		cmocka_unit_test(one_payment_is_at_most_a_burst),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
