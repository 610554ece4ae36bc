/* moderate.c — an admin's acts on people: finding the person meant, the audit, sending people out; and the way in for all acts
 * (moderate.h).
 *
 * moderate_ban.c has bans and mutes, moderate_talk.c acts on the talk and the lists, moderate_lockdown.c the lockdown.
 * Owns no state. Waits only for a commit. Thread: room. */
#include "room/moderate.h"

#include <stdlib.h>
#include <string.h>

#include "base/logmsg.h"
#include "room/impl.h"
#include "wire/name.h"

#define CANDIDATES 20

/* --- Arguments and answers */

void mod_put_key(struct buf *b, const char *key)
{
	buf_puts(b, b->len && b->p[b->len - 1] != '{' && b->p[b->len - 1] != '[' ? ",\"" : "\"");
	buf_puts(b, key);
	buf_puts(b, "\":");
}

void mod_put_str(struct buf *b, const char *key, const char *value)
{
	mod_put_key(b, key);
	if (value)
		json_str(b, str_of(value));
	else
		buf_puts(b, "null");
}

void mod_put_int(struct buf *b, const char *key, int64_t value)
{
	mod_put_key(b, key);
	buf_printf(b, "%lld", (long long)value);
}

void mod_put_bool(struct buf *b, const char *key, bool value)
{
	mod_put_key(b, key);
	buf_puts(b, value ? "true" : "false");
}

void mod_put_user(struct buf *b, const struct user *u)
{
	buf_puts(b, "{");
	mod_put_int(b, "id", (int64_t)u->id);
	mod_put_str(b, "name", u->name);
	mod_put_bool(b, "identity", u->is_identity);
	mod_put_bool(b, "online", u->is_online);
}

void mod_fail(struct command *c, int status, const char *code, const char *text)
{
	c->status = status;
	buf_reset(&c->out);
	buf_puts(&c->out, "{");
	mod_put_str(&c->out, "error", code);
	mod_put_str(&c->out, "text", text);
	buf_puts(&c->out, "}");
}

void mod_fail_storage(struct command *c)
{
	mod_fail(c, 507, "storage", "the database refused; nothing was done. The server's log says why");
}

struct command_person *people_add(struct command_people *p, uint64_t id, const char *name, size_t name_len)
{
	const size_t n = p->count;
	if ((n & (n - 1)) == 0)
		p->v = xrealloc(p->v, (n ? 2 * n : 1) * sizeof(*p->v));
	p->count++;
	p->v[n] = (struct command_person){ .id = id, .name = name ? strndup(name, name_len) : NULL };
	WC_ASSERT(!name || p->v[n].name);
	return &p->v[n];
}

void people_drop(struct command_people *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->v[i].name);
	free(p->v);
	*p = (struct command_people){ 0 };
}

/* --- Who is meant */

static struct user *user_by_name(const struct room *r, const char *name)
{
	char *key = name_key(str_of(name));
	struct user *u = map_get(&r->users.by_key, key, strlen(key));
	free(key);
	return u;
}

static void put_candidate(struct buf *b, const char *wanted, const struct user *u, bool with_say)
{
	char say[CALLED_SAY];
	buf_puts(b, b->p[b->len - 1] == '[' ? "" : ",");
	mod_put_user(b, u);
	called_say(say, wanted, u->id);
	if (with_say)
		mod_put_str(b, "say", say);
	buf_puts(b, "}");
}

static void begin_refusal(struct command *c, int status, const char *error, const char *text, const char *wanted)
{
	c->status = status;
	buf_reset(&c->out);
	buf_puts(&c->out, "{");
	mod_put_str(&c->out, "error", error);
	mod_put_str(&c->out, "text", text);
	mod_put_str(&c->out, "wanted", wanted);
	mod_put_key(&c->out, "candidates");
	buf_puts(&c->out, "[");
}

void mod_fail_user(struct room *r, struct command *c, const char *wanted)
{
	begin_refusal(c, 404, "no_such_user", "nobody known here has this id or name", wanted);
	char *key = name_key(str_of(wanted));
	size_t at = 0;
	int n = 0;
	for (const struct user *u; *key && n < CANDIDATES && (u = map_next(&r->users.by_id, &at));) {
		if (!strstr(u->key, key))
			continue;
		put_candidate(&c->out, wanted, u, false);
		n++;
	}
	free(key);
	buf_puts(&c->out, "]}");
}

