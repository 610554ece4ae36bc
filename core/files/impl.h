/* impl.h — names that the units of files/ share. Included by files/ and its unit tests alone.
 *
 * From the bottom up: file_io, sending, blob_hold, blob_shelf, lost; then blob_disk, upload_disk and blob_mem, and collect. On top:
 * blob, upload and blob_look. */
#ifndef WC_BLOB_IMPL_H
#define WC_BLOB_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "files/blob.h"
#include "files/file_io.h"
#include "files/space.h"

/* "ab/cdef…" */
#define BLOB_PATH_BYTES (2 * WC_SHA_BYTES + 2)

/* A sweep leaves alone a blob that was stored or named by a handle this recently, whatever the database says. */
#define BLOB_GRACE_MS (10 * 60 * 1000)
/* Until its message is decided, a blob is not writable even for its owner. So after a kill the next start can tell blobs that were on
 * their way into a message from blobs whose rows are missing. */
#define BLOB_MODE_PENDING 0400
#define BLOB_MODE 0600
#define LOST_LIFE_MS (24 * 3600 * 1000LL)
#define UPLOAD_LIFE_MS ((int64_t)WC_UPLOAD_HOURS * 3600 * 1000)
#define MEM_FILES_MAX 1000   /* each blob holds a descriptor, and connections need theirs */
#define USED_MOST 256        /* records of one person that are kept only to recognise a message that is sent again */
#define UPLOAD_NAME_BYTES 15 /* with 16 random bytes behind it, in hex, it fits a handle */

/* The record of an upload. name: a hash of identity and key, so that no word of the client's ever becomes a file's name. */
struct upload_record {
	uint64_t identity_id;
	uint8_t name[UPLOAD_NAME_BYTES];
	uint64_t size;
	uint64_t stored; /* bytes that are there: the part's own length, not written down */
	int64_t at_ms;   /* is_done: when; else: last written to */
	bool is_done;
	bool is_used; /* a message was committed with its handle: from then on only messages keep the blob */
	bool is_gone; /* given up, or its message deleted: the handle is good for nothing but to recognise that message */
	uint8_t sha[WC_SHA_BYTES];
	char handle[64];
};

struct mem_blob {
	uint8_t sha[WC_SHA_BYTES];
	int fd;
	uint64_t size;
	int64_t put_ms;
	bool is_used;    /* when last asked */
	bool is_pending; /* as BLOB_MODE_PENDING */
};

struct mem_upload {
	struct mem_upload *next;
	struct upload_record rec;
	int part_fd; /* -1 when done */
};

/* An upload that is being sent. Its names never change while it is listed: others compare them under b->lock. */
struct sending {
	struct sending *next;
	uint64_t identity_id;
	uint8_t name[UPLOAD_NAME_BYTES];
};

/* One message under way with a blob, or an upload that was finished since the handles were last gathered. */
struct blob_hold {
	LIST_ENTRY(blob_hold) link; /* b->held, then b->ended */
	struct blobs *b;
	uint8_t sha[WC_SHA_BYTES];
	bool is_used;     /* its message was committed */
	bool is_given_up; /* no message: the upload was dropped */
	bool is_upload;   /* it named the blob by the handle of this record: */
	uint64_t identity_id;
	uint8_t name[UPLOAD_NAME_BYTES];
	char handle[64];
	enum { FRESH_NOT, FRESH_NEW, FRESH_SEEN } fresh; /* of an upload: its record exists, and the next gathering will see it */
};

/* Blobs and uploads in one kind of place. Each function takes b->lock itself unless it says "locked": then its caller holds it. Names
 * and errors are those of blob.h. */
