/* sanction.c — bans, mutes and slow mode at work: the list in memory, the checks at a join and before a message.
 *
 * Owns the list; moderate_ban.c changes it, after the store. Thread: room (main while it loads). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/steady.h"
#include "files/leave.h"
#include "net/ipban.h"
#include "room/banguard.h"
#include "room/impl.h"
#include "wire/look.h"
#include "wire/name.h"

/* --- The list */

static struct ip_net *nets_banned(const struct moderation *mod, size_t *n)
{
	struct ip_net *nets = NULL;
	*n = 0;
	for (size_t i = 0; i < mod->count; i++) {
		const struct sanction *s = mod->list[i];
		if (s->act != SANCTION_BAN || s->kind != SANCTION_NET)
			continue;
		nets = xrealloc(nets, (*n + 1) * sizeof(*nets));
		memcpy(nets[*n].addr, s->addr, sizeof(s->addr));
		nets[*n].bits = s->bits;
		nets[(*n)++].until_ms = s->ends_ms;
	}
	return nets;
}

/* A ban of a name meets the identity that has it now. Others are judged when they ask. */
static struct leave_ban *persons_banned(const struct room *r, size_t *n)
{
	struct leave_ban *persons = NULL;
	*n = 0;
	for (size_t i = 0; i < r->mod.count; i++) {
		const struct sanction *s = r->mod.list[i];
		if (s->act != SANCTION_BAN || s->kind == SANCTION_NET)
			continue;
		const struct user *u = s->kind == SANCTION_NAME ? map_get(&r->users.by_key, s->key, strlen(s->key)) : NULL;
		if (s->kind == SANCTION_NAME && !u)
			continue;
		persons = xrealloc(persons, (*n + 1) * sizeof(*persons));
		persons[(*n)++] = (struct leave_ban){ u ? u->id : s->user_id, s->ends_ms };
	}
	return persons;
}

/* Other threads have snapshots of the bans. */
static void list_changed(struct room *r)
{
	struct leave_bans b = { 0 };
	size_t n;
	r->mod.generation++;
	struct ip_net *nets = nets_banned(&r->mod, &n);
	ban_ip_replace(nets, n);
	b.nets = nets_banned(&r->mod, &b.net_count);
	b.persons = persons_banned(r, &b.person_count);
	leave_replace_bans(b);
}

static void keep(void *arg, struct sanction *s)
{
	struct moderation *mod = arg;
	if (s->kind == SANCTION_NAME && s->name) {
		s->looks = xmalloc(sizeof(*s->looks));
		looks_of_name(s->looks, str_of(s->name));
		for (int i = 0; i < s->looks->count; i++)
			held_add(&mod->names, s->looks->key[i]);
	}
	if (mod->count == mod->room) {
		mod->room = mod->room ? mod->room * 2 : 16;
		mod->list = xrealloc(mod->list, mod->room * sizeof(*mod->list));
	}
	mod->list[mod->count++] = s;
}

static void let_go(struct moderation *mod, struct sanction *s)
{
	if (s->looks) {
		for (int i = 0; i < s->looks->count; i++)
			held_remove(&mod->names, s->looks->key[i]);
		looks_fini(s->looks);
		free(s->looks);
	}
	sanction_free(s);
}

int sanctions_load(struct room *r)
{
	held_init(&r->mod.names);
	r->mod.slow_ms = (int64_t)store_counter(r->o.store, "slow_s") * 1000;
	int rc = store_each_sanction(r->o.store, keep, &r->mod);
	for (size_t i = 0; i < r->mod.count; i++) {
		struct sanction *s = r->mod.list[i];
		s->loaded_ms = s->until_ms;
		s->ends_ms = s->until_ms ? steady_deadline_ms(s->until_ms) : 0;
	}
	list_changed(r);
	return rc;
}

void sanctions_free(struct room *r)
{
	for (size_t i = 0; i < r->mod.count; i++)
		let_go(&r->mod, r->mod.list[i]);
	free(r->mod.list);
	held_fini(&r->mod.names);
	ban_ip_replace(NULL, 0);
	leave_replace_bans((struct leave_bans){ 0 });
}

void sanction_add(struct room *r, struct sanction *s)
{
	keep(&r->mod, s);
	list_changed(r);
}

void sanctions_sweep(struct room *r, bool (*goes)(void *arg, const struct sanction *s), void *arg)
{
	struct moderation *mod = &r->mod;
	size_t kept = 0;
	for (size_t i = 0; i < mod->count; i++) {
		if (goes(arg, mod->list[i]))
			let_go(mod, mod->list[i]);
		else
			mod->list[kept++] = mod->list[i];
	}
	if (kept == mod->count)
		return;
	mod->count = kept;
	list_changed(r);
}

#define ENDED_SLICE 100