/* It fits both a and b. b may have left. */
static void fail_two(struct command *c, const char *wanted, const struct user *a, const struct user *b, const struct remembered *left)
{
	const bool is_bare = !called_of(wanted).literal;
	char say[CALLED_SAY];
	begin_refusal(c, 409, "ambiguous",
	              is_bare ? "this is one person's id and another's name: say id:N or name:NAME"
	                      : "this fits two people, one of whom has it as a name: say what stands beside each",
	              wanted);
	put_candidate(&c->out, wanted, a, !is_bare);
	if (b)
		put_candidate(&c->out, wanted, b, !is_bare);
	if (left) {
		called_say(say, wanted, left->id);
		buf_puts(&c->out, ",{");
		mod_put_int(&c->out, "id", (int64_t)left->id);
		mod_put_str(&c->out, "name", left->name);
		mod_put_bool(&c->out, "identity", !left->is_guest);
		mod_put_bool(&c->out, "online", false);
		mod_put_str(&c->out, "say", say);
		buf_puts(&c->out, "}");
	}
	buf_puts(&c->out, "]}");
}

/* It is a's name, and the id of nobody here, but of somebody who was. */
static void fail_left_id(struct command *c, const char *wanted, const struct user *a, uint64_t id)
{
	char say[CALLED_SAY];
	begin_refusal(c, 409, "ambiguous",
	              called_of(wanted).literal
	                      ? "one person has this as a name, and another had this id and left: say what stands beside each"
	                      : "one person has this as a name, and another had it as an id and left: say id:N or name:NAME",
	              wanted);
	put_candidate(&c->out, wanted, a, true);
	called_say(say, wanted, id);
	buf_puts(&c->out, ",{");
	mod_put_int(&c->out, "id", (int64_t)id);
	mod_put_str(&c->out, "name", "");
	mod_put_bool(&c->out, "online", false);
	mod_put_str(&c->out, "say", say);
	buf_puts(&c->out, "}]}");
}

/* Somebody who left, and whom the words fit in another sense than u. A store that cannot be read knows nobody. */
static bool fits_one_who_left(const struct room *r, const char *wanted, const struct user *u, struct remembered *left)
{
	struct remembered found[REMEMBERED_MAX];
	const struct called called = called_of(wanted);
	bool has = false;
	if (!called.literal && !called.id)
		return false; /* a plain name is its present holder's */
	const int n = addresses_find(r, wanted, found);
	for (int i = 0; i < n; i++) {
		if (!has && strcmp(found[i].key, u->key) != 0) {
			*left = found[i];
			has = true;
		} else {
			remembered_fini(&found[i]);
		}
	}
	return has;
}

bool mod_find_user(struct room *r, struct command *c, const char *wanted, struct user **u)
{
	const struct called called = called_of(wanted);
	struct user *fits[] = { called.id ? user_get(&r->users, called.id) : NULL, called.name ? user_by_name(r, called.name) : NULL,
		                called.literal ? user_by_name(r, called.literal) : NULL };
	struct remembered left;
	*u = NULL;
	for (size_t i = 0; i < WC_LEN(fits); i++) {
		if (*u && fits[i] && fits[i] != *u) {
			fail_two(c, wanted, *u, fits[i], NULL);
			return false;
		}
		*u = *u ? *u : fits[i];
	}
	if (!*u)
		return true;
	if (fits_one_who_left(r, wanted, *u, &left)) {
		fail_two(c, wanted, *u, NULL, &left);
		remembered_fini(&left);
		return false;
	}
	const bool was_somebody = called.id && !fits[0] && called.id < r->next_user_id;
	if (was_somebody)
		fail_left_id(c, wanted, *u, called.id);
	return !was_somebody;
}

static bool find_id(struct room *r, struct command *c, const char *wanted, uint64_t *id, struct command_people *people)
{
	struct user *u;
	if (!mod_find_user(r, c, wanted, &u))
		return false;
	*id = u ? u->id : 0;
	if (u && people)
		(void)people_add(people, u->id, u->name, u->name_len);
	return true;
}

