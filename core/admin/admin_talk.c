/* admin_talk.c — the verbs of the public talk: slow, lockdown, say, delete (see impl.h).
 *
 * Checks their parameters; the room decides. Owns nothing. Threads: the door's and the room's. */
#include "admin/impl.h"
#include "base/utf8.h"
#include "wire/decode.h"

/* --- GET and POST /v1/slow */

static void look_at_slow(struct room *r, struct call *c)
{
	moderate_slow(r, &c->c, -1);
}

void verb_slow(struct call *c)
{
	call_room(c, look_at_slow, NULL);
}

static void set_slow(struct room *r, struct call *c)
{
	const int *seconds = c->own;
	moderate_slow(r, &c->c, *seconds);
}

void verb_slow_set(struct call *c)
{
	int *seconds = call_own(c, sizeof(*seconds), NULL);
	int64_t s;
	if (!arg_int(c, "seconds", &s) || s < 0 || s > 86400) {
		call_fail(c, 400, "bad_request", "seconds is a number from 0 to 86400");
		return;
	}
	*seconds = (int)s;
	call_room(c, set_slow, NULL);
}

/* --- GET and POST /v1/lockdown */

static void look_at_lockdown(struct room *r, struct call *c)
{
	moderate_lockdown(r, &c->c, NULL);
}

void verb_lockdown(struct call *c)
{
	call_room(c, look_at_lockdown, NULL);
}

static void set_lockdown(struct room *r, struct call *c)
{
	moderate_lockdown(r, &c->c, c->own);
}

void verb_lockdown_set(struct call *c)
{
	struct lockdown_order *o = call_own(c, sizeof(*o), NULL);
	o->on = arg_true(c, "on");
	o->read_only = arg_true(c, "read_only");
	if (!json_object_is_type(arg_get(c, "on"), json_type_boolean))
		call_fail(c, 400, "bad_request", "on is true or false");
	else if (!o->on && (o->read_only || json_object_object_get_ex(c->args, "for_s", NULL)))
		call_fail(c, 400, "bad_request", "read_only and for_s are of a lockdown that begins: on is false");
	else if (take_for(c, &o->for_ms) && take_reason(c))
		call_room(c, set_lockdown, NULL);
}

/* --- POST /v1/say */

static void say(struct room *r, struct call *c)
{
	moderate_say(r, &c->c, arg_str(c, "text"));
}

void verb_say(struct call *c)
{
	const struct str text = str_of(arg_str(c, "text"));
	if (!utf8_shows(text))
		call_fail(c, 400, "bad_request", "say what? text is missing");
	else if (utf8_count(text) > WC_TEXT_POINTS)
		call_fail(c, 400, "too_long", "the text has more than 4000 characters");
	else
		call_room(c, say, NULL);
}

/* --- POST /v1/delete */

struct deletion {
	uint64_t ids[1000];
	size_t count;
};

static void delete_messages(struct room *r, struct call *c)
{
	const struct deletion *d = c->own;
	(void)moderate_delete(r, &c->c, d->ids, d->count, false);
}

/* Each id once. False: it is no list of ids. */
static bool take_ids(struct deletion *d, struct json_object *list)
{
	const size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	for (size_t i = 0; i < n && n <= WC_LEN(d->ids); i++) {
		struct json_object *v = json_object_array_get_idx(list, i);
		const int64_t id = json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : 0;
		bool is_new = true;
		if (id <= 0)
			return false;
		for (size_t j = 0; j < d->count; j++)
			is_new &= d->ids[j] != (uint64_t)id;
		if (is_new)
			d->ids[d->count++] = (uint64_t)id;
	}
	return d->count > 0;
}

void verb_delete(struct call *c)
{
	struct deletion *d = call_own(c, sizeof(*d), NULL);
	if (!take_ids(d, arg_get(c, "ids")))
		call_fail(c, 400, "bad_request", "ids is a list of 1 to 1000 message ids");
	else if (take_reason(c))
		call_room(c, delete_messages, NULL);
}
