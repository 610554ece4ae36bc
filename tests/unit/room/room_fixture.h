/* room_fixture.h — a real room on the test's own thread: a real store in memory, a clock that tests set, clients without sockets.
 *
 * A client is a connection that no I/O thread serves. Mail from the room is put in order here as the hub would, and kept as text. */
#ifndef ROOM_FIXTURE_H
#define ROOM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/ip.h"
#include "base/logmsg.h"
#include "base/sha256.h"
#include "hub/impl.h"
#include "room/impl.h"
#include "room/moderate.h"

#define UNUSED __attribute__((unused))
#define CLIENTS_MAX 1200
#define WAIT_MS 5000 /* for a helper's job */

/* --- The clock: programs of this folder are linked with --wrap. */

static _Atomic int64_t test_mono_ms = 1000000, test_real_ms = 1800000000000;
int64_t __wrap_mono_ms(void);
int64_t __wrap_real_ms(void);
int64_t __wrap_boot_ms(void);
int64_t __wrap_boot_ms(void)
{
	return atomic_load(&test_mono_ms);
}
int64_t __wrap_mono_ms(void)
{
	return atomic_load(&test_mono_ms);
}
int64_t __wrap_real_ms(void)
{
	return atomic_load(&test_real_ms);
}

/* --- Clients */

struct client {
	struct conn *conn;
	int ring; /* -1: not subscribed */
	uint64_t cursor;
	struct mail *first; /* inserts, holds and the close, by `at` */
	char **frame;       /* what arrived, as text */
	int count, seen;    /* seen: by the test */
	int resumes;        /* how often it may have read on */
	int close_code;     /* 0: open */
	char close_reason[128];
	enum metric close_why;
	bool has_left, is_released;
};

struct fixture {
	struct room *room;
	struct room_opts opts;
	struct hubs hubs;
	struct hub hub, *hub_list[1];
	struct client *client[CLIENTS_MAX];
	int client_count;
};

static UNUSED struct client *client_new(struct fixture *f, const char *ip)
{
	struct client *c = xcalloc(1, sizeof(*c));
	assert_true(f->client_count < CLIENTS_MAX);
	f->client[f->client_count++] = c;
	c->ring = -1;
	c->conn = xcalloc(1, sizeof(*c->conn));
	c->conn->hub = &f->hub;
	int bits;
	assert_true(ip_net_parse(ip, c->conn->addr, &bits));
	return c;
}

static struct client *client_of(struct fixture *f, const struct conn *conn)
{
	for (int i = 0; i < f->client_count; i++)
		if (f->client[i]->conn == conn)
			return f->client[i];
	fail_msg("mail for a connection that is none");
	return NULL;
}

/* One whole frame with its header. Returns its length. */
static size_t take_frame(struct client *c, const uint8_t *p, size_t most)
{
	assert_true(most >= 2);
	assert_int_equal(p[0], 0x81); /* a text frame, unfragmented; a server masks nothing */
	size_t at = 2, len = p[1];
	if (p[1] >= 126) {
		at = p[1] == 126 ? 4 : 10;
		len = 0;
		for (size_t i = 2; i < at; i++)
			len = len << 8 | p[i];
	}
	assert_true(at + len <= most);
	c->frame = xrealloc(c->frame, (size_t)(c->count + 1) * sizeof(*c->frame));
	c->frame[c->count] = xcalloc(1, len + 1);
	memcpy(c->frame[c->count++], p + at, len);
	return at + len;
}

static void drop_mail(struct mail *m)
{
	for (int i = 0; i < m->nparts; i++)
		shbuf_unref(m->parts[i]);
	free(m);
}

static void put_in_order(struct client *c, struct mail *m)
{
	struct mail **at = &c->first;
	while (*at && (*at)->at <= m->at)
		at = &(*at)->next;
	m->next = *at;
	*at = m;
}

static void fill_hold(struct client *c, struct mail *fill)
{
	struct mail *hold = c->first;
	while (hold && hold->kind != MAIL_HOLD)
		hold = hold->next;
	assert_non_null(hold);
	hold->kind = MAIL_INSERT;
	for (int i = 0; i < fill->nparts; i++)
		mail_part(hold, fill->parts[i]);
	fill->nparts = 0;
	drop_mail(fill);
}

