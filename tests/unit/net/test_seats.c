/* test_seats.c — connections in all and by address, the rate of new ones, and a table that nobody can grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/seats.c"

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage a;
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		memcpy(&a, &v4, sizeof(v4));
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
		memcpy(&a, &v6, sizeof(v6));
	}
	return a;
}

static enum seats_verdict take(struct seats *s, const char *text, struct seat **out)
{
	struct sockaddr_storage a = address(text);
	return seats_take(s, &a, out);
}

static void check_counts(void **state)
{
	struct ip_net loopback = { .bits = 0 };
	struct seats_opts opts = { .total = 6, .per_address = 2, .exempt = { &loopback, 1 } };
	struct seat *a, *b, *c, *d, *e, *f, *none = NULL;
	(void)state;
	assert_true(ip_net_parse("127.0.0.0/8", loopback.addr, &loopback.bits));
	struct seats *s = seats_new(&opts);
	assert_int_equal(take(s, "192.0.2.1", &a), SEATS_GIVEN);
	assert_int_equal(take(s, "192.0.2.1", &b), SEATS_GIVEN);
	assert_int_equal(take(s, "192.0.2.1", &none), SEATS_ADDRESS_FULL);
	assert_null(none);
	/* IPv6 counts by /64. */
	assert_int_equal(take(s, "2001:db8::1", &c), SEATS_GIVEN);
	assert_int_equal(take(s, "2001:db8::2:3:4:5", &d), SEATS_GIVEN);
	assert_int_equal(take(s, "2001:db8::6", &none), SEATS_ADDRESS_FULL);
	assert_int_equal(take(s, "2001:db8:0:1::1", &e), SEATS_GIVEN);
	assert_int_equal(atomic_load(&s->open), 5);
	/* Exempt from the limit of an address, not from that of all. */
	assert_int_equal(take(s, "127.0.0.1", &f), SEATS_GIVEN);
	assert_int_equal(take(s, "127.0.0.1", &none), SEATS_FULL);
	assert_int_equal(take(s, "198.51.100.1", &none), SEATS_FULL);
	seat_leave(a);
	assert_int_equal(take(s, "127.0.0.1", &a), SEATS_GIVEN);
	assert_int_equal(atomic_load(&s->open), 6);
	seat_leave(e);
	assert_int_equal(take(s, "192.0.2.1", &e), SEATS_GIVEN);
	seat_leave(f);
	assert_int_equal(take(s, "192.0.2.1", &none), SEATS_ADDRESS_FULL);
	struct seat *left[] = { a, b, c, d, e, NULL };
	for (size_t i = 0; i < WC_LEN(left); i++)
		seat_leave(left[i]);
	assert_int_equal(atomic_load(&s->open), 0);
	seats_free(s);
}

static enum seats_verdict take_64(struct seats *s, unsigned i, struct seat **out)
{
	char text[64];
	snprintf(text, sizeof(text), "2001:db8:1:%x::1", i);
	return take(s, text, out);
}

