/* test_sanction.c — bans, mutes and slow mode: whom they meet, when they end, what an admin's command refuses. */
#include "net/ipban.h"
#include "room_fixture.h"

#define BAN(...) ((struct order){ .what = ORDER_SANCTION, .act = SANCTION_BAN, __VA_ARGS__ })
#define MUTE(...) ((struct order){ .what = ORDER_SANCTION, .act = SANCTION_MUTE, __VA_ARGS__ })
#define UNBAN(...) ((struct order){ .what = ORDER_PARDON, .act = SANCTION_BAN, __VA_ARGS__ })
#define UNMUTE(...) ((struct order){ .what = ORDER_PARDON, .act = SANCTION_MUTE, __VA_ARGS__ })

static struct client *try_join(struct fixture *f, const char *ip, const char *members)
{
	struct client *c = client_new(f, ip);
	say(f, c, "{\"type\":\"join\",%s}", members);
	turn(f);
	return c;
}

static void expect_banned(struct client *c, const char *reason)
{
	expect_closed(c, CLOSE_BANNED, reason);
	assert_int_equal(c->close_why, M_EVICTED_BANNED);
	assert_null(conn_session(c->conn));
}

static void write_text(struct fixture *f, struct client *c, const char *text)
{
	say(f, c, "{\"type\":\"text\",\"text\":\"%s\"}", text);
	turn(f);
}

/* --- Bans */

static void a_banned_person_leaves_and_stays_out(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *eve = try_join(f, "10.0.0.1", "\"v\":2,\"name\":\"Eve\"");
	char members[128], *token = text_of(eve->frame[0], "token");
	snprintf(members, sizeof(members), "\"v\":2,\"token\":\"%s\"", token);
	struct client *tab = try_join(f, "10.0.0.2", members), *bob = join_2(f, "10.0.0.1", "Bob");
	calm(f);
	expect_order(f, BAN(.user = "eve", .reason = "spam"), 200, "\"connections\":2");
	expect_closed(eve, CLOSE_BANNED, "spam");
	expect_closed(tab, CLOSE_BANNED, "spam");
	expect_open(bob);           /* of the same address: the person is meant */
	write_text(f, eve, "more"); /* what was still on its way counts no more */
	expect_nothing(eve);
	expect_nothing(bob);
	expect_banned(try_join(f, "10.0.0.3", members), "spam");
	restart(f, NULL);
	expect_banned(try_join(f, "10.0.0.3", members), "spam");
	expect_order(f, UNBAN(.user = "Eve"), 200, "\"kind\":\"identity\"");
	expect(try_join(f, "10.0.0.3", members), "\"my_name\":\"Eve\"");
	free(token);
	close_room(f);
}

static void a_ban_ends_with_its_time(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	expect_order(f, BAN(.name = "Eve", .for_ms = 60000), 200, "\"until\":");
	struct client *eve = try_join(f, "10.0.0.1", "\"v\":2,\"name\":\"Eve\"");
	assert_int_equal(eve->close_code, CLOSE_BANNED);
	assert_non_null(strstr(eve->close_reason, "You are banned from this chat (until 20"));
	after(f, 59999);
	assert_int_equal(try_join(f, "10.0.0.1", "\"v\":2,\"name\":\"Eve\"")->close_code, CLOSE_BANNED);
	after(f, 1);
	expect(try_join(f, "10.0.0.1", "\"v\":2,\"name\":\"Eve\""), "\"my_name\":\"Eve\"");
	close_room(f);
}

static void a_banned_name_is_met_however_it_is_written(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *guest = join_1(f, "10.0.0.1", "Eve");
	expect_order(f, BAN(.user = "Eve", .reason = "no"), 200, "\"kind\":\"name\""); /* a guest is nobody but a name */
	skip_to(guest, "error");
	assert_non_null(strstr(guest->frame[guest->seen - 1], "You are banned: no"));
	assert_int_equal(guest->close_code, CLOSE_BANNED);
	struct client *again = try_join(f, "10.0.0.2", "\"name\":\"  EVE \"");
	expect(again, "\"type\":\"error\"", "You are banned: no"); /* the first dialect shows errors, no reasons */
	expect_banned(again, "no");
	expect_banned(try_join(f, "10.0.0.2", "\"v\":2,\"name\":\"eve\""), "no");
	expect(try_join(f, "10.0.0.2", "\"v\":2,\"name\":\"Eve 2\""), "\"my_name\":\"Eve 2\"");
	close_room(f);
}

