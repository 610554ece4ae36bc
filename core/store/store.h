/* store.h — everything that must survive: messages, identities, tokens, in one SQLite database. The only unit that includes sqlite3.h.
 *
 * One writer: the room thread, or main before the room runs. Any number of readers, each on a connection of its own and owned by one
 * thread. Nothing is visible to a reader before store_commit. Strings in callbacks are borrowed for the call. */
#ifndef WC_STORE_H
#define WC_STORE_H

#include "base/wc.h"
#include "wire/msg.h"

/* A blob that messages stand for; non-zero ends the walk. */
typedef int (*store_blob_fn)(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size);

/* A person with a token. Part 1 guests are not stored. */
struct identity {
	uint64_t id;
	struct str name, key; /* key: name_key() of it */
	int64_t created_ms, seen_ms;
	bool has_dms;
};

struct store;
struct store_reader;

enum durability { DURABILITY_NORMAL, DURABILITY_FULL };

/* dir NULL: in memory, gone at exit. Makes the schema, or migrates it (numbered, PRAGMA user_version), inside one transaction.
 * WAL, synchronous NORMAL or FULL (`normal`: survives kill -9 of the process; `full`: also of the machine), mmap off, foreign keys on,
 * incremental auto_vacuum, wal_autocheckpoint off for the writer (store_checkpoint does it elsewhere).
 * On failure *cause is one line for the admin: not writable, full, newer version (nothing touched), corrupt (names `wavechatctl backup`
 * and the file to restore), locked by another wavechatd (flock on dir/lock). Thread: main. */
/* -WC_EFULL: there is no room on the disk. */
int store_open(struct store **out, const char *dir, enum durability durability, char **cause) WC_MUSTCHECK;
/* The same. `fn` is called once the folder is locked, before anything in it is made or changed; its refusal is the answer. look NULL: there
 * is no database, or none with anything in it. */
struct store_look;
typedef int (*store_look_at_fn)(void *arg, struct store_look *look, char **cause);
int store_open_after(struct store **out, const char *dir, enum durability durability, store_look_at_fn fn, void *arg,
                     char **cause) WC_MUSTCHECK;
/* For --check: the same look at a folder that somebody may be using; nothing is locked or made. */
int store_look_at(const char *dir, store_look_at_fn fn, void *arg, char **cause) WC_MUSTCHECK;
/* Blobs by what rows say of them: messages stand for them; their messages went, and a row remains; on the list of those to be unlinked. */
enum store_look_set { LOOK_LIVE, LOOK_ENDED, LOOK_RELEASED };
typedef void (*store_look_fn)(void *arg, const uint8_t sha[WC_SHA_BYTES]);
int store_look_each(struct store_look *k, enum store_look_set at, store_look_fn fn, void *arg) WC_MUSTCHECK;
int store_look_identity(struct store_look *k, uint64_t identity_id, int64_t *created_ms) WC_MUSTCHECK; /* or -WC_ENOENT */
void store_close(struct store *s); /* commits nothing; checkpoints. Readers are closed before */
const char *store_sqlite_version(void);
void store_claim(struct store *s, const char *text, size_t len); /* into the lock file (claims.h); best effort, no wait */
int store_check(const char *dir, char **cause) WC_MUSTCHECK;     /* --check: opens read-only, quick_check, says what is wrong */
const char *store_sqlite_version(void);                          /* of the library linked, for --version */

/* --- Writer. Thread: room (or main before it starts). -WC_ESTORAGE: nothing of the failed step is kept; the caller answers `storage`.
 * After it, within a transaction, every further step fails the same way until store_rollback_to or the end: SQLite itself ends a
 * transaction on some errors (a full disk), and then store_rollback_to cannot save the batch and store_commit fails. The next store_begin
 * starts afresh and works as soon as the disk does. -WC_EEXIST and -WC_ENOENT are answers, not failures: the transaction goes on. */
