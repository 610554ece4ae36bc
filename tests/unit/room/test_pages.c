/* test_pages.c — history by helpers: pages, resuming a session, what each person may see, and the refusals. */
#include "room_fixture.h"

static uint64_t write_text(struct fixture *f, struct client *c, const char *text)
{
	say(f, c, "{\"type\":\"text\",\"text\":\"%s\"}", text);
	turn(f);
	return number_of(skip_to(c, "text"), "id");
}

static void write_dm(struct fixture *f, struct client *c, uint64_t to, const char *text)
{
	say(f, c, "{\"type\":\"text\",\"text\":\"%s\",\"to_id\":%llu}", text, (unsigned long long)to);
	turn(f);
}

static int count_of(const char *frame, const char *part)
{
	int n = 0;
	for (const char *at = frame; (at = strstr(at, part)); at++)
		n++;
	return n;
}

/* --- Pages */

static void history_goes_back_page_by_page(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	uint64_t id[5];
	for (int i = 0; i < 5; i++) {
		char text[8] = { 'T', (char)('0' + i), '\0' };
		id[i] = write_text(f, ann, text);
		assert_true(i == 0 || id[i] > id[i - 1]);
	}
	forget_frames(f);
	say(f, ann, "{\"type\":\"history\",\"limit\":2}");
	settle(f);
	const char *page = expect(ann, "{\"type\":\"history\",\"before\":0,\"messages\":[", "\"T3\"", "\"T4\"", "\"more\":true}");
	assert_true(strstr(page, "T3") < strstr(page, "T4")); /* the oldest first */
	assert_int_equal(count_of(page, "\"text\":\""), 2);
	say(f, ann, "{\"type\":\"history\",\"limit\":2,\"before\":%llu}", (unsigned long long)id[3]);
	settle(f);
	expect(ann, "\"T1\"", "\"T2\"", "\"more\":true}");
	say(f, ann, "{\"type\":\"history\",\"limit\":2,\"before\":%llu}", (unsigned long long)id[1]);
	settle(f);
	page = expect(ann, "\"T0\"", "\"more\":false}");
	assert_int_equal(count_of(page, "\"text\":\""), 1);
	say(f, ann, "{\"type\":\"history\",\"before\":1}");
	settle(f);
	expect(ann, "\"messages\":[],\"more\":false}");
	close_room(f);
}

static void direct_messages_are_for_the_two(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob"), *eve = join_2(f, "10.0.0.3", "Eve");
	const unsigned long long ann_id = user_of(ann)->id, bob_id = user_of(bob)->id;
	write_dm(f, ann, bob_id, "secret");
	write_dm(f, bob, ann_id, "answer");
	uint64_t last = write_text(f, eve, "public");
	calm(f);
	say(f, ann, "{\"type\":\"history\",\"peer_id\":%llu}", bob_id);
	say(f, bob, "{\"type\":\"dm_history\",\"peer_id\":%llu}", ann_id);
	say(f, eve, "{\"type\":\"history\",\"peer_id\":%llu}", bob_id);
	settle(f);
	const char *page = expect(ann, "\"secret\"", "\"answer\"", "\"peer_id\":");
	assert_null(strstr(page, "public"));
	expect(bob, "{\"type\":\"dm_history\"", "\"secret\"", "\"answer\"");
	expect(eve, "\"messages\":[],\"more\":false}");
	say(f, ann, "{\"type\":\"sync\",\"since\":0}");
	say(f, eve, "{\"type\":\"sync\",\"since\":0}");
	say(f, eve, "{\"type\":\"sync\",\"since\":%llu}", (unsigned long long)last);
	settle(f);
	expect(ann, "{\"type\":\"sync\",\"since\":0,\"events\":[", "\"secret\"", "\"answer\"", "\"public\"", "\"more\":false}");
	page = expect(eve, "{\"type\":\"sync\"", "\"public\"");
	assert_null(strstr(page, "secret"));
	expect(eve, "\"events\":[],\"more\":false}");
	close_room(f);
}

static void old_clients_have_files_in_their_history(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_1(f, "10.0.0.1", "Ann"), *bob = join_1(f, "10.0.0.2", "Bob");
	say(f, ann, "{\"type\":\"file\",\"filename\":\"a.bin\",\"data\":\"YWJj\",\"to_id\":%llu}", (unsigned long long)user_of(bob)->id);
	calm(f);
	say(f, bob, "{\"type\":\"dm_history\",\"peer_id\":%llu}", (unsigned long long)user_of(ann)->id);
	say(f, bob, "{\"type\":\"sync\",\"since\":0}"); /* not a frame of the first dialect */
	say(f, bob, "{\"type\":\"history\"}");
	settle(f);
	expect(bob, "{\"type\":\"dm_history\"", "\"a.bin\"", "\"data\":\"YWJj\"");
	expect_nothing(bob);
	close_room(f);
}

