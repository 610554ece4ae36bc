/* tar.h — the plain tar archive (ustar) of backups: writing its headers, and reading archives that may be damaged or hostile.
 *
 * Accepted are files and folders with names of at most 255 bytes and correct checksums. No size may reach past the end, and the archive
 * must be complete. Links, devices and extensions are refused. All state stands in struct tar_reader. Any thread. */
#ifndef WC_TAR_H
#define WC_TAR_H

#include "base/wc.h"

#define TAR_BLOCK 512
#define TAR_NAME_BYTES 257 /* 155 and 100, a slash and the NUL */

struct tar_entry {
	char name[TAR_NAME_BYTES]; /* as in the archive, terminated; any byte but NUL */
	uint64_t size;             /* bytes; 0 for a folder */
	bool is_folder;
};

/* Writes a header. name has at most 99 bytes; mtime_s is Unix time. A size of 8 GB and more is written in base 256, as GNU tar and
 * libarchive do. */
void tar_format(uint8_t block[TAR_BLOCK], const char *name, uint64_t size, bool is_folder, int64_t mtime_s);
/* 0 and *out: a header; 1: a block of zeros; -WC_EBAD and *why, a few words. */
int tar_parse(const uint8_t block[TAR_BLOCK], struct tar_entry *out, const char **why) WC_MUSTCHECK;

struct tar_reader {
	ssize_t (*read)(void *arg, void *to, size_t n); /* 0 at the end; -1: errno says why */
	void *arg;
	/* the reader's own; zero at first */
	uint64_t at;       /* bytes read so far */
	uint64_t left;     /* bytes of the entry not read yet */
	size_t padding;    /* bytes behind the entry's own */
	bool is_cut_short; /* -WC_EBAD because the archive ended too early */
	char why[TAR_NAME_BYTES + 128];
	struct tar_entry entry;
};

/* Steps to the next entry and skips the unread rest of the last one. 1: t->entry is set; 0: the archive ended as it should;
 * -WC_EBAD: t->why says what is wrong; -WC_EIO: errno does. */
int tar_next(struct tar_reader *t) WC_MUSTCHECK;
/* Reads at most n of the entry's bytes. 0: there are no more. Errors as tar_next. */
ssize_t tar_read(struct tar_reader *t, void *to, size_t n) WC_MUSTCHECK;

#endif
