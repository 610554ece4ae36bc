/* history.c — history, files, audit: page after page from the server, written out as they come. Holds one page at a time. */
#include "history.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLLOW_MS 300

/* --- Text and JSONL */

static void text_begin(const char *title)
{
	(void)title;
}

static bool shows_addresses; /* set once, before anything is shown */

static void text_message(struct json_object *m)
{
	char when[TIME_TEXT], words[1024];
	const char *p = jstr(m, "text");

	printf("%lld  %s  ", (long long)jint(m, "id"), time_text(when, jint(m, "at")));
	print_safe(stdout, jstr(m, "from_name"));
	if (jbool(m, "dm")) {
		printf(" → ");
		print_safe(stdout, jstr(m, "to_name"));
	}
	if (shows_addresses) {
		fputs(" [", stdout);
		print_safe(stdout, *jstr(m, "address") ? jstr(m, "address") : "no address");
		fputs("]", stdout);
	}
	fputs(": ", stdout);
	if (jbool(m, "deleted")) {
		fputs("[deleted]\n", stdout);
		return;
	}
	if (strcmp(jstr(m, "type"), "text") != 0) {
		print_safe(stdout, file_words(words, sizeof(words), m));
		putchar('\n');
		return;
	}
	/* Further lines are set in: no line of a message can pass for a message. */
	for (;;) {
		size_t n = strcspn(p, "\n");
		char *line = strndup(p, n);

		WC_ASSERT(line);
		print_safe(stdout, line);
		putchar('\n');
		free(line);
		if (!p[n])
			break;
		p += n + 1;
		fputs("    ", stdout);
	}
}

static void text_end(void) {}

static void jsonl_message(struct json_object *m)
{
	print_json(m);
}

const struct shape shape_text = { "text", text_begin, text_message, text_end };
const struct shape shape_jsonl = { "jsonl", text_begin, jsonl_message, text_end };

/* --- Asking for pages */

struct range {
	const char *path, *list;
	int64_t after, since, until;
	const char *last;
	bool has_since, has_until;
};

/* since, until and last, where the verb has them. */
static int take_range(struct ctl *c, struct range *r)
{
	const char *since = option(c, "since"), *until = option(c, "until");
	char *end;

	r->last = option(c, "last");
	errno = 0;
	if (r->last && (strtol(r->last, &end, 10) <= 0 || *end || errno))
		return complain(EXIT_USAGE, "--last \"%s\": a number above 0", r->last);
	r->has_since = since != NULL;
	r->has_until = until != NULL;
	if ((since && !time_parse(since, &r->since)) || (until && !time_parse(until, &r->until)))
		return complain(EXIT_USAGE, "\"%s\": a time is 2026-01-31, 2026-01-31T12:30, or how long ago: 90s, 30m, 2h, 7d",
		                since && !time_parse(since, &r->since) ? since : until);
	return 0;
}

static void put_number(struct buf *b, const char *name, int64_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)n);
	put_query(b, name, text);
}

static int get_page(struct ctl *c, const struct range *r, bool filters, struct json_object **out)
{
	struct buf b;
	int code;

	buf_init(&b, 1 << 18);
	buf_puts(&b, r->path);
	put_number(&b, "after", r->after);
	put_query(&b, "last", r->last);
	if (r->has_since)
		put_number(&b, "since", r->since);
	if (r->has_until)
		put_number(&b, "until", r->until);
	if (filters) {
		put_query(&b, "user", option(c, "user"));
		put_query(&b, "grep", option(c, "grep"));
		put_query(&b, "dm", option(c, "dm"));
		put_query(&b, "with", option(c, "with"));
		put_query(&b, "addresses", shows_addresses ? "1" : NULL);
	}
	buf_putc(&b, '\0');
	code = api_get(c, b.p, out);
	buf_fini(&b);
	return code;
}

typedef void (*each_fn)(void *arg, struct json_object *o);

/* Every item of every page, oldest first. *shown counts them. */
static int walk(struct ctl *c, struct range *r, bool filters, each_fn fn, void *arg, uint64_t *shown)
{
	bool more = true;

	c->is_long = true;
	while (more && !is_stopped()) {
		struct json_object *o, *list;
		int64_t before = r->after;
		int code = get_page(c, r, filters, &o);

		if (code)
			return code;
		list = jarray(o, r->list);
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *item = json_object_array_get_idx(list, i);

			fn(arg, item);
			r->after = WC_MAX(r->after, jint(item, "id"));
			++*shown;
		}
		r->after = WC_MAX(r->after, jint(o, "upto"));
		r->last = NULL; /* where it begins is settled by the first page */
		more = jbool(o, "more");
		json_object_put(o);
		if (ferror(stdout))
			return complain(EXIT_REFUSED, "cannot write: %s", strerror(errno));
		if (more && r->after <= before)
			return complain_endless();
		if (shows_progress() && more)
			fprintf(stderr, "\r%llu", (unsigned long long)*shown);
	}
	return 0;
}

