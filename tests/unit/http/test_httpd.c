/* test_httpd.c — the HTTP door over real sockets: routes, replies, keep-alive, bodies, WebSocket handshakes. */
#include "door.h"

#define HOST "Host: a\r\n"

static int setup(void **state)
{
	(void)state;
	open_door((struct httpd_opts){ .listen = NULL });
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_door();
	return 0;
}

static void check_security_headers(const struct response *r)
{
	char v[512];
	assert_string_equal(header_of(r, "X-Content-Type-Options", v), "nosniff");
	assert_string_equal(header_of(r, "Referrer-Policy", v), "no-referrer");
	assert_string_equal(header_of(r, "Cross-Origin-Resource-Policy", v), "same-origin");
	assert_non_null(strstr(header_of(r, "Permissions-Policy", v), "microphone=(self)"));
	assert_non_null(header_of(r, "Content-Security-Policy", v));
	assert_non_null(header_of(r, "Date", v));
	assert_null(header_of(r, "Server", v));
}

/* Where a browser trusts the origin and only there: elsewhere it complains of the header. */
static void check_opener_policy(void **state)
{
	static const struct {
		const char *host;
		bool has_it;
	} rows[] = { { "localhost", true },      { "LocalHost:8080", true }, { "chat.localhost", true },
		     { "127.0.0.1:8080", true }, { "[::1]:8080", true },     { "a", false },
		     { "notlocalhost", false },  { "10.0.0.1", false } };
	int fd = dial();

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		char text[128], v[512];
		snprintf(text, sizeof(text), "GET /nowhere HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i].host);
		say(fd, text);
		struct response r = hear(fd, false);
		if ((header_of(&r, "Cross-Origin-Opener-Policy", v) != NULL) != rows[i].has_it)
			fail_msg("%s: %s", rows[i].host, r.head);
		response_free(&r);
	}
	close(fd);
}

/* Routes and what they are told, all on one connection. */
static void check_routes(void **state)
{
	static const struct {
		const char *request; /* up to the version */
		int status;
		const char *body;
	} rows[] = {
		{ "GET /health", 200, "ok" },
		{ "GET /health?x=1", 200, "ok" },
		{ "GET /nowhere", 404, "Not Found" },
		{ "GET /", 404, "Not Found" },
		{ "GET /healthy", 404, "Not Found" },
		{ "GET /health/", 404, "Not Found" },
		{ "GET /f", 404, "Not Found" },
		{ "GET /f/secret/na%20me", 200, "GET /f/secret/na me q=(none) x=(none) ipv4" },
		{ "GET /f/%D0%BC", 200, "GET /f/\xd0\xbc q=(none) x=(none) ipv4" },
		{ "GET /f/../health", 200, "ok" },
		{ "GET /f/%2e%2e/health", 200, "ok" },
		{ "GET /echo?a=b&q=1+2%2B%D0%BC&q=3", 200, "GET /echo q=1 2+\xd0\xbc x=(none) ipv4" },
		{ "GET /echo?q", 200, "GET /echo q= x=(none) ipv4" },
		{ "GET /echo?qq=1&=2&q==3", 200, "GET /echo q==3 x=(none) ipv4" },
		{ "GET /echo?q=this-value-is-too-long-for-its-room-of-32", 200, "GET /echo q=(none) x=(none) ipv4" },
		{ "DELETE /echo", 200, "DELETE /echo q=(none) x=(none) ipv4" },
		{ "PUT /echo", 405, "Method Not Allowed" },
		{ "OPTIONS /health", 405, "Method Not Allowed" },
		{ "GET /dots/..%5c..%5chealth", 200, "ok" }, /* a backslash is a slash to civetweb; there are no files to reach */
	};
	int fd = dial();
	char text[512], v[512];

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		snprintf(text, sizeof(text), "%s HTTP/1.1\r\n" HOST "\r\n", rows[i].request);
		say(fd, text);
		struct response r = hear(fd, false);
		if (r.status != rows[i].status || strcmp((char *)r.body, rows[i].body) != 0)
			fail_msg("%s: %d %s", rows[i].request, r.status, r.body);
		check_security_headers(&r);
		assert_null(header_of(&r, "Connection", v));
		if (r.status == 405)
			assert_string_equal(header_of(&r, "Allow", v),
			                    strstr(rows[i].request, "echo") ? "DELETE, GET, HEAD, POST" : "GET, HEAD");
		response_free(&r);
	}
	say(fd, "GET /echo HTTP/1.1\r\nHOST:a\r\nx-TEST:\t a\tb \t\r\n\r\n");
	struct response r = hear(fd, false);
	assert_string_equal((char *)r.body, "GET /echo q=(none) x=a b ipv4");
	response_free(&r);
	close(fd);
}

