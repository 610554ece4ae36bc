/* httpd_answer.c — the door's answers: replies of routes, refusals, redirects to HTTPS, and the headers that all carry. Owns nothing. The
 * transfer thread gets any answer that the kernel does not take at once. Threads: any that owns the connection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "http/impl.h"
#include "http/origin.h"

/* The headers of every reply, unless the route gives its own. A page that needs more (scripts, WebSocket) brings its own policy, with
 * hashes. */
static const struct {
	const char *name, *value;
} defaults[] = {
	{ "Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Permissions-Policy",
	  "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(self), "
	  "midi=(), payment=(), usb=()" },
	/* Nothing here is meant to be embedded by another site; links and downloads are not affected. */
	{ "Cross-Origin-Resource-Policy", "same-origin" },
};

#define OPENER_POLICY "Cross-Origin-Opener-Policy"

/* Of the header being answered, if there is one: the value of a field, or an empty one. */
struct str httpd_field(const struct hconn *c, const char *wanted)
{
	struct str name, value;
	size_t at = 0;
	while (httpcheck_field(c->buf, c->head_len, &at, &name, &value))
		if (str_is_word(name, wanted))
			return value;
	return (struct str){ NULL, 0 };
}

static bool has_header(const char *lines, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = lines; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncasecmp(p, name, n) == 0 && p[n] == ':')
			return true;
	return false;
}

/* RFC 9110's format; made once a second. */
static const char *http_date(void)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	static _Thread_local char text[64];
	static _Thread_local time_t made;
	time_t now = time(NULL);
	struct tm tm;

	if (now != made && gmtime_r(&now, &tm)) {
		snprintf(text, sizeof(text), "%s, %02d %s %d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
		         tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
		made = now;
	}
	return text;
}

#define HEAD_CAP 2048
/* Bytes of a body that the worker sends itself: the page in one go. The kernel would take megabytes, and a crowd that asks for something
 * large would keep the workers copying; the transfer thread takes turns. */
#define FIRST_BYTES ((size_t)64 * 1024)

bool httpd_is_https(const struct hconn *c)
{
	return c->io.tls || c->is_https;
}

static size_t write_head(char out[HEAD_CAP], const struct httpd *h, const struct http_reply *r, const struct hconn *c, uint64_t body_len,
                         bool keeps_alive)
{
	bool has_length = r->status >= 200 && r->status != 204 && r->status != 304;
	size_t n = (size_t)snprintf(out, HEAD_CAP, "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Content-Type-Options: nosniff\r\n", r->status,
	                            http_phrase(r->status), http_date());

	if (has_length)
		n += (size_t)snprintf(out + n, HEAD_CAP - n, "Content-Type: %.200s\r\nContent-Length: %llu\r\n",
		                      r->content_type ? r->content_type : "text/plain; charset=utf-8", (unsigned long long)body_len);
	for (size_t i = 0; i < WC_LEN(defaults); i++)
		if (!has_header(r->headers, defaults[i].name))
			n += (size_t)snprintf(out + n, HEAD_CAP - n, "%s: %s\r\n", defaults[i].name, defaults[i].value);
	/* Browsers ignore it where others can read along, and complain of it in their console. */
	if ((httpd_is_https(c) || c->check.is_local) && !has_header(r->headers, OPENER_POLICY))
		n += (size_t)snprintf(out + n, HEAD_CAP - n, OPENER_POLICY ": same-origin\r\n");
	if (h->o.allow_origin && c->head_len) {
		struct str origin = httpd_field(c, "Origin");
		n += (size_t)snprintf(out + n, HEAD_CAP - n, "Vary: Origin\r\n");
		if (origin.len < ORIGIN_BYTES && origin_is_listed(origin, h->o.allow_origin))
			n += (size_t)snprintf(out + n, HEAD_CAP - n, "Access-Control-Allow-Origin: %.*s\r\n", (int)origin.len, origin.p);
	}
	if (h->o.hsts && httpd_is_https(c))
		n += (size_t)snprintf(out + n, HEAD_CAP - n, "Strict-Transport-Security: max-age=15552000\r\n");
	if (r->status >= 400 && !has_header(r->headers, "Cache-Control"))
		n += (size_t)snprintf(out + n, HEAD_CAP - n, "Cache-Control: no-store\r\n");
	if (!keeps_alive)
		n += (size_t)snprintf(out + n, HEAD_CAP - n, "Connection: close\r\n");
	else if (c->check.is_http10)
		n += (size_t)snprintf(out + n, HEAD_CAP - n, "Connection: keep-alive\r\n");
	WC_ASSERT(n < HEAD_CAP);
	return n;
}

