/* moderate_talk.c — an admin's acts on the talk, and what an admin looks at: slow mode, announcements, deletions, people, the status.
 *
 * Owns no state. Waits only for a commit. Thread: room. */
#include <stdlib.h>

#include "base/ip.h"
#include "room/impl.h"
#include "wire/name.h"

#define USERS_PAGE 1000

void moderate_slow(struct room *r, struct command *c, int seconds)
{
	if (seconds >= 0) {
		struct buf args;
		buf_init(&args, 256);
		buf_printf(&args, "{\"seconds\":%d}", seconds);
		int rc = store_begin(r->o.store);
		if (rc == 0)
			rc = store_set_counter(r->o.store, "slow_s", (uint64_t)seconds);
		bool is_done = mod_finish(r, c, rc, &args);
		buf_fini(&args);
		if (!is_done)
			return;
		r->mod.slow_ms = (int64_t)seconds * 1000;
	}
	c->status = 200;
	buf_printf(&c->out, "{\"seconds\":%lld}", (long long)r->mod.slow_ms / 1000);
}

void moderate_say(struct room *r, struct command *c, const char *text)
{
	struct buf args;
	buf_init(&args, 64 * 1024);
	buf_puts(&args, "{");
	mod_put_str(&args, "text", text);
	buf_puts(&args, "}");
	if (mod_audit_alone(r, c, &args)) {
		for (enum dialect d = DIALECT_1; d < DIALECTS; d++) {
			size_t len;
			if (r->users.session_count[d] == 0)
				continue;
			buf_reset(&r->scratch);
			encode_system(&r->scratch, d, str_of(text), r->now_ms);
			publish_frame(r->pub, d, r->scratch.p, r->scratch.len, &len);
		}
		c->status = 200;
		buf_printf(&c->out, "{\"online\":%zu}", r->users.online);
	}
	buf_fini(&args);
}

/* --- Deleting */

struct doomed {
	uint64_t id, from, to;
	uint32_t flags;
	bool is_dm, has_file, is_found;
	uint64_t events[2]; /* ids of those that tell of it, and their times of day */
	int64_t at_ms[2];
	uint64_t viewers[2];
	int event_count;
	uint8_t sha[WC_SHA_BYTES]; /* if has_file */
};

static int look_at(void *arg, const struct msg *m)
{
	struct doomed *d = arg;
	d->is_found = m->kind != MSG_DELETE;
	d->from = m->from_id;
	d->to = m->to_id;
	d->is_dm = m->is_dm;
	d->flags = m->flags;
	d->has_file = m->kind != MSG_TEXT;
	memcpy(d->sha, m->sha, sizeof(d->sha));
	return 0;
}

/* Looks again: a list may have an id twice. */
static int delete_one(struct room *r, struct doomed *d)
{
	int rc = store_get_msg(r->o.store, d->id, look_at, d);
	if (rc == 0 && d->is_found && !(d->flags & MSG_DELETED)) {
		rc = store_delete_msg(r->o.store, d->id);
		d->viewers[d->event_count++] = d->is_dm ? d->from : 0;
		if (d->is_dm && d->to != d->from)
			d->viewers[d->event_count++] = d->to;
		for (int i = 0; i < d->event_count && rc == 0; i++) {
			d->events[i] = ids_take(r, &d->at_ms[i]);
			rc = store_put_deletion(r->o.store, d->events[i], d->at_ms[i], d->id, d->viewers[i]);
		}
	}
	return rc;
}

/* The author could send the bytes again by another handle: it ends, too. By the clock that uploads go by. */
static void withdraw(struct room *r, const struct doomed *d)
{
	if (r->withdrawn_count == r->withdrawn_room) {
		r->withdrawn_room = r->withdrawn_room ? 2 * r->withdrawn_room : 16;
		r->withdrawn = xrealloc(r->withdrawn, r->withdrawn_room * sizeof(*r->withdrawn));
	}
	struct blob_withdrawal *w = &r->withdrawn[r->withdrawn_count++];
	*w = (struct blob_withdrawal){ .identity_id = d->from, .at_ms = real_ms() };
	memcpy(w->sha, d->sha, sizeof(w->sha));
}