static void take_insert(struct client *c, const struct mail *m)
{
	struct buf whole;
	buf_init_sure(&whole, 64 * 1024 * 1024);
	for (int i = 0; i < m->nparts; i++)
		buf_put(&whole, m->parts[i]->data, m->parts[i]->len);
	if (whole.len)
		assert_int_equal(take_frame(c, (const uint8_t *)whole.p, whole.len), whole.len);
	buf_fini(&whole);
	if (m->skip) {
		assert_true(m->at == c->cursor); /* what is replaced was not sent yet */
		c->cursor += m->skip;
	}
}

static void take_close(struct client *c, const struct mail *m)
{
	c->close_code = (int)m->skip;
	c->close_why = (enum metric)(M_EVICTED_FIRST + m->why);
	if (m->nparts)
		snprintf(c->close_reason, sizeof(c->close_reason), "%.*s", (int)m->parts[0]->len, (const char *)m->parts[0]->data);
}

/* Sends the log up to its head, and the inserts in between. */
static void send_due(struct fixture *f, struct client *c)
{
	while (!c->close_code) {
		struct mail *m = c->first;
		if (c->ring >= 0) {
			const struct bcast *b = f->hubs.rings[c->ring];
			uint64_t head = bcast_head(b), until = m ? WC_MIN(m->at, head) : head;
			while (c->cursor < until)
				c->cursor += take_frame(c, bcast_at(b, c->cursor), (size_t)(head - c->cursor));
			if (m && m->at > head)
				return;
		}
		if (!m || m->kind == MAIL_HOLD)
			return;
		c->first = m->next;
		if (m->kind == MAIL_CLOSE)
			take_close(c, m);
		else
			take_insert(c, m);
		drop_mail(m);
	}
}

static uint64_t head_of(const struct fixture *f, const struct client *c)
{
	return c->ring < 0 ? 0 : bcast_head(f->hubs.rings[c->ring]);
}

static void take_mail(struct fixture *f, struct mail *m, struct mail ***late_end)
{
	struct client *c = client_of(f, m->conn);
	assert_false(c->is_released); /* nothing follows the last word */
	switch ((enum mail_kind)m->kind) {
	case MAIL_SUBSCRIBE:
		assert_int_equal(c->ring, -1);
		c->ring = (int)m->skip;
		c->cursor = m->at;
		break;
	case MAIL_INSERT:
	case MAIL_HOLD:
		if (m->at != MAIL_AT_HEAD) {
			put_in_order(c, m);
			return;
		} /* fall through */
	case MAIL_CLOSE:
		m->next = NULL;
		**late_end = m;
		*late_end = &m->next;
		return;
	case MAIL_FILL: fill_hold(c, m); return;
	case MAIL_RESUME: c->resumes++; break;
	case MAIL_RELEASE: c->is_released = true; break;
	default: fail_msg("mail of kind %d from the room", m->kind);
	}
	drop_mail(m);
}

/* Takes the mailbox in order, as the hub does, and sends what may go. */
static UNUSED void deliver(struct fixture *f)
{
	struct mail *list = NULL, *late = NULL, **late_end = &late;
	for (struct mail *m = atomic_exchange(&f->hub.mailbox, NULL), *next; m; m = next) {
		next = m->next;
		m->next = list;
		list = m;
	}
	for (struct mail *next; list; list = next) {
		next = list->next;
		take_mail(f, list, &late_end);
	}
	for (struct mail *next; late; late = next) {
		next = late->next;
		struct client *c = client_of(f, late->conn);
		if (late->at == MAIL_AT_HEAD)
			late->at = head_of(f, c);
		put_in_order(c, late);
	}
	for (int i = 0; i < f->client_count; i++)
		send_due(f, f->client[i]);
	for (int r = 0; r < HUB_RINGS; r++)
		bcast_swept(f->hubs.rings[r], 0, bcast_head(f->hubs.rings[r]));
}

/* --- Time */

/* The room takes what was sent so far, as one batch; then what is due. */
static UNUSED void turn(struct fixture *f)
{
	do {
		room_turn(f->room, inbox_take(f->opts.inbox, 0));
		deliver(f);
	} while (turn_is_due(f->room));
}

static UNUSED void after(struct fixture *f, int64_t ms)
{
	atomic_fetch_add(&test_mono_ms, ms);
	atomic_fetch_add(&test_real_ms, ms);
	turn(f);
}

