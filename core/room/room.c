/* room.c — the room's thread: takes batches from the inbox, stores each group in one transaction, then applies and publishes it.
 *
 * Owns struct room from room_open to room_close. Waits for commits, and for a sweep when a log is full; for nothing else. */
#include "room/room.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/fault.h"
#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/pulse.h"
#include "room/impl.h"

#define GROUP_MAX 4096 /* events in one transaction: bounds what a failed commit takes along, and the wait of the first */

/* --- A group: events that share a transaction */

static void storage_result(struct room *r, bool is_well)
{
	if (!is_well && !r->storage_failed)
		log_error("storage failed",
		          "remedy=\"free disk space in the data directory or check its permissions; messages are refused meanwhile\"");
	if (is_well && r->storage_failed)
		log_warn("storage works again", "messages=accepted");
	r->storage_failed = !is_well;
}

void room_try_store(void *room)
{
	struct room *r = room;
	if (r->is_quiet || store_begin(r->o.store) < 0)
		return;
	if (store_finish(r->o.store, store_set_counter(r->o.store, "storage_tried", (uint64_t)(r->now_ms / 1000))) == 0)
		storage_result(r, true);
}

static bool wants_store(const struct event *e)
{
	return e->kind == EV_TEXT || e->kind == EV_FILE || e->kind == EV_VOICE || e->kind == EV_JOIN;
}

static void prepare(struct room *r, struct action *a)
{
	if (a->e->kind == EV_JOIN)
		join_prepare(r, a);
	else
		message_prepare(r, a);
}

/* On a full disk, the rest is not for messages and new people. */
static bool is_refused_for_room(const struct room *r, const struct action *a)
{
	return a->is_stored && space_is_full(r->o.space);
}

static void undo(struct room *r, struct action *a)
{
	if (a->e->kind == EV_JOIN)
		join_undo(r, a);
	a->is_repeat = a->is_stored = a->has_token = false;
}

/* Floods and lockdowns are refused before they cost the store anything. Only a message with a cid still goes on: it may be stored. */
static bool may_pass(struct room *r, struct action *a)
{
	if (a->e->kind == EV_JOIN)
		return !lockdown_bars(r, a);
	if (!a->session || (limit_message(r, a) && !lockdown_silences(r, a)))
		return true;
	return (a->error == ERR_RATE_LIMITED || a->error == ERR_LOCKDOWN) && a->e->cid.len && a->session->user->is_identity;
}

enum txn { TXN_NONE, TXN_READ /* open, nothing written */, TXN_WRITTEN };

/* Runs every event's store work inside one transaction, a savepoint each: one bad event must not take its batch along. */
static enum txn prepare_group(struct room *r)
{
	enum txn txn = TXN_NONE;
	r->group_has_join_1 = false;
	for (int i = 0; i < r->action_count; i++) {
		struct action *a = &r->actions[i];
		r->group_has_join_1 |= a->e->kind == EV_JOIN && a->e->join.version < 2;
		if (!wants_store(a->e) || message_defers(r, a) || !may_pass(r, a))
			continue;
		if (txn == TXN_NONE && store_begin(r->o.store) < 0) {
			storage_result(r, false);
			refuse(a, ERR_STORAGE);
			continue;
		}
		txn = WC_MAX(txn, TXN_READ);
		if (store_savepoint(r->o.store) < 0) {
			refuse(a, ERR_STORAGE);
			continue;
		}
		prepare(r, a);
		if (a->rc == 0 && !is_refused_for_room(r, a) && store_release(r->o.store) == 0) {
			if (a->is_stored)
				txn = TXN_WRITTEN;
			continue;
		}
		store_rollback_to(r->o.store);
		undo(r, a);
		if (a->rc == 0)
			refuse(a, ERR_STORAGE);
	}
	return txn;
}