static void apply_deletion(struct room *r, const struct doomed *d)
{
	if (d->event_count > 0 && d->has_file)
		withdraw(r, d);
	r->deletions += d->event_count > 0;
	if (!d->is_dm)
		tail_set_flags(r->tail, d->id, d->flags | MSG_DELETED);
	r->evicted |= d->has_file;
	r->has_free_pages |= d->event_count > 0;
	for (int i = 0; i < d->event_count; i++) {
		size_t len;
		r->applied_id = d->events[i];
		buf_reset(&r->scratch);
		encode_delete(&r->scratch, d->events[i], d->at_ms[i], d->id);
		if (!d->is_dm) {
			r->public_id = d->events[i];
			tail_add_deletion(r->tail, d->events[i], d->at_ms[i], d->id);
			if (r->users.session_count[DIALECT_2])
				publish_frame(r->pub, DIALECT_2, r->scratch.p, r->scratch.len, &len);
			continue;
		}
		struct user *u = user_get(&r->users, d->viewers[i]);
		if (u)
			u->dm_id = d->events[i];
		for (const struct session *s = u ? u->sessions : NULL; s; s = s->next)
			if (s->dialect == DIALECT_2)
				publish_insert(r->pub, s, publish_position(r->pub, DIALECT_2), 0, frame_of_buf(&r->scratch), NULL, NULL);
	}
}

static void put_ids(struct buf *b, const char *key, const struct doomed *v, size_t n, bool deleted, bool found)
{
	bool is_first = true;
	mod_put_key(b, key);
	buf_puts(b, "[");
	for (size_t i = 0; i < n; i++) {
		if ((v[i].event_count > 0) != deleted || v[i].is_found != found)
			continue;
		buf_puts(b, is_first ? "" : ",");
		buf_u64(b, v[i].id);
		is_first = false;
	}
	buf_puts(b, "]");
}

size_t moderate_delete(struct room *r, struct command *c, const uint64_t *ids, size_t count, bool is_part)
{
	struct doomed *v = xcalloc(count + 1, sizeof(*v));
	struct buf args;
	size_t deleted = 0;
	int rc = store_begin(r->o.store);
	buf_init(&args, 64 * 1024);
	for (size_t i = 0; i < count && rc == 0; i++) {
		v[i].id = ids[i];
		rc = store_get_msg(r->o.store, ids[i], look_at, &v[i]);
		rc = rc == -WC_ENOENT ? 0 : rc;
	}
	/* Public ones first: the gaps between the ids that all are told must not count the direct messages that go with them. */
	for (size_t i = 0; i < 2 * count && rc == 0; i++)
		if (v[i % count].is_found && v[i % count].is_dm == (i >= count))
			rc = delete_one(r, &v[i % count]);
	for (size_t i = 0; i < count; i++)
		deleted += v[i].event_count > 0;
	buf_puts(&args, "{");
	put_ids(&args, "ids", v, count, true, true);
	buf_puts(&args, "}");
	bool is_done = true;
	if (rc == 0 && deleted == 0) {
		store_rollback(r->o.store); /* none of them exists, or all are deleted already */
	} else if (!is_part) {
		is_done = mod_finish(r, c, rc, &args);
	} else if (store_finish(r->o.store, rc) < 0) {
		is_done = false;
		mod_fail_storage(c);
	}
	if (!is_done) {
		deleted = 0;
		goto out;
	}
	for (size_t i = 0; i < 2 * count; i++)
		if (v[i % count].event_count && v[i % count].is_dm == (i >= count))
			apply_deletion(r, &v[i % count]);
	c->status = deleted || is_part ? 200 : 404;
	buf_puts(&c->out, "{");
	if (c->status == 404) {
		mod_put_str(&c->out, "error", "no_such_message");
		mod_put_str(&c->out, "text", "no such message, or deleted before");
	}
	put_ids(&c->out, "deleted", v, count, true, true);
	put_ids(&c->out, "already", v, count, false, true);
	put_ids(&c->out, "missing", v, count, false, false);
	buf_puts(&c->out, "}");
out:
	buf_fini(&args);
	free(v);
	return deleted;
}

