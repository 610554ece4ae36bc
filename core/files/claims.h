/* claims.h — a running server's note in the lock file of its data folder: process, addresses with ports, admin socket. By this
 * `--check` tells a port that is taken by this folder's own server from one that is another program's.
 *
 * One line a claim: "pid 123", "listen ADDRESS PORT" (ADDRESS * for every one), "socket PATH". It means something only while the file is
 * locked. Pure but for the file. Thread: main. */
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

/* Reads DIR/lock; dir NULL, no file or nobody who holds it: no claims. Changes nothing. */
void claims_read(struct claims *c, const char *dir);
/* Does the server there listen on this address and port, or on ones that include it? */
bool claims_has_address(const struct claims *c, const char *address, int port);
bool claims_has_socket(const struct claims *c, const char *path);

#endif