static void a_banned_name_is_met_by_its_look_alikes(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *old = join_2(f, "10.0.0.9", "Mаrk"); /* with a Cyrillic а: had before the ban, and another person's */
	expect_order(f, BAN(.name = "Boris", .reason = "no"), 200, "\"name\":\"Boris\"");
	expect_order(f, BAN(.name = "Mark", .for_ms = 1000), 200, "\"connections\":0");
	expect_open(old);
	for (int again = 0; again < 2; again++) {
		expect_banned(try_join(f, "10.0.0.1", "\"v\":2,\"name\":\"Воris\""), "no");
		struct client *guest = try_join(f, "10.0.0.1", "\"name\":\"Вoris\"");
		expect(guest, "You are banned: no");
		expect_banned(guest, "no");
		leave(f, join_2(f, "10.0.0.1", "Borys"));
		restart(f, NULL);
	}
	assert_int_equal(try_join(f, "10.0.0.1", "\"v\":2,\"name\":\"Rnark\"")->close_code, CLOSE_BANNED);
	after(f, 1000);
	expect(try_join(f, "10.0.0.1", "\"v\":2,\"name\":\"Rnark\""), "\"my_name\":\"Rnark 2\""); /* Mаrk is held */
	expect_order(f, UNBAN(.name = "Boris"), 200, "");
	(void)join_2(f, "10.0.0.1", "Воris");
	assert_int_equal(f->room->mod.names.count, 0);
	close_room(f);
}

static void a_banned_number_is_given_to_nobody(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	(void)join_2(f, "10.0.0.1", "Ann");
	struct client *guest = try_join(f, "10.0.0.2", "\"name\":\"Ann\"");
	expect(guest, "\"my_name\":\"Ann 2\"");
	calm(f);
	expect_order(f, BAN(.user = "Ann 2", .reason = "no"), 200, "\"kind\":\"name\"");
	assert_int_equal(guest->close_code, CLOSE_BANNED);
	leave(f, guest);
	settle(f);
	/* the guest asks for the name without its number, as before */
	const uint64_t next_id = f->room->next_user_id;
	struct client *again = try_join(f, "10.0.0.2", "\"name\":\"ann\"");
	expect(again, "You are banned: no");
	expect_banned(again, "no");
	assert_true(f->room->next_user_id == next_id);
	/* others are not given it: their token would not let them in again */
	struct client *other = try_join(f, "10.0.0.3", "\"v\":2,\"name\":\"Ann\"");
	char members[128], *token = text_of(expect(other, "\"my_name\":\"Ann 3\""), "token");
	snprintf(members, sizeof(members), "\"v\":2,\"token\":\"%s\"", token);
	expect(try_join(f, "10.0.0.4", members), "\"my_name\":\"Ann 3\"");
	free(token);
	expect(try_join(f, "10.0.0.3", "\"v\":2,\"name\":\"Аnn\""), "\"my_name\":\"Аnn 4\""); /* with a Cyrillic А */
	expect_order(f, UNBAN(.name = "Ann 2"), 200, "");
	expect(try_join(f, "10.0.0.2", "\"name\":\"Ann\""), "\"my_name\":\"Ann 2\"");
	close_room(f);
}

static void a_muted_number_is_given_to_guests_alone(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	(void)join_2(f, "10.0.0.1", "Ann");
	for (int i = 2; i < 40; i++) {
		char name[16];
		snprintf(name, sizeof(name), "Ann %d", i);
		expect_order(f, MUTE(.name = name), 200, "");
	}
	expect(try_join(f, "10.0.0.3", "\"v\":2,\"name\":\"Ann\""), "\"my_name\":\"Ann 40\"");
	struct client *guest = try_join(f, "10.0.0.2", "\"name\":\"Ann\"");
	expect(guest, "\"my_name\":\"Ann 2\"");
	calm(f);
	write_text(f, guest, "muted as before");
	expect(guest, "You are muted");
	expect(try_join(f, "10.0.0.3", "\"v\":2,\"name\":\"Ann 5\""), "\"my_name\":\"Ann 5\""); /* asked for: the mute meets it */
	close_room(f);
}

