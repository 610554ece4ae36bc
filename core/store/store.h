/* store.h — the data that survives a restart: messages, identities and tokens, in one SQLite database.
 *
 * There is one writer: the room's thread, or main before the room runs. There are any number of readers, each on a connection of its
 * own, owned by one thread. A reader sees nothing before store_commit. Strings in callbacks are borrowed for the call. Only store/
 * includes sqlite3.h. */
#ifndef WC_STORE_H
#define WC_STORE_H

#include "base/wc.h"
#include "wire/msg.h"

/* A person with a token. Guests of the first dialect are not stored. */
struct identity {
	uint64_t id;
	struct str name, key; /* key: name_key() of the name */
	int64_t created_ms, seen_ms;
	bool has_dms;
	bool has_spoken;   /* wrote to everyone, once at least */
	uint64_t dm_id;    /* the newest event of the person's direct messages; 0: none */
	uint64_t dm_floor; /* the highest id among those that retention removed; 0: none */
};

struct store;
struct store_reader;
struct store_look;

typedef int (*store_msg_fn)(void *arg, const struct msg *m); /* non-zero ends the walk */
/* A blob that messages stand for, and its size in bytes; non-zero ends the walk. */
typedef int (*store_blob_fn)(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size);

/* --- Opening and closing. Thread: main. */

enum durability {
	DURABILITY_NORMAL, /* a commit survives kill -9 of the process */
	DURABILITY_FULL,   /* … and a crash of the machine */
};
/* Opens DIR/wavechat.db; dir NULL: in memory, gone at exit. Makes the schema, or migrates it in one transaction. The settings: WAL,
 * foreign keys, incremental auto_vacuum, no mmap, and no automatic checkpoint (store_checkpoint does it elsewhere). 0; -WC_EFULL: the
 * disk is full; -WC_ESTORAGE. *cause is one line for the admin: not writable, full, damaged, written by a newer version (then nothing
 * was touched), or locked by another wavechatd (flock on DIR/lock). */
int store_open(struct store **out, const char *dir, enum durability durability, char **cause) WC_MUSTCHECK;
/* The same, with a look first: `fn` runs once the folder is locked, before anything in it is made or changed. Its refusal ends the opening.
 * look NULL: there is no database, or an empty one. */
typedef int (*store_look_at_fn)(void *arg, struct store_look *look, char **cause);
int store_open_after(struct store **out, const char *dir, enum durability durability, store_look_at_fn fn, void *arg,
                     char **cause) WC_MUSTCHECK;
void store_close(struct store *s); /* checkpoints; an open transaction is rolled back. NULL-safe. Readers are closed before */
void store_claim(struct store *s, const char *text, size_t len); /* into the lock file (claims.h); best effort, no wait */
const char *store_sqlite_version(void);                          /* of the library linked */

/* --- A look before a start. Makes, changes and locks nothing. Thread: main. */

int store_check(const char *dir,
                char **cause) WC_MUSTCHECK; /* for --check: would a start find the database sound? -WC_ESTORAGE and *cause */
/* The look of store_open_after at a folder that another process may use. */
int store_look_at(const char *dir, store_look_at_fn fn, void *arg, char **cause) WC_MUSTCHECK;
/* LIVE: blobs that messages stand for. ENDED: their messages went, but a row remains. RELEASED: on the list of blobs to be unlinked. */
enum store_look_set { LOOK_LIVE, LOOK_ENDED, LOOK_RELEASED };
typedef void (*store_look_fn)(void *arg, const uint8_t sha[WC_SHA_BYTES]);
int store_look_each(struct store_look *k, enum store_look_set at, store_look_fn fn, void *arg) WC_MUSTCHECK;
int store_look_identity(struct store_look *k, uint64_t identity_id, int64_t *created_ms) WC_MUSTCHECK; /* or -WC_ENOENT */

/* --- The writer's transactions. Thread: room, or main before it starts.
 *
 * -WC_ESTORAGE from any step: nothing of that step is kept. Every further step of the transaction fails the same way until
 * store_rollback_to or the end, because SQLite itself ends a transaction on some errors, such as a full disk; then store_commit fails,
 * too. The next store_begin starts afresh. -WC_EEXIST and -WC_ENOENT are answers, not failures: the transaction goes on. */

