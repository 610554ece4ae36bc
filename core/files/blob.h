/* blob.h — stored files and voices ("blobs"), each named by its SHA-256, and uploads that become blobs.
 *
 * A blob lies on disk as DIR/blobs/ab/cdef…, or in memory as a memfd; then the sum of all is bounded. Thread: helpers, HTTP workers and the
 * transfer thread, which may wait for a disk; never the room or an I/O thread. A lock inside makes the functions safe beside each other. */
#ifndef WC_BLOB_H
#define WC_BLOB_H

#include "base/wc.h"
#include "wire/msg.h"

struct blobs;

/* Opens or makes the folders in dir, and finishes what a crash left half done. dir NULL: in memory, at most cap_bytes (0: 256 MB); to
 * make room, the oldest unused blobs are dropped first, then the oldest of all. 0, or -WC_ESTORAGE and *cause, one line. Thread: main. */
int blobs_open(struct blobs **out, const char *dir, uint64_t cap_bytes, char **cause) WC_MUSTCHECK;
void blobs_bound_files(struct blobs *b, int max); /* in memory: blobs and uploads at once, a descriptor each (else 1000). Thread: main */
uint64_t blobs_memory_cap(const struct blobs *b); /* in memory: cap_bytes; on disk: 0. Any thread */
void blobs_set_cap(struct blobs *b, uint64_t cap_bytes); /* in memory: in force from the next blob on. Any thread */
void blobs_close(struct blobs *b);                       /* NULL-safe. Every upload has ended. Thread: main */
/* Counts what is stored in s, and refuses what s refuses: -WC_EFULL, -WC_ESTORAGE. Thread: main, before any other uses b. */
struct space;
void blobs_set_space(struct blobs *b, struct space *s);

/* --- A look before a start. Makes, cleans and moves nothing. Thread: main. */

int blobs_check(const char *dir, char **cause) WC_MUSTCHECK; /* would blobs_open succeed? Its errors */
/* Opens the folders that exist, for the two functions below and blobs_close alone. -WC_ESTORAGE and *cause, one line. */
int blobs_look(struct blobs **out, const char *dir, char **cause) WC_MUSTCHECK;
/* Every file with a blob's name. PENDING: it was on its way into a message; LOST: it lies in DIR/lost. -WC_ESTORAGE and *cause, which
 * names dir. */
enum blob_look { BLOB_LOOK_STORED, BLOB_LOOK_PENDING, BLOB_LOOK_LOST };
typedef void (*blob_look_fn)(void *arg, const uint8_t sha[WC_SHA_BYTES], enum blob_look where);
int blobs_look_files(struct blobs *b, const char *dir, blob_look_fn fn, void *arg, char **cause) WC_MUSTCHECK;
/* Every finished upload that no message has used: its owner, when it was finished (Unix time), and its blob. */
typedef void (*blob_handle_fn)(void *arg, uint64_t identity_id, int64_t at_ms, const uint8_t sha[WC_SHA_BYTES]);
void blobs_look_handles(struct blobs *b, blob_handle_fn fn, void *arg);

/* --- Blobs. */

/* A hold keeps a blob from being removed until its message is committed or refused. Its owner ends it exactly once. */
struct blob_hold;
void blob_hold_used(struct blob_hold *h); /* the message is committed. NULL-safe. Thread: room */
void blob_hold_end(struct blob_hold *h);  /* the message is committed or refused; frees h. NULL-safe. Any thread; waits for no disk */

/* Stores n bytes, once. Storing the same bytes again takes as long, so that the time does not reveal whether the server had them.
 * 0 and a hold for the message; -WC_ESTORAGE: the disk refuses; -WC_EFULL: the bound for files does; -WC_ENOMEM. */
int blob_put_held(struct blobs *b, const void *data, size_t n, uint8_t sha[WC_SHA_BYTES], struct blob_hold **hold) WC_MUSTCHECK;
/* The same without a message: the blob stays for at least ten minutes. */
int blob_put(struct blobs *b, const void *data, size_t n, uint8_t sha[WC_SHA_BYTES]) WC_MUSTCHECK;
/* A read-only descriptor, which the caller closes, and the size in bytes; or -WC_ENOENT, -WC_ESTORAGE. Read it with pread or with
 * sendfile's own offset: in memory, all descriptors of one blob share their position. */
int blob_get(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size) WC_MUSTCHECK;
/* Every blob whose hash begins with the byte `shelf`, on disk alone, with its size in bytes and its age, counted from when it was last
 * stored or named by a handle; fn non-zero ends the walk. */
typedef int (*blob_fn)(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size, int64_t age_ms);
int blobs_each_on_shelf(struct blobs *b, uint8_t shelf, blob_fn fn, void *arg) WC_MUSTCHECK;
uint64_t blobs_bytes(struct blobs *b); /* of all blobs; a counter, so it costs nothing. Any thread */

/* --- Uploads, each under a person's identity and a key that the client chose. By its key a client asks how far an upload got, also
 * after the server was restarted. An upload has one writer: a second upload_begin takes it over, and the first writer's next write gets
 * -WC_ECLOSED. */

