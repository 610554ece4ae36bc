/* test_site.c — the public routes through a real door, with a real store and real blobs in a folder of their own, and a client that sends
 * exactly the bytes a test means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "../../core/assets.h"
#include "../../core/site.h"
#include "../../core/site_impl.h"

#define KB 1024
#define MB (1024 * 1024)
#define MAX_FILE_MB 2

/* In the place of the embedded page: what is gzipped, what is not, and what has nothing but the gzipped form. */
static const uint8_t page_gz[] = "\x1f\x8bgzipped page", page_plain[] = "<!doctype html><title>plain page</title>", icon_plain[] = "icon",
		     only_gz[] = "\x1f\x8bonly";
const struct asset wc_assets[] = {
	{ "/", "text/html; charset=utf-8", "\"page1\"", "default-src 'none'; script-src 'sha256-abc='", page_gz, sizeof(page_gz) - 1, page_plain,
	  sizeof(page_plain) - 1, false },
	{ "/icon.svg", "image/svg+xml", "\"icon1\"", NULL, NULL, 0, icon_plain, sizeof(icon_plain) - 1, true },
	{ "/only.js", "text/javascript", "\"only1\"", NULL, only_gz, sizeof(only_gz) - 1, NULL, 0, false },
	{ 0 },
};

struct fixture {
	char dir[64];
	bool is_memory;
	struct options options;
	struct site site;
	struct httpd *httpd;
	uint64_t last_id;
	char url[128]; /* of the file added last */
};

static void start_server(struct fixture *f)
{
	char *cause = NULL;
	const char *dir = f->is_memory ? NULL : f->dir;

	if (store_open(&f->site.store, dir, DURABILITY_NORMAL, &cause) || blobs_open(&f->site.blobs, dir, 0, &cause) ||
	    !(f->site.helpers = helpers_start(2, f->site.store, &cause)) ||
	    httpd_start(&f->httpd, &(struct httpd_opts){ .listen = "127.0.0.1", .routes = site_routes(), .arg = &f->site }, &cause))
		fail_msg("%s", cause);
}

static void stop_server(struct fixture *f)
{
	httpd_stop(f->httpd);
	helpers_stop(f->site.helpers);
	blobs_close(f->site.blobs);
	store_close(f->site.store);
}

static void sha256(const void *data, size_t n, uint8_t out[WC_SHA_BYTES])
{
	assert_int_equal(EVP_Digest(data, n, out, NULL, EVP_sha256(), NULL), 1);
}

static void add_identity(struct fixture *f, uint64_t id, const char *name, const char *token)
{
	struct str s = { name, strlen(name) };
	uint8_t hash[WC_SHA_BYTES];

	sha256(token, strlen(token), hash);
	assert_int_equal(store_put_identity(f->site.store, &(struct identity){ .id = id, .name = s, .key = s, .created_ms = 1, .seen_ms = 1 }), 0);
	assert_int_equal(store_put_token(f->site.store, id, hash, 1), 0);
}

static int set_up(void **state, bool is_memory)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/wavechat-site-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->is_memory = is_memory;
	f->options.max_file_mb = MAX_FILE_MB;
	f->site.options = &f->options;
	start_server(f);
	assert_int_equal(store_begin(f->site.store), 0);
	add_identity(f, 7, "Alice", "alices-token");
	add_identity(f, 8, "Bob", "bobs-token");
	assert_int_equal(store_commit(f->site.store), 0);
	*state = f;
	return 0;
}

static int set_up_disk(void **state)
{
	return set_up(state, false);
}

static int set_up_memory(void **state)
{
	return set_up(state, true);
}

static int tear_down(void **state)
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

static void forget(struct answer *a)
{
	free(a->all);
	memset(a, 0, sizeof(*a));
}

static int connect_to(struct fixture *f)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)httpd_port(f->httpd)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* As much as the server takes: one that has refused reads no more. */
static void send_bytes(int fd, const void *data, size_t n)
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
static struct answer receive(int fd)
{
	struct answer a = { 0 };
	size_t len = 0, room = 64 * KB;
	ssize_t n;
	char *end;

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
static const char *header(const struct answer *a, const char *name)
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

static void assert_header(const struct answer *a, const char *name, const char *expected)
{
	const char *value = header(a, name);

	if (!expected ? value != NULL : !value || strcmp(value, expected) != 0)
		fail_msg("%s is \"%s\", not \"%s\"; the whole head:\n%s", name, value ? value : "(absent)", expected ? expected : "(absent)", a->head);
}

static void assert_body(const struct answer *a, const void *data, size_t n)
{
	assert_int_equal(a->body_len, n);
	assert_true(memcmp(a->body, data, n) == 0); /* assert_memory_equal would print it all */
}

/* One request without a body; headers: whole lines. */
static struct answer ask(struct fixture *f, const char *method, const char *target, const char *headers)
{
	char head[8192];
	int fd = connect_to(f), n;

