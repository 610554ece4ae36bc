/* collector.h — the collector's turn (see collector.c). */
#ifndef WC_COLLECT_H
#define WC_COLLECT_H

#include "base/wc.h"
#include "store/store.h"

struct room;

/* What the collector knows from turn to turn. Its turns come one at a time. */
struct collect_state {
	bool was_swept, was_replaced;
	bool has_more;           /* released blobs are left, or wait */
	int64_t sweep_next_ms;   /* monotonic */
	uint64_t released_after; /* the list of released blobs is gone through from here */
};

struct collect_turn {
	struct collect_state *state;
	bool accepts_orphans;
	uint64_t *forget; /* released blobs there is nothing left to do for: for collect_forget */
	size_t forget_count;
};

/* Unlinks what was released, and now and then sweeps. Thread: helper. */
void collect_run(const struct room *room, struct store_reader *r, struct collect_turn *t);
/* After it: forgets what is done. Frees t->forget. Thread: room. */
void collect_forget(struct room *room, struct collect_turn *t);
/* Once the room and the helpers have ended: what messages were under way is settled, so that a clean stop leaves nothing open. Either may be
 * NULL. Thread: main. */
struct blobs;
void collect_last(struct store *store, struct blobs *blobs);
/* Is there something for a turn to do? Thread: room, while no turn is under way. */
bool collect_is_due(const struct room *room, const struct collect_state *state);

#endif
