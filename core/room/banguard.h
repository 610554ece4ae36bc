/* banguard.h — bans and mutes that an admin has to mean: networks that hold more than one culprit, and the longer of two sanctions.
 *
 * Pure; any thread. Only the room knows the people who are connected from a network (moderate_ban.c). */
#ifndef WC_BANGUARD_H
#define WC_BANGUARD_H

#include "base/ip.h"
#include "store/store_admin.h"

#define CAUTION_TEXT 160
/* Why a ban of this network needs force, even if nobody is connected from it: it touches this machine, a private network or a trusted
 * proxy, or is wider than any culprit's network. out gets words such as "127.0.0.1 is a loopback address". False: no reason, and out is
 * empty. IPv4 is ::ffff:a.b.c.d. */
bool ban_caution(const uint8_t addr[16], int bits, const struct ip_nets *proxies, char out[CAUTION_TEXT]);

/* The network of one customer: the IPv4 address itself, or the IPv6 address's /64, in which a machine changes its address at will. */
void ban_net_of(const uint8_t addr[16], uint8_t net[16], int *bits);

/* Does a still hold when b has ended? By boot_ms: two times of day may be of two clocks. One without an end is longest; of two that end
 * together, neither outlasts the other. */
bool sanction_outlasts(const struct sanction *a, const struct sanction *b);

#endif
