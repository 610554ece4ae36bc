/* shbuf.c — reference-counted immutable buffers (see shbuf.h), and the sums of the large ones.
 *
 * Owns those sums. Never looks at the bytes. Any thread. */
#include "base/shbuf.h"

#include <stdlib.h>
#include <string.h>

#include "base/ip.h"

#define OWNERS 4096 /* places for persons and for addresses; two that share one share what it may have */
#define OWNER_BITS 12
#define WANTED_MS 2000

static _Atomic size_t large_bytes, bound_bytes = SIZE_MAX;
/* By kind, by person, by address: what is held, and when more was refused last (monotonic). A kind has the place of its number; 0 is the
 * sum's own. */
enum { BY_KIND, BY_PERSON, BY_ADDRESS, BYS };
static _Atomic size_t held[BYS][OWNERS];
static _Atomic int64_t refused_ms[BYS][OWNERS];

void shbuf_bound(size_t bytes)
{
	atomic_store(&bound_bytes, bytes);
}

static size_t most(bool is_spare)
{
	size_t bound = atomic_load_explicit(&bound_bytes, memory_order_relaxed);

	return is_spare && bound != SIZE_MAX ? bound / 4 * 3 : bound;
}

size_t shbuf_large_most(void)
{
	return most(true);
}

size_t shbuf_large_left(void)
{
	size_t used = atomic_load_explicit(&large_bytes, memory_order_relaxed), bound = most(true);

	return used < bound ? bound - used : 0;
}

/* --- Owners */

/* 1 .. OWNERS - 1; 0 is nobody's. The seed is the process's own, so that nobody can choose whose place to share. */
static uint32_t place_of(uint64_t a, uint64_t b)
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
	return 1 + (uint32_t)(h % (OWNERS - 1));
}

shbuf_owner shbuf_owner_of(uint64_t person, const uint8_t *addr)
{
	uint32_t person_at = person ? place_of(person, 0) : 0, address_at = 0;
	uint8_t net[16];
	uint64_t half[2];

	if (addr) {
		ip_household(addr, net);
		memcpy(half, net, sizeof(half));
		address_at = place_of(half[0], half[1]);
	}
	return person_at << 2 | address_at << (2 + OWNER_BITS);
}

/* 0: not limited that way. */
static uint32_t place_in(shbuf_owner owner, int by)
{
	return by == BY_KIND ? owner & 3 : by == BY_PERSON ? owner >> 2 & (OWNERS - 1) : owner >> (2 + OWNER_BITS) & (OWNERS - 1);
}

static size_t share_of(shbuf_owner owner, int by)
{
	const size_t bound = atomic_load_explicit(&bound_bytes, memory_order_relaxed);

	return by == BY_PERSON ? bound / 8 : by == BY_ADDRESS || (owner & 3) == SHBUF_PAGE ? bound / 4 : bound / 2;
}

static bool refused(int by, uint32_t place)
{
	atomic_store_explicit(&refused_ms[by][place], mono_ms(), memory_order_relaxed);
	return false;
}

/* A place's only buffer may be larger than its share: the largest file must go through. */
static bool fits(size_t used, size_t bytes, size_t share)
{
	return used == 0 || (used <= share && bytes <= share - used);
}

static void owner_give(shbuf_owner owner, size_t bytes, int n)
{
	for (int by = 0; by < n; by++) {
		const uint32_t place = place_in(owner, by);
		if (place)
			atomic_fetch_sub_explicit(&held[by][place], bytes, memory_order_relaxed);
	}
}

static bool owner_take(shbuf_owner owner, size_t bytes)
{
	for (int by = 0; by < BYS; by++) {
		const uint32_t place = place_in(owner, by);
		if (!place)
			continue;
		size_t used = atomic_load_explicit(&held[by][place], memory_order_relaxed);
		do {
			if (!fits(used, bytes, share_of(owner, by))) {
				owner_give(owner, bytes, by);
				return refused(by, place);
			}
		} while (!atomic_compare_exchange_weak_explicit(&held[by][place], &used, used + bytes, memory_order_relaxed,
		                                                memory_order_relaxed));
	}
	return true;
}

/* --- The sum */

