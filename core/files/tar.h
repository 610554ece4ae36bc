/* tar.h — the plain tar (ustar) of backups: its headers written, and read with suspicion.
 *
 * Reads an admin's file, which may be damaged or made by somebody else. It takes only files and folders with names of at most 255 bytes and
 * right checksums. No size may reach past the end, and the end of a whole archive must be there. Links, devices and extensions are refused.
 * Keeps nothing but what stands in struct tar_reader. Any thread. */
#ifndef WC_TAR_H
#define WC_TAR_H

#include "base/wc.h"

#define TAR_BLOCK 512
#define TAR_NAME_BYTES 257 /* 155 and 100, a slash and the NUL */

struct tar_entry {
	char name[TAR_NAME_BYTES]; /* as it stands there, terminated; may hold anything but a NUL */
	uint64_t size;             /* bytes; 0 for a folder */
	bool is_folder;
};

/* A header. name has at most 99 bytes; mtime_s is Unix time. A size of 8 GB and more is written in base 256, as GNU tar and libarchive do.
 * */
void tar_format(uint8_t block[TAR_BLOCK], const char *name, uint64_t size, bool is_folder, int64_t mtime_s);
/* 1: a block of zeros; 0 and *out: a header; -WC_EBAD and *why, a few words. */
int tar_parse(const uint8_t block[TAR_BLOCK], struct tar_entry *out, const char **why) WC_MUSTCHECK;

struct tar_reader {
	ssize_t (*read)(void *arg, void *to, size_t n); /* 0 at the end; -1: errno says why */
	void *arg;
	/* the reader's own; zero at first */
	uint64_t at;       /* bytes read */
	uint64_t left;     /* of the entry's bytes */
	size_t padding;    /* behind them */
	bool is_cut_short; /* -WC_EBAD because there is no more */
	char why[TAR_NAME_BYTES + 128];
	struct tar_entry entry;
};

/* Steps to the next entry, over what was not read of the last one. 1: t->entry; 0: the whole end was read, and nothing lies behind it;
 * -WC_EBAD: t->why; -WC_EIO: errno. */
int tar_next(struct tar_reader *t) WC_MUSTCHECK;
/* Of the entry's bytes, at most n. 0: that was all. The same errors. */
ssize_t tar_read(struct tar_reader *t, void *to, size_t n) WC_MUSTCHECK;

#endif