	n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, target, headers ? headers : "");
	assert_true(n > 0 && (size_t)n < sizeof(head));
	send_bytes(fd, head, (size_t)n);
	return receive(fd);
}

static struct answer get(struct fixture *f, const char *target, const char *headers)
{
	return ask(f, "GET", target, headers);
}

static void assert_status(struct fixture *f, const char *method, const char *target, const char *headers, int status)
{
	struct answer a = ask(f, method, target, headers);

	if (a.status != status)
		fail_msg("%s %s: %d, not %d\n%s%.200s", method, target, a.status, status, a.head, (char *)a.body);
	forget(&a);
}

static uint8_t *some_bytes(size_t n, uint32_t seed)
{
	uint8_t *p = malloc(n + 1);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
	return p;
}

/* --- Pure parts. */

static void test_accepts_gzip(void **state)
{
	static const struct {
		const char *header;
		bool yes;
	} rows[] = {
		{ NULL, false }, { "", false }, { "gzip", true }, { "GZip", true }, { "x-gzip", true }, { "gzip, deflate, br, zstd", true },
		{ "deflate", false }, { "br;q=1.0, gzip;q=0.8, *;q=0.1", true }, { "gzip;q=0", false }, { "gzip;q=0.0", false },
		{ "gzip;q=0.000", false }, { "gzip;q=0.001", true }, { "gzip ; q=0.5", true }, { "gzip; Q=0", false }, { "*", true },
		{ "*;q=0", false }, { "*, gzip;q=0", false }, { "gzip;q=0, *", false }, { "identity", false }, { "identity, gzip;q=0.5", false },
		{ "identity;q=0.5, gzip", true }, { "identity;q=0, gzip", true }, { "gzip;q=", false }, { "gzip;q=abc", false }, { "gzip;q=2", false },
		{ "gzip;q=1.0000000000000000000000000", true }, { "gzipped", false }, { ",,gzip,,", true }, { "\tgzip\t", true },
		{ "gzip;q=-1", false }, { ";q=1", false }, { ",", false },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++)
		if (site_accepts_gzip(rows[i].header) != rows[i].yes)
			fail_msg("Accept-Encoding: %s", rows[i].header);
}

static void test_etag_matches(void **state)
{
	(void)state;
	assert_false(site_etag_matches(NULL, "\"a\""));
	assert_false(site_etag_matches("", "\"a\""));
	assert_true(site_etag_matches("\"a\"", "\"a\""));
	assert_true(site_etag_matches("W/\"a\"", "\"a\""));
	assert_true(site_etag_matches("\"x\", \"y\" ,W/\"a\"", "\"a\""));
	assert_true(site_etag_matches("*", "\"a\""));
	assert_false(site_etag_matches("a", "\"a\""));
	assert_false(site_etag_matches("\"ab\", \"A\", w/\"a\"", "\"a\""));
	assert_false(site_etag_matches("W/", "\"a\""));
}

