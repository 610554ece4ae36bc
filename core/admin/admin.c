/* admin.c — the administrator's door: its sockets, the table of verbs, requests (see admin.h).
 *
 * Owns both doors and the admin's own thread. Decides nothing about the chat: the room does (room/moderate.h). Threads: the door's workers
 * and transfer thread take requests; answers come from the thread that did the work. */
#include "admin/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin_socket.h"
#include "admin/impl.h"
#include "base/logmsg.h"
#include "base/utf8.h"
#include "store/store_verify.h"

/* --- The verbs */

#define REQUEST_ROW(id, method, path, role, name, params, help) { method, path, role, name, params, help, verb_##id },
static const struct admin_verb verbs[] = { ADMIN_VERBS(REQUEST_ROW, NO_COMMAND) };

void verb_verbs(struct call *c)
{
	static const char *const roles[] = { "nothing", "look", "moderate", "operate" };
	struct buf *b = &c->c.out;
	buf_puts(b, "{\"verbs\":[");
	for (const struct admin_verb *v = verbs; v < verbs + WC_LEN(verbs); v++) {
		const char *const values[][2] = { { "method", v->method }, { "path", v->path },     { "role", roles[v->role] },
			                          { "name", v->name },     { "params", v->params }, { "help", v->help } };
		buf_puts(b, v == verbs ? "{" : ",{");
		for (size_t i = 0; i < WC_LEN(values); i++) {
			buf_printf(b, "%s\"%s\":", i ? "," : "", values[i][0]);
			json_str(b, str_of(values[i][1]));
		}
		buf_putc(b, '}');
	}
	buf_puts(b, "]}");
	c->c.status = 200;
	call_reply(c);
}

static const struct admin_verb *find_verb(const char *method, const char *path, bool *has_path)
{
	const bool is_head = strcmp(method, "HEAD") == 0;
	*has_path = false;
	for (const struct admin_verb *v = verbs; v < verbs + WC_LEN(verbs); v++) {
		if (strcmp(v->path, path) != 0)
			continue;
		*has_path = true;
		if (strcmp(v->method, is_head ? "GET" : method) == 0)
			return v;
	}
	return NULL;
}

/* --- Parameters */

/* Those with a rule of their own, and those that a query may have. */
enum param_rule { ANY_VALUE, NOT_EMPTY, YES_OR_NO };
static const struct {
	const char *name;
	enum param_rule rule;
	bool is_in_query;
} params[] = {
	{ "after", NOT_EMPTY, true },      { "before", ANY_VALUE, true },    { "limit", ANY_VALUE, true },
	{ "all", YES_OR_NO, true },        { "q", ANY_VALUE, true },         { "user", NOT_EMPTY, true },
	{ "dm", NOT_EMPTY, true },         { "with", NOT_EMPTY, true },      { "since", NOT_EMPTY, true },
	{ "until", NOT_EMPTY, true },      { "grep", ANY_VALUE, true },      { "last", NOT_EMPTY, true },
	{ "sha", ANY_VALUE, true },        { "net", NOT_EMPTY, true },       { "addresses", YES_OR_NO, true },
	{ "name", NOT_EMPTY, false },      { "sanction", NOT_EMPTY, false }, { "dry_run", YES_OR_NO, false },
	{ "force", YES_OR_NO, false },     { "replace", YES_OR_NO, false },  { "with_ip", YES_OR_NO, false },
	{ "read_only", YES_OR_NO, false }, { "on", YES_OR_NO, false },
};

static enum param_rule rule_of(const char *name)
{
	for (size_t i = 0; i < WC_LEN(params); i++)
		if (strcmp(params[i].name, name) == 0)
			return params[i].rule;
	return ANY_VALUE;
}

static bool is_in_list(const char *list, const char *word)
{
	size_t len = strlen(word);
	for (const char *p = list; len && *p;) {
		size_t n = strcspn(p, " ");
		if (n == len && memcmp(p, word, len) == 0)
			return true;
		p += n + (p[n] == ' ');
	}
	return false;
}

static struct json_object *query_args(struct http_req *r)
{
	struct json_object *args = json_object_new_object();
	for (size_t i = 0; i < WC_LEN(params); i++) {
		char value[4096];
		if (params[i].is_in_query && http_query(r, params[i].name, value, sizeof(value)))
			json_object_object_add(args, params[i].name, json_object_new_string(value));
	}
	return args;
}

/* Also 1 or 0, of which a query is made. */
static bool is_yes_or_no(struct json_object *value)
{
	const char *text = value ? json_object_get_string(value) : "";
	return json_object_is_type(value, json_type_boolean) || strcmp(text, "1") == 0 || strcmp(text, "0") == 0;
}

