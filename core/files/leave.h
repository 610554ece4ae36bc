/* leave.h — the leave for an upload: the question that the site puts to the room, and the room's answer.
 *
 * Plain data, embedded in the asker's own struct. Never decides anything: bans, mutes, the password's admission and the limits are the
 * room's. Thread: the asker's until it is asked, the room's until `done`. */
#ifndef WC_LEAVE_H
#define WC_LEAVE_H

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
};

#endif
