/* people.c — the verbs of people: users, kick, ban and mute with their opposites and lists. */
#include <json-c/json.h>
#include <string.h>

#include "ctl.h"

static void add_str(struct json_object *o, const char *name, const char *value)
{
	if (value)
		json_object_object_add(o, name, json_object_new_string(value));
}

/* --- users */

static void add_user(struct table *t, struct json_object *u)
{
	struct json_object *addresses = jarray(u, "addresses");
	char when[TIME_TEXT];
	struct buf b;

	table_cellf(t, "%lld", (long long)jint(u, "id"));
	table_cell(t, jstr(u, "name"));
	table_cell(t, jbool(u, "identity") ? "identity" : "guest");
	table_cellf(t, "%lld", (long long)jint(u, "connections"));
	table_cell(t, jbool(u, "online") ? "now" : time_text(when, jint(u, "seen")));
	table_cell(t, jbool(u, "banned") ? "banned" : jbool(u, "muted") ? "muted" : "");
	buf_init(&b, 4096);
	if (*jstr(u, "last_address")) {
		buf_puts(&b, jstr(u, "last_address"));
		buf_putc(&b, '\0');
		b.len--;
	}
	for (size_t i = 0; i < json_object_array_length(addresses); i++) {
		const char *address = json_object_get_string(json_object_array_get_idx(addresses, i));

		if (b.len && strstr(b.p, address))
			continue; /* tabs of one machine */
		buf_puts(&b, b.len ? " " : "");
		buf_puts(&b, address);
		buf_putc(&b, '\0');
		b.len--;
	}
	table_cell(t, b.len ? b.p : "");
	buf_fini(&b);
}

int run_users(struct ctl *c)
{
	struct json_object *o = NULL;
	struct table t;
	int64_t after = 0, online = 0;
	bool more = true;
	int code = 0;

	table_init(&t, ">ID NAME KIND >TABS SEEN STATE ADDRESS");
	while (more && code == 0) {
		struct json_object *users;
		int64_t last = after;
		struct buf path;
		char number[32];

		buf_init(&path, 1 << 16);
		buf_puts(&path, "/v1/users");
		snprintf(number, sizeof(number), "%lld", (long long)after);
		put_query(&path, "after", number);
		put_query(&path, "all", option(c, "all") ? "1" : NULL);
		put_query(&path, "net", option(c, "ip"));
		put_query(&path, "q", c->count ? c->operands[0] : NULL);
		buf_putc(&path, '\0');
		code = api_get(c, path.p, &o);
		buf_fini(&path);
		if (code)
			break;
		users = jarray(o, "users");
		online = jint(o, "online");
		more = jbool(o, "more");
		for (size_t i = 0; i < json_object_array_length(users); i++) {
			struct json_object *u = json_object_array_get_idx(users, i);

			last = WC_MAX(last, jint(u, "id"));
			if (c->json)
				print_json(u);
			else
				add_user(&t, u);
		}
		last = WC_MAX(last, jint(o, "upto"));
		json_object_put(o);
		if (more && last == after)
			code = complain_endless();
		after = last;
	}
	if (c->json || code) {
		table_drop(&t);
		return code;
	}
	table_print(&t, "nobody");
	printf("%lld online\n", (long long)online);
	return 0;
}

/* --- kick */

int run_kick(struct ctl *c)
{
	struct json_object *o, *body = json_object_new_object();
	int code;

	add_str(body, "user", c->operands[0]);
	add_str(body, "reason", option(c, "reason"));
	code = api_post(c, "/v1/kick", body, &o);
	if (code)
		return code;
	if (c->json) {
		print_json(o);
	} else {
		printf("kicked ");
		print_safe(stdout, jstr(o, "name"));
		printf(" (%lld): %lld connection%s closed\n", (long long)jint(o, "id"), (long long)jint(o, "connections"),
		       jint(o, "connections") == 1 ? "" : "s");
	}
	json_object_put(o);
	return 0;
}

/* --- Bans and mutes */

/* The target: an operand, --name or --ip, and with_number --number. An exit code if not exactly one. */
static int put_target(struct ctl *c, struct json_object *body, bool with_number)
{
	const char *name = option(c, "name"), *ip = option(c, "ip"), *number = with_number ? option(c, "number") : NULL;

	if (number && (!*number || number[strspn(number, "0123456789")]))
		return complain(EXIT_USAGE, "--number \"%s\": wavechatctl %s shows the numbers", number,
		                strcmp(c->verb->name, "unban") == 0 ? "bans" : "mutes");
	if (c->count + !!name + !!ip + !!number != 1)
		return complain(EXIT_USAGE, "%s: name one person, or %s", c->verb->name,
		                with_number ? "one of --name, --ip, --number" : "one of --name and --ip");
	if (c->count)
		add_str(body, "user", c->operands[0]);
	add_str(body, "name", name);
	add_str(body, "net", ip);
	add_str(body, "sanction", number);
	return 0;
}

static const char *describe(char out[SANCTION_TEXT], struct json_object *s)
{
	const char *kind = jstr(s, "kind");

	if (strcmp(kind, "identity") == 0)
		snprintf(out, SANCTION_TEXT, "%s (%lld)", jstr(s, "name"), (long long)jint(s, "id"));
	else if (strcmp(kind, "name") == 0)
		snprintf(out, SANCTION_TEXT, "the name %s", jstr(s, "name"));
	else
		snprintf(out, SANCTION_TEXT, "%s", jstr(s, "net"));
	return out;
}

