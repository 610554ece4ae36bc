/* hconn.h — one HTTP connection at the door, from accept to close: its socket and the bytes read but not yet used.
 *
 * It has one owner at a time, and only the owner touches it, without a lock. The owner is one of these:
 * - the gate, while it waits for a header;
 * - a civetweb worker, while a route runs;
 * - the transfer thread, while an answer or a body is under way;
 * - the thread that a route gave its request to.
 * Handing on is a list operation under the receiver's mutex.
 *
 *   buf  0 .. head_len        the header that is being answered
 *        head_len .. len      what came after it: the body's beginning, then perhaps the next request */
#ifndef WC_HCONN_H
#define WC_HCONN_H

#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "http/httpcheck.h"
#include "net/transport.h"

struct gate;
struct xfer_job;

struct hconn {
	struct transport io;
	struct gate *gate;       /* counts it */
	struct seat *seat;       /* of its address; NULL: nobody counts those here */
	TAILQ_ENTRY(hconn) link; /* in a list of its owner */
	int64_t deadline_ms;
	enum { HCONN_OUT, HCONN_WAITING, HCONN_IDLE } place; /* which of the gate's lists it is in */
	bool is_registered;                                  /* with the gate's epoll */
	bool awaits_tls;                                     /* the first byte will tell: a session, or a plain request to be redirected */
	bool is_redirect;                                    /* came in plain where TLS is spoken */
	bool wants_write;                                    /* the handshake waits for room in the socket */
	bool is_proxied; /* the other end is a trusted proxy: peer and is_https are the running request's */
	bool is_https;   /* the peer came to the proxy by HTTPS */
	uint8_t *buf;
	uint32_t len, cap, head_len;
	uint32_t pieces;    /* reads that the header took, a read of many records as many */
	uint64_t body_left; /* bytes of the body that nobody took yet */
	struct http_scan scan;
	struct http_check check;
	struct xfer_job *job;         /* the transfer thread's */
	struct sockaddr_storage peer; /* the client. IPv4 as AF_INET, also if it came in through an IPv6 socket */
};
TAILQ_HEAD(hconn_list, hconn);

/* Appends bytes that were read; false: no memory. n is at most a header's size, so a peer cannot grow it. */
bool hconn_append(struct hconn *c, const void *data, size_t n) WC_MUSTCHECK;
/* Forgets the header and body that were answered; the bytes behind them move to the front. */
void hconn_next_request(struct hconn *c);
/* Bytes that came after the header, and the part of them that is body. */
static inline size_t hconn_extra(const struct hconn *c)
{
	return c->len - c->head_len;
}

#endif
