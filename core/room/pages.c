/* pages.c — history read by helpers: dm_history, history, sync, and the page of a join.
 *
 * The room submits a job (Thread: room). A helper reads, encodes and sends the frame to the connection, then reports to the room. The room
 * counts a session's jobs: while one runs, the connection's memory stays. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "room/impl.h"

#define JOBS_MAX 8                   /* of one session at once */
#define PAGE_MAX 1000                /* messages in a dialect-2 page, whatever is asked */
#define REPLY_CAP (64 * 1024 * 1024) /* of dialect 1: two thousand of the longest texts, escaped; what is longer is refused */

struct page_job {
	struct room *room;
	struct session *session;
	struct conn *conn;
	enum dialect dialect;
	enum event_kind kind;
	uint64_t me, peer, since, before, upto;
	bool is_dm;
	int limit;
	/* while it runs */
	struct buf out;
	int count;
	bool is_short; /* there was no memory for it */
	bool has_more; /* than the page holds */
	/* A page that is read from its newest message on, and written from its oldest one on. */
	struct buf back;    /* the messages, newest first, each with a comma before it */
	size_t *ends;       /* where they end in it */
	size_t inlined;     /* dialect 1: base64 so far */
	bool is_inline_off; /* a file did not fit, so no older one slips in behind it */
};

/* Dialect 1: the bytes of a file, as far as they are inlined; NULL: they are not. */
static struct shbuf *inlined_data(struct page_job *j, const struct msg *m)
{
	if (m->kind == MSG_TEXT || m->flags & (MSG_GONE | MSG_DELETED) || j->is_inline_off)
		return NULL;
	j->inlined += BASE64_LEN(m->size);
	j->is_inline_off = j->inlined > TAIL_INLINE_BYTES;
	struct shbuf *data64 = NULL;
	if (!j->is_inline_off)
		(void)!data64_of_blob(j->room->o.blobs, m->sha, m->size, conn_buffer_owner(j->conn, SHBUF_PAGE), &data64);
	return data64;
}

static void put_msg(struct page_job *j, struct buf *to, const struct msg *m)
{
	/* Own messages are marked in dialect 2's histories alone: dialect 1's never were. */
	if (j->dialect == DIALECT_2) {
		encode_msg(to, DIALECT_2, m, m->from_id == j->me, NULL);
		return;
	}
	struct shbuf *data64 = inlined_data(j, m);
	struct str data = data64 ? (struct str){ (const char *)data64->data, data64->len } : STR("");
	encode_msg(to, DIALECT_1, m, false, data64 ? &data : NULL);
	shbuf_unref(data64);
}

/* Is the page full before this message? Then there is more. Dialect 1 has no pages: it gets all of what it asked for. */
static bool is_cut(struct page_job *j, size_t bytes)
{
	j->has_more = j->count == j->limit || (j->dialect == DIALECT_2 && bytes >= TAIL_PAGE_BYTES);
	return j->has_more;
}

static int on_newer(void *arg, const struct msg *m)
{
	struct page_job *j = arg;
	if (is_cut(j, j->back.len))
		return 1;
	if (m->flags & MSG_DELETED && j->dialect == DIALECT_1)
		return 0;
	buf_putc(&j->back, ',');
	put_msg(j, &j->back, m);
	j->ends[j->count++] = j->back.len;
	return 0;
}

/* The last messages before an id, oldest first, into out. One more than the page holds says whether there is more. */
static int put_last(struct page_job *j, struct store_reader *r, uint64_t before)
{
	buf_init_counted(&j->back, REPLY_CAP, shbuf_for(0, SHBUF_PAGE)); /* nobody's in particular: it goes with the job */
	j->ends = xcalloc((size_t)j->limit + 1, sizeof(*j->ends));
	const int rc = store_read_history(r, j->is_dm, j->me, j->peer, before, j->limit + 1, on_newer, j);
	if (j->back.failed)
		j->out.failed = true;
	else if (buf_reserve(&j->out, j->back.len))
		for (int i = j->count; i-- > 0;) {
			const size_t from = (i ? j->ends[i - 1] : 0) + (i == j->count - 1); /* no comma before the first */
			buf_put(&j->out, j->back.p + from, j->ends[i] - from);
		}
	free(j->ends);
	buf_fini(&j->back);
	return rc;
}

