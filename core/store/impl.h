/* impl.h — names that the units of store/ share. Included by store/ and its unit tests alone.
 *
 * From the bottom up: store_turns, store_vfs, store_sql and store_schema; then store_cause. The writer: store_txn, then store_write,
 * store_retain, store_admin and store_addr. At rest: store_rest, then store_look, store_keep and store_check. With connections of their
 * own: store_read, store_dump, store_count, store_probe and store_verify. On top: store. */
#ifndef WC_STORE_IMPL_H
#define WC_STORE_IMPL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "store/store.h"

#define STORE_FILE "wavechat.db"
#define STORE_APPLICATION_ID 0x57764368 /* "WvCh": an SQLite file of somebody else is refused, not migrated */
#define STORE_PAGE_BYTES 4096
#define STORE_BUSY_MS 2000
/* Past this the log is not only copied into the database but started over. */
#define STORE_WAL_RESTART_BYTES (64 << 20)
#define STORE_FLOOR "floor" /* in the table meta: see store_floor */
#define STORE_PUBLIC_FLOOR "floor.public"

/* Orders the writer's transactions against what cannot run beside them: in memory, where there is no WAL, every reader; on disk only the
 * checkpoint that starts the WAL over (SQLite would poll for the writer's lock, and with a writer that never rests not get it for
 * minutes). Phase-fair, so that neither starves: a reader that comes while the writer waits or works waits for exactly one transaction,
 * and the writer waits for readers that were let in before it. */
#define STORE_GATE_MS 10000
struct store_turns {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	int readers, readers_waiting;
	bool is_writing, is_writer_waiting;
	uint64_t phase; /* counts the writer's turns */
};

/* clang-format off */
enum writer_stmt {
	W_BEGIN, W_COMMIT, W_ROLLBACK, W_SAVEPOINT, W_RELEASE, W_ROLLBACK_TO,
	W_PUT_MSG, W_PUT_FILE, W_PUT_PEER, W_FIND_CID,
	W_PUT_IDENTITY, W_PUT_TOKEN, W_ADMIT_TOKEN, W_END_TOKEN, W_TOUCH, W_SET_SPOKE, W_SET_FLOOR, W_HAS_PEER,
	W_DROP_IDENTITY, W_GET_META, W_SET_META, W_LAST_ID,
	W_OLDEST, W_OLDEST_PUBLIC, W_OLDEST_PRIVATE, W_DELETE_FILE, W_DELETE_MSG, W_DELETE_PEER, W_COUNT_ROWS,
	W_OLDEST_FILE, W_FILE_GONE, W_MSG_GONE, W_FORGET_RELEASED,
	W_EACH_IDENTITY, W_EACH_TOKEN, W_TAIL_LOW, W_TAIL,
	W_LAST,
};

enum reader_stmt {
	R_BEGIN, R_END, R_PEERS, R_TOKEN, R_FILE, R_BLOB_REFS, R_RELEASED, R_IS_RELEASED, R_IDENTITY_CREATED,
	R_SINCE_PUBLIC, R_SINCE_ALL, R_SINCE_FROM, R_SINCE_TO, R_BACK_PUBLIC, R_BACK_PAIR,
	R_LAST,
};
/* clang-format on */

/* By how much there is more than at the start, the open transaction's included: of what everybody may read, and of the rest. */
struct store_tally {
	int64_t rows[2], bytes[2]; /* [is it private?]; bytes: about, in memory alone */
	uint64_t private_through;  /* private messages up to this id were removed, all of them */
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *stmt[W_LAST];
	char *path; /* or the URI of the in-memory database */
	bool is_memory;
	int lock_fd;
	uint64_t dev, ino; /* of the file that was opened; 0 in memory */
	/* in_txn: store_begin succeeded and nothing ended it. is_poisoned: a step failed, and until it is rolled back nothing more is
	 * accepted. SQLite itself ends a transaction on some errors; without this what follows would be stored outside any. */
	bool in_txn, is_poisoned;
	bool was_full; /* a step failed for want of room, since the last store_begin */
	struct store_tally tally, tally_at_begin, tally_at_savepoint;
	_Atomic int64_t rows_at_start;  /* -1: not counted yet (store_count.c) */
	_Atomic int64_t rows_committed; /* of the tally's rows, what is committed */
	sqlite3 *counter;               /* store_count.c's */
	pthread_t count_thread;
	_Atomic bool is_failing; /* see store_is_failing */
	int64_t logged_ms;
	int fail_after, fail_rc; /* store_test_fail_after */
	struct store_turns turns;
};

