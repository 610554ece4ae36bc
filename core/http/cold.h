/* cold.h — pieces of files that lie on the disk alone: are they, and threads that read them into the page cache.
 *
 * A thread that sends to everybody must not wait for a disk. It asks cold_is before it sends a piece, and lets these threads wait instead.
 * Addresses take turns (rota.h). */
#ifndef WC_COLD_H
#define WC_COLD_H

#include "base/rota.h"
#include "base/wc.h"

struct cold;

struct cold_piece {
	struct rota_item item; /* first: the rota's */
	int fd;                /* borrowed, until done */
	uint64_t offset;
	size_t len;      /* when done: what is in the page cache now */
	bool has_failed; /* set when done: the disk did not give what is behind that */
};

/* Would a read of this piece wait for a disk? Looks at a byte in each 64 KB. False as well where the file system or the kernel does not
 * tell. Any thread; a microsecond. */
bool cold_is(int fd, uint64_t offset, size_t len);

/* done gets each piece back, on a thread of these or in cold_stop; it may not wait. Thread: main. */
int cold_start(struct cold **out, void (*done)(struct cold_piece *p, void *arg), void *arg, char **cause) WC_MUSTCHECK;
/* Queues p, which lives until it is done. A read that fails is in the log once a minute. Any thread, none after cold_stop. */
void cold_read(struct cold *cold, struct cold_piece *p, const struct rota_owner *owner);
/* Ends the threads, and gives back unread pieces by done. Frees cold; NULL-safe. Thread: main. */
void cold_stop(struct cold *cold);

#endif
