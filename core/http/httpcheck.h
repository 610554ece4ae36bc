/* httpcheck.h — the strict reading of a raw request header, before civetweb sees it.
 *
 * civetweb is lenient: it takes "Content-Length: 3x", a bare LF, "Host :", two lengths. Requests are smuggled by text that two parsers read
 * differently. So anything that is not plainly one HTTP/1.x request is refused here. Pure functions; any thread; no memory. */
#ifndef WC_HTTPCHECK_H
#define WC_HTTPCHECK_H

#include "base/wc.h"

#define HTTP_HEAD_BYTES 16384  /* a whole header; browsers send 500 to 2,000 bytes, proxies with cookies up to 8 KB */
#define HTTP_TARGET_BYTES 8192 /* path and query */
#define HTTP_HEAD_LINES 64     /* header lines: what civetweb's table holds (MG_MAX_HEADERS) */

/* Where the search for the end of the header stands: each byte is looked at once, however slowly they come. */
struct http_scan {
	uint32_t at;
	bool has_line; /* the request line was seen, and is one */
};

struct http_check {
	int64_t content_length; /* -1: none given */
	uint16_t ws_status;     /* with is_websocket: 0, or what a bad handshake is refused with */
	bool is_head;
	bool is_http10;
	bool keeps_alive; /* what the peer asked for, or its version's default */
	bool expects_continue;
	bool is_websocket; /* asks to upgrade to a WebSocket */
	bool is_host_bad;  /* refused with 400: no Host where one is due, several, or a malformed one */
	bool is_local;     /* Host is localhost: browsers trust that without TLS */
};

/* Looks for the end of the header in the n bytes received so far. Returns its length, blank line included; 0: not yet; or the negative
 * HTTP status to refuse with, as soon as it is clear that no good header can follow (so garbage is not waited for). */
int httpcheck_scan(struct http_scan *scan, const uint8_t *p, size_t n) WC_MUSTCHECK;

/* Judges a whole header. Returns 0 and fills *out, or the HTTP status to refuse with. */
int httpcheck_head(const uint8_t *p, size_t n, struct http_check *out) WC_MUSTCHECK;

/* Makes of a header that httpcheck_head has passed one that civetweb cannot read differently, in place: the target in origin form; no
 * Connection and no Upgrade line but those of a WebSocket handshake. Returns its length, at most n. */
size_t httpcheck_simplify(char *head, size_t n, bool is_websocket);

/* Walks the lines of a header that httpcheck_head has passed, from *at = 0 on; false at the end. The value has no white space around it. */
bool httpcheck_field(const uint8_t *p, size_t n, size_t *at, struct str *name, struct str *value);

/* The phrase that goes with a status; "Error" for one that is never sent. */
const char *http_phrase(int status);

#endif
