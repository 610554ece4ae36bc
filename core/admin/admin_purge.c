/* admin_purge.c — the verb purge: finds the people, then counts or deletes their messages, a few in each transaction (see impl.h).
 *
 * A request works for about two seconds and says where it stopped. The client asks again from there, and names the people by the ids of
 * the first answer. So a name that somebody else takes meanwhile does no harm. A dry run only counts.
 *
 * All messages to everybody go first, then the direct ones. So the times and ids of deletions that everybody is told show nothing of direct
 * messages. Owns nothing. Threads: the admin's own and the room's, one after the other. */
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
#define PRIVATE_TOLD 128    /* connections at most that are told of a direct message: those of two people */
#define PRIVATE_FROM (UINT64_C(1) << 53) /* `upto` and `after` from here on: of the direct messages. All ids are below */

struct purge {
	struct user_search search; /* its people are those to purge */
	const char *net;
	bool is_dry;
	bool is_begun;           /* a request before this one began it */
	uint64_t after;          /* the last message of this sort that was looked at */
	struct sent_filter sent; /* of these people, once each has a name */
	uint64_t *ids_of_people; /* sent.people */
	size_t messages, files;  /* counted, or deleted */
	size_t last_deleted;     /* by the last transaction */
	int64_t deadline_ms;     /* monotonic */
	bool has_more;
	uint64_t doomed[PURGE_IDS]; /* the next transaction's */
	size_t doomed_count;
};

static void drop_purge(void *own)
{
	struct purge *p = own;
	people_drop(&p->search.people);
	free(p->ids_of_people);
}

static void put_person(struct buf *b, const struct command_person *p, bool is_first)
{
	buf_printf(b, "%s{\"id\":%llu,\"name\":", is_first ? "" : ",", (unsigned long long)p->id);
	json_str(b, str_of(p->name));
}

/* --- The answer */

static void answer(struct call *c)
{
	const struct purge *p = c->own;
	const struct command_people *people = &p->search.people;
	struct buf *b = &c->c.out;
	buf_reset(b);
	buf_puts(b, "{\"people\":[");
	for (size_t i = 0; i < people->count; i++) {
		put_person(b, &people->v[i], i == 0);
		buf_printf(b, ",\"messages\":%zu,\"files\":%zu}", people->v[i].messages, people->v[i].files);
	}
	buf_puts(b, "]");
	if (people->count == 1)
		buf_printf(b, ",\"id\":%llu", (unsigned long long)people->v[0].id);
	buf_printf(b, ",\"%s\":%zu,\"files\":%zu", p->is_dry ? "messages" : "deleted", p->messages, p->files);
	if (p->is_dry)
		buf_puts(b, ",\"dry_run\":true");
	buf_printf(b, ",\"upto\":%llu,\"more\":%s}", (unsigned long long)(p->after + (p->sent.is_private ? PRIVATE_FROM : 0)),
	           p->has_more ? "true" : "false");
	c->c.status = 200;
	call_reply(c);
}

/* --- Counting or deleting, until nothing is left or the request has taken long enough */

static void take_sent(void *arg, const struct sent *m)
{
	struct purge *p = arg;
	const struct command_person wanted = { .id = m->from_id };
	struct command_person *from = bsearch(&wanted, p->search.people.v, p->search.people.count, sizeof(wanted), wc_by_id);
	from->messages++;
	from->files += m->has_file;
	p->files += m->has_file;
	if (p->is_dry)
		p->messages++;
	else
		p->doomed[p->doomed_count++] = m->id;
}

/* Looks at the next messages of one sort, at most `most` of these people's. Returns how many it found, or below 0. */
static int read_sent(struct call *c, int most)
{
	struct purge *p = c->own;
	return store_dump_sent(c->a->dump, &p->sent, &p->after, most, PURGE_ROWS, take_sent, p, &p->has_more);
}

