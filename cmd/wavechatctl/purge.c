/* purge.c — the verb purge: counts first, asks on a terminal, then deletes, request after request.
 *
 * The first answer names people by id, and all further requests name the same ids: somebody who takes one of their names meanwhile is
 * safe. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

struct person {
	int64_t id, messages, files;
	char *name;
};

struct tally {
	struct person *people;
	size_t count;
	int64_t messages, files;
};

static void tally_fini(struct tally *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->people[i].name);
	free(t->people);
	*t = (struct tally){ 0 };
}

/* Adds one answer's numbers. The first answer names the people. */
static void add_answer(struct tally *t, struct json_object *o, const char *total)
{
	struct json_object *list = jarray(o, "people");
	size_t n = json_object_array_length(list);

	if (!t->people && n) {
		t->people = xcalloc(n, sizeof(*t->people));
		t->count = n;
		for (size_t i = 0; i < n; i++) {
			t->people[i].id = jint(json_object_array_get_idx(list, i), "id");
			t->people[i].name = xstrdup(jstr(json_object_array_get_idx(list, i), "name"));
		}
	}
	for (size_t i = 0; i < WC_MIN(n, t->count); i++) {
		t->people[i].messages += jint(json_object_array_get_idx(list, i), "messages");
		t->people[i].files += jint(json_object_array_get_idx(list, i), "files");
	}
	t->messages += jint(o, total);
	t->files += jint(o, "files");
}

static struct json_object *ask(struct ctl *c, const struct tally *known, bool is_dry, int64_t after, int64_t since)
{
	struct json_object *body = json_object_new_object(), *ids;

	if (known->count) {
		ids = json_object_new_array();
		for (size_t i = 0; i < known->count; i++)
			json_object_array_add(ids, json_object_new_int64(known->people[i].id));
		json_object_object_add(body, "people", ids);
	} else if (c->count) {
		json_object_object_add(body, "user", json_object_new_string(c->operands[0]));
	} else {
		json_object_object_add(body, "net", json_object_new_string(option(c, "ip")));
	}
	if (option(c, "reason"))
		json_object_object_add(body, "reason", json_object_new_string(option(c, "reason")));
	if (is_dry)
		json_object_object_add(body, "dry_run", json_object_new_boolean(true));
	if (since)
		json_object_object_add(body, "since", json_object_new_int64(since));
	json_object_object_add(body, "after", json_object_new_int64(after));
	return body;
}

/* Counts or deletes all of it. `known`: the people of an earlier count; may be empty. An exit code. */
static int run_all(struct ctl *c, const struct tally *known, bool is_dry, int64_t since, struct tally *t)
{
	int64_t after = 0;
	bool more = true;

	while (more) {
		struct json_object *o;
		int code = api_post(c, "/v1/purge", ask(c, t->count ? t : known, is_dry, after, since), &o);

		if (code)
			return code;
		add_answer(t, o, is_dry ? "messages" : "deleted");
		more = jbool(o, "more");
		if (more && jint(o, "upto") <= after) {
			json_object_put(o);
			return complain_endless();
		}
		after = jint(o, "upto");
		json_object_put(o);
		if (is_terminal(stderr) && more)
			fprintf(stderr, "\r%lld %s", (long long)t->messages, is_dry ? "found" : "deleted");
	}
	if (is_terminal(stderr))
		fputs("\r\033[K", stderr);
	return 0;
}

/* "4 messages of Ann (id 7), with 2 files" */
static void print_what(FILE *f, const struct tally *t)
{
	fprintf(f, "%lld message%s of ", (long long)t->messages, t->messages == 1 ? "" : "s");
	if (t->count == 1) {
		print_safe(f, t->people[0].name);
		fprintf(f, " (id %lld)", (long long)t->people[0].id);
	} else {
		fprintf(f, "%zu people", t->count);
	}
	if (t->files)
		fprintf(f, ", with %lld file%s", (long long)t->files, t->files == 1 ? "" : "s");
}

/* Each of several people, a line each. */
static void print_people(FILE *f, const struct tally *t)
{
	for (size_t i = 0; i < t->count && t->count > 1; i++) {
		struct tally one = { &t->people[i], 1, t->people[i].messages, t->people[i].files };

		fputs("  ", f);
		print_what(f, &one);
		fputc('\n', f);
	}
}

static void print_tally_json(const struct tally *t, bool is_dry)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	for (size_t i = 0; i < t->count; i++) {
		struct json_object *p = json_object_new_object();

		json_object_object_add(p, "id", json_object_new_int64(t->people[i].id));
		json_object_object_add(p, "name", json_object_new_string(t->people[i].name));
		json_object_object_add(p, "messages", json_object_new_int64(t->people[i].messages));
		json_object_object_add(p, "files", json_object_new_int64(t->people[i].files));
		json_object_array_add(list, p);
	}
	if (t->count == 1)
		json_object_object_add(o, "id", json_object_new_int64(t->people[0].id));
	json_object_object_add(o, is_dry ? "messages" : "deleted", json_object_new_int64(t->messages));
	json_object_object_add(o, "files", json_object_new_int64(t->files));
	json_object_object_add(o, "people", list);
	if (is_dry)
		json_object_object_add(o, "dry_run", json_object_new_boolean(true));
	print_json(o);
	json_object_put(o);
}

/* Somebody at a terminal is asked; scripts are not. */
static bool confirms(const struct tally *t)
{
	char answer[16];

	fflush(stdout);
	print_people(stderr, t);
	fputs("this deletes ", stderr);
	print_what(stderr, t);
	fputs(", for good. Go on? [y/N] ", stderr);
	fflush(stderr);
	if (!fgets(answer, sizeof(answer), stdin)) {
		fputc('\n', stderr);
		return false;
	}
	answer[strcspn(answer, "\r\n")] = '\0';
	return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}

int run_purge(struct ctl *c)
{
	const bool is_dry = option(c, "dry-run") != NULL, asks = !is_dry && !option(c, "yes") && isatty(STDIN_FILENO);
	struct tally counted = { 0 }, done = { 0 };
	bool is_idle;
	int64_t since = 0;
	int code = 0;

	if (c->count + !!option(c, "ip") != 1)
		return complain(EXIT_USAGE, "purge: name one person, or --ip");
	if (option(c, "since") && !time_parse(option(c, "since"), &since))
		return complain(EXIT_USAGE, "--since \"%s\": a time is 2026-01-31, 2026-01-31T12:30, or how long ago: 90s, 30m, 2h, 7d",
		                option(c, "since"));
	if (is_dry || asks)
		code = run_all(c, &counted, true, since, &counted);
	is_idle = asks && counted.messages == 0; /* what comes meanwhile was not asked for */
	if (code == 0 && asks && !is_idle && !confirms(&counted))
		code = complain(EXIT_REFUSED, "nothing was deleted");
	if (code == 0 && !is_dry && !is_idle)
		code = run_all(c, &counted, false, since, &done);
	if (code == 0 && c->json) {
		print_tally_json(is_dry || is_idle ? &counted : &done, is_dry);
	} else if (code == 0) {
		printf("%s ", is_dry ? "would delete" : "deleted");
		print_what(stdout, is_dry || is_idle ? &counted : &done);
		puts(is_dry ? "; nothing was deleted" : "");
		print_people(stdout, is_dry || is_idle ? &counted : &done);
	}
	tally_fini(&counted);
	tally_fini(&done);
	return code;
}