/* --- After the job */

static void job_done(void *arg)
{
	struct page_job *j = arg;
	if (j->is_short)
		answer_count_memory(j->room);
	session_done(j->room, j->session);
	free(j);
}

static void call_room(struct room *r, void (*fn)(void *arg), void *arg)
{
	struct event *e = event_new_small(EV_CALL, NULL, 0);
	e->call.fn = fn;
	e->call.arg = arg;
	inbox_push_one(r->o.inbox, e);
}

/* The bytes of out become the frame's, behind a header of their own. */
static void send_reply(struct page_job *j)
{
	uint8_t header[WS_HEADER_MAX];
	struct mail *m = mail_new(MAIL_INSERT, j->conn);
	m->at = MAIL_AT_HEAD;
	struct shbuf *body = buf_share(&j->out);
	if (body) {
		mail_part(m, shbuf_copy(header, ws_header(header, WS_TEXT, body->len)));
		mail_part(m, body);
	} else {
		j->is_short = true;
		answer_count_error(ERR_BUSY);
		encode_error(&j->out, j->dialect, ERR_BUSY, STR("The server is short of memory. Ask again later"), STR(""));
		mail_part(m, frame_of_buf(&j->out));
	}
	hub_post_one(m);
}

/* --- The jobs */

static int run_dm_history(struct page_job *j, struct store_reader *r)
{
	buf_puts(&j->out, "{\"type\":\"dm_history\",\"peer_id\":");
	buf_u64(&j->out, j->peer);
	buf_puts(&j->out, ",\"messages\":[");
	const int rc = j->limit > 0 ? put_last(j, r, 0) : 0;
	buf_puts(&j->out, "]}");
	return rc;
}

static int run_history(struct page_job *j, struct store_reader *r)
{
	uint64_t before = j->before ? WC_MIN(j->before, j->upto + 1) : j->upto + 1;
	buf_puts(&j->out, "{\"type\":\"history\",\"before\":");
	buf_u64(&j->out, j->before);
	if (j->is_dm) {
		buf_puts(&j->out, ",\"peer_id\":");
		buf_u64(&j->out, j->peer);
	}
	buf_puts(&j->out, ",\"messages\":[");
	const int rc = put_last(j, r, before);
	buf_puts(&j->out, j->has_more ? "],\"more\":true}" : "],\"more\":false}");
	return rc;
}

static int on_since(void *arg, const struct msg *m)
{
	struct page_job *j = arg;
	if (is_cut(j, j->out.len))
		return 1;
	if (j->count++)
		buf_putc(&j->out, ',');
	put_msg(j, &j->out, m);
	return 0;
}

static int run_sync(struct page_job *j, struct store_reader *r)
{
	buf_puts(&j->out, "{\"type\":\"sync\",\"since\":");
	buf_u64(&j->out, j->since);
	buf_puts(&j->out, ",\"events\":[");
	int rc = store_read_since(r, j->me, j->since, j->upto, j->limit + 1, on_since, j);
	buf_puts(&j->out, j->has_more ? "],\"more\":true}" : "],\"more\":false}");
	return rc;
}

static void run_page(void *arg, struct store_reader *r)
{
	struct page_job *j = arg;
	buf_init_counted(&j->out, REPLY_CAP, conn_buffer_owner(j->conn, SHBUF_PAGE));
	int rc = j->kind == EV_DM_HISTORY ? run_dm_history(j, r) : j->kind == EV_HISTORY ? run_history(j, r) : run_sync(j, r);
	if (rc < 0) {
		buf_reset(&j->out);
		encode_error(&j->out, j->dialect, ERR_STORAGE, STR("The server cannot read its history now. Ask again later"), STR(""));
	}
	send_reply(j);
	buf_fini(&j->out);
	call_room(j->room, job_done, j);
}

/* Nobody reads it any more. */
static void drop_page(void *arg)
{
	struct page_job *j = arg;
	call_room(j->room, job_done, j);
}

static bool page_is_moot(const void *arg)
{
	const struct page_job *j = arg;
	return conn_is_gone(j->conn);
}

