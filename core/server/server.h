/* server.h — the whole server, wired: what main starts and stops, in order. Thread: main. */
#ifndef WC_SERVER_H
#define WC_SERVER_H

#include "files/space.h"
#include "server/options.h"

struct server;

/* Would a start succeed, if this folder's own server, should one run, ended before? Changes no file, but what the process may do from then
 * on: it becomes the server's user, in the sandbox. *cause: one line. */
int server_check(const struct options *o, char **cause) WC_MUSTCHECK;
/* Opens the data, starts every thread, listens. *cause: one line for the admin. */
int server_start(struct server **out, const struct options *o, char **cause) WC_MUSTCHECK; /* o lives as long as the server */
int server_port(const struct server *s);
const char *server_admin_path(const struct server *s); /* of the admin socket; NULL: none */
int server_metrics_port(const struct server *s);       /* 0: none */
/* Has the room worked off what the last call put into its inbox? Never waits: it puts the next question there for the next call. It finds a
 * room thread that hangs. One that waits for hanging I/O threads (a log is full and is not read) looks the same. */
bool server_check_room(struct server *s);
struct space *server_space(const struct server *s);
struct tls *server_tls(const struct server *s); /* NULL: plain HTTP */
/* Reads all settings again, and the files that they name. Says in the log what changed and what waits for a restart. False: something is
 * wrong, the log says what, and so does *cause, which is the caller's; then every setting is as it was. */
bool server_reload(struct server *s, char **cause);
/* Stops accepting, closes everyone with 1012, works off and commits what came, ends. At most about 5 s. */
void server_stop(struct server *s);

#endif
