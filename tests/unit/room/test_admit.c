/* test_admit.c — the way in: new people, tokens, codes, the join password and how guesses are slowed, a lockdown. */
#include "room_fixture.h"

static void ask(struct fixture *f, struct client *c, const char *members)
{
	say(f, c, "{\"type\":\"join\",\"v\":2,%s}", members);
	turn(f);
}

/* Somebody new, with the password if there is one. Returns the token; free it. */
static char *token_of_new(struct fixture *f, const char *ip, const char *members)
{
	struct client *c = client_new(f, ip);
	ask(f, c, members);
	char *token = text_of(expect(c, "{\"type\":\"init\"", "\"token\""), "token");
	return token;
}

static struct client *join_by_token(struct fixture *f, const char *ip, const char *token)
{
	char members[128];
	struct client *c = client_new(f, ip);
	snprintf(members, sizeof(members), "\"token\":\"%s\"", token);
	ask(f, c, members);
	return c;
}

static char *code_from(struct fixture *f, struct client *c)
{
	forget_frames(f);
	say(f, c, "{\"type\":\"link\"}");
	turn(f);
	return text_of(expect(c, "{\"type\":\"link\"", "\"expires_in\":300"), "code");
}

static struct client *join_by_code(struct fixture *f, const char *ip, const char *code)
{
	char members[128];
	struct client *c = client_new(f, ip);
	snprintf(members, sizeof(members), "\"code\":\"%s\"", code);
	ask(f, c, members);
	return c;
}

/* --- Without a password */

static void a_token_brings_its_person_back(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	char *token = token_of_new(f, "10.0.0.1", "\"name\":\"Ann\"");
	const uint64_t id = user_of(f->client[0])->id;
	restart(f, NULL); /* tokens are in the store */
	struct client *ann = join_by_token(f, "10.0.0.2", token);
	assert_true(number_of(expect(ann, "\"my_name\":\"Ann\""), "my_id") == id);
	assert_null(strstr(ann->frame[0], "\"token\"")); /* it has one */
	token[3] ^= 1;
	struct client *eve = join_by_token(f, "10.0.0.2", token);
	expect(eve, "\"code\":\"bad_token\"");
	expect_open(eve);
	free(token);
	close_room(f);
}

static void a_connection_has_five_tries(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *eve = client_new(f, "10.0.0.1");
	for (int i = 0; i < 5; i++) {
		expect_open(eve);
		ask(f, eve, "\"token\":\"nonsense\"");
		expect(eve, "\"code\":\"bad_token\"");
		assert_int_equal(eve->resumes, i + 1);
	}
	expect_closed(eve, WS_CLOSE_POLICY, "not let in");
	close_room(f);
}

static void a_code_brings_one_device_once(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	char *code = code_from(f, ann);
	struct client *phone = join_by_code(f, "10.0.0.2", code);
	assert_true(number_of(expect(phone, "\"my_name\":\"Ann\"", "\"token\""), "my_id") == user_of(ann)->id);
	expect(join_by_code(f, "10.0.0.2", code), "\"code\":\"bad_code\"");
	free(code);
	/* A new one ends the old. */
	char *old = code_from(f, ann), *new = code_from(f, phone);
	assert_string_not_equal(old, new);
	expect(join_by_code(f, "10.0.0.2", old), "\"code\":\"bad_code\"");
	/* It lives for five minutes. */
	after(f, 299999);
	expect(join_by_code(f, "10.0.0.2", new), "\"my_name\":\"Ann\"");
	free(new);
	new = code_from(f, ann);
	after(f, 300000);
	expect(join_by_code(f, "10.0.0.2", new), "\"code\":\"bad_code\"");
	free(old);
	free(new);
	close_room(f);
}

static void a_code_survives_a_store_that_fails(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	char *code = code_from(f, join_2(f, "10.0.0.1", "Ann"));
	for (int step = 1; step <= 3; step++) { /* begin, savepoint, the token */
		break_store(f, step);
		expect(join_by_code(f, "10.0.0.2", code), "\"code\":\"storage\"");
	}
	break_store(f, 0);
	expect(join_by_code(f, "10.0.0.2", code), "\"my_name\":\"Ann\"");
	free(code);
	close_room(f);
}

