/* server.c — starts the parts in the order in which they need each other, and stops them in the order in which events flow. */
#include "server/impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/admin_socket.h"
#include "base/base64.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/descriptors.h"
#include "base/helper.h"
#include "base/logmsg.h"
#include "base/metrics.h"
#include "files/blob.h"
#include "files/claims.h"
#include "files/space.h"
#include "flow/inbox.h"
#include "flow/ingest.h"
#include "net/listener.h"
#include "net/seats.h"
#include "net/tls.h"
#include "net/transport.h"
#include "room/collector.h"
#include "room/room.h"
#include "server/orphan.h"
#include "server/privilege.h"
#include "server/probe.h"
#include "state/lockdown.h"
#include "store/store.h"
#include "wire/decode.h"

#define FRAME_REST ((size_t)1024 * 1024) /* of a message beside its file, where memory is short: far more than any needs */
#define STOP_JOBS_MS 500                 /* for frames that wait for a helper */
#define STOP_MS 2000                     /* for clients to take their close frame */

static void on_websocket(void *arg, struct taken *t)
{
	struct server *s = arg;
	(void)hubs_adopt(s->hubs, t); /* on failure the socket is closed already */
}

static void site_websocket(void *site, struct taken *t)
{
	on_websocket((char *)site - offsetof(struct server, site), t);
}

/* Kept with the data, so that the same password has the same mark after a restart. */
static int load_password_salt(struct server *s)
{
	s->password_salt = store_counter(s->store, "join_password_salt");
	if (s->password_salt)
		return 0;
	wc_random(&s->password_salt, sizeof(s->password_salt));
	s->password_salt = (s->password_salt & INT64_MAX) | 1;
	int rc = store_begin(s->store);
	if (rc == 0)
		rc = store_set_counter(s->store, "join_password_salt", s->password_salt);
	return store_finish(s->store, rc);
}

/* --- The start. First what may take a privilege, then the end of all privileges, then what reads data and talks to people. */

int server_metrics_address(const struct options *o, char address[64])
{
	const char *at = o->metrics, *colon = strrchr(at, ':'); /* the options have seen to its form */
	const bool is_bracketed = at[0] == '[';
	const size_t len = (size_t)(colon - at);
	snprintf(address, 64, "%.*s", (int)(is_bracketed ? len - 2 : len), at + is_bracketed);
	return atoi(colon + 1);
}

int server_bind_metrics(const struct options *o, int *fd, char **cause)
{
	char address[64];
	*fd = -1;
	if (!o->metrics)
		return 0;
	const int port = server_metrics_address(o, address);
	return listener_bind(address, port, fd, cause);
}

static int open_privileged(struct server *s, char **cause)
{
	const struct options *o = s->o;
	const int ports[2] = { o->port, o->redirect_port };

	for (int i = 0; i < (o->redirect_port ? 2 : 1); i++) {
		int n = listener_bind_all(o->listen, ports[i], s->sockets + s->socket_count, HTTPD_SOCKETS / 2, cause);

		if (n < 0)
			return -WC_EIO;
		s->socket_count += n;
		s->redirect_from = i == 0 ? n : s->redirect_from;
	}
	for (int i = 0; i < s->socket_count && s->plan->budgets.is_scarce; i++)
		transport_keep_small(s->sockets[i]);
	if (server_bind_metrics(o, &s->metrics_socket, cause) < 0)
		return -WC_EIO;
	return o->tls_cert ? tls_open(&s->tls, o->tls_cert, o->tls_key, cause) : 0;
}

static bool can_read_again(void *user, const char *path)
{
	if (access(path, R_OK) < 0 && errno != ENOENT) /* a file of settings need not be there */
		log_warn("cannot be read again",
		         "file=%s error=\"%s\" remedy=\"make it and its directories readable for %s, or restart instead of SIGHUP\"", path,
		         strerror(errno), (const char *)user);
	return true;
}

