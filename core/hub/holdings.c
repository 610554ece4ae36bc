/* holdings.c — see holdings.h. Owns the seed of the places. */
#include "hub/holdings.h"

#include <string.h>

#include "base/ip.h"

/* 1 .. HOLDER_PLACES - 1 */
static uint32_t place_of(enum holder_by by, const uint64_t words[2])
{
	static _Atomic uint64_t seed;
	uint64_t h = atomic_load_explicit(&seed, memory_order_relaxed), none = 0;
	while (!h) {
		wc_random(&h, sizeof(h));
		if (!atomic_compare_exchange_strong(&seed, &none, h))
			h = none;
	}
	h += by;
	for (int i = 0; i < 2; i++) {
		h = (h ^ words[i]) * 0xd6e8feb86659fd93u;
		h ^= h >> 32;
		h *= 0xd6e8feb86659fd93u;
		h ^= h >> 32;
	}
	return 1 + (uint32_t)(h % (HOLDER_PLACES - 1));
}

holder holder_of(uint64_t person, const uint8_t *addr)
{
	holder who = person ? place_of(HOLDER_PERSON, (const uint64_t[2]){ person, 0 }) : 0;
	uint8_t net[16];
	uint64_t words[2];
	if (!addr)
		return who;
	const bool is_v6 = ip_household(addr, net) < 128;
	memcpy(words, net, sizeof(words));
	who |= place_of(HOLDER_HOUSEHOLD, words) << HOLDER_BITS;
	if (is_v6) {
		memset(net + 6, 0, sizeof(net) - 6);
		memcpy(words, net, sizeof(words));
		who |= place_of(HOLDER_SITE, words) << 2 * HOLDER_BITS;
	}
	return who;
}

void holdings_add(struct holdings *h, holder who, int64_t bytes)
{
	for (int by = 0; by < HOLDER_BYS; by++) {
		const uint32_t place = holder_place(who, (enum holder_by)by);
		if (place)
			atomic_fetch_add_explicit(&h->bytes[by][place], (size_t)bytes, memory_order_relaxed);
	}
}

size_t holdings_of(const struct holdings *h, holder who, enum holder_by by)
{
	const uint32_t place = holder_place(who, by);
	return place ? atomic_load_explicit(&h->bytes[by][place], memory_order_relaxed) : 0;
}

size_t holdings_of_address(const struct holdings *h, holder who)
{
	return WC_MAX(holdings_of(h, who, HOLDER_HOUSEHOLD), holdings_of(h, who, HOLDER_SITE) / 2);
}
