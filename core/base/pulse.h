/* pulse.h — do the threads that live long still turn? Each says when it goes to work and when it waits for work. A reader sees how long
 * each has been at work. Any thread; a clock's reading and an atomic store a turn. */
#ifndef WC_PULSE_H
#define WC_PULSE_H

#include "base/wc.h"

#define PULSE_STALL_MS 1000 /* for a turn this long: no turn of any loop is to take a tenth of that */

void pulse_rest(void); /* the calling thread waits for work from here on; the first call makes it known, by its role and name */
void pulse_work(void);
void pulse_patience(int64_t ms); /* the turn under way may take so long before it counts as hanging: for jobs that walk over all there is */
void pulse_end(void);            /* it ends, or does something else from now on */

/* The thread that is longest at work among those of all roles, or, with only_vital, those that must never wait for a disk's jobs: not the
 * helpers. Returns for how many ms; 0: all rest. name gets its name. */
int64_t pulse_longest(bool only_vital, char name[16]);
/* A thread that has been at work for longer than it may: 3 s, a helper a minute, or what pulse_patience said. The room is not looked at, it
 * is asked otherwise. Returns for how many ms; 0: none hangs. */
int64_t pulse_hangs(char name[16]);

#endif