static bool is_busy(const struct fixture *f)
{
	bool busy = f->room->chores_run;
	for (int i = 0; i < f->client_count; i++) {
		const struct client *c = f->client[i];
		const struct session *s = c->has_left ? NULL : conn_session(c->conn);
		busy |= (s && s->jobs > 0) || (c->has_left && !c->is_released);
	}
	return busy;
}

/* One batch from helpers, which is waited for. */
static UNUSED void wait_for_helper(struct fixture *f)
{
	struct event *batch = inbox_take(f->opts.inbox, WAIT_MS);
	assert_non_null(batch);
	room_turn(f->room, batch);
	deliver(f);
}

/* A turn, and all that helpers make of it. */
static UNUSED void settle(struct fixture *f)
{
	turn(f);
	while (is_busy(f))
		wait_for_helper(f);
}

/* --- The room */

static UNUSED struct room_settings some_settings(void)
{
	return (struct room_settings){ .history_limit = 50, .max_file_mb = 1, .name_hold_days = 90, .keep_addresses = 30 };
}

/* password: that a join needs; NULL: none. */
static UNUSED struct fixture *open_room(const struct room_settings *set, const struct password *password)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct room_opts *o = &f->opts;
	char *cause = NULL;
	f->hub.all = &f->hubs;
	f->hub_list[0] = &f->hub;
	f->hubs.v = f->hub_list;
	f->hubs.count = 1;
	for (int r = 0; r < HUB_RINGS; r++)
		assert_non_null(f->hubs.rings[r] = bcast_new(4 * 1024 * 1024, 1));
	log_setup(LOG_ERROR, LOG_TEXT);
	wc_role = ROLE_MAIN;
	assert_int_equal(store_open(&o->store, NULL, DURABILITY_NORMAL, &cause), 0);
	assert_int_equal(blobs_open(&o->blobs, NULL, 0, &cause), 0);
	assert_non_null(o->helpers = helpers_start(&(struct helpers_opts){ 1, o->store, store_reader_open, store_reader_close }, &cause));
	o->inbox = inbox_new(SIZE_MAX);
	o->hubs = &f->hubs;
	o->settings = *set;
	o->is_in_memory = true;
	o->recent_bytes = o->messages_bytes = SIZE_MAX;
	o->password = password;
	assert_int_equal(room_open(&f->room, o, &cause), 0);
	wc_role = ROLE_ROOM;
	settle(f);
	return f;
}

static void drop_clients(struct fixture *f)
{
	for (int i = 0; i < f->client_count; i++) {
		struct client *c = f->client[i];
		for (struct mail *m = c->first, *next; m; m = next) {
			next = m->next;
			drop_mail(m);
		}
		for (int k = 0; k < c->count; k++)
			free(c->frame[k]);
		free(c->frame);
		free(c->conn);
		free(c);
	}
	f->client_count = 0;
}

static UNUSED void leave(struct fixture *f, struct client *c)
{
	assert_false(c->has_left);
	inbox_push_one(f->opts.inbox, event_new_small(EV_CLOSED, c->conn, 0));
	c->has_left = true;
}

/* Everybody goes; each connection must get its last word. */
static void all_leave(struct fixture *f)
{
	for (int i = 0; i < f->client_count; i++)
		if (!f->client[i]->has_left)
			leave(f, f->client[i]);
	settle(f);
	drop_clients(f);
}

/* The same store, and a room that knows no more than what is in it. */
static UNUSED void restart(struct fixture *f, const struct password *password)
{
	char *cause = NULL;
	all_leave(f);
	room_close(f->room);
	deliver(f);
	f->opts.password = password;
	wc_role = ROLE_MAIN;
	assert_int_equal(room_open(&f->room, &f->opts, &cause), 0);
	wc_role = ROLE_ROOM;
	settle(f);
}

static UNUSED void close_room(struct fixture *f)
{
	all_leave(f);
	helpers_stop(f->opts.helpers, 60000);
	room_close(f->room);
	inbox_free(f->opts.inbox);
	blobs_close(f->opts.blobs);
	store_close(f->opts.store);
	for (int r = 0; r < HUB_RINGS; r++)
		bcast_free(f->hubs.rings[r]);
	free(f);
}

/* --- What clients send */

