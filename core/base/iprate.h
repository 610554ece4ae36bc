/* iprate.h — how often something was done from one address: a table of fixed size with a bucket for each, full again at some moment.
 *
 * IPv4 addresses stand for themselves. IPv6 ones stand for their /64 and for their /48, which may do IPRATE_WIDE times as much, since
 * providers give customers one or the other. A full table forgets the address that has been quiet for the longest.
 * Somebody with millions of addresses gets past any count by address, but takes no memory. One thread at a time. */
#ifndef WC_IPRATE_H
#define WC_IPRATE_H

#include "base/wc.h"

#define IPRATE_WIDE 4 /* times what a /64 may, for its /48 */

struct iprate;

struct iprate *iprate_new(void); /* about 400 KB of address space, touched as it fills */
void iprate_free(struct iprate *t);
/* How long until another one may pass from this address; 0: now. ahead_us: how far its bucket may be ahead. */
int64_t iprate_wait(struct iprate *t, const uint8_t addr[16], int64_t now_us, int64_t ahead_us);
void iprate_add(struct iprate *t, const uint8_t addr[16], int64_t now_us, int64_t cost_us);
/* The same for what has a number in place of an address. */
int64_t iprate_wait_id(struct iprate *t, uint64_t id, int64_t now_us, int64_t ahead_us);
void iprate_add_id(struct iprate *t, uint64_t id, int64_t now_us, int64_t cost_us);

#endif
