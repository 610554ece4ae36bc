/* name.h — the names of people: what a name may hold, and the key by which two names clash.
 *
 * Pure functions; any thread. */
#ifndef WC_NAME_H
#define WC_NAME_H

#include "base/wc.h"

#define WC_NAME_POINTS 32
#define WC_NAME_BYTES (WC_NAME_POINTS * 4)
/* A display name from what a peer sent: control, invisible (Cf, zero width, variation tag blocks) and bidi control
 * characters removed except U+200D and U+FE0F inside emoji sequences, combining marks with nothing before them too, runs of
 * white space (U+2800, the blank Braille cell, included) made one space, trimmed, cut to WC_NAME_POINTS. Any bytes may come
 * in. Returns its length; 0 if nothing is left. out is terminated. */
size_t name_clean(char out[WC_NAME_BYTES + 1], struct str raw);
/* The key by which names clash: NFKC, case folded, invisible characters dropped (utf8proc NFKC_Casefold). NULL-terminated string
 * the caller frees; never NULL (a name that cannot be folded is its own key). */
char *name_key(struct str name);

#endif
