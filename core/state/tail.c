/* tail.c — a ring of entries, each with its dialect-2 object ready; whole histories are built once per change and shared by all who
 * join. */
#include "state/tail.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_CACHE 4 /* sinces remembered: after a restart nearly all have the same one */

struct entry {
	struct msg m; /* strings lie in `text` */
	char *text;
	size_t text_len;
	char *json2; /* dialect 2, without self and cid */
	size_t json2_len;
	struct shbuf *data64; /* kept while it may be inlined */
};

struct page {
	uint64_t since, version;
	struct shbuf *buf;
	bool has_more;
};

struct deletion {
	uint64_t id, target;
	int64_t at_ms;
};

struct tail {
	struct deletion *deletions; /* a ring of TAIL_PAGE, made with the first */
	size_t deletion_first, deletion_count;
	uint64_t deletions_before; /* the highest id that is no longer in it */
	struct entry *v;
	size_t room, first, n; /* first: slot of the oldest */
	int history_limit;
	bool is_complete;
	size_t bytes, bound_bytes; /* of all entries */
	uint64_t version;          /* changes with the content */
	struct page history[DIALECTS];
	struct page pages[PAGE_CACHE];
	int next_page;
};

struct tail *tail_new(int history_limit)
{
	struct tail *t = xcalloc(1, sizeof(*t));
	t->history_limit = history_limit;
	t->room = (size_t)WC_MAX(history_limit, TAIL_PAGE);
	t->v = xcalloc(t->room, sizeof(*t->v));
	t->version = 1;
	t->bound_bytes = SIZE_MAX;
	return t;
}

/* The pages of before are nobody's any more but their readers'. */
static void changed(struct tail *t)
{
	t->version++;
	for (int d = 0; d < DIALECTS; d++) {
		shbuf_unref(t->history[d].buf);
		t->history[d].buf = NULL;
	}
	for (int i = 0; i < PAGE_CACHE; i++) {
		shbuf_unref(t->pages[i].buf);
		t->pages[i].buf = NULL;
	}
}

void tail_set_history_limit(struct tail *t, int history_limit)
{
	WC_ASSERT((size_t)history_limit <= t->room);
	if (t->history_limit != history_limit)
		changed(t);
	t->history_limit = history_limit;
}

static struct entry *at(const struct tail *t, size_t i) /* 0: the oldest */
{
	return &t->v[(t->first + i) % t->room];
}

static size_t entry_bytes(const struct entry *e)
{
	return e->text_len + e->json2_len;
}

static void entry_drop(struct entry *e)
{
	free(e->text);
	free(e->json2);
	shbuf_unref(e->data64);
	*e = (struct entry){ 0 };
}

void tail_free(struct tail *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		entry_drop(at(t, i));
	for (int d = 0; d < DIALECTS; d++)
		shbuf_unref(t->history[d].buf);
	for (int i = 0; i < PAGE_CACHE; i++)
		shbuf_unref(t->pages[i].buf);
	free(t->v);
	free(t->deletions);
	free(t);
}

static void keep(struct str *s, char **to)
{
	if (s->len)
		memcpy(*to, s->p, s->len);
	s->p = *to;
	*to += s->len;
}

static void copy_msg(struct entry *e, const struct msg *m)
{
	e->m = *m;
	struct str *all[] = { &e->m.from_name, &e->m.to_name, &e->m.cid, &e->m.text, &e->m.filename, &e->m.mime, &e->m.waveform };
	size_t sum = 1;
	for (size_t i = 0; i < WC_LEN(all); i++)
		sum += all[i]->len;
	char *to = e->text = xmalloc(sum);
	e->text_len = sum;
	for (size_t i = 0; i < WC_LEN(all); i++)
		keep(all[i], &to);
}

#define OBJECT_CAP (256 * 1024) /* of one message without its data; 4000 characters, escaped, are far below */

static void encode_entry(struct entry *e)
{
	struct buf b;
	buf_init_sure(&b, OBJECT_CAP);
	encode_msg(&b, DIALECT_2, &e->m, false, NULL);
	free(e->json2);
	e->json2 = buf_take(&b, &e->json2_len);
	WC_ASSERT(e->json2);
}

/* Base64 is kept for the newest files alone, as far as a dialect-1 history may carry it. */
static void trim_data(struct tail *t)
{
	size_t sum = 0;
	size_t limit = WC_MIN(t->n, (size_t)t->history_limit);
	for (size_t i = 0; i < t->n; i++) {
		struct entry *e = at(t, t->n - 1 - i);
		if (!e->data64)
			continue;
		sum += e->data64->len;
		if (i >= limit || sum > TAIL_INLINE_BYTES) {
			shbuf_unref(e->data64);
			e->data64 = NULL;
			sum = TAIL_INLINE_BYTES + 1; /* newest first: nothing older slips in behind one that did not fit */
		}
	}
}

