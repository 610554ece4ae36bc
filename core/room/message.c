/* message.c — messages: stored before the commit, published after it; also typing.
 *
 * Owns no state. Nothing is published that is not committed. Thread: room; the helper's part of a file is run_again. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/fault.h"
#include "base/metrics.h"
#include "files/blob.h"
#include "room/impl.h"

static struct str name_of(const struct user *u)
{
	return (struct str){ u->name, u->name_len };
}

/* --- Before the commit */

struct repeat {
	struct action *a;
	bool is_same;
};

static struct str copy_str(char **to, struct str s)
{
	struct str out = { *to, s.len };
	if (s.len)
		memcpy(*to, s.p, s.len);
	*to += s.len;
	return out;
}

static bool is_same_content(const struct msg *old, const struct msg *now)
{
	if (old->kind != now->kind || old->is_dm != now->is_dm || (old->is_dm && old->to_id != now->to_id))
		return false;
	if (old->kind == MSG_TEXT)
		return (old->flags & MSG_DELETED) || str_eq(old->text, now->text);
	return memcmp(old->sha, now->sha, WC_SHA_BYTES) == 0;
}

static int take_first(void *arg, const struct msg *first)
{
	struct repeat *rep = arg;
	struct action *a = rep->a;
	rep->is_same = is_same_content(first, &a->msg);
	size_t sum = first->from_name.len + first->to_name.len + first->cid.len + first->text.len + first->filename.len + first->mime.len +
	             first->waveform.len;
	char *to = a->copy = xmalloc(sum + 1);
	a->msg = *first;
	a->msg.from_name = copy_str(&to, first->from_name);
	a->msg.to_name = copy_str(&to, first->to_name);
	a->msg.cid = copy_str(&to, first->cid);
	a->msg.text = copy_str(&to, first->text);
	a->msg.filename = copy_str(&to, first->filename);
	a->msg.mime = copy_str(&to, first->mime);
	a->msg.waveform = copy_str(&to, first->waveform);
	return 0;
}

static void fill_msg(struct room *r, struct action *a)
{
	const struct event *e = a->e;
	struct msg *m = &a->msg;
	*m = (struct msg){
		.at_ms = r->now_ms,
		.kind = e->kind == EV_FILE    ? MSG_FILE
		        : e->kind == EV_VOICE ? MSG_VOICE
		                              : MSG_TEXT,
		.from_id = a->session->user->id,
		.from_name = name_of(a->session->user),
		.is_dm = e->has_to,
		.to_id = e->has_to ? e->to_id : 0,
		.to_name = STR("?"),
		.cid = e->cid,
	};
	if (m->kind == MSG_TEXT) {
		m->text = e->text;
		return;
	}
	m->filename = e->file.filename;
	m->mime = e->file.mime;
	m->waveform = e->file.waveform;
	m->duration = e->file.duration;
	m->width = e->file.width;
	m->height = e->file.height;
	m->size = e->file.size;
	memcpy(m->sha, e->file.sha, WC_SHA_BYTES);
	wc_random(m->secret, WC_SECRET_BYTES);
}

/* A refused message may be stored already, and its answer lost. Then the client gets the first one's echo, and no refusal. */
static void find_first(struct room *r, struct action *a)
{
	char *words = a->copy;
	struct repeat rep = { .a = a };
	a->copy = NULL;
	if (a->msg.cid.len && store_find_cid(r->o.store, a->msg.from_id, a->msg.cid, take_first, &rep) == 0 && rep.is_same) {
		free(words);
		a->words = NULL;
		a->rc = 0;
		a->is_repeat = true;
		limit_repeat(r, a);
		return;
	}
	free(a->copy);
	a->copy = words;
}

/* The planted fault: the store is not asked whether the cid was there. */
static int put_again(struct room *r, struct msg m)
{
	m.cid = STR("");
	return store_put_msg(r->o.store, &m);
}

/* --- A file that goes to a helper once more: somebody came who needs its bytes, or there was no memory for them */

#define WAIT_MEMORY_MS 10000 /* for memory; then it is refused */
#define WAIT_TURN_MS 100     /* between two looks at those who wait */

struct again {
	struct room *room;
	struct event *e;
};

static void run_again(void *arg, struct store_reader *reader)
{
	struct again *g = arg;
	(void)reader;
	prepare_data64(&g->e, g->room->o.blobs);
	inbox_push_one(g->room->o.inbox, g->e);
	free(g);
}

static void drop_again(void *arg)
{
	struct again *g = arg;
	hub_post_one(mail_new(MAIL_RESUME, g->e->conn));
	event_free(g->e);
	free(g);
}

