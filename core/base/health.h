/* health.h — is the server well: its store, its room, its threads, its disk? Known at any time without waiting for any of them.
 *
 * Two threads. One watches: it asks the room and looks at the others' pulses once a second, and never touches a disk. The other probes: it tries the
 * store and the data folder when somebody asks (a stranger at most once a second), and every half a minute. A probe that does not come back is an answer, too. */
#ifndef WC_HEALTH_H
#define WC_HEALTH_H

#include "base/helper.h"
#include "base/wc.h"
#include "files/space.h"
#include "flow/inbox.h"
#include "store/store.h"

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

struct health_opts {
	const char *dir; /* of the data; NULL: in memory */
	struct store *store;
	struct space *space;
	struct inbox *inbox;
	struct helpers *helpers;
	void (*try_store)(void *room); /* on the room's thread: writes something, so that a store that failed is known to work again */
	void *room;
};

int health_start(struct health **out, const struct health_opts *o, char **cause) WC_MUSTCHECK; /* Thread: main; the room runs */
/* Ends the threads; who still waits is answered. The room still runs, or may. NULL is ignored. Thread: main. */
void health_stop(struct health *h);
void health_free(struct health *h); /* after the room has stopped. NULL is ignored */

const char *health_name(enum health_check check);  /* "storage" … */
const char *health_words(enum health_check check); /* for anybody: "the storage fails" … */
/* The words of all that fails with "; " between them, or those of an admin. */
void health_say(const struct health_state *state, bool for_admin, struct buf *out);

/* How it is, as far as is known now. Any thread; waits for nothing. */
void health_look(struct health *h, struct health_state *out);
/* Calls fn once: when a probe has ended, or after HEALTH_WAIT_MS. For strangers, who must not set the pace, one that ended within the last second will
 * do, and fn is called at once. fn must not wait. Thread: the caller's or the watcher's. */
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
