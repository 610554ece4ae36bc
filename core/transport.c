/* transport.c — plain sockets; TLS takes its place behind the same four functions. */
#include "transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t transport_recv(struct transport *t, void *buf, size_t n)
{
	ssize_t got;
	do {
		got = recv(t->fd, buf, n, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got >= 0)
		return got;
	return errno == EAGAIN || errno == EWOULDBLOCK ? -WC_EAGAIN : -WC_EIO;
}

ssize_t transport_sendv(struct transport *t, const struct iovec *iov, int n)
{
	ssize_t sent;
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	do {
		/* send() spares the kernel the copy of an iovec, and one range is by far the most frequent case. */
		if (n == 1)
			sent = send(t->fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			sent = sendmsg(t->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return sent;
	return errno == EAGAIN || errno == EWOULDBLOCK ? -WC_EAGAIN : -WC_EIO;
}

void transport_shutdown(struct transport *t)
{
	shutdown(t->fd, SHUT_WR);
}

void transport_close(struct transport *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}