static void codes_of_others_end_nobodys(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	char *code = code_from(f, join_2(f, "10.0.0.1", "Ann"));
	for (int i = 0; i < 600; i++) {
		char ip[32], name[32];
		snprintf(ip, sizeof(ip), "10.1.%d.%d", i / 200, i % 200);
		snprintf(name, sizeof(name), "Eve %d", i);
		free(code_from(f, join_2(f, ip, name)));
	}
	expect(join_by_code(f, "10.0.0.2", code), "\"my_name\":\"Ann\"");
	free(code);
	close_room(f);
}

static void a_sign_out_ends_its_token_alone(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	char *token = token_of_new(f, "10.0.0.1", "\"name\":\"Ann\"");
	struct client *here = f->client[0], *tab = join_by_token(f, "10.0.0.1", token);
	char *code = code_from(f, here);
	struct client *phone = join_by_code(f, "10.0.0.2", code);
	char *other = text_of(expect(phone, "\"my_name\":\"Ann\""), "token");
	free(code);
	code = code_from(f, here);

	/* The end is stored, or it is none. */
	for (int step = 1; step <= 3; step++) {
		break_store(f, step);
		say(f, here, "{\"type\":\"sign_out\"}");
		turn(f);
		expect(here, "\"code\":\"storage\"");
		forget_frames(f);
	}
	break_store(f, 0);
	say(f, here, "{\"type\":\"sign_out\"}");
	say(f, here, "{\"type\":\"text\",\"text\":\"too late\"}");
	turn(f);
	expect_closed(here, 1000, "signed out");
	expect_closed(tab, 1000, "signed out");
	assert_int_equal(phone->close_code, 0);
	for (int i = 0; i < phone->count; i++)
		assert_null(strstr(phone->frame[i], "too late"));
	expect(join_by_token(f, "10.0.0.1", token), "\"code\":\"bad_token\"");
	expect(join_by_code(f, "10.0.0.3", code), "\"code\":\"bad_code\"");
	restart(f, NULL);
	expect(join_by_token(f, "10.0.0.1", token), "\"code\":\"bad_token\"");
	expect(join_by_token(f, "10.0.0.1", other), "\"my_name\":\"Ann\"");
	free(token);
	free(other);
	free(code);
	close_room(f);
}

/* By a code of this one; the token that it made. */
static char *token_by_code(struct fixture *f, struct client *here)
{
	char *code = code_from(f, here);
	struct client *c = join_by_code(f, "10.0.0.2", code);
	char *token = text_of(expect(c, "\"my_name\":\"Ann\""), "token");
	leave(f, c);
	settle(f);
	free(code);
	forget_frames(f);
	return token;
}

static void expect_token(struct fixture *f, const char *token, const char *what)
{
	struct client *c = join_by_token(f, "10.0.0.1", token);
	expect(c, what);
	leave(f, c);
	settle(f);
}

static void a_person_has_so_many_tokens_and_the_idlest_makes_room(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	char *token[USER_TOKENS + 2] = { token_of_new(f, "10.0.0.1", "\"name\":\"Ann\"") };
	struct client *here = f->client[0];
	for (int i = 1; i < USER_TOKENS; i++) {
		after(f, 1000);
		token[i] = token_by_code(f, here);
	}
	expect_token(f, token[1], "\"my_name\":\"Ann\""); /* used again: no longer the idlest */
	for (int step = 1; step <= 6; step++) {           /* nobody loses a token to a join that is not stored */
		char *code = code_from(f, here);
		break_store(f, step);
		struct client *c = join_by_code(f, "10.0.0.2", code);
		expect(c, "\"code\":\"storage\"");
		break_store(f, 0);
		assert_non_null(user_get(&f->room->users, 1)->tokens);
		leave(f, c);
		settle(f);
		free(code);
	}
	expect_token(f, token[2], "\"my_name\":\"Ann\"");
	token[USER_TOKENS] = token_by_code(f, here);
	expect_token(f, token[3], "\"code\":\"bad_token\"");
	token[USER_TOKENS + 1] = token_by_code(f, here);
	expect_token(f, token[4], "\"code\":\"bad_token\"");
	restart(f, NULL);
	for (int i = 0; i < USER_TOKENS + 2; i++) {
		expect_token(f, token[i], i == 3 || i == 4 ? "\"code\":\"bad_token\"" : "\"my_name\":\"Ann\"");
		free(token[i]);
	}
	close_room(f);
}