static void test_ranges(void **state)
{
	enum { WHOLE = RANGE_WHOLE, PART = RANGE_PART, OUTSIDE = RANGE_OUTSIDE };
	static const struct {
		const char *header;
		uint64_t size;
		int kind;
		uint64_t from, len;
	} rows[] = {
		{ NULL, 10, WHOLE, 0, 0 },
		{ "bytes=0-0", 10, PART, 0, 1 },
		{ "bytes=0-9", 10, PART, 0, 10 },
		{ "bytes=0-", 10, PART, 0, 10 },
		{ "bytes=9-", 10, PART, 9, 1 },
		{ "bytes=3-5", 10, PART, 3, 3 },
		{ "Bytes=3-5", 10, PART, 3, 3 },
		{ "bytes= 3-5 ", 10, PART, 3, 3 },
		{ "bytes=3-10", 10, PART, 3, 7 },
		{ "bytes=3-99999999999999999999999999", 10, PART, 3, 7 },
		{ "bytes=0-18446744073709551615", 10, PART, 0, 10 },
		{ "bytes=-1", 10, PART, 9, 1 },
		{ "bytes=-10", 10, PART, 0, 10 },
		{ "bytes=-11", 10, PART, 0, 10 },
		{ "bytes=-99999999999999999999999999", 10, PART, 0, 10 },
		{ "bytes=-0", 10, OUTSIDE, 0, 0 },
		{ "bytes=10-", 10, OUTSIDE, 0, 0 },
		{ "bytes=10-20", 10, OUTSIDE, 0, 0 },
		{ "bytes=99999999999999999999999999-", 10, OUTSIDE, 0, 0 },
		{ "bytes=99999999999999999999999998-99999999999999999999999999", 10, OUTSIDE, 0, 0 },
		{ "bytes=0-0", 0, OUTSIDE, 0, 0 },
		{ "bytes=-1", 0, OUTSIDE, 0, 0 },
		{ "bytes=0-0,2-3", 10, WHOLE, 0, 0 },
		{ "bytes=5-3", 10, WHOLE, 0, 0 },
		{ "bytes=", 10, WHOLE, 0, 0 },
		{ "bytes=-", 10, WHOLE, 0, 0 },
		{ "bytes=--1", 10, WHOLE, 0, 0 },
		{ "bytes=a-b", 10, WHOLE, 0, 0 },
		{ "bytes=1-2x", 10, WHOLE, 0, 0 },
		{ "bytes=1 -2", 10, WHOLE, 0, 0 },
		{ "bytes=1", 10, WHOLE, 0, 0 },
		{ "bytes", 10, WHOLE, 0, 0 },
		{ "items=0-1", 10, WHOLE, 0, 0 },
		{ "", 10, WHOLE, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		uint64_t from = 0, len = 0;
		enum site_range kind = site_parse_range(rows[i].header, rows[i].size, &from, &len);

		if ((int)kind != rows[i].kind || from != rows[i].from || len != rows[i].len)
			fail_msg("%s of %llu: kind %d from %llu len %llu", rows[i].header, (unsigned long long)rows[i].size, (int)kind,
				 (unsigned long long)from, (unsigned long long)len);
	}
}

static void assert_disposition(bool is_inline, struct str name, const char *expected)
{
	char out[SITE_DISPOSITION_BYTES];

	site_disposition(out, is_inline, name);
	assert_string_equal(out, expected);
}

static void test_dispositions(void **state)
{
	char out[SITE_DISPOSITION_BYTES], name[4096];

	(void)state;
	assert_disposition(true, STR("a.png"), "inline; filename=\"a.png\"; filename*=UTF-8''a.png");
	assert_disposition(false, STR("my file (1).pdf"), "attachment; filename=\"my file (1).pdf\"; filename*=UTF-8''my%20file%20%281%29.pdf");
	assert_disposition(false, STR("Отчёт.pdf"), "attachment; filename=\"_____.pdf\"; filename*=UTF-8''%D0%9E%D1%82%D1%87%D1%91%D1%82.pdf");
	assert_disposition(false, STR("a\"b\\c%41;d\r\nSet-Cookie: x=1\n\t\x7f\0z"),
			   "attachment; filename=\"a_b_c_41_d__Set-Cookie_ x=1____z\"; filename*=UTF-8''a%22b_c%2541%3Bd__Set-Cookie%3A%20x%3D1____z");
	assert_disposition(false, STR("../../etc/passwd"), "attachment; filename=\".._.._etc_passwd\"; filename*=UTF-8''.._.._etc_passwd");
	assert_disposition(false, STR("\xff\xfe\xd0"), "attachment; filename=\"___\"; filename*=UTF-8''___");
	assert_disposition(false, STR(""), "attachment; filename=\"\"; filename*=UTF-8''");
	/* The longest there can be, and beyond: whole code points, the extension kept, no more than a proxy takes. */
	for (size_t n = 0; n < sizeof(name) - 8; n++) {
		for (size_t i = 0; i < n; i += 2)
			memcpy(name + i, "щ", 2);
		memcpy(name + n / 2 * 2, ".tar.gz", 7);
		site_disposition(out, false, (struct str){ name, n / 2 * 2 + 7 });
		assert_true(strlen(out) < SITE_DISPOSITION_BYTES);
		assert_string_equal(out + strlen(out) - 3, ".gz");
		assert_non_null(strstr(out, ".gz\"; "));
		assert_null(strstr(out + 60, "''_"));
		for (const char *p = strstr(out, "''") + 2; *p == '%'; p += 6)
			assert_memory_equal(p, "%D1%89", 6);
	}
	memset(name, '\x80', sizeof(name));
	site_disposition(out, true, (struct str){ name, sizeof(name) });
	memset(name, '\n', sizeof(name));
	site_disposition(out, true, (struct str){ name, sizeof(name) });
	assert_null(strchr(out, '\n'));
}

static void test_media(void **state)
{
	static const char *const runs[] = { "text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/xml", "text/javascript",
		"application/javascript", "text/plain", "text/css", "application/octet-stream", "", "image/png;x", "image/", "application/x-shockwave-flash",
		"message/rfc822", "multipart/related", "image/png\r\nX: y" };

	(void)state;
	for (size_t i = 0; i < WC_LEN(runs); i++) {
		const struct site_media *m = site_media((struct str){ runs[i], strlen(runs[i]) });

		assert_string_equal(m->served_as, "application/octet-stream");
		assert_false(m->is_inline);
	}
	assert_string_equal(site_media(STR("IMAGE/PNG"))->served_as, "image/png");
	assert_string_equal(site_media(STR("audio/x-m4a"))->served_as, "audio/mp4");
	assert_string_equal(site_media(STR("application/pdf"))->served_as, "application/pdf");
	assert_false(site_media(STR("application/pdf"))->is_inline);
}

/* --- The page. */

static void test_page_encodings(void **state)
{
	struct fixture *f = *state;
	struct answer a = get(f, "/", "Accept-Encoding: gzip, deflate, br\r\n");

	assert_int_equal(a.status, 200);
	assert_body(&a, page_gz, sizeof(page_gz) - 1);
	assert_header(&a, "Content-Encoding", "gzip");
	assert_header(&a, "Content-Type", "text/html; charset=utf-8");
	assert_header(&a, "Vary", "Accept-Encoding");
	assert_header(&a, "Cache-Control", "no-cache");
	assert_header(&a, "ETag", "\"page1\"");
	assert_header(&a, "Content-Security-Policy", "default-src 'none'; script-src 'sha256-abc='");
	assert_header(&a, "X-Content-Type-Options", "nosniff");
	forget(&a);

	a = get(f, "/", "Accept-Encoding: gzip;q=0, br\r\n");
	assert_int_equal(a.status, 200);
	assert_body(&a, page_plain, sizeof(page_plain) - 1);
	assert_header(&a, "Content-Encoding", NULL);
	assert_header(&a, "Vary", "Accept-Encoding");
	assert_header(&a, "ETag", "\"page1-plain\"");
	forget(&a);

	a = get(f, "/", NULL);
	assert_body(&a, page_plain, sizeof(page_plain) - 1);
	forget(&a);

	/* Where there is only one form, that one. */
	a = get(f, "/icon.svg", "Accept-Encoding: gzip\r\n");
	assert_body(&a, icon_plain, sizeof(icon_plain) - 1);
	assert_header(&a, "Content-Encoding", NULL);
	assert_header(&a, "Cache-Control", "public, max-age=31536000, immutable");
	assert_header(&a, "ETag", "\"icon1\"");
	assert_true(strncmp(header(&a, "Content-Security-Policy"), "default-src 'none'", 18) == 0);
	forget(&a);
	a = get(f, "/only.js", NULL);
	assert_body(&a, only_gz, sizeof(only_gz) - 1);
	assert_header(&a, "Content-Encoding", "gzip");
	forget(&a);

	a = ask(f, "HEAD", "/", "Accept-Encoding: gzip\r\n");
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_len, 0);
	assert_header(&a, "Content-Length", "14");
	assert_header(&a, "ETag", "\"page1\"");
	forget(&a);
}

