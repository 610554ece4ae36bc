/* admin_ban.c — the verbs of bans and mutes: ban, unban, bans, mute, unmute, mutes (see impl.h).
 *
 * Checks their parameters; the room decides. Owns nothing. Threads: the door's and the room's. */
#include "admin/impl.h"

static bool has_one_target(const struct sanction_target *of, uint64_t id)
{
	return !!of->user + !!of->name + !!of->net + !!id == 1;
}

static struct sanction_target target_of(const struct call *c, enum sanction_act act)
{
	return (struct sanction_target){ .act = act, .user = arg_str(c, "user"), .name = arg_str(c, "name"), .net = arg_str(c, "net") };
}

/* --- POST /v1/ban, POST /v1/mute */

static void sanction(struct room *r, struct call *c)
{
	moderate_sanction(r, &c->c, c->own);
}

static void start_sanction(struct call *c, enum sanction_act act)
{
	struct sanction_order *o = call_own(c, sizeof(*o), NULL);
	o->of = target_of(c, act);
	o->with_ip = arg_true(c, "with_ip");
	o->force = arg_true(c, "force");
	o->replace = arg_true(c, "replace");
	if (!has_one_target(&o->of, 0))
		call_fail(c, 400, "bad_request", "name one of: user, name, net");
	else if (take_for(c, &o->for_ms) && take_reason(c))
		call_room(c, sanction, NULL);
}

void verb_ban(struct call *c)
{
	start_sanction(c, SANCTION_BAN);
}

void verb_mute(struct call *c)
{
	start_sanction(c, SANCTION_MUTE);
}

/* --- POST /v1/unban, POST /v1/unmute */

struct pardon {
	struct sanction_target of;
	uint64_t id;
};

static void pardon(struct room *r, struct call *c)
{
	const struct pardon *p = c->own;
	moderate_pardon(r, &c->c, &p->of, p->id);
}

static void start_pardon(struct call *c, enum sanction_act act)
{
	struct pardon *p = call_own(c, sizeof(*p), NULL);
	int64_t id = 0;
	p->of = target_of(c, act);
	if (arg_int(c, "sanction", &id) && id > 0)
		p->id = (uint64_t)id;
	if (has_one_target(&p->of, p->id))
		call_room(c, pardon, NULL);
	else
		call_fail(c, 400, "bad_request", "name one of: user, name, net, sanction");
}

void verb_unban(struct call *c)
{
	start_pardon(c, SANCTION_BAN);
}

void verb_unmute(struct call *c)
{
	start_pardon(c, SANCTION_MUTE);
}

/* --- GET /v1/bans, GET /v1/mutes */

static void list_bans(struct room *r, struct call *c)
{
	moderate_sanctions(r, &c->c, SANCTION_BAN);
}

void verb_bans(struct call *c)
{
	call_room(c, list_bans, NULL);
}

static void list_mutes(struct room *r, struct call *c)
{
	moderate_sanctions(r, &c->c, SANCTION_MUTE);
}

void verb_mutes(struct call *c)
{
	call_room(c, list_mutes, NULL);
}
