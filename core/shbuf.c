/* shbuf.c — reference-counted immutable buffers (see shbuf.h), and the sum of the large ones.
 *
 * Owns that sum. Never looks at the bytes. Any thread. */
#include "shbuf.h"

#include <stdlib.h>
#include <string.h>

static _Atomic size_t large_bytes;

static struct shbuf *begin(struct shbuf *b, size_t len)
{
	atomic_init(&b->refs, 1);
	b->reserved = 0;
	b->len = len;
	if (len >= SHBUF_LARGE)
		atomic_fetch_add_explicit(&large_bytes, len, memory_order_relaxed);
	return b;
}

struct shbuf *shbuf_new(size_t len)
{
	struct shbuf *b = len <= SIZE_MAX - sizeof(*b) ? malloc(sizeof(*b) + len) : NULL;

	return b ? begin(b, len) : NULL;
}

struct shbuf *shbuf_new_sure(size_t len)
{
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
	/* relaxed: whoever takes a reference holds one already, or was given it by something that synchronises */
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
