/* admin_place.h — the place of the admin socket of a server that keeps its data in memory, and so has no folder of its own.
 *
 * It is $XDG_RUNTIME_DIR/wavechat, if that belongs to this user and can be written, else /tmp/wavechat-UID: a folder that nobody else can
 * enter. Each process has a socket in it, PID.sock. wavechatctl looks there, too, and trusts no other user's folder. */
#ifndef WC_ADMIN_PLACE_H
#define WC_ADMIN_PLACE_H

#include "base/wc.h"

#define ADMIN_PLACES 2
#define ADMIN_PLACE_SUFFIX ".sock"

/* Folders that may hold such sockets of the effective user, the first preferred; from malloc, NULL where there is none. runtime:
 * $XDG_RUNTIME_DIR. */
void admin_place_dirs(const char *runtime, char *out[ADMIN_PLACES]);
/* Is it a folder, this user's alone, and no symbolic link? */
bool admin_place_is_ours(const char *dir);
/* The path of this process's socket: from malloc; NULL where admin_place_make was not called, or failed. */
char *admin_place_path(void);
/* Makes the folder, and removes from it what processes left that are gone. -WC_EDENIED, -WC_EIO and *cause: it is not to be had, or not to
 * be trusted. Main thread, before the sandbox, as the user that the server runs as. */
int admin_place_make(char **cause) WC_MUSTCHECK;

#endif