struct blob_ops {
	bool keeps_lost; /* what nothing explains goes to DIR/lost; else nothing can be lost, for the database ends with the files */
	int (*put)(struct blobs *b, const void *data, size_t n, const uint8_t sha[WC_SHA_BYTES], bool is_pending);
	int (*get)(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size);
	int (*touch)(struct blobs *b, const uint8_t sha[WC_SHA_BYTES],
	             uint64_t *size);                                         /* if it is there, it counts as put now; or -WC_ENOENT */
	void (*unlink)(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]);     /* locked */
	bool (*is_pending)(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]); /* put for a message that is not decided; locked */
	void (*decide)(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]);     /* its message is committed: no longer pending; locked */
	int (*each)(struct blobs *b, blob_fn fn, void *arg);                  /* NULL if keeps_lost; so is mark_used */
	void (*mark_used)(struct blobs *b, const uint8_t sha[WC_SHA_BYTES],
	                  bool is_used); /* NULL unless room is made by dropping what is not used */

	/* The state of uploads, by (identity, name). A caller that changes a record is its only user, which upload.c sees to;
	 * record_load may be called by anyone at any time. */
	int (*record_load)(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], struct upload_record *out);
	int (*record_count_open)(struct blobs *b, uint64_t identity_id);
	/* A new upload, empty, in place of what was there under that name. *fd is its part, for reading and writing; the caller closes
	 * it. */
	int (*record_create)(struct blobs *b, const struct upload_record *rec, int *fd);
	int (*record_resume)(struct blobs *b, const struct upload_record *rec, int *fd);
	int (*record_grow)(struct blobs *b, const struct upload_record *rec,
	                   uint64_t more);                                                 /* before `more` bytes are written to the part */
	uint64_t (*record_came)(struct blobs *b, const struct upload_record *rec, int fd); /* after a write failed: bytes that are there */
	/* The part is whole: it becomes the blob, and the record says so. On failure the upload is as it was. fd is the part, synced by
	 * this. */
	int (*record_finish)(struct blobs *b, const struct upload_record *rec, int fd);
	void (*record_use)(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES],
	                   const char *handle);                                  /* a message was committed with this handle */
	void (*record_end)(struct blobs *b, const struct upload_record *rec);    /* is_gone from now on */
	void (*record_remove)(struct blobs *b, const struct upload_record *rec); /* with its part */
	/* Every record that is done and not used: only those keep a blob. Those that are gone come, too, and keep none. */
	void (*record_each_handle)(struct blobs *b, void (*fn)(void *arg, const struct upload_record *rec), void *arg);
	/* Every record of one person, or those that no message has used; fn may ask for changes of it. */
	void (*record_each_own)(struct blobs *b, uint64_t identity_id, bool unused, void (*fn)(void *arg, const struct upload_record *rec),
	                        void *arg);
	/* Of the records of one person that are used or gone, the newest USED_MOST or a few more stay. */
	void (*record_trim)(struct blobs *b, uint64_t identity_id);
	/* Every record; those for which fn says true are removed with their parts. fn is called with the lock held. */
	void (*record_sweep)(struct blobs *b, bool (*fn)(void *arg, const struct upload_record *rec), void *arg);
};

struct blobs {
	const struct blob_ops *ops;
	bool is_look;         /* opened by blobs_look: nothing may change */
	pthread_mutex_t lock; /* names in the directories, `sending`, and all of the memory kind. Never held over an fsync */
	_Atomic uint64_t bytes;
	struct space *space;              /* NULL: nothing is bounded */
	uint64_t cost_at_open;            /* of blobs and parts, as space_cost has it; until there is a space */
	pthread_mutex_t create_locks[16]; /* by identity: counting its open uploads and adding one is one step; taken before `lock` */
	struct sending *sending;
	/* blob_hold.c. Taken after `lock`, or alone; held for a few instructions */
	pthread_mutex_t holds_lock;
	LIST_HEAD(, blob_hold) held, ended;
	_Atomic size_t ended_count;
	uint64_t hold_moves;
	/* on disk */
	int dir_fd, blobs_fd, tmp_fd, uploads_fd;
	int lost_fd;       /* -1 until there is one; lock */
	int64_t opened_ms; /* by boot_ms */
	_Atomic uint64_t lost_bytes, lost_files;
	/* the collector's own */
	bool was_swept, stop_was_said;
	int64_t purged_real_ms, purged_mono_ms; /* of the last purge of lost/, to see the clock jump; 0: none yet */
	/* in memory */
	_Atomic uint64_t cap_bytes;
	uint64_t part_bytes;     /* also of what is being written before it is a blob */
	size_t files_max, parts; /* parts: uploads that are not whole, each with a descriptor */
	struct mem_blob *mem;
	size_t mem_count;
	struct mem_upload *mem_uploads;
};

