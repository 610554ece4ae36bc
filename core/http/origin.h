/* origin.h — hosts and origins: the Host and Origin headers, and whether a page may talk to this server.
 *
 * A browser names the page that a request comes from in Origin, with every WebSocket and every POST. So a foreign page cannot make its
 * visitors' browsers talk here. Other programs send no Origin, and could send any. Pure functions; any thread; no memory but where said. */
#ifndef WC_ORIGIN_H
#define WC_ORIGIN_H

#include "base/wc.h"

#define ORIGIN_BYTES 300 /* a scheme, a host of 253, a port */

struct host {
	struct str name; /* IPv6 in its brackets */
	int port;        /* -1: none given */
};

/* uri-host [":" port], strictly: a name by its alphabet, or an IP literal in brackets. False: it is none. */
bool host_parse(struct str value, struct host *out) WC_MUSTCHECK;
/* Is it this machine, as browsers see it? They trust it without TLS. */
bool host_is_local(struct str name);

/* scheme://host[:port] in lower case without the scheme's own port; "null" and "*" are left as they are. False: it is none. */
bool origin_normalize(struct str origin, char out[ORIGIN_BYTES]) WC_MUSTCHECK;
/* May a page of `origin` talk to `host`, the request's Host header (empty: none)? The host's own pages may: the same name and port.
 * is_https: the request came by HTTPS, so the page's scheme must be https; behind a proxy that is not always known. `allowed`: further
 * origins, normalized, ending with NULL; NULL: none. */
bool origin_may(struct str origin, struct str host, bool is_https, char *const *allowed);
/* Is it one of `allowed`? Such an origin gets Access-Control-Allow-Origin. */
bool origin_is_listed(struct str origin, char *const *allowed);

#endif
