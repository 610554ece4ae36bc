/* site_job.c — the way from a worker to a helper, for requests that need the database or the disk. Owns nothing. Thread: civetweb's
 * workers. */
#include "site/impl.h"

bool site_has_time(struct site *site, struct http_req *r, struct job *job)
{
	static const char busy[] = "{\"error\":\"busy\"}";

	http_address(r, job->owner.addr);
	if (!helpers_are_full(site->helpers, job->kind, &job->owner))
		return true;
	http_turned_away(r, M_REFUSED_QUEUE, "queue");
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

bool site_submit(struct site *site, struct http_req *r, struct job job)
{
	if (!site_has_time(site, r, &job))
		return false;
	helpers_submit(site->helpers, &job);
	return true;
}