static void a_page_is_cut_at_a_thousand(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	char *token = token_of(ann);
	const uint64_t first = write_text(f, ann, "first");
	for (int i = 0; i < 1100; i++)
		say(f, ann, "{\"type\":\"text\",\"text\":\"x\"}");
	turn(f);
	calm(f);
	say(f, ann, "{\"type\":\"sync\",\"since\":%llu}", (unsigned long long)first);
	say(f, ann, "{\"type\":\"history\",\"limit\":5000}");
	settle(f);
	const char *page = expect(ann, "{\"type\":\"sync\"", "\"more\":true}");
	assert_int_equal(count_of(page, "\"text\":\"x\""), 1000);
	page = expect(ann, "{\"type\":\"history\"", "\"more\":true}");
	assert_int_equal(count_of(page, "\"text\":\"x\""), 1000);
	page = resume(f, token, first);
	assert_int_equal(count_of(page, "\"text\":\"x\""), 1000);
	assert_non_null(strstr(page, "\"gap\":true"));
	free(token);
	close_room(f);
}

/* Everything that Ann is sent in pages of this frame's kind, as a count of texts; each page is about 1 MB. */
static int walk_pages(struct fixture *f, struct client *ann, const char *frame, const char *member, uint64_t *last)
{
	int texts = 0;
	for (bool has_more = true; has_more;) {
		say(f, ann, "{\"type\":\"%s\",\"limit\":1000,\"%s\":%llu}", frame, member, (unsigned long long)*last);
		settle(f);
		const char *page = skip_to(ann, frame);
		assert_true(strlen(page) < TAIL_PAGE_BYTES + 32768);
		has_more = strstr(page, "\"more\":true") != NULL;
		assert_true(!has_more || strlen(page) > TAIL_PAGE_BYTES / 2);
		texts += count_of(page, "\"type\":\"text\"");
		if (strcmp(frame, "sync") == 0)
			for (const char *at = page; (at = strstr(at, "\"id\":")); at += 5)
				*last = strtoull(at + 5, NULL, 10);
		else if (has_more)
			*last = number_of(strstr(page, "\"messages\""), "id");
	}
	return texts;
}

static void a_page_is_cut_at_a_megabyte(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	static char text[3991];
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 600; i++) {
		say(f, ann, "{\"type\":\"text\",\"text\":\"%s\"}", text);
		if (i % 50 == 49)
			turn(f);
	}
	calm(f);
	forget_frames(f);
	uint64_t from = 0;
	assert_int_equal(walk_pages(f, ann, "sync", "since", &from), 600);
	from = 0;
	assert_int_equal(walk_pages(f, ann, "history", "before", &from), 600);
	close_room(f);
}

/* --- Resuming */

static void resuming_brings_what_was_missed(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	char *token = token_of(ann);
	uint64_t since = write_text(f, ann, "seen");
	leave(f, ann);
	turn(f);
	write_text(f, bob, "missed");
	const char *init = resume(f, token, since);
	assert_non_null(strstr(init, "\"missed\""));
	assert_null(strstr(init, "\"seen\""));
	assert_null(strstr(init, "\"reset\""));
	/* With direct messages the tail is not enough. */
	write_dm(f, bob, user_of(f->client[f->client_count - 1])->id, "secret");
	init = resume(f, token, since);
	assert_non_null(strstr(init, "\"missed\""));
	assert_non_null(strstr(init, "\"secret\""));
	assert_non_null(strstr(init, "\"peers\":[{\"id\":"));
	restart(f, NULL);
	init = resume(f, token, since);
	assert_non_null(strstr(init, "\"secret\""));
	assert_non_null(strstr(init, "\"name\":\"Bob\",\"online\":false"));
	free(token);
	close_room(f);
}

static void what_cannot_be_resumed_starts_anew(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.retain_days = 1;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	char *token = token_of(ann);
	const uint64_t old = write_text(f, ann, "old");
	(void)write_text(f, ann, "old as well");
	const char *init = resume(f, token, old + 1000000);
	assert_non_null(strstr(init, "\"reset\":true")); /* of a history that this is not */
	assert_non_null(strstr(init, "\"old as well\""));
	after(f, 25 * 3600 * 1000); /* retention takes both */
	settle(f);
	const uint64_t new = write_text(f, ann, "new");
	init = resume(f, token, old);
	assert_non_null(strstr(init, "\"reset\":true"));
	assert_null(strstr(init, "\"old as well\""));
	assert_non_null(strstr(init, "\"new\""));
	init = resume(f, token, new);
	assert_null(strstr(init, "\"reset\""));
	free(token);
	close_room(f);
}

