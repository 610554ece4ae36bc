/* moderate.h — the acts of an admin that the room carries out.
 *
 * The admin's socket hands over a command. The room's thread runs it alone, between two groups of events. All that came before is stored
 * and shown, but for events that wait for their turn (turn.c). Every act is decided and audited in one transaction, and applied after its
 * commit. */
#ifndef WC_MODERATE_H
#define WC_MODERATE_H

#include "base/buf.h"
#include "store/store_admin.h"

struct room;

/* One act on its way to the room and back. The caller embeds this in a struct that has the act's arguments. */
struct command {
	void (*run)(struct room *r, struct command *c); /* calls one of those below. Thread: room. May be called twice */
	void (*done)(struct command *c);                /* gets c back, with status and out. Thread: room, or main while it stops */
	struct room *room;                              /* room_command's */
	/* for the audit; strings are borrowed until done. NULL: not given */
	const char *verb, *reason;
	const char *via; /* on whose behalf root acts, as sudo says */
	uint32_t uid;
	int32_t pid;
	/* what came of it */
	int status;     /* as HTTP has it */
	struct buf out; /* one JSON object */
	int keep_days;  /* for how many days the room keeps addresses now; 0: not at all */
};

/* Takes c until done. Any thread but the room's own. */
void room_command(struct room *r, struct command *c);

/* A person whom a command found, or is about. People who left are known only by their messages and addresses. */
struct command_person {
	uint64_t id;
	char *name; /* malloc'd; NULL: not known yet */
	bool is_guest;
	uint8_t addr[16];
	int64_t at_ms; /* of the address; 0: none */
	size_t messages, files;
};
struct command_people {
	struct command_person *v;
	size_t count;
};
struct command_person *people_add(struct command_people *p, uint64_t id, const char *name, size_t name_len); /* valid until the next one */
void people_drop(struct command_people *p);

/* --- The acts. Thread: room, within a command's run. Each sets c->status and writes c->out. Strings are UTF-8; a user is named by id or
 * name. */

void moderate_status(struct room *r, struct command *c); /* its object is left open */

struct user_query {
	bool all;              /* not only those who are online */
	const char *name_part; /* only those with this in their names; NULL: any */
	const char *net;       /* only those who are or were there; NULL: anywhere */
	uint64_t after;
	int limit;                  /* below 1: a page */
	struct command_people left; /* those who left, by id */
	uint64_t left_upto;         /* no further id of theirs was looked for; 0: all were */
};
void moderate_users(struct room *r, struct command *c, const struct user_query *q);
/* Adds to *found the people known to be in the network, or to have been there. */
void moderate_people_in(struct room *r, struct command *c, const char *net, struct command_people *found);
void moderate_names(struct room *r, struct command *c,
                    struct command_people *people);                 /* fills in the names of people whom the room knows */
size_t moderate_store_addresses(struct room *r, struct command *c); /* stores some of those that are not yet; returns how many are left */

void moderate_kick(struct room *r, struct command *c, const char *user);

/* Exactly one of user, name and net is given. */
struct sanction_target {
	enum sanction_act act;
	const char *user, *name, *net;
};
struct sanction_order {
	struct sanction_target of;
	int64_t for_ms; /* 0: for good */
	bool with_ip;   /* the user's addresses, too */
	bool force;     /* although it hits others */
	bool replace;   /* although it shortens what stands */
};
void moderate_sanction(struct room *r, struct command *c, const struct sanction_order *o);
void moderate_pardon(struct room *r, struct command *c, const struct sanction_target *of, uint64_t id); /* id: of the sanction, or 0 */
void moderate_sanctions(struct room *r, struct command *c, enum sanction_act act);                      /* the list */

void moderate_slow(struct room *r, struct command *c, int seconds); /* below 0 only asks */
struct lockdown_order {
	bool on, read_only;
	int64_t for_ms; /* 0: until it is ended */
};
void moderate_lockdown(struct room *r, struct command *c, const struct lockdown_order *o); /* NULL only asks (moderate_lockdown.c) */
void moderate_say(struct room *r, struct command *c, const char *text);
/* is_part: of an act that was audited already. Returns how many messages were deleted. */
size_t moderate_delete(struct room *r, struct command *c, const uint64_t *ids, size_t count, bool is_part);
void moderate_note(struct room *r, struct command *c, const char *args); /* only writes the audit; args: JSON */

/* Who are user and user_2? Answers with an error only if a name fits several; an id that is not known is left 0. */
struct user_search {
	const char *user, *user_2;    /* NULL: not asked for */
	uint64_t user_id, user_2_id;  /* out */
	struct command_people people; /* out: user, if known, is added */
};
/* An id that means this person and nobody else, where `wanted` fits several. */
#define CALLED_SAY 64
void called_say(char out[CALLED_SAY], const char *wanted, uint64_t id);
void moderate_find(struct room *r, struct command *c, struct user_search *f);

#endif