/* Of those that came back: by the end of their connection, and, to a day, past a restart. */
static void a_device_in_daily_use_outlives_idle_ones(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	char *daily = token_of_new(f, "10.0.0.1", "\"name\":\"Ann\""), *token[USER_TOKENS];
	struct client *here = f->client[0];
	for (int i = 1; i < USER_TOKENS; i++) {
		after(f, 1000);
		token[i] = token_by_code(f, here);
	}
	after(f, 25 * 3600 * 1000);
	for (int i = 1; i < USER_TOKENS; i++) {
		after(f, 1000);
		expect_token(f, token[i], "\"my_name\":\"Ann\"");
	}
	leave(f, here); /* here all the time, with the oldest token */
	after(f, 25 * 3600 * 1000);
	settle(f);
	restart(f, NULL);
	here = join_by_token(f, "10.0.0.1", token[1]);
	after(f, 1000);
	free(token_by_code(f, here));
	free(token_by_code(f, here)); /* ends the one before, which never let anybody in again */
	expect_token(f, token[2], "\"code\":\"bad_token\"");
	for (int i = 3; i < USER_TOKENS; i++)
		expect_token(f, token[i], "\"my_name\":\"Ann\"");
	expect_token(f, daily, "\"my_name\":\"Ann\"");
	for (int i = 1; i < USER_TOKENS; i++)
		free(token[i]);
	free(daily);
	close_room(f);
}

static void a_join_by_code_is_a_request(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.request_rate = 1; /* ten at once */
	struct fixture *f = open_room(&set, NULL);
	free(token_of_new(f, "10.0.0.1", "\"name\":\"Ann\""));
	struct client *here = f->client[0];
	for (int i = 0; i < 4; i++)
		free(token_by_code(f, here)); /* a request for the code, and one for the join */
	say(f, here, "{\"type\":\"ping\"}");
	turn(f);
	char *code = code_from(f, here);
	expect(join_by_code(f, "10.0.0.2", code), "\"code\":\"rate_limited\"", "Too many joins at once");
	after(f, 1000);
	expect(join_by_code(f, "10.0.0.2", code), "\"my_name\":\"Ann\""); /* the refusal did not use it up */
	free(code);
	close_room(f);
}

static void a_join_of_a_closed_connection_is_dropped(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	const uint64_t dropped = metric_get(M_JOBS_DROPPED);
	struct client *c[10];
	for (int i = 0; i < 10; i++) {
		c[i] = client_new(f, "10.0.0.1");
		say(f, c[i], "{\"type\":\"join\",\"v\":2,\"name\":\"Ann\"}");
		if (i < 9)
			atomic_store(&c[i]->conn->is_gone, true);
	}
	room_turn(f->room, inbox_take(f->opts.inbox, 0));
	deliver(f);
	assert_int_equal(rota_count(f->room->turns.joins), 0); /* one turn: those dropped took nobody's */
	expect(c[9], "\"my_name\":\"Ann\"");
	for (int i = 0; i < 9; i++) {
		assert_null(conn_session(c[i]->conn));
		assert_int_equal(c[i]->resumes, 1);
	}
	assert_int_equal(metric_get(M_JOBS_DROPPED), dropped + 9);
	close_room(f);
}

static void made_up_tokens_bring_no_turns(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	char *token = token_of_new(f, "10.0.0.1", "\"name\":\"Ann\"");
	for (int i = 0; i < 40; i++)
		say(f, client_new(f, "10.0.0.1"), "{\"type\":\"join\",\"v\":2,\"token\":\"%08dxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}", i);
	struct client *ann = client_new(f, "10.0.0.1");
	say(f, ann, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\"}", token);
	room_turn(f->room, inbox_take(f->opts.inbox, 0));
	deliver(f);
	expect(ann, "\"my_name\":\"Ann\"");
	assert_true(rota_count(f->room->turns.joins) > 30);
	settle(f);
	free(token);
	close_room(f);
}

