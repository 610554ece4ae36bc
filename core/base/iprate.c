/* iprate.c — see iprate.h. Sets of four, by a hash with a secret seed: peers choose addresses. */
#include "base/iprate.h"

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

/* An address's networks: what one household has, and for IPv6 also the /48, which one customer may have whole. Returns how many. */
static int nets_of(const uint8_t addr[16], uint64_t nets[2][2])
{
	uint8_t bytes[16];
	const bool is_v6 = ip_household(addr, bytes) < 128;
	memcpy(nets[0], bytes, sizeof(bytes));
	if (!is_v6)
		return 1;
	memset(bytes + 6, 0, sizeof(bytes) - 6);
	bytes[15] = 48; /* is no household of its own */
	memcpy(nets[1], bytes, sizeof(bytes));
	return 2;
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

static int64_t wait_of(struct iprate *t, const uint64_t net[2], int64_t now_us, int64_t ahead_us)
{
	const struct slot *s = find(set_of(t, net), net);
	return s && s->full_us - now_us > ahead_us ? s->full_us - now_us - ahead_us : 0;
}

int64_t iprate_wait(struct iprate *t, const uint8_t addr[16], int64_t now_us, int64_t ahead_us)
{
	uint64_t nets[2][2];
	const int n = nets_of(addr, nets);
	int64_t wait_us = wait_of(t, nets[0], now_us, ahead_us);
	return n == 2 ? WC_MAX(wait_us, wait_of(t, nets[1], now_us, ahead_us)) : wait_us;
}

static void add(struct iprate *t, const uint64_t net[2], int64_t now_us, int64_t cost_us)
{
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

void iprate_add(struct iprate *t, const uint8_t addr[16], int64_t now_us, int64_t cost_us)
{
	uint64_t nets[2][2];
	const int n = nets_of(addr, nets);
	add(t, nets[0], now_us, cost_us);
	if (n == 2)
		add(t, nets[1], now_us, cost_us / IPRATE_WIDE);
}

int64_t iprate_wait_id(struct iprate *t, uint64_t id, int64_t now_us, int64_t ahead_us)
{
	return wait_of(t, (const uint64_t[]){ id, UINT64_MAX }, now_us, ahead_us);
}

void iprate_add_id(struct iprate *t, uint64_t id, int64_t now_us, int64_t cost_us)
{
	add(t, (const uint64_t[]){ id, UINT64_MAX }, now_us, cost_us);
}