static void a_banned_network_is_met_by_address(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *eve = join_2(f, "203.0.113.7", "Eve"), *bob = join_2(f, "203.0.114.7", "Bob");
	calm(f);
	expect_order(f, BAN(.net = "203.0.113.0/24"), 409, "1 person connected from there would be sent out: Eve (");
	expect_open(eve);
	expect_order(f, BAN(.net = "203.0.113.0/24", .force = true, .reason = "net"), 200, "\"connections\":1");
	expect_closed(eve, CLOSE_BANNED, "net");
	expect_open(bob);
	expect_banned(try_join(f, "203.0.113.200", "\"v\":2,\"name\":\"Any\""), "net");
	struct sockaddr_storage peer;
	conn_peer(eve->conn, &peer);
	assert_true(ban_ip_check(&peer)); /* the door knows, too */
	expect_order(f, UNBAN(.net = "203.0.113.0/24"), 200, "203.0.113.0/24");
	assert_false(ban_ip_check(&peer));
	(void)join_2(f, "203.0.113.200", "Any");
	close_room(f);
}

static void with_ip_bans_where_they_were_last(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *eve = join_2(f, "203.0.113.7", "Eve"), *guest = join_1(f, "203.0.113.8", "Gus");
	calm(f);
	leave(f, eve);
	leave(f, guest);
	settle(f);
	expect_order(f, BAN(.user = "Eve", .with_ip = true), 200, "\"net\":\"203.0.113.7\"");
	expect_order(f, BAN(.user = "Gus", .with_ip = true), 200, "\"net\":\"203.0.113.8\""); /* forgotten, but for the address */
	assert_int_equal(try_join(f, "203.0.113.7", "\"v\":2,\"name\":\"Other\"")->close_code, CLOSE_BANNED);
	assert_int_equal(try_join(f, "203.0.113.8", "\"v\":2,\"name\":\"Other\"")->close_code, CLOSE_BANNED);
	set.keep_addresses = 0;
	room_set(f->room, &set, NULL);
	calm(f);
	expect_order(f, BAN(.user = "Eve", .with_ip = true), 404, "--keep-addresses 0 keeps none");
	close_room(f);
}

static void bans_that_hit_others_want_force(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct ip_net proxy;
	assert_true(ip_net_parse("203.0.113.9", proxy.addr, &proxy.bits));
	set.trust_proxy = (struct ip_nets){ &proxy, 1 };
	struct fixture *f = open_room(&set, NULL);
	struct client *eve = join_2(f, "203.0.113.7", "Eve"), *bob = join_2(f, "203.0.113.7", "Bob");
	expect_order(f, BAN(.user = "Eve", .with_ip = true), 409, "1 other person connected from there would be sent out: Bob (");
	expect_order(f, BAN(.net = "127.0.0.1"), 409, "a loopback address");
	expect_order(f, BAN(.net = "203.0.113.9"), 409, "a proxy of --trust-proxy");
	expect_order(f, MUTE(.net = "198.51.100.0/7"), 409, "is wider than a /8");
	assert_int_equal(f->room->mod.count, 0);
	expect_open(eve);
	expect_open(bob);
	close_room(f);
}

static void commands_that_name_nobody_do_nothing(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *one = join_2(f, "10.0.0.1", "Ann"), *two;
	char id[32], name[64];
	snprintf(id, sizeof(id), "%llu", (unsigned long long)user_of(one)->id);
	snprintf(name, sizeof(name), "\"v\":2,\"name\":\"%s\"", id);
	two = try_join(f, "10.0.0.2", name); /* whose name is the other's id */
	expect_order(f, BAN(.user = "An"), 404, "\"candidates\":[{\"id\":");
	expect_order(f, BAN(.user = id), 409, "\"ambiguous\"");
	expect_order(f, UNBAN(.user = id), 409, "\"ambiguous\"");
	expect_order(f, BAN(.net = "10.0.0.300"), 400, "neither an address nor a network");
	expect_order(f, BAN(.name = " \t "), 400, "no name is left");
	expect_order(f, UNBAN(.net = "10.0.0.300"), 400, "neither an address nor a network");
	expect_order(f, UNBAN(.user = "Ann"), 404, "there is no such ban");
	expect_order(f, UNMUTE(.id = 99), 404, "there is no such mute");
	assert_int_equal(f->room->mod.count, 0);
	expect_order(f, BAN(.name = "Mark"), 200, "");
	expect_order(f, UNBAN(.name = "M\u0430rk"), 404, "there is no such ban, but ban 1, of the name Mark, keeps out"); /* Cyrillic */
	expect_order(f, UNBAN(.name = "Marc"), 404, "there is no such ban\"");
	expect_order(f, UNMUTE(.name = "M\u0430rk"), 404, "there is no such mute");
	expect_order(f, UNBAN(.name = "Mark"), 200, "");
	expect_open(one);
	expect_open(two);
	close_room(f);
}

