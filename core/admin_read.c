/* admin_read.c — verbs that read what is stored: history, files, the audit; and purging, which reads and then deletes (see admin_impl.h).
 *
 * Reads run on the admin's own thread, a bounded page a request, so that neither memory nor another reader has to wait, whatever is stored. Who
 * dumps private talk is written to the audit first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin_impl.h"
#include "encode.h"
#include "metrics.h"

#define PAGE_MESSAGES 1000
#define PAGE_BYTES (256 * 1024)
#define SCAN_ROWS 10000          /* looked at for one page, whatever the filter leaves of them */
#define LAST_MAX 1000000
#define NOTE_MS (10 * 60 * 1000) /* a dump of private talk, page after page by one process, is one line of the audit */
#define PURGE_ROWS 20000         /* looked at in one read */
#define PURGE_IDS 50             /* deleted in one transaction, for that long the room does nothing else */
#define PURGE_DELIVERIES_S 300000 /* every page is told of every deletion: a person's whole past at once would drown the talk of the living */
#define PURGE_PAUSE_MS 1000      /* at most, between two transactions */
#define PURGE_MS 2000            /* of one request */

static void fail_storage(struct call *c)
{
	call_fail(c, 507, "storage", "the database cannot be read now. The server's log says why");
}

static struct str str_of(const char *s)
{
	return s ? (struct str){ s, strlen(s) } : (struct str){ "", 0 };
}

/* --- Parameters */

/* Who the room does not know may still have written: an id is an id. */
static uint64_t bare_id(const char *s)
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
	int64_t n;
	f->limit = PAGE_MESSAGES;
	f->scan_limit = SCAN_ROWS;
	f->grep = str_of(arg_str(c, "grep"));
	if (arg_int(c, "after", &n) && n > 0)
		f->after = (uint64_t)n;
	if (arg_int(c, "limit", &n) && n > 0)
		f->limit = (int)WC_MIN(n, PAGE_MESSAGES);
	if (arg_int(c, "last", &n) && n > 0)
		c->last = (int)WC_MIN(n, LAST_MAX);
	if (arg_int(c, "since", &n) && n > 0)
		f->since_ms = n;
	if (arg_int(c, "until", &n) && n > 0)
		f->until_ms = n;
	f->is_dm = arg_str(c, "dm") != NULL;
	if (f->is_dm == (arg_str(c, "with") != NULL))
		return true;
	call_fail(c, 400, "bad_request", "private talk has two ends: name both, dm and with");
	return false;
}

/* --- History and files */

static int put_message(void *arg, const struct msg *m)
{
	struct buf *b = arg;
	if (b->p[b->len - 1] != '[')
		buf_putc(b, ',');
	encode_msg(b, DIALECT_2, m, false, NULL);
	return b->len >= PAGE_BYTES;
}

