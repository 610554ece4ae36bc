/* limit.c — how much and how fast people may send: the settings' limits as buckets (pace.h), and the words for those beyond them.
 *
 * Buckets belong to a person, so several tabs share them, and last as long as the room knows the person. Beyond a limit, people are told
 * when to go on; if they ignore it they are muted, and at last disconnected. All is decided before the store is asked: refusing must be
 * cheap. Thread: room. */
#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/metrics.h"
#include "room/impl.h"
#include "state/lockdown.h"

#define REQUEST_BURST_S 10
#define TYPING_BURST_S 3
#define NEW_PEOPLE_S 600
#define UNREAD_WAIT_MS 1000 /* for a file whose bytes were thrown away while its sender was over a limit */

/* burst of them at once, then one each cost_us. */
static struct pace_rate rate(int64_t cost_us, int64_t burst)
{
	return (struct pace_rate){ cost_us, WC_MAX(burst - 1, 0) * cost_us };
}

/* Fills every bucket: what was used under other limits means nothing now. Muted people stay muted. */
static void refill_all(struct room *r)
{
	size_t at = 0;
	for (struct user *u; (u = map_next(&r->users.by_id, &at));)
		u->pace = (struct pace){ .silent_until_us = u->pace.silent_until_us };
}

void limits_set(struct room *r, const struct room_settings *was)
{
	const struct room_settings *o = &r->settings;
	struct pace_limits *p = &r->limits.pace, old = *p;
	*p = (struct pace_limits){ 0 };
	if (o->message_rate)
		p->message = rate(1000000 / o->message_rate, o->message_burst);
	if (o->request_rate)
		p->request = rate(1000000 / o->request_rate, (int64_t)o->request_rate * REQUEST_BURST_S);
	if (o->typing_rate)
		p->typing = rate(1000000 / o->typing_rate, (int64_t)o->typing_rate * TYPING_BURST_S);
	p->bytes_per_s = (int64_t)o->byte_rate_kb * 1024;
	if (p->bytes_per_s)
		p->bytes_ahead_us = (int64_t)o->byte_burst_mb * 1024 * 1024 * 1000 / p->bytes_per_s * 1000 - 1;
	p->mute_us = (int64_t)o->flood_mute_s * 1000000;
	if (was && memcmp(p, &old, sizeof(old)) != 0)
		refill_all(r);
	if (was && was->new_people == o->new_people)
		return;
	iprate_free(r->limits.new_by_ip);
	r->limits.new_by_ip = NULL;
	if (o->new_people) {
		r->limits.new_people = rate((int64_t)NEW_PEOPLE_S * 1000000 / o->new_people, o->new_people);
		r->limits.new_by_ip = iprate_new();
	}
}

void limits_fini(struct room *r)
{
	iprate_free(r->limits.new_by_ip);
}

static int64_t now_us(const struct room *r)
{
	return r->mono_now_ms * 1000;
}

/* Acts on a verdict. True: the action passes. */
static bool obey(struct action *a, enum pace_verdict verdict, bool was_silent, int64_t wait_us, const char *what)
{
	if (verdict == PACE_PASS)
		return true;
	a->is_over = true;
	if (verdict == PACE_WAIT)
		refuse_for(a, ERR_RATE_LIMITED, (wait_us + 999) / 1000, what);
	else
		refuse_for(a, ERR_MUTED, (wait_us + 999) / 1000, "You went on sending too fast and are muted");
	if (verdict == PACE_MUTED && !was_silent)
		metric_add(M_FLOOD_MUTES, 1);
	if (verdict == PACE_CLOSE) {
		a->closes = true;
		a->session->is_sent_away = true;
	}
	return false;
}

static bool is_void(struct action *a)
{
	a->is_void = a->session->is_sent_away;
	return a->is_void;
}

static uint64_t bytes_of(const struct event *e)
{
	return e->kind == EV_TEXT ? e->text.len : e->file.size;
}

