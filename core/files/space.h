/* space.h — the free space on the data folder's disk: how much there is, what files may take, and a reserve for the admin.
 *
 * A thread of its own looks at the disk once a second, ten times a second when space is short. With :memory: everything is granted, and all
 * numbers are 0. Thread: any, unless a function says otherwise. */
#ifndef WC_SPACE_H
#define WC_SPACE_H

#include "base/wc.h"

/* Given up when the disk is full, so that bans, mutes and deletions still commit and the server still starts. */
#define SPACE_RESERVE_FILE "reserve"
#define SPACE_RESERVE_BYTES (32ull << 20)

struct space;

/* The findings of the last look, in bytes. */
struct space_state {
	uint64_t disk_bytes, free_bytes; /* of the filesystem; free: to this user */
	uint64_t reserve_bytes;          /* with less free space no files are taken; 0: no such reserve */
	uint64_t floor_bytes;            /* with less free space no messages are taken */
	uint64_t bound_bytes;            /* that files may take; 0: no bound */
	uint64_t used_bytes;             /* that files take, in whole blocks, with announced uploads */
	bool is_bound_given;             /* by the admin: then the oldest files make room; else new ones are refused */
	bool is_low;                     /* the free reserve is reached: no files */
	bool is_full;                    /* the floor is reached, or the disk refused: no messages either */
	bool is_bound_reached;           /* a file was refused for the bound, and there is no room again yet */
	bool has_reserve_file;
};

/* In MB; below 0: a default by the size of the disk. */
struct space_limits {
	int bound_mb;   /* that files may take; 0: no bound */
	int reserve_mb; /* kept free by refusing files */
};

/* Starts the thread that looks. dir NULL: in memory, no thread. -WC_ESTORAGE and *cause, one line. Thread: main, once the folder is
 * locked. */
int space_start(struct space **out, const char *dir, struct space_limits limits, char **cause) WC_MUSTCHECK;
void space_keep_reserve(struct space *s); /* the server has started: the reserve file is made as soon as there is room. Thread: main */
void space_set_limits(struct space *s, struct space_limits limits); /* in force from the next look on. Thread: main */
void space_stop(struct space *s); /* ends the thread, frees s. NULL-safe. Thread: main, when nobody else uses s */

void space_look(struct space *s, struct space_state *out); /* the last look; waits for no disk */
/* Its two flags, for code that runs often. NULL: false. */
bool space_is_low(const struct space *s);
bool space_is_full(const struct space *s);

/* --- Files. A file counts for what it takes on the disk: whole blocks, and one more for its name. s NULL: everything is granted. */

#define SPACE_BLOCK_BYTES 4096
uint64_t space_cost(uint64_t size); /* in bytes; of size 0: 0 */
/* Counts a file of `size` bytes before it is written, in place of one of `had` bytes (0: none) that counts already. `unwritten` bytes
 * are still to come. Asks the disk, so not for the room or an I/O thread. -WC_EFULL: over the bound; -WC_ESTORAGE: too little free
 * space. */
int space_take(struct space *s, uint64_t had, uint64_t size, uint64_t unwritten) WC_MUSTCHECK;
/* `bytes` of what was taken are on the disk now and show in its own numbers, or will never come. */
void space_wrote(struct space *s, uint64_t bytes);
void space_add(struct space *s, uint64_t cost); /* files found at the start, in bytes of space_cost. Thread: main */
/* Counts `size` bytes in place of `had`, whatever the bounds. 0: no file before, or none afterwards. */
void space_set(struct space *s, uint64_t had, uint64_t size);

/* --- A full disk. */

void space_found_full(struct space *s); /* the disk refused a write: messages are refused until a look finds room */
/* Gives up the reserve file for an admin's act or a deletion that the disk refused. True: try once more. Thread: room, main or a
 * helper's. */
bool space_give_up_reserve(struct space *s);
/* The same for a start, before there is a struct space. Thread: main; nobody else uses the folder. */
bool space_give_up_reserve_of(const char *dir);

#endif
