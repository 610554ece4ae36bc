/* lockdown.h — an emergency's switch: no new people, or nobody writes, for a while or until an admin ends it.
 *
 * The room owns it (room/lockdown.c). Other threads read its level here, and refuse before anything costs them much. */
#ifndef WC_LOCKDOWN_H
#define WC_LOCKDOWN_H

#include "base/wc.h"

enum lockdown_level { LOCKDOWN_OFF, LOCKDOWN_NEW_PEOPLE /* no new people */, LOCKDOWN_READ_ONLY /* and nobody writes */ };

/* Any thread; never waits. */
bool lockdown_is_read_only(void);
int64_t lockdown_left_ms(void); /* milliseconds until it ends by itself, at least 1; 0: it has no end, or is not on */

/* ends_ms: by boot_ms; 0: until an admin ends it. Also sets the gauge. Thread: room (main while it loads). */
void lockdown_show(enum lockdown_level level, int64_t ends_ms);

#endif
