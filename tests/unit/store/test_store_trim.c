/* Removals by number and by bytes: what everybody may read and what two people said are counted and removed apart. */
#include "store_test.h"

#include "store/store_admin.h"

static int take_sort(void *arg, const struct msg *m)
{
	((int *)arg)[m->is_dm && m->to_id]++;
	return 0;
}

/* Nobody learns from the removals of public messages how many private ones there are, nor the reverse. */
static void check_sorts(struct store *s)
{
	int gone[2] = { 0, 0 };
	uint64_t id = 1;

	for (; id <= 60; id++)
		put_one(s, text_msg(id, 1, id % 4 ? 2 : 0, ""));
	assert_int_equal(store_trim(s, 15, 20, take_sort, gone), 20);
	assert_int_equal(store_trim(s, 15, 100, take_sort, gone), 10);
	assert_int_equal(store_trim(s, 15, 100, take_sort, gone), 0);
	assert_int_equal(gone[0], 0);
	assert_int_equal(gone[1], 30); /* of 45 */
	assert_int_equal(store_public_floor(s), 1);
	assert_int_equal(store_floor(s), 39);
	/* a deletion counts where its message does; what was rolled back does not */
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_put_deletion(s, id++, 1, 4, 0), 0);
	assert_int_equal(store_put_deletion(s, id++, 1, 41, 1), 0);
	assert_int_equal(store_put_deletion(s, id++, 1, 41, 2), 0);
	assert_int_equal(store_trim(s, 15, 100, take_sort, gone), 3);
	store_rollback(s);
	assert_int_equal(store_trim(s, 15, 100, NULL, NULL), 0);
	gone[0] = gone[1] = 0;
	assert_int_equal(store_begin(s), 0);
	for (int i = 0; i < 16; i++)
		assert_int_equal(store_put_deletion(s, id++, 1, 4, 0), 0);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(store_trim(s, 15, 100, take_sort, gone), 16);
	assert_int_equal(gone[0], 16); /* the messages, and the oldest deletion */
	assert_int_equal(store_floor(s), 64);
	assert_int_equal(store_public_floor(s), 64);
	assert_int_equal(store_trim(s, 14, 100, take_sort, gone), 2);
	assert_int_equal(store_floor(s), 65); /* that of the private one, removed later, is lower */
	assert_int_equal(store_trim(s, 0, 100, take_sort, gone), 28);
	assert_int_equal(gone[0], 31);
	assert_int_equal(gone[1], 15);
	assert_int_equal(store_last_id(s), 0);
}

static void public_and_private_ones_are_trimmed_apart(void **state)
{
	char *dir = make_dir();
	struct store *s = open_store(dir);

	(void)state;
	check_sorts(s);
	store_close(s);
	s = open_store(NULL);
	check_sorts(s);
	/* after all of it the bytes of nothing are 0 */
	assert_int_equal(s->tally.bytes[0], 0);
	assert_int_equal(s->tally.bytes[1], 0);
	store_close(s);
	remove_tree(dir);
}

/* Of a megabyte in memory each sort has one half, whatever the other takes. */
static void bytes_are_trimmed_apart(void **state)
{
	static char text[3000];
	const struct str words = { text, sizeof(text) };
	struct store *s = open_store(NULL);
	int gone[2] = { 0, 0 }, n;
	uint64_t id = 1;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (; id <= 100; id++) {
		struct msg m = text_msg(id, 1, 0, "");
		m.text = words;
		put_one(s, m);
	}
	assert_int_equal(store_trim_bytes(s, 1 << 20, 1000, take_sort, gone), 0);
	for (int i = 0; i < 1000; i++) {
		struct msg m = text_msg(id++, 1, 2, "");
		m.text = words;
		put_one(s, m);
	}
	while ((n = store_trim_bytes(s, 1 << 20, 100, take_sort, gone)) > 0)
		assert_true(n <= 100);
	assert_int_equal(n, 0);
	assert_int_equal(gone[0], 0);
	assert_in_range(gone[1], 850, 900); /* 4 KB each */
	/* a deleted text takes no room, and is not given back twice */
	assert_int_equal(store_begin(s), 0);
	for (uint64_t i = 1; i <= 100; i++)
		assert_int_equal(store_delete_msg(s, i), 0);
	assert_int_equal(store_commit(s), 0);
	assert_true(s->tally.bytes[0] > 100 * 500 && s->tally.bytes[0] < 100 * 700);
	assert_int_equal(store_trim(s, 0, 10000, NULL, NULL), 1100 - gone[1]);
	assert_int_equal(s->tally.bytes[0], 0);
	assert_int_equal(s->tally.bytes[1], 0);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(public_and_private_ones_are_trimmed_apart),
		cmocka_unit_test(bytes_are_trimmed_apart),
	};

	wc_thread_is(ROLE_MAIN, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