/* --- history */

static const struct shape *find_shape(const struct ctl *c)
{
	static const struct shape *const shapes[] = { &shape_text, &shape_jsonl, &shape_html };
	const char *wanted = option(c, "format");

	if (!wanted)
		return c->json ? &shape_jsonl : &shape_text;
	for (size_t i = 0; i < WC_LEN(shapes); i++)
		if (strcmp(shapes[i]->name, wanted) == 0)
			return shapes[i];
	return NULL;
}

static void show(void *arg, struct json_object *m)
{
	const struct shape *s = arg;

	s->message(m);
}

/* Until a signal. A server that is restarted meanwhile is waited for: nothing of what it keeps is missed. */
static int follow(struct ctl *c, struct range *r, const struct shape *shape, uint64_t *shown)
{
	int code = 0;

	catch_signals();
	while (!is_stopped() && code == 0 && fflush(stdout) == 0) {
		usleep(FOLLOW_MS * 1000);
		code = walk(c, r, true, show, (void *)(uintptr_t)shape, shown);
		for (; code && c->is_lost && !is_stopped(); usleep(FOLLOW_MS * 1000)) {
			hush(true);
			code = walk(c, r, true, show, (void *)(uintptr_t)shape, shown);
			hush(false);
		}
	}
	return is_stopped() ? 0 : code;
}

int run_history(struct ctl *c)
{
	const struct shape *shape = find_shape(c);
	struct range r = { .path = "/v1/history", .list = "messages" };
	uint64_t shown = 0;
	char title[512] = "WaveChat: public talk";
	int code = take_range(c, &r);

	if (code)
		return code;
	if (!shape)
		return complain(EXIT_USAGE, "--format \"%s\" is none of text, jsonl, html", option(c, "format"));
	shows_addresses = option(c, "addresses") != NULL;
	if (shows_addresses && shape != &shape_text)
		return complain(EXIT_USAGE, "--addresses is for your eyes: text alone, as JSONL and HTML are handed on to others");
	if (option(c, "follow") && shape == &shape_html)
		return complain(EXIT_USAGE, "--follow never ends, and a page has an end: text or jsonl");
	if (!option(c, "dm") != !option(c, "with"))
		return complain(EXIT_USAGE, "private talk has two ends: --dm USER --with USER");
	if (option(c, "dm"))
		snprintf(title, sizeof(title), "WaveChat: %s and %s", option(c, "dm"), option(c, "with"));
	code = client_connect(c); /* so that no page is begun without a server */
	if (code)
		return code;
	shape->begin(title);
	code = walk(c, &r, true, show, (void *)(uintptr_t)shape, &shown);
	if (option(c, "follow") && code == 0)
		code = follow(c, &r, shape, &shown);
	else if (code == 0 && shown == 0 && is_terminal(stdout))
		fputs("no messages\n", stderr);
	if (code == 0)
		shape->end();
	if (shows_progress())
		fprintf(stderr, "\r%llu messages\n", (unsigned long long)shown);
	return code;
}

/* --- files */

static void add_file(void *arg, struct json_object *m)
{
	struct table *t = arg;
	char text[TIME_TEXT];
	bool is_voice = strcmp(jstr(m, "type"), "voice") == 0;

	table_cellf(t, "%lld", (long long)jint(m, "id"));
	table_cell(t, time_text(text, jint(m, "at")));
	table_cell(t, jstr(m, "from_name"));
	table_cell(t, bytes_text(text, (uint64_t)jint(m, "size")));
	table_cell_cut(t, jbool(m, "deleted") ? "deleted" : jbool(m, "gone") ? "gone" : jstr(m, "mime"), 40);
	table_cell(t, is_voice ? "(voice)" : jstr(m, "filename"));
	if (t->count >= 500 * (size_t)t->columns) { /* lined up in portions, so that it needs no more memory for more files */
		table_print(t, "");
		table_init(t, ">ID WHEN FROM >SIZE TYPE NAME");
	}
}

static void each_json(void *arg, struct json_object *m)
{
	(void)arg;
	print_json(m);
}

int run_files(struct ctl *c)
{
	struct range r = { .path = "/v1/files", .list = "messages" };
	struct table t;
	uint64_t shown = 0;
	int code = take_range(c, &r);

	if (code)
		return code;
	if (!option(c, "dm") != !option(c, "with"))
		return complain(EXIT_USAGE, "private talk has two ends: --dm USER --with USER");
	table_init(&t, ">ID WHEN FROM >SIZE TYPE NAME");
	code = c->json ? walk(c, &r, true, each_json, NULL, &shown) : walk(c, &r, true, add_file, &t, &shown);
	if (!c->json && code == 0 && (t.count || !shown))
		table_print(&t, "no files");
	table_drop(&t);
	return code;
}

