/* options_reload.c — settings read again while the server runs: what of them takes effect, and what waits for a restart. Owns the copies
 * that it makes, until their receiver frees them. Main thread; options_each any. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/options_impl.h"

#define HISTORY_AT_HAND 1000 /* messages that are in memory anyway */

static bool is_of_certificate(const struct option_row *row)
{
	return row->kind == KIND_FILE && strncmp(row->name, "tls-", 4) == 0;
}

/* Certificates can be exchanged, but whether there is HTTPS at all is settled at the start. A longer history would have to be read
 * first. */
static bool may_change(const struct option_row *row, const struct options *now, const struct options *wanted)
{
	if (is_of_certificate(row))
		return row->is_live && now->tls_cert && wanted->tls_cert;
	if (strcmp(row->name, "history-limit") == 0)
		return row->is_live && wanted->history_limit <= WC_MAX(now->history_limit, HISTORY_AT_HAND);
	return row->is_live;
}

/* The value, and where it came from. */
static void copy_row(struct options *to, const struct options *from, size_t i)
{
	option_copy(to, from, &option_table[i]);
	to->origin[i] = from->origin[i];
}

static struct options *copy_of(const struct options *from)
{
	struct options *o = xcalloc(1, sizeof(*o));

	o->has_file = from->has_file;
	o->argc = from->argc;
	o->argv = from->argv;
	for (size_t i = 0; i < option_count; i++)
		if (option_is_setting(&option_table[i]))
			copy_row(o, from, i);
	return o;
}

int options_reread(const struct options *now, struct options **wanted, struct options **in_force, char **cause)
{
	struct options fresh;

	if (options_build(&fresh, now->argc, now->argv, cause) != OPTIONS_RUN)
		return -WC_EBAD;
	/* Somebody may be replacing it just now: all settings at once are not what it is to lose. */
	if (now->has_file && !fresh.has_file) {
		wc_cause(cause, "%s was there and is gone: put it back, or restart to do without it", options_config_path(now));
		options_fini(&fresh);
		return -WC_EBAD;
	}
	*wanted = copy_of(&fresh);
	*in_force = copy_of(&fresh);
	options_fini(&fresh);
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];

		if (option_is_setting(row) && !may_change(row, now, *wanted))
			copy_row(*in_force, now, i);
	}
	return 0;
}

void options_free(struct options *o)
{
	if (o)
		options_fini(o);
	free(o);
}

void options_each(const struct options *a, const struct options *b, void (*fn)(void *arg, const struct option_view *v), void *arg)
{
	struct buf texts[2];

	buf_init_sure(&texts[0], SIZE_MAX / 4);
	buf_init_sure(&texts[1], SIZE_MAX / 4);
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		struct option_view view = { .name = row->name,
			                    .variable = row->env,
			                    .unset = row->unset ? row->unset : "none",
			                    .is_live = may_change(row, a, b),
			                    .origin = { a->origin[i], b->origin[i] } };

		if (!option_is_setting(row) || !row->env)
			continue;
		for (int k = 0; k < 2; k++) {
			buf_reset(&texts[k]);
			if (option_text(k ? b : a, row, &texts[k])) {
				buf_putc(&texts[k], '\0');
				view.text[k] = texts[k].p;
			}
		}
		view.is_same = view.text[0] && view.text[1] ? strcmp(view.text[0], view.text[1]) == 0 : view.text[0] == view.text[1];
		fn(arg, &view);
	}
	buf_fini(&texts[0]);
	buf_fini(&texts[1]);
}

const char *option_origin_text(const struct options *o, const struct option_origin *origin, const char *variable, char *out, size_t room)
{
	switch (origin->from) {
	case FROM_OPTION: return "command line";
	case FROM_ENVIRONMENT: snprintf(out, room, "$%s", variable); return out;
	case FROM_FILE: snprintf(out, room, "%s:%d", options_config_path(o), origin->line); return out;
	case FROM_DEFAULT: break;
	}
	return "default";
}

static void note_difference(void *arg, const struct option_view *v)
{
	*(bool *)arg &= v->is_same && v->origin[0].from == v->origin[1].from && v->origin[0].line == v->origin[1].line;
}

bool options_equal(const struct options *a, const struct options *b)
{
	bool is_equal = true;

	options_each(a, b, note_difference, &is_equal);
	return is_equal;
}