/* A client joins under a name that says something else to an admin. */
static struct client *join_as(struct fixture *f, const char *ip, const char *name)
{
	char members[128];
	snprintf(members, sizeof(members), "\"v\":2,\"name\":\"%s\"", name);
	struct client *c = try_join(f, ip, members);
	expect(c, "{\"type\":\"init\"");
	return c;
}

static void a_name_that_looks_like_an_id_makes_nobody_else_the_culprit(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	char by_id[64], bare[32], part[96];
	snprintf(bare, sizeof(bare), "%llu", (unsigned long long)user_of(ann)->id);
	snprintf(by_id, sizeof(by_id), "id:%s", bare);
	struct client *eve = join_as(f, "10.0.0.2", by_id), *mal = join_as(f, "10.0.0.3", "name:Ann");
	snprintf(part, sizeof(part), "\"say\":\"id:%040llu\"", (unsigned long long)user_of(ann)->id);
	expect_order(f, BAN(.user = by_id), 409, part);
	expect_order(f, UNBAN(.user = by_id), 409, "\"ambiguous\"");
	expect_order(f, (struct order){ .what = ORDER_KICK, .user = by_id }, 409, part);
	snprintf(part, sizeof(part), "\"say\":\"id:%llu\"", (unsigned long long)user_of(mal)->id);
	expect_order(f, MUTE(.user = "name:Ann"), 409, part);
	expect_order(f, MUTE(.user = "NAME:ann"), 200, "\"name\":\"name:Ann\""); /* no prefix: a name, and only hers */
	assert_int_equal(f->room->mod.count, 1);
	expect_open(ann);
	/* what the answer says to say means one alone */
	snprintf(part, sizeof(part), "id:%040llu", (unsigned long long)user_of(ann)->id);
	expect_order(f, MUTE(.user = part), 200, "\"name\":\"Ann\"");
	expect_order(f, MUTE(.user = bare), 200, "\"name\":\"Ann\"");
	snprintf(part, sizeof(part), "name:%s", by_id);
	expect_order(f, BAN(.user = part), 200, "\"connections\":1");
	assert_int_equal(eve->close_code, CLOSE_BANNED);
	expect_open(ann);
	/* not an id at all */
	struct client *sly = join_as(f, "10.0.0.4", "id:bob");
	expect_order(f, BAN(.user = "id:bob"), 200, "\"connections\":1");
	assert_int_equal(sly->close_code, CLOSE_BANNED);
	close_room(f);
}

static void a_name_of_somebody_who_left_makes_nobody_else_the_culprit(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	char by_id[64], bare[32];
	snprintf(bare, sizeof(bare), "%llu", (unsigned long long)user_of(ann)->id);
	snprintf(by_id, sizeof(by_id), "id:%s", bare);
	struct client *left[] = { join_1(f, "10.0.0.2", by_id), join_1(f, "10.0.0.3", bare), join_1(f, "10.0.0.4", "name:Ann") };
	for (int i = 0; i < 3; i++) /* queued, then stored */
		leave(f, left[i]);
	settle(f);
	for (int i = 0; i < 2; i++) {
		expect_order(f, BAN(.user = by_id), 409, "\"say\":\"id:0000");
		expect_order(f, BAN(.user = bare), 409, "\"ambiguous\"");
		expect_order(f, BAN(.user = "name:Ann"), 409, "\"ambiguous\"");
		expect_order(f, UNBAN(.user = by_id), 409, "\"ambiguous\"");
		calm(f);
	}
	expect_open(ann);
	assert_int_equal(f->room->mod.count, 0);
	expect_order(f, BAN(.name = "name:Ann"), 200, "\"kind\":\"name\"");
	expect_order(f, BAN(.user = "Ann"), 200, "\"kind\":\"identity\"");
	close_room(f);
}