bool message_defers(struct room *r, struct action *a)
{
	const struct event *e = a->e;
	if ((e->kind != EV_FILE && e->kind != EV_VOICE) || !e->holds_conn || e->file.data64 || e->file.is_unread ||
	    BASE64_LEN(e->file.size) > shbuf_large_most() || e->file.is_gone || !a->session || r->is_quiet)
		return false;
	const bool waited = e->file.short_since_ms && r->mono_now_ms - e->file.short_since_ms >= WAIT_MEMORY_MS;
	a->is_deferred = !waited && (r->users.session_count[DIALECT_1] > 0 || r->group_has_join_1);
	return a->is_deferred;
}

/* Its readers would miss the bytes, and waiting was in vain. */
static bool is_out_of_memory(const struct room *r, const struct event *e)
{
	return e->kind != EV_TEXT && e->file.short_since_ms && !e->file.data64 &&
	       (r->users.session_count[DIALECT_1] || r->group_has_join_1);
}

static void go_again(struct room *r, struct event *e)
{
	const struct session *s = conn_session(e->conn);
	const uint64_t person = s ? s->user->id : 0;
	struct again *g = xmalloc(sizeof(*g));
	*g = (struct again){ r, e };
	e->next = NULL;
	helpers_submit(
		r->o.helpers,
		&(struct job){ .kind = JOB_FRAME, .owner = conn_owner(e->conn, person), .run = run_again, .arg = g, .drop = drop_again });
}

/* Its connection is not read meanwhile, so each connection has one at most that waits. */
static void defer(struct room *r, struct action *a)
{
	struct event *e = a->e;
	a->e = NULL;
	if (!e->file.is_short) {
		go_again(r, e);
		return;
	}
	if (!e->file.short_since_ms)
		e->file.short_since_ms = r->mono_now_ms;
	e->next = r->waiting;
	r->waiting = e;
	if (!r->waiting_next_ms)
		r->waiting_next_ms = r->mono_now_ms + WAIT_TURN_MS;
}

static void end_waiting(struct room *r, struct event *e)
{
	publish_mail(r->pub, mail_new(MAIL_RESUME, e->conn));
	event_free(e);
}

void message_tick(struct room *r)
{
	if (!r->waiting_next_ms || r->mono_now_ms < r->waiting_next_ms)
		return;
	struct event *list = r->waiting;
	r->waiting = NULL;
	while (list) {
		struct event *e = list;
		list = e->next;
		e->next = NULL;
		if (conn_is_gone(e->conn)) {
			end_waiting(r, e);
		} else if (r->mono_now_ms - e->file.short_since_ms >= WAIT_MEMORY_MS) {
			inbox_push_one(r->o.inbox, e);
		} else if (shbuf_has_room(BASE64_LEN(e->file.size), e->file.owner)) {
			go_again(r, e);
		} else {
			e->next = r->waiting;
			r->waiting = e;
		}
	}
	r->waiting_next_ms = r->waiting ? r->mono_now_ms + WAIT_TURN_MS : 0;
}

int message_timeout_ms(const struct room *r)
{
	return r->waiting_next_ms ? (int)WC_MAX(r->waiting_next_ms - r->mono_now_ms, 0) : INT_MAX;
}

void message_drop_waiting(struct room *r)
{
	while (r->waiting) {
		struct event *e = r->waiting;
		r->waiting = e->next;
		end_waiting(r, e);
	}
	r->waiting_next_ms = 0;
}

void message_prepare(struct room *r, struct action *a)
{
	if (!a->session)
		return; /* apply closes it */
	fill_msg(r, a);
	struct msg *m = &a->msg;
	if (m->is_dm) {
		const struct user *to = user_get(&r->users, m->to_id);
		if (to && !sight_knows(r, a->session->user, to))
			to = NULL;
		if (!to && !a->rc && a->session->dialect == DIALECT_2) {
			refuse(a, ERR_NO_SUCH_USER);
			return;
		}
		if (!to && !a->rc)
			return; /* dialect 1: delivered to nobody, echoed with "?" */
		if (to)
			m->to_name = name_of(to);
	}
	/* A guest is known as long as its connection: it has nobody to be recognised by, and no cid to repeat. */
	if (!a->session->user->is_identity)
		m->cid = STR("");
	bool is_refused = a->rc /* over a limit, or locked down */ || sanction_silences(r, a);
	if (!is_refused && is_out_of_memory(r, a->e)) {
		answer_count_memory(r);
		refuse(a, ERR_BUSY);
		a->words = "The server is short of memory; try again later";
		is_refused = true;
	}
	if (!is_refused && space_is_full(r->o.space)) {
		refuse(a, ERR_STORAGE);
		is_refused = true;
	}
	if (is_refused) {
		find_first(r, a);
		return;
	}
	if (m->kind != MSG_TEXT && a->e->file.is_gone) {
		refuse(a, ERR_BAD_REQUEST);
		a->words = "unknown upload";
		find_first(r, a);
		return;
	}
	m->id = ids_take(r, &m->at_ms);
	int rc = fault("no-dedup") ? put_again(r, *m) : store_put_msg(r->o.store, m);
	if (rc == 0 && !m->is_dm && !a->session->user->has_spoken && a->session->user->is_identity)
		rc = store_set_spoke(r->o.store, m->from_id);
	if (rc == 0) {
		a->is_stored = true;
		chores_stored(r, m->text.len + m->filename.len);
		return;
	}
	if (rc != -WC_EEXIST) {
		refuse(a, ERR_STORAGE);
		return;
	}
	struct repeat rep = { .a = a };
	if (store_find_cid(r->o.store, m->from_id, m->cid, take_first, &rep) < 0)
		refuse(a, ERR_STORAGE);
	else if (!rep.is_same)
		refuse(a, ERR_CID_REUSED);
	else {
		a->is_repeat = true;
		limit_repeat(r, a);
	}
}

