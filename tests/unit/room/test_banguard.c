/* Which networks an admin has to mean, what stands for one customer, which of two sanctions lasts longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "room/banguard.h"

static const struct ip_nets no_proxies = { NULL, 0 };

static bool caution(const char *text, const struct ip_nets *proxies, char out[CAUTION_TEXT])
{
	uint8_t addr[16];
	int bits;
	assert_true(ip_net_parse(text, addr, &bits));
	return ban_caution(addr, bits, proxies, out);
}

static void addresses_of_one_culprit_need_no_force(void **state)
{
	static const char *const fine[] = { "203.0.113.7",   "198.51.100.0/24",   "8.0.0.0/8",   "11.0.0.1",
		                            "9.255.255.255", "172.15.255.255",    "172.32.0.0",  "192.167.255.255",
		                            "192.169.0.0",   "100.63.255.255",    "100.128.0.0", "126.255.255.255",
		                            "128.0.0.1",     "169.253.0.1",       "1.0.0.0",     "2001:db8::6",
		                            "2001:db8::/32", "2a00:1450::/16",    "fec0::1",     "fe00::1",
		                            "::2",           "::ffff:203.0.113.7" };
	char out[CAUTION_TEXT];
	(void)state;
	for (size_t i = 0; i < WC_LEN(fine); i++) {
		if (caution(fine[i], &no_proxies, out))
			fail_msg("%s: %s", fine[i], out);
		assert_string_equal(out, "");
	}
}

static void own_private_and_wide_networks_need_force(void **state)
{
	static const struct {
		const char *net, *words;
	} cases[] = {
		{ "127.0.0.1", "127.0.0.1 is a loopback address" },
		{ "127.66.0.9", "127.66.0.9 is a loopback address" },
		{ "127.0.0.0/8", "contains loopback" },
		{ "::1", "::1 is a loopback address" },
		{ "::ffff:127.0.0.1", "127.0.0.1 is a loopback address" },
		{ "10.1.2.3", "is a private address" },
		{ "172.16.0.1", "is a private address" },
		{ "172.31.255.255", "is a private address" },
		{ "192.168.1.1", "is a private address" },
		{ "::ffff:192.168.1.1", "192.168.1.1 is a private address" },
		{ "192.168.0.0/15", "contains private" },
		{ "fd12:3456::1", "is a private address" },
		{ "fc00::/7", "contains private" },
		{ "100.64.0.1", "shares among customers" },
		{ "100.127.255.254", "shares among customers" },
		{ "169.254.1.1", "is a link-local address" },
		{ "fe80::1", "is a link-local address" },
		{ "0.0.0.0", "of no machine" },
		{ "::", "of no machine" },
		{ "0.0.0.0/0", "contains" },
		{ "0.0.0.0/1", "contains" },
		{ "128.0.0.0/1", "contains private" },
		{ "::/0", "contains" },
		{ "::ffff:0:0/96", "contains" },
		{ "::/64", "contains" },
		{ "32.0.0.0/4", "is wider than a /8" },
		{ "8.0.0.0/7", "is wider than a /8" },
		{ "4000::/3", "is wider than a /16" },
		{ "2000::/15", "is wider than a /16" },
	};
	char out[CAUTION_TEXT];
	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++)
		if (!caution(cases[i].net, &no_proxies, out) || !strstr(out, cases[i].words))
			fail_msg("%s: \"%s\"", cases[i].net, out);
}

static void proxies_need_force(void **state)
{
	struct ip_net nets[2] = { { .bits = 0 }, { .bits = 0 } };
	const struct ip_nets proxies = { nets, 2 };
	char out[CAUTION_TEXT];
	(void)state;
	assert_true(ip_net_parse("203.0.113.0/28", nets[0].addr, &nets[0].bits));
	assert_true(ip_net_parse("2001:db8:1::5", nets[1].addr, &nets[1].bits));
	assert_true(caution("203.0.113.15", &proxies, out));
	assert_string_equal(out, "203.0.113.15 is a proxy of --trust-proxy");
	assert_true(caution("203.0.113.0/24", &proxies, out));
	assert_string_equal(out, "203.0.113.0/24 contains a proxy of --trust-proxy");
	assert_true(caution("2001:db8:1::/64", &proxies, out));
	assert_false(caution("203.0.113.16", &proxies, out));
	assert_false(caution("2001:db8:1::6", &proxies, out));
}

static void one_customer_has_an_address_or_a_64(void **state)
{
	static const char *const cases[][2] = { { "203.0.113.7", "203.0.113.7" },
		                                { "::ffff:203.0.113.7", "203.0.113.7" },
		                                { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
		                                { "2001:db8::", "2001:db8::/64" } };
	char out[IP_NET_TEXT];
	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		uint8_t addr[16], net[16];
		int bits;
		assert_true(ip_net_parse(cases[i][0], addr, &bits));
		ban_net_of(addr, net, &bits);
		ip_net_text(net, bits, out);
		assert_string_equal(out, cases[i][1]);
	}
}

static void the_longer_of_two_outlasts_the_other(void **state)
{
	/* the times of day are of three clocks */
	const struct sanction for_good = { .until_ms = 0 };
	const struct sanction early = { .until_ms = 2000, .ends_ms = 1000 }, late = { .until_ms = 1500, .ends_ms = 1001 };
	(void)state;
	assert_true(sanction_outlasts(&for_good, &early));
	assert_true(sanction_outlasts(&late, &early));
	assert_false(sanction_outlasts(&early, &late));
	assert_false(sanction_outlasts(&early, &for_good));
	assert_false(sanction_outlasts(&early, &early));
	assert_false(sanction_outlasts(&for_good, &for_good));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_one_culprit_need_no_force),
		cmocka_unit_test(own_private_and_wide_networks_need_force),
		cmocka_unit_test(proxies_need_force),
		cmocka_unit_test(one_customer_has_an_address_or_a_64),
		cmocka_unit_test(the_longer_of_two_outlasts_the_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
