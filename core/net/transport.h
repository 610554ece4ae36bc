/* transport.h — the seam between a connection and its socket: plain, or TLS where there is a session.
 *
 * Non-blocking. Bytes moved; 0 from transport_recv is the peer's end; -WC_EAGAIN: not now; -WC_EIO: broken. Thread: the connection's owner.
 *
 * Two promises that make TLS look like a plain socket to those who wait with epoll. A short read has emptied the socket (transport_has_more
 * tells the exceptions). A read that filled its buffer may have left bytes unknown to epoll (transport_buffered). And the caller keeps
 * one: after -WC_EAGAIN or a short write, the next write begins with the same bytes, at least as many. TLS has a record of them under
 * way. */
#ifndef WC_TRANSPORT_H
#define WC_TRANSPORT_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "base/wc.h"

struct transport {
	int fd;
	bool is_cut;        /* the last read ended after TRANSPORT_RECORDS records, and there may be more */
	struct ssl_st *tls; /* NULL: plain */
};

/* Records of TLS that one read takes. Each costs about a microsecond, also if it holds a byte or a new key. */
#define TRANSPORT_RECORDS 32

struct seat;

/* A socket on its way from one owner to another: a WebSocket that leaves the HTTP door for an I/O thread. Non-blocking. The new owner
 * closes fd and tls, frees early and leaves the seat. */
struct taken {
	int fd;
	struct ssl_st *tls; /* NULL: plain */
	uint8_t *early;     /* bytes that were read past the request; malloc'd; NULL if early_len is 0 */
	size_t early_len;
	struct seat *seat;            /* NULL: this connection is not counted */
	struct sockaddr_storage peer; /* the client, also behind a trusted proxy */
};

/* 0: done, or plain. -WC_EAGAIN: wait until the socket is readable, or with *wants_write writable. -WC_EIO: broken, or not TLS. */
int transport_handshake(struct transport *t, bool *wants_write) WC_MUSTCHECK;
ssize_t transport_recv(struct transport *t, void *buf, size_t n);
ssize_t transport_sendv(struct transport *t, const struct iovec *iov, int n);
size_t transport_buffered(const struct transport *t); /* received, decrypted, and still to be read */
/* After a short read: the peer's end, a fault, or what came behind TRANSPORT_RECORDS records is to be read yet. */
bool transport_has_more(const struct transport *t);
void transport_shutdown(struct transport *t); /* ends our side */
void transport_close(struct transport *t);

/* For machines with little memory. Connections accepted from this socket, which does not listen yet, take little of the kernel's memory for
 * input, and nearly none for output that nobody reads. Output on its way to a reading peer is not bounded. Main thread. */
void transport_keep_small(int listener);
void transport_unsent_default(int fd); /* as many bytes unsent as a connection may have at first */

#endif