typedef int (*stat_fn)(void *arg, const uint8_t sha[WC_SHA_BYTES], const struct stat *st); /* non-zero ends the walk */

/* --- sending.c. With b->lock held. */
struct sending *sending_find(const struct blobs *b, uint64_t identity_id,
                             const uint8_t name[UPLOAD_NAME_BYTES]); /* NULL: nobody sends it */
void sending_add(struct blobs *b, struct sending *s);
void sending_remove(struct blobs *b, const struct sending *s); /* if it is listed */

/* --- blob_hold.c. rec: NULL, or the record of the handle by which the blob was named. */
struct blob_hold *blob_hold_new(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], const struct upload_record *rec);
void blob_hold_drop(struct blob_hold *h);    /* it led to nothing: the collector need not look */
void blob_hold_give_up(struct blob_hold *h); /* ends it: its upload was dropped, and the collector sees to the bytes */
void blob_hold_again(struct blob_hold *h);   /* of blob_holds_ended: it comes with the next ones once more */
void blob_hold_fresh(struct blob_hold *h);   /* of an upload that is finished: the hold lasts until its handle was gathered */
/* Around a gathering of handles: with begin true before it, with false once its answer was used. */
void blob_holds_each_fresh(struct blobs *b, bool begin);
struct blob_hold *blob_holds_ended(struct blobs *b); /* all holds whose message is decided; the caller frees them */
/* Is there a hold on it? *moves counts holds that began or ended: see blob_hold.c. */
bool blob_is_held(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *moves);
void blob_holds_close(struct blobs *b);

/* --- blob_shelf.c */
void blob_path(char out[BLOB_PATH_BYTES], const uint8_t sha[WC_SHA_BYTES]);
bool blob_stat(const struct blobs *b, const uint8_t sha[WC_SHA_BYTES], struct stat *st);
bool blob_mode_is_pending(const struct stat *st);
void blob_set_decided(const struct blobs *b, const char path[BLOB_PATH_BYTES]); /* its mode is BLOB_MODE from now on */
/* Counts `size` bytes in place of `had`; 0: nothing. With the lock held, or at start. */
void blob_count(struct blobs *b, uint64_t had, uint64_t size);
/* Every file in DIR/blobs with a blob's name. -WC_ESTORAGE with errno: some cannot be read. */
int blob_walk(const struct blobs *b, stat_fn fn, void *arg) WC_MUSTCHECK;
int blob_cause_folder(const char *dir, const char *name, char **cause); /* DIR/name cannot be used, as errno says; -WC_ESTORAGE */
int blob_cause_unreadable(const char *dir, char **cause);               /* DIR/blobs */

/* --- lost.c. Thread: helper, but lost_return_one: any. */
/* Moves a blob to DIR/lost, its day counted from now. -WC_ESTORAGE with errno. With the lock held. */
int lost_take(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], const struct stat *st) WC_MUSTCHECK;
/* If the blob lies in DIR/lost, it is a blob again. With the lock held. */
bool lost_return_one(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]);
void lost_forget(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]); /* the same bytes are a blob again: with the lock held */
void lost_open(struct blobs *b);
/* Each file there; fn non-zero stops. */
int lost_walk(struct blobs *b, stat_fn fn, void *arg);

/* --- blob_disk.c. See struct blob_ops. */
int disk_put(struct blobs *b, const void *data, size_t n, const uint8_t sha[WC_SHA_BYTES], bool is_pending) WC_MUSTCHECK;
int disk_get(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size) WC_MUSTCHECK;
int disk_touch(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size) WC_MUSTCHECK;
void disk_unlink(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]);
bool disk_is_pending(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]);
void disk_decide(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]);
/* Moves a synced file to its place as a blob, in place of an older one with the same bytes. Blobs of both kinds count as put now. The file
 * counts already (blob_count, space_take) and goes on counting, as the blob. */
