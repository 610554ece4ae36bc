/* transport.h — the seam between a connection and its socket: plain now, TLS where a session is given.
 *
 * Non-blocking. Returns bytes moved; 0 from transport_recv is the peer's end; -WC_EAGAIN: not now (*wants_write says that a read waits
 * for the socket to become writable, which TLS can do); -WC_EIO: broken. Thread: the connection's owner. */
#ifndef WC_TRANSPORT_H
#define WC_TRANSPORT_H

#include <sys/uio.h>

#include "wc.h"

struct transport {
	int fd;
	struct ssl_st *tls; /* NULL: plain */
};

ssize_t transport_recv(struct transport *t, void *buf, size_t n);
ssize_t transport_sendv(struct transport *t, const struct iovec *iov, int n);
void transport_shutdown(struct transport *t); /* no more from us */
void transport_close(struct transport *t);

#endif
