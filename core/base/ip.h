/* ip.h — addresses and networks as bytes and as text: IPv4 and IPv6 alike, in 16 bytes.
 *
 * Pure functions; any thread. */
#ifndef WC_IP_H
#define WC_IP_H

#include "base/wc.h"

struct sockaddr_storage;

struct ip_net {
	uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	int bits;         /* of 128 */
	int64_t until_ms; /* by boot_ms; 0: for good */
};

/* The 16 bytes of an address; false for one that is none (a unix socket's). Pure. */
bool ip_bytes(const struct sockaddr_storage *a, uint8_t out[16]);
bool ip_in_net(const uint8_t addr[16], const uint8_t net[16], int bits);
/* Networks that options name: until_ms means nothing there. */
struct ip_nets {
	struct ip_net *v;
	size_t n;
};
bool ip_in_nets(const uint8_t addr[16], const struct ip_nets *list);
bool ip_is_loopback(const uint8_t addr[16]);
bool ip_is_v4(const uint8_t addr[16]);
/* The network that one household gets, and that counts as one peer: an IPv4 address, or the /64 of IPv6. Returns its bits: 128 or 64. */
int ip_household(const uint8_t addr[16], uint8_t net[16]);
/* "10.1.2.3", "2001:db8::/32". False: neither an address nor a network. Bits past the prefix are cleared. */
bool ip_net_parse(const char *text, uint8_t addr[16], int *bits);
#define IP_NET_TEXT 64
/* The same back: without a prefix if it is one address. */
void ip_net_text(const uint8_t addr[16], int bits, char out[IP_NET_TEXT]);

#endif
