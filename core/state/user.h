/* user.h — the people (guests of the first dialect, identities with tokens), their names and sessions, in the order of their last activity.
 *
 * Memory only; the room writes everything that must survive to the store. Thread: room. */
#ifndef WC_USER_H
#define WC_USER_H

#include "base/map.h"
#include "base/utf8.h"
#include "base/wc.h"
#include "state/held.h"
#include "state/pace.h"
#include "wire/encode.h"
#include "wire/name.h"

struct session {
	struct conn *conn;
	struct user *user;
	uint32_t slot; /* in users.sessions[dialect] */
	enum dialect dialect : 4;
	bool is_closed : 1;    /* the connection is gone; freed when jobs is 0 */
	bool is_admitted : 1;  /* since the join password is what it is: may make links */
	bool is_sent_away : 1; /* kicked, banned or flooding: its close frame is on the way, what it sends counts no more */
	uint16_t jobs;         /* helpers' jobs that still name this session */
	struct session *next;  /* of the same user */
	struct token *token;   /* what it came in with; NULL: a guest, or signed out */
};

struct peer;
struct token;

struct user {
	uint64_t id;
	char *name, *key, *json;  /* terminated, within text. key: name_key(); json: {"id":…,"name":…} */
	bool is_identity : 1;     /* has a token, is stored */
	bool is_online : 1;       /* as others see it: stays so for a few seconds after the last session of an identity */
	bool is_listed : 1;       /* scratch of a list under construction */
	bool is_told : 1;         /* some dialect-2 client was told of this person */
	bool is_told_apart : 1;   /* some client was, only because the two have DMs */
	bool has_dms : 1;         /* the store may have DMs of this identity */
	bool has_spoken : 1;      /* wrote to everyone */
	bool is_tentative : 1;    /* made by a batch that is not committed yet */
	bool peers_are_known : 1; /* the peers were read from the store, or there is nothing to read */
	uint16_t name_len, json_len;
	int peer_count;
	uint32_t mute_generation;
	struct session *sessions;
	struct user *newer, *older; /* online people by what all see of their activity; newer also: the graveyard of this batch */
	int64_t seen_ms, stored_seen_ms, created_ms;
	struct token *tokens;        /* by their last use, newest first */
	const struct sanction *mute; /* as of mute_generation (sanction.c) */
	struct pace pace;
	int64_t spoke_ms;    /* slow mode: the last public message, monotonic; 0: none */
	uint8_t addr[16];    /* where they last came from or went (addresses.c); IPv4 as ::ffff:a.b.c.d */
	int64_t addr_at_ms;  /* Unix; 0: not kept */
	int64_t leave_at_ms; /* when the grace ends; 0: not waiting */
	uint64_t dm_id;      /* the newest event of own DMs; 0: none */
	uint64_t dm_floor;   /* the highest of those that retention removed; 0: none */
	struct peer *peers;  /* whom an identity has DMs with, newest last; meaningful if peers_are_known */
	char text[];
};
_Static_assert(sizeof(struct user) <= 232, "an idle client costs a kilobyte at most, all in all");

#define USER_PEERS 200
struct peer {
	uint64_t id, last_id;
	char *name;
};

#define USER_TOKENS 32 /* devices of one person; the one used longest ago makes room */
struct token {
	uint8_t hash[WC_SHA_BYTES];
	int64_t admitted_ms; /* the last time that it let its person in, or that one left (admit.c) */
	int64_t stored_ms;   /* what the store has of it */
	struct user *user;
	struct token *next; /* of the same user */
	bool came_back;     /* let somebody in since it was made */
};

struct users {
	struct map by_id, by_key, tokens; /* tokens: hash -> struct token */
	struct user *newest, *oldest;     /* online, by activity */
	size_t online;
	struct session **sessions[DIALECTS];
	uint32_t session_count[DIALECTS], session_room[DIALECTS];
	struct user *gone;
	struct held held; /* their names, as they look */
};

void users_init(struct users *us);
void users_fini(struct users *us);

/* name must be clean and free (user_free_name). Neither online nor in a list of the active yet. */
struct user *user_new(struct users *us, uint64_t id, struct str name, bool is_identity);
struct user *user_get(const struct users *us, uint64_t id);
/* Out of every map; the memory goes at users_bury. Must have no sessions. */
void user_remove(struct users *us, struct user *u);
void user_forget(struct users *us, struct user *u); /* the same for an identity whose hold is over: its tokens go, too */
void users_bury(struct users *us);                  /* end of a batch: nothing refers to removed users any more */

/* The name this person gets: `wanted` cleaned, "User<id>" if nothing is left, with " 2", " 3" … if it is taken, or looks like one that is.
 * barred: names that are not given by way of such a number; NULL: none. */
void user_free_name(struct users *us, const struct held *barred, struct str wanted, uint64_t id, char out[WC_NAME_BYTES + 1]);

void user_set_online(struct users *us, struct user *u, bool is_online);
/* u has a DM with this peer: newest from now on. No-op for guests and while the peers are not known. */
void user_add_peer(struct user *u, uint64_t peer_id, struct str peer_name, uint64_t last_id);
/* Moves to the front of the active: for what everybody sees alone, since everybody sees the order. */
void user_active(struct users *us, struct user *u);

struct token *user_add_token(struct users *us, struct user *u, const uint8_t hash[WC_SHA_BYTES], int64_t admitted_ms);
/* Most recently used first: this brings it to the front. */
void user_used_token(struct token *t, int64_t at_ms);
/* Lets nobody in any more, until it is attached again, as the last. No session may name it. */
void user_detach_token(struct users *us, struct token *t);
void user_attach_token(struct users *us, struct token *t);
void user_end_token(struct users *us, struct token *t); /* detaches and frees it */
struct token *user_token(const struct users *us, const uint8_t hash[WC_SHA_BYTES]);

struct session *session_new(struct users *us, struct user *u, struct conn *c, enum dialect d);
void session_unlink(struct users *us, struct session *s); /* from its user and the lists; s stays */

#endif
