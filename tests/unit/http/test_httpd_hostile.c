/* test_httpd_hostile.c — the HTTP door under peers that mean harm or are merely slow: nobody else notices, deadlines hold, descriptors
 * running out is weathered, everything ends when it is told to. */
#include "door.h"

#define HOST "Host: a\r\n"
#define HEALTH "GET /health HTTP/1.1\r\n" HOST "\r\n"
/* A delay is judged by the same thing's without a load: ten times as long at most. Below 100 ms of calm the machine's other work is what is
 * seen. */
#define PROMPT_US(calm_us) (10 * SLOW * WC_MAX((calm_us), 100000))

static void check_deadlines(void **state)
{
	(void)state;
	open_door((struct httpd_opts){ .listen = "127.0.0.1", .head_ms = 300, .idle_ms = 3000, .transfer_ms = 500 });
	int64_t began = mono_ms();
	int silent = dial();
	int partial = dial();
	int trickle = dial();
	int idle = dial();
	say(partial, "GET /hea");
	say(idle, HEALTH);
	expect(idle, 200, "ok");
	/* A byte now and then is no life line. */
	for (int i = 0; i < 12; i++) {
		say(trickle, "G");
		usleep(50000);
	}
	expect(partial, 408, NULL);
	expect_end(partial);
	expect(trickle, 408, NULL);
	close(trickle);
	/* Nothing said, nothing answered. */
	expect_end(silent);
	say(idle, HEALTH);
	expect(idle, 200, "ok");
	expect_end(idle);
	assert_true(mono_ms() - began >= 3000);

	/* An answer that is not read, a body that stops. */
	int reader = dial_with(4096);
	say(reader, "GET /static HTTP/1.1\r\n" HOST "\r\n");
	int sender = dial();
	say(sender, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc");
	expect(sender, 408, NULL);
	expect_end(sender);
	for (int i = 0; i < 200 && gate_connections(door->gate); i++)
		usleep(10000 * SLOW);
	assert_int_equal(gate_connections(door->gate), 0);
	struct response r = hear(reader, false);
	assert_true(r.body_len < BIG_BYTES);
	response_free(&r);
	close(reader);
	close_door();
}

/* A body that comes, and an answer that is read, but at a pace that only pretends. */
static void check_pace(void **state)
{
	struct response r;
	int64_t began = mono_ms();
	(void)state;
	open_door((struct httpd_opts){ .listen = "127.0.0.1", .transfer_ms = 1000, .rate = 1000 });
	int sender = dial();
	int steady = dial();
	say(sender, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n");
	say(steady, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 30000\r\n\r\n");
	for (int i = 0; i < 30; i++) {
		say_bytes(sender, big + i, 1);
		say_bytes(steady, big + i * 1000, 1000);
		usleep(50000);
	}
	assert_true(mono_ms() - began >= 1000);
	expect(sender, 408, NULL);
	close(sender);
	expect(steady, 200, "30000 right");
	close(steady);
	int reader = dial_with(4096);
	say(reader, "GET /static HTTP/1.1\r\n" HOST "\r\n");
	for (int i = 0; i < 60 && gate_connections(door->gate); i++) {
		ssize_t ignored = recv(reader, r.head, 10, MSG_DONTWAIT);
		(void)ignored;
		usleep(50000 * SLOW);
	}
	assert_int_equal(gate_connections(door->gate), 0);
	close(reader);
	close_door();
}

#define CROWD 300

/* Each kind of peer that could hold a thread, in turn and all at once: another's /health is prompt all the while. */
static void check_nobody_holds_a_worker(void **state)
{
	static const char *const kinds[] = {
		"",                                                                    /* half-open */
		"GET /health HTTP/1.1\r\nHost: a\r\nX: ",                              /* slow header */
		"POST /upload HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\nabc", /* slow body */
		"GET /static HTTP/1.1\r\n" HOST "\r\n",                                /* slow reader, from memory */
		"GET /file HTTP/1.1\r\n" HOST "\r\n",                                  /* and from a file */
		"garbage without end",
	};
	static int fds[WC_LEN(kinds)][CROWD];
	size_t crowd = SLOW > 1 ? CROWD / 10 : CROWD;

	(void)state;
	open_door((struct httpd_opts){ .listen = "127.0.0.1" });
	int64_t calm_us = health_us();

	for (size_t kind = 0; kind < WC_LEN(kinds); kind++) {
		for (size_t i = 0; i < crowd; i++) {
			fds[kind][i] = dial_with(4096);
			say(fds[kind][i], kinds[kind]);
		}
		for (int i = 0; i < 5; i++) {
			int64_t us = health_us();
			if (us > PROMPT_US(calm_us))
				fail_msg("%lld us with kind %zu", (long long)us, kind);
		}
	}
	/* They are all still there, in the state they chose: stopping them is not what made it fast. */
	assert_true(gate_connections(door->gate) >= crowd * WC_LEN(kinds));
	for (size_t kind = 0; kind < WC_LEN(kinds); kind++)
		for (size_t i = 0; i < crowd; i++)
			close(fds[kind][i]);
	for (int i = 0; i < 500 && gate_connections(door->gate); i++)
		usleep(10000);
	assert_int_equal(gate_connections(door->gate), 0);
	close_door();
}

/* Aborts in every state, many times: nothing leaks, nothing crashes. */
static void check_resets(void **state)
{
	static const char *const kinds[] = { "",
		                             "GET /hea",
		                             HEALTH,
		                             "GET /static HTTP/1.1\r\n" HOST "\r\n",
		                             "GET /file HTTP/1.1\r\n" HOST "\r\n",
		                             "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nabc",
		                             "POST /upload?q=later HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
		                             HEALTH HEALTH HEALTH,
		                             "\r\n\n" };
	struct linger abort_it = { .l_onoff = 1 };

	(void)state;
	open_door((struct httpd_opts){ .listen = "127.0.0.1" });
	int64_t calm_us = health_us();

	for (int i = 0; i < 900; i++) {
		int fd = dial();
		say(fd, kinds[(size_t)i % WC_LEN(kinds)]);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof(abort_it));
		if (i % 3)
			usleep((useconds_t)(i % 7) * 100);
		close(fd);
	}
	for (int i = 0; i < 1000 && gate_connections(door->gate); i++)
		usleep(10000);
	assert_int_equal(gate_connections(door->gate), 0);
	assert_true(health_us() < PROMPT_US(calm_us));
	close_door();
}

static int64_t cpu_us(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

/* No descriptor left: first the connections between two requests make room; with none of those, accepting pauses without spinning, and
 * goes on when there is a descriptor again. */
static void check_descriptors_run_out(void **state)
{
	static int fill[4096];
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 20 };
	struct rlimit old, low;
	int kept, early, late, filled = 0;
	int64_t cpu;

	(void)state;
	log_set_level(LOG_ERROR);
	open_door((struct httpd_opts){ .listen = "127.0.0.1" });
	a.sin_port = htons((uint16_t)port);
	kept = dial();
	say(kept, HEALTH);
	expect(kept, 200, "ok");
	early = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(early, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(late, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));

	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = 256;
	setrlimit(RLIMIT_NOFILE, &low);
	while (filled < 4096 && (fill[filled] = dup(late)) >= 0)
		filled++;
	assert_int_equal(errno, EMFILE);

	/* Connected by the kernel, into the backlog. The idle one gives its place. */
	assert_int_equal(connect(early, (struct sockaddr *)&a, sizeof(a)), 0);
	say(early, "GET /hea");
	expect_end(kept);
	/* The end of ours is free, too; a sanitizer's runtime may borrow it for a moment. */
	for (int i = 0; i < 200 && (fill[filled] = dup(late)) < 0; i++)
		usleep(10000);
	assert_true(fill[filled++] >= 0);

	assert_int_equal(connect(late, (struct sockaddr *)&a, sizeof(a)), 0);
	say(late, HEALTH);
	cpu = cpu_us();
	usleep(500000);
	cpu = cpu_us() - cpu;
	if (cpu > 100000)
		fail_msg("%lld us of CPU in half a second of waiting", (long long)cpu);
	/* Who is in already is served; who is not waits. */
	assert_int_equal(recv(late, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
	say(early, "lth HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	expect(early, 200, "ok");

	while (filled > 0)
		close(fill[--filled]);
	expect(late, 200, "ok");
	setrlimit(RLIMIT_NOFILE, &old);
	close(early);
	close(late);
	close_door();
}

static void check_cap(void **state)
{
	(void)state;
	open_door((struct httpd_opts){ .listen = "127.0.0.1", .max_connections = 2 });
	int first = dial();
	int second = dial();
	say(first, HEALTH);
	expect(first, 200, "ok");
	say(second, HEALTH);
	expect(second, 200, "ok");
	int third = dial();
	expect(third, 503, NULL);
	expect_end(third);
	close(second);
	for (int i = 0; i < 500 && gate_connections(door->gate) == 2; i++)
		usleep(10000);
	third = dial();
	say(third, HEALTH);
	expect(third, 200, "ok");
	/* A WebSocket that was handed on is its taker's to count. */
	say(first, "GET /ws HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	struct response r = hear(first, true);
	assert_int_equal(r.status, 101);
	for (int i = 0; i < 500 && gate_connections(door->gate) == 2; i++)
		usleep(10000);
	second = dial();
	say(second, HEALTH);
	expect(second, 200, "ok");
	close(first);
	close(second);
	close(third);
	close_door();
}

static void check_pause_and_stop(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int descriptors = open_descriptors();
	char v[512];
	(void)state;
	open_door((struct httpd_opts){ .listen = "127.0.0.1" });
	int busy = dial_with(4096);
	say(busy, "GET /file HTTP/1.1\r\n" HOST "\r\n");
	int idle = dial();
	say(idle, HEALTH);
	expect(idle, 200, "ok");
	httpd_pause(door);
	a.sin_port = htons((uint16_t)port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
	/* What is under way goes on; what was idle gets one more answer. */
	struct response r = hear(busy, false);
	assert_int_equal(r.body_len, BIG_BYTES - 1000);
	response_free(&r);
	say(idle, HEALTH);
	r = hear(idle, false);
	assert_string_equal(header_of(&r, "Connection", v), "close");
	response_free(&r);
	expect_end(idle);
	close(busy);
	close_door();
	assert_int_equal(open_descriptors(), descriptors);

	/* Stopped in the middle of everything. */
	static const char *const kinds[] = { "",
		                             "GET /hea",
		                             HEALTH,
		                             "GET /static HTTP/1.1\r\n" HOST "\r\n",
		                             "GET /file HTTP/1.1\r\n" HOST "\r\n",
		                             "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nabc",
		                             "garbage \n" };
	int fds[WC_LEN(kinds) * 4];
	open_door((struct httpd_opts){ .listen = "127.0.0.1" });
	int broken = atomic_load(&seen.bodies_broken);
	for (size_t i = 0; i < WC_LEN(fds); i++) {
		fds[i] = dial_with(4096);
		say(fds[i], kinds[i % WC_LEN(kinds)]);
	}
	health_us();
	for (size_t i = 0; i < WC_LEN(fds) / 2; i++)
		say(fds[i], HEALTH);
	close_door();
	assert_int_equal(atomic_load(&seen.bodies_broken), broken + 4);
	for (size_t i = 0; i < WC_LEN(fds); i++)
		close(fds[i]);
	assert_int_equal(open_descriptors(), descriptors);
}

/* A request that another thread still holds when the door is closed: it may answer, into the void. */
static struct http_req *parked;

static void route_park(void *arg, struct http_req *r)
{
	(void)arg;
	pthread_mutex_lock(&seen.lock);
	parked = r;
	pthread_cond_broadcast(&seen.changed);
	pthread_mutex_unlock(&seen.lock);
}

static void check_answer_after_stop(void **state)
{
	static const struct http_route only[] = { { "GET", "/park", route_park }, { 0 } };
	struct httpd_opts opts = { .listen = "127.0.0.1", .routes = only };
	char *cause = NULL;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(httpd_start(&door, &opts, &cause), 0);
		port = httpd_port(door);
		int fd = dial();
		say(fd, "GET /park HTTP/1.1\r\n" HOST "\r\n");
		pthread_mutex_lock(&seen.lock);
		while (!parked)
			pthread_cond_wait(&seen.changed, &seen.lock);
		pthread_mutex_unlock(&seen.lock);
		close_door();
		if (i == 0)
			http_text(parked, 200, "late");
		else
			http_reply(parked, &(struct http_reply){ .status = 200, .body_fd = file_with_pattern(100000), .fd_len = 100000 });
		parked = NULL;
		if (i == 0)
			expect(fd, 200, "late");
		close(fd);
	}
}

/* The one worker is busy when the stop comes, and then takes from its queue what it no longer looks at. */
static void route_block(void *arg, struct http_req *r)
{
	(void)arg;
	pthread_mutex_lock(&seen.lock);
	parked = r;
	pthread_cond_broadcast(&seen.changed);
	while (parked)
		pthread_cond_wait(&seen.changed, &seen.lock);
	pthread_mutex_unlock(&seen.lock);
	http_text(r, 200, "unblocked");
}

static void *unblock_soon(void *arg)
{
	usleep(200000); /* the stop is under way */
	pthread_mutex_lock(&seen.lock);
	parked = NULL;
	pthread_cond_broadcast(&seen.changed);
	pthread_mutex_unlock(&seen.lock);
	return arg;
}

static void check_stop_while_requests_wait(void **state)
{
	static const struct http_route only[] = { { "GET", "/block", route_block }, { 0 } };
	struct httpd_opts opts = { .listen = "127.0.0.1", .routes = only, .workers = 1 };
	int descriptors = open_descriptors(), fds[3];
	char *cause = NULL;
	pthread_t thread;

	(void)state;
	assert_int_equal(httpd_start(&door, &opts, &cause), 0);
	port = httpd_port(door);
	for (size_t i = 0; i < WC_LEN(fds); i++) {
		fds[i] = dial();
		say(fds[i], "GET /block HTTP/1.1\r\n" HOST "\r\n");
		pthread_mutex_lock(&seen.lock);
		while (!parked)
			pthread_cond_wait(&seen.changed, &seen.lock);
		pthread_mutex_unlock(&seen.lock);
	}
	/* The later ones are in the queue once the gate has refused a request that came after them. */
	int last = dial();
	say(last, "garbage\r\n\r\n");
	expect(last, 400, NULL);
	close(last);
	assert_int_equal(pthread_create(&thread, NULL, unblock_soon, NULL), 0);
	close_door(); /* asserts that no connection is left */
	pthread_join(thread, NULL);
	expect(fds[0], 200, "unblocked");
	for (size_t i = 1; i < WC_LEN(fds); i++)
		expect(fds[i], 503, NULL);
	for (size_t i = 0; i < WC_LEN(fds); i++)
		close(fds[i]);
	assert_int_equal(open_descriptors(), descriptors);
}

static int dial_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(a.sun_path, path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Two doors at once, one of them a unix socket as the admin's will be. */
static void check_unix_door(void **state)
{
	char dir[] = "/tmp/wavechat-door-XXXXXX", path[64], text[32], *cause = NULL;
	struct httpd *second, *third;
	struct httpd_opts opts = { .routes = routes, .unix_path = path };
	struct stat st;
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/admin.sock", dir);
	open_door((struct httpd_opts){ .listen = "127.0.0.1" });
	assert_int_equal(httpd_start(&second, &opts, &cause), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	int fd = dial_unix(path);
	say(fd, "GET /uid HTTP/1.1\r\n" HOST "\r\n");
	snprintf(text, sizeof(text), "%u", (unsigned)getuid());
	expect(fd, 200, text);
	say(fd, "GET /ws HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	expect(fd, 404, NULL); /* this door has none */
	health_us();           /* the other door answers all the while */

	/* One that is alive is respected; what a crash left is replaced; what is no socket is left alone. */
	assert_int_not_equal(httpd_start(&third, &opts, &cause), 0);
	assert_non_null(strstr(cause, "answers there"));
	close(fd);
	httpd_stop(second);
	assert_int_equal(access(path, F_OK), -1);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	assert_int_equal(httpd_start(&second, &opts, &cause), 0);
	fd = dial_unix(path);
	say(fd, HEALTH);
	expect(fd, 200, "ok");
	close(fd);
	httpd_stop(second);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_not_equal(httpd_start(&second, &opts, &cause), 0);
	assert_non_null(strstr(cause, "not a socket"));
	free(cause);
	unlink(path);
	rmdir(dir);
	close_door();
}

static void check_causes(void **state)
{
	struct httpd_opts opts = { .listen = "127.0.0.1", .routes = routes };
	struct httpd *other;
	char *cause = NULL;
	(void)state;
	open_door((struct httpd_opts){ .listen = "127.0.0.1" });
	opts.port = port;
	assert_int_not_equal(httpd_start(&other, &opts, &cause), 0);
	assert_non_null(strstr(cause, "--port"));
	opts.port = 0;
	opts.listen = "203.0.113.1";
	assert_int_not_equal(httpd_start(&other, &opts, &cause), 0);
	assert_non_null(strstr(cause, "--listen"));
	opts.listen = "localhost";
	assert_int_not_equal(httpd_start(&other, &opts, &cause), 0);
	assert_non_null(strstr(cause, "numeric"));
	opts.listen = "::1";
	if (httpd_start(&other, &opts, &cause) == 0)
		httpd_stop(other);
	free(cause);
	close_door();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_causes),
		cmocka_unit_test(check_deadlines),
		cmocka_unit_test(check_pace),
		cmocka_unit_test(check_nobody_holds_a_worker),
		cmocka_unit_test(check_resets),
		cmocka_unit_test(check_cap),
		cmocka_unit_test(check_descriptors_run_out),
		cmocka_unit_test(check_pause_and_stop),
		cmocka_unit_test(check_answer_after_stop),
		cmocka_unit_test(check_stop_while_requests_wait),
		cmocka_unit_test(check_unix_door),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
