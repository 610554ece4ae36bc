/* helper.h — threads for slow work: JSON and base64 of large frames, hashing, fsync, every read of the database.
 *
 * The room and the I/O threads hand them jobs and never wait. A job runs once, on one helper, which owns a store reader, or is dropped. Its
 * result goes on as an event (to the room) or as mail (to a connection). Each kind of job has a queue and threads of its own, so that no
 * kind waits for another. Within a kind, people take turns (rota.h). */
#ifndef WC_HELPER_H
#define WC_HELPER_H

#include "base/rota.h"
#include "base/wc.h"

struct helpers;
struct store;
struct store_reader;

enum job_kind {
	JOB_LOOK_UP, /* a download's row and file */
	JOB_PAGE,    /* a page of history */
	JOB_JOIN,    /* the page of a join */
	JOB_FRAME,   /* a large frame, or a file in one: decoded, hashed, synced */
	JOB_UPLOAD,  /* an upload's begin, its end with its sync, its offset */
	JOB_UPKEEP,  /* checkpoints, collecting; also an admin's reading */
	JOB_KINDS
};

typedef void (*job_fn)(void *arg, struct store_reader *r);

struct job {
	enum job_kind kind;
	struct rota_owner owner;
	job_fn run;
	void *arg;
	void (*drop)(void *arg);          /* in place of run: it is moot, or the helpers end. NULL: always run. Thread: helper */
	bool (*is_moot)(const void *arg); /* asked before run: nobody waits for the result any more. NULL: never. Thread: helper */
};

/* How a helper gets its reader, and gives it back: store_reader_open and store_reader_close. */
struct helpers_opts {
	int threads; /* for jobs of every kind; 0: some for each kind */
	struct store *store;
	int (*open)(struct store *store, struct store_reader **out); /* 0, or -WC_E… */
	void (*close)(struct store_reader *r);
};

/* Starts the threads. NULL and one line in *cause on failure. Thread: main. */
struct helpers *helpers_start(const struct helpers_opts *o, char **cause) WC_MUSTCHECK;
/* Works off what is queued for patience_ms, drops what then still waits and can be dropped, and ends the threads. Thread: main. */
void helpers_stop(struct helpers *hs, int patience_ms);
/* Queues a copy of the job. Any thread; never blocks longer than a mutex. Producers bound themselves: a connection has at most a few. */
void helpers_submit(struct helpers *hs, const struct job *job);
/* Would one more of this kind wait too long, behind those of its network (an IPv4 address, or a /48) or of all? Any thread. */
bool helpers_are_full(struct helpers *hs, enum job_kind kind, const struct rota_owner *owner);
int64_t helpers_waiting_ms(struct helpers *hs); /* since jobs of a kind wait and none was taken; 0: none waits. Any thread */

#endif
