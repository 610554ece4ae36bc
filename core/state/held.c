/* held.c — see held.h. A crowd of one name is kept as bits, in blocks of numbers. So a person with a high number costs one block, and no
 * walk. Of other names only hashes are kept. */
#include "state/held.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 1024 /* numbers */
#define WORDS (BLOCK / 64)

#define HOLDERS 0xffffu /* the part of a mark that counts; at its highest value it stays */

struct crowd {
	uint64_t taken[WORDS];
	uint32_t count;
	size_t key_len;
	char key[]; /* crowd_key() */
};

#define CROWD_KEY_MAX 16384 /* as long as a key can be (look.c), and the block's number */

void held_init(struct held *h)
{
	*h = (struct held){ 0 };
	wc_random(&h->seed, sizeof(h->seed));
	map_init(&h->crowds);
}

void held_fini(struct held *h)
{
	size_t at = 0;
	for (void *v; (v = map_next(&h->crowds, &at));)
		free(v);
	map_fini(&h->crowds);
	free(h->marks);
	*h = (struct held){ 0 };
}

/* --- The marks: open addressing, linear probing, deletion by shifting back; at most 3/4 full. */

static uint64_t mark_of(const struct held *h, const char *key, size_t len)
{
	const uint64_t hash = map_hash(h->seed, key, len) & ~(uint64_t)HOLDERS;
	return hash ? hash : HOLDERS + 1;
}

static size_t home_of(const struct held *h, uint64_t mark)
{
	return mark >> 16 & (h->room - 1);
}

/* The slot of the mark, or the empty one where it would go. */
static size_t slot_of(const struct held *h, uint64_t mark)
{
	size_t i = home_of(h, mark);
	while (h->marks[i] && (h->marks[i] & ~(uint64_t)HOLDERS) != mark)
		i = (i + 1) & (h->room - 1);
	return i;
}

static void make_room(struct held *h)
{
	const size_t was = h->room;
	uint64_t *old = h->marks;
	if (h->count < h->room / 4 * 3)
		return;
	h->room = was ? was * 2 : 64;
	h->marks = xcalloc(h->room, sizeof(*h->marks));
	for (size_t i = 0; i < was; i++)
		if (old[i])
			h->marks[slot_of(h, old[i] & ~(uint64_t)HOLDERS)] = old[i];
	free(old);
}

static void empty_slot(struct held *h, size_t i)
{
	const size_t mask = h->room - 1;
	for (size_t j = (i + 1) & mask; h->marks[j]; j = (j + 1) & mask) {
		if (((j - home_of(h, h->marks[j])) & mask) < ((j - i) & mask))
			continue;
		h->marks[i] = h->marks[j];
		i = j;
	}
	h->marks[i] = 0;
	h->count--;
}

/* --- The crowds */

/* Returns the length; 0: no key is as long. */
static size_t crowd_key(char out[CROWD_KEY_MAX], const char *head, size_t len, uint32_t block)
{
	if (len + sizeof(block) > CROWD_KEY_MAX)
		return 0;
	memcpy(out, &block, sizeof(block));
	memcpy(out + sizeof(block), head, len);
	return len + sizeof(block);
}

static struct crowd *crowd_of(const struct held *h, const char *head, size_t len, uint32_t block)
{
	char key[CROWD_KEY_MAX];
	size_t key_len = crowd_key(key, head, len, block);
	return key_len ? map_get(&h->crowds, key, key_len) : NULL;
}

static void crowd_add(struct held *h, const char *head, size_t len, uint32_t number)
{
	struct crowd *c = crowd_of(h, head, len, number / BLOCK);
	if (!c) {
		c = xcalloc(1, sizeof(*c) + len + sizeof(uint32_t));
		const uint32_t block = number / BLOCK;
		memcpy(c->key, &block, sizeof(block));
		memcpy(c->key + sizeof(block), head, len);
		c->key_len = len + sizeof(block);
		map_put(&h->crowds, c->key, c->key_len, c);
	}
	uint64_t bit = 1ULL << number % 64, *word = &c->taken[number % BLOCK / 64];
	c->count += !(*word & bit);
	*word |= bit;
}

static void crowd_remove(struct held *h, const char *head, size_t len, uint32_t number)
{
	struct crowd *c = crowd_of(h, head, len, number / BLOCK);
	if (!c)
		return;
	uint64_t bit = 1ULL << number % 64, *word = &c->taken[number % BLOCK / 64];
	c->count -= !!(*word & bit);
	*word &= ~bit;
	if (c->count)
		return;
	map_del(&h->crowds, c->key, c->key_len);
	free(c);
}

void held_add(struct held *h, const char *key)
{
	size_t len = strlen(key), head;
	const uint64_t mark = mark_of(h, key, len);
	make_room(h);
	uint64_t *slot = &h->marks[slot_of(h, mark)];
	if (*slot) {
		*slot += (*slot & HOLDERS) < HOLDERS;
		return;
	}
	*slot = mark | 1;
	h->count++;
	uint32_t number = look_number(key, &head);
	if (number)
		crowd_add(h, key, head, number);
}

void held_remove(struct held *h, const char *key)
{
	size_t len = strlen(key), head, i;
	if (!h->room)
		return;
	i = slot_of(h, mark_of(h, key, len));
	if (!h->marks[i] || (h->marks[i] & HOLDERS) == HOLDERS || --h->marks[i] & HOLDERS)
		return;
	empty_slot(h, i);
	uint32_t number = look_number(key, &head);
	if (number)
		crowd_remove(h, key, head, number);
}

bool held_has(const struct held *h, const struct looks *wish)
{
	for (int i = 0; i < wish->count; i++)
		if (h->room && h->marks[slot_of(h, mark_of(h, wish->key[i], strlen(wish->key[i])))])
			return true;
	return false;
}

/* The lowest of the numbers from `low` to `high`, all of one block, that no crowd has; 0: none. */
static uint32_t lowest_free(struct crowd *const *crowds, int n, uint32_t low, uint32_t high)
{
	for (uint32_t at = low; at <= high; at = at / 64 * 64 + 64) {
		uint64_t taken = (1ULL << at % 64) - 1; /* those before low */
		for (int i = 0; i < n; i++)
			taken |= crowds[i]->taken[at % BLOCK / 64];
		if (taken == UINT64_MAX)
			continue;
		uint32_t found = at / 64 * 64 + (uint32_t)__builtin_ctzll(~taken);
		return found <= high ? found : 0;
	}
	return 0;
}

uint32_t held_free_number(const struct held *h, const struct looks *wish, uint32_t low, uint32_t high)
{
	for (uint32_t from = low; from <= high; from = from / BLOCK * BLOCK + BLOCK) {
		struct crowd *crowds[LOOKS_MAX];
		int n = 0;
		for (int i = 0; i < wish->count; i++)
			if ((crowds[n] = crowd_of(h, wish->key[i], strlen(wish->key[i]), from / BLOCK)))
				n++;
		uint32_t found = lowest_free(crowds, n, from, WC_MIN(high, from / BLOCK * BLOCK + BLOCK - 1));
		if (found)
			return found;
	}
	return 0;
}
