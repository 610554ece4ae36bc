/* blob.h — files and voices, named by their SHA-256, and uploads on their way to become such.
 *
 * On disk: DIR/blobs/ab/cdef… (written to DIR/tmp, fsynced, renamed, directory fsynced); in memory mode each blob is a memfd and the sum is
 * bounded. Thread: helpers, HTTP workers and the transfer thread; never room or I/O (they would wait for a disk). Internally locked. */
#ifndef WC_BLOB_H
#define WC_BLOB_H

#include "base/wc.h"
#include "wire/msg.h"

struct blobs;

/* dir NULL: in memory, at most cap_bytes (0: 256 MB); the oldest unreferenced go first, then the oldest. */
int blobs_open(struct blobs **out, const char *dir, uint64_t cap_bytes, char **cause) WC_MUSTCHECK;
/* In memory: the most files and parts of uploads at once, each of which holds a descriptor (1000 if not called). Thread: main, before
 * others. */
void blobs_bound_files(struct blobs *b, int max);
uint64_t blobs_memory_cap(const struct blobs *b);        /* in memory: cap_bytes; on disk: 0. Any thread */
void blobs_set_cap(struct blobs *b, uint64_t cap_bytes); /* in memory: from the next blob on. Any thread */
void blobs_close(struct blobs *b);
/* From now on what is stored counts there, and is refused as that says (-WC_EFULL, -WC_ESTORAGE). Thread: main, before others use b. */
struct space;
void blobs_set_space(struct blobs *b, struct space *s);

/* --- A look before a start. Makes nothing, cleans nothing, moves nothing. Thread: main. */
int blobs_check(const char *dir, char **cause) WC_MUSTCHECK; /* would blobs_open succeed? */
/* Opens what is there of a data folder, for the two functions below and blobs_close alone. *cause: one line. */
int blobs_look(struct blobs **out, const char *dir, char **cause) WC_MUSTCHECK;
/* Every file with a blob's name. PENDING: it was on its way into a message; LOST: it lies in DIR/lost. *cause: one line, which names dir.
 * */
enum blob_look { BLOB_LOOK_STORED, BLOB_LOOK_PENDING, BLOB_LOOK_LOST };
typedef void (*blob_look_fn)(void *arg, const uint8_t sha[WC_SHA_BYTES], enum blob_look where);
int blobs_look_files(struct blobs *b, const char *dir, blob_look_fn fn, void *arg, char **cause) WC_MUSTCHECK;
/* Every finished upload that no message has used: its owner, when it was finished, and its bytes. */
typedef void (*blob_handle_fn)(void *arg, uint64_t identity_id, int64_t at_ms, const uint8_t sha[WC_SHA_BYTES]);
void blobs_look_handles(struct blobs *b, blob_handle_fn fn, void *arg);

/* A blob put or named for a message stays while the hold on it lasts: until that message is committed or refused. */
struct blob_hold;
void blob_hold_used(struct blob_hold *h); /* the message is committed. NULL-safe. Thread: room */
void blob_hold_end(struct blob_hold *h);  /* the message is decided, and h is gone. NULL-safe. Any thread; waits for no disk */

/* Stores data, once. The same bytes again take no more room but the same time: whether they were there is nobody's to know.
 * -WC_ESTORAGE if the disk refuses, -WC_EFULL if the bound for files does. *hold is for the message it was put for. */
int blob_put_held(struct blobs *b, const void *data, size_t n, uint8_t sha[WC_SHA_BYTES], struct blob_hold **hold) WC_MUSTCHECK;
/* The same for no message: it stays for at least ten minutes. */
int blob_put(struct blobs *b, const void *data, size_t n, uint8_t sha[WC_SHA_BYTES]) WC_MUSTCHECK;
/* An open, read-only descriptor the caller closes, and its size; or -WC_ENOENT, -WC_ESTORAGE. Read it with pread or with sendfile's own
 * offset: in memory, descriptors of one blob share their position. */
int blob_get(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size) WC_MUSTCHECK;
/* Every stored blob with its size and age (since it was last put or named by a handle); fn non-zero stops. */
typedef int (*blob_fn)(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size, int64_t age_ms);
int blobs_each(struct blobs *b, blob_fn fn, void *arg);
/* The same of the blobs whose hash begins with this byte, on disk alone. 0, or -WC_ESTORAGE. */
int blobs_each_on_shelf(struct blobs *b, uint8_t shelf, blob_fn fn, void *arg) WC_MUSTCHECK;
uint64_t blobs_bytes(struct blobs *b); /* stored in all; kept up to date, cheap */

