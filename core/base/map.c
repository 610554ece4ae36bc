/* map.c — open addressing, linear probing, deletion by shifting back; at most 3/4 full. */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	return h;
}

uint64_t map_hash(uint64_t seed, const void *key, size_t len)
{
	const uint8_t *p = key;
	uint64_t h = seed ^ len;
	while (len >= 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		h = mix(h ^ word) + seed;
		p += 8;
		len -= 8;
	}
	uint64_t word = 0;
	memcpy(&word, p, len);
	return mix(h ^ word ^ (seed << 7));
}

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
	wc_random(&m->seed, sizeof(m->seed));
}

void map_fini(struct map *m)
{
	free(m->v);
	*m = (struct map){ 0 };
}

static bool is_at(const struct map_entry *e, uint32_t hash, const void *key, size_t len)
{
	return e->hash == hash && e->key_len == len && memcmp(e->key, key, len) == 0;
}

/* The slot of key, or the empty one where it would go. */
static size_t slot_of(const struct map *m, uint32_t hash, const void *key, size_t len)
{
	size_t i = hash & (m->room - 1);
	while (m->v[i].value && !is_at(&m->v[i], hash, key, len))
		i = (i + 1) & (m->room - 1);
	return i;
}

void *map_get(const struct map *m, const void *key, size_t len)
{
	return m->n ? m->v[slot_of(m, (uint32_t)map_hash(m->seed, key, len), key, len)].value : NULL;
}

static void resize(struct map *m, size_t room)
{
	struct map_entry *old = m->v;
	size_t old_room = m->room;
	m->v = xcalloc(room, sizeof(*m->v));
	m->room = room;
	for (size_t i = 0; i < old_room; i++)
		if (old[i].value)
			m->v[slot_of(m, old[i].hash, old[i].key, old[i].key_len)] = old[i];
	free(old);
}

void map_put(struct map *m, const void *key, size_t len, void *value)
{
	if ((m->n + 1) * 4 > m->room * 3)
		resize(m, m->room ? m->room * 2 : 16);
	uint32_t hash = (uint32_t)map_hash(m->seed, key, len);
	struct map_entry *e = &m->v[slot_of(m, hash, key, len)];
	WC_ASSERT(!e->value && value && len <= UINT32_MAX);
	*e = (struct map_entry){ key, value, hash, (uint32_t)len };
	m->n++;
}

void *map_del(struct map *m, const void *key, size_t len)
{
	if (!m->n)
		return NULL;
	size_t i = slot_of(m, (uint32_t)map_hash(m->seed, key, len), key, len);
	void *value = m->v[i].value;
	if (!value)
		return NULL;
	/* Close the gap: an entry may move back if its home is not between the gap and itself. */
	size_t gap = i, mask = m->room - 1;
	for (size_t j = (i + 1) & mask; m->v[j].value; j = (j + 1) & mask) {
		size_t home = m->v[j].hash & mask;
		if (((j - home) & mask) >= ((j - gap) & mask)) {
			m->v[gap] = m->v[j];
			gap = j;
		}
	}
	m->v[gap] = (struct map_entry){ 0 };
	m->n--;
	if (m->room > 64 && m->n * 8 < m->room)
		resize(m, m->room / 2);
	return value;
}

void *map_next(const struct map *m, size_t *at)
{
	while (*at < m->room) {
		void *value = m->v[(*at)++].value;
		if (value)
			return value;
	}
	return NULL;
}
