/* output.c — a connection's output: its log from the cursor on, with private mail in between, in an exact order. Thread: its hub's. */
#include <stdlib.h>
#include <string.h>

#include "hub/impl.h"
#include "hub/lists.h"

#define FLUSH_IOVECS 64
#define OUTPUT_AT_ONCE ((size_t)16 * 1024) /* what is sent in the turn it comes in */
#define FLUSH_BYTES ((size_t)128 * 1024)   /* at once to one connection; at least a record of TLS */
#define CLOSE_WRITE_S 5                    /* for a close frame to go out */
#define CLOSE_LINGER_S 2                   /* for the peer to close after it */
/* While others want the memory of what waits, the first of it is to go on as fast as this: bytes a second, and seconds for all of it. */
#define LEAST_PACE ((uint32_t)64 * 1024)
#define LARGE_THROUGH_S 60 /* one large frame … */
#define ALL_THROUGH_S 120  /* … and all that a connection holds */

/* --- Inserts */

/* Memory for waiting output is short, and this connection does not read and has more than its share. */
bool conn_is_hoarding(const struct conn *c)
{
	const struct hub *h = c->hub;
	size_t n = 0;
	if (!c->is_blocked || h->insert_bytes <= h->all->o.pending_cap_bytes / (size_t)h->all->o.threads)
		return false;
	for (int l = 0; l < LISTS; l++)
		n += h->lists[l].n;
	return c->insert_bytes > h->insert_bytes / WC_MAX(n, (size_t)1);
}

static bool is_large(const struct shbuf *b)
{
	return b->len >= SHBUF_LARGE;
}

/* It holds much of the large buffers, while those are short. */
static bool is_glutton(const struct conn *c, size_t more)
{
	const size_t cap = c->hub->all->o.large_cap_bytes;
	return more && c->is_blocked && c->large_bytes && c->large_bytes + more > cap / 8 && shbuf_large_bytes() > cap / 2;
}

static size_t all_bytes(const struct mail *m)
{
	size_t sum = 0;
	for (int i = 0; i < m->nparts; i++)
		sum += m->parts[i]->len;
	return sum;
}

static uint32_t small_bytes(const struct mail *m)
{
	size_t sum = 0;
	for (int i = 0; i < m->nparts; i++)
		if (!is_large(m->parts[i]))
			sum += m->parts[i]->len;
	return (uint32_t)(sum + sizeof(*m));
}

/* Long output waits behind other long output: a thousand inits must not delay the next message to everybody. */
static void mark_for_output(struct conn *c, const struct mail *m)
{
	if (all_bytes(m) > OUTPUT_AT_ONCE)
		conn_mark_behind(c);
	else
		conn_mark_dirty(c);
}

void conn_insert(struct conn *c, struct mail *m)
{
	m->next = NULL;
	if (m->at == MAIL_AT_HEAD)
		m->at = c->list == LIST_NEW ? 0 : c->hub->heads[c->list];
	uint32_t bytes = small_bytes(m);
	if (c->insert_bytes + bytes > c->hub->all->o.insert_cap_bytes) {
		mail_free(m);
		conn_kill(c, M_EVICTED_INSERTS, "too much private output waits");
		return;
	}
	if (conn_is_hoarding(c)) {
		mail_free(m);
		conn_kill(c, M_EVICTED_PENDING, "does not read while memory for output is short");
		return;
	}
	const size_t large = all_bytes(m) + sizeof(*m) - bytes;
	if (is_glutton(c, large)) {
		mail_free(m);
		conn_kill(c, M_EVICTED_LARGE, "does not read while memory for large frames is short");
		return;
	}
	count_inserts(c, bytes);
	count_large(c, (int64_t)large);
	/* Nearly always the end. Mail that the hub itself puts at its head can precede later mail of the room, never follow it. */
	if (!c->last) {
		c->first = c->last = m;
	} else if (c->last->at <= m->at) {
		c->last->next = m;
		c->last = m;
	} else {
		struct mail **at = &c->first;
		while (*at && (*at)->at <= m->at)
			at = &(*at)->next;
		m->next = *at;
		*at = m;
	}
	mark_for_output(c, m);
}

void conn_fill(struct conn *c, struct mail *fill)
{
	for (struct mail *m = c->first; m; m = m->next) {
		if (m->kind != MAIL_HOLD)
			continue;
		m->kind = MAIL_INSERT;
		count_inserts(c, -(int64_t)small_bytes(m));
		m->nparts = fill->nparts;
		memcpy(m->parts, fill->parts, sizeof(m->parts));
		count_inserts(c, small_bytes(m));
		count_large(c, (int64_t)(all_bytes(m) + sizeof(*m) - small_bytes(m)));
		fill->nparts = 0;
		mark_for_output(c, m);
		break;
	}
	mail_free(fill);
}

