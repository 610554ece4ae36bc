/* toll.c — see toll.h. */
#include "hub/toll.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/iprate.h"

#define UNIT_US (1000000 / TOLL_FRAMES_S / TOLL_FRAME)
#define AHEAD_US ((int64_t)TOLL_BURST_S * 1000000)
#define QUIET_US ((int64_t)TOLL_QUIET * TOLL_FRAME * UNIT_US)

struct toll {
	pthread_mutex_t lock;
	struct iprate *people, *addresses;
	struct ip_nets exempt;
};

struct toll *toll_new(void)
{
	struct toll *t = xcalloc(1, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	t->people = iprate_new();
	t->addresses = iprate_new();
	return t;
}

void toll_free(struct toll *t)
{
	if (!t)
		return;
	iprate_free(t->people);
	iprate_free(t->addresses);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void toll_exempt(struct toll *t, struct ip_nets nets)
{
	pthread_mutex_lock(&t->lock);
	t->exempt = nets;
	pthread_mutex_unlock(&t->lock);
}

bool toll_is_exempt(struct toll *t, const uint8_t addr[16])
{
	if (!t)
		return false;
	pthread_mutex_lock(&t->lock);
	const bool is_exempt = ip_in_nets(addr, &t->exempt);
	pthread_mutex_unlock(&t->lock);
	return is_exempt;
}

bool toll_pay(struct toll *t, int64_t *own_us, uint64_t person, const uint8_t addr[16], uint32_t units, int64_t now_us)
{
	const int64_t cost_us = (int64_t)WC_MIN(units, (uint32_t)TOLL_MOST) * UNIT_US;
	*own_us = WC_MAX(*own_us, now_us) + cost_us;
	if (*own_us - now_us > AHEAD_US)
		return false;
	const bool is_quiet = *own_us - now_us <= QUIET_US;
	pthread_mutex_lock(&t->lock);
	const bool is_counted = addr && !ip_in_nets(addr, &t->exempt);
	/* Refused payments are not added: a bucket is over by one payment at most, and the next connection has to wait no longer. */
	bool is_paid = !person || !iprate_wait_id(t->people, person, now_us, AHEAD_US);
	if (is_paid && is_counted && !is_quiet)
		is_paid = !iprate_wait(t->addresses, addr, now_us, AHEAD_US);
	if (is_paid && person)
		iprate_add_id(t->people, person, now_us, cost_us);
	if (is_paid && is_counted)
		iprate_add(t->addresses, addr, now_us, cost_us / TOLL_CROWD);
	pthread_mutex_unlock(&t->lock);
	return is_paid;
}
