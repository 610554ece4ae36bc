/* test_ip.c — addresses and networks read, written and compared. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/ip.h"

static void reads_and_writes(void **state)
{
	static const struct {
		const char *given, *text; /* NULL: refused */
	} cases[] = {
		{ "10.1.2.3", "10.1.2.3" },
		{ "10.1.2.3/8", "10.0.0.0/8" },
		{ "10.1.2.3/32", "10.1.2.3" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "2001:db8::/32", "2001:db8::/32" },
		{ "2001:DB8::1", "2001:db8::1" },
		{ "2001:db8:ffff::1/33", "2001:db8:8000::/33" },
		{ "::ffff:10.1.2.3", "10.1.2.3" },
		{ "::/0", "::/0" },
		{ "10.1.2.3/33", NULL },
		{ "::/129", NULL },
		{ "10.1.2", NULL },
		{ "10.1.2.3/", NULL },
		{ "10.1.2.3/ 8", NULL },
		{ "10.1.2.3/0008", NULL },
		{ "/8", NULL },
		{ "", NULL },
		{ "example.org", NULL },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		char text[IP_NET_TEXT];
		uint8_t addr[16];
		int bits;

		const bool is_read = ip_net_parse(cases[i].given, addr, &bits);
		if (is_read != (cases[i].text != NULL))
			fail_msg("\"%s\"", cases[i].given);
		if (!is_read)
			continue;
		ip_net_text(addr, bits, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void address(const char *text, uint8_t out[16])
{
	int bits;

	assert_true(ip_net_parse(text, out, &bits));
	assert_int_equal(bits, 128);
}

static void counts_households(void **state)
{
	static const struct {
		const char *one, *other;
		bool is_same;
	} cases[] = {
		{ "10.1.2.3", "10.1.2.3", true },
		{ "10.1.2.3", "10.1.2.4", false },
		{ "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true },
		{ "2001:db8:1:2::1", "2001:db8:1:3::1", false },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		uint8_t a[16], b[16], net_a[16], net_b[16];

		address(cases[i].one, a);
		address(cases[i].other, b);
		const int bits = ip_household(a, net_a);
		assert_int_equal(bits, ip_is_v4(a) ? 128 : 64);
		assert_int_equal(ip_household(b, net_b), bits);
		assert_int_equal(memcmp(net_a, net_b, sizeof(net_a)) == 0, cases[i].is_same);
		assert_true(ip_in_net(a, net_a, bits));
		assert_int_equal(ip_in_net(b, net_a, bits), cases[i].is_same);
	}
}

static void knows_loopback(void **state)
{
	uint8_t a[16];
	struct sockaddr_storage unix_socket = { .ss_family = AF_UNIX };

	(void)state;
	address("127.9.9.9", a);
	assert_true(ip_is_loopback(a));
	address("::1", a);
	assert_true(ip_is_loopback(a));
	address("128.0.0.1", a);
	assert_false(ip_is_loopback(a));
	assert_false(ip_bytes(&unix_socket, a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(counts_households),
		cmocka_unit_test(knows_loopback),
	};

	return cmocka_run_group_tests_name("ip", tests, NULL, NULL);
}
