/* test_origin.c — which pages may talk to which host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/origin.h"

static void check_own_pages(void **state)
{
	static const struct {
		const char *origin, *host;
		bool over_plain, over_https; /* may it, where the scheme is unknown, and where it is known to be https? */
	} rows[] = {
		{ "http://chat.example", "chat.example", true, false },
		{ "https://chat.example", "chat.example", true, true }, /* a proxy speaks TLS for us */
		{ "https://chat.example", "CHAT.example", true, true },
		{ "https://chat.example", "chat.example:443", true, true },
		{ "http://chat.example", "chat.example:80", true, false },
		{ "https://chat.example:8443", "chat.example:8443", true, true },
		{ "http://chat.example:8080", "chat.example:8080", true, false },
		{ "http://[2001:db8::1]:8080", "[2001:db8::1]:8080", true, false },
		{ "http://127.0.0.1:8080", "127.0.0.1:8080", true, false },
		/* another host, another port */
		{ "https://evil.example", "chat.example", false, false },
		{ "https://chat.example.evil.example", "chat.example", false, false },
		{ "https://evilchat.example", "chat.example", false, false },
		{ "https://example", "chat.example", false, false },
		{ "http://localhost", "127.0.0.1", false, false },
		{ "http://chat.example:8081", "chat.example:8080", false, false },
		{ "http://chat.example", "chat.example:8080", false, false },
		{ "http://chat.example:8080", "chat.example", false, false },
		{ "https://chat.example", "chat.example:80", false, false },
		{ "http://chat.example", "chat.example:443", false, false },
		/* no page of ours */
		{ "null", "chat.example", false, false },
		{ "null", "null", false, false },
		{ "*", "*", false, false },
		{ "", "chat.example", false, false },
		{ "chat.example", "chat.example", false, false },
		{ "//chat.example", "chat.example", false, false },
		{ "ftp://chat.example", "chat.example", false, false },
		{ "chrome-extension://chat.example", "chat.example", false, false },
		{ "https://chat.example/", "chat.example", false, false },
		{ "https://chat.example/path", "chat.example", false, false },
		{ "https://user@chat.example", "chat.example", false, false },
		{ "https://chat.example https://evil.example", "chat.example", false, false },
		{ "https://chat.example:", "chat.example", true, true },
		{ "https://chat.example:x", "chat.example", false, false },
		{ "https://chat.example", "", false, false },
		{ "https://[::1", "[::1", false, false },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++)
		for (int https = 0; https < 2; https++)
			if (origin_may(str_of(rows[i].origin), str_of(rows[i].host), https, NULL) !=
			    (https ? rows[i].over_https : rows[i].over_plain))
				fail_msg("%s at %s, https %d", rows[i].origin, rows[i].host, https);
}

static void check_list(void **state)
{
	char *some[] = { (char *)"https://other.example", (char *)"http://dev.example:3000", (char *)"null", NULL };
	char *all[] = { (char *)"*", NULL };
	static const struct {
		const char *origin;
		bool in_some, in_all;
	} rows[] = {
		{ "https://other.example", true, true },
		{ "HTTPS://Other.Example:443", true, true },
		{ "http://other.example", false, true },
		{ "http://dev.example:3000", true, true },
		{ "http://dev.example", false, true },
		{ "null", true, true },
		{ "*", false, false },
		{ "garbage", false, false },
		{ "https://a\r\nX: y", false, false },
		{ "https://other.example:0443", true, true },
		{ "https://other.example:000443", false, false },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		assert_int_equal(origin_is_listed(str_of(rows[i].origin), some), rows[i].in_some);
		assert_int_equal(origin_is_listed(str_of(rows[i].origin), all), rows[i].in_all);
		assert_false(origin_is_listed(str_of(rows[i].origin), NULL));
		assert_int_equal(origin_may(str_of(rows[i].origin), str_of("chat.example"), true, some), rows[i].in_some);
	}
	/* A list takes nothing away from the server's own pages. */
	assert_true(origin_may(str_of("https://chat.example"), str_of("chat.example"), true, some));
}

static void check_normal_form(void **state)
{
	static const struct {
		const char *given, *normal; /* NULL: none */
	} rows[] = {
		{ "https://Chat.Example", "https://chat.example" },
		{ "https://chat.example:443", "https://chat.example" },
		{ "http://chat.example:80", "http://chat.example" },
		{ "http://chat.example:443", "http://chat.example:443" },
		{ "http://[::1]:3000", "http://[::1]:3000" },
		{ "moz-extension://0a-1b", "moz-extension://0a-1b" },
		{ "null", "null" },
		{ "*", "*" },
		{ "chat.example", NULL },
		{ "https://", NULL },
		{ "https://chat.example/", NULL },
		{ "https://*.example", "https://*.example" }, /* a name like another: there are no patterns */
		{ "1http://a", NULL },
	};
	char out[ORIGIN_BYTES], longest[512] = "https://";

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		assert_int_equal(origin_normalize(str_of(rows[i].given), out), rows[i].normal != NULL);
		if (rows[i].normal)
			assert_string_equal(out, rows[i].normal);
	}
	memset(longest + 8, 'a', 400);
	assert_false(origin_normalize(str_of(longest), out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_own_pages),
		cmocka_unit_test(check_list),
		cmocka_unit_test(check_normal_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