static void drop_oldest(struct tail *t)
{
	t->bytes -= entry_bytes(at(t, 0));
	entry_drop(at(t, 0));
	t->first = (t->first + 1) % t->room;
	t->n--;
}

/* The last one stays, whatever its size. */
static void keep_within(struct tail *t)
{
	while (t->n > 1 && t->bytes > t->bound_bytes) {
		drop_oldest(t);
		t->is_complete = false;
	}
}

void tail_bound(struct tail *t, size_t bytes)
{
	t->bound_bytes = bytes;
	changed(t);
	keep_within(t);
}

void tail_add(struct tail *t, const struct msg *m, struct shbuf *data64)
{
	changed(t);
	if (t->n == t->room) {
		drop_oldest(t);
		t->is_complete = false;
	}
	struct entry *e = at(t, t->n++);
	copy_msg(e, m);
	encode_entry(e);
	t->bytes += entry_bytes(e);
	keep_within(t);
	e->data64 = data64 && data64->len <= TAIL_INLINE_BYTES ? shbuf_ref(data64) : NULL;
	if (m->kind != MSG_TEXT)
		trim_data(t);
}

void tail_set_flags(struct tail *t, uint64_t id, uint32_t flags)
{
	for (size_t i = 0; i < t->n; i++) {
		struct entry *e = at(t, i);
		if (e->m.id != id)
			continue;
		e->m.flags = flags;
		shbuf_unref(e->data64);
		e->data64 = NULL;
		t->bytes -= entry_bytes(e);
		encode_entry(e);
		t->bytes += entry_bytes(e);
		changed(t);
	}
}

static const struct deletion *deletion_at(const struct tail *t, size_t i) /* 0: the oldest */
{
	return &t->deletions[(t->deletion_first + i) % TAIL_PAGE];
}

void tail_add_deletion(struct tail *t, uint64_t id, int64_t at_ms, uint64_t target)
{
	if (!t->deletions)
		t->deletions = xcalloc(TAIL_PAGE, sizeof(*t->deletions));
	if (t->deletion_count == TAIL_PAGE) {
		t->deletions_before = deletion_at(t, 0)->id;
		t->deletion_first = (t->deletion_first + 1) % TAIL_PAGE;
		t->deletion_count--;
	}
	t->deletions[(t->deletion_first + t->deletion_count++) % TAIL_PAGE] = (struct deletion){ id, target, at_ms };
	changed(t);
}

void tail_set_deletions_before(struct tail *t, uint64_t before)
{
	t->deletions_before = before;
}