const char *sanction_text(char out[SANCTION_TEXT], struct json_object *s)
{
	char until[TIME_TEXT];
	size_t n = strlen(describe(out, s));

	if (jint(s, "until"))
		n += (size_t)snprintf(out + n, SANCTION_TEXT - n, " until %s", time_text(until, jint(s, "until")));
	if (jbool(s, "kept") && n < SANCTION_TEXT)
		snprintf(out + n, SANCTION_TEXT - n, " (stayed: longer)");
	return out;
}

static int sanction(struct ctl *c, const char *path, const char *done)
{
	const char *time = option(c, "for");
	struct json_object *o, *list, *body = json_object_new_object();
	int64_t seconds;
	int code = put_target(c, body, false);

	if (code == 0 && time && !duration_parse(time, &seconds))
		code = complain(EXIT_USAGE, "--for \"%s\": a time is 90s, 30m, 2h, 1h30m, 7d or 2w", time);
	if (code) {
		json_object_put(body);
		return code;
	}
	if (time)
		json_object_object_add(body, "for_s", json_object_new_int64(seconds));
	if (option(c, "with-ip"))
		json_object_object_add(body, "with_ip", json_object_new_boolean(true));
	if (option(c, "force"))
		json_object_object_add(body, "force", json_object_new_boolean(true));
	if (option(c, "replace"))
		json_object_object_add(body, "replace", json_object_new_boolean(true));
	add_str(body, "reason", option(c, "reason"));
	code = api_post(c, path, body, &o);
	if (code)
		return code;
	list = jarray(o, "sanctions");
	if (c->json)
		print_json(o);
	for (size_t i = 0; i < json_object_array_length(list) && !c->json; i++) {
		struct json_object *s = json_object_array_get_idx(list, i);
		char text[SANCTION_TEXT], until[TIME_TEXT];

		if (jbool(s, "kept")) {
			print_safe(stdout, describe(text, s));
			printf(" stays %s %s%s, number %lld: that is longer; --replace shortens it\n", done,
			       jint(s, "until") ? "until " : "for good", jint(s, "until") ? time_text(until, jint(s, "until")) : "",
			       (long long)jint(s, "sanction"));
			continue;
		}
		printf("%s ", done);
		print_safe(stdout, describe(text, s));
		printf(" %s%s, number %lld\n", jint(s, "until") ? "until " : "for good",
		       jint(s, "until") ? time_text(until, jint(s, "until")) : "", (long long)jint(s, "sanction"));
		if (c->count && !option(c, "with-ip") && strcmp(jstr(s, "kind"), "name") == 0)
			printf("  a guest has no identity: the name it is; --with-ip takes the address, too\n");
	}
	if (!c->json && jint(o, "connections"))
		printf("%lld connection%s of theirs %s now\n", (long long)jint(o, "connections"), jint(o, "connections") == 1 ? "" : "s",
		       strcmp(done, "banned") == 0 ? "closed" : "told");
	json_object_put(o);
	return 0;
}

static int pardon(struct ctl *c, const char *path, const char *done)
{
	struct json_object *o, *list, *body = json_object_new_object();
	int code = put_target(c, body, true);

	if (code) {
		json_object_put(body);
		return code;
	}
	code = api_post(c, path, body, &o);
	if (code)
		return code;
	list = jarray(o, "lifted");
	if (c->json)
		print_json(o);
	for (size_t i = 0; i < json_object_array_length(list) && !c->json; i++) {
		char text[SANCTION_TEXT];

		printf("%s ", done);
		print_safe(stdout, describe(text, json_object_array_get_idx(list, i)));
		printf("\n");
	}
	json_object_put(o);
	return 0;
}

static int list(struct ctl *c, const char *path, const char *empty)
{
	struct json_object *o, *all;
	struct table t;
	int code = api_get(c, path, &o);

	if (code)
		return code;
	if (c->json) {
		print_json(o);
		json_object_put(o);
		return 0;
	}
	table_init(&t, ">NUMBER KIND WHO SINCE UNTIL BY REASON");
	all = jarray(o, "sanctions");
	for (size_t i = 0; i < json_object_array_length(all); i++) {
		struct json_object *s = json_object_array_get_idx(all, i);
		char text[SANCTION_TEXT], when[TIME_TEXT];

		table_cellf(&t, "%lld", (long long)jint(s, "sanction"));
		table_cell(&t, jstr(s, "kind"));
		table_cell(&t, describe(text, s));
		table_cell(&t, time_text(when, jint(s, "at")));
		table_cell(&t, jint(s, "until") ? time_text(when, jint(s, "until")) : "for good");
		table_cell(&t, uid_text(when, jint(s, "uid")));
		table_cell(&t, jstr(s, "reason"));
	}
	table_print(&t, empty);
	json_object_put(o);
	return 0;
}

int run_ban(struct ctl *c)
{
	return sanction(c, "/v1/ban", "banned");
}
int run_unban(struct ctl *c)
{
	return pardon(c, "/v1/unban", "no longer banned:");
}
int run_bans(struct ctl *c)
{
	return list(c, "/v1/bans", "nobody is banned");
}
int run_mute(struct ctl *c)
{
	return sanction(c, "/v1/mute", "muted");
}
int run_unmute(struct ctl *c)
{
	return pardon(c, "/v1/unmute", "no longer muted:");
}
int run_mutes(struct ctl *c)
{
	return list(c, "/v1/mutes", "nobody is muted");
}
