/* admin_read.c — the verbs that read what is stored: history, files, audit (see impl.h).
 *
 * Each request reads one bounded page, on the admin's own thread, so that memory stays small and no other reader waits. A dump of private
 * talk is written to the audit first. */
#include <stdlib.h>

#include "admin/impl.h"
#include "store/store_addr.h"
#include "wire/encode.h"

#define PAGE_MESSAGES 1000
#define PAGE_BYTES (256 * 1024)
#define SCAN_ROWS 10000 /* looked at for one page, whatever the filter leaves of them */
#define LAST_MAX 1000000
#define NOTE_MS (10 * 60 * 1000) /* a dump of private talk, page after page by one process, is one line of the audit */

/* The request: a page of messages or of the audit. */
struct reading {
	struct dump_filter filter;
	int last;            /* the newest of them, by number; 0: not asked for */
	bool with_addresses; /* of each author the last one */
	struct user_search search;
	struct buf page; /* messages whose authors' addresses are still to be looked up */
};

static void drop_reading(void *own)
{
	struct reading *q = own;
	people_drop(&q->search.people);
	buf_fini(&q->page);
}

static struct reading *reading_new(struct call *c)
{
	struct reading *q = call_own(c, sizeof(*q), drop_reading);
	buf_init(&q->page, ADMIN_REPLY_MAX);
	return q;
}

/* --- Parameters */

static bool take_range(struct call *c, struct reading *q)
{
	struct dump_filter *f = &q->filter;
	int64_t after = 0, limit = PAGE_MESSAGES, last = 0;
	if (!take_int(c, "after", 0, &after) || !take_int(c, "limit", 1, &limit) || !take_int(c, "last", 1, &last) ||
	    !take_int(c, "since", 0, &f->since_ms) || !take_int(c, "until", 0, &f->until_ms))
		return false;
	f->after = (uint64_t)after;
	f->limit = (int)WC_MIN(limit, (int64_t)PAGE_MESSAGES);
	f->scan_limit = SCAN_ROWS;
	f->grep = str_of(arg_str(c, "grep"));
	q->last = (int)WC_MIN(last, (int64_t)LAST_MAX);
	q->with_addresses = arg_true(c, "addresses");
	f->is_dm = arg_str(c, "dm") != NULL;
	if (f->is_dm == (arg_str(c, "with") != NULL))
		return true;
	call_fail(c, 400, "bad_request", "private talk has two ends: name both, dm and with");
	return false;
}

/* --- History and files */

/* A page under construction. With addresses each message's end and author are noted, for they are looked up behind the page's own read. */
struct page {
	struct buf *out;
	struct {
		size_t end;
		uint64_t from_id;
	} * ends; /* NULL: not asked for */
	size_t count;
};

static int put_message(void *arg, const struct msg *m)
{
	struct page *p = arg;
	struct buf *b = p->out;
	if (b->len && b->p[b->len - 1] != '[')
		buf_putc(b, ',');
	encode_msg(b, DIALECT_2, m, false, NULL);
	if (p->ends) {
		p->ends[p->count].end = b->len;
		p->ends[p->count++].from_id = m->from_id;
	}
	return b->len >= PAGE_BYTES;
}

static int put_address(void *arg, const struct address *a)
{
	struct buf *b = arg;
	char text[IP_NET_TEXT];
	ip_net_text(a->addr, 128, text);
	buf_printf(b, ",\"address\":\"%s\",\"address_at\":%lld", text, (long long)a->at_ms);
	return 0;
}

/* The page's messages, each with its author's last address. */
static int put_with_addresses(struct call *c, const struct page *p)
{
	struct buf address;
	uint64_t of = 0;
	size_t at = 0;
	int64_t since_ms;
	int rc = 0;
	const bool keeps = addresses_since(c, &since_ms);
	buf_init(&address, 4096);
	for (size_t i = 0; i < p->count; i++) {
		if (keeps && p->ends[i].from_id != of) {
			of = p->ends[i].from_id;
			buf_reset(&address);
			rc = store_dump_address(c->a->dump, of, since_ms, put_address, &address);
			if (rc < 0 && rc != -WC_ENOENT)
				break;
		}
		buf_put(&c->c.out, p->out->p + at, p->ends[i].end - 1 - at); /* up to the object's end */
		buf_put(&c->c.out, address.p ? address.p : "", address.len);
		buf_putc(&c->c.out, '}');
		at = p->ends[i].end;
		rc = 0;
	}
	buf_fini(&address);
	return rc;
}

