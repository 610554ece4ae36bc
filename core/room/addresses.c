/* addresses.c — the addresses that people last connected from, and the log's lines about joins and leaves.
 *
 * Owns the queue of addresses to be stored. A join or a leave adds to it. The chores write it in slices, each in its own transaction, so a
 * storm of joins delays nobody. A crash loses the last seconds. Addresses older than --keep-addresses are forgotten. Only the admin's
 * socket shows them, never a client. Thread: room (main while it loads, and at the end). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/logmsg.h"
#include "base/steady.h"
#include "room/impl.h"
#include "store/store_addr.h"
#include "wire/name.h"

#define SLICE 200         /* people stored, or removed, in one transaction */
#define QUEUE_MAX 50000   /* beyond, further people are not noted */
#define PEOPLE_MAX 200000 /* kept; beyond, those seen longest ago are forgotten. Some 40 MB */
#define RETRY_MS 10000    /* when the store refused */
#define REFRESH_MS DAY_MS /* the address of a lasting connection is stored again after this */
#define DAY_MS (24 * 3600 * 1000LL)

#define LINES_BURST 200 /* lines about joins and leaves at once; then LINES_A_SECOND, and the rest as a number */
#define LINES_A_SECOND 20

bool conn_address(const struct conn *c, uint8_t addr[16])
{
	struct sockaddr_storage peer;
	conn_peer(c, &peer);
	return ip_bytes(&peer, addr);
}

static int64_t oldest_ms(const struct room *r)
{
	return steady_cut_ms(r->settings.keep_addresses * DAY_MS);
}

void remembered_fini(struct remembered *m)
{
	free(m->name);
	free(m->key);
	*m = (struct remembered){ 0 };
}

/* --- Noting */

/* People who are here need only their id in the queue: a crowd costs eight bytes each. */
static void enqueue_id(struct addresses *a, uint64_t id)
{
	if (a->here_count >= QUEUE_MAX)
		return;
	if (a->here_count == a->here_room) {
		a->here_room = a->here_room ? a->here_room * 2 : 64;
		a->here = xrealloc(a->here, a->here_room * sizeof(*a->here));
	}
	a->here[a->here_count++] = id;
}

/* The room may forget people who left before their address is stored, so the entry has their names. */
static void enqueue(struct room *r, const struct user *u)
{
	struct addresses *a = &r->addresses;
	if (a->count >= QUEUE_MAX)
		return;
	if (a->count == a->room) {
		a->room = a->room ? a->room * 2 : 64;
		a->queue = xrealloc(a->queue, a->room * sizeof(*a->queue));
	}
	struct remembered *m = &a->queue[a->count++];
	*m = (struct remembered){ u->id, xstrdup(u->name), xstrdup(u->key), !u->is_identity, { 0 }, u->addr_at_ms };
	memcpy(m->addr, u->addr, sizeof(m->addr));
}

static bool note(struct room *r, struct user *u, const struct conn *c)
{
	if (!r->settings.keep_addresses || !conn_address(c, u->addr))
		return false;
	u->addr_at_ms = r->now_ms;
	return true;
}

/* --- The log's lines */

static bool may_log(struct room *r)
{
	struct addresses *a = &r->addresses;
	int64_t now_us = r->mono_now_ms * 1000;
	int64_t ahead_us = (LINES_BURST - 1) * (1000000 / LINES_A_SECOND);
	a->lines_us = WC_MAX(a->lines_us, now_us);
	if (a->lines_us - now_us > ahead_us)
		return false;
	a->lines_us += 1000000 / LINES_A_SECOND;
	return true;
}

static void log_session(struct room *r, const struct session *s, bool has_come)
{
	struct addresses *a = &r->addresses;
	char name[512], pairs[512 + 128], ip[IP_NET_TEXT] = "-";
	uint8_t addr[16];
	int tabs = 0;
	if (log_get_level() < LOG_INFO)
		return;
	if (!may_log(r)) {
		a->unsaid[has_come]++;
		return;
	}
	if (conn_address(s->conn, addr))
		ip_net_text(addr, 128, ip);
	for (const struct session *t = s->user->sessions; t; t = t->next)
		tabs++;
	snprintf(pairs, sizeof(pairs), "id=%llu name=%s address=%s dialect=%d connections=%d", (unsigned long long)s->user->id,
	         log_quote(name, (struct str){ s->user->name, s->user->name_len }), ip, s->dialect + 1, tabs);
	if (has_come)
		log_info("joined", "%s", pairs);
	else
		log_info("left", "%s", pairs);
}

static void log_unsaid(struct room *r)
{
	struct addresses *a = &r->addresses;
	if (!a->unsaid[0] && !a->unsaid[1])
		return;
	log_info("joined and left", "more_joined=%llu more_left=%llu note=\"too many for a line each\"", (unsigned long long)a->unsaid[1],
	         (unsigned long long)a->unsaid[0]);
	a->unsaid[0] = a->unsaid[1] = 0;
}

