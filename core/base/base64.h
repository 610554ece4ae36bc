/* base64.h — RFC 4648 base64, as the wire carries it. Pure functions; any thread. */
#ifndef WC_BASE64_H
#define WC_BASE64_H

#include "base/wc.h"

#define BASE64_LEN(n) (((size_t)(n) + 2) / 3 * 4)

/* Decodes s into out (room for s.len / 4 * 3 + 2 bytes; out may be s.p). Padding is optional; white space (CR, LF, space, tab)
 * is skipped; "data:…;base64," is not stripped. Returns the number of bytes, or -WC_EBAD. Table-driven, four characters at a time. */
ssize_t base64_decode(void *out, struct str s) WC_MUSTCHECK;
/* Writes exactly BASE64_LEN(n) characters, padded, not terminated. */
void base64_encode(char *out, const void *data, size_t n);
/* URL-safe alphabet, no padding; out has room for BASE64_LEN(n) + 1, terminated. Returns its length. */
size_t base64url_encode(char *out, const void *data, size_t n);

#endif
