/* admin_read.c — verbs that read what is stored: history, files, the audit (see admin/impl.h).
 *
 * Reads run on the admin's own thread, a bounded page a request, so that neither memory nor another reader has to wait, whatever is stored. Who
 * dumps private talk is written to the audit first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/impl.h"
#include "store/store_addr.h"
#include "wire/encode.h"

#define PAGE_MESSAGES 1000
#define PAGE_BYTES (256 * 1024)
#define SCAN_ROWS 10000 /* looked at for one page, whatever the filter leaves of them */
#define LAST_MAX 1000000
#define NOTE_MS (10 * 60 * 1000) /* a dump of private talk, page after page by one process, is one line of the audit */

static void fail_storage(struct call *c)
{
	call_fail(c, 507, "storage", "the database cannot be read now. The server's log says why");
}

static struct str str_of(const char *s)
{
	return s ? (struct str){ s, strlen(s) } : (struct str){ "", 0 };
}

/* --- Parameters */

uint64_t bare_id(const char *s)
{
	char *end;
	uint64_t id;
	if (strncmp(s, "id:", 3) == 0)
		s += 3;
	id = *s >= '0' && *s <= '9' ? strtoull(s, &end, 10) : 0;
	return id && !*end && id < INT64_MAX ? id : 0;
}

static bool take_range(struct call *c)
{
	struct dump_filter *f = &c->filter;
	int64_t after = 0, limit = PAGE_MESSAGES, last = 0;
	if (!take_int(c, "after", 0, &after) || !take_int(c, "limit", 1, &limit) || !take_int(c, "last", 1, &last) ||
	    !take_int(c, "since", 0, &f->since_ms) || !take_int(c, "until", 0, &f->until_ms))
		return false;
	f->after = (uint64_t)after;
	f->limit = (int)WC_MIN(limit, (int64_t)PAGE_MESSAGES);
	f->scan_limit = SCAN_ROWS;
	f->grep = str_of(arg_str(c, "grep"));
	c->last = (int)WC_MIN(last, (int64_t)LAST_MAX);
	c->with_addresses = arg_true(c, "addresses");
	f->is_dm = arg_str(c, "dm") != NULL;
	if (f->is_dm == (arg_str(c, "with") != NULL))
		return true;
	call_fail(c, 400, "bad_request", "private talk has two ends: name both, dm and with");
	return false;
}

/* --- Addresses */

bool addresses_since(const struct call *c, int64_t *since_ms)
{
	*since_ms = real_ms() - c->c.keep_days * (24 * 3600 * 1000LL);
	return c->c.keep_days > 0;
}

static void some_stored(struct call *c)
{
	/* Fewer each time, unless the store refuses: then those that it has must do. */
	const bool goes_on = c->c.status == 200 && c->c.count && c->c.count < c->c.id;
	c->c.id = c->c.count;
	if (goes_on)
		call_room(c, moderate_store_addresses, some_stored);
	else
		c->stored(c);
}

void call_stored(struct call *c, void (*then)(struct call *c))
{
	c->stored = then;
	c->c.id = SIZE_MAX;
	call_room(c, moderate_store_addresses, some_stored);
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
	struct buf *b = &c->c.out;
	struct store_dump *d = c->a->dump;
	struct page p = { .out = c->with_addresses ? &c->text : b };
	uint64_t upto;
	bool more;
	if (c->last && store_dump_last(d, &c->filter, c->last, &c->filter.after) < 0) {
		fail_storage(c);
		return;
	}
	buf_reset(b);
	buf_reset(&c->text);
	buf_puts(b, "{\"messages\":[");
	if (c->with_addresses)
		p.ends = xcalloc(PAGE_MESSAGES, sizeof(*p.ends));
	int rc = store_dump_page(d, &c->filter, put_message, &p, &upto, &more);
	if (rc >= 0 && c->with_addresses && !c->text.failed)
		rc = put_with_addresses(c, &p);
	free(p.ends);
	if (rc < 0) {
		fail_storage(c);
		return;
	}
	buf_printf(b, "],\"upto\":%llu,\"more\":%s}", (unsigned long long)upto, more ? "true" : "false");
	c->c.status = 200;
	call_reply(c);
}

static bool is_same_dump(const struct dm_note *n, const struct call *c)
{
	return n->uid == c->c.uid && n->pid == c->c.pid && n->a == c->filter.a && n->b == c->filter.b && n->until_ms > mono_ms();
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
	struct admin *a = c->a;
	if (c->c.status != 200) {
		call_reply(c);
		return;
	}
	pthread_mutex_lock(&a->lock);
	a->notes[a->next_note++ % WC_LEN(a->notes)] = (struct dm_note){ c->c.uid, c->c.pid, c->filter.a, c->filter.b, mono_ms() + NOTE_MS };
	pthread_mutex_unlock(&a->lock);
	call_read(c, read_page);
}

static void put_end(struct buf *b, const char *key, const char *named, uint64_t id)
{
	buf_printf(b, "%s\"%s\":%llu,\"%s_named\":", b->len > 1 ? "," : "", key, (unsigned long long)id, key);
	json_str(b, str_of(named));
}

static int has_one(void *arg, uint64_t id, struct str name)
{
	(void)id;
	(void)name;
	*(bool *)arg = true;
	return 1;
}