static void test_page_not_modified(void **state)
{
	struct fixture *f = *state;
	struct answer a = get(f, "/", "Accept-Encoding: gzip\r\nIf-None-Match: \"old\", W/\"page1\"\r\n");

	assert_int_equal(a.status, 304);
	assert_int_equal(a.body_len, 0);
	assert_header(&a, "ETag", "\"page1\"");
	assert_header(&a, "Vary", "Accept-Encoding");
	assert_header(&a, "Cache-Control", "no-cache");
	forget(&a);
	assert_status(f, "GET", "/", "If-None-Match: \"page1-plain\"\r\n", 304);
	assert_status(f, "GET", "/", "If-None-Match: *\r\n", 304);
	assert_status(f, "HEAD", "/", "If-None-Match: \"page1-plain\"\r\n", 304);
	/* The gzipped bytes do not become right by being asked about without gzip. */
	assert_status(f, "GET", "/", "If-None-Match: \"page1\"\r\n", 200);
	assert_status(f, "GET", "/", "Accept-Encoding: gzip\r\nIf-None-Match: \"page2\"\r\n", 200);
}

static void test_health_and_unknown(void **state)
{
	struct fixture *f = *state;
	struct answer a = get(f, "/health", NULL);

	assert_int_equal(a.status, 200);
	assert_body(&a, "ok", 2);
	assert_header(&a, "Content-Type", "text/plain");
	assert_header(&a, "Cache-Control", "no-store");
	forget(&a);
	assert_status(f, "GET", "/nothing", NULL, 404);
	assert_status(f, "GET", "/health/", NULL, 404);
	assert_status(f, "GET", "/index.html", NULL, 404);
	assert_status(f, "GET", "/f", NULL, 404);
	a = ask(f, "POST", "/", "Content-Length: 0\r\n");
	assert_int_equal(a.status, 405);
	assert_header(&a, "Allow", "GET, HEAD");
	forget(&a);
	a = ask(f, "PUT", "/upload", "Content-Length: 0\r\n");
	assert_int_equal(a.status, 405);
	assert_non_null(strstr(header(&a, "Allow"), "POST"));
	forget(&a);
}

