/* test_limit.c — how fast people may send: each limit lets its burst pass, refuses what is beyond, says when to go on, and means it. */
#include "room_fixture.h"

static void send_texts(struct fixture *f, struct client *c, int n)
{
	for (int i = 0; i < n; i++)
		say(f, c, "{\"type\":\"text\",\"text\":\"word\"}");
	turn(f);
}

static void expect_texts(struct client *c, int n)
{
	for (int i = 0; i < n; i++)
		expect(c, "{\"type\":\"text\"", "\"word\"");
}

/* --- Messages */

static void messages_beyond_a_burst_wait(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.message_rate = 1;
	set.message_burst = 3;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	send_texts(f, ann, 3);
	say(f, ann, "{\"type\":\"text\",\"text\":\"late\",\"cid\":\"c4\"}");
	turn(f);
	expect_texts(ann, 3);
	expect_texts(bob, 3);
	expect(ann, "{\"type\":\"error\"", "\"code\":\"rate_limited\"", "\"cid\":\"c4\"", "\"retry_ms\":1000",
	       "Too many messages at once: wait 1 s");
	expect_nothing(bob);
	after(f, 999);
	send_texts(f, ann, 1);
	expect(ann, "\"code\":\"rate_limited\"", "\"retry_ms\":1}");
	after(f, 1);
	send_texts(f, ann, 2);
	expect_texts(ann, 1);
	expect(ann, "\"code\":\"rate_limited\"");
	/* Bob has a bucket of his own. */
	send_texts(f, bob, 1);
	expect_texts(bob, 2);
	expect_nothing(bob);
	close_room(f);
}

static void tabs_of_one_person_share_a_bucket(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.message_rate = 1;
	set.message_burst = 2;
	struct fixture *f = open_room(&set, NULL);
	struct client *tab = client_new(f, "10.0.0.1"), *other = client_new(f, "10.0.0.9");
	say(f, tab, "{\"type\":\"join\",\"v\":2,\"name\":\"Ann\"}");
	turn(f);
	char *token = text_of(expect(tab, "\"token\""), "token");
	say(f, other, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\"}", token);
	free(token);
	calm(f);
	send_texts(f, tab, 2);
	send_texts(f, other, 1);
	expect_texts(other, 2);
	expect(other, "\"code\":\"rate_limited\"");
	close_room(f);
}

static void one_person_is_in_64_places_at_most(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = client_new(f, "10.0.0.1"), *last = NULL;
	say(f, ann, "{\"type\":\"join\",\"v\":2,\"name\":\"Ann\"}");
	turn(f);
	char *token = text_of(expect(ann, "\"token\""), "token");
	for (int i = 0; i < 64; i++) {
		last = client_new(f, "10.0.0.2");
		say(f, last, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\"}", token);
		settle(f);
		if (i < 63)
			expect(last, "\"my_name\":\"Ann\"");
	}
	const uint64_t before = metric_get(M_LIMITED_DEVICES);
	expect(last, "\"code\":\"rate_limited\"", "too many places at once: close some", "\"retry_ms\":10000");
	calm(f);
	say(f, ann, "{\"type\":\"link\"}");
	turn(f);
	char *code = text_of(expect(ann, "\"type\":\"link\""), "code");
	say(f, last, "{\"type\":\"join\",\"v\":2,\"code\":\"%s\"}", code);
	settle(f);
	expect(last, "\"code\":\"rate_limited\"");
	assert_int_equal(metric_get(M_LIMITED_DEVICES), before + 1);
	/* One goes, so the next may come. */
	leave(f, ann);
	settle(f);
	say(f, last, "{\"type\":\"join\",\"v\":2,\"code\":\"%s\"}", code);
	settle(f);
	expect(last, "\"my_name\":\"Ann\"");
	free(code);
	free(token);
	close_room(f);
}

static void text_for_everybody_has_a_limit_by_address(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.address_bytes_kb = 1024; /* to everybody: 32 KB a second, the least, and 512 KB at once */
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.1", "Bob"), *far = join_2(f, "10.0.0.2", "Cy");
	char text[2000 * 6 + 1] = "";
	for (int i = 0; i < 2000; i++)
		memcpy(text + (size_t)i * 6, i & 1 ? "\\u0001" : "\\u2028", 7);
	calm(f);
	for (int i = 0; i < 44; i++) /* of 12,000 bytes each */
		say(f, i & 1 ? ann : bob, "{\"type\":\"text\",\"text\":\"<%s>\"}", text);
	turn(f);
	forget_frames(f);
	say(f, ann, "{\"type\":\"text\",\"text\":\"more\"}");
	turn(f);
	expect(ann, "\"code\":\"rate_limited\"", "Too much text for everybody from your address");
	say(f, far, "{\"type\":\"text\",\"text\":\"far\"}");
	say(f, ann, "{\"type\":\"text\",\"text\":\"private\",\"to_id\":%llu}", (unsigned long long)2);
	turn(f);
	expect(ann, "\"far\"");
	expect(ann, "\"private\"");
	close_room(f);
}

