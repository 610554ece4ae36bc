/* httpd.h — the HTTP door: listening sockets, the gate, HTTP through civetweb, and sockets handed on.
 *
 * A connection waits in the gate until a whole request header has arrived and was found strictly well-formed. Only then a civetweb worker
 * gets the header, parses it and calls a route. No route may block. It answers through http_reply, and the transfer thread takes over if
 * the peer does not read at once. After the answer a keep-alive connection goes back into the gate. So no peer can hold a worker. WebSocket
 * handshakes on WC_WS_PATH end in `on_websocket` with the bare socket. Several doors may be open at once: the admin door is one with a
 * unix_path.
 *
 *   gate ──header──▶ worker: civetweb parses, a route runs ──http_reply──▶ socket, at once ──▶ gate (keep-alive) or closed
 *                      │  └──101──▶ on_websocket                └── what does not fit ──▶ transfer thread ──▶ gate or closed
 *                      └──http_receive──▶ transfer thread: body, then `done` … http_reply */
#ifndef WC_HTTPD_H
#define WC_HTTPD_H

#include <sys/socket.h>

#include "base/ip.h"
#include "base/wc.h"
#include "http/gate.h"
#include "http/http_req.h"
#include "net/transport.h"

struct httpd;
struct seats;
struct tls;

#define WC_WS_PATH "/ws"
#define HTTPD_SOCKETS 32

struct http_route {
	const char *method;                            /* "GET" (answers HEAD too), "POST" … */
	const char *path;                              /* exact, or a prefix if it ends in '/' and is longer than "/" */
	void (*handle)(void *arg, struct http_req *r); /* on a worker; must answer exactly once */
};

struct httpd_opts {
	const char *listen; /* numeric address, or NULL: every address, IPv6 and IPv4 */
	int port;           /* 0: a free one */
	/* Instead of listen and port: sockets that are bound already (listener_bind). Taken, also on failure. Those from redirect_from on
	 * redirect to HTTPS. */
	int sockets[HTTPD_SOCKETS], socket_count, redirect_from;
	const char *unix_path;  /* instead of both: a unix socket of mode 0600; made anew if stale, removed at the end */
	struct tls *tls;        /* borrowed; NULL: plain HTTP. With it, plain requests are redirected */
	bool hsts;              /* over HTTPS, here or at a trusted proxy: tell browsers to stay with it */
	int max_connections;    /* at the door; WebSockets handed on are no longer counted. 0: no bound but the descriptors */
	struct seats *seats;    /* borrowed: limits by address, over the WebSockets' whole life. NULL: none, and no bans */
	struct ip_nets proxies; /* borrowed: trusted to name their clients, and how those came */
	_Atomic(char *const *)
		allow_origin; /* borrowed: pages of these origins may talk to this server too, see origin.h; NULL: its own alone */
	int head_bytes;       /* of a whole header; 0: HTTP_HEAD_BYTES */
	int head_ms;          /* for a whole header; 0: 5,000 */
	int idle_ms;          /* between two requests of a connection; 0: 30,000 */
	int transfer_ms;      /* without any progress of an answer or a body, 0: 30,000 and 60,000; and the span of `rate` */
	int rate;             /* bytes a second that an answer or a body moves at least, over a minute; 0: any */
	int workers;          /* civetweb worker threads; 0: a sensible number */
	const struct http_route *routes;                  /* ends with a NULL method */
	void *arg;                                        /* passed to routes */
	void (*on_websocket)(void *arg, struct taken *t); /* takes all of *t; a worker's thread. NULL: no WebSockets here */
};

/* Binds and starts. *cause: one line naming address, port and remedy. Thread: main. */
int httpd_start(struct httpd **out, const struct httpd_opts *opts, char **cause) WC_MUSTCHECK;
int httpd_port(const struct httpd *h);
/* The settings that may change while it runs, as in httpd_opts and seats_opts. Lists are borrowed until the end. Returns when they hold.
 * Thread: main. */
struct httpd_limits {
	struct gate_limits gate;
	char *const *allow_origin;
	int rate;
};
void httpd_set_limits(struct httpd *h, const struct httpd_limits *limits);
void httpd_pause(struct httpd *h); /* closes the listening sockets. Requests under way go on; then their connections are closed */
/* Ends the gate, the workers and the transfer thread, within 2 s if no route blocks. A body under way is done(…, false). A request that
 * another thread still has may be answered afterwards; the memory stays that long. NULL is ignored. Thread: main. */
void httpd_stop(struct httpd *h);

/* --- Answers. */
struct http_reply {
	int status;
	const char *content_type; /* NULL: text/plain; charset=utf-8 */
	/* Further "Name: value\r\n" lines, or NULL. Date, Content-Length and the security headers are added to every reply; a
	 * Content-Security-Policy, Cross-Origin-Resource-Policy, Cross-Origin-Opener-Policy, Referrer-Policy, Permissions-Policy or
	 * Cache-Control given here replaces the default one. */
	const char *headers;
	const void *body; /* borrowed until http_reply returns, unless body_is_static: then it lives as long as the program */
	size_t body_len;
	bool body_is_static;
	int body_fd; /* used if body is NULL and body_fd > 0: taken, and closed after sending */
	uint64_t fd_offset, fd_len;
};
/* Answers; HEAD sends no body. Frees r. Any thread. If the request has a body that was not received, the connection is closed after the
 * answer, in a way that lets the peer read it. */
void http_reply(struct http_req *r, const struct http_reply *reply);
int http_files_open(void); /* files being sent now, at any door: each holds a descriptor. Any thread */
void http_text(struct http_req *r, int status, const char *text); /* the common short answer */
void http_json(struct http_req *r, int status, const char *json);

/* Receives exactly `length` body bytes on the transfer thread, then calls done(…, true) and expects the reply through the same r, from
 * there or later from another thread. length is http_content_length, or less. `write` gets each piece, on the transfer thread, and must not
 * block longer than a disk write does. With a result other than 0 the transfer ends, and done(…, true) comes at once: the callee knows why,
 * and answers accordingly. If the peer breaks off, or the server stops, done is called with ok false, and r is dead after it returns. A
 * body that is idle for 60 s, or slower than the door's rate over a minute, is broken off with 408. `Expect: 100-continue` is seen to. */
struct http_body {
	int (*write)(void *arg, const void *data, size_t n);
	void (*done)(void *arg, struct http_req *r, bool ok); /* may hand r to another thread, which then replies */
	void *arg;
};
void http_receive(struct http_req *r, uint64_t length, const struct http_body *body);

#endif
