/* chores.c — the upkeep of the store: retention, names whose hold is over, last-seen times, checkpoints, the collector's turns.
 *
 * The room does its part in small slices, each a transaction of its own between batches. Work that may wait for a disk beyond a commit goes
 * to a helper. Thread: room. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/steady.h"
#include "room/collector.h"
#include "room/impl.h"

#define TURN_MS 1000
#define FULL_TURN_MS 100 /* when a slice of retention was full */
#define SEEN_MS (60 * 1000)
#define EXPIRE_SLICE 200 /* messages a turn */
#define MEMORY_MESSAGES \
	10000 /* public and private ones kept with :memory:, each, or as many as a history has; of the longest texts, twice 160 MB */
#define MEMORY_SLICE 2000
#define VACUUM_PAGES 64
#define DAY_MS (24 * 3600 * 1000LL)
#define CLOCK_KEPT_MS (3600 * 1000) /* so old may the time of day be that is stored */

#define TRIM_CONNECTS 1000 /* connections since the last trim of the heap: a storm leaves holes in it */

struct chore {
	struct room *room;
	bool trims, gives_back;
	uint64_t deletions; /* those that were committed before it began */
	bool is_wiped;      /* their texts are in the database's log no more */
	struct collect_turn collect;
};

static void chore_done(void *arg)
{
	struct chore *c = arg;
	collect_forget(c->room, &c->collect);
	if (c->is_wiped)
		c->room->deletions_wiped = c->deletions;
	c->room->chores_run = false;
	free(c);
}

static void end_chore(void *arg)
{
	struct chore *c = arg;
	struct event *e = event_new_small(EV_CALL, NULL, 0);
	e->call.fn = chore_done;
	e->call.arg = c;
	inbox_push_one(c->room->o.inbox, e);
}

static void run_chore(void *arg, struct store_reader *r)
{
	struct chore *c = arg;
	if (store_checkpoint(r) < 0)
		log_debug("checkpoint failed", "retry=\"in %d ms\"", TURN_MS);
	const int rc = c->gives_back ? store_give_back_log(r) : 1;
	c->is_wiped = rc == 0;
	if (rc < 0)
		log_debug("the log's room is not given back", "retry=\"in %d ms\"", TURN_MS);
	if (c->trims)
		malloc_trim(0);
	collect_run(c->room, r, &c->collect);
	end_chore(c);
}

/* The messages that a slice of retention touched: shown only after the commit. */
struct slice {
	uint64_t expired_through, public_through;
	struct {
		uint64_t person, id;
	} * dms; /* of direct messages: those that they were of */
	int dm_count, dm_room;
	struct {
		uint64_t id;
		uint32_t flags;
	} gone[EXPIRE_SLICE];
	int gone_count;
};

static int on_expired(void *arg, const struct msg *m)
{
	struct slice *s = arg;
	const uint64_t people[] = { m->from_id, m->to_id };
	s->expired_through = WC_MAX(s->expired_through, m->id);
	if (!m->is_dm || !m->to_id)
		s->public_through = WC_MAX(s->public_through, m->id);
	for (size_t i = 0; m->is_dm && i < WC_LEN(people); i++) {
		if (!people[i])
			continue;
		if (s->dm_count == s->dm_room) {
			s->dm_room = s->dm_room ? s->dm_room * 2 : 32;
			s->dms = xrealloc(s->dms, (size_t)s->dm_room * sizeof(*s->dms));
		}
		s->dms[s->dm_count].person = people[i];
		s->dms[s->dm_count++].id = m->id;
	}
	return 0;
}

static int on_evicted(void *arg, const struct msg *m)
{
	struct slice *s = arg;
	if (s->gone_count == EXPIRE_SLICE)
		return 1;
	s->gone[s->gone_count].id = m->id;
	s->gone[s->gone_count++].flags = m->flags | MSG_GONE;
	return 0;
}

static void show_slice(struct room *r, const struct slice *s)
{
	if (s->expired_through) {
		r->floor = WC_MAX(r->floor, s->expired_through);
		r->public_floor = WC_MAX(r->public_floor, s->public_through);
		tail_drop_through(r->tail, s->public_through);
	}
	for (int i = 0; i < s->dm_count; i++) {
		struct user *u = user_get(&r->users, s->dms[i].person);
		if (u && u->is_identity)
			u->dm_floor = WC_MAX(u->dm_floor, s->dms[i].id);
	}
	for (int i = 0; i < s->gone_count; i++)
		tail_set_flags(r->tail, s->gone[i].id, s->gone[i].flags);
}

