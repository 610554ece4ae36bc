/* test_presence.c — news of people who come and go: its form in each dialect, its time, its cost for a client. */
#include "room_fixture.h"

#define TICK_MS 200
#define GRACE_MS 5000

static struct client *join_by_token(struct fixture *f, const char *token)
{
	struct client *c = client_new(f, "10.0.0.1");
	say(f, c, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\"}", token);
	turn(f);
	return c;
}

/* --- The second dialect */

static void a_join_is_told_with_the_tick(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	struct client *bob = join_2(f, "10.0.0.2", "Bob");
	char want[128];
	snprintf(want, sizeof(want), "\"online\":2,\"joined\":[{\"id\":%llu,\"name\":\"Bob\"}],\"left\":[]}",
	         (unsigned long long)user_of(bob)->id);
	expect(ann, "{\"type\":\"presence\"", want);
	(void)join_2(f, "10.0.0.3", "Cid");
	(void)join_2(f, "10.0.0.4", "Dan");
	after(f, TICK_MS - 1);
	expect_nothing(ann);
	after(f, 1);
	expect(ann, "\"online\":4", "\"Cid\"", "\"Dan\""); /* one frame of both */
	expect_nothing(ann);
	close_room(f);
}

static void who_goes_before_the_tick_was_never_here(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	(void)join_2(f, "10.0.0.2", "Bob"); /* uses the tick up */
	forget_frames(f);
	struct client *guest = join_1(f, "10.0.0.3", "Gus");
	leave(f, guest);
	after(f, TICK_MS);
	expect(ann, "\"online\":2,\"joined\":[],\"left\":[]}");
	expect_nothing(ann);
	close_room(f);
}

static void a_guest_leaves_at_once(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *gus = join_1(f, "10.0.0.2", "Gus");
	const uint64_t id = user_of(gus)->id;
	char want[64];
	calm(f);
	leave(f, gus);
	after(f, TICK_MS);
	snprintf(want, sizeof(want), "\"online\":1,\"joined\":[],\"left\":[%llu]}", (unsigned long long)id);
	expect(ann, want);
	assert_null(user_get(&f->room->users, id));
	close_room(f);
}

static void an_identity_has_time_to_come_back(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	char *token = token_of(bob), want[64];
	calm(f);
	leave(f, bob);
	turn(f);
	after(f, GRACE_MS - 1);
	expect_nothing(ann);
	bob = join_by_token(f, token);
	after(f, 2 * GRACE_MS);
	expect_nothing(ann); /* nothing happened */
	expect_open(bob);
	snprintf(want, sizeof(want), "\"left\":[%llu]}", (unsigned long long)user_of(bob)->id);
	leave(f, bob);
	turn(f);
	after(f, GRACE_MS);
	expect(ann, "\"online\":1", want);
	bob = join_by_token(f, token);
	after(f, TICK_MS);
	expect(ann, "\"online\":2", "\"joined\":[{", "\"Bob\"");
	free(token);
	close_room(f);
}

static void a_further_tab_is_no_news(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	char *token = token_of(bob);
	calm(f);
	struct client *tab = join_by_token(f, token);
	after(f, TICK_MS);
	leave(f, tab);
	after(f, 2 * GRACE_MS);
	expect_nothing(ann);
	assert_int_equal(f->room->users.online, 2);
	free(token);
	close_room(f);
}

