/* site_fixture.h — what the tests of the public routes share: a real door with a real store and real blobs in a folder of its own, and a
 * client that sends exactly the bytes a test means. */
#ifndef SITE_FIXTURE_H
#define SITE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "base/logmsg.h"
#include "files/blob.h"
#include "files/leave.h"
#include "site/impl.h"
#include "site/site.h"
#include "store/store.h"

#define KB 1024
#define MB (1024 * 1024)
#define MAX_FILE_MB 2

struct fixture {
	char dir[64];
	bool is_memory;
	struct store *store;
	struct site site;
	struct httpd *httpd;
	uint64_t last_id;
	char url[128]; /* of the file added last */
};

/* The room's part: two people, each with a token. */
static inline void give_leave(void *room, struct leave *l)
{
	static const char *const tokens[] = { "alices-token", "bobs-token" };
	uint8_t hash[WC_SHA_BYTES];
	(void)room;
	l->verdict = LEAVE_NOBODY;
	for (size_t i = 0; i < WC_LEN(tokens); i++) {
		assert_int_equal(EVP_Digest(tokens[i], strlen(tokens[i]), hash, NULL, EVP_sha256(), NULL), 1);
		if (memcmp(hash, l->token, sizeof(hash)) == 0) {
			l->verdict = LEAVE_GIVEN;
			l->identity_id = 7 + i;
		}
	}
	l->done(l);
}

static inline void take_back(void *room, const struct leave *l, uint64_t bytes)
{
	(void)room;
	assert_true(bytes <= l->bytes);
}

static inline void start_server(struct fixture *f)
{
	char *cause = NULL;
	const char *dir = f->is_memory ? NULL : f->dir;
	if (store_open(&f->store, dir, DURABILITY_NORMAL, &cause) || blobs_open(&f->site.blobs, dir, 0, &cause) ||
	    !(f->site.helpers = helpers_start(&(struct helpers_opts){ 2, f->store, store_reader_open, store_reader_close }, &cause)) ||
	    httpd_start(&f->httpd, &(struct httpd_opts){ .listen = "127.0.0.1", .routes = site_routes(), .arg = &f->site }, &cause))
		fail_msg("%s", cause);
}

static inline void stop_server(struct fixture *f)
{
	httpd_stop(f->httpd);
	helpers_stop(f->site.helpers, 60000);
	blobs_close(f->site.blobs);
	store_close(f->store);
}

static inline void sha256(const void *data, size_t n, uint8_t out[WC_SHA_BYTES])
{
	assert_int_equal(EVP_Digest(data, n, out, NULL, EVP_sha256(), NULL), 1);
}

static inline void add_identity(struct fixture *f, uint64_t id, const char *name, const char *token)
{
	struct str s = { name, strlen(name) };
	uint8_t hash[WC_SHA_BYTES];
	sha256(token, strlen(token), hash);
	assert_int_equal(store_put_identity(f->store, &(struct identity){ .id = id, .name = s, .key = s, .created_ms = 1, .seen_ms = 1 }),
	                 0);
	assert_int_equal(store_put_token(f->store, id, hash, 1), 0);
}

static inline int set_up(void **state, bool is_memory)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	strcpy(f->dir, "/tmp/wavechat-site-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->is_memory = is_memory;
	f->site.max_file_mb = MAX_FILE_MB;
	f->site.ask_leave = give_leave;
	f->site.give_back = take_back;
	start_server(f);
	assert_int_equal(store_begin(f->store), 0);
	add_identity(f, 7, "Alice", "alices-token");
	add_identity(f, 8, "Bob", "bobs-token");
	assert_int_equal(store_commit(f->store), 0);
	*state = f;
	return 0;
}

static inline int set_up_disk(void **state)
{
	return set_up(state, false);
}

static inline int set_up_memory(void **state)
{
	return set_up(state, true);
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];
	stop_server(f);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* --- A client. */

struct answer {
	int status;
	char *head; /* terminated */
	uint8_t *body;
	size_t body_len;
	char *all;
};

static inline void forget(struct answer *a)
{
	free(a->all);
	memset(a, 0, sizeof(*a));
}

static inline int connect_to(struct fixture *f)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)httpd_port(f->httpd)),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* As much as the server takes: one that has refused reads no more. */
static inline void send_bytes(int fd, const void *data, size_t n)
{
	const char *p = data;
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return;
		p += sent;
		n -= (size_t)sent;
	}
}