/* --- Looking */

static void put_address(struct buf *b, const char *key, const uint8_t addr[16])
{
	char text[IP_NET_TEXT];
	ip_net_text(addr, 128, text);
	if (key)
		mod_put_key(b, key);
	json_str(b, str_of(text));
}

/* The addresses of now; in a list of everybody also the last one of people who are away. */
static void put_addresses(const struct room *r, struct buf *b, const struct user *u, bool with_last)
{
	uint8_t addr[16];
	int64_t at_ms;
	int n = 0;
	mod_put_key(b, "addresses");
	buf_puts(b, "[");
	for (const struct session *s = u->sessions; s && n < 16; s = s->next) {
		if (!conn_address(s->conn, addr))
			continue;
		buf_puts(b, n++ ? "," : "");
		put_address(b, NULL, addr);
	}
	buf_puts(b, "]");
	if (with_last && !n && address_of_user(r, u, addr, &at_ms)) {
		put_address(b, "last_address", addr);
		mod_put_int(b, "last_address_at", at_ms);
	}
}

static void put_whole_user(struct room *r, struct buf *b, const struct user *u, bool with_last)
{
	int tabs = 0;
	bool is_muted = false, is_banned = false;
	for (const struct session *s = u->sessions; s; s = s->next)
		tabs++;
	for (size_t i = 0; i < r->mod.count; i++) {
		const struct sanction *s = r->mod.list[i];
		if (sanction_is_over(s, r->boot_now_ms) || !sanction_is_of_user(s, u))
			continue;
		is_muted |= s->act == SANCTION_MUTE;
		is_banned |= s->act == SANCTION_BAN;
	}
	mod_put_user(b, u);
	mod_put_int(b, "connections", tabs);
	mod_put_int(b, "seen", u->sessions ? r->now_ms : u->seen_ms);
	if (is_muted)
		mod_put_bool(b, "muted", true);
	if (is_banned)
		mod_put_bool(b, "banned", true);
	put_addresses(r, b, u, with_last);
	buf_puts(b, "}");
}

static void put_remembered(struct buf *b, const struct command_person *p)
{
	buf_puts(b, "{");
	mod_put_int(b, "id", (int64_t)p->id);
	mod_put_str(b, "name", p->name);
	mod_put_bool(b, "identity", !p->is_guest);
	mod_put_bool(b, "online", false);
	mod_put_int(b, "connections", 0);
	mod_put_int(b, "seen", p->at_ms);
	buf_puts(b, ",\"addresses\":[]");
	put_address(b, "last_address", p->addr);
	mod_put_int(b, "last_address_at", p->at_ms);
	buf_puts(b, "}");
}

/* Is, or was, this person connected from there? */
static bool is_in_net(const struct room *r, const struct user *u, const struct ip_net *net)
{
	uint8_t addr[16];
	int64_t at_ms;
	for (const struct session *s = u->sessions; s; s = s->next)
		if (conn_address(s->conn, addr) && ip_in_net(addr, net->addr, net->bits))
			return true;
	return !u->sessions && address_of_user(r, u, addr, &at_ms) && ip_in_net(addr, net->addr, net->bits);
}

static bool take_net(struct command *c, const char *text, struct ip_net *net)
{
	if (ip_net_parse(text, net->addr, &net->bits))
		return true;
	mod_fail(c, 400, "bad_request", "neither an address nor a network such as 10.0.0.0/8");
	return false;
}

void moderate_people_in(struct room *r, struct command *c, const char *text, struct command_people *found)
{
	struct ip_net net;
	size_t at = 0;
	if (!take_net(c, text, &net))
		return;
	for (const struct user *u; (u = map_next(&r->users.by_id, &at));)
		if (!u->is_tentative && is_in_net(r, u, &net))
			(void)people_add(found, u->id, u->name, u->name_len);
	c->status = 200;
}

void moderate_names(struct room *r, struct command *c, struct command_people *people)
{
	for (size_t i = 0; i < people->count; i++) {
		const struct user *u = user_get(&r->users, people->v[i].id);
		if (u && !people->v[i].name)
			people->v[i].name = xstrdup(u->name);
	}
	c->status = 200;
}