/* After each step: where public messages end, the direct ones begin. */
static void next_sort(struct purge *p)
{
	if (p->has_more || p->sent.is_private)
		return;
	p->sent.is_private = true;
	p->after = 0;
	p->has_more = true;
}

static void count_some(struct call *c)
{
	struct purge *p = c->own;
	do {
		if (read_sent(c, PURGE_ROWS) < 0) {
			call_fail_storage(c);
			return;
		}
		next_sort(p);
	} while (p->has_more && mono_ms() < p->deadline_ms);
	answer(c);
}

static void delete_some(struct room *r, struct call *c)
{
	struct purge *p = c->own;
	p->last_deleted = moderate_delete(r, &c->c, p->doomed, p->doomed_count, true);
}

static void purge_some(struct call *c);

static void go_on(struct call *c)
{
	struct purge *p = c->own;
	p->messages += p->last_deleted;
	next_sort(p);
	if (p->has_more && mono_ms() < p->deadline_ms)
		call_read(c, purge_some);
	else
		answer(c);
}

static void some_deleted(struct call *c)
{
	if (c->c.status == 200)
		go_on(c);
	else
		call_reply(c);
}

static void purge_some(struct call *c)
{
	struct purge *p = c->own;
	const uint64_t here = metric_get(M_CONNECTIONS), told = p->sent.is_private ? WC_MIN(here, (uint64_t)PRIVATE_TOLD) : here;
	const uint64_t pause_ms = p->last_deleted * told * 1000 / PURGE_DELIVERIES_S;
	usleep((useconds_t)WC_MIN(pause_ms, (uint64_t)PURGE_PAUSE_MS) * 1000);
	p->doomed_count = 0;
	p->last_deleted = 0;
	buf_reset(&c->c.out);
	const int n = read_sent(c, PURGE_IDS);
	if (n < 0)
		call_fail_storage(c);
	else if (n == 0)
		go_on(c);
	else
		call_room(c, delete_some, some_deleted);
}

static void purge_noted(struct call *c)
{
	call_read(c, purge_some);
}

/* The audit's text, from malloc: the target, before anything goes. */
static char *note_of(const struct purge *p)
{
	const struct command_people *people = &p->search.people;
	struct buf b;
	buf_init(&b, ADMIN_REPLY_MAX);
	buf_putc(&b, '{');
	if (people->count == 1) {
		buf_printf(&b, "\"id\":%llu,\"id_named\":", (unsigned long long)people->v[0].id);
		json_str(&b, str_of(people->v[0].name));
	} else {
		buf_puts(&b, "\"people\":[");
		const bool are_few = people->count <= PEOPLE_NAMED;
		for (size_t i = 0; i < people->count; i++) {
			if (are_few)
				put_person(&b, &people->v[i], i == 0);
			else
				buf_printf(&b, "%s{\"id\":%llu", i ? "," : "", (unsigned long long)people->v[i].id);
			buf_putc(&b, '}');
		}
		buf_putc(&b, ']');
	}
	if (p->net) {
		buf_puts(&b, ",\"net\":");
		json_str(&b, str_of(p->net));
	}
	if (p->sent.since_ms)
		buf_printf(&b, ",\"since\":%lld", (long long)p->sent.since_ms);
	buf_putc(&b, '}');
	return buf_take(&b, NULL);
}

/* Everybody has a name now. */
static void begin(struct call *c)
{
	struct purge *p = c->own;
	struct command_people *people = &p->search.people;
	qsort(people->v, people->count, sizeof(*people->v), wc_by_id);
	p->ids_of_people = xcalloc(people->count, sizeof(*p->ids_of_people));
	for (size_t i = 0; i < people->count; i++)
		p->ids_of_people[i] = people->v[i].id;
	p->sent.people = p->ids_of_people;
	p->sent.count = people->count;
	if (p->is_dry)
		count_some(c);
	else if (p->is_begun) /* goes on with a purge that is noted */
		purge_some(c);
	else
		call_note(c, note_of(p), purge_noted);
}

