/* site.c — the page and its parts, /health, and which path is whose.
 *
 * Everything here is constant data sent as it lies in the program: no copy, no file, no state. Never waits. Thread: civetweb's workers. */
#include "site/site.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "site/assets.h"
#include "site/impl.h"

#define ETAG_BYTES 96
#define HEADERS_BYTES 8192 /* a policy holds a hash of some 50 bytes for each inline part */

/* --- Headers. */

bool site_next_item(const char **p, struct str *item)
{
	while (*p && **p) {
		size_t len = strcspn(*p, ",");

		*item = str_trim((struct str){ *p, len });
		*p += len + ((*p)[len] == ',');
		if (item->len)
			return true;
	}
	return false;
}

/* No tag of ours has a comma, so one inside a foreign tag can only make that one miss. */
bool site_etag_matches(const char *header, const char *etag)
{
	struct str item, ours = { etag, strlen(etag) };

	while (site_next_item(&header, &item)) {
		if (str_eq(item, STR("*")))
			return true;
		if (item.len > 2 && item.p[0] == 'W' && item.p[1] == '/')
			item = (struct str){ item.p + 2, item.len - 2 };
		if (str_eq(item, ours))
			return true;
	}
	return false;
}

/* "0.25" in thousandths; what is not a weight at all is taken for 0, so that a doubt costs bytes and not a page that cannot be read. */
static int parse_weight(struct str s)
{
	int weight, scale = 100;

	if (s.len == 0 || (s.p[0] != '0' && s.p[0] != '1') || (s.len > 1 && s.p[1] != '.'))
		return 0;
	weight = (s.p[0] - '0') * 1000;
	for (size_t i = 2; i < s.len; i++, scale /= 10) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
		weight += (s.p[i] - '0') * scale;
	}
	return WC_MIN(weight, 1000);
}

/* Splits "gzip;q=0.5" into the word and its weight. */
static struct str split_weight(struct str item, int *weight)
{
	const char *semicolon = memchr(item.p, ';', item.len);
	struct str word = str_trim((struct str){ item.p, semicolon ? (size_t)(semicolon - item.p) : item.len });

	*weight = 1000;
	if (semicolon) {
		struct str q = str_trim((struct str){ semicolon + 1, (size_t)(item.p + item.len - semicolon - 1) });

		if (q.len >= 2 && (q.p[0] | 0x20) == 'q' && q.p[1] == '=')
			*weight = parse_weight(str_trim((struct str){ q.p + 2, q.len - 2 }));
	}
	return word;
}

bool site_accepts_gzip(const char *accept_encoding)
{
	int gzip = -1, any = -1, identity = -1, weight;
	struct str item;

	while (site_next_item(&accept_encoding, &item)) {
		struct str word = split_weight(item, &weight);

		if (str_is_word(word, "gzip") || str_is_word(word, "x-gzip"))
			gzip = WC_MAX(gzip, weight);
		else if (str_is_word(word, "identity"))
			identity = weight;
		else if (str_is_word(word, "*"))
			any = weight;
	}
	if (gzip < 0)
		gzip = any;
	return gzip > 0 && gzip >= identity;
}

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

/* A worker's own fetches are bound by the policy of its script: with the default one a service worker could not fetch the page it is to keep.
 * NULL: the default. */
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
	const char *csp;
	char etag[ETAG_BYTES], headers[HEADERS_BYTES];
	bool is_gzip;
	int n;

	(void)arg;
	WC_ASSERT(a);
	is_gzip = a->gz && (!a->plain || site_accepts_gzip(http_header(r, "Accept-Encoding")));
	make_etag(etag, a, is_gzip);
	csp = policy_of(a);
	n = snprintf(headers, sizeof(headers), "ETag: %s\r\nVary: Accept-Encoding\r\nCache-Control: %s\r\n%s%s%s%s", etag,
	             a->is_immutable ? "public, max-age=31536000, immutable" : "no-cache", is_gzip ? "Content-Encoding: gzip\r\n" : "",
	             csp ? "Content-Security-Policy: " : "", csp ? csp : "", csp ? "\r\n" : "");
	WC_ASSERT(n > 0 && (size_t)n < sizeof(headers)); /* made at build time, so every test of the page would find it */
	reply.headers = headers;
	reply.content_type = a->content_type;
	if (site_etag_matches(http_header(r, "If-None-Match"), etag)) {
		reply.status = 304;
	} else {
		reply.body = is_gzip ? a->gz : a->plain;
		reply.body_len = is_gzip ? a->gz_len : a->plain_len;
	}
	http_reply(r, &reply);
}

/* What is wrong in words that tell a stranger nothing of the machine. Thread: a worker's or the watcher's. */
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

bool site_submit(struct site *site, struct http_req *r, job_fn fn, void *arg)
{
	static const char busy[] = "{\"error\":\"busy\"}";

	if (helpers_queued(site->helpers) < SITE_QUEUED_MAX) {
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

static const struct http_route fixed[] = {
	{ "GET", "/health", get_health },
	{ "POST", "/upload", site_upload_post },
	{ "GET", "/upload", site_upload_get },
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
