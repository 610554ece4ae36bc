/* place.h — which of a few places a person or an address has in a table of sums. Two that share one share what it counts.
 *
 * Any thread, never waits. */
#ifndef WC_PLACE_H
#define WC_PLACE_H

#include "base/wc.h"

/* 1 .. places: 0 is left for nobody. The seed is the process's own, so that nobody can choose whose place to share. */
uint32_t place_of(uint64_t a, uint64_t b, uint32_t places);

#endif
