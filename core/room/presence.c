/* presence.c — the news of people who come and go, told at a cost that grows linearly: in ticks, merged, within a budget for each client.
 *
 * The first dialect gets lines about joins and leaves, and whole lists. The second gets `presence` frames: the number of people, and the
 * names of those who came and went, at about 1 KB/s for each client. Names beyond the budget are only counted. A leave is always told, if
 * later, to clients that may have been told of the join. Thread: room. */
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "room/impl.h"
#include "wire/name.h"

#define TICK_MS 200
#define GRACE_MS 5000 /* an identity's reconnect within it is no leave and no join */
#define EXACT_LINES 5
#define NAMES_IN_LINE 3
#define LIST_1_MAX 500
#define LIST_2_MAX 200
#define LIST_BYTES_S 65536  /* whole lists cost a dialect-1 client at most this */
#define PEOPLE_BYTES_S 1024 /* presence frames cost a dialect-2 client at most this */
#define PEOPLE_BURST 4096
#define PEOPLE_QUEUE 20000 /* changes kept for later ticks; beyond, only the count tells */
#define WHO_MAX 200

static void change_add(struct change **v, int *n, int *room, const struct user *u, bool is_join)
{
	if (*n == *room) {
		*room = *room ? *room * 2 : 32;
		*v = xrealloc(*v, (size_t)*room * sizeof(**v));
	}
	(*v)[(*n)++] = (struct change){ u->id, xstrdup(u->name), is_join };
}

static void changes_drop(struct change *v, int *n, int upto)
{
	if (!upto)
		return;
	for (int i = 0; i < upto; i++)
		free(v[i].name);
	memmove(v, v + upto, (size_t)(*n - upto) * sizeof(*v));
	*n -= upto;
}

/* A join and a leave of one person within the queue cancel out. */
static bool people_cancel(struct presence *p, uint64_t id, bool is_join)
{
	for (int i = p->people_count; i-- > 0 && p->people_count - i < 1000;) {
		if (p->people[i].id != id)
			continue;
		if (p->people[i].is_join == is_join)
			return true; /* said already */
		free(p->people[i].name);
		memmove(&p->people[i], &p->people[i + 1], (size_t)(p->people_count - 1 - i) * sizeof(*p->people));
		p->people_count--;
		return true;
	}
	return false;
}

static void people_changed(struct room *r, struct user *u, bool is_join)
{
	struct presence *p = &r->presence;
	p->count_is_due = true;
	if (people_cancel(p, u->id, is_join) || p->people_count >= PEOPLE_QUEUE)
		return;
	if (!is_join && !u->is_told)
		return;
	change_add(&p->people, &p->people_count, &p->people_room, u, is_join);
}

/* To those alone who were told of u for their direct messages: others must not see, by a leave of somebody they never heard of, that
 * there are some. */
static void tell_leave_apart(struct room *r, struct user *u)
{
	for (int i = 0; i < u->peer_count; i++) {
		const struct user *peer = user_get(&r->users, u->peers[i].id);
		for (const struct session *s = peer && peer != u ? peer->sessions : NULL; s; s = s->next) {
			if (s->dialect != DIALECT_2)
				continue;
			buf_reset(&r->scratch);
			buf_printf(&r->scratch, "{\"type\":\"presence\",\"online\":%zu,\"joined\":[],\"left\":[%llu]}", r->users.online,
			           (unsigned long long)u->id);
			publish_insert(r->pub, s, publish_position(r->pub, DIALECT_2), 0, frame_of_buf(&r->scratch), NULL, NULL);
		}
	}
}

static void come_or_go(struct room *r, struct user *u, bool is_join)
{
	struct presence *p = &r->presence;
	user_set_online(&r->users, u, is_join);
	metric_set(M_ONLINE, r->users.online);
	p->list_is_due = true;
	change_add(&p->lines, &p->line_count, &p->line_room, u, is_join);
	people_changed(r, u, is_join);
	if (is_join)
		return;
	if (u->is_told_apart && !u->is_told)
		tell_leave_apart(r, u);
	u->is_told = u->is_told_apart = false;
}

