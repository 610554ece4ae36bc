/* test_clock.c — the machine's clock steps: nothing expires by it, stamps are right again soon, and a start far ahead waits an hour. */
#include "base/metrics.h"
#include "base/steady.h"
#include "net/ipban.h"
#include "room_fixture.h"
#include "state/lockdown.h"

#define MINUTE_MS (60 * 1000LL)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

static void step_clock(int64_t ms)
{
	atomic_fetch_add(&test_real_ms, ms);
}

/* Long enough to be believed, with looks in between. */
static void stand(struct fixture *f)
{
	for (int i = 0; i < 6; i++)
		after(f, MINUTE_MS);
}

static uint64_t count_people(const struct fixture *f)
{
	size_t at = 0;
	uint64_t n = 0;
	while (map_next(&f->room->users.by_id, &at))
		n++;
	return n;
}

static uint64_t at_of(struct fixture *f, struct client *c, const char *text)
{
	forget_frames(f);
	say(f, c, "{\"type\":\"text\",\"text\":\"%s\"}", text);
	turn(f);
	return number_of(expect(c, "{\"type\":\"text\""), "at");
}

/* --- The clock alone */

static void look(int64_t ms)
{
	atomic_fetch_add(&test_mono_ms, ms);
	atomic_fetch_add(&test_real_ms, ms);
	(void)steady_follow();
}

static void a_step_is_believed_once_it_stands(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT);
	steady_begin(0);
	const int64_t begin_ms = steady_ms();
	const uint64_t steps = metric_get(M_CLOCK_STEPS);
	assert_true(begin_ms == atomic_load(&test_real_ms));
	step_clock(100 * DAY_MS);
	look(MINUTE_MS);
	assert_true(steady_ms() == begin_ms + MINUTE_MS);
	step_clock(-100 * DAY_MS);
	look(MINUTE_MS);
	assert_true(steady_ms() == begin_ms + 2 * MINUTE_MS);
	step_clock(3 * HOUR_MS);
	look(1000);
	look(STEADY_DOUBT_MS - 1);
	assert_true(steady_ms() == begin_ms + 2 * MINUTE_MS + 1000 + STEADY_DOUBT_MS - 1);
	look(1);
	assert_true(steady_ms() == atomic_load(&test_real_ms));
	step_clock(1000); /* slewed: followed at once */
	look(0);
	assert_true(steady_ms() == atomic_load(&test_real_ms));
	assert_int_equal(metric_get(M_CLOCK_STEPS), steps + 2);
}

static void nothing_is_older_than_the_time_that_passed(void **state)
{
	(void)state;
	steady_begin(0);
	const int64_t early = steady_ms();
	assert_true(steady_cut_ms(HOUR_MS) == early - HOUR_MS);
	look(10 * MINUTE_MS);
	step_clock(100 * DAY_MS);
	look(1000);
	look(STEADY_DOUBT_MS);
	const int64_t late = steady_ms();
	assert_true(late > early + 100 * DAY_MS);
	/* stamps of before and after the step grow old alike */
	look(HOUR_MS - 20 * MINUTE_MS);
	assert_true(early >= steady_cut_ms(HOUR_MS));
	look(10 * MINUTE_MS);
	assert_true(early < steady_cut_ms(HOUR_MS) && late >= steady_cut_ms(HOUR_MS));
	look(HOUR_MS);
	assert_true(late < steady_cut_ms(HOUR_MS));
	/* set back: which of two equal stamps is the older one cannot be told */
	const int64_t before = steady_ms();
	step_clock(-2 * DAY_MS);
	look(1000);
	look(STEADY_DOUBT_MS);
	const int64_t behind = steady_ms();
	assert_true(behind < before - DAY_MS);
	look(MINUTE_MS);
	assert_true(behind >= steady_cut_ms(HOUR_MS));
	look(2 * HOUR_MS);
	assert_true(behind < steady_cut_ms(HOUR_MS) && before >= steady_cut_ms(HOUR_MS));
	/* files bear the machine's own time, whether believed or not */
	step_clock(-10 * DAY_MS);
	look(1000);
	const int64_t touched = atomic_load(&test_real_ms);
	look(1000);
	step_clock(10 * DAY_MS);
	look(1000);
	assert_true(touched >= steady_file_cut_ms(HOUR_MS) && touched < steady_cut_ms(HOUR_MS));
	look(HOUR_MS + MINUTE_MS);
	assert_true(touched < steady_file_cut_ms(HOUR_MS));
}