/* --- Uploads. Keyed by (identity, key): the key is the client's own, so that it can ask how far it got after any kind of loss, a restart
 * of the server included. One writer at a time per upload: a second upload_begin takes over, the first one's next write gets -WC_ECLOSED.
 * */
struct upload;
struct upload_state {
	uint64_t size;   /* announced */
	uint64_t offset; /* stored so far; size: complete */
	char handle[64]; /* when complete: good for its uploader alone, random, terminated; else "" */
};
/* Starts at `offset`, which must be what is stored (0 starts over); -WC_ECONFLICT and *state says where to go on. Complete already: 0, *out
 * NULL and *state has the handle. size is checked by the caller against the limit; at most WC_UPLOADS_OPEN per identity (-WC_ETOOBIG). All
 * of size is set aside until the upload ends or is suspended: -WC_EFULL or -WC_ESTORAGE if there is no room for it. */
#define WC_UPLOADS_OPEN 16
int upload_begin(struct blobs *b, uint64_t identity_id, struct str key, uint64_t size, uint64_t offset, struct upload **out,
                 struct upload_state *state) WC_MUSTCHECK;
int upload_write(struct upload *u, const void *data, size_t n) WC_MUSTCHECK; /* never past size: -WC_ETOOBIG */
/* All bytes are there (else -WC_ECONFLICT and *state): fsync, hash, name, hand out the handle. May take long (hash and fsync): a helper's
 * work. Frees u. */
int upload_finish(struct upload *u, struct upload_state *state) WC_MUSTCHECK;
void upload_suspend(struct upload *u); /* the connection broke: what came stays for WC_UPLOAD_HOURS. Frees u */
#define WC_UPLOAD_HOURS 24
int upload_find(struct blobs *b, uint64_t identity_id, struct str key, struct upload_state *state) WC_MUSTCHECK; /* or -WC_ENOENT */
/* The blob of a handle; -WC_ENOENT if there is none, it is another's, or too old. Stays valid (a message may be sent again).
 * -WC_ECLOSED: its message was stored, and its bytes were released since: sha and size are set, and the same message may be recognised. */
int upload_resolve(struct blobs *b, uint64_t identity_id, struct str handle, uint8_t sha[WC_SHA_BYTES], uint64_t *size) WC_MUSTCHECK;
/* The same for a message: *hold is set with 0. */
int upload_resolve_held(struct blobs *b, uint64_t identity_id, struct str handle, uint8_t sha[WC_SHA_BYTES], uint64_t *size,
                        struct blob_hold **hold) WC_MUSTCHECK;
/* --- What goes, and when. Thread: a helper's, one at a time.
 *
 * The server unlinks what it knows to be released: bytes whose last message went (the database lists them), and bytes put for a message
 * that was refused. It moves blobs that no row explains to DIR/lost, and removes them there a day later. */

/* The database's word; asked by the collector. */
struct blob_rows {
	int (*refs)(void *arg, const uint8_t sha[WC_SHA_BYTES]);        /* messages that stand for it; negative: not known now */
	int (*is_released)(void *arg, const uint8_t sha[WC_SHA_BYTES]); /* on the list of blobs_release: 1, 0; negative: not known now */
	bool (*knows)(void *arg, uint64_t identity_id, int64_t at_ms);  /* is there such a person, and was then? In doubt yes */
	bool (*keeps)(
		void *arg); /* a backup counts on every blob. Asked after refs: a backup that begins after the answer "no" copies the same "no" */
	void *arg;
};

/* Ends of messages under way: notes which handles were used, and unlinks what was put for a message that was refused. */
void blobs_settle(struct blobs *b, const struct blob_rows *rows);
/* Unlinks released blobs unless they are in use again. is_done[i]: nothing is left to do for that one. */
void blobs_release(struct blobs *b, const struct blob_rows *rows, uint8_t (*sha)[WC_SHA_BYTES], size_t n, bool *is_done);

struct blob_sweep {
	size_t files;                    /* looked at */
	size_t unexplained;              /* of them, no row or handle knows them */
	size_t moved, returned, removed; /* to DIR/lost, out of it to be blobs again, and out of it for good */
	uint64_t moved_bytes, removed_bytes;
	bool is_stopped; /* unexplained was more than a tenth: nothing was moved */
};
/* Removes dead uploads, moves to DIR/lost what nothing explains, brings back what is needed again and removes what lay there for a day.
 * Logs what it did. accepts: it may move any number. */
void blobs_sweep(struct blobs *b, const struct blob_rows *rows, bool accepts, struct blob_sweep *out);
bool blobs_has_ended(struct blobs *b); /* is there something to settle? */
uint64_t blobs_lost_bytes(struct blobs *b);

#endif
