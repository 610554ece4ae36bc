/* site.c — the page and its parts, /health, and which path is whose.
 *
 * Everything here is constant data sent as it lies in the program: no copy, no file, no state. Never waits. Thread: civetweb's workers. */
#include "site/site.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/health.h"
#include "http/negotiate.h"
#include "site/assets.h"
#include "site/impl.h"

#define ETAG_BYTES 96
#define HEADERS_BYTES 8192 /* a policy holds a hash of some 50 bytes for each inline part */

/* --- The page. */

static const struct asset *find_asset(const char *path)
{
	for (const struct asset *a = wc_assets; a->path; a++)
		if (strcmp(a->path, path) == 0)
			return a;
	return NULL;
}

/* Two encodings of one thing are two representations, and a strong tag names one: "abc" is the gzipped one, "abc-plain" the other. */
static void make_etag(char out[ETAG_BYTES], const struct asset *a, bool is_gzip)
{
	size_t len = strlen(a->etag);
	if (is_gzip || !a->gz || len < 2)
		snprintf(out, ETAG_BYTES, "%s", a->etag);
	else
		snprintf(out, ETAG_BYTES, "%.*s-plain\"", (int)(len - 1), a->etag);
}

/* The policy of a script binds the fetches of a worker made from it: with the default one a service worker could not fetch the page that it
 * keeps. NULL: the default. */
static const char *policy_of(const struct asset *a)
{
	if (!a->csp && strncmp(a->content_type, "text/javascript", 15) == 0)
		return "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
	return a->csp;
}

static void get_asset(void *arg, struct http_req *r)
{
	const struct asset *a = find_asset(http_path(r));
	struct http_reply reply = { .status = 200, .body_is_static = true };
	char etag[ETAG_BYTES], headers[HEADERS_BYTES];
	(void)arg;
	WC_ASSERT(a);
	bool is_gzip = a->gz && (!a->plain || http_accepts_gzip(http_header(r, "Accept-Encoding")));
	make_etag(etag, a, is_gzip);
	const char *csp = policy_of(a);
	int n = snprintf(headers, sizeof(headers), "ETag: %s\r\nVary: Accept-Encoding\r\nCache-Control: %s\r\n%s%s%s%s", etag,
	                 a->is_immutable ? "public, max-age=31536000, immutable" : "no-cache", is_gzip ? "Content-Encoding: gzip\r\n" : "",
	                 csp ? "Content-Security-Policy: " : "", csp ? csp : "", csp ? "\r\n" : "");
	WC_ASSERT(n > 0 && (size_t)n < sizeof(headers)); /* made at build time, so every test of the page would find it */
	reply.headers = headers;
	reply.content_type = a->content_type;
	if (http_etag_matches(http_header(r, "If-None-Match"), etag)) {
		reply.status = 304;
	} else {
		reply.body = is_gzip ? a->gz : a->plain;
		reply.body_len = is_gzip ? a->gz_len : a->plain_len;
	}
	http_reply(r, &reply);
}

/* Names the fault in words that tell a stranger nothing of the machine. Thread: a worker's or the watcher's. */
static void answer_deep(void *arg, const struct health_state *state)
{
	struct buf b;
	buf_init(&b, 4096);
	if (state->is_well)
		buf_puts(&b, "ok");
	else
		health_say(state, false, &b);
	http_reply(arg, &(struct http_reply){
				.status = state->is_well ? 200 : 503,
				.content_type = "text/plain",
				.headers = "Cache-Control: no-store\r\n",
				.body = b.p ? b.p : "",
				.body_len = b.len,
			});
	buf_fini(&b);
}

/* For load balancers and monitors: it says that the program answers, and no more; with ?deep, that it could take a message. */
static void get_health(void *arg, struct http_req *r)
{
	static const char ok[] = "ok";
	const struct site *site = arg;
	char unused[64];

	if (http_query(r, "deep", unused, sizeof(unused))) {
		health_ask(site->health, false, answer_deep, r);
		return;
	}
	http_reply(r, &(struct http_reply){
			      .status = 200,
			      .content_type = "text/plain",
			      .headers = "Cache-Control: no-store\r\n",
			      .body = ok,
			      .body_len = sizeof(ok) - 1,
			      .body_is_static = true,
		      });
}

/* --- Dispatch. */

static const struct http_route fixed[] = {
	{ "GET", "/health", get_health },      { "POST", "/upload", site_upload_post },
	{ "GET", "/upload", site_upload_get }, { "DELETE", "/upload", site_upload_delete },
	{ "GET", "/f/", site_file_get },
};

static struct http_route *routes;

static void make_routes(void)
{
	size_t count = 0;
	while (wc_assets[count].path)
		count++;
	routes = xcalloc(WC_LEN(fixed) + count + 1, sizeof(*routes));
	memcpy(routes, fixed, sizeof(fixed));
	for (size_t i = 0; i < count; i++)
		routes[WC_LEN(fixed) + i] = (struct http_route){ "GET", wc_assets[i].path, get_asset };
}

const struct http_route *site_routes(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_routes);
	return routes;
}