static void many_steps_make_nothing_old(void **state)
{
	(void)state;
	steady_begin(0);
	const int64_t begin_ms = steady_ms();
	srand(7);
	for (int i = 0; i < 200; i++) {
		step_clock((rand() % 200 - 100) * HOUR_MS);
		look(1000);
		look(i % 3 ? 1000 : STEADY_DOUBT_MS);
		const int64_t now = steady_ms();
		look(MINUTE_MS / 2);
		assert_true(now >= steady_cut_ms(MINUTE_MS));
	}
	assert_true(begin_ms >= steady_cut_ms(30 * DAY_MS));
	assert_true(steady_to_store() <= begin_ms + 200 * 6 * MINUTE_MS);
}

static void a_start_far_ahead_waits_an_hour(void **state)
{
	(void)state;
	const int64_t now_ms = atomic_load(&test_real_ms);
	steady_begin(now_ms - DAY_MS); /* not far yet */
	assert_true(steady_cut_ms(HOUR_MS) == now_ms - HOUR_MS);
	steady_begin(now_ms - DAY_MS - 1);
	assert_true(steady_cut_ms(0) == INT64_MIN && steady_file_cut_ms(0) == INT64_MIN);
	assert_true(steady_to_store() == now_ms - DAY_MS - 1);
	assert_true(steady_deadline_ms(now_ms - HOUR_MS) == boot_ms() + HOUR_MS);
	assert_true(steady_deadline_ms(now_ms + 2 * HOUR_MS) == boot_ms() + 2 * HOUR_MS);
	look(HOUR_MS - 1);
	assert_true(steady_cut_ms(0) == INT64_MIN);
	look(1);
	assert_true(steady_cut_ms(HOUR_MS) == now_ms);
	assert_true(steady_to_store() == steady_ms());
}

static void a_start_behind_goes_on_from_the_last_time(void **state)
{
	(void)state;
	const int64_t now_ms = atomic_load(&test_real_ms);
	steady_begin(now_ms);
	step_clock(-1000 * DAY_MS); /* as a machine that has no clock of its own */
	steady_begin(now_ms);
	assert_true(steady_ms() == now_ms);
	look(MINUTE_MS);
	step_clock(1000 * DAY_MS);
	look(MINUTE_MS);
	assert_true(steady_ms() == atomic_load(&test_real_ms));
	assert_true(now_ms - HOUR_MS < steady_cut_ms(HOUR_MS) && now_ms >= steady_cut_ms(HOUR_MS));
}

static void a_start_far_ahead_can_be_set_right(void **state)
{
	(void)state;
	const int64_t now_ms = atomic_load(&test_real_ms);
	step_clock(100 * DAY_MS);
	steady_begin(now_ms);
	look(HOUR_MS - MINUTE_MS); /* late: it is believed after the hour */
	step_clock(-100 * DAY_MS);
	look(1000);
	look(2 * MINUTE_MS);
	assert_true(steady_cut_ms(0) == INT64_MIN);
	look(3 * MINUTE_MS);
	assert_true(steady_ms() == atomic_load(&test_real_ms) && steady_mended());
	look(HOUR_MS);
	assert_int_equal(steady_hold_until_ms(), 0);
	assert_true(now_ms >= steady_cut_ms(30 * DAY_MS) && now_ms >= steady_file_cut_ms(30 * DAY_MS));
	assert_true(now_ms - 30 * DAY_MS < steady_cut_ms(30 * DAY_MS) && now_ms - 30 * DAY_MS < steady_file_cut_ms(30 * DAY_MS));
}

static void files_wait_for_a_clock_that_may_be_hours_ahead(void **state)
{
	(void)state;
	const int64_t now_ms = atomic_load(&test_real_ms);
	step_clock(23 * HOUR_MS);
	steady_begin(now_ms); /* not far, but a file of today would pass for one of yesterday */
	assert_true(steady_file_cut_ms(DAY_MS) == INT64_MIN && steady_cut_ms(DAY_MS) > INT64_MIN);
	look(9 * MINUTE_MS);
	step_clock(-23 * HOUR_MS);
	look(1000);
	look(4 * MINUTE_MS);
	assert_true(steady_file_cut_ms(0) == INT64_MIN);
	look(6 * MINUTE_MS);
	assert_true(steady_file_cut_ms(DAY_MS) > INT64_MIN && steady_file_cut_ms(DAY_MS) < now_ms - 23 * HOUR_MS);
	steady_begin(atomic_load(&test_real_ms) - MINUTE_MS); /* an ordinary restart */
	assert_true(steady_file_cut_ms(DAY_MS) == atomic_load(&test_real_ms) - DAY_MS);
}

