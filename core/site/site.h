/* site.h — the HTTP routes of the public door: the page and its parts, /health, uploads, files.
 *
 * Runs on civetweb's workers, helpers and the transfer thread; no chat state, it sees the store through readers. */
#ifndef WC_SITE_H
#define WC_SITE_H

#include "base/health.h"
#include "base/helper.h"
#include "files/blob.h"
#include "files/space.h"
#include "http/httpd.h"
#include "net/seats.h"
#include "server/options.h"

struct site {
	_Atomic(const struct options *) options; /* those in force */
	struct store *store;
	struct blobs *blobs;
	struct space *space;
	struct health *health;
	struct helpers *helpers;    /* every read of the database and every finish of an upload is a job here */
	struct upload_job *uploads; /* under way; site_upload.c's */
	int upload_count;
	_Atomic int upload_descriptors; /* of the same, for seats.h */
	struct seats *seats;            /* who may have a descriptor; NULL: everybody */
};

/* For httpd_opts.routes, with a struct site * as arg. Ends with a NULL method; lives as long as the program (made once). Thread: main. */
const struct http_route *site_routes(void);

#endif