/* One frame, as JSON; taken with the next turn. */
static UNUSED void say(struct fixture *f, struct client *c, const char *format, ...) WC_PRINTF(3, 4);
static UNUSED void say(struct fixture *f, struct client *c, const char *format, ...)
{
	char *json = NULL;
	struct event *e = NULL;
	va_list args;
	va_start(args, format);
	assert_true(vasprintf(&json, format, args) > 0);
	va_end(args);
	assert_int_equal(decode_frame(json, strlen(json), c->conn, &e), 0);
	if (!e)
		fail_msg("not a frame: %s", json);
	free(json);
	if (e->kind == EV_FILE || e->kind == EV_VOICE) { /* as ingest has a helper do it */
		const struct room_settings *set = &f->room->settings;
		bool has_old = atomic_load(room_first_dialect_readers(f->room)) > 0;
		wc_role = ROLE_HELPER;
		prepare_file(&e, f->opts.blobs, 0, set->max_file_mb, has_old ? SIZE_MAX : 0);
		wc_role = ROLE_ROOM;
		e->holds_conn = true;
	}
	inbox_push_one(f->opts.inbox, e);
}

/* --- What they get */

/* The next frame, which must have all the parts; the list ends with NULL. */
static UNUSED const char *expect_parts(struct client *c, ...)
{
	if (c->seen == c->count)
		fail_msg("no frame came%s%s", c->close_code ? "; closed: " : "", c->close_reason);
	const char *frame = c->frame[c->seen++];
	va_list args;
	va_start(args, c);
	for (const char *part; (part = va_arg(args, const char *));)
		if (!strstr(frame, part))
			fail_msg("no %s in %s", part, frame);
	va_end(args);
	return frame;
}
#define expect(c, ...) expect_parts(c, __VA_ARGS__, NULL)

static UNUSED void expect_nothing(const struct client *c)
{
	if (c->seen < c->count)
		fail_msg("unexpected: %s", c->frame[c->seen]);
}

static UNUSED void expect_closed(struct client *c, int code, const char *reason)
{
	expect_nothing(c);
	assert_int_equal(c->close_code, code);
	assert_string_equal(c->close_reason, reason);
}

static UNUSED void expect_open(const struct client *c)
{
	if (c->close_code)
		fail_msg("closed: %d %s", c->close_code, c->close_reason);
}

/* Passes by all frames up to the next one of this type. */
static UNUSED const char *skip_to(struct client *c, const char *type)
{
	char want[64];
	snprintf(want, sizeof(want), "{\"type\":\"%s\"", type);
	while (c->seen < c->count)
		if (strncmp(c->frame[c->seen++], want, strlen(want)) == 0)
			return c->frame[c->seen - 1];
	fail_msg("no frame of type %s", type);
	return NULL;
}

/* Passes by what is there. */
static UNUSED void forget_frames(struct fixture *f)
{
	for (int i = 0; i < f->client_count; i++)
		f->client[i]->seen = f->client[i]->count;
}

/* The number behind "name": in a frame. */
static UNUSED uint64_t number_of(const char *frame, const char *name)
{
	char want[64];
	snprintf(want, sizeof(want), "\"%s\":", name);
	const char *at = strstr(frame, want);
	if (!at)
		fail_msg("no %s in %s", name, frame);
	return strtoull(at + strlen(want), NULL, 10);
}

/* The text behind "name":" up to the next quote, which must be there. Free it. */
static UNUSED char *text_of(const char *frame, const char *name)
{
	char want[64];
	snprintf(want, sizeof(want), "\"%s\":\"", name);
	const char *at = strstr(frame, want);
	if (!at)
		fail_msg("no %s in %s", name, frame);
	at += strlen(want);
	return strndup(at, strcspn(at, "\""));
}

/* A client of the second dialect, joined; its init has been seen. With init: the frame. */
static UNUSED struct client *join_2(struct fixture *f, const char *ip, const char *name)
{
	struct client *c = client_new(f, ip);
	say(f, c, "{\"type\":\"join\",\"v\":2,\"name\":\"%s\"}", name);
	turn(f);
	expect(c, "{\"type\":\"init\"", "\"v\":2");
	return c;
}

static UNUSED struct client *join_1(struct fixture *f, const char *ip, const char *name)
{
	struct client *c = client_new(f, ip);
	say(f, c, "{\"type\":\"join\",\"name\":\"%s\"}", name);
	turn(f);
	expect(c, "{\"type\":\"init\"");
	return c;
}

static UNUSED char *token_of(const struct client *c)
{
	return text_of(c->frame[0], "token");
}

