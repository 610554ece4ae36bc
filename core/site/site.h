/* site.h — the HTTP routes of the public door: the page and its parts, /health, uploads, files.
 *
 * Runs on civetweb's workers, on helpers and on the transfer thread. Knows no chat: it asks the database through the helpers' readers. */
#ifndef WC_SITE_H
#define WC_SITE_H

#include <stdatomic.h>

#include "base/wc.h"
#include "http/httpd.h"

struct blobs;
struct health;
struct helpers;
struct leave;
struct upload_place;

struct site {
	/* May change while the server runs. */
	_Atomic int max_file_mb;
	_Atomic int max_uploads, max_uploads_per_user; /* at once; 0: no bound */
	/* Borrowed; set before the door opens. */
	struct blobs *blobs;
	struct helpers *helpers; /* every read of the database and every finish of an upload is a job here */
	struct health *health;
	bool (*is_read_only)(void);         /* uploads are refused now. NULL: never. Any thread */
	int64_t (*read_only_left_ms)(void); /* until that ends by itself; 0: not known */
	/* The room gives leave for uploads. ask_leave answers by l->done, on a thread that must not wait. give_back: some of the bytes that
	 * leave was given for never came. Any thread. */
	void (*ask_leave)(void *room, struct leave *l);
	void (*give_back)(void *room, const struct leave *l, uint64_t bytes);
	void *room;
	/* The site's own. */
	struct upload_place *uploads; /* under way; site_places.c's */
	int upload_count;
	_Atomic int upload_descriptors; /* the same count, for the seats' budget of descriptors. Any thread */
};

/* For httpd_opts.routes, with a struct site * as arg. Ends with a NULL method; lives as long as the program (made once). Thread: main. */
const struct http_route *site_routes(void);

#endif