int server_give_up_privileges(struct server *s, const char *dir, bool *is_given, char **cause)
{
	const struct options *o = s->o;
	struct runner who, *to = o->user ? &who : NULL;
	char *socket_path = NULL, *slash;
	struct sandbox_paths paths = { .data = dir, .o = o };
	int rc = -WC_EIO;

	if (to && runner_find(to, o->user, "/etc", cause) < 0)
		goto out;
	if ((dir && (is_given ? privilege_check_dir(dir, to, is_given, cause) : privilege_make_dir(dir, to, cause)) < 0) ||
	    privilege_drop(to, cause) < 0)
		goto out;
	privilege_no_core();
	if (to && !is_given)
		(void)options_each_file(o, can_read_again, who.name);
	admin_socket_prepare(o->admin_socket, o->data);
	socket_path = admin_socket_path(o->admin_socket, o->data);
	slash = socket_path ? strrchr(socket_path, '/') : NULL;
	paths.socket_dir = !socket_path ? NULL : slash == socket_path ? "/" : slash ? socket_path : ".";
	if (slash)
		*slash = '\0';
	rc = sandbox_enter(o->sandbox, &paths, &s->sandbox, cause);
out:
	free(socket_path);
	return rc;
}

/* A full disk does not keep the server from starting as long as there is a reserve. */
static int open_store(struct server *s, const char *dir, char **cause)
{
	struct orphan_look look = { dir, s->o->accept_orphans, true };
	int rc = store_open_after(&s->store, dir, s->o->durability, orphan_look, &look, cause);

	if (rc != -WC_EFULL || !space_give_up_reserve_of(dir))
		return rc;
	free(*cause);
	*cause = NULL;
	look.logs = false; /* it has said so */
	return store_open_after(&s->store, dir, s->o->durability, orphan_look, &look, cause);
}

/* The database and the files beside it. */
static int open_data(struct server *s, const char *dir, char **cause)
{
	if (open_store(s, dir, cause) < 0)
		return -WC_EIO;
	store_count_start(s->store);
	if (!dir && s->plan->budgets.messages != SIZE_MAX)
		store_bound_memory(s->store, s->plan->budgets.messages);
	if (space_start(&s->space, dir, server_space_limits(s->o), cause) < 0)
		return -WC_EIO;
	if (blobs_open(&s->blobs, dir, s->plan->budgets.files, cause) < 0)
		return -WC_EIO;
	if (!dir)
		blobs_bound_files(s->blobs, s->plan->descriptors.files);
	blobs_set_space(s->blobs, s->space);
	return 0;
}

/* Helpers, inbox and I/O threads: what brings frames to the room. */
static int open_flow(struct server *s, char **cause)
{
	s->helpers = helpers_start(&(struct helpers_opts){ 0, s->store, store_reader_open, store_reader_close }, cause);
	if (!s->helpers)
		return -WC_EIO;
	s->inbox = inbox_new(s->plan->budgets.inbox);
	decode_bound(s->plan->budgets.is_scarce ? FRAME_REST : SIZE_MAX);
	s->ingest = ingest_new(s->inbox, s->blobs, s->helpers, &s->budget, s->o->max_file_mb);
	struct hub_opts hub = server_hub_opts(s);
	s->hubs = hubs_start(&hub, cause);
	return s->hubs ? 0 : -WC_EIO;
}

/* The salt is made also without a password: one can be introduced later. */
static int read_password(struct server *s, struct password *p, char **cause)
{
	int salted = load_password_salt(s);
	if (salted < 0 && store_was_full(s->store) && space_give_up_reserve(s->space))
		salted = load_password_salt(s);
	if (!s->o->join_password_file)
		return 0;
	if (salted < 0) {
		wc_cause(cause, "cannot write to the database: its disk is full or failing");
		return -WC_EIO;
	}
	return password_read(p, s->o->join_password_file, s->password_salt, cause) < 0 ? -WC_EIO : 0;
}