/* --- The room */

static void a_clock_ahead_for_a_minute_destroys_nothing(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.retain_days = 30;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	const uint64_t at = at_of(f, ann, "before");
	leave(f, bob);
	settle(f);
	expect_order(f, (struct order){ .what = ORDER_SANCTION, .act = SANCTION_MUTE, .name = "Eve", .for_ms = HOUR_MS }, 200, "");
	expect_order(f, (struct order){ .what = ORDER_SANCTION, .act = SANCTION_BAN, .net = "203.0.113.7", .for_ms = HOUR_MS }, 200, "");
	expect_order(f, (struct order){ .what = ORDER_LOCKDOWN, .level = LOCKDOWN_NEW_PEOPLE, .for_ms = HOUR_MS }, 200, "");
	step_clock(100 * DAY_MS);
	for (int i = 0; i < 60; i++)
		after(f, 1000);
	assert_true(at_of(f, ann, "meanwhile") < at + HOUR_MS);
	step_clock(-100 * DAY_MS);
	for (int i = 0; i < 60; i++)
		after(f, 1000);
	assert_int_equal(count_people(f), 2);
	assert_int_equal(f->room->floor, 1);
	assert_true(at_of(f, ann, "after") < at + HOUR_MS);
	assert_int_equal(f->room->lockdown.level, LOCKDOWN_NEW_PEOPLE);
	struct client *eve = client_new(f, "203.0.113.7");
	struct sockaddr_storage peer;
	conn_peer(eve->conn, &peer);
	assert_true(ban_ip_check(&peer));
	expect_order(f, (struct order){ .what = ORDER_LIST, .act = SANCTION_MUTE }, 200, "\"name\":\"Eve\"");
	after(f, HOUR_MS);
	assert_false(ban_ip_check(&peer));
	assert_int_equal(f->room->lockdown.level, LOCKDOWN_OFF);
	expect_order(f, (struct order){ .what = ORDER_LIST, .act = SANCTION_MUTE }, 200, "{\"sanctions\":[]}");
	close_room(f);
}

static void a_believed_step_moves_no_end(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.retain_days = 30;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	const uint64_t at = at_of(f, ann, "before");
	leave(f, bob);
	settle(f);
	expect_order(f, (struct order){ .what = ORDER_SANCTION, .act = SANCTION_MUTE, .user = "Ann", .for_ms = HOUR_MS }, 200, "");
	expect_order(f, (struct order){ .what = ORDER_LOCKDOWN, .level = LOCKDOWN_NEW_PEOPLE, .for_ms = HOUR_MS }, 200, "");
	step_clock(20 * HOUR_MS);
	stand(f);
	step_clock(300 * DAY_MS);
	stand(f);
	assert_int_equal(count_people(f), 2);
	assert_int_equal(f->room->floor, 1);
	assert_false(f->room->ends_moved);
	forget_frames(f);
	say(f, ann, "{\"type\":\"text\",\"text\":\"muted\"}");
	turn(f);
	assert_int_equal(number_of(expect(ann, "\"code\":\"muted\""), "retry_ms"), HOUR_MS - 12 * MINUTE_MS);
	/* ends by the time of day that people are shown, and by the one that the store has */
	restart(f, NULL);
	assert_int_equal(f->room->lockdown.level, LOCKDOWN_NEW_PEOPLE);
	assert_int_equal(f->room->mod.count, 1);
	assert_true(f->room->now_ms > (int64_t)at + 300 * DAY_MS);
	assert_true(steady_hold_until_ms() > 0); /* a year past the last time that counted */
	assert_true(f->room->mod.list[0]->until_ms > f->room->now_ms);
	after(f, HOUR_MS - 12 * MINUTE_MS);
	assert_int_equal(f->room->lockdown.level, LOCKDOWN_NEW_PEOPLE); /* nothing ends in this hour */
	assert_int_equal(count_people(f), 2);
	after(f, 12 * MINUTE_MS);
	assert_int_equal(f->room->lockdown.level, LOCKDOWN_OFF);
	close_room(f);
}

