/* site_job.c — the way from a worker to a helper, for requests that need the database or the disk. Owns nothing. Thread: civetweb's
 * workers. */
#include "site/impl.h"

/* A longer queue means that the disk has fallen behind: a quick 503 serves people better than a place at its end. */
#define QUEUED_MAX 2048

bool site_submit(struct site *site, struct http_req *r, job_fn fn, void *arg)
{
	static const char busy[] = "{\"error\":\"busy\"}";

	if (helpers_queued(site->helpers) < QUEUED_MAX) {
		helpers_submit(site->helpers, fn, arg);
		return true;
	}
	http_reply(r, &(struct http_reply){
			      .status = 503,
			      .content_type = "application/json",
			      .headers = "Retry-After: 5\r\n",
			      .body = busy,
			      .body_len = sizeof(busy) - 1,
			      .body_is_static = true,
		      });
	return false;
}
