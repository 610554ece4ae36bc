/* held.h — the names that are held, by how they look, and which numbers behind them are taken.
 *
 * Several people may hold names that look alike: those who had them before the server told them apart. Thread: room. */
#ifndef WC_HELD_H
#define WC_HELD_H

#include "base/map.h"
#include "base/wc.h"
#include "wire/look.h"

struct held {
	uint64_t
		*marks; /* a hash of each key, and how many hold it: a name that hits another's hash by chance gets a number, that is all */
	size_t count, room; /* room: a power of two, or 0 */
	uint64_t seed;
	struct map crowds; /* what stands before a number, and a block of numbers -> which of the block are taken */
};

void held_init(struct held *h);
void held_fini(struct held *h);
void held_add(struct held *h, const char *key); /* of looks_of_name; copied */
void held_remove(struct held *h, const char *key);
/* Whether the name with these keys (looks_of_wish) can be taken for one that is held. */
bool held_has(const struct held *h, const struct looks *wish);
/* The lowest number from low to high that nobody has behind a name with these keys (looks_of_wish); 0: none is left. One look-up for each
 * 1024 people of that name. It may be taken all the same, where two numbers looked alike: held_has decides. */
uint32_t held_free_number(const struct held *h, const struct looks *wish, uint32_t low, uint32_t high);

#endif
