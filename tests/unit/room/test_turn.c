/* Whose events come next: addresses take turns, people within them, and everybody's own stay in order. */
#include "base/rota.h"
#include "room_fixture.h"

enum { MANY = 1000 };

static void one_turn(struct fixture *f)
{
	room_turn(f->room, inbox_take(f->opts.inbox, 0));
	deliver(f);
}

static void texts(struct fixture *f, struct client *c, int n)
{
	for (int i = 0; i < n; i++)
		say(f, c, "{\"type\":\"text\",\"text\":\"<%d>\"}", i);
}

/* Which of the frames that came has the text; -1: none. */
static int place_of(const struct client *c, const char *text)
{
	for (int i = 0; i < c->count; i++)
		if (strstr(c->frame[i], text))
			return i;
	return -1;
}

/* All that Ann said came, in order. */
static void expect_all_in_order(const struct client *c)
{
	int next = 0;
	for (int i = 0; i < c->count; i++) {
		char want[16];
		snprintf(want, sizeof(want), "\"<%d>\"", next);
		if (strstr(c->frame[i], want))
			next++;
		else if (strstr(c->frame[i], "\"<"))
			fail_msg("%s came instead of %s", c->frame[i], want);
	}
	assert_int_equal(next, MANY);
}

static void many_frames_of_one_delay_another_by_a_few(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob"), *cy = join_2(f, "10.0.0.1", "Cy");
	calm(f);
	texts(f, ann, MANY);
	say(f, bob, "{\"type\":\"text\",\"text\":\"of Bob\"}");
	say(f, cy, "{\"type\":\"text\",\"text\":\"of Cy\"}"); /* of Ann's address */
	one_turn(f);
	const int first = place_of(bob, "\"<0>\""), of_bob = place_of(bob, "\"of Bob\""), of_cy = place_of(bob, "\"of Cy\"");
	assert_true(first >= 0 && of_bob >= 0 && of_cy >= 0);
	assert_in_range(of_bob, first - 1, first + 2);
	assert_in_range(of_cy, first - 1, first + 4);
	const size_t waiting = rota_count(f->room->turns.events);
	assert_true(waiting > 0 && waiting < MANY && f->room->turns.held_bytes > 0);
	say(f, bob, "{\"type\":\"text\",\"text\":\"again\"}"); /* few events come, and much waits */
	one_turn(f);
	assert_true(place_of(bob, "\"again\"") > 0);
	assert_true(rota_count(f->room->turns.events) > 0);
	turn(f);
	assert_int_equal(f->room->turns.held_bytes, 0);
	expect_all_in_order(bob);
	close_room(f);
}

static void an_end_follows_what_was_sent(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	texts(f, ann, MANY);
	leave(f, ann);
	one_turn(f);
	assert_false(ann->is_released);
	turn(f);
	expect_all_in_order(bob);
	assert_true(ann->is_released);
	close_room(f);
}

static void who_left_is_gone_before_others_come(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *guest = join_1(f, "10.0.0.2", "Bob");
	calm(f);
	texts(f, ann, MANY);
	leave(f, guest); /* nothing of the guest waits, so the name is free */
	struct client *again = client_new(f, "10.0.0.2");
	say(f, again, "{\"type\":\"join\",\"name\":\"Bob\"}");
	one_turn(f);
	expect(again, "{\"type\":\"init\"", "\"my_name\":\"Bob\"");
	assert_true(rota_count(f->room->turns.events) > 0);
	turn(f);
	close_room(f);
}

static void who_was_sent_away_takes_no_turns(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	texts(f, ann, MANY);
	one_turn(f);
	assert_true(f->room->turns.held_bytes > 0);
	struct order kick = { .what = ORDER_KICK, .user = "Ann" };
	hand_over(f, &kick);
	one_turn(f); /* it goes before what waits */
	assert_int_equal(kick.c.status, 200);
	const int shown = bob->count;
	one_turn(f);
	assert_int_equal(rota_count(f->room->turns.events), 0);
	assert_int_equal(f->room->turns.held_bytes, 0);
	assert_int_equal(bob->count, shown);
	buf_fini(&kick.c.out);
	close_room(f);
}

/* What costs little is not held up by how many messages one commit has. */
static void small_events_are_many_to_a_turn(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	for (int i = 0; i < MANY; i++)
		say(f, ann, "{\"type\":\"ping\"}");
	one_turn(f);
	assert_int_equal(rota_count(f->room->turns.events), 0);
	assert_int_equal(ann->count - ann->seen, MANY);
	close_room(f);
}

static void a_stop_leaves_nothing_waiting(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	texts(f, ann, MANY);
	one_turn(f);
	assert_true(rota_count(f->room->turns.events) > 0);
	inbox_push_one(f->opts.inbox, event_new_small(EV_STOP, NULL, 0));
	one_turn(f);
	assert_true(f->room->is_stopping);
	assert_int_equal(rota_count(f->room->turns.events), 0);
	expect_all_in_order(bob);
	close_room(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_frames_of_one_delay_another_by_a_few), cmocka_unit_test(an_end_follows_what_was_sent),
		cmocka_unit_test(who_left_is_gone_before_others_come),       cmocka_unit_test(who_was_sent_away_takes_no_turns),
		cmocka_unit_test(small_events_are_many_to_a_turn),           cmocka_unit_test(a_stop_leaves_nothing_waiting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
