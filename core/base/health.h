/* health.h — the health of the server: its store, room, threads and disk, known at any time without waiting for any of them.
 *
 * Two threads. The watcher asks the room and looks at the other threads' pulses once a second; it never touches a disk. The prober tries
 * the data every half a minute, and when somebody asks (for strangers at most once a second). A probe that hangs is an answer, too.
 * How to probe, and how to ask the room, are callbacks: this unit knows neither a store nor a room. */
#ifndef WC_HEALTH_H
#define WC_HEALTH_H

#include "base/helper.h"
#include "base/wc.h"

#define HEALTH_ROOM_MS 3000 /* a room that does not answer for so long hangs */
#define HEALTH_WAIT_MS 3000 /* for so long at most an answer waits for a probe */
#define HEALTH_DETAIL 256

enum health_check { HEALTH_STORAGE, HEALTH_ROOM, HEALTH_THREADS, HEALTH_DISK, HEALTH_CHECKS };

struct health_state {
	bool is_well;
	bool fails[HEALTH_CHECKS];
	char detail[HEALTH_CHECKS][HEALTH_DETAIL]; /* for an admin: what was found; "" if it does not fail */
};

struct buf;
struct health;

/* The checks. All functions get arg. */
struct health_opts {
	void *arg;
	struct helpers *helpers;
	/* Tries the data; the reason of a failure goes to `why`, which is "" before. May hang. Thread: the prober's. */
	void (*probe)(void *arg, char why[HEALTH_DETAIL]);
	bool (*is_failing)(void *arg); /* the last write of the store failed. Any thread; waits for nothing */
	void (*try_store)(void *arg);  /* has something written, so that a store that failed is known to work again */
	void (*look_at_disk)(void *arg, char why[HEALTH_DETAIL]);       /* as probe, but never waits. Any thread */
	void (*call_room)(void *arg, void (*fn)(void *), void *fn_arg); /* calls fn(fn_arg) on the room's thread. Any thread; never waits */
};

int health_start(struct health **out, const struct health_opts *o, char **cause) WC_MUSTCHECK; /* Thread: main; the room runs */
/* Ends the threads; callers that still wait are answered. The room still runs, or may. NULL is ignored. Thread: main. */
void health_stop(struct health *h);
void health_free(struct health *h); /* after the room has stopped. NULL is ignored */

const char *health_name(enum health_check check);  /* "storage" … */
const char *health_words(enum health_check check); /* for anybody: "the storage fails" … */
/* The words of all that fails with "; " between them, or those of an admin. */
void health_say(const struct health_state *state, bool for_admin, struct buf *out);

/* How it is, as far as is known now. Any thread; waits for nothing. */
void health_look(struct health *h, struct health_state *out);
/* Calls fn once: when a probe has ended, or after HEALTH_WAIT_MS. For strangers, who must not set the pace, one that ended within the last
 * second will do, and fn is called at once. fn must not wait. Thread: the caller's or the watcher's. */
typedef void (*health_fn)(void *arg, const struct health_state *state);
void health_ask(struct health *h, bool for_admin, health_fn fn, void *arg);

/* --- A deadline for something that the room is to answer. */
struct health_alarm {
	struct health_alarm *next;
	int64_t at_ms;         /* monotonic */
	void (*fn)(void *arg); /* on the watcher's thread */
	void *arg;
	bool is_set;
};
void health_set_alarm(struct health *h, struct health_alarm *a, int64_t ms, void (*fn)(void *arg), void *arg);
/* True: it has not gone off, and will not. Any thread. */
bool health_end_alarm(struct health *h, struct health_alarm *a) WC_MUSTCHECK;

#endif