/* --- Uploads. */

#define ALICE "Authorization: Bearer alices-token\r\n"
#define BOB "Authorization: Bearer bobs-token\r\n"

static void send_upload_head(int fd, const char *query, const char *auth, size_t length)
{
	char head[8192];
	int n = snprintf(head, sizeof(head), "POST /upload?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n", query, auth, length);

	assert_true(n > 0 && (size_t)n < sizeof(head));
	send_bytes(fd, head, (size_t)n);
}

static struct answer upload(struct fixture *f, const char *query, const char *auth, const void *data, size_t n)
{
	int fd = connect_to(f);

	send_upload_head(fd, query, auth, n);
	send_bytes(fd, data, n);
	return receive(fd);
}

static void assert_json(const struct answer *a, int status, const char *expected)
{
	if (a->status != status || strcmp((const char *)a->body, expected) != 0)
		fail_msg("%d %s, not %d %s", a->status, (const char *)a->body, status, expected);
	assert_header(a, "Content-Type", "application/json");
	assert_header(a, "Cache-Control", "no-store");
}

static void assert_upload(struct fixture *f, const char *query, const char *auth, const void *data, size_t n, int status, const char *expected)
{
	struct answer a = upload(f, query, auth, data, n);

	assert_json(&a, status, expected);
	forget(&a);
}

/* Takes the handle out of a 200, and sees what it stands for. */
static void assert_stored(struct fixture *f, struct answer *a, const uint8_t *data, size_t n, char handle[64])
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
	assert_upload(f, "key=r&size=1500000&offset=400000", ALICE, data + 400000, SIZE - 400000, 409, "{\"error\":\"conflict\",\"offset\":400001}");
	assert_upload(f, "key=r&size=1500000&offset=400002", ALICE, data + 400002, SIZE - 400002, 409, "{\"error\":\"conflict\",\"offset\":400001}");
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
	assert_json(&a, 507, "{\"error\":\"storage\"}");
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

/* --- Files. */

static void add_file(struct fixture *f, const char *mime, const char *filename, const void *data, size_t n)
{
	struct msg m = {
		.id = ++f->last_id, .at_ms = 1000, .kind = MSG_FILE, .from_id = 7, .from_name = STR("Alice"), .size = n,
		.mime = { mime, strlen(mime) }, .filename = { filename, strlen(filename) },
	};
	char hex[2 * WC_SECRET_BYTES + 1];

	wc_random(m.secret, sizeof(m.secret));
	if (!*filename) {
		m.kind = MSG_VOICE;
		m.duration = 1;
	}
	assert_int_equal(blob_put(f->site.blobs, data, n, m.sha), 0);
	assert_int_equal(store_begin(f->site.store), 0);
	assert_int_equal(store_put_msg(f->site.store, &m), 0);
	assert_int_equal(store_commit(f->site.store), 0);
	wc_hex(hex, m.secret, sizeof(m.secret));
	snprintf(f->url, sizeof(f->url), "/f/%s/some%%20name", hex);
}

#define INLINE_CSP "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"

