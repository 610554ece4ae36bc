/* assets.h — the client, embedded: what tools/embed.c makes of assets/. Constant data; any thread. */
#ifndef WC_ASSETS_H
#define WC_ASSETS_H

#include "base/wc.h"

struct asset {
	const char *path; /* "/", "/sw.js", "/manifest.webmanifest", "/icon.svg", "/icon-192.png" … */
	const char *content_type;
	const char *etag;  /* quoted, of the gzipped bytes */
	const char *csp;   /* Content-Security-Policy value for this asset, with the hashes of its inline parts; NULL: the default one */
	const uint8_t *gz; /* gzipped bytes; NULL if the plain ones are smaller */
	size_t gz_len;
	const uint8_t *plain;
	size_t plain_len;
	bool is_immutable; /* else: no-cache, revalidated by ETag */
};
extern const struct asset wc_assets[]; /* ends with a NULL path */

#endif
