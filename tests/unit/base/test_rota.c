/* test_rota.c — whose turn it is: order within a person, turns of people, of households and of networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/ip.h"
#include "base/rota.h"

struct thing {
	struct rota_item item;
	int number;
};

static struct rota_owner owner_of(const char *addr, uint64_t person)
{
	struct rota_owner o = { .person = person };
	int bits;
	assert_true(ip_net_parse(addr, o.addr, &bits));
	return o;
}

static void put(struct rota *r, const char *addr, uint64_t person, int number)
{
	const struct rota_owner o = owner_of(addr, person);
	struct thing *t = xcalloc(1, sizeof(*t));
	t->number = number;
	rota_put(r, &o, &t->item);
}

static int take(struct rota *r)
{
	struct thing *t = (struct thing *)rota_take(r);
	const int number = t ? t->number : -1;
	free(t);
	return number;
}

static void one_person_is_served_in_order(void **state)
{
	(void)state;
	struct rota *r = rota_new();
	assert_int_equal(take(r), -1);
	for (int i = 0; i < 5; i++)
		put(r, "10.0.0.1", 7, i);
	assert_int_equal(rota_count(r), 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(take(r), i);
	assert_int_equal(take(r), -1);
	rota_free(r);
}

/* The place at which the last item comes out. */
static int place_of(struct rota *r, int wanted)
{
	int place = 0;
	for (int number; (number = take(r)) >= 0; place++)
		if (number == wanted)
			break;
	while (take(r) >= 0)
		;
	return place;
}

static void a_thousand_jobs_delay_others_by_one(void **state)
{
	(void)state;
	struct rota *r = rota_new();
	for (int i = 0; i < 1000; i++)
		put(r, "10.0.0.1", 7, i);
	put(r, "10.0.0.2", 8, 5000);
	assert_int_equal(place_of(r, 5000), 1);
	for (int i = 0; i < 1000; i++)
		put(r, "10.0.0.1", 7, i);
	put(r, "10.0.0.1", 8, 5000); /* behind the same address */
	assert_int_equal(place_of(r, 5000), 1);
	rota_free(r);
}

static void names_and_addresses_multiply_no_turns(void **state)
{
	(void)state;
	struct rota *r = rota_new();
	for (int i = 0; i < 500; i++)
		put(r, "10.0.0.1", (uint64_t)i + 10, i);
	put(r, "10.0.0.2", 8, 5000);
	assert_int_equal(place_of(r, 5000), 1);
	/* An IPv6 customer has many addresses, and many networks of /64. */
	for (int i = 0; i < 500; i++) {
		char addr[64];
		snprintf(addr, sizeof(addr), "2001:db8:7:%x::%x", i / 2, i);
		put(r, addr, (uint64_t)i + 10, i);
	}
	put(r, "2001:db8:8::1", 8, 5000);
	assert_int_equal(rota_count_of(r, &(struct rota_owner){ .addr = { 0x20, 1, 0x0d, 0xb8, 0, 7 } }), 500); /* of the whole /48 */
	assert_int_equal(rota_count_of(r, &(struct rota_owner){ .addr = { 0x20, 1, 0x0d, 0xb8, 0, 8 } }), 1);
	struct rota_owner one = { .addr = { 0x20, 1, 0x0d, 0xb8, 0, 8, [15] = 1 }, .person = 8 };
	assert_true(rota_has(r, &one));
	one.person = 9;
	assert_false(rota_has(r, &one));
	assert_int_equal(place_of(r, 5000), 1);
	rota_free(r);
}

static void turns_go_round(void **state)
{
	(void)state;
	struct rota *r = rota_new();
	for (int i = 0; i < 3; i++) {
		put(r, "10.0.0.1", 1, 10 + i);
		put(r, "10.0.0.2", 2, 20 + i);
		put(r, "10.0.0.2", 3, 30 + i);
	}
	static const int want[] = { 10, 20, 11, 30, 12, 21, 31, 22, 32, -1 };
	for (size_t i = 0; i < WC_LEN(want); i++)
		assert_int_equal(take(r), want[i]);
	rota_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_person_is_served_in_order),
		cmocka_unit_test(a_thousand_jobs_delay_others_by_one),
		cmocka_unit_test(names_and_addresses_multiply_no_turns),
		cmocka_unit_test(turns_go_round),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