static void test_file_headers(void **state)
{
	struct fixture *f = *state;
	uint8_t sha[WC_SHA_BYTES];
	char etag[64], line[128], hex[2 * WC_SHA_BYTES + 1];
	struct answer a;

	add_file(f, "image/png", "cat.png", "0123456789", 10);
	a = get(f, f->url, NULL);
	assert_int_equal(a.status, 200);
	assert_body(&a, "0123456789", 10);
	assert_header(&a, "Content-Type", "image/png");
	assert_header(&a, "Content-Length", "10");
	assert_header(&a, "Content-Disposition", "inline; filename=\"cat.png\"; filename*=UTF-8''cat.png");
	assert_header(&a, "Cache-Control", "private, max-age=31536000, immutable");
	assert_header(&a, "Accept-Ranges", "bytes");
	assert_header(&a, "Content-Range", NULL);
	assert_header(&a, "X-Content-Type-Options", "nosniff");
	assert_header(&a, "Content-Security-Policy", INLINE_CSP);
	assert_header(&a, "Cross-Origin-Resource-Policy", "same-origin");
	assert_header(&a, "Referrer-Policy", "no-referrer");
	snprintf(etag, sizeof(etag), "%s", header(&a, "ETag"));
	assert_int_equal(strlen(etag), 18);
	sha256("0123456789", 10, sha);
	wc_hex(hex, sha, sizeof(sha));
	assert_null(strstr(a.head, (hex[8] = '\0', hex)));
	forget(&a);

	a = ask(f, "HEAD", f->url, "Range: bytes=0-1\r\n"); /* ranges are GET's */
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_len, 0);
	assert_header(&a, "Content-Length", "10");
	assert_header(&a, "Content-Type", "image/png");
	assert_header(&a, "ETag", etag);
	forget(&a);

	snprintf(line, sizeof(line), "If-None-Match: \"x\", W/%s\r\nRange: bytes=99-\r\n", etag);
	a = get(f, f->url, line);
	assert_int_equal(a.status, 304);
	assert_int_equal(a.body_len, 0);
	assert_header(&a, "ETag", etag);
	assert_header(&a, "Cache-Control", "private, max-age=31536000, immutable");
	forget(&a);
	assert_status(f, "GET", f->url, "If-None-Match: \"x\"\r\n", 200);
	assert_status(f, "DELETE", f->url, NULL, 405);

	/* The same bytes in another message have another tag: nobody learns that they are the same. */
	add_file(f, "image/png", "cat.png", "0123456789", 10);
	a = get(f, f->url, NULL);
	assert_string_not_equal(header(&a, "ETag"), etag);
	forget(&a);
}

static void test_file_types(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *mime, *filename, *served_as, *disposition;
	} rows[] = {
		{ "text/html", "x.html", "application/octet-stream", "attachment; filename=\"x.html\"; filename*=UTF-8''x.html" },
		{ "image/svg+xml", "x.svg", "application/octet-stream", "attachment; filename=\"x.svg\"; filename*=UTF-8''x.svg" },
		{ "application/xhtml+xml", "x", "application/octet-stream", "attachment; filename=\"x\"; filename*=UTF-8''x" },
		{ "text/html\r\nX-Evil: 1", "x", "application/octet-stream", "attachment; filename=\"x\"; filename*=UTF-8''x" },
		{ "application/pdf", "x.pdf", "application/pdf", "attachment; filename=\"x.pdf\"; filename*=UTF-8''x.pdf" },
		{ "image/png", "x.html", "image/png", "inline; filename=\"x.html\"; filename*=UTF-8''x.html" },
		{ "image/avif", "\"\r\nX-Evil: 1\r\n\r\n<script>", "image/avif",
		  "inline; filename=\"___X-Evil_ 1_____script_\"; filename*=UTF-8''%22__X-Evil%3A%201____%3Cscript%3E" },
		{ "video/mp4", "v.mp4", "video/mp4", "inline; filename=\"v.mp4\"; filename*=UTF-8''v.mp4" },
		{ "audio/x-m4a", "", "audio/mp4", "inline; filename=\"voice.m4a\"; filename*=UTF-8''voice.m4a" },
		{ "audio/webm", "", "audio/webm", "inline; filename=\"voice.webm\"; filename*=UTF-8''voice.webm" },
		{ "", "", "application/octet-stream", "attachment; filename=\"voice.bin\"; filename*=UTF-8''voice.bin" },
	};

	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct answer a;

		add_file(f, rows[i].mime, rows[i].filename, "<script>alert(1)</script>", 25);
		a = get(f, f->url, NULL);
		assert_int_equal(a.status, 200);
		assert_header(&a, "Content-Type", rows[i].served_as);
		assert_header(&a, "Content-Disposition", rows[i].disposition);
		assert_header(&a, "X-Evil", NULL);
		assert_header(&a, "X-Content-Type-Options", "nosniff");
		assert_header(&a, "Content-Security-Policy", *rows[i].disposition == 'i' ? INLINE_CSP : "sandbox; default-src 'none'");
		assert_body(&a, "<script>alert(1)</script>", 25);
		forget(&a);
	}
}

