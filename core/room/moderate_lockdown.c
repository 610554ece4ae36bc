/* moderate_lockdown.c — an admin's lockdown, and its place in the status (see state/lockdown.h).
 *
 * Level and end are stored with the audit's row; they hold, and clients are told, after the commit. Owns no state. Thread: room. */
#include "room/impl.h"
#include "state/lockdown.h"

static void put_answer(struct buf *b, const struct lockdown *l)
{
	mod_put_bool(b, "on", l->level != LOCKDOWN_OFF);
	mod_put_bool(b, "read_only", l->level == LOCKDOWN_READ_ONLY);
	mod_put_int(b, "until", l->until_ms);
}

void lockdown_put_status(const struct room *r, struct buf *b)
{
	mod_put_key(b, "lockdown");
	buf_puts(b, "{");
	put_answer(b, &r->lockdown);
	buf_puts(b, "}");
}

static bool keep(struct room *r, struct command *c, struct lockdown l, const struct buf *args)
{
	int rc = store_begin(r->o.store);

	if (rc == 0)
		rc = store_set_counter(r->o.store, "lockdown", l.level);
	if (rc == 0)
		rc = store_set_counter(r->o.store, "lockdown_until", (uint64_t)l.until_ms);
	return mod_finish(r, c, rc, args);
}

void moderate_lockdown(struct room *r, struct command *c, const struct lockdown_order *o)
{
	const struct lockdown was = r->lockdown;

	if (o) {
		struct lockdown l = { .level = !o->on         ? LOCKDOWN_OFF
			                       : o->read_only ? LOCKDOWN_READ_ONLY
			                                      : LOCKDOWN_NEW_PEOPLE,
			              .until_ms = o->on && o->for_ms ? r->now_ms + o->for_ms : 0,
			              .ends_ms = o->on && o->for_ms ? r->boot_now_ms + o->for_ms : 0 };
		struct buf args;

		buf_init(&args, 256);
		buf_puts(&args, "{");
		put_answer(&args, &l);
		buf_puts(&args, "}");
		bool is_done = keep(r, c, l, &args);
		buf_fini(&args);
		if (!is_done)
			return;
		lockdown_set(r, l);
	}
	c->status = 200;
	buf_puts(&c->out, "{");
	put_answer(&c->out, &r->lockdown);
	if (o) {
		mod_put_key(&c->out, "was");
		buf_puts(&c->out, "{");
		put_answer(&c->out, &was);
		buf_puts(&c->out, "}");
	}
	buf_puts(&c->out, "}");
}
