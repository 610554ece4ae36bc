/* Cursors and inserts: what each connection receives, byte for byte, against a plain model, with slow and fast readers on real sockets. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "hub/impl.h"

#define CLIENTS 24
#define STEPS 6000
#define RING (1u << 20)

struct client {
	struct conn *conn;
	int fd;
	struct buf want; /* the model: what must arrive */
	struct buf got;
	bool is_slow;
	bool holds; /* a MAIL_HOLD is open: what comes after waits in `behind` */
	struct buf behind;
	_Atomic bool was_closed;
};

struct test {
	struct hubs *hubs;
	struct client v[CLIENTS];
	_Atomic int closed, adopted, ending_code;
	_Atomic bool is_reading;
};

/* The first message of a connection names its client, so that the test learns which conn is whose. */
static bool on_message(void *arg, struct conn *c, uint8_t *data, size_t len, bool owned, struct ws_share share)
{
	struct test *t = arg;
	(void)share;
	assert_int_equal(len, 2);
	int number = (data[0] - '0') * 10 + data[1] - '0';
	t->v[number].conn = c;
	if (owned)
		free(data);
	atomic_fetch_add(&t->adopted, 1);
	return true; /* until MAIL_SUBSCRIBE */
}

static bool on_oversize(void *arg, struct conn *c, const uint8_t *head, size_t len)
{
	(void)arg, (void)c, (void)head, (void)len;
	return false;
}

static void on_ending(void *arg, struct conn *c, int code, const char *reason)
{
	struct test *t = arg;
	(void)c, (void)reason;
	assert_int_equal(atomic_exchange(&t->ending_code, code), 0);
}

static void on_closed(void *arg, struct conn *c)
{
	struct test *t = arg;
	atomic_fetch_add(&t->closed, 1);
	for (int i = 0; i < CLIENTS; i++)
		if (t->v[i].conn == c)
			t->v[i].was_closed = true;
}

static void on_flush(void *arg, struct hub *h)
{
	(void)arg, (void)h;
}

static bool on_full(void *arg)
{
	(void)arg;
	return false;
}

static struct hubs *start(struct test *t, int threads, size_t ring)
{
	struct hub_opts o = {
		.threads = threads,
		.ring_bytes = ring,
		.limits = { .soft_bytes = 65536, .hard_bytes = 131072 },
		.join_timeout_ms = 15000,
		.ping_interval_ms = 30000,
		.insert_cap_bytes = 64 << 20,
		.large_cap_bytes = 256 << 20,
		.pending_cap_bytes = SIZE_MAX,
		.ops = { .message = on_message,
		         .oversize = on_oversize,
		         .ending = on_ending,
		         .closed = on_closed,
		         .flush = on_flush,
		         .is_full = on_full,
		         .arg = t },
	};
	char *cause = NULL;
	struct hubs *hs = hubs_start(&o, &cause);
	assert_non_null(hs);
	return hs;
}

