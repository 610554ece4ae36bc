/* server.c — the verbs of the server: status, metrics, config, log-level. */
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

static void WC_PRINTF(2, 3) row(const char *name, const char *fmt, ...)
{
	va_list ap;
	char *line;

	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) < 0)
		abort();
	va_end(ap);
	printf("%-14s", name);
	print_safe(stdout, line);
	putchar('\n');
	free(line);
}

static void row_port(struct json_object *o)
{
	struct json_object *listen = jarray(o, "listen");
	const size_t n = json_object_array_length(listen);
	struct buf b;

	buf_init_sure(&b, SIZE_MAX / 4);
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", json_object_get_string(json_object_array_get_idx(listen, i)));
	buf_putc(&b, '\0');
	row("port", "%lld at %s", (long long)jint(o, "port"), n ? b.p : "every address");
	buf_fini(&b);
}

/* 0 and null: no bound, or nothing of the kind. */
static void put_budget(struct buf *b, struct json_object *memory, const char *name, const char *words)
{
	char text[TIME_TEXT];
	int64_t bytes = jint(memory, name);

	if (bytes > 0)
		buf_printf(b, "%s%s %s", b->len ? ", " : "", bytes_text(text, (uint64_t)bytes), words);
}

static void print_memory(struct json_object *o)
{
	struct json_object *memory = NULL;
	char a[TIME_TEXT], b[TIME_TEXT];
	struct buf budgets;

	if (!json_object_object_get_ex(o, "memory", &memory) || !memory) { /* an older server */
		row("memory", "%s", bytes_text(a, (uint64_t)jint(o, "resident_bytes")));
		return;
	}
	row("memory", "%s of %s (%s)", bytes_text(a, (uint64_t)jint(o, "resident_bytes")), bytes_text(b, (uint64_t)jint(memory, "limit")),
	    jstr(memory, "source"));
	buf_init(&budgets, 4096);
	put_budget(&budgets, memory, "pending_in", "being received");
	put_budget(&budgets, memory, "pending_out", "waiting to be read");
	put_budget(&budgets, memory, "large", "of large frames");
	put_budget(&budgets, memory, "files", "of files");
	put_budget(&budgets, memory, "messages", "of messages");
	put_budget(&budgets, memory, "recent", "of recent messages");
	put_budget(&budgets, memory, "inbox", "of events");
	row("budgets", "%.*s", (int)budgets.len, budgets.len ? budgets.p : "");
	buf_fini(&budgets);
	row("room for", "%lld connections, %lld descriptors", (long long)jint(o, "connections_max"), (long long)jint(o, "descriptors"));
}

/* The room on the disk, of a server that has one. */
static void show_space(struct json_object *o)
{
	char a[TIME_TEXT], b[TIME_TEXT], d[TIME_TEXT];
	const char *state = jstr(o, "disk_state");
	uint64_t bound = (uint64_t)jint(o, "files_bound_bytes");

	if (!jint(o, "disk_bytes"))
		return;
	bytes_text(a, (uint64_t)jint(o, "disk_free_bytes"));
	bytes_text(b, (uint64_t)jint(o, "disk_bytes"));
	bytes_text(d, (uint64_t)jint(o, "free_reserve_bytes"));
	if (strcmp(state, "full") == 0)
		row("disk", "%s free of %s — FULL: messages and files are refused; free some space", a, b);
	else if (strcmp(state, "low") == 0)
		row("disk", "%s free of %s — LOW: files are refused below %s free", a, b, d);
	else
		row("disk", "%s free of %s; files leave %s free", a, b, d);
	bytes_text(a, (uint64_t)jint(o, "files_used_bytes"));
	bytes_text(b, bound);
	if (!bound)
		row("files", "%s on the disk, no bound", a);
	else if (jbool(o, "files_bound_given"))
		row("files", "%s on the disk; past %s the oldest are removed (--max-storage-mb)", a, b);
	else
		row("files", "%s of at most %s%s (--max-storage-mb)", a, b,
		    jbool(o, "files_bound_reached") ? " — REACHED: new ones are refused" : ", then new ones are refused");
	row("reserve", "%s",
	    jbool(o, "reserve_file") ? "32 MB set aside for a full disk" : "none: no room for it, or given up on a full disk");
}

/* Everything that is wrong, a line each. An older server says nothing of it but that of its storage. */
static bool row_health(struct json_object *o)
{
	struct json_object *trouble = jarray(o, "trouble");
	const bool is_well = jget(o, "well") ? jbool(o, "well") : jbool(o, "storage_ok");

	if (is_well || json_object_array_length(trouble) == 0)
		row("health", "%s", is_well ? "well" : "NOT WELL: the storage fails; messages are refused; the log says why");
	for (size_t i = 0; !is_well && i < json_object_array_length(trouble); i++)
		row(i ? "" : "health", "NOT WELL: %s", jstr(json_object_array_get_idx(trouble, i), "text"));
	return is_well;
}