/* Fills the tail with long texts of one person, over a megabyte of JSON. Returns the token. */
static char *fill_tail(struct fixture *f)
{
	static char text[6 * 3990 + 3] = "(";
	for (size_t i = 0; i < 3990; i++)
		memcpy(text + 1 + 6 * i, "\\u0001", 6);
	text[sizeof(text) - 2] = ')';
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	write_dm(f, ann, user_of(bob)->id, "secret");
	for (int i = 0; i < 50; i++)
		write_text(f, ann, text);
	return token_of(ann);
}

static struct client *come_back(struct fixture *f, const char *token)
{
	struct client *c = client_new(f, "10.0.0.1");
	say(f, c, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\"}", token);
	settle(f);
	return c;
}

/* Also while helpers look up with whom the person has written. */
static void a_join_without_memory_is_busy(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	char *token = fill_tail(f);
	restart(f, NULL);
	shbuf_bound(1);
	struct client *ann = come_back(f, token);
	expect(ann, "\"code\":\"busy\"");
	assert_int_equal(ann->close_code, WS_CLOSE_TRY_LATER);
	shbuf_bound(SIZE_MAX);
	expect(come_back(f, token), "{\"type\":\"init\"", "\"self\":true");
	free(token);
	close_room(f);
}

/* Pages that one person does not read count as that person's: others join. */
static void unread_joins_cost_their_person_alone(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	shbuf_bound(64 << 20);
	char *token = fill_tail(f);
	struct client *unread[20];
	int n = 0;
	for (; n < 20; n++) {
		unread[n] = client_new(f, "10.0.0.1");
		say(f, unread[n], "{\"type\":\"join\",\"v\":2,\"token\":\"%s\"}", token);
		room_turn(f->room, inbox_take(f->opts.inbox, 0)); /* its mail stays in the box */
	}
	assert_in_range(shbuf_large_bytes(), 1 << 20, 6 << 20);
	struct client *bob = client_new(f, "10.0.0.2");
	say(f, bob, "{\"type\":\"join\",\"v\":2,\"name\":\"Eve\"}");
	room_turn(f->room, inbox_take(f->opts.inbox, 0));
	deliver(f);
	expect(bob, "{\"type\":\"init\"", "\"history\":[{");
	expect_open(bob);
	int let_in = 0;
	for (int i = 0; i < n; i++)
		let_in += !unread[i]->close_code;
	assert_in_range(let_in, 1, 6);
	expect(come_back(f, token), "{\"type\":\"init\"", "\"self\":true"); /* what was read is given back */
	shbuf_bound(SIZE_MAX);
	free(token);
	close_room(f);
}

/* One frame that does not wait for what helpers sent meanwhile. */
static void turn_with_text_alone(struct fixture *f, struct client *c, const char *json)
{
	struct event *e = NULL;
	assert_int_equal(decode_frame(json, strlen(json), c->conn, &e), 0);
	room_turn(f->room, e);
	deliver(f);
}

static void what_comes_live_waits_behind_the_page(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	char *token = token_of(ann);
	const uint64_t since = write_text(f, ann, "seen");
	write_dm(f, bob, user_of(ann)->id, "secret");
	calm(f);
	struct client *tab = client_new(f, "10.0.0.1");
	say(f, tab, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\",\"since\":%llu}", token, (unsigned long long)since);
	room_turn(f->room, inbox_take(f->opts.inbox, 0));
	deliver(f);
	expect_nothing(tab); /* a helper reads */
	turn_with_text_alone(f, bob, "{\"type\":\"text\",\"text\":\"live\"}");
	expect(bob, "\"live\"");
	expect_nothing(tab);
	settle(f);
	const char *init = expect(tab, "{\"type\":\"init\"", "\"secret\"");
	assert_null(strstr(init, "live")); /* once, and behind */
	expect(tab, "{\"type\":\"text\"", "\"live\"");
	free(token);
	close_room(f);
}

/* --- Refusals */

