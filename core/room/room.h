/* room.h — the room: the only owner of chat state, one thread, fed by its inbox.
 *
 * A batch of events is one transaction. Memory changes and publishing come after its commit, so a crash loses nothing that anybody has
 * seen. The room waits only for the commit, and for a sweep when a log is full. */
#ifndef WC_ROOM_H
#define WC_ROOM_H

#include "base/helper.h"
#include "base/ip.h"
#include "files/blob.h"
#include "files/space.h"
#include "flow/inbox.h"
#include "hub/hub.h"
#include "state/password.h"
#include "store/store.h"

struct room;
struct leave;

/* The values that SIGHUP may change. The networks are borrowed, and live as long as the room. */
struct room_settings {
	int history_limit;  /* messages that a join gets */
	int max_file_mb;    /* as clients are told */
	int retain_days;    /* of messages; 0: for ever */
	int max_storage_mb; /* of files on disk; 0 or below: no bound */
	int name_hold_days;
	int keep_addresses; /* days; 0: none is kept */
	bool accepts_orphans;
	/* Limits of one person, or of one address; a rate of 0: no limit. */
	int message_rate, message_burst; /* a second, and at once */
	int byte_rate_kb, byte_burst_mb; /* a second, and at once */
	int request_rate, typing_rate;   /* a second */
	int flood_mute_s;
	int address_rate, address_bytes_kb, address_requests; /* a second, of one address */
	int new_people;                                       /* from one address in ten minutes */
	int join_guesses;                                     /* wrong passwords from one address in a minute */
	struct ip_nets exempt;                                /* from limits by address */
	struct ip_nets trust_proxy;                           /* not to be banned by mistake */
};

struct room_opts {
	struct room_settings settings; /* at the start */
	bool is_in_memory;             /* the data */
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
/* These hold from the next batch on. password NULL: as it is; else a join needs it, or none if it is not set. Any thread. */
void room_set(struct room *r, const struct room_settings *settings, const struct password *password);
/* Returns once the room gives helpers no more work. The hubs are stopped already. Thread: main. */
void room_quiesce(struct room *r);
/* Works off the inbox, commits, ends the thread, frees r. The hubs and helpers are stopped already. Thread: main. */
void room_stop(struct room *r);

/* Writes something small to a store whose last write failed: success shows that messages can be stored again. Thread: room. */
void room_try_store(void *room);

/* May this upload be? l->done gets the answer, on the room's thread. Any thread; not once the helpers end. */
void room_ask_leave(void *room, struct leave *l);
/* `bytes` of what it was given leave for never came: they are not held against its sender. Any thread. */
void room_give_back(void *room, const struct leave *l, uint64_t bytes);

/* While keep is true no file is collected, since a backup copies them. Any thread. */
void room_keep_blobs(struct room *r, bool keep);

/* The number of dialect-1 readers; they need a file's bytes in its frame. The room changes it; it lives as long as the room. Any thread. */
const _Atomic uint32_t *room_first_dialect_readers(const struct room *r);

#endif