static char *base64_of_zeros(size_t n)
{
	size_t len = (n + 2) / 3 * 4;
	char *text = xcalloc(1, len + 1);
	memset(text, 'A', len);
	return text;
}

static void say_file(struct fixture *f, struct client *c, size_t bytes)
{
	char *data = base64_of_zeros(bytes);
	say(f, c, "{\"type\":\"file\",\"filename\":\"a.bin\",\"data\":\"%s\"}", data);
	free(data);
	turn(f);
}

static void bytes_are_counted_as_well(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.byte_rate_kb = 256;
	set.byte_burst_mb = 1;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	say_file(f, ann, 1024 * 1023); /* the burst, but for a KB, then what is over it: paid for afterwards */
	say_file(f, ann, 256 * 1024);
	expect(ann, "{\"type\":\"file\"");
	expect(ann, "{\"type\":\"file\"");
	assert_false(conn_files_are_refused(ann->conn));
	say_file(f, ann, 3);
	uint64_t wait_ms = number_of(expect(ann, "\"code\":\"rate_limited\""), "retry_ms");
	assert_in_range(wait_ms, 900, 1000);            /* 255 KB over, at 256 KB a second */
	assert_true(conn_files_are_refused(ann->conn)); /* the next one is not worth a disk's work */
	after(f, (int64_t)wait_ms);
	assert_false(conn_files_are_refused(ann->conn));
	say_file(f, ann, 3);
	expect(ann, "{\"type\":\"file\"");
	close_room(f);
}

static void an_unread_file_is_refused_and_costs_nothing(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.message_rate = 1;
	set.message_burst = 1;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	/* Its bytes were thrown away while Ann was over a limit; by now she is not. */
	struct event *e = event_new_small(EV_FILE, ann->conn, 0);
	e->holds_conn = e->file.is_unread = true;
	e->file.size = 1000;
	e->file.filename = STR("a.bin");
	inbox_push_one(f->opts.inbox, e);
	turn(f);
	expect(ann, "\"code\":\"rate_limited\"", "\"retry_ms\":1000");
	send_texts(f, ann, 1);
	expect_texts(ann, 1);
	close_room(f);
}

static void what_is_stored_already_is_a_request(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.message_rate = 1;
	set.message_burst = 1;
	set.request_rate = 1; /* ten at once */
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	say(f, ann, "{\"type\":\"text\",\"text\":\"once\",\"cid\":\"c1\"}");
	turn(f);
	uint64_t id = number_of(expect(ann, "\"once\""), "id");
	expect(bob, "\"once\"");
	for (int i = 0; i < 10; i++) { /* over the limit of messages, and answered with the first one all the same */
		say(f, ann, "{\"type\":\"text\",\"text\":\"once\",\"cid\":\"c1\"}");
		turn(f);
		assert_true(number_of(expect(ann, "\"once\"", "\"cid\":\"c1\""), "id") == id);
	}
	say(f, ann, "{\"type\":\"text\",\"text\":\"once\",\"cid\":\"c1\"}");
	turn(f);
	expect(ann, "\"code\":\"rate_limited\"", "Too many repetitions at once", "\"cid\":\"c1\"");
	/* The same cid with other words is no repetition. */
	say(f, ann, "{\"type\":\"text\",\"text\":\"twice\",\"cid\":\"c1\"}");
	turn(f);
	expect(ann, "\"code\":\"rate_limited\"", "Too many messages at once");
	expect_nothing(bob);
	close_room(f);
}

static void what_the_store_refuses_is_given_back(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.message_rate = 1;
	set.message_burst = 1;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	for (int i = 0; i < 5; i++) {
		break_store(f, 3); /* begin, savepoint, the message */
		send_texts(f, ann, 1);
		expect(ann, "\"code\":\"storage\"");
	}
	break_store(f, 0);
	send_texts(f, ann, 2);
	expect_texts(ann, 1);
	expect(ann, "\"code\":\"rate_limited\"");
	close_room(f);
}

