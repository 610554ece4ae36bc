/* helper.h — a few threads for slow work: JSON and base64 of large frames, hashing, fsync, every read of the database.
 *
 * The room and the I/O threads hand them jobs and never wait. A job runs once, on one helper, which owns a store reader. Its result goes on
 * as an event (to the room) or as mail (to a connection). */
#ifndef WC_HELPER_H
#define WC_HELPER_H

#include "base/wc.h"

struct helpers;
struct store;
struct store_reader;

typedef void (*job_fn)(void *arg, struct store_reader *r);

/* How a helper gets its reader, and gives it back: store_reader_open and store_reader_close. */
struct helpers_opts {
	int threads;
	struct store *store;
	int (*open)(struct store *store, struct store_reader **out); /* 0, or -WC_E… */
	void (*close)(struct store_reader *r);
};

/* Starts the threads. NULL and one line in *cause on failure. Thread: main. */
struct helpers *helpers_start(const struct helpers_opts *o, char **cause) WC_MUSTCHECK;
/* Works off what is queued, then ends the threads. */
void helpers_stop(struct helpers *hs);
/* Queues fn(arg). Any thread; never blocks longer than a mutex. Producers bound themselves: a connection has at most a few jobs. */
void helpers_submit(struct helpers *hs, job_fn fn, void *arg);
size_t helpers_queued(struct helpers *hs);
int64_t helpers_waiting_ms(struct helpers *hs); /* since jobs wait and none was taken; 0: none waits. Any thread */

#endif
