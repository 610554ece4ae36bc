/* negotiate.h — a client's wishes for an answer: only if it changed, compressed, or in part.
 *
 * Reads headers of RFC 9110. A header that makes no sense counts as absent. Pure functions; any thread; no memory. */
#ifndef WC_NEGOTIATE_H
#define WC_NEGOTIATE_H

#include "base/wc.h"

/* Does If-None-Match name this ETag (quoted, without a comma)? Weak comparison: a W/ in front does not matter. header may be NULL. */
bool http_etag_matches(const char *header, const char *etag);
/* Does Accept-Encoding prefer gzip to no compression? NULL: no. */
bool http_accepts_gzip(const char *accept_encoding);

enum http_range { RANGE_WHOLE, RANGE_PART, RANGE_OUTSIDE };
/* Of `size` bytes. RANGE_PART sets from and len, which lie within size. More than one range, or one that makes no sense, is the whole. */
enum http_range http_parse_range(const char *header, uint64_t size, uint64_t *from, uint64_t *len);

#endif