/* A /48 may do four times what one of its /64s may, of connections and of new ones. */
static void check_wide(void **state)
{
	struct seats_opts opts = { .total = 100, .per_address = 3 };
	struct seats *s = seats_new(&opts);
	struct seat *v[4 * 3], *w[6], *none, *other;
	(void)state;
	for (unsigned i = 0; i < WC_LEN(v); i++)
		assert_int_equal(take_64(s, i / 2, &v[i]), SEATS_GIVEN);
	assert_int_equal(take_64(s, 99, &none), SEATS_ADDRESS_FULL);
	assert_int_equal(take(s, "2001:db8:2::1", &other), SEATS_GIVEN);
	seat_leave(v[0]);
	assert_int_equal(take_64(s, 99, &v[0]), SEATS_GIVEN);
	/* Never more than half of all, but as much as one /64 may. */
	opts.total = 20;
	seats_set_opts(s, &opts);
	seat_leave(v[0]);
	seat_leave(v[1]);
	assert_int_equal(take_64(s, 98, &none), SEATS_ADDRESS_FULL);
	seat_leave(v[2]);
	assert_int_equal(take_64(s, 98, &v[2]), SEATS_GIVEN);
	for (unsigned i = 2; i < WC_LEN(v); i++)
		seat_leave(v[i]);
	seat_leave(other);
	assert_int_equal(atomic_load(&s->open), 0);
	for (size_t i = 0; i < s->n; i++)
		assert_int_equal(atomic_load(&s->v[i]->count), 0);
	seats_free(s);
	/* Once half of all are taken, an address has its share. */
	opts = (struct seats_opts){ .total = 20, .per_address = 15, .share = 6 };
	s = seats_new(&opts);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(take_64(s, 1, &v[i]), SEATS_GIVEN);
	assert_int_equal(take_64(s, 1, &none), SEATS_ADDRESS_FULL);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(take(s, "10.0.0.1", &w[i]), SEATS_GIVEN);
	assert_int_equal(take(s, "10.0.0.1", &none), SEATS_ADDRESS_FULL);
	for (unsigned i = 0; i < 10; i++)
		seat_leave(v[i]);
	for (unsigned i = 0; i < 6; i++)
		seat_leave(w[i]);
	seats_free(s);
	/* Requests of a proxy's clients count alike; a refusal takes nothing. */
	opts = (struct seats_opts){ .rate = 1 };
	s = seats_new(&opts);
	const int64_t began = mono_ms();
	int given = 0;
	for (unsigned i = 0; i < 1000 && take_64(s, i, &none) == SEATS_GIVEN; i++, given++)
		seat_leave(none);
	assert_true(given >= SEATS_WIDE * SEATS_BURST_S);
	assert_true(given <= SEATS_WIDE * SEATS_BURST_S + (mono_ms() - began) * SEATS_WIDE / 1000 + 1);
	assert_int_equal(take_64(s, 2000, &none), SEATS_TOO_FAST);
	assert_int_equal(take(s, "2001:db8:2::1", &none), SEATS_GIVEN);
	seat_leave(none);
	seats_free(s);
}

/* Over a proxy's connection: each request sits with its client, then the connection sits apart again. */
static void check_proxied(void **state)
{
	struct seats_opts opts = { .total = 3, .per_address = 1, .rate = 1 };
	struct seats *s = seats_new(&opts);
	struct sockaddr_storage a = address("192.0.2.1"), b = address("192.0.2.2");
	struct seat *x, *y, *z, *none;
	(void)state;
	assert_int_equal(seats_take(s, NULL, &x), SEATS_GIVEN);
	assert_int_equal(seats_take(s, NULL, &y), SEATS_GIVEN);
	assert_int_equal(seats_take(s, NULL, &z), SEATS_GIVEN);
	assert_int_equal(seats_take(s, NULL, &none), SEATS_FULL);
	assert_int_equal(seats_move(&x, &a, false), SEATS_GIVEN);
	none = y;
	assert_int_equal(seats_move(&y, &a, false), SEATS_ADDRESS_FULL);
	assert_ptr_equal(y, none);
	assert_int_equal(seats_move(&y, &b, false), SEATS_GIVEN);
	x = seats_move_back(x);
	y = seats_move_back(y);
	/* Requests cost no handshake, WebSockets do. */
	for (int i = 0; i < 50; i++) {
		assert_int_equal(seats_move(&x, &a, false), SEATS_GIVEN);
		x = seats_move_back(x);
	}
	for (int i = 0; i < SEATS_BURST_S; i++) {
		assert_int_equal(seats_move(&x, &a, true), SEATS_GIVEN);
		x = seats_move_back(x);
	}
	assert_int_equal(seats_move(&x, &a, true), SEATS_TOO_FAST);
	assert_int_equal(seats_move(&x, &b, true), SEATS_GIVEN);
	assert_int_equal(atomic_load(&s->open), 3);
	seat_leave(x);
	seat_leave(y);
	seat_leave(z);
	seats_free(s);
}