/* The first deletion with an id above since. */
static size_t deletions_from(const struct tail *t, uint64_t since)
{
	size_t low = 0, high = t->deletion_count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (deletion_at(t, mid)->id > since)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* The first message with an id above since. */
static size_t messages_from(const struct tail *t, uint64_t since)
{
	size_t low = 0, high = t->n;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (at(t, mid)->m.id > since)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

void tail_drop_through(struct tail *t, uint64_t id)
{
	while (t->n && at(t, 0)->m.id <= id) {
		drop_oldest(t);
		changed(t);
	}
}

uint64_t tail_last_id(const struct tail *t)
{
	return t->n ? at(t, t->n - 1)->m.id : 0;
}

bool tail_covers(const struct tail *t, uint64_t since)
{
	if (!t->is_complete && !(t->n && at(t, 0)->m.id <= since))
		return false;
	/* Messages and deletions together must still make one page. */
	return since >= t->deletions_before && t->n - messages_from(t, since) + t->deletion_count - deletions_from(t, since) <= t->room;
}

void tail_set_complete(struct tail *t, bool is_complete)
{
	t->is_complete = is_complete;
}

static struct shbuf *share(struct buf *b)
{
	struct shbuf *s = b->failed ? NULL : shbuf_copy(b->p, b->len);
	buf_fini(b);
	return s;
}

static bool is_own(const struct entry *e, uint64_t me)
{
	return me && e->m.from_id == me;
}

static void put_deletions(const struct tail *t, struct buf *b, size_t *from, uint64_t upto, bool *is_first)
{
	for (; *from < t->deletion_count && deletion_at(t, *from)->id < upto; ++*from) {
		const struct deletion *d = deletion_at(t, *from);
		if (!*is_first)
			buf_putc(b, ',');
		*is_first = false;
		encode_delete(b, d->id, d->at_ms, d->target);
	}
}

/* from: index of the first entry; deletion: of the first deletion, deletion_count for none. *has_more: it was cut at TAIL_PAGE_BYTES; NULL:
 * what there is fits. */
static struct shbuf *build_2(const struct tail *t, size_t from, size_t deletion, uint64_t me, bool *has_more)
{
	struct buf b;
	bool is_cut = false;
	buf_init(&b, SIZE_MAX / 2); /* bounded by TAIL_PAGE_BYTES */
	buf_puts(&b, "\"history\":[");
	bool is_first = true;
	for (size_t i = from; i < t->n; i++) {
		const struct entry *e = at(t, i);
		put_deletions(t, &b, &deletion, e->m.id, &is_first);
		is_cut = has_more && b.len >= TAIL_PAGE_BYTES;
		if (is_cut)
			break;
		if (!is_first)
			buf_putc(&b, ',');
		is_first = false;
		if (is_own(e, me))
			encode_own(&b, &e->m, (struct str){ e->json2, e->json2_len });
		else
			buf_put(&b, e->json2, e->json2_len);
	}
	if (!is_cut)
		put_deletions(t, &b, &deletion, UINT64_MAX, &is_first);
	if (has_more)
		*has_more = is_cut;
	buf_puts(&b, "]}");
	return share(&b);
}

static struct shbuf *build_1(const struct tail *t, size_t from)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	buf_puts(&b, "\"history\":[");
	bool is_first = true;
	for (size_t i = from; i < t->n; i++) {
		const struct entry *e = at(t, i);
		if (e->m.flags & MSG_DELETED)
			continue;
		if (!is_first)
			buf_putc(&b, ',');
		is_first = false;
		struct str data = e->data64 ? (struct str){ (const char *)e->data64->data, e->data64->len } : STR("");
		encode_msg(&b, DIALECT_1, &e->m, false, e->data64 ? &data : NULL);
	}
	buf_puts(&b, "]}");
	return share(&b);
}

static bool has_own(const struct tail *t, size_t from, uint64_t me)
{
	for (size_t i = from; me && i < t->n; i++)
		if (at(t, i)->m.from_id == me)
			return true;
	return false;
}

/* The oldest of the last history_limit entries that together fill no more than a page; the newest always does. */
static size_t last_page(const struct tail *t)
{
	size_t from = t->n, bytes = 0;
	while (from && t->n - from < (size_t)t->history_limit && bytes < TAIL_PAGE_BYTES)
		bytes += at(t, --from)->json2_len;
	return from;
}

struct shbuf *tail_history(struct tail *t, enum dialect d, uint64_t me)
{
	size_t from = d == DIALECT_2 ? last_page(t) : t->n - WC_MIN(t->n, (size_t)t->history_limit);
	if (d == DIALECT_2 && has_own(t, from, me))
		return build_2(t, from, t->deletion_count, me, NULL);
	struct page *p = &t->history[d];
	if (!p->buf || p->version != t->version) {
		shbuf_unref(p->buf);
		p->buf = d == DIALECT_1 ? build_1(t, from) : build_2(t, from, t->deletion_count, 0, NULL);
		p->version = t->version;
	}
	return p->buf ? shbuf_ref(p->buf) : NULL;
}

struct shbuf *tail_since(struct tail *t, uint64_t since, uint64_t me, bool *has_more)
{
	size_t low = messages_from(t, since), deletion = deletions_from(t, since);
	/* Clients whose sinces lie between the same two events share a page. */
	uint64_t key = low ? at(t, low - 1)->m.id : 0;
	if (deletion)
		key = WC_MAX(key, deletion_at(t, deletion - 1)->id);
	if (has_own(t, low, me))
		return build_2(t, low, deletion, me, has_more);
	for (int i = 0; i < PAGE_CACHE; i++)
		if (t->pages[i].buf && t->pages[i].since == key && t->pages[i].version == t->version) {
			*has_more = t->pages[i].has_more;
			return shbuf_ref(t->pages[i].buf);
		}
	struct page *p = &t->pages[t->next_page++ % PAGE_CACHE];
	shbuf_unref(p->buf);
	p->buf = build_2(t, low, deletion, 0, &p->has_more);
	*has_more = p->has_more;
	p->since = key;
	p->version = t->version;
	if (!p->buf || p->buf->len <= shbuf_large_left() / 8 + SHBUF_LARGE)
		return p->buf ? shbuf_ref(p->buf) : NULL;
	/* Large for the memory there is: not kept for the next. */
	struct shbuf *once = p->buf;
	p->buf = NULL;
	return once;
}