void moderate_find(struct room *r, struct command *c, struct user_search *f)
{
	if ((f->user && !find_id(r, c, f->user, &f->user_id, &f->people)) || (f->user_2 && !find_id(r, c, f->user_2, &f->user_2_id, NULL)))
		return;
	c->status = 200;
	buf_puts(&c->out, "{}");
}

/* --- Decide, then apply */

static void note(const struct command *c, const struct buf *args)
{
	char quoted[512];
	/* An announcement is in the audit; its text has no place in the log. */
	struct str shown = strcmp(c->verb, "say") == 0 ? STR("{}") : (struct str){ args->p, args->len };
	log_info("admin", "verb=%s uid=%u%s%s pid=%d args=%s", c->verb, (unsigned)c->uid, c->via ? " via=" : "", c->via ? c->via : "",
	         (int)c->pid, log_quote(quoted, shown));
}

bool mod_finish(struct room *r, struct command *c, int rc, const struct buf *args)
{
	if (rc == 0)
		rc = store_put_audit(r->o.store, &(struct audit){ .at_ms = r->now_ms,
		                                                  .uid = c->uid,
		                                                  .pid = c->pid,
		                                                  .verb = str_of(c->verb),
		                                                  .args = { args->p, args->len },
		                                                  .reason = str_of(c->reason),
		                                                  .via = str_of(c->via) });
	rc = store_finish(r->o.store, rc);
	if (rc < 0)
		mod_fail_storage(c);
	else
		note(c, args);
	return rc == 0;
}

bool mod_audit_alone(struct room *r, struct command *c, const struct buf *args)
{
	return mod_finish(r, c, store_begin(r->o.store), args);
}

void moderate_note(struct room *r, struct command *c, const char *json)
{
	struct buf args;
	buf_init(&args, 64 * 1024);
	buf_puts(&args, json);
	if (mod_audit_alone(r, c, &args)) {
		c->status = 200;
		buf_puts(&c->out, "{}");
	}
	buf_fini(&args);
}

/* --- Sending away */

void mod_turn_away(struct room *r, struct session *s, int code, const char *words)
{
	if (s->is_sent_away)
		return;
	s->is_sent_away = true;
	answer_turn_away(r, s->conn, s->dialect == DIALECT_1, code, words);
}

static size_t turn_away_user(struct room *r, struct user *u, int code, const char *words)
{
	size_t n = 0;
	for (struct session *s = u->sessions; s; s = s->next, n++)
		mod_turn_away(r, s, code, words);
	return n;
}

void moderate_kick(struct room *r, struct command *c, const char *user)
{
	struct user *u;
	if (!mod_find_user(r, c, user, &u))
		return;
	if (!u) {
		mod_fail_user(r, c, user);
		return;
	}
	if (!u->sessions) {
		mod_fail(c, 404, "not_online", "this person is not online");
		return;
	}
	struct buf args;
	buf_init(&args, 64 * 1024);
	buf_puts(&args, "{");
	mod_put_int(&args, "id", (int64_t)u->id);
	mod_put_str(&args, "name", u->name);
	buf_puts(&args, "}");
	if (mod_audit_alone(r, c, &args)) {
		size_t n = turn_away_user(r, u, CLOSE_KICKED, c->reason ? c->reason : "an admin decided so");
		c->status = 200;
		mod_put_user(&c->out, u);
		mod_put_int(&c->out, "connections", (int64_t)n);
		buf_puts(&c->out, "}");
	}
	buf_fini(&args);
}

/* --- The way in */

static void run(void *arg)
{
	struct command *c = arg;
	c->keep_days = c->room->settings.keep_addresses;
	if (c->room->is_stopping)
		mod_fail(c, 503, "stopping", "the server is stopping");
	else
		c->run(c->room, c);
	if (c->status == 507 && room_made_room(c->room)) {
		c->status = 0;
		buf_reset(&c->out);
		c->run(c->room, c);
	}
	c->done(c);
}

void room_command(struct room *r, struct command *c)
{
	struct event *e = event_new_small(EV_ADMIN, NULL, 0);
	c->room = r;
	e->call.fn = run;
	e->call.arg = c;
	inbox_push_one(r->o.inbox, e);
}
