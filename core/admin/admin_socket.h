/* admin_socket.h — the place of the admin's socket: its path, and the directory that it is to be made in.
 *
 * Binds nothing. Thread: main. given: --admin-socket, or NULL; data: the data folder, or ":memory:". */
#ifndef WC_ADMIN_SOCKET_H
#define WC_ADMIN_SOCKET_H

#include "base/wc.h"

/* The path of the socket, from malloc; NULL: none is to be opened. */
char *admin_socket_path(const char *given, const char *data);
/* Makes the folder for a socket that has none of its own (data in memory). If that fails, there is a warning and no socket. As the user
 * that the server runs as, before the sandbox. */
void admin_socket_prepare(const char *given, const char *data);
/* Opens the directory of the socket, if nobody else can write in it, and says what to bind: an address has 107 bytes, so a longer path is
 * bound by way of its directory. *dir_fd (-1: not open) and *bind_path (NULL: none) are the caller's to close and free, also on failure.
 * -WC_EIO, -WC_EDENIED or -WC_ETOOBIG, with one line in *cause. */
int admin_socket_place(const char *path, int *dir_fd, char **bind_path, char **cause) WC_MUSTCHECK;

#endif
