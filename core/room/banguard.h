/* banguard.h — bans and mutes that an admin has to mean: networks that hold more than one culprit, and the longer of two sanctions.
 *
 * Pure functions, no memory of their own; any thread. Who is connected from a network only the room knows (moderate_ban.c). */
#ifndef WC_BANGUARD_H
#define WC_BANGUARD_H

#include "net/ipban.h"
#include "store/store_admin.h"

#define CAUTION_TEXT 160
/* Why a ban of this network needs force whoever is connected: it is, or holds, addresses of this machine, of a private network or of a trusted
 * proxy, or it is wider than any culprit's. In words, "127.0.0.1 is a loopback address"; false: no reason, and out is empty. IPv4 is ::ffff:a.b.c.d. */
bool ban_caution(const uint8_t addr[16], int bits, const struct ip_nets *proxies, char out[CAUTION_TEXT]);

/* What stands for one customer at this address: IPv4 the address, IPv6 its /64, out of which a machine takes another one when it likes. */
void ban_net_of(const uint8_t addr[16], uint8_t net[16], int *bits);

/* Does a still hold when b is over? For good is longest; of two that end together neither outlasts the other. */
bool sanction_outlasts(const struct sanction *a, const struct sanction *b);

#endif
