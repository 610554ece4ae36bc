/* leave.h — the leave for an upload: the question that the site puts to the room, and the room's answer.
 *
 * Embedded in the asker's own struct. Never decides anything: bans, mutes, the password's admission and the limits are the room's. A ban
 * that comes later withdraws a leave: the room keeps a snapshot of all bans here. Thread: the asker's until it is asked, the room's until
 * `done`. */
#ifndef WC_LEAVE_H
#define WC_LEAVE_H

#include "base/ip.h"
#include "base/wc.h"
#include "wire/msg.h"

enum leave_verdict {
	LEAVE_GIVEN,    /* identity_id is the person's; what it costs is paid */
	LEAVE_NOBODY,   /* no such token */
	LEAVE_BANNED,   /* words say why */
	LEAVE_PASSWORD, /* the token was not let in by today's password */
	LEAVE_MUTED,    /* words say why; wait_ms: until it ends, 0: for good */
	LEAVE_WAIT,     /* over a limit: wait_ms says when it would pass */
};

struct leave {
	/* The question. */
	uint8_t token[WC_SHA_BYTES];   /* its hash */
	bool has_address, writes;      /* writes: bytes are to be stored, so mutes and limits of bytes count, too */
	uint8_t address[16];           /* the client's */
	uint64_t bytes;                /* of the body */
	void (*done)(struct leave *l); /* gets it back. Must not wait. Thread: room */
	/* The answer. */
	enum leave_verdict verdict;
	bool is_exempt; /* its address is exempt from limits by address */
	uint64_t identity_id;
	int64_t wait_ms;
	char *words; /* malloc'd, the asker's to free; NULL: none */
	/* The room's own. */
	void *room;
	uint64_t generation; /* of the bans that it was judged by */
};

struct leave_ban {
	uint64_t id;      /* the identity's */
	int64_t until_ms; /* CLOCK_BOOTTIME; 0: for good */
};

/* All bans that are in force or were; both lists malloc'd. */
struct leave_bans {
	struct leave_ban *persons;
	struct ip_net *nets;
	size_t person_count, net_count;
};

/* Was l's person or address banned since it was given? Then its verdict says so. Cheap. Thread: the asker's. */
bool leave_is_withdrawn(struct leave *l);
/* Takes both lists. Thread: room, or main before it runs. */
void leave_replace_bans(struct leave_bans b);
uint64_t leave_generation(void); /* of the bans as they are now. Any thread */

#endif