static void test_file_ranges(void **state)
{
	struct fixture *f = *state;
	enum { SIZE = 700001 };
	uint8_t *data = some_bytes(SIZE, 5);
	static const struct {
		const char *range;
		int status;
		const char *content_range;
		size_t from, len;
	} rows[] = {
		{ "bytes=0-0", 206, "bytes 0-0/700001", 0, 1 },
		{ "bytes=0-", 206, "bytes 0-700000/700001", 0, SIZE },
		{ "bytes=700000-", 206, "bytes 700000-700000/700001", 700000, 1 },
		{ "bytes=65535-400000", 206, "bytes 65535-400000/700001", 65535, 334466 },
		{ "bytes=-500000", 206, "bytes 200001-700000/700001", 200001, 500000 },
		{ "bytes=600000-9999999", 206, "bytes 600000-700000/700001", 600000, 100001 },
		{ "bytes=0-1,5-6", 200, NULL, 0, SIZE },
		{ "bytes=5-1", 200, NULL, 0, SIZE },
		{ "nonsense", 200, NULL, 0, SIZE },
	};
	char line[256], etag[64];
	struct answer a;

	add_file(f, "video/webm", "v.webm", data, SIZE);
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		snprintf(line, sizeof(line), "Range: %s\r\n", rows[i].range);
		a = get(f, f->url, line);
		if (a.status != rows[i].status)
			fail_msg("%s: %d", rows[i].range, a.status);
		assert_header(&a, "Content-Range", rows[i].content_range);
		assert_header(&a, "Content-Type", "video/webm");
		assert_body(&a, data + rows[i].from, rows[i].len);
		forget(&a);
	}
	for (size_t i = 0; i < 3; i++) {
		snprintf(line, sizeof(line), "Range: bytes=%s\r\n", (const char *const[]){ "700001-", "-0", "9999999-99999999" }[i]);
		a = get(f, f->url, line);
		assert_int_equal(a.status, 416);
		assert_header(&a, "Content-Range", "bytes */700001");
		assert_header(&a, "Cache-Control", "no-store");
		forget(&a);
	}
	/* If-Range: the part only of the very same bytes. */
	a = get(f, f->url, NULL);
	snprintf(etag, sizeof(etag), "%s", header(&a, "ETag"));
	forget(&a);
	static const struct {
		const char *before, *instead;
		int status;
	} conditions[] = { { "", NULL, 206 }, { "W/", NULL, 200 }, { "", "\"other\"", 200 }, { "", "Mon, 01 Jan 2024 00:00:00 GMT", 200 } };
	for (size_t i = 0; i < WC_LEN(conditions); i++) {
		snprintf(line, sizeof(line), "Range: bytes=1-2\r\nIf-Range: %s%s\r\n", conditions[i].before,
			 conditions[i].instead ? conditions[i].instead : etag);
		assert_status(f, "GET", f->url, line, conditions[i].status);
	}
	/* Nothing at all is a file, too. */
	add_file(f, "application/zip", "empty.zip", "", 0);
	a = get(f, f->url, NULL);
	assert_int_equal(a.status, 200);
	assert_header(&a, "Content-Length", "0");
	assert_int_equal(a.body_len, 0);
	forget(&a);
	assert_status(f, "GET", f->url, "Range: bytes=0-\r\n", 416);
	free(data);
}

static int no_more(void *arg, const struct msg *m)
{
	(void)m;
	++*(int *)arg;
	return 0;
}