/* Gives free pages back a few at a time, until none is left. */
static void vacuum(struct room *r)
{
	if (!r->has_free_pages)
		return;
	int left = store_vacuum_some(r->o.store, VACUUM_PAGES);
	if (left < 0)
		log_debug("vacuum failed", "retry=later");
	else
		r->has_free_pages = left > 0;
	r->commits_seen = UINT64_MAX; /* what this wrote goes into the database soon */
}

static uint64_t storage_cap(const struct room *r)
{
	const struct room_settings *o = &r->settings;
	if (blobs_memory_cap(r->o.blobs))
		return blobs_memory_cap(r->o.blobs);
	if (o->max_storage_mb > 0)
		return (uint64_t)o->max_storage_mb * 1024 * 1024;
	return 0;
}

static void retain_some(struct room *r, uint64_t cap, struct slice *slice)
{
	const struct room_settings *o = &r->settings;
	if (store_begin(r->o.store) < 0)
		return;
	int touched = 0, n = 0;
	if (o->retain_days)
		n = store_expire(r->o.store, steady_cut_ms(o->retain_days * DAY_MS), EXPIRE_SLICE, on_expired, slice);
	touched += WC_MAX(n, 0);
	if (n >= 0 && cap)
		n = store_evict_files(r->o.store, cap, EXPIRE_SLICE, on_evicted, slice);
	touched += WC_MAX(n, 0);
	if (n >= 0 && r->o.is_in_memory)
		n = store_trim(r->o.store, WC_MAX(MEMORY_MESSAGES, o->history_limit), MEMORY_SLICE, on_expired, slice);
	touched += WC_MAX(n, 0);
	/* Earlier than it must: messages that come in the meantime need room. */
	if (n >= 0 && r->o.is_in_memory && r->o.messages_bytes != SIZE_MAX)
		n = store_trim_bytes(r->o.store, r->o.messages_bytes / 4 * 3, MEMORY_SLICE, on_expired, slice);
	r->stored_bytes = 0;
	touched += WC_MAX(n, 0);
	if (n < 0 || touched == 0) {
		store_rollback(r->o.store);
		if (n == 0)
			vacuum(r);
		else
			(void)room_made_room(r); /* it is tried again with the next turn */
		return;
	}
	if (store_commit(r->o.store) < 0) {
		log_warn("retention failed", "retry=\"in %d ms\"", TURN_MS);
		(void)room_made_room(r);
		return;
	}
	/* There may be more: a room that talks faster than a slice a turn must not grow for ever. */
	if (touched >= EXPIRE_SLICE)
		r->chores_next_ms = r->mono_now_ms + FULL_TURN_MS;
	show_slice(r, slice);
	r->evicted = true;
	r->has_free_pages = true;
	vacuum(r);
}

static void retain(struct room *r)
{
	struct slice slice = { 0 };
	uint64_t cap = storage_cap(r);
	if (r->settings.retain_days || cap || r->o.is_in_memory)
		retain_some(r, cap, &slice);
	else
		vacuum(r);
	free(slice.dms);
}

#define TOUCHES 1000 /* in one turn */

/* When the tokens of u last let somebody in: the store knows it to a day. */
static int note_tokens(struct room *r, const struct user *u)
{
	int written = 0;
	for (struct token *t = u->tokens; t; t = t->next)
		if (t->admitted_ms - t->stored_ms > DAY_MS && store_admit_token(r->o.store, t->hash, t->admitted_ms) == 0) {
			t->stored_ms = t->admitted_ms;
			written++;
		}
	return written;
}