static void a_link_is_for_those_who_are_in(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *nobody = client_new(f, "10.0.0.1"), *old = join_1(f, "10.0.0.2", "Old");
	forget_frames(f);
	say(f, nobody, "{\"type\":\"link\"}");
	say(f, old, "{\"type\":\"link\"}");
	turn(f);
	expect_closed(nobody, WS_CLOSE_POLICY, "join first");
	assert_int_equal(nobody->close_why, M_EVICTED_NOT_JOINED);
	for (; old->seen < old->count; old->seen++)
		assert_null(strstr(old->frame[old->seen], "code")); /* the first dialect knows no second devices */
	close_room(f);
}

/* --- With one */

static void a_password_lets_new_people_in(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	const struct password p = a_password("sesame", 7);
	struct fixture *f = open_room(&set, &p);
	struct client *ann = client_new(f, "10.0.0.1"), *old = client_new(f, "10.0.0.2");
	ask(f, ann, "\"name\":\"Ann\"");
	expect(ann, "\"code\":\"password_required\"");
	ask(f, ann, "\"name\":\"Ann\",\"password\":\"Sesame\"");
	expect(ann, "\"code\":\"bad_password\"");
	expect_open(ann);
	ask(f, ann, "\"name\":\"Ann\",\"password\":\"sesame\"");
	expect(ann, "{\"type\":\"init\"");
	say(f, old, "{\"type\":\"join\",\"name\":\"Old\",\"password\":\"no\"}");
	turn(f);
	expect(old, "\"type\":\"error\"");
	expect_closed(old, WS_CLOSE_POLICY, "not let in");
	assert_int_equal(f->room->users.by_id.n, 1);
	close_room(f);
}

static void guesses_are_counted_by_address(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	const struct password p = a_password("sesame", 7);
	set.join_guesses = 3; /* a minute */
	struct fixture *f = open_room(&set, &p);
	for (int i = 0; i < 3; i++) {
		struct client *eve = client_new(f, "10.0.0.1");
		ask(f, eve, "\"name\":\"Eve\",\"password\":\"no\"");
		expect(eve, "\"code\":\"bad_password\"");
	}
	struct client *eve = client_new(f, "10.0.0.1"), *ann = client_new(f, "10.0.0.2");
	ask(f, eve, "\"name\":\"Eve\",\"password\":\"sesame\""); /* the right one is not looked at either */
	expect(eve, "\"code\":\"rate_limited\"", "\"retry_ms\":20000", "Too many wrong passwords from your address: wait 20 s");
	ask(f, ann, "\"name\":\"Ann\",\"password\":\"sesame\"");
	expect(ann, "{\"type\":\"init\"");
	after(f, 20000);
	ask(f, eve, "\"name\":\"Eve\",\"password\":\"sesame\"");
	expect(eve, "{\"type\":\"init\"");
	close_room(f);
}

static void a_storm_of_guesses_leaves_two_to_each(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	const struct password p = a_password("sesame", 7);
	set.join_guesses = 10;
	struct fixture *f = open_room(&set, &p);
	char ip[32];
	int refused = 0;
	for (int i = 0; i < 250; i++) { /* one guess from each of many: a storm from 200 on */
		snprintf(ip, sizeof(ip), "10.1.%d.%d", i / 250, i % 250 + 1);
		struct client *bot = client_new(f, ip);
		ask(f, bot, "\"name\":\"Bot\",\"password\":\"no\"");
		expect(bot, "\"code\":\"bad_password\"");
	}
	for (int i = 0; i < 5; i++) {
		struct client *bot = client_new(f, "10.2.0.1");
		ask(f, bot, "\"name\":\"Bot\",\"password\":\"no\"");
		refused += strstr(bot->frame[bot->count - 1], "rate_limited") != NULL;
	}
	assert_int_equal(refused, 3);
	struct client *ann = client_new(f, "10.3.0.1");
	ask(f, ann, "\"name\":\"Ann\",\"password\":\"sesame\"");
	expect(ann, "{\"type\":\"init\"");
	close_room(f);
}

