/* tail.h — the recent public messages, kept encoded, so that a join never waits for the database.
 *
 * Thread: room (main while it fills it at start). */
#ifndef WC_TAIL_H
#define WC_TAIL_H

#include "base/shbuf.h"
#include "wire/encode.h"

#define TAIL_PAGE 1000                 /* events a resume page holds; the tail keeps at least as many */
#define TAIL_PAGE_BYTES (1024 * 1024)  /* and about as much as a page of the second dialect holds; one event always */
#define TAIL_INLINE_BYTES (256 * 1024) /* of base64 in a dialect-1 history */

struct tail;

/* history_limit: what a joiner gets. */
struct tail *tail_new(int history_limit);
/* Keeps no more than `bytes` of messages: the oldest go. At first there is no bound but their number. */
void tail_bound(struct tail *t, size_t bytes);
void tail_free(struct tail *t);
void tail_set_history_limit(struct tail *t, int history_limit); /* at most what it was made with, or TAIL_PAGE */

/* Copies m. data64 (may be NULL) is shared. Ids only grow. */
void tail_add(struct tail *t, const struct msg *m, struct shbuf *data64);
/* Flags of a message changed (gone, deleted). No-op if it is not in the tail. */
void tail_set_flags(struct tail *t, uint64_t id, uint32_t flags);
/* A deletion that everyone is told of: part of what tail_since gives, of no history. The newest TAIL_PAGE are kept; those up to
 * `before` are known to exist and not to be here. */
void tail_add_deletion(struct tail *t, uint64_t id, int64_t at_ms, uint64_t target);
void tail_set_deletions_before(struct tail *t, uint64_t before);
/* Retention removed everything up to this id. */
void tail_drop_through(struct tail *t, uint64_t id);
uint64_t tail_last_id(const struct tail *t); /* 0: empty */
/* May everything after `since` be had from the tail? True if the tail reaches back that far. */
bool tail_covers(const struct tail *t, uint64_t since);
/* The tail holds all there is (nothing older is stored), so that it covers every since. */
void tail_set_complete(struct tail *t, bool is_complete);

/* `"history":[…]}` — the end of an init frame: the last history_limit, in dialect 2 at most TAIL_PAGE_BYTES. `me`: the person
 * whose messages show cid and self in dialect 2. Shared where nothing is personal, and where versions that slow readers still hold
 * leave room; else made for the asker alone, at the cost of this owner. The caller gets a reference; NULL: no memory, or the
 * asker's share is used up. */
struct shbuf *tail_history(struct tail *t, enum dialect d, uint64_t me, shbuf_owner asker);
/* The same for what came after since, the oldest first (dialect 2; at most TAIL_PAGE by construction). *has_more: it was cut at
 * TAIL_PAGE_BYTES. */
struct shbuf *tail_since(struct tail *t, uint64_t since, uint64_t me, shbuf_owner asker, bool *has_more);

#endif