/* Everything until the server closes. */
static inline struct answer receive(int fd)
{
	struct answer a = { 0 };
	size_t len = 0, room = 64 * KB;
	ssize_t n;
	char *end = NULL;
	a.all = malloc(room + 1);
	assert_non_null(a.all);
	while ((n = recv(fd, a.all + len, room - len, 0)) > 0) {
		len += (size_t)n;
		if (len == room)
			assert_non_null(a.all = realloc(a.all, (room *= 2) + 1));
	}
	if (n < 0)
		fail_msg("no answer: %s", strerror(errno));
	close(fd);
	a.all[len] = '\0';
	if (sscanf(a.all, "HTTP/1.1 %d ", &a.status) != 1 || !(end = strstr(a.all, "\r\n\r\n")))
		fail_msg("no answer but \"%.100s\"", a.all);
	end[2] = '\0';
	a.head = a.all;
	a.body = (uint8_t *)end + 4;
	a.body_len = len - (size_t)((char *)a.body - a.all);
	return a;
}

/* A header's value, or NULL; valid until the next call. */
static inline const char *header(const struct answer *a, const char *name)
{
	static char value[4096];
	size_t n = strlen(name);

	for (const char *p = strstr(a->head, "\r\n"); p && p[2]; p = strstr(p + 2, "\r\n"))
		if (strncasecmp(p + 2, name, n) == 0 && p[2 + n] == ':') {
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(p + 4 + n, "\r"), p + 4 + n);
			return value;
		}
	return NULL;
}

static inline void assert_header(const struct answer *a, const char *name, const char *expected)
{
	const char *value = header(a, name);
	if (!expected ? value != NULL : !value || strcmp(value, expected) != 0)
		fail_msg("%s is \"%s\", not \"%s\"; the whole head:\n%s", name, value ? value : "(absent)",
		         expected ? expected : "(absent)", a->head);
}

static inline void assert_body(const struct answer *a, const void *data, size_t n)
{
	assert_int_equal(a->body_len, n);
	assert_true(memcmp(a->body, data, n) == 0); /* assert_memory_equal would print it all */
}

/* One request without a body; headers: whole lines. */
static inline struct answer ask(struct fixture *f, const char *method, const char *target, const char *headers)
{
	char head[8192];
	int fd = connect_to(f);
	int n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, target,
	                 headers ? headers : "");
	assert_true(n > 0 && (size_t)n < sizeof(head));
	send_bytes(fd, head, (size_t)n);
	return receive(fd);
}

static inline struct answer get(struct fixture *f, const char *target, const char *headers)
{
	return ask(f, "GET", target, headers);
}

static inline void assert_status(struct fixture *f, const char *method, const char *target, const char *headers, int status)
{
	struct answer a = ask(f, method, target, headers);
	if (a.status != status)
		fail_msg("%s %s: %d, not %d\n%s%.200s", method, target, a.status, status, a.head, (char *)a.body);
	forget(&a);
}

static inline uint8_t *some_bytes(size_t n, uint32_t seed)
{
	uint8_t *p = malloc(n + 1);
	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
	return p;
}

/* --- Uploads, as a page does them. */

#define ALICE "Authorization: Bearer alices-token\r\n"
#define BOB "Authorization: Bearer bobs-token\r\n"

static inline void send_upload_head(int fd, const char *query, const char *auth, size_t length)
{
	char head[8192];
	int n = snprintf(head, sizeof(head), "POST /upload?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n",
	                 query, auth, length);

	assert_true(n > 0 && (size_t)n < sizeof(head));
	send_bytes(fd, head, (size_t)n);
}

static inline struct answer upload(struct fixture *f, const char *query, const char *auth, const void *data, size_t n)
{
	int fd = connect_to(f);
	send_upload_head(fd, query, auth, n);
	send_bytes(fd, data, n);
	return receive(fd);
}

static inline void assert_json(const struct answer *a, int status, const char *expected)
{
	if (a->status != status || strcmp((const char *)a->body, expected) != 0)
		fail_msg("%d %s, not %d %s", a->status, (const char *)a->body, status, expected);
	assert_header(a, "Content-Type", "application/json");
	assert_header(a, "Cache-Control", "no-store");
}

/* Takes the handle out of a 200, and sees what it stands for. */
static inline void assert_stored(struct fixture *f, struct answer *a, const uint8_t *data, size_t n, char handle[64])
{
	char expected[256];
	uint8_t sha[WC_SHA_BYTES], right[WC_SHA_BYTES];
	uint64_t size = 0;
	if (a->status != 200 || sscanf((const char *)a->body, "{\"blob\":\"%63[^\"]\"", handle) != 1)
		fail_msg("%d %s", a->status, (const char *)a->body);
	snprintf(expected, sizeof(expected), "{\"blob\":\"%s\",\"size\":%zu,\"offset\":%zu}", handle, n, n);
	assert_json(a, 200, expected);
	assert_int_equal(upload_resolve(f->site.blobs, 7, (struct str){ handle, strlen(handle) }, sha, &size), 0);
	assert_int_equal(upload_resolve(f->site.blobs, 8, (struct str){ handle, strlen(handle) }, right, &size), -WC_ENOENT);
	sha256(data, n, right);
	assert_memory_equal(sha, right, sizeof(sha));
	assert_int_equal(size, n);
	forget(a);
}

#endif
