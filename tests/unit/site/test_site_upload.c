/* test_site_upload.c — POST and GET /upload: whole, resumed, taken over, refused, out of room, and through a restart. */
#include "site_fixture.h"

#include <signal.h>
#include <sys/resource.h>

static void assert_upload(struct fixture *f, const char *query, const char *auth, const void *data, size_t n, int status,
                          const char *expected)
{
	struct answer a = upload(f, query, auth, data, n);
	assert_json(&a, status, expected);
	forget(&a);
}

/* The server learns of a broken connection in its own time. */
static void wait_for_offset(struct fixture *f, const char *key, size_t offset, size_t size)
{
	char target[128], expected[128];
	snprintf(target, sizeof(target), "/upload?key=%s", key);
	snprintf(expected, sizeof(expected), "{\"size\":%zu,\"offset\":%zu}", size, offset);
	for (int i = 0; i < 500; i++) {
		struct answer a = get(f, target, ALICE);
		bool is_there = a.status == 200 && strcmp((char *)a.body, expected) == 0;
		if (!is_there && i == 499)
			fail_msg("%d %s, not %s", a.status, (char *)a.body, expected);
		forget(&a);
		if (is_there)
			return;
		usleep(10000);
	}
}

static void test_upload_whole(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = some_bytes(MAX_FILE_MB * MB + 1, 1);
	char query[64], handle[64], again[64];
	struct answer a = upload(f, "key=k1&size=100000&offset=0", ALICE, data, 100000);
	assert_stored(f, &a, data, 100000, handle);
	/* The answer was lost: asked for, or sent again, it is the same. */
	a = get(f, "/upload?key=k1", ALICE);
	assert_stored(f, &a, data, 100000, again);
	assert_string_equal(handle, again);
	a = upload(f, "key=k1&size=100000&offset=0", ALICE, data, 100000);
	assert_stored(f, &a, data, 100000, again);
	assert_string_equal(handle, again);
	a = upload(f, "key=k1&size=100000&offset=100000", ALICE, data, 0);
	assert_stored(f, &a, data, 100000, again);
	assert_string_equal(handle, again);
	/* Nobody else sees it. */
	a = get(f, "/upload?key=k1", BOB);
	assert_json(&a, 404, "{\"error\":\"not_found\"}");
	forget(&a);
	/* One byte; exactly the limit; no key, hence not to be found again. */
	a = upload(f, "key=one&size=1", ALICE, data, 1);
	assert_stored(f, &a, data, 1, handle);
	snprintf(query, sizeof(query), "size=%d", MAX_FILE_MB * MB);
	a = upload(f, query, ALICE, data, MAX_FILE_MB * MB);
	assert_stored(f, &a, data, MAX_FILE_MB * MB, handle);
	/* A kept connection serves the next request after the body. */
	int fd = connect_to(f);
	static const char two[] = "POST /upload?size=3 HTTP/1.1\r\nHost: x\r\n" ALICE "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";
	char got[64];
	send_bytes(fd, two, sizeof(two) - 1);
	assert_true(recv(fd, got, 25, MSG_WAITALL) == 25 && memcmp(got, "HTTP/1.1 100 Continue\r\n\r\n", 25) == 0);
	send_bytes(fd, "abc", 3);
	assert_true(recv(fd, got, 12, MSG_WAITALL) == 12 && memcmp(got, "HTTP/1.1 200", 12) == 0);
	send_bytes(fd, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 52);
	char rest[4096];
	size_t len = 0;
	for (ssize_t n; (n = recv(fd, rest + len, sizeof(rest) - 1 - len, 0)) > 0; len += (size_t)n)
		;
	rest[len] = '\0';
	assert_non_null(strstr(rest, "}HTTP/1.1 200 OK"));
	assert_string_equal(rest + len - 6, "\r\n\r\nok");
	close(fd);
	free(data);
}

