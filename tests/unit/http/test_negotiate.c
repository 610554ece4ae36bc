/* test_negotiate.c — If-None-Match, Accept-Encoding and Range, well-formed and not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/negotiate.h"

static void test_accepts_gzip(void **state)
{
	static const struct {
		const char *header;
		bool yes;
	} rows[] = {
		{ NULL, false },
		{ "", false },
		{ "gzip", true },
		{ "GZip", true },
		{ "x-gzip", true },
		{ "gzip, deflate, br, zstd", true },
		{ "deflate", false },
		{ "br;q=1.0, gzip;q=0.8, *;q=0.1", true },
		{ "gzip;q=0", false },
		{ "gzip;q=0.0", false },
		{ "gzip;q=0.000", false },
		{ "gzip;q=0.001", true },
		{ "gzip ; q=0.5", true },
		{ "gzip; Q=0", false },
		{ "*", true },
		{ "*;q=0", false },
		{ "*, gzip;q=0", false },
		{ "gzip;q=0, *", false },
		{ "identity", false },
		{ "identity, gzip;q=0.5", false },
		{ "identity;q=0.5, gzip", true },
		{ "identity;q=0, gzip", true },
		{ "gzip;q=", false },
		{ "gzip;q=abc", false },
		{ "gzip;q=2", false },
		{ "gzip;q=1.0000000000000000000000000", true },
		{ "gzipped", false },
		{ ",,gzip,,", true },
		{ "\tgzip\t", true },
		{ "gzip;q=-1", false },
		{ ";q=1", false },
		{ ",", false },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++)
		if (http_accepts_gzip(rows[i].header) != rows[i].yes)
			fail_msg("Accept-Encoding: %s", rows[i].header);
}

static void test_etag_matches(void **state)
{
	(void)state;
	assert_false(http_etag_matches(NULL, "\"a\""));
	assert_false(http_etag_matches("", "\"a\""));
	assert_true(http_etag_matches("\"a\"", "\"a\""));
	assert_true(http_etag_matches("W/\"a\"", "\"a\""));
	assert_true(http_etag_matches("\"x\", \"y\" ,W/\"a\"", "\"a\""));
	assert_true(http_etag_matches("*", "\"a\""));
	assert_false(http_etag_matches("a", "\"a\""));
	assert_false(http_etag_matches("\"ab\", \"A\", w/\"a\"", "\"a\""));
	assert_false(http_etag_matches("W/", "\"a\""));
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
		enum http_range kind = http_parse_range(rows[i].header, rows[i].size, &from, &len);
		if ((int)kind != rows[i].kind || from != rows[i].from || len != rows[i].len)
			fail_msg("%s of %llu: kind %d from %llu len %llu", rows[i].header, (unsigned long long)rows[i].size, (int)kind,
			         (unsigned long long)from, (unsigned long long)len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts_gzip),
		cmocka_unit_test(test_etag_matches),
		cmocka_unit_test(test_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