static void test_file_missing(void **state)
{
	struct fixture *f = *state;
	char url[3000], command[160];
	int touched = 0;
	size_t len;

	add_file(f, "image/png", "a.png", "abc", 3);
	/* The name is decoration. */
	assert_status(f, "GET", f->url, NULL, 200);
	len = strlen("/f/") + 2 * WC_SECRET_BYTES;
	snprintf(url, sizeof(url), "%.*s/", (int)len, f->url);
	assert_status(f, "GET", url, NULL, 200);
	snprintf(url, sizeof(url), "%.*s/%%D1%%89/b%%2Fc%%22?x=y", (int)len, f->url);
	assert_status(f, "GET", url, NULL, 200);
	snprintf(url, sizeof(url), "%.*s/%01024d", (int)len, f->url, 7);
	assert_status(f, "GET", url, NULL, 200);
	snprintf(url, sizeof(url), "%.*s/%02500d", (int)len, f->url, 7);
	assert_status(f, "GET", url, NULL, 404);
	/* The secret is not. */
	snprintf(url, sizeof(url), "%.*s/a.png", (int)len - 1, f->url);
	assert_status(f, "GET", url, NULL, 404);
	snprintf(url, sizeof(url), "%.*s0/a.png", (int)len, f->url);
	assert_status(f, "GET", url, NULL, 404);
	snprintf(url, sizeof(url), "%.*s%c/a.png", (int)len - 1, f->url, f->url[len - 1] == '0' ? '1' : '0');
	assert_status(f, "GET", url, NULL, 404);
	assert_status(f, "HEAD", url, NULL, 404);
	assert_status(f, "GET", "/f/", NULL, 404);
	assert_status(f, "GET", "/f//", NULL, 404);
	assert_status(f, "GET", "/f/xyz", NULL, 404);
	assert_status(f, "GET", "/f/zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz/a", NULL, 404);
	/* Retention took it: the message stays, the URL is dead. */
	assert_int_equal(store_begin(f->site.store), 0);
	assert_int_equal(store_evict_files(f->site.store, 0, 10, no_more, &touched), 1);
	assert_int_equal(store_commit(f->site.store), 0);
	assert_int_equal(touched, 1);
	struct answer a = get(f, f->url, NULL);
	assert_true(a.status == 404 || a.status == 410);
	forget(&a);
	/* Bytes gone behind the store's back. */
	add_file(f, "image/png", "b.png", "defg", 4);
	assert_status(f, "GET", f->url, NULL, 200);
	snprintf(command, sizeof(command), "find '%s/blobs' -type f -delete", f->dir);
	assert_int_equal(system(command), 0);
	assert_status(f, "GET", f->url, NULL, 410);
}

/* Up by one way, down by the other, more than the sockets' buffers hold, by several at once, one of whom reads nothing for a while. */
static void test_file_large(void **state)
{
	struct fixture *f = *state;
	enum { SIZE = 16 * MB, PEERS = 4 };
	uint8_t *data = some_bytes(SIZE, 6);
	char handle[64], query[64], head[256];
	int fds[PEERS], n;
	struct answer a;

	f->options.max_file_mb = 16;
	snprintf(query, sizeof(query), "key=large&size=%d&offset=0", SIZE);
	a = upload(f, query, ALICE, data, SIZE);
	assert_stored(f, &a, data, SIZE, handle);
	add_file(f, "application/octet-stream", "large.bin", data, SIZE);
	n = snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", f->url);
	for (int i = 0; i < PEERS; i++) {
		fds[i] = connect_to(f);
		send_bytes(fds[i], head, (size_t)n);
	}
	for (int i = PEERS - 1; i > 0; i--) {
		a = receive(fds[i]);
		assert_int_equal(a.status, 200);
		assert_body(&a, data, SIZE);
		forget(&a);
	}
	close(fds[0]); /* in the middle */
	assert_status(f, "GET", "/health", NULL, 200);
	free(data);
}

int main(void)
{
	const struct CMUnitTest pure[] = {
		cmocka_unit_test(test_accepts_gzip), cmocka_unit_test(test_etag_matches), cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_dispositions), cmocka_unit_test(test_media),
	};
	const struct CMUnitTest disk[] = {
		cmocka_unit_test_setup_teardown(test_page_encodings, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_page_not_modified, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_health_and_unknown, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_whole, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_resume, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_taken_over, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_refusals, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_too_many, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_disk_full, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_server_stops, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_file_headers, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_file_types, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_file_ranges, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_file_missing, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_file_large, set_up_disk, tear_down),
	};
	const struct CMUnitTest memory[] = {
		cmocka_unit_test_setup_teardown(test_upload_whole, set_up_memory, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_resume, set_up_memory, tear_down),
		cmocka_unit_test_setup_teardown(test_upload_taken_over, set_up_memory, tear_down),
		cmocka_unit_test_setup_teardown(test_file_headers, set_up_memory, tear_down),
		cmocka_unit_test_setup_teardown(test_file_ranges, set_up_memory, tear_down),
		cmocka_unit_test_setup_teardown(test_file_large, set_up_memory, tear_down),
	};

	wc_thread_is(ROLE_MAIN, "test");
	log_setup(LOG_ERROR, LOG_TEXT);
	return cmocka_run_group_tests(pure, NULL, NULL) + cmocka_run_group_tests(disk, NULL, NULL) + cmocka_run_group_tests(memory, NULL, NULL);
}
