/* test_httpcheck.c — the strict header: what passes, what does not and with which status, and that the pieces it comes in do not
 * matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/httpcheck.h"

/* The judgement of bytes received at once: 0, or the status to refuse with; -1 while the header is not whole. */
static int judge(const void *p, size_t n, struct http_check *out)
{
	struct http_scan scan = { 0 };
	struct http_check ignored;
	int len = httpcheck_scan(&scan, p, n);
	if (len <= 0)
		return len ? -len : -1;
	return httpcheck_head(p, (size_t)len, out ? out : &ignored);
}

/* The same bytes one by one, in memory of exactly their size, so that a sanitizer sees a step too far. */
static int judge_slowly(const void *p, size_t n)
{
	struct http_scan scan = { 0 };
	struct http_check ignored;
	for (size_t i = 1; i <= n; i++) {
		uint8_t *exact = malloc(i);
		int status = 0;
		memcpy(exact, p, i);
		int len = httpcheck_scan(&scan, exact, i);
		if (len > 0)
			status = httpcheck_head(exact, (size_t)len, &ignored);
		free(exact);
		if (len)
			return len < 0 ? -len : status;
	}
	return -1;
}

#define H "Host: a\r\n"
#define G "GET / HTTP/1.1\r\n" H

static void check_refused(void **state)
{
	static const struct {
		int status;
		const char *text;
	} rows[] = {
		/* request line */
		{ 400, "GET  / HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET / HTTP/1.1 \r\n" H "\r\n" },
		{ 400, " GET / HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /\r\n\r\n" },
		{ 400, "GET / a HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /\tHTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET\t/ HTTP/1.1\r\n" H "\r\n" },
		{ 400, "G@T / HTTP/1.1\r\n" H "\r\n" },
		{ 501, "BREW / HTTP/1.1\r\n" H "\r\n" },
		{ 501, "get / HTTP/1.1\r\n" H "\r\n" },
		{ 501, "TRACE / HTTP/1.1\r\n" H "\r\n" },
		{ 501, "PRI * HTTP/1.1\r\n\r\n" },
		{ 501, "CONNECT a:80 HTTP/1.1\r\n" H "\r\n" },
		{ 505, "PRI * HTTP/2.0\r\n\r\n" },
		{ 505, "GET / HTTP/2.0\r\n" H "\r\n" },
		{ 505, "GET / HTTP/0.9\r\n\r\n" },
		{ 505, "GET / HTTP/1.2\r\n" H "\r\n" },
		{ 400, "GET / http/1.1\r\n" H "\r\n" },
		{ 400, "GET / HTTP/1.1x\r\n" H "\r\n" },
		{ 400, "GET / HTTP/11\r\n" H "\r\n" },
		{ 400, "GET / FTP/1.1\r\n" H "\r\n" },
		{ 400, "hello\r\n" },
		{ 400, "EHLO mail.example\r\n" },
		/* target */
		{ 400, "GET http://b/ HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET http://a:8080/ HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET http://a/ HTTP/1.0\r\n\r\n" },
		{ 400, "GET http://u@a/ HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET http:/// HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET http:// HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET http://a#b HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET http://a/%00 HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET ftp://a/ HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET ?x HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET a HTTP/1.1\r\n" H "\r\n" },
		{ 400, "OPTIONS * HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /a#b HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /\xd0\xbc HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /% HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /%4 HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /%zz HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /health%00 HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /?a=%00 HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /?a=%g0 HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /%0d%0aSet-Cookie:a HTTP/1.1\r\n" H "\r\n" },
		{ 400, "GET /%7f HTTP/1.1\r\n" H "\r\n" },
		/* line ends and bytes that have no place */
		{ 400, "GET / HTTP/1.1\n" H "\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: a\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\r\n" H "\r\n" },
		{ 400, G "X: a\x01\r\n\r\n" },
		{ 400, G "X: a\x7f\r\n\r\n" },
		{ 400, "\x16\x03\x01\x02" },
		/* field lines */
		{ 400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n" },
		{ 400, G "X: a\r\n b\r\n\r\n" },
		{ 400, G "X: a\r\n\tb\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n" },
		{ 400, G "no colon\r\n\r\n" },
		{ 400, G ": a\r\n\r\n" },
		{ 400, G "a b: c\r\n\r\n" },
		{ 400, G "a(b): c\r\n\r\n" },
		{ 417, G "Expect: 200-maybe\r\n\r\n" },
		/* host */
		{ 400, "GET / HTTP/1.1\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost:\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: \t \r\n\r\n" },
		{ 400, G "Host: a\r\n\r\n" },
		{ 400, "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: [::1]80\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: []\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: a]\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n" },
		{ 400, G "Origin: http://a\r\nOrigin: http://b\r\n\r\n" },
		/* body framing */
		{ 400, G "Content-Length: 3x\r\n\r\n" },
		{ 400, G "Content-Length: +3\r\n\r\n" },
		{ 400, G "Content-Length: -3\r\n\r\n" },
		{ 400, G "Content-Length: 0x3\r\n\r\n" },
		{ 400, G "Content-Length: 3 3\r\n\r\n" },
		{ 400, G "Content-Length: 3, 3\r\n\r\n" },
		{ 400, G "Content-Length: 3.0\r\n\r\n" },
		{ 400, G "Content-Length:\r\n\r\n" },
		{ 400, G "Content-Length: \t \r\n\r\n" },
		{ 400, G "Content-Length: 3\r\nContent-Length: 3\r\n\r\n" },
		{ 400, G "Content-Length: 3\r\ncontent-length: 4\r\n\r\n" },
		{ 413, G "Content-Length: 9223372036854775808\r\n\r\n" },
		{ 413, G "Content-Length: 99999999999999999999999999999999\r\n\r\n" },
		{ 411, G "Transfer-Encoding: chunked\r\n\r\n" },
		{ 411, G "transfer-encoding:\tCHUNKED \r\n\r\n" },
		{ 501, G "Transfer-Encoding: gzip, chunked\r\n\r\n" },
		{ 501, G "Transfer-Encoding: identity\r\n\r\n" },
		{ 501, G "Transfer-Encoding: \r\n\r\n" },
		{ 501, G "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" },
		{ 400, G "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" },
		{ 400, G "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" },
		{ 400, "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		int at_once = judge(rows[i].text, strlen(rows[i].text), NULL), slowly = judge_slowly(rows[i].text, strlen(rows[i].text));
		if (at_once != rows[i].status || slowly != rows[i].status)
			fail_msg("%d at once and %d slowly instead of %d: %s", at_once, slowly, rows[i].status, rows[i].text);
	}
}

static void check_nul_bytes(void **state)
{
	static const char in_line[] = "GET /\0a HTTP/1.1\r\n" H "\r\n", in_value[] = G "X: a\0b\r\n\r\n";

	(void)state;
	assert_int_equal(judge(in_line, sizeof(in_line) - 1, NULL), 400);
	assert_int_equal(judge(in_value, sizeof(in_value) - 1, NULL), 400);
}

static void check_accepted(void **state)
{
	static const struct {
		const char *text;
		int64_t length;
		bool head, http10, keeps, expects;
	} rows[] = {
		{ G "\r\n", -1, false, false, true, false },
		{ "HEAD /a/b?c=d&e=%0a HTTP/1.1\r\nhOST:\t a.example:8080 \t\r\n\r\n", -1, true, false, true, false },
		{ "GET / HTTP/1.0\r\n\r\n", -1, false, true, false, false },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", -1, false, true, true, false },
		{ G "Connection: close\r\n\r\n", -1, false, false, false, false },
		{ G "Connection: TE, Close\r\n\r\n", -1, false, false, false, false },
		{ G "Connection: keep-alive, close\r\n\r\n", -1, false, false, false, false },
		{ G "Connection: foo\r\nConnection: close\r\n\r\n", -1, false, false, false, false },
		{ G "Connection: , ,\r\n\r\n", -1, false, false, true, false },
		{ "POST /upload HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 0, false, false, true, false },
		{ "POST /upload HTTP/1.1\r\n" H "Content-Length: \t003 \r\n\r\n", 3, false, false, true, false },
		{ "PUT / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\nExpect: 100-Continue\r\n\r\n", INT64_MAX, false, false,
		  true, true },
		{ "PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", 1, false, true, false, false },
		{ "GET /%D0%BC%2e?%ff HTTP/1.1\r\nHost: [::1]:8080\r\nX-Empty:\r\nX: caf\xc3\xa9 \t x\r\n\r\n", -1, false, false, true,
		  false },
		{ "GET /%D0%BC HTTP/1.1\r\n" H "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n", -1, false, false, true, false },
		{ "GET http://a/ HTTP/1.1\r\n" H "\r\n", -1, false, false, true, false },
		{ "GET HTTPS://A?b HTTP/1.1\r\n" H "\r\n", -1, false, false, true, false },
		{ "GET http://a HTTP/1.1\r\n" H "\r\n", -1, false, false, true, false },
		{ G "\r\nGET /next HTTP/1.1\r\n", -1, false, false, true, false },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct http_check c;
		int status = judge(rows[i].text, strlen(rows[i].text), &c);
		if (status || judge_slowly(rows[i].text, strlen(rows[i].text)))
			fail_msg("%d for: %s", status, rows[i].text);
		assert_int_equal(c.content_length, rows[i].length);
		assert_int_equal(c.is_head, rows[i].head);
		assert_int_equal(c.is_http10, rows[i].http10);
		if (c.keeps_alive != rows[i].keeps)
			fail_msg("keeps_alive %d for: %s", c.keeps_alive, rows[i].text);
		assert_int_equal(c.expects_continue, rows[i].expects);
		assert_false(c.is_websocket);
	}
}

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define UP "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
#define WS "GET /ws HTTP/1.1\r\n" H UP

static void check_websocket(void **state)
{
	static const struct {
		int status; /* -1: not a handshake at all */
		const char *text;
	} rows[] = {
		{ 0, WS KEY V13 "\r\n" },
		{ 0, WS V13 KEY "Content-Length: 0\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n" },
		{ 0, "GET /ws HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" KEY V13 "\r\n" },
		{ 0, "GET /ws HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c, WebSocket\r\n" KEY V13 "\r\n" },
		{ 0, "GET http://a/ws HTTP/1.1\r\n" H UP KEY V13 "\r\n" },
		{ -1, "GET /ws HTTP/1.1\r\n" H "Upgrade: websocket\r\n" KEY V13 "\r\n" },
		{ -1, "GET /ws HTTP/1.1\r\n" H "Connection: upgrade\r\n" KEY V13 "\r\n" },
		{ -1, "GET /ws HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocketx\r\n" KEY V13 "\r\n" },
		{ 400, "POST /ws HTTP/1.1\r\n" H UP KEY V13 "\r\n" },
		{ 400, "HEAD /ws HTTP/1.1\r\n" H UP KEY V13 "\r\n" },
		{ 400, "GET /ws HTTP/1.0\r\n" H UP KEY V13 "\r\n" },
		{ 400, WS KEY V13 "Content-Length: 5\r\n\r\n" },
		{ 426, WS KEY "\r\n" },
		{ 426, WS KEY "Sec-WebSocket-Version: 12\r\n\r\n" },
		{ 426, WS KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n" },
		{ 426, WS KEY V13 V13 "\r\n" },
		{ 400, WS V13 "\r\n" },
		{ 400, WS V13 KEY KEY "\r\n" },
		{ 400, WS V13 "Sec-WebSocket-Key:\r\n\r\n" },
		{ 400, WS V13 "Sec-WebSocket-Key: short\r\n\r\n" },
		{ 400, WS V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQA=\r\n\r\n" },
		{ 400, WS V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==A\r\n\r\n" },
		{ 400, WS V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j-Q==\r\n\r\n" },
		{ 400, WS V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ====\r\n\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct http_check c;
		int status = judge(rows[i].text, strlen(rows[i].text), &c);
		/* Off the WebSocket's path all of these are ordinary requests. */
		if (status)
			fail_msg("%d for: %s", status, rows[i].text);
		if (c.is_websocket != (rows[i].status >= 0) || (c.is_websocket && c.ws_status != rows[i].status))
			fail_msg("%d %d instead of %d for: %s", c.is_websocket, c.ws_status, rows[i].status, rows[i].text);
	}
}

/* What civetweb is given: never longer, still a good header, with nothing in it that it could take for an upgrade that it is not. */
static void check_simplified(void **state)
{
	static const struct {
		bool is_websocket;
		const char *given, *wanted;
	} rows[] = {
		{ false, G "\r\n", G "\r\n" },
		{ false, "GET http://a HTTP/1.1\r\n" H "\r\n", G "\r\n" },
		{ false, "GET http://a?b=/ HTTP/1.1\r\n" H "\r\n", "GET /?b=/ HTTP/1.1\r\n" H "\r\n" },
		{ false, "GET https://a/b?http://c HTTP/1.1\r\n" H "\r\n", "GET /b?http://c HTTP/1.1\r\n" H "\r\n" },
		{ false, G "Connection: Upgrade\r\nUpgrade: h2c\r\nX: y\r\n\r\n", G "-onnection: Upgrade\r\n-pgrade: h2c\r\nX: y\r\n\r\n" },
		{ true, G "Connection: a\r\nconnection: b, upgrade\r\nUpgrade: c\r\nUPGRADE: WebSocket\r\n\r\n",
		  G "-onnection: a\r\nconnection: b, upgrade\r\n-pgrade: c\r\nUPGRADE: WebSocket\r\n\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		char text[256];
		size_t n = strlen(rows[i].given);
		memcpy(text, rows[i].given, n);
		n = httpcheck_simplify(text, n, rows[i].is_websocket);
		if (n != strlen(rows[i].wanted) || memcmp(text, rows[i].wanted, n) != 0)
			fail_msg("%.*s instead of %s", (int)n, text, rows[i].wanted);
	}
}

static void check_sizes(void **state)
{
	char *text = malloc(200000);
	size_t n;
	(void)state;
	/* A header of exactly the limit passes; one byte more does not, nor does one that never ends. */
	for (size_t extra = 0; extra < 2; extra++) {
		n = (size_t)sprintf(text, G "X: ");
		memset(text + n, 'x', HTTP_HEAD_BYTES);
		strcpy(text + HTTP_HEAD_BYTES + extra - 4, "\r\n\r\n");
		assert_int_equal(judge(text, HTTP_HEAD_BYTES + extra, NULL), extra ? 431 : 0);
		assert_int_equal(judge_slowly(text, HTTP_HEAD_BYTES + extra), extra ? 431 : 0);
	}
	memset(text + n, 'x', 100000);
	assert_int_equal(judge(text, 100000, NULL), 431);
	memset(text, 'x', 100000);
	assert_int_equal(judge(text, 100000, NULL), 431);
	assert_int_equal(judge(text, HTTP_HEAD_BYTES - 1, NULL), -1);

	for (size_t target = HTTP_TARGET_BYTES; target < HTTP_TARGET_BYTES + 2; target++) {
		n = (size_t)sprintf(text, "GET /");
		memset(text + n, 'x', target - 1);
		strcpy(text + n + target - 1, " HTTP/1.1\r\n" H "\r\n");
		assert_int_equal(judge(text, strlen(text), NULL), target > HTTP_TARGET_BYTES ? 414 : 0);
	}

	for (int lines = HTTP_HEAD_LINES; lines < HTTP_HEAD_LINES + 2; lines++) {
		strcpy(text, G);
		for (int i = 1; i < lines; i++)
			strcat(text, "X: y\r\n");
		strcat(text, "\r\n");
		assert_int_equal(judge(text, strlen(text), NULL), lines > HTTP_HEAD_LINES ? 431 : 0);
	}
	free(text);
}

/* Whatever the bytes are, they are judged within their bounds, the same at once and slowly; the sanitizers watch. */
static void check_mutations(void **state)
{
	static const char seed[] = WS KEY V13 "Content-Length: 3\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nX: a\t b\r\n\r\n";
	static const char bytes[] = "\0\r\n\t :,;%/?#AaZz09-_=\x7f\x80\xff";
	unsigned rng = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint8_t text[sizeof(seed) - 1];
		size_t n = sizeof(text);
		memcpy(text, seed, n);
		for (int i = 0; i < 1 + round % 3; i++) {
			rng = rng * 1103515245 + 12345;
			text[(rng >> 8) % n] = (uint8_t)bytes[(rng >> 20) % (sizeof(bytes) - 1)];
		}
		uint8_t *exact = malloc(n);
		memcpy(exact, text, n);
		int status = judge(exact, n, NULL);
		free(exact);
		assert_true(status == -1 || status == 0 || (status >= 400 && status <= 505));
		if (round % 50 == 0)
			assert_int_equal(judge_slowly(text, n), status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_refused),   cmocka_unit_test(check_nul_bytes),  cmocka_unit_test(check_accepted),
		cmocka_unit_test(check_websocket), cmocka_unit_test(check_simplified), cmocka_unit_test(check_sizes),
		cmocka_unit_test(check_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