struct ended {
	uint64_t ids[ENDED_SLICE]; /* in the order of the list */
	int n, at;
};

static bool is_dropped(void *arg, const struct sanction *s)
{
	struct ended *e = arg;
	const bool goes = e->at < e->n && e->ids[e->at] == s->id;
	e->at += goes;
	return goes;
}

void sanctions_drop_ended(struct room *r)
{
	struct ended e = { .n = 0 };
	const bool in_doubt = steady_in_doubt(); /* a step back would bring those back that were loaded */
	for (size_t i = 0; i < r->mod.count && e.n < ENDED_SLICE; i++) {
		const struct sanction *s = r->mod.list[i];
		if (sanction_is_over(s, r->boot_now_ms) && !(in_doubt && s->loaded_ms))
			e.ids[e.n++] = s->id;
	}
	if (e.n == 0)
		return;
	int rc = store_begin(r->o.store);
	for (int i = 0; i < e.n && rc == 0; i++)
		rc = store_drop_sanction(r->o.store, e.ids[i]);
	if (store_finish(r->o.store, rc) == 0) /* else the next turn tries again */
		sanctions_sweep(r, is_dropped, &e);
}

void sanctions_follow_clock(struct room *r)
{
	bool is_moved = false;
	for (size_t i = 0; i < r->mod.count; i++) {
		struct sanction *s = r->mod.list[i];
		if (s->ends_ms)
			is_moved |= end_follow_clock(&s->until_ms, &s->ends_ms, s->loaded_ms);
	}
	if (is_moved)
		list_changed(r);
}

void sanctions_hold(struct room *r)
{
	bool is_moved = false;
	for (size_t i = 0; i < r->mod.count; i++)
		is_moved |= end_hold(&r->mod.list[i]->ends_ms, r->mod.list[i]->loaded_ms);
	if (is_moved)
		list_changed(r);
}

int sanctions_store_ends(struct room *r)
{
	int rc = 0;
	for (size_t i = 0; i < r->mod.count && rc == 0; i++)
		if (r->mod.list[i]->ends_ms)
			rc = store_move_sanction(r->o.store, r->mod.list[i]->id, r->mod.list[i]->until_ms);
	return rc;
}

/* --- Whom one applies to */

bool sanction_is_of_user(const struct sanction *s, const struct user *u)
{
	if (s->kind == SANCTION_IDENTITY)
		return s->user_id == u->id;
	return s->kind == SANCTION_NAME && strcmp(s->key, u->key) == 0;
}

bool sanction_is_of_conn(const struct sanction *s, const struct conn *c)
{
	struct sockaddr_storage peer;
	uint8_t addr[16];
	if (s->kind != SANCTION_NET)
		return false;
	conn_peer(c, &peer);
	return ip_bytes(&peer, addr) && ip_in_net(addr, s->addr, s->bits);
}

char *sanction_words(const struct sanction *s, const char *otherwise)
{
	char until[64] = "", *words = NULL;
	time_t t = (time_t)(s->until_ms / 1000);
	struct tm tm;
	if (s->until_ms && gmtime_r(&t, &tm))
		strftime(until, sizeof(until), " (until %Y-%m-%d %H:%M UTC)", &tm);
	if (asprintf(&words, "%s%s", s->reason ? s->reason : otherwise, until) < 0)
		abort();
	return words;
}

/* --- At a join */

/* If two apply, the longer one counts: people are told its end. */
static const struct sanction *longer(const struct sanction *a, const struct sanction *b)
{
	return !a || sanction_outlasts(b, a) ? b : a;
}

bool sanction_is_of_look(const struct sanction *s, const struct looks *wish)
{
	for (int i = 0; s->looks && i < s->looks->count; i++)
		for (int j = 0; j < wish->count; j++)
			if (strcmp(s->looks->key[i], wish->key[j]) == 0)
				return true;
	return false;
}

/* Of u, of the address, or of a name that is wished for (NULL: none): of one that looks like it, too. */
static const struct sanction *ban_of(const struct room *r, const struct conn *c, const struct user *u, const struct looks *wish)
{
	const bool has_look = wish && held_has(&r->mod.names, wish);
	const struct sanction *found = NULL;
	for (size_t i = 0; i < r->mod.count; i++) {
		const struct sanction *s = r->mod.list[i];
		if (s->act != SANCTION_BAN || sanction_is_over(s, r->boot_now_ms))
			continue;
		if ((u && sanction_is_of_user(s, u)) || (has_look && sanction_is_of_look(s, wish)) || sanction_is_of_conn(s, c))
			found = longer(found, s);
	}
	return found;
}

static bool bar(struct action *a, const struct sanction *ban)
{
	if (!ban)
		return false;
	a->rc = -WC_EDENIED;
	a->words = a->copy = sanction_words(ban, "You are banned from this chat");
	return true;
}