/* Is this parameter one of the verb's, with a value that it may have? Else text says what is wrong. */
static bool check_param(const struct admin_verb *v, const char *name, struct json_object *value, char text[256])
{
	const enum param_rule rule = rule_of(name);
	if (!is_in_list(v->params, name))
		snprintf(text, 256, "%s takes no parameter \"%.60s\"; it knows: %s", v->name, name, v->params);
	/* An empty name is a script's variable that was not set: "nobody in particular" is not what was meant. */
	else if (rule == NOT_EMPTY && json_object_is_type(value, json_type_string) && !*json_object_get_string(value))
		snprintf(text, 256, "%s is empty: leave it out, or say whom or what", name);
	/* "dry_run":"true" is a word: taken for no, it would delete. */
	else if (rule == YES_OR_NO && !is_yes_or_no(value))
		snprintf(text, 256, "%s is true or false", name);
	else
		return true;
	return false;
}

/* --- Requests */

static enum admin_role role_of(uid_t uid)
{
	return uid == 0 || uid == geteuid() ? MAY_OPERATE : MAY_NOTHING;
}

static void start(struct call *c)
{
	char text[256];
	if (!c->args || !json_object_is_type(c->args, json_type_object)) {
		call_fail(c, 400, "bad_request", "the body is not a JSON object");
		return;
	}
	json_object_object_foreach (c->args, name, value) {
		if (check_param(c->verb, name, value, text))
			continue;
		call_fail(c, 400, "bad_request", text);
		return;
	}
	c->verb->start(c);
}

static int take_body(void *arg, const void *data, size_t n)
{
	struct call *c = arg;
	if (n > c->raw_want - c->raw_len)
		return -1; /* cannot be: so much was asked for */
	memcpy(c->raw + c->raw_len, data, n);
	c->raw_len += n;
	return 0;
}

static void body_done(void *arg, struct http_req *r, bool ok)
{
	struct call *c = arg;
	c->r = r;
	if (!ok) {
		call_free(c); /* nobody is there to be answered */
		return;
	}
	if (c->raw_len == c->raw_want && utf8_valid(c->raw, c->raw_len)) {
		struct json_tokener *t = json_tokener_new_ex(16);
		c->args = json_tokener_parse_ex(t, c->raw, (int)c->raw_len + 1); /* with the NUL: a number may end there */
		size_t end = json_tokener_get_parse_end(t);
		if (end < c->raw_len && end + strspn(c->raw + end, " \t\r\n") < c->raw_len) {
			json_object_put(c->args);
			c->args = NULL;
		}
		json_tokener_free(t);
	}
	start(c);
}

static struct call *call_new(struct admin *a, struct http_req *r, const struct admin_verb *verb)
{
	struct call *c = xcalloc(1, sizeof(*c));
	c->a = a;
	c->r = r;
	c->verb = verb;
	c->c.verb = verb->name;
	buf_init(&c->c.out, ADMIN_REPLY_MAX);
	return c;
}

/* The user for whom root acts, as wavechatctl has it from sudo. From root alone: another uid already names its user. */
static void take_via(struct call *c, const char *via)
{
	size_t n = via && c->c.uid == 0 ? WC_MIN(strlen(via), sizeof(c->via) - 1) : 0;
	for (size_t i = 0; i < n; i++)
		c->via[i] = via[i] > ' ' && via[i] < 0x7f && !strchr("\"\\", via[i]) ? via[i] : '?';
	c->c.via = n ? c->via : NULL;
}

static void on_request(void *arg, struct http_req *r)
{
	struct admin *a = arg;
	uid_t uid = (uid_t)-1;
	pid_t pid = 0;
	bool has_path;
	const struct admin_verb *verb = find_verb(http_method(r), http_path(r), &has_path);
	const enum admin_role role = http_peer_cred(r, &uid, &pid) ? role_of(uid) : MAY_NOTHING;
	if (role == MAY_NOTHING || (verb && role < verb->role)) {
		log_warn("admin refused", "uid=%u pid=%d", (unsigned)uid, (int)pid);
		http_json(r, 403, "{\"error\":\"denied\",\"text\":\"only the user the server runs as, and root, may do this\"}");
		return;
	}
	if (!verb) {
		http_json(r, has_path ? 405 : 404,
		          has_path ? "{\"error\":\"method\",\"text\":\"this path wants another method: see /v1/verbs\"}"
		                   : "{\"error\":\"no_such_verb\",\"text\":\"no such path: see /v1/verbs\"}");
		return;
	}
	struct call *c = call_new(a, r, verb);
	c->c.uid = uid;
	c->c.pid = pid;
	take_via(c, http_header(r, "X-Wavechat-Via"));
	if (strcmp(verb->method, "POST") != 0 || verb->start == verb_backup_hold) {
		c->args = query_args(r);
		start(c);
		return;
	}
	int64_t length = http_content_length(r);
	if (length <= 0 || length > ADMIN_BODY_MAX) {
		if (length > ADMIN_BODY_MAX) {
			call_fail(c, 413, "too_large", "the body has more than 256 KB");
		} else { /* no body, no parameters */
			c->args = json_object_new_object();
			start(c);
		}
		return;
	}
	c->raw_want = (size_t)length;
	c->raw = xcalloc(1, c->raw_want + 1);
	http_receive(r, c->raw_want, &(struct http_body){ .write = take_body, .done = body_done, .arg = c });
}

