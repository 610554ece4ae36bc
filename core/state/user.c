/* user.c — see user.h. */
#include "state/user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void users_init(struct users *us)
{
	*us = (struct users){ 0 };
	map_init(&us->by_id);
	map_init(&us->by_key);
	map_init(&us->tokens);
	held_init(&us->held);
}

static void user_free(struct user *u)
{
	for (int i = 0; i < u->peer_count; i++)
		free(u->peers[i].name);
	free(u->peers);
	free(u);
}

void users_fini(struct users *us)
{
	users_bury(us);
	size_t at = 0;
	for (struct token *t; (t = map_next(&us->tokens, &at));)
		free(t);
	at = 0;
	for (struct user *u; (u = map_next(&us->by_id, &at));) {
		while (u->sessions) {
			struct session *s = u->sessions;
			u->sessions = s->next;
			free(s);
		}
		user_free(u);
	}
	for (int d = 0; d < DIALECTS; d++)
		free(us->sessions[d]);
	map_fini(&us->by_id);
	map_fini(&us->by_key);
	map_fini(&us->tokens);
	held_fini(&us->held);
}

/* How the name looks is worked out anew when it goes, rather than kept. */
static void hold_looks(struct users *us, const struct user *u, void (*fn)(struct held *h, const char *key))
{
	struct looks looks;
	looks_of_name(&looks, (struct str){ u->name, u->name_len });
	for (int i = 0; i < looks.count; i++)
		fn(&us->held, looks.key[i]);
	looks_fini(&looks);
}

struct user *user_new(struct users *us, uint64_t id, struct str name, bool is_identity)
{
	char *key = name_key(name);
	struct buf b;
	buf_init_sure(&b, 65536);
	buf_put(&b, name.p, name.len);
	buf_putc(&b, 0);
	buf_put(&b, key, strlen(key) + 1);
	size_t json_at = b.len;
	encode_user(&b, id, name);
	WC_ASSERT(!b.failed);
	struct user *u = xcalloc(1, sizeof(*u) + b.len + 1);
	memcpy(u->text, b.p, b.len);
	u->id = id;
	u->is_identity = is_identity;
	u->name = u->text;
	u->name_len = (uint16_t)name.len;
	u->key = u->name + name.len + 1;
	u->json = u->name + json_at;
	u->json_len = (uint16_t)(b.len - json_at);
	buf_fini(&b);
	free(key);
	hold_looks(us, u, held_add);
	map_put(&us->by_id, &u->id, sizeof(u->id), u);
	map_put(&us->by_key, u->key, strlen(u->key), u);
	return u;
}

struct user *user_get(const struct users *us, uint64_t id)
{
	return map_get(&us->by_id, &id, sizeof(id));
}

void user_remove(struct users *us, struct user *u)
{
	WC_ASSERT(!u->sessions);
	user_set_online(us, u, false);
	map_del(&us->by_id, &u->id, sizeof(u->id));
	map_del(&us->by_key, u->key, strlen(u->key));
	hold_looks(us, u, held_remove);
	u->newer = us->gone;
	us->gone = u;
}

void user_forget(struct users *us, struct user *u)
{
	while (u->tokens) {
		struct token *t = u->tokens;
		u->tokens = t->next;
		map_del(&us->tokens, t->hash, WC_SHA_BYTES);
		free(t);
	}
	user_remove(us, u);
}

void users_bury(struct users *us)
{
	while (us->gone) {
		struct user *u = us->gone;
		us->gone = u->newer;
		user_free(u);
	}
}

static bool is_free(const struct users *us, const struct held *barred, struct str name)
{
	struct looks wish;
	looks_of_wish(&wish, name);
	bool is_held = held_has(&us->held, &wish) || (barred && held_has(barred, &wish));
	looks_fini(&wish);
	return !is_held;
}

#define DIGITS_MAX 7 /* of a number behind a name */

/* The part of a name before a number, and how it looks. */
struct head {
	char name[WC_NAME_BYTES + 1];
	size_t len;
	struct looks wish;
};

/* The number is never what gets cut, so the more digits it has, the less there is before it. */
static void cut_head(struct head *h, struct str base, uint32_t digits)
{
	char name[WC_NAME_BYTES + 1];
	size_t len = name_clean(name, utf8_prefix(base, WC_NAME_POINTS - 1 - digits));
	if (len == h->len)
		return;
	memcpy(h->name, name, len + 1);
	h->len = len;
	looks_fini(&h->wish);
	looks_of_wish(&h->wish, (struct str){ name, len });
}

/* The lowest number that is neither taken nor barred; 0: none is left. */
static uint32_t next_number(const struct users *us, const struct held *barred, const struct head *h, uint32_t low, uint32_t high)
{
	for (;;) {
		const uint32_t n = held_free_number(&us->held, &h->wish, low, high);
		if (!n || !barred)
			return n;
		low = held_free_number(barred, &h->wish, n, high);
		if (!low || low == n)
			return low;
	}
}

static bool free_number(const struct users *us, const struct held *barred, const struct head *h, uint32_t low, uint32_t high,
                        char out[WC_NAME_BYTES + 1])
{
	for (uint32_t n = low; n <= high && (n = next_number(us, barred, h, n, high)); n++) {
		char suffix[16];
		int suffix_len = snprintf(suffix, sizeof(suffix), " %u", n);
		memcpy(out, h->name, h->len);
		memcpy(out + h->len, suffix, (size_t)suffix_len + 1);
		if (is_free(us, barred, str_of(out)))
			return true;
	}
	return false;
}