static void read_page(struct call *c)
{
	struct reading *q = c->own;
	struct buf *b = &c->c.out;
	struct store_dump *d = c->a->dump;
	struct page p = { .out = q->with_addresses ? &q->page : b };
	uint64_t upto;
	bool more;
	if (q->last && store_dump_last(d, &q->filter, q->last, &q->filter.after) < 0) {
		call_fail_storage(c);
		return;
	}
	buf_reset(b);
	buf_puts(b, "{\"messages\":[");
	if (q->with_addresses)
		p.ends = xcalloc(PAGE_MESSAGES, sizeof(*p.ends));
	int rc = store_dump_page(d, &q->filter, put_message, &p, &upto, &more);
	if (rc >= 0 && q->with_addresses && !q->page.failed)
		rc = put_with_addresses(c, &p);
	free(p.ends);
	if (rc < 0) {
		call_fail_storage(c);
		return;
	}
	buf_printf(b, "],\"upto\":%llu,\"more\":%s}", (unsigned long long)upto, more ? "true" : "false");
	c->c.status = 200;
	call_reply(c);
}

/* --- Private talk: that it is read is in the audit, once for each talk and process */

static bool is_same_dump(const struct dm_note *n, const struct call *c)
{
	const struct reading *q = c->own;
	return n->uid == c->c.uid && n->pid == c->c.pid && n->a == q->filter.a && n->b == q->filter.b && n->until_ms > mono_ms();
}

static bool was_noted(struct call *c)
{
	bool found = false;
	pthread_mutex_lock(&c->a->lock);
	for (size_t i = 0; i < WC_LEN(c->a->notes) && !found; i++) {
		found = is_same_dump(&c->a->notes[i], c);
		if (found)
			c->a->notes[i].until_ms = mono_ms() + NOTE_MS;
	}
	pthread_mutex_unlock(&c->a->lock);
	return found;
}

static void noted(struct call *c)
{
	const struct dump_filter *f = &((const struct reading *)c->own)->filter;
	struct admin *a = c->a;
	pthread_mutex_lock(&a->lock);
	a->notes[a->next_note++ % WC_LEN(a->notes)] = (struct dm_note){ c->c.uid, c->c.pid, f->a, f->b, mono_ms() + NOTE_MS };
	pthread_mutex_unlock(&a->lock);
	call_read(c, read_page);
}

static void put_end(struct buf *b, const char *key, const char *named, uint64_t id)
{
	buf_printf(b, "%s\"%s\":%llu,\"%s_named\":", b->len > 1 ? "," : "", key, (unsigned long long)id, key);
	json_str(b, str_of(named));
}

static void note_dump(struct call *c)
{
	const struct reading *q = c->own;
	struct buf b;
	buf_init(&b, ADMIN_REPLY_MAX);
	buf_putc(&b, '{');
	put_end(&b, "dm", q->search.user, q->filter.a);
	put_end(&b, "with", q->search.user_2, q->filter.b);
	buf_putc(&b, '}');
	call_note(c, buf_take(&b, NULL), noted);
}

static void fail_nobody(struct call *c, const char *wanted)
{
	call_fail_nobody(c, "nobody known here has this id or name, and nobody wrote under it", wanted);
}

/* An id that the room does not know must be in some private talk at least. */
static void check_ends(struct call *c)
{
	const struct reading *q = c->own;
	const struct user_search *s = &q->search;
	const uint64_t ids[] = { s->user_id ? 0 : q->filter.a, s->user_2_id ? 0 : q->filter.b };
	for (int i = 0; i < 2; i++) {
		const int has = ids[i] ? store_dump_has_dms(c->a->dump, ids[i]) : 1;
		if (has < 0) {
			call_fail_storage(c);
			return;
		}
		if (!has) {
			fail_nobody(c, i ? s->user_2 : s->user);
			return;
		}
	}
	note_dump(c);
}

static void read_private(struct call *c)
{
	struct reading *q = c->own;
	const struct user_search *s = &q->search;
	q->filter.a = s->user_id ? s->user_id : bare_id(s->user);
	q->filter.b = s->user_2_id ? s->user_2_id : bare_id(s->user_2);
	if (!q->filter.a || !q->filter.b)
		call_fail(c, 404, "no_such_user", "one of the two is nobody known here now; people who left are named by their id");
	else if (was_noted(c))
		call_read(c, read_page);
	else if (s->user_id && s->user_2_id)
		note_dump(c);
	else
		call_read(c, check_ends);
}

/* --- Public talk */

static int has_one(void *arg, uint64_t id, struct str name)
{
	(void)id;
	(void)name;
	*(bool *)arg = true;
	return 1;
}

