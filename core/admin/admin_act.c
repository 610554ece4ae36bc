/* admin_act.c — verbs that the room carries out, and those that look at the process (see admin/impl.h).
 *
 * Each checks its parameters, fills the command in and hands it over. Owns nothing. Threads: the door's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/impl.h"
#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/process.h"
#include "base/pulse.h"
#include "base/utf8.h"
#include "state/lockdown.h"
#include "store/store_addr.h"
#include "wire/decode.h"

#define REASON_BYTES 400
#define FOR_S_MAX (100LL * 366 * 24 * 3600)

/* --- What several take */

/* False: answered already. */
bool take_reason(struct call *c)
{
	c->c.reason = arg_str(c, "reason");
	if (!c->c.reason || strlen(c->c.reason) <= REASON_BYTES)
		return true;
	call_fail(c, 400, "bad_request", "a reason has at most 400 bytes");
	return false;
}

static bool take_for(struct call *c)
{
	int64_t s;
	struct json_object *v;
	if (!json_object_object_get_ex(c->args, "for_s", &v))
		return true;
	if (arg_int(c, "for_s", &s) && s > 0 && s <= FOR_S_MAX) {
		c->c.for_ms = s * 1000;
		return true;
	}
	call_fail(c, 400, "bad_request", "a time (for_s) is from 1 second to 36600 days");
	return false;
}

/* Exactly one of user, name, net, and with_id a sanction's number. */
static bool take_target(struct call *c, bool with_id)
{
	struct command *cmd = &c->c;
	int64_t id = 0;
	cmd->user = arg_str(c, "user");
	cmd->name = arg_str(c, "name");
	cmd->net = arg_str(c, "net");
	if (with_id && arg_int(c, "sanction", &id) && id > 0)
		cmd->id = (uint64_t)id;
	if (!!cmd->user + !!cmd->name + !!cmd->net + !!cmd->id == 1)
		return true;
	call_fail(c, 400, "bad_request", with_id ? "name one of: user, name, net, sanction" : "name one of: user, name, net");
	return false;
}

/* --- People */

static int add_left(void *arg, const struct address *a)
{
	struct command_person *p = command_add(arg, a->user_id, a->name.p, a->name.len);
	p->is_guest = a->is_guest;
	p->at_ms = a->at_ms;
	memcpy(p->addr, a->addr, sizeof(p->addr));
	return 0;
}

/* A page of those whose address is kept; the room knows who of them is here, or is known in another way. */
static void read_left(struct call *c)
{
	struct command *cmd = &c->c;
	struct ip_net net = { .until_ms = 0 };
	int64_t since_ms;
	if (cmd->net && !ip_net_parse(cmd->net, net.addr, &net.bits)) {
		call_fail(c, 400, "bad_request", "neither an address nor a network such as 10.0.0.0/8");
		return;
	}
	const int limit = cmd->limit > 0 ? cmd->limit : 1000;
	int n = addresses_since(c, &since_ms)
	                ? store_dump_addresses(c->a->dump, cmd->after, since_ms, cmd->net ? &net : NULL, limit, add_left, cmd)
	                : 0;
	if (n < 0) {
		call_fail(c, 507, "storage", "the database cannot be read now. The server's log says why");
		return;
	}
	cmd->people_upto = n == limit ? cmd->people[n - 1].id : 0;
	call_room(c, moderate_users, NULL);
}

static void users_stored(struct call *c)
{
	call_read(c, read_left);
}

void verb_users(struct call *c)
{
	int64_t n;
	if (arg_int(c, "after", &n) && n > 0)
		c->c.after = (uint64_t)n;
	if (arg_int(c, "limit", &n) && n > 0)
		c->c.limit = (int)WC_MIN(n, 1000);
	c->c.net = arg_str(c, "net");
	c->c.all = arg_true(c, "all") || c->c.net;
	c->c.text = arg_str(c, "q");
	if (c->c.all)
		call_stored(c, users_stored);
	else
		call_room(c, moderate_users, NULL);
}

void verb_kick(struct call *c)
{
	c->c.user = arg_str(c, "user");
	if (!c->c.user)
		call_fail(c, 400, "bad_request", "who? user is missing");
	else if (take_reason(c))
		call_room(c, moderate_kick, NULL);
}