/* --- Which people */

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

/* --- One user */

static int add_author(void *arg, uint64_t id, struct str name)
{
	struct command_people *people = arg;
	for (size_t i = 0; i < people->count; i++)
		if (people->v[i].id == id)
			return 0;
	(void)people_add(people, id, name.p, name.len);
	return 0;
}

static bool is_prefixed(const char *user)
{
	return bare_name(user) != user || strncmp(user, "id:", 3) == 0;
}

static void fail_several(struct call *c)
{
	const struct purge *p = c->own;
	const struct command_people *people = &p->search.people;
	struct buf *b = &c->c.out;
	buf_reset(b);
	buf_puts(b, "{\"error\":\"ambiguous\",\"text\":\"several people wrote under this name: say which id\",\"wanted\":");
	json_str(b, str_of(p->search.user));
	buf_puts(b, ",\"candidates\":[");
	for (size_t i = 0; i < people->count; i++) {
		char say[CALLED_SAY];
		put_person(b, &people->v[i], i == 0);
		called_say(say, p->search.user, people->v[i].id);
		if (is_prefixed(p->search.user))
			buf_printf(b, ",\"say\":\"%s\"", say);
		buf_puts(b, ",\"online\":false}");
	}
	buf_puts(b, "]}");
	c->c.status = 409;
	call_reply(c);
}

/* id:7, 7 and name:Ann may be somebody else's name, under which something was written. True: it is, or the store refused; answered. */
static bool add_namesakes(struct call *c)
{
	struct purge *p = c->own;
	const char *user = p->search.user;
	if (!bare_id(user) && !is_prefixed(user))
		return false;
	if (store_dump_authors(c->a->dump, str_of(user), 20, add_author, &p->search.people) < 0)
		call_fail_storage(c);
	else if (p->search.people.count > 1)
		fail_several(c);
	else
		return false;
	return true;
}

/* An id that the room does not know is somebody who left: known by an address or by what was written, or it is nobody's. */
static void name_people(struct call *c)
{
	struct purge *p = c->own;
	int64_t since_ms;
	const bool keeps = addresses_since(c, &since_ms);
	char wanted[32];
	for (size_t i = 0; i < p->search.people.count; i++) {
		struct command_person *one = &p->search.people.v[i];
		int rc = one->name ? 0 : keeps ? store_dump_address(c->a->dump, one->id, since_ms, take_address_name, one) : -WC_ENOENT;
		if (rc == -WC_ENOENT)
			rc = store_dump_author(c->a->dump, one->id, take_name, one);
		if (rc == -WC_ENOENT && p->is_begun) { /* it was somebody when this purge began: what was written has expired since */
			one->name = xstrdup("");
			rc = 0;
		}
		if (rc == -WC_ENOENT) {
			snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)one->id);
			call_fail_nobody(c, "nobody known here has this id, and nobody wrote under it", wanted);
			return;
		}
		if (rc < 0) {
			call_fail_storage(c);
			return;
		}
	}
	if (p->search.user && !p->is_begun && add_namesakes(c))
		return;
	begin(c);
}

/* The room knows nobody of this name: perhaps somebody who left wrote under it. */
static void find_author(struct call *c)
{
	struct purge *p = c->own;
	const int rc = store_dump_authors(c->a->dump, str_of(bare_name(p->search.user)), 20, add_author, &p->search.people);
	if (rc < 0)
		call_fail_storage(c);
	else if (add_namesakes(c))
		return;
	else if (p->search.people.count == 0)
		call_fail_nobody(c, "nobody known here has this id or name, and nobody wrote under it", p->search.user);
	else if (p->search.people.count > 1)
		fail_several(c);
	else
		begin(c);
}

static void find_user(struct room *r, struct call *c)
{
	struct purge *p = c->own;
	moderate_find(r, &c->c, &p->search);
}

