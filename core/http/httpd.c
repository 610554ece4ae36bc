/* httpd.c — the door: it joins the gate, civetweb's workers and the transfer thread, and owns all three. Never waits for a peer. Threads:
 * main starts and stops it; routes run on workers; bodies end on the transfer thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/utf8.h"
#include "http/impl.h"
#include "http/origin.h"
#include "http/xfer.h"
#include "net/listener.h"
#include "net/seats.h"

#define ORIGIN_LOG_MS 60000 /* between two lines about refused origins */

/* --- Bodies. */

static int body_write(void *arg, const void *data, size_t n)
{
	struct http_req *r = arg;
	return r->body.write(r->body.arg, data, n);
}

static void body_done(void *arg, struct hconn *c, enum xfer_end end)
{
	struct http_req *r = arg;
	r->body.done(r->body.arg, r, end == XFER_DONE);
	if (end == XFER_TOO_SLOW)
		httpd_refuse(r->h, c, 408);
	else if (end == XFER_BROKEN)
		gate_close(c);
	if (end != XFER_DONE)
		httpd_req_free(r);
}

void http_receive(struct http_req *r, uint64_t length, const struct http_body *body)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct xfer_body job = { .length = length, .arg = r, .write = body_write, .done = body_done };
	struct iovec iov = { (void *)(uintptr_t)go_on, sizeof(go_on) - 1 };

	r->body = *body;
	/* A peer that began with the body needs no word. One that has not read so much that 25 bytes do not fit is not waited for. */
	if (r->c->check.expects_continue && length > 0 && !hconn_extra(r->c) &&
	    transport_sendv(&r->c->io, &iov, 1) != (ssize_t)iov.iov_len) {
		body_done(r, r->c, XFER_BROKEN);
		return;
	}
	xfer_receive(r->h->xfer, r->c, &job);
}

/* --- From the gate, through civetweb, to a route. */

static void on_head(void *arg, struct hconn *c)
{
	struct httpd *h = arg;
	if (c->is_redirect) {
		httpd_redirect(h, c);
		return;
	}
	civet_submit(h->civet, c);
}

static void on_bad(void *arg, struct hconn *c, int status)
{
	c->head_len = 0; /* where its request ends is unknown, so it is not closed without lingering */
	httpd_refuse(arg, c, status);
}

static void on_worker_head(void *arg, void *conn, const void **p, size_t *n)
{
	struct hconn *c = conn;
	(void)arg;
	*p = c->buf;
	*n = c->head_len;
}

static void on_refused(void *arg, void *conn, int status)
{
	httpd_refuse(arg, conn, status);
}

static void on_upgraded(void *arg, void *conn, const void *answered, size_t n)
{
	struct httpd *h = arg;
	struct hconn *c = conn;
	struct taken t = { .fd = c->io.fd, .tls = c->io.tls, .early_len = hconn_extra(c), .seat = c->seat, .peer = c->peer };
	struct iovec iov = { (void *)(uintptr_t)answered, n };
	/* The socket is as good as new: 130 bytes that do not fit mean that it is broken. */
	if (transport_sendv(&c->io, &iov, 1) != (ssize_t)n) {
		gate_close(c);
		return;
	}
	if (t.early_len) {
		t.early = malloc(t.early_len);
		if (!t.early) {
			gate_close(c);
			return;
		}
		memcpy(t.early, c->buf + c->head_len, t.early_len);
	}
	gate_release(c);
	h->o.on_websocket(h->o.arg, &t);
}

static bool path_matches(const struct http_route *route, const char *path)
{
	size_t n = strlen(route->path);
	return strcmp(route->path, path) == 0 || (n > 1 && route->path[n - 1] == '/' && strncmp(route->path, path, n) == 0);
}

