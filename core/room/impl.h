/* impl.h — the state of the room and the functions that its files share. Nobody else includes it.
 * Thread: room, unless said otherwise. */
#ifndef WC_ROOM_IMPL_H
#define WC_ROOM_IMPL_H

#include <pthread.h>
#include <string.h>

#include "base/iprate.h"
#include "flow/data64.h"
#include "flow/prepare.h"
#include "flow/publish.h"
#include "room/collector.h"
#include "room/moderate.h"
#include "room/room.h"
#include "state/codes.h"
#include "state/lockdown.h"
#include "state/password.h"
#include "state/tail.h"
#include "state/user.h"
#include "store/store_admin.h"
#include "wire/decode.h"
#include "wire/encode.h"

/* The files:
 *
 *   room.c      thread, batches              limit.c      how fast people may send
 *   answer.c    refusals, closes             admit.c      the join password
 *   join.c      arriving, leaving            lockdown.c   nobody new, or nobody writes
 *   message.c   messages                     sanction.c   bans, mutes, slow mode
 *   presence.c  joins and leaves, told       moderate*.c  an admin's acts; called.c: names of people in them
 *   pages.c     history, by helpers          addresses.c  where people came from
 *   chores.c    upkeep of the store          collector.c  files that nobody refers to
 *   daytime.c   the time of day              ids.c        the order of events
 *   sight.c     what one may know of others  leave.c      who may upload
 *   turn.c      whose events come next       ends.c       ends, as the clock steps */

#define LOG_DATA_MAX (64 * 1024) /* dialect 1: a file with more base64 is shared by its readers, not copied into the log of all */
#define FRAME_CAP (1024 * 1024)  /* of one encoded frame without a file's data */

struct leave;

/* One event on its way through a batch. */
struct action {
	struct event *e;
	struct session *session; /* of e->conn; NULL before it joined */
	int rc;                  /* of the preparation: 0, or why it gets an error; -WC_EDENIED at a join: banned */
	enum error_code error;   /* if rc */
	const char *words;       /* if rc: what to say; NULL: what always is said */
	int64_t retry_ms;        /* if rc and above 0: when it would be taken */
	struct msg msg;          /* EV_TEXT, EV_FILE, EV_VOICE; strings borrowed from the event and from users */
	uint64_t bytes, spread;  /* a message: what limit.c charges for, and the part of it that goes to all */
	bool is_over;            /* a limit refused it (limit.c) */
	bool is_charged;         /* a message, by limit.c: it may be given back, once */
	bool is_void;            /* its connection was closed meanwhile: no answer */
	bool closes;             /* after its error */
	bool is_stored;
	bool is_repeat;         /* the cid was there: msg is the first one, strings in `copy` */
	char *copy;             /* of msg's strings, or of words */
	struct user *user;      /* EV_JOIN: the person */
	bool is_new;            /* made by this batch */
	struct code *code;      /* the code that it used up, owned; NULL: none */
	bool reserved_ids;      /* wrote the counter of people's ids */
	bool is_deferred;       /* EV_FILE, EV_VOICE: goes to a helper once more, and comes again */
	bool has_token;         /* token: to be told */
	struct token *admits;   /* EV_JOIN: let in by the password it came with */
	struct token *comes_by; /* EV_JOIN: the token that it came with */
	struct token *ends;     /* EV_JOIN: makes room for the new one; detached, owned */
	uint8_t token[WC_TOKEN_BYTES], token_hash[WC_SHA_BYTES];
};

#define LINK_CODE_S 300

struct change { /* a join or a leave not yet told */
	uint64_t id;
	char *name;
	bool is_join;
};

struct grace {
	uint64_t id;
	int64_t at_ms;
};

struct presence {
	struct change *lines; /* dialect 1: this tick's, in order */
	int line_count, line_room;
	bool list_is_due;      /* dialect 1: the whole list changed */
	int64_t list_next_ms;  /* and may be sent from then on */
	int64_t tick_next_ms;  /* lines and presence frames */
	struct change *people; /* dialect 2: joined and left since the last frame */
	int people_count, people_room;
	bool count_is_due;
	int64_t budget_at_ms; /* token bucket of presence bytes a client */
	double budget_bytes;
	struct grace *grace; /* identities whose last session went, by time */
	int grace_count, grace_room;
};