static void pages_are_refused_before_the_join(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	static const char *const frames[] = { "{\"type\":\"history\"}", "{\"type\":\"sync\",\"since\":0}",
		                              "{\"type\":\"dm_history\",\"peer_id\":1}" };
	for (size_t i = 0; i < WC_LEN(frames); i++) {
		struct client *nobody = client_new(f, "10.0.0.1");
		say(f, nobody, "%s", frames[i]);
		settle(f);
		expect_closed(nobody, WS_CLOSE_POLICY, "join first");
	}
	close_room(f);
}

static void one_session_has_eight_jobs_at_once(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	for (int i = 0; i < 10; i++)
		say(f, ann, "{\"type\":\"history\"}");
	say(f, bob, "{\"type\":\"history\"}");
	turn(f);
	settle(f);
	int busy = 0, pages = 0;
	while (ann->seen < ann->count) {
		const char *frame = ann->frame[ann->seen++];
		busy += strstr(frame, "\"code\":\"busy\"") != NULL;
		pages += strncmp(frame, "{\"type\":\"history\"", 17) == 0;
	}
	assert_int_equal(pages, 8);
	assert_int_equal(busy, 2);
	expect(bob, "{\"type\":\"history\"");
	say(f, ann, "{\"type\":\"history\"}");
	settle(f);
	expect(ann, "{\"type\":\"history\"");
	close_room(f);
}

static void joins_of_a_token_are_requests(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.request_rate = 2; /* 20 at once */
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	char *token = token_of(ann), *other = token_of(bob);
	for (int i = 0; i < 20; i++)
		(void)resume(f, token, 0);
	struct client *c = client_new(f, "10.0.0.7"); /* also from elsewhere */
	say(f, c, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\",\"since\":0}", token);
	settle(f);
	expect(c, "{\"type\":\"error\",\"code\":\"rate_limited\"", "\"retry_ms\":500");
	(void)resume(f, other, 0);
	after(f, 600);
	say(f, c, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\",\"since\":0}", token);
	settle(f);
	expect(c, "{\"type\":\"init\"");
	free(token);
	free(other);
	close_room(f);
}

static void a_crowd_of_one_address_waits_for_its_turn(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *crowd[20];
	for (size_t i = 0; i < WC_LEN(crowd); i++) {
		crowd[i] = client_new(f, "10.0.0.9");
		say(f, crowd[i], "{\"type\":\"join\",\"v\":2,\"name\":\"n%zu\"}", i);
	}
	struct client *one = client_new(f, "10.0.0.3");
	say(f, one, "{\"type\":\"join\",\"v\":2,\"name\":\"Ann\"}");
	room_turn(f->room, inbox_take(f->opts.inbox, 0)); /* four joins */
	deliver(f);
	expect(one, "{\"type\":\"init\"");
	expect(crowd[0], "{\"type\":\"init\"");
	expect_nothing(crowd[19]);
	settle(f);
	expect(crowd[19], "{\"type\":\"init\"");
	close_room(f);
}

static void a_connection_lives_until_its_jobs_end(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	say(f, ann, "{\"type\":\"history\"}");
	leave(f, ann);
	room_turn(f->room, inbox_take(f->opts.inbox, 0));
	deliver(f);
	assert_false(ann->is_released); /* the helper's word is still to come */
	settle(f);
	assert_true(ann->is_released);
	close_room(f);
}

static void helpers_that_end_get_no_more_pages(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	f->room->is_quiet = true; /* as room_quiesce has it */
	say(f, ann, "{\"type\":\"history\"}");
	turn(f);
	const struct session *s = conn_session(ann->conn);
	assert_int_equal(s->jobs, 0);
	expect_nothing(ann);
	f->room->is_quiet = false;
	close_room(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(history_goes_back_page_by_page),
		cmocka_unit_test(direct_messages_are_for_the_two),
		cmocka_unit_test(old_clients_have_files_in_their_history),
		cmocka_unit_test(a_page_is_cut_at_a_thousand),
		cmocka_unit_test(a_page_is_cut_at_a_megabyte),
		cmocka_unit_test(resuming_brings_what_was_missed),
		cmocka_unit_test(what_cannot_be_resumed_starts_anew),
		cmocka_unit_test(a_join_without_memory_is_busy),
		cmocka_unit_test(unread_joins_cost_their_person_alone),
		cmocka_unit_test(what_comes_live_waits_behind_the_page),
		cmocka_unit_test(pages_are_refused_before_the_join),
		cmocka_unit_test(one_session_has_eight_jobs_at_once),
		cmocka_unit_test(a_connection_lives_until_its_jobs_end),
		cmocka_unit_test(joins_of_a_token_are_requests),
		cmocka_unit_test(a_crowd_of_one_address_waits_for_its_turn),
		cmocka_unit_test(helpers_that_end_get_no_more_pages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
