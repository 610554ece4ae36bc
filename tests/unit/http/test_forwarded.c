/* test_forwarded.c — whom the headers of a proxy name, and what a client that forges them gains: nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/ip.h"
#include "http/forwarded.h"

static struct ip_net nets[3];
static const struct ip_nets proxies = { nets, WC_LEN(nets) };

static int setup(void **state)
{
	(void)state;
	return ip_net_parse("127.0.0.1", nets[0].addr, &nets[0].bits) && ip_net_parse("10.0.0.0/8", nets[1].addr, &nets[1].bits) &&
	                       ip_net_parse("2001:db8:1::/48", nets[2].addr, &nets[2].bits)
	               ? 0
	               : -1;
}

#define XFF(list) "X-Forwarded-For: " list "\r\n"
#define FWD(list) "Forwarded: " list "\r\n"

static void check_clients(void **state)
{
	static const struct {
		const char *lines, *client; /* NULL: none is named; "": the two kinds of list do not agree */
		bool is_https;
	} rows[] = {
		{ "", NULL, false },
		{ XFF("192.0.2.1"), "192.0.2.1", false },
		{ XFF("  192.0.2.1 \t"), "192.0.2.1", false },
		{ XFF("192.0.2.1:4711"), "192.0.2.1", false },
		{ XFF("2001:db8::1"), "2001:db8::1", false },
		{ XFF("[2001:db8::1]"), "2001:db8::1", false },
		{ XFF("[2001:db8::1]:443"), "2001:db8::1", false },
		{ XFF("::ffff:192.0.2.1"), "192.0.2.1", false },
		/* the rightmost that is not ours */
		{ XFF("198.51.100.7, 192.0.2.1"), "192.0.2.1", false },
		{ XFF("198.51.100.7, 192.0.2.1, 10.1.2.3"), "192.0.2.1", false },
		{ XFF("198.51.100.7, 192.0.2.1, 10.1.2.3,127.0.0.1"), "192.0.2.1", false },
		{ XFF("198.51.100.7,10.9.9.9, 192.0.2.1, 2001:db8:1::5"), "192.0.2.1", false },
		{ XFF("198.51.100.7") XFF("192.0.2.1"), "192.0.2.1", false },
		{ XFF("192.0.2.1") XFF("10.1.2.3"), "192.0.2.1", false },
		{ XFF("192.0.2.1,,"), "192.0.2.1", false },
		/* somebody inside */
		{ XFF("10.7.7.7"), "10.7.7.7", false },
		{ XFF("10.7.7.7, 10.1.2.3"), "10.7.7.7", false },
		/* what is no address ends the trust in what stands before */
		{ XFF("192.0.2.1, unknown"), NULL, false },
		{ XFF("192.0.2.1, unknown, 10.1.2.3"), "10.1.2.3", false },
		{ XFF("unknown, 192.0.2.1"), "192.0.2.1", false },
		{ XFF("unknown"), NULL, false },
		{ XFF(""), NULL, false },
		{ XFF("1.2.3"), NULL, false },
		{ XFF("1.2.3.4.5"), NULL, false },
		{ XFF("1.2.3.4:"), NULL, false },
		{ XFF("1.2.3.4:99999"), NULL, false },
		{ XFF("[2001:db8::1"), NULL, false },
		{ XFF("[2001:db8::1]x"), NULL, false },
		{ XFF("[]"), NULL, false },
		{ XFF("fe80::1%eth0"), NULL, false },
		{ XFF("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), NULL, false },
		/* a quote that the client opens swallows nothing */
		{ XFF("\"198.51.100.7, 192.0.2.1"), "192.0.2.1", false },
		{ FWD("for=\"198.51.100.7, for=192.0.2.1"), "192.0.2.1", false },
		{ FWD("for=\"x;, for=\"[2001:db8::1]:80\""), "2001:db8::1", false },
		/* RFC 7239 */
		{ FWD("for=192.0.2.1"), "192.0.2.1", false },
		{ FWD("For=\"192.0.2.1:80\";Proto=https;by=10.0.0.1"), "192.0.2.1", true },
		{ FWD("for=192.0.2.1;proto=http"), "192.0.2.1", false },
		{ FWD("proto=https;for=\"[2001:db8::1]\""), "2001:db8::1", true },
		{ FWD("for=198.51.100.7, for=192.0.2.1, for=10.0.0.2"), "192.0.2.1", false },
		{ FWD("for=198.51.100.7") FWD("for=192.0.2.1"), "192.0.2.1", false },
		{ FWD("for=192.0.2.1, for=_hidden"), NULL, false },
		{ FWD("for=192.0.2.1, by=10.0.0.1"), NULL, false },
		{ FWD("for"), NULL, false },
		/* both: one of them may be the client's own */
		{ FWD("for=198.51.100.7") XFF("192.0.2.1"), "", false },
		{ XFF("127.0.0.1") FWD("for=192.0.2.1"), "", false },
		{ XFF("192.0.2.1") FWD("for=unknown"), "", false },
		{ FWD("for=192.0.2.1") XFF("192.0.2.1, 10.0.0.2"), "192.0.2.1", false },
		/* how they came */
		{ XFF("192.0.2.1") "X-Forwarded-Proto: https\r\n", "192.0.2.1", true },
		{ XFF("192.0.2.1") "x-forwarded-proto: HTTPS\r\n", "192.0.2.1", true },
		{ XFF("192.0.2.1") "X-Forwarded-Proto: http\r\n", "192.0.2.1", false },
		{ XFF("192.0.2.1") "X-Forwarded-Proto: https, http\r\n", "192.0.2.1", false },
		{ XFF("192.0.2.1") "X-Forwarded-Proto: http\r\n" FWD("for=192.0.2.1;proto=https"), "192.0.2.1", false },
		{ XFF("192.0.2.1") "X-Forwarded-Proto: httpsx\r\n", "192.0.2.1", false },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct sockaddr_storage peer;
		struct sockaddr_in hop = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		char head[1024], text[IP_NET_TEXT] = "";
		uint8_t addr[16];
		bool is_https = !rows[i].is_https;
		memset(&peer, 0, sizeof(peer));
		memcpy(&peer, &hop, sizeof(hop));
		snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\n%sX: y\r\n\r\n", rows[i].lines);
		bool is_refused = rows[i].client && !rows[i].client[0];
		int named = forwarded_read((const uint8_t *)head, strlen(head), &proxies, &peer, &is_https);
		assert_true(ip_bytes(&peer, addr));
		ip_net_text(addr, 128, text);
		char *wanted = (char *)(uintptr_t)(rows[i].client && !is_refused ? rows[i].client : "127.0.0.1");
		if (named != (is_refused ? -WC_EBAD : rows[i].client != NULL) || strcmp(text, wanted) != 0 || is_https != rows[i].is_https)
			fail_msg("%s, https %d for %s", named > 0 ? text : named ? "refused" : "none", is_https, rows[i].lines);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(check_clients) };
	return cmocka_run_group_tests(tests, setup, NULL);
}
