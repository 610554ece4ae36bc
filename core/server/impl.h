/* impl.h — the shared part of server.c (start and stop), server_plan.c, server_say.c, server_reload.c (SIGHUP) and server_check.c
 * (--check). Nobody else includes it. Thread: main. */
#ifndef WC_SERVER_IMPL_H
#define WC_SERVER_IMPL_H

#include <stdatomic.h>

#include "base/budget.h"
#include "base/descriptors.h"
#include "http/httpd.h"
#include "hub/hub.h"
#include "room/room.h"
#include "server/sandbox.h"
#include "server/server.h"
#include "site/site.h"
#include "state/password.h"

struct snapshot;

/* The options' share of the machine. */
struct plan {
	struct budgets budgets;
	struct descriptors descriptors;
	int connections_max;
	int inherited; /* descriptors that were open before the server opened any */
};

struct server {
	const struct options *o;      /* in force */
	const struct options *wanted; /* what a restart would bring; the same, if that is nothing else */
	struct {
		_Atomic(const struct options *) in_force, wanted;
	} shown;                    /* the same two, for other threads */
	struct snapshot *snapshots; /* all that were in force or wanted since the start */
	const struct plan *plan;    /* of the options in force */
	struct plan first_plan;
	struct ws_budget budget;
	struct store *store;
	struct space *space;
	struct blobs *blobs;
	struct helpers *helpers;
	struct probe *probe;
	struct inbox *inbox;
	struct ingest *ingest;
	struct hubs *hubs;
	struct room *room;
	struct site site;
	struct tls *tls;
	struct seats *seats;
	struct httpd *httpd;
	struct admin *admin;
	uint64_t password_salt; /* for the mark of a join password: see password.h */
	struct sandbox sandbox;
	int sockets[HTTPD_SOCKETS], socket_count, redirect_from; /* bound, until their door takes them over */
	int metrics_socket;                                      /* the same; -1: none */
	_Atomic bool room_answered;                              /* the last question of server_check_room */
};

/* server_plan.c */
/* Looks at what this process may have, before the sandbox hides it. *cause: one line. */
int server_plan_limits(struct server *s, char **cause) WC_MUSTCHECK;
/* The same for other options; -WC_EBAD and *cause: too few descriptors. */
int server_plan(struct plan *out, const struct options *o, const struct memory_limit *limit, int inherited, char **cause) WC_MUSTCHECK;
struct space_limits server_space_limits(const struct options *o);
int server_uploads_max(const struct server *s);                     /* --max-uploads, as far as descriptors allow them */
struct room_settings server_room_settings(const struct options *o); /* networks are borrowed from o */
struct hub_opts server_hub_opts(struct server *s);                  /* sets the budget's cap, too */
void server_http_limits(struct server *s, struct httpd_limits *out);

/* server_say.c */
void server_say_certificate(struct server *s);
void server_say_connections(const struct server *s);                               /* a warning if they are fewer than was asked for */
void server_say_complaint(const char *event, const char *cause, const char *kept); /* an error in the log */
void server_say_sandbox(const struct sandbox *box);
void server_say_room(struct space *space);    /* for files, on the disk */
void server_say_open_folder(const char *dir); /* a warning if others may look into it */

/* server.c */
/* Becomes the user that the server runs as, in the sandbox. is_given NULL: makes dir (NULL: none) if need be, and says which files cannot
 * be read again; else makes nothing, and *is_given: a start would make dir, or give it to the user. */
int server_give_up_privileges(struct server *s, const char *dir, bool *is_given, char **cause) WC_MUSTCHECK;

/* Binds the metrics' port, if the options want one; *fd is -1 if not. *cause: one line. */
int server_bind_metrics(const struct options *o, int *fd, char **cause) WC_MUSTCHECK;
int server_metrics_address(const struct options *o, char address[64]); /* of --metrics, without brackets; returns the port */

/* server_config.c */
void server_show_config(struct server *s);             /* what server_put_config writes from now on: s->o and s->wanted */
void server_put_config(void *server, struct buf *out); /* as JSON. Any thread */

/* server_reload.c */
void snapshots_free(struct server *s);

#endif
