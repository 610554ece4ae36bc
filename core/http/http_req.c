/* http_req.c — requests: copied from civetweb's buffer, asked by routes, freed after the answer. Their door lives as long as any of them.
 * Any thread. */
#include "http/http_req.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/ip.h"
#include "http/impl.h"
#include "net/seats.h"

#define LEFT_MS 1000 /* a client that has ended its sending, and waits for its answer for that long, has left */

/* A copy in one block; NULL: no memory. */
struct http_req *httpd_req_new(struct httpd *h, struct hconn *c, const struct civet_request *q)
{
	size_t headers = (size_t)q->header_count * sizeof(struct civet_header), path_len = strlen(q->path) + 1;
	struct http_req *r = malloc(sizeof(*r) + headers + q->text_len + path_len);
	if (!r)
		return NULL;
	char *text = (char *)r + sizeof(*r) + headers, *path = text + q->text_len;
	memcpy(text, q->text, q->text_len);
	memcpy(path, q->path, path_len);
	*r = (struct http_req){ .h = h, .c = c, .came_ms = mono_ms(), .path = path, .header_count = q->header_count };
	r->method = text + (q->method - q->text);
	r->query = q->query ? text + (q->query - q->text) : NULL;
	for (int i = 0; i < q->header_count; i++)
		r->headers[i] = (struct civet_header){ text + (q->headers[i].name - q->text), text + (q->headers[i].value - q->text) };
	atomic_fetch_add(&h->refs, 1);
	return r;
}

void httpd_req_free(struct http_req *r)
{
	struct httpd *h = r->h;
	free(r);
	httpd_unref(h);
}

void httpd_unref(struct httpd *h)
{
	if (atomic_fetch_sub(&h->refs, 1) != 1)
		return;
	gate_free(h->gate);
	xfer_free(h->xfer);
	free(h->routes);
	free(h->unix_path);
	free(h);
}

/* --- What a route asks */

const char *http_method(const struct http_req *r)
{
	return r->method;
}

const char *http_path(const struct http_req *r)
{
	return r->path;
}

const char *http_header(const struct http_req *r, const char *name)
{
	for (int i = 0; i < r->header_count; i++)
		if (strcasecmp(r->headers[i].name, name) == 0)
			return r->headers[i].value;
	return NULL;
}

int64_t http_content_length(const struct http_req *r)
{
	return r->c->check.content_length;
}

bool http_peer_uid(const struct http_req *r, uid_t *uid)
{
	pid_t pid;
	return http_peer_cred(r, uid, &pid);
}

bool http_peer_cred(const struct http_req *r, uid_t *uid, pid_t *pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	if (r->c->peer.ss_family != AF_UNIX || getsockopt(r->c->io.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	*uid = cred.uid;
	*pid = cred.pid;
	return true;
}

void http_address(const struct http_req *r, uint8_t addr[16])
{
	if (!ip_bytes(&r->c->peer, addr))
		memset(addr, 0, 16);
}

bool http_is_gone(const struct http_req *r)
{
	struct pollfd p = { .fd = r->c->io.fd };
	/* A client that closes a connection looks like one that only ends its sending, until it is written to. Those are rare, and answered
	 * within LEFT_MS unless much waits. A body is worth more than its answer. */
	if (strcmp(r->method, "POST") != 0 && mono_ms() - r->came_ms >= LEFT_MS)
		p.events = POLLRDHUP;
	return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP | POLLRDHUP));
}

bool http_has_descriptor(const struct http_req *r)
{
	return !r->h->o.seats || seats_has_descriptor(r->h->o.seats);
}

bool http_may_have_file(const struct http_req *r)
{
	return http_has_descriptor(r) && seat_may_have_file(r->c->seat);
}

void http_turned_away(const struct http_req *r, enum metric why, const char *limit)
{
	gate_turned_away(&r->c->peer, why, limit);
}

/* Decodes from p up to a stop character into out, terminated. Returns what follows, or NULL if it does not fit. Every % has its two
 * digits and none is a NUL: httpcheck saw to that. */
static const char *query_decode(const char *p, const char *stops, char *out, size_t room)
{
	size_t n = 0;
	for (; *p && !strchr(stops, *p); p++) {
		char ch = *p == '+' ? ' ' : *p;
		if (*p == '%') {
			ch = (char)(wc_hex_digit(p[1]) << 4 | wc_hex_digit(p[2]));
			p += 2;
		}
		if (n + 1 >= room)
			return NULL;
		out[n++] = ch;
	}
	out[n] = '\0';
	return p;
}

const char *http_query(const struct http_req *r, const char *name, char *out, size_t room)
{
	char key[64];
	for (const char *p = r->query; p && *p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL) {
		const char *end = query_decode(p, "=&", key, sizeof(key));
		if (end && strcmp(key, name) == 0)
			return query_decode(*end == '=' ? end + 1 : end, "&", out, room) ? out : NULL;
	}
	return NULL;
}