static void adopt(struct test *t, int i, int sndbuf)
{
	int sv[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	if (sndbuf)
		setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	struct client *c = &t->v[i];
	c->fd = sv[1];
	buf_init(&c->want, 1 << 30);
	buf_init(&c->got, 1 << 30);
	buf_init(&c->behind, 1 << 30);
	uint8_t hello[8] = { 0x81, 0x82, 0, 0, 0, 0, (uint8_t)('0' + i / 10), (uint8_t)('0' + i % 10) };
	assert_int_equal(write(sv[1], hello, sizeof(hello)), sizeof(hello));
	struct taken taken = { .fd = sv[0], .peer.ss_family = AF_INET };
	assert_int_equal(hubs_adopt(t->hubs, &taken), 0);
}

static void expect(struct client *c, const void *p, size_t n)
{
	buf_put(c->holds ? &c->behind : &c->want, p, n);
}

static void *readers_main(void *arg)
{
	struct test *t = arg;
	static char chunk[65536];
	unsigned seed = 7;
	bool idle = false;
	while (atomic_load(&t->is_reading) || !idle) {
		idle = true;
		for (int i = 0; i < CLIENTS; i++) {
			struct client *c = &t->v[i];
			if (c->is_slow && rand_r(&seed) % 4)
				continue;
			ssize_t n = read(c->fd, chunk, c->is_slow ? (size_t)(1 + rand_r(&seed) % 3000) : sizeof(chunk));
			if (n > 0) {
				buf_put(&c->got, chunk, (size_t)n);
				idle = false;
			}
		}
		if (idle && !atomic_load(&t->is_reading)) {
			usleep(200000);
			for (int i = 0; i < CLIENTS; i++) {
				ssize_t n;
				while ((n = read(t->v[i].fd, chunk, sizeof(chunk))) > 0) {
					buf_put(&t->v[i].got, chunk, (size_t)n);
					idle = false;
				}
			}
		}
	}
	return NULL;
}

static struct mail *insert(struct client *c, enum mail_kind kind, uint64_t at, size_t skip, const void *p, size_t n)
{
	struct mail *m = mail_new(kind, c->conn);
	m->at = at;
	m->skip = (uint32_t)skip;
	/* In up to three parts, as large frames come. */
	size_t cut = n > 10 ? n / 3 : n;
	if (n) {
		mail_part(m, shbuf_copy(p, cut));
		if (n > cut)
			mail_part(m, shbuf_copy((const char *)p + cut, n - cut));
	}
	return m;
}

struct batch {
	struct mail *newest[2], *oldest[2];
};

static void post(struct batch *b, struct mail *m)
{
	int h = hub_number(conn_hub(m->conn));
	m->next = b->newest[h];
	b->newest[h] = m;
	if (!b->oldest[h])
		b->oldest[h] = m;
}

static void flush(struct test *t, struct batch *b)
{
	for (int h = 0; h < 2; h++)
		if (b->newest[h])
			hub_post(conn_hub(b->newest[h]->conn), b->newest[h], b->oldest[h]);
	*b = (struct batch){ 0 };
	for (int r = 0; r < HUB_RINGS; r++)
		bcast_release(hubs_ring(t->hubs, r));
	hubs_wake(t->hubs);
}

static void read_all(struct client *c, size_t n)
{
	while (c->got.len < n) {
		char chunk[256];
		struct pollfd p = { c->fd, POLLIN, 0 };
		assert_int_equal(poll(&p, 1, 2000), 1);
		ssize_t got = read(c->fd, chunk, sizeof(chunk));
		assert_true(got > 0);
		buf_put(&c->got, chunk, (size_t)got);
	}
}

static void fill_hold(struct batch *b, struct client *c, const void *p, size_t n)
{
	post(b, insert(c, MAIL_FILL, 0, 0, p, n));
	c->holds = false;
	buf_put(&c->want, p, n);
	buf_put(&c->want, c->behind.p, c->behind.len);
	buf_reset(&c->behind);
}

static void test_streams_against_model(void **state)
{
	(void)state;
	static struct test t;
	memset(&t, 0, sizeof(t));
	t.hubs = start(&t, 2, RING);
	for (int i = 0; i < CLIENTS; i++) {
		t.v[i].is_slow = i % 3 == 0;
		adopt(&t, i, i % 3 == 0 ? 4096 : 0);
	}
	while (atomic_load(&t.adopted) < CLIENTS)
		usleep(1000);
	struct batch b = { 0 };
	for (int i = 0; i < CLIENTS; i++) {
		struct mail *m = mail_new(MAIL_SUBSCRIBE, t.v[i].conn);
		m->at = bcast_tail(hubs_ring(t.hubs, i % 2));
		m->skip = (uint32_t)(i % 2);
		post(&b, m);
	}
	t.is_reading = true;
	pthread_t reader;
	pthread_create(&reader, NULL, readers_main, &t);
	unsigned seed = 1;
	char bytes[4096];
	for (int step = 0; step < STEPS; step++) {
		int ring = rand_r(&seed) % 2;
		struct bcast *log = hubs_ring(t.hubs, ring);
		size_t len = 1 + (size_t)(rand_r(&seed) % (rand_r(&seed) % 20 ? 200 : 4000));
		for (size_t i = 0; i < len; i++)
			bytes[i] = (char)('A' + (step + (int)i) % 26);
		struct client *one = &t.v[rand_r(&seed) % CLIENTS];
		int own_ring = (int)(one - t.v) % 2;
		switch (rand_r(&seed) % 6) {
		case 0: /* private, at the end of the log */
			post(&b, insert(one, MAIL_INSERT, bcast_tail(hubs_ring(t.hubs, own_ring)), 0, bytes, len));
			expect(one, bytes, len);
			break;
		case 1: /* a hold, or its end */
			if (one->holds) {
				fill_hold(&b, one, bytes, len);
			} else {
				post(&b, insert(one, MAIL_HOLD, bcast_tail(hubs_ring(t.hubs, own_ring)), 0, NULL, 0));
				one->holds = true;
			}
			break;
		default: { /* public; now and then somebody gets another frame in its place, or none */
			uint8_t *to;
			while (!(to = bcast_reserve(log, len))) {
				flush(&t, &b);
				bcast_wait(log, len, 100);
			}
			memcpy(to, bytes, len);
			uint64_t at = bcast_commit(log, len);
			struct client *special = rand_r(&seed) % 2 && own_ring == ring ? one : NULL;
			size_t special_len = rand_r(&seed) % 3 ? (size_t)(rand_r(&seed) % 300) : 0;
			char own[300];
			memset(own, 'z', sizeof(own));
			if (special) {
				post(&b, insert(special, MAIL_INSERT, at, len, own, special_len));
				expect(special, own, special_len);
			}
			for (int i = ring; i < CLIENTS; i += 2)
				if (&t.v[i] != special)
					expect(&t.v[i], bytes, len);
			break;
		}
		}
		if (rand_r(&seed) % 5 == 0)
			flush(&t, &b);
		if (step % 64 == 0)
			usleep(2000); /* so that slow ones are slow, not lapped */
	}
	for (int i = 0; i < CLIENTS; i++)
		if (t.v[i].holds)
			fill_hold(&b, &t.v[i], "end", 3);
	flush(&t, &b);
	usleep(100000);
	t.is_reading = false;
	pthread_join(reader, NULL);
	int whole = 0;
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &t.v[i];
		/* A dropped one has a prefix; the others everything. */
		assert_true(c->got.len <= c->want.len);
		assert_memory_equal(c->got.p, c->want.p, c->got.len);
		if (!c->was_closed) {
			assert_int_equal(c->got.len, c->want.len);
			whole++;
		}
	}
	assert_true(whole >= CLIENTS * 2 / 3);
	hubs_stop(t.hubs, 1000);
	assert_int_equal(atomic_load(&t.closed), CLIENTS);
	hubs_free(t.hubs);
	for (int i = 0; i < CLIENTS; i++) {
		close(t.v[i].fd);
		buf_fini(&t.v[i].want);
		buf_fini(&t.v[i].got);
		buf_fini(&t.v[i].behind);
	}
}

