/* admin_purge.c — purging: who is meant, what they have sent, and deleting it, a few messages a transaction (see admin/impl.h).
 *
 * A request works for about two seconds and says where it stopped; the client asks again with that, naming by their ids the people whom the first
 * answer named, so that nobody else is met who takes a name meanwhile. A dry run only counts. Owns nothing. Threads: the admin's own and the
 * room's, one after the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/impl.h"
#include "base/metrics.h"
#include "store/store_addr.h"
#include "wire/encode.h"

#define PEOPLE_MAX 1000  /* of one request */
#define PEOPLE_NAMED 20  /* in the audit; more are ids alone */
#define PURGE_ROWS 20000 /* looked at in one read */
#define PURGE_IDS 50     /* deleted in one transaction, for that long the room does nothing else */
#define PURGE_DELIVERIES_S \
	300000              /* every page is told of every deletion: a person's whole past at once would drown the talk of the living */
#define PURGE_PAUSE_MS 1000 /* at most, between two transactions */
#define PURGE_MS 2000       /* of one request */

static void fail_storage(struct call *c)
{
	call_fail(c, 507, "storage", "the database cannot be read now. The server's log says why");
}

static struct str str_of(const char *s)
{
	return s ? (struct str){ s, strlen(s) } : (struct str){ "", 0 };
}

static void put_person(struct buf *b, const struct command_person *p, bool is_first)
{
	buf_printf(b, "%s{\"id\":%llu,\"name\":", is_first ? "" : ",", (unsigned long long)p->id);
	json_str(b, str_of(p->name));
}

/* --- The answer */

static void answer(struct call *c)
{
	struct command *cmd = &c->c;
	struct buf *b = &cmd->out;
	buf_reset(b);
	buf_puts(b, "{\"people\":[");
	for (size_t i = 0; i < cmd->people_count; i++) {
		put_person(b, &cmd->people[i], i == 0);
		buf_printf(b, ",\"messages\":%zu,\"files\":%zu}", cmd->people[i].messages, cmd->people[i].files);
	}
	buf_puts(b, "]");
	if (cmd->people_count == 1)
		buf_printf(b, ",\"id\":%llu", (unsigned long long)cmd->people[0].id);
	buf_printf(b, ",\"%s\":%zu,\"files\":%zu", c->is_dry ? "messages" : "deleted", c->purged, c->purged_files);
	if (c->is_dry)
		buf_puts(b, ",\"dry_run\":true");
	buf_printf(b, ",\"upto\":%llu,\"more\":%s}", (unsigned long long)c->filter.after, c->has_more ? "true" : "false");
	cmd->status = 200;
	call_reply(c);
}

/* --- Counting or deleting, until nothing is left or the request has taken long enough */