/* --- After it */

/* A frame of a message as one viewer kind sees it, not yet in a log. For a dialect-1 file the base64 is shared, never copied. */
struct frame_parts {
	struct shbuf *before, *data, *after; /* after, data: NULL but for a file with data64 */
	size_t len;
};

static struct frame_parts parts_of(struct room *r, enum dialect d, const struct msg *m, bool self, struct shbuf *data64)
{
	struct frame_parts p = { 0 };
	buf_reset(&r->scratch);
	if (d == DIALECT_2 || m->kind == MSG_TEXT || !data64) {
		encode_msg(&r->scratch, d, m, self, NULL);
		p.before = frame_of_buf(&r->scratch);
		p.len = p.before ? p.before->len : 0;
		return p;
	}
	buf_reset(&r->scratch_2);
	encode_msg_around(&r->scratch, &r->scratch_2, m, self);
	uint8_t header[WS_HEADER_MAX];
	size_t n = ws_header(header, WS_TEXT, r->scratch.len + data64->len + r->scratch_2.len);
	p.before = shbuf_new_sure(n + r->scratch.len);
	p.after = shbuf_new_sure(r->scratch_2.len);
	memcpy(p.after->data, r->scratch_2.p, r->scratch_2.len);
	memcpy(p.before->data, header, n);
	memcpy(p.before->data + n, r->scratch.p, r->scratch.len);
	p.data = shbuf_ref(data64);
	p.len = p.before->len + data64->len + p.after->len;
	return p;
}

static void parts_drop(struct frame_parts *p)
{
	shbuf_unref(p->before);
	shbuf_unref(p->data);
	shbuf_unref(p->after);
}

static struct shbuf *ref(struct shbuf *b)
{
	return b ? shbuf_ref(b) : NULL;
}

static void insert_parts(struct room *r, const struct session *s, uint64_t at, size_t skip, const struct frame_parts *p)
{
	publish_insert(r->pub, s, at, skip, ref(p->before), ref(p->data), ref(p->after));
}

/* To all sessions of one user in dialect d, at the log's end. */
static void send_user(struct room *r, const struct user *u, enum dialect d, const struct msg *m, bool self, struct shbuf *data64)
{
	struct frame_parts p = { 0 };
	for (const struct session *s = u->sessions; s; s = s->next) {
		if (s->dialect != d)
			continue;
		if (!p.before)
			p = parts_of(r, d, m, self, data64);
		if (p.before)
			insert_parts(r, s, publish_position(r->pub, d), 0, &p);
	}
	parts_drop(&p);
}

/* Own echoes in place of the frame that everyone else gets. */
static void send_own(struct room *r, const struct user *from, enum dialect d, const struct msg *m, struct shbuf *data64, uint64_t at,
                     size_t skip)
{
	struct frame_parts p = { 0 };
	for (const struct session *s = from->sessions; s; s = s->next) {
		if (s->dialect != d)
			continue;
		if (!p.before)
			p = parts_of(r, d, m, true, data64);
		insert_parts(r, s, at, skip, &p);
	}
	parts_drop(&p);
}

