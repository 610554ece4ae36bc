/* place.c — see place.h. Owns the seed. */
#include "base/place.h"

#include <stdatomic.h>

uint32_t place_of(uint64_t a, uint64_t b, uint32_t places)
{
	static _Atomic uint64_t seed;
	uint64_t h = atomic_load_explicit(&seed, memory_order_relaxed), none = 0;
	while (!h) {
		wc_random(&h, sizeof(h));
		if (!atomic_compare_exchange_strong(&seed, &none, h))
			h = none;
	}
	const uint64_t words[2] = { a, b };
	for (int i = 0; i < 2; i++) {
		h ^= words[i];
		h *= 0x9e3779b97f4a7c15;
		h ^= h >> 29;
		h *= 0xbf58476d1ce4e5b9;
		h ^= h >> 32;
	}
	return 1 + (uint32_t)(h % places);
}
