/* xfer.h — the transfer threads, for everything that takes a peer's time: answers that did not fit the socket at once, files, request
 * bodies.
 *
 * It also keeps a connection that is closed while its peer may still be sending. Two epoll threads: one sends, the other
 * receives. The one that receives may wait for a disk, so no other work may live on it. Files to be sent are read by threads of their own
 * (cold.h). Addresses take turns. */
#ifndef WC_XFER_H
#define WC_XFER_H

#include "http/hconn.h"

#define XFER_SEND_IDLE_MS 30000 /* an answer is dropped if its peer reads nothing for this time */
#define XFER_RECV_IDLE_MS 60000 /* a body: phones change cells in mid-upload */
#define XFER_LINGER_MS 2000     /* how long a refused peer may go on sending before it is cut off */
#define XFER_WINDOW_MS 60000    /* either way, slower than the rate over such a window is too slow */

struct xfer;

/* An answer, or the rest of one. */
struct xfer_send {
	uint8_t *copy; /* malloc'd, taken; sent first */
	size_t copy_len;
	const void *body; /* lives as long as the program */
	size_t body_len;
	int fd; /* taken; -1: none */
	uint64_t fd_offset, fd_len;
	bool keeps_alive; /* back to the gate afterwards; else close, lingering */
};

/* The end of a body. DONE: whole, or its taker wants no more. BROKEN: the peer broke off, or the server stops. TOO_SLOW: given up on. */
enum xfer_end { XFER_DONE, XFER_BROKEN, XFER_TOO_SLOW };

struct xfer_body {
	uint64_t length;
	void *arg;
	int (*write)(void *arg, const void *data, size_t n);
	void (*done)(void *arg, struct hconn *c, enum xfer_end end); /* gives c back */
};

/* idle_ms: replaces XFER_SEND_IDLE_MS, XFER_RECV_IDLE_MS and XFER_WINDOW_MS, unless 0. rate: bytes a second; 0: any. */
int xfer_start(struct xfer **out, int idle_ms, int rate, char **cause) WC_MUSTCHECK;
void xfer_set_rate(struct xfer *x, int rate); /* any thread */
/* Ends the threads. Bodies under way are done(…, XFER_BROKEN); all other connections are closed, also those that still come. */
void xfer_stop(struct xfer *x);
void xfer_free(struct xfer *x);

/* All take c; any thread. */
void xfer_send(struct xfer *x, struct hconn *c, const struct xfer_send *job);
void xfer_receive(struct xfer *x, struct hconn *c, const struct xfer_body *body);
/* Files being sent, by any of them: each holds a descriptor. Any thread. */
int xfer_files(void);
void xfer_linger(struct xfer *x, struct hconn *c); /* ends our side; reads and forgets for a moment, then closes */

#endif
