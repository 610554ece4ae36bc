/* collector.h — the removal of files that no message refers to any more, one turn at a time. */
#ifndef WC_COLLECT_H
#define WC_COLLECT_H

#include "base/wc.h"
#include "store/store.h"

struct room;
struct blob_withdrawal;

/* The collector's memory between turns. */
struct collect_state {
	bool was_swept, was_replaced;
	bool has_more;           /* released blobs are left, or wait */
	int64_t sweep_next_ms;   /* monotonic */
	uint64_t released_after; /* the list of released blobs is gone through from here */
};

struct collect_turn {
	struct collect_state *state;
	bool accepts_orphans;
	struct blob_withdrawal *withdrawn; /* handles that end with a deletion; freed by collect_forget */
	size_t withdrawn_count;
	uint64_t *forget; /* released blobs there is nothing left to do for: for collect_forget */
	size_t forget_count;
};

/* Unlinks released files; every few minutes also sweeps the folder. Thread: helper. */
void collect_run(const struct room *room, struct store_reader *r, struct collect_turn *t);
/* After collect_run: removes the rows of files that are gone. Frees t->forget. Thread: room. */
void collect_forget(struct room *room, struct collect_turn *t);
/* Once the room and the helpers have ended: what messages were under way is settled, so that a clean stop leaves nothing open. Either may
 * be NULL. Thread: main. */
struct blobs;
void collect_last(struct store *store, struct blobs *blobs);
/* Is there something for a turn to do? Thread: room, while no turn is under way. */
bool collect_is_due(const struct room *room, const struct collect_state *state);

#endif
