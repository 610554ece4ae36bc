/* ipban.h — the snapshot of banned addresses that any thread may ask, so that a banned peer is turned away before it costs anything.
 *
 * The room makes it anew whenever a ban of an address comes or goes. */
#ifndef WC_IPBAN_H
#define WC_IPBAN_H

#include "base/ip.h"

/* Is this address banned now? A read lock and a walk along the bans. Any thread. */
bool ban_ip_check(const struct sockaddr_storage *a);
/* Takes v (malloc'd; NULL with n 0). Thread: room, or main before it runs. */
void ban_ip_replace(struct ip_net *v, size_t n);

#endif