int store_begin(struct store *s) WC_MUSTCHECK;
int store_commit(struct store *s) WC_MUSTCHECK; /* on failure the transaction is rolled back */
/* The last attempt to write failed for the sake of the disk, the file or a lock, and none has passed since. Any thread. */
bool store_is_failing(const struct store *s);
int64_t store_rows(const struct store *s); /* messages stored, deletions' marks included; -1: not counted yet. Any thread */
void store_count_start(struct store *s);   /* counts them, on a thread. Thread: main, before anybody else writes */
void store_count_stop(struct store *s);    /* store_close does it, too */
void store_rollback(struct store *s);
/* The end of store_begin and the steps behind it, which left rc: commits if rc >= 0 and returns 0 or -WC_ESTORAGE; else rolls back and
 * returns rc. rc may be store_begin's own refusal. */
int store_finish(struct store *s, int rc) WC_MUSTCHECK;
bool store_was_full(const struct store *s);        /* something failed since the last store_begin because the disk is full */
int store_savepoint(struct store *s) WC_MUSTCHECK; /* one an event */
int store_release(struct store *s) WC_MUSTCHECK;
void store_rollback_to(struct store *s); /* back to the savepoint, and drops it */

/* m->id is set. -WC_EEXIST: (from_id, cid) is there already; look with store_find_cid. */
int store_put_msg(struct store *s, const struct msg *m) WC_MUSTCHECK;
typedef int (*store_msg_fn)(void *arg, const struct msg *m); /* non-zero stops the walk */
int store_find_cid(struct store *s, uint64_t from_id, struct str cid, store_msg_fn fn, void *arg) WC_MUSTCHECK; /* or -WC_ENOENT */

/* Identities and their tokens (a token is stored as its SHA-256; an identity has one a device). */
/* Insert or update (created_ms stays; has_dms is derived, not stored). -WC_EEXIST: another identity holds that key. */
int store_put_identity(struct store *s, const struct identity *who) WC_MUSTCHECK;
int store_put_token(struct store *s, uint64_t identity_id, const uint8_t hash[WC_SHA_BYTES], int64_t now_ms) WC_MUSTCHECK;
/* A token is as good as if it had been made at that time. */
int store_admit_token(struct store *s, const uint8_t hash[WC_SHA_BYTES], int64_t at_ms) WC_MUSTCHECK;
int store_touch(struct store *s, uint64_t identity_id, int64_t now_ms) WC_MUSTCHECK; /* last seen */
int store_drop_identity(struct store *s, uint64_t identity_id) WC_MUSTCHECK;         /* name hold over; its messages stay */
/* Counters that outlive a restart: the next message id, the next user id. 0 if never set. */
uint64_t store_counter(struct store *s, const char *name);
int store_set_counter(struct store *s, const char *name, uint64_t value) WC_MUSTCHECK;
uint64_t store_last_id(struct store *s); /* highest stored message id, or 0 */
/* The lowest id a `since` may name without missing what was removed: the highest id that expiry or trimming took. 1 if nothing ever was. */
uint64_t store_floor(struct store *s);

/* Retention, within the caller's transaction or, outside one, in one of its own; a bounded slice a call so that the room is never held
 * long: removes up to `limit` messages older than before_ms, or marks MSG_GONE the oldest files until the stored blobs fit max_bytes.
 * Returns how many messages were touched; fn gets each, so that the room can mend its tail and collect the blob when nothing refers to it
 * (store_blob_refs). */
int store_expire(struct store *s, int64_t before_ms, int limit, store_msg_fn fn, void *arg) WC_MUSTCHECK;
int store_evict_files(struct store *s, uint64_t max_bytes, int limit, store_msg_fn fn, void *arg) WC_MUSTCHECK;
/* Removes the oldest messages past the newest keep_messages, at most limit: what bounds the in-memory database. Returns how many. */
int store_trim(struct store *s, int64_t keep_messages, int limit) WC_MUSTCHECK;
/* Their bytes are gone, or are in use again. Within the caller's transaction, or in one of its own. */
int store_forget_released(struct store *s, const uint64_t *ids, size_t n) WC_MUSTCHECK;
/* With data in memory: the same until the database uses at most max_bytes. */
int store_trim_bytes(struct store *s, uint64_t max_bytes, int limit) WC_MUSTCHECK;
/* With data in memory: beyond this the database takes nothing more (-WC_ESTORAGE). Thread: main, before others. */
void store_bound_memory(struct store *s, uint64_t bytes);
int store_vacuum_some(struct store *s,
                      int pages) WC_MUSTCHECK; /* incremental vacuum, outside a transaction. Returns how many pages are still free */
