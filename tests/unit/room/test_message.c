/* test_message.c — messages: who gets what in which form, exactly once, and nobody what is not stored. */
#include "room_fixture.h"

static void write_text(struct fixture *f, struct client *c, const char *text, const char *cid)
{
	say(f, c, "{\"type\":\"text\",\"text\":\"%s\",\"cid\":\"%s\"}", text, cid);
	turn(f);
}

static unsigned long long id_of(const struct client *c)
{
	return user_of(c)->id;
}

static char *zeros(size_t bytes)
{
	size_t len = (bytes + 2) / 3 * 4;
	char *text = xcalloc(1, len + 1);
	memset(text, 'A', len);
	return text;
}

/* --- Public ones */

static void everybody_gets_it_in_their_dialect(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob"), *old = join_1(f, "10.0.0.3", "Old");
	calm(f);
	write_text(f, ann, "hello", "c1");
	const char *own = expect(ann, "{\"type\":\"text\"", "\"hello\"", "\"self\":true", "\"cid\":\"c1\"");
	const char *others = expect(bob, "{\"type\":\"text\"", "\"hello\"", "\"from_name\":\"Ann\"", "\"dm\":false");
	assert_null(strstr(others, "cid"));
	assert_null(strstr(others, "self"));
	assert_true(number_of(own, "id") == number_of(others, "id"));
	const char *first = expect(old, "{\"type\":\"text\"", "\"hello\"", "\"ts\":\"");
	assert_null(strstr(first, "\"id\":"));
	say(f, old, "{\"type\":\"text\",\"text\":\"hi\"}");
	turn(f);
	expect(old, "\"hi\"", "\"self\":true");
	assert_true(number_of(expect(bob, "\"hi\""), "id") > number_of(own, "id"));
	expect(ann, "\"hi\"");
	for (int i = 0; i < 3; i++)
		expect_nothing(f->client[i]);
	close_room(f);
}

static void one_batch_keeps_its_order(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	for (int i = 0; i < 50; i++)
		say(f, i % 2 ? ann : bob, "{\"type\":\"text\",\"text\":\"n%d.\",\"cid\":\"c%d\"}", i, i);
	turn(f);
	uint64_t last = 0;
	for (int i = 0; i < 50; i++) {
		char want[16];
		snprintf(want, sizeof(want), "\"n%d.\"", i);
		const char *a = expect(ann, want), *b = expect(bob, want);
		assert_true(number_of(a, "id") == number_of(b, "id") && number_of(a, "id") > last);
		assert_int_equal(strstr(a, "\"self\":true") != NULL, i % 2); /* one's own, each in its place */
		assert_int_equal(strstr(b, "\"self\":true") != NULL, !(i % 2));
		last = number_of(a, "id");
	}
	close_room(f);
}

static void what_is_sent_again_is_answered_with_the_first(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	char *token = text_of(ann->frame[0], "token");
	calm(f);
	write_text(f, ann, "once", "c1");
	const uint64_t id = number_of(expect(ann, "\"once\""), "id");
	write_text(f, bob, "once", "c1"); /* of somebody else it is another message */
	assert_true(number_of(expect(bob, "\"once\""), "id") == id);
	assert_true(number_of(expect(bob, "\"once\"", "\"self\":true"), "id") > id);
	restart(f, NULL);
	struct client *tab = client_new(f, "10.0.0.1");
	say(f, tab, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\"}", token);
	turn(f);
	bob = join_2(f, "10.0.0.2", "Bobby");
	calm(f);
	write_text(f, tab, "once", "c1");
	assert_true(number_of(expect(tab, "\"once\"", "\"self\":true", "\"cid\":\"c1\""), "id") == id);
	write_text(f, tab, "twice", "c1");
	expect(tab, "\"code\":\"cid_reused\"", "\"cid\":\"c1\"");
	say(f, tab, "{\"type\":\"text\",\"text\":\"once\",\"cid\":\"c1\",\"to_id\":%llu}", id_of(bob));
	turn(f);
	expect(tab, "\"code\":\"cid_reused\"");
	expect_nothing(bob);
	free(token);
	close_room(f);
}

