/* test_site_file.c — GET /f/…: types, names, ranges, and what is not there (any more). */
#include "site_fixture.h"

/* --- Pure parts. */

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
	assert_disposition(false, STR("my file (1).pdf"),
	                   "attachment; filename=\"my file (1).pdf\"; filename*=UTF-8''my%20file%20%281%29.pdf");
	assert_disposition(false, STR("Отчёт.pdf"),
	                   "attachment; filename=\"_____.pdf\"; filename*=UTF-8''%D0%9E%D1%82%D1%87%D1%91%D1%82.pdf");
	assert_disposition(
		false, STR("a\"b\\c%41;d\r\nSet-Cookie: x=1\n\t\x7f\0z"),
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
	static const char *const runs[] = { "text/html",
		                            "image/svg+xml",
		                            "application/xhtml+xml",
		                            "text/xml",
		                            "application/xml",
		                            "text/javascript",
		                            "application/javascript",
		                            "text/plain",
		                            "text/css",
		                            "application/octet-stream",
		                            "",
		                            "image/png;x",
		                            "image/",
		                            "application/x-shockwave-flash",
		                            "message/rfc822",
		                            "multipart/related",
		                            "image/png\r\nX: y" };

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

/* --- Files. */

static void add_file(struct fixture *f, const char *mime, const char *filename, const void *data, size_t n)
{
	struct msg m = {
		.id = ++f->last_id,
		.at_ms = 1000,
		.kind = MSG_FILE,
		.from_id = 7,
		.from_name = STR("Alice"),
		.size = n,
		.mime = { mime, strlen(mime) },
		.filename = { filename, strlen(filename) },
	};
	char hex[2 * WC_SECRET_BYTES + 1];

	wc_random(m.secret, sizeof(m.secret));
	if (!*filename) {
		m.kind = MSG_VOICE;
		m.duration = 1;
	}
	assert_int_equal(blob_put(f->site.blobs, data, n, m.sha), 0);
	assert_int_equal(store_begin(f->store), 0);
	assert_int_equal(store_put_msg(f->store, &m), 0);
	assert_int_equal(store_commit(f->store), 0);
	wc_hex(hex, m.secret, sizeof(m.secret));
	snprintf(f->url, sizeof(f->url), "/f/%s/some%%20name", hex);
}

#define SHOW "default-src 'none'; frame-ancestors 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
#define SAVE_CSP "sandbox; default-src 'none'; frame-ancestors 'none'"
#define PICTURE_CSP "sandbox; " SHOW
#define MEDIA_CSP "sandbox allow-same-origin; " SHOW

static void test_file_headers(void **state)
{
	struct fixture *f = *state;
	uint8_t sha[WC_SHA_BYTES];
	char etag[64], line[128], hex[2 * WC_SHA_BYTES + 1];
	add_file(f, "image/png", "cat.png", "0123456789", 10);
	struct answer a = get(f, f->url, NULL);
	assert_int_equal(a.status, 200);
	assert_body(&a, "0123456789", 10);
	assert_header(&a, "Content-Type", "image/png");
	assert_header(&a, "Content-Length", "10");
	assert_header(&a, "Content-Disposition", "inline; filename=\"cat.png\"; filename*=UTF-8''cat.png");
	assert_header(&a, "Cache-Control", "private, max-age=31536000, immutable");
	assert_header(&a, "Accept-Ranges", "bytes");
	assert_header(&a, "Content-Range", NULL);
	assert_header(&a, "X-Content-Type-Options", "nosniff");
	assert_header(&a, "Content-Security-Policy", PICTURE_CSP);
	assert_header(&a, "Cross-Origin-Resource-Policy", "same-origin");
	assert_header(&a, "Referrer-Policy", "no-referrer");
	snprintf(etag, sizeof(etag), "%.63s", header(&a, "ETag"));
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
	assert_header(&a, "Content-Security-Policy", PICTURE_CSP);
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
	/* clang-format off */
	static const struct {
		const char *mime, *filename, *served_as, *policy, *disposition;
	} rows[] = {
		{ "text/html", "x.html", "application/octet-stream", SAVE_CSP, "attachment; filename=\"x.html\"; filename*=UTF-8''x.html" },
		{ "image/svg+xml", "x.svg", "application/octet-stream", SAVE_CSP,
		  "attachment; filename=\"x.svg\"; filename*=UTF-8''x.svg" },
		{ "application/xhtml+xml", "x", "application/octet-stream", SAVE_CSP, "attachment; filename=\"x\"; filename*=UTF-8''x" },
		{ "text/html\r\nX-Evil: 1", "x", "application/octet-stream", SAVE_CSP, "attachment; filename=\"x\"; filename*=UTF-8''x" },
		{ "application/pdf", "x.pdf", "application/pdf", SAVE_CSP, "attachment; filename=\"x.pdf\"; filename*=UTF-8''x.pdf" },
		{ "image/png", "x.html", "image/png", PICTURE_CSP, "inline; filename=\"x.html\"; filename*=UTF-8''x.html" },
		{ "image/avif", "\"\r\nX-Evil: 1\r\n\r\n<script>", "image/avif", PICTURE_CSP,
		  "inline; filename=\"___X-Evil_ 1_____script_\"; filename*=UTF-8''%22__X-Evil%3A%201____%3Cscript%3E" },
		{ "video/mp4", "v.mp4", "video/mp4", MEDIA_CSP, "inline; filename=\"v.mp4\"; filename*=UTF-8''v.mp4" },
		{ "audio/x-m4a", "", "audio/mp4", MEDIA_CSP, "inline; filename=\"voice.m4a\"; filename*=UTF-8''voice.m4a" },
		{ "audio/webm", "", "audio/webm", MEDIA_CSP, "inline; filename=\"voice.webm\"; filename*=UTF-8''voice.webm" },
		{ "", "", "application/octet-stream", SAVE_CSP, "attachment; filename=\"voice.bin\"; filename*=UTF-8''voice.bin" },
	};
	/* clang-format on */

	for (size_t i = 0; i < WC_LEN(rows); i++) {
		add_file(f, rows[i].mime, rows[i].filename, "<script>alert(1)</script>", 25);
		struct answer a = get(f, f->url, NULL);
		assert_int_equal(a.status, 200);
		assert_header(&a, "Content-Type", rows[i].served_as);
		assert_header(&a, "Content-Disposition", rows[i].disposition);
		assert_header(&a, "X-Evil", NULL);
		assert_header(&a, "X-Content-Type-Options", "nosniff");
		assert_header(&a, "Content-Security-Policy", rows[i].policy);
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
	snprintf(etag, sizeof(etag), "%.63s", header(&a, "ETag"));
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
	add_file(f, "image/png", "a.png", "abc", 3);
	/* The name is decoration. */
	assert_status(f, "GET", f->url, NULL, 200);
	size_t len = strlen("/f/") + 2 * WC_SECRET_BYTES;
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
	assert_int_equal(store_begin(f->store), 0);
	assert_int_equal(store_evict_files(f->store, 0, 10, no_more, &touched), 1);
	assert_int_equal(store_commit(f->store), 0);
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

	f->site.max_file_mb = 16;
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
		cmocka_unit_test(test_dispositions),
		cmocka_unit_test(test_media),
	};
	const struct CMUnitTest disk[] = {
		cmocka_unit_test_setup_teardown(test_file_headers, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_file_types, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_file_ranges, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_file_missing, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_file_large, set_up_disk, tear_down),
	};
	const struct CMUnitTest memory[] = {
		cmocka_unit_test_setup_teardown(test_file_headers, set_up_memory, tear_down),
		cmocka_unit_test_setup_teardown(test_file_ranges, set_up_memory, tear_down),
		cmocka_unit_test_setup_teardown(test_file_large, set_up_memory, tear_down),
	};

	wc_thread_is(ROLE_MAIN, "test");
	log_setup(LOG_ERROR, LOG_TEXT);
	return cmocka_run_group_tests(pure, NULL, NULL) + cmocka_run_group_tests(disk, NULL, NULL) +
	       cmocka_run_group_tests(memory, NULL, NULL);
}
