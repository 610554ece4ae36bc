/* shbuf.h — reference-counted, immutable byte buffers, shared by many connections and threads.
 *
 * Its maker holds the first reference. Bytes are written before it is shared and never after.
 * Any thread may take and drop references. Buffers of SHBUF_LARGE bytes and more are counted while they live. So
 * the sum that slow readers pin can be bounded, and the part of it that one person or address may have. */
#ifndef WC_SHBUF_H
#define WC_SHBUF_H

#include <stdatomic.h>

#include "base/wc.h"

#define SHBUF_LARGE (64 * 1024)

/* Told when the last reference goes, before the memory does, by the thread that drops it. */
struct shbuf_watch {
	void (*gone)(struct shbuf_watch *w);
};

/* A purpose of large buffers. A kind has a share of the bound, so that neither shuts the other out. */
enum shbuf_kind {
	SHBUF_FILE = 1, /* the base64 of files: half */
	SHBUF_PAGE = 2, /* pages of history: a quarter */
	SHBUF_JOIN = 3, /* what is made for one who joins: half; a quarter of the bound is for those alone */
	SHBUF_KINDS
};

/* For whom large buffers are made: a kind, a person, an address, and the /48 of an IPv6 address. 0: for everybody, or nobody in particular.
 *
 * Of half the bound for files, an eighth for pages and a quarter for joins, one person may have a quarter, one address a half, and one /48
 * five eighths; but one buffer alone, beside crumbs, may be larger. So files of somebody take nothing from the pages of the same. */
typedef uint32_t shbuf_owner;
#define SHBUF_OWNER_BITS 10 /* of each of the three: a place, by hash */
/* For all who join, the same page. It has a person's share, however many versions slow readers hold. */
#define SHBUF_FOR_ALL ((shbuf_owner)((1U << SHBUF_OWNER_BITS) - 1) << 2 | (shbuf_owner)SHBUF_JOIN)

struct shbuf {
	_Atomic uint32_t refs;
	shbuf_owner owner;
	struct shbuf_watch *watch; /* NULL: none */
	size_t len;
	uint8_t data[];
};

/* person, addr (16 bytes): 0 and NULL are nobody and an address that is not limited. Of no kind yet. Any thread. */
shbuf_owner shbuf_owner_of(uint64_t person, const uint8_t *addr);
static inline shbuf_owner shbuf_for(shbuf_owner owner, enum shbuf_kind kind)
{
	return (owner & ~(shbuf_owner)3) | (shbuf_owner)kind;
}

/* NULL when there is no memory, or a large one does not fit the bound: the length may come from a peer. */
struct shbuf *shbuf_new(size_t len);
struct shbuf *shbuf_new_sure(size_t len); /* for what no peer sizes past a frame's bound: never NULL, counted past the bound */
struct shbuf *shbuf_copy(const void *data, size_t len);
/* The same within three quarters of the bound, and within the owner's shares: what is left is for those who join. */
struct shbuf *shbuf_new_spare(size_t len, shbuf_owner owner);
/* Makes one of malloc'd memory: a struct shbuf, to be filled in, and len bytes behind it. `taken` bytes of it are counted for this
 * owner. The count above len is given back. Takes the memory over. */
struct shbuf *shbuf_adopt(void *memory, size_t len, size_t taken, shbuf_owner owner);
struct shbuf *shbuf_ref(struct shbuf *b);
struct shbuf *shbuf_ref_living(struct shbuf *b); /* NULL: its last reference is being dropped. Under a lock that its watch's `gone` takes */
void shbuf_unref(struct shbuf *b);               /* NULL-safe */
/* Bytes in living large buffers. */
size_t shbuf_large_bytes(void);
/* Bytes in large buffers that there may be; SIZE_MAX, as at first: any. Any thread. */
void shbuf_bound(size_t bytes);
/* Counts memory of another kind with them, as shbuf_new_spare does: what is being encoded. */
static inline bool shbuf_take(size_t bytes, shbuf_owner owner) WC_MUSTCHECK;
/* The same for a buffer that grows, of which `had` bytes are counted. It may grow to a few megabytes if it is its owner's only one. */
bool shbuf_take_more(size_t bytes, size_t had, shbuf_owner owner) WC_MUSTCHECK;
static inline bool shbuf_take(size_t bytes, shbuf_owner owner)
{
	return shbuf_take_more(bytes, 0, owner);
}
void shbuf_give(size_t bytes, shbuf_owner owner);
/* Would shbuf_new_spare find room now? It may have gone by then. */
bool shbuf_has_room(size_t bytes, shbuf_owner owner);
size_t shbuf_large_most(void); /* the longest that shbuf_new_spare may give */
size_t shbuf_large_left(void); /* of three quarters of it */
/* A large one, and another was refused within the last two seconds for want of what this one holds: its slow readers are to go sooner. */
bool shbuf_is_wanted(const struct shbuf *b);

#endif
