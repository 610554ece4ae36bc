/* People: free names, activity order, peers, tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/user.h"

static void take(struct users *us, const char *wanted, uint64_t id, const char *expected)
{
	char name[WC_NAME_BYTES + 1];
	user_free_name(us, NULL, str_of(wanted), id, name);
	assert_string_equal(name, expected);
	user_new(us, id, str_of(name), true);
}

static void test_names(void **state)
{
	(void)state;
	struct users us;
	users_init(&us);
	take(&us, "Аня", 1, "Аня");
	take(&us, "аня", 2, "аня 2");
	take(&us, "  АНЯ ", 3, "АНЯ 3");
	take(&us, "", 4, "User4");
	take(&us, "\xe2\x80\xae\xe2\x80\x8b", 5, "User5"); /* bidi override, zero width space: nothing is left */
	take(&us, "Аня\xe2\x80\x8b", 6, "Аня 4");
	take(&us, "ﬁn", 7, "ﬁn");
	take(&us, "fin", 8, "fin 2");
	user_remove(&us, user_get(&us, 2));
	users_bury(&us);
	take(&us, "Аня", 9, "Аня 2"); /* it freed up */
	/* 32 characters stay 32, the suffix is not what gets cut. */
	take(&us, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 10, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	take(&us, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 11, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 2");
	users_fini(&us);
}

static void test_a_crowd_of_one_name(void **state)
{
	(void)state;
	struct users us;
	users_init(&us);
	for (int i = 1; i <= 20000; i++) { /* one look-up each: quadratic, this would take a minute */
		char name[WC_NAME_BYTES + 1];
		user_free_name(&us, NULL, STR("bench"), (uint64_t)i, name);
		user_new(&us, (uint64_t)i, str_of(name), false);
	}
	assert_string_equal(user_get(&us, 20000)->name, "bench 20000");
	/* Nor does one that leaves make the next one search anew. */
	for (uint64_t i = 1; i <= 5000; i++) {
		char name[WC_NAME_BYTES + 1], left[WC_NAME_BYTES + 1];
		struct user *u = user_get(&us, i);
		memcpy(left, u->name, u->name_len + 1);
		user_remove(&us, u);
		users_bury(&us);
		user_free_name(&us, NULL, STR("bench"), 20000 + i, name);
		assert_string_equal(name, left);
		user_new(&us, 20000 + i, str_of(name), false);
		user_free_name(&us, NULL, STR("Bench"), 1, name);
		assert_string_equal(name, "Bench 20001");
	}
	users_fini(&us);
}

static void test_look_alikes(void **state)
{
	(void)state;
	struct users us;
	users_init(&us);
	take(&us, "Mark", 1, "Mark");
	take(&us, "Mаrk", 2, "Mаrk 2"); /* with a Cyrillic а */
	take(&us, "МARK", 3, "МARK 3");
	take(&us, "Mark 2", 4, "Mark 2 2");
	take(&us, "Ivan", 5, "Ivan");
	take(&us, "lvan", 6, "lvan 2");
	take(&us, "Иван", 7, "Иван");
	/* Those who have them already keep them, however many; the name is free when the last of them is gone. */
	user_new(&us, 8, STR("Kate"), true);
	user_new(&us, 9, STR("Каte"), true);
	take(&us, "kate", 10, "kate 2");
	user_remove(&us, user_get(&us, 8));
	user_remove(&us, user_get(&us, 10));
	take(&us, "Kate", 11, "Kate 2");
	user_remove(&us, user_get(&us, 9));
	take(&us, "Kate", 12, "Kate");
	users_fini(&us);
	assert_int_equal(us.held.count, 0);
}

static void test_numbers(void **state)
{
	(void)state;
	struct users us;
	users_init(&us);
	for (uint64_t i = 1; i <= 3000; i++) {
		char name[WC_NAME_BYTES + 1], wanted[32] = "Ann";
		if (i > 1)
			snprintf(wanted, sizeof(wanted), "Ann %llu", (unsigned long long)i); /* as after a restart */
		user_free_name(&us, NULL, str_of(wanted), i, name);
		assert_string_equal(name, wanted);
		user_new(&us, i, str_of(name), true);
	}
	user_remove(&us, user_get(&us, 1500));
	user_remove(&us, user_get(&us, 700));
	user_remove(&us, user_get(&us, 10));
	users_bury(&us);
	take(&us, "Ann", 4001, "Ann 10");
	take(&us, "Аnn", 4002, "Аnn 700"); /* with a Cyrillic А: one crowd */
	take(&us, "ann", 4003, "ann 1500");
	take(&us, "ANN", 4004, "ANN 3001");
	take(&us, "Ann 9999999", 4005, "Ann 9999999"); /* costs a block, not ten million numbers */
	take(&us, "Ann", 4006, "Ann 3002");
	size_t at = 0;
	struct user *all[3100];
	int n = 0;
	for (struct user *u; (u = map_next(&us.by_id, &at));)
		all[n++] = u;
	while (n)
		user_remove(&us, all[--n]);
	assert_int_equal(us.held.count, 0);
	assert_int_equal(us.held.crowds.n, 0);
	users_fini(&us);
}

static void test_activity(void **state)
{
	(void)state;
	struct users us;
	users_init(&us);
	struct user *u[4];
	for (int i = 0; i < 4; i++) {
		char name[16];
		snprintf(name, sizeof(name), "u%d", i);
		u[i] = user_new(&us, (uint64_t)i + 1, str_of(name), false);
		user_set_online(&us, u[i], true);
	}
	assert_int_equal(us.online, 4);
	assert_ptr_equal(us.newest, u[3]);
	user_active(&us, u[1]);
	assert_ptr_equal(us.newest, u[1]);
	assert_ptr_equal(us.newest->older, u[3]);
	assert_ptr_equal(us.oldest, u[0]);
	user_active(&us, u[0]);
	assert_ptr_equal(us.oldest, u[2]);
	user_set_online(&us, u[3], false);
	user_set_online(&us, u[3], false);
	assert_int_equal(us.online, 3);
	assert_ptr_equal(u[0]->older->older, u[2]);
	user_active(&us, u[3]); /* offline: nothing */
	assert_ptr_equal(us.newest, u[0]);
	users_fini(&us);
}

static void test_peers(void **state)
{
	(void)state;
	struct users us;
	users_init(&us);
	struct user *u = user_new(&us, 1, STR("a"), true);
	user_add_peer(u, 2, STR("b"), 10);
	assert_int_equal(u->peer_count, 0); /* not known yet */
	u->peers_are_known = true;
	for (uint64_t i = 0; i < USER_PEERS + 10; i++)
		user_add_peer(u, 100 + i, STR("p"), i);
	assert_int_equal(u->peer_count, USER_PEERS);
	assert_int_equal(u->peers[0].id, 110); /* those unheard of the longest went */
	user_add_peer(u, 110, STR("again"), 999);
	assert_int_equal(u->peer_count, USER_PEERS);
	assert_int_equal(u->peers[USER_PEERS - 1].id, 110);
	assert_string_equal(u->peers[USER_PEERS - 1].name, "again");
	users_fini(&us);
}

static void test_tokens_and_sessions(void **state)
{
	(void)state;
	struct users us;
	users_init(&us);
	struct user *u = user_new(&us, 1, STR("a"), true);
	uint8_t hash[2][WC_SHA_BYTES] = { { 1 }, { 2 } };
	user_add_token(&us, u, hash[0], 1);
	user_add_token(&us, u, hash[1], 2);
	assert_ptr_equal(user_token(&us, hash[1])->user, u);
	struct session *s[3];
	for (int i = 0; i < 3; i++)
		s[i] = session_new(&us, u, NULL, i == 0 ? DIALECT_1 : DIALECT_2);
	assert_int_equal(us.session_count[DIALECT_2], 2);
	session_unlink(&us, s[1]);
	assert_int_equal(us.session_count[DIALECT_2], 1);
	assert_ptr_equal(us.sessions[DIALECT_2][0], s[2]);
	session_unlink(&us, s[2]);
	session_unlink(&us, s[0]);
	for (int i = 0; i < 3; i++)
		free(s[i]);
	user_forget(&us, u);
	users_bury(&us);
	assert_null(user_token(&us, hash[0]));
	assert_null(user_get(&us, 1));
	users_fini(&us);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_a_crowd_of_one_name),
		cmocka_unit_test(test_look_alikes),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_activity),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_tokens_and_sessions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
