/* moderate.h — what an admin can have the room do. The admin door (admin.c) fills a command in and hands it over; the room's thread runs it between two
 * groups of events, alone, so that everything before it is stored and shown and nothing behind it is.
 *
 * Every act is decided and audited in one transaction and applied after its commit. */
#ifndef WC_MODERATE_H
#define WC_MODERATE_H

#include "base/buf.h"
#include "store/store_admin.h"

struct room;

/* Somebody whom a command found, or is about: those who left are known by their messages and addresses alone. */
struct command_person {
	uint64_t id;
	char *name; /* malloc'd; NULL: not known yet */
	bool is_guest;
	uint8_t addr[16];
	int64_t at_ms; /* of the address; 0: none */
	size_t messages, files;
};

struct command {
	void (*run)(struct room *r, struct command *c); /* one of those below. Thread: room */
	void (*done)(struct command *c);                /* gets c back, with status and out. Thread: room, or main while it stops */
	struct room *room;                              /* room_command's */
	const char *verb;                               /* for the audit */
	uint32_t uid;
	int32_t pid;
	/* what is wanted; strings are borrowed until done. NULL, 0: not given */
	const char *user, *user_2; /* as the admin named them: an id or a name */
	const char *name, *net, *reason, *text;
	enum sanction_act act;
	const char *via;       /* on whose behalf root acts, as sudo says */
	bool with_ip, is_part; /* is_part: of an act that was audited already */
	bool all;
	bool force, replace; /* meant, though it hits others; though it shortens what stands */
	int64_t for_ms;
	uint64_t id, after;
	const uint64_t *ids;
	size_t id_count;
	int seconds, limit;
	int level; /* enum lockdown_level; below 0 only asks */
	/* Grows with command_add; the strings go with the command. */
	struct command_person *people;
	size_t people_count;
	uint64_t people_upto; /* moderate_users: no further id was looked for; 0: all were */
	int keep_days;        /* --keep-addresses, as the room has it: of those that look for people */
	/* what came of it */
	int status;                  /* as HTTP has it */
	struct buf out;              /* one JSON object */
	uint64_t user_id, user_2_id; /* moderate_find: 0: not known to the room */
	uint64_t head;               /* the newest event */
	size_t count;
};

struct command_person *command_add(struct command *c, uint64_t id, const char *name, size_t name_len); /* valid until the next one */
void command_drop_people(struct command *c);

/* Takes c until done. Any thread but the room's own. */
void room_command(struct room *r, struct command *c);

void moderate_status(struct room *r, struct command *c);
void moderate_users(struct room *r, struct command *c);  /* after, limit, all, text: part of a name, net; people: who left, by id */
void moderate_people(struct room *r, struct command *c); /* net: adds those who are known to be in it to people */
void moderate_names(struct room *r, struct command *c);  /* gives people who are known their names */
void moderate_store_addresses(struct room *r, struct command *c); /* some of those that are not stored yet; count: how many are left */
void moderate_kick(struct room *r, struct command *c);            /* user, reason */
void moderate_sanction(struct room *r, struct command *c);        /* act; user, name or net; for_ms, reason, with_ip, force, replace */
void moderate_pardon(struct room *r, struct command *c);          /* act; id, user, name or net */
void moderate_sanctions(struct room *r, struct command *c);       /* act: the list */
void moderate_slow(struct room *r, struct command *c);            /* seconds; below 0 only asks */
void moderate_lockdown(struct room *r, struct command *c);        /* level, for_ms, reason (moderate_lockdown.c) */
void moderate_say(struct room *r, struct command *c);             /* text */
void moderate_delete(struct room *r, struct command *c);          /* ids, reason */
/* Only writes the audit: text is the arguments as JSON. */
void moderate_note(struct room *r, struct command *c);
/* Who are user and user_2? Answers with an error only if a name fits several; who is not known is left 0. user, if known, is added to people. */
void moderate_find(struct room *r, struct command *c);

#endif