#define WANTED_LOOKS 256 /* at large mail; of small mail no more waits than insert_cap_bytes */

bool conn_pins_what_is_wanted(const struct conn *c)
{
	int looks = 0;
	for (const struct mail *m = c->large_bytes ? c->first : NULL; m && looks < WANTED_LOOKS; m = m->next)
		for (int i = 0; i < m->nparts; i++) {
			if (shbuf_is_wanted(m->parts[i]))
				return true;
			looks += is_large(m->parts[i]);
		}
	return false;
}

static bool is_for_join(const struct shbuf *b)
{
	return shbuf_for(b->owner, SHBUF_JOIN) == b->owner;
}

uint32_t conn_reading_pace(struct conn *c, uint32_t *wanted)
{
	struct mail *m = c->first;
	if (m && m->kind == MAIL_HOLD) /* the delay is the server's */
		m->pace = (struct stride){ 0 };
	if (!m || m->kind == MAIL_HOLD)
		return STRIDE_UNKNOWN;
	size_t sent = m->sent;
	for (int i = 0; i < m->part; i++)
		sent += m->parts[i]->len;
	/* A page that a joiner waits for comes again from its first byte if it is cut off, so that one may take its time. */
	const bool is_init = m->nparts && is_for_join(m->parts[m->nparts - 1]);
	*wanted = WC_MAX(is_init ? CRAWL_PACE : LEAST_PACE, (uint32_t)(all_bytes(m) / LARGE_THROUGH_S));
	*wanted = WC_MAX(*wanted, (uint32_t)(c->large_bytes / ALL_THROUGH_S));
	return stride_pace(&m->pace, (uint32_t)(c->cursor + sent), c->hub->now_s);
}

/* --- Flushing */

/* A walk along the output that is due, in order: ranges of the log, and parts of inserts. Gathering fills iovecs; taking passes the bytes
 * that were sent. It is one walk, so that the two cannot disagree, and inline, so that each is compiled for itself. */
struct walk {
	struct bcast *ring; /* NULL: not subscribed */
	uint64_t head, pos; /* the log's end for this turn; how far the walk is */
	struct iovec *iov;  /* gathering: n of FLUSH_IOVECS are filled */
	int n;
	size_t left; /* taking: bytes sent that are not passed yet */
};

#define WALK_INLINE static inline __attribute__((always_inline))

/* len bytes at p. Returns how many of them are passed. */
WALK_INLINE size_t pass(struct walk *w, const void *p, size_t len, bool is_taking)
{
	if (is_taking) {
		len = WC_MIN(len, w->left);
		w->left -= len;
	} else {
		w->iov[w->n++] = (struct iovec){ (void *)(uintptr_t)p, len };
	}
	return len;
}

/* The log up to the next insert. False: not all of it is passed. */
WALK_INLINE bool pass_log(struct walk *w, const struct mail *next, bool is_taking)
{
	const uint64_t stop = next && next->at < w->head ? next->at : w->head;
	if (w->ring && w->pos < stop)
		w->pos += pass(w, is_taking ? NULL : bcast_at(w->ring, w->pos), (size_t)(stop - w->pos), is_taking);
	return !w->ring || w->pos >= stop;
}

/* An insert that stands in place of a frame waits for that frame's release: no sender sees an echo before others may see the message. */
WALK_INLINE bool is_due(const struct walk *w, const struct mail *m)
{
	return m->kind != MAIL_HOLD && (!w->ring || (m->at <= w->pos && m->at + m->skip <= w->head));
}

/* False: not all parts are passed. */
WALK_INLINE bool pass_parts(struct walk *w, struct mail *m, bool is_taking)
{
	uint8_t part = m->part;
	size_t sent = m->sent;
	while (part < m->nparts && w->n < FLUSH_IOVECS) {
		const struct shbuf *b = m->parts[part];
		sent += pass(w, b->data + sent, b->len - sent, is_taking);
		if (sent < b->len)
			break;
		sent = 0;
		part++;
	}
	if (is_taking) {
		m->part = part;
		m->sent = sent;
	}
	return part == m->nparts;
}

static void drop_first(struct conn *c)
{
	struct mail *m = c->first;
	c->first = m->next;
	if (!c->first)
		c->last = NULL;
	else if (m->pace.since_s) /* the look goes on: small mail in front of large hides nobody */
		c->first->pace = (struct stride){ m->pace.since_s, m->pace.from - (uint32_t)all_bytes(m) };
	count_inserts(c, -(int64_t)small_bytes(m));
	count_large(c, -(int64_t)(all_bytes(m) + sizeof(*m) - small_bytes(m)));
	mail_free(m);
}

