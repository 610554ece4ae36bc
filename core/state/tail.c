/* tail.c — a ring of entries, each with its JSON ready: that of dialect 2 at once, that of dialect 1 once somebody joins who wants it.
 *
 * Histories are copied from these once per change, and shared by all who join. */
#include "state/tail.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_CACHE 4 /* sinces remembered: after a restart nearly all have the same one */

struct entry {
	struct msg m; /* strings lie in `text` */
	char *text;
	size_t text_len;
	char *json2, *json1; /* without self and cid; json1: NULL until it is asked for */
	size_t json2_len, json1_len;
	size_t data_at;       /* a file: data64 goes there into json1, between two quotes */
	size_t common_at;     /* a text: json1 is only what follows TEXT_1 and the members from there on in json2; 0: all of it */
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
static void forget_pages(struct tail *t)
{
	for (int d = 0; d < DIALECTS; d++) {
		shbuf_unref(t->history[d].buf);
		t->history[d].buf = NULL;
	}
	for (int i = 0; i < PAGE_CACHE; i++) {
		shbuf_unref(t->pages[i].buf);
		t->pages[i].buf = NULL;
	}
}

static void changed(struct tail *t)
{
	t->version++;
	forget_pages(t);
}

static struct entry *at(const struct tail *t, size_t i) /* 0: the oldest */
{
	return &t->v[(t->first + i) % t->room];
}

static size_t entry_bytes(const struct entry *e)
{
	return e->text_len + e->json2_len + e->json1_len;
}

static void drop_json1(struct entry *e)
{
	free(e->json1);
	e->json1 = NULL;
	e->json1_len = 0;
}

/* In dialect 1 only the newest are ever sent. */
static void trim_json1(struct tail *t, size_t from, size_t upto)
{
	for (size_t i = from; i < upto; i++) {
		t->bytes -= at(t, i)->json1_len;
		drop_json1(at(t, i));
	}
}

void tail_set_history_limit(struct tail *t, int history_limit)
{
	WC_ASSERT((size_t)history_limit <= t->room);
	if (t->history_limit != history_limit)
		changed(t);
	t->history_limit = history_limit;
	trim_json1(t, 0, t->n - WC_MIN(t->n, (size_t)history_limit));
}

static void entry_drop(struct entry *e)
{
	free(e->text);
	free(e->json2);
	free(e->json1);
	shbuf_unref(e->data64);
	*e = (struct entry){ 0 };
}

void tail_free(struct tail *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		entry_drop(at(t, i));
	forget_pages(t);
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
	drop_json1(e);
}

#define TEXT_1 "{\"type\":\"text\""

/* A long text is not kept twice: both dialects write it alike. */
static void share_text(struct entry *e, struct buf *b)
{
	const size_t head = sizeof(TEXT_1) - 1;
	const char *common = memmem(e->json2, e->json2_len, ",\"dm\":", 6);
	if (!common)
		return;
	const size_t n = e->json2_len - 1 - (size_t)(common - e->json2); /* without the brace */
	if (b->len < head + n || memcmp(b->p, TEXT_1, head) != 0 || memcmp(b->p + head, common, n) != 0)
		return;
	e->common_at = (size_t)(common - e->json2);
	b->len -= head + n;
	memmove(b->p, b->p + head + n, b->len);
}

static void encode_entry_1(struct entry *e)
{
	struct buf b, after;
	buf_init_sure(&b, OBJECT_CAP);
	buf_init_sure(&after, OBJECT_CAP);
	e->common_at = 0;
	if (e->m.kind == MSG_TEXT)
		encode_msg(&b, DIALECT_1, &e->m, false, NULL);
	else
		encode_msg_around(&b, &after, &e->m, false);
	e->data_at = b.len;
	buf_put(&b, after.p, after.len);
	buf_fini(&after);
	if (e->m.kind == MSG_TEXT)
		share_text(e, &b);
	e->json1_len = b.len;
	e->json1 = xmalloc(b.len); /* no more than that */
	memcpy(e->json1, b.p, b.len);
	buf_fini(&b);
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
	if (t->n > (size_t)t->history_limit)
		trim_json1(t, t->n - 1 - (size_t)t->history_limit, t->n - (size_t)t->history_limit);
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

/* The part of the tail that a page shows, and to whom. */
struct cut {
	size_t from;     /* index of the first entry */
	size_t deletion; /* of the first deletion; deletion_count: none */
	uint64_t me;     /* 0: for everybody */
	bool *has_more;  /* it was cut at TAIL_PAGE_BYTES; NULL: what there is fits */
};

#define OPENING "\"history\":["
#define CLOSING "]}"
#define DELETION_BYTES 100 /* of JSON at most, with a comma */
#define OWN_BYTES 32       /* that a sender's own message has more, besides its cid */

/* Takes the memory before anything is copied. */
static bool begin(struct buf *b, size_t bytes, shbuf_owner owner)
{
	buf_init_counted(b, SIZE_MAX, owner);
	if (buf_reserve(b, bytes + sizeof(OPENING CLOSING)))
		buf_puts(b, OPENING);
	return !b->failed;
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

static size_t estimate_2(const struct tail *t, const struct cut *cut)
{
	size_t bytes = (t->deletion_count - cut->deletion) * DELETION_BYTES;
	for (size_t i = cut->from, messages = 0; i < t->n && !(cut->has_more && messages >= TAIL_PAGE_BYTES); i++) {
		const struct entry *e = at(t, i);
		messages += e->json2_len;
		bytes += e->json2_len + 1 + (is_own(e, cut->me) ? OWN_BYTES + 6 * e->m.cid.len : 0);
	}
	return bytes;
}

static struct shbuf *build_2(const struct tail *t, const struct cut *cut, shbuf_owner owner)
{
	struct buf b;
	bool is_cut = false, is_first = true;
	size_t deletion = cut->deletion;
	if (!begin(&b, estimate_2(t, cut), owner))
		return buf_share(&b);
	for (size_t i = cut->from; i < t->n; i++) {
		const struct entry *e = at(t, i);
		put_deletions(t, &b, &deletion, e->m.id, &is_first);
		is_cut = cut->has_more && b.len >= TAIL_PAGE_BYTES;
		if (is_cut)
			break;
		if (!is_first)
			buf_putc(&b, ',');
		is_first = false;
		if (is_own(e, cut->me))
			encode_own(&b, &e->m, (struct str){ e->json2, e->json2_len });
		else
			buf_put(&b, e->json2, e->json2_len);
	}
	if (!is_cut)
		put_deletions(t, &b, &deletion, UINT64_MAX, &is_first);
	if (cut->has_more)
		*cut->has_more = is_cut;
	buf_puts(&b, CLOSING);
	return buf_share(&b);
}

/* The oldest that a joiner of dialect 1 gets. Encodes what no one has asked for yet; it counts, so the oldest of all may go. */
static size_t make_ready_1(struct tail *t)
{
	for (size_t i = t->n - WC_MIN(t->n, (size_t)t->history_limit); i < t->n; i++) {
		struct entry *e = at(t, i);
		if (e->json1 || e->m.flags & MSG_DELETED)
			continue;
		encode_entry_1(e);
		t->bytes += e->json1_len;
	}
	keep_within(t);
	return t->n - WC_MIN(t->n, (size_t)t->history_limit);
}

static void put_1(struct buf *b, const struct entry *e)
{
	if (e->m.kind == MSG_TEXT) {
		if (e->common_at) {
			buf_puts(b, TEXT_1);
			buf_put(b, e->json2 + e->common_at, e->json2_len - 1 - e->common_at);
		}
		buf_put(b, e->json1, e->json1_len);
	} else if (e->data64) {
		buf_put(b, e->json1, e->data_at);
		buf_put(b, e->data64->data, e->data64->len);
		buf_put(b, e->json1 + e->data_at, e->json1_len - e->data_at);
	} else {
		buf_put(b, e->json1, e->data_at - 1); /* without the quotes */
		buf_puts(b, "null");
		buf_put(b, e->json1 + e->data_at + 1, e->json1_len - e->data_at - 1);
	}
}

/* Dialect 1 is frozen: all of them, whatever their size. */
static struct shbuf *build_1(const struct tail *t, const struct cut *cut, shbuf_owner owner)
{
	struct buf b;
	size_t bytes = 0;
	for (size_t i = cut->from; i < t->n; i++) {
		const struct entry *e = at(t, i);
		bytes += e->json1_len + sizeof("null,") + (e->data64 ? e->data64->len : 0);
		bytes += e->common_at ? sizeof(TEXT_1) + e->json2_len : 0;
	}
	if (!begin(&b, bytes, owner))
		return buf_share(&b);
	bool is_first = true;
	for (size_t i = cut->from; i < t->n; i++) {
		const struct entry *e = at(t, i);
		if (e->m.flags & MSG_DELETED)
			continue;
		if (!is_first)
			buf_putc(&b, ',');
		is_first = false;
		put_1(&b, e);
	}
	buf_puts(&b, CLOSING);
	return buf_share(&b);
}

static struct shbuf *build(const struct tail *t, enum dialect d, const struct cut *cut, shbuf_owner owner)
{
	return d == DIALECT_1 ? build_1(t, cut, owner) : build_2(t, cut, owner);
}

/* A page for all who ask, kept at *kept. Where old ones that slow readers hold leave no room, it is the asker's alone. So slow readers take
 * nothing from those who join. */
static struct shbuf *build_for_all(struct tail *t, enum dialect d, const struct cut *cut, shbuf_owner asker, struct shbuf **kept)
{
	*kept = build(t, d, cut, SHBUF_FOR_ALL);
	if (!*kept) {
		forget_pages(t); /* they count, too */
		*kept = build(t, d, cut, SHBUF_FOR_ALL);
	}
	return *kept ? shbuf_ref(*kept) : build(t, d, cut, asker);
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

struct shbuf *tail_history(struct tail *t, enum dialect d, uint64_t me, shbuf_owner asker)
{
	struct cut cut = { .from = d == DIALECT_1 ? make_ready_1(t) : last_page(t), .deletion = t->deletion_count };
	if (d == DIALECT_2 && has_own(t, cut.from, me)) {
		cut.me = me;
		return build_2(t, &cut, asker);
	}
	struct page *p = &t->history[d];
	if (p->buf && p->version == t->version)
		return shbuf_ref(p->buf);
	shbuf_unref(p->buf);
	p->buf = NULL;
	p->version = t->version;
	return build_for_all(t, d, &cut, asker, &p->buf);
}

struct shbuf *tail_since(struct tail *t, uint64_t since, uint64_t me, shbuf_owner asker, bool *has_more)
{
	struct cut cut = { .from = messages_from(t, since), .deletion = deletions_from(t, since), .has_more = has_more };
	/* Clients whose sinces lie between the same two events share a page. */
	uint64_t key = cut.from ? at(t, cut.from - 1)->m.id : 0;
	if (cut.deletion)
		key = WC_MAX(key, deletion_at(t, cut.deletion - 1)->id);
	if (has_own(t, cut.from, me)) {
		cut.me = me;
		return build_2(t, &cut, asker);
	}
	for (int i = 0; i < PAGE_CACHE; i++)
		if (t->pages[i].buf && t->pages[i].since == key && t->pages[i].version == t->version) {
			*has_more = t->pages[i].has_more;
			return shbuf_ref(t->pages[i].buf);
		}
	struct page *p = &t->pages[t->next_page++ % PAGE_CACHE];
	shbuf_unref(p->buf);
	*p = (struct page){ .since = key, .version = t->version };
	struct shbuf *b = build_for_all(t, DIALECT_2, &cut, asker, &p->buf);
	p->has_more = *has_more;
	return b;
}