static void the_longer_of_two_stands(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	expect_order(f, BAN(.name = "Eve", .reason = "first"), 200, "\"sanctions\":[{");
	expect_order(f, BAN(.name = "Eve", .for_ms = 1000, .reason = "second"), 200, "\"kept\":true");
	expect_banned(try_join(f, "10.0.0.1", "\"v\":2,\"name\":\"Eve\""), "first");
	expect_order(f, BAN(.name = "Eve", .for_ms = 1000, .reason = "second", .replace = true), 200, "\"reason\":\"second\"");
	assert_int_equal(f->room->mod.count, 1);
	/* Of two that are met at once, the one that lasts longer is told. */
	expect_order(f, BAN(.net = "203.0.113.7", .for_ms = 3600000, .reason = "net"), 200, "\"kind\":\"ip\"");
	struct client *eve = try_join(f, "203.0.113.7", "\"v\":2,\"name\":\"Eve\"");
	assert_int_equal(eve->close_code, CLOSE_BANNED);
	assert_int_equal(strncmp(eve->close_reason, "net", 3), 0);
	close_room(f);
}

static void sanctions_that_are_not_stored_are_none(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *eve = join_2(f, "10.0.0.1", "Eve");
	calm(f);
	int step = 1;
	for (;; step++) { /* at each step of the store until all pass */
		struct order c = BAN(.user = "Eve", .reason = "spam");
		break_store(f, step);
		carry_out(f, &c);
		break_store(f, 0);
		const int status = c.c.status;
		buf_fini(&c.c.out);
		if (status == 200)
			break;
		assert_int_equal(status, 507);
		assert_int_equal(f->room->mod.count, 0);
		expect_nothing(eve);
		expect_open(eve);
	}
	assert_in_range(step, 3, 20);
	expect_closed(eve, CLOSE_BANNED, "spam");
	for (step = 1;; step++) {
		struct order c = UNBAN(.user = "Eve");
		break_store(f, step);
		carry_out(f, &c);
		break_store(f, 0);
		const int status = c.c.status;
		buf_fini(&c.c.out);
		if (status == 200)
			break;
		assert_int_equal(status, 507);
		assert_int_equal(f->room->mod.count, 1);
	}
	assert_int_equal(f->room->mod.count, 0);
	close_room(f);
}

static void count_one(void *arg, struct sanction *taken)
{
	(*(uint64_t *)arg)++;
	sanction_free(taken);
}

static uint64_t stored_sanctions(struct fixture *f)
{
	uint64_t n = 0;
	assert_int_equal(store_each_sanction(f->opts.store, count_one, &n), 0);
	return n;
}

static void ended_bans_are_dropped(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	char name[16];
	for (int i = 0; i < 1250; i++) {
		snprintf(name, sizeof(name), "Eve%d", i);
		expect_order(f, BAN(.name = name, .for_ms = 1000), 200, "\"until\"");
	}
	expect_order(f, MUTE(.name = "Eve0"), 200, "\"sanctions\"");
	atomic_fetch_add(&test_mono_ms, 1000);
	expect_order(f, (struct order){ .what = ORDER_LIST, .act = SANCTION_BAN }, 200, "{\"sanctions\":[]}");
	int failed = 0;
	for (int step = 1; f->room->mod.count > 1; step++) { /* at each step of the store, and tried again with the next turn */
		const size_t was = f->room->mod.count;
		assert_true(step < 1000);
		break_store(f, step);
		after(f, 1000);
		break_store(f, 0);
		failed += f->room->mod.count == was;
		assert_int_equal(stored_sanctions(f), f->room->mod.count);
	}
	assert_true(failed > 0);
	expect_order(f, (struct order){ .what = ORDER_LIST, .act = SANCTION_MUTE }, 200, "\"name\":\"Eve0\"");
	close_room(f);
}