/* Joins again from `since`; the init, once helpers are done. */
static UNUSED const char *resume(struct fixture *f, const char *token, uint64_t since)
{
	struct client *c = client_new(f, "10.0.0.1");
	say(f, c, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\",\"since\":%llu}", token, (unsigned long long)since);
	settle(f);
	return expect(c, "{\"type\":\"init\"");
}

static UNUSED struct user *user_of(const struct client *c)
{
	const struct session *s = conn_session(c->conn);
	assert_non_null(s);
	return s->user;
}

static UNUSED struct password a_password(const char *text, uint64_t mark)
{
	struct password p = { .is_set = true, .salt = { 1, 2, 3 }, .mark = mark };
	uint8_t both[PASSWORD_DIGEST_BYTES + 64];
	const size_t len = strlen(text);
	assert_true(len <= 64);
	memcpy(both, p.salt, sizeof(p.salt));
	memcpy(both + sizeof(p.salt), text, len);
	sha256(p.digest, both, sizeof(p.salt) + len);
	return p;
}

/* The nth step of the store from now on fails as a broken disk makes it. 0: none does. */
static UNUSED void break_store(struct fixture *f, int nth)
{
	enum { IO_ERROR = 10 }; /* SQLITE_IOERR */
	store_test_fail_after(f->opts.store, nth, IO_ERROR);
}

/* Time enough for ticks, and their frames are passed by. */
static UNUSED void calm(struct fixture *f)
{
	after(f, 1000);
	settle(f);
	forget_frames(f);
}

/* --- What an admin does */

enum order_kind { ORDER_SANCTION, ORDER_PARDON, ORDER_LIST, ORDER_KICK, ORDER_SLOW, ORDER_LOCKDOWN, ORDER_SAY, ORDER_DELETE };

struct order {
	struct command c;
	enum order_kind what;
	enum sanction_act act;
	const char *user, *name, *net, *text, *reason;
	int64_t for_ms;
	bool with_ip, force, replace;
	uint64_t id;
	const uint64_t *ids;
	size_t id_count;
	int seconds; /* below 0 only asks */
	int level;
};

static void order_run(struct room *r, struct command *c)
{
	const struct order *o = (const struct order *)c;
	const struct sanction_target of = { o->act, o->user, o->name, o->net };
	const struct sanction_order sanction = { of, o->for_ms, o->with_ip, o->force, o->replace };
	const struct lockdown_order lockdown = { o->level != LOCKDOWN_OFF, o->level == LOCKDOWN_READ_ONLY, o->for_ms };
	switch (o->what) {
	case ORDER_SANCTION: moderate_sanction(r, c, &sanction); break;
	case ORDER_PARDON: moderate_pardon(r, c, &of, o->id); break;
	case ORDER_LIST: moderate_sanctions(r, c, o->act); break;
	case ORDER_KICK: moderate_kick(r, c, o->user); break;
	case ORDER_SLOW: moderate_slow(r, c, o->seconds); break;
	case ORDER_LOCKDOWN: moderate_lockdown(r, c, o->level < 0 ? NULL : &lockdown); break;
	case ORDER_SAY: moderate_say(r, c, o->text); break;
	case ORDER_DELETE: (void)moderate_delete(r, c, o->ids, o->id_count, false); break;
	}
}

static void order_done(struct command *c)
{
	buf_putc(&c->out, '\0');
}

/* It is to be carried out with the next turn. */
static UNUSED void hand_over(struct fixture *f, struct order *o)
{
	o->c.verb = "test";
	o->c.reason = o->reason;
	o->c.run = order_run;
	o->c.done = order_done;
	buf_init_sure(&o->c.out, 1024 * 1024);
	room_command(f->room, &o->c);
}

/* Carries it out, between two batches. o->c.out is terminated; free it with buf_fini. */
static UNUSED void carry_out(struct fixture *f, struct order *o)
{
	hand_over(f, o);
	turn(f);
}

/* The same, and compares the status and a part of the answer. */
static UNUSED void expect_order(struct fixture *f, struct order o, int status, const char *part)
{
	carry_out(f, &o);
	if (o.c.status != status || !strstr(o.c.out.p, part))
		fail_msg("status %d, and not %d with %s: %s", o.c.status, status, part, o.c.out.p);
	buf_fini(&o.c.out);
}

#endif
