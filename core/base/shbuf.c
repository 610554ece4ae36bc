/* shbuf.c — reference-counted immutable buffers (see shbuf.h), and the sums of the large ones.
 *
 * Owns those sums. Never looks at the bytes. Any thread. */
#include "base/shbuf.h"

#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/place.h"

#define OWNERS (1U << SHBUF_OWNER_BITS)    /* places of each sort; two that share one share what it may have */
#define NETWORK_BYTES 6                    /* of IPv6: the /48 that one customer may have */
#define ONLY_GROWS ((size_t)4 << 20)       /* a page has 1 MB or a little more, and a buffer's room doubles */
#define PAGE_SHARE_LEAST ((size_t)5 << 18) /* where there is little memory: a page, and the list of people that goes with it to a joiner */
#define WANTED_MS 2000
#define CRUMBS 8 /* of a share */

static _Atomic size_t large_bytes, bound_bytes = SIZE_MAX;
/* Bytes held, and when more was refused last (monotonic). */
struct place {
	_Atomic size_t held;
	_Atomic int64_t refused_ms;
};
/* By kind, and within each kind by person, address and network. A kind has place 1; that of kind 0 is the sum's own. */
enum { BY_KIND, BY_PERSON, BY_ADDRESS, BY_NETWORK, BYS };
static struct place places[BYS][SHBUF_KINDS][OWNERS];
static struct place *const whole = &places[BY_KIND][0][1];

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

/* 0 is nobody's, and the last one all joiners'. */
#define OWNER_PLACES (OWNERS - 2)

shbuf_owner shbuf_owner_of(uint64_t person, const uint8_t *addr)
{
	uint32_t at[BYS] = { [BY_PERSON] = person ? place_of(person, 0, OWNER_PLACES) : 0 };
	uint8_t net[16];
	uint64_t half[2];

	if (addr) {
		ip_household(addr, net);
		memcpy(half, net, sizeof(half));
		at[BY_ADDRESS] = place_of(half[0], half[1], OWNER_PLACES);
	}
	if (addr && !ip_is_v4(addr)) {
		memset(net + NETWORK_BYTES, 0, sizeof(net) - NETWORK_BYTES);
		memcpy(half, net, sizeof(half));
		at[BY_NETWORK] = place_of(half[0], 0, OWNER_PLACES);
	}
	shbuf_owner owner = 0;
	for (int by = BY_NETWORK; by > BY_KIND; by--)
		owner = owner << SHBUF_OWNER_BITS | at[by];
	return owner << 2;
}

/* NULL: not limited that way. */
static struct place *place_in(shbuf_owner owner, int by)
{
	const uint32_t kind = owner & 3;
	const uint32_t n = by == BY_KIND ? kind > 0 : owner >> (2 + SHBUF_OWNER_BITS * (by - BY_PERSON)) & (OWNERS - 1);

	return n ? &places[by][kind][n] : NULL;
}

static size_t share_of(shbuf_owner owner, int by)
{
	const size_t bound = atomic_load_explicit(&bound_bytes, memory_order_relaxed);
	const uint32_t kind = owner & 3;

	if (by == BY_KIND)
		return kind == SHBUF_PAGE ? bound / 4 : bound / 2;
	const bool is_page = kind == SHBUF_PAGE || kind == SHBUF_JOIN;
	const size_t sure = kind == SHBUF_PAGE ? bound / 8 : kind == SHBUF_JOIN ? bound / 4 : bound / 2;
	const size_t share = by == BY_PERSON ? sure / 4 : by == BY_ADDRESS ? sure / 2 : sure / 8 * 5;
	return is_page ? WC_MAX(share, PAGE_SHARE_LEAST) : share;
}

static bool refused(struct place *p)
{
	atomic_store_explicit(&p->refused_ms, mono_ms(), memory_order_relaxed);
	return false;
}

/* A place's only buffer may be larger than its share: the largest file must go through, and a page where there is little memory. Crumbs do
 * not count: a small picture in the tail must not stop its sender's next file. had: what the buffer has already. */
static bool fits(size_t used, size_t bytes, size_t had, size_t share)
{
	if (used <= share / CRUMBS || (used <= share && bytes <= share - used))
		return true;
	const size_t most = WC_MAX(ONLY_GROWS, atomic_load_explicit(&bound_bytes, memory_order_relaxed) / 8);
	return used <= had && used <= most && bytes <= most - used;
}

static void owner_give(shbuf_owner owner, size_t bytes, int n)
{
	for (int by = 0; by < n; by++) {
		struct place *p = place_in(owner, by);
		if (p)
			atomic_fetch_sub_explicit(&p->held, bytes, memory_order_relaxed);
	}
}

static bool owner_take(shbuf_owner owner, size_t bytes, size_t had)
{
	for (int by = 0; by < BYS; by++) {
		struct place *p = place_in(owner, by);
		if (!p)
			continue;
		size_t used = atomic_load_explicit(&p->held, memory_order_relaxed);
		do {
			if (!fits(used, bytes, had, share_of(owner, by))) {
				owner_give(owner, bytes, by);
				return owner == SHBUF_FOR_ALL && by == BY_PERSON ? false
				                                                 : refused(p); /* nobody waits: joiners have their own */
			}
		} while (!atomic_compare_exchange_weak_explicit(&p->held, &used, used + bytes, memory_order_relaxed, memory_order_relaxed));
	}
	return true;
}

/* --- The sum */

static bool take(size_t bytes, size_t had, bool is_spare, shbuf_owner owner)
{
	size_t used = atomic_load_explicit(&large_bytes, memory_order_relaxed);
	const size_t bound = most(is_spare);

	if (!owner_take(owner, bytes, had))
		return false;
	do {
		if (used > bound || bytes > bound - used) {
			owner_give(owner, bytes, BYS);
			return refused(whole);
		}
	} while (!atomic_compare_exchange_weak_explicit(&large_bytes, &used, used + bytes, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* The last quarter is for those who join. */
static bool is_spare_for(shbuf_owner owner)
{
	return (owner & 3) != SHBUF_JOIN;
}

bool shbuf_take_more(size_t bytes, size_t had, shbuf_owner owner)
{
	return take(bytes, had, is_spare_for(owner), owner);
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
		return refused(whole);
	for (int by = 0; by < BYS; by++) {
		struct place *p = place_in(owner, by);
		if (p && !fits(atomic_load_explicit(&p->held, memory_order_relaxed), bytes, 0, share_of(owner, by)))
			return refused(p);
	}
	return true;
}

bool shbuf_is_wanted(const struct shbuf *b)
{
	const int64_t since_ms = mono_ms() - WANTED_MS;

	if (b->len < SHBUF_LARGE)
		return false;
	if (atomic_load_explicit(&whole->refused_ms, memory_order_relaxed) > since_ms)
		return true;
	for (int by = 0; by < BYS; by++) {
		const struct place *p = place_in(b->owner, by);
		if (p && atomic_load_explicit(&p->refused_ms, memory_order_relaxed) > since_ms)
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

	if (len > SIZE_MAX - sizeof(struct shbuf) || (is_large && !take(len, 0, is_spare, owner)))
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
