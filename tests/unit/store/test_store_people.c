/* What the store knows of people for the admin: addresses, what one sent, who wrote. Each against both kinds of store. */
#include "base/ip.h"
#include "store_test.h"

#include "store/store_addr.h"
#include "store/store_admin.h"

#define DAY 86400000LL

static struct address person(uint64_t id, const char *name, const char *ip, int64_t at_ms, bool is_guest)
{
	struct address a = { .user_id = id, .name = s_of(name), .key = s_of(name), .is_guest = is_guest, .at_ms = at_ms };
	int bits;

	assert_true(ip_net_parse(ip, a.addr, &bits));
	return a;
}

struct list {
	uint64_t ids[64];
	char last[IP_NET_TEXT];
	int n;
};

static int collect(void *arg, const struct address *a)
{
	struct list *l = arg;

	l->ids[l->n++] = a->user_id;
	ip_net_text(a->addr, 128, l->last);
	return 0;
}

static int put(struct store *s, const struct address *v, size_t n)
{
	int added;

	assert_int_equal(store_begin(s), 0);
	added = store_put_addresses(s, v, n);
	assert_int_equal(store_commit(s), 0);
	return added;
}

static int expire(struct store *s, int64_t before_ms, int limit)
{
	int gone;

	assert_int_equal(store_begin(s), 0);
	gone = store_expire_addresses(s, before_ms, limit);
	assert_int_equal(store_commit(s), 0);
	return gone;
}