void presence_joined(struct room *r, struct user *u)
{
	u->leave_at_ms = 0; /* its place in the queue of the graced is skipped when its time comes */
	if (u->is_online) {
		user_active(&r->users, u);
		/* A further tab: nobody else learns anything new, but a dialect-1 joiner is owed its list. */
		if (u->sessions && u->sessions->dialect == DIALECT_1)
			r->presence.list_is_due = true;
		return;
	}
	come_or_go(r, u, true);
}

void presence_left(struct room *r, struct user *u)
{
	if (!u->is_identity) {
		come_or_go(r, u, false);
		user_remove(&r->users, u);
		return;
	}
	struct presence *p = &r->presence;
	u->leave_at_ms = r->mono_now_ms + GRACE_MS;
	if (p->grace_count == p->grace_room) {
		p->grace_room = p->grace_room ? p->grace_room * 2 : 32;
		p->grace = xrealloc(p->grace, (size_t)p->grace_room * sizeof(*p->grace));
	}
	p->grace[p->grace_count++] = (struct grace){ u->id, u->leave_at_ms };
}

static void end_graces(struct room *r)
{
	struct presence *p = &r->presence;
	int done = 0;
	while (done < p->grace_count && p->grace[done].at_ms <= r->mono_now_ms) {
		struct user *u = user_get(&r->users, p->grace[done].id);
		if (u && u->leave_at_ms == p->grace[done].at_ms && !u->sessions) {
			u->leave_at_ms = 0;
			come_or_go(r, u, false);
		}
		done++;
	}
	if (!done)
		return;
	memmove(p->grace, p->grace + done, (size_t)(p->grace_count - done) * sizeof(*p->grace));
	p->grace_count -= done;
}

/* --- Dialect 1 */

/* A system line to everyone but `but`'s own sessions. */
static void say(struct room *r, const struct str text, const uint64_t *but, int but_count)
{
	buf_reset(&r->scratch);
	encode_system(&r->scratch, DIALECT_1, text, r->now_ms);
	size_t len;
	uint64_t at = publish_frame(r->pub, DIALECT_1, r->scratch.p, r->scratch.len, &len);
	for (int i = 0; i < but_count; i++) {
		const struct user *u = user_get(&r->users, but[i]);
		for (const struct session *s = u ? u->sessions : NULL; s; s = s->next)
			if (s->dialect == DIALECT_1)
				publish_insert(r->pub, s, at, len, NULL, NULL, NULL);
	}
}

static void put_names(struct buf *b, const struct presence *p, bool is_join, int count, const char *words)
{
	int named = 0;
	for (int i = 0; i < p->line_count && named < NAMES_IN_LINE; i++) {
		if (p->lines[i].is_join != is_join)
			continue;
		buf_puts(b, named ? ", " : "");
		buf_puts(b, p->lines[i].name);
		named++;
	}
	if (count > named)
		buf_printf(b, " and %d more", count - named);
	buf_puts(b, words);
}

static void say_lines(struct room *r)
{
	struct presence *p = &r->presence;
	struct buf b;
	buf_init_sure(&b, 8192);
	if (r->users.session_count[DIALECT_1] == 0) {
		/* nobody to tell */
	} else if (p->line_count <= EXACT_LINES) {
		for (int i = 0; i < p->line_count; i++) {
			const struct change *c = &p->lines[i];
			/* People who joined at this line, or after it, saw its result in their list. */
			uint64_t but[EXACT_LINES];
			int but_count = 0;
			for (int j = i; j < p->line_count; j++)
				if (p->lines[j].is_join)
					but[but_count++] = p->lines[j].id;
			buf_reset(&b);
			buf_puts(&b, c->name);
			buf_puts(&b, c->is_join ? " joined 👋" : " left the chat");
			say(r, (struct str){ b.p, b.len }, but, but_count);
		}
	} else {
		uint64_t *joined = xcalloc((size_t)p->line_count, sizeof(*joined));
		int join_count = 0;
		for (int i = 0; i < p->line_count; i++)
			if (p->lines[i].is_join)
				joined[join_count++] = p->lines[i].id;
		int leave_count = p->line_count - join_count;
		if (join_count)
			put_names(&b, p, true, join_count, " joined 👋");
		if (join_count && leave_count)
			buf_puts(&b, "; ");
		if (leave_count)
			put_names(&b, p, false, leave_count, " left the chat");
		say(r, (struct str){ b.p, b.len }, joined, join_count);
		free(joined);
	}
	changes_drop(p->lines, &p->line_count, p->line_count);
	buf_fini(&b);
}