void user_free_name(struct users *us, const struct held *barred, struct str wanted, uint64_t id, char out[WC_NAME_BYTES + 1])
{
	char base[WC_NAME_BYTES + 1];
	size_t base_len = name_clean(base, wanted);
	if (base_len == 0)
		base_len = (size_t)snprintf(base, sizeof(base), "User%llu", (unsigned long long)id);
	memcpy(out, base, base_len + 1);
	if (is_free(us, NULL, (struct str){ base, base_len }))
		return;
	struct head head = { .len = 0 };
	uint32_t low = 2, high = 9, digits = 1;
	bool is_found = false;
	for (; !is_found && digits <= DIGITS_MAX; digits++, low = high + 1, high = high * 10 + 9) {
		cut_head(&head, (struct str){ base, base_len }, digits);
		is_found = free_number(us, barred, &head, low, high, out);
	}
	looks_fini(&head.wish);
	WC_ASSERT(is_found); /* or there are ten million people of one name */
}

static void unlink_active(struct users *us, struct user *u)
{
	if (u->newer)
		u->newer->older = u->older;
	else
		us->newest = u->older;
	if (u->older)
		u->older->newer = u->newer;
	else
		us->oldest = u->newer;
	u->newer = u->older = NULL;
}

static void link_newest(struct users *us, struct user *u)
{
	u->older = us->newest;
	u->newer = NULL;
	if (us->newest)
		us->newest->newer = u;
	else
		us->oldest = u;
	us->newest = u;
}

void user_set_online(struct users *us, struct user *u, bool is_online)
{
	if (u->is_online == is_online)
		return;
	u->is_online = is_online;
	if (is_online) {
		link_newest(us, u);
		us->online++;
	} else {
		unlink_active(us, u);
		us->online--;
	}
}

void user_add_peer(struct user *u, uint64_t peer_id, struct str peer_name, uint64_t last_id)
{
	if (!u->is_identity || !u->peers_are_known)
		return;
	int i = 0;
	while (i < u->peer_count && u->peers[i].id != peer_id)
		i++;
	if (i == u->peer_count && i < USER_PEERS) {
		u->peers = xrealloc(u->peers, (size_t)(i + 1) * sizeof(*u->peers));
		u->peers[u->peer_count++] = (struct peer){ 0 };
	}
	if (i == USER_PEERS)
		i = 0; /* the one unheard of the longest makes room */
	free(u->peers[i].name);
	memmove(&u->peers[i], &u->peers[i + 1], (size_t)(u->peer_count - 1 - i) * sizeof(*u->peers));
	struct peer *p = &u->peers[u->peer_count - 1];
	*p = (struct peer){ peer_id, last_id, xmalloc(peer_name.len + 1) };
	memcpy(p->name, peer_name.p, peer_name.len);
	p->name[peer_name.len] = 0;
}

void user_active(struct users *us, struct user *u)
{
	if (!u->is_online || us->newest == u)
		return;
	unlink_active(us, u);
	link_newest(us, u);
}

static void link_token(struct token **at, struct token *t)
{
	t->next = *at;
	*at = t;
}

static void unlink_token(struct token *t)
{
	struct token **at = &t->user->tokens;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
}

struct token *user_add_token(struct users *us, struct user *u, const uint8_t hash[WC_SHA_BYTES], int64_t admitted_ms)
{
	struct token *t = xcalloc(1, sizeof(*t));
	t->admitted_ms = t->stored_ms = admitted_ms;
	memcpy(t->hash, hash, WC_SHA_BYTES);
	t->user = u;
	link_token(&u->tokens, t);
	map_put(&us->tokens, t->hash, WC_SHA_BYTES, t);
	return t;
}

void user_used_token(struct token *t, int64_t at_ms)
{
	unlink_token(t);
	link_token(&t->user->tokens, t);
	t->admitted_ms = WC_MAX(t->admitted_ms, at_ms);
}

void user_attach_token(struct users *us, struct token *t)
{
	struct token **at = &t->user->tokens;
	while (*at)
		at = &(*at)->next;
	link_token(at, t);
	map_put(&us->tokens, t->hash, WC_SHA_BYTES, t);
}

void user_detach_token(struct users *us, struct token *t)
{
	unlink_token(t);
	map_del(&us->tokens, t->hash, WC_SHA_BYTES);
}

void user_end_token(struct users *us, struct token *t)
{
	user_detach_token(us, t);
	free(t);
}

struct token *user_token(const struct users *us, const uint8_t hash[WC_SHA_BYTES])
{
	return map_get(&us->tokens, hash, WC_SHA_BYTES);
}

struct session *session_new(struct users *us, struct user *u, struct conn *c, enum dialect d)
{
	struct session *s = xcalloc(1, sizeof(*s));
	s->conn = c;
	s->user = u;
	s->dialect = d;
	s->next = u->sessions;
	u->sessions = s;
	if (us->session_count[d] == us->session_room[d]) {
		us->session_room[d] = us->session_room[d] ? us->session_room[d] * 2 : 64;
		us->sessions[d] = xrealloc(us->sessions[d], us->session_room[d] * sizeof(*us->sessions[d]));
	}
	s->slot = us->session_count[d]++;
	us->sessions[d][s->slot] = s;
	return s;
}

void session_unlink(struct users *us, struct session *s)
{
	struct session **at = &s->user->sessions;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->next = NULL;
	struct session **v = us->sessions[s->dialect];
	v[s->slot] = v[--us->session_count[s->dialect]];
	v[s->slot]->slot = s->slot;
	if (us->session_count[s->dialect] == 0) {
		free(v);
		us->sessions[s->dialect] = NULL;
		us->session_room[s->dialect] = 0;
	}
}
