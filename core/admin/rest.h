/* rest.h — a data folder at rest, or unpacked from a backup: what belongs there, and whether its files are those of its database.
 *
 * Reads only, follows no link, and works on a medium that cannot be written. Thread: any but room and I/O, for it waits for the disk. */
#ifndef WC_REST_H
#define WC_REST_H

#include "store/store_verify.h"

/* The kind of an archive's entry. A leading "./" makes no difference. */
enum rest_name {
	REST_DATABASE,  /* wavechat.db */
	REST_BLOB,      /* blobs/ab/…: *sha is set */
	REST_FOLDER,    /* ./, blobs/ or blobs/ab/ */
	REST_BAD_FILES, /* the list of what a backup could not take */
	REST_ABSOLUTE,  /* none of these: a name that begins with a slash, */
	REST_CLIMBS,    /* … that has ".." in it, */
	REST_FOREIGN,   /* … or any other */
};
#define REST_BAD_FILES_NAME "BAD-FILES"
enum rest_name rest_name(const char *name, bool is_folder, uint8_t sha[WC_SHA_BYTES]);

#define REST_WHAT_BYTES 128
struct rest_look {
	bool hashes; /* reads every byte; else existence and length must do */
	/* Each may be NULL. bad: what, in words. stray: a file that no message stands for. moved: called now and then; false ends it all.
	 * */
	void (*bad)(void *arg, const uint8_t sha[WC_SHA_BYTES], const char *what);
	void (*stray)(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size);
	bool (*moved)(void *arg, uint64_t bytes);
	void *arg;
	/* out */
	uint64_t files, bytes, bad_files, strays, stray_bytes, odd; /* odd: things in blobs/ with other names */
};
/* 0; -WC_ECLOSED: `moved` said so; -WC_ESTORAGE: the database or a folder cannot be read, *cause. */
int rest_look(const char *dir, struct store_verify *v, struct rest_look *look, char **cause) WC_MUSTCHECK;

#endif