static void user_found(struct call *c)
{
	struct purge *p = c->own;
	struct command_people *people = &p->search.people;
	if (c->c.status != 200) {
		call_reply(c);
		return;
	}
	const uint64_t id = people->count ? 0 : bare_id(p->search.user);
	if (id)
		(void)people_add(people, id, NULL, 0);
	call_read(c, people->count ? name_people : find_author);
}

/* --- Everybody of a network */

static int add_left(void *arg, const struct address *a)
{
	struct command_people *people = arg;
	for (size_t i = 0; i < people->count; i++)
		if (people->v[i].id == a->user_id)
			return 0;
	(void)people_add(people, a->user_id, a->name.p, a->name.len);
	return 0;
}

static void find_left(struct call *c)
{
	struct purge *p = c->own;
	struct command_people *people = &p->search.people;
	struct ip_net net = { .until_ms = 0 };
	int64_t since_ms;
	const bool parsed = ip_net_parse(p->net, net.addr, &net.bits); /* the room has seen to it */
	int n = 0;
	if (parsed && addresses_since(c, &since_ms))
		n = store_dump_addresses(c->a->dump, 0, since_ms, &net, PEOPLE_MAX + 1, add_left, people);
	if (n < 0)
		call_fail_storage(c);
	else if (people->count > PEOPLE_MAX)
		call_fail(c, 409, "too_many", "more than 1000 people were connected from there: name a smaller network");
	else if (people->count == 0)
		call_fail_nobody(c, "nobody who is remembered was last connected from there", p->net);
	else
		begin(c);
}

static void find_in_net(struct room *r, struct call *c)
{
	struct purge *p = c->own;
	moderate_people_in(r, &c->c, p->net, &p->search.people);
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
	call_room(c, find_in_net, net_found);
}

/* --- A list of ids */

/* Each id once. False: it is no such list. */
static bool take_people(struct command_people *people, struct json_object *list)
{
	const size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	for (size_t i = 0; i < n && n <= PEOPLE_MAX; i++) {
		struct json_object *v = json_object_array_get_idx(list, i);
		const int64_t id = json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : 0;
		bool is_new = true;
		if (id <= 0)
			return false;
		for (size_t j = 0; j < people->count; j++)
			is_new &= people->v[j].id != (uint64_t)id;
		if (is_new)
			(void)people_add(people, (uint64_t)id, NULL, 0);
	}
	return people->count > 0;
}

static void name_known(struct room *r, struct call *c)
{
	struct purge *p = c->own;
	moderate_names(r, &c->c, &p->search.people);
}

static void known_named(struct call *c)
{
	if (c->c.status == 200)
		call_read(c, name_people);
	else
		call_reply(c);
}

/* --- POST /v1/purge */

void verb_purge(struct call *c)
{
	struct purge *p = call_own(c, sizeof(*p), drop_purge);
	struct json_object *people = arg_get(c, "people");
	int64_t after = 0;
	p->search.user = arg_str(c, "user");
	p->net = arg_str(c, "net");
	p->is_dry = arg_true(c, "dry_run");
	p->deadline_ms = mono_ms() + PURGE_MS;
	if (!take_int(c, "after", 0, &after) || !take_int(c, "since", 0, &p->sent.since_ms) || !take_reason(c))
		return;
	p->is_begun = after > 0;
	p->sent.is_private = (uint64_t)after >= PRIVATE_FROM;
	p->after = (uint64_t)after - (p->sent.is_private ? PRIVATE_FROM : 0);
	if (!!p->search.user + !!p->net + !!people != 1)
		call_fail(c, 400, "bad_request", "whom? name one of: user, net, people");
	else if (p->search.user)
		call_room(c, find_user, user_found);
	else if (p->net)
		call_stored(c, net_stored);
	else if (take_people(&p->search.people, people))
		call_room(c, name_known, known_named);
	else
		call_fail(c, 400, "bad_request", "people is a list of 1 to 1000 ids");
}