static int by_id(const void *a, const void *b)
{
	const struct command_person *x = a, *y = b;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void take_sent(void *arg, const struct sent *m)
{
	struct call *c = arg;
	const struct command_person wanted = { .id = m->from_id };
	struct command_person *p = bsearch(&wanted, c->c.people, c->c.people_count, sizeof(*c->c.people), by_id);
	p->messages++;
	p->files += m->has_file;
	c->purged_files += m->has_file;
	if (c->is_dry)
		c->purged++;
	else
		c->ids[c->c.id_count++] = m->id;
}

static void count_some(struct call *c)
{
	do {
		if (store_dump_sent(c->a->dump, &c->sent, &c->filter.after, PURGE_ROWS, PURGE_ROWS, take_sent, c, &c->has_more) < 0) {
			fail_storage(c);
			return;
		}
	} while (c->has_more && mono_ms() < c->deadline_ms);
	answer(c);
}

static void purge_some(struct call *c);

static void purged(struct call *c)
{
	if (c->c.status != 200) {
		call_reply(c);
		return;
	}
	c->purged += c->c.count;
	if (c->has_more && mono_ms() < c->deadline_ms)
		call_read(c, purge_some);
	else
		answer(c);
}

static void purge_some(struct call *c)
{
	struct command *cmd = &c->c;
	uint64_t pause_ms = cmd->count * metric_get(M_CONNECTIONS) * 1000 / PURGE_DELIVERIES_S;
	usleep((useconds_t)WC_MIN(pause_ms, (uint64_t)PURGE_PAUSE_MS) * 1000);
	cmd->ids = c->ids;
	cmd->id_count = 0;
	cmd->is_part = true;
	cmd->count = 0;
	cmd->status = 200;
	buf_reset(&cmd->out);
	int n = store_dump_sent(c->a->dump, &c->sent, &c->filter.after, PURGE_IDS, PURGE_ROWS, take_sent, c, &c->has_more);
	if (n < 0)
		fail_storage(c);
	else if (n == 0)
		purged(c);
	else
		call_room(c, moderate_delete, purged);
}

static void purge_noted(struct call *c)
{
	if (c->c.status != 200) {
		call_reply(c);
		return;
	}
	c->c.count = 0;
	call_read(c, purge_some);
}

/* Everybody has a name now. The audit has who it is before anything goes. */
static void begin(struct call *c)
{
	struct command *cmd = &c->c;
	struct buf *b = &c->text;
	qsort(cmd->people, cmd->people_count, sizeof(*cmd->people), by_id);
	c->sent_people = xcalloc(cmd->people_count, sizeof(*c->sent_people));
	for (size_t i = 0; i < cmd->people_count; i++)
		c->sent_people[i] = cmd->people[i].id;
	c->sent.people = c->sent_people;
	c->sent.count = cmd->people_count;
	if (c->is_dry) {
		count_some(c);
		return;
	}
	if (c->filter.after) { /* goes on with one that is noted */
		purge_some(c);
		return;
	}
	buf_reset(b);
	buf_putc(b, '{');
	if (cmd->people_count == 1) {
		buf_printf(b, "\"id\":%llu,\"id_named\":", (unsigned long long)cmd->people[0].id);
		json_str(b, str_of(cmd->people[0].name));
	} else {
		buf_puts(b, "\"people\":[");
		const bool are_few = cmd->people_count <= PEOPLE_NAMED;
		for (size_t i = 0; i < cmd->people_count; i++) {
			if (are_few)
				put_person(b, &cmd->people[i], i == 0);
			else
				buf_printf(b, "%s{\"id\":%llu", i ? "," : "", (unsigned long long)cmd->people[i].id);
			buf_putc(b, '}');
		}
		buf_putc(b, ']');
	}
	if (cmd->net) {
		buf_puts(b, ",\"net\":");
		json_str(b, str_of(cmd->net));
	}
	if (c->sent.since_ms)
		buf_printf(b, ",\"since\":%lld", (long long)c->sent.since_ms);
	buf_putc(b, '}');
	c->note = buf_take(b, NULL);
	buf_init(b, ADMIN_REPLY_MAX);
	cmd->text = c->note;
	buf_reset(&cmd->out);
	call_room(c, moderate_note, purge_noted);
}

/* --- Who is meant */

static int take_name(void *arg, uint64_t id, struct str name)
{
	struct command_person *p = arg;
	(void)id;
	p->name = strndup(name.p, name.len);
	WC_ASSERT(p->name);
	return 1;
}

static int take_address_name(void *arg, const struct address *a)
{
	return take_name(arg, a->user_id, a->name);
}

static void fail_nobody(struct call *c, const char *text, const char *wanted)
{
	struct buf *b = &c->c.out;
	buf_reset(b);
	buf_puts(b, "{\"error\":\"no_such_user\",\"text\":");
	json_str(b, str_of(text));
	buf_puts(b, ",\"wanted\":");
	json_str(b, str_of(wanted));
	buf_puts(b, ",\"candidates\":[]}");
	c->c.status = 404;
	call_reply(c);
}

/* An id that the room does not know is somebody who left: known by an address or by what was written, or it is nobody's. */
static void name_people(struct call *c)
{
	struct command *cmd = &c->c;
	int64_t since_ms;
	const bool keeps = addresses_since(c, &since_ms);
	char wanted[32];
	for (size_t i = 0; i < cmd->people_count; i++) {
		struct command_person *p = &cmd->people[i];
		int rc = p->name ? 0 : keeps ? store_dump_address(c->a->dump, p->id, since_ms, take_address_name, p) : -WC_ENOENT;
		if (rc == -WC_ENOENT)
			rc = store_dump_author(c->a->dump, p->id, take_name, p);
		if (rc == -WC_ENOENT && c->filter.after) { /* it was somebody when this purge began: what was written has expired since */
			p->name = xstrdup("");
			rc = 0;
		}
		if (rc == -WC_ENOENT) {
			snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)p->id);
			fail_nobody(c, "nobody known here has this id, and nobody wrote under it", wanted);
			return;
		}
		if (rc < 0) {
			fail_storage(c);
			return;
		}
	}
	begin(c);
}

static int add_author(void *arg, uint64_t id, struct str name)
{
	(void)command_add(arg, id, name.p, name.len);
	return 0;
}

