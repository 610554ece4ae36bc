/* blob_impl.h — what blob.c (blobs on disk), blob_mem.c (all of it in memory), upload.c (uploads) and upload_disk.c (their state on disk)
 * share. Nobody else includes it. */
#ifndef WC_BLOB_IMPL_H
#define WC_BLOB_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "blob.h"

/* A blob put or named by a handle this recently may belong to a message that is not committed yet. */
#define BLOB_GRACE_MS (10 * 60 * 1000)
#define UPLOAD_LIFE_MS ((int64_t)WC_UPLOAD_HOURS * 3600 * 1000)
#define UPLOAD_NAME_BYTES 15 /* with 16 random bytes behind it, in hex, it fits a handle */

/* What is kept of an upload. name: out of identity and key, so that nothing of the client's own ever becomes a file's name. */
struct upload_record {
	uint64_t identity_id;
	uint8_t name[UPLOAD_NAME_BYTES];
	uint64_t size;
	uint64_t stored;  /* bytes that are there; not written down, the part's own length says it */
	int64_t at_ms;    /* is_done: when; else: last written to */
	bool is_done;
	uint8_t sha[WC_SHA_BYTES];
	char handle[64];
};

struct mem_blob {
	uint8_t sha[WC_SHA_BYTES];
	int fd;
	uint64_t size;
	int64_t put_ms;
	bool is_used; /* when last asked */
};

struct mem_upload {
	struct mem_upload *next;
	struct upload_record rec;
	int part_fd; /* -1 when done */
};

struct blobs {
	bool is_memory;
	pthread_mutex_t lock; /* names in the directories, `active`, and all of the memory kind. Never held over an fsync */
	_Atomic uint64_t bytes;
	pthread_mutex_t create_lock; /* counting the open uploads of an identity and adding one is one step; taken before `lock` */
	struct upload *active;
	/* on disk */
	int blobs_fd, tmp_fd, uploads_fd;
	/* in memory */
	uint64_t cap_bytes, part_bytes; /* part_bytes: also of what is being written before it is a blob */
	size_t files_max, parts;        /* parts: uploads that are not whole, each with a descriptor */
	struct mem_blob *mem;
	size_t mem_count;
	struct mem_upload *mem_uploads;
};

/* Any whole write, or -1 with errno. */
int blob_write_all(int fd, const void *data, size_t n, uint64_t offset);
void blob_tmp_name(char out[2 * UPLOAD_NAME_BYTES + 1]);
/* Moves a synced file to its place as a blob, or drops it if the blob is there. Blobs of both kinds count as put now. */
int blob_adopt_file(struct blobs *b, int dir_fd, const char *name, const uint8_t sha[WC_SHA_BYTES], uint64_t size) WC_MUSTCHECK;
/* Is it there? Then it counts as put now. */
int blob_touch(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size) WC_MUSTCHECK;

#define MEM_FILES_MAX 1000 /* each blob holds a descriptor, and connections need theirs */

/* blob_mem.c. Each takes the lock itself. */
int mem_put(struct blobs *b, const void *data, size_t n, const uint8_t sha[WC_SHA_BYTES]) WC_MUSTCHECK;
int mem_get(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size) WC_MUSTCHECK;
int mem_touch(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size) WC_MUSTCHECK;
void mem_remove_old(struct blobs *b, const uint8_t sha[WC_SHA_BYTES]); /* if it is past its grace */
int mem_each(struct blobs *b, blob_fn fn, void *arg);
void mem_mark_used(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], bool is_used);
void mem_close(struct blobs *b);

/* The state of uploads, by (identity, name): on disk and in memory alike. A caller that changes one is its only user (upload.c sees to
 * it); record_load may be called by anyone at any time. */
int record_load(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], struct upload_record *out) WC_MUSTCHECK;
int record_count_open(struct blobs *b, uint64_t identity_id);
/* A new upload, empty; what was there under that name is gone. *fd is its part, open for reading and writing; the caller closes it. */
int record_create(struct blobs *b, const struct upload_record *rec, int *fd) WC_MUSTCHECK;
int record_resume(struct blobs *b, const struct upload_record *rec, int *fd) WC_MUSTCHECK;
/* The part is whole: it becomes the blob, and the record says so. On failure the upload is as it was. fd is the part (synced by this). */
int record_finish(struct blobs *b, const struct upload_record *rec, int fd) WC_MUSTCHECK;
/* Every record; those for which fn says true are removed with their parts. fn is called with the lock held. */
void record_sweep(struct blobs *b, bool (*fn)(void *arg, const struct upload_record *rec), void *arg);
void record_recover(struct blobs *b); /* at start: mends what a crash left half done */

int mem_record_load(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], struct upload_record *out);
int mem_record_count_open(struct blobs *b, uint64_t identity_id);
int mem_record_create(struct blobs *b, const struct upload_record *rec, int *fd);
int mem_record_resume(struct blobs *b, const struct upload_record *rec, int *fd);
int mem_record_finish(struct blobs *b, const struct upload_record *rec, int fd);
/* Before `more` bytes are written to a part: makes room for them and counts them. */
int mem_record_wrote(struct blobs *b, const struct upload_record *rec, uint64_t more) WC_MUSTCHECK;
void mem_record_sweep(struct blobs *b, bool (*fn)(void *arg, const struct upload_record *rec), void *arg);

/* Is somebody sending it? With the lock held. */
bool upload_is_active(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES]);

#endif
