/* holdings.c — see holdings.h. */
#include "hub/holdings.h"

#include <string.h>

#include "base/ip.h"
#include "base/place.h"

#define PLACES (HOLDER_PLACES - 1) /* 0 is nobody's */

holder holder_of(uint64_t person, const uint8_t *addr)
{
	holder who = person ? place_of(person, 0, PLACES) : 0;
	uint8_t net[16];
	uint64_t words[2];
	if (!addr)
		return who;
	const bool is_v6 = ip_household(addr, net) < 128;
	memcpy(words, net, sizeof(words));
	who |= place_of(words[0], words[1], PLACES) << HOLDER_BITS;
	if (is_v6) {
		memset(net + 6, 0, sizeof(net) - 6);
		memcpy(words, net, sizeof(words));
		who |= place_of(words[0], words[1], PLACES) << 2 * HOLDER_BITS;
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