static void a_guest_has_no_cid(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *old = join_1(f, "10.0.0.1", "Old"), *ann = join_2(f, "10.0.0.2", "Ann");
	calm(f);
	write_text(f, old, "word", "c1");
	write_text(f, old, "word", "c1");
	const uint64_t id = number_of(expect(ann, "\"word\""), "id");
	assert_true(number_of(expect(ann, "\"word\""), "id") > id);
	close_room(f);
}

static void before_the_join_nothing_is_taken(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	static const char *const frames[] = { "{\"type\":\"text\",\"text\":\"x\"}", "{\"type\":\"typing\"}",
		                              "{\"type\":\"text\",\"text\":7}",
		                              "{\"type\":\"file\",\"filename\":\"a\",\"data\":\"YWJj\"}" };
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	const uint64_t head = f->room->applied_id;
	calm(f);
	for (size_t i = 0; i < WC_LEN(frames); i++) {
		struct client *nobody = client_new(f, "10.0.0.1");
		say(f, nobody, "%s", frames[i]);
		turn(f);
		nobody->seen = nobody->count; /* a bad frame has its error besides */
		expect_closed(nobody, WS_CLOSE_POLICY, "join first");
		assert_int_equal(nobody->close_why, M_EVICTED_NOT_JOINED);
	}
	expect_nothing(ann);
	assert_true(f->room->applied_id == head);
	assert_true(store_last_id(f->opts.store) == head);
	close_room(f);
}

/* --- A store that fails */

static void nobody_sees_what_is_not_stored(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	for (int step = 1; step <= 9; step++) { /* begin; savepoint, text, release, twice; commit */
		const uint64_t head = store_last_id(f->opts.store);
		char cid[16];
		int refused = 0, told = 0;
		snprintf(cid, sizeof(cid), "c%d", step);
		break_store(f, step);
		say(f, ann, "{\"type\":\"text\",\"text\":\"one\",\"cid\":\"a%s\"}", cid);
		say(f, bob, "{\"type\":\"text\",\"text\":\"two\",\"cid\":\"b%s\"}", cid);
		turn(f);
		break_store(f, 0);
		for (int i = 0; i < 2; i++)
			for (struct client *c = f->client[i]; c->seen < c->count; c->seen++) {
				const char *frame = c->frame[c->seen];
				refused += strstr(frame, "\"code\":\"storage\"") != NULL;
				told += strncmp(frame, "{\"type\":\"text\"", 14) == 0;
			}
		/* Each is refused, or both see it. */
		assert_int_equal(2 * refused + told, 4);
		assert_int_equal(store_last_id(f->opts.store) > head, told > 0);
		if (step <= 8)
			assert_true(refused > 0);
		else
			assert_int_equal(refused, 0);
		/* A refused message may be sent again, with the same cid. */
		write_text(f, ann, "one", cid);
		expect(ann, "\"one\"", "\"self\":true");
		expect(bob, "\"one\"");
	}
	close_room(f);
}

static void a_repeat_of_what_is_lost_is_lost(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	for (int step = 1; step <= 12; step++) { /* the last ones are beyond the commit */
		const uint64_t head = store_last_id(f->opts.store);
		int refused = 0, told = 0;
		break_store(f, step);
		say(f, ann, "{\"type\":\"text\",\"text\":\"one\",\"cid\":\"c%d\"}", step);
		say(f, ann, "{\"type\":\"text\",\"text\":\"one\",\"cid\":\"c%d\"}", step);
		turn(f);
		break_store(f, 0);
		for (; ann->seen < ann->count; ann->seen++) {
			refused += strstr(ann->frame[ann->seen], "\"code\":\"storage\"") != NULL;
			told += strstr(ann->frame[ann->seen], "\"self\":true") != NULL;
		}
		assert_int_equal(refused + told, 2);
		assert_int_equal(store_last_id(f->opts.store) > head, told > 0);
		if (step == 12)
			assert_int_equal(told, 2);
	}
	close_room(f);
}

/* --- Direct messages */

static void a_direct_message_is_for_two(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_1(f, "10.0.0.2", "Bob"), *eve = join_2(f, "10.0.0.3", "Eve"),
		      *old = join_1(f, "10.0.0.4", "Old");
	calm(f);
	say(f, ann, "{\"type\":\"text\",\"text\":\"secret\",\"to_id\":%llu,\"cid\":\"c1\"}", id_of(bob));
	say(f, ann, "{\"type\":\"text\",\"text\":\"note\",\"to_id\":%llu}", id_of(ann));
	turn(f);
	expect(ann, "\"secret\"", "\"dm\":true", "\"to_name\":\"Bob\"", "\"self\":true", "\"cid\":\"c1\"");
	expect(ann, "\"note\"", "\"self\":true"); /* to oneself: once */
	expect(bob, "\"secret\"", "\"dm\":true");
	for (int i = 0; i < 4; i++)
		expect_nothing(f->client[i]);
	(void)eve;
	(void)old;
	close_room(f);
}

