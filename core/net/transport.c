/* transport.c — plain sockets, and TLS behind the same functions. Owns nothing but, while it gathers one record, a thread's buffer. */
#include "net/transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define RECORD_BYTES ((size_t)16384) /* the most that a record of TLS holds */

/* --- TLS */

/* The outcome of an operation that moved nothing. The error queue was empty before it. */
static int tls_error(const struct transport *t, int rc, bool *wants_write)
{
	switch (SSL_get_error(t->tls, rc)) {
	case SSL_ERROR_WANT_READ: *wants_write = false; return -WC_EAGAIN;
	case SSL_ERROR_WANT_WRITE: *wants_write = true; return -WC_EAGAIN;
	case SSL_ERROR_ZERO_RETURN: return 0;
	default: ERR_clear_error(); return -WC_EIO;
	}
}

/* After a record that changed a key (tls.c), OpenSSL says "not now", as it does of an empty socket. True: it was such a record. */
static bool was_new_key(const struct transport *t)
{
	if (SSL_get_mode(t->tls) & SSL_MODE_AUTO_RETRY)
		return false;
	SSL_set_mode(t->tls, SSL_MODE_AUTO_RETRY);
	return true;
}

static ssize_t tls_recv(struct transport *t, uint8_t *buf, size_t n)
{
	size_t sum = 0, got;
	bool ignored;
	int error;
	t->is_cut = false;
	ERR_clear_error();
	for (int records = 0; sum < n; records++) {
		if (records == TRANSPORT_RECORDS) {
			t->is_cut = true;
			return sum ? (ssize_t)sum : -WC_EAGAIN;
		}
		int rc = SSL_read_ex(t->tls, buf + sum, n - sum, &got);
		if (rc == 1) {
			sum += got;
			continue;
		}
		error = tls_error(t, rc, &ignored);
		if (error == -WC_EAGAIN && was_new_key(t))
			continue;
		if (sum == 0)
			return error;
		/* The next read finds the event behind these bytes, also if OpenSSL would not say it twice. */
		if (error != -WC_EAGAIN)
			SSL_set_shutdown(t->tls, SSL_get_shutdown(t->tls) | SSL_RECEIVED_SHUTDOWN);
		break;
	}
	return (ssize_t)sum;
}

struct pieces {
	const struct iovec *iov;
	int n;
	size_t at; /* of the first */
};

static void skip(struct pieces *p, size_t n)
{
	p->at += n;
	while (p->n && p->at >= p->iov->iov_len) {
		p->at -= p->iov->iov_len;
		p->iov++;
		p->n--;
	}
}

/* The next record's bytes: where they lie if they lie together, else gathered. As many as there are, so that what a write that is tried
 * again finds is never less. */
static const uint8_t *next_record(const struct pieces *p, size_t *len)
{
	static _Thread_local uint8_t gathered[RECORD_BYTES];
	size_t first = p->iov->iov_len - p->at, sum = 0;

	if (p->n == 1 || first >= RECORD_BYTES) {
		*len = WC_MIN(first, RECORD_BYTES);
		return (const uint8_t *)p->iov->iov_base + p->at;
	}
	for (int i = 0; i < p->n && sum < RECORD_BYTES; i++) {
		size_t at = i ? 0 : p->at, take = WC_MIN(p->iov[i].iov_len - at, RECORD_BYTES - sum);
		if (take)
			memcpy(gathered + sum, (const uint8_t *)p->iov[i].iov_base + at, take);
		sum += take;
	}
	*len = sum;
	return gathered;
}

static ssize_t tls_sendv(struct transport *t, const struct iovec *iov, int n)
{
	struct pieces p = { iov, n, 0 };
	size_t sum = 0, sent;
	bool ignored;
	ERR_clear_error();
	skip(&p, 0);
	while (p.n) {
		size_t len;
		const uint8_t *record = next_record(&p, &len);
		int rc = SSL_write_ex(t->tls, record, len, &sent);
		if (rc != 1) {
			int error = tls_error(t, rc, &ignored);
			if (error == 0)
				error = -WC_EIO;
			return sum ? (ssize_t)sum : error;
		}
		sum += sent;
		skip(&p, sent);
	}
	return (ssize_t)sum;
}

int transport_handshake(struct transport *t, bool *wants_write)
{
	*wants_write = false;
	if (!t->tls || SSL_is_init_finished(t->tls))
		return 0;
	ERR_clear_error();
	int rc = SSL_do_handshake(t->tls);
	if (rc == 1)
		return 0;
	int error = tls_error(t, rc, wants_write);
	return error == 0 ? -WC_EIO : error;
}

/* --- Either */

ssize_t transport_recv(struct transport *t, void *buf, size_t n)
{
	ssize_t got;
	if (t->tls)
		return tls_recv(t, buf, n);
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
	if (t->tls)
		return tls_sendv(t, iov, n);
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

size_t transport_buffered(const struct transport *t)
{
	return t->tls ? (size_t)SSL_pending(t->tls) : 0;
}

bool transport_has_more(const struct transport *t)
{
	return t->tls && (t->is_cut || (SSL_get_shutdown(t->tls) & SSL_RECEIVED_SHUTDOWN));
}

static void say_farewell(struct transport *t)
{
	/* With the handshake unfinished there is nobody to say it to; whether it fits the socket does not matter. */
	if (!t->tls || !SSL_is_init_finished(t->tls) || (SSL_get_shutdown(t->tls) & SSL_SENT_SHUTDOWN))
		return;
	ERR_clear_error();
	if (SSL_shutdown(t->tls) < 0)
		ERR_clear_error();
}

void transport_shutdown(struct transport *t)
{
	say_farewell(t);
	shutdown(t->fd, SHUT_WR);
}

void transport_close(struct transport *t)
{
	if (t->tls) {
		say_farewell(t);
		SSL_free(t->tls);
		t->tls = NULL;
	}
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

/* --- Kernel buffers */

#define SMALL_RECEIVE_BYTES (128 * 1024) /* the kernel takes twice that at most; without it grows to megabytes */
#define SMALL_UNSENT_BYTES (16 * 1024)

static int unsent_bytes = -1; /* as the system has it */

void transport_keep_small(int listener)
{
	int receive = SMALL_RECEIVE_BYTES;
	unsent_bytes = SMALL_UNSENT_BYTES;
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &receive, sizeof(receive));
	setsockopt(listener, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof(unsent_bytes));
}

void transport_unsent_default(int fd)
{
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof(unsent_bytes));
}