/* Did this id or name ever write? Those who left are known by that alone, and by their addresses. */
static int is_author(struct call *c, uint64_t id, struct str name, bool *is)
{
	int rc = id ? store_dump_author(c->a->dump, id, has_one, is) : store_dump_authors(c->a->dump, name, 1, has_one, is);
	return rc == -WC_ENOENT ? 0 : WC_MIN(rc, 0);
}

static void fail_nobody(struct call *c, const char *wanted)
{
	struct buf *b = &c->c.out;
	buf_reset(b);
	buf_puts(b,
	         "{\"error\":\"no_such_user\",\"text\":\"nobody known here has this id or name, and nobody wrote under it\",\"wanted\":");
	json_str(b, str_of(wanted));
	buf_puts(b, ",\"candidates\":[]}");
	c->c.status = 404;
	call_reply(c);
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
	int rc = id && addresses_since(c, &since_ms) ? store_dump_address(c->a->dump, id, since_ms, keep_address, is) : 0;
	return rc == -WC_ENOENT ? 0 : rc;
}

/* Whom the room does not know, and the first page asks for. */
static void check_author(struct call *c)
{
	const struct dump_filter *f = &c->filter;
	bool is = false;
	int rc = is_author(c, f->user_id, f->user_name, &is);
	if (rc == 0 && !is)
		rc = is_remembered(c, f->user_id, &is);
	if (rc < 0)
		fail_storage(c);
	else if (!is)
		fail_nobody(c, c->c.user);
	else
		read_page(c);
}

static void note_dump(struct call *c)
{
	struct command *cmd = &c->c;
	buf_reset(&c->text);
	buf_putc(&c->text, '{');
	put_end(&c->text, "dm", cmd->user, c->filter.a);
	put_end(&c->text, "with", cmd->user_2, c->filter.b);
	buf_putc(&c->text, '}');
	c->note = buf_take(&c->text, NULL);
	buf_init(&c->text, ADMIN_REPLY_MAX);
	cmd->text = c->note;
	buf_reset(&cmd->out);
	cmd->status = 0;
	call_room(c, moderate_note, noted);
}

/* An id that nobody known has must be in some private talk at least. */
static void check_ends(struct call *c)
{
	const struct command *cmd = &c->c;
	const uint64_t ids[] = { cmd->user_id ? 0 : c->filter.a, cmd->user_2_id ? 0 : c->filter.b };
	for (int i = 0; i < 2; i++) {
		int has = ids[i] ? store_dump_has_dms(c->a->dump, ids[i]) : 1;
		if (has < 0) {
			fail_storage(c);
			return;
		}
		if (!has) {
			fail_nobody(c, i ? cmd->user_2 : cmd->user);
			return;
		}
	}
	note_dump(c);
}

/* The room has said who is who. */
static void found(struct call *c)
{
	struct command *cmd = &c->c;
	struct dump_filter *f = &c->filter;
	const bool is_dm = f->is_dm;
	if (cmd->status != 200) {
		call_reply(c);
		return;
	}
	if (!is_dm) {
		f->user_id = !cmd->user ? 0 : cmd->user_id ? cmd->user_id : bare_id(cmd->user);
		if (cmd->user && !f->user_id)
			f->user_name = str_of(strncmp(cmd->user, "name:", 5) == 0 ? cmd->user + 5 : cmd->user);
		call_read(c, cmd->user && !cmd->user_id && !f->after ? check_author : read_page);
		return;
	}
	f->a = cmd->user_id ? cmd->user_id : bare_id(cmd->user);
	f->b = cmd->user_2_id ? cmd->user_2_id : bare_id(cmd->user_2);
	if (!f->a || !f->b)
		call_fail(c, 404, "no_such_user", "one of the two is nobody known here now; people who left are named by their id");
	else if (was_noted(c))
		call_read(c, read_page);
	else if (cmd->user_id && cmd->user_2_id)
		note_dump(c);
	else
		call_read(c, check_ends);
}

static void find_users(struct call *c)
{
	call_room(c, moderate_find, found);
}

void verb_history(struct call *c)
{
	if (!take_range(c))
		return;
	if (c->filter.is_dm && arg_str(c, "user")) {
		call_fail(c, 400, "bad_request", "user is for public talk; dm and with name the ends of private talk");
		return;
	}
	c->c.user = c->filter.is_dm ? arg_str(c, "dm") : arg_str(c, "user");
	c->c.user_2 = arg_str(c, "with");
	if (c->with_addresses)
		call_stored(c, find_users);
	else
		find_users(c);
}

void verb_files(struct call *c)
{
	c->filter.files_only = true;
	verb_history(c);
}

/* --- The audit */

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
	struct buf *b = &c->c.out;
	buf_puts(b, "{\"audit\":[");
	int n = store_dump_audit(c->a->dump, c->filter.after, c->last, c->filter.limit, put_row, b);
	if (n < 0) {
		fail_storage(c);
		return;
	}
	buf_printf(b, "],\"more\":%s}", n == c->filter.limit || b->len >= PAGE_BYTES ? "true" : "false");
	c->c.status = 200;
	call_reply(c);
}

void verb_audit(struct call *c)
{
	if (take_range(c))
		call_read(c, read_audit);
}
