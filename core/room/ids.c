/* ids.c — ids of events: one order for all, in which a gap shows the time between two events and never what was sent in it.
 *
 * Owns the counter. Never gives an id twice, and never one that is 2^53 or more. Thread: room; main while it starts.
 *
 * An id is the time at which the room looks at the event, or one more than the last if that is more. The time is read for each event: two
 * events with others between them in one batch must not show how many those were. It goes on evenly from the start, whatever the clock
 * does; so a clock that was set back never makes ids count.
 *
 * The time of day of an event is of the same reading. Were it that of the batch, the two would differ by what the batch did before. */
#include "room/impl.h"

#define CLOCK_MOST (UINT64_C(1) << 52) /* the year 2106: a clock that is later leaves ids enough */

void ids_start(struct room *r, uint64_t last)
{
	const uint64_t clock = ((uint64_t)WC_MAX(r->now_ms, 0) << 20) / 1000;
	r->last_id = last;
	r->id_base = WC_MAX(last + 1, WC_MIN(clock, CLOCK_MOST)) - mono_fine();
}

uint64_t ids_take(struct room *r, int64_t *at_ms)
{
	const uint64_t fine = mono_fine();
	const int64_t now_ms = r->now_ms + (int64_t)(((fine - r->looked_fine) * 1000) >> 20);
	r->last_id = WC_MAX(r->last_id + 1, r->id_base + fine);
	r->event_ms = clock_next(r->event_ms, now_ms);
	*at_ms = r->event_ms;
	return r->last_id;
}
