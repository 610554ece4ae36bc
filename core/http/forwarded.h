/* forwarded.h — whom a proxy names as its client.
 *
 * Every proxy adds the address of its client to the end of the list. So the entries to the left of the first one that is not ours may be
 * invented. The client is therefore the rightmost address that is no trusted proxy's. Pure; any thread. */
#ifndef WC_FORWARDED_H
#define WC_FORWARDED_H

#include <sys/socket.h>

#include "base/ip.h"

/* The n bytes are a header that httpcheck_head has passed, from a connection of the trusted proxy *peer. If it names a client, *peer
 * becomes that one (IPv4 as AF_INET; port 0 if none is said) and 1 is returned; 0: it names nobody. X-Forwarded-For and Forwarded are read;
 * a proxy that sets one may pass on what a client wrote into the other, so where both are there and do not agree, -WC_EBAD is returned and
 * *peer is as it was. *is_https: the client came by HTTPS, as X-Forwarded-Proto or the last proto of Forwarded says. */
int forwarded_read(const uint8_t *p, size_t n, const struct ip_nets *proxies, struct sockaddr_storage *peer, bool *is_https);

#endif