struct moderation { /* sanction.c */
	struct sanction **list;
	size_t count, room;
	struct held names;   /* of the list, by how they look */
	uint32_t generation; /* of the list: what users remember of an older one is void */
	bool has_net_mutes;
	int64_t slow_ms; /* between two public messages of one person; 0: off */
};

struct lockdown { /* room/lockdown.c */
	enum lockdown_level level;
	int64_t until_ms;                /* Unix; 0: until an admin ends it */
	int64_t ends_ms;                 /* the same by boot_ms, which no step of a clock moves */
	int64_t loaded_ms;               /* until_ms as it was loaded; 0: set in this run */
	bool is_ended;                   /* by itself: it is off, and the store has it still */
	enum lockdown_level ended_level; /* what it was then */
};

enum by_address {
	BY_MESSAGES,
	BY_BYTES,
	BY_SPREAD,
	BY_REQUESTS,
	BY_TYPING,
	BY_UPLOADS,
	BY_ADDRESS
}; /* BY_UPLOADS: their bytes; BY_SPREAD: what all get */

/* A limit of one address, whatever the number of its people. */
struct address_limit {
	struct iprate *table; /* NULL: no limit */
	int64_t per_s, ahead_us;
};

struct limits { /* limit.c */
	struct pace_limits pace;
	struct address_limit by_address[BY_ADDRESS];
	struct pace_rate new_people;
	struct iprate *new_by_ip;
};

struct admission { /* admit.c */
	struct password password;
	uint64_t mark;    /* of the password, also of one that is not asked for now */
	int64_t since_ms; /* when it became what it is */
	int64_t guess_us, ahead_us;
	struct iprate *guesses; /* NULL: not limited */
	int64_t all_full_us;    /* the bucket of all addresses */
};

/* Somebody who left, as noted then. Owns its strings. */
struct remembered {
	uint64_t id;
	char *name, *key;
	bool is_guest;
	uint8_t addr[16];
	int64_t at_ms;
};

struct addresses {                /* addresses.c */
	struct remembered *queue; /* people who left, still to be stored, oldest first */
	size_t count, room;
	uint64_t *here; /* ids of people who came, still to be stored */
	size_t here_count, here_room;
	int64_t kept;                    /* rows of the store */
	int64_t next_ms, expire_next_ms; /* monotonic: when the store is asked again; when old ones are looked for */
	bool was_keeping, has_old;
	int64_t lines_us;   /* the bucket of the log's lines */
	uint64_t unsaid[2]; /* leaves and joins without a line */
};

/* Events that wait for a later batch (turn.c). */
struct turns {
	struct rota *joins, *events;
	size_t held_bytes; /* of events: what they cost the inbox */
};

