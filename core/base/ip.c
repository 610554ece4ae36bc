/* ip.c — see ip.h. Owns nothing. */
#include "base/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool ip_bytes(const struct sockaddr_storage *a, uint8_t out[16])
{
	if (a->ss_family == AF_INET) {
		memcpy(out, v4_prefix, sizeof(v4_prefix));
		memcpy(out + 12, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
		return true;
	}
	if (a->ss_family == AF_INET6) {
		memcpy(out, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, 16);
		return true;
	}
	return false;
}

bool ip_is_v4(const uint8_t addr[16])
{
	return memcmp(addr, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool ip_in_net(const uint8_t addr[16], const uint8_t net[16], int bits)
{
	int whole = bits / 8, rest = bits % 8;
	if (memcmp(addr, net, (size_t)whole) != 0)
		return false;
	return rest == 0 || ((addr[whole] ^ net[whole]) >> (8 - rest)) == 0;
}

bool ip_in_nets(const uint8_t addr[16], const struct ip_nets *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (ip_in_net(addr, list->v[i].addr, list->v[i].bits))
			return true;
	return false;
}

bool ip_is_loopback(const uint8_t addr[16])
{
	static const uint8_t v6[16] = { [15] = 1 };

	return memcmp(addr, v6, sizeof(v6)) == 0 || (ip_is_v4(addr) && addr[12] == 127);
}

int ip_household(const uint8_t addr[16], uint8_t net[16])
{
	memcpy(net, addr, 16);
	if (ip_is_v4(addr))
		return 128;
	memset(net + 8, 0, 8);
	return 64;
}

bool ip_net_parse(const char *text, uint8_t addr[16], int *bits)
{
	char host[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	struct in_addr v4;
	int most = 128, base = 0;
	if (len == 0 || len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = 0;
	if (inet_pton(AF_INET, host, &v4) == 1) {
		memcpy(addr, v4_prefix, sizeof(v4_prefix));
		memcpy(addr + 12, &v4, 4);
		most = 32;
		base = 96;
	} else if (inet_pton(AF_INET6, host, addr) != 1) {
		return false;
	}
	int n = most;
	if (text[len] == '/') {
		const char *digits = text + len + 1;
		size_t count = strspn(digits, "0123456789");
		if (count == 0 || count > 3 || digits[count])
			return false;
		n = atoi(digits);
		if (n > most)
			return false;
	}
	*bits = base + n;
	for (int i = *bits; i < 128; i++)
		addr[i / 8] &= (uint8_t) ~(0x80 >> (i % 8));
	return true;
}

void ip_net_text(const uint8_t addr[16], int bits, char out[IP_NET_TEXT])
{
	char host[INET6_ADDRSTRLEN];
	bool is_v4 = bits >= 96 && ip_is_v4(addr);
	if (!inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? addr + 12 : addr, host, sizeof(host)))
		host[0] = 0;
	if (bits == 128)
		snprintf(out, IP_NET_TEXT, "%s", host);
	else
		snprintf(out, IP_NET_TEXT, "%s/%d", host, is_v4 ? bits - 96 : bits);
}
