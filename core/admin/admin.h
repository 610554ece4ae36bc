/* admin.h — the admin's door: JSON over HTTP on a unix socket, and, if asked for, the metrics alone on TCP.
 *
 * Nothing here is reachable over TCP but GET /metrics. Who may do what is a column of the one table of verbs (admin.c); what is not in it is
 * refused. */
#ifndef WC_ADMIN_H
#define WC_ADMIN_H

#include "base/budget.h"
#include "base/descriptors.h"
#include "base/health.h"
#include "base/helper.h"
#include "files/blob.h"
#include "files/space.h"
#include "hub/hub.h"
#include "room/room.h"
#include "server/options.h"
#include "store/store.h"

struct admin;

#define ADMIN_METRICS_CONNECTIONS 16 /* at once, at the metrics' own door */

struct admin_opts {
	_Atomic(const struct options *) options; /* those in force */
	struct room *room;
	struct store *store;
	struct blobs *blobs;
	struct space *space;
	struct health *health;
	struct hubs *hubs;
	int port;                                /* of the public door, for status */
	_Atomic(const struct budgets *) budgets; /* in force; for status, as is the next */
	_Atomic(const struct descriptors *) descriptors;
	_Atomic int connections_max; /* in all */
	int metrics_socket;          /* of admin_bind_metrics; taken, also on failure; -1: none */
};

/* The path of the socket that the options ask for, from malloc; NULL: none. */
char *admin_socket_path(const struct options *o);
/* Makes the folder for it, where it has none of its own (data in memory); if that cannot be, there is a warning and no socket. Main thread, as the user
 * that the server runs as, before the sandbox. */
void admin_socket_prepare(const struct options *o);
/* Binds the metrics' port, if the options want one; *fd is -1 if not. *cause: one line. Thread: main. */
int admin_bind_metrics(const struct options *o, int *fd, char **cause) WC_MUSTCHECK;
int admin_metrics_address(const struct options *o, char address[64]); /* of --metrics, without brackets; returns the port */
/* Would the admin socket that the options want be had? One of the own running server counts as free. Makes nothing. */
struct claims;
int admin_check(const struct options *o, const struct claims *mine, char **cause) WC_MUSTCHECK;
/* Opens the doors that the options want. *cause: one line. Thread: main. */
int admin_start(struct admin **out, const struct admin_opts *opts, char **cause) WC_MUSTCHECK;
/* Other options are in force; wanted: what a restart would bring. All of it lives as long as the admin. Any thread. */
void admin_set_options(struct admin *a, const struct options *in_force, const struct options *wanted, const struct budgets *budgets,
                       const struct descriptors *descriptors, int connections_max);
const char *admin_path(const struct admin *a); /* of the socket; NULL: none */
int admin_metrics_port(const struct admin *a); /* 0: none */
/* Closes the doors and ends its thread; the room still runs and answers what it has. Thread: main. NULL is ignored. */
void admin_stop(struct admin *a);
void admin_free(struct admin *a); /* after the room has stopped */

#endif