static void read_page(struct call *c)
{
	struct buf *b = &c->c.out;
	struct store_dump *d = c->a->dump;
	uint64_t upto;
	bool more;
	if (c->last && store_dump_last(d, &c->filter, c->last, &c->filter.after) < 0) {
		fail_storage(c);
		return;
	}
	buf_reset(b);
	buf_puts(b, "{\"messages\":[");
	if (store_dump_page(d, &c->filter, put_message, b, &upto, &more) < 0) {
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
		call_read(c, read_page);
		return;
	}
	f->a = cmd->user_id ? cmd->user_id : bare_id(cmd->user);
	f->b = cmd->user_2_id ? cmd->user_2_id : bare_id(cmd->user_2);
	if (!f->a || !f->b) {
		call_fail(c, 404, "no_such_user", "one of the two is nobody known here now; people who left are named by their id");
		return;
	}
	if (was_noted(c)) {
		call_read(c, read_page);
		return;
	}
	buf_reset(&c->text);
	buf_putc(&c->text, '{');
	put_end(&c->text, "dm", cmd->user, f->a);
	put_end(&c->text, "with", cmd->user_2, f->b);
	buf_putc(&c->text, '}');
	c->note = buf_take(&c->text, NULL);
	buf_init(&c->text, ADMIN_REPLY_MAX);
	cmd->text = c->note;
	buf_reset(&cmd->out);
	cmd->status = 0;
	call_room(c, moderate_note, noted);
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
	call_room(c, moderate_find, found);
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
	buf_printf(b, "{\"id\":%llu,\"at\":%lld,\"uid\":%u,\"pid\":%d,\"verb\":", (unsigned long long)row->id, (long long)row->at_ms, (unsigned)row->uid,
	           (int)row->pid);
	json_str(b, row->verb);
	buf_puts(b, ",\"args\":");
	buf_put(b, row->args.p, row->args.len); /* JSON already */
	if (row->reason.len) {
		buf_puts(b, ",\"reason\":");
		json_str(b, row->reason);
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

/* --- Purging: find, note, then read some and delete them, until nothing is left or the request has taken long enough */

static void purge_some(struct call *c);

static void purged(struct call *c)
{
	struct command *cmd = &c->c;
	if (cmd->status != 200) {
		call_reply(c);
		return;
	}
	c->purged += cmd->count;
	if (c->has_more && mono_ms() < c->deadline_ms) {
		call_read(c, purge_some);
		return;
	}
	buf_reset(&cmd->out);
	buf_printf(&cmd->out, "{\"id\":%llu,\"deleted\":%zu,\"upto\":%llu,\"more\":%s}", (unsigned long long)c->person, c->purged,
	           (unsigned long long)c->filter.after, c->has_more ? "true" : "false");
	call_reply(c);
}

static void purge_some(struct call *c)
{
	uint64_t pause_ms = c->c.count * metric_get(M_CONNECTIONS) * 1000 / PURGE_DELIVERIES_S;
	usleep((useconds_t)WC_MIN(pause_ms, (uint64_t)PURGE_PAUSE_MS) * 1000);
	int n = store_dump_sent(c->a->dump, c->person, &c->filter.after, PURGE_IDS, PURGE_ROWS, c->ids, &c->has_more);
	if (n < 0) {
		fail_storage(c);
		return;
	}
	buf_reset(&c->c.out);
	c->c.ids = c->ids;
	c->c.id_count = (size_t)n;
	c->c.is_part = true;
	c->c.count = 0;
	c->c.status = 200;
	if (n == 0)
		purged(c);
	else
		call_room(c, moderate_delete, purged);
}

static void purge_noted(struct call *c)
{
	if (c->c.status == 200)
		call_read(c, purge_some);
	else
		call_reply(c);
}

static void purge_begin(struct call *c)
{
	if (c->filter.after) { /* goes on with one that is noted */
		call_read(c, purge_some);
		return;
	}
	buf_putc(&c->text, '{');
	put_end(&c->text, "id", c->c.user, c->person);
	buf_putc(&c->text, '}');
	c->note = buf_take(&c->text, NULL);
	buf_init(&c->text, ADMIN_REPLY_MAX);
	c->c.text = c->note;
	buf_reset(&c->c.out);
	call_room(c, moderate_note, purge_noted);
}

static int put_author(void *arg, uint64_t id, struct str name)
{
	struct call *c = arg;
	struct buf *b = &c->text;
	c->person = c->person ? UINT64_MAX : id;
	buf_printf(b, "%s{\"id\":%llu,\"name\":", b->len ? "," : "", (unsigned long long)id);
	json_str(b, name);
	buf_puts(b, ",\"online\":false}");
	return 0;
}

/* Nobody whom the room knows: perhaps somebody who left. */
static void find_author(struct call *c)
{
	const char *name = strncmp(c->c.user, "name:", 5) == 0 ? c->c.user + 5 : c->c.user;
	int n = store_dump_authors(c->a->dump, str_of(name), 20, put_author, c);
	if (n < 0) {
		fail_storage(c);
	} else if (n == 1) {
		buf_reset(&c->text);
		purge_begin(c);
	} else {
		struct buf *b = &c->c.out;
		buf_reset(b);
		buf_printf(b, "{\"error\":\"%s\",\"text\":\"%s\",\"wanted\":", n ? "ambiguous" : "no_such_user",
		           n ? "several people wrote under this name: say which id" : "nobody known here has this id or name");
		json_str(b, str_of(c->c.user));
		buf_puts(b, ",\"candidates\":[");
		buf_put(b, c->text.p ? c->text.p : "", c->text.len);
		buf_puts(b, "]}");
		c->c.status = n ? 409 : 404;
		call_reply(c);
	}
}

static void purge_found(struct call *c)
{
	if (c->c.status != 200) {
		call_reply(c);
		return;
	}
	c->person = c->c.user_id ? c->c.user_id : bare_id(c->c.user);
	if (c->person)
		purge_begin(c);
	else
		call_read(c, find_author);
}

void verb_purge(struct call *c)
{
	int64_t after;
	c->c.user = arg_str(c, "user");
	c->c.reason = arg_str(c, "reason");
	c->deadline_ms = mono_ms() + PURGE_MS;
	if (arg_int(c, "after", &after) && after > 0)
		c->filter.after = (uint64_t)after;
	if (!c->c.user)
		call_fail(c, 400, "bad_request", "whom? user is missing");
	else if (c->c.reason && strlen(c->c.reason) > 400)
		call_fail(c, 400, "bad_request", "a reason has at most 400 bytes");
	else
		call_room(c, moderate_find, purge_found);
}