static const struct http_route door_routes[] = { { "GET", "/v1/", on_request }, { "POST", "/v1/", on_request }, { NULL, NULL, NULL } };

/* --- The metrics' own door */

static void on_metrics(void *arg, struct http_req *r)
{
	struct buf b;
	buf_init(&b, ADMIN_REPLY_MAX);
	admin_metrics_text(arg, &b);
	http_reply(r, &(struct http_reply){ .status = 200,
	                                    .content_type = "text/plain; version=0.0.4; charset=utf-8",
	                                    .headers = "Cache-Control: no-store\r\n",
	                                    .body = b.p,
	                                    .body_len = b.len });
	buf_fini(&b);
}

static const struct http_route metrics_routes[] = { { "GET", "/metrics", on_metrics }, { NULL, NULL, NULL } };

static int open_metrics(struct admin *a, int fd, char **cause)
{
	struct httpd_opts o = { .sockets = { fd },
		                .socket_count = 1,
		                .redirect_from = 1,
		                .max_connections = ADMIN_METRICS_CONNECTIONS,
		                .workers = 2,
		                .routes = metrics_routes,
		                .arg = a };
	return httpd_start(&a->metrics, &o, cause);
}

/* --- Start and stop */

static int open_door(struct admin *a, char **cause)
{
	if (admin_socket_place(a->path, &a->dir_fd, &a->bind_path, cause) < 0)
		return -WC_EIO;
	struct httpd_opts o = { .unix_path = a->bind_path, .max_connections = 128, .workers = 2, .routes = door_routes, .arg = a };
	return httpd_start(&a->door, &o, cause);
}

int admin_start(struct admin **out, const struct admin_opts *opts, char **cause)
{
	struct admin *a = xcalloc(1, sizeof(*a));
	int metrics = opts->metrics_socket;
	a->o = *opts;
	a->dir_fd = -1;
	a->started_ms = real_ms();
	pthread_mutex_init(&a->lock, NULL);
	a->o.socket_path = NULL;
	a->path = opts->socket_path ? xstrdup(opts->socket_path) : NULL;
	a->thread = helpers_start(&(struct helpers_opts){ 1, opts->store, store_reader_open, store_reader_close }, cause);
	if (!a->thread)
		goto fail;
	if (opts->keeps_data)
		backup_clear(a);
	if (a->path && open_door(a, cause) < 0) {
		if (opts->is_socket_wanted)
			goto fail;
		/* Nobody asked for it: the chat is worth more than the door. */
		log_warn("no admin socket", "cause=\"%s\"", *cause);
		free(*cause);
		*cause = NULL;
		free(a->path);
		a->path = NULL;
	}
	if (metrics >= 0) {
		int rc = open_metrics(a, metrics, cause);
		metrics = -1;
		if (rc < 0)
			goto fail;
	}
	*out = a;
	return 0;
fail:
	if (metrics >= 0)
		close(metrics);
	admin_stop(a);
	admin_free(a);
	return -WC_EIO;
}

void admin_set(struct admin *a, const struct budgets *budgets, int descriptors, int connections_max)
{
	a->o.budgets = budgets;
	a->o.descriptors = descriptors;
	a->o.connections_max = connections_max;
}

const char *admin_path(const struct admin *a)
{
	return a->path;
}

int admin_metrics_port(const struct admin *a)
{
	return a->metrics ? httpd_port(a->metrics) : 0;
}

void admin_stop(struct admin *a)
{
	if (!a)
		return;
	httpd_stop(a->door);
	httpd_stop(a->metrics);
	struct backup *backup = NULL;
	a->door = a->metrics = NULL;
	/* The room's answers find no thread to go on with from now on. */
	pthread_mutex_lock(&a->lock);
	struct helpers *thread = a->thread;
	a->thread = NULL;
	backup = a->backup;
	a->backup = NULL;
	struct db_check *db_check = a->check;
	a->check = NULL;
	pthread_mutex_unlock(&a->lock);
	backup_free(backup);
	db_check_free(db_check);
	helpers_stop(thread, 0);
}

void admin_free(struct admin *a)
{
	if (!a)
		return;
	store_dump_close(a->dump);
	store_verify_close(a->verify);
	if (a->dir_fd >= 0)
		close(a->dir_fd);
	pthread_mutex_destroy(&a->lock);
	free(a->path);
	free(a->bind_path);
	free(a);
}
