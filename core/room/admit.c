/* admit.c — the join password: who needs it, what is told, and how guessing is slowed.
 *
 * A token needs no password if it was made, or let in by the password, since the password last changed. So each token has the time of its
 * admission, and the room the time of the last change.
 * Wrong guesses are counted by address, so an attacker locks out only the own address. During a storm of guesses from many addresses, as
 * from a botnet, each address has only two guesses, and one more every half minute. Thread: room (main while it loads). */
#include <string.h>

#include "base/ip.h"
#include "base/logmsg.h"
#include "base/metrics.h"
#include "room/impl.h"

#define GUESSES_IN_ALL 20 /* times what one address may: from there on it is a storm */

int admit_load(struct room *r)
{
	struct admission *d = &r->admission;
	d->since_ms = (int64_t)store_counter(r->o.store, "join_password_since");
	d->mark = store_counter(r->o.store, "join_password_mark");
	admit_set_guesses(r);
	return r->o.password ? admit_password(r, r->o.password) : 0;
}

void admit_set_guesses(struct room *r)
{
	struct admission *d = &r->admission;
	const int64_t guesses = r->settings.join_guesses;
	iprate_free(d->guesses);
	d->guesses = NULL;
	d->all_full_us = 0;
	if (!guesses)
		return;
	d->guess_us = 60 * 1000000 / guesses;
	d->ahead_us = (guesses - 1) * d->guess_us;
	d->guesses = iprate_new();
}

void admit_fini(struct room *r)
{
	iprate_free(r->admission.guesses);
}

int64_t admit_stamp(const struct room *r)
{
	return WC_MAX(r->now_ms, r->admission.since_ms);
}

/* No clock that was ever wrong may let an old token pass for a new one. */
static int64_t newest_admission(const struct room *r)
{
	int64_t newest = r->now_ms;
	size_t at = 0;
	for (const struct token *t; (t = map_next(&r->users.tokens, &at));)
		newest = WC_MAX(newest, t->admitted_ms);
	return newest;
}

static int write_mark(struct room *r)
{
	const struct admission *d = &r->admission;
	int rc = store_begin(r->o.store);
	if (rc == 0)
		rc = store_set_counter(r->o.store, "join_password_since", (uint64_t)d->since_ms);
	if (rc == 0)
		rc = store_set_counter(r->o.store, "join_password_mark", d->mark);
	return store_finish(r->o.store, rc);
}

static int remember(struct room *r)
{
	int rc = write_mark(r);
	return rc < 0 && room_made_room(r) ? write_mark(r) : rc;
}

int admit_password(struct room *r, const struct password *p)
{
	struct admission *d = &r->admission;
	d->password = *p;
	if (!p->is_set || p->mark == d->mark)
		return 0;
	d->mark = p->mark;
	d->since_ms = newest_admission(r) + 1;
	/* People who are here stay, but cannot let another device in by a link. */
	codes_clear(&r->codes);
	for (enum dialect k = DIALECT_1; k < DIALECTS; k++)
		for (uint32_t i = 0; i < r->users.session_count[k]; i++)
			r->users.sessions[k][i]->is_admitted = false;
	return remember(r);
}

/* The price of a wrong guess for its address. */
static int64_t price(const struct admission *d, int64_t now_us)
{
	bool is_storm = d->all_full_us - now_us > d->ahead_us + d->guess_us;
	return is_storm ? WC_MAX(d->guess_us, (d->ahead_us + d->guess_us) / 2) : d->guess_us;
}

bool admit_by_password(struct room *r, struct action *a)
{
	struct admission *d = &r->admission;
	const int64_t now_us = r->mono_now_ms * 1000;
	struct sockaddr_storage peer;
	uint8_t addr[16];
	if (!d->password.is_set)
		return true;
	if (!a->e->join.password.len) {
		refuse(a, ERR_PASSWORD_REQUIRED);
		return false;
	}
	conn_peer(a->e->conn, &peer);
	bool is_counted = d->guesses && ip_bytes(&peer, addr);
	int64_t wait_us = is_counted ? iprate_wait(d->guesses, addr, now_us, d->ahead_us) : 0;
	if (wait_us) {
		limit_refuse_guess(a, wait_us);
		return false;
	}
	if (password_matches(&d->password, a->e->join.password))
		return true;
	if (is_counted) {
		iprate_add(d->guesses, addr, now_us, price(d, now_us));
		d->all_full_us = WC_MAX(d->all_full_us, now_us) + d->guess_us / GUESSES_IN_ALL;
	}
	refuse(a, ERR_BAD_PASSWORD);
	return false;
}

bool admit_has(const struct room *r, const struct token *t)
{
	return !r->admission.password.is_set || t->admitted_ms >= r->admission.since_ms;
}

bool admit_by_token(struct room *r, struct action *a, struct token *t)
{
	if (admit_has(r, t))
		return true;
	if (!admit_by_password(r, a))
		return false;
	if (store_admit_token(r->o.store, t->hash, admit_stamp(r)) < 0) {
		refuse(a, ERR_STORAGE);
		return false;
	}
	a->admits = t;
	a->is_stored = true;
	return true;
}
