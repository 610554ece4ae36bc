/* ipban.h — which addresses are banned: a snapshot that any thread may ask, so that a banned peer can be turned away before it costs anything.
 *
 * The room makes it anew whenever a ban of an address comes or goes. */
#ifndef WC_IPBAN_H
#define WC_IPBAN_H

#include "base/wc.h"

struct sockaddr_storage;

struct ip_net {
	uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	int bits;         /* of 128 */
	int64_t until_ms; /* 0: for good */
};

/* Is this address banned now? A read lock and a walk along the bans. Any thread. */
bool ban_ip_check(const struct sockaddr_storage *a);
/* Takes v (malloc'd; NULL with n 0). Thread: room, or main before it runs. */
void ban_ip_replace(struct ip_net *v, size_t n);

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
/* "10.1.2.3", "2001:db8::/32". False: neither an address nor a network. Bits past the prefix are cleared. */
bool ip_net_parse(const char *text, uint8_t addr[16], int *bits);
#define IP_NET_TEXT 64
/* The same back: without a prefix if it is one address. */
void ip_net_text(const uint8_t addr[16], int bits, char out[IP_NET_TEXT]);

#endif
