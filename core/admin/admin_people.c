/* admin_people.c — the verbs of people: users, kick (see impl.h).
 *
 * A list of everybody has two sources: the room, and the addresses that the database keeps of people who left. Owns nothing. Threads: the
 * door's, the admin's own and the room's. */
#include "admin/impl.h"
#include "store/store_addr.h"

#define USERS_PAGE 1000

/* --- GET /v1/users */

static int add_left(void *people, const struct address *a)
{
	struct command_person *p = people_add(people, a->user_id, a->name.p, a->name.len);
	p->is_guest = a->is_guest;
	p->at_ms = a->at_ms;
	memcpy(p->addr, a->addr, sizeof(p->addr));
	return 0;
}

static void list_users(struct room *r, struct call *c)
{
	moderate_users(r, &c->c, c->own);
}

/* A page of those whose address is kept; the room knows which of them are online, or known in another way. */
static void read_left(struct call *c)
{
	struct user_query *q = c->own;
	struct ip_net net = { .until_ms = 0 };
	int64_t since_ms;
	if (q->net && !ip_net_parse(q->net, net.addr, &net.bits)) {
		call_fail(c, 400, "bad_request", "neither an address nor a network such as 10.0.0.0/8");
		return;
	}
	const int limit = q->limit > 0 ? q->limit : USERS_PAGE;
	int n = 0;
	if (addresses_since(c, &since_ms))
		n = store_dump_addresses(c->a->dump, q->after, since_ms, q->net ? &net : NULL, limit, add_left, &q->left);
	if (n < 0) {
		call_fail_storage(c);
		return;
	}
	q->left_upto = n == limit ? q->left.v[n - 1].id : 0;
	call_room(c, list_users, NULL);
}

static void users_stored(struct call *c)
{
	call_read(c, read_left);
}

static void drop_users(void *own)
{
	struct user_query *q = own;
	people_drop(&q->left);
}

void verb_users(struct call *c)
{
	struct user_query *q = call_own(c, sizeof(*q), drop_users);
	int64_t n;
	if (arg_int(c, "after", &n) && n > 0)
		q->after = (uint64_t)n;
	if (arg_int(c, "limit", &n) && n > 0)
		q->limit = (int)WC_MIN(n, USERS_PAGE);
	q->net = arg_str(c, "net");
	q->all = arg_true(c, "all") || q->net;
	q->name_part = arg_str(c, "q");
	if (q->all)
		call_stored(c, users_stored);
	else
		call_room(c, list_users, NULL);
}

/* --- POST /v1/kick */

static void kick(struct room *r, struct call *c)
{
	moderate_kick(r, &c->c, arg_str(c, "user"));
}

void verb_kick(struct call *c)
{
	if (!arg_str(c, "user"))
		call_fail(c, 400, "bad_request", "who? user is missing");
	else if (take_reason(c))
		call_room(c, kick, NULL);
}
