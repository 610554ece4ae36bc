/* lockdown.c — a lockdown at work: whom it refuses, what clients are told, and its end (see state/lockdown.h).
 *
 * People known by a token, or by a code of their other device, come and go as ever. Guests of the first dialect are new each time.
 * A refusal costs the store nothing but the search for a repeated message. Level and end are two counters of the database.
 * The admin's command is moderate_lockdown.c. Thread: room (main while it loads). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/steady.h"
#include "room/impl.h"
#include "state/lockdown.h"

static bool is_over(const struct lockdown *l, int64_t boot_now_ms)
{
	return l->ends_ms && l->ends_ms <= boot_now_ms;
}

static int64_t left_ms(const struct room *r)
{
	return r->lockdown.ends_ms ? WC_MAX(r->lockdown.ends_ms - r->boot_now_ms, (int64_t)1) : 0;
}

static const char *name_of(enum lockdown_level level)
{
	return level == LOCKDOWN_READ_ONLY ? "read_only" : "new_people";
}

static void set(struct room *r, struct lockdown l)
{
	r->lockdown = l;
	lockdown_show(l.level, l.ends_ms);
}

static struct lockdown ended(const struct lockdown *l)
{
	return (struct lockdown){
		.level = LOCKDOWN_OFF, .loaded_ms = l->loaded_ms, .is_ended = l->level != LOCKDOWN_OFF, .ended_level = l->level
	};
}

void lockdown_load(struct room *r)
{
	struct lockdown l = { .level = (enum lockdown_level)store_counter(r->o.store, "lockdown"),
		              .until_ms = (int64_t)store_counter(r->o.store, "lockdown_until") };

	l.loaded_ms = l.until_ms;
	l.ends_ms = l.until_ms ? steady_deadline_ms(l.until_ms) : 0;
	if (l.level > LOCKDOWN_READ_ONLY)
		l = (struct lockdown){ .level = LOCKDOWN_OFF, .is_ended = true };
	else if (is_over(&l, boot_ms()))
		l = ended(&l);
	set(r, l);
	if (l.level)
		log_warn("lockdown", "level=%s ends=\"%s\" remedy=\"wavechatctl lockdown off ends it\"", name_of(l.level),
		         l.until_ms ? "by itself; wavechatctl lockdown says when" : "by an admin alone");
}

/* --- Refusals */

static void refuse_locked(const struct room *r, struct action *a, const char *what)
{
	char until[64] = "";
	time_t t = (time_t)(r->lockdown.until_ms / 1000);
	struct tm tm;

	if (r->lockdown.until_ms && gmtime_r(&t, &tm))
		strftime(until, sizeof(until), " (until %Y-%m-%d %H:%M:%S UTC)", &tm);
	char *words = NULL;
	if (asprintf(&words, "%s%s", what, until) < 0)
		abort();
	refuse_saying(a, ERR_LOCKDOWN, left_ms(r), words);
}

bool lockdown_bars(struct room *r, struct action *a)
{
	const struct event *e = a->e;

	if (!r->lockdown.level || a->session || (e->join.version >= 2 && (e->join.token.len || e->join.code.len)))
		return false;
	refuse_locked(r, a, "This chat lets no new people in now: an admin has locked it down");
	metric_add(M_LOCKDOWN_JOINS, 1);
	return true;
}

bool lockdown_silences(struct room *r, struct action *a)
{
	if (r->lockdown.level != LOCKDOWN_READ_ONLY)
		return false;
	refuse_locked(r, a, "Nobody can write now: an admin has locked this chat down");
	return true;
}

bool lockdown_stops_typing(struct room *r)
{
	if (r->lockdown.level != LOCKDOWN_READ_ONLY)
		return false;
	metric_add(M_LOCKDOWN_TYPING, 1);
	return true;
}

/* --- What clients are told */

static void put_state(struct buf *b, const struct room *r)
{
	buf_printf(b, "\"read_only\":%s", r->lockdown.level == LOCKDOWN_READ_ONLY ? "true" : "false");
	if (r->lockdown.until_ms)
		buf_printf(b, ",\"retry_ms\":%lld", (long long)left_ms(r));
}

void lockdown_put_init(struct room *r)
{
	if (!r->lockdown.level)
		return;
	buf_puts(&r->scratch, ",\"lockdown\":{");
	put_state(&r->scratch, r);
	buf_putc(&r->scratch, '}');
}

static void tell(struct room *r)
{
	size_t len;

	if (r->users.session_count[DIALECT_2] == 0)
		return;
	buf_reset(&r->scratch);
	buf_printf(&r->scratch, "{\"type\":\"lockdown\",\"on\":%s,", r->lockdown.level ? "true" : "false");
	put_state(&r->scratch, r);
	buf_putc(&r->scratch, '}');
	publish_frame(r->pub, DIALECT_2, r->scratch.p, r->scratch.len, &len);
}

void lockdown_set(struct room *r, struct lockdown l)
{
	set(r, l);
	tell(r);
}

/* --- Its end */

void lockdown_follow_clock(struct room *r)
{
	struct lockdown l = r->lockdown;

	if (l.is_ended && l.loaded_ms > steady_ms() && steady_mended()) { /* by a clock that was ahead */
		lockdown_set(r, (struct lockdown){ .level = l.ended_level,
		                                   .until_ms = l.loaded_ms,
		                                   .ends_ms = steady_deadline_ms(l.loaded_ms),
		                                   .loaded_ms = l.loaded_ms });
		log_warn("lockdown", "level=%s ends=\"by itself; wavechatctl lockdown says when\" cause=\"the clock was ahead\"",
		         name_of(l.ended_level));
	}
	if (!l.ends_ms)
		return;
	const bool is_moved = end_follow_clock(&l.until_ms, &l.ends_ms, l.loaded_ms);
	set(r, l);
	if (is_moved)
		tell(r);
}

void lockdown_hold(struct room *r)
{
	struct lockdown l = r->lockdown;

	if (end_hold(&l.ends_ms, l.loaded_ms))
		lockdown_set(r, l);
}

int lockdown_store_end(struct room *r)
{
	const struct lockdown *l = &r->lockdown;

	return l->ends_ms ? store_set_counter(r->o.store, "lockdown_until", (uint64_t)l->until_ms) : 0;
}

int lockdown_timeout_ms(const struct room *r)
{
	if (!r->lockdown.ends_ms)
		return INT32_MAX;
	return (int)WC_MIN(WC_MAX(r->lockdown.ends_ms - boot_ms(), (int64_t)1), (int64_t)INT32_MAX);
}

void lockdown_tick(struct room *r)
{
	if (!is_over(&r->lockdown, r->boot_now_ms))
		return;
	lockdown_set(r, ended(&r->lockdown));
	log_info("lockdown", "level=off ends=\"its time is over\"");
}

void lockdown_drop_ended(struct room *r)
{
	if (!r->lockdown.is_ended || (r->lockdown.loaded_ms && steady_in_doubt()))
		return;
	int rc = store_begin(r->o.store);
	if (rc == 0)
		rc = store_set_counter(r->o.store, "lockdown", LOCKDOWN_OFF);
	if (rc == 0)
		rc = store_set_counter(r->o.store, "lockdown_until", 0);
	r->lockdown.is_ended = store_finish(r->o.store, rc) < 0; /* the next turn tries again */
}