/* The room's part. */
static void rows_room(struct json_object *o)
{
	char a[TIME_TEXT], lockdown[LOCKDOWN_TEXT];

	row("online", "%lld people, %lld connections (%lld of the first dialect, %lld of the second)", (long long)jint(o, "online"),
	    (long long)jint(o, "connections"), (long long)jint(o, "sessions_v1"), (long long)jint(o, "sessions_v2"));
	row("identities", "%lld", (long long)jint(o, "identities"));
	row("messages", "%lld since the start, newest event %lld", (long long)jint(o, "messages"), (long long)jint(o, "head"));
	row("moderation", "%lld bans, %lld mutes, slow mode %s", (long long)jint(o, "bans"), (long long)jint(o, "mutes"),
	    jint(o, "slow_s") ? duration_text(a, jint(o, "slow_s") * 1000) : "off");
	row("lockdown", "%s", lockdown_text(lockdown, jget(o, "lockdown")));
}

int run_status(struct ctl *c)
{
	struct json_object *o;
	char a[TIME_TEXT], b[TIME_TEXT];
	bool is_well;
	int code = api_get(c, "/v1/status", &o);

	if (code)
		return code;
	if (c->json) {
		is_well = jget(o, "well") ? jbool(o, "well") : jbool(o, "storage_ok");
		print_json(o);
		json_object_put(o);
		return is_well ? EXIT_DONE : EXIT_UNWELL;
	}
	is_well = row_health(o);
	row("server", "wavechatd %s, process %lld, up %s", jstr(o, "version"), (long long)jint(o, "pid"),
	    duration_text(a, jint(o, "uptime_s") * 1000));
	row("data", "%s", jstr(o, "data"));
	row_port(o);
	if (jget(o, "room_answers") && !jbool(o, "room_answers"))
		row("online", "%lld connections; more is not known, since the room does not answer", (long long)jint(o, "connections"));
	else
		rows_room(o);
	row("storage", "%s database, %s files", bytes_text(a, (uint64_t)jint(o, "store_bytes")),
	    bytes_text(b, (uint64_t)jint(o, "blob_bytes")));
	show_space(o);
	print_memory(o);
	row("trouble", "%lld connections ended by the server, %lld errors sent", (long long)jint(o, "evicted"),
	    (long long)jint(o, "errors"));
	row("log level", "%s", jstr(o, "log_level"));
	json_object_put(o);
	return is_well ? EXIT_DONE : EXIT_UNWELL;
}

/* Metrics are plain ASCII; nothing else may go to a terminal. */
static int to_stdout(void *arg, const void *data, size_t n)
{
	const unsigned char *p = data;

	(void)arg;
	for (size_t i = 0; i < n; i++) {
		if ((p[i] >= 0x20 && p[i] < 0x7f) || p[i] == '\n')
			putchar(p[i]);
		else
			printf("\\x%02x", p[i]);
	}
	return ferror(stdout);
}

int run_metrics(struct ctl *c)
{
	return api_stream(c, "/v1/metrics", to_stdout, NULL);
}

int run_log_level(struct ctl *c)
{
	struct json_object *o, *body;
	int code;

	if (c->count) {
		body = json_object_new_object();
		json_object_object_add(body, "level", json_object_new_string(c->operands[0]));
		code = api_post(c, "/v1/log-level", body, &o);
	} else {
		code = api_get(c, "/v1/log-level", &o);
	}
	if (code)
		return code;
	if (c->json)
		print_json(o);
	else
		print_safe(stdout, jstr(o, "level"));
	fputs(c->json ? "" : "\n", stdout);
	json_object_put(o);
	return 0;
}

int run_config(struct ctl *c)
{
	struct json_object *o;
	struct table t;
	int code = api_get(c, "/v1/config", &o);

	if (code)
		return code;
	if (c->json) {
		print_json(o);
		json_object_put(o);
		return 0;
	}
	table_init(&t, "SETTING VALUE FROM NOTE");
	for (size_t i = 0; i < json_object_array_length(jarray(o, "settings")); i++) {
		struct json_object *setting = json_object_array_get_idx(jarray(o, "settings"), i);

		table_cell(&t, jstr(setting, "name"));
		if (jget(setting, "value"))
			table_cell(&t, jstr(setting, "value"));
		else
			table_cellf(&t, "(%s)", jstr(setting, "unset"));
		table_cell(&t, jstr(setting, "from"));
		if (jget(setting, "next"))
			table_cellf(&t, "after a restart: %s (%s)", jstr(setting, "next"), jstr(setting, "next_from"));
		else
			table_cell(&t, "");
	}
	table_print(&t, "no settings");
	json_object_put(o);
	return 0;
}
