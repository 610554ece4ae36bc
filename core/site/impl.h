/* impl.h — what site.c (the page, dispatch), site_upload.c and site_file.c share. Nobody else includes it. */
#ifndef WC_SITE_IMPL_H
#define WC_SITE_IMPL_H

#include "site/site.h"

/* So many jobs waiting mean that the disk has fallen behind: a quick 503 serves people better than a place at the end of the queue. */
#define SITE_QUEUED_MAX 2048

/* Walks a header's comma-separated list: the next element without white space around it; false at the end. */
bool site_next_item(const char **p, struct str *item);
/* Does an If-None-Match name this ETag (quoted)? Weak comparison, as RFC 9110 has it: W/ does not matter. header may be NULL. */
bool site_etag_matches(const char *header, const char *etag);
/* Queues fn(arg); false: too many wait already, 503 was answered and r is gone, arg is still the caller's. */
bool site_submit(struct site *site, struct http_req *r, job_fn fn, void *arg) WC_MUSTCHECK;

/* Routes; arg is the struct site. */
void site_upload_post(void *arg, struct http_req *r);
void site_upload_get(void *arg, struct http_req *r);
void site_file_get(void *arg, struct http_req *r);

/* --- Pure parts of site_file.c and site.c, here for their tests. */
bool site_accepts_gzip(const char *accept_encoding);
enum site_range { RANGE_WHOLE, RANGE_PART, RANGE_OUTSIDE };
/* RANGE_PART: from and len lie within size. More than one range, or one that makes no sense, is the whole. */
enum site_range site_parse_range(const char *header, uint64_t size, uint64_t *from, uint64_t *len);
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
