/* admin_settings.c — the verbs of the settings: config, log-level (see impl.h).
 *
 * The settings are the server's to list. Owns nothing. Threads: the door's and the room's. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/impl.h"
#include "base/logmsg.h"

/* --- GET /v1/config */

void verb_config(struct call *c)
{
	c->c.status = 200;
	c->a->o.put_config(c->a->o.arg, &c->c.out);
	call_reply(c);
}

/* --- GET and POST /v1/log-level */

static char *level_json(enum log_level level)
{
	char *json;
	if (asprintf(&json, "{\"level\":\"%s\"}", log_level_name(level)) < 0)
		abort();
	return json;
}

static void reply_level(struct call *c)
{
	char *json = level_json(log_get_level());
	c->c.status = 200;
	buf_reset(&c->c.out);
	buf_puts(&c->c.out, json);
	free(json);
	call_reply(c);
}

void verb_log_level(struct call *c)
{
	reply_level(c);
}

static void level_noted(struct call *c)
{
	const enum log_level *level = c->own;
	log_set_level(*level);
	reply_level(c);
}

void verb_log_level_set(struct call *c)
{
	enum log_level *level = call_own(c, sizeof(*level), NULL);
	const char *wanted = arg_str(c, "level");
	if (wanted && log_level_parse(wanted, level))
		call_note(c, level_json(*level), level_noted);
	else
		call_fail(c, 400, "bad_request", "level is error, warn, info or debug");
}