/* After it, each action either is committed or has its error. last_id: the last one before the group. */
static void commit_group(struct room *r, enum txn txn, uint64_t last_id)
{
	if (txn == TXN_READ)
		store_rollback(r->o.store);
	if (txn != TXN_WRITTEN)
		return;
	int64_t start_us = mono_us();
	if (store_commit(r->o.store) == 0) {
		uint64_t took_us = (uint64_t)(mono_us() - start_us);
		metric_add(M_COMMITS, 1);
		metric_observe(H_COMMIT_SECONDS, took_us);
		storage_result(r, true);
		return;
	}
	metric_add(M_COMMIT_FAILURES, 1);
	storage_result(r, false);
	if (store_was_full(r->o.store))
		space_found_full(r->o.space);
	chores_stored(r, SIZE_MAX / 2);
	for (int i = 0; i < r->action_count; i++) {
		struct action *a = &r->actions[i];
		if (!a->is_stored && !(a->is_repeat && a->msg.id > last_id)) /* the repeat of what is lost is lost with it */
			continue;
		undo(r, a);
		refuse(a, ERR_STORAGE);
	}
}

static bool is_request(const struct event *e)
{
	return e->kind == EV_DM_HISTORY || e->kind == EV_SYNC || e->kind == EV_HISTORY || e->kind == EV_WHO || e->kind == EV_LINK ||
	       e->kind == EV_SIGN_OUT || e->kind == EV_PING || e->kind == EV_BAD;
}

static void apply(struct room *r, struct action *a)
{
	struct event *e = a->e;
	/* A second join is refused, at the price of a request. */
	if ((is_request(e) || e->kind == EV_JOIN) && a->session && !limit_request(r, a))
		return;
	switch (e->kind) {
	case EV_JOIN: join_apply(r, a); break;
	case EV_TEXT:
	case EV_FILE:
	case EV_VOICE: message_apply(r, a); break;
	case EV_TYPING: typing_apply(r, a); break;
	case EV_DM_HISTORY:
	case EV_SYNC:
	case EV_HISTORY: page_apply(r, a); break;
	case EV_WHO: presence_who(r, a); break;
	case EV_LINK: link_apply(r, a); break;
	case EV_SIGN_OUT: sign_out_apply(r, a); break;
	case EV_PING:
		if (a->session && a->session->dialect == DIALECT_2)
			publish_insert(r->pub, a->session, publish_position(r->pub, DIALECT_2), 0, frame_of("{\"type\":\"pong\"}", 15),
			               NULL, NULL);
		break;
	case EV_BAD:
		answer_error(r, e->conn, e->bad.code, e->bad.text, e->cid);
		if (!a->session)
			answer_not_joined(r, e->conn);
		break;
	case EV_ENDING:
		publish_close(r->pub, e->conn, M_LEFT_CLOSED, e->end.code, e->end.reason); /* counted already, as what it was */
		break;
	case EV_CLOSED: leave_apply(r, e->conn); break;
	case EV_CALL:
	case EV_ADMIN: /* run_batch has it run alone */ e->call.fn(e->call.arg); break;
	case EV_STOP: r->is_stopping = true; break;
	}
}

static void apply_group(struct room *r)
{
	for (int i = 0; i < r->action_count; i++)
		apply(r, &r->actions[i]);
}

static void run_group(struct room *r)
{
	const uint64_t last_id = r->last_id;
	enum txn txn = prepare_group(r);
	if (fault("publish-early") && txn == TXN_WRITTEN) {
		apply_group(r);
		publish_flush(r->pub);
		usleep(20000);
		commit_group(r, txn, last_id);
	} else {
		commit_group(r, txn, last_id);
		apply_group(r);
	}
	for (int i = 0; i < r->action_count; i++) {
		free(r->actions[i].copy);
		event_done(r, r->actions[i].e);
	}
	r->action_count = 0;
	users_bury(&r->users);
}