int store_begin(struct store *s) WC_MUSTCHECK;
int store_commit(struct store *s) WC_MUSTCHECK; /* on failure the transaction is rolled back */
void store_rollback(struct store *s);           /* without a transaction: nothing */
/* Ends a transaction whose steps, store_begin included, left rc. Commits if rc >= 0: 0, or -WC_ESTORAGE. Else rolls back and returns rc. */
int store_finish(struct store *s, int rc) WC_MUSTCHECK;
int store_savepoint(struct store *s) WC_MUSTCHECK; /* one for each event */
int store_release(struct store *s) WC_MUSTCHECK;
void store_rollback_to(struct store *s);    /* back to the savepoint, and drops it */
bool store_was_full(const struct store *s); /* since the last store_begin a step failed because the disk is full */
/* The last attempt to write failed because of the disk, the file or a lock, and none has passed since. Any thread. */
bool store_is_failing(const struct store *s);
/* Tests: the nth step from now fails with this SQLite code, as if SQLite had said so; FULL, IOERR and NOMEM also end the transaction. */
void store_test_fail_after(struct store *s, int nth, int rc);

/* --- What the writer stores. Within a transaction. */

/* m->id is set. -WC_EEXIST: a message with this (from_id, cid) is there; store_find_cid reads it. */
int store_put_msg(struct store *s, const struct msg *m) WC_MUSTCHECK;
int store_find_cid(struct store *s, uint64_t from_id, struct str cid, store_msg_fn fn, void *arg) WC_MUSTCHECK; /* or -WC_ENOENT */

/* Inserts or updates; created_ms stays, and what follows it is derived, not stored. -WC_EEXIST: another identity has that key. */
int store_put_identity(struct store *s, const struct identity *who) WC_MUSTCHECK;
int store_set_spoke(struct store *s, uint64_t identity_id) WC_MUSTCHECK;             /* wrote to everyone; nobody's id: nothing */
int store_has_peer(struct store *s, uint64_t owner_id, uint64_t peer_id);            /* have they direct messages? 1, 0 or -WC_ESTORAGE */
int store_touch(struct store *s, uint64_t identity_id, int64_t now_ms) WC_MUSTCHECK; /* last seen */
int store_drop_identity(struct store *s, uint64_t identity_id) WC_MUSTCHECK;         /* its name is free again; its messages stay */
/* A token is stored as its SHA-256; an identity has one for each device. */
int store_put_token(struct store *s, uint64_t identity_id, const uint8_t hash[WC_SHA_BYTES], int64_t now_ms) WC_MUSTCHECK;
/* The token lets nobody in any more. drop: within the caller's transaction; end: in one of its own. */
int store_drop_token(struct store *s, const uint8_t hash[WC_SHA_BYTES]) WC_MUSTCHECK;
int store_end_token(struct store *s, const uint8_t hash[WC_SHA_BYTES]) WC_MUSTCHECK;
int store_admit_token(struct store *s, const uint8_t hash[WC_SHA_BYTES], int64_t at_ms) WC_MUSTCHECK; /* counts as made at that time */

/* Numbers that outlive a restart, such as the next message id; 0 if never set. Reading needs no transaction. */
uint64_t store_counter(struct store *s, const char *name);
int store_set_counter(struct store *s, const char *name, uint64_t value) WC_MUSTCHECK;
uint64_t store_last_id(struct store *s); /* the highest id of a stored message, or 0 */
/* The highest id that retention removed, or 1: no id up to it is ever given again. */
uint64_t store_floor(struct store *s);
uint64_t store_public_floor(struct store *s); /* the same of public events; a client that names a lower `since` has missed some */

/* At start: all identities, all tokens, and the last `limit` public messages, oldest first. */
typedef int (*store_identity_fn)(void *arg, const struct identity *who);
typedef int (*store_token_fn)(void *arg, uint64_t identity_id, const uint8_t hash[WC_SHA_BYTES], int64_t admitted_ms);
int store_each_identity(struct store *s, store_identity_fn fn, void *arg) WC_MUSTCHECK;
int store_each_token(struct store *s, store_token_fn fn, void *arg) WC_MUSTCHECK;
int store_tail(struct store *s, int limit, store_msg_fn fn, void *arg) WC_MUSTCHECK;

/* --- Retention. Thread: the writer's.
 *
 * Each call removes a bounded slice, so that the room is never held for long. It works within the caller's transaction, or outside one in a
 * transaction of its own. It returns how many messages it touched, or -WC_ESTORAGE; fn gets each of these messages. */

int store_expire(struct store *s, int64_t before_ms, int limit, store_msg_fn fn, void *arg) WC_MUSTCHECK; /* removes older messages */
/* Marks the oldest files MSG_GONE until the stored blobs take at most max_bytes. */
int store_evict_files(struct store *s, uint64_t max_bytes, int limit, store_msg_fn fn, void *arg) WC_MUSTCHECK;
/* Removes all but the newest keep_messages that everybody may read, and the newest keep_messages of the private ones. Neither sort shows
 * how many there are of the other. */