/* More alternations of log and inserts than one system call takes, in one flush. */
static void test_many_inserts_in_one_flush(void **state)
{
	(void)state;
	static struct test t;
	memset(&t, 0, sizeof(t));
	t.hubs = start(&t, 1, RING);
	adopt(&t, 0, 0);
	while (atomic_load(&t.adopted) < 1)
		usleep(1000);
	struct batch b = { 0 };
	struct client *c = &t.v[0];
	post(&b, mail_new(MAIL_SUBSCRIBE, c->conn));
	flush(&t, &b);
	struct bcast *log = hubs_ring(t.hubs, 0);
	for (int i = 0; i < 1000; i++) {
		for (int j = 0; j < i % 3; j++) {
			post(&b, insert(c, MAIL_INSERT, bcast_tail(log), 0, "(twelve ones)", 13));
			expect(c, "(twelve ones)", 13);
		}
		memcpy(bcast_reserve(log, 5), "frame", 5);
		bcast_commit(log, 5);
		expect(c, "frame", 5);
		if (i % 200 == 199)
			flush(&t, &b);
	}
	read_all(c, c->want.len);
	assert_int_equal(c->got.len, c->want.len);
	assert_memory_equal(c->got.p, c->want.p, c->got.len);
	hubs_stop(t.hubs, 500);
	hubs_free(t.hubs);
	close(c->fd);
	buf_fini(&c->want);
	buf_fini(&c->got);
	buf_fini(&c->behind);
}

static void test_laggard_is_dropped_alone(void **state)
{
	(void)state;
	static struct test t;
	memset(&t, 0, sizeof(t));
	t.hubs = start(&t, 1, 65536);
	for (int i = 0; i < 2; i++)
		adopt(&t, i, 4096);
	while (atomic_load(&t.adopted) < 2)
		usleep(1000);
	struct batch b = { 0 };
	for (int i = 0; i < 2; i++)
		post(&b, mail_new(MAIL_SUBSCRIBE, t.v[i].conn));
	flush(&t, &b);
	struct bcast *log = hubs_ring(t.hubs, 0);
	char bytes[1000];
	memset(bytes, 'x', sizeof(bytes));
	size_t got = 0, sent = 0;
	for (int i = 0; i < 500; i++) {
		uint8_t *to;
		while (!(to = bcast_reserve(log, sizeof(bytes)))) {
			flush(&t, &b);
			bcast_wait(log, sizeof(bytes), 100);
		}
		memcpy(to, bytes, sizeof(bytes));
		bcast_commit(log, sizeof(bytes));
		flush(&t, &b);
		sent += sizeof(bytes);
		/* Number 1 reads, number 0 never does. */
		while (got < sent) {
			char chunk[4096];
			struct pollfd p = { t.v[1].fd, POLLIN, 0 };
			assert_int_equal(poll(&p, 1, 2000), 1);
			ssize_t n = read(t.v[1].fd, chunk, sizeof(chunk));
			assert_true(n > 0);
			got += (size_t)n;
		}
	}
	for (int i = 0; i < 100 && !t.v[0].was_closed; i++)
		usleep(10000);
	assert_true(t.v[0].was_closed);
	assert_false(t.v[1].was_closed);
	hubs_stop(t.hubs, 500);
	hubs_free(t.hubs);
	for (int i = 0; i < 2; i++) {
		close(t.v[i].fd);
		buf_fini(&t.v[i].want);
		buf_fini(&t.v[i].got);
		buf_fini(&t.v[i].behind);
	}
}