/* The repeat gave its charge back when it was found. That the first one is lost behind it, and so it is, too, gives nothing more. */
static void a_lost_repeat_is_given_back_once(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.message_rate = 1;
	set.message_burst = 5;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	send_texts(f, ann, 3); /* two are left */
	expect_texts(ann, 3);
	for (int step = 2; step <= 12; step++) { /* from the first savepoint to behind the commit */
		int lost = 0;
		break_store(f, step);
		say(f, ann, "{\"type\":\"text\",\"text\":\"x\",\"cid\":\"c\"}");
		say(f, ann, "{\"type\":\"text\",\"text\":\"x\",\"cid\":\"c\"}");
		turn(f);
		break_store(f, 0);
		for (; ann->seen < ann->count; ann->seen++)
			lost += strstr(ann->frame[ann->seen], "\"code\":\"storage\"") != NULL;
		if (lost < 2)
			break; /* both, or one, got through */
	}
	send_texts(f, ann, 2);
	expect_texts(ann, 1); /* the one that got through cost one */
	expect(ann, "\"code\":\"rate_limited\"");
	close_room(f);
}

static void a_flood_is_muted_then_sent_away(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.message_rate = 1;
	set.message_burst = 1;
	set.flood_mute_s = 60;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	send_texts(f, ann, 1 + PACE_STRIKES);
	expect_texts(ann, 1);
	for (int i = 0; i < PACE_STRIKES; i++)
		expect(ann, "\"code\":\"rate_limited\"");
	expect_nothing(ann);
	send_texts(f, ann, 1);
	expect(ann, "\"code\":\"muted\"", "\"retry_ms\":60000", "You went on sending too fast and are muted: wait 60 s");
	expect_open(ann);
	/* Waiting for the bucket is not enough now. */
	after(f, 2000);
	send_texts(f, ann, 1);
	expect(ann, "\"code\":\"muted\"", "\"retry_ms\":58000");
	send_texts(f, ann, 1000);
	while (ann->seen < ann->count)
		expect(ann, "\"code\":\"muted\"");
	expect_closed(ann, WS_CLOSE_POLICY, "too fast for too long");
	assert_int_equal(ann->close_why, M_EVICTED_FLOOD);
	assert_in_range(ann->count, 2 * PACE_STRIKES, 2 * PACE_STRIKES + 40); /* what followed got no answer */
	expect_texts(bob, 1);
	expect_nothing(bob);
	close_room(f);
}

static void without_a_mute_a_flood_is_only_refused(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.message_rate = 1;
	set.message_burst = 1;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	send_texts(f, ann, 1 + 3 * PACE_STRIKES);
	expect_texts(ann, 1);
	for (int i = 0; i < 3 * PACE_STRIKES; i++)
		expect(ann, "\"code\":\"rate_limited\"");
	expect_open(ann);
	close_room(f);
}

/* --- Requests and typing */

static void requests_have_ten_seconds_worth(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.request_rate = 2;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann");
	calm(f);
	for (int i = 0; i < 21; i++)
		say(f, ann, "{\"type\":\"ping\"}");
	turn(f);
	for (int i = 0; i < 20; i++)
		expect(ann, "{\"type\":\"pong\"}");
	expect(ann, "\"code\":\"rate_limited\"", "Too many requests at once", "\"retry_ms\":500");
	/* A frame that makes no sense, and a second join, cost as much. */
	say(f, ann, "{\"type\":\"text\",\"text\":7}");
	say(f, ann, "{\"type\":\"join\",\"v\":2,\"name\":\"Eve\"}");
	turn(f);
	expect(ann, "\"code\":\"rate_limited\"");
	expect(ann, "\"code\":\"rate_limited\"");
	after(f, 500);
	say(f, ann, "{\"type\":\"join\",\"v\":2,\"name\":\"Eve\"}");
	turn(f);
	expect(ann, "\"code\":\"bad_request\"", "already joined");
	send_texts(f, ann, 1); /* messages are another bucket */
	expect_texts(ann, 1);
	close_room(f);
}

static void typing_beyond_its_rate_is_dropped(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.typing_rate = 1;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.2", "Bob");
	calm(f);
	for (int i = 0; i < 9; i++)
		say(f, ann, "{\"type\":\"typing\"}");
	turn(f);
	for (int i = 0; i < 3; i++)
		expect(bob, "{\"type\":\"typing\"", "\"Ann\"");
	expect_nothing(bob);
	expect_nothing(ann); /* and is no reason to complain */
	after(f, 1000);
	say(f, ann, "{\"type\":\"typing\"}");
	turn(f);
	expect(bob, "{\"type\":\"typing\"");
	close_room(f);
}

/* --- By address */