/* Taking frees the inserts that are passed and moves the cursor, also past everything empty. */
WALK_INLINE int walk(struct conn *c, struct iovec *iov, size_t got, bool is_taking)
{
	struct walk w = { .pos = c->cursor, .iov = iov, .left = got };
	if (c->list != LIST_NEW) {
		w.ring = c->hub->all->rings[c->list];
		w.head = c->hub->heads[c->list];
	}
	for (struct mail *m = c->first, *next; w.n < FLUSH_IOVECS; m = next) {
		if (!pass_log(&w, m, is_taking) || !m || !is_due(&w, m) || !pass_parts(&w, m, is_taking))
			break;
		if (w.ring)
			w.pos = WC_MAX(w.pos, m->at + m->skip);
		next = m->next;
		if (m->kind == MAIL_CLOSE) { /* nothing follows a close frame */
			if (is_taking)
				c->is_close_sent = true;
			break;
		}
		if (is_taking)
			drop_first(c);
	}
	if (is_taking)
		c->cursor = w.pos;
	return w.n;
}

/* Returns how many iovecs are filled. */
static int gather(struct conn *c, struct iovec iov[FLUSH_IOVECS])
{
	return walk(c, iov, 0, false);
}

static void take(struct conn *c, size_t got)
{
	walk(c, NULL, got, true);
}

static bool has_output(const struct conn *c)
{
	return c->first || (c->list != LIST_NEW && c->cursor < c->hub->heads[c->list]);
}

/* How many of the iovecs make at most FLUSH_BYTES, the last one cut. */
static int cut(struct iovec *iov, int n)
{
	size_t sum = 0;
	for (int i = 0; i < n; i++) {
		if (sum + iov[i].iov_len >= FLUSH_BYTES) {
			iov[i].iov_len = FLUSH_BYTES - sum;
			return i + 1;
		}
		sum += iov[i].iov_len;
	}
	return n;
}

/* The close frame is out: only the peer's end is waited for. */
static void end_output(struct conn *c)
{
	conn_drop_inserts(c);
	if (c->list != LIST_NEW) { /* out of the log for good */
		list_remove(c->hub, c);
		list_add(c->hub, c, LIST_NEW);
	}
	c->is_close_sent = false;
	c->deadline_s = c->hub->now_s + CLOSE_LINGER_S;
	transport_shutdown(&c->io);
	conn_mark_ready(c);
}

/* A connection with much to send (a file, an init) sends a part of it in a turn, then waits for its next turn. So other connections'
 * messages are not delayed. */
void conn_flush(struct conn *c)
{
	struct iovec iov[FLUSH_IOVECS];
	size_t sum = 0;
	while (!c->is_dead && !c->is_blocked && has_output(c)) {
		if (sum >= FLUSH_BYTES) {
			conn_mark_behind(c);
			return;
		}
		int n = cut(iov, gather(c, iov));
		if (n == 0) {
			take(c, 0); /* pure skips */
			break;
		}
		ssize_t got = transport_sendv(&c->io, iov, n);
		c->hub->sends++;
		if (got == -WC_EAGAIN) {
			c->is_blocked = true;
			c->blocked_s = c->hub->now_s;
			break;
		}
		if (got < 0) {
			conn_kill(c, M_LEFT_BROKEN, "send failed");
			return;
		}
		c->hub->sent_bytes += (uint64_t)got;
		sum += (size_t)got;
		take(c, (size_t)got);
		if (c->is_close_sent)
			break;
		/* After a part of it, once more: only a refused send arms the edge that tells when there is room. */
	}
	if (!c->is_dead && c->is_close_sent)
		end_output(c);
}

/* --- Close frames */

void conn_start_close(struct conn *c, enum metric why, int code, const char *reason)
{
	conn_start_close_at(c, why, MAIL_AT_HEAD, code, reason, strlen(reason));
}

void conn_start_close_at(struct conn *c, enum metric why, uint64_t at, int code, const void *reason, size_t reason_len)
{
	if (c->is_closing || c->is_dead)
		return;
	conn_count_end(c, why);
	c->is_closing = true;
	reason_len = WC_MIN(reason_len, 123u);
	uint8_t frame[WS_HEADER_MAX + 125];
	bool has_code = code != WS_CLOSE_NO_STATUS;
	size_t n = ws_header(frame, WS_CLOSE, has_code ? 2 + reason_len : 0);
	if (has_code) {
		frame[n++] = (uint8_t)(code >> 8);
		frame[n++] = (uint8_t)code;
		if (reason_len)
			memcpy(frame + n, reason, reason_len);
		n += reason_len;
	}
	struct mail *m = mail_new(MAIL_CLOSE, c);
	m->at = at;
	mail_part(m, shbuf_copy(frame, n));
	c->deadline_s = c->hub->now_s + CLOSE_WRITE_S;
	conn_insert(c, m);
	conn_resume(c, PAUSE_BUDGET);
	conn_mark_ready(c);
}
