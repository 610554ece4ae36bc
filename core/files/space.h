/* space.h — the room on the disk of the data folder: the free bytes, the bound of files, and the reserve for an admin's acts.
 *
 * A thread of its own looks once a second (ten times when there is little). With :memory: there is no disk: everything is granted and all
 * numbers are 0. Functions take any thread unless they say otherwise. */
#ifndef WC_SPACE_H
#define WC_SPACE_H

#include "base/wc.h"

/* Given up when the disk is full, so that bans, mutes and deletions still commit and the server starts. */
#define SPACE_RESERVE_FILE "reserve"
#define SPACE_RESERVE_BYTES (32ull << 20)

struct space;

/* How it is, as of the last look. Bytes. */
struct space_state {
	uint64_t disk_bytes, free_bytes; /* of the filesystem; free: for this user */
	uint64_t reserve_bytes;          /* files stop when less than this would be free; 0: no free reserve */
	uint64_t floor_bytes;            /* messages stop when less than this is free */
	uint64_t bound_bytes;            /* that files may take; 0: no bound */
	uint64_t used_bytes;             /* that they take, in whole blocks, announced uploads included */
	bool is_bound_given;             /* by the admin: then the oldest files make room. Else new ones are refused */
	bool is_low;                     /* the free reserve is reached: no files */
	bool is_full;                    /* the floor is reached, or the disk refused: no messages either */
	bool is_bound_reached;           /* a file was refused for the bound, and there is no room again yet */
	bool has_reserve_file;
};

/* Both in MB; below 0: the default, by the size of the disk. */
struct space_limits {
	int bound_mb;   /* that files may take; 0: no bound */
	int reserve_mb; /* kept free by refusing files */
};

/* Starts the thread that looks. dir NULL: in memory, no thread. *cause: one line. Thread: main, once the folder is locked. */
int space_start(struct space **out, const char *dir, struct space_limits limits, char **cause) WC_MUSTCHECK;
void space_keep_reserve(struct space *s); /* the server has started: from now on the reserve file is made when there is room */
void space_set_limits(struct space *s, struct space_limits limits); /* in force from the next look on. Thread: main */
void space_stop(struct space *s); /* ends the thread, frees s. NULL is ignored. Thread: main, last of its users */

void space_look(struct space *s, struct space_state *out); /* the last look; waits for no disk */
/* The same as flags alone, for what runs often. NULL: false. */
bool space_is_low(const struct space *s);
bool space_is_full(const struct space *s);

/* --- Files. Each counts for what it takes on the disk: whole blocks, and one for its name. s may be NULL: everything is granted. */
#define SPACE_BLOCK_BYTES 4096
uint64_t space_cost(uint64_t size); /* of size 0: nothing */
/* Before a file of `size` bytes is written, in place of one of `had` (0: none) that counts already: counts it. `unwritten` bytes of it are
 * still to come. The disk is asked anew: not for the room or an I/O thread. -WC_EFULL: over the bound; -WC_ESTORAGE: the disk has not
 * enough room. */
int space_take(struct space *s, uint64_t had, uint64_t size, uint64_t unwritten) WC_MUSTCHECK;
/* These bytes of those taken are on the disk now, and show in its own numbers; or will never come. */
void space_wrote(struct space *s, uint64_t bytes);
/* There already: so much, as space_cost has it. Thread: main, at start. */
void space_add(struct space *s, uint64_t cost);
/* Counts `size` bytes in place of `had`, whatever the bounds. 0: it was not there, or is gone. */
void space_set(struct space *s, uint64_t had, uint64_t size);

/* --- A full disk. */
/* The disk refused: messages are refused until it is seen to have room. */
void space_found_full(struct space *s);
/* Gives the reserve file up for an admin's act or a deletion that the disk refused; true: try once more. Thread: room, main or a helper's.
 * */
bool space_give_up_reserve(struct space *s);
/* The same before there is anything else, for a start. Thread: main; nobody else uses the folder. */
bool space_give_up_reserve_of(const char *dir);

#endif