/* The most recently active for all to see, but `without`, as objects with commas between; at most max. Returns how many. */
static int put_active(const struct room *r, struct buf *b, int max, const struct user *without, bool starts_with_comma)
{
	int n = 0;
	for (const struct user *u = r->users.newest; u && n < max; u = u->older) {
		if (u == without)
			continue;
		if (n || starts_with_comma)
			buf_putc(b, ',');
		buf_put(b, u->json, u->json_len);
		n++;
	}
	return n;
}

/* Up to 500 people the list is everyone, the same for all. Past that it is oneself, then the latest active: the shared frame serves those
 * who are in it, and the others get their own beginning and a shared rest in its place. */
static void send_lists(struct room *r)
{
	struct presence *p = &r->presence;
	p->list_is_due = false;
	if (r->users.session_count[DIALECT_1] == 0)
		return;
	buf_reset(&r->scratch);
	buf_puts(&r->scratch, "{\"type\":\"users\",\"users\":[");
	int listed = put_active(r, &r->scratch, LIST_1_MAX, NULL, false);
	buf_puts(&r->scratch, "]}");
	size_t len, payload_len = r->scratch.len;
	uint64_t at = publish_frame(r->pub, DIALECT_1, r->scratch.p, r->scratch.len, &len);
	p->list_next_ms = r->mono_now_ms + WC_MAX((int64_t)TICK_MS, (int64_t)(payload_len * 1000 / LIST_BYTES_S));
	if ((size_t)listed == r->users.online)
		return;
	buf_reset(&r->scratch_2);
	put_active(r, &r->scratch_2, LIST_1_MAX - 1, NULL, true);
	buf_puts(&r->scratch_2, "]}");
	struct shbuf *rest = shbuf_copy(r->scratch_2.p, r->scratch_2.len);
	struct user *u = r->users.newest;
	for (int i = 0; u && i < LIST_1_MAX; i++)
		u = u->older; /* those in the shared list */
	for (; u && rest; u = u->older)
		for (const struct session *s = u->sessions; s; s = s->next) {
			if (s->dialect != DIALECT_1)
				continue;
			uint8_t header[WS_HEADER_MAX];
			static const char head[] = "{\"type\":\"users\",\"users\":[";
			size_t n = ws_header(header, WS_TEXT, sizeof(head) - 1 + u->json_len + rest->len);
			struct shbuf *own = shbuf_new_sure(n + sizeof(head) - 1 + u->json_len);
			memcpy(own->data, header, n);
			memcpy(own->data + n, head, sizeof(head) - 1);
			memcpy(own->data + n + sizeof(head) - 1, u->json, u->json_len);
			publish_insert(r->pub, s, at, len, own, shbuf_ref(rest), NULL);
		}
	shbuf_unref(rest);
}

/* --- Dialect 2 */

static void put_left_and_joined(struct room *r, int count)
{
	const struct presence *p = &r->presence;
	for (int pass = 0; pass < 2; pass++) {
		bool is_join = pass == 0, is_first = true;
		buf_puts(&r->scratch, is_join ? ",\"joined\":[" : ",\"left\":[");
		for (int i = 0; i < count; i++) {
			if (p->people[i].is_join != is_join)
				continue;
			if (!is_first)
				buf_putc(&r->scratch, ',');
			is_first = false;
			if (!is_join)
				buf_u64(&r->scratch, p->people[i].id);
			else
				encode_user(&r->scratch, p->people[i].id, (struct str){ p->people[i].name, strlen(p->people[i].name) });
		}
		buf_putc(&r->scratch, ']');
	}
}