/* A message and a close in one write: the echo, which comes from the room, goes out before the close frame, also where the close is
 * posted before the log is released up to it. What follows the close is not read. */
static void test_close_waits_for_answers(void **state)
{
	(void)state;
	static struct test t;
	memset(&t, 0, sizeof(t));
	t.hubs = start(&t, 1, RING);
	adopt(&t, 0, 0);
	while (atomic_load(&t.adopted) < 1)
		usleep(1000);
	struct batch b = { 0 };
	struct client *c = &t.v[0];
	post(&b, mail_new(MAIL_SUBSCRIBE, c->conn));
	flush(&t, &b);
	static const uint8_t bytes[] = { 0x88, 0x82, 0, 0, 0, 0, 1000 >> 8, 1000 & 255, 0x89, 0x80, 0, 0, 0, 0 };
	assert_int_equal(write(c->fd, bytes, sizeof(bytes)), sizeof(bytes));
	while (!atomic_load(&t.ending_code))
		usleep(1000);
	assert_int_equal(t.ending_code, 1000);
	struct bcast *log = hubs_ring(t.hubs, 0);
	memcpy(bcast_reserve(log, 6), "others", 6);
	bcast_commit(log, 6);
	uint64_t at = bcast_tail(log);
	memcpy(bcast_reserve(log, 5), "frame", 5);
	bcast_commit(log, 5);
	post(&b, insert(c, MAIL_INSERT, at, 5, "echo", 4));
	struct mail *m = insert(c, MAIL_CLOSE, bcast_tail(log), 1000, NULL, 0);
	m->next = b.newest[0];
	hub_post(conn_hub(c->conn), m, b.oldest[0]); /* and the log is not released yet */
	usleep(20000);
	char early;
	assert_int_equal(read(c->fd, &early, 1), -1);
	bcast_release(log);
	hubs_wake(t.hubs);
	read_all(c, 14);
	assert_memory_equal(c->got.p, "othersecho\x88\x02\x03\xe8", 14);
	struct pollfd p = { c->fd, POLLIN, 0 };
	assert_int_equal(poll(&p, 1, 2000), 1);
	assert_int_equal(read(c->fd, &early, 1), 0); /* no pong */
	hubs_stop(t.hubs, 500);
	hubs_free(t.hubs);
	close(c->fd);
	buf_fini(&c->want);
	buf_fini(&c->got);
	buf_fini(&c->behind);
}

/* What comes in while a connection is paused brings its only edge then: it is read when the pause is over, though nothing more comes. */
static void test_input_amid_a_pause(void **state)
{
	(void)state;
	static struct test t;
	memset(&t, 0, sizeof(t));
	t.hubs = start(&t, 1, RING);
	adopt(&t, 0, 0);
	while (atomic_load(&t.adopted) < 1)
		usleep(1000);
	struct client *c = &t.v[0];
	static const uint8_t more[] = { 0x81, 0x82, 0, 0, 0, 0, '0', '0' };
	for (int pauses = 1; pauses < 4; pauses++) {
		assert_int_equal(write(c->fd, more, sizeof(more)), sizeof(more));
		usleep(30000);
		assert_int_equal(atomic_load(&t.adopted), pauses);
		hub_post_one(mail_new(pauses == 1 ? MAIL_SUBSCRIBE : MAIL_RESUME, c->conn));
		for (int ms = 0; ms < 3000 && atomic_load(&t.adopted) == pauses; ms++)
			usleep(1000);
		assert_int_equal(atomic_load(&t.adopted), pauses + 1);
	}
	hub_post_one(mail_new(MAIL_RESUME, c->conn));
	hubs_stop(t.hubs, 500);
	hubs_free(t.hubs);
	close(c->fd);
	buf_fini(&c->want);
	buf_fini(&c->got);
	buf_fini(&c->behind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_against_model),    cmocka_unit_test(test_many_inserts_in_one_flush),
		cmocka_unit_test(test_laggard_is_dropped_alone), cmocka_unit_test(test_close_waits_for_answers),
		cmocka_unit_test(test_input_amid_a_pause),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
