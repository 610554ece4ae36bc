/* fault.h — planted faults, to prove that the tests would see real ones. Compiled in only with -DWC_FAULTS (make MODE=fault), where
 * WAVECHAT_FAULT names the one to commit; elsewhere every question is a constant no. */
#ifndef WC_FAULT_H
#define WC_FAULT_H

#ifdef WC_FAULTS
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* publish-early: what is published waits for its commit no longer. lost-cursor: now and then a connection's cursor jumps over a
 * frame. no-dedup: a repeated cid is stored again. leak-dm: a DM now and then reaches a third. */
static inline bool fault(const char *name)
{
	const char *wanted = getenv("WAVECHAT_FAULT");
	return wanted && strcmp(wanted, name) == 0;
}
#else
#define fault(name) false
#endif

#endif