static void a_crowd_costs_a_client_its_budget_and_no_more(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	after(f, 10000); /* a full budget */
	forget_frames(f);
	for (int i = 0; i < 300; i++) {
		struct client *c = client_new(f, "10.0.0.2");
		say(f, c, "{\"type\":\"join\",\"name\":\"Somebody with a rather long name %d\"}", i);
	}
	turn(f);
	size_t bytes = 0;
	int64_t ms = 0;
	for (; ms < 3000; ms += TICK_MS)
		after(f, TICK_MS);
	const char *last = NULL;
	while (ann->seen < ann->count) {
		last = expect(ann, "{\"type\":\"presence\"");
		bytes += strlen(last);
	}
	assert_non_null(last);
	assert_non_null(strstr(last, "\"online\":301")); /* the count is right, whatever was left out */
	assert_in_range(bytes, 100, 4096 + 3000 * 1024 / 1000);
	/* Only those whom somebody was told of are told to have left. */
	forget_frames(f);
	int told = 0;
	for (int i = 1; i < f->client_count; i++)
		told += user_of(f->client[i])->is_told;
	for (int i = 1; i < f->client_count; i++)
		leave(f, f->client[i]);
	for (ms = 0; ms < 5000; ms += TICK_MS)
		after(f, TICK_MS);
	int left = 0;
	while (ann->seen < ann->count) {
		const char *list = strstr(last = expect(ann, "\"left\":["), "\"left\":[") + 8;
		left += *list != ']';
		for (; *list != ']'; list++)
			left += *list == ',';
	}
	assert_int_equal(left, told);
	assert_non_null(strstr(last, "\"online\":1,"));
	close_room(f);
}

/* --- The first one */

static void old_clients_get_lines_and_lists(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_1(f, "10.0.0.1", "Ann");
	calm(f);
	struct client *bob = join_1(f, "10.0.0.2", "Bob");
	expect(ann, "{\"type\":\"system\"", "Bob joined 👋");
	expect(ann, "{\"type\":\"users\"", "\"Ann\"", "\"Bob\"");
	expect_nothing(ann);
	expect(bob, "{\"type\":\"users\""); /* of its own arrival it is told nothing */
	expect_nothing(bob);
	after(f, TICK_MS);
	leave(f, bob);
	turn(f);
	expect(ann, "Bob left the chat");
	const char *list = skip_to(ann, "users");
	assert_null(strstr(list, "Bob"));
	close_room(f);
}

static void many_old_clients_share_a_line(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_1(f, "10.0.0.1", "Ann");
	calm(f);
	(void)join_1(f, "10.0.0.2", "First"); /* uses the tick up */
	forget_frames(f);
	for (int i = 0; i < 6; i++) {
		char name[8] = { 'P', (char)('0' + i), '\0' };
		(void)join_1(f, "10.0.0.2", name);
	}
	expect_nothing(ann);
	after(f, TICK_MS);
	expect(ann, "P0, P1, P2 and 3 more joined 👋");
	close_room(f);
}

static void a_long_list_has_oneself_in_it(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *first = join_1(f, "10.0.0.1", "The first one");
	for (int i = 0; i < 510; i++) {
		struct client *c = client_new(f, "10.0.0.2");
		say(f, c, "{\"type\":\"join\",\"name\":\"P%d\"}", i);
	}
	turn(f);
	after(f, 2000);
	const char *own = NULL;
	for (int i = 0; i < first->count; i++)
		if (strncmp(first->frame[i], "{\"type\":\"users\"", 15) == 0)
			own = first->frame[i];
	assert_non_null(own);
	assert_non_null(strstr(own, "[{\"id\":1,\"name\":\"The first one\"},")); /* though 500 others were active since */
	int listed = 0;
	for (const char *at = own; (at = strstr(at, "\"id\":")); at++)
		listed++;
	assert_int_equal(listed, 500);
	close_room(f);
}

/* --- Asking */