#define WC_UPLOADS_OPEN 16 /* unfinished uploads of one identity */
/* Of one identity that no message refers to, finished or not. Those of messages of the last seconds may count, too. */
#define WC_UPLOADS_UNSENT 1000
#define WC_UPLOADS_UNSENT_BYTES (512ull << 20)
#define WC_UPLOAD_HOURS 24 /* an upload or its handle is kept that long */
struct upload;
struct upload_state {
	uint64_t size;   /* announced, in bytes */
	uint64_t offset; /* stored so far; equal to size once complete */
	char handle[64]; /* once complete: random, terminated, valid for its uploader alone; else "" */
};
/* Starts or resumes an upload at `offset`, which must be what is stored; 0 starts over. The caller has checked size against the limit.
 * All of size is set aside until the upload ends or is suspended. 0 and *out; 0 and *out NULL: it is complete, *state has the handle;
 * -WC_ECONFLICT: *state says where to go on; -WC_ETOOBIG: too many are open; -WC_EFULL, -WC_ESTORAGE: no room; -WC_ENOMEM. */
int upload_begin(struct blobs *b, uint64_t identity_id, struct str key, uint64_t size, uint64_t offset, struct upload **out,
                 struct upload_state *state) WC_MUSTCHECK;
/* Adds n bytes. -WC_ETOOBIG: more than was announced; -WC_ECLOSED: another writer took over; -WC_ESTORAGE. */
int upload_write(struct upload *u, const void *data, size_t n) WC_MUSTCHECK;
/* Syncs, hashes and names the bytes, hands out the handle, and frees u. May take long: work for a helper. -WC_ECONFLICT and *state:
 * bytes are missing; -WC_ECLOSED, -WC_ESTORAGE, -WC_ENOMEM. */
int upload_finish(struct upload *u, struct upload_state *state) WC_MUSTCHECK;
void upload_suspend(struct upload *u); /* the connection broke: what came stays for WC_UPLOAD_HOURS. Frees u. NULL-safe */
int upload_find(struct blobs *b, uint64_t identity_id, struct str key, struct upload_state *state) WC_MUSTCHECK; /* or -WC_ENOENT */
/* Gives an upload up: its bytes go, or its handle if no message was sent with it. Another connection that sends it hears -WC_ECLOSED.
 * -WC_ENOENT: there is nothing to give up; -WC_ENOMEM. */
int upload_drop(struct blobs *b, uint64_t identity_id, struct str key) WC_MUSTCHECK;
/* The blob behind a handle, which stays valid, for a message may be sent again. -WC_ENOENT: no such handle, another person's, or too old.
 * -WC_ECLOSED: its message was stored and its bytes are gone; sha and size are set, so that the same message is recognised. */
int upload_resolve(struct blobs *b, uint64_t identity_id, struct str handle, uint8_t sha[WC_SHA_BYTES], uint64_t *size) WC_MUSTCHECK;
/* The same for a message: 0 also gives a hold. */
int upload_resolve_held(struct blobs *b, uint64_t identity_id, struct str handle, uint8_t sha[WC_SHA_BYTES], uint64_t *size,
                        struct blob_hold **hold) WC_MUSTCHECK;

/* --- Removal. Thread: a helper's, one at a time.
 *
 * Blobs that the server knows to be unneeded are unlinked: the database lists those whose last message went, and a hold remembers those
 * whose message was refused. A blob that no row explains is moved to DIR/lost instead, and removed there a day later. */

/* The collector's questions to the database. */
struct blob_rows {
	int (*refs)(void *arg, const uint8_t sha[WC_SHA_BYTES]);        /* messages that stand for it; negative: not known now */
	int (*is_released)(void *arg, const uint8_t sha[WC_SHA_BYTES]); /* on the list of blobs_release: 1, 0; negative: not known now */
	bool (*knows)(void *arg, uint64_t identity_id, int64_t at_ms);  /* did this person exist at that time? In doubt true */
	/* Does a backup need every blob? Asked after refs: a backup that begins later copies the same answer of refs. */
	bool (*keeps)(void *arg);
	void *arg;
};

/* Works off the holds that have ended: notes which handles were used, and unlinks blobs whose message was refused. */
void blobs_settle(struct blobs *b, const struct blob_rows *rows);
bool blobs_has_ended(struct blobs *b); /* has blobs_settle work to do? Any thread */
/* Ends the handles that a person had of some bytes when a message of these was deleted. Handles that are finished later, and those of
 * others, stay good. */
struct blob_withdrawal {
	uint64_t identity_id;
	int64_t at_ms; /* real_ms() of the deletion */
	uint8_t sha[WC_SHA_BYTES];
};
void blobs_withdraw(struct blobs *b, struct blob_withdrawal *v, size_t n); /* sorts v */
/* Unlinks n released blobs unless they are in use again. is_done[i]: nothing is left to do for that one. */
void blobs_release(struct blobs *b, const struct blob_rows *rows, uint8_t (*sha)[WC_SHA_BYTES], size_t n, bool *is_done);

struct blob_sweep {
	size_t files;       /* looked at */
	size_t unexplained; /* of these, known to no row and no handle */
	size_t moved;       /* to DIR/lost */
	size_t returned;    /* out of DIR/lost, to be blobs again */
	size_t removed;     /* for good */
	uint64_t moved_bytes, removed_bytes;
	bool is_stopped; /* more than a tenth was unexplained: nothing was moved */
};
/* Removes dead uploads, moves what nothing explains to DIR/lost, brings back what is needed again, and removes what lay there for a day.
 * Logs what it did. accepts: it may move any number. */
void blobs_sweep(struct blobs *b, const struct blob_rows *rows, bool accepts, struct blob_sweep *out);
uint64_t blobs_lost_bytes(struct blobs *b); /* in DIR/lost. Any thread */

#endif