static void people_of_one_address_share_its_messages(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct ip_net exempt_net = { .bits = 128 };
	assert_true(ip_net_parse("10.9.9.9", exempt_net.addr, &exempt_net.bits));
	set.address_rate = 1; /* 60 at once */
	set.exempt = (struct ip_nets){ &exempt_net, 1 };
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.1", "Bob"), *eve = join_2(f, "10.0.0.2", "Eve"),
		      *kim = join_2(f, "10.9.9.9", "Kim");
	calm(f);
	send_texts(f, ann, 30);
	send_texts(f, bob, 30);
	say(f, bob, "{\"type\":\"text\",\"text\":\"late\",\"cid\":\"c\"}");
	turn(f);
	expect_texts(bob, 60);
	expect(bob, "\"code\":\"rate_limited\"", "\"cid\":\"c\"", "\"retry_ms\":1000", "Too many messages from your address: wait 1 s");
	send_texts(f, eve, 1);
	send_texts(f, kim, 61); /* exempt */
	expect_texts(eve, 122);
	expect_nothing(eve);
	after(f, 1000);
	send_texts(f, bob, 2);
	expect_texts(bob, 63);
	expect(bob, "\"code\":\"rate_limited\"", "\"retry_ms\":1000");
	close_room(f);
}

static void people_of_one_address_share_its_bytes(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.address_bytes_kb = 10; /* 600 KB at once */
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.1", "Bob");
	calm(f);
	say_file(f, ann, 500 * 1024);
	say_file(f, bob, 120 * 1024); /* some was left: the rest is paid for afterwards */
	expect(bob, "{\"type\":\"file\"");
	expect(bob, "{\"type\":\"file\"");
	say_file(f, ann, 3);
	say_file(f, bob, 3);
	expect(bob, "\"code\":\"rate_limited\"", "\"retry_ms\":2001", "Too many bytes from your address: wait 3 s");
	assert_true(conn_files_are_refused(ann->conn));
	close_room(f);
}

static void people_of_one_address_share_its_requests(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.address_requests = 1; /* ten at once */
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.1", "Bob"), *eve = join_2(f, "10.0.0.2", "Eve");
	calm(f);
	for (int i = 0; i < 6; i++) {
		say(f, ann, "{\"type\":\"ping\"}");
		say(f, bob, "{\"type\":\"ping\"}");
		say(f, eve, "{\"type\":\"ping\"}");
	}
	turn(f);
	for (int i = 0; i < 6; i++)
		expect(eve, "{\"type\":\"pong\"}");
	for (int i = 0; i < 5; i++)
		expect(bob, "{\"type\":\"pong\"}");
	expect(bob, "\"code\":\"rate_limited\"", "Too many requests from your address: wait 1 s");
	close_room(f);
}

static void people_of_one_address_share_its_typing(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.address_rate = 1; /* 60 at once, as of messages */
	set.typing_rate = 30;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *bob = join_2(f, "10.0.0.1", "Bob"), *eve = join_2(f, "10.0.0.2", "Eve");
	calm(f);
	for (int i = 0; i < 40; i++) {
		say(f, ann, "{\"type\":\"typing\"}");
		say(f, bob, "{\"type\":\"typing\"}");
	}
	turn(f);
	for (int i = 0; i < 60; i++)
		expect(eve, "{\"type\":\"typing\"");
	expect_nothing(eve);
	close_room(f);
}

/* --- New people */

static void new_people_of_one_address_wait(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	struct ip_net exempt_net = { .bits = 128 };
	assert_true(ip_net_parse("10.9.9.9", exempt_net.addr, &exempt_net.bits));
	set.new_people = 2; /* in ten minutes */
	set.exempt = (struct ip_nets){ &exempt_net, 1 };
	struct fixture *f = open_room(&set, NULL);
	(void)join_2(f, "10.0.0.1", "Ann");
	(void)join_1(f, "10.0.0.1", "Bob");
	struct client *eve = client_new(f, "10.0.0.1"), *old = client_new(f, "10.0.0.1");
	say(f, eve, "{\"type\":\"join\",\"v\":2,\"name\":\"Eve\"}");
	say(f, old, "{\"type\":\"join\",\"name\":\"Old\"}");
	turn(f);
	expect(eve, "\"code\":\"rate_limited\"", "\"retry_ms\":300000", "Too many new people from your address: wait 300 s");
	expect_open(eve); /* it may try again on the same connection */
	assert_int_equal(eve->resumes, 1);
	expect(old, "Too many new people");
	expect_closed(old, WS_CLOSE_POLICY, "not let in"); /* the first dialect does not know that it may */
	(void)join_2(f, "10.0.0.2", "Other");
	for (int i = 0; i < 5; i++)
		(void)join_2(f, "10.9.9.9", "Exempt");
	after(f, 300000);
	say(f, eve, "{\"type\":\"join\",\"v\":2,\"name\":\"Eve\"}");
	turn(f);
	expect(eve, "{\"type\":\"init\"", "\"my_name\":\"Eve\"");
	close_room(f);
}

