/* joining.h — the letters of cursive scripts (Arabic, Syriac, Mongolian …) by the side on which they join their neighbour.
 *
 * Pure functions; any thread. */
#ifndef WC_JOINING_H
#define WC_JOINING_H

#include "base/wc.h"

bool joins_forward(int32_t point);  /* to the letter after it: Unicode's Joining_Type L or D */
bool joins_backward(int32_t point); /* to the letter before it: R or D */

#endif
