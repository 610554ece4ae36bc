/* licenses.h — the licence of this program and the notices of what is linked into it, for --licenses. Main thread. */
#ifndef WC_LICENSES_H
#define WC_LICENSES_H

#include <stddef.h>
#include <stdint.h>

/* LICENSE and THIRD-PARTY, one after the other, gzipped; the build makes it (see the Makefile). */
extern const uint8_t wc_licenses_gz[];
extern const size_t wc_licenses_gz_len;

/* Prints them on standard output. */
void licenses_print(void);

#endif
