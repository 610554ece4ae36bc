/* probe.h — the health of this server: what base/health looks at, wired to the store, the data folder, the disk and the room.
 *
 * Thread: main, but where a callback of health.h says otherwise. */
#ifndef WC_PROBE_H
#define WC_PROBE_H

#include "base/health.h"
#include "files/space.h"
#include "flow/inbox.h"
#include "store/store.h"

struct probe;

struct probe_opts {
	const char *dir; /* of the data; NULL: in memory */
	struct store *store;
	struct space *space;
	struct inbox *inbox;
	struct helpers *helpers;
	void (*try_store)(void *room); /* on the room's thread: writes something, so that a store that failed is known to work again */
	void *room;
};

/* Starts the threads of health.h; the room runs already. *cause: one line. */
int probe_start(struct probe **out, const struct probe_opts *o, char **cause) WC_MUSTCHECK;
struct health *probe_health(struct probe *p);
/* Ends the threads and answers everybody who waits. The store is still open. NULL is ignored. */
void probe_stop(struct probe *p);
void probe_free(struct probe *p); /* after the room has stopped. NULL is ignored */

#endif
