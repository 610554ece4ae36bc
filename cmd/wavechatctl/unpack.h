/* unpack.h — a backup read and judged: all of it is looked at before any of it counts. */
#ifndef CTL_UNPACK_H
#define CTL_UNPACK_H

#include "bad.h"
#include "ctl.h"
#include "store/store_verify.h"

struct unpack {
	const char *file;   /* "-": standard input */
	const char *folder; /* a fresh one, which gets the database, */
	int folder_fd;
	bool keeps_files; /* and, if so, all else */
	bool is_partial;  /* files that are missing or rotten, and an end that is, are borne */
	/* root alone: whose all of it becomes */
	bool gives;
	uid_t uid;
	gid_t gid;
	/* out */
	struct bad_files bad;    /* not in the backup, or not as they should be; left out of the folder */
	struct bad_files listed; /* of them those that the backup itself says it could not take */
	uint64_t files, strays;  /* good ones that messages stand for; those that none stands for */
	uint64_t bytes;          /* of the archive */
	bool is_cut_short;
	struct store_totals totals;
	/* its own */
	struct unpack_state *state;
};

/* Reads all of it. 0, or an exit code after the reason was said: then what lies in the folder is of no use. */
int unpack(struct unpack *u);
void unpack_fini(struct unpack *u);
/* A folder and all that is in it, of the kinds that unpack makes; errors are ignored. Follows no link. */
void remove_folder(const char *path);

#endif
