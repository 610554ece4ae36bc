/* steady.h — the time of day as the server believes it, and what is old by it, whatever the machine's clock does.
 *
 * A step of the machine's clock is believed, for stamps, once it has stood for STEADY_DOUBT_MS. It makes nothing old: age is counted by a
 * clock that no step moves. Where the server starts more than a day after the last time that it stored, nothing is old for STEADY_HOLD_MS:
 * the clock may be wrong. Before steady_begin, as in tools and tests, it is the machine's time of day. */
#ifndef WC_STEADY_H
#define WC_STEADY_H

#include <stdbool.h>
#include <stdint.h>

#define STEADY_STEP_MS 2000 /* less than this is followed at once: clocks are slewed */
#define STEADY_DOUBT_MS (5 * 60 * 1000)
#define STEADY_HOLD_MS (3600 * 1000)
#define STEADY_FAR_MS (24 * 3600 * 1000LL)

/* last_ms: what steady_to_store said when it was last stored; 0: never. Begins anew each time. Thread: main, before the room's. */
void steady_begin(int64_t last_ms);
/* Looks at the machine's clock; to be called about once a second. True: a step is believed from now on, and steady_ms has moved by it.
 * Thread: room. */
bool steady_follow(void);
/* Whether the last step believed mended a clock that was wrong at the start: a stored time is then right as it was stored. Any thread. */
bool steady_mended(void);

int64_t steady_ms(void); /* Unix time. Any thread, never waits */
/* The lowest time that the clock showed within the last age_ms: what has an earlier stamp is older than that, for sure. INT64_MIN while
 * nothing is. For stamps of steady_ms; and for those of the kernel, such as st_mtim, and for what is kept for a day: that waits for ten
 * minutes where the server was down for five, or the clock is ahead. Any thread. */
int64_t steady_cut_ms(int64_t age_ms);
int64_t steady_file_cut_ms(int64_t age_ms);

/* The boot_ms at which a stored Unix time is over: now, if it is, but never before the hold at a start is. Any thread. */
int64_t steady_deadline_ms(int64_t until_ms);
int64_t steady_until_ms(int64_t deadline_ms); /* the Unix time of a boot_ms, as steady_ms has it now. Any thread */
int64_t steady_hold_until_ms(void);           /* a boot_ms; 0: there is no hold. A step within it may put it off. Any thread */
/* Whether a step may yet show that the clock was wrong at the start, so that a stored time counts anew: for an hour after a start more than
 * 5 minutes past the last time stored, or behind it, and for an hour after a step that showed the latter. Behind: what was loaded may
 * end too late. Any thread. */
bool steady_in_doubt(void);
bool steady_may_be_behind(void);
int64_t steady_to_store(void); /* a time of day that was never moved forward by a step. Any thread */

#endif