static void a_kick_closes_and_bars_nobody(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *eve = join_2(f, "10.0.0.1", "Eve"), *old = join_1(f, "10.0.0.2", "Old");
	calm(f);
	struct order kick = { .what = ORDER_KICK, .user = "Eve" };
	expect_order(f, kick, 200, "\"connections\":1");
	expect_closed(eve, CLOSE_KICKED, "an admin decided so");
	kick.user = "Old";
	kick.reason = "enough";
	expect_order(f, kick, 200, "\"connections\":1");
	expect(old, "You were sent out: enough");
	expect_closed(old, CLOSE_KICKED, "enough");
	leave(f, eve);
	settle(f);
	kick.user = "Eve";
	expect_order(f, kick, 404, "\"not_online\"");
	kick.user = "Nobody";
	expect_order(f, kick, 404, "\"no_such_user\"");
	(void)join_1(f, "10.0.0.2", "Old");
	close_room(f);
}

/* --- Mutes */

static void a_muted_person_is_told_and_not_heard(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *eve = join_2(f, "10.0.0.1", "Eve"), *bob = join_2(f, "10.0.0.2", "Bob");
	write_text(f, eve, "before");
	say(f, eve, "{\"type\":\"text\",\"text\":\"stored\",\"cid\":\"c1\"}");
	calm(f);
	expect_order(f, MUTE(.user = "Eve", .for_ms = 60000, .reason = "loud"), 200, "\"connections\":1");
	expect(eve, "\"code\":\"muted\"", "\"retry_ms\":60000", "You are muted: loud (until");
	after(f, 10000);
	write_text(f, eve, "after");
	expect(eve, "\"code\":\"muted\"", "\"retry_ms\":50000");
	say(f, eve, "{\"type\":\"typing\"}");
	say(f, eve, "{\"type\":\"text\",\"text\":\"dm\",\"to_id\":%llu}", (unsigned long long)user_of(bob)->id);
	say(f, eve, "{\"type\":\"text\",\"text\":\"stored\",\"cid\":\"c1\"}"); /* that it is stored, it may know */
	turn(f);
	expect(eve, "\"code\":\"muted\"");
	expect(eve, "\"stored\"", "\"self\":true");
	expect_nothing(eve);
	expect_nothing(bob);
	after(f, 50000);
	write_text(f, eve, "again");
	expect(bob, "\"again\"");
	close_room(f);
}

static void a_muted_network_is_not_heard(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *eve = join_2(f, "203.0.113.7", "Eve"), *bob = join_2(f, "203.0.114.7", "Bob");
	calm(f);
	expect_order(f, MUTE(.net = "203.0.113.0/24", .force = true), 200, "\"connections\":1");
	expect(eve, "You are muted: an admin decided so");
	write_text(f, eve, "one");
	write_text(f, bob, "two");
	expect(eve, "\"code\":\"muted\"");
	expect(eve, "\"two\"");
	expect(bob, "\"two\"");
	expect_nothing(bob);
	expect_order(f, UNMUTE(.net = "203.0.113.0/24"), 200, "\"lifted\":[{");
	write_text(f, eve, "three");
	expect(bob, "\"three\"");
	close_room(f);
}

static void of_two_mutes_the_longer_counts(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *eve = join_2(f, "203.0.113.7", "Eve");
	calm(f);
	expect_order(f, MUTE(.user = "Eve", .for_ms = 1000), 200, "");
	expect_order(f, MUTE(.net = "203.0.113.7", .for_ms = 5000, .force = true), 200, "");
	expect_order(f, MUTE(.name = "Eve", .for_ms = 3000), 200, "");
	forget_frames(f);
	for (int ms = 5000; ms > 0; ms -= 1000) {
		write_text(f, eve, "word");
		assert_true(number_of(expect(eve, "\"muted\""), "retry_ms") == (uint64_t)ms);
		after(f, 1000);
	}
	write_text(f, eve, "word");
	expect(eve, "{\"type\":\"text\"");
	close_room(f);
}

