/* talk.c — the verbs of the talk: say, slow, lockdown, delete. Purging is purge.c. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

int run_say(struct ctl *c)
{
	struct json_object *o, *body = json_object_new_object();
	struct buf text;
	int code;

	buf_init(&text, 1 << 20);
	for (int i = 0; i < c->count; i++) {
		buf_puts(&text, i ? " " : "");
		buf_puts(&text, c->operands[i]);
	}
	json_object_object_add(body, "text", json_object_new_string_len(text.p ? text.p : "", (int)text.len));
	buf_fini(&text);
	code = api_post(c, "/v1/say", body, &o);
	if (code)
		return code;
	if (c->json)
		print_json(o);
	else
		printf("told %lld people online\n", (long long)jint(o, "online"));
	json_object_put(o);
	return 0;
}

int run_slow(struct ctl *c)
{
	struct json_object *o, *body;
	char *end = NULL;
	long seconds = c->count ? strtol(c->operands[0], &end, 10) : 0;
	int code;

	if (c->count && strcmp(c->operands[0], "off") != 0 && (end == c->operands[0] || *end || seconds < 0 || seconds > 86400))
		return complain(EXIT_USAGE, "slow: \"%s\" is no number of seconds from 0 to 86400", c->operands[0]);
	if (c->count) {
		body = json_object_new_object();
		json_object_object_add(body, "seconds", json_object_new_int64(seconds));
		code = api_post(c, "/v1/slow", body, &o);
	} else {
		code = api_get(c, "/v1/slow", &o);
	}
	if (code)
		return code;
	if (c->json)
		print_json(o);
	else if (jint(o, "seconds"))
		printf("slow mode: one public message a person every %lld seconds\n", (long long)jint(o, "seconds"));
	else
		printf("slow mode is off\n");
	json_object_put(o);
	return 0;
}

const char *lockdown_text(char out[LOCKDOWN_TEXT], struct json_object *o)
{
	char until[TIME_TEXT], left[TIME_TEXT];
	int64_t until_ms = jint(o, "until"), now_ms = real_ms();
	int n;

	if (!jbool(o, "on"))
		return "off";
	n = snprintf(out, LOCKDOWN_TEXT,
	             jbool(o, "read_only") ? "nobody writes, and no new people are let in" : "no new people are let in");
	if (until_ms)
		snprintf(out + n, LOCKDOWN_TEXT - (size_t)n, ", until %s (%s left)", time_text(until, until_ms),
		         duration_text(left, WC_MAX(until_ms - now_ms, (int64_t)0)));
	else
		snprintf(out + n, LOCKDOWN_TEXT - (size_t)n, ", until it is ended");
	return out;
}

static int set_lockdown(struct ctl *c, bool on, struct json_object **o)
{
	const char *time = option(c, "for");
	struct json_object *body;
	int64_t seconds = 0;

	if (time && !duration_parse(time, &seconds))
		return complain(EXIT_USAGE, "--for \"%s\": a time is 90s, 30m, 2h, 1h30m, 7d or 2w", time);
	body = json_object_new_object();
	json_object_object_add(body, "on", json_object_new_boolean(on));
	if (option(c, "read-only"))
		json_object_object_add(body, "read_only", json_object_new_boolean(true));
	if (time)
		json_object_object_add(body, "for_s", json_object_new_int64(seconds));
	if (option(c, "reason"))
		json_object_object_add(body, "reason", json_object_new_string(option(c, "reason")));
	return api_post(c, "/v1/lockdown", body, o);
}

int run_lockdown(struct ctl *c)
{
	const char *word = c->count ? c->operands[0] : NULL;
	const bool on = word && strcmp(word, "on") == 0;
	char now[LOCKDOWN_TEXT], was[LOCKDOWN_TEXT];
	struct json_object *o;
	int code;

	if (word && !on && strcmp(word, "off") != 0)
		return complain(EXIT_USAGE, "lockdown: \"%s\" is neither on nor off", word);
	if (!on && (option(c, "for") || option(c, "read-only")))
		return complain(EXIT_USAGE, "lockdown: --for and --read-only are of lockdown on");
	if (!word && option(c, "reason"))
		return complain(EXIT_USAGE, "lockdown: --reason is of lockdown on and lockdown off");
	code = word ? set_lockdown(c, on, &o) : api_get(c, "/v1/lockdown", &o);
	if (code)
		return code;
	if (c->json)
		print_json(o);
	else
		printf("lockdown: %s\n", lockdown_text(now, o));
	if (!c->json && jbool(jget(o, "was"), "on") && on)
		printf("before: %s\n", lockdown_text(was, jget(o, "was")));
	json_object_put(o);
	return 0;
}

static int delete_some(struct ctl *c, struct json_object *ids, size_t *deleted, size_t *other)
{
	struct json_object *o, *body = json_object_new_object();
	int code;

	json_object_object_add(body, "ids", ids);
	if (option(c, "reason"))
		json_object_object_add(body, "reason", json_object_new_string(option(c, "reason")));
	code = api_post(c, "/v1/delete", body, &o);
	if (code)
		return code;
	*deleted += json_object_array_length(jarray(o, "deleted"));
	if (c->json)
		print_json(o);
	for (int missing = 0; missing < 2; missing++) {
		struct json_object *list = jarray(o, missing ? "missing" : "already");

		*other += missing ? json_object_array_length(list) : 0;
		for (size_t i = 0; i < json_object_array_length(list) && !c->json; i++)
			complain(0, missing ? "there is no message %s" : "message %s was deleted before",
			         json_object_get_string(json_object_array_get_idx(list, i)));
	}
	json_object_put(o);
	return 0;
}

int run_delete(struct ctl *c)
{
	size_t deleted = 0, missing = 0;
	int code = 0;

	for (int i = 0; i < c->count; i++) {
		char *end;

		errno = 0;
		if (strtoll(c->operands[i], &end, 10) <= 0 || *end || errno)
			return complain(EXIT_USAGE, "delete: \"%s\" is no message's id; wavechatctl history shows them", c->operands[i]);
	}
	for (int i = 0; i < c->count && code == 0;) {
		struct json_object *ids = json_object_new_array();

		for (int n = 0; n < 1000 && i < c->count; n++)
			json_object_array_add(ids, json_object_new_int64(strtoll(c->operands[i++], NULL, 10)));
		code = delete_some(c, ids, &deleted, &missing);
	}
	if (code == 0 && !c->json)
		printf("deleted %zu message%s\n", deleted, deleted == 1 ? "" : "s");
	return code ? code : missing ? EXIT_NOT_FOUND : 0;
}
