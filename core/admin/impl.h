/* impl.h — one administrator's request from arrival to answer, and what the files of this folder share. No other folder includes it.
 *
 * admin_call.c has the functions that every verb uses; admin.c is above the verbs, and no verb calls it. A verb is a row in verbs.h and, in
 * one file, its own arguments and `verb_<id>`. */
#ifndef WC_ADMIN_IMPL_H
#define WC_ADMIN_IMPL_H

#include <json-c/json.h>
#include <pthread.h>
#include <string.h>

#include "admin/admin.h"
#include "admin/verbs.h"
#include "base/buf.h"
#include "http/httpd.h"
#include "room/moderate.h"

#define ADMIN_BODY_MAX (256 * 1024)
#define ADMIN_REPLY_MAX (64 * 1024 * 1024)

struct call;

/* The rights of a peer. The socket's owner and root may do everything, any other user nothing. */
enum admin_role { MAY_NOTHING, MAY_LOOK, MAY_MODERATE, MAY_OPERATE };

struct admin_verb {
	const char *method, *path;
	enum admin_role role;
	const char *name;   /* in the audit, and wavechatctl's verb */
	const char *params; /* those it knows, with blanks between */
	const char *help;
	void (*start)(struct call *c); /* answers, then or later, exactly once. Thread: the door's */
};

/* One person's reading of one private talk: each page of it is not a line of the audit. */
struct dm_note {
	uint32_t uid;
	int32_t pid;
	uint64_t a, b;
	int64_t until_ms; /* monotonic */
};

struct backup;
struct db_check;
struct store_verify;

struct admin {
	struct admin_opts o;
	struct httpd *door, *metrics;
	char *path;      /* as told to people */
	char *bind_path; /* as told to the kernel */
	int dir_fd;
	int64_t started_ms;          /* Unix */
	struct helpers *thread;      /* one: long reads, apart from those that clients wait for. Under lock */
	struct store_dump *dump;     /* that thread's */
	struct store_verify *verify; /* that thread's */
	pthread_mutex_t lock;
	struct dm_note notes[16]; /* under lock */
	int next_note;            /* under lock */
	struct backup *backup;    /* under lock */
	uint64_t backups;         /* begun so far; under lock */
	struct db_check *check;   /* under lock */
};

/* One request. One thread at a time has it: the door's, the admin's own, or the room's. */
struct call {
	struct command c; /* the audit's words, the answer's status and text */
	struct admin *a;
	struct http_req *r;
	const struct admin_verb *verb;
	struct json_object *args;
	void *own; /* call_own's */
	void (*drop)(void *own);
	char via[65]; /* c.via */
	/* what is under way */
	void (*act)(struct room *r, struct call *c);
	void (*then)(struct call *c);
	void (*job)(struct call *c);
	char *note; /* call_note's */
	bool goes_on;
	size_t left; /* call_stored's: addresses that were left at its last step */
	void (*stored)(struct call *c);
	/* the body as it comes */
	char *raw;
	size_t raw_len, raw_want;
};

#define DECLARE_REQUEST(id, ...) void verb_##id(struct call *c);
#define NO_COMMAND(...)
ADMIN_VERBS(DECLARE_REQUEST, NO_COMMAND)

/* --- Parameters, from the body or the query. Strings live as long as the call. */
struct json_object *arg_get(const struct call *c, const char *name); /* NULL: none, or null */
const char *arg_str(const struct call *c, const char *name);         /* NULL: none */
bool arg_int(const struct call *c, const char *name, int64_t *out);  /* false: none, or no number */
bool arg_true(const struct call *c, const char *name);
bool arg_sha(const struct call *c, const char *name, uint8_t sha[WC_SHA_BYTES]); /* false: none, or no hash */
/* These return false if the parameter is given and wrong; then the call was answered. *out stays as it is if there is none. */
bool take_int(struct call *c, const char *name, int64_t least, int64_t *out);
bool take_reason(struct call *c);               /* "reason", for the audit */
bool take_for(struct call *c, int64_t *for_ms); /* "for_s" */

/* --- The call's own memory: zeroed, freed with the call, after `drop`, which may be NULL. Once a call. */
void *call_own(struct call *c, size_t size, void (*drop)(void *own)) WC_MUSTCHECK;

/* --- Answers. Each ends the call. Any thread. */
void call_reply(struct call *c);                           /* c->c.status and c->c.out */
void call_reply_fd(struct call *c, int fd, uint64_t size); /* the bytes of fd, which is taken */
void call_reply_text(struct call *c, const struct buf *b); /* the metrics */
void call_fail(struct call *c, int status, const char *code, const char *text);
void call_fail_storage(struct call *c); /* the database cannot be read */
void call_fail_nobody(struct call *c, const char *text, const char *wanted);
void call_free(struct call *c); /* for one that was answered otherwise */

/* --- Work elsewhere. */
/* Has the room's thread do `act`, which calls one of the acts of moderate.h and must not wait; then `then` there, or if it is NULL
 * call_reply. */
void call_room(struct call *c, void (*act)(struct room *r, struct call *c), void (*then)(struct call *c));
/* Does `job` on the admin's own thread, with a->dump open. */
void call_read(struct call *c, void (*job)(struct call *c));
/* Writes the call to the audit with these arguments, JSON from malloc (taken). `then` runs on the room's thread if that was done; else the
 * call has been answered. */
void call_note(struct call *c, char *json, void (*then)(struct call *c));
/* Has the room store the addresses that it still holds, so that a read finds them; then `then` on the room's thread. */
void call_stored(struct call *c, void (*then)(struct call *c));
/* The earliest time of an address that counts; false: the server keeps none. Only after call_room. */
bool addresses_since(const struct call *c, int64_t *since_ms);

/* --- Words that several verbs have in common. */
uint64_t bare_id(const char *s);      /* the number of "7" or "id:7", for people whom the room does not know; 0: it is none */
const char *bare_name(const char *s); /* "Ann" of "Ann" or "name:Ann" */

/* --- What the door needs of the verbs' files. */
void admin_metrics_text(struct admin *a, struct buf *b); /* admin_status.c */
void backup_free(struct backup *b);                      /* admin_copy.c. Waits for its thread. NULL is ignored */
void backup_clear(const struct admin *a);                /* removes what a server that died left of one */
void db_check_free(struct db_check *k);                  /* admin_verify.c. Waits for its thread. NULL is ignored */

#endif