/* --- audit */

#define AUDIT_HEADS ">NUMBER WHEN WHO >PROCESS VERB WHAT REASON"

static void put_purged(struct buf *b, struct json_object *people)
{
	for (size_t i = 0; i < json_object_array_length(people); i++) {
		struct json_object *p = json_object_array_get_idx(people, i);

		buf_printf(b, "%s%s (%lld)", i ? ", " : "", jstr(p, "name"), (long long)jint(p, "id"));
	}
}

static void put_lockdown(struct buf *b, struct json_object *args)
{
	char until[TIME_TEXT];

	buf_puts(b, !jbool(args, "on") ? "off" : jbool(args, "read_only") ? "nobody writes" : "no new people");
	if (jint(args, "until"))
		buf_printf(b, ", until %s", time_text(until, jint(args, "until")));
}

/* The act, in the words of the tables: the target of a ban and its end, the messages, the text. NUL behind it. */
static void put_act(struct buf *b, struct json_object *a)
{
	struct json_object *args = jget(a, "args"), *ids = jarray(args, "ids");
	char text[SANCTION_TEXT];

	for (size_t i = 0; json_object_is_type(args, json_type_array) && i < json_object_array_length(args); i++)
		buf_printf(b, "%s%s", i ? ", " : "", sanction_text(text, json_object_array_get_idx(args, i)));
	for (size_t i = 0; i < json_object_array_length(ids); i++)
		buf_printf(b, "%s%s", i ? " " : "", json_object_get_string(json_object_array_get_idx(ids, i)));
	if (jget(args, "dm"))
		buf_printf(b, "private talk of %s (%lld) and %s (%lld)", jstr(args, "dm_named"), (long long)jint(args, "dm"),
		           jstr(args, "with_named"), (long long)jint(args, "with"));
	else if (json_object_is_type(jget(args, "people"), json_type_array))
		put_purged(b, jarray(args, "people"));
	else if (jget(args, "id"))
		buf_printf(b, "%s (%lld)", *jstr(args, "name") ? jstr(args, "name") : jstr(args, "id_named"), (long long)jint(args, "id"));
	else if (jget(args, "seconds"))
		buf_printf(b, "%lld s", (long long)jint(args, "seconds"));
	else if (strcmp(jstr(a, "verb"), "lockdown") == 0)
		put_lockdown(b, args);
	if (*jstr(args, "net"))
		buf_printf(b, ", last at %s", jstr(args, "net"));
	if (jget(args, "since"))
		buf_printf(b, ", since %s", time_text(text, jint(args, "since")));
	buf_puts(b, jstr(args, "text"));
	buf_puts(b, jstr(args, "level"));
	buf_putc(b, '\0');
}

static void add_audit(void *arg, struct json_object *a)
{
	struct table *t = arg;
	char text[TIME_TEXT];
	struct buf what;

	buf_init(&what, 1 << 20);

	table_cellf(t, "%lld", (long long)jint(a, "id"));
	table_cell(t, time_text(text, jint(a, "at")));
	if (*jstr(a, "via"))
		table_cellf(t, "%s (via %s)", uid_text(text, jint(a, "uid")), jstr(a, "via"));
	else
		table_cell(t, uid_text(text, jint(a, "uid")));
	table_cellf(t, "%lld", (long long)jint(a, "pid"));
	table_cell(t, jstr(a, "verb"));
	put_act(&what, a);
	table_cell_cut(t, what.len ? what.p : "", 80);
	buf_fini(&what);
	table_cell(t, jstr(a, "reason"));
	if (t->count >= 500 * (size_t)t->columns) {
		table_print(t, "");
		table_init(t, AUDIT_HEADS);
	}
}

int run_audit(struct ctl *c)
{
	struct range r = { .path = "/v1/audit", .list = "audit", .last = option(c, "last") };
	struct table t;
	uint64_t shown = 0;
	char *end;
	int code;

	errno = 0;
	if (r.last && (strtol(r.last, &end, 10) <= 0 || *end || errno))
		return complain(EXIT_USAGE, "--last \"%s\": a number above 0", r.last);
	table_init(&t, AUDIT_HEADS);
	code = c->json ? walk(c, &r, false, each_json, NULL, &shown) : walk(c, &r, false, add_audit, &t, &shown);
	if (!c->json && code == 0 && (t.count || !shown))
		table_print(&t, "nothing was done yet");
	table_drop(&t);
	return code;
}