struct room {
	struct room_opts o;
	struct room_settings settings; /* in force */
	pthread_t thread;
	struct users users;
	struct limits limits;
	struct admission admission;
	struct tail *tail;
	struct publisher *pub;
	struct presence presence;
	struct moderation mod;
	struct lockdown lockdown;
	struct addresses addresses;
	struct codes codes;
	struct action *actions;
	int action_count, action_room;
	bool group_has_join_1; /* the group under way makes dialect-1 readers */
	struct turns turns;
	struct buf scratch, scratch_2; /* frames under construction */
	uint64_t last_id, id_base;     /* ids.c: the last one taken; what the monotonic time lacks of the next */
	uint64_t applied_id;           /* of the last published one: what a page may show */
	uint64_t public_id;            /* the same of those that all see */
	struct event *waiting;         /* files that wait for memory (message.c) */
	int64_t waiting_next_ms;       /* monotonic: when they are looked at again */
	int64_t memory_log_ms;         /* monotonic: of the last line about refusals for want of memory */
	uint64_t next_user_id, user_id_reserved;
	uint64_t floor;        /* retention removed all up to it */
	uint64_t public_floor; /* the same of what all see: a since below it was cut */
	int64_t now_ms;        /* of this batch: Unix, as steady.h has it */
	uint64_t looked_fine;  /* monotonic, of the same moment, in units of an id */
	int64_t event_ms;      /* Unix: of the last event that took an id */
	int64_t mono_now_ms;   /* monotonic */
	int64_t boot_now_ms;   /* monotonic, the machine's sleep included: when sanctions end */
	int64_t clock_next_ms; /* monotonic: when the clock is looked at again */
	int64_t clock_kept_ms; /* the last time of day that was stored */
	bool ends_moved;       /* by a step that was believed: the store has them as they were */
	int64_t ends_next_ms;  /* monotonic: after a failure they are not stored before */
	_Atomic uint32_t dialect_1_count;
	_Atomic bool keeps_blobs; /* a backup is under way: nothing is collected */
	bool is_stopping;
	bool is_quiet;                                        /* helpers get no more work: they are about to end */
	bool storage_failed;                                  /* said so in the log; says when it is well again */
	size_t stored_bytes;                                  /* with data in memory: of messages, since room was last made for them */
	int64_t opened_ms;                                    /* Unix: when this run began */
	int64_t chores_next_ms, seen_next_ms, helper_next_ms; /* monotonic */
	struct collect_state collect;                         /* the turn's under way, else the room's */
	uint64_t commits_seen;                                /* at the last checkpoint */
	uint64_t connects_trimmed, connects_seen;             /* at the last trim of the heap; a turn ago */
	bool chores_run;                                      /* a helper is at it */
	struct blob_withdrawal *withdrawn;                    /* handles that end with a deletion, for the next turn of the collector */
	size_t withdrawn_count, withdrawn_room;
	uint64_t deletions, deletions_wiped; /* how many there were; as many are out of the database's log */
	bool evicted;                        /* files went since the last turn of the collector */
	bool has_free_pages;                 /* the database may have some to give back */
};

/* room.c: the thread's work, for tests that give the room no thread. open: loads, and starts nothing. Thread: main, then room. */
int room_open(struct room **out, const struct room_opts *opts, char **cause) WC_MUSTCHECK;
void room_turn(struct room *r,
               struct event *batch); /* works off a batch of the inbox (oldest first; NULL: none) and what is due, and publishes it */
void room_close(struct room *r);     /* writes last-seen times and addresses, frees all. Thread: main, once the room's has ended */

/* daytime.c. begin: before what has an end is loaded; identities are. */
void clock_begin(struct room *r);
int64_t clock_next(int64_t last_ms, int64_t now_ms); /* the time of day after last_ms when the clock says now_ms */
void clock_look(struct room *r);                     /* sets now_ms, mono_now_ms and boot_now_ms */
void clock_tick(struct room *r);                     /* also looks at the machine's clock, if it is time */
void clock_store_ends(struct room *r, bool is_last); /* after a step that is believed: a restart must find them */

/* ends.c: for an end. until_ms: Unix; ends_ms: boot_ms; loaded_ms: until_ms as it was loaded, 0: made in this run.
 * True: ends_ms moved. follow_clock: after a step that is believed. hold: nothing loaded ends within the hold, which may be put off. */
bool end_follow_clock(int64_t *until_ms, int64_t *ends_ms, int64_t loaded_ms);
bool end_hold(int64_t *ends_ms, int64_t loaded_ms);

/* answer.c: refusals, and what one connection is told; below all that decides. */
/* The action gets this error instead of what it wants, with the words that always are said. It is told with its batch. */
void refuse(struct action *a, enum error_code code);
/* With these words, malloc'd and taken over. retry_ms: when it would pass; 0: unknown. */
void refuse_saying(struct action *a, enum error_code code, int64_t retry_ms, char *words);
void refuse_for(struct action *a, enum error_code code, int64_t ms, const char *what); /* the words say what, and how long to wait */
void answer_error(struct room *r, struct conn *c, enum error_code code, struct str text,
                  struct str cid); /* text empty: what always is said */
void answer_error_retry(struct room *r, struct conn *c, enum error_code code, struct str text, struct str cid, int64_t retry_ms);
void answer_not_joined(struct room *r, struct conn *c); /* a request before the join: closes it */
/* Closes with this code, and tells old clients, which show errors but no close reasons. */
void answer_turn_away(struct room *r, struct conn *c, bool is_dialect_1, int code, const char *words);
void answer_release(struct room *r, struct conn *c);  /* the room is done with it: its memory may go */
void session_done(struct room *r, struct session *s); /* a job ended: frees a closed session with its last */