void address_came(struct room *r, const struct session *s)
{
	if (note(r, s->user, s->conn))
		enqueue_id(&r->addresses, s->user->id);
	log_session(r, s, true);
}

void address_went(struct room *r, const struct session *s)
{
	if (note(r, s->user, s->conn))
		enqueue(r, s->user);
	log_session(r, s, false);
}

/* --- Storing */

static int store_slice(struct room *r, const struct address *v, size_t n)
{
	struct addresses *a = &r->addresses;
	int gone = 0, added = 0, rc = store_begin(r->o.store);
	if (rc == 0)
		rc = added = store_put_addresses(r->o.store, v, n);
	if (rc >= 0 && a->kept + added > PEOPLE_MAX)
		rc = gone = store_expire_addresses(r->o.store, INT64_MAX, (int)WC_MIN(a->kept + added - PEOPLE_MAX, (int64_t)2 * SLICE));
	rc = store_finish(r->o.store, rc);
	if (rc == 0)
		a->kept += added - gone;
	return rc;
}

static void drop_queue(struct addresses *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		remembered_fini(&a->queue[i]);
	a->count -= n;
	if (n && a->count)
		memmove(a->queue, a->queue + n, a->count * sizeof(*a->queue));
	if (!a->count) {
		free(a->queue);
		a->queue = NULL;
		a->room = 0;
	}
}

static void drop_here(struct addresses *a, size_t n)
{
	a->here_count -= n;
	if (n && a->here_count)
		memmove(a->here, a->here + n, a->here_count * sizeof(*a->here));
	if (!a->here_count) {
		free(a->here);
		a->here = NULL;
		a->here_room = 0;
	}
}

static struct address address_with(uint64_t id, struct str name, struct str key, bool is_guest, const uint8_t addr[16], int64_t at_ms)
{
	struct address v = { id, name, key, is_guest, { 0 }, at_ms };
	memcpy(v.addr, addr, sizeof(v.addr));
	return v;
}

size_t addresses_flush(struct room *r)
{
	struct addresses *a = &r->addresses;
	struct address v[SLICE];
	size_t n = 0, left = 0, here = 0;
	for (; left < a->count && n < SLICE; left++) {
		const struct remembered *m = &a->queue[left];
		v[n++] = address_with(m->id, str_of(m->name), str_of(m->key), m->is_guest, m->addr, m->at_ms);
	}
	for (; here < a->here_count && n < SLICE; here++) {
		const struct user *u = user_get(&r->users, a->here[here]);
		if (u && u->addr_at_ms) /* else they left meanwhile, and have an entry with names */
			v[n++] = address_with(u->id, str_of(u->name), str_of(u->key), !u->is_identity, u->addr, u->addr_at_ms);
	}
	if (n && store_slice(r, v, n) < 0) {
		a->next_ms = r->mono_now_ms + RETRY_MS;
	} else {
		drop_queue(a, left);
		drop_here(a, here);
	}
	return a->count + a->here_count;
}

/* Removes a slice of the addresses that are too old; with --keep-addresses 0, of all. Returns their number; below 0: failed. */
static int expire(struct room *r, int limit)
{
	const bool keeps = r->settings.keep_addresses > 0;
	int n = 0, rc = store_begin(r->o.store);
	if (rc == 0)
		rc = n = store_expire_addresses(r->o.store, keeps ? oldest_ms(r) : INT64_MAX, limit);
	if (rc > 0)
		rc = store_commit(r->o.store);
	else
		store_rollback(r->o.store);
	if (rc < 0)
		return rc;
	r->addresses.kept -= n;
	return n;
}

static void forget_all(struct room *r)
{
	struct addresses *a = &r->addresses;
	size_t at = 0;
	drop_queue(a, a->count);
	drop_here(a, a->here_count);
	for (struct user *u; (u = map_next(&r->users.by_id, &at));)
		u->addr_at_ms = 0;
}

/* The addresses of people who stay connected must not expire. */
static void refresh(struct room *r)
{
	for (struct user *u = r->users.newest; u; u = u->older)
		if (u->sessions && u->addr_at_ms + REFRESH_MS < r->now_ms)
			if (note(r, u, u->sessions->conn))
				enqueue_id(&r->addresses, u->id);
}

bool addresses_tick(struct room *r)
{
	struct addresses *a = &r->addresses;
	const bool keeps = r->settings.keep_addresses > 0;
	log_unsaid(r);
	if (r->mono_now_ms < a->next_ms)
		return false;
	if (a->was_keeping && !keeps)
		forget_all(r);
	if (a->was_keeping != keeps || r->mono_now_ms >= a->expire_next_ms) {
		a->was_keeping = keeps;
		a->expire_next_ms = r->mono_now_ms + 60 * 1000;
		a->has_old = true;
		if (keeps)
			refresh(r);
	}
	if (a->has_old) {
		int n = expire(r, SLICE);
		a->has_old = n == SLICE;
		if (n < 0)
			a->next_ms = r->mono_now_ms + RETRY_MS;
	}
	bool has_more = (a->count || a->here_count) && addresses_flush(r) > 0;
	return (has_more || a->has_old) && r->mono_now_ms >= a->next_ms;
}