size_t moderate_store_addresses(struct room *r, struct command *c)
{
	c->status = 200;
	return addresses_flush(r);
}

/* One row of a list: somebody whom the room knows, or somebody who left. */
struct listed {
	uint64_t id;
	const struct user *user;
	const struct command_person *left;
};

static int by_listed_id(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;
	return x->id < y->id ? -1 : x->id > y->id;
}

static bool has_key_part(const struct command_person *p, const char *part)
{
	char *key = part ? name_key(str_of(p->name)) : NULL;
	bool has = !part || strstr(key, part);
	free(key);
	return has;
}

void moderate_users(struct room *r, struct command *c, const struct user_query *q)
{
	struct ip_net net;
	if (q->net && !take_net(c, q->net, &net))
		return;
	const uint64_t upto = q->left_upto ? q->left_upto : UINT64_MAX;
	char *key = q->name_part && *q->name_part ? name_key(str_of(q->name_part)) : NULL;
	size_t n = 0, limit = q->limit > 0 ? (size_t)WC_MIN(q->limit, USERS_PAGE) : USERS_PAGE, at = 0;
	struct listed *found = xmalloc((r->users.by_id.n + q->left.count + 1) * sizeof(*found));
	for (const struct user *u; (u = map_next(&r->users.by_id, &at));)
		if (u->id > q->after && u->id <= upto && (q->all || u->is_online) && !u->is_tentative && (!key || strstr(u->key, key)) &&
		    (!q->net || is_in_net(r, u, &net)))
			found[n++] = (struct listed){ u->id, u, NULL };
	for (size_t i = 0; i < q->left.count; i++)
		if (q->left.v[i].id > q->after && q->left.v[i].id <= upto && !user_get(&r->users, q->left.v[i].id) &&
		    has_key_part(&q->left.v[i], key))
			found[n++] = (struct listed){ q->left.v[i].id, NULL, &q->left.v[i] };
	qsort(found, n, sizeof(*found), by_listed_id);
	c->status = 200;
	buf_puts(&c->out, "{\"users\":[");
	for (size_t i = 0; i < WC_MIN(n, limit); i++) {
		buf_puts(&c->out, i ? "," : "");
		if (found[i].user)
			put_whole_user(r, &c->out, found[i].user, q->all);
		else
			put_remembered(&c->out, found[i].left);
	}
	buf_puts(&c->out, "]");
	mod_put_int(&c->out, "online", (int64_t)r->users.online);
	if (n > limit)
		mod_put_int(&c->out, "upto", (int64_t)found[limit - 1].id);
	else if (q->left_upto)
		mod_put_int(&c->out, "upto", (int64_t)q->left_upto);
	mod_put_bool(&c->out, "more", n > limit || q->left_upto);
	buf_puts(&c->out, "}");
	free(found);
	free(key);
}

void moderate_status(struct room *r, struct command *c)
{
	size_t identities = 0, at = 0;
	int bans = 0, mutes = 0;
	for (const struct user *u; (u = map_next(&r->users.by_id, &at));)
		identities += u->is_identity;
	for (size_t i = 0; i < r->mod.count; i++) {
		const struct sanction *s = r->mod.list[i];
		if (sanction_is_over(s, r->boot_now_ms))
			continue;
		bans += s->act == SANCTION_BAN;
		mutes += s->act == SANCTION_MUTE;
	}
	c->status = 200;
	buf_puts(&c->out, "{");
	mod_put_int(&c->out, "online", (int64_t)r->users.online);
	mod_put_int(&c->out, "sessions_v1", r->users.session_count[DIALECT_1]);
	mod_put_int(&c->out, "sessions_v2", r->users.session_count[DIALECT_2]);
	mod_put_int(&c->out, "identities", (int64_t)identities);
	mod_put_int(&c->out, "head", (int64_t)r->applied_id);
	mod_put_int(&c->out, "slow_s", r->mod.slow_ms / 1000);
	lockdown_put_status(r, &c->out);
	mod_put_int(&c->out, "bans", bans);
	mod_put_int(&c->out, "mutes", mutes);
	/* left open: the admin's door goes on with what the room does not know */
}
