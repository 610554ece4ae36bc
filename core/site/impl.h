/* impl.h — the routes and helpers that the units of this folder share. For this folder alone. */
#ifndef WC_SITE_IMPL_H
#define WC_SITE_IMPL_H

#include "base/helper.h"
#include "site/site.h"

/* site_job.c */
/* Queues the job for a helper, in the turn of r's address. False: too many wait already, 503 was answered and r is gone; job.arg is still
 * the caller's. */
bool site_submit(struct site *site, struct http_req *r, struct job job) WC_MUSTCHECK;

/* Routes; arg is the struct site. Thread: civetweb's workers. */
void site_upload_post(void *arg, struct http_req *r);
void site_upload_get(void *arg, struct http_req *r);
void site_file_get(void *arg, struct http_req *r);

/* --- Pure parts of site_file.c, here for their tests. */
/* How a stored type is served. Not on the safe list: application/octet-stream, not inline. */
struct site_media {
	const char *mime, *served_as, *extension;
	bool is_inline;
};
const struct site_media *site_media(struct str mime);
/* A whole Content-Disposition value, ASCII and terminated, whatever the name holds. */
#define SITE_DISPOSITION_BYTES 2048
void site_disposition(char out[SITE_DISPOSITION_BYTES], bool is_inline, struct str filename);

#endif