static int open_room(struct server *s, const char *dir, char **cause)
{
	struct password password = { .is_set = false };
	if (read_password(s, &password, cause) < 0)
		return -WC_EIO;
	struct room_opts room = { server_room_settings(s->o),
		                  !dir,
		                  s->hubs,
		                  s->inbox,
		                  s->helpers,
		                  s->store,
		                  s->blobs,
		                  s->space,
		                  s->plan->budgets.recent,
		                  s->plan->budgets.messages,
		                  password.is_set ? &password : NULL };
	if (room_start(&s->room, &room, cause) < 0)
		return -WC_EIO;
	ingest_count_first_dialect(s->ingest, room_first_dialect_readers(s->room));
	return probe_start(&s->probe, &(struct probe_opts){ dir, s->store, s->space, s->inbox, s->helpers, room_try_store, s->room },
	                   cause);
}

static int open_admin(struct server *s, char **cause)
{
	const struct options *o = s->o;
	char *path = admin_socket_path(o->admin_socket, o->data);
	const struct admin_opts admin = { .socket_path = path,
		                          .is_socket_wanted = o->admin_socket != NULL,
		                          .data = o->data,
		                          .keeps_data = strcmp(o->data, ":memory:") != 0,
		                          .listen = o->listen,
		                          .port = httpd_port(s->httpd),
		                          .metrics_socket = s->metrics_socket,
		                          .room = s->room,
		                          .store = s->store,
		                          .blobs = s->blobs,
		                          .space = s->space,
		                          .health = probe_health(s->probe),
		                          .hubs = s->hubs,
		                          .put_config = server_put_config,
		                          .arg = s,
		                          .budgets = &s->plan->budgets,
		                          .descriptors = s->plan->descriptors.limit,
		                          .connections_max = s->plan->connections_max };
	s->metrics_socket = -1;
	server_show_config(s);
	const int rc = admin_start(&s->admin, &admin, cause);
	free(path);
	if (rc == 0 && s->tls)
		server_say_certificate(s);
	return rc;
}

static int open_doors(struct server *s, const char *dir, char **cause)
{
	const struct options *o = s->o;
	s->site = (struct site){ .max_file_mb = o->max_file_mb,
		                 .max_uploads = server_uploads_max(s),
		                 .max_uploads_per_user = o->max_uploads_per_user,
		                 .blobs = s->blobs,
		                 .helpers = s->helpers,
		                 .health = probe_health(s->probe),
		                 .is_read_only = lockdown_is_read_only,
		                 .read_only_left_ms = lockdown_left_ms,
		                 .ask_leave = room_ask_leave,
		                 .give_back = room_give_back,
		                 .room = s->room };
	if (o->tls_self_signed && tls_open_own(&s->tls, dir, cause) < 0)
		return -WC_EIO;
	struct httpd_limits limits;
	server_http_limits(s, &limits);
	s->seats = seats_new(&limits.gate.seats);
	struct httpd_opts http = {
		.socket_count = s->socket_count,
		.redirect_from = s->redirect_from,
		.tls = s->tls,
		.hsts = !o->tls_self_signed, /* who once made an exception for such a certificate is not to be locked out with the next */
		.seats = s->seats,
		.proxies = limits.gate.proxies,
		.allow_origin = limits.allow_origin,
		.head_bytes = limits.gate.head_bytes,
		.head_ms = limits.gate.head_ms,
		.rate = limits.rate,
		.routes = site_routes(),
		.arg = &s->site,
		.on_websocket = site_websocket,
	};
	memcpy(http.sockets, s->sockets, sizeof(http.sockets));
	s->socket_count = 0;
	if (httpd_start(&s->httpd, &http, cause) < 0)
		return -WC_EIO;
	return open_admin(s, cause);
}

