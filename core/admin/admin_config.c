/* admin_config.c — the verb that shows the settings: those in force, where each came from, and what waits for a restart (see admin/impl.h).
 * Secrets are no settings: a join password and a key are in files, of which the names are shown. Thread: the door's. */
#include <string.h>

#include "admin/impl.h"
#include "base/logmsg.h"
#include "wire/encode.h"

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
	json_str(b, (struct str){ value, strlen(value) });
}

static void put_setting(void *arg, const struct option_view *v)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	struct listing *l = arg;
	char origin[4200];
	const bool is_level = strcmp(v->name, "log-level") == 0 && log_get_level() != l->in_force->log_level;

	buf_printf(l->b, "%s{\"name\":\"%s\"", l->is_next ? "," : "", v->name);
	l->is_next = true;
	put_text(l->b, "variable", v->variable);
	put_text(l->b, "value", is_level ? levels[log_get_level()] : v->text[0]);
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
