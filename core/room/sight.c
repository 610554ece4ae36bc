/* sight.c — the bounds of what one person may know of others: the newest event, how far back it is whole, whose names are no secret.
 *
 * Owns no state. No answer depends on direct messages of other people. Thread: room. */
#include "room/impl.h"

uint64_t sight_head(const struct room *r, const struct user *u)
{
	return WC_MAX(r->public_id, u->dm_id);
}

bool sight_resets(const struct room *r, const struct user *u, uint64_t since)
{
	return since > sight_head(r, u) || (r->public_floor > 1 && since < r->public_floor) || since < u->dm_floor;
}

/* The store hears once a minute who is here: a kill leaves people with an older time, of before others came that they met. */
#define SEEN_LATE_MS (2 * 60 * 1000)

/* Everybody learns of people who are online, and reads the names of those who wrote to everyone. */
bool sight_knows(struct room *r, const struct user *asker, const struct user *u)
{
	const bool is_dated = asker->created_ms <= r->now_ms; /* not by a clock that was ahead */
	const int64_t late_ms = asker->created_ms < r->opened_ms && u->seen_ms < r->opened_ms ? SEEN_LATE_MS : 0;
	if (u == asker || u->is_online || u->has_spoken || !is_dated || u->seen_ms + late_ms >= asker->created_ms)
		return true;
	return store_has_peer(r->o.store, asker->id, u->id) != 0; /* a store that fails refuses the message by itself */
}
