/* moderate_ban.c — an admin's bans and mutes: whom one meets, whom else it would hit, which of two lasts longer, and lifting them.
 *
 * Owns no state: sanction.c has the list. Everything is decided before anything is stored: a command that may not do all does nothing.
 * Waits only for a commit. Thread: room. */
#include <stdio.h>
#include <stdlib.h>

#include "base/steady.h"
#include "room/banguard.h"
#include "room/impl.h"
#include "wire/name.h"

#define SANCTIONS_MAX 10000 /* each is looked at for every join */
#define NAMES_SAID 5        /* names told of bystanders */

/* --- One ban or mute */

static void put_sanction(struct buf *b, const struct sanction *s, bool is_kept)
{
	char net[IP_NET_TEXT];
	buf_puts(b, "{");
	mod_put_int(b, "sanction", (int64_t)s->id);
	mod_put_str(b, "kind",
	            s->kind == SANCTION_IDENTITY ? "identity"
	            : s->kind == SANCTION_NAME   ? "name"
	            : s->bits == 128             ? "ip"
	                                         : "cidr");
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
	if (is_kept)
		mod_put_bool(b, "kept", true);
	buf_puts(b, "}");
}

static struct sanction *sanction_new(const struct room *r, const struct command *c, const struct sanction_order *o, enum sanction_kind kind)
{
	struct sanction *s = xcalloc(1, sizeof(*s));
	s->act = o->of.act;
	s->kind = kind;
	s->at_ms = r->now_ms;
	s->until_ms = o->for_ms ? r->now_ms + o->for_ms : 0;
	s->ends_ms = o->for_ms ? r->boot_now_ms + o->for_ms : 0;
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
	return a->bits == b->bits && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

static struct sanction *of_user(const struct room *r, const struct command *c, const struct sanction_order *o, const struct user *u)
{
	/* A guest is nobody once the connection is gone: what lasts is the name. */
	struct sanction *s = sanction_new(r, c, o, u->is_identity ? SANCTION_IDENTITY : SANCTION_NAME);
	s->user_id = u->is_identity ? u->id : 0;
	s->name = xstrdup(u->name);
	s->key = xstrdup(u->key);
	return s;
}

static struct sanction *of_name(const struct room *r, const struct command *c, const struct sanction_order *o, const char *wanted)
{
	char name[WC_NAME_BYTES + 1];
	size_t len = name_clean(name, str_of(wanted));
	if (!len)
		return NULL;
	struct sanction *s = sanction_new(r, c, o, SANCTION_NAME);
	s->name = xstrdup(name);
	s->key = name_key((struct str){ name, len });
	return s;
}

static struct sanction *of_net(const struct room *r, const struct command *c, const struct sanction_order *o, const char *text)
{
	uint8_t addr[16];
	int bits;
	if (!ip_net_parse(text, addr, &bits))
		return NULL;
	struct sanction *s = sanction_new(r, c, o, SANCTION_NET);
	memcpy(s->addr, addr, sizeof(addr));
	s->bits = bits;
	return s;
}

static struct sanction *of_address(const struct room *r, const struct command *c, const struct sanction_order *o, const uint8_t addr[16])
{
	struct sanction *s = sanction_new(r, c, o, SANCTION_NET);
	ban_net_of(addr, s->addr, &s->bits);
	return s;
}

/* --- What the command names */

#define TARGETS_MAX 64
struct targets {
	struct sanction *v[TARGETS_MAX];
	struct sanction
		*longer[TARGETS_MAX]; /* the one of the same target that stands and lasts longer: nothing is done then. NULL: none */
	int n;
	const struct user *culprit; /* the person meant; NULL: nobody whom the room knows */
	bool spares_loaded; /* while the clock of the start is in doubt: which of the two lasts longer is not known, so both stand */
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

static void fail_address(struct room *r, struct command *c, enum sanction_act act, const char *name)
{
	const int days = r->settings.keep_addresses;
	char kept[96], *text = NULL;
	if (days)
		snprintf(kept, sizeof(kept), "an address is kept for %d day%s", days, days == 1 ? "" : "s");
	else
		snprintf(kept, sizeof(kept), "--keep-addresses 0 keeps none");
	if (asprintf(&text, "nothing was done: no address of %s is known (%s); without --with-ip the %s alone", name, kept,
	             act == SANCTION_BAN ? "ban is of the person" : "mute is of the person") < 0)
		abort();
	mod_fail(c, 404, "no_such_address", text);
	free(text);
}

/* The addresses of somebody known: those of now, or the last one. False: answered. */
static bool add_addresses(struct room *r, struct command *c, const struct sanction_order *o, struct targets *t, const struct user *u)
{
	uint8_t addr[16];
	int64_t at_ms;
	int n = 0;
	for (const struct session *s = u->sessions; s; s = s->next)
		if (conn_address(s->conn, addr) && ++n)
			add_target(t, of_address(r, c, o, addr));
	if (!n && address_of_user(r, u, addr, &at_ms) && ++n)
		add_target(t, of_address(r, c, o, addr));
	if (!n)
		fail_address(r, c, o->of.act, u->name);
	return n > 0;
}

static void fail_several(struct command *c, const char *wanted, const struct remembered *found, int n)
{
	char ip[IP_NET_TEXT], say[CALLED_SAY];
	c->status = 409;
	buf_reset(&c->out);
	buf_puts(&c->out, "{");
	mod_put_str(&c->out, "error", "ambiguous");
	mod_put_str(&c->out, "text", "several people who left had this name, at several addresses: say id:N");
	mod_put_str(&c->out, "wanted", wanted);
	mod_put_key(&c->out, "candidates");
	buf_puts(&c->out, "[");
	for (int i = 0; i < n; i++) {
		ip_net_text(found[i].addr, 128, ip);
		buf_puts(&c->out, i ? ",{" : "{");
		mod_put_int(&c->out, "id", (int64_t)found[i].id);
		mod_put_str(&c->out, "name", found[i].name);
		mod_put_bool(&c->out, "online", false);
		if (called_of(wanted).literal) {
			called_say(say, wanted, found[i].id);
			mod_put_str(&c->out, "say", say);
		}
		mod_put_str(&c->out, "address", ip);
		mod_put_int(&c->out, "address_at", found[i].at_ms);
		buf_puts(&c->out, "}");
	}
	buf_puts(&c->out, "]}");
}

/* Somebody who left, known only by the address kept: the name is banned, as for any guest. False: answered. */
static bool add_remembered(struct room *r, struct command *c, const struct sanction_order *o, struct targets *t)
{
	struct remembered found[REMEMBERED_MAX];
	int n = addresses_find(r, o->of.user, found);
	bool is_one = n > 0;
	if (n < 0)
		mod_fail_storage(c);
	else if (n == 0)
		mod_fail_user(r, c, o->of.user);
	for (int i = 1; i < n; i++)
		is_one &= strcmp(found[i].key, found[0].key) == 0 &&
		          (!o->with_ip || memcmp(found[i].addr, found[0].addr, sizeof(found[0].addr)) == 0);
	if (n > 0 && !is_one)
		fail_several(c, o->of.user, found, n);
	if (is_one) {
		add_target(t, of_name(r, c, o, found[0].name));
		if (o->with_ip)
			add_target(t, of_address(r, c, o, found[0].addr));
	}
	for (int i = 0; i < n; i++)
		remembered_fini(&found[i]);
	return is_one;
}

/* Finds what the command names. False: answered with an error. */
static bool find_targets(struct room *r, struct command *c, const struct sanction_order *o, struct targets *t)
{
	if (o->of.user) {
		struct user *u;
		if (!mod_find_user(r, c, o->of.user, &u))
			return false;
		if (!u)
			return add_remembered(r, c, o, t);
		t->culprit = u;
		add_target(t, of_user(r, c, o, u));
		return !o->with_ip || add_addresses(r, c, o, t, u);
	}
	struct sanction *s = o->of.name ? of_name(r, c, o, o->of.name) : o->of.net ? of_net(r, c, o, o->of.net) : NULL;
	if (!s) {
		mod_fail(c, 400, "bad_request",
		         o->of.net ? "neither an address nor a network such as 10.0.0.0/8" : "no name is left once it is cleaned");
		return false;
	}
	add_target(t, s);
	return true;
}

/* --- Bystanders */

struct bystanders {
	const struct user *v[NAMES_SAID];
	size_t count;
};

static bool is_hit(const struct targets *t, const struct session *s)
{
	bool hit = false;
	for (int i = 0; i < t->n && !hit; i++)
		hit = !t->longer[i] && sanction_is_of_conn(t->v[i], s->conn);
	return hit;
}

/* Counts the people connected from one of the networks, but for the culprit. Each counts once, whatever the number of tabs. */
static void count_bystanders(const struct room *r, const struct targets *t, struct bystanders *out)
{
	out->count = 0;
	for (const struct user *u = r->users.newest; u; u = u->older) {
		bool hit = false;
		for (const struct session *s = u == t->culprit ? NULL : u->sessions; s && !hit; s = s->next)
			hit = !s->is_sent_away && is_hit(t, s);
		if (!hit)
			continue;
		if (out->count < NAMES_SAID)
			out->v[out->count] = u;
		out->count++;
	}
}

static void put_bystanders(struct buf *b, enum sanction_act act, const struct targets *t, const struct bystanders *by)
{
	const bool is_ban = act == SANCTION_BAN;
	if (!by->count) {
		buf_puts(b, t->culprit ? "nobody else is connected from there" : "nobody is connected from there");
		return;
	}
	buf_printf(b, "%zu %s%s connected from there would be %s: ", by->count, t->culprit ? "other " : "",
	           by->count == 1 ? "person" : "people", is_ban ? "sent out" : "muted");
	for (size_t i = 0; i < WC_MIN(by->count, (size_t)NAMES_SAID); i++) {
		buf_puts(b, i ? ", " : "");
		buf_put(b, by->v[i]->name, by->v[i]->name_len);
		buf_printf(b, " (%llu)", (unsigned long long)by->v[i]->id);
	}
	if (by->count > NAMES_SAID)
		buf_printf(b, " and %zu more", by->count - NAMES_SAID);
}

/* A network that holds more than the culprit needs force. False: answered, with the number of bystanders. */
static bool guard(struct room *r, struct command *c, const struct sanction_order *o, const struct targets *t)
{
	char caution[CAUTION_TEXT] = "";
	struct bystanders by;
	struct buf text;
	if (o->force)
		return true;
	count_bystanders(r, t, &by);
	for (int i = 0; i < t->n && !caution[0]; i++)
		if (t->v[i]->kind == SANCTION_NET && !t->longer[i])
			(void)ban_caution(t->v[i]->addr, t->v[i]->bits, &r->settings.trust_proxy, caution);
	if (!caution[0] && !by.count)
		return true;
	buf_init(&text, 8192);
	buf_puts(&text, "nothing was done: ");
	buf_puts(&text, caution);
	buf_puts(&text, caution[0] ? ", and " : "");
	put_bystanders(&text, o->of.act, t, &by);
	buf_puts(&text, o->of.act == SANCTION_BAN ? "; --force bans it all the same" : "; --force mutes it all the same");
	buf_putc(&text, '\0');
	mod_fail(c, 409, "hits_others", text.p);
	c->out.len--; /* the object goes on */
	mod_put_int(&c->out, "hit", (int64_t)by.count);
	buf_puts(&c->out, "}");
	buf_fini(&text);
	return false;
}

/* --- Carrying it out */

/* Which of them stand already, for longer? */
static void find_longer(const struct room *r, bool replace, struct targets *t)
{
	const bool may_be_late = steady_may_be_behind(); /* the loaded ones would end too late */
	for (int i = 0; i < t->n; i++)
		for (size_t j = 0; j < r->mod.count && !replace; j++) {
			struct sanction *old = r->mod.list[j];
			if (may_be_late && old->loaded_ms)
				continue;
			if (is_same_target(old, t->v[i]) && !sanction_is_over(old, r->boot_now_ms) && sanction_outlasts(old, t->v[i]))
				t->longer[i] = old;
		}
}

static bool makes_way(const struct sanction *old, const struct targets *t)
{
	for (int i = 0; i < t->n; i++)
		if (!t->longer[i] && is_same_target(old, t->v[i]))
			return !t->spares_loaded || !old->loaded_ms;
	return false;
}

/* Would the list grow too long to be searched at every join? Sanctions that are over, or are replaced now, do not count. */
static bool is_too_many(const struct room *r, const struct targets *t)
{
	size_t stay = 0, come = 0;
	for (int i = 0; i < t->n; i++)
		come += !t->longer[i];
	for (size_t j = 0; j < r->mod.count; j++) {
		const struct sanction *old = r->mod.list[j];
		stay += !sanction_is_over(old, r->boot_now_ms) && !makes_way(old, t);
	}
	return come && stay + come > SANCTIONS_MAX;
}

static void put_targets(struct buf *b, const struct targets *t)
{
	buf_puts(b, "[");
	for (int i = 0; i < t->n; i++) {
		buf_puts(b, i ? "," : "");
		put_sanction(b, t->longer[i] ? t->longer[i] : t->v[i], t->longer[i] != NULL);
	}
	buf_puts(b, "]");
}

/* An older one of the same target makes room for the new one, unless it lasts longer. */
static int store_targets(struct room *r, const struct targets *t)
{
	int rc = 0;
	for (size_t j = 0; j < r->mod.count && rc == 0; j++)
		if (makes_way(r->mod.list[j], t))
			rc = store_drop_sanction(r->o.store, r->mod.list[j]->id);
	for (int i = 0; i < t->n && rc == 0; i++)
		if (!t->longer[i])
			rc = store_put_sanction(r->o.store, t->v[i]);
	return rc;
}

static bool goes(void *arg, const struct sanction *old)
{
	return makes_way(old, arg);
}

static void take_targets(struct room *r, struct targets *t)
{
	sanctions_sweep(r, goes, t);
	for (int i = 0; i < t->n; i++)
		if (!t->longer[i])
			sanction_add(r, t->v[i]);
}

static bool meets(const struct sanction *s, const struct session *t)
{
	return sanction_is_of_user(s, t->user) || sanction_is_of_conn(s, t->conn);
}

/* Acts on the sessions that a new sanction meets: a ban closes them, a mute is told now, not only at the next message. Returns their
 * number. */
static size_t enforce(struct room *r, const struct sanction *s)
{
	const bool is_ban = s->act == SANCTION_BAN;
	char *why = sanction_words(s, "You are banned from this chat");
	size_t n = 0;
	for (enum dialect d = DIALECT_1; d < DIALECTS; d++)
		for (uint32_t i = 0; i < r->users.session_count[d]; i++) {
			struct session *t = r->users.sessions[d][i];
			if ((is_ban && t->is_sent_away) || !meets(s, t))
				continue;
			if (is_ban)
				mod_turn_away(r, t, CLOSE_BANNED, why);
			else
				sanction_tell_mute(r, t);
			n++;
		}
	free(why);
	return n;
}

static void free_targets(struct targets *t)
{
	for (int i = 0; i < t->n; i++)
		sanction_free(t->v[i]);
}

/* Moves the new sanctions to the list and enforces them; frees the others. Returns the number of connections they met. */
static size_t apply_targets(struct room *r, struct targets *t)
{
	size_t n = 0;
	take_targets(r, t);
	for (int i = 0; i < t->n; i++) {
		if (t->longer[i])
			sanction_free(t->v[i]);
		else
			n += enforce(r, t->v[i]);
	}
	return n;
}

void moderate_sanction(struct room *r, struct command *c, const struct sanction_order *o)
{
	struct targets t = { .n = 0, .spares_loaded = !o->replace && steady_in_doubt() };
	struct buf args;
	bool found = find_targets(r, c, o, &t);
	if (found)
		find_longer(r, o->replace, &t);
	if (!found || !guard(r, c, o, &t)) {
		free_targets(&t);
		return;
	}
	if (is_too_many(r, &t)) {
		mod_fail(c, 409, "too_many", "there are 10,000 bans and mutes already: lift some, or ban networks instead of addresses");
		free_targets(&t);
		return;
	}
	buf_init(&args, 64 * 1024);
	int rc = store_begin(r->o.store);
	if (rc == 0)
		rc = store_targets(r, &t);
	put_targets(&args, &t);
	if (!mod_finish(r, c, rc, &args)) {
		free_targets(&t);
	} else {
		size_t n = apply_targets(r, &t);
		c->status = 200;
		buf_puts(&c->out, "{\"sanctions\":");
		buf_put(&c->out, args.p, args.len);
		mod_put_int(&c->out, "connections", (int64_t)n);
		buf_puts(&c->out, "}");
	}
	buf_fini(&args);
}

/* --- Lifting */

/* The sanctions that a command lifts: one by its number, or those of a person, or those like another one, of its name or network. */
struct pardon {
	enum sanction_act act;
	uint64_t id;           /* 0: not by number */
	const struct user *u;  /* NULL: nobody known */
	struct sanction *like; /* NULL: none */
};

static bool is_pardoned(void *arg, const struct sanction *s)
{
	const struct pardon *p = arg;
	if (s->act != p->act)
		return false;
	if (p->id)
		return s->id == p->id;
	return (p->u && sanction_is_of_user(s, p->u)) || (p->like && is_same_target(s, p->like));
}

/* A guest's ban outlives the guest: `user` may be the id of somebody who left, or a name that nobody has now.
 * NULL: answered, or no name. */
static struct sanction *like_forgotten(const struct room *r, struct command *c, const struct sanction_order *o)
{
	struct remembered found[REMEMBERED_MAX];
	const struct called called = called_of(o->of.user);
	const char *name = called.name ? called.name : o->of.user;
	int n = addresses_find(r, o->of.user, found); /* a store that cannot be read knows nobody */
	bool is_one = true;
	for (int i = 1; i < n; i++)
		is_one &= strcmp(found[i].key, found[0].key) == 0;
	struct sanction *like = is_one ? of_name(r, c, o, n > 0 ? found[0].name : name) : NULL;
	if (!is_one)
		fail_several(c, o->of.user, found, n);
	for (int i = 0; i < n; i++)
		remembered_fini(&found[i]);
	return like;
}

/* False: answered. */
static bool find_pardoned(struct room *r, struct command *c, const struct sanction_target *of, struct pardon *p)
{
	const struct sanction_order o = { .of = *of };
	struct user *u = NULL;
	if (of->user && !mod_find_user(r, c, of->user, &u))
		return false;
	p->u = u;
	if (of->net)
		p->like = of_net(r, c, &o, of->net);
	else if (of->name)
		p->like = of_name(r, c, &o, of->name);
	else if (of->user && !p->u)
		p->like = like_forgotten(r, c, &o);
	return !c->status;
}

/* Drops them from the store, within the caller's transaction, and lists them. Returns their number, or below 0. */
static int drop_pardoned(struct room *r, struct pardon *p, struct buf *args)
{
	int n = 0, rc = 0;
	buf_puts(args, "[");
	for (size_t i = 0; i < r->mod.count && rc == 0; i++) {
		if (!is_pardoned(p, r->mod.list[i]))
			continue;
		rc = store_drop_sanction(r->o.store, r->mod.list[i]->id);
		buf_puts(args, n++ ? "," : "");
		put_sanction(args, r->mod.list[i], false);
	}
	buf_puts(args, "]");
	return rc < 0 ? rc : n;
}

/* The first ban of a name that this one can be taken for: it keeps this one out. NULL: none. */
static const struct sanction *look_alike(const struct room *r, const char *name)
{
	const struct sanction *found = NULL;
	struct looks wish;
	looks_of_wish(&wish, str_of(name));
	for (size_t i = 0; i < r->mod.count && !found; i++)
		if (r->mod.list[i]->act == SANCTION_BAN && sanction_is_of_look(r->mod.list[i], &wish))
			found = r->mod.list[i];
	looks_fini(&wish);
	return found;
}

static void fail_look_alike(struct command *c, const struct sanction *ban)
{
	char *text = NULL;
	if (asprintf(&text, "there is no such ban, but ban %llu, of the name %s, keeps out names that look like it",
	             (unsigned long long)ban->id, ban->name) < 0)
		abort();
	mod_fail(c, 404, "no_such_sanction", text);
	free(text);
}

static void fail_pardon(struct room *r, struct command *c, const struct sanction_target *of, const struct pardon *p)
{
	const struct sanction *ban = of->act == SANCTION_BAN && p->like && p->like->name ? look_alike(r, p->like->name) : NULL;
	if (of->net && !p->like)
		mod_fail(c, 400, "bad_request", "neither an address nor a network such as 10.0.0.0/8");
	else if (of->user && !p->u && !p->like)
		mod_fail_user(r, c, of->user);
	else if (ban)
		fail_look_alike(c, ban);
	else
		mod_fail(c, 404, "no_such_sanction", of->act == SANCTION_BAN ? "there is no such ban" : "there is no such mute");
}

void moderate_pardon(struct room *r, struct command *c, const struct sanction_target *of, uint64_t id)
{
	struct pardon p = { .act = of->act, .id = id };
	struct buf args;
	buf_init(&args, 256 * 1024);
	if (find_pardoned(r, c, of, &p)) {
		int n = store_begin(r->o.store);
		if (n == 0)
			n = drop_pardoned(r, &p, &args);
		if (n == 0) {
			store_rollback(r->o.store);
			fail_pardon(r, c, of, &p);
		} else if (mod_finish(r, c, WC_MIN(n, 0), &args)) {
			sanctions_sweep(r, is_pardoned, &p);
			c->status = 200;
			buf_puts(&c->out, "{\"lifted\":");
			buf_put(&c->out, args.p, args.len);
			buf_puts(&c->out, "}");
		}
	}
	sanction_free(p.like);
	buf_fini(&args);
}

void moderate_sanctions(struct room *r, struct command *c, enum sanction_act act)
{
	bool is_first = true;
	c->status = 200;
	buf_puts(&c->out, "{\"sanctions\":[");
	for (size_t i = 0; i < r->mod.count; i++) {
		const struct sanction *s = r->mod.list[i];
		if (s->act != act || sanction_is_over(s, r->boot_now_ms))
			continue;
		buf_puts(&c->out, is_first ? "" : ",");
		is_first = false;
		put_sanction(&c->out, s, false);
	}
	buf_puts(&c->out, "]}");
}