static void nobody_is_not_written_to(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *old = join_1(f, "10.0.0.2", "Old");
	const uint64_t head = f->room->applied_id;
	calm(f);
	say(f, ann, "{\"type\":\"text\",\"text\":\"x\",\"to_id\":999,\"cid\":\"c1\"}");
	say(f, old, "{\"type\":\"text\",\"text\":\"x\",\"to_id\":999}");
	turn(f);
	expect(ann, "\"code\":\"no_such_user\"", "\"cid\":\"c1\"");
	expect(old, "{\"type\":\"text\"", "\"to_name\":\"?\""); /* the first dialect is told nothing else */
	expect_nothing(ann);
	assert_true(store_last_id(f->opts.store) == head);
	close_room(f);
}

/* --- Files */

static void a_file_is_a_link_or_bytes(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *old = join_1(f, "10.0.0.2", "Old");
	calm(f);
	say(f, ann, "{\"type\":\"file\",\"filename\":\"a.bin\",\"data\":\"YWJj\",\"cid\":\"c1\"}");
	turn(f);
	const char *own = expect(ann, "{\"type\":\"file\"", "\"url\":\"/f/", "\"size\":3", "\"self\":true");
	assert_null(strstr(own, "YWJj"));
	expect(old, "{\"type\":\"file\"", "\"a.bin\"", "\"data\":\"YWJj\"");
	assert_int_equal(ann->resumes, 1); /* its connection is read on */
	/* Too large for the log: each gets it by itself. */
	char *data = zeros(700 * 1023);
	say(f, old, "{\"type\":\"file\",\"filename\":\"b.bin\",\"data\":\"%s\"}", data);
	turn(f);
	const char *shown = expect(old, "{\"type\":\"file\"", "\"b.bin\"", "\"self\":true");
	assert_true(strlen(shown) > strlen(data) && strstr(shown, data));
	expect(ann, "\"b.bin\"", "\"size\":716100");
	free(data);
	close_room(f);
}

static void bad_files_are_refused(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	char *data = zeros(1024 * 1024 + 3);
	calm(f);
	say(f, ann, "{\"type\":\"file\",\"filename\":\"a\",\"data\":\"\",\"cid\":\"c1\"}");
	say(f, ann, "{\"type\":\"file\",\"filename\":\"a\",\"data\":\"%s\",\"cid\":\"c2\"}", data);
	say(f, ann, "{\"type\":\"file\",\"filename\":\"a\",\"blob\":\"nonsense\",\"cid\":\"c3\"}");
	turn(f);
	expect(ann, "\"code\":\"bad_request\"", "\"cid\":\"c1\"");
	expect(ann, "\"code\":\"too_large\"", "\"cid\":\"c2\"");
	expect(ann, "{\"type\":\"error\"", "\"cid\":\"c3\"");
	expect_nothing(bob);
	free(data);
	close_room(f);
}

static void a_file_waits_for_its_bytes_when_somebody_needs_them(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	say(f, ann, "{\"type\":\"file\",\"filename\":\"a.bin\",\"data\":\"YWJj\"}"); /* prepared while nobody needed them */
	struct event *file = inbox_take(f->opts.inbox, 0);
	struct client *old = join_1(f, "10.0.0.2", "Old");
	forget_frames(f);
	room_turn(f->room, file);
	deliver(f);
	expect_nothing(ann);
	assert_int_equal(ann->resumes, 0);
	wait_for_helper(f);
	expect(old, "{\"type\":\"file\"", "\"data\":\"YWJj\"");
	expect(ann, "{\"type\":\"file\"", "\"url\":");
	assert_int_equal(ann->resumes, 1);
	close_room(f);
}

/* --- Typing */

