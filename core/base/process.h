/* process.h — the kernel's figures of this process, as metrics: memory, processor time, descriptors. */
#ifndef WC_PROCESS_H
#define WC_PROCESS_H

#include "base/wc.h"

/* Sets the metrics named process_…, but for the start's time. Reads /proc/self; may be called at any time, from any thread. */
void process_look(void);
uint64_t process_open_fds(void); /* METRIC_ABSENT if /proc does not tell */

#endif
