/* server.h — the whole server, wired: what main starts and stops, in order. Thread: main. */
#ifndef WC_SERVER_H
#define WC_SERVER_H

#include "options.h"

struct server;

/* Opens the data, starts every thread, listens. *cause: one line for the admin. */
int server_start(struct server **out, const struct options *o, char **cause) WC_MUSTCHECK;
int server_port(const struct server *s);
const char *server_admin_path(const struct server *s); /* of the admin socket; NULL: none */
int server_metrics_port(const struct server *s);       /* 0: none */
/* Stops accepting, closes everyone with 1012, works off and commits what came, ends. At most about 5 s. */
void server_stop(struct server *s);

#endif
