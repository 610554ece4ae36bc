/* confusables.h — Unicode's look-alikes of Latin, Greek and Cyrillic letters, as tools/confusables.c makes them at build time.
 *
 * Constant data; any thread. */
#ifndef WC_CONFUSABLES_H
#define WC_CONFUSABLES_H

#include "base/wc.h"

struct confusable {
	uint32_t from;
	uint16_t at; /* where its prototype begins in wc_prototypes */
};

extern const struct confusable wc_confusables[]; /* by `from` */
extern const size_t wc_confusables_len;
extern const char wc_prototypes[]; /* UTF-8, each terminated */

#endif
