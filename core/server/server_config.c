/* server_config.c — the settings as JSON: those in force, the source of each, and what waits for a restart (see impl.h).
 *
 * Shows no secret: a password and a key are in files, and only the names of those are settings. Owns nothing. Any thread. */
#include <string.h>

#include "base/logmsg.h"
#include "server/impl.h"

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

void server_put_config(void *server, struct buf *out)
{
	const struct server *s = server;
	struct listing l = { out, atomic_load(&s->shown.in_force), atomic_load(&s->shown.wanted), false };

	buf_puts(out, "{\"settings\":[");
	options_each(l.in_force, l.wanted, put_setting, &l);
	buf_putc(out, ']');
	put_text(out, "file", options_config_path(l.in_force));
	buf_putc(out, '}');
}

void server_show_config(struct server *s)
{
	atomic_store(&s->shown.in_force, s->o);
	atomic_store(&s->shown.wanted, s->wanted);
}