static void an_end_moves_at_once_whatever_the_store_does(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct order mute = { .what = ORDER_SANCTION, .act = SANCTION_MUTE, .name = "Eve", .for_ms = HOUR_MS };
	expect_order(f, mute, 200, "");
	step_clock(-100 * DAY_MS);
	for (int i = 0; i < 6; i++) {
		break_store(f, 1);
		after(f, MINUTE_MS);
	}
	break_store(f, 0);
	assert_true(f->room->ends_moved);
	assert_true(f->room->mod.list[0]->until_ms == f->room->now_ms + HOUR_MS - 6 * MINUTE_MS);
	/* a longer one is not taken for the shorter one, whose end was of the other clock */
	mute.for_ms = 2 * HOUR_MS;
	carry_out(f, &mute);
	assert_int_equal(mute.c.status, 200);
	assert_null(strstr(mute.c.out.p, "\"kept\""));
	buf_fini(&mute.c.out);
	after(f, 1000);
	assert_true(f->room->ends_moved); /* there may be thousands: not each second */
	after(f, 9000);
	assert_false(f->room->ends_moved);
	restart(f, NULL);
	assert_int_equal(f->room->mod.count, 1);
	assert_true(f->room->mod.list[0]->until_ms < f->room->now_ms + 2 * HOUR_MS);
	close_room(f);
}

static void names_end_with_the_time_that_passed(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.name_hold_days = 2;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	leave(f, ann);
	settle(f);
	after(f, DAY_MS);
	restart(f, NULL); /* not a day past the last time stored */
	assert_int_equal(count_people(f), 1);
	step_clock(50 * DAY_MS); /* the server is down */
	restart(f, NULL);
	after(f, HOUR_MS / 2);
	assert_int_equal(count_people(f), 1);
	restart(f, NULL); /* to wait for the hour twice does no harm; not to wait would */
	after(f, HOUR_MS / 2 + MINUTE_MS);
	assert_int_equal(count_people(f), 1);
	after(f, HOUR_MS / 2);
	after(f, MINUTE_MS);
	assert_int_equal(count_people(f), 0);
	close_room(f);
}

static void a_start_far_ahead_that_is_set_right_destroys_nothing(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.retain_days = set.name_hold_days = 30;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	(void)at_of(f, ann, "before");
	leave(f, ann);
	leave(f, bob);
	settle(f);
	step_clock(100 * DAY_MS);
	restart(f, NULL);
	after(f, 10 * MINUTE_MS);
	step_clock(-100 * DAY_MS);
	stand(f);
	after(f, HOUR_MS);
	after(f, MINUTE_MS);
	assert_int_equal(steady_hold_until_ms(), 0);
	assert_int_equal(count_people(f), 2);
	assert_int_equal(f->room->floor, 1);
	after(f, 31 * DAY_MS); /* it is right again, so it counts again */
	after(f, MINUTE_MS);
	assert_int_equal(count_people(f), 0);
	close_room(f);
}

/* Bans of before the start, and the lockdown. */
static void sanction_for(struct fixture *f, const char *name, int64_t ms)
{
	expect_order(f, (struct order){ .what = ORDER_SANCTION, .act = SANCTION_BAN, .name = name, .for_ms = ms }, 200, "");
}

static int64_t days_left(const struct fixture *f, int64_t ends_ms)
{
	return (ends_ms - f->room->boot_now_ms + HOUR_MS) / DAY_MS;
}

