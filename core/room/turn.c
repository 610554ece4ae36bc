/* turn.c — whose events the room works on next. A join costs as much as many messages, so that where there are more they wait for a later
 * batch. Where there is more than a turn's work, so do the events of those who are in. Addresses take turns, and people within them:
 * somebody who sends a thousand frames at once delays others by a few.
 *
 * Owns both queues. Events of one connection keep their order, and so do those of one person at one address. Thread: room. */
#include "base/metrics.h"
#include "flow/publish.h"
#include "hub/conn.h"
#include "hub/mail.h"
#include "room/impl.h"

#define JOINS_A_TURN 4     /* thousands at once must not hold up the chat */
#define WORK_A_TURN 4096   /* some milliseconds' */
#define WORK_OF_MESSAGE 16 /* that of anything else is 1; so a turn has 256 messages, enough for one commit to be cheap */

struct waiting {
	struct rota_item item; /* first: the rota's */
	struct event *e;
};

void turn_init(struct room *r)
{
	r->turns = (struct turns){ rota_new(), rota_new(), 0 };
}

static void put(struct rota *queue, struct event *e, const struct rota_owner *owner)
{
	struct waiting *w = xmalloc(sizeof(*w));
	e->next = NULL;
	w->e = e;
	rota_put(queue, owner, &w->item);
}

static struct event *take(struct rota *queue)
{
	struct waiting *w = (struct waiting *)rota_take(queue);
	struct event *e = w ? w->e : NULL;
	free(w);
	return e;
}

void turn_fini(struct room *r)
{
	for (struct event *e; (e = take(r->turns.joins)) || (e = take(r->turns.events));) /* their sockets are closed already */
		event_free(e);
	rota_free(r->turns.joins);
	rota_free(r->turns.events);
}

bool turn_is_due(const struct room *r)
{
	return rota_count(r->turns.joins) || rota_count(r->turns.events);
}

/* Kicked, banned or flooding: what it had sent before its socket closed counts no more. */
bool event_is_void(const struct event *e)
{
	const struct session *s = e->conn ? conn_session(e->conn) : NULL;
	return e->kind != EV_CLOSED && s && s->is_sent_away;
}

void event_done(struct room *r, struct event *e)
{
	if (e && e->holds_conn)
		publish_mail(r->pub, mail_new(MAIL_RESUME, e->conn));
	event_free(e);
}

/* --- Joins */

static void let_join_wait(struct room *r, struct event *e)
{
	/* A token tells people of one address apart, if it is one: those that a client makes up bring no turns of their own. */
	const struct token *t = join_token(r, e);
	const struct rota_owner owner = conn_owner(e->conn, t ? t->user->id : 0);
	put(r->turns.joins, e, &owner);
}

/* Skips those whose connection was closed meanwhile: they take nobody's turn. NULL: none waits. A client that sends nothing more may wait
 * for its init, and messages may be behind its join. */
static struct event *next_join(struct room *r)
{
	struct event *e;
	while ((e = take(r->turns.joins)) && conn_is_gone(e->conn)) {
		metric_add(M_JOBS_DROPPED, 1);
		publish_mail(r->pub, mail_new(MAIL_RESUME, e->conn));
		event_free(e);
	}
	return e;
}

/* The batch with no more than JOINS_A_TURN joins; they go last, the rest waits. Nothing follows the first join of a connection before it is
 * dealt with, so this changes no connection's order. A second one, which is refused, stays in its place: the connection's end may follow
 * at once. */
static struct event *hold_back_joins(struct room *r, struct event *list)
{
	struct event **end = &list;
	while (*end) {
		struct event *e = *end;
		if (e->kind != EV_JOIN || conn_session(e->conn)) {
			end = &e->next;
			continue;
		}
		*end = e->next;
		let_join_wait(r, e);
	}
	for (int n = 0; n < JOINS_A_TURN && (*end = next_join(r)); n++)
		end = &(*end)->next;
	return list;
}

/* --- What those who are in send, and their ends */

static bool has_turn(const struct event *e)
{
	return e->kind < EV_CALL && e->conn && conn_session(e->conn);
}

static size_t work_of(const struct event *e)
{
	return e->kind == EV_TEXT || e->kind == EV_FILE || e->kind == EV_VOICE ? WORK_OF_MESSAGE : 1;
}

static struct rota_owner owner_of(const struct event *e)
{
	const struct session *s = conn_session(e->conn);
	return conn_owner(e->conn, s->user->id);
}

/* An end that follows nothing that waits is for now: a name must not be held by somebody who has left. */
static bool has_to_wait(const struct room *r, const struct event *e)
{
	if (!has_turn(e))
		return false;
	const struct rota_owner owner = owner_of(e);
	return (e->kind != EV_CLOSED && e->kind != EV_ENDING) || rota_has(r->turns.events, &owner);
}

/* Those of the list that have turns, put into the queue. Returns the others, in their order. */
static struct event *let_events_wait(struct room *r, struct event *list)
{
	struct event **at = &list;
	while (*at) {
		struct event *e = *at;
		if (!has_to_wait(r, e)) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		r->turns.held_bytes += e->cost;
		const struct rota_owner owner = owner_of(e);
		put(r->turns.events, e, &owner);
	}
	return list;
}

/* The events of somebody who was sent away meanwhile take nobody's turn. */
static struct event *next_event(struct room *r)
{
	struct event *e;
	while ((e = take(r->turns.events))) {
		r->turns.held_bytes -= e->cost;
		if (!event_is_void(e))
			break;
		event_done(r, e);
	}
	return e;
}

/* A turn's work: what the server wants of itself, then the events whose turn it is. Before the stop all of them are dealt with. */
static struct event *hold_back_events(struct room *r, struct event *list)
{
	size_t work = 0;
	bool is_last = false;
	for (const struct event *e = list; e; e = e->next) {
		work += has_turn(e) ? work_of(e) : 0;
		is_last |= e->kind == EV_STOP;
	}
	if (!rota_count(r->turns.events) && (work <= WORK_A_TURN || is_last))
		return list;
	struct event *first = NULL, **end = &first, *others = let_events_wait(r, list);
	for (work = 0; (work < WORK_A_TURN || is_last) && (*end = next_event(r)); end = &(*end)->next)
		work += work_of(*end);
	if (is_last) {
		*end = others;
		return first;
	}
	for (end = &others; *end;)
		end = &(*end)->next;
	*end = first;
	return others;
}

struct event *turn_take(struct room *r, struct event *batch)
{
	return hold_back_joins(r, hold_back_events(r, batch));
}