static void add_action(struct room *r, struct event *e)
{
	if (r->action_count == r->action_room) {
		r->action_room = r->action_room ? r->action_room * 2 : 256;
		r->actions = xrealloc(r->actions, (size_t)r->action_room * sizeof(*r->actions));
	}
	struct action *a = &r->actions[r->action_count++];
	memset(a, 0, sizeof(*a));
	a->e = e;
	if (e->conn)
		a->session = conn_session(e->conn);
}

/* It has a transaction of its own, and what its connection sent behind it counts no more. */
static bool ends_token(const struct event *e)
{
	const struct session *s = e->kind == EV_SIGN_OUT ? conn_session(e->conn) : NULL;
	return s && s->token;
}

static void run_batch(struct room *r, struct event *list)
{
	uint64_t events = 0;
	bool has_leave = false;
	clock_look(r);
	while (list) {
		struct event *e = list;
		list = e->next;
		/* A name that frees up within the batch is free for a join behind it; and a join's session exists for what follows it. */
		bool is_alone = e->kind == EV_ADMIN || ends_token(e);
		if ((e->kind == EV_JOIN && has_leave) || r->action_count == GROUP_MAX || is_alone) {
			run_group(r);
			has_leave = false;
		}
		has_leave |= e->kind == EV_CLOSED;
		events++;
		if (event_is_void(e)) {
			event_done(r, e);
			continue;
		}
		add_action(r, e);
		if (is_alone)
			run_group(r);
	}
	run_group(r);
	metric_add(M_BATCHES, 1);
	metric_add(M_BATCH_EVENTS, events);
	metric_observe(H_BATCH_SIZE, events);
}

void room_turn(struct room *r, struct event *batch)
{
	batch = turn_take(r, batch);
	if (batch)
		run_batch(r, batch);
	clock_tick(r);
	lockdown_tick(r);
	presence_tick(r);
	message_tick(r);
	chores_tick(r);
	publish_flush(r->pub);
	if (inbox_done(r->o.inbox, r->turns.held_bytes))
		hubs_wake(r->o.hubs);
}

static void *room_main(void *arg)
{
	struct room *r = arg;
	wc_thread_is(ROLE_ROOM, "room");
	while (!r->is_stopping) {
		int wait_ms = WC_MIN(WC_MIN(presence_timeout_ms(r), chores_timeout_ms(r)), lockdown_timeout_ms(r));
		wait_ms = turn_is_due(r) ? 0 : WC_MIN(wait_ms, message_timeout_ms(r));
		pulse_rest();
		struct event *batch = inbox_take(r->o.inbox, wait_ms);
		pulse_work();
		fault_stall(FAULT_ROOM_STALL_MS);
		room_turn(r, batch);
	}
	pulse_end();
	return NULL;
}

void room_keep_blobs(struct room *r, bool keep)
{
	atomic_store(&r->keeps_blobs, keep);
}

const _Atomic uint32_t *room_first_dialect_readers(const struct room *r)
{
	return &r->dialect_1_count;
}

/* --- Start and end */

static int load_identity(void *arg, const struct identity *who)
{
	struct room *r = arg;
	r->next_user_id = WC_MAX(r->next_user_id, who->id + 1);
	if (user_get(&r->users, who->id) || map_get(&r->users.by_key, who->key.p, who->key.len))
		return 0; /* cannot be: both are unique in the store; the first one stands */
	struct user *u = user_new(&r->users, who->id, who->name, true);
	u->created_ms = who->created_ms;
	u->seen_ms = u->stored_seen_ms = who->seen_ms;
	u->has_dms = who->has_dms;
	u->has_spoken = who->has_spoken;
	u->dm_id = who->dm_id;
	u->dm_floor = who->dm_floor;
	u->peers_are_known = !who->has_dms;
	return 0;
}

static int load_token(void *arg, uint64_t identity_id, const uint8_t hash[WC_SHA_BYTES], int64_t admitted_ms)
{
	struct room *r = arg;
	struct user *u = user_get(&r->users, identity_id);
	if (u && !user_token(&r->users, hash))
		user_add_token(&r->users, u, hash, admitted_ms)->came_back = true;
	return 0;
}