static void a_start_far_ahead_that_is_set_right_ends_no_ban(void **state)
{
	(void)state;
	const int64_t set_right_after[] = { 10 * MINUTE_MS, 58 * MINUTE_MS };
	struct room_settings set = some_settings();
	for (int i = 0; i < 2; i++) {
		struct fixture *f = open_room(&set, NULL);
		const struct moderation *mod = &f->room->mod;
		sanction_for(f, "Eve", 30 * DAY_MS);
		expect_order(f, (struct order){ .what = ORDER_SANCTION, .act = SANCTION_BAN, .net = "203.0.113.7", .for_ms = DAY_MS }, 200,
		             "");
		expect_order(f, (struct order){ .what = ORDER_LOCKDOWN, .level = LOCKDOWN_READ_ONLY, .for_ms = DAY_MS }, 200, "");
		const int64_t until_ms = mod->list[0]->until_ms, locked_until_ms = f->room->lockdown.until_ms;
		step_clock(100 * DAY_MS);
		restart(f, NULL);
		mod = &f->room->mod;
		after(f, set_right_after[i]);
		sanction_for(f, "Mal", 3 * HOUR_MS); /* in this run: as long as was said */
		step_clock(-100 * DAY_MS);
		stand(f);
		assert_true(steady_hold_until_ms() > 0);
		after(f, HOUR_MS);
		after(f, MINUTE_MS);
		assert_true(steady_hold_until_ms() == 0);
		for (int again = 0; again < 2; again++) {
			assert_int_equal(mod->count, 3);
			assert_true(mod->list[0]->until_ms == until_ms && mod->list[2]->until_ms < f->room->now_ms + 3 * HOUR_MS);
			assert_int_equal(days_left(f, mod->list[0]->ends_ms), 29);
			assert_int_equal(f->room->lockdown.level, LOCKDOWN_READ_ONLY);
			assert_true(f->room->lockdown.until_ms == locked_until_ms);
			struct sockaddr_storage peer;
			conn_peer(client_new(f, "203.0.113.7")->conn, &peer);
			assert_true(ban_ip_check(&peer));
			restart(f, NULL);
			mod = &f->room->mod;
		}
		after(f, DAY_MS);
		assert_int_equal(f->room->lockdown.level, LOCKDOWN_OFF);
		close_room(f);
	}
}

static void a_start_behind_that_is_set_right_lengthens_no_ban(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	for (int i = 0; i < 2; i++) {
		struct fixture *f = open_room(&set, NULL);
		sanction_for(f, "Eve", 30 * DAY_MS);
		sanction_for(f, "Mal", 5 * DAY_MS);
		expect_order(f, (struct order){ .what = ORDER_LOCKDOWN, .level = LOCKDOWN_NEW_PEOPLE, .for_ms = 30 * DAY_MS }, 200, "");
		const int64_t until_ms = f->room->mod.list[0]->until_ms;
		step_clock(-1000 * DAY_MS); /* a machine without a clock of its own, that was down for ten days */
		restart(f, NULL);
		after(f, 1000);
		if (i == 1)
			stand(f); /* the network comes late: 1000 days ago is believed first */
		step_clock(1010 * DAY_MS);
		stand(f);
		const struct moderation *mod = &f->room->mod;
		assert_true(mod->list[0]->until_ms == until_ms && f->room->lockdown.until_ms == until_ms);
		assert_int_equal(days_left(f, mod->list[0]->ends_ms), 20);
		assert_int_equal(days_left(f, f->room->lockdown.ends_ms), 20);
		const int64_t left_ms = mod->list[1]->ends_ms - f->room->boot_now_ms;
		assert_true(left_ms > 0 && left_ms <= HOUR_MS); /* over while it was down: but not at once */
		close_room(f);
	}
}

static void in_the_hold_a_ban_replaces_none_of_before(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	sanction_for(f, "Eve", 30 * DAY_MS);
	step_clock(100 * DAY_MS);
	restart(f, NULL);
	after(f, MINUTE_MS);
	sanction_for(f, "Eve", 2 * HOUR_MS); /* by the wrong clock the old one is over within the hour */
	sanction_for(f, "Eve", 3 * HOUR_MS);
	assert_int_equal(f->room->mod.count, 2);
	step_clock(3 * DAY_MS); /* what else the clock does in the hour leaves the stored end alone */
	stand(f);
	step_clock(-103 * DAY_MS);
	stand(f);
	after(f, 4 * HOUR_MS);
	restart(f, NULL);
	assert_int_equal(days_left(f, f->room->mod.list[0]->ends_ms), 29);
	sanction_for(f, "Eve", 40 * DAY_MS);
	assert_int_equal(f->room->mod.count, 1);
	close_room(f);
}

static void lock_for(struct fixture *f, int64_t ms)
{
	expect_order(f, (struct order){ .what = ORDER_LOCKDOWN, .level = LOCKDOWN_READ_ONLY, .for_ms = ms }, 200, "");
}