bool sanction_bars(struct room *r, struct action *a, const struct user *u)
{
	const struct event *e = a->e;
	const struct sanction *ban = NULL;
	if (r->mod.count == 0)
		return false;
	if (u) {
		ban = ban_of(r, e->conn, u, NULL);
	} else {
		/* The name as wished for: a banned one is not let in as "Name 2" either. With a token or a code the name counts for
		 * nothing. */
		bool by_name = e->join.version < 2 || (!e->join.token.len && !e->join.code.len);
		struct looks wish = { .count = 0 };
		char name[WC_NAME_BYTES + 1];
		if (by_name && r->mod.names.count)
			looks_of_wish(&wish, (struct str){ name, name_clean(name, e->join.name) });
		ban = ban_of(r, e->conn, NULL, &wish);
		looks_fini(&wish);
	}
	return bar(a, ban);
}

/* A guest who was banned as "Name 2" asks for "Name" again, as old clients do, and is not to get the number again: nor is anybody else. In
 * the second dialect somebody new gets another number (join.c). */
bool sanction_bars_guest(struct room *r, struct action *a)
{
	char name[WC_NAME_BYTES + 1];
	struct looks wish;
	if (a->e->join.version >= 2 || !r->mod.names.count)
		return false;
	user_free_name(&r->users, NULL, a->e->join.name, r->next_user_id, name);
	looks_of_wish(&wish, str_of(name));
	const struct sanction *ban = ban_of(r, a->e->conn, NULL, &wish);
	looks_fini(&wish);
	return bar(a, ban);
}

/* --- Before a message */

static const struct sanction *mute_of(struct room *r, struct user *u, const struct conn *c)
{
	const struct sanction *found;
	if (u->mute_generation != r->mod.generation) {
		u->mute_generation = r->mod.generation;
		u->mute = NULL;
		r->mod.has_net_mutes = false;
		for (size_t i = 0; i < r->mod.count; i++) {
			const struct sanction *s = r->mod.list[i];
			if (s->act != SANCTION_MUTE || sanction_is_over(s, r->boot_now_ms))
				continue;
			r->mod.has_net_mutes |= s->kind == SANCTION_NET;
			if (sanction_is_of_user(s, u))
				u->mute = longer(u->mute, s); /* the last of them to end: none is looked for again when it does */
		}
	}
	found = u->mute && !sanction_is_over(u->mute, r->boot_now_ms) ? u->mute : NULL;
	for (size_t i = 0; r->mod.has_net_mutes && i < r->mod.count; i++) {
		const struct sanction *s = r->mod.list[i];
		if (s->act == SANCTION_MUTE && s->kind == SANCTION_NET && !sanction_is_over(s, r->boot_now_ms) && sanction_is_of_conn(s, c))
			found = longer(found, s);
	}
	return found;
}

bool sanction_is_muted(struct room *r, struct user *u, const struct conn *c)
{
	return r->mod.count && mute_of(r, u, c);
}

static char *mute_words(const struct sanction *mute)
{
	char *words = NULL, *why = sanction_words(mute, "an admin decided so");
	if (asprintf(&words, "You are muted: %s", why) < 0)
		abort();
	free(why);
	return words;
}

static int64_t left_ms(const struct room *r, const struct sanction *s)
{
	return s->ends_ms ? s->ends_ms - r->boot_now_ms : 0;
}

void sanction_tell_mute(struct room *r, const struct session *s)
{
	const struct sanction *mute = r->mod.count ? mute_of(r, s->user, s->conn) : NULL;
	if (!mute)
		return;
	char *words = mute_words(mute);
	answer_error_retry(r, s->conn, ERR_MUTED, str_of(words), STR(""), left_ms(r, mute));
	free(words);
}

bool sanction_silences(struct room *r, struct action *a)
{
	struct user *u = a->session->user;
	const struct sanction *mute = r->mod.count ? mute_of(r, u, a->e->conn) : NULL;
	if (mute) {
		refuse_saying(a, ERR_MUTED, left_ms(r, mute), mute_words(mute));
		return true;
	}
	if (!r->mod.slow_ms || a->e->has_to)
		return false;
	int64_t wait_ms = u->spoke_ms ? u->spoke_ms + r->mod.slow_ms - r->mono_now_ms : 0;
	if (wait_ms <= 0) {
		u->spoke_ms = r->mono_now_ms;
		return false;
	}
	char *words = NULL;
	if (asprintf(&words, "Slow mode: one message every %lld seconds. Wait %lld more", (long long)r->mod.slow_ms / 1000,
	             (long long)(wait_ms + 999) / 1000) < 0)
		abort();
	refuse_saying(a, ERR_RATE_LIMITED, wait_ms, words);
	return true;
}