static void fail_several(struct call *c)
{
	struct command *cmd = &c->c;
	struct buf *b = &cmd->out;
	buf_reset(b);
	buf_puts(b, "{\"error\":\"ambiguous\",\"text\":\"several people wrote under this name: say which id\",\"wanted\":");
	json_str(b, str_of(cmd->user));
	buf_puts(b, ",\"candidates\":[");
	for (size_t i = 0; i < cmd->people_count; i++) {
		put_person(b, &cmd->people[i], i == 0);
		buf_puts(b, ",\"online\":false}");
	}
	buf_puts(b, "]}");
	cmd->status = 409;
	call_reply(c);
}

/* Nobody whom the room knows has this name: perhaps somebody who left wrote under it. */
static void find_author(struct call *c)
{
	struct command *cmd = &c->c;
	const char *name = strncmp(cmd->user, "name:", 5) == 0 ? cmd->user + 5 : cmd->user;
	int n = store_dump_authors(c->a->dump, str_of(name), 20, add_author, cmd);
	if (n < 0)
		fail_storage(c);
	else if (n == 0)
		fail_nobody(c, "nobody known here has this id or name, and nobody wrote under it", cmd->user);
	else if (n > 1)
		fail_several(c);
	else
		begin(c);
}

static void user_found(struct call *c)
{
	struct command *cmd = &c->c;
	if (cmd->status != 200) {
		call_reply(c);
		return;
	}
	uint64_t id = cmd->people_count ? 0 : bare_id(cmd->user);
	if (id)
		(void)command_add(cmd, id, NULL, 0);
	call_read(c, cmd->people_count ? name_people : find_author);
}

static int add_left(void *arg, const struct address *a)
{
	struct command *cmd = arg;
	for (size_t i = 0; i < cmd->people_count; i++)
		if (cmd->people[i].id == a->user_id)
			return 0;
	(void)command_add(cmd, a->user_id, a->name.p, a->name.len);
	return 0;
}

static void find_left(struct call *c)
{
	struct command *cmd = &c->c;
	struct ip_net net = { .until_ms = 0 };
	int64_t since_ms;
	bool parsed = ip_net_parse(cmd->net, net.addr, &net.bits); /* the room has seen to it */
	int n = parsed && addresses_since(c, &since_ms) ? store_dump_addresses(c->a->dump, 0, since_ms, &net, PEOPLE_MAX + 1, add_left, cmd)
	                                                : 0;
	if (n < 0)
		fail_storage(c);
	else if (cmd->people_count > PEOPLE_MAX)
		call_fail(c, 409, "too_many", "more than 1000 people were connected from there: name a smaller network");
	else if (cmd->people_count == 0)
		fail_nobody(c, "nobody who is remembered was last connected from there", cmd->net);
	else
		begin(c);
}

static void net_found(struct call *c)
{
	if (c->c.status == 200)
		call_read(c, find_left);
	else
		call_reply(c);
}

static void net_stored(struct call *c)
{
	call_room(c, moderate_people, net_found);
}

/* A list of ids; false: answered. */
static bool take_people(struct call *c, struct json_object *list)
{
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	bool is_good = n > 0 && n <= PEOPLE_MAX;
	for (size_t i = 0; i < n && is_good; i++) {
		struct json_object *v = json_object_array_get_idx(list, i);
		int64_t id = json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : 0;
		bool is_new = true;
		is_good = id > 0;
		for (size_t j = 0; j < c->c.people_count && is_good; j++)
			is_new &= c->c.people[j].id != (uint64_t)id;
		if (is_good && is_new)
			(void)command_add(&c->c, (uint64_t)id, NULL, 0);
	}
	if (!is_good)
		call_fail(c, 400, "bad_request", "people is a list of 1 to 1000 ids");
	return is_good;
}

/* Those whom the room knows have their names from it. */
static void people_named(struct call *c)
{
	if (c->c.status == 200)
		call_read(c, name_people);
	else
		call_reply(c);
}

void verb_purge(struct call *c)
{
	struct json_object *people = NULL;
	int64_t after = 0;
	c->c.user = arg_str(c, "user");
	c->c.net = arg_str(c, "net");
	c->is_dry = arg_true(c, "dry_run");
	c->deadline_ms = mono_ms() + PURGE_MS;
	(void)json_object_object_get_ex(c->args, "people", &people);
	if (!take_int(c, "after", 0, &after) || !take_int(c, "since", 0, &c->sent.since_ms) || !take_reason(c))
		return;
	c->filter.after = (uint64_t)after;
	if (!!c->c.user + !!c->c.net + !!people != 1)
		call_fail(c, 400, "bad_request", "whom? name one of: user, net, people");
	else if (c->c.user)
		call_room(c, moderate_find, user_found);
	else if (c->c.net)
		call_stored(c, net_stored);
	else if (take_people(c, people))
		call_room(c, moderate_names, people_named);
}
