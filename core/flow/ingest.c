/* ingest.c — see ingest.h.
 *
 * A connection is paused while the room has its first frame: frames behind a join wait for its answer. It is also paused while a helper has
 * one of its frames, so that the order holds. Events of one I/O thread's turn are pushed as one chain. */
#include "flow/ingest.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "flow/prepare.h"
#include "hub/toll.h"
#include "state/lockdown.h"
#include "state/tail.h"
#include "wire/decode.h"
#include "wire/unread.h"

/* Bytes of one unit of the toll: of a frame that is ignored, of a large one that gets an error. */
#define IGNORED_SHARE 64
#define BAD_SHARE (16 * 1024)

struct ingest {
	struct inbox *inbox;
	struct blobs *blobs;
	struct helpers *helpers;
	struct ws_budget *budget;
	const _Atomic uint32_t *first_dialect_readers;
	_Atomic int max_file_mb;
};

/* This I/O thread's turn so far, newest first. */
static _Thread_local struct event *turn_newest, *turn_oldest;

static void turn_add(struct event *e)
{
	e->next = turn_newest;
	turn_newest = e;
	if (!turn_oldest)
		turn_oldest = e;
}

static void flush(void *arg, struct hub *h)
{
	(void)h;
	struct ingest *in = arg;
	if (!turn_newest)
		return;
	inbox_push(in->inbox, turn_newest, turn_oldest);
	turn_newest = turn_oldest = NULL;
}

/* --- A frame that takes time */

struct slow {
	struct ingest *in;
	struct conn *conn;
	uint64_t identity;
	/* Either a frame still to be decoded … */
	uint8_t *data;
	size_t len;
	struct ws_share share; /* of the budget of frames */
	/* … or an event still to be prepared. */
	struct event *event;
	bool is_first; /* nothing was joined: after a join the room resumes the connection, not the helper */
};

/* A frame that would be ignored later is no first frame: the room closes. */
static struct event *not_a_join(struct conn *c)
{
	return event_bad(c, ERR_BAD_REQUEST, STR("join first"), STR(""));
}

/* The frame did nothing: its sender pays for the reading. */
static void ignore(struct conn *c, size_t len)
{
	metric_add(M_IGNORED_FRAMES, 1);
	conn_charge(c, TOLL_FRAME + (uint32_t)(len / IGNORED_SHARE));
}

static bool is_file(const struct event *e)
{
	return e->kind == EV_FILE || e->kind == EV_VOICE;
}

static bool has_first_dialect(const struct ingest *in)
{
	return in->first_dialect_readers && atomic_load_explicit(in->first_dialect_readers, memory_order_relaxed) > 0;
}

static void run_slow(void *arg, struct store_reader *reader)
{
	(void)reader;
	struct slow *s = arg;
	struct ingest *in = s->in;
	struct event *e = s->event;
	if (!e) {
		if (decode_frame_in_place((char *)s->data, s->len, s->conn, &e) < 0)
			e = unread_no_memory((const char *)s->data, s->len, s->conn);
	}
	if (!e)
		ignore(s->conn, s->len);
	else if (e->kind == EV_BAD)
		conn_charge(s->conn, (uint32_t)(s->len / BAD_SHARE));
	if (!e && s->is_first)
		e = not_a_join(s->conn);
	/* Over a limit, or in a lockdown, the sender is refused by the room: nothing is stored for that. */
	bool is_refused = e && is_file(e) && (conn_files_are_refused(s->conn) || lockdown_is_read_only());
	if (is_refused) {
		e->file.is_unread = true;
		e->file.size = e->file.data.len / 4 * 3;
		e->file.data = STR("");
	}
	/* Dialect-1 readers get a file's bytes in its frame; without any, only what their histories may inline later is kept. */
	if (e && is_file(e))
		e->file.owner = conn_buffer_owner(s->conn, SHBUF_FILE);
	if (e && is_file(e) && !is_refused)
		prepare_file(&e, in->blobs, s->identity, in->max_file_mb, has_first_dialect(in) ? shbuf_large_most() : TAIL_INLINE_BYTES);
	/* The frame, of which nothing is looked at any more; or what an event on its way was counted with. */
	free(s->data);
	ws_budget_give(in->budget, s->share);
	/* A frame that the room may give back to a helper must not be overtaken by its sender's next one. */
	if (e)
		e->holds_conn = is_file(e);
	bool is_resumed_by_room = e && (e->holds_conn || (s->is_first && e->kind == EV_JOIN));
	/* The event first, the resume after: closed, which the resume may bring, must be the connection's last event. */
	if (e)
		inbox_push_one(in->inbox, e);
	if (!is_resumed_by_room)
		hub_post_one(mail_new(MAIL_RESUME, s->conn));
	free(s);
}

