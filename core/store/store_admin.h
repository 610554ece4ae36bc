/* store_admin.h — the admin's side of the store: bans and mutes, the audit, deletions, dumps of history, online copies.
 *
 * Two halves. The writer's functions work inside the caller's transaction (store_begin … store_commit) on the room's thread, like those of
 * store.h. A dump is a reader of its own, owned by one thread, never the room's or an I/O thread. */
#ifndef WC_STORE_ADMIN_H
#define WC_STORE_ADMIN_H

#include "store/store.h"

/* --- Bans and mutes. */
enum sanction_act { SANCTION_BAN = 1, SANCTION_MUTE = 2 };
enum sanction_kind { SANCTION_IDENTITY = 1, SANCTION_NAME = 2, SANCTION_NET = 3 };

struct looks;
struct sanction {
	uint64_t id; /* 0: not stored yet */
	enum sanction_act act;
	enum sanction_kind kind;
	uint64_t user_id;        /* SANCTION_IDENTITY */
	char *name, *key;        /* of the person or the name; key: name_key(). NULL for a network */
	uint8_t addr[16];        /* SANCTION_NET; IPv4 as ::ffff:a.b.c.d */
	int bits;                /* of 128 */
	int64_t at_ms, until_ms; /* Unix; until_ms 0: for good */
	int64_t ends_ms;         /* not stored: the same by boot_ms, which no step of a clock moves; the room's */
	int64_t loaded_ms;       /* not stored: until_ms as it was loaded; 0: made in this run; the room's */
	struct looks *looks;     /* not stored: how the name looks; NULL: none, or not in force; the room's, which frees it */
	char *reason;            /* NULL: none given */
	uint32_t uid;            /* of the admin who did it */
};
void sanction_free(struct sanction *s); /* and its strings; NULL-safe */

int store_put_sanction(struct store *s, struct sanction *sanction) WC_MUSTCHECK; /* sets its id */
int store_drop_sanction(struct store *s, uint64_t id) WC_MUSTCHECK;
int store_move_sanction(struct store *s, uint64_t id, int64_t until_ms) WC_MUSTCHECK;   /* its end */
typedef void (*store_sanction_fn)(void *arg, struct sanction *taken);                   /* the callee owns it */
int store_each_sanction(struct store *s, store_sanction_fn fn, void *arg) WC_MUSTCHECK; /* Thread: main or room; no transaction needed */

/* --- The audit: rows are added and never changed; the database itself refuses. */
struct audit {
	uint64_t id;
	int64_t at_ms;
	uint32_t uid;
	int32_t pid;
	struct str verb, args /* one JSON object */, reason;
	struct str via; /* the user behind sudo; empty: none */
};
int store_put_audit(struct store *s, const struct audit *a) WC_MUSTCHECK;

/* --- Deletions. store_read_since gives them as MSG_DELETE: text is the id of the target; to_id is the person who is told, 0: everyone. */

/* One message, by id: fn gets it; or -WC_ENOENT. */
int store_get_msg(struct store *s, uint64_t id, store_msg_fn fn, void *arg) WC_MUSTCHECK;
/* Wipes a message's content and marks it deleted; its file no longer counts for the blob. */
int store_delete_msg(struct store *s, uint64_t id) WC_MUSTCHECK;
/* The event that tells `viewer` (0: everyone) that target was deleted. */
int store_put_deletion(struct store *s, uint64_t id, int64_t at_ms, uint64_t target, uint64_t viewer) WC_MUSTCHECK;
/* The newest `limit` deletions that everyone is told of, oldest first. *before: the highest id of those left out, 0 if none. */
typedef void (*store_deletion_fn)(void *arg, uint64_t id, int64_t at_ms, uint64_t target);
int store_recent_deletions(struct store *s, int limit, uint64_t *before, store_deletion_fn fn, void *arg) WC_MUSTCHECK;