struct tail_load {
	struct room *r;
	int n;
};

static int load_message(void *arg, const struct msg *m)
{
	struct tail_load *l = arg;
	struct room *r = l->r;
	struct shbuf *data64 = NULL;
	r->next_user_id = WC_MAX(r->next_user_id, m->from_id + 1);
	if (m->kind != MSG_TEXT && !(m->flags & (MSG_GONE | MSG_DELETED)) && BASE64_LEN(m->size) <= TAIL_INLINE_BYTES)
		(void)!data64_of_blob(r->o.blobs, m->sha, m->size, 0, &data64);
	tail_add(r->tail, m, data64);
	shbuf_unref(data64);
	l->n++;
	return 0;
}

static void load_deletion(void *arg, uint64_t id, int64_t at_ms, uint64_t target)
{
	struct room *r = arg;
	tail_add_deletion(r->tail, id, at_ms, target);
	r->public_id = WC_MAX(r->public_id, id);
}

static int load_deletions(struct room *r)
{
	uint64_t before;
	int rc = store_recent_deletions(r->o.store, TAIL_PAGE, &before, load_deletion, r);
	tail_set_deletions_before(r->tail, before);
	return rc;
}

static int load(struct room *r, char **cause)
{
	if (store_each_identity(r->o.store, load_identity, r) < 0 || store_each_token(r->o.store, load_token, r) < 0)
		goto fail;
	struct tail_load l = { r, 0 };
	int want = WC_MAX(r->settings.history_limit, TAIL_PAGE);
	if (store_tail(r->o.store, want, load_message, &l) < 0)
		goto fail;
	tail_set_complete(r->tail, l.n < want);
	r->applied_id = store_last_id(r->o.store);
	clock_begin(r);
	r->floor = store_floor(r->o.store);
	r->public_floor = store_public_floor(r->o.store);
	r->public_id = WC_MAX(tail_last_id(r->tail), r->public_floor > 1 ? r->public_floor : 0);
	/* Never an id twice: not after a restore of an old copy, not with nothing stored. */
	ids_start(r, WC_MAX(r->applied_id, r->floor));
	r->next_user_id = WC_MAX(store_counter(r->o.store, "next_user_id"), WC_MAX(r->next_user_id, 1u));
	r->user_id_reserved = r->next_user_id;
	if (addresses_load(r) < 0 || sanctions_load(r) < 0 || load_deletions(r) < 0 || admit_load(r) < 0)
		goto fail;
	lockdown_load(r);
	return 0;
fail:
	wc_cause(cause, "cannot read the database, which may be damaged: wavechatd --check says how, and what to do");
	return -WC_ESTORAGE;
}

static void room_free(struct room *r)
{
	presence_fini(r);
	turn_fini(r);
	sanctions_free(r);
	lockdown_show(LOCKDOWN_OFF, 0);
	addresses_free(r);
	limits_fini(r);
	admit_fini(r);
	codes_fini(&r->codes);
	users_fini(&r->users);
	tail_free(r->tail);
	publisher_free(r->pub);
	buf_fini(&r->scratch);
	buf_fini(&r->scratch_2);
	free(r->actions);
	free(r->withdrawn);
	free(r);
}

int room_open(struct room **out, const struct room_opts *opts, char **cause)
{
	struct room *r = xcalloc(1, sizeof(*r));
	r->o = *opts;
	r->settings = opts->settings;
	r->now_ms = real_ms();
	r->mono_now_ms = mono_ms();
	r->boot_now_ms = boot_ms();
	users_init(&r->users);
	codes_init(&r->codes);
	limits_set(r, NULL);
	r->has_free_pages = true; /* what the last run left */
	turn_init(r);
	r->tail = tail_new(r->settings.history_limit);
	if (opts->recent_bytes != SIZE_MAX)
		tail_bound(r->tail, opts->recent_bytes / 2); /* as much again is for pages being made of them */
	r->pub = publisher_new(opts->hubs, r->users.session_count);
	buf_init_sure(&r->scratch, FRAME_CAP);
	buf_init_sure(&r->scratch_2, FRAME_CAP);
	if (load(r, cause) < 0) {
		room_free(r);
		return -WC_ESTORAGE;
	}
	r->opened_ms = r->now_ms;
	*out = r;
	return 0;
}