static void a_start_hours_ahead_that_is_set_right_ends_no_ban(void **state)
{
	(void)state;
	const int64_t set_right_after[] = { MINUTE_MS, 50 * MINUTE_MS };
	struct room_settings set = some_settings();
	for (int i = 0; i < 2; i++) {
		struct fixture *f = open_room(&set, NULL);
		sanction_for(f, "Eve", 2 * HOUR_MS); /* over by the wrong clock */
		sanction_for(f, "Mal", 10 * HOUR_MS);
		lock_for(f, 2 * HOUR_MS);
		const int64_t eve_ms = f->room->mod.list[0]->until_ms, mal_ms = f->room->mod.list[1]->until_ms;
		const int64_t locked_ms = f->room->lockdown.until_ms;
		step_clock(3 * HOUR_MS);
		for (int again = 0; again < 2; again++) { /* and once more before it is set right */
			restart(f, NULL);
			after(f, MINUTE_MS);
			assert_int_equal(f->room->mod.count, 2);
			assert_int_equal(f->room->lockdown.level, LOCKDOWN_OFF);
		}
		after(f, set_right_after[i]);
		sanction_for(f, "Mal", 8 * HOUR_MS); /* by the wrong clock the old one is over before */
		step_clock(-3 * HOUR_MS);
		stand(f);
		for (int again = 0; again < 2; again++) {
			const struct moderation *mod = &f->room->mod;
			assert_int_equal(mod->count, 3);
			assert_true(mod->list[0]->until_ms == eve_ms && mod->list[1]->until_ms == mal_ms);
			const int64_t late_ms = mod->list[1]->ends_ms - f->room->boot_now_ms - (mal_ms - f->room->now_ms);
			assert_true(llabs(late_ms) < MINUTE_MS && !sanction_is_over(mod->list[0], f->room->boot_now_ms));
			assert_int_equal(f->room->lockdown.level, LOCKDOWN_READ_ONLY);
			assert_true(f->room->lockdown.until_ms == locked_ms);
			restart(f, NULL);
		}
		after(f, 2 * HOUR_MS);
		after(f, MINUTE_MS);
		assert_int_equal(f->room->mod.count, 2);
		assert_int_equal(f->room->lockdown.level, LOCKDOWN_OFF);
		close_room(f);
	}
}

static void what_ended_while_the_server_was_down_goes_after_an_hour(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	sanction_for(f, "Eve", 2 * HOUR_MS);
	lock_for(f, 2 * HOUR_MS);
	step_clock(3 * HOUR_MS);
	restart(f, NULL);
	after(f, HOUR_MS - MINUTE_MS);
	assert_int_equal(f->room->mod.count, 1);
	after(f, 2 * MINUTE_MS);
	assert_int_equal(f->room->mod.count, 0);
	restart(f, NULL);
	assert_false(f->room->lockdown.is_ended);
	sanction_for(f, "Eve", HOUR_MS);
	restart(f, NULL); /* an ordinary one: nothing is in doubt */
	sanction_for(f, "Eve", 2 * HOUR_MS);
	assert_int_equal(f->room->mod.count, 1);
	close_room(f);
}

static void a_wrong_step_after_a_start_behind_ends_no_ban(void **state)
{
	(void)state;
	const int64_t steps_after[] = { MINUTE_MS, 10 * MINUTE_MS, 2 * HOUR_MS };
	struct room_settings set = some_settings();
	for (int i = 0; i < 3; i++) {
		struct fixture *f = open_room(&set, NULL);
		sanction_for(f, "Eve", 60 * DAY_MS);
		lock_for(f, 60 * DAY_MS);
		const int64_t until_ms = f->room->mod.list[0]->until_ms;
		step_clock(-10 * 1000);
		restart(f, NULL);
		for (int64_t ms = 0; ms < steps_after[i]; ms += MINUTE_MS)
			after(f, MINUTE_MS);
		step_clock(100 * DAY_MS);
		stand(f);
		for (int minutes = 0; minutes < 50; minutes++)
			after(f, MINUTE_MS);
		step_clock(-100 * DAY_MS);
		stand(f);
		for (int minutes = 0; minutes < 150; minutes++)
			after(f, MINUTE_MS);
		for (int again = 0; again < 2; again++) {
			assert_int_equal(f->room->mod.count, 1);
			assert_true(llabs(f->room->mod.list[0]->until_ms - until_ms) < MINUTE_MS);
			assert_int_equal((f->room->mod.list[0]->ends_ms - f->room->boot_now_ms) / DAY_MS, 59);
			assert_int_equal(f->room->lockdown.level, LOCKDOWN_READ_ONLY);
			assert_int_equal((f->room->lockdown.ends_ms - f->room->boot_now_ms) / DAY_MS, 59);
			restart(f, NULL);
		}
		close_room(f);
	}
}

