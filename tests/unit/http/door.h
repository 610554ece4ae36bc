/* door.h — for the tests of the HTTP door: a server with a few routes on a free port, and a blocking client made of bare sockets. */
#ifndef WC_TEST_DOOR_H
#define WC_TEST_DOOR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/logmsg.h"
#include "http/impl.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 10 /* how much longer things may take */
#else
#define SLOW 1
#endif

#define BIG_BYTES (12 << 20)
static uint8_t big[BIG_BYTES]; /* a pattern that shows a byte lost, doubled or moved */

/* What the server saw. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int sockets; /* WebSockets handed over */
	struct taken last;
	atomic_int bodies_ok, bodies_broken;
	atomic_ullong body_bytes;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void route_health(void *arg, struct http_req *r)
{
	(void)arg;
	http_text(r, 200, "ok");
}

static struct http_req *_Atomic held; /* a request that its test answers */

static void route_hold(void *arg, struct http_req *r)
{
	(void)arg;
	held = r;
}

/* Says what it understood: method, path, ?q=, X-Test, the peer's family. */
static void route_echo(void *arg, struct http_req *r)
{
	char text[1024], q[32];
	const char *header = http_header(r, "x-test");
	(void)arg;
	if (!http_query(r, "q", q, sizeof(q)))
		strcpy(q, "(none)");
	snprintf(text, sizeof(text), "%s %s q=%s x=%s %s", http_method(r), http_path(r), q, header ? header : "(none)",
	         r->c->peer.ss_family == AF_INET    ? "ipv4"
	         : r->c->peer.ss_family == AF_INET6 ? "ipv6"
	                                            : "unix");
	http_text(r, 200, text);
}

static void route_own_policy(void *arg, struct http_req *r)
{
	(void)arg;
	http_reply(r, &(struct http_reply){ .status = 200,
	                                    .content_type = "text/html",
	                                    .body = "<p>",
	                                    .body_len = 3,
	                                    .headers = "content-security-policy: default-src 'self'\r\nETag: \"a\"\r\n" });
}

static void route_not_modified(void *arg, struct http_req *r)
{
	(void)arg;
	http_reply(r, &(struct http_reply){ .status = 304, .headers = "ETag: \"a\"\r\n", .body = "never", .body_len = 5 });
}

static void route_static(void *arg, struct http_req *r)
{
	(void)arg;
	http_reply(r, &(struct http_reply){ .status = 200, .body = big, .body_len = BIG_BYTES, .body_is_static = true });
}

static void route_dynamic(void *arg, struct http_req *r)
{
	uint8_t *copy = malloc(BIG_BYTES);
	(void)arg;
	memcpy(copy, big, BIG_BYTES);
	http_reply(r, &(struct http_reply){ .status = 200, .body = copy, .body_len = BIG_BYTES });
	memset(copy, 0, BIG_BYTES);
	free(copy);
}

static int file_with_pattern(size_t bytes)
{
	int fd = memfd_create("body", MFD_CLOEXEC);
	for (size_t at = 0; at < bytes;) {
		ssize_t n = write(fd, big + at, bytes - at);
		assert_true(n > 0);
		at += (size_t)n;
	}
	return fd;
}

static int whole_file, cut_file; /* descriptors of the first BIG_BYTES of the pattern, and of half of them */

/* ?q=cut: a file shorter than what is promised. Else bytes 1000 to the end. */
static void route_file(void *arg, struct http_req *r)
{
	char q[8];
	bool is_cut = http_query(r, "q", q, sizeof(q)) && strcmp(q, "cut") == 0;
	(void)arg;
	http_reply(r, &(struct http_reply){ .status = 206,
	                                    .content_type = "application/octet-stream",
	                                    .fd_offset = 1000,
	                                    .body_fd = fcntl(is_cut ? cut_file : whole_file, F_DUPFD_CLOEXEC, 3),
	                                    .fd_len = BIG_BYTES - 1000 });
}