/* Columns of a message in the order store_row_msg reads them. */
#define MSG_COLUMNS \
	"m.id, m.at, m.kind, m.flags, m.from_id, m.from_name, m.to_id, m.to_name, m.cid, m.text, " \
	"f.filename, f.mime, f.waveform, f.size, f.duration, f.width, f.height, f.sha, f.secret"
/* For a message that can have no file the key is NULL, which is looked up without touching the tree of files. */
#define MSG_FROM(index) " FROM messages m " index " LEFT JOIN files f ON f.msg_id = iif(m.kind BETWEEN 2 AND 3, m.id, NULL) "

/* --- store_sql.c. Functions return an SQLite code unless they say otherwise. */

/* Opens a connection and sets what every connection of this program has set. *out is to be closed also on error. */
int store_connect(const char *path, int flags, sqlite3 **out);
int store_exec(sqlite3 *db, const char *sql);
int store_prepare_all(sqlite3 *db, const char *const *sql, int n, sqlite3_stmt **out);
int store_get_int(sqlite3 *db, const char *sql, int64_t *out); /* the first column of the first row; without a row *out stays */
/* Did it fail for want of room? rc: an SQLite code; err: the errno that goes with it. */
bool store_is_full_code(int rc, int err);

/* Parameters in order; a failed bind (no memory) is remembered, because a statement run without it would store something else. */
struct binder {
	sqlite3_stmt *stmt;
	int next, rc;
};
struct binder bind_to(sqlite3_stmt *stmt);
void bind_int(struct binder *b, int64_t v);
void bind_real(struct binder *b, double v);
void bind_str(struct binder *b, struct str s);         /* borrowed until the statement is reset */
void bind_str_or_null(struct binder *b, struct str s); /* empty: NULL */
void bind_blob(struct binder *b, const void *data, size_t n);
void bind_null(struct binder *b);

struct str store_column_str(sqlite3_stmt *stmt, int column);                  /* lives until the statement moves on */
bool store_column_bytes(sqlite3_stmt *stmt, int column, void *out, size_t n); /* false, and out stays: it is not n bytes long */
void store_row_msg(sqlite3_stmt *stmt, struct msg *m);                        /* strings live until the statement moves on */
/* Blobs that messages stand for, by hash, above `after` (NULL: from the first), at most limit. Returns how many, or -WC_ESTORAGE. */
int store_each_blob(sqlite3 *db, const uint8_t *after, int limit, store_blob_fn fn, void *arg);

/* --- store_schema.c */
extern const char *const store_migrations[];
extern const int store_version; /* how many there are */

/* --- store_cause.c. One line for the admin. Thread: main. */
void store_cause_begin(void);                                          /* forgets that a disk was full */
bool store_cause_is_full(void);                                        /* since then, a cause was a full disk */
void store_cause(char **cause, sqlite3 *db, const char *path, int rc); /* an SQLite code; db may be NULL */
void store_cause_errno(char **cause, const char *what, const char *path, int err);
void store_cause_corrupt(char **cause, const char *path, const char *what);
void store_cause_newer(char **cause, const char *path, int64_t version);

/* --- store_txn.c. Thread: the writer's. */
int store_step(struct store *s, enum writer_stmt which);                        /* an SQLite code; store_done_with ends it */
void store_done_with(struct store *s, enum writer_stmt which);                  /* resets it and forgets its parameters */
int store_run(struct store *s, enum writer_stmt which, const struct binder *b); /* of no rows. An SQLite code, SQLITE_OK for done */
/* Counts a message that was put (n 1) or goes (n -1), within the transaction. */
void store_tally_add(struct store *s, const struct msg *m, int n);
int store_failed(struct store *s, const char *what, int rc);       /* logs it, poisons the transaction; returns -WC_ESTORAGE */
bool store_is_usable(struct store *s);                             /* no step of this transaction has failed */
int store_enter_slice(struct store *s, bool *is_own) WC_MUSTCHECK; /* joins the caller's transaction, or begins one */
int store_leave_slice(struct store *s, bool is_own, const char *what, int rc, int count) WC_MUSTCHECK; /* count, or -WC_ESTORAGE */