static void test_upload_resume(void **state)
{
	struct fixture *f = *state;
	enum { SIZE = 1500000, FIRST = 400001, SECOND = 700000 };
	uint8_t *data = some_bytes(SIZE, 2);
	char handle[64];
	struct answer a;
	int fd = connect_to(f);

	send_upload_head(fd, "key=r&size=1500000&offset=0", ALICE, SIZE);
	send_bytes(fd, data, FIRST);
	close(fd);
	wait_for_offset(f, "r", FIRST, SIZE);
	/* From elsewhere than where it stopped: no, but from where. */
	assert_upload(f, "key=r&size=1500000&offset=400000", ALICE, data + 400000, SIZE - 400000, 409,
	              "{\"error\":\"conflict\",\"offset\":400001}");
	assert_upload(f, "key=r&size=1500000&offset=400002", ALICE, data + 400002, SIZE - 400002, 409,
	              "{\"error\":\"conflict\",\"offset\":400001}");
	/* Of another size it is another file, of which nothing is there. */
	assert_upload(f, "key=r&size=1500001&offset=400001", ALICE, data, SIZE - 400000, 409, "{\"error\":\"conflict\",\"offset\":0}");
	wait_for_offset(f, "r", FIRST, SIZE);
	/* On, broken again, this time with a server that goes down in the middle. */
	fd = connect_to(f);
	send_upload_head(fd, "key=r&size=1500000&offset=400001", ALICE, SIZE - FIRST);
	send_bytes(fd, data + FIRST, SECOND - FIRST);
	wait_for_offset(f, "r", SECOND, SIZE);
	if (!f->is_memory) {
		stop_server(f);
		start_server(f);
		wait_for_offset(f, "r", SECOND, SIZE);
	}
	close(fd);
	a = upload(f, "key=r&size=1500000&offset=700000", ALICE, data + SECOND, SIZE - SECOND);
	assert_stored(f, &a, data, SIZE, handle);
	free(data);
}

/* Two at once, as when a phone's old connection is not known to be dead yet: the second goes on, the first is told. */
static void test_upload_taken_over(void **state)
{
	struct fixture *f = *state;
	enum { SIZE = 1000000, FIRST = 300000 };
	uint8_t *data = some_bytes(SIZE, 3);
	char handle[64];
	int fd = connect_to(f);
	struct answer a;

	send_upload_head(fd, "key=t&size=1000000&offset=0", ALICE, SIZE);
	send_bytes(fd, data, FIRST);
	wait_for_offset(f, "t", FIRST, SIZE);
	a = upload(f, "key=t&size=1000000&offset=300000", ALICE, data + FIRST, SIZE - FIRST);
	assert_stored(f, &a, data, SIZE, handle);
	send_bytes(fd, "garbage that must not count", 27);
	a = receive(fd);
	assert_json(&a, 409, "{\"error\":\"conflict\",\"offset\":1000000}");
	forget(&a);
	a = get(f, "/upload?key=t", ALICE);
	assert_stored(f, &a, data, SIZE, handle);
	free(data);
}