void answer_count_error(enum error_code code); /* for an error frame that goes another way. Any thread */
void answer_count_memory(struct room *r);      /* something was refused for want of memory: counts it, and logs it once a minute */

/* The store refused what may use the reserve, because the disk is full. True: the reserve was given up, try once more. */
static inline bool room_made_room(struct room *r)
{
	return store_was_full(r->o.store) && space_give_up_reserve(r->o.space);
}

/* join.c. prepare: store only; apply: after the commit. */
void join_prepare(struct room *r, struct action *a);
struct token *join_token(const struct room *r, const struct event *e); /* that it comes with; NULL: none, or not known */
void join_undo(struct room *r, struct action *a);                      /* the batch failed */
void join_apply(struct room *r, struct action *a);
void leave_apply(struct room *r, struct conn *c);
void link_apply(struct room *r, struct action *a);
void sign_out_apply(struct room *r, struct action *a); /* the connection's token ends, in a commit of its own */

/* turn.c. take: the batch that is to be worked off now, of what came and of what waits. */
void turn_init(struct room *r);
void turn_fini(struct room *r);
struct event *turn_take(struct room *r, struct event *batch);
bool turn_is_due(const struct room *r);
bool event_is_void(const struct event *e);        /* of a connection that was sent away meanwhile */
void event_done(struct room *r, struct event *e); /* the room is done with it; NULL: it was handed on */

/* ids.c. start: after `last`, the highest that is stored. */
void ids_start(struct room *r, uint64_t last);
uint64_t ids_take(struct room *r, int64_t *at_ms); /* of the next event; at_ms: its time of day */

/* sight.c: what u may know. */
uint64_t sight_head(const struct room *r, const struct user *u);                  /* the id of the newest event that u may see */
bool sight_resets(const struct room *r, const struct user *u, uint64_t since);    /* what u saw after since is not all there */
bool sight_knows(struct room *r, const struct user *asker, const struct user *u); /* asks the store, too */

/* message.c */
/* Was a file prepared without its bytes, and now somebody needs them? True: a->is_deferred, and there is nothing else to do. */
bool message_defers(struct room *r, struct action *a);
void message_prepare(struct room *r, struct action *a);
void message_apply(struct room *r, struct action *a);
void typing_apply(struct room *r, struct action *a);
void message_tick(struct room *r); /* files that waited for memory go to a helper again */
int message_timeout_ms(const struct room *r);
void message_drop_waiting(struct room *r); /* at the stop */

/* limit.c: how fast people may send. */
void limits_set(struct room *r, const struct room_settings *was); /* as the settings say now; was NULL: at the start */
void limits_fini(struct room *r);
/* Before the store is asked. False: refused, the action says why; with is_over and a cid it may still prove to be a repeat. */
bool limit_message(struct room *r, struct action *a);
void limit_give_back(struct room *r, struct action *a); /* the message came to nothing, through no fault of its sender's */
void limit_repeat(struct room *r, struct action *a);    /* the message was there already: it counts as a request */
/* Before a request is worked off. False: refused and answered. */
bool limit_request(struct room *r, struct action *a);
bool limit_typing(struct room *r, struct action *a);
/* Before a token brings somebody back: a join is a request. False: refused, the action says why. */
bool limit_return(struct room *r, struct action *a, struct user *u);
/* Before an upload's body, or a question about one, is taken. False: l->wait_ms says when. give_back: of l->bytes that never came. */
bool limit_upload(struct room *r, struct user *u, struct leave *l);
void limit_upload_give_back(struct room *r, struct user *u, const struct leave *l);
void limit_refuse_guess(struct action *a, int64_t wait_us); /* of the join password, by address */
void limit_refuse_device(struct action *a);                 /* one more device of this person would be too many */
/* Before somebody new is made. False: refused, the action says why. */
bool limit_new_person(struct room *r, struct action *a);
void limit_new_person_undo(struct room *r, struct action *a); /* after it passed, and the person did not come to be */
void limit_close(struct room *r, struct action *a);           /* if the action says so: after its error */