static void check_reply_shapes(void **state)
{
	int fd = dial();
	char v[512];
	(void)state;
	say(fd, "HEAD /static HTTP/1.1\r\n" HOST "\r\nHEAD /file HTTP/1.1\r\n" HOST "\r\n");
	struct response r = hear(fd, true);
	assert_int_equal(r.status, 200);
	assert_int_equal(atoi(header_of(&r, "Content-Length", v)), BIG_BYTES);
	r = hear(fd, true);
	assert_int_equal(r.status, 206);
	assert_int_equal(atoi(header_of(&r, "Content-Length", v)), BIG_BYTES - 1000);

	say(fd, "GET /own-policy HTTP/1.1\r\n" HOST "\r\n");
	r = hear(fd, false);
	check_security_headers(&r);
	assert_string_equal(header_of(&r, "Content-Security-Policy", v), "default-src 'self'");
	assert_string_equal(header_of(&r, "Content-Type", v), "text/html");
	assert_string_equal(header_of(&r, "ETag", v), "\"a\"");
	response_free(&r);

	say(fd, "GET /304 HTTP/1.1\r\n" HOST "\r\nGET /nowhere HTTP/1.1\r\n" HOST "\r\n");
	r = hear(fd, false);
	assert_int_equal(r.status, 304);
	assert_null(header_of(&r, "Content-Length", v));
	r = hear(fd, false);
	assert_int_equal(r.status, 404);
	assert_string_equal(header_of(&r, "Cache-Control", v), "no-store");
	response_free(&r);
	close(fd);
}

