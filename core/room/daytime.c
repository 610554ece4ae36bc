/* daytime.c — the room's time of day (base/steady.h): its beginning, a look at it, and what is stamped anew once a step of it is believed.
 *
 * Owns r->now_ms and the times beside it; decides nothing about what expires. Ends are judged by boot_ms, which no step moves; the time
 * of day beside each is for people, and for the store. Thread: room (main while it loads, and at the end). */
#include "base/steady.h"
#include "room/impl.h"

#define CLOCK_MS 500   /* between two looks at the machine's clock */
#define RETRY_MS 10000 /* between two tries to store what it moved */

int64_t clock_next(int64_t last_ms, int64_t now_ms)
{
	/* A clock that is slewed back does not disorder the history. One that was set back, and is believed, stamps what comes. */
	return now_ms > last_ms || last_ms - now_ms > STEADY_STEP_MS ? now_ms : last_ms;
}

void clock_look(struct room *r)
{
	r->now_ms = clock_next(r->now_ms, steady_ms());
	r->looked_fine = mono_fine();
	r->mono_now_ms = mono_ms();
	r->boot_now_ms = boot_ms();
}

void clock_tick(struct room *r)
{
	clock_look(r);
	if (r->mono_now_ms < r->clock_next_ms)
		return;
	r->clock_next_ms = r->mono_now_ms + CLOCK_MS;
	const bool is_believed = steady_follow();
	clock_look(r);
	if (steady_hold_until_ms()) {
		sanctions_hold(r);
		lockdown_hold(r);
	}
	if (!is_believed)
		return;
	sanctions_follow_clock(r);
	lockdown_follow_clock(r);
	r->ends_moved = true;
}

/* A database of before has no such time: the newest that somebody was seen at, which may be of a clock that was wrong. */
void clock_begin(struct room *r)
{
	int64_t last_ms = (int64_t)store_counter(r->o.store, "clock_ms");
	size_t at = 0;
	if (!last_ms) {
		for (const struct user *u; (u = map_next(&r->users.by_id, &at));)
			last_ms = WC_MAX(last_ms, u->seen_ms);
		last_ms = WC_MIN(last_ms, real_ms());
	}
	steady_begin(last_ms);
	r->now_ms = steady_ms();
	r->clock_kept_ms = last_ms;
}

void clock_store_ends(struct room *r, bool is_last)
{
	if (!r->ends_moved || (r->mono_now_ms < r->ends_next_ms && !is_last))
		return;
	int rc = store_begin(r->o.store);
	if (rc == 0)
		rc = sanctions_store_ends(r);
	if (rc == 0)
		rc = lockdown_store_end(r);
	r->ends_moved = store_finish(r->o.store, rc) < 0;
	r->ends_next_ms = r->mono_now_ms + RETRY_MS; /* there may be thousands, and the disk may stay full */
}