static void test_upload_refusals(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *query, *auth;
		size_t length;
		int status;
	} rows[] = {
		{ "key=a&size=10", "", 10, 401 },
		{ "key=a&size=10", "Authorization: Bearer wrong\r\n", 10, 401 },
		{ "key=a&size=10", "Authorization: Bearer \r\n", 10, 401 },
		{ "key=a&size=10", "Authorization: Basic alices-token\r\n", 10, 401 },
		{ "key=a&size=10", "Authorization: Bearer alices-token bobs-token\r\n", 10, 401 },
		{ "key=a&size=99999999", "Authorization: Bearer wrong\r\n", 99999999, 401 }, /* the token first */
		{ "key=a&size=0", ALICE, 0, 400 },
		{ "key=a", ALICE, 10, 400 },
		{ "key=a&size=", ALICE, 10, 400 },
		{ "key=a&size=-10", ALICE, 10, 400 },
		{ "key=a&size=%2B10", ALICE, 10, 400 },
		{ "key=a&size=1e1", ALICE, 10, 400 },
		{ "key=a&size=0x0a", ALICE, 10, 400 },
		{ "key=a&size=99999999999999999999999", ALICE, 10, 400 },
		{ "key=a&size=18446744073709551626", ALICE, 10, 400 },
		{ "key=a&size=10&offset=11", ALICE, 0, 400 },
		{ "key=a&size=10&offset=x", ALICE, 10, 400 },
		{ "key=a&size=10&offset=5", ALICE, 10, 400 },
		{ "key=a&size=11", ALICE, 10, 400 },
		{ "key=a&size=9", ALICE, 10, 400 },
		{ "key=&size=10", ALICE, 10, 400 },
		{ "key=..%2Fx&size=10", ALICE, 10, 400 },
		{ "key=a%20b&size=10", ALICE, 10, 400 },
		{ "key=a.b&size=10", ALICE, 10, 400 },
		{ "key=%D1%89&size=10", ALICE, 10, 400 },
		{ "key=0123456789012345678901234567890123456789012345678901234567890123-&size=10", ALICE, 10, 400 },
		{ "key=a&size=2097153", ALICE, 2097153, 413 },
		{ "key=a&size=999999999999999999", ALICE, 999999999999999999, 413 },
		{ "key=a&size=2097153&offset=2097152", ALICE, 1, 413 },
		{ "key=a&size=10&offset=5", ALICE, 5, 409 },
	};
	char target[128], long_auth[600];
	struct answer a;

	/* None of these needs a byte of the body: the answer comes although none is sent. */
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		int fd = connect_to(f);
		send_upload_head(fd, rows[i].query, rows[i].auth, rows[i].length);
		a = receive(fd);
		if (a.status != rows[i].status || *a.body != '{')
			fail_msg("%s %s: %d %s, not %d", rows[i].query, rows[i].auth, a.status, (char *)a.body, rows[i].status);
		assert_header(&a, "WWW-Authenticate", a.status == 401 ? "Bearer" : NULL);
		if (a.status == 413)
			assert_json(&a, 413, "{\"error\":\"too_large\",\"max_file_mb\":2}");
		forget(&a);
	}
	assert_status(f, "POST", "/upload?key=a&size=10", ALICE, 411);
	memset(target, 'k', sizeof(target));
	memcpy(target, "/upload?key=", 12);
	target[12 + 64] = '\0'; /* as long as it may be */
	assert_status(f, "GET", target, ALICE, 404);
	target[12 + 64] = 'k';
	target[12 + 65] = '\0';
	assert_status(f, "GET", target, ALICE, 400);
	assert_status(f, "GET", "/upload", ALICE, 400);
	assert_status(f, "GET", "/upload?key=a", NULL, 401);
	assert_status(f, "GET", "/upload?key=a", "Authorization: Bearer wrong\r\n", 401);
	assert_status(f, "GET", "/upload?key=a", "Authorization: bearer   alices-token\r\n", 404);
	memset(long_auth, 'a', sizeof(long_auth));
	memcpy(long_auth, "Authorization: Bearer ", 22);
	memcpy(long_auth + sizeof(long_auth) - 3, "\r\n", 3);
	assert_status(f, "GET", "/upload?key=a", long_auth, 401);
	assert_int_equal(blobs_bytes(f->site.blobs), 0);
}

static void test_upload_too_many(void **state)
{
	struct fixture *f = *state;
	char query[64], key[16];
	for (int i = 0; i < WC_UPLOADS_OPEN; i++) {
		int fd = connect_to(f);
		snprintf(key, sizeof(key), "m%d", i);
		snprintf(query, sizeof(query), "key=%s&size=10&offset=0", key);
		send_upload_head(fd, query, ALICE, 10);
		send_bytes(fd, "ab", 2);
		close(fd);
		wait_for_offset(f, key, 2, 10);
	}
	assert_upload(f, "key=more&size=10", ALICE, "0123456789", 10, 429, "{\"error\":\"busy\"}");
	struct answer a = upload(f, "key=bobs&size=10", BOB, "0123456789", 10);
	assert_int_equal(a.status, 200);
	forget(&a);
	/* One of them finished makes room. */
	a = upload(f, "key=m3&size=10&offset=2", ALICE, "cdefghij", 8);
	assert_int_equal(a.status, 200);
	forget(&a);
	a = upload(f, "key=more&size=10", ALICE, "0123456789", 10);
	assert_int_equal(a.status, 200);
	forget(&a);
}