static size_t change_cost(const struct change *c)
{
	return c->is_join ? 32 + strlen(c->name) : 12;
}

/* When there is more than the budget, joins are only counted; leaves wait. */
static void thin_people(struct presence *p)
{
	int kept = 0;
	for (int i = 0; i < p->people_count; i++) {
		if (p->people[i].is_join)
			free(p->people[i].name);
		else
			p->people[kept++] = p->people[i];
	}
	p->people_count = kept;
}

static void send_presence(struct room *r)
{
	struct presence *p = &r->presence;
	if (r->users.session_count[DIALECT_2] == 0) {
		changes_drop(p->people, &p->people_count, p->people_count);
		p->count_is_due = false;
		return;
	}
	p->budget_bytes = WC_MIN((double)PEOPLE_BURST,
	                         p->budget_bytes + (double)(r->mono_now_ms - p->budget_at_ms) * PEOPLE_BYTES_S / 1000);
	p->budget_at_ms = r->mono_now_ms;
	const size_t frame = 64;
	if (p->budget_bytes < (double)frame)
		return; /* later */
	size_t cost = frame;
	int count = 0;
	for (int pass = 0; pass < 2; pass++) {
		for (count = 0, cost = frame; count < p->people_count; count++) {
			size_t more = change_cost(&p->people[count]);
			if (cost + more > (size_t)p->budget_bytes)
				break;
			cost += more;
		}
		if (pass == 1 || count == p->people_count)
			break;
		thin_people(p);
	}
	buf_reset(&r->scratch);
	buf_printf(&r->scratch, "{\"type\":\"presence\",\"online\":%zu", r->users.online);
	put_left_and_joined(r, count);
	buf_putc(&r->scratch, '}');
	size_t len;
	publish_frame(r->pub, DIALECT_2, r->scratch.p, r->scratch.len, &len);
	p->budget_bytes -= (double)len;
	for (int i = 0; i < count; i++) {
		struct user *u = p->people[i].is_join ? user_get(&r->users, p->people[i].id) : NULL;
		if (u)
			u->is_told = true;
	}
	changes_drop(p->people, &p->people_count, count);
	p->count_is_due = p->people_count > 0;
}

/* --- Time */

void presence_tick(struct room *r)
{
	struct presence *p = &r->presence;
	end_graces(r);
	if (r->mono_now_ms >= p->tick_next_ms && (p->line_count || p->count_is_due)) {
		p->tick_next_ms = r->mono_now_ms + TICK_MS;
		say_lines(r);
		if (p->count_is_due)
			send_presence(r);
	}
	if (p->list_is_due && p->line_count == 0 && r->mono_now_ms >= p->list_next_ms)
		send_lists(r);
}

int presence_timeout_ms(const struct room *r)
{
	const struct presence *p = &r->presence;
	int64_t at = r->mono_now_ms + 1000;
	if (p->line_count || p->count_is_due)
		at = WC_MIN(at, p->tick_next_ms);
	if (p->list_is_due)
		at = WC_MIN(at, WC_MAX(p->list_next_ms, p->line_count ? p->tick_next_ms : 0));
	if (p->grace_count)
		at = WC_MIN(at, p->grace[0].at_ms);
	int64_t wait = at - mono_ms();
	return wait < 1 ? 1 : (int)wait;
}

/* --- Lists on demand */

void presence_put_users(struct room *r, struct buf *b, enum dialect d, struct user *me)
{
	buf_puts(b, "\"users\":[");
	buf_put(b, me->json, me->json_len);
	if (d == DIALECT_1) {
		put_active(r, b, LIST_1_MAX - 1, me, true);
		buf_puts(b, "],");
		return;
	}
	int n = 1;
	me->is_told = true;
	for (int i = me->peer_count; i-- > 0 && n < LIST_2_MAX;) {
		struct user *u = user_get(&r->users, me->peers[i].id);
		if (!u || !u->is_online || u == me)
			continue;
		buf_putc(b, ',');
		buf_put(b, u->json, u->json_len);
		u->is_told_apart = true;
		u->is_listed = true;
		n++;
	}
	/* People count as told of as if this one had no direct messages: their leaves are for all to see. */
	int passed = 1;
	for (struct user *u = r->users.newest; u && passed < LIST_2_MAX; u = u->older) {
		if (u == me)
			continue;
		u->is_told = true;
		passed++;
		if (u->is_listed || n == LIST_2_MAX)
			continue;
		buf_putc(b, ',');
		buf_put(b, u->json, u->json_len);
		n++;
	}
	for (int i = 0; i < me->peer_count; i++) {
		struct user *u = user_get(&r->users, me->peers[i].id);
		if (u)
			u->is_listed = false;
	}
	buf_puts(b, "],");
}