static void check_net(struct store_dump *d, const char *text, const char *wanted)
{
	struct ip_net net = { .until_ms = 0 };
	struct list l = { .n = 0 };
	char got[256] = "";

	assert_true(ip_net_parse(text, net.addr, &net.bits));
	int n = store_dump_addresses(d, 0, 0, &net, 60, collect, &l);
	assert_int_equal(n, l.n);
	for (int i = 0; i < l.n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%llu ", (unsigned long long)l.ids[i]);
	if (strcmp(got, wanted) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", text, got, wanted);
}

static void addresses_of(struct store *s)
{
	const struct address v[] = {
		person(1, "ann", "203.0.113.5", 100 * DAY, false), person(2, "eve", "203.0.113.255", 101 * DAY, true),
		person(3, "eve", "203.0.114.0", 102 * DAY, true),  person(4, "six", "2001:db8::5", 103 * DAY, false),
		person(5, "low", "0.0.0.1", 104 * DAY, true),      person(6, "high", "255.255.255.255", 105 * DAY, true),
		person(7, "end", "ffff:ffff::1", 106 * DAY, true),
	};
	const struct address moved = person(1, "ann", "198.51.100.1", 110 * DAY, false);
	struct store_dump *d;
	struct list l = { .n = 0 };

	assert_int_equal(put(s, v, WC_LEN(v)), WC_LEN(v));
	assert_int_equal(store_count_addresses(s), WC_LEN(v));
	assert_int_equal(store_dump_open(s, &d), 0);
	/* a network is exactly its range, at both ends */
	check_net(d, "203.0.113.0/24", "1 2 ");
	check_net(d, "203.0.113.0/30", "");
	check_net(d, "203.0.113.4/30", "1 ");
	check_net(d, "203.0.112.0/22", "1 2 3 ");
	check_net(d, "203.0.113.255", "2 ");
	check_net(d, "2001:db8::/64", "4 ");
	check_net(d, "2001:db8::/63", "4 ");
	check_net(d, "0.0.0.0/0", "1 2 3 5 6 ");
	check_net(d, "255.0.0.0/8", "6 ");
	check_net(d, "::/0", "1 2 3 4 5 6 7 ");
	check_net(d, "ffff::/16", "7 ");
	/* by time, in pages */
	assert_int_equal(store_dump_addresses(d, 0, 103 * DAY, NULL, 60, collect, &l), 4);
	l.n = 0;
	assert_int_equal(store_dump_addresses(d, 2, 0, NULL, 2, collect, &l), 2);
	assert_int_equal(l.ids[0], 3);
	assert_int_equal(l.ids[1], 4);
	/* one takes the place of the older one */
	assert_int_equal(put(s, &moved, 1), 0);
	assert_int_equal(store_count_addresses(s), WC_LEN(v));
	l.n = 0;
	assert_int_equal(store_dump_address(d, 1, 0, collect, &l), 0);
	assert_string_equal(l.last, "198.51.100.1");
	assert_int_equal(store_dump_address(d, 1, 111 * DAY, collect, &l), -WC_ENOENT);
	assert_int_equal(store_dump_address(d, 99, 0, collect, &l), -WC_ENOENT);
	check_net(d, "203.0.113.0/24", "2 ");
	/* by key, newest first; identities alone */
	l.n = 0;
	assert_int_equal(store_find_addresses(s, 0, s_of("eve"), 20, collect, &l), 2);
	assert_int_equal(l.ids[0], 3);
	l.n = 0;
	assert_int_equal(store_each_identity_address(s, collect, &l), 2);
	/* the oldest go first, a slice at a time */
	assert_int_equal(expire(s, 106 * DAY, 2), 2);
	check_net(d, "203.0.112.0/22", "");
	assert_int_equal(expire(s, 106 * DAY, 60), 3);
	assert_int_equal(expire(s, 106 * DAY, 60), 0);
	check_net(d, "::/0", "1 7 ");
	assert_int_equal(expire(s, INT64_MAX, 60), 2);
	assert_int_equal(store_count_addresses(s), 0);
	/* what is rolled back was never there */
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_put_addresses(s, v, 3), 3);
	store_rollback(s);
	assert_int_equal(store_count_addresses(s), 0);
	store_dump_close(d);
}

struct sums {
	int n, files;
	uint64_t first, last;
};

static void add_sent(void *arg, const struct sent *m)
{
	struct sums *t = arg;

	t->first = t->n++ ? t->first : m->id;
	t->last = m->id;
	t->files += m->has_file;
}

static int take_name(void *arg, uint64_t id, struct str name)
{
	assert_true(id > 0);
	snprintf(arg, 32, "%.*s", (int)name.len, name.p);
	return 1;
}

static void sent_by(struct store *s)
{
	const uint64_t both[] = { 5, 6 };
	struct sent_filter f = { both, 2, 0, false };
	struct sums t = { 0 };
	struct store_dump *d;
	uint64_t after = 0;
	char name[32] = "";
	bool more;

	assert_int_equal(store_begin(s), 0);
	for (uint64_t id = 1; id <= 30; id++) {
		struct msg m = text_msg(id, 5 + id % 3, id % 10 == 0 ? 9 : 0, "");

		m.at_ms = (int64_t)id * DAY; /* far enough apart for a search by time */
		assert_int_equal(store_put_msg(s, &m), 0);
	}
	assert_int_equal(store_delete_msg(s, 3), 0);
	assert_int_equal(store_put_deletion(s, 31, 31 * DAY, 3, 0), 0);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(store_dump_open(s, &d), 0);
	assert_int_equal(store_dump_sent(d, &f, &after, 100, 100, add_sent, &t, &more), 17); /* of 20, one is deleted and two are direct */
	assert_false(more);
	assert_int_equal(t.first, 1);
	assert_int_equal(t.last, 28);
	/* direct messages of others take no part in what is looked at */
	after = 8;
	t = (struct sums){ 0 };
	assert_int_equal(store_dump_sent(d, &f, &after, 1, 1, add_sent, &t, &more), 1);
	assert_int_equal(after, 9);
	assert_int_equal(store_dump_sent(d, &f, &after, 1, 2, add_sent, &t, &more), 1);
	assert_int_equal(after, 12);
	/* in pieces: nothing twice, nothing left out */
	after = 0;
	t = (struct sums){ 0 };
	do
		assert_true(store_dump_sent(d, &f, &after, 4, 3, add_sent, &t, &more) <= 3);
	while (more);
	assert_int_equal(t.n, 17);
	f.is_private = true;
	after = 0;
	t = (struct sums){ 0 };
	do
		assert_true(store_dump_sent(d, &f, &after, 4, 3, add_sent, &t, &more) <= 3);
	while (more);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.first, 10);
	assert_int_equal(t.last, 30);
	f.is_private = false;
	/* from a time on, exactly */
	f.since_ms = 20 * DAY;
	after = 0;
	t = (struct sums){ 0 };
	assert_int_equal(store_dump_sent(d, &f, &after, 100, 100, add_sent, &t, &more), 6);
	assert_int_equal(t.first, 21);
	/* who wrote, and who has private talk */
	assert_int_equal(store_dump_author(d, 7, take_name, name), 0);
	assert_string_equal(name, "Аня");
	assert_int_equal(store_dump_author(d, 8, take_name, name), -WC_ENOENT);
	assert_int_equal(store_dump_author(d, 0, take_name, name), -WC_ENOENT); /* a deletion is by nobody */
	assert_int_equal(store_dump_has_dms(d, 9), 1);
	assert_int_equal(store_dump_has_dms(d, 6), 1);
	assert_int_equal(store_dump_has_dms(d, 8), 0);
	store_dump_close(d);
}

static void on_both(void (*check)(struct store *s))
{
	char *dir = make_dir();
	struct store *s = open_store(dir);

	check(s);
	store_close(s);
	remove_tree(dir);
	s = open_store(NULL);
	check(s);
	store_close(s);
}

static void addresses_are_found_and_forgotten(void **state)
{
	(void)state;
	on_both(addresses_of);
}

static void what_people_sent_is_found(void **state)
{
	(void)state;
	on_both(sent_by);
}

static void the_audit_has_on_whose_behalf(void **state)
{
	char *dir = make_dir(), *file = in_dir(dir, STORE_FILE);
	struct store *s = open_store(dir);
	const struct audit a = { .at_ms = 1, .uid = 0, .pid = 7, .verb = STR("mute"), .args = STR("{}"), .via = STR("ann") };
	sqlite3_stmt *stmt = NULL;

	(void)state;
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_put_audit(s, &a), 0);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(sqlite3_prepare_v2(s->db, "SELECT via, reason IS NULL FROM audit", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "ann");
	assert_int_equal(sqlite3_column_int(stmt, 1), 1);
	sqlite3_finalize(stmt);
	store_close(s);
	free(file);
	remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_found_and_forgotten),
		cmocka_unit_test(what_people_sent_is_found),
		cmocka_unit_test(the_audit_has_on_whose_behalf),
	};

	wc_thread_is(ROLE_MAIN, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