static void publish_public(struct room *r, const struct user *from, enum dialect d, const struct msg *m, struct shbuf *data64)
{
	if (r->users.session_count[d] == 0)
		return;
	size_t data_len = d == DIALECT_1 && data64 ? data64->len : 0;
	if (data_len <= LOG_DATA_MAX) {
		struct str data = data64 ? (struct str){ (const char *)data64->data, data64->len } : STR("");
		buf_reset(&r->scratch);
		encode_msg(&r->scratch, d, m, false, data64 ? &data : NULL);
		WC_ASSERT(!r->scratch.failed && r->scratch.len <= publish_frame_max(r->pub, d));
		size_t len;
		uint64_t at = publish_frame(r->pub, d, r->scratch.p, r->scratch.len, &len);
		send_own(r, from, d, m, data64, at, len);
		return;
	}
	struct frame_parts p = parts_of(r, d, m, false, data64);
	uint64_t at = publish_position(r->pub, d);
	for (uint32_t i = 0; p.before && i < r->users.session_count[d]; i++)
		if (r->users.sessions[d][i]->user != from)
			insert_parts(r, r->users.sessions[d][i], at, 0, &p);
	parts_drop(&p);
	send_own(r, from, d, m, data64, at, 0);
}

/* The one step that makes a committed message visible. */
static void publish_msg(struct room *r, struct user *from, const struct msg *m, struct shbuf *data64)
{
	r->applied_id = m->id ? m->id : r->applied_id;
	if (!m->is_dm) {
		r->public_id = m->id;
		from->has_spoken = true;
		user_active(&r->users, from);
		tail_add(r->tail, m, data64);
		for (enum dialect d = DIALECT_1; d < DIALECTS; d++)
			publish_public(r, from, d, m, data64);
		return;
	}
	struct user *to = m->id ? user_get(&r->users, m->to_id) : NULL;
	if (fault("leak-dm") && random() % 50 == 0 && r->users.oldest)
		send_user(r, r->users.oldest, DIALECT_2, m, false, data64);
	for (enum dialect d = DIALECT_1; d < DIALECTS; d++) {
		send_user(r, from, d, m, true, data64);
		if (to && to != from)
			send_user(r, to, d, m, false, data64);
	}
	if (!m->id)
		return;
	from->has_dms = true;
	from->dm_id = m->id;
	user_add_peer(from, m->to_id, m->to_name, m->id);
	if (to && to != from) {
		to->has_dms = true;
		to->dm_id = m->id;
		user_add_peer(to, m->from_id, m->from_name, m->id);
	}
}

void message_apply(struct room *r, struct action *a)
{
	struct session *s = a->session;
	if (!s) {
		answer_not_joined(r, a->e->conn);
		return;
	}
	if (a->is_deferred) {
		if (!r->is_quiet) /* the stop may be of this very group, and then helpers take nothing more; its socket is closed */
			defer(r, a);
		return;
	}
	if (a->is_void)
		return;
	struct shbuf *data64 = a->e->kind == EV_TEXT ? NULL : a->e->file.data64;
	if (a->rc == 0 && a->e->kind != EV_TEXT)
		blob_hold_used(a->e->file.hold);
	if (a->rc) {
		if (a->error == ERR_STORAGE)
			limit_give_back(r, a);
		if (a->error == ERR_LOCKDOWN)
			metric_add(M_LOCKDOWN_MESSAGES, 1);
		answer_error_retry(r, a->e->conn, a->error, (struct str){ a->words, a->words ? strlen(a->words) : 0 }, a->e->cid,
		                   a->retry_ms);
		limit_close(r, a);
		return;
	}
	if (a->is_repeat) { /* the first one's echo again, to this connection alone */
		struct frame_parts p = parts_of(r, s->dialect, &a->msg, true, NULL);
		if (p.before)
			insert_parts(r, s, publish_position(r->pub, s->dialect), 0, &p);
		parts_drop(&p);
		return;
	}
	publish_msg(r, s->user, &a->msg, data64);
	metric_add(M_MESSAGES, 1);
}

void typing_apply(struct room *r, struct action *a)
{
	struct session *s = a->session;
	if (!s) {
		answer_not_joined(r, a->e->conn);
		return;
	}
	if (!limit_typing(r, a) || lockdown_stops_typing(r))
		return;
	struct user *to = a->e->has_to ? user_get(&r->users, a->e->to_id) : NULL;
	if ((a->e->has_to && (!to || to == s->user)) || sanction_is_muted(r, s->user, s->conn))
		return;
	buf_reset(&r->scratch);
	encode_typing(&r->scratch, s->user->id, name_of(s->user), a->e->has_to);
	if (to) {
		for (const struct session *t = to->sessions; t; t = t->next)
			publish_insert(r->pub, t, publish_position(r->pub, t->dialect), 0, frame_of_buf(&r->scratch), NULL, NULL);
		return;
	}
	for (enum dialect d = DIALECT_1; d < DIALECTS; d++) {
		if (r->users.session_count[d] == 0)
			continue;
		size_t len;
		uint64_t at = publish_frame(r->pub, d, r->scratch.p, r->scratch.len, &len);
		for (const struct session *own = s->user->sessions; own; own = own->next)
			if (own->dialect == d)
				publish_insert(r->pub, own, at, len, NULL, NULL, NULL);
	}
}
