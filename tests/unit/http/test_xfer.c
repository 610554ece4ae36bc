/* test_xfer.c — a transfer lane without its thread: addresses take turns, whatever the number of their connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "http/xfer.c"

#define CROWD 50

static uint8_t body[4 << 20];

static struct hconn *sender(struct lane *x, const char *address, int *peer)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct hconn *c = xcalloc(1, sizeof(*c));
	int fds[2];
	assert_int_equal(inet_pton(AF_INET, address, &a.sin_addr), 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	memcpy(&c->peer, &a, sizeof(a));
	c->io.fd = fds[0];
	*peer = fds[1];
	job_new(c, SENDING)->send = (struct xfer_send){ .body = body, .body_len = sizeof(body), .fd = -1 };
	begin(x, c);
	return c;
}

static struct hconn *next_turn(struct lane *x)
{
	struct xfer_job *job = (struct xfer_job *)rota_take(x->ready);
	struct hconn *c;
	if (!job)
		return NULL;
	c = job->c;
	take_turn(x, job);
	return c;
}

static void check_turns(void **state)
{
	static struct lane x; /* has a large buffer */
	static char read_bytes[1 << 20];
	struct hconn *crowd[CROWD], *other, *third;
	int peers[CROWD], other_peer, third_peer, turns = 0;
	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		TAILQ_INIT(&x.jobs[kind]);
		x.idle_ms[kind] = x.window_ms = 60000;
	}
	x.ready = rota_new();
	x.epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < CROWD; i++)
		crowd[i] = sender(&x, "192.0.2.1", &peers[i]);
	other = sender(&x, "192.0.2.2", &other_peer);
	third = sender(&x, "192.0.2.3", &third_peer);
	/* One of the crowd, then the two behind it; then the crowd among itself. */
	assert_ptr_equal(next_turn(&x), crowd[0]);
	assert_ptr_equal(next_turn(&x), other);
	assert_ptr_equal(next_turn(&x), third);
	for (int i = 1; i < CROWD; i++)
		assert_ptr_equal(next_turn(&x), crowd[i]);
	/* All sockets are full, and nobody is ready. */
	assert_false(gather(&x, 0));
	while (next_turn(&x))
		assert_true(++turns < 100 * CROWD);
	/* Those that read are in line once more, each once. */
	assert_true(read(other_peer, read_bytes, sizeof(read_bytes)) > 0);
	for (int i = 0; i < CROWD; i++)
		assert_true(read(peers[i], read_bytes, sizeof(read_bytes)) > 0);
	assert_false(gather(&x, 0));
	assert_false(gather(&x, 0));
	assert_int_equal(rota_count(x.ready), CROWD + 1);
	struct hconn *first = next_turn(&x), *second = next_turn(&x);
	assert_true(first == other || second == other);
	while (next_turn(&x))
		;
	/* One that waits for its turn is not late, unless its answer is over. */
	get_in_line(&x, third);
	third->deadline_ms = 0;
	TAILQ_REMOVE(&x.jobs[SENDING], third, link);
	TAILQ_INSERT_HEAD(&x.jobs[SENDING], third, link);
	assert_true(expire(&x) > 0);
	assert_true(third->deadline_ms > 0);
	assert_false(third->job->is_over);
	(void)rota_take(x.ready);
	for (int i = 0; i < CROWD; i++) {
		close(peers[i]);
		close(crowd[i]->io.fd);
		free(crowd[i]->job);
		free(crowd[i]);
	}
	struct hconn *rest[] = { other, third };
	const int rest_peers[] = { other_peer, third_peer };
	for (int i = 0; i < 2; i++) {
		close(rest_peers[i]);
		close(rest[i]->io.fd);
		free(rest[i]->job);
		free(rest[i]);
	}
	rota_free(x.ready);
	close(x.epoll);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(check_turns) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
