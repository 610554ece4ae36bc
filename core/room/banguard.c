/* banguard.c — see banguard.h. Owns nothing. */
#include "room/banguard.h"

#include <stdio.h>
#include <string.h>

#define WIDEST_V4 (96 + 8) /* bits of a network that may be banned without force */
#define WIDEST_V6 16

static const struct {
	const char *net, *one, *several;
} special[] = {
	{ "127.0.0.0/8", "a loopback address", "loopback addresses" },
	{ "::1", "a loopback address", "loopback addresses" },
	{ "0.0.0.0/8", "an address of no machine", "addresses of no machine" },
	{ "::", "an address of no machine", "addresses of no machine" },
	{ "10.0.0.0/8", "a private address", "private addresses" },
	{ "172.16.0.0/12", "a private address", "private addresses" },
	{ "192.168.0.0/16", "a private address", "private addresses" },
	{ "fc00::/7", "a private address", "private addresses" },
	{ "100.64.0.0/10", "an address that a provider shares among customers", "addresses that a provider shares among customers" },
	{ "169.254.0.0/16", "a link-local address", "link-local addresses" },
	{ "fe80::/10", "a link-local address", "link-local addresses" },
};

/* Of two networks that meet, one lies in the other. */
static bool nets_meet(const uint8_t a[16], int a_bits, const uint8_t b[16], int b_bits)
{
	return ip_in_net(a, b, WC_MIN(a_bits, b_bits));
}

static bool is_v4(const uint8_t addr[16], int bits)
{
	return bits >= 96 && ip_is_v4(addr);
}

bool ban_caution(const uint8_t addr[16], int bits, const struct ip_nets *proxies, char out[CAUTION_TEXT])
{
	char net[IP_NET_TEXT];

	out[0] = '\0';
	ip_net_text(addr, bits, net);
	for (size_t i = 0; i < proxies->n; i++)
		if (nets_meet(addr, bits, proxies->v[i].addr, proxies->v[i].bits)) {
			snprintf(out, CAUTION_TEXT, "%s %s a proxy of --trust-proxy", net, bits == 128 ? "is" : "contains");
			return true;
		}
	for (size_t i = 0; i < WC_LEN(special); i++) {
		uint8_t other[16];
		int other_bits;

		if (ip_net_parse(special[i].net, other, &other_bits) && nets_meet(addr, bits, other, other_bits)) {
			snprintf(out, CAUTION_TEXT, "%s %s %s", net, bits == 128 ? "is" : "contains",
			         bits == 128 ? special[i].one : special[i].several);
			return true;
		}
	}
	if (bits < (is_v4(addr, bits) ? WIDEST_V4 : WIDEST_V6))
		snprintf(out, CAUTION_TEXT, "%s is wider than a /%d", net, is_v4(addr, bits) ? WIDEST_V4 - 96 : WIDEST_V6);
	return out[0] != '\0';
}

void ban_net_of(const uint8_t addr[16], uint8_t net[16], int *bits)
{
	*bits = ip_household(addr, net);
}

bool sanction_outlasts(const struct sanction *a, const struct sanction *b)
{
	return b->ends_ms && (!a->ends_ms || a->ends_ms > b->ends_ms);
}
