/* test_input.c — turns of reading: a connection that sends much delays nobody who sends little, and pays for frames that do nothing. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hub/impl.h"

#define FRAMES 2000
#define DEAR_US 100 /* that a message takes */

struct test {
	struct hubs *hubs;
	int heavy, light; /* the clients' ends */
	struct conn *conn[2];
	_Atomic int seen[2], heavy_before_light, ending_code, charge;
	int dear_us;
};

static const uint8_t heavy_frame[] = { 0x81, 0x81, 0, 0, 0, 0, '0' }, light_frame[] = { 0x81, 0x81, 0, 0, 0, 0, '1' };

static bool on_message(void *arg, struct conn *c, uint8_t *data, size_t len, bool owned, struct ws_share share)
{
	struct test *t = arg;
	(void)owned, (void)share;
	assert_int_equal(len, 1);
	const int who = data[0] - '0';
	if (!t->conn[who]) {
		t->conn[who] = c;
		atomic_fetch_add(&t->seen[who], 1);
		struct mail *m = mail_new(MAIL_SUBSCRIBE, c);
		m->id = 1;
		hub_post_one(m);
		return true;
	}
	usleep((useconds_t)t->dear_us);
	conn_charge(c, (uint32_t)t->charge);
	const int before = atomic_fetch_add(&t->seen[who], 1);
	if (who == 0 && before == 1 && t->light > 0)
		assert_int_equal(write(t->light, light_frame, sizeof(light_frame)), sizeof(light_frame));
	if (who == 1)
		t->heavy_before_light = t->seen[0];
	return false;
}

static bool on_oversize(void *arg, struct conn *c, const uint8_t *head, size_t len)
{
	(void)arg, (void)c, (void)head, (void)len;
	return false;
}

static void on_ending(void *arg, struct conn *c, int code, const char *reason)
{
	(void)c, (void)reason;
	((struct test *)arg)->ending_code = code;
}

static void on_closed(void *arg, struct conn *c)
{
	(void)arg, (void)c;
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

static void start(struct test *t)
{
	struct hub_opts o = {
		.threads = 1,
		.ring_bytes = 1 << 20,
		.limits = { .soft_bytes = 65536, .hard_bytes = 131072 },
		.join_timeout_ms = 15000,
		.ping_interval_ms = 30000,
		.insert_cap_bytes = 64 << 20,
		.large_cap_bytes = 256 << 20,
		.pending_cap_bytes = SIZE_MAX,
		.ops = { on_message, on_oversize, on_ending, on_closed, on_flush, on_full, t },
	};
	char *cause = NULL;
	t->hubs = hubs_start(&o, &cause);
	assert_non_null(t->hubs);
}

/* Connected and subscribed. */
static int join(struct test *t, int who)
{
	int sv[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	struct taken taken = { .fd = sv[0], .peer.ss_family = AF_INET };
	assert_int_equal(hubs_adopt(t->hubs, &taken), 0);
	assert_int_equal(write(sv[1], who ? light_frame : heavy_frame, 7), 7);
	while (!atomic_load(&t->seen[who]))
		usleep(1000);
	return sv[1];
}

static void stop(struct test *t)
{
	hubs_stop(t->hubs, 500);
	hubs_free(t->hubs);
	close(t->heavy);
	if (t->light > 0)
		close(t->light);
}

static void send_frames(struct test *t, int n)
{
	static uint8_t bytes[FRAMES * sizeof(heavy_frame)];
	for (int i = 0; i < n; i++)
		memcpy(bytes + (size_t)i * sizeof(heavy_frame), heavy_frame, sizeof(heavy_frame));
	assert_int_equal(write(t->heavy, bytes, (size_t)n * sizeof(heavy_frame)), (size_t)n * sizeof(heavy_frame));
}

static bool comes_to(_Atomic int *what, int n)
{
	for (int ms = 0; ms < 20000 && atomic_load(what) < n; ms++)
		usleep(1000);
	return atomic_load(what) >= n;
}

static void who_sends_much_delays_nobody(void **state)
{
	(void)state;
	static struct test t;
	memset(&t, 0, sizeof(t));
	t.dear_us = DEAR_US;
	start(&t);
	t.heavy = join(&t, 0);
	t.light = join(&t, 1);
	send_frames(&t, FRAMES); /* with the second one comes the light client's */
	assert_true(comes_to(&t.seen[0], FRAMES + 1));
	assert_true(comes_to(&t.seen[1], 2));
	assert_in_range(t.heavy_before_light, 1, 200); /* of 2000: a turn's frames, and a round of those who send much */
	stop(&t);
}

static void what_does_nothing_closes_in_the_end(void **state)
{
	(void)state;
	static struct test t;
	memset(&t, 0, sizeof(t));
	start(&t);
	t.heavy = join(&t, 0);
	send_frames(&t, FRAMES);
	assert_true(comes_to(&t.seen[0], FRAMES + 1)); /* messages that mean something: the room's to count */
	assert_int_equal(t.ending_code, 0);
	t.charge = TOLL_FRAME;
	send_frames(&t, FRAMES);
	assert_true(comes_to(&t.ending_code, WS_CLOSE_POLICY));
	const int seen = t.seen[0] - FRAMES - 1;
	assert_in_range(seen, TOLL_BURST_S * TOLL_FRAMES_S, TOLL_BURST_S * TOLL_FRAMES_S + 100);
	stop(&t);
}

static void empty_fragments_are_paid_for(void **state)
{
	(void)state;
	static struct test t;
	memset(&t, 0, sizeof(t));
	start(&t);
	t.heavy = join(&t, 0);
	static uint8_t bytes[6 * 20000];
	for (size_t i = 0; i < 20000; i++)
		memcpy(bytes + 6 * i, (const uint8_t[]){ i ? 0x00 : 0x01, 0x80, 0, 0, 0, 0 }, 6);
	for (size_t at = 0; at < sizeof(bytes) && !t.ending_code;) {
		struct pollfd p = { t.heavy, POLLOUT, 0 };
		assert_int_equal(poll(&p, 1, 20000), 1);
		ssize_t put = write(t.heavy, bytes + at, sizeof(bytes) - at);
		if (put < 0)
			break;
		at += (size_t)put;
	}
	assert_true(comes_to(&t.ending_code, WS_CLOSE_POLICY));
	stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_sends_much_delays_nobody),
		cmocka_unit_test(what_does_nothing_closes_in_the_end),
		cmocka_unit_test(empty_fragments_are_paid_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
