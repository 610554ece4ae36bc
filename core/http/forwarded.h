/* forwarded.h — the client that a trusted proxy names.
 *
 * Every proxy adds the address that it was connected from to the end of the list. So a client may have invented everything to the left of
 * the first address that no trusted proxy added. The client is therefore the rightmost address that is no trusted proxy's. Pure; any
 * thread. */
#ifndef WC_FORWARDED_H
#define WC_FORWARDED_H

#include <sys/socket.h>

#include "base/ip.h"

/* Reads X-Forwarded-For and Forwarded in n bytes of a header that httpcheck_head has passed, from the trusted proxy *peer. Returns 1 if
 * they name a client: *peer becomes its address (IPv4 as AF_INET; port 0 if none is given). Returns 0 if they name none. A proxy that sets
 * one of the two may pass on a client's text in the other. So where both stand and do not agree, -WC_EBAD is returned and *peer stays.
 * *is_https: X-Forwarded-Proto, or the last proto of Forwarded, says that the client came by HTTPS. */
int forwarded_read(const uint8_t *p, size_t n, const struct ip_nets *proxies, struct sockaddr_storage *peer, bool *is_https);

#endif
