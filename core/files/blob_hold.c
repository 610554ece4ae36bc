/* blob_hold.c — holds: blobs that were stored or named for a message which is not committed yet, and messages that were decided since.
 *
 * Owns the two lists of holds in struct blobs. Never touches a disk or the database, and takes no lock but its own, because the room
 * ends holds. Thread: any.
 *
 * Why a hold suffices: the collector reads the counter of moves, then asks the database. It drops a blob only if there is no hold on it
 * and the counter has not moved. A hold that began or ended in between moved the counter. A hold that ended before had its message
 * committed by then, so the database's answer includes that message. */
#include <stdlib.h>
#include <string.h>

#include "files/impl.h"

/* Holds that have ended wait for the collector, which runs every second. Past this many, their blobs wait for a sweep. */
#define ENDED_MAX 65536

struct blob_hold *blob_hold_new(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], const struct upload_record *rec)
{
	struct blob_hold *h = xcalloc(1, sizeof(*h));

	h->b = b;
	memcpy(h->sha, sha, WC_SHA_BYTES);
	if (rec) {
		h->is_upload = true;
		h->identity_id = rec->identity_id;
		memcpy(h->name, rec->name, sizeof(h->name));
		memcpy(h->handle, rec->handle, sizeof(h->handle));
	}
	pthread_mutex_lock(&b->holds_lock);
	LIST_INSERT_HEAD(&b->held, h, link);
	b->hold_moves++;
	pthread_mutex_unlock(&b->holds_lock);
	return h;
}

void blob_hold_used(struct blob_hold *h)
{
	if (h)
		h->is_used = true;
}

void blob_hold_end(struct blob_hold *h)
{
	struct blobs *b;

	if (!h)
		return;
	b = h->b;
	pthread_mutex_lock(&b->holds_lock);
	LIST_REMOVE(h, link);
	b->hold_moves++;
	if (b->ended_count < ENDED_MAX) {
		LIST_INSERT_HEAD(&b->ended, h, link);
		b->ended_count++;
		h = NULL;
	}
	pthread_mutex_unlock(&b->holds_lock);
	free(h);
}

void blob_hold_drop(struct blob_hold *h)
{
	pthread_mutex_lock(&h->b->holds_lock);
	LIST_REMOVE(h, link);
	h->b->hold_moves++;
	pthread_mutex_unlock(&h->b->holds_lock);
	free(h);
}

void blob_hold_give_up(struct blob_hold *h)
{
	h->is_given_up = true;
	blob_hold_end(h);
}

void blob_hold_again(struct blob_hold *h)
{
	pthread_mutex_lock(&h->b->holds_lock);
	LIST_INSERT_HEAD(&h->b->ended, h, link);
	h->b->ended_count++;
	pthread_mutex_unlock(&h->b->holds_lock);
}

bool blobs_has_ended(struct blobs *b)
{
	return atomic_load_explicit(&b->ended_count, memory_order_relaxed) > 0;
}

struct blob_hold *blob_holds_ended(struct blobs *b)
{
	struct blob_hold *all;

	pthread_mutex_lock(&b->holds_lock);
	all = LIST_FIRST(&b->ended);
	LIST_INIT(&b->ended);
	b->ended_count = 0;
	pthread_mutex_unlock(&b->holds_lock);
	return all;
}

void blob_holds_each_fresh(struct blobs *b, bool begin)
{
	pthread_mutex_lock(&b->holds_lock);
	for (struct blob_hold *h = LIST_FIRST(&b->held), *next; h; h = next) {
		next = LIST_NEXT(h, link);
		if (begin && h->fresh == FRESH_NEW) {
			h->fresh = FRESH_SEEN;
		} else if (!begin && h->fresh == FRESH_SEEN) {
			LIST_REMOVE(h, link);
			free(h);
			b->hold_moves++;
		}
	}
	pthread_mutex_unlock(&b->holds_lock);
}

void blob_hold_fresh(struct blob_hold *h)
{
	pthread_mutex_lock(&h->b->holds_lock);
	h->fresh = FRESH_NEW;
	pthread_mutex_unlock(&h->b->holds_lock);
}

bool blob_is_held(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *moves)
{
	bool is_held = false;

	pthread_mutex_lock(&b->holds_lock);
	for (const struct blob_hold *h = LIST_FIRST(&b->held); h && !is_held; h = LIST_NEXT(h, link))
		is_held = memcmp(h->sha, sha, WC_SHA_BYTES) == 0;
	*moves = b->hold_moves;
	pthread_mutex_unlock(&b->holds_lock);
	return is_held;
}

void blob_holds_close(struct blobs *b)
{
	struct blob_hold *h;

	while ((h = LIST_FIRST(&b->ended)) || (h = LIST_FIRST(&b->held))) {
		LIST_REMOVE(h, link);
		free(h);
	}
}