void room_close(struct room *r)
{
	chores_stop(r);
	room_free(r);
}

int room_start(struct room **out, const struct room_opts *opts, char **cause)
{
	struct room *r;
	if (room_open(&r, opts, cause) < 0)
		return -WC_ESTORAGE;
	int rc = pthread_create(&r->thread, NULL, room_main, r);
	if (rc) {
		wc_cause(cause, "cannot start the room's thread: %s", strerror(rc));
		room_free(r);
		return -WC_ESTORAGE;
	}
	*out = r;
	return 0;
}

/* --- Other settings */

struct new_settings {
	struct room *room;
	struct room_settings settings;
	bool has_password;
	struct password password;
};

static void take_password(struct room *r, const struct password *p)
{
	const bool was_set = r->admission.password.is_set, is_other = p->mark != r->admission.mark;
	if (!was_set && !p->is_set)
		return;
	if (admit_password(r, p) < 0)
		log_error("join password not remembered", "remedy=\"it is asked for, but tokens need it again after a restart\"");
	log_info("join password", "changed=%s", !p->is_set ? "ended" : !was_set ? "introduced" : is_other ? "yes" : "no");
}

static void take_settings(void *arg)
{
	struct new_settings *n = arg;
	struct room *r = n->room;
	const struct room_settings was = r->settings;
	r->settings = n->settings;
	limits_set(r, &was);
	if (was.join_guesses != r->settings.join_guesses)
		admit_set_guesses(r);
	tail_set_history_limit(r->tail, r->settings.history_limit);
	if (n->has_password)
		take_password(r, &n->password);
	free(n);
}

void room_set(struct room *r, const struct room_settings *settings, const struct password *password)
{
	struct new_settings *n = xcalloc(1, sizeof(*n));
	struct event *e = event_new_small(EV_ADMIN, NULL, 0);
	*n = (struct new_settings){ .room = r, .settings = *settings, .has_password = password != NULL };
	if (password)
		n->password = *password;
	e->call.fn = take_settings;
	e->call.arg = n;
	inbox_push_one(r->o.inbox, e);
}

struct quiesce {
	struct room *room;
	sem_t done;
};

static void quiesce(void *arg)
{
	struct quiesce *q = arg;
	q->room->is_quiet = true;
	message_drop_waiting(q->room);
	sem_post(&q->done);
}

void room_quiesce(struct room *r)
{
	if (!r)
		return;
	struct quiesce q = { .room = r };
	struct event *e = event_new_small(EV_CALL, NULL, 0);
	sem_init(&q.done, 0, 0);
	e->call.fn = quiesce;
	e->call.arg = &q;
	inbox_push_one(r->o.inbox, e);
	while (sem_wait(&q.done) < 0)
		;
	sem_destroy(&q.done);
}

void room_stop(struct room *r)
{
	if (!r)
		return;
	struct event *stop = event_new_small(EV_STOP, NULL, 0);
	inbox_push_one(r->o.inbox, stop);
	pthread_join(r->thread, NULL);
	/* An admin's command that came too late still wants its answer. */
	for (struct event *e = inbox_take(r->o.inbox, 0), *next; e; e = next) {
		next = e->next;
		if (e->kind == EV_ADMIN)
			e->call.fn(e->call.arg);
		event_free(e);
	}
	/* Helpers and I/O threads were joined first: whatever they sent came before the stop. */
	room_close(r);
}
