/* test_transport.c — TLS whose records bring next to nothing: a read is bounded by records, and a handshake as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ssl.h>

#include "net/tls.h"
#include "net/transport.h"

struct pair {
	struct tls *tls;
	struct transport t; /* the server's end */
	SSL_CTX *ctx;
	SSL *client;
	int fd; /* the client's, which waits for room */
};

static void pair_open(struct pair *p)
{
	char *cause = NULL;
	int fds[2];
	assert_int_equal(tls_open_own(&p->tls, NULL, &cause), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	p->fd = fds[1];
	p->t = (struct transport){ .fd = fds[0], .tls = tls_session(p->tls, fds[0]) };
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	p->ctx = SSL_CTX_new(TLS_client_method());
	p->client = SSL_new(p->ctx);
	assert_true(SSL_set_fd(p->client, p->fd));
	SSL_set_connect_state(p->client);
}

static void pair_close(struct pair *p)
{
	transport_close(&p->t);
	SSL_free(p->client);
	SSL_CTX_free(p->ctx);
	close(p->fd);
	tls_free(p->tls);
}

static void shake_hands(struct pair *p)
{
	bool wants_write;
	int rc;
	assert_int_equal(fcntl(p->fd, F_SETFL, O_NONBLOCK), 0);
	do {
		(void)SSL_do_handshake(p->client);
		rc = transport_handshake(&p->t, &wants_write);
		assert_true(rc == 0 || rc == -WC_EAGAIN);
	} while (rc != 0 || !SSL_is_init_finished(p->client));
	assert_int_equal(fcntl(p->fd, F_SETFL, 0), 0);
}

static void write_all(struct pair *p, const char *bytes, size_t n, size_t record)
{
	size_t sent;
	for (size_t at = 0; at < n; at += record)
		assert_int_equal(SSL_write_ex(p->client, bytes + at, WC_MIN(record, n - at), &sent), 1);
}

static void check_small_records(void **state)
{
	struct pair p;
	char sent[100], got[200];
	(void)state;
	memset(sent, 'a', sizeof(sent));
	pair_open(&p);
	shake_hands(&p);
	write_all(&p, sent, sizeof(sent), 1);
	/* 32 at once; a caller that waits for an edge is told that there is more. */
	for (size_t left = sizeof(sent); left; left -= WC_MIN(left, TRANSPORT_RECORDS)) {
		assert_int_equal(transport_recv(&p.t, got, sizeof(got)), WC_MIN(left, TRANSPORT_RECORDS));
		assert_int_equal(transport_has_more(&p.t), left > TRANSPORT_RECORDS);
	}
	assert_int_equal(transport_recv(&p.t, got, sizeof(got)), -WC_EAGAIN);
	assert_false(transport_has_more(&p.t));
	/* A whole record is one, whatever it holds. */
	write_all(&p, sent, sizeof(sent), sizeof(sent));
	assert_int_equal(transport_recv(&p.t, got, sizeof(got)), sizeof(sent));
	assert_false(transport_has_more(&p.t));
	pair_close(&p);
}

static void check_new_keys(void **state)
{
	struct pair p;
	char got[10];
	int reads = 0;
	(void)state;
	pair_open(&p);
	shake_hands(&p);
	for (int i = 0; i < 3 * TRANSPORT_RECORDS; i++) {
		assert_true(SSL_key_update(p.client, SSL_KEY_UPDATE_NOT_REQUESTED));
		assert_int_equal(SSL_do_handshake(p.client), 1);
	}
	write_all(&p, "x", 1, 1);
	for (ssize_t n; (n = transport_recv(&p.t, got, sizeof(got))) != 1; reads++) {
		assert_int_equal(n, -WC_EAGAIN);
		assert_true(transport_has_more(&p.t));
	}
	assert_int_equal(reads, 3);
	assert_int_equal(got[0], 'x');
	assert_int_equal(transport_recv(&p.t, got, sizeof(got)), -WC_EAGAIN);
	assert_false(transport_has_more(&p.t));
	/* One among other bytes ends nothing. */
	write_all(&p, "y", 1, 1);
	assert_true(SSL_key_update(p.client, SSL_KEY_UPDATE_NOT_REQUESTED));
	assert_int_equal(SSL_do_handshake(p.client), 1);
	write_all(&p, "z", 1, 1);
	assert_int_equal(transport_recv(&p.t, got, sizeof(got)), 2);
	assert_memory_equal(got, "yz", 2);
	pair_close(&p);
}

static void check_crumbs(void **state)
{
	static const uint8_t crumb[] = { 22, 3, 1, 0, 1, 1 }; /* a record with a byte of a ClientHello that is never whole */
	struct pair p;
	bool wants_write;
	(void)state;
	pair_open(&p);
	assert_int_equal(transport_handshake(&p.t, &wants_write), -WC_EAGAIN);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(p.fd, crumb, sizeof(crumb)), sizeof(crumb));
	assert_int_equal(transport_handshake(&p.t, &wants_write), -WC_EAGAIN);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(p.fd, crumb, sizeof(crumb)), sizeof(crumb));
	assert_int_equal(transport_handshake(&p.t, &wants_write), -WC_EIO);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_small_records),
		cmocka_unit_test(check_new_keys),
		cmocka_unit_test(check_crumbs),
	};
	tls_library_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