static void a_new_password_is_asked_for_once(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	const struct password first = a_password("sesame", 7), second = a_password("abracadabra", 8);
	struct fixture *f = open_room(&set, &first);
	char *token = token_of_new(f, "10.0.0.1", "\"name\":\"Ann\",\"password\":\"sesame\"");
	struct client *here = f->client[0];
	char *code = code_from(f, here);
	expect(join_by_token(f, "10.0.0.1", token), "\"my_name\":\"Ann\""); /* without the password: it came with it before */
	room_set(f->room, &set, &second);
	turn(f);
	forget_frames(f);
	expect_open(here); /* stays, but brings nobody in */
	say(f, here, "{\"type\":\"link\"}");
	turn(f);
	expect(here, "\"code\":\"password_required\"", "The chat's password was changed");
	expect(join_by_code(f, "10.0.0.1", code), "\"code\":\"bad_code\"");
	struct client *tab = join_by_token(f, "10.0.0.1", token);
	expect(tab, "\"code\":\"password_required\"");
	char members[256];
	snprintf(members, sizeof(members), "\"token\":\"%s\",\"password\":\"abracadabra\"", token);
	ask(f, tab, members);
	expect(tab, "\"my_name\":\"Ann\"");
	expect(join_by_token(f, "10.0.0.1", token), "\"my_name\":\"Ann\"");
	restart(f, &second); /* both are remembered: who was let in, and what the password is */
	expect(join_by_token(f, "10.0.0.1", token), "\"my_name\":\"Ann\"");
	restart(f, &first);
	expect(join_by_token(f, "10.0.0.1", token), "\"code\":\"password_required\"");
	free(token);
	free(code);
	close_room(f);
}

static void an_admission_that_is_not_stored_is_none(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	const struct password first = a_password("sesame", 7), second = a_password("abracadabra", 8);
	struct fixture *f = open_room(&set, &first);
	char members[256], *token = token_of_new(f, "10.0.0.1", "\"name\":\"Ann\",\"password\":\"sesame\"");
	room_set(f->room, &set, &second);
	turn(f);
	snprintf(members, sizeof(members), "\"token\":\"%s\",\"password\":\"abracadabra\"", token);
	for (int step = 1; step <= 3; step++) {
		struct client *tab = client_new(f, "10.0.0.1");
		break_store(f, step);
		ask(f, tab, members);
		expect(tab, "\"code\":\"storage\"");
		break_store(f, 0);
		expect(join_by_token(f, "10.0.0.1", token), "\"code\":\"password_required\"");
	}
	free(token);
	close_room(f);
}

static void without_a_password_any_more_anybody_joins(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	const struct password p = a_password("sesame", 7), none = { .is_set = false };
	struct fixture *f = open_room(&set, &p);
	room_set(f->room, &set, &none);
	turn(f);
	(void)join_2(f, "10.0.0.1", "Ann");
	room_set(f->room, &set, NULL); /* as it is */
	turn(f);
	(void)join_2(f, "10.0.0.1", "Bob");
	close_room(f);
}

/* --- A lockdown */

static void lock_down(struct fixture *f, int level, int64_t for_ms)
{
	expect_order(f, (struct order){ .what = ORDER_LOCKDOWN, .level = level, .for_ms = for_ms }, 200, "\"on\":");
}

static void a_lockdown_bars_new_people_alone(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	char *token = token_of_new(f, "10.0.0.1", "\"name\":\"Ann\"");
	struct client *ann = f->client[0];
	char *code = code_from(f, ann);
	lock_down(f, LOCKDOWN_NEW_PEOPLE, 60000);
	expect(ann, "{\"type\":\"lockdown\",\"on\":true,\"read_only\":false,\"retry_ms\":60000}");
	struct client *eve = client_new(f, "10.0.0.2"), *old = client_new(f, "10.0.0.3");
	ask(f, eve, "\"name\":\"Eve\"");
	say(f, old, "{\"type\":\"join\",\"name\":\"Old\"}");
	turn(f);
	expect(eve, "\"code\":\"lockdown\"", "\"retry_ms\":60000", "lets no new people in");
	expect_closed(eve, WS_CLOSE_POLICY, "not let in"); /* no other try would help */
	expect(old, "lets no new people in");
	expect_closed(old, WS_CLOSE_POLICY, "not let in");
	expect(join_by_token(f, "10.0.0.1", token), "\"lockdown\":{\"read_only\":false,\"retry_ms\":60000}");
	expect(join_by_code(f, "10.0.0.1", code), "\"my_name\":\"Ann\"");
	say(f, ann, "{\"type\":\"text\",\"text\":\"still\"}");
	turn(f);
	expect(ann, "\"still\"");
	after(f, 60000);
	expect(ann, "{\"type\":\"lockdown\",\"on\":false");
	(void)join_2(f, "10.0.0.2", "Eve");
	free(token);
	free(code);
	close_room(f);
}

