/* admin_settings.c — the verbs of the settings: config, log-level (see impl.h).
 *
 * Shows no secret: a password and a key are in files, and only the names of those are settings. Owns nothing. Threads: the door's and the room's. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/impl.h"
#include "base/logmsg.h"

/* --- GET /v1/config */

struct listing {
	struct buf *b;
	const struct options *in_force, *wanted;
	bool is_next; /* a setting stands before */
};

static void put_text(struct buf *b, const char *name, const char *value)
{
	if (!value)
		return;
	buf_printf(b, ",\"%s\":", name);
	json_str(b, str_of(value));
}

static void put_setting(void *arg, const struct option_view *v)
{
	struct listing *l = arg;
	char origin[4200];
	const bool is_level = strcmp(v->name, "log-level") == 0 && log_get_level() != l->in_force->log_level;

	buf_printf(l->b, "%s{\"name\":\"%s\"", l->is_next ? "," : "", v->name);
	l->is_next = true;
	put_text(l->b, "variable", v->variable);
	put_text(l->b, "value", is_level ? log_level_name(log_get_level()) : v->text[0]);
	if (!v->text[0])
		put_text(l->b, "unset", v->unset);
	put_text(l->b, "from",
	         is_level ? "wavechatctl log-level" : option_origin_text(l->in_force, &v->origin[0], v->variable, origin, sizeof(origin)));
	if (!v->is_same) {
		put_text(l->b, "next", v->text[1] ? v->text[1] : v->unset);
		put_text(l->b, "next_from", option_origin_text(l->wanted, &v->origin[1], v->variable, origin, sizeof(origin)));
	}
	buf_printf(l->b, ",\"live\":%s}", v->is_live ? "true" : "false");
}

void verb_config(struct call *c)
{
	struct listing l = { &c->c.out, c->a->o.options, c->a->wanted, false };

	c->c.status = 200;
	buf_puts(l.b, "{\"settings\":[");
	options_each(l.in_force, l.wanted, put_setting, &l);
	buf_putc(l.b, ']');
	put_text(l.b, "file", options_config_path(l.in_force));
	buf_putc(l.b, '}');
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