/* A body is compared with the pattern; past 8 MB it is refused; ?q=later: answered from another thread. */
struct upload {
	struct http_req *r;
	uint64_t at;
	bool is_wrong, is_late, is_full;
};

static int upload_write(void *arg, const void *data, size_t n)
{
	struct upload *u = arg;
	u->is_wrong |= u->at + n > BIG_BYTES || memcmp(big + u->at, data, n) != 0;
	u->at += n;
	u->is_full = u->at > (8 << 20);
	return u->is_full;
}

static void *upload_answer(void *arg)
{
	struct upload *u = arg;
	char text[64];
	snprintf(text, sizeof(text), "%llu %s", (unsigned long long)u->at, u->is_wrong ? "wrong" : "right");
	http_text(u->r, u->is_full ? 413 : 200, text);
	free(u);
	return NULL;
}

static void upload_done(void *arg, struct http_req *r, bool ok)
{
	struct upload *u = arg;
	pthread_t t;

	atomic_fetch_add(&seen.body_bytes, u->at);
	atomic_fetch_add(ok ? &seen.bodies_ok : &seen.bodies_broken, 1);
	u->r = r;
	if (!ok) {
		free(u);
	} else if (u->is_late) {
		assert_int_equal(pthread_create(&t, NULL, upload_answer, u), 0);
		pthread_detach(t);
	} else {
		upload_answer(u);
	}
}

static void route_upload(void *arg, struct http_req *r)
{
	struct upload *u;
	char q[8];
	(void)arg;
	if (http_content_length(r) < 0) {
		http_text(r, 411, "how long?");
		return;
	}
	if (http_content_length(r) > 100 << 20) {
		http_text(r, 413, "too long");
		return;
	}
	u = xcalloc(1, sizeof(*u));
	u->is_late = http_query(r, "q", q, sizeof(q)) && strcmp(q, "later") == 0;
	http_receive(r, (uint64_t)http_content_length(r), &(struct http_body){ .write = upload_write, .done = upload_done, .arg = u });
}

static void route_uid(void *arg, struct http_req *r)
{
	char text[32] = "unknown";
	uid_t uid;
	(void)arg;
	if (http_peer_uid(r, &uid))
		snprintf(text, sizeof(text), "%u", (unsigned)uid);
	http_text(r, 200, text);
}

static void on_websocket(void *arg, struct taken *t)
{
	(void)arg;
	pthread_mutex_lock(&seen.lock);
	if (seen.sockets++) {
		close(seen.last.fd);
		free(seen.last.early);
	}
	seen.last = *t;
	pthread_cond_broadcast(&seen.changed);
	pthread_mutex_unlock(&seen.lock);
}

static const struct http_route routes[] = {
	{ "GET", "/health", route_health },
	{ "GET", "/own-policy", route_own_policy },
	{ "GET", "/304", route_not_modified },
	{ "GET", "/static", route_static },
	{ "GET", "/dynamic", route_dynamic },
	{ "GET", "/file", route_file },
	{ "POST", "/upload", route_upload },
	{ "GET", "/upload", route_echo },
	{ "GET", "/f/", route_echo },
	{ "DELETE", "/echo", route_echo },
	{ "GET", "/echo", route_echo },
	{ "POST", "/echo", route_echo },
	{ "GET", "/uid", route_uid },
	{ "GET", "/hold", route_hold },
	{ "DELETE", "/hold", route_hold },
	{ "POST", "/hold", route_hold },
	{ 0 },
};

static struct httpd *door;
static int port;

static void open_door(struct httpd_opts opts)
{
	char *cause = NULL;
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_ERROR);
	for (size_t i = 0; i < BIG_BYTES; i++)
		big[i] = (uint8_t)(i * 2654435761u >> 13);
	if (!whole_file) {
		whole_file = file_with_pattern(BIG_BYTES);
		cut_file = file_with_pattern(BIG_BYTES / 2);
	}
	opts.routes = routes;
	opts.on_websocket = on_websocket;
	if (httpd_start(&door, &opts, &cause))
		fail_msg("%s", cause);
	port = httpd_port(door);
}