static bool take(size_t bytes, bool is_spare, shbuf_owner owner)
{
	size_t used = atomic_load_explicit(&large_bytes, memory_order_relaxed);
	const size_t bound = most(is_spare);

	if (!owner_take(owner, bytes))
		return false;
	do {
		if (used > bound || bytes > bound - used) {
			owner_give(owner, bytes, BYS);
			return refused(BY_KIND, 0);
		}
	} while (!atomic_compare_exchange_weak_explicit(&large_bytes, &used, used + bytes, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* The last quarter is for those who join. */
static bool is_spare_for(shbuf_owner owner)
{
	return (owner & 3) != SHBUF_JOIN;
}

bool shbuf_take(size_t bytes, shbuf_owner owner)
{
	return take(bytes, is_spare_for(owner), owner);
}

void shbuf_give(size_t bytes, shbuf_owner owner)
{
	atomic_fetch_sub_explicit(&large_bytes, bytes, memory_order_relaxed);
	owner_give(owner, bytes, BYS);
}

bool shbuf_has_room(size_t bytes, shbuf_owner owner)
{
	if (bytes < SHBUF_LARGE)
		return true;
	if (bytes > shbuf_large_left())
		return refused(BY_KIND, 0);
	for (int by = 0; by < BYS; by++) {
		const uint32_t place = place_in(owner, by);
		if (place && !fits(atomic_load_explicit(&held[by][place], memory_order_relaxed), bytes, share_of(owner, by)))
			return refused(by, place);
	}
	return true;
}

bool shbuf_is_wanted(const struct shbuf *b)
{
	const int64_t since_ms = mono_ms() - WANTED_MS;

	if (b->len < SHBUF_LARGE)
		return false;
	if (atomic_load_explicit(&refused_ms[BY_KIND][0], memory_order_relaxed) > since_ms)
		return true;
	for (int by = 0; by < BYS; by++) {
		const uint32_t place = place_in(b->owner, by);
		if (place && atomic_load_explicit(&refused_ms[by][place], memory_order_relaxed) > since_ms)
			return true;
	}
	return false;
}

/* A large one is counted already. */
static struct shbuf *begin(struct shbuf *b, size_t len, shbuf_owner owner)
{
	atomic_init(&b->refs, 1);
	b->owner = owner;
	b->watch = NULL;
	b->len = len;
	return b;
}

static struct shbuf *make(size_t len, bool is_spare, shbuf_owner owner)
{
	const bool is_large = len >= SHBUF_LARGE;

	if (len > SIZE_MAX - sizeof(struct shbuf) || (is_large && !take(len, is_spare, owner)))
		return NULL;
	struct shbuf *b = malloc(sizeof(*b) + len);
	if (!b && is_large)
		shbuf_give(len, owner);
	return b ? begin(b, len, owner) : NULL;
}

struct shbuf *shbuf_new(size_t len)
{
	return make(len, false, 0);
}

struct shbuf *shbuf_new_spare(size_t len, shbuf_owner owner)
{
	return make(len, is_spare_for(owner), owner);
}

struct shbuf *shbuf_new_sure(size_t len)
{
	if (len >= SHBUF_LARGE)
		atomic_fetch_add_explicit(&large_bytes, len, memory_order_relaxed);
	return begin(xmalloc(sizeof(struct shbuf) + len), len, 0);
}

struct shbuf *shbuf_adopt(void *memory, size_t len, size_t taken, shbuf_owner owner)
{
	const size_t counted = len >= SHBUF_LARGE ? len : 0;

	WC_ASSERT(taken == 0 ? counted == 0 : taken >= counted);
	if (taken > counted)
		shbuf_give(taken - counted, owner);
	return begin(memory, len, owner);
}

struct shbuf *shbuf_copy(const void *data, size_t len)
{
	struct shbuf *b = shbuf_new(len);

	if (b && len > 0)
		memcpy(b->data, data, len);
	return b;
}

struct shbuf *shbuf_ref(struct shbuf *b)
{
	/* relaxed: a thread that takes a reference holds one already, or was given it by something that synchronises */
	uint32_t before = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);

	WC_ASSERT(before > 0 && before < UINT32_MAX);
	return b;
}

struct shbuf *shbuf_ref_living(struct shbuf *b)
{
	uint32_t refs = atomic_load_explicit(&b->refs, memory_order_relaxed);

	do
		if (refs == 0)
			return NULL;
	while (!atomic_compare_exchange_weak_explicit(&b->refs, &refs, refs + 1, memory_order_relaxed, memory_order_relaxed));
	return b;
}

void shbuf_unref(struct shbuf *b)
{
	uint32_t before;

	if (!b)
		return;
	/* acq_rel, not release and a fence: every reader's last look comes before the free, and TSan understands it */
	before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
	WC_ASSERT(before > 0);
	if (before > 1)
		return;
	if (b->watch)
		b->watch->gone(b->watch);
	if (b->len >= SHBUF_LARGE)
		shbuf_give(b->len, b->owner);
	free(b);
}

size_t shbuf_large_bytes(void)
{
	return atomic_load_explicit(&large_bytes, memory_order_relaxed);
}