/* --- Dumps: reads of any size, a bounded page at a time, each page one short read transaction. */
struct store_dump;
int store_dump_open(struct store *s, struct store_dump **out) WC_MUSTCHECK;
void store_dump_close(struct store_dump *d);

struct dump_filter {
	uint64_t after;             /* ids above it */
	int64_t since_ms, until_ms; /* 0: no bound; until is exclusive */
	bool is_dm;                 /* the DMs between a and b; else what is public */
	uint64_t a, b;
	uint64_t user_id;     /* 0: anybody's */
	struct str user_name; /* empty: anybody's. Compared as written, ASCII case apart */
	struct str grep;      /* empty: all; else text or file name contains it, ASCII case apart */
	bool files_only;
	int limit;      /* messages handed out */
	int scan_limit; /* messages looked at */
};
/* Returns the number handed out. *upto: the last id that was looked at, where the next page begins; *more: something lies behind it.
 * fn non-zero ends the page after that message. */
int store_dump_page(struct store_dump *d, const struct dump_filter *f, store_msg_fn fn, void *arg, uint64_t *upto, bool *more) WC_MUSTCHECK;
/* Sets *after, for f->after, to the id after which the newest n of that kind begin. */
int store_dump_last(struct store_dump *d, const struct dump_filter *f, int n, uint64_t *after) WC_MUSTCHECK;
/* Messages of people (ids, rising) since a time (0: ever), of one of two sorts: ids above *after, at most limit handed out, within
 * scan_limit looked at. Deleted ones do not count. *after moves to the last one looked at; *more: something lies behind it. Returns how
 * many. */
struct sent_filter {
	const uint64_t *people;
	size_t count;
	int64_t since_ms;
	bool is_private; /* direct messages alone; else those to everybody alone */
};
struct sent {
	uint64_t id, from_id;
	bool has_file; /* and its bytes are kept */
};
typedef void (*store_sent_fn)(void *arg, const struct sent *m);
int store_dump_sent(struct store_dump *d, const struct sent_filter *f, uint64_t *after, int limit, int scan_limit, store_sent_fn fn,
                    void *arg, bool *more) WC_MUSTCHECK;
/* The people who wrote under this name (as written, ASCII case apart), people unknown by now included; at most limit. */
typedef int (*store_author_fn)(void *arg, uint64_t id, struct str name);
int store_dump_authors(struct store_dump *d, struct str name, int limit, store_author_fn fn, void *arg) WC_MUSTCHECK;
/* The same for an id: fn gets the name that its newest message has. -WC_ENOENT: this id wrote nothing. */
int store_dump_author(struct store_dump *d, uint64_t id, store_author_fn fn, void *arg) WC_MUSTCHECK;
/* 1: this id has private talk, as sender or receiver; 0: none. */
int store_dump_has_dms(struct store_dump *d, uint64_t id) WC_MUSTCHECK;
/* Audit rows with after < id, oldest first; last > 0: only the newest `last`. */
typedef int (*store_audit_fn)(void *arg, const struct audit *a);
int store_dump_audit(struct store_dump *d, uint64_t after, int last, int limit, store_audit_fn fn, void *arg) WC_MUSTCHECK;

/* --- Online copies. */

/* Writes the whole database as of one moment into path, which is made anew, and checks the copy page by page. Writers go on meanwhile.
 * `progress` is told of each step and ends the copy by returning non-zero: -WC_ECLOSED. -WC_EDENIED: the store is in memory; -WC_ESTORAGE.
 * *cause: one line. */
typedef int (*store_progress_fn)(void *arg, uint64_t done, uint64_t total);
int store_copy(struct store_dump *d, const char *path, store_progress_fn progress, void *arg, char **cause) WC_MUSTCHECK;
/* The blobs that the copy refers to, by hash, above `after` (NULL: from the first), at most limit. */
int store_copy_blobs(const char *path, const uint8_t *after, int limit, store_blob_fn fn, void *arg) WC_MUSTCHECK;

#endif