/* The server stops, and the frame was not acknowledged: a client that cares sends it again. */
static void drop_slow(void *arg)
{
	struct slow *s = arg;
	free(s->data);
	ws_budget_give(s->in->budget, s->share);
	event_free(s->event);
	hub_post_one(mail_new(MAIL_RESUME, s->conn));
	free(s);
}

static bool submit(struct ingest *in, struct conn *c, struct event *e, uint8_t *data, size_t len, struct ws_share share)
{
	struct slow *s = xcalloc(1, sizeof(*s));
	*s = (struct slow){ .in = in,
		            .conn = c,
		            .identity = conn_identity(c),
		            .data = data,
		            .len = len,
		            .share = share,
		            .event = e,
		            .is_first = !conn_is_subscribed(c) };
	helpers_submit(
		in->helpers,
		&(struct job){ .kind = JOB_FRAME, .owner = conn_owner(c, s->identity), .run = run_slow, .arg = s, .drop = drop_slow });
	return true;
}

static bool message(void *arg, struct conn *c, uint8_t *data, size_t len, bool owned, struct ws_share share)
{
	struct ingest *in = arg;
	if (len > WC_DECODE_INLINE) {
		if (!owned) {
			uint8_t *copy = malloc(len);
			if (!copy) {
				turn_add(unread_no_memory((const char *)data, len, c));
				return false;
			}
			memcpy(copy, data, len);
			data = copy;
			share.bytes = (uint32_t)len;
			ws_budget_add(in->budget, share);
		}
		return submit(in, c, NULL, data, len, share);
	}
	struct event *e = NULL;
	if (decode_frame((const char *)data, len, c, &e) < 0)
		e = unread_no_memory((const char *)data, len, c);
	if (owned) {
		free(data);
		ws_budget_give(in->budget, share);
	}
	if (!e && !conn_is_subscribed(c))
		e = not_a_join(c);
	if (!e) {
		ignore(c, len);
		return false;
	}
	if (is_file(e)) {
		share.bytes = (uint32_t)WC_MIN(e->cost, (size_t)UINT32_MAX);
		ws_budget_add(in->budget, share);
		return submit(in, c, e, NULL, 0, share);
	}
	turn_add(e);
	return e->kind == EV_JOIN && !conn_is_subscribed(c);
}

static bool oversize(void *arg, struct conn *c, const uint8_t *head, size_t len)
{
	struct ingest *in = arg;
	struct event *e = unread_oversize((const char *)head, len, c, in->max_file_mb);
	if (e)
		turn_add(e);
	return false;
}

static void ending(void *arg, struct conn *c, int code, const char *reason)
{
	(void)arg;
	struct event *e = event_new_small(EV_ENDING, c, 0);
	e->end.code = code;
	e->end.reason = reason;
	turn_add(e);
}

static void closed(void *arg, struct conn *c)
{
	(void)arg;
	struct event *e = event_new_small(EV_CLOSED, c, 0);
	turn_add(e);
}

static bool is_full(void *arg)
{
	struct ingest *in = arg;
	return inbox_is_full(in->inbox);
}

struct hub_ops ingest_ops(struct ingest *in)
{
	return (struct hub_ops){
		.message = message, .oversize = oversize, .ending = ending, .closed = closed, .flush = flush, .is_full = is_full, .arg = in
	};
}

struct ingest *ingest_new(struct inbox *inbox, struct blobs *blobs, struct helpers *helpers, struct ws_budget *budget, int max_file_mb)
{
	struct ingest *in = xcalloc(1, sizeof(*in));
	*in = (struct ingest){ .inbox = inbox, .blobs = blobs, .helpers = helpers, .budget = budget, .max_file_mb = max_file_mb };
	return in;
}

void ingest_set_max_file_mb(struct ingest *in, int max_file_mb)
{
	in->max_file_mb = max_file_mb;
}

void ingest_count_first_dialect(struct ingest *in, const _Atomic uint32_t *readers)
{
	in->first_dialect_readers = readers;
}

void ingest_free(struct ingest *in)
{
	free(in);
}
