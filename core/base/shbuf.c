/* shbuf.c — reference-counted immutable buffers (see shbuf.h), and the sum of the large ones.
 *
 * Owns that sum. Never looks at the bytes. Any thread. */
#include "base/shbuf.h"

#include <stdlib.h>
#include <string.h>

static _Atomic size_t large_bytes, bound_bytes = SIZE_MAX;

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

static bool take(size_t bytes, bool is_spare)
{
	size_t used = atomic_load_explicit(&large_bytes, memory_order_relaxed);
	const size_t bound = most(is_spare);

	do
		if (used > bound || bytes > bound - used)
			return false;
	while (!atomic_compare_exchange_weak_explicit(&large_bytes, &used, used + bytes, memory_order_relaxed, memory_order_relaxed));
	return true;
}

bool shbuf_take(size_t bytes)
{
	return take(bytes, true);
}

void shbuf_give(size_t bytes)
{
	atomic_fetch_sub_explicit(&large_bytes, bytes, memory_order_relaxed);
}

/* A large one is counted already. */
static struct shbuf *begin(struct shbuf *b, size_t len)
{
	atomic_init(&b->refs, 1);
	b->reserved = 0;
	b->len = len;
	return b;
}

static struct shbuf *make(size_t len, bool is_spare)
{
	const bool is_large = len >= SHBUF_LARGE;

	if (len > SIZE_MAX - sizeof(struct shbuf) || (is_large && !take(len, is_spare)))
		return NULL;
	struct shbuf *b = malloc(sizeof(*b) + len);
	if (!b && is_large)
		shbuf_give(len);
	return b ? begin(b, len) : NULL;
}

struct shbuf *shbuf_new(size_t len)
{
	return make(len, false);
}

struct shbuf *shbuf_new_spare(size_t len)
{
	return make(len, true);
}

struct shbuf *shbuf_new_sure(size_t len)
{
	if (len >= SHBUF_LARGE)
		atomic_fetch_add_explicit(&large_bytes, len, memory_order_relaxed);
	return begin(xmalloc(sizeof(struct shbuf) + len), len);
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
	if (b->len >= SHBUF_LARGE)
		atomic_fetch_sub_explicit(&large_bytes, b->len, memory_order_relaxed);
	free(b);
}

size_t shbuf_large_bytes(void)
{
	return atomic_load_explicit(&large_bytes, memory_order_relaxed);
}
