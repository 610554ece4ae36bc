/* name.h — the names of people: what a name may hold, and the key by which two names clash.
 *
 * Pure functions; any thread. */
#ifndef WC_NAME_H
#define WC_NAME_H

#include "base/wc.h"

#define WC_NAME_POINTS 32
#define WC_NAME_BYTES (WC_NAME_POINTS * 4)
/* A display name from what a peer sent. Any bytes may come in:
 *
 * - control, invisible (Cf, zero width, variation tag blocks) and bidi control characters go. U+200D and U+FE0F stay inside emoji
 *   sequences; joiners (U+200C, U+200D) stay where CONTEXTJ (RFC 5892) has them: behind a virama, and U+200C between two letters that it
 *   keeps apart;
 * - combining marks with nothing before them go, and those past the fourth on a letter;
 * - runs of white space and of blanks (utf8_is_blank) become one space; the ends are trimmed, and the rest is cut to WC_NAME_POINTS.
 *
 * Returns its length; 0 if nothing is left. out is terminated. */
size_t name_clean(char out[WC_NAME_BYTES + 1], struct str raw);
/* The key by which names clash: NFKC, case folded, invisible characters dropped (utf8proc NFKC_Casefold). NULL-terminated string
 * the caller frees; never NULL (a name that cannot be folded is its own key). */
char *name_key(struct str name);

#endif
