/* store_verify.h — a database looked at, and not used: is it sound, what does it hold, which files belong to it.
 *
 * Runs on a connection of its own, to a running server's store or to a folder at rest. The latter leaves no trace, also on a medium that
 * cannot be written. Thread: one owner at a time, never the room's or an I/O thread. Returns 0, a count, or -WC_ESTORAGE (logged by nobody:
 * *cause or store_verify_error says what). */
#ifndef WC_STORE_VERIFY_H
#define WC_STORE_VERIFY_H

#include "store/store.h"

struct store_verify;

/* Judges a database by the first bytes of its file. *version: of its schema. */
#define STORE_HEADER_BYTES 100
enum store_header { STORE_HEADER_OURS, STORE_HEADER_NEWER, STORE_HEADER_FOREIGN, STORE_HEADER_NONE };
enum store_header store_judge_header(const uint8_t *head, size_t n, unsigned *version);

int store_verify_live(struct store *s, struct store_verify **out) WC_MUSTCHECK;
/* dir is a data folder that no server uses (the caller holds its lock). *cause: one line; -WC_ENOENT if there is no database. */
int store_verify_rest(const char *dir, struct store_verify **out, char **cause) WC_MUSTCHECK;
/* The same of a folder that another process serves. */
int store_verify_in_use(const char *dir, struct store_verify **out) WC_MUSTCHECK;
void store_verify_close(struct store_verify *v);        /* NULL is ignored */
const char *store_verify_error(struct store_verify *v); /* what SQLite said last */

/* Every page, row and index, and the tables' agreement on which files there are. fn gets each fault in words, a hundred at most. is_wanted
 * is asked every some ms and ends it with -WC_ECLOSED when it says false; NULL: always. Returns the number of faults. Takes seconds for a
 * gigabyte. */
typedef void (*store_fault_fn)(void *arg, struct str fault);
int store_verify_database(struct store_verify *v, bool (*is_wanted)(void *arg), store_fault_fn fn, void *arg) WC_MUSTCHECK;

/* Files that a message stands for, by hash, above `after` (NULL: from the first), at most limit; fn non-zero ends it. Returns how many. */
int store_verify_blobs(struct store_verify *v, const uint8_t *after, int limit, store_blob_fn fn, void *arg) WC_MUSTCHECK;
/* 1: a message stands for it; 0: none does. */
int store_verify_has_blob(struct store_verify *v, const uint8_t sha[WC_SHA_BYTES]) WC_MUSTCHECK;
/* 1: one does, or did until it was deleted, and the bytes are still to be unlinked; 0: nothing explains it. */
int store_verify_explains(struct store_verify *v, const uint8_t sha[WC_SHA_BYTES]) WC_MUSTCHECK;
/* The messages that stand for files, by id, above `after`, at most limit. filename is empty for a voice. Returns how many; *upto is the
 * last. */
typedef void (*store_verify_file_fn)(void *arg, uint64_t msg_id, const uint8_t sha[WC_SHA_BYTES], struct str filename);
int store_verify_files(struct store_verify *v, uint64_t after, int limit, store_verify_file_fn fn, void *arg, uint64_t *upto) WC_MUSTCHECK;

struct store_totals {
	uint64_t messages, people, blobs, blob_bytes;
	int64_t newest_ms; /* Unix time of the newest message; 0: none */
	int version;       /* of the schema */
};
int store_verify_totals(struct store_verify *v, struct store_totals *out) WC_MUSTCHECK;

#endif