static void somebody_known_is_not_new(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.new_people = 1;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = client_new(f, "10.0.0.1");
	say(f, ann, "{\"type\":\"join\",\"v\":2,\"name\":\"Ann\"}");
	turn(f);
	char *token = text_of(expect(ann, "\"token\""), "token");
	for (int i = 0; i < 3; i++) {
		struct client *tab = client_new(f, "10.0.0.1");
		say(f, tab, "{\"type\":\"join\",\"v\":2,\"token\":\"%s\"}", token);
		turn(f);
		expect(tab, "{\"type\":\"init\"", "\"my_name\":\"Ann\"");
	}
	free(token);
	close_room(f);
}

static void a_join_that_fails_makes_nobody_new(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.new_people = 1;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = client_new(f, "10.0.0.1");
	for (int step = 1; step <= 4; step++) {
		break_store(f, step);
		say(f, ann, "{\"type\":\"join\",\"v\":2,\"name\":\"Ann\"}");
		turn(f);
		expect(ann, "\"code\":\"storage\"");
	}
	break_store(f, 0);
	assert_int_equal(f->room->users.by_id.n, 0);
	say(f, ann, "{\"type\":\"join\",\"v\":2,\"name\":\"Ann\"}");
	turn(f);
	expect(ann, "{\"type\":\"init\"", "\"my_name\":\"Ann\"");
	close_room(f);
}

/* --- Other settings */

static void other_limits_begin_with_full_buckets(void **state)
{
	(void)state;
	struct room_settings set = some_settings();
	set.message_rate = 1;
	set.message_burst = 1;
	set.flood_mute_s = 60;
	struct fixture *f = open_room(&set, NULL);
	struct client *ann = join_2(f, "10.0.0.1", "Ann"), *eve = join_2(f, "10.0.0.2", "Eve");
	calm(f);
	send_texts(f, eve, 2 + PACE_STRIKES);
	send_texts(f, ann, 2);
	assert_non_null(strstr(ann->frame[ann->count - 1], "rate_limited"));
	assert_non_null(strstr(eve->frame[eve->count - 2], "\"muted\""));
	forget_frames(f);
	room_set(f->room, &set, NULL); /* the same again changes nothing */
	send_texts(f, ann, 1);
	expect(ann, "rate_limited");
	set.message_burst = 2;
	room_set(f->room, &set, NULL);
	send_texts(f, ann, 3);
	expect_texts(ann, 2);
	expect(ann, "rate_limited");
	send_texts(f, eve, 1);
	skip_to(eve, "error");
	assert_non_null(strstr(eve->frame[eve->seen - 1], "\"muted\"")); /* who is muted stays so */
	set.message_rate = 0;
	room_set(f->room, &set, NULL);
	forget_frames(f);
	send_texts(f, ann, 100);
	expect_texts(ann, 100);
	close_room(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_beyond_a_burst_wait),
		cmocka_unit_test(tabs_of_one_person_share_a_bucket),
		cmocka_unit_test(text_for_everybody_has_a_limit_by_address),
		cmocka_unit_test(one_person_is_in_64_places_at_most),
		cmocka_unit_test(bytes_are_counted_as_well),
		cmocka_unit_test(an_unread_file_is_refused_and_costs_nothing),
		cmocka_unit_test(what_is_stored_already_is_a_request),
		cmocka_unit_test(what_the_store_refuses_is_given_back),
		cmocka_unit_test(a_lost_repeat_is_given_back_once),
		cmocka_unit_test(a_flood_is_muted_then_sent_away),
		cmocka_unit_test(without_a_mute_a_flood_is_only_refused),
		cmocka_unit_test(requests_have_ten_seconds_worth),
		cmocka_unit_test(typing_beyond_its_rate_is_dropped),
		cmocka_unit_test(people_of_one_address_share_its_messages),
		cmocka_unit_test(people_of_one_address_share_its_bytes),
		cmocka_unit_test(people_of_one_address_share_its_requests),
		cmocka_unit_test(people_of_one_address_share_its_typing),
		cmocka_unit_test(new_people_of_one_address_wait),
		cmocka_unit_test(somebody_known_is_not_new),
		cmocka_unit_test(a_join_that_fails_makes_nobody_new),
		cmocka_unit_test(other_limits_begin_with_full_buckets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