static void a_mute_that_ends_uncovers_a_longer_one(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	static const int order[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	static const int64_t lasts[] = { 1000, 3000, 0 }; /* the last one for good */
	for (int o = 0; o < 6; o++)
		for (int k = 0; k < 6; k++) {
			struct fixture *f = open_room(&set, NULL);
			struct client *eve = join_2(f, "203.0.113.7", "Eve");
			calm(f);
			for (int i = 0; i < 3; i++) {
				const int64_t ms = lasts[order[k][i]];
				struct order kinds[] = { MUTE(.user = "Eve", .for_ms = ms), MUTE(.name = "Eve", .for_ms = ms),
					                 MUTE(.net = "203.0.113.7", .for_ms = ms, .force = true) };
				forget_frames(f);
				expect_order(f, kinds[order[o][i]], 200, "");
				/* told is the one that lasts longest, whichever came last */
				int64_t longest = ms;
				for (int j = 0; j < i; j++)
					longest = !longest || !lasts[order[k][j]] ? 0 : WC_MAX(longest, lasts[order[k][j]]);
				const char *told = expect(eve, "\"code\":\"muted\"");
				assert_true(longest ? number_of(told, "retry_ms") == (uint64_t)longest : !strstr(told, "retry_ms"));
			}
			for (int i = 0; i < 5; i++) {
				forget_frames(f);
				write_text(f, eve, "word");
				assert_null(strstr(expect(eve, "\"muted\""), "retry_ms"));
				after(f, 1000);
			}
			restart(f, NULL);
			close_room(f);
		}
}

/* --- Slow mode */

static void slow_mode_is_for_public_words(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	expect_order(f, (struct order){ .what = ORDER_SLOW, .seconds = 30 }, 200, "{\"seconds\":30}");
	calm(f);
	write_text(f, ann, "one");
	expect(ann, "\"one\"");
	after(f, 10000);
	write_text(f, ann, "two");
	expect(ann, "\"code\":\"rate_limited\"", "\"retry_ms\":20000", "Slow mode: one message every 30 seconds. Wait 20 more");
	say(f, ann, "{\"type\":\"text\",\"text\":\"dm\",\"to_id\":%llu}", (unsigned long long)user_of(bob)->id);
	turn(f);
	expect(ann, "\"dm\":true");
	write_text(f, bob, "mine");
	expect(ann, "\"mine\"");
	after(f, 20000);
	write_text(f, ann, "three");
	expect(ann, "\"three\"");
	restart(f, NULL);
	expect_order(f, (struct order){ .what = ORDER_SLOW, .seconds = -1 }, 200, "{\"seconds\":30}");
	break_store(f, 1);
	expect_order(f, (struct order){ .what = ORDER_SLOW, .seconds = 0 }, 507, "\"storage\"");
	expect_order(f, (struct order){ .what = ORDER_SLOW, .seconds = -1 }, 200, "{\"seconds\":30}");
	close_room(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_banned_person_leaves_and_stays_out),
		cmocka_unit_test(a_ban_ends_with_its_time),
		cmocka_unit_test(a_banned_name_is_met_however_it_is_written),
		cmocka_unit_test(a_banned_name_is_met_by_its_look_alikes),
		cmocka_unit_test(a_banned_number_is_given_to_nobody),
		cmocka_unit_test(a_muted_number_is_given_to_guests_alone),
		cmocka_unit_test(a_banned_network_is_met_by_address),
		cmocka_unit_test(with_ip_bans_where_they_were_last),
		cmocka_unit_test(bans_that_hit_others_want_force),
		cmocka_unit_test(commands_that_name_nobody_do_nothing),
		cmocka_unit_test(a_name_that_looks_like_an_id_makes_nobody_else_the_culprit),
		cmocka_unit_test(a_name_of_somebody_who_left_makes_nobody_else_the_culprit),
		cmocka_unit_test(the_longer_of_two_stands),
		cmocka_unit_test(sanctions_that_are_not_stored_are_none),
		cmocka_unit_test(ended_bans_are_dropped),
		cmocka_unit_test(a_kick_closes_and_bars_nobody),
		cmocka_unit_test(a_muted_person_is_told_and_not_heard),
		cmocka_unit_test(a_muted_network_is_not_heard),
		cmocka_unit_test(of_two_mutes_the_longer_counts),
		cmocka_unit_test(a_mute_that_ends_uncovers_a_longer_one),
		cmocka_unit_test(slow_mode_is_for_public_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