/* A full disk, for which a limit on the size of files stands in: refused with what came so far kept, and on it goes when there is room. */
static void test_upload_disk_full(void **state)
{
	struct fixture *f = *state;
	enum { SIZE = 1000000, ROOM = 300000 };
	uint8_t *data = some_bytes(SIZE, 4);
	struct rlimit was, small;
	char handle[64], query[64];
	size_t offset = 0;
	struct answer a;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = was;
	small.rlim_cur = ROOM;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	a = upload(f, "key=full&size=1000000&offset=0", ALICE, data, SIZE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_json(&a, 507,
	            "{\"error\":\"storage\",\"text\":\"The server takes no files now: its disk is full or failing. Tell its admin\"}");
	forget(&a);
	a = get(f, "/upload?key=full", ALICE);
	assert_int_equal(sscanf((char *)a.body, "{\"size\":1000000,\"offset\":%zu}", &offset), 1);
	forget(&a);
	assert_int_equal(offset, ROOM);
	snprintf(query, sizeof(query), "key=full&size=1000000&offset=%zu", offset);
	a = upload(f, query, ALICE, data + offset, SIZE - offset);
	assert_stored(f, &a, data, SIZE, handle);
	free(data);
}

/* Given up: in the middle, whole, and neither; others' stay. */
static void test_upload_given_up(void **state)
{
	struct fixture *f = *state;
	char handle[64];
	uint8_t *data = some_bytes(5000, 3);
	int fd = connect_to(f);
	struct answer a;
	send_upload_head(fd, "key=part&size=5000&offset=0", ALICE, 5000);
	send_bytes(fd, data, 1000);
	wait_for_offset(f, "part", 1000, 5000);
	assert_status(f, "DELETE", "/upload?key=part", NULL, 401);
	assert_status(f, "DELETE", "/upload", ALICE, 400);
	assert_status(f, "DELETE", "/upload?key=part", "Authorization: Bearer bobs-token\r\n", 404);
	assert_status(f, "DELETE", "/upload?key=part", ALICE, 204);
	assert_status(f, "DELETE", "/upload?key=part", ALICE, 404);
	assert_status(f, "GET", "/upload?key=part", ALICE, 404);
	send_bytes(fd, data + 1000, 4000); /* the one that sends it is told */
	a = receive(fd);
	assert_json(&a, 409, "{\"error\":\"conflict\",\"offset\":0}");
	forget(&a);
	a = upload(f, "key=whole&size=5000&offset=0", ALICE, data, 5000);
	assert_stored(f, &a, data, 5000, handle);
	assert_status(f, "DELETE", "/upload?key=whole", ALICE, 204);
	assert_status(f, "GET", "/upload?key=whole", ALICE, 404);
	a = upload(f, "key=whole&size=5000&offset=0", ALICE, data, 5000);
	assert_stored(f, &a, data, 5000, handle);
	/* Sixteen that are given up are no bar to the next. */
	for (int i = 0; i < 40; i++) {
		char query[64], key[32];
		snprintf(key, sizeof(key), "g%d", i);
		snprintf(query, sizeof(query), "key=%s&size=5000&offset=0", key);
		fd = connect_to(f);
		send_upload_head(fd, query, ALICE, 5000);
		send_bytes(fd, data, 10);
		wait_for_offset(f, key, 10, 5000);
		close(fd);
		snprintf(query, sizeof(query), "/upload?key=%s", key);
		assert_status(f, "DELETE", query, ALICE, 204);
	}
	free(data);
}

/* The server stops with uploads in the middle: no crash, no leak (the sanitizers' part), and what came is kept. */
static void test_upload_server_stops(void **state)
{
	struct fixture *f = *state;
	int fds[8];
	for (size_t i = 0; i < WC_LEN(fds); i++) {
		char query[64], key[16];
		snprintf(key, sizeof(key), "s%zu", i);
		snprintf(query, sizeof(query), "key=%s&size=100000&offset=0", key);
		fds[i] = connect_to(f);
		send_upload_head(fds[i], query, ALICE, 100000);
		send_bytes(fds[i], query, i + 1);
		if (i % 2 == 0)
			wait_for_offset(f, key, i + 1, 100000);
	}
	stop_server(f);
	for (size_t i = 0; i < WC_LEN(fds); i++)
		close(fds[i]);
	start_server(f);
	wait_for_offset(f, "s6", 7, 100000);
}

int main(void)
{
	const struct CMUnitTest disk[] = {
		cmocka_unit_test_setup_teardown(test_upload_whole, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_resume, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_taken_over, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_refusals, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_too_many, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_given_up, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_disk_full, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_server_stops, set_up_disk, tear_down),
	};
	const struct CMUnitTest memory[] = {
		cmocka_unit_test_setup_teardown(test_upload_whole, set_up_memory, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_resume, set_up_memory, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_taken_over, set_up_memory, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_given_up, set_up_memory, tear_down),
	};

	wc_thread_is(ROLE_MAIN, "test");
	log_setup(LOG_ERROR, LOG_TEXT);
	return cmocka_run_group_tests(disk, NULL, NULL) + cmocka_run_group_tests(memory, NULL, NULL);
}
