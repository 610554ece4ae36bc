/* test_site.c — the page and its parts, /health, and what is nowhere. */
#include "site_fixture.h"

#include "site/assets.h"

/* In the place of the embedded page: what is gzipped, what is not, and what has nothing but the gzipped form. */
static const uint8_t page_gz[] = "\x1f\x8bgzipped page", page_plain[] = "<!doctype html><title>plain page</title>", icon_plain[] = "icon",
		     only_gz[] = "\x1f\x8bonly";
const struct asset wc_assets[] = {
	{ "/", "text/html; charset=utf-8", "\"page1\"", "default-src 'none'; script-src 'sha256-abc='", page_gz, sizeof(page_gz) - 1,
	  page_plain, sizeof(page_plain) - 1, false },
	{ "/icon.svg", "image/svg+xml", "\"icon1\"", NULL, NULL, 0, icon_plain, sizeof(icon_plain) - 1, true },
	{ "/only.js", "text/javascript", "\"only1\"", NULL, only_gz, sizeof(only_gz) - 1, NULL, 0, false },
	{ 0 },
};

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
	assert_non_null(strstr(header(&a, "Content-Security-Policy"), "connect-src 'self'")); /* a worker's fetches go by it */
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

int main(void)
{
	const struct CMUnitTest disk[] = {
		cmocka_unit_test_setup_teardown(test_page_encodings, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_page_not_modified, set_up_disk, tear_down),
		cmocka_unit_test_setup_teardown(test_health_and_unknown, set_up_disk, tear_down),
	};

	wc_thread_is(ROLE_MAIN, "test");
	log_setup(LOG_ERROR, LOG_TEXT);
	return cmocka_run_group_tests(disk, NULL, NULL);
}