/* The lowest ids found, a heap with the highest of them on top: what is above it costs a comparison. */
struct lowest {
	struct user *v[WHO_MAX + 1];
	size_t count, room;
};

static void sink(struct lowest *l, size_t i)
{
	for (size_t kid; (kid = 2 * i + 1) < l->count; i = kid) {
		kid += kid + 1 < l->count && l->v[kid + 1]->id > l->v[kid]->id;
		if (l->v[i]->id >= l->v[kid]->id)
			return;
		struct user *u = l->v[i];
		l->v[i] = l->v[kid];
		l->v[kid] = u;
	}
}

static void keep_lowest(struct lowest *l, struct user *u)
{
	if (l->count == l->room) {
		l->v[0] = u;
		sink(l, 0);
		return;
	}
	size_t i = l->count++;
	for (; i && l->v[(i - 1) / 2]->id < u->id; i = (i - 1) / 2)
		l->v[i] = l->v[(i - 1) / 2];
	l->v[i] = u;
}

static void sort_lowest(struct lowest *l)
{
	const size_t count = l->count;
	while (l->count > 1) {
		struct user *highest = l->v[0];
		l->v[0] = l->v[--l->count];
		sink(l, 0);
		l->v[l->count] = highest;
	}
	l->count = count;
}

/* Walks everyone online for each call, and sorts nobody but the page; limit_request has it paid for by their number. */
void presence_who(struct room *r, struct action *a)
{
	const struct event *e = a->e;
	struct session *s = a->session;
	if (!s) {
		answer_not_joined(r, e->conn);
		return;
	}
	if (s->dialect != DIALECT_2)
		return;
	int limit = e->page.limit ? (int)WC_MIN(e->page.limit, (uint32_t)WHO_MAX) : WHO_MAX;
	char *key = e->page.q.len ? name_key(e->page.q) : NULL;
	const bool fits_none = key && !*key;                 /* nothing of q can be in a name */
	struct lowest found = { .room = (size_t)limit + 1 }; /* one more says whether there is more */
	for (struct user *u = fits_none ? NULL : r->users.newest; u; u = u->older)
		if (u->id > e->page.after && (found.count < found.room || u->id < found.v[0]->id) && (!key || strstr(u->key, key)))
			keep_lowest(&found, u);
	sort_lowest(&found);
	size_t count = WC_MIN(found.count, (size_t)limit);
	buf_reset(&r->scratch);
	buf_puts(&r->scratch, "{\"type\":\"who\"");
	if (e->page.q.len) {
		buf_puts(&r->scratch, ",\"q\":");
		json_str(&r->scratch, e->page.q);
	}
	buf_printf(&r->scratch, ",\"after\":%llu,\"users\":[", (unsigned long long)e->page.after);
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_putc(&r->scratch, ',');
		buf_put(&r->scratch, found.v[i]->json, found.v[i]->json_len);
		found.v[i]->is_told = true;
	}
	buf_puts(&r->scratch, count < found.count ? "],\"more\":true}" : "],\"more\":false}");
	publish_insert(r->pub, s, publish_position(r->pub, DIALECT_2), 0, frame_of_buf(&r->scratch), NULL, NULL);
	free(key);
}

void presence_fini(struct room *r)
{
	struct presence *p = &r->presence;
	changes_drop(p->lines, &p->line_count, p->line_count);
	changes_drop(p->people, &p->people_count, p->people_count);
	free(p->lines);
	free(p->people);
	free(p->grace);
}