/* Did this id or name ever write? People who left are known by that alone, and by their addresses. */
static int is_author(struct call *c, uint64_t id, struct str name, bool *is)
{
	const int rc = id ? store_dump_author(c->a->dump, id, has_one, is) : store_dump_authors(c->a->dump, name, 1, has_one, is);
	return rc == -WC_ENOENT ? 0 : WC_MIN(rc, 0);
}

static int keep_address(void *arg, const struct address *a)
{
	(void)a;
	*(bool *)arg = true;
	return 0;
}

/* Is this id one whose address is kept? */
static int is_remembered(struct call *c, uint64_t id, bool *is)
{
	int64_t since_ms;
	const int rc = id && addresses_since(c, &since_ms) ? store_dump_address(c->a->dump, id, since_ms, keep_address, is) : 0;
	return rc == -WC_ENOENT ? 0 : rc;
}

/* The first page of somebody whom the room does not know. */
static void check_author(struct call *c)
{
	const struct reading *q = c->own;
	bool is = false;
	int rc = is_author(c, q->filter.user_id, q->filter.user_name, &is);
	if (rc == 0 && !is)
		rc = is_remembered(c, q->filter.user_id, &is);
	if (rc < 0)
		call_fail_storage(c);
	else if (!is)
		fail_nobody(c, q->search.user);
	else
		read_page(c);
}

static void read_public(struct call *c)
{
	struct reading *q = c->own;
	const char *user = q->search.user;
	if (user) {
		q->filter.user_id = q->search.user_id ? q->search.user_id : bare_id(user);
		if (!q->filter.user_id)
			q->filter.user_name = str_of(bare_name(user));
	}
	call_read(c, user && !q->search.user_id && !q->filter.after ? check_author : read_page);
}

/* --- GET /v1/history, GET /v1/files */

static void find_people(struct room *r, struct call *c)
{
	struct reading *q = c->own;
	moderate_find(r, &c->c, &q->search);
}

static void people_found(struct call *c)
{
	const struct reading *q = c->own;
	if (c->c.status != 200)
		call_reply(c);
	else if (q->filter.is_dm)
		read_private(c);
	else
		read_public(c);
}

static void look_for_people(struct call *c)
{
	call_room(c, find_people, people_found);
}

static void start_history(struct call *c, bool files_only)
{
	struct reading *q = reading_new(c);
	q->filter.files_only = files_only;
	if (!take_range(c, q))
		return;
	if (q->filter.is_dm && arg_str(c, "user")) {
		call_fail(c, 400, "bad_request", "user is for public talk; dm and with name the ends of private talk");
		return;
	}
	q->search.user = q->filter.is_dm ? arg_str(c, "dm") : arg_str(c, "user");
	q->search.user_2 = arg_str(c, "with");
	if (q->with_addresses)
		call_stored(c, look_for_people);
	else
		look_for_people(c);
}

void verb_history(struct call *c)
{
	start_history(c, false);
}

void verb_files(struct call *c)
{
	start_history(c, true);
}

/* --- GET /v1/audit */

static int put_row(void *arg, const struct audit *row)
{
	struct buf *b = arg;
	if (b->p[b->len - 1] != '[')
		buf_putc(b, ',');
	buf_printf(b, "{\"id\":%llu,\"at\":%lld,\"uid\":%u,\"pid\":%d,\"verb\":", (unsigned long long)row->id, (long long)row->at_ms,
	           (unsigned)row->uid, (int)row->pid);
	json_str(b, row->verb);
	buf_puts(b, ",\"args\":");
	buf_put(b, row->args.p, row->args.len); /* JSON already */
	if (row->reason.len) {
		buf_puts(b, ",\"reason\":");
		json_str(b, row->reason);
	}
	if (row->via.len) {
		buf_puts(b, ",\"via\":");
		json_str(b, row->via);
	}
	buf_putc(b, '}');
	return b->len >= PAGE_BYTES;
}

static void read_audit(struct call *c)
{
	const struct reading *q = c->own;
	struct buf *b = &c->c.out;
	buf_puts(b, "{\"audit\":[");
	int n = store_dump_audit(c->a->dump, q->filter.after, q->last, q->filter.limit, put_row, b);
	if (n < 0) {
		call_fail_storage(c);
		return;
	}
	buf_printf(b, "],\"more\":%s}", n == q->filter.limit || b->len >= PAGE_BYTES ? "true" : "false");
	c->c.status = 200;
	call_reply(c);
}

void verb_audit(struct call *c)
{
	if (take_range(c, reading_new(c)))
		call_read(c, read_audit);
}