/* Last-seen times, a name's hold: written now and then, not at every join. */
static void note_seen(struct room *r, bool is_last)
{
	struct user **expired = NULL;
	int expired_count = 0, written = 0;
	const int64_t held_ms = steady_cut_ms(r->settings.name_hold_days * DAY_MS); /* names of people seen since are held */
	const int64_t clock_ms = steady_to_store();
	if (store_begin(r->o.store) < 0)
		return;
	size_t at = 0;
	for (struct user *u; (u = map_next(&r->users.by_id, &at));) {
		if (!u->is_identity)
			continue;
		if (u->sessions)
			u->seen_ms = r->now_ms;
		bool is_stale = u->seen_ms - u->stored_seen_ms > (u->sessions && !is_last ? DAY_MS : 0);
		const bool may_write = written < TOUCHES || is_last;
		if (is_stale && may_write && store_touch(r->o.store, u->id, u->seen_ms) == 0) {
			u->stored_seen_ms = u->seen_ms;
			written++;
		}
		if (may_write)
			written += note_tokens(r, u);
		if (!u->sessions && !u->is_online && u->seen_ms < held_ms && expired_count < 100 && !is_last) {
			expired = xrealloc(expired, (size_t)(expired_count + 1) * sizeof(*expired));
			expired[expired_count++] = u;
		}
	}
	for (int i = 0; i < expired_count; i++)
		if (store_drop_identity(r->o.store, expired[i]->id) < 0)
			expired_count = i;
	const bool keeps_clock = is_last || written + expired_count || clock_ms - r->clock_kept_ms >= CLOCK_KEPT_MS;
	if (keeps_clock && store_set_counter(r->o.store, "clock_ms", (uint64_t)clock_ms) < 0)
		expired_count = 0;
	if (!keeps_clock)
		store_rollback(r->o.store);
	else if (store_commit(r->o.store) < 0)
		expired_count = 0; /* the times are written again when they have moved on */
	else
		r->clock_kept_ms = clock_ms;
	for (int i = 0; i < expired_count; i++)
		user_forget(&r->users, expired[i]);
	users_bury(&r->users);
	free(expired);
}

/* The memory of a row beside its text. */
#define ROW_BYTES 512

void chores_stored(struct room *r, size_t bytes)
{
	if (!r->o.is_in_memory || r->o.messages_bytes == SIZE_MAX)
		return;
	r->stored_bytes += bytes + ROW_BYTES;
	if (r->stored_bytes > r->o.messages_bytes / 16)
		r->chores_next_ms = 0;
}

int chores_timeout_ms(const struct room *r)
{
	return (int)WC_MAX(WC_MIN(r->chores_next_ms - r->mono_now_ms, (int64_t)TURN_MS), 1);
}

/* No restart brings them back then, whatever the clock says. Those of before the start stay while the clock of it is in doubt. */
static void drop_ended(struct room *r)
{
	lockdown_drop_ended(r);
	sanctions_drop_ended(r);
}

void chores_tick(struct room *r)
{
	if (r->mono_now_ms < r->chores_next_ms || r->is_quiet)
		return;
	r->chores_next_ms = r->mono_now_ms + TURN_MS;
	clock_store_ends(r, false);
	retain(r);
	/* The reserve is for bans and deletions, not for addresses and times. */
	const bool is_full = space_is_full(r->o.space);
	const bool has_more = !is_full && addresses_tick(r);
	if (has_more)
		r->chores_next_ms = r->mono_now_ms + FULL_TURN_MS;
	if (!is_full)
		drop_ended(r);
	if (r->mono_now_ms >= r->seen_next_ms && !is_full) {
		r->seen_next_ms = r->mono_now_ms + SEEN_MS;
		note_seen(r, false);
	}
	if (r->chores_run || r->mono_now_ms < r->helper_next_ms)
		return;
	r->helper_next_ms = r->mono_now_ms + TURN_MS;
	uint64_t commits = metric_get(M_COMMITS);
	const bool wipes = r->deletions != r->deletions_wiped;
	bool collects = r->evicted || r->withdrawn_count || collect_is_due(r, &r->collect);
	uint64_t connects = metric_get(M_CONNECTS);
	bool is_calm = connects == r->connects_seen && !has_more;
	bool trims = is_calm && connects - r->connects_trimmed >= TRIM_CONNECTS;
	r->connects_seen = connects;
	if (commits == r->commits_seen && !collects && !trims && !is_full && !wipes)
		return;
	if (trims) {
		r->connects_trimmed = connects;
		store_release_memory(r->o.store);
	}
	r->commits_seen = commits;
	r->evicted = false;
	struct chore *c = xmalloc(sizeof(*c));
	*c = (struct chore){ .room = r,
		             .trims = trims,
		             .gives_back = is_full || wipes,
		             .deletions = r->deletions,
		             .collect = { .state = &r->collect,
		                          .accepts_orphans = r->settings.accepts_orphans,
		                          .withdrawn = r->withdrawn,
		                          .withdrawn_count = r->withdrawn_count } };
	r->withdrawn = NULL;
	r->withdrawn_count = r->withdrawn_room = 0;
	r->chores_run = true;
	helpers_submit(r->o.helpers, &(struct job){ .kind = JOB_UPKEEP, .run = run_chore, .arg = c, .drop = end_chore });
}

void chores_stop(struct room *r)
{
	clock_look(r);
	clock_store_ends(r, true);
	if (!space_is_full(r->o.space)) {
		drop_ended(r);
		note_seen(r, true);
		addresses_stop(r);
	}
}