static void close_door(void)
{
	int64_t began = mono_ms();
	httpd_stop(door);
	door = NULL;
	assert_true(mono_ms() - began < 15000); /* a peer that is waited for takes 20 s and more */
	pthread_mutex_lock(&seen.lock);
	if (seen.sockets) {
		close(seen.last.fd);
		free(seen.last.early);
	}
	seen.sockets = 0;
	pthread_mutex_unlock(&seen.lock);
}

/* --- The client. */

static int dial_with(int receive_buffer)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (receive_buffer)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		fail_msg("connect: %s", strerror(errno));
	return fd;
}

static inline int dial(void)
{
	return dial_with(0);
}

/* Sends what it can; a peer that has closed is no failure here, its answer is what counts. */
static void say_bytes(int fd, const void *data, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t sent = send(fd, (const char *)data + at, n - at, MSG_NOSIGNAL);
		if (sent < 0)
			return;
		at += (size_t)sent;
	}
}

static inline void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

struct response {
	int status;
	char head[4096];
	uint8_t *body;
	size_t body_len;
};

static inline void response_free(struct response *r)
{
	free(r->body);
	r->body = NULL;
}

/* The value of a header in out, or NULL; fails the test if it is there twice. */
static const char *header_of(const struct response *r, const char *name, char out[512])
{
	const char *found = NULL;
	for (const char *p = strchr(r->head, '\n'); p && p[1] != '\r'; p = strchr(p + 1, '\n')) {
		size_t n = strlen(name);
		if (strncasecmp(p + 1, name, n) != 0 || p[1 + n] != ':')
			continue;
		if (found)
			fail_msg("two %s in %s", name, r->head);
		found = p + n + 3;
		snprintf(out, 512, "%.*s", (int)strcspn(found, "\r"), found);
	}
	return found ? out : NULL;
}

/* One answer, of the length it says. Status 0: the connection ended (or was reset) before one came. */
static struct response hear(int fd, bool is_head)
{
	struct response r = { 0 };
	size_t n = 0;
	char length[512];
	while (n < 4 || memcmp(r.head + n - 4, "\r\n\r\n", 4) != 0) {
		assert_true(n < sizeof(r.head) - 1);
		ssize_t got = recv(fd, r.head + n, 1, 0);
		if (got < 0 && errno == EAGAIN)
			fail_msg("no answer in 20 s");
		if (got <= 0) {
			assert_int_equal(n, 0);
			return r;
		}
		n++;
	}
	assert_int_equal(sscanf(r.head, "HTTP/1.1 %d ", &r.status), 1);
	if (header_of(&r, "Content-Length", length) && !is_head) {
		size_t want = strtoull(length, NULL, 10);
		r.body = calloc(1, want + 1);
		while (r.body_len < want) {
			ssize_t got = recv(fd, r.body + r.body_len, want - r.body_len, 0);
			if (got <= 0)
				break;
			r.body_len += (size_t)got;
		}
	}
	return r;
}

static inline void expect(int fd, int status, const char *body)
{
	struct response r = hear(fd, false);
	if (r.status != status || (body && (!r.body || strcmp((char *)r.body, body) != 0)))
		fail_msg("%d \"%s\" instead of %d \"%s\"", r.status, r.body ? (char *)r.body : "", status, body ? body : "");
	response_free(&r);
}

/* The connection ends in good order: no reset, nothing more. */
static inline void expect_end(int fd)
{
	char rest[16];
	ssize_t n = recv(fd, rest, sizeof(rest), 0);
	if (n != 0)
		fail_msg("%zd (%s) instead of the end", n, n < 0 ? strerror(errno) : "bytes");
	close(fd);
}

/* How long GET /health takes on a new connection. */
static inline int64_t health_us(void)
{
	int64_t began = mono_us();
	int fd = dial();
	say(fd, "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	expect(fd, 200, "ok");
	close(fd);
	return mono_us() - began;
}

static inline int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -1; /* its own */

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#endif
