/* map.h — a hash map from bytes to pointers, with a secret seed: peers choose many of the keys. One thread at a time. */
#ifndef WC_MAP_H
#define WC_MAP_H

#include "base/wc.h"

struct map_entry {
	const void *key; /* borrowed: lives as long as the entry, nearly always inside the value */
	void *value;     /* NULL: empty slot */
	uint32_t hash;   /* its lower half, so a slot is 24 bytes */
	uint32_t key_len;
};

struct map {
	struct map_entry *v;
	size_t n, room; /* room: a power of two, or 0 */
	uint64_t seed;
};

uint64_t map_hash(uint64_t seed, const void *key, size_t len); /* for tables of other kinds */
void map_init(struct map *m);
void map_fini(struct map *m);                                          /* not the values */
void *map_get(const struct map *m, const void *key, size_t len);       /* or NULL */
void map_put(struct map *m, const void *key, size_t len, void *value); /* the key must not be there yet */
void *map_del(struct map *m, const void *key, size_t len);             /* the value, or NULL */
/* Walks all values: start with *at = 0; NULL at the end. No put or del meanwhile. */
void *map_next(const struct map *m, size_t *at);

#endif