void store_release_memory(struct store *s);    /* cached pages that a crowd left; what is needed again is read from the system's cache */
/* Tests: the nth step from now fails with this SQLite code, as if SQLite had said so; FULL, IOERR and NOMEM also end the transaction. */
void store_test_fail_after(struct store *s, int nth, int rc);

/* At start: all identities with their token hashes, and the last `limit` public messages, oldest first. */
typedef int (*store_identity_fn)(void *arg, const struct identity *who);
typedef int (*store_token_fn)(void *arg, uint64_t identity_id, const uint8_t hash[WC_SHA_BYTES], int64_t admitted_ms);
int store_each_identity(struct store *s, store_identity_fn fn, void *arg) WC_MUSTCHECK;
int store_each_token(struct store *s, store_token_fn fn, void *arg) WC_MUSTCHECK;
int store_tail(struct store *s, int limit, store_msg_fn fn, void *arg) WC_MUSTCHECK;

/* --- Readers. One a thread: any thread but room and I/O. They see what is committed. A callback must not wait for the room (with an
 * in-memory store the room may be waiting for this very reader), nor use the same reader. */
int store_reader_open(struct store *s, struct store_reader **out) WC_MUSTCHECK;
void store_reader_close(struct store_reader *r);

/* Everything `me` may see with since < id <= upto, public and own DMs, in id order, at most limit (me 0: public alone).
 * Cost: proportional to limit, whatever is stored. Returns the number of messages. */
int store_read_since(struct store_reader *r, uint64_t me, uint64_t since, uint64_t upto, int limit, store_msg_fn fn,
                     void *arg) WC_MUSTCHECK;
/* The last `limit` before id `before` (0: from the end), oldest first. peer 0 with is_dm false: public; else the DMs between me and peer.
 * */
int store_read_history(struct store_reader *r, bool is_dm, uint64_t me, uint64_t peer, uint64_t before, int limit, store_msg_fn fn,
                       void *arg) WC_MUSTCHECK;
/* Whom `me` has DMs with: newest first, at most limit. */
typedef int (*store_peer_fn)(void *arg, uint64_t peer_id, struct str peer_name, uint64_t last_id);
int store_read_peers(struct store_reader *r, uint64_t me, int limit, store_peer_fn fn, void *arg) WC_MUSTCHECK;
/* Whose token is this (its SHA-256)? Returns 0 and *identity_id, or -WC_ENOENT. */
int store_read_token(struct store_reader *r, const uint8_t hash[WC_SHA_BYTES], uint64_t *identity_id) WC_MUSTCHECK;
/* The file behind a URL's secret. -WC_ENOENT: none, or gone. */
int store_read_file(struct store_reader *r, const uint8_t secret[WC_SECRET_BYTES], store_msg_fn fn, void *arg) WC_MUSTCHECK;
/* Blobs that no message refers to any more and whose bytes may still be there: those with after < id, in id order, at most limit. */
int store_read_released(struct store_reader *r, uint64_t after, int limit, uint64_t *ids, uint8_t (*sha)[WC_SHA_BYTES]) WC_MUSTCHECK;
int store_read_is_released(struct store_reader *r, const uint8_t sha[WC_SHA_BYTES]) WC_MUSTCHECK; /* 1: it is on that list; 0: it is not */
int store_read_identity_created(struct store_reader *r, uint64_t identity_id, int64_t *created_ms) WC_MUSTCHECK; /* or -WC_ENOENT */
/* False: the file under the database's name is another one by now, so that rows say nothing of the files beside it. */
bool store_is_in_place(const struct store_reader *r);
/* How many messages refer to a blob (gone and deleted ones do not count). */
int store_read_blob_refs(struct store_reader *r, const uint8_t sha[WC_SHA_BYTES]) WC_MUSTCHECK;
/* Moves the WAL into the database, off the room thread; about once a second keeps the WAL bounded. With a WAL over 64 MB it may hold up
 * the room's next batch for some ms. 0 also if readers were in the way. Thread: a helper's. */
int store_checkpoint(struct store_reader *r);
/* The same, and gives the WAL's room on the disk back; for a full disk. Holds up the room's next batch for some ms. */
int store_give_back_log(struct store_reader *r);

#endif
