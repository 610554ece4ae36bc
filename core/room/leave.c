/* leave.c — the leave for an upload: the rules of messages, applied to a request that comes with a token and no connection.
 *
 * Owns no state. Never touches a file or a socket: the site goes on with the answer. Thread: room, but the two entries. */
#include <stdlib.h>

#include "base/ip.h"
#include "base/metrics.h"
#include "files/leave.h"
#include "room/banguard.h"
#include "room/impl.h"

static const struct sanction *sanction_of(const struct room *r, enum sanction_act act, const struct user *u, const struct leave *l)
{
	const struct sanction *found = NULL;
	for (size_t i = 0; i < r->mod.count; i++) {
		const struct sanction *s = r->mod.list[i];
		if (s->act != act || sanction_is_over(s, r->boot_now_ms))
			continue;
		if (sanction_is_of_user(s, u) || (s->kind == SANCTION_NET && l->has_address && ip_in_net(l->address, s->addr, s->bits)))
			found = !found || sanction_outlasts(s, found) ? s : found;
	}
	return found;
}

static enum leave_verdict judge(struct room *r, struct leave *l)
{
	const struct token *t = user_token(&r->users, l->token);
	if (!t)
		return LEAVE_NOBODY;
	l->identity_id = t->user->id;
	l->is_exempt = !l->has_address || ip_in_nets(l->address, &r->settings.exempt);
	const struct sanction *s = sanction_of(r, SANCTION_BAN, t->user, l);
	if (s) {
		l->words = sanction_words(s, "You are banned from this chat");
		return LEAVE_BANNED;
	}
	if (!admit_has(r, t))
		return LEAVE_PASSWORD;
	s = l->writes ? sanction_of(r, SANCTION_MUTE, t->user, l) : NULL;
	if (s) {
		l->words = sanction_words(s, "You are muted");
		l->wait_ms = s->ends_ms ? s->ends_ms - r->boot_now_ms : 0;
		return LEAVE_MUTED;
	}
	return limit_upload(r, t->user, l) ? LEAVE_GIVEN : LEAVE_WAIT;
}

static void ask(void *arg)
{
	struct leave *l = arg;
	l->generation = leave_generation();
	l->verdict = judge(l->room, l);
	if (l->verdict == LEAVE_BANNED || l->verdict == LEAVE_PASSWORD || l->verdict == LEAVE_MUTED)
		metric_add(M_REFUSED_UPLOAD_LEAVE, 1);
	l->done(l);
}

void room_ask_leave(void *room, struct leave *l)
{
	struct room *r = room;
	l->room = r;
	inbox_call(r->o.inbox, EV_CALL, ask, l);
}

static void give_back(void *arg)
{
	struct leave *l = arg;
	struct user *u = user_get(&((struct room *)l->room)->users, l->identity_id);
	if (u)
		limit_upload_give_back(l->room, u, l);
	free(l);
}

void room_give_back(void *room, const struct leave *l, uint64_t bytes)
{
	struct room *r = room;
	struct leave *copy = xmalloc(sizeof(*copy));
	*copy = *l;
	copy->bytes = bytes;
	copy->words = NULL;
	inbox_call(r->o.inbox, EV_CALL, give_back, copy);
}