static void who_is_a_page_by_id(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	uint64_t id[5];
	static const char *const names[] = { "Bob", "Bobby", "Cid", "BOBO", "Dan" };
	for (int i = 0; i < 5; i++)
		id[i] = user_of(join_2(f, "10.0.0.2", names[i]))->id;
	calm(f);
	say(f, ann, "{\"type\":\"who\",\"q\":\"bob\"}");
	say(f, ann, "{\"type\":\"who\",\"q\":\"bob\",\"limit\":2}");
	say(f, ann, "{\"type\":\"who\",\"q\":\"bob\",\"limit\":2,\"after\":%llu}", (unsigned long long)id[1]);
	say(f, ann, "{\"type\":\"who\",\"q\":\"nobody\"}");
	turn(f);
	const char *all = expect(ann, "{\"type\":\"who\",\"q\":\"bob\",\"after\":0", "\"more\":false");
	assert_true(strstr(all, "\"Bob\"") < strstr(all, "\"Bobby\"") && strstr(all, "\"Bobby\"") < strstr(all, "\"BOBO\""));
	assert_null(strstr(all, "Cid"));
	const char *some = expect(ann, "\"Bob\"", "\"Bobby\"", "\"more\":true");
	assert_null(strstr(some, "BOBO"));
	const char *rest = expect(ann, "\"BOBO\"", "\"more\":false");
	assert_null(strstr(rest, "\"Bob\""));
	expect(ann, "\"users\":[],\"more\":false}");
	/* Nothing of it can be in a name. */
	say(f, ann, "{\"type\":\"who\",\"q\":\"\\u200b\"}");
	say(f, ann, "{\"type\":\"who\",\"q\":\"\\u2800\"}");
	turn(f);
	expect(ann, "{\"type\":\"who\",\"q\":\"\xe2\x80\x8b\",\"after\":0,\"users\":[],\"more\":false}");
	expect(ann, "{\"type\":\"who\",\"q\":\"\xe2\xa0\x80\",\"after\":0,\"users\":[],\"more\":false}");
	close_room(f);
}

/* People in an order of their activity that is not that of their ids: each page has the lowest ids behind `after`, in order. */
static void who_finds_everybody_page_by_page(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *c[250];
	for (int i = 0; i < 250; i++) {
		char ip[32], name[32];
		snprintf(ip, sizeof(ip), "10.0.%d.1", i);
		snprintf(name, sizeof(name), "P%d", i);
		c[i] = join_2(f, ip, name);
	}
	for (int i = 0; i < 250; i++)
		say(f, c[i * 77 % 250], "{\"type\":\"text\",\"text\":\"x\"}");
	calm(f);
	uint64_t last = 0;
	int seen = 0;
	for (int page = 0; page < 9; page++) {
		say(f, c[0], "{\"type\":\"who\",\"limit\":30,\"after\":%llu}", (unsigned long long)last);
		turn(f);
		const char *at = expect(c[0], "{\"type\":\"who\"", page < 8 ? "\"more\":true" : "\"more\":false");
		while ((at = strstr(at, "{\"id\":"))) {
			const uint64_t id = strtoull(at += 6, NULL, 10);
			assert_true(id > last);
			last = id;
			seen++;
		}
	}
	assert_int_equal(seen, 250);
	close_room(f);
}

static void who_is_refused_before_the_join(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *nobody = client_new(f, "10.0.0.1"), *old = join_1(f, "10.0.0.2", "Old");
	calm(f);
	say(f, nobody, "{\"type\":\"who\"}");
	say(f, old, "{\"type\":\"who\"}");
	turn(f);
	expect_closed(nobody, WS_CLOSE_POLICY, "join first");
	expect_nothing(old); /* the first dialect has no such frame */
	expect_open(old);
	close_room(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_join_is_told_with_the_tick),    cmocka_unit_test(who_goes_before_the_tick_was_never_here),
		cmocka_unit_test(a_guest_leaves_at_once),          cmocka_unit_test(an_identity_has_time_to_come_back),
		cmocka_unit_test(a_further_tab_is_no_news),        cmocka_unit_test(a_crowd_costs_a_client_its_budget_and_no_more),
		cmocka_unit_test(old_clients_get_lines_and_lists), cmocka_unit_test(many_old_clients_share_a_line),
		cmocka_unit_test(a_long_list_has_oneself_in_it),   cmocka_unit_test(who_is_a_page_by_id),
		cmocka_unit_test(who_is_refused_before_the_join),  cmocka_unit_test(who_finds_everybody_page_by_page),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