void page_apply(struct room *r, struct action *a)
{
	const struct event *e = a->e;
	struct session *s = a->session;
	if (!s) {
		answer_not_joined(r, e->conn);
		return;
	}
	if (s->dialect == DIALECT_1 && e->kind != EV_DM_HISTORY)
		return;
	if (r->is_quiet)
		return;
	if (s->jobs >= JOBS_MAX) {
		answer_error(r, e->conn, ERR_BUSY, STR(""), STR(""));
		return;
	}
	/* Pages that are not read yet may have used up what this person may have of memory. */
	if (!shbuf_has_room(SHBUF_LARGE, conn_buffer_owner(e->conn, SHBUF_PAGE))) {
		answer_count_memory(r);
		answer_error(r, e->conn, ERR_BUSY, STR("Too much is on its way that was not read yet. Ask again later"), STR(""));
		return;
	}
	int history_limit = r->settings.history_limit;
	struct page_job *j = xcalloc(1, sizeof(*j));
	*j = (struct page_job){ .room = r,
		                .session = s,
		                .conn = e->conn,
		                .dialect = s->dialect,
		                .kind = e->kind,
		                .me = s->user->id,
		                .peer = e->to_id,
		                .is_dm = e->kind == EV_DM_HISTORY || e->to_id != 0,
		                .since = e->page.since,
		                .before = e->page.before,
		                .upto = r->applied_id };
	if (e->kind == EV_SYNC)
		j->limit = PAGE_MAX;
	else if (e->kind == EV_HISTORY && e->page.limit)
		j->limit = (int)WC_MIN(e->page.limit, (uint32_t)PAGE_MAX);
	else
		j->limit = e->kind == EV_HISTORY ? WC_MAX(WC_MIN(history_limit, PAGE_MAX), 1) : history_limit;
	s->jobs++;
	helpers_submit(r->o.helpers, &(struct job){ .kind = JOB_PAGE,
	                                            .owner = conn_owner(j->conn, j->me),
	                                            .run = run_page,
	                                            .arg = j,
	                                            .drop = drop_page,
	                                            .is_moot = page_is_moot });
}

/* --- A join */

static int on_peer(void *arg, uint64_t id, struct str name, uint64_t last_id)
{
	struct join_page *p = arg;
	if (p->peer_count == (int)WC_LEN(p->peer_ids))
		return 1;
	char *copy = xmalloc(name.len + 1);
	memcpy(copy, name.p, name.len);
	copy[name.len] = 0;
	p->peer_ids[p->peer_count] = id;
	p->peer_last[p->peer_count] = last_id;
	p->peer_names[p->peer_count++] = copy;
	return 0;
}

static void run_join_page(void *arg, struct store_reader *r)
{
	struct join_page *p = arg;
	p->rc = store_read_peers(r, p->me, (int)WC_LEN(p->peer_ids), on_peer, p);
	if (p->rc >= 0)
		p->rc = 0;
	if (p->wants_page && p->rc == 0) {
		struct page_job j = { .room = p->room, .dialect = DIALECT_2, .me = p->me, .limit = PAGE_MAX };
		buf_init_counted(&j.out, REPLY_CAP, conn_buffer_owner(p->session->conn, SHBUF_JOIN));
		buf_puts(&j.out, "\"history\":[");
		int rc = store_read_since(r, p->me, p->since, p->upto, PAGE_MAX + 1, on_since, &j);
		buf_puts(&j.out, "]}");
		p->gap = j.has_more;
		p->history = j.out;
		p->rc = rc < 0 ? rc : 0;
	}
	call_room(p->room, p->ready, p);
}

static void drop_join_page(void *arg)
{
	struct join_page *p = arg;
	p->rc = -WC_ECLOSED;
	call_room(p->room, p->ready, p);
}

static bool join_page_is_moot(const void *arg)
{
	const struct join_page *p = arg;
	return conn_is_gone(p->session->conn);
}

void join_page_submit(struct room *r, struct join_page *p)
{
	p->me = p->session->user->id;
	helpers_submit(r->o.helpers, &(struct job){ .kind = JOB_JOIN,
	                                            .owner = conn_owner(p->session->conn, p->me),
	                                            .run = run_join_page,
	                                            .arg = p,
	                                            .drop = drop_join_page,
	                                            .is_moot = join_page_is_moot });
}