static void check_keep_alive(void **state)
{
	static const char one[] = "GET /health HTTP/1.1\r\n" HOST "\r\n";
	char many[sizeof(one) * 50] = "", v[512];
	int fd = dial();
	struct response r;

	(void)state;
	for (int i = 0; i < 200; i++) {
		say(fd, one);
		expect(fd, 200, "ok");
	}
	/* Pipelined, in one packet and over several, with the empty lines some clients put between. */
	for (int i = 0; i < 50; i++)
		strcat(many, one);
	say(fd, many);
	for (int i = 0; i < 50; i++)
		expect(fd, 200, "ok");
	for (const char *p = "\r\nGET /health HTTP/1.1\r\n" HOST "\r\nGET /f/x HTTP/1.1\r\n" HOST "\r\n"; *p; p++)
		say_bytes(fd, p, 1);
	expect(fd, 200, "ok");
	expect(fd, 200, "GET /f/x q=(none) x=(none) ipv4");
	/* A body that nobody asked for but that is all in hand is skipped. */
	say(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
	expect(fd, 200, "POST /echo q=(none) x=(none) ipv4");
	say(fd, "GET /health HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	r = hear(fd, false);
	assert_string_equal(header_of(&r, "Connection", v), "close");
	response_free(&r);
	expect_end(fd);

	fd = dial();
	say(fd, "GET /health HTTP/1.0\r\n\r\n");
	expect(fd, 200, "ok");
	expect_end(fd);
	fd = dial();
	say(fd, "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	r = hear(fd, false);
	assert_string_equal(header_of(&r, "Connection", v), "keep-alive");
	response_free(&r);
	say(fd, one);
	expect(fd, 200, "ok");
	/* Half-closed: the answer still comes. */
	say(fd, one);
	shutdown(fd, SHUT_WR);
	expect(fd, 200, "ok");
	expect_end(fd);
}

static void check_pattern(const struct response *r, size_t from)
{
	assert_int_equal(r->body_len, BIG_BYTES - from);
	assert_memory_equal(r->body, big + from, r->body_len);
}

/* Larger than any socket buffer, to a peer that takes its time, and the connection is as good as before. */
static void check_large_replies(void **state)
{
	static const struct {
		const char *path;
		size_t from;
	} rows[] = { { "/static", 0 }, { "/dynamic", 0 }, { "/file", 1000 } };
	int fd = dial_with(8192);
	char text[128];

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\nGET /health HTTP/1.1\r\n" HOST "\r\n", rows[i].path);
		say(fd, text);
		usleep(50000);
		struct response r = hear(fd, false);
		check_pattern(&r, rows[i].from);
		response_free(&r);
		expect(fd, 200, "ok");
	}
	close(fd);

	fd = dial();
	say(fd, "GET /file?q=cut HTTP/1.1\r\n" HOST "\r\n");
	struct response r = hear(fd, false);
	assert_int_equal(r.body_len, BIG_BYTES / 2 - 1000);
	assert_memory_equal(r.body, big + 1000, r.body_len);
	response_free(&r);
	close(fd);
}

static void check_bodies(void **state)
{
	int fd = dial();
	char text[256];
	(void)state;
	/* With the header, after it, nothing at all, and the next request right behind. */
	say(fd, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
	expect(fd, 200, "0 right");
	for (int early = 0; early <= 100; early += 50) {
		struct iovec iov[3] = { { text, (size_t)sprintf(text, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\n") },
			                { big, (size_t)early } };

		assert_true(writev(fd, iov, 2) > 0);
		usleep(20000);
		say_bytes(fd, big + early, 100 - (size_t)early);
		say(fd, "GET /health HTTP/1.1\r\n" HOST "\r\n");
		expect(fd, 200, "100 right");
		expect(fd, 200, "ok");
	}
	for (int late = 0; late < 2; late++) {
		sprintf(text, "POST /upload%s HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", late ? "?q=later" : "", 8 << 20);
		say(fd, text);
		say_bytes(fd, big, 8 << 20);
		sprintf(text, "%d right", 8 << 20);
		expect(fd, 200, text);
	}
	say(fd, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	expect(fd, 100, NULL);
	say_bytes(fd, big, 3);
	expect(fd, 200, "3 right");
	say(fd, "POST /upload HTTP/1.1\r\n" HOST "\r\n");
	expect(fd, 411, "how long?");
	close(fd);
}

/* A peer that is still sending when it is refused sees the answer, not a reset. */
static void check_refused_bodies(void **state)
{
	static const char *const rows[] = {
		"POST /upload HTTP/1.1\r\n" HOST "Content-Length: 200000000\r\n\r\n",
		"POST /upload HTTP/1.1\r\n" HOST "Content-Length: 100000000\r\n\r\n", /* by write, after 8 MB */
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		int fd = dial();
		say(fd, rows[i]);
		say_bytes(fd, big, BIG_BYTES);
		struct response r = hear(fd, false);
		assert_int_equal(r.status, 413);
		assert_string_equal(header_of(&r, "Connection", (char[512]){ 0 }), "close");
		response_free(&r);
		expect_end(fd);
	}
	int fd = dial();
	say(fd, "POST /nowhere HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 100; i++)
		say(fd, "5\r\nhello\r\n");
	expect(fd, 411, NULL);
	expect_end(fd);

	/* Broken off in the middle: the route's owner is told. */
	int before = atomic_load(&seen.bodies_broken);
	fd = dial();
	sprintf(text, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", 1000);
	say(fd, text);
	say_bytes(fd, big, 500);
	usleep(20000);
	close(fd);
	for (int i = 0; i < 500 && atomic_load(&seen.bodies_broken) == before; i++)
		usleep(10000);
	assert_int_equal(atomic_load(&seen.bodies_broken), before + 1);
}

#define KEY "Sec-WebSocket-Key:\tdGhlIHNhbXBsZSBub25jZQ== \t\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define UP "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"

static struct taken await_websocket(int number)
{
	pthread_mutex_lock(&seen.lock);
	while (seen.sockets < number)
		pthread_cond_wait(&seen.changed, &seen.lock);
	struct taken t = seen.last;
	pthread_mutex_unlock(&seen.lock);
	return t;
}

static void check_websocket(void **state)
{
	static const char hello[] = "GET /ws?x=1 HTTP/1.1\r\n" HOST UP KEY V13 "Sec-WebSocket-Protocol: chat, other \r\n"
				    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\nearly bytes";
	int fd = dial(), on = 0;
	socklen_t len = sizeof(on);
	char v[512], text[16] = "";
	struct response r;
	struct taken t;

	(void)state;
	/* Also on a connection that was used before. */
	say(fd, "GET /health HTTP/1.1\r\n" HOST "\r\n");
	expect(fd, 200, "ok");
	say(fd, hello);
	r = hear(fd, true);
	assert_int_equal(r.status, 101);
	assert_string_equal(header_of(&r, "Sec-WebSocket-Accept", v), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_string_equal(header_of(&r, "Upgrade", v), "websocket");
	assert_string_equal(header_of(&r, "Connection", v), "Upgrade");
	assert_null(header_of(&r, "Sec-WebSocket-Extensions", v));
	assert_null(header_of(&r, "Sec-WebSocket-Protocol", v));

	t = await_websocket(1);
	assert_int_equal(t.early_len, 11);
	assert_memory_equal(t.early, "early bytes", 11);
	assert_int_equal(t.peer.ss_family, AF_INET);
	assert_int_equal(((struct sockaddr_in *)&t.peer)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_null(t.tls);
	assert_true(fcntl(t.fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(getsockopt(t.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_true(on);
	/* The socket is wholly the taker's, both ways, and no longer counted at the door. */
	say(fd, "more");
	usleep(20000);
	assert_int_equal(recv(t.fd, text, sizeof(text), 0), 4);
	assert_int_equal(send(t.fd, "back", 4, 0), 4);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 4);
	assert_string_equal(text, "back");
	for (int i = 0; i < 500 && gate_connections(door->gate); i++)
		usleep(1000);
	assert_int_equal(gate_connections(door->gate), 0);
	close(fd);

	/* A whole crowd, the bytes of each in pieces. */
	for (int i = 0; i < 50; i++) {
		fd = dial();
		say_bytes(fd, hello, 40);
		say(fd, hello + 40);
		r = hear(fd, true);
		assert_int_equal(r.status, 101);
		await_websocket(2 + i);
		close(fd);
	}
}

static void check_bad_handshakes(void **state)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{ "GET /ws HTTP/1.1\r\n" HOST "\r\n", 426 },
		{ "GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n" KEY V13 "\r\n", 426 },
		{ "GET /ws HTTP/1.1\r\n" HOST UP KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426 },
		{ "GET /ws HTTP/1.1\r\n" HOST UP V13 "\r\n", 400 },
		{ "GET /ws HTTP/1.1\r\n" HOST UP V13 "Sec-WebSocket-Key: c2hvcnQ=\r\n\r\n", 400 },
		{ "GET /ws HTTP/1.1\r\n" HOST UP V13 "Sec-WebSocket-Key1: a\r\nSec-WebSocket-Key2: b\r\n\r\n12345678", 400 },
		{ "POST /ws HTTP/1.1\r\n" HOST UP KEY V13 "\r\n", 405 },
		{ "HEAD /ws HTTP/1.1\r\n" HOST UP KEY V13 "\r\n", 405 },
		{ "GET /ws HTTP/1.0\r\n" HOST UP KEY V13 "\r\n", 400 },
		{ "GET /health HTTP/1.1\r\n" HOST UP KEY V13 "\r\n", 200 },
		{ "GET /nowhere HTTP/1.1\r\n" HOST UP KEY V13 "\r\n", 404 },
		{ "GET /ws/ HTTP/1.1\r\n" HOST UP KEY V13 "\r\n", 404 },
		{ "GET /health HTTP/1.1\r\n" HOST "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n\r\n",
		  200 },
	};
	int before = seen.sockets;

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		int fd = dial();
		char v[512];
		say(fd, rows[i].text);
		struct response r = hear(fd, strncmp(rows[i].text, "HEAD", 4) == 0);
		if (r.status != rows[i].status)
			fail_msg("%d for %s", r.status, rows[i].text);
		if (r.status == 426)
			assert_string_equal(header_of(&r, "Sec-WebSocket-Version", v), "13");
		if (r.status == 405)
			assert_string_equal(header_of(&r, "Allow", v), "GET");
		check_security_headers(&r);
		response_free(&r);
		if (rows[i].status == 400 || rows[i].status == 405 || rows[i].status == 426)
			expect_end(fd);
		else
			close(fd);
	}
	assert_int_equal(seen.sockets, before);
}

static void check_refusals(void **state)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{ "hello\r\n", 400 },
		{ "\x16\x03\x01\x02\x05\x01", 400 },
		{ "GET http://b/ HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET /health HTTP/1.1\r\nHost : a\r\n\r\n", 400 },
		{ "GET /health HTTP/1.1\n" HOST "\n", 400 },
		{ "GET /health HTTP/1.1\r\n\r\n", 400 },
		{ "GET /health HTTP/1.1\r\nHost: [::1\r\n\r\n", 400 },
		{ "GET /f/%ff HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET /health%00.txt HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 3x\r\n\r\nabc", 400 },
		{ "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400 },
		{ "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400 },
		{ "POST /upload HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 411 },
		{ "GET /health HTTP/2.0\r\n" HOST "\r\n", 505 },
		{ "BREW / HTTP/1.1\r\n" HOST "\r\n", 501 },
		{ "GET /health HTTP/1.1\r\n" HOST "Expect: a\r\n\r\n", 417 },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		int fd = dial();
		say(fd, rows[i].text);
		struct response r = hear(fd, false);
		if (r.status != rows[i].status)
			fail_msg("%d instead of %d for %s", r.status, rows[i].status, rows[i].text);
		check_security_headers(&r);
		response_free(&r);
		expect_end(fd);
	}
	/* The refusal of what follows a HEAD has its body: it answers something else. */
	int fd = dial();
	say(fd, "HEAD /health HTTP/1.1\r\n" HOST "\r\n");
	struct response r = hear(fd, true);
	assert_int_equal(r.status, 200);
	say(fd, "garbage\r\n");
	expect(fd, 400, "Bad Request");
	expect_end(fd);

	fd = dial();
	char *large = malloc(100001);
	memset(large, 'x', 100000);
	large[100000] = '\0';
	say(fd, "GET /health HTTP/1.1\r\n" HOST "X: ");
	say(fd, large);
	free(large);
	expect(fd, 431, NULL);
	expect_end(fd);
}

/* One that has ended its sending is not given up at once, nor if it sent a body; one that is idle is never. */
static void clients_that_left(void **state)
{
	static const struct {
		const char *method;
		bool is_gone;
	} rows[] = { { "GET", true }, { "HEAD", true }, { "DELETE", true }, { "POST", false } };
	char text[128];

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		int fd = dial();
		held = NULL;
		snprintf(text, sizeof(text), "%s /hold HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", rows[i].method);
		say(fd, text);
		while (!held)
			usleep(1000);
		held->came_ms -= 2000;
		assert_false(http_is_gone(held));
		held->came_ms = INT64_MAX; /* it has not waited yet */
		shutdown(fd, SHUT_WR);     /* over loopback it is there when the call returns */
		assert_false(http_is_gone(held));
		held->came_ms = 0;
		assert_int_equal(http_is_gone(held), rows[i].is_gone);
		http_text(held, 200, "ok");
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_opener_policy),  cmocka_unit_test(check_routes),        cmocka_unit_test(check_reply_shapes),
		cmocka_unit_test(check_keep_alive),     cmocka_unit_test(check_large_replies), cmocka_unit_test(check_bodies),
		cmocka_unit_test(check_refused_bodies), cmocka_unit_test(check_websocket),     cmocka_unit_test(check_bad_handshakes),
		cmocka_unit_test(check_refusals),       cmocka_unit_test(clients_that_left),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
