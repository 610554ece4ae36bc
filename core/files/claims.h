/* claims.h — the claims of a running server, in the lock file of its data folder: process, addresses with ports, admin socket.
 *
 * By it `--check` tells a port that this folder's own server has taken from one that another program has. Each claim is a line: "pid 123",
 * "listen ADDRESS PORT" (ADDRESS * for every one), "socket PATH". The lines count only while the file is locked. Thread: main. */
#ifndef WC_CLAIMS_H
#define WC_CLAIMS_H

#include "base/buf.h"
#include "base/wc.h"

#define CLAIMS_BYTES 8192

void claims_add_address(struct buf *b, const char *address, int port); /* address NULL: every one */
void claims_add_socket(struct buf *b, const char *path);

struct claims {
	bool is_held; /* a server runs in that folder */
	char text[CLAIMS_BYTES];
};

/* Reads DIR/lock; dir NULL, no file, or a file that nobody has locked: no claims. Changes nothing. */
void claims_read(struct claims *c, const char *dir);
/* Does the server there listen on this address and port, or on one that includes or overlaps it? */
bool claims_has_address(const struct claims *c, const char *address, int port);
bool claims_has_socket(const struct claims *c, const char *path);

#endif
