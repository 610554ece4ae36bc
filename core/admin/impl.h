/* impl.h — what admin.c (the door, the table, requests), admin_act.c (verbs that the room carries out), admin_read.c (histories, files, the
 * audit), admin_purge.c, admin_copy.c (backups) and admin_verify.c (verify) share. Nobody else includes it. */
#ifndef WC_ADMIN_IMPL_H
#define WC_ADMIN_IMPL_H

#include <json-c/json.h>
#include <pthread.h>

#include "admin/admin.h"
#include "base/buf.h"
#include "http/httpd.h"
#include "room/moderate.h"

#define ADMIN_BODY_MAX (256 * 1024)
#define ADMIN_REPLY_MAX (64 * 1024 * 1024)

struct call;

/* What a peer may do. Nobody may do anything unless its uid says otherwise: the socket's owner and root may do all. */
enum admin_role { MAY_NOTHING, MAY_LOOK, MAY_MODERATE, MAY_OPERATE };

struct admin_verb {
	const char *method, *path;
	enum admin_role role;
	const char *name;   /* in the audit, and wavechatctl's verb */
	const char *params; /* those it knows, with blanks between */
	const char *help;
	void (*start)(struct call *c); /* answers, then or later, exactly once. Thread: the door's */
};
extern const struct admin_verb admin_verbs[]; /* ends with a NULL method */

/* Whose private talk was dumped last by whom: each page of one dump is not a line of the audit. */
struct dm_note {
	uint32_t uid;
	int32_t pid;
	uint64_t a, b;
	int64_t until_ms;
};

struct backup;
struct db_check;
struct store_verify;

struct admin {
	struct admin_opts o;
	_Atomic(const struct options *) wanted; /* what a restart would bring */
	struct httpd *door, *metrics;
	char *path;      /* as told to people */
	char *bind_path; /* as told to the kernel */
	int dir_fd;
	int64_t started_ms;          /* Unix */
	struct helpers *thread;      /* one: long reads, apart from those that clients wait for */
	struct store_dump *dump;     /* that thread's */
	struct store_verify *verify; /* too */
	pthread_mutex_t lock;
	struct dm_note notes[16]; /* under lock */
	int next_note;
	struct backup *backup;  /* under lock */
	uint64_t backups;       /* begun so far; under lock */
	struct db_check *check; /* under lock */
};

/* One request. */
struct call {
	struct command c;
	struct admin *a;
	struct http_req *r;
	const struct admin_verb *verb;
	void (*then)(struct call *c);
	void (*job)(struct call *c);
	struct json_object *args;
	char *raw; /* the body as it comes */
	size_t raw_len, raw_want;
	uint64_t ids[1000]; /* c.ids */
	/* admin_read.c */
	struct dump_filter filter;
	int last;
	char *note; /* what moderate_note writes */
	struct buf text;
	bool with_addresses;            /* history: of each author the last one */
	void (*stored)(struct call *c); /* call_stored's */
	char via[65];                   /* c.via */
	/* admin_purge.c */
	struct sent_filter sent;
	uint64_t *sent_people; /* sent.people */
	bool is_dry;
	size_t purged, purged_files;
	int64_t deadline_ms; /* monotonic */
	bool has_more;
	/* status */
	struct health_state well;
	struct health_alarm alarm;
};

/* Parameters, from the body or the query. Strings live as long as the call. */
const char *arg_str(const struct call *c, const char *name);        /* NULL: none */
bool arg_int(const struct call *c, const char *name, int64_t *out); /* false: none, or no number */
bool arg_true(const struct call *c, const char *name);
/* As arg_int, at least `least`; *out stays as it is if there is none. False: it is given and no such number, and that was answered. */
bool take_int(struct call *c, const char *name, int64_t least, int64_t *out);
bool take_reason(struct call *c); /* the same, for "reason" */

/* Answers with what c.status and c.out say, or with this error; frees the call. Any thread. */
void call_reply(struct call *c);
void call_reply_fd(struct call *c, int fd, uint64_t size); /* these bytes; fd is taken */
void call_free(struct call *c);                            /* for one that was answered otherwise */
void call_fail(struct call *c, int status, const char *code, const char *text);
/* Has the room run it, then call_reply, or `then` on the room's thread (which must not wait). */
void call_room(struct call *c, void (*run)(struct room *r, struct command *cmd), void (*then)(struct call *c));
void call_read(struct call *c, void (*job)(struct call *c)); /* on the admin's own thread, with a->dump open */

/* admin_act.c */
void verb_status(struct call *c);
void verb_users(struct call *c);
void verb_kick(struct call *c);
void verb_ban(struct call *c);
void verb_unban(struct call *c);
void verb_bans(struct call *c);
void verb_mute(struct call *c);
void verb_unmute(struct call *c);
void verb_mutes(struct call *c);
void verb_slow(struct call *c);
void verb_lockdown(struct call *c);
void verb_say(struct call *c);
void verb_delete(struct call *c);
void verb_log_level(struct call *c);
void verb_metrics(struct call *c);
void verb_verbs(struct call *c);
void admin_metrics_text(struct admin *a, struct buf *b);

/* admin_config.c */
void verb_config(struct call *c);

/* admin_health.c: c->text has the members that the door knows; answers. */
void admin_status(struct call *c);

/* admin_read.c */
void verb_history(struct call *c);
void verb_files(struct call *c);
void verb_audit(struct call *c);

/* Who the room does not know may still have written: the number of "7" or "id:7"; 0: it is none. */
uint64_t bare_id(const char *s);
/* Has the room store the addresses that it still holds, so that a read finds them; then `then`. */
void call_stored(struct call *c, void (*then)(struct call *c));
/* The earliest time of an address that counts; false: the server keeps none. After a command that looks for people. */
bool addresses_since(const struct call *c, int64_t *since_ms);

/* admin_purge.c */
void verb_purge(struct call *c);

/* admin_copy.c */
void verb_backup_start(struct call *c);
void verb_backup_hold(struct call *c); /* its body is not awaited: see on_request */
void verb_backup_state(struct call *c);
void verb_backup_database(struct call *c);
void verb_backup_blobs(struct call *c);
void verb_backup_blob(struct call *c);
void verb_backup_end(struct call *c);
void backup_free(struct backup *b);
void backup_clear(const struct admin *a); /* what a server that died left of one */

/* admin_verify.c */
void verb_verify_start(struct call *c);
void verb_verify_state(struct call *c);
void verb_verify_blobs(struct call *c);
void verb_verify_blob(struct call *c);
void verb_verify_files(struct call *c);
void verb_verify_strays(struct call *c);
void db_check_free(struct db_check *k); /* NULL is ignored */

#endif