static bool method_matches(const struct http_route *route, const char *method)
{
	return strcmp(route->method, method) == 0 || (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* name: the methods of all routes of r's path. */
static void put_methods(struct buf *b, const struct http_req *r, const char *name)
{
	bool is_first = true;
	buf_printf(b, "%s: ", name);
	for (const struct http_route *route = r->h->routes; route->method; route++) {
		if (!path_matches(route, r->path))
			continue;
		buf_puts(b, is_first ? "" : ", ");
		buf_puts(b, route->method);
		buf_puts(b, strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
		is_first = false;
	}
	buf_put(b, "\r\n", 3);
}

static void refuse_method(struct http_req *r)
{
	struct buf allow;
	buf_init(&allow, 512);
	put_methods(&allow, r, "Allow");
	http_reply(r, &(struct http_reply){
			      .status = 405, .headers = allow.failed ? NULL : allow.p, .body = "Method Not Allowed", .body_len = 18 });
	buf_fini(&allow);
}

/* A browser asks first whether a page from elsewhere may send its request; that page is on the list. */
static bool is_preflight(const struct http_req *r)
{
	const char *origin = http_header(r, "Origin");
	return origin && strcmp(r->method, "OPTIONS") == 0 && http_header(r, "Access-Control-Request-Method") &&
	       origin_is_listed((struct str){ origin, strlen(origin) }, r->h->o.allow_origin);
}

static void answer_preflight(struct http_req *r)
{
	struct buf headers;
	buf_init(&headers, 512);
	buf_puts(&headers, "Access-Control-Allow-Headers: Authorization, Content-Type, Range\r\nAccess-Control-Max-Age: 600\r\n");
	put_methods(&headers, r, "Access-Control-Allow-Methods");
	http_reply(r, &(struct http_reply){ .status = headers.failed ? 503 : 204, .headers = headers.failed ? NULL : headers.p });
	buf_fini(&headers);
}

static void dispatch(struct http_req *r)
{
	bool has_path = false;
	for (const struct http_route *route = r->h->routes; route->method; route++) {
		if (!path_matches(route, r->path))
			continue;
		if (method_matches(route, r->method)) {
			route->handle(r->h->o.arg, r);
			return;
		}
		has_path = true;
	}
	if (has_path && is_preflight(r))
		answer_preflight(r);
	else if (has_path)
		refuse_method(r);
	else
		http_text(r, 404, "Not Found");
}

/* May the page that this request comes from have sent it? Any page may read: content has no other lock than its address, and browsers hand
 * no answer of this server to a page from elsewhere. */
static bool may_send(const struct httpd *h, const struct hconn *c, const char *method, bool is_websocket)
{
	struct str origin = httpd_field(c, "Origin");
	if (!origin.p || (!is_websocket && (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "OPTIONS") == 0)))
		return true;
	return origin_may(origin, httpd_field(c, "Host"), httpd_is_https(c), h->o.allow_origin);
}

/* Once a minute: an admin whose own page is refused learns why, and what to do. */
static void log_origin(const struct hconn *c)
{
	static struct log_gap gap;
	struct str origin = httpd_field(c, "Origin"), host = httpd_field(c, "Host");
	char quoted[512], quoted_host[512], quoted_remedy[512], normal[ORIGIN_BYTES], remedy[ORIGIN_BYTES + 160];
	uint64_t missed;

	if (!log_gap_is_over(&gap, ORIGIN_LOG_MS, &missed)) {
		log_debug("origin refused", "origin=%s host=%s", log_quote(quoted, origin), log_quote(quoted_host, host));
		return;
	}
	/* The remedy goes first in its value: log_quote cuts what is long. */
	if (str_eq(origin, STR("*")) || !origin_normalize(origin, normal))
		snprintf(remedy, sizeof(remedy), "none: that is no page's origin");
	else
		snprintf(remedy, sizeof(remedy), "--allow-origin %s", normal);
	log_warn("origin refused", "origin=%s host=%s more=%llu remedy=%s or=\"let the proxy in front pass on the page's own Host header\"",
	         log_quote(quoted, origin), log_quote(quoted_host, host), (unsigned long long)missed,
	         log_quote(quoted_remedy, (struct str){ remedy, strlen(remedy) }));
}

/* The status to refuse a handshake on the WebSocket's path with; 0: it is good. */
static int judge_handshake(const struct hconn *c, const struct civet_request *q)
{
	if (strcmp(q->method, "GET") != 0)
		return 405;
	return !c->check.is_websocket || !q->is_upgrade ? 426 : c->check.ws_status;
}

/* True: answered or to be answered. False: civetweb shakes hands. */
static bool on_request(void *arg, void *conn, const struct civet_request *q)
{
	struct httpd *h = arg;
	struct hconn *c = conn;
	bool is_ws_path = h->o.on_websocket && strcmp(q->path, WC_WS_PATH) == 0;
	int status = is_ws_path ? judge_handshake(c, q) : 0;

	if (!status && !may_send(h, c, q->method, is_ws_path)) {
		metric_add(M_REFUSED_ORIGIN, 1);
		log_origin(c);
		status = 403;
	}
	if (status) {
		httpd_refuse(h, c, status);
		return true;
	}
	if (is_ws_path)
		return false;
	if (!utf8_valid(q->path, strlen(q->path))) {
		httpd_refuse(h, c, 400);
		return true;
	}
	struct http_req *r = httpd_req_new(h, c, q);
	if (r)
		dispatch(r);
	else
		httpd_refuse(h, c, 503);
	return true;
}

/* --- The main thread. */

static int default_workers(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	/* They never wait for a peer, so a few more than the cores will do: a route that looks something up on a slow disk is not
	 * everybody's. */
	return (int)WC_MIN(WC_MAX(cores, 4), 8);
}

_Static_assert(HTTPD_SOCKETS == GATE_LISTENERS, "a door has what its gate has");

static int open_ports(struct httpd *h, struct gate_opts *gate, char **cause)
{
	int port = 0, error = 0;
	gate->listener_count = h->o.socket_count;
	gate->redirect_from = h->o.socket_count ? h->o.redirect_from : 1;
	memcpy(gate->listeners, h->o.sockets, sizeof(gate->listeners)); /* taken, whatever happens */
	if (gate->listener_count == 0) {
		error = listener_bind(h->o.listen, h->o.port, &gate->listeners[0], cause);
		gate->listener_count = error ? 0 : 1;
	}
	for (int i = 0; i < gate->listener_count && !error; i++) {
		error = listener_listen(gate->listeners[i], &port, cause);
		h->port = i == 0 && !error ? port : h->port;
	}
	return error;
}

int httpd_start(struct httpd **out, const struct httpd_opts *opts, char **cause)
{
	struct httpd *h = xcalloc(1, sizeof(*h));
	struct civet_ops ops = { .arg = h, .head = on_worker_head, .request = on_request, .upgraded = on_upgraded, .refused = on_refused };
	struct gate_opts gate = {
		.head_ms = opts->head_ms,
		.idle_ms = opts->idle_ms,
		.max_connections = opts->max_connections,
		.head_bytes = opts->head_bytes,
		.seats = opts->seats,
		.proxies = opts->proxies,
		.tls = opts->tls,
		.arg = h,
		.on_head = on_head,
		.on_bad = on_bad,
		.on_turned_away = httpd_turn_away,
	};
	size_t count = 0;
	int error;

	h->o = *opts;
	atomic_init(&h->refs, 1);
	while (opts->routes[count].method)
		count++;
	h->routes = xcalloc(count + 1, sizeof(*h->routes));
	memcpy(h->routes, opts->routes, count * sizeof(*h->routes));

	if (opts->unix_path) {
		error = listener_unix(opts->unix_path, &gate.listeners[0], cause);
		gate.listener_count = gate.redirect_from = error ? 0 : 1;
		if (!error)
			h->unix_path = xstrdup(opts->unix_path);
	} else {
		error = open_ports(h, &gate, cause);
	}
	if (!error)
		error = xfer_start(&h->xfer, opts->transfer_ms, opts->rate, cause);
	if (!error)
		error = civet_start(&h->civet, opts->workers ? opts->workers : default_workers(), opts->on_websocket ? WC_WS_PATH : NULL,
		                    &ops, cause);
	/* Last: from here on connections come in. It takes the listener, also if it fails. */
	if (!error) {
		error = gate_start(&h->gate, &gate, cause);
		gate.listener_count = 0;
	}
	if (!error) {
		*out = h;
		return 0;
	}
	for (int i = 0; i < gate.listener_count; i++)
		close(gate.listeners[i]);
	httpd_stop(h);
	return error;
}

int httpd_port(const struct httpd *h)
{
	return h->port;
}

void httpd_set_limits(struct httpd *h, const struct httpd_limits *limits)
{
	h->o.allow_origin = limits->allow_origin;
	xfer_set_rate(h->xfer, limits->rate);
	gate_set_limits(h->gate, &limits->gate);
}

void httpd_pause(struct httpd *h)
{
	atomic_store(&h->is_closing, true);
	gate_pause(h->gate);
}

void httpd_stop(struct httpd *h)
{
	if (!h)
		return;
	atomic_store(&h->is_closing, true);
	if (h->unix_path)
		unlink(h->unix_path);
	/* Nobody new comes in; then the workers end; then what they left to the transfer thread. */
	if (h->gate)
		gate_stop(h->gate);
	civet_stop(h->civet);
	if (h->xfer)
		xfer_stop(h->xfer);
	httpd_unref(h);
}
