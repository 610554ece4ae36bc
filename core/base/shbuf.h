/* shbuf.h — reference-counted, immutable byte buffers, shared by many connections and threads.
 *
 * Its maker holds the first reference. Bytes are written before it is shared and never after.
 * Any thread may take and drop references. Buffers of SHBUF_LARGE bytes and more are counted while they live, so that
 * the sum of what slow readers pin can be bounded. */
#ifndef WC_SHBUF_H
#define WC_SHBUF_H

#include <stdatomic.h>

#include "base/wc.h"

#define SHBUF_LARGE (64 * 1024)

struct shbuf {
	_Atomic uint32_t refs;
	uint32_t reserved;
	size_t len;
	uint8_t data[];
};

/* NULL when there is no memory, or a large one does not fit the bound: the length may come from a peer. */
struct shbuf *shbuf_new(size_t len);
struct shbuf *shbuf_new_sure(size_t len); /* for what no peer sizes past a frame's bound: never NULL, counted past the bound */
struct shbuf *shbuf_copy(const void *data, size_t len);
/* The same within three quarters of the bound: what is left is for those who join. */
struct shbuf *shbuf_new_spare(size_t len);
struct shbuf *shbuf_ref(struct shbuf *b);
void shbuf_unref(struct shbuf *b); /* NULL-safe */
/* Bytes in living large buffers. */
size_t shbuf_large_bytes(void);
/* Bytes in large buffers that there may be; SIZE_MAX, as at first: any. Any thread. */
void shbuf_bound(size_t bytes);
/* Counts memory of another kind with them, within three quarters of the bound: what is being encoded. */
bool shbuf_take(size_t bytes) WC_MUSTCHECK;
void shbuf_give(size_t bytes);
size_t shbuf_large_most(void); /* the longest that shbuf_new_spare may give */
size_t shbuf_large_left(void); /* of three quarters of it */

#endif
