/* nearest.h — how far a mistyped word is from a right one. Pure; any thread. */
#ifndef WC_NEAREST_H
#define WC_NEAREST_H

#include <stddef.h>

#define NEAREST_LONGEST 32 /* a longer word is near none */

/* Edits that make the first a_len bytes of a into b (Levenshtein): at most NEAREST_LONGEST. */
size_t edit_distance(const char *a, size_t a_len, const char *b);

#endif
