/* http_req.h — one request, as a route sees it: method, path, query, headers, and who asks.
 *
 * A copy that lives until the answer, on any thread. Every string lives as long. Thread: the owner of the request. */
#ifndef WC_HTTP_REQ_H
#define WC_HTTP_REQ_H

#include <sys/types.h>

#include "base/metrics.h"
#include "base/wc.h"

struct http_req;

const char *http_method(const struct http_req *r);
const char *http_path(const struct http_req *r); /* decoded, valid UTF-8, no NUL */
/* The decoded value of the first query parameter of that name, in out; NULL if there is none, or it does not fit. */
const char *http_query(const struct http_req *r, const char *name, char *out, size_t room);
const char *http_header(const struct http_req *r, const char *name); /* the first of that name, in any case; or NULL */
int64_t http_content_length(const struct http_req *r);               /* bytes; -1: none given */
/* On a unix socket: the process at the other end (SO_PEERCRED). False: it is none, or not known. */
bool http_peer_uid(const struct http_req *r, uid_t *uid);
bool http_peer_cred(const struct http_req *r, uid_t *uid, pid_t *pid);
/* The client's address, 16 bytes as ip_bytes has them; zeros: on a unix socket. */
void http_address(const struct http_req *r, uint8_t addr[16]);
/* Has the client closed its connection for good? One that only ended its sending still waits for the answer, but no longer than a second
 * if there is no body. */
bool http_is_gone(const struct http_req *r);
/* May one more descriptor be had for this request, beside its own connection? The door's seats decide; without them: always. */
bool http_has_descriptor(const struct http_req *r);
/* The same for a file that is sent, of which one address may not have most. */
bool http_may_have_file(const struct http_req *r);
/* Counts a refusal of this client, which the caller answers; the log tells of it once a minute. limit: what turns it away. */
void http_turned_away(const struct http_req *r, enum metric why, const char *limit);

#endif
