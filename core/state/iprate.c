/* iprate.c — see iprate.h. Sets of four, by a hash with a secret seed: peers choose addresses. */
#include "state/iprate.h"

#include <stdlib.h>
#include <string.h>

#include "base/ip.h"

#define SETS 4096
#define WAYS 4

struct slot {
	uint64_t net[2];
	int64_t full_us; /* 0: free */
};

struct iprate {
	uint64_t seed;
	struct slot slots[SETS][WAYS];
};

struct iprate *iprate_new(void)
{
	struct iprate *t = xcalloc(1, sizeof(*t));
	wc_random(&t->seed, sizeof(t->seed));
	return t;
}

void iprate_free(struct iprate *t)
{
	free(t);
}

static void net_of(const uint8_t addr[16], uint64_t net[2])
{
	uint8_t bytes[16];
	ip_household(addr, bytes);
	memcpy(net, bytes, sizeof(bytes));
}

static struct slot *set_of(struct iprate *t, const uint64_t net[2])
{
	uint64_t h = t->seed;
	for (int i = 0; i < 2; i++) {
		h = (h ^ net[i]) * 0xd6e8feb86659fd93u;
		h ^= h >> 32;
		h = (h + t->seed) * 0xd6e8feb86659fd93u;
		h ^= h >> 32;
	}
	return t->slots[h % SETS];
}

static struct slot *find(struct slot *set, const uint64_t net[2])
{
	for (int i = 0; i < WAYS; i++)
		if (set[i].full_us && set[i].net[0] == net[0] && set[i].net[1] == net[1])
			return &set[i];
	return NULL;
}

int64_t iprate_wait(struct iprate *t, const uint8_t addr[16], int64_t now_us, int64_t ahead_us)
{
	uint64_t net[2];
	net_of(addr, net);
	const struct slot *s = find(set_of(t, net), net);
	return s && s->full_us - now_us > ahead_us ? s->full_us - now_us - ahead_us : 0;
}

void iprate_add(struct iprate *t, const uint8_t addr[16], int64_t now_us, int64_t cost_us)
{
	uint64_t net[2];
	net_of(addr, net);
	struct slot *set = set_of(t, net), *s = find(set, net);
	if (!s) {
		s = &set[0];
		for (int i = 1; i < WAYS; i++)
			if (set[i].full_us < s->full_us)
				s = &set[i];
		*s = (struct slot){ .net = { net[0], net[1] } };
	}
	s->full_us = WC_MAX(s->full_us, now_us) + cost_us;
}
