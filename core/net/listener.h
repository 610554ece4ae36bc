/* listener.h — listening sockets: TCP on one address or all, and a unix socket for the admin door. Main thread, at start. */
#ifndef WC_LISTENER_H
#define WC_LISTENER_H

#include <sys/socket.h>

#include "base/wc.h"

/* Binds without listening: connections are refused until listener_listen. So the server gets a privileged port before it gives its
 * privileges up. address: numeric, or NULL for every IPv6 and IPv4 address through one socket (IPv4 alone where there is no IPv6). Port 0:
 * a free one. Returns 0 and *fd, non-blocking; or an error with errno, and *cause: one line with the remedy. */
int listener_bind(const char *address, int port, int *fd, char **cause) WC_MUSTCHECK;
/* The same for each of these addresses, at one port. The list ends with NULL; NULL: every address. With port 0, one free port serves all.
 * Returns the number of sockets in fds, at most room; or an error, and none is left open. */
int listener_bind_all(char *const *addresses, int port, int *fds, int room, char **cause) WC_MUSTCHECK;
/* Listens. *port is the port that the socket got. fd stays the caller's. */
int listener_listen(int fd, int *port, char **cause) WC_MUSTCHECK;

/* A listening unix socket of mode 0600 at path. A stale one is replaced; one that answers is left alone, which is an error. */
int listener_unix(const char *path, int *fd, char **cause) WC_MUSTCHECK;

/* Would listener_unix succeed? is_mine: a socket that answers there is no obstacle. Makes nothing. */
int listener_unix_check(const char *path, bool is_mine, char **cause) WC_MUSTCHECK;

/* ::ffff:a.b.c.d becomes a.b.c.d, so that one peer has one address. */
void address_unmap(struct sockaddr_storage *a);

#endif
