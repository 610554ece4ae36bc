/* server_reload.c — SIGHUP: settings, join password and certificate are read again, and take effect all or not at all.
 *
 * Owns every set of options that was ever in force. Threads read them without a lock or a count, so none is freed before the end.
 * One that is the same as one of the last few is not kept twice; each further one takes about 3 KB. Thread: main. */
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "base/logmsg.h"
#include "files/blob.h"
#include "files/space.h"
#include "flow/ingest.h"
#include "net/tls.h"
#include "room/room.h"
#include "server/impl.h"

#define LOOK_BACK 16

struct snapshot {
	struct snapshot *next;
	struct options *o;
	struct plan plan;
};

/* Takes o; the one that is kept, maybe an earlier one of the same content. */
static const struct snapshot *keep(struct server *s, struct options *o, const struct plan *plan)
{
	int n = 0;

	for (struct snapshot *at = s->snapshots; at && n < LOOK_BACK; at = at->next, n++)
		if (options_equal(at->o, o)) {
			options_free(o);
			return at;
		}
	struct snapshot *kept = xcalloc(1, sizeof(*kept));
	*kept = (struct snapshot){ s->snapshots, o, *plan };
	s->snapshots = kept;
	return kept;
}

void snapshots_free(struct server *s)
{
	for (struct snapshot *at = s->snapshots, *next; at; at = next) {
		next = at->next;
		options_free(at->o);
		free(at);
	}
	s->snapshots = NULL;
}

/* --- What is read before anything changes */

struct staged {
	struct options *wanted, *in_force;
	bool has_password; /* password is another one, or not set: none any more */
	struct password password;
	struct tls *tls; /* of other files; NULL: of the same */
	struct plan plan;
};

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The sandbox lets the server read only where files were named at the start. */
static void say_complaint(const char *event, const struct server *s, char **cause, const char *kept)
{
	if (s->sandbox.landlock && *cause && strstr(*cause, "Permission denied"))
		wc_cause(
			cause,
			"%s; while it runs, the server reads only in the data folder and beside files that were named at the start: put it there, or restart",
			*cause);
	server_say_complaint(event, *cause, kept);
}

static int stage(struct server *s, struct staged *n, char **cause)
{
	const struct options *o = n->in_force;

	if (server_plan(&n->plan, o, &s->plan->budgets.limit, s->plan->inherited, cause) < 0)
		return -WC_EBAD;
	if (!same_text(o->join_password_file, s->o->join_password_file)) {
		n->has_password = true;
		if (o->join_password_file && password_read(&n->password, o->join_password_file, s->password_salt, cause) < 0)
			return -WC_EBAD;
	}
	if (o->tls_cert && (!same_text(o->tls_cert, s->o->tls_cert) || !same_text(o->tls_key, s->o->tls_key)) &&
	    tls_open(&n->tls, o->tls_cert, o->tls_key, cause) < 0)
		return -WC_EBAD;
	return 0;
}

/* --- Then all of it */

struct said {
	struct server *s;
	int changed, waiting;
};

static const char *shown(char out[512], const struct option_view *v, int k)
{
	const char *text = v->text[k] ? v->text[k] : v->unset;

	return log_quote(out, (struct str){ text, strlen(text) });
}

static void say_change(void *arg, const struct option_view *v)
{
	struct said *said = arg;
	char was[512], now[512], origin[4200];

	if (v->is_same)
		return;
	said->changed++;
	log_info("setting changed", "option=%s was=%s now=%s from=\"%s\"", v->name, shown(was, v, 0), shown(now, v, 1),
	         option_origin_text(said->s->wanted, &v->origin[1], v->variable, origin, sizeof(origin)));
}

static void say_waiting(void *arg, const struct option_view *v)
{
	struct said *said = arg;
	char was[512], now[512];

	if (v->is_same)
		return;
	said->waiting++;
	log_warn("setting needs a restart", "option=%s now=%s then=%s", v->name, shown(was, v, 0), shown(now, v, 1));
}

static void apply(struct server *s, const struct options *was, const struct staged *n)
{
	const struct options *o = s->o;
	const bool in_memory = strcmp(o->data, ":memory:") == 0;
	const struct room_settings room = server_room_settings(o);
	struct hub_opts hub = server_hub_opts(s);
	struct httpd_limits http;

	if (o->log_level != was->log_level || o->log_format != was->log_format)
		log_setup(o->log_level != was->log_level ? o->log_level : log_get_level(), o->log_format);
	server_http_limits(s, &http);
	httpd_set_limits(s->httpd, &http);
	hubs_set_limits(s->hubs, &hub);
	ingest_set_max_file_mb(s->ingest, o->max_file_mb);
	if (in_memory)
		blobs_set_cap(s->blobs, s->plan->budgets.files);
	s->site.max_file_mb = o->max_file_mb;
	s->site.max_uploads = server_uploads_max(s);
	s->site.max_uploads_per_user = o->max_uploads_per_user;
	space_set_limits(s->space, server_space_limits(o));
	server_show_config(s);
	admin_set(s->admin, &s->plan->budgets, s->plan->descriptors.limit, s->plan->connections_max);
	room_set(s->room, &room, n->has_password ? &n->password : NULL);
	if (n->tls) {
		tls_replace(s->tls, n->tls);
		server_say_certificate(s);
	}
}

/* Files of the same names may have new contents. */
static void read_files_again(struct server *s, const struct staged *n)
{
	const struct room_settings room = server_room_settings(s->o);
	struct password password = { .is_set = false };
	char *cause = NULL;

	if (s->o->join_password_file && !n->has_password) {
		if (password_read(&password, s->o->join_password_file, s->password_salt, &cause) == 0)
			room_set(s->room, &room, &password);
		else
			say_complaint("join password not reloaded", s, &cause, "the one in use");
	}
	if (s->tls && !n->tls) {
		if (tls_reload(s->tls, &cause) == 0)
			server_say_certificate(s);
		else
			say_complaint("certificate not reloaded", s, &cause, "the one in use");
	}
	free(cause);
}

bool server_reload(struct server *s, char **cause)
{
	struct staged n = { .wanted = NULL };
	const struct options *was = s->o;
	struct said said = { .s = s };

	*cause = NULL;
	if (options_reread(s->o, &n.wanted, &n.in_force, cause) < 0 || stage(s, &n, cause) < 0) {
		options_free(n.wanted);
		options_free(n.in_force);
		tls_free(n.tls);
		say_complaint("settings not reloaded", s, cause, "all that are in use");
		read_files_again(s, &(struct staged){ .wanted = NULL });
		return false;
	}
	const struct snapshot *kept = keep(s, n.in_force, &n.plan);
	s->o = kept->o;
	s->plan = &kept->plan;
	s->wanted = keep(s, n.wanted, &n.plan)->o;
	apply(s, was, &n);
	options_each(was, s->o, say_change, &said);
	options_each(s->o, s->wanted, say_waiting, &said);
	if (s->o->max_connections != was->max_connections)
		server_say_connections(s);
	read_files_again(s, &n);
	if (options_config_path(s->o) || said.changed || said.waiting)
		log_info("settings reloaded", "changed=%d waiting=%d", said.changed, said.waiting);
	return true;
}