/* The answer is with the kernel: what becomes of the connection? */
static void after_answer(struct httpd *h, struct hconn *c, bool keeps_alive)
{
	if (keeps_alive)
		gate_give(h->gate, c);
	else if (c->head_len && !hconn_extra(c) && !c->body_left)
		gate_close(c); /* all that was sent was read, so closing resets nothing */
	else
		xfer_linger(h->xfer, c);
}

/* Copies what of the parts is left after `sent` bytes; NULL: no memory. */
static uint8_t *copy_rest(const struct iovec *iov, int parts, size_t sent, size_t *len)
{
	size_t total = 0, at = 0;
	for (int i = 0; i < parts; i++)
		total += iov[i].iov_len;
	*len = total - WC_MIN(sent, total);
	uint8_t *copy = malloc(*len + 1);
	for (int i = 0; copy && i < parts; i++) {
		size_t skip = WC_MIN(sent, iov[i].iov_len);
		memcpy(copy + at, (const uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip);
		at += iov[i].iov_len - skip;
		sent -= skip;
	}
	return copy;
}

/* Takes c and the reply's descriptor. */
void httpd_answer(struct httpd *h, struct hconn *c, const struct http_reply *r, bool keeps_alive)
{
	bool is_file = !r->body && r->body_fd > 0;
	uint64_t body_len = is_file ? r->fd_len : r->body ? r->body_len : 0;
	bool sends_body = !c->check.is_head && r->status != 204 && r->status != 304 && body_len > 0;
	char head[HEAD_CAP];
	struct iovec iov[4] = { { head, write_head(head, h, r, c, body_len, keeps_alive) } };
	struct xfer_send rest = { .fd = -1, .keeps_alive = keeps_alive };
	ssize_t sent = 0;
	int parts = 1;
	if (r->headers)
		iov[parts++] = (struct iovec){ (void *)(uintptr_t)r->headers, strlen(r->headers) };
	iov[parts++] = (struct iovec){ (void *)(uintptr_t) "\r\n", 2 };
	size_t before_body = iov[0].iov_len + 2 + (parts == 3 ? iov[1].iov_len : 0);
	size_t total = before_body;
	if (is_file && sends_body) {
		/* Reading a file can wait for a disk; a worker does not. */
		rest.fd = r->body_fd;
		rest.fd_offset = r->fd_offset;
		rest.fd_len = r->fd_len;
	} else {
		if (is_file)
			close(r->body_fd);
		if (sends_body) {
			iov[parts++] = (struct iovec){ (void *)(uintptr_t)r->body, WC_MIN((size_t)body_len, FIRST_BYTES) };
			total += (size_t)body_len;
		}
		sent = transport_sendv(&c->io, iov, parts);
		iov[parts - 1].iov_len = sends_body ? (size_t)body_len : iov[parts - 1].iov_len;
		if (sent == (ssize_t)total) {
			after_answer(h, c, keeps_alive);
			return;
		}
		if (sent < 0 && sent != -WC_EAGAIN) {
			gate_close(c);
			return;
		}
		sent = WC_MAX(sent, 0);
		if (sends_body && r->body_is_static) {
			size_t body_sent = (size_t)sent > before_body ? (size_t)sent - before_body : 0;
			parts--;
			rest.body = (const uint8_t *)r->body + body_sent;
			rest.body_len = (size_t)body_len - body_sent;
		}
	}
	rest.copy = copy_rest(iov, parts, (size_t)sent, &rest.copy_len);
	if (!rest.copy) {
		if (rest.fd >= 0)
			close(rest.fd);
		gate_close(c);
		return;
	}
	xfer_send(h->xfer, c, &rest);
}

void http_reply(struct http_req *r, const struct http_reply *reply)
{
	struct hconn *c = r->c;
	/* A body that nobody received and that is not all in hand: the next request could only be found by reading it. */
	bool keeps_alive = c->check.keeps_alive && c->body_left <= hconn_extra(c) &&
	                   !atomic_load_explicit(&r->h->is_closing, memory_order_relaxed);

	httpd_answer(r->h, c, reply, keeps_alive);
	httpd_req_free(r);
}

void http_text(struct http_req *r, int status, const char *text)
{
	http_reply(r, &(struct http_reply){ .status = status, .body = text, .body_len = strlen(text) });
}

void http_json(struct http_req *r, int status, const char *json)
{
	http_reply(r, &(struct http_reply){ .status = status, .content_type = "application/json", .body = json, .body_len = strlen(json) });
}

/* The answer to what never becomes a request. */
static struct http_reply refusal(int status)
{
	const char *phrase = http_phrase(status);
	struct http_reply r = { .status = status, .body = phrase, .body_len = strlen(phrase), .body_is_static = true };
	if (status == 426)
		r.headers = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
	else if (status == 503 || status == 429)
		r.headers = "Retry-After: 5\r\n";
	else if (status == 405) /* the WebSocket's path; routes have their own */
		r.headers = "Allow: GET\r\n";
	return r;
}

void httpd_refuse(struct httpd *h, struct hconn *c, int status)
{
	struct http_reply r = refusal(status);
	httpd_answer(h, c, &r, false);
}

/* A connection that is not even let in. It gets one attempt at a word and no time, since time is short. */
void httpd_turn_away(void *arg, int fd, int status)
{
	struct httpd *h = arg;
	struct hconn c = { .io = { .fd = fd } };
	struct http_reply r = refusal(status);
	char head[HEAD_CAP], request[HTTP_HEAD_BYTES];
	struct iovec iov[] = {
		{ head, write_head(head, h, &r, &c, r.body_len, false) },
		{ (void *)(uintptr_t)(r.headers ? r.headers : ""), r.headers ? strlen(r.headers) : 0 },
		{ (void *)(uintptr_t) "\r\n", 2 },
		{ (void *)(uintptr_t)r.body, r.body_len },
	};

	(void)transport_sendv(&c.io, iov, WC_LEN(iov));
	transport_shutdown(&c.io);
	/* Unread bytes would be answered with a reset, which could overtake the word. */
	(void)transport_recv(&c.io, request, sizeof(request));
	close(fd);
}

/* To the same address by HTTPS. c->buf has a header that was checked; a request without a Host cannot be sent anywhere. */
void httpd_redirect(struct httpd *h, struct hconn *c)
{
	static const char words[] = "This server speaks HTTPS\n";
	const char *p = (const char *)c->buf, *target = memchr(p, ' ', c->head_len), *end = NULL;
	struct http_reply reply = { .status = 308, .body = words, .body_len = sizeof(words) - 1 };
	struct host host = { { NULL, 0 }, -1 };
	struct buf location;

	if (target++)
		end = memchr(target, ' ', c->head_len - (size_t)(target - p));
	buf_init(&location, HTTP_HEAD_BYTES + 64);
	if (end && host_parse(httpd_field(c, "Host"), &host)) {
		buf_puts(&location, "Cache-Control: no-store\r\nLocation: https://");
		buf_put(&location, host.name.p, host.name.len);
		if (h->port != 443)
			buf_printf(&location, ":%d", h->port);
		buf_put(&location, target, (size_t)(end - target));
		buf_put(&location, "\r\n", 3);
	}
	if (!location.len || location.failed)
		reply.status = 426;
	else
		reply.headers = location.p;
	httpd_answer(h, c, &reply, false);
	buf_fini(&location);
}

int http_files_open(void)
{
	return xfer_files();
}