static void sanction(struct call *c, enum sanction_act act)
{
	c->c.act = act;
	c->c.with_ip = arg_true(c, "with_ip");
	c->c.force = arg_true(c, "force");
	c->c.replace = arg_true(c, "replace");
	if (take_target(c, false) && take_for(c) && take_reason(c))
		call_room(c, moderate_sanction, NULL);
}

static void pardon(struct call *c, enum sanction_act act)
{
	c->c.act = act;
	if (take_target(c, true))
		call_room(c, moderate_pardon, NULL);
}

static void sanctions(struct call *c, enum sanction_act act)
{
	c->c.act = act;
	call_room(c, moderate_sanctions, NULL);
}

void verb_ban(struct call *c)
{
	sanction(c, SANCTION_BAN);
}
void verb_unban(struct call *c)
{
	pardon(c, SANCTION_BAN);
}
void verb_bans(struct call *c)
{
	sanctions(c, SANCTION_BAN);
}
void verb_mute(struct call *c)
{
	sanction(c, SANCTION_MUTE);
}
void verb_unmute(struct call *c)
{
	pardon(c, SANCTION_MUTE);
}
void verb_mutes(struct call *c)
{
	sanctions(c, SANCTION_MUTE);
}

/* --- The talk */

void verb_slow(struct call *c)
{
	int64_t s = -1;
	if (strcmp(c->verb->method, "POST") == 0 && (!arg_int(c, "seconds", &s) || s < 0 || s > 86400)) {
		call_fail(c, 400, "bad_request", "seconds is a number from 0 to 86400");
		return;
	}
	c->c.seconds = (int)s;
	call_room(c, moderate_slow, NULL);
}

void verb_lockdown(struct call *c)
{
	struct json_object *v;
	bool is_set = strcmp(c->verb->method, "POST") == 0, on = arg_true(c, "on"), read_only = arg_true(c, "read_only");

	c->c.level = !is_set ? -1 : !on ? LOCKDOWN_OFF : read_only ? LOCKDOWN_READ_ONLY : LOCKDOWN_NEW_PEOPLE;
	if (is_set && (!json_object_object_get_ex(c->args, "on", &v) || !json_object_is_type(v, json_type_boolean)))
		call_fail(c, 400, "bad_request", "on is true or false");
	else if (is_set && !on && (read_only || json_object_object_get_ex(c->args, "for_s", &v)))
		call_fail(c, 400, "bad_request", "read_only and for_s are of a lockdown that begins: on is false");
	else if (take_for(c) && take_reason(c))
		call_room(c, moderate_lockdown, NULL);
}

void verb_say(struct call *c)
{
	c->c.text = arg_str(c, "text");
	struct str text = { c->c.text, c->c.text ? strlen(c->c.text) : 0 };
	if (utf8_trim(text).len == 0)
		call_fail(c, 400, "bad_request", "say what? text is missing");
	else if (utf8_count(text) > WC_TEXT_POINTS)
		call_fail(c, 400, "too_long", "the text has more than 4000 characters");
	else
		call_room(c, moderate_say, NULL);
}

void verb_delete(struct call *c)
{
	struct json_object *ids;
	size_t n = 0;
	if (!json_object_object_get_ex(c->args, "ids", &ids) || !json_object_is_type(ids, json_type_array) ||
	    json_object_array_length(ids) == 0 || json_object_array_length(ids) > WC_LEN(c->ids)) {
		call_fail(c, 400, "bad_request", "ids is a list of 1 to 1000 message ids");
		return;
	}
	for (size_t i = 0; i < json_object_array_length(ids); i++) {
		struct json_object *v = json_object_array_get_idx(ids, i);
		int64_t id = json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : 0;
		bool is_new = true;
		if (id <= 0) {
			call_fail(c, 400, "bad_request", "ids is a list of 1 to 1000 message ids");
			return;
		}
		for (size_t j = 0; j < n; j++)
			is_new &= c->ids[j] != (uint64_t)id;
		if (is_new)
			c->ids[n++] = (uint64_t)id;
	}
	c->c.ids = c->ids;
	c->c.id_count = n;
	if (take_reason(c))
		call_room(c, moderate_delete, NULL);
}

