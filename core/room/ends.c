/* ends.c — ends of bans, mutes and a lockdown, after a step of the clock.
 *
 * An end is judged by boot_ms, which no step moves. The time of day beside it is for people, and for the store. One that was loaded is a
 * time of day first. A clock that was wrong at the start has made a wrong boot_ms of it. Owns nothing. Thread: room. */
#include "base/steady.h"
#include "room/impl.h"

bool end_follow_clock(int64_t *until_ms, int64_t *ends_ms, int64_t loaded_ms)
{
	const int64_t was_ms = *ends_ms, now_ms = boot_ms();
	if (loaded_ms && steady_mended()) {
		/* One that the new clock has ended stays for an hour: this step may be the wrong one. See end_hold. */
		*until_ms = loaded_ms;
		*ends_ms = now_ms + WC_MAX(loaded_ms - steady_ms(), WC_MIN(was_ms - now_ms, (int64_t)STEADY_HOLD_MS));
	} else if (!loaded_ms || !steady_hold_until_ms()) { /* within the hold a loaded one is as it was stored: the clock is in doubt */
		*until_ms = steady_until_ms(was_ms);
	}
	return *ends_ms != was_ms;
}

bool end_hold(int64_t *ends_ms, int64_t loaded_ms)
{
	const int64_t was_ms = *ends_ms;
	if (loaded_ms && was_ms > boot_ms()) /* what has ended does not come back by it */
		*ends_ms = WC_MAX(was_ms, steady_hold_until_ms());
	return *ends_ms != was_ms;
}
