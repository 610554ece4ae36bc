/* moderate.c — an admin's commands on people, as the room carries them out (see moderate.h): who is meant, sending away, bans, mutes.
 * What is done to the talk, and looking, is moderate_talk.c.
 *
 * Owns no state: the list of bans and mutes is sanction.c's, everything else the room's. Never waits but for a commit. Thread: room. */
#include "moderate.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "ipban.h"
#include "logmsg.h"
#include "moderate_impl.h"
#include "utf8.h"

#define SANCTIONS_MAX 10000   /* each is looked at for every join */
#define CANDIDATES 20
#define CLOSE_REASON_BYTES 123 /* what a close frame can carry */

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

/* --- Who is meant */

static bool parse_id(const char *s, uint64_t *id)
{
	size_t n = strspn(s, "0123456789");
	if (n == 0 || n > 18 || s[n])
		return false;
	*id = strtoull(s, NULL, 10);
	return true;
}

static struct user *user_by_name(const struct room *r, const char *name)
{
	char *key = name_key(str_of(name));
	struct user *u = map_get(&r->users.by_key, key, strlen(key));
	free(key);
	return u;
}

/* Fits several: says which. Fits none: says who is like it. */
static void fail_user(struct room *r, struct command *c, const char *wanted, const struct user *a, const struct user *b)
{
	c->status = a && b ? 409 : 404;
	buf_reset(&c->out);
	buf_puts(&c->out, "{");
	mod_put_str(&c->out, "error", a && b ? "ambiguous" : "no_such_user");
	mod_put_str(&c->out, "text", a && b ? "this is one person's id and another's name: say id:N or name:NAME" : "nobody known here has this id or name");
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

/* NULL: nobody, or several; *other is set if several. */
static struct user *look_up(const struct room *r, const char *wanted, struct user **other)
{
	struct user *by_id = NULL, *by_name = NULL;
	uint64_t id;
	*other = NULL;
	if (strncmp(wanted, "id:", 3) == 0)
		return parse_id(wanted + 3, &id) ? user_get(&r->users, id) : NULL;
	if (strncmp(wanted, "name:", 5) == 0)
		return user_by_name(r, wanted + 5);
	if (parse_id(wanted, &id))
		by_id = user_get(&r->users, id);
	by_name = user_by_name(r, wanted);
	if (by_id && by_name && by_id != by_name)
		*other = by_name;
	return by_id ? by_id : by_name;
}

static struct user *find_user(struct room *r, struct command *c, const char *wanted)
{
	struct user *other, *u = look_up(r, wanted, &other);
	if (u && !other)
		return u;
	fail_user(r, c, wanted, u, other);
	return NULL;
}

static bool find_id(struct room *r, struct command *c, const char *wanted, uint64_t *id)
{
	struct user *other, *u = look_up(r, wanted, &other);
	if (u && other) {
		fail_user(r, c, wanted, u, other);
		return false;
	}
	*id = u ? u->id : 0;
	return true;
}

void moderate_find(struct room *r, struct command *c)
{
	c->head = r->applied_id;
	if ((c->user && !find_id(r, c, c->user, &c->user_id)) || (c->user_2 && !find_id(r, c, c->user_2, &c->user_2_id)))
		return;
	c->status = 200;
	buf_puts(&c->out, "{}");
}

/* --- Decide, then apply */

int mod_put_audit(struct room *r, const struct command *c, const struct buf *args)
{
	return store_put_audit(r->o.store, &(struct audit){ .at_ms = r->now_ms, .uid = c->uid, .pid = c->pid, .verb = str_of(c->verb),
	                                                    .args = { args->p, args->len }, .reason = str_of(c->reason) });
}

void mod_note(const struct command *c, const struct buf *args)
{
	char quoted[512];
	/* What is announced is in the audit, and no business of the log. */
	struct str shown = strcmp(c->verb, "say") == 0 ? STR("{}") : (struct str){ args->p, args->len };
	log_info("admin", "verb=%s uid=%u pid=%d args=%s", c->verb, (unsigned)c->uid, (int)c->pid, log_quote(quoted, shown));
}

/* An act that stores nothing but that it was done. True: go on. */
bool mod_audit_alone(struct room *r, struct command *c, const struct buf *args)
{
	int rc = store_begin(r->o.store);
	if (rc == 0)
		rc = mod_put_audit(r, c, args);
	if (rc == 0)
		rc = store_commit(r->o.store);
	else
		store_rollback(r->o.store);
	if (rc < 0)
		mod_fail_storage(c);
	else
		mod_note(c, args);
	return rc == 0;
}

void moderate_note(struct room *r, struct command *c)
{
	struct buf args;
	buf_init(&args, 64 * 1024);
	buf_puts(&args, c->text ? c->text : "{}");
	c->head = r->applied_id;
	if (mod_audit_alone(r, c, &args)) {
		c->status = 200;
		buf_puts(&c->out, "{}");
	}
	buf_fini(&args);
}

/* --- Sending away */

void moderate_turn_away(struct room *r, struct conn *c, bool is_dialect_1, int code, const char *words)
{
	struct str reason = str_of(words);
	if (is_dialect_1) {
		struct buf b, text;
		buf_init(&text, 8192);
		buf_puts(&text, code == CLOSE_BANNED ? "You are banned: " : "You were sent out: ");
		buf_put(&text, reason.p, reason.len);
		buf_init(&b, 64 * 1024);
		encode_error(&b, DIALECT_1, ERR_BAD_REQUEST, (struct str){ text.p, text.len }, STR(""));
		struct mail *m = mail_new(MAIL_INSERT, c);
		m->at = publish_end(r->pub, c);
		mail_part(m, frame_of_buf(&b));
		publish_mail(r->pub, m);
		buf_fini(&b);
		buf_fini(&text);
	}
	size_t len = WC_MIN(reason.len, (size_t)CLOSE_REASON_BYTES);
	while (len < reason.len && len && ((unsigned char)reason.p[len] & 0xc0) == 0x80)
		len--;
	char cut[CLOSE_REASON_BYTES + 1];
	memcpy(cut, reason.p, len);
	cut[len] = 0;
	publish_close(r->pub, c, code == CLOSE_BANNED ? M_EVICTED_BANNED : M_EVICTED_KICKED, code, cut);
}

static void turn_away_session(struct room *r, struct session *s, int code, const char *words)
{
	if (s->is_sent_away)
		return;
	s->is_sent_away = true;
	moderate_turn_away(r, s->conn, s->dialect == DIALECT_1, code, words);
}

static size_t turn_away_user(struct room *r, struct user *u, int code, const char *words)
{
	size_t n = 0;
	for (struct session *s = u->sessions; s; s = s->next, n++)
		turn_away_session(r, s, code, words);
	return n;
}

void moderate_kick(struct room *r, struct command *c)
{
	struct user *u = find_user(r, c, c->user);
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

/* --- Bans and mutes */

static void put_sanction(struct buf *b, const struct sanction *s)
{
	char net[IP_NET_TEXT];
	buf_puts(b, "{");
	mod_put_int(b, "sanction", (int64_t)s->id);
	mod_put_str(b, "kind", s->kind == SANCTION_IDENTITY ? "identity" : s->kind == SANCTION_NAME ? "name" : s->bits == 128 ? "ip" : "cidr");
	if (s->kind == SANCTION_IDENTITY)
		mod_put_int(b, "id", (int64_t)s->user_id);
	if (s->kind == SANCTION_NET) {
		ip_net_text(s->addr, s->bits, net);
		mod_put_str(b, "net", net);
	} else {
		mod_put_str(b, "name", s->name);
	}
	mod_put_int(b, "at", s->at_ms);
	if (s->until_ms)
		mod_put_int(b, "until", s->until_ms);
	if (s->reason)
		mod_put_str(b, "reason", s->reason);
	mod_put_int(b, "uid", s->uid);
	buf_puts(b, "}");
}

static struct sanction *sanction_new(const struct room *r, const struct command *c, enum sanction_kind kind)
{
	struct sanction *s = xcalloc(1, sizeof *s);
	s->act = c->act;
	s->kind = kind;
	s->at_ms = r->now_ms;
	s->until_ms = c->for_ms ? r->now_ms + c->for_ms : 0;
	s->reason = c->reason ? xstrdup(c->reason) : NULL;
	s->uid = c->uid;
	return s;
}

static bool is_same_target(const struct sanction *a, const struct sanction *b)
{
	if (a->act != b->act || a->kind != b->kind)
		return false;
	if (a->kind == SANCTION_IDENTITY)
		return a->user_id == b->user_id;
	if (a->kind == SANCTION_NAME)
		return strcmp(a->key, b->key) == 0;
	return a->bits == b->bits && memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

static struct sanction *of_user(const struct room *r, const struct command *c, const struct user *u)
{
	/* A guest is nobody once the connection is gone: what lasts is the name. */
	struct sanction *s = sanction_new(r, c, u->is_identity ? SANCTION_IDENTITY : SANCTION_NAME);
	s->user_id = u->is_identity ? u->id : 0;
	s->name = xstrdup(u->name);
	s->key = xstrdup(u->key);
	return s;
}

static struct sanction *of_name(const struct room *r, const struct command *c)
{
	char name[WC_NAME_BYTES + 1];
	size_t len = name_clean(name, str_of(c->name));
	if (!len)
		return NULL;
	struct sanction *s = sanction_new(r, c, SANCTION_NAME);
	s->name = xstrdup(name);
	s->key = name_key((struct str){ name, len });
	return s;
}

static struct sanction *of_net(const struct room *r, const struct command *c, const char *text)
{
	uint8_t addr[16];
	int bits;
	if (!ip_net_parse(text, addr, &bits))
		return NULL;
	struct sanction *s = sanction_new(r, c, SANCTION_NET);
	memcpy(s->addr, addr, sizeof addr);
	s->bits = bits;
	return s;
}

#define TARGETS_MAX 64
struct targets {
	struct sanction *v[TARGETS_MAX];
	int n;
};

static void add_target(struct targets *t, struct sanction *s)
{
	for (int i = 0; i < t->n; i++)
		if (is_same_target(t->v[i], s)) {
			sanction_free(s);
			return;
		}
	if (t->n < TARGETS_MAX)
		t->v[t->n++] = s;
	else
		sanction_free(s);
}

/* What the command names; false: it was answered with an error. */
static bool find_targets(struct room *r, struct command *c, struct targets *t)
{
	struct sanction *s = NULL;
	if (c->user) {
		struct user *u = find_user(r, c, c->user);
		if (!u)
			return false;
		add_target(t, of_user(r, c, u));
		for (const struct session *own = c->with_ip ? u->sessions : NULL; own; own = own->next) {
			struct sockaddr_storage peer;
			conn_peer(own->conn, &peer);
			s = sanction_new(r, c, SANCTION_NET);
			s->bits = 128;
			if (ip_bytes(&peer, s->addr))
				add_target(t, s);
			else
				sanction_free(s);
		}
		return true;
	}
	s = c->name ? of_name(r, c) : c->net ? of_net(r, c, c->net) : NULL;
	if (!s) {
		mod_fail(c, 400, "bad_request", c->net ? "neither an address nor a network such as 10.0.0.0/8" : "no name is left once it is cleaned");
		return false;
	}
	add_target(t, s);
	return true;
}

static void put_targets(struct buf *b, const struct targets *t)
{
	buf_puts(b, "[");
	for (int i = 0; i < t->n; i++) {
		buf_puts(b, i ? "," : "");
		put_sanction(b, t->v[i]);
	}
	buf_puts(b, "]");
}

/* The older one of the same target makes room for the new one. */
static int store_targets(struct room *r, const struct targets *t)
{
	int rc = store_drop_expired_sanctions(r->o.store, r->now_ms);
	for (int i = 0; i < t->n && rc == 0; i++) {
		for (size_t j = 0; j < r->mod.count && rc == 0; j++)
			if (is_same_target(r->mod.list[j], t->v[i]))
				rc = store_drop_sanction(r->o.store, r->mod.list[j]->id);
		if (rc == 0)
			rc = store_put_sanction(r->o.store, t->v[i]);
	}
	return rc;
}

static void take_targets(struct room *r, struct targets *t)
{
	for (size_t j = r->mod.count; j-- > 0;) {
		struct sanction *old = r->mod.list[j];
		bool goes = old->until_ms && old->until_ms <= r->now_ms;
		for (int i = 0; i < t->n; i++)
			goes |= is_same_target(old, t->v[i]);
		if (goes)
			sanction_remove(r, old);
	}
	for (int i = 0; i < t->n; i++)
		sanction_add(r, t->v[i]);
}

/* Everyone online whom it meets leaves now. Returns how many connections. */
static size_t enforce_ban(struct room *r, const struct sanction *ban)
{
	size_t n = 0;
	char *words = sanction_words(ban, "You are banned from this chat");
	for (enum dialect d = DIALECT_1; d < DIALECTS; d++)
		for (uint32_t i = 0; i < r->users.session_count[d]; i++) {
			struct session *s = r->users.sessions[d][i];
			if (s->is_sent_away || !(sanction_is_of_user(ban, s->user) || sanction_is_of_conn(ban, s->conn)))
				continue;
			turn_away_session(r, s, CLOSE_BANNED, words);
			n++;
		}
	free(words);
	return n;
}

/* Those online learn of their mute now, not only when they next write. */
static size_t tell_muted(struct room *r, const struct sanction *mute)
{
	size_t n = 0;
	char *words = sanction_words(mute, "an admin decided so");
	struct buf text;
	buf_init(&text, 8192);
	buf_puts(&text, "You are muted: ");
	buf_puts(&text, words);
	for (enum dialect d = DIALECT_1; d < DIALECTS; d++)
		for (uint32_t i = 0; i < r->users.session_count[d]; i++) {
			const struct session *s = r->users.sessions[d][i];
			if (!sanction_is_of_user(mute, s->user) && !sanction_is_of_conn(mute, s->conn))
				continue;
			room_error_retry(r, s->conn, ERR_MUTED, (struct str){ text.p, text.len }, STR(""), mute->until_ms ? mute->until_ms - r->now_ms : 0);
			n++;
		}
	buf_fini(&text);
	free(words);
	return n;
}

void moderate_sanction(struct room *r, struct command *c)
{
	struct targets t = { .n = 0 };
	struct buf args;
	buf_init(&args, 64 * 1024);
	if (!find_targets(r, c, &t))
		goto out;
	if (r->mod.count + (size_t)t.n > SANCTIONS_MAX) {
		mod_fail(c, 409, "too_many", "there are 10,000 bans and mutes already: lift some, or ban networks instead of addresses");
		goto out;
	}
	int rc = store_begin(r->o.store);
	if (rc == 0)
		rc = store_targets(r, &t);
	put_targets(&args, &t);
	if (rc == 0)
		rc = mod_put_audit(r, c, &args);
	if (rc == 0)
		rc = store_commit(r->o.store);
	else
		store_rollback(r->o.store);
	if (rc < 0) {
		mod_fail_storage(c);
		goto out;
	}
	mod_note(c, &args);
	take_targets(r, &t);
	size_t n = 0;
	for (int i = 0; i < t.n; i++)
		n += c->act == SANCTION_BAN ? enforce_ban(r, t.v[i]) : tell_muted(r, t.v[i]);
	c->status = 200;
	buf_puts(&c->out, "{");
	mod_put_key(&c->out, "sanctions");
	put_targets(&c->out, &t);
	mod_put_int(&c->out, "connections", (int64_t)n);
	buf_puts(&c->out, "}");
	t.n = 0; /* the list's now */
out:
	for (int i = 0; i < t.n; i++)
		sanction_free(t.v[i]);
	buf_fini(&args);
}

/* Is it one of those that the command would lift? */
static bool is_meant(const struct command *c, const struct sanction *s, const struct sanction *like, const struct user *u)
{
	if (s->act != c->act)
		return false;
	if (c->id)
		return s->id == c->id;
	if (u && sanction_is_of_user(s, u))
		return true;
	return like && is_same_target(s, like);
}

void moderate_pardon(struct room *r, struct command *c)
{
	struct sanction *like = NULL;
	const struct user *u = NULL;
	struct buf args;
	struct user *other = NULL;
	int n = 0, rc;
	buf_init(&args, 256 * 1024);
	if (c->user) {
		u = look_up(r, c->user, &other);
		if (other) {
			fail_user(r, c, c->user, u, other);
			goto out;
		}
		/* A guest's ban outlives the guest: what was said may be a name that nobody has now. */
		c->name = u ? NULL : strncmp(c->user, "name:", 5) == 0 ? c->user + 5 : c->user;
	}
	like = c->net ? of_net(r, c, c->net) : c->name ? of_name(r, c) : NULL;
	rc = store_begin(r->o.store);
	buf_puts(&args, "[");
	for (size_t i = 0; i < r->mod.count && rc == 0; i++) {
		if (!is_meant(c, r->mod.list[i], like, u))
			continue;
		rc = store_drop_sanction(r->o.store, r->mod.list[i]->id);
		buf_puts(&args, n++ ? "," : "");
		put_sanction(&args, r->mod.list[i]);
	}
	buf_puts(&args, "]");
	if (rc == 0 && n == 0) {
		store_rollback(r->o.store);
		if (c->user && !u && !like)
			fail_user(r, c, c->user, NULL, NULL);
		else
			mod_fail(c, 404, "no_such_sanction", c->act == SANCTION_BAN ? "there is no such ban" : "there is no such mute");
		goto out;
	}
	if (rc == 0)
		rc = mod_put_audit(r, c, &args);
	if (rc == 0)
		rc = store_commit(r->o.store);
	else
		store_rollback(r->o.store);
	if (rc < 0) {
		mod_fail_storage(c);
		goto out;
	}
	mod_note(c, &args);
	for (size_t i = r->mod.count; i-- > 0;)
		if (is_meant(c, r->mod.list[i], like, u))
			sanction_remove(r, r->mod.list[i]);
	c->status = 200;
	buf_puts(&c->out, "{\"lifted\":");
	buf_put(&c->out, args.p, args.len);
	buf_puts(&c->out, "}");
out:
	sanction_free(like);
	buf_fini(&args);
}

void moderate_sanctions(struct room *r, struct command *c)
{
	bool is_first = true;
	c->status = 200;
	buf_puts(&c->out, "{\"sanctions\":[");
	for (size_t i = 0; i < r->mod.count; i++) {
		const struct sanction *s = r->mod.list[i];
		if (s->act != c->act || (s->until_ms && s->until_ms <= r->now_ms))
			continue;
		buf_puts(&c->out, is_first ? "" : ",");
		is_first = false;
		put_sanction(&c->out, s);
	}
	buf_puts(&c->out, "]}");
}

/* --- The way in */

static void run(void *arg)
{
	struct command *c = arg;
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