/* Says in the lock file what is held: see claims.h. Where the disk is full, --check knows no better. */
static void claim(struct server *s)
{
	const struct options *o = s->o;
	const int ports[2] = { httpd_port(s->httpd), o->redirect_port };
	char metrics[64];
	struct buf b;

	buf_init_sure(&b, CLAIMS_BYTES - 1);
	buf_printf(&b, "pid %d\n", (int)getpid());
	for (int i = 0; i < (o->redirect_port ? 2 : 1); i++) {
		if (!o->listen)
			claims_add_address(&b, NULL, ports[i]);
		for (char *const *address = o->listen; address && *address; address++)
			claims_add_address(&b, *address, ports[i]);
	}
	if (o->metrics) {
		(void)server_metrics_address(o, metrics);
		claims_add_address(&b, metrics, admin_metrics_port(s->admin));
	}
	if (admin_path(s->admin))
		claims_add_socket(&b, admin_path(s->admin));
	if (!b.failed)
		store_claim(s->store, b.p, b.len);
	buf_fini(&b);
}

int server_start(struct server **out, const struct options *o, char **cause)
{
	struct server *s = xcalloc(1, sizeof(*s));
	const char *dir = strcmp(o->data, ":memory:") == 0 ? NULL : o->data;
	s->o = s->wanted = o;
	s->metrics_socket = -1;
	atomic_init(&s->room_answered, true);
	metrics_set_build(wc_version(), store_sqlite_version());
	metric_set(M_CERTIFICATE_EXPIRY, METRIC_ABSENT);
	metric_set(M_BACKUP, METRIC_ABSENT);
	metric_set(M_PROCESS_START, (uint64_t)real_ms());
	if (server_plan_limits(s, cause) < 0 || open_privileged(s, cause) < 0 || server_give_up_privileges(s, dir, NULL, cause) < 0 ||
	    open_data(s, dir, cause) < 0 || open_flow(s, cause) < 0 || open_room(s, dir, cause) < 0 || open_doors(s, dir, cause) < 0) {
		server_stop(s);
		return -WC_EIO;
	}
	claim(s);
	server_say_sandbox(&s->sandbox);
	server_say_room(s->space);
	space_keep_reserve(s->space);
	budgets_log(&s->plan->budgets);
	server_say_connections(s);
	if (dir)
		server_say_open_folder(dir);
	*out = s;
	return 0;
}

const char *server_admin_path(const struct server *s)
{
	return admin_path(s->admin);
}

int server_metrics_port(const struct server *s)
{
	return admin_metrics_port(s->admin);
}

int server_port(const struct server *s)
{
	return httpd_port(s->httpd);
}

static void answer(void *room_answered)
{
	atomic_store((_Atomic bool *)room_answered, true);
}

bool server_check_room(struct server *s)
{
	if (!atomic_exchange(&s->room_answered, false))
		return false;
	inbox_call(s->inbox, EV_CALL, answer, &s->room_answered);
	return true;
}

struct space *server_space(const struct server *s)
{
	return s->space;
}

struct tls *server_tls(const struct server *s)
{
	return s->tls;
}

void server_stop(struct server *s)
{
	if (!s)
		return;
	if (s->httpd)
		httpd_pause(s->httpd);
	if (s->hubs)
		hubs_stop(s->hubs, STOP_MS);
	httpd_stop(s->httpd);
	admin_stop(s->admin);
	probe_stop(s->probe);
	room_quiesce(s->room);
	helpers_stop(s->helpers, STOP_JOBS_MS); /* their last events reach a room that still runs */
	room_stop(s->room);
	probe_free(s->probe);
	admin_free(s->admin);
	hubs_free(s->hubs);
	seats_free(s->seats);
	ingest_free(s->ingest);
	inbox_free(s->inbox);
	collect_last(s->store, s->blobs);
	blobs_close(s->blobs);
	space_stop(s->space);
	store_close(s->store);
	tls_free(s->tls);
	snapshots_free(s);
	for (int i = 0; i < s->socket_count; i++)
		close(s->sockets[i]);
	if (s->metrics_socket >= 0)
		close(s->metrics_socket);
	free(s);
}
