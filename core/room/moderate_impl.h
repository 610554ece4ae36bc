/* moderate_impl.h — the shared part of moderate.c, moderate_ban.c and moderate_talk.c. Nobody else includes it. Thread: room. */
#ifndef WC_MODERATE_IMPL_H
#define WC_MODERATE_IMPL_H

#include <string.h>

#include "room/impl.h"
#include "room/moderate.h"

/* Members of the answer, with the comma before each that needs one. */
void mod_put_key(struct buf *b, const char *key);
void mod_put_str(struct buf *b, const char *key, const char *value);
void mod_put_int(struct buf *b, const char *key, int64_t value);
void mod_put_bool(struct buf *b, const char *key, bool value);
void mod_put_user(struct buf *b, const struct user *u); /* an object, left open */

void mod_fail(struct command *c, int status, const char *code, const char *text);
void mod_fail_storage(struct command *c);

/* --- Who is meant: an id, a name, id:7 or name:7. */
bool mod_parse_id(const char *s, uint64_t *id);
/* NULL: nobody whom the room knows, or several; *other is set if several. */
struct user *mod_look_up(const struct room *r, const char *wanted, struct user **other);
/* Answers: it fits both a and b, which are listed; or nobody, and similar names are. */
void mod_fail_user(struct room *r, struct command *c, const char *wanted, const struct user *a, const struct user *b);
struct user *mod_find_user(struct room *r, struct command *c, const char *wanted); /* NULL: it was answered */

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