int store_trim(struct store *s, int64_t keep_messages, int limit, store_msg_fn fn, void *arg) WC_MUSTCHECK;
/* In memory: removes the oldest messages of each of the two sorts until both take at most half of max_bytes. */
int store_trim_bytes(struct store *s, uint64_t max_bytes, int limit, store_msg_fn fn, void *arg) WC_MUSTCHECK;
/* Takes n blobs off the list of released ones: their bytes are gone, or are in use again. */
int store_forget_released(struct store *s, const uint64_t *ids, size_t n) WC_MUSTCHECK;
/* In memory: past these bytes every write fails with -WC_ESTORAGE. Thread: main, before others. */
void store_bound_memory(struct store *s, uint64_t bytes);
/* Gives up to `pages` free pages back to the disk, outside a transaction. Returns how many are still free. */
int store_vacuum_some(struct store *s, int pages) WC_MUSTCHECK;
void store_release_memory(struct store *s); /* frees cached pages; the system's own cache still has them */

int64_t store_rows(const struct store *s); /* stored messages, marks of deletions included; -1: not counted yet. Any thread */
void store_count_start(struct store *s);   /* counts them on a thread. Thread: main, before anybody else writes */
void store_count_stop(struct store *s);    /* store_close does it, too. Thread: main */

/* --- Readers. Thread: any but room and I/O, one for each reader. They see committed data only. A callback must not use the same reader,
 * nor wait for the room: in memory the room may be waiting for this very reader. */

int store_reader_open(struct store *s, struct store_reader **out) WC_MUSTCHECK;
void store_reader_close(struct store_reader *r); /* NULL-safe */

/* All messages that `me` may see with since < id <= upto, public ones and own DMs, in id order, at most limit; me 0: public ones alone.
 * The cost depends on limit alone. Returns how many. */
int store_read_since(struct store_reader *r, uint64_t me, uint64_t since, uint64_t upto, int limit, store_msg_fn fn,
                     void *arg) WC_MUSTCHECK;
/* The last `limit` messages before id `before` (0: the newest), newest first: the DMs between me and peer, or the public ones. The cost
 * is that of the messages that fn is given before it stops. Returns how many. */
int store_read_history(struct store_reader *r, bool is_dm, uint64_t me, uint64_t peer, uint64_t before, int limit, store_msg_fn fn,
                       void *arg) WC_MUSTCHECK;
/* The people with whom `me` has DMs, newest first, at most limit. Returns how many. */
typedef int (*store_peer_fn)(void *arg, uint64_t peer_id, struct str peer_name, uint64_t last_id);
int store_read_peers(struct store_reader *r, uint64_t me, int limit, store_peer_fn fn, void *arg) WC_MUSTCHECK;
/* The owner of a token, by its SHA-256; or -WC_ENOENT. */
int store_read_token(struct store_reader *r, const uint8_t hash[WC_SHA_BYTES], uint64_t *identity_id) WC_MUSTCHECK;
/* The file behind the secret of a URL. -WC_ENOENT: there is none, or it is gone. */
int store_read_file(struct store_reader *r, const uint8_t secret[WC_SECRET_BYTES], store_msg_fn fn, void *arg) WC_MUSTCHECK;
/* Released blobs: no message refers to them, and their bytes may still be there. Those above `after`, in id order, at most limit.
 * Returns how many. */
int store_read_released(struct store_reader *r, uint64_t after, int limit, uint64_t *ids, uint8_t (*sha)[WC_SHA_BYTES]) WC_MUSTCHECK;
int store_read_is_released(struct store_reader *r, const uint8_t sha[WC_SHA_BYTES]) WC_MUSTCHECK; /* on that list: 1; else 0 */
int store_read_identity_created(struct store_reader *r, uint64_t identity_id, int64_t *created_ms) WC_MUSTCHECK; /* or -WC_ENOENT */
/* How many messages refer to a blob; deleted messages and removed files do not count. */
int store_read_blob_refs(struct store_reader *r, const uint8_t sha[WC_SHA_BYTES]) WC_MUSTCHECK;
/* False: another file lies under the database's name, so the rows say nothing about the files beside it. */
bool store_is_in_place(const struct store_reader *r);
/* Moves the WAL into the database. Called about once a second, it keeps the WAL bounded. With a WAL over 64 MB it may delay the room's next
 * batch by some ms. Returns 0 also if readers were in the way. Thread: a helper's. */
int store_checkpoint(struct store_reader *r);
/* The same, and gives the WAL's space back to the disk, for a full disk, or for a deletion: what was deleted is in it no more.
 * Delays the room's next batch by some ms. 1: readers were in the way, so it is not done. */
int store_give_back_log(struct store_reader *r);

#endif
