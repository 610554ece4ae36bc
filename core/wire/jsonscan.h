/* jsonscan.h — is this really JSON, and not too much of it? A strict pass over a frame before json-c sees it.
 *
 * json-c, strict or not, builds what a peer sends before anybody can count it: 35 MB of "[0,0,0," become a gigabyte of objects. It
 * also takes NaN, comments and 1e999. So one linear pass without memory checks the whole grammar (RFC 8259) and the limits below. It finds
 * the one value that may be large, so that json-c never copies it. Pure; any thread. */
#ifndef WC_JSONSCAN_H
#define WC_JSONSCAN_H

#include "base/wc.h"

#define JSON_DEPTH 8         /* objects and arrays within each other; the wire needs one */
#define JSON_VALUES 256      /* values in all; the wire needs a dozen */
#define JSON_NUMBER_BYTES 63 /* longer ones say nothing a double can hold */

/* NULL: json is exactly one JSON object (and white space), within the limits. Else what is wrong, for a person to read.
 * *data is what stands between the quotes of the top-level member "data", still escaped; p NULL if there is none or it is no string.
 * Of several the last counts. A key with a NUL in it is refused: json-c would cut it there. Input is valid UTF-8. */
const char *json_scan(const char *json, size_t len, struct str *data) WC_MUSTCHECK;

#endif