static void after_a_start_behind_a_new_ban_stands_beside_the_old_one(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	sanction_for(f, "Eve", 8 * DAY_MS);
	step_clock(-10 * 1000); /* down for ten days, without a clock of its own */
	restart(f, NULL);
	after(f, 20 * 1000);
	step_clock(10 * DAY_MS);
	after(f, MINUTE_MS);
	sanction_for(f, "Eve", 7 * DAY_MS); /* the old one seems to last longer */
	assert_int_equal(f->room->mod.count, 2);
	stand(f);
	for (int minutes = 0; minutes < 62; minutes++)
		after(f, MINUTE_MS);
	assert_int_equal(f->room->mod.count, 1);
	assert_int_equal((f->room->mod.list[0]->ends_ms - f->room->boot_now_ms) / DAY_MS, 6);
	struct order shorter = { .what = ORDER_SANCTION, .act = SANCTION_BAN, .name = "Eve", .for_ms = DAY_MS };
	expect_order(f, shorter, 200, "\"kept\":true");
	close_room(f);
}

static void what_has_ended_comes_back_at_no_start(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	for (int fails = 0; fails < 12; fails++) { /* at this step of the store */
		struct fixture *f = open_room(&set, NULL);
		step_clock(100 * DAY_MS);
		stand(f);
		sanction_for(f, "Eve", 10 * MINUTE_MS);
		expect_order(f, (struct order){ .what = ORDER_LOCKDOWN, .level = LOCKDOWN_NEW_PEOPLE, .for_ms = 10 * MINUTE_MS }, 200, "");
		break_store(f, fails);
		after(f, 10 * MINUTE_MS);
		break_store(f, 0);
		assert_int_equal(f->room->lockdown.level, LOCKDOWN_OFF);
		if (fails) /* it is tried again */
			after(f, 1000);
		step_clock(-100 * DAY_MS);
		stand(f);
		restart(f, NULL);
		assert_int_equal(f->room->mod.count, 0);
		assert_int_equal(f->room->lockdown.level, LOCKDOWN_OFF);
		close_room(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_is_believed_once_it_stands),
		cmocka_unit_test(nothing_is_older_than_the_time_that_passed),
		cmocka_unit_test(many_steps_make_nothing_old),
		cmocka_unit_test(a_start_far_ahead_waits_an_hour),
		cmocka_unit_test(a_start_behind_goes_on_from_the_last_time),
		cmocka_unit_test(a_clock_ahead_for_a_minute_destroys_nothing),
		cmocka_unit_test(a_believed_step_moves_no_end),
		cmocka_unit_test(a_start_far_ahead_can_be_set_right),
		cmocka_unit_test(files_wait_for_a_clock_that_may_be_hours_ahead),
		cmocka_unit_test(an_end_moves_at_once_whatever_the_store_does),
		cmocka_unit_test(names_end_with_the_time_that_passed),
		cmocka_unit_test(a_start_far_ahead_that_is_set_right_destroys_nothing),
		cmocka_unit_test(a_start_far_ahead_that_is_set_right_ends_no_ban),
		cmocka_unit_test(a_start_behind_that_is_set_right_lengthens_no_ban),
		cmocka_unit_test(in_the_hold_a_ban_replaces_none_of_before),
		cmocka_unit_test(a_start_hours_ahead_that_is_set_right_ends_no_ban),
		cmocka_unit_test(what_ended_while_the_server_was_down_goes_after_an_hour),
		cmocka_unit_test(a_wrong_step_after_a_start_behind_ends_no_ban),
		cmocka_unit_test(after_a_start_behind_a_new_ban_stands_beside_the_old_one),
		cmocka_unit_test(what_has_ended_comes_back_at_no_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
