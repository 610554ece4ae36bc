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

void mod_fail_user(struct room *r, struct command *c, const char *wanted, const struct user *a, const struct user *b)
{
	c->status = a && b ? 409 : 404;
	buf_reset(&c->out);
	buf_puts(&c->out, "{");
	mod_put_str(&c->out, "error", a && b ? "ambiguous" : "no_such_user");
	mod_put_str(&c->out, "text",
	            a && b ? "this is one person's id and another's name: say id:N or name:NAME" : "nobody known here has this id or name");
	mod_put_str(&c->out, "wanted", wanted);
	mod_put_key(&c->out, "candidates");
	buf_puts(&c->out, "[");
	const struct user *both[] = { a, b };
	for (int i = 0; a && b && i < 2; i++) {
		buf_puts(&c->out, i ? "," : "");
		mod_put_user(&c->out, both[i]);
		buf_puts(&c->out, "}");
	}
	char *key = name_key(str_of(wanted));
	size_t at = 0;
	int n = 0;
	for (const struct user *u; !(a && b) && *key && n < CANDIDATES && (u = map_next(&r->users.by_id, &at));) {
		if (!strstr(u->key, key))
			continue;
		buf_puts(&c->out, n++ ? "," : "");
		mod_put_user(&c->out, u);
		buf_puts(&c->out, "}");
	}
	free(key);
	buf_puts(&c->out, "]}");
}

struct user *mod_look_up(const struct room *r, const char *wanted, struct user **other)
{
	const struct called c = called_of(wanted);
	struct user *by_id = c.id ? user_get(&r->users, c.id) : NULL, *by_name = c.name ? user_by_name(r, c.name) : NULL;
	*other = by_id && by_name && by_id != by_name ? by_name : NULL;
	return by_id ? by_id : by_name;
}

/* NULL: it was answered. */
static struct user *find_user(struct room *r, struct command *c, const char *wanted)
{
	struct user *other, *u = mod_look_up(r, wanted, &other);
	if (u && !other)
		return u;
	mod_fail_user(r, c, wanted, u, other);
	return NULL;
}

static bool find_id(struct room *r, struct command *c, const char *wanted, uint64_t *id, struct command_people *people)
{
	struct user *other, *u = mod_look_up(r, wanted, &other);
	if (u && other) {
		mod_fail_user(r, c, wanted, u, other);
		return false;
	}
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
	struct user *u = find_user(r, c, user);
	if (!u)
		return;
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