/* admit.c: the join password. load: before the thread runs. */
int admit_load(struct room *r);
void admit_fini(struct room *r);
/* From now on it is this one: if it is another, tokens of before need it once. A commit of its own. */
int admit_password(struct room *r, const struct password *p); /* from now on; not set: none */
void admit_set_guesses(struct room *r);
int64_t admit_stamp(const struct room *r); /* what a token made now has as the time of its admission */
/* Does the join get in, for its password or for its token's? False: refused, the action says why. */
bool admit_by_password(struct room *r, struct action *a);
bool admit_by_token(struct room *r, struct action *a, struct token *t);
bool admit_has(const struct room *r, const struct token *t); /* was it let in by today's password, if there is one? */

/* sanction.c: bans, mutes, slow mode. The list is changed by moderate.c, after the store. */
int sanctions_load(struct room *r);
void sanctions_free(struct room *r);
void sanctions_follow_clock(struct room *r); /* after a step that is believed */
void sanctions_hold(struct room *r);
int sanctions_store_ends(struct room *r);              /* within the caller's transaction */
void sanction_add(struct room *r, struct sanction *s); /* takes it */
/* Removes those that go, at once: one by one, thousands would hold the room up for seconds. */
void sanctions_sweep(struct room *r, bool (*goes)(void *arg, const struct sanction *s), void *arg);
void sanctions_drop_ended(struct room *r); /* a chore: some of those that are over, from the store, too */
static inline bool sanction_is_over(const struct sanction *s, int64_t boot_now_ms)
{
	return s->ends_ms && s->ends_ms <= boot_now_ms;
}
bool sanction_is_of_user(const struct sanction *s, const struct user *u);
bool sanction_is_of_look(const struct sanction *s, const struct looks *wish); /* of a name that this one can be taken for */
bool sanction_is_of_conn(const struct sanction *s, const struct conn *c);
char *sanction_words(const struct sanction *s, const char *otherwise); /* its reason, or these words; the caller frees */
/* Before a join, of u or, if NULL, of the name that is asked for; before a message. True: refused, and the action says why. */
bool sanction_bars(struct room *r, struct action *a, const struct user *u);
bool sanction_bars_guest(struct room *r, struct action *a); /* the same for the name that somebody new in the first dialect would get */
bool sanction_silences(struct room *r, struct action *a);
void sanction_tell_mute(struct room *r, const struct session *s); /* that it is muted, if so: of several mutes the longest */
bool sanction_is_muted(struct room *r, struct user *u, const struct conn *c);

/* room/lockdown.c. load: before the thread runs. */
void lockdown_load(struct room *r);
void lockdown_follow_clock(struct room *r); /* after a step that is believed */
void lockdown_hold(struct room *r);
void lockdown_drop_ended(struct room *r); /* a chore: one that is over, from the store, too */
int lockdown_store_end(struct room *r);   /* within the caller's transaction */
/* Before a join, before a message. True: refused, and the action says why; with a cid the message may still prove to be a repeat. */
bool lockdown_bars(struct room *r, struct action *a);
bool lockdown_silences(struct room *r, struct action *a);
bool lockdown_stops_typing(struct room *r);
void lockdown_set(struct room *r, struct lockdown l); /* after the store has it: from now on, and clients are told */
void lockdown_put_init(struct room *r);               /* `,"lockdown":{…}` into r->scratch, if there is one */
void lockdown_tick(struct room *r);                   /* ends it when its time is over */
int lockdown_timeout_ms(const struct room *r);        /* until then */

