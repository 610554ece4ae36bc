/* impl.h — the routes and helpers that the units of this folder share. For this folder alone. */
#ifndef WC_SITE_IMPL_H
#define WC_SITE_IMPL_H

#include <stdatomic.h>

#include "base/helper.h"
#include "site/site.h"

/* site_places.c */
#define UPLOAD_KEY_BYTES 64
struct upload_place {
	struct upload_place *next; /* in site->uploads */
	uint64_t identity_id;
	bool is_counted; /* its address is known, and not exempt */
	uint8_t address[16];
	char key[UPLOAD_KEY_BYTES + 1];
	bool is_seen; /* by a look through the list */
	int64_t began_ms;
	_Atomic uint64_t came; /* bytes; its owner counts them */
	atomic_bool is_over;   /* the place went to another upload: the next write is the last */
};
/* A connection that resumes an upload takes the place of the broken one, which may not have been noticed yet. So one upload of that person
 * with the same key does not count; further ones do. One address, or one /48 of IPv6, has at most half of all places. When all are
 * taken, an address with fewer takes the place of the slowest upload of the address that has most: it can be resumed.
 * Returns 0 and takes one; 429: this person or this address has too many; 503: there are too many in all, or no descriptor. */
int places_take(struct site *site, struct upload_place *p, bool has_descriptor) WC_MUSTCHECK;
/* Before the answer, so that a client that waits for the answer finds the place free. */
void places_leave(struct site *site, struct upload_place *p);

/* site_job.c */
/* False: too many jobs of this kind and owner wait already, 503 was answered and r is gone. Sets the owner's address. */
bool site_has_time(struct site *site, struct http_req *r, struct job *job) WC_MUSTCHECK;
/* Queues the job for a helper, in the turn of r's address. False: too many wait already, 503 was answered and r is gone; job.arg is still
 * the caller's. */
bool site_submit(struct site *site, struct http_req *r, struct job job) WC_MUSTCHECK;

/* Routes; arg is the struct site. Thread: civetweb's workers. */
void site_upload_post(void *arg, struct http_req *r);
void site_upload_get(void *arg, struct http_req *r);
void site_upload_delete(void *arg, struct http_req *r);
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