/* --- store_write.c */
extern const char *const store_writer_sql[W_LAST];
int store_get_meta(struct store *s, const char *name, uint64_t *out); /* an SQLite code; 0 if it was never set */
int store_set_meta(struct store *s, const char *name, uint64_t value);

/* --- store_read.c */
extern const char *const store_reader_sql[R_LAST];

/* --- store_addr.c. Columns in the order store_row_address reads them; strings live until the statement moves on. */
#define ADDRESS_COLUMNS "user_id, name, key, is_guest, addr, at"
struct address;
void store_row_address(sqlite3_stmt *stmt, struct address *a);

/* --- store_dump.c: a short read transaction on the dump's own connection. Returns an SQLite code; leave only after success. */
struct store_dump {
	struct store *store;
	sqlite3 *db;
};
int store_dump_enter(struct store_dump *d);
void store_dump_leave(struct store_dump *d);
int store_dump_skip_older(struct store_dump *d, int64_t at_ms,
                          uint64_t *after); /* within enter and leave: *after moves to where such a time may begin */

/* --- store_rest.c. Thread: one that may wait for a disk. */
char *store_path(const char *dir); /* of the database; the caller frees it */
bool store_has_log(const char *path);
/* Reads the header with plain reads, so that a file that is foreign, damaged or too new is refused before SQLite makes or changes anything
 * beside it. make: an absent file is created (0600; SQLite gives its -wal and -shm the same mode). -WC_ENOENT: there is none, *cause
 * untouched. */
int store_read_header(const char *path, bool make, int64_t *bytes, char **cause) WC_MUSTCHECK;
/* SQLITE_OK: every page is sound; SQLITE_CORRUPT with *what: not so, in words; else the check itself failed. */
int store_quick_check(sqlite3 *db, char *what, size_t n);
int store_check_pages(sqlite3 *db, const char *path, char **cause) WC_MUSTCHECK; /* the same, with a cause */
int store_connect_to_check(const char *path, bool is_at_rest, sqlite3 **db);     /* read-only; leaves nothing beside a database at rest */
int store_connect_alone(const char *path, sqlite3 **db); /* the same where no server has it open, also with the log that a crash left */
/* A database that no server has open, of this program's schema or an older one: read-only, nothing beside it is made or changed, also if a
 * crash left a log. -WC_ENOENT: none, or an empty one; -WC_ESTORAGE; *cause says what is wrong. The caller closes *db. */
int store_connect_at_rest(const char *path, sqlite3 **db, char **cause) WC_MUSTCHECK;
const char *store_vfs_look(void); /* store_vfs.c: the name of a VFS by which nothing changes; NULL: SQLite has none to build it on */

/* --- store_look.c: a database before anything in it is changed. */
struct store_look {
	sqlite3 *db;
	const char *path; /* borrowed */
	int64_t version;
};
/* *out NULL and 0: it holds nothing yet. is_ours: the folder is locked by this process. */
int store_look_open(struct store_look **out, const char *path, bool is_ours, char **cause) WC_MUSTCHECK;
void store_look_close(struct store_look *k);

/* --- store_keep.c. If a migration is ahead: copies it beside itself, whole and synced, or says why it cannot. */
int store_keep_copy(const struct store_look *look, char **cause) WC_MUSTCHECK;
int store_keep_check(const struct store_look *look, char **cause) WC_MUSTCHECK; /* would there be room for it? */
void store_keep_clean(const char *path, int64_t keep);                          /* removes older copies; keep 0: only what is unfinished */

/* --- store.c */
/* Brings db from its user_version to n; one transaction for all steps. -WC_ESTORAGE and *cause on failure, then nothing has changed. */
int store_migrate(sqlite3 *db, const char *const *list, int n, const char *path, char **cause) WC_MUSTCHECK;

/* --- store_turns.c */
void turns_init(struct store_turns *g);
void turns_fini(struct store_turns *g);
int turns_write_enter(struct store_turns *g) WC_MUSTCHECK; /* -WC_ESTORAGE: somebody sits in it */
void turns_write_leave(struct store_turns *g);
void turns_read_enter(struct store_turns *g);
void turns_read_leave(struct store_turns *g);

#endif