/* --- The process */

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static void level_noted(struct call *c)
{
	enum log_level level;
	if (c->c.status == 200 && log_level_parse(arg_str(c, "level"), &level)) {
		log_set_level(level);
		buf_reset(&c->c.out);
		buf_printf(&c->c.out, "{\"level\":\"%s\"}", level_names[level]);
	}
	call_reply(c);
}

void verb_log_level(struct call *c)
{
	const char *wanted = arg_str(c, "level");
	enum log_level level;
	if (strcmp(c->verb->method, "POST") != 0) {
		c->c.status = 200;
		buf_printf(&c->c.out, "{\"level\":\"%s\"}", level_names[log_get_level()]);
		call_reply(c);
		return;
	}
	if (!wanted || !log_level_parse(wanted, &level)) {
		call_fail(c, 400, "bad_request", "level is error, warn, info or debug");
		return;
	}
	if (asprintf(&c->note, "{\"level\":\"%s\"}", level_names[level]) < 0)
		abort();
	c->c.text = c->note;
	call_room(c, moderate_note, level_noted);
}

static uint64_t file_bytes(const char *dir, const char *name)
{
	char path[4096];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
	return n > 0 && (size_t)n < sizeof(path) && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void look_at_disk(struct space *space)
{
	struct space_state n;
	space_look(space, &n);
	const bool has_disk = n.disk_bytes != 0;
	metric_set(M_DISK_FREE, has_disk ? n.free_bytes : METRIC_ABSENT);
	metric_set(M_DISK_SIZE, has_disk ? n.disk_bytes : METRIC_ABSENT);
	metric_set(M_DISK_RESERVE, has_disk ? n.reserve_bytes : METRIC_ABSENT);
	metric_set(M_FILES_USED, has_disk ? n.used_bytes : METRIC_ABSENT);
	metric_set(M_FILES_BOUND, has_disk && n.bound_bytes ? n.bound_bytes : METRIC_ABSENT);
}

static void look(struct admin *a)
{
	const char *dir = a->o.options->data;
	uint64_t lag = 0;
	char name[16];
	for (int i = 0; i < HUB_RINGS; i++)
		lag = WC_MAX(lag, bcast_lag(hubs_ring(a->o.hubs, i)));
	metric_set(M_LOG_LAG, lag);
	metric_set(M_PENDING_LARGE, shbuf_large_bytes());
	metric_set(M_PENDING_IN, hubs_receiving_bytes(a->o.hubs));
	metric_set(M_THREAD_STALL, (uint64_t)pulse_longest(false, name));
	int64_t stored = store_rows(a->o.store);
	metric_set(M_STORED_MESSAGES, stored < 0 ? METRIC_ABSENT : (uint64_t)stored);
	look_at_disk(a->o.space);
	metric_set(M_STORE_BYTES, file_bytes(dir, "wavechat.db") + file_bytes(dir, "wavechat.db-wal"));
	metric_set(M_BLOB_BYTES, blobs_bytes(a->o.blobs));
	metric_set(M_LOST_BYTES, blobs_lost_bytes(a->o.blobs));
	process_look();
}

void admin_metrics_text(struct admin *a, struct buf *b)
{
	look(a);
	metrics_write(b);
}

void verb_metrics(struct call *c)
{
	admin_metrics_text(c->a, &c->text);
	http_reply(c->r, &(struct http_reply){ .status = 200,
	                                       .content_type = "text/plain; version=0.0.4; charset=utf-8",
	                                       .headers = "Cache-Control: no-store\r\n",
	                                       .body = c->text.p,
	                                       .body_len = c->text.len });
	call_free(c);
}

static void put_num(struct buf *b, const char *key, uint64_t n)
{
	buf_printf(b, ",\"%s\":%llu", key, (unsigned long long)n);
}

static void put_space(struct buf *b, struct space *space)
{
	struct space_state n;
	space_look(space, &n);
	put_num(b, "disk_bytes", n.disk_bytes);
	put_num(b, "disk_free_bytes", n.free_bytes);
	put_num(b, "free_reserve_bytes", n.reserve_bytes);
	put_num(b, "message_floor_bytes", n.floor_bytes);
	put_num(b, "files_bound_bytes", n.bound_bytes);
	put_num(b, "files_used_bytes", n.used_bytes);
	buf_printf(b, ",\"files_bound_given\":%s,\"files_bound_reached\":%s,\"reserve_file\":%s,\"disk_state\":\"%s\"",
	           n.is_bound_given ? "true" : "false", n.is_bound_reached ? "true" : "false", n.has_reserve_file ? "true" : "false",
	           n.is_full  ? "full"
	           : n.is_low ? "low"
	                      : "ok");
}

void verb_status(struct call *c)
{
	struct admin *a = c->a;
	struct buf *b = &c->text;
	look(a);
	buf_puts(b, ",\"version\":");
	json_str(b, (struct str){ wc_version(), strlen(wc_version()) });
	put_num(b, "pid", (uint64_t)getpid());
	put_num(b, "started", (uint64_t)a->started_ms);
	put_num(b, "now", (uint64_t)real_ms());
	put_num(b, "uptime_s", (uint64_t)WC_MAX(real_ms() - a->started_ms, 0) / 1000);
	put_num(b, "port", (uint64_t)a->o.port);
	buf_puts(b, ",\"listen\":[");
	for (char *const *address = a->o.options->listen; address && *address; address++) {
		buf_puts(b, address == a->o.options->listen ? "" : ",");
		json_str(b, (struct str){ *address, strlen(*address) });
	}
	buf_puts(b, "],\"data\":");
	char *data = realpath(a->o.options->data, NULL); /* whoever asks stands elsewhere */
	const char *shown = data ? data : a->o.options->data;
	json_str(b, (struct str){ shown, strlen(shown) });
	free(data);
	buf_printf(b, ",\"log_level\":\"%s\"", level_names[log_get_level()]);
	put_num(b, "connections", metric_get(M_CONNECTIONS));
	put_num(b, "messages", metric_get(M_MESSAGES));
	put_num(b, "deliveries", metric_get(M_DELIVERIES));
	put_num(b, "sent_bytes", metric_get(M_SENT_BYTES));
	put_num(b, "evicted", metric_sum(M_EVICTED_FIRST, M_EVICTED_LAST));
	put_num(b, "errors", metric_get(M_ERRORS));
	put_num(b, "log_lag_bytes", metric_get(M_LOG_LAG));
	put_num(b, "store_bytes", metric_get(M_STORE_BYTES));
	put_num(b, "blob_bytes", metric_get(M_BLOB_BYTES));
	put_space(b, a->o.space);
	if (metric_get(M_STORED_MESSAGES) != METRIC_ABSENT)
		put_num(b, "stored_messages", metric_get(M_STORED_MESSAGES));
	put_num(b, "resident_bytes", metric_get(M_PROCESS_RESIDENT));
	buf_puts(b, ",\"memory\":");
	budgets_json(a->o.budgets, b);
	put_num(b, "descriptors", (uint64_t)a->o.descriptors->limit);
	put_num(b, "connections_max", (uint64_t)a->o.connections_max);
	put_num(b, "commits", metric_get(M_COMMITS));
	put_num(b, "commit_us", metric_observed(H_COMMIT_SECONDS));
	admin_status(c);
}

void verb_verbs(struct call *c)
{
	static const char *const roles[] = { "nothing", "look", "moderate", "operate" };
	struct buf *b = &c->c.out;
	buf_puts(b, "{\"verbs\":[");
	for (const struct admin_verb *v = admin_verbs; v->method; v++) {
		const char *const values[][2] = { { "method", v->method }, { "path", v->path },     { "role", roles[v->role] },
			                          { "name", v->name },     { "params", v->params }, { "help", v->help } };
		buf_puts(b, v == admin_verbs ? "{" : ",{");
		for (size_t i = 0; i < WC_LEN(values); i++) {
			buf_printf(b, "%s\"%s\":", i ? "," : "", values[i][0]);
			json_str(b, (struct str){ values[i][1], strlen(values[i][1]) });
		}
		buf_putc(b, '}');
	}
	buf_puts(b, "]}");
	c->c.status = 200;
	call_reply(c);
}
