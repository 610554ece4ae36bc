/* admin.h — the administrator's door: JSON over HTTP on a unix socket, and, if it is asked for, the metrics alone over TCP.
 *
 * Only GET /metrics can be reached over TCP. The table of verbs says what each user may do; a request that is not in it is refused. */
#ifndef WC_ADMIN_H
#define WC_ADMIN_H

#include "base/budget.h"
#include "base/health.h"
#include "files/blob.h"
#include "files/space.h"
#include "hub/hub.h"
#include "room/room.h"
#include "store/store.h"

struct admin;

#define ADMIN_METRICS_CONNECTIONS 16 /* at once, at the metrics' own door */

/* Strings and lists outlive the admin. */
struct admin_opts {
	const char *socket_path; /* copied; NULL: no socket */
	bool is_socket_wanted;   /* it was asked for: a start fails without it */
	const char *data;        /* the data folder, or ":memory:" */
	bool keeps_data;         /* false: in memory */
	char *const *listen;     /* addresses of the public door, for status: ends with NULL; NULL: all */
	int port;                /* of the public door, for status */
	int metrics_socket;      /* bound; taken, also on failure; -1: none */
	struct room *room;
	struct store *store;
	struct blobs *blobs;
	struct space *space;
	struct health *health;
	struct hubs *hubs;
	/* Writes the settings in force as one JSON object, for the verb config. Any thread. */
	void (*put_config)(void *arg, struct buf *out);
	void *arg;
	/* for status; admin_set changes them */
	_Atomic(const struct budgets *) budgets;
	_Atomic int descriptors;     /* the process's limit */
	_Atomic int connections_max; /* in all */
};

/* Opens the doors. -WC_EIO and one line in *cause. Thread: main. */
int admin_start(struct admin **out, const struct admin_opts *opts, char **cause) WC_MUSTCHECK;
/* Other limits are in force. budgets lives as long as the admin. Any thread. */
void admin_set(struct admin *a, const struct budgets *budgets, int descriptors, int connections_max);
const char *admin_path(const struct admin *a); /* of the socket; NULL: none */
int admin_metrics_port(const struct admin *a); /* 0: none */
/* Closes the doors and ends its thread; the room still runs and answers what it has. Thread: main. NULL is ignored. */
void admin_stop(struct admin *a);
void admin_free(struct admin *a); /* after the room has stopped. NULL is ignored */

#endif
