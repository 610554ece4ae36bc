/* codes.c — see codes.h. A list by age, so that the old ones are found without a look at the others, and two maps. */
#include "state/codes.h"

#include <stdlib.h>
#include <string.h>

void codes_init(struct codes *cs)
{
	*cs = (struct codes){ 0 };
	map_init(&cs->by_text);
	map_init(&cs->by_user);
}

void codes_fini(struct codes *cs)
{
	codes_clear(cs);
	map_fini(&cs->by_text);
	map_fini(&cs->by_user);
}

static void unlink_code(struct codes *cs, struct code *c)
{
	map_del(&cs->by_text, c->text, CODE_LEN);
	map_del(&cs->by_user, &c->user_id, sizeof(c->user_id));
	*(c->older ? &c->older->next : &cs->oldest) = c->next;
	*(c->next ? &c->next->older : &cs->newest) = c->older;
	c->next = c->older = NULL;
}

static void end(struct codes *cs, struct code *c)
{
	unlink_code(cs, c);
	free(c);
}

void codes_clear(struct codes *cs)
{
	while (cs->oldest)
		end(cs, cs->oldest);
}

/* Behind those that expire before it. One that is given back was among the newest. */
static void link_code(struct codes *cs, struct code *c)
{
	struct code *before = cs->newest;

	while (before && before->expires_ms > c->expires_ms)
		before = before->older;
	c->older = before;
	c->next = before ? before->next : cs->oldest;
	*(before ? &before->next : &cs->oldest) = c;
	*(c->next ? &c->next->older : &cs->newest) = c;
	map_put(&cs->by_text, c->text, CODE_LEN, c);
	map_put(&cs->by_user, &c->user_id, sizeof(c->user_id), c);
}

const struct code *codes_make(struct codes *cs, uint64_t user_id, int64_t now_ms, int64_t expires_ms)
{
	static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"; /* 32, none that look alike */
	struct code *c;
	uint8_t random[CODE_LEN];

	codes_end(cs, user_id);
	while (cs->oldest && cs->oldest->expires_ms <= now_ms)
		end(cs, cs->oldest);
	c = xcalloc(1, sizeof(*c));
	wc_random(random, sizeof(random));
	for (size_t i = 0; i < CODE_LEN; i++)
		c->text[i] = alphabet[random[i] & 31];
	c->user_id = user_id;
	c->expires_ms = expires_ms;
	link_code(cs, c);
	return c;
}

struct code *codes_take(struct codes *cs, struct str text, int64_t now_ms)
{
	struct code *c = text.len == CODE_LEN ? map_get(&cs->by_text, text.p, CODE_LEN) : NULL;

	if (!c || c->expires_ms <= now_ms)
		return NULL;
	unlink_code(cs, c);
	return c;
}

void codes_give_back(struct codes *cs, struct code *c)
{
	if (map_get(&cs->by_user, &c->user_id, sizeof(c->user_id)))
		free(c);
	else
		link_code(cs, c);
}

void codes_end(struct codes *cs, uint64_t user_id)
{
	struct code *c = map_get(&cs->by_user, &user_id, sizeof(user_id));

	if (c)
		end(cs, c);
}