bool limit_message(struct room *r, struct action *a)
{
	struct pace *p = &a->session->user->pace;
	const bool was_silent = p->silent_until_us > now_us(r);
	int64_t wait_us = 0;
	if (is_void(a))
		return false;
	enum pace_verdict verdict = pace_check(p, &r->limits.pace, now_us(r), PACE_MESSAGE, bytes_of(a->e), &wait_us);
	if (verdict == PACE_PASS && a->e->kind != EV_TEXT && a->e->file.is_unread && !lockdown_is_read_only()) {
		pace_give_back(p, &r->limits.pace, bytes_of(a->e));
		verdict = PACE_WAIT;
		wait_us = UNREAD_WAIT_MS * 1000;
	}
	if (obey(a, verdict, was_silent, wait_us, "Too many messages at once"))
		return true;
	metric_add(M_LIMITED_MESSAGES, 1);
	/* The next file of this connection is not worth a disk's work before then. */
	conn_refuse_files(a->e->conn, r->mono_now_ms + a->retry_ms);
	return false;
}

void limit_give_back(struct room *r, struct action *a)
{
	if (!a->is_over)
		pace_give_back(&a->session->user->pace, &r->limits.pace, bytes_of(a->e));
}

void limit_repeat(struct room *r, struct action *a)
{
	struct pace *p = &a->session->user->pace;
	const bool was_silent = p->silent_until_us > now_us(r);
	int64_t wait_us = 0;
	limit_give_back(r, a);
	a->is_over = false;
	enum pace_verdict verdict = pace_check(p, &r->limits.pace, now_us(r), PACE_REQUEST, 0, &wait_us);
	if (obey(a, verdict, was_silent, wait_us, "Too many repetitions at once"))
		return;
	a->is_repeat = false;
	metric_add(M_LIMITED_REQUESTS, 1);
}

bool limit_request(struct room *r, struct action *a)
{
	struct pace *p = &a->session->user->pace;
	const bool was_silent = p->silent_until_us > now_us(r);
	int64_t wait_us = 0;
	if (is_void(a))
		return false;
	enum pace_verdict verdict = pace_check(p, &r->limits.pace, now_us(r), PACE_REQUEST, 0, &wait_us);
	if (obey(a, verdict, was_silent, wait_us, "Too many requests at once"))
		return true;
	metric_add(M_LIMITED_REQUESTS, 1);
	answer_error_retry(r, a->e->conn, a->error, (struct str){ a->words, strlen(a->words) }, a->e->cid, a->retry_ms);
	limit_close(r, a);
	return false;
}

void limit_close(struct room *r, struct action *a)
{
	if (a->closes)
		publish_close(r->pub, a->e->conn, M_EVICTED_FLOOD, WS_CLOSE_POLICY, "too fast for too long");
}

bool limit_typing(struct room *r, struct user *u)
{
	if (u->pace.silent_until_us <= now_us(r) && pace_typing(&u->pace, &r->limits.pace, now_us(r)))
		return true;
	metric_add(M_LIMITED_TYPING, 1);
	return false;
}

void limit_new_person_undo(struct room *r, struct action *a)
{
	struct limits *l = &r->limits;
	uint8_t addr[16];
	if (l->new_by_ip && conn_address(a->e->conn, addr) && !ip_in_nets(addr, &r->settings.exempt))
		iprate_add(l->new_by_ip, addr, now_us(r), -l->new_people.cost_us);
}

bool limit_new_person(struct room *r, struct action *a)
{
	struct limits *l = &r->limits;
	uint8_t addr[16];
	if (!l->new_by_ip || !conn_address(a->e->conn, addr) || ip_in_nets(addr, &r->settings.exempt))
		return true;
	int64_t wait_us = iprate_wait(l->new_by_ip, addr, now_us(r), l->new_people.ahead_us);
	if (!wait_us) {
		iprate_add(l->new_by_ip, addr, now_us(r), l->new_people.cost_us);
		return true;
	}
	refuse_for(a, ERR_RATE_LIMITED, (wait_us + 999) / 1000, "Too many new people from your address");
	metric_add(M_LIMITED_NEW_PEOPLE, 1);
	return false;
}
