/* test_sight.c — the bounds of what one person may know of others: ids, lists, how far a history is whole, names. */
#include <unistd.h>

#include "room_fixture.h"

static uint64_t write_text(struct fixture *f, struct client *c, const char *text)
{
	forget_frames(f);
	say(f, c, "{\"type\":\"text\",\"text\":\"%s\"}", text);
	turn(f);
	return number_of(skip_to(c, "text"), "id");
}

static uint64_t write_dm(struct fixture *f, struct client *c, const struct client *to, const char *text)
{
	forget_frames(f);
	say(f, c, "{\"type\":\"text\",\"text\":\"%s\",\"to_id\":%llu}", text, (unsigned long long)user_of(to)->id);
	turn(f);
	return number_of(skip_to(c, "text"), "id");
}

static void expect_reset(struct fixture *f, const char *token, uint64_t since, bool reset)
{
	assert_int_equal(strstr(resume(f, token, since), "\"reset\":true") != NULL, reset);
}

/* --- Ids */

static void a_clock_that_was_set_back_makes_no_id_count(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	const uint64_t last = write_text(f, join_2(f, "10.0.0.1", "Ann"), "x");
	assert_true(last >= (uint64_t)test_real_ms / 1000 << 20);
	atomic_fetch_sub(&test_real_ms, 3600 * 1000);
	restart(f, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann 2");
	const uint64_t one = write_text(f, ann, "one");
	assert_true(one > last);
	usleep(5000);
	assert_true(write_text(f, ann, "two") - one >= 5000); /* 2^-20 s is less than 1 us */
	close_room(f);
	atomic_fetch_add(&test_real_ms, 3600 * 1000);
}

static void deletions_for_all_come_before_those_for_two(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	const uint64_t doomed[] = { write_text(f, ann, "a"), write_dm(f, ann, bob, "b"), write_text(f, ann, "c") };
	calm(f);
	expect_order(f, (struct order){ .what = ORDER_DELETE, .ids = doomed, .id_count = 3 }, 200, "\"deleted\":[");
	const uint64_t order[] = { doomed[0], doomed[2], doomed[1] };
	uint64_t last = 0;
	for (size_t i = 0; i < WC_LEN(order); i++) { /* and each end gets them with rising ids */
		const char *frame = expect(bob, "{\"type\":\"delete\"");
		assert_true(number_of(frame, "target") == order[i]);
		assert_true(number_of(frame, "id") > last);
		last = number_of(frame, "id");
	}
	close_room(f);
}

/* --- How far a history goes */

static void the_head_is_of_what_one_may_see(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob"), *eve = join_2(f, "10.0.0.3", "Eve");
	char *of_ann = token_of(ann), *of_eve = token_of(eve);
	const uint64_t all = write_text(f, eve, "x"), two = write_dm(f, ann, bob, "psst");
	for (int i = 0; i < 2; i++) {
		assert_true(number_of(resume(f, of_eve, all), "head") == all);
		expect_reset(f, of_eve, all + 1, true);
		expect_reset(f, of_eve, two, true);
		assert_true(number_of(resume(f, of_ann, two), "head") == two);
		expect_reset(f, of_ann, two, false);
		expect_reset(f, of_ann, two + 1, true);
		restart(f, NULL);
	}
	free(of_ann);
	free(of_eve);
	close_room(f);
}

static void retention_tells_nobody_of_others(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.retain_days = 1;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob"), *eve = join_2(f, "10.0.0.3", "Eve");
	char *of_ann = token_of(ann), *of_eve = token_of(eve);
	const uint64_t all = write_text(f, eve, "x"), two = write_dm(f, ann, bob, "psst");
	after(f, 25 * 3600 * 1000);
	settle(f);
	assert_true(f->room->floor == two);
	for (int i = 0; i < 2; i++) {
		expect_reset(f, of_eve, all, false); /* she missed nothing */
		expect_reset(f, of_ann, all, true);
		expect_reset(f, of_ann, two, false);
		restart(f, NULL);
	}
	free(of_ann);
	free(of_eve);
	close_room(f);
}

/* --- Lists and names */

static void lists_follow_what_all_can_see(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	write_text(f, bob, "x");
	write_dm(f, ann, bob, "psst");
	struct client *eve = join_1(f, "10.0.0.3", "Eve");
	const char *init = eve->frame[0];
	assert_true(strstr(init, "\"Bob\"") < strstr(init, "\"Ann\""));
	write_text(f, ann, "y");
	eve = join_1(f, "10.0.0.4", "Eva");
	init = eve->frame[0];
	assert_true(strstr(init, "\"Ann\"") < strstr(init, "\"Bob\""));
	close_room(f);
}

/* In a crowd only some people are told of: who they are must not hang on whom they write to. */
static void a_leave_is_told_to_those_alone_who_know(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	char *of_ann = token_of(ann), left[32];
	write_dm(f, ann, bob, "psst");
	for (int i = 0; i < 300; i++)
		join_1(f, "10.0.0.3", "Guest");
	struct client *eve = join_2(f, "10.0.0.4", "Eve");
	after(f, 1000);
	user_of(bob)->is_told = false; /* as if the crowd had been there before */
	const char *init = resume(f, of_ann, 0);
	assert_non_null(strstr(init, "\"Bob\""));
	struct client *tab = f->client[f->client_count - 1];
	snprintf(left, sizeof(left), "\"left\":[%llu]", (unsigned long long)user_of(bob)->id);
	after(f, 1000);
	forget_frames(f);
	leave(f, bob);
	turn(f);
	after(f, 6000);
	after(f, 1000);
	expect(tab, "{\"type\":\"presence\"", left);
	while (eve->seen < eve->count)
		assert_null(strstr(eve->frame[eve->seen++], left));
	free(of_ann);
	close_room(f);
}

static void a_name_is_told_to_those_who_may_know_it(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *shy = join_2(f, "10.0.0.1", "Shy"), *loud = join_2(f, "10.0.0.2", "Loud");
	const unsigned long long of_shy = user_of(shy)->id, of_loud = user_of(loud)->id;
	write_text(f, loud, "x");
	write_dm(f, shy, loud, "psst");
	char *token = token_of(loud);
	leave(f, shy);
	leave(f, loud);
	turn(f);
	after(f, 6000);
	for (int i = 0; i < 2; i++) {
		struct client *eve = join_2(f, "10.0.0.3", i ? "Eva" : "Eve"), *old = join_1(f, "10.0.0.4", "Old");
		forget_frames(f);
		say(f, eve, "{\"type\":\"text\",\"text\":\"?\",\"to_id\":%llu}", of_shy);
		say(f, old, "{\"type\":\"text\",\"text\":\"?\",\"to_id\":%llu}", of_shy);
		turn(f);
		expect(eve, "\"code\":\"no_such_user\"");
		expect(old, "\"to_name\":\"?\"");
		say(f, eve, "{\"type\":\"text\",\"text\":\"?\",\"to_id\":%llu}", of_loud);
		turn(f);
		expect(eve, "\"to_name\":\"Loud\"");
		restart(f, NULL);
	}
	struct client *back = client_new(f, "10.0.0.2");
	say(f, back, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\"}", token);
	settle(f);
	forget_frames(f);
	say(f, back, "{\"type\":\"text\",\"text\":\"yes?\",\"to_id\":%llu}", of_shy);
	turn(f);
	expect(back, "\"to_name\":\"Shy\"");
	free(token);
	close_room(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clock_that_was_set_back_makes_no_id_count),
		cmocka_unit_test(deletions_for_all_come_before_those_for_two),
		cmocka_unit_test(the_head_is_of_what_one_may_see),
		cmocka_unit_test(retention_tells_nobody_of_others),
		cmocka_unit_test(lists_follow_what_all_can_see),
		cmocka_unit_test(a_leave_is_told_to_those_alone_who_know),
		cmocka_unit_test(a_name_is_told_to_those_who_may_know_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