/* --- Finding */

bool address_of_user(const struct room *r, const struct user *u, uint8_t addr[16], int64_t *at_ms)
{
	if (!u->addr_at_ms || !r->settings.keep_addresses || u->addr_at_ms < oldest_ms(r))
		return false;
	memcpy(addr, u->addr, sizeof(u->addr));
	*at_ms = u->addr_at_ms;
	return true;
}

struct finding {
	const struct room *room;
	struct remembered *found;
	int n;
};

static int add_found(void *arg, const struct address *a)
{
	struct finding *f = arg;
	if (a->at_ms < oldest_ms(f->room) || user_get(&f->room->users, a->user_id))
		return 0;
	for (int i = 0; i < f->n; i++)
		if (f->found[i].id == a->user_id)
			return 0;
	if (f->n == REMEMBERED_MAX)
		return 1;
	struct remembered *m = &f->found[f->n++];
	*m = (struct remembered){
		a->user_id, strndup(a->name.p, a->name.len), strndup(a->key.p, a->key.len), a->is_guest, { 0 }, a->at_ms
	};
	WC_ASSERT(m->name && m->key);
	memcpy(m->addr, a->addr, sizeof(m->addr));
	return 0;
}

/* The queue first: it is newer than the store. */
static void find_queued(struct finding *f, uint64_t id, const char *key)
{
	const struct addresses *a = &f->room->addresses;
	for (size_t i = a->count; i-- > 0;) {
		const struct remembered *m = &a->queue[i];
		if (id ? m->id != id : strcmp(m->key, key) != 0)
			continue;
		struct address v = address_with(m->id, str_of(m->name), str_of(m->key), m->is_guest, m->addr, m->at_ms);
		(void)add_found(f, &v);
	}
}

static int find_named(struct finding *f, const char *name)
{
	char *key = name_key(str_of(name));
	find_queued(f, 0, key);
	const int rc = *key ? store_find_addresses(f->room->o.store, 0, str_of(key), 2 * REMEMBERED_MAX, add_found, f) : 0;
	free(key);
	return rc;
}

int addresses_find(const struct room *r, const char *wanted, struct remembered found[REMEMBERED_MAX])
{
	struct finding f = { r, found, 0 };
	const struct called called = called_of(wanted);
	int rc = 0;
	if (!r->settings.keep_addresses)
		return 0;
	if (called.id) {
		find_queued(&f, called.id, "");
		rc = store_find_addresses(r->o.store, called.id, STR(""), REMEMBERED_MAX, add_found, &f);
	}
	if (rc >= 0 && called.name)
		rc = find_named(&f, called.name);
	if (rc >= 0 && called.literal)
		rc = find_named(&f, called.literal);
	if (rc < 0)
		for (int i = 0; i < f.n; i++)
			remembered_fini(&found[i]);
	return rc < 0 ? rc : f.n;
}

/* --- Beginning and end */

static int load_one(void *arg, const struct address *a)
{
	struct room *r = arg;
	struct user *u = user_get(&r->users, a->user_id);
	if (u) {
		memcpy(u->addr, a->addr, sizeof(u->addr));
		u->addr_at_ms = a->at_ms;
	}
	return 0;
}

int addresses_load(struct room *r)
{
	struct addresses *a = &r->addresses;
	int rc = 0;
	a->kept = store_count_addresses(r->o.store);
	a->was_keeping = r->settings.keep_addresses > 0;
	if (a->kept < 0)
		return -WC_ESTORAGE;
	if (a->was_keeping)
		return store_each_identity_address(r->o.store, load_one, r) < 0 ? -WC_ESTORAGE : 0;
	while (a->kept > 0 && (rc = expire(r, 10000)) > 0)
		;
	return WC_MIN(rc, 0);
}

void addresses_stop(struct room *r)
{
	for (struct user *u = r->users.newest; u; u = u->older) {
		if (!u->sessions || !u->addr_at_ms || !r->settings.keep_addresses)
			continue;
		u->addr_at_ms = r->now_ms; /* the address is the one that it came from: connections have ended by now */
		enqueue(r, u);
	}
	for (size_t before = SIZE_MAX, left; (left = addresses_flush(r)) > 0 && left < before;)
		before = left;
	log_unsaid(r);
}

void addresses_free(struct room *r)
{
	drop_queue(&r->addresses, r->addresses.count);
	drop_here(&r->addresses, r->addresses.here_count);
}