static void check_rate(void **state)
{
	struct seats_opts opts = { .rate = 20 };
	struct seats *s = seats_new(&opts);
	struct seat *seat;
	int64_t began = mono_ms();
	int given = 0;
	(void)state;
	while (take(s, "192.0.2.1", &seat) == SEATS_GIVEN && given < 1000) {
		seat_leave(seat);
		given++;
	}
	assert_true(given >= 20 * SEATS_BURST_S);
	assert_true(given <= 20 * SEATS_BURST_S + (mono_ms() - began) * 20 / 1000 + 1);
	assert_int_equal(take(s, "192.0.2.1", &seat), SEATS_TOO_FAST);
	/* Others are not concerned; what is refused costs nothing; after a while there is more. */
	assert_int_equal(take(s, "192.0.2.2", &seat), SEATS_GIVEN);
	seat_leave(seat);
	usleep(120000);
	assert_int_equal(take(s, "192.0.2.1", &seat), SEATS_GIVEN);
	seat_leave(seat);
	seats_free(s);
}

/* A network full of addresses does not grow the table, and does not make it forget those who are connected, or who were too fast. */
static void check_table(void **state)
{
	struct seats_opts opts = { .per_address = 2, .rate = 1 };
	struct seats *s = seats_new(&opts);
	struct seat *kept[500], *seat;
	(void)state;
	for (unsigned i = 0; i < WC_LEN(kept); i++) {
		struct sockaddr_storage a = address("198.18.0.0");
		((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(0xc6120000u + i);
		assert_int_equal(seats_take(s, &a, &kept[i]), SEATS_GIVEN);
	}
	for (int i = 0; i < SEATS_BURST_S; i++) {
		assert_int_equal(take(s, "192.0.2.1", &seat), SEATS_GIVEN);
		seat_leave(seat);
	}
	for (uint32_t i = 0; i < 200000; i++) {
		struct sockaddr_storage a = address("2001:db8::1");
		uint32_t net = htonl(i);
		memcpy(&((struct sockaddr_in6 *)&a)->sin6_addr.s6_addr[2], &net, sizeof(net)); /* another /48 */
		assert_int_equal(seats_take(s, &a, &seat), SEATS_GIVEN);
		seat_leave(seat);
		assert_true(s->n <= 2 * (WC_LEN(kept) + 1) + SEATS_SPARE);
		if (i == SEATS_SPARE / 4) /* within what is remembered */
			assert_int_equal(take(s, "192.0.2.1", &seat), SEATS_TOO_FAST);
	}
	for (unsigned i = 0; i < WC_LEN(kept); i++) {
		struct sockaddr_storage a = address("198.18.0.0");
		((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(0xc6120000u + i);
		assert_int_equal(seats_take(s, &a, &seat), SEATS_GIVEN);
		struct seat *third;
		assert_int_equal(seats_take(s, &a, &third), SEATS_ADDRESS_FULL);
		seat_leave(seat);
		seat_leave(kept[i]);
	}
	assert_int_equal(atomic_load(&s->open), 0);
	seats_free(s);
}

/* Seats are left on other threads than they are taken on, and forgotten meanwhile; the sanitizers watch. */
static struct {
	pthread_mutex_t lock;
	struct seat *v[256];
	int n;
	bool is_over;
} left = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *leave_them(void *arg)
{
	bool is_over = false;
	while (!is_over) {
		struct seat *seat = NULL;
		pthread_mutex_lock(&left.lock);
		if (left.n)
			seat = left.v[--left.n];
		else
			is_over = left.is_over;
		pthread_mutex_unlock(&left.lock);
		seat_leave(seat);
	}
	return arg;
}

static void check_threads(void **state)
{
	struct seats_opts opts = { .per_address = 3, .rate = 100000 };
	struct seats *s = seats_new(&opts);
	pthread_t threads[3];

	(void)state;
	for (size_t i = 0; i < WC_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, leave_them, NULL), 0);
	for (uint32_t i = 0; i < 60000;) {
		struct sockaddr_storage a = address("10.0.0.0");
		struct seat *seat;
		((struct sockaddr_in *)&a)->sin_addr.s_addr = htonl(0x0a000000u + i % 20000);
		pthread_mutex_lock(&left.lock);
		bool is_full = left.n == WC_LEN(left.v);
		pthread_mutex_unlock(&left.lock);
		if (is_full || seats_take(s, &a, &seat) != SEATS_GIVEN)
			continue;
		pthread_mutex_lock(&left.lock);
		left.v[left.n++] = seat;
		pthread_mutex_unlock(&left.lock);
		i++;
	}
	pthread_mutex_lock(&left.lock);
	left.is_over = true;
	pthread_mutex_unlock(&left.lock);
	for (size_t i = 0; i < WC_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&s->open), 0);
	seats_free(s);
}

/* Sends files to the seat until no more may be. Returns how many. */
static int fill_files(struct seat *seat)
{
	int n = 0;
	for (; n < 1000 && seat_may_have_file(seat); n++)
		seat_count_file(seat, 1);
	return n;
}

static void check_files(void **state)
{
	struct ip_net loopback = { .bits = 0 };
	struct seats_opts opts = { .per_address = 100, .files_most = 12, .exempt = { &loopback, 1 } };
	struct seat *a, *b, *c, *proxy;
	(void)state;
	assert_true(ip_net_parse("127.0.0.0/8", loopback.addr, &loopback.bits));
	struct seats *s = seats_new(&opts);
	assert_int_equal(take(s, "192.0.2.1", &a), SEATS_GIVEN);
	assert_int_equal(take(s, "192.0.2.2", &b), SEATS_GIVEN);
	assert_int_equal(take(s, "192.0.2.3", &c), SEATS_GIVEN);
	assert_int_equal(take(s, "127.0.0.1", &proxy), SEATS_GIVEN);
	/* While there is plenty an address has what it wants, up to half; then others have theirs. */
	assert_int_equal(fill_files(a), 6);
	assert_int_equal(fill_files(b), 4);
	assert_int_equal(fill_files(c), 2);
	assert_false(seat_may_have_file(proxy));
	seat_count_file(a, -6);
	assert_int_equal(fill_files(proxy), 6); /* exempt: what there is */
	seat_count_file(proxy, -6);
	seat_count_file(b, -4);
	seat_count_file(c, -2);
	assert_true(seat_may_have_file(NULL));
	/* A /48 has half of them, however many its networks are. */
	struct seat *v6[8];
	int sum = 0;
	for (int i = 0; i < 8; i++) {
		char text[32];
		snprintf(text, sizeof(text), "2001:db8:0:%d::1", i);
		assert_int_equal(take(s, text, &v6[i]), SEATS_GIVEN);
		for (int n = 0; n < 2 && seat_may_have_file(v6[i]); n++, sum++)
			seat_count_file(v6[i], 1);
	}
	assert_int_equal(sum, 6);
	assert_true(seat_may_have_file(a));
	opts.files_most = 0;
	seats_set_opts(s, &opts);
	assert_int_equal(fill_files(v6[0]), 1000);
	for (int i = 0; i < 8; i++)
		seat_leave(v6[i]);
	seat_leave(a);
	seat_leave(b);
	seat_leave(c);
	seat_leave(proxy);
	seats_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_counts), cmocka_unit_test(check_wide),  cmocka_unit_test(check_proxied),
		cmocka_unit_test(check_rate),   cmocka_unit_test(check_table), cmocka_unit_test(check_threads),
		cmocka_unit_test(check_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
