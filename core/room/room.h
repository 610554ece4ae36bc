/* room.h — the room: the only owner of chat state, one thread, fed by its inbox.
 *
 * One batch of events is one transaction; memory changes and publishing come after its commit, so nothing anybody has seen can be missing
 * after a crash. The room waits for nothing but the commit (and for a sweep when a log is full). */
#ifndef WC_ROOM_H
#define WC_ROOM_H

#include "base/helper.h"
#include "files/blob.h"
#include "files/space.h"
#include "flow/inbox.h"
#include "hub/hub.h"
#include "server/options.h"
#include "state/password.h"
#include "store/store.h"

struct room;

struct room_opts {
	_Atomic(const struct options *) options; /* in force; changed by the room, read also by helpers */
	struct hubs *hubs;
	struct inbox *inbox;
	struct helpers *helpers;
	struct store *store;
	struct blobs *blobs;
	struct space *space;
	size_t recent_bytes, messages_bytes; /* SIZE_MAX: any; the second with data in memory */
	const struct password *password;     /* that a join needs; NULL: none */
};

/* Loads identities and the recent messages, then starts the thread. */
int room_start(struct room **out, const struct room_opts *opts, char **cause) WC_MUSTCHECK;
/* These options hold from the next batch on; they live as long as the room. password NULL: as it is; else a join needs it, or none if it is
 * not set. Any thread. */
void room_set_options(struct room *r, const struct options *o, const struct password *password);
/* From here on the room gives helpers no more work; returns when that holds. The hubs are stopped already. Thread: main. */
void room_quiesce(struct room *r);
/* Works off the inbox, commits, ends the thread. The hubs and helpers are stopped already. */
void room_stop(struct room *r);

/* Writes something small, for a store whose last write failed: once that passes, messages are known to be taken again. Thread: room. */
void room_try_store(void *room);

/* While it is so, no blob is collected: a backup counts on them. Any thread. */
void room_keep_blobs(struct room *r, bool keep);

/* Are there dialect-1 readers, for whom a file's bytes must be encoded? Any thread. */
bool room_has_dialect_1(const struct room *r);

#endif