static void a_read_only_chat_takes_no_words(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	say(f, ann, "{\"type\":\"text\",\"text\":\"before\",\"cid\":\"c1\"}");
	turn(f);
	lock_down(f, LOCKDOWN_READ_ONLY, 0);
	calm(f);
	say(f, ann, "{\"type\":\"text\",\"text\":\"now\",\"cid\":\"c2\"}");
	say(f, ann, "{\"type\":\"typing\"}");
	say(f, ann, "{\"type\":\"text\",\"text\":\"before\",\"cid\":\"c1\"}"); /* stored before: not lost to who sends it again */
	turn(f);
	expect(ann, "\"code\":\"lockdown\"", "\"cid\":\"c2\"", "Nobody can write now");
	expect(ann, "\"before\"", "\"cid\":\"c1\"");
	expect_nothing(ann);
	expect_nothing(bob);
	lock_down(f, LOCKDOWN_OFF, 0);
	expect(ann, "{\"type\":\"lockdown\",\"on\":false");
	say(f, ann, "{\"type\":\"text\",\"text\":\"now\",\"cid\":\"c2\"}");
	turn(f);
	expect(ann, "\"now\"");
	close_room(f);
}

static void a_lockdown_outlives_a_restart(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	lock_down(f, LOCKDOWN_NEW_PEOPLE, 60000);
	restart(f, NULL);
	struct client *eve = client_new(f, "10.0.0.1");
	ask(f, eve, "\"name\":\"Eve\"");
	expect(eve, "\"code\":\"lockdown\"");
	atomic_fetch_add(&test_real_ms, 60000); /* while nobody ran */
	restart(f, NULL);
	(void)join_2(f, "10.0.0.1", "Eve");
	close_room(f);
}

static void a_lockdown_that_is_not_stored_is_none(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	for (int step = 1; step <= 4; step++) {
		break_store(f, step);
		expect_order(f, (struct order){ .what = ORDER_LOCKDOWN, .level = LOCKDOWN_NEW_PEOPLE }, 507, "\"storage\"");
	}
	break_store(f, 0);
	(void)join_2(f, "10.0.0.1", "Ann");
	close_room(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_brings_its_person_back),
		cmocka_unit_test(a_connection_has_five_tries),
		cmocka_unit_test(a_code_brings_one_device_once),
		cmocka_unit_test(a_code_survives_a_store_that_fails),
		cmocka_unit_test(codes_of_others_end_nobodys),
		cmocka_unit_test(a_sign_out_ends_its_token_alone),
		cmocka_unit_test(a_person_has_so_many_tokens_and_the_idlest_makes_room),
		cmocka_unit_test(a_device_in_daily_use_outlives_idle_ones),
		cmocka_unit_test(a_join_by_code_is_a_request),
		cmocka_unit_test(a_join_of_a_closed_connection_is_dropped),
		cmocka_unit_test(made_up_tokens_bring_no_turns),
		cmocka_unit_test(a_link_is_for_those_who_are_in),
		cmocka_unit_test(a_password_lets_new_people_in),
		cmocka_unit_test(guesses_are_counted_by_address),
		cmocka_unit_test(a_storm_of_guesses_leaves_two_to_each),
		cmocka_unit_test(a_new_password_is_asked_for_once),
		cmocka_unit_test(an_admission_that_is_not_stored_is_none),
		cmocka_unit_test(without_a_password_any_more_anybody_joins),
		cmocka_unit_test(a_lockdown_bars_new_people_alone),
		cmocka_unit_test(a_read_only_chat_takes_no_words),
		cmocka_unit_test(a_lockdown_outlives_a_restart),
		cmocka_unit_test(a_lockdown_that_is_not_stored_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