static void typing_goes_to_those_it_is_for(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob"), *old = join_1(f, "10.0.0.3", "Old");
	calm(f);
	say(f, ann, "{\"type\":\"typing\"}");
	say(f, ann, "{\"type\":\"typing\",\"to_id\":%llu}", id_of(bob));
	say(f, ann, "{\"type\":\"typing\",\"to_id\":%llu}", id_of(ann));
	say(f, ann, "{\"type\":\"typing\",\"to_id\":999}");
	turn(f);
	expect(bob, "{\"type\":\"typing\"", "\"Ann\"");
	expect(bob, "{\"type\":\"typing\"", "\"dm\":true");
	expect(old, "{\"type\":\"typing\"");
	for (int i = 0; i < 3; i++)
		expect_nothing(f->client[i]);
	close_room(f);
}

/* --- What an admin does to the talk */

static void a_deletion_is_told_and_kept(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob"), *eve = join_2(f, "10.0.0.3", "Eve");
	calm(f);
	write_text(f, ann, "wrong", "c1");
	say(f, ann, "{\"type\":\"text\",\"text\":\"secret\",\"to_id\":%llu}", id_of(bob));
	turn(f);
	const uint64_t id = number_of(expect(ann, "\"wrong\""), "id"), dm = number_of(expect(ann, "\"secret\""), "id");
	const uint64_t both[] = { id, dm, 12345 };
	forget_frames(f);
	struct order c = { .what = ORDER_DELETE, .ids = both, .id_count = 3 };
	break_store(f, 2);
	expect_order(f, c, 507, "\"storage\"");
	break_store(f, 0);
	expect_nothing(bob);
	char want[64];
	snprintf(want, sizeof(want), "\"deleted\":[%llu,%llu],\"already\":[],\"missing\":[12345]", (unsigned long long)id,
	         (unsigned long long)dm);
	expect_order(f, c, 200, want);
	snprintf(want, sizeof(want), "\"target\":%llu}", (unsigned long long)id);
	expect(ann, "{\"type\":\"delete\"", want);
	expect(bob, "{\"type\":\"delete\"", want);
	expect(eve, "{\"type\":\"delete\"", want);
	snprintf(want, sizeof(want), "\"target\":%llu}", (unsigned long long)dm);
	expect(ann, "{\"type\":\"delete\"", want);
	expect(bob, "{\"type\":\"delete\"", want);
	expect_nothing(eve); /* of others' words nobody learns even that */
	expect_order(f, c, 404, "\"no_such_message\"");
	struct client *late = client_new(f, "10.0.0.4");
	say(f, late, "{\"type\":\"join\",\"v\":2,\"name\":\"Late\"}");
	turn(f);
	assert_null(strstr(expect(late, "\"deleted\":true"), "wrong"));
	write_text(f, ann, "wrong", "c1"); /* sent again, it does not come back */
	settle(f);
	assert_null(strstr(skip_to(ann, "text"), "wrong"));
	close_room(f);
}

static void an_announcement_reaches_all(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *old = join_1(f, "10.0.0.2", "Old");
	calm(f);
	struct order c = { .what = ORDER_SAY, .text = "Back at noon" };
	break_store(f, 1);
	expect_order(f, c, 507, "\"storage\"");
	break_store(f, 0);
	expect_nothing(ann);
	expect_order(f, c, 200, "{\"online\":2}");
	expect(ann, "{\"type\":\"system\",\"text\":\"Back at noon\"");
	expect(old, "{\"type\":\"system\",\"text\":\"Back at noon\"");
	close_room(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_gets_it_in_their_dialect),
		cmocka_unit_test(one_batch_keeps_its_order),
		cmocka_unit_test(what_is_sent_again_is_answered_with_the_first),
		cmocka_unit_test(a_guest_has_no_cid),
		cmocka_unit_test(before_the_join_nothing_is_taken),
		cmocka_unit_test(nobody_sees_what_is_not_stored),
		cmocka_unit_test(a_repeat_of_what_is_lost_is_lost),
		cmocka_unit_test(a_direct_message_is_for_two),
		cmocka_unit_test(nobody_is_not_written_to),
		cmocka_unit_test(a_file_is_a_link_or_bytes),
		cmocka_unit_test(bad_files_are_refused),
		cmocka_unit_test(a_file_waits_for_its_bytes_when_somebody_needs_them),
		cmocka_unit_test(typing_goes_to_those_it_is_for),
		cmocka_unit_test(a_deletion_is_told_and_kept),
		cmocka_unit_test(an_announcement_reaches_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