int blob_adopt_file(struct blobs *b, int dir_fd, const char *name, const uint8_t sha[WC_SHA_BYTES], uint64_t size) WC_MUSTCHECK;

/* --- upload_disk.c. See struct blob_ops. */
int disk_record_load(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], struct upload_record *out) WC_MUSTCHECK;
int disk_record_count_open(struct blobs *b, uint64_t identity_id);
int disk_record_create(struct blobs *b, const struct upload_record *rec, int *fd) WC_MUSTCHECK;
int disk_record_resume(struct blobs *b, const struct upload_record *rec, int *fd) WC_MUSTCHECK;
int disk_record_grow(struct blobs *b, const struct upload_record *rec, uint64_t more) WC_MUSTCHECK;
uint64_t disk_record_came(struct blobs *b, const struct upload_record *rec, int fd);
int disk_record_finish(struct blobs *b, const struct upload_record *rec, int fd) WC_MUSTCHECK;
void disk_record_use(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], const char *handle);
void disk_record_end(struct blobs *b, const struct upload_record *rec);
void disk_record_remove(struct blobs *b, const struct upload_record *rec);
void disk_record_each_own(struct blobs *b, uint64_t identity_id, bool unused, void (*fn)(void *arg, const struct upload_record *rec),
                          void *arg);
void disk_record_each_handle(struct blobs *b, void (*fn)(void *arg, const struct upload_record *rec), void *arg);
void disk_record_sweep(struct blobs *b, bool (*fn)(void *arg, const struct upload_record *rec), void *arg);
void disk_record_trim(struct blobs *b, uint64_t identity_id);
void disk_record_recover(struct blobs *b); /* at start: finishes or undoes what a crash left half done */

/* --- blob_mem.c. See struct blob_ops. */
int mem_put(struct blobs *b, const void *data, size_t n, const uint8_t sha[WC_SHA_BYTES], bool is_pending) WC_MUSTCHECK;
int mem_get(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size) WC_MUSTCHECK;
int mem_touch(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size) WC_MUSTCHECK;
void mem_unlink(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]);
bool mem_is_pending(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]);
void mem_decide(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]);
int mem_each(struct blobs *b, blob_fn fn, void *arg);
void mem_mark_used(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], bool is_used);
void mem_close(struct blobs *b);
int mem_record_load(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], struct upload_record *out) WC_MUSTCHECK;
int mem_record_count_open(struct blobs *b, uint64_t identity_id);
int mem_record_create(struct blobs *b, const struct upload_record *rec, int *fd) WC_MUSTCHECK;
int mem_record_resume(struct blobs *b, const struct upload_record *rec, int *fd) WC_MUSTCHECK;
int mem_record_grow(struct blobs *b, const struct upload_record *rec, uint64_t more) WC_MUSTCHECK;
uint64_t mem_record_came(struct blobs *b, const struct upload_record *rec, int fd);
int mem_record_finish(struct blobs *b, const struct upload_record *rec, int fd) WC_MUSTCHECK;
void mem_record_trim(struct blobs *b, uint64_t identity_id);
void mem_record_use(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], const char *handle);
void mem_record_end(struct blobs *b, const struct upload_record *rec);
void mem_record_remove(struct blobs *b, const struct upload_record *rec);
void mem_record_each_own(struct blobs *b, uint64_t identity_id, bool unused, void (*fn)(void *arg, const struct upload_record *rec),
                         void *arg);
void mem_record_each_handle(struct blobs *b, void (*fn)(void *arg, const struct upload_record *rec), void *arg);
void mem_record_sweep(struct blobs *b, bool (*fn)(void *arg, const struct upload_record *rec), void *arg);

/* --- blob.c */
struct blobs *blobs_new(bool is_memory); /* nothing is open yet */

#endif
