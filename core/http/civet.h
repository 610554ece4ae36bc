/* civet.h — civetweb without its sockets: a pool of workers that parse a request, route it, and shake a WebSocket's hand.
 *
 * civetweb would own a connection's socket and block on it, but a peer must never hold a worker. So it gets no socket. The gate receives a
 * header whole and checks it; the header is put into civetweb's buffer as if just read. The bytes that civetweb would send are caught and
 * handed out. It sees a connection as an opaque pointer, and TLS not at all. */
#ifndef WC_CIVET_H
#define WC_CIVET_H

#include "base/wc.h"

struct civet;

struct civet_header {
	const char *name, *value;
};

/* A parsed request. Everything lies in the worker's buffer and is gone after the call; name, value, method and query point into `text`. */
struct civet_request {
	const char *text;
	size_t text_len;
	const char *method;
	const char *path;  /* decoded, dot segments removed; not in `text` */
	const char *query; /* as it came, or NULL */
	int header_count;
	const struct civet_header *headers;
	bool is_upgrade; /* civetweb takes it for a WebSocket handshake too */
};

/* Calls into the door, on a worker (ROLE_HTTP). Each takes conn, except head, and request when it returns false. */
struct civet_ops {
	void *arg;
	void (*head)(void *arg, void *conn, const void **p, size_t *n); /* the raw header, for this worker to parse */
	/* True: taken, will be answered. False (only if is_upgrade): let civetweb answer the handshake; upgraded follows. */
	bool (*request)(void *arg, void *conn, const struct civet_request *q);
	void (*upgraded)(void *arg, void *conn, const void *answer, size_t n); /* answer: the 101, to be sent as it is */
	void (*refused)(void *arg, void *conn, int status); /* civetweb did not like it, or (503) the server is stopping */
};

/* websocket_path: NULL for none. */
int civet_start(struct civet **out, int workers, const char *websocket_path, const struct civet_ops *ops, char **cause) WC_MUSTCHECK;
/* Takes conn. Waits while all workers are busy and the queue is full. Thread: one at a time. */
void civet_submit(struct civet *h, void *conn);
/* Ends the workers; requests that still wait are refused. No submit may be under way. NULL is ignored. */
void civet_stop(struct civet *h);

#endif