/* addresses.c: where people were last connected from. */
bool conn_address(const struct conn *c, uint8_t addr[16]);  /* false: none, as of a unix socket */
void address_came(struct room *r, const struct session *s); /* after session_new */
void address_went(struct room *r, const struct session *s); /* after session_unlink */
/* Of somebody known, if it is kept and not too old. */
bool address_of_user(const struct room *r, const struct user *u, uint8_t addr[16], int64_t *at_ms);
/* Finds people who left and were forgotten, by id, name, id:7 or name:7; newest first. Returns their number, or -WC_ESTORAGE. */
#define REMEMBERED_MAX 20
int addresses_find(const struct room *r, const char *wanted, struct remembered found[REMEMBERED_MAX]);
void remembered_fini(struct remembered *m);
size_t addresses_flush(struct room *r); /* stores a slice; returns how many are left */
int addresses_load(struct room *r);     /* after identities, before the thread runs */
bool addresses_tick(struct room *r);    /* a chore. True: there is more to do soon */
void addresses_stop(struct room *r);    /* at the end: stores all. Thread: main */
void addresses_free(struct room *r);

/* presence.c */
void presence_joined(struct room *r, struct user *u);
void presence_left(struct room *r, struct user *u); /* the last session went; an identity gets its grace */
void presence_tick(struct room *r);
int presence_timeout_ms(const struct room *r);
void presence_put_users(struct room *r, struct buf *b, enum dialect d, struct user *me); /* `"users":[…],` of init */
void presence_who(struct room *r, struct action *a);
void presence_fini(struct room *r);

/* pages.c */
void page_apply(struct room *r, struct action *a); /* dm_history, history, sync */
/* An identity's peers and, if asked, the page after since, read by a helper. */
struct join_page {
	struct room *room;
	struct session *session;
	uint64_t me, since, upto;
	bool wants_page;
	bool is_new_token;
	uint8_t token[WC_TOKEN_BYTES];
	void (*ready)(void *join_page); /* gets the page back, filled in. Thread: room */
	/* found */
	uint64_t peer_ids[200], peer_last[200];
	char *peer_names[200];
	int peer_count;
	struct buf history; /* "history":[…]} */
	struct shbuf *tail; /* the same, where the tail had it */
	bool gap, reset;
	int rc;
};
void join_page_submit(struct room *r, struct join_page *p);

/* chores.c: retention, checkpoints, vacuum, collecting blobs. */
void chores_tick(struct room *r);
void chores_stored(struct room *r, size_t bytes); /* with data in memory: when much was, room is made at once */
int chores_timeout_ms(const struct room *r);      /* until it has something to do */
void chores_stop(struct room *r);                 /* the last writes, after the room's thread. Thread: main */

/* called.c */
struct called {
	uint64_t id;         /* 0: not called by an id */
	const char *name;    /* NULL: not called by a name */
	const char *literal; /* id:7 and name:7 themselves, which may be somebody's name, too; NULL: neither */
};
struct called called_of(const char *wanted); /* an id, a name, id:7 or name:7; a bare number may be both */

/* --- moderate.c, for moderate_ban.c, moderate_talk.c and moderate_lockdown.c */

/* Members of the answer, with the comma before each that needs one. */
void mod_put_key(struct buf *b, const char *key);
void mod_put_str(struct buf *b, const char *key, const char *value);
void mod_put_int(struct buf *b, const char *key, int64_t value);
void mod_put_bool(struct buf *b, const char *key, bool value);
void mod_put_user(struct buf *b, const struct user *u); /* an object, left open */

void mod_fail(struct command *c, int status, const char *code, const char *text);
void mod_fail_storage(struct command *c);

/* The person called so (see called_of). *u NULL: nobody whom the room knows. False: it fits two people, and was answered with both. People
 * who left count while their address is kept, and by their id always. */
bool mod_find_user(struct room *r, struct command *c, const char *wanted, struct user **u);
/* Answers: it fits nobody; similar names are listed. */
void mod_fail_user(struct room *r, struct command *c, const char *wanted);

/* Closes a session's connection, once. */
void mod_turn_away(struct room *r, struct session *s, int code, const char *words);

/* Ends the transaction of an act whose steps left rc, with the audit's row: commits and logs it, or rolls back and answers. True: apply it.
 * args: JSON. */
bool mod_finish(struct room *r, struct command *c, int rc, const struct buf *args);
/* The same for an act that stores nothing else. */
bool mod_audit_alone(struct room *r, struct command *c, const struct buf *args);

/* moderate_lockdown.c: the member of the status */
void lockdown_put_status(const struct room *r, struct buf *b);

#endif
