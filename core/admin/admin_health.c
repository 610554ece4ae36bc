/* admin_health.c — the end of GET /v1/status: is the server well, and what the room knows, for as long as it answers (see admin/impl.h).
 *
 * The health answers within a few seconds, whatever hangs. The room is waited for a while; after that what is known without it must do. Owns nothing.
 * Threads: the door's, the watcher's, the room's. */
#include <stdio.h>

#include "admin/impl.h"

#define ROOM_WAIT_MS 2000

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
	struct buf *b = &c->c.out;
	if (!health_end_alarm(c->a->o.health, &c->alarm)) {
		call_free(c); /* answered already */
		return;
	}
	if (c->c.status == 200) {
		buf_puts(b, ",\"room_answers\":true");
		put_health(b, &c->well);
		buf_put(b, c->text.p, c->text.len);
		buf_putc(b, '}');
	}
	call_reply(c);
}

/* The room still has the command: nothing of it is touched, and it is freed when the room gives it back. */
static void status_without_room(struct call *c)
{
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
	buf_put(&b, c->text.p, c->text.len);
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

static void status_probed(void *arg, const struct health_state *state)
{
	struct call *c = arg;
	struct health *health = c->a->o.health;
	if (state->fails[HEALTH_ROOM]) {
		status_without_room(c);
		call_free(c);
		return;
	}
	c->well = *state;
	health_set_alarm(health, &c->alarm, ROOM_WAIT_MS, room_is_late, c);
	call_room(c, moderate_status, status_ready);
}

void admin_status(struct call *c)
{
	health_ask(c->a->o.health, true, status_probed, c);
}
