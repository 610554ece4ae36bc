/* admin_status.c — the verbs that look at the process: status, metrics (see impl.h).
 *
 * A status is answered within a few seconds, whatever hangs: it waits a while for the room, then answers without it. Owns nothing.
 * Threads: the door's, the health's watcher's, the room's. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/impl.h"
#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/process.h"
#include "base/pulse.h"

#define ROOM_WAIT_MS 2000

/* --- GET /v1/metrics */

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
	const char *dir = a->o.data;
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
	struct buf b;
	buf_init(&b, ADMIN_REPLY_MAX);
	admin_metrics_text(c->a, &b);
	call_reply_text(c, &b);
	buf_fini(&b);
}

/* --- GET /v1/status */

struct status {
	struct buf door; /* the members that the door knows, each with a comma before it */
	struct health_state well;
	struct health_alarm alarm;
};

static void drop_status(void *own)
{
	struct status *s = own;
	buf_fini(&s->door);
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

static void put_health(struct buf *b, const struct health_state *state)
{
	const char *between = "";
	struct buf words;
	buf_printf(b, ",\"well\":%s,\"storage_ok\":%s,\"trouble\":[", state->is_well ? "true" : "false",
	           state->fails[HEALTH_STORAGE] ? "false" : "true");
	for (int i = 0; i < HEALTH_CHECKS; i++) {
		if (!state->fails[i])
			continue;
		buf_init(&words, 4096);
		buf_printf(&words, "%s: %s", health_words((enum health_check)i), state->detail[i]);
		buf_printf(b, "%s{\"check\":\"%s\",\"text\":", between, health_name((enum health_check)i));
		json_str(b, (struct str){ words.p ? words.p : "", words.len });
		buf_putc(b, '}');
		buf_fini(&words);
		between = ",";
	}
	buf_putc(b, ']');
}

static void status_ready(struct call *c)
{
	struct status *s = c->own;
	struct buf *b = &c->c.out;
	if (!health_end_alarm(c->a->o.health, &s->alarm)) {
		call_free(c); /* answered already */
		return;
	}
	if (c->c.status == 200) {
		buf_puts(b, ",\"room_answers\":true");
		put_health(b, &s->well);
		buf_put(b, s->door.p, s->door.len);
		buf_putc(b, '}');
	}
	call_reply(c);
}

/* The room still has the command: nothing of it is touched, and it is freed when the room gives it back. */
static void status_without_room(struct call *c)
{
	const struct status *s = c->own;
	struct health_state state;
	struct buf b;
	buf_init(&b, ADMIN_REPLY_MAX);
	health_look(c->a->o.health, &state);
	if (!state.fails[HEALTH_ROOM]) { /* the watcher has not waited as long as this one */
		state.is_well = false;
		state.fails[HEALTH_ROOM] = true;
		snprintf(state.detail[HEALTH_ROOM], HEALTH_DETAIL, "it has not answered for %d s", ROOM_WAIT_MS / 1000);
	}
	buf_puts(&b, "{\"room_answers\":false");
	put_health(&b, &state);
	buf_put(&b, s->door.p, s->door.len);
	buf_putc(&b, '}');
	http_reply(c->r, &(struct http_reply){ .status = 200,
	                                       .content_type = "application/json",
	                                       .headers = "Cache-Control: no-store\r\n",
	                                       .body = b.p ? b.p : "",
	                                       .body_len = b.len });
	buf_fini(&b);
}

static void room_is_late(void *arg)
{
	status_without_room(arg);
}

static void look_at_room(struct room *r, struct call *c)
{
	moderate_status(r, &c->c);
}

static void status_probed(void *arg, const struct health_state *state)
{
	struct call *c = arg;
	struct status *s = c->own;
	if (state->fails[HEALTH_ROOM]) {
		status_without_room(c);
		call_free(c);
		return;
	}
	s->well = *state;
	health_set_alarm(c->a->o.health, &s->alarm, ROOM_WAIT_MS, room_is_late, c);
	call_room(c, look_at_room, status_ready);
}

void verb_status(struct call *c)
{
	struct admin *a = c->a;
	struct status *s = call_own(c, sizeof(*s), drop_status);
	struct buf *b = &s->door;
	buf_init(b, ADMIN_REPLY_MAX);
	look(a);
	buf_puts(b, ",\"version\":");
	json_str(b, str_of(wc_version()));
	put_num(b, "pid", (uint64_t)getpid());
	put_num(b, "started", (uint64_t)a->started_ms);
	put_num(b, "now", (uint64_t)real_ms());
	put_num(b, "uptime_s", (uint64_t)WC_MAX(real_ms() - a->started_ms, 0) / 1000);
	put_num(b, "port", (uint64_t)a->o.port);
	buf_puts(b, ",\"listen\":[");
	for (char *const *address = a->o.listen; address && *address; address++) {
		buf_puts(b, address == a->o.listen ? "" : ",");
		json_str(b, str_of(*address));
	}
	buf_puts(b, "],\"data\":");
	char *data = realpath(a->o.data, NULL); /* the client may be in another directory */
	const char *shown = data ? data : a->o.data;
	json_str(b, str_of(shown));
	free(data);
	buf_printf(b, ",\"log_level\":\"%s\"", log_level_name(log_get_level()));
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
	put_num(b, "descriptors", (uint64_t)a->o.descriptors);
	put_num(b, "connections_max", (uint64_t)a->o.connections_max);
	put_num(b, "commits", metric_get(M_COMMITS));
	put_num(b, "commit_us", metric_observed(H_COMMIT_SECONDS));
	health_ask(a->o.health, true, status_probed, c);
}
