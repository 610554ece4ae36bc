/* test_wsframe_memory.c — the memory of the WebSocket reader: what it copies, reserves, refuses and gives back. */
#include "base/ip.h"
#include "wsframe_fixture.h"

static void a_whole_message_is_not_copied(void **state)
{
	struct stream s = { 0 };
	struct ws_in in = { 0 };
	struct ws_out out;
	size_t used;
	struct ws_share share;
	uint8_t *big = xmalloc(200000);
	(void)state;
	fill(big, 200000);
	frame(&s, 0x81, big, 200000);
	frame_text(&s, 0x89, "ping");
	struct ws_budget none = { .cap_bytes = 0 };
	struct ws_limits limits = { .soft_bytes = 200000, .hard_bytes = 200000, .budget = &none };
	assert_int_equal(ws_in_feed(&in, &limits, s.p, s.len, &used, &out), WS_EV_MESSAGE);
	assert_ptr_equal(out.data, s.p + 14);
	assert_int_equal(out.len, 200000);
	assert_memory_equal(out.data, big, out.len);
	assert_int_equal(used, 200014);
	assert_null(in.msg);
	assert_null(ws_in_take(&in, &limits, &share));
	assert_int_equal(share.bytes, 0);
	assert_int_equal(ws_in_feed(&in, &limits, s.p + used, s.len - used, &used, &out), WS_EV_PING);
	assert_ptr_equal(out.data, s.p + 200020);
	assert_null(in.control);
	ws_in_fini(&in, &limits);
	free(s.p);
	free(big);
}

static void taking_a_large_message(void **state)
{
	enum { N = 150000 };
	struct stream s = { 0 };
	struct ws_in in = { 0 };
	struct ws_out out;
	struct ws_budget budget = { .cap_bytes = 1 << 20 };
	struct ws_limits limits = { .soft_bytes = 1 << 20, .hard_bytes = 1 << 20, .budget = &budget };
	size_t used;
	struct ws_share share, none;
	uint8_t *big = xmalloc(N);

	(void)state;
	fill(big, N);
	frame(&s, 0x81, big, N);
	frame(&s, 0x81, big, 1000);
	assert_int_equal(ws_in_feed(&in, &limits, s.p, 100000, &used, &out), WS_EV_MORE);
	assert_null(ws_in_take(&in, &limits, &share)); /* not finished */
	assert_int_equal(ws_in_feed(&in, &limits, s.p + 100000, 80000, &used, &out), WS_EV_MESSAGE);
	uint8_t *block = ws_in_take(&in, &limits, &share);
	assert_ptr_equal(block, out.data);
	assert_int_equal(share.bytes, N); /* no more than the frame needs */
	assert_int_equal(budget.used_bytes, share.bytes);
	/* It outlives the reader's next messages; a small one is not to be taken. */
	size_t at = 100000 + used;
	assert_int_equal(ws_in_feed(&in, &limits, s.p + at, 500, &used, &out), WS_EV_MORE);
	assert_int_equal(ws_in_feed(&in, &limits, s.p + at + used, s.len - at - used, &used, &out), WS_EV_MESSAGE);
	assert_int_equal(out.len, 1000);
	assert_null(ws_in_take(&in, &limits, &none));
	assert_memory_equal(block, big, N);
	assert_int_equal(budget.used_bytes, N);
	free(block);
	ws_budget_give(&budget, share);
	/* Idle: the next feed, even of nothing, frees what the event had shown. */
	assert_non_null(in.msg);
	assert_int_equal(ws_in_feed(&in, &limits, s.p, 0, &used, &out), WS_EV_MORE);
	assert_null(in.msg);
	ws_in_fini(&in, &limits);
	assert_int_equal(budget.used_bytes, 0);
	free(s.p);
	free(big);
}

static void memory_follows_what_arrives(void **state)
{
	enum { N = 8 << 20 };
	struct stream s = { 0 };
	struct ws_in in = { 0 };
	struct ws_out out;
	struct ws_budget budget = { .cap_bytes = SIZE_MAX };
	struct ws_limits limits = { .soft_bytes = N + 5000, .hard_bytes = 2 * N, .budget = &budget };
	uint8_t *big = xmalloc(N);
	size_t used;

	(void)state;
	fill(big, N);
	for (int is_fragmented = 0; is_fragmented < 2; is_fragmented++) {
		s.len = 0;
		frame(&s, is_fragmented ? 0x01 : 0x81, big, N);
		if (is_fragmented)
			frame(&s, 0x80, big, 5000);
		/* A header alone takes nothing. */
		assert_int_equal(ws_in_feed(&in, &limits, s.p, 14, &used, &out), WS_EV_MORE);
		assert_null(in.msg);
		enum ws_event event = WS_EV_MORE;
		for (size_t at = 14; at < s.len; at += used) {
			size_t n = WC_MIN(5000, s.len - at);
			event = ws_in_feed(&in, &limits, s.p + at, n, &used, &out);
			assert_int_equal(used, n);
			size_t arrived = at + n - 14;
			assert_true(in.msg_room <= WC_MAX(4 * arrived + 4, 512));
			assert_true(in.msg_room <= (is_fragmented ? limits.soft_bytes : (size_t)N));
			assert_int_equal(ws_in_reserved(&in), in.msg_room > WS_SMALL ? in.msg_room : 0);
			assert_int_equal(budget.used_bytes, ws_in_reserved(&in));
		}
		assert_int_equal(event, WS_EV_MESSAGE);
		assert_int_equal(out.len, N + (is_fragmented ? 5000 : 0));
		assert_int_equal(ws_in_feed(&in, &limits, s.p, 0, &used, &out), WS_EV_MORE);
		assert_int_equal(budget.used_bytes, 0);
	}
	ws_in_fini(&in, &limits);
	free(s.p);
	free(big);
}

static void a_spent_budget_blocks_only_large_ones(void **state)
{
	enum { N = 200000 };
	struct stream s = { 0 }, small = { 0 };
	struct ws_budget budget = { .cap_bytes = 100000, .used_bytes = 100000 };
	struct ws_limits limits = { .soft_bytes = 1 << 20, .hard_bytes = 1 << 20, .budget = &budget };
	struct ws_in in = { 0 }, other = { 0 };
	struct ws_out out;
	size_t used, at;
	uint8_t *big = xmalloc(N);

	(void)state;
	fill(big, N);
	frame(&s, 0x81, big, N);
	frame(&small, 0x81, big, WS_SMALL);
	assert_int_equal(ws_in_feed(&in, &limits, s.p, N - 1, &used, &out), WS_EV_BLOCKED);
	assert_int_equal(used, 14 + WS_SMALL); /* what costs nothing is taken */
	at = used;
	for (int again = 0; again < 3; again++) {
		assert_int_equal(ws_in_feed(&in, &limits, s.p + at, s.len - at, &used, &out), WS_EV_BLOCKED);
		assert_int_equal(used, 0);
	}
	/* Another reader's small message, in pieces, is not held up. */
	assert_int_equal(ws_in_feed(&other, &limits, small.p, 1000, &used, &out), WS_EV_MORE);
	assert_int_equal(ws_in_feed(&other, &limits, small.p + 1000, small.len - 1000, &used, &out), WS_EV_MESSAGE);
	assert_int_equal(out.len, WS_SMALL);
	/* Once there is budget, on it goes; without enough of it for all, the message still blocks. */
	budget.used_bytes = 0;
	assert_int_equal(ws_in_feed(&in, &limits, s.p + at, s.len - at, &used, &out), WS_EV_BLOCKED);
	assert_int_equal(used, 0);
	assert_int_equal(ws_in_feed(&in, &limits, s.p + at, 30000, &used, &out), WS_EV_MORE);
	at += used;
	budget.cap_bytes = N;
	assert_int_equal(ws_in_feed(&in, &limits, s.p + at, s.len - at, &used, &out), WS_EV_MESSAGE);
	assert_int_equal(out.len, N);
	assert_memory_equal(out.data, big, N);
	ws_in_fini(&in, &limits);
	ws_in_fini(&other, &limits);
	assert_int_equal(budget.used_bytes, 0);
	free(s.p);
	free(small.p);
	free(big);
}

/* Sums are kept by a hash with a random seed, so that two of a test may share one by chance. These are those that do not. */
static uint64_t away;
static const char *v4(int host)
{
	static char text[64];
	snprintf(text, sizeof(text), "198.51.%u.%d", (unsigned)(away % 256), host);
	return text;
}
static const char *v6(int net, int host)
{
	static char text[64];
	snprintf(text, sizeof(text), "2001:db8:%x:%d::%d", (unsigned)(away % 65536), net, host);
	return text;
}

static holder holder_at(const char *addr)
{
	uint8_t bytes[16];
	int bits;
	assert_true(ip_net_parse(addr, bytes, &bits));
	return holder_of(0, bytes);
}

static bool are_apart(const holder *v, size_t n, enum holder_by by)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (holder_place(v[i], by) == holder_place(v[j], by))
				return false;
	return true;
}

static void find_those_apart(void)
{
	holder people[34], nets[6];
	do {
		away += 100;
		for (size_t i = 0; i < WC_LEN(people); i++)
			people[i] = holder_of(away + i + 1, NULL);
		for (int host = 1; host <= 4; host++)
			nets[host - 1] = holder_at(v4(host));
		nets[4] = holder_at(v6(1, 1));
		nets[5] = holder_at(v6(2, 1));
	} while (!are_apart(people, WC_LEN(people), HOLDER_PERSON) || !are_apart(nets, WC_LEN(nets), HOLDER_HOUSEHOLD));
}

/* A reader of a message of n bytes, of which all but one have come. */
static enum ws_event begin_large(struct ws_in *in, const struct ws_limits *limits, uint64_t person, const char *addr, size_t n)
{
	struct stream s = { 0 };
	struct ws_out out;
	uint8_t *text = xmalloc(n), bytes[16];
	size_t used;
	int bits;
	assert_true(ip_net_parse(addr, bytes, &bits));
	*in = (struct ws_in){ .owner = holder_of(person + away, bytes) };
	fill(text, n);
	frame(&s, 0x81, text, n);
	const enum ws_event event = ws_in_feed(in, limits, s.p, s.len - 1, &used, &out);
	free(s.p);
	free(text);
	return event;
}

static void a_budget_is_shared_out(void **state)
{
	enum { MB = 1 << 20 };
	static struct ws_budget budget = { .cap_bytes = 16 * MB };
	const struct ws_limits limits = { .soft_bytes = 4 * MB, .hard_bytes = 8 * MB, .budget = &budget };
	struct ws_in in[24];
	size_t n = 0;
	(void)state;
	find_those_apart();
	/* Up to half of it anybody may take. */
	for (uint64_t person = 1; person <= 8; person++)
		assert_int_equal(begin_large(&in[n++], &limits, person, v4(1), MB), WS_EV_MORE);
	/* One more, or they could all wait for each other, until it is over. */
	assert_int_equal(begin_large(&in[n++], &limits, 9, v4(1), MB), WS_EV_MORE);
	assert_int_equal(begin_large(&in[n++], &limits, 10, v4(1), MB), WS_EV_BLOCKED);
	assert_true(ws_budget_is_over_share(&budget, &in[0]));
	ws_in_fini(&in[8], &limits);
	assert_int_equal(begin_large(&in[8], &limits, 11, v4(1), MB), WS_EV_MORE);
	ws_in_fini(&in[8], &limits);
	/* Then a person has an eighth, and one message past it. */
	assert_int_equal(begin_large(&in[n++], &limits, 20, v4(2), 2 * MB), WS_EV_MORE);
	assert_false(ws_budget_is_over_share(&budget, &in[n - 1]));
	assert_int_equal(begin_large(&in[n++], &limits, 20, v4(3), MB / 2), WS_EV_MORE);
	assert_int_equal(begin_large(&in[n++], &limits, 20, v4(4), MB / 2), WS_EV_BLOCKED);
	/* An address has a quarter, a network of /48 half. */
	assert_int_equal(begin_large(&in[n++], &limits, 30, v6(1, 1), 2 * MB), WS_EV_MORE);
	assert_int_equal(begin_large(&in[n++], &limits, 31, v6(1, 2), 2 * MB), WS_EV_MORE);
	assert_int_equal(begin_large(&in[n++], &limits, 32, v6(1, 3), MB / 4), WS_EV_MORE);
	assert_int_equal(begin_large(&in[n++], &limits, 33, v6(1, 4), MB / 4), WS_EV_BLOCKED);
	assert_int_equal(begin_large(&in[n++], &limits, 34, v6(2, 1), MB / 4), WS_EV_MORE);
	assert_false(ws_budget_is_over_share(&budget, &in[n - 1]));
	assert_int_equal(holdings_of(&budget.held, in[n - 1].owner, HOLDER_SITE), 4 * MB + MB / 2);
	/* Refused for its address, it is not its person's message past the share either. */
	assert_int_equal(begin_large(&in[n++], &limits, 34, v6(1, 5), 2 * MB), WS_EV_BLOCKED);
	ws_in_fini(&in[--n], &limits);
	for (int place = 0; place < HOLDER_PLACES; place++)
		assert_true(budget.first[HOLDER_PERSON][place] != &in[n]);
	while (n)
		ws_in_fini(&in[--n], &limits);
	assert_int_equal(budget.used_bytes, 0);
	for (int by = 0; by < HOLDER_BYS; by++)
		for (int place = 0; place < HOLDER_PLACES; place++)
			assert_true(budget.held.bytes[by][place] == 0 && !budget.first[by][place]);
}

static void a_waiter_is_owed_its_share(void **state)
{
	static struct ws_budget budget = { .cap_bytes = 1 << 20 };
	const struct ws_in full = { .owner = holder_of(1, NULL) }, poor = { .owner = holder_of(2, NULL) };
	(void)state;
	ws_budget_add(&budget, (struct ws_share){ 1 << 19, full.owner });
	assert_false(ws_budget_is_wanted(&budget, 1000) || ws_budget_is_owed(&budget, 1000));
	ws_budget_want(&budget, &full, 1000);
	assert_true(ws_budget_is_wanted(&budget, 3000));
	assert_false(ws_budget_is_owed(&budget, 3000));
	ws_budget_want(&budget, &poor, 4000);
	assert_true(ws_budget_is_owed(&budget, 6000));
	assert_false(ws_budget_is_wanted(&budget, 7000) || ws_budget_is_owed(&budget, 7000));
}

static void oversize_messages(void **state)
{
	static const struct ws_limits limits = { .soft_bytes = 1000, .hard_bytes = 3000 };
	struct stream s = { 0 };
	struct log want = { 0 };
	uint8_t text[4000];

	(void)state;
	fill(text, sizeof(text));
	/* The limits themselves pass. */
	frame(&s, 0x81, text, 1000);
	note(&want, "message", 0, text, 1000);
	frame(&s, 0x81, text, 1001);
	note(&want, "oversize", 0, text, WS_HEAD_KEPT);
	frame(&s, 0x81, text, 3000);
	note(&want, "oversize", 0, text, WS_HEAD_KEPT);
	/* In fragments, with a ping inside; the head is put together across them. */
	frame(&s, 0x01, text, 10);
	frame(&s, 0x00, text + 10, 990);
	frame_text(&s, 0x89, "in between");
	note(&want, "ping", 0, (const uint8_t *)"in between", 10);
	frame(&s, 0x00, text + 1000, 1);
	frame(&s, 0x80, text, 1999);
	note(&want, "oversize", 0, text, WS_HEAD_KEPT);
	frame(&s, 0x01, text, 10);
	frame(&s, 0x80, text + 10, 2000);
	note(&want, "oversize", 0, text, WS_HEAD_KEPT);
	/* The next one is sound, and one over the hard limit is the end: also as the sum of fragments. */
	frame(&s, 0x81, text, 5);
	note(&want, "message", 0, text, 5);
	frame(&s, 0x01, text, 1500);
	frame(&s, 0x80, text, 1501);
	note(&want, "fail", 1009, NULL, 0);
	check_whole(&s, &limits, want.p);
	check_against_naive(&s, &limits);
	for (size_t cut = 0; cut < s.len; cut += 11) {
		struct feeder f = { .limits = limits };
		feed(&f, s.p, cut);
		feed(&f, s.p + cut, s.len - cut);
		assert_string_equal(log_text(&f.log), want.p);
		feeder_fini(&f);
	}
	free(want.p);
	/* What was held before the message became oversize counts as well. */
	s.len = 0;
	struct log sum = { 0 };
	frame(&s, 0x01, text, 1000);
	frame(&s, 0x00, text, 1000);
	frame(&s, 0x80, text, 1001);
	note(&sum, "fail", 1009, NULL, 0);
	check_whole(&s, &limits, sum.p);
	check_against_naive(&s, &limits);
	free(sum.p);
	/* Hard: judged from the header, before a byte of it. */
	s.len = 0;
	frame_as(&s, 0x81, -1, text, "", 0, 3001);
	struct log early = { 0 };
	note(&early, "fail", 1009, NULL, 0);
	check_every_split(&s, &limits, early.p);
	free(early.p);
	/* What is thrown away is still checked, and a head never ends inside a character. */
	for (size_t shift = 0; shift < 4; shift++) {
		for (size_t i = 0; i + 4 <= 2000; i += 4)
			memcpy(text + shift + i, "\xf0\x9f\x8c\x8a", 4);
		memset(text, 'x', shift);
		s.len = 0;
		frame(&s, 0x81, text, 1600 + shift);
		frame(&s, 0x81, text, 1600 + shift - 1);
		check_against_naive(&s, &limits);
		text[1500] = 0xff;
		s.len = 0;
		frame(&s, 0x81, text, 1700);
		check_against_naive(&s, &limits);
	}
	free(s.p);
}

static void holding_an_oversize_head_costs_no_budget(void **state)
{
	struct ws_budget budget = { .cap_bytes = 1 << 20 };
	struct ws_limits limits = { .soft_bytes = 200000, .hard_bytes = 1 << 20, .budget = &budget };
	struct stream s = { 0 };
	struct ws_in in = { 0 };
	struct ws_out out;
	size_t used;
	uint8_t *text = xmalloc(200000);
	(void)state;
	fill(text, 200000);
	frame(&s, 0x01, text, 200000);
	size_t second = s.len;
	frame(&s, 0x80, text, 200000);
	assert_int_equal(ws_in_feed(&in, &limits, s.p, second, &used, &out), WS_EV_MORE);
	assert_int_equal(budget.used_bytes, 200000);
	assert_int_equal(ws_in_feed(&in, &limits, s.p + second, 100, &used, &out), WS_EV_MORE);
	assert_int_equal(budget.used_bytes, 0);
	assert_int_equal(in.msg_room, WS_HEAD_KEPT);
	assert_int_equal(ws_in_feed(&in, &limits, s.p + second + 100, s.len - second - 100, &used, &out), WS_EV_OVERSIZE);
	assert_memory_equal(out.data, text, WS_HEAD_KEPT);
	struct ws_share share;
	assert_null(ws_in_take(&in, &limits, &share));
	ws_in_fini(&in, &limits);
	free(s.p);
	free(text);
}

/* An administrator may lower the limit in the middle of a message. The frame that has begun is read as it was judged, and its memory is
 * never made smaller than what has come; the next one is judged anew. */
static void a_limit_that_comes_down_while_reading(void **state)
{
	enum { N = 150000 };
	uint8_t *text = xmalloc(N);

	(void)state;
	fill(text, N);
	for (size_t first = 1; first < N; first += 9973) {
		struct ws_budget budget = { .cap_bytes = 1 << 20 };
		struct ws_limits limits = { .soft_bytes = 1 << 20, .hard_bytes = 2 << 20, .budget = &budget };
		struct stream s = { 0 };
		struct ws_in in = { 0 };
		struct ws_out out;
		size_t used, at = 0;
		frame(&s, 0x81, text, N);
		frame(&s, 0x81, text, N);
		assert_int_equal(ws_in_feed(&in, &limits, s.p, first, &used, &out), WS_EV_MORE);
		limits.soft_bytes = 1000;
		limits.hard_bytes = 2000;
		at = first;
		while (at < s.len) {
			size_t n = WC_MIN(s.len - at, (size_t)7001);
			uint8_t *piece = xmalloc(n);
			memcpy(piece, s.p + at, n);
			enum ws_event event = ws_in_feed(&in, &limits, piece, n, &used, &out);
			at += used;
			if (event == WS_EV_MESSAGE) {
				assert_int_equal(out.len, N);
				assert_memory_equal(out.data, text, N);
			}
			free(piece);
			if (event == WS_EV_FAIL)
				break;
			assert_true(event == WS_EV_MORE || event == WS_EV_MESSAGE);
		}
		/* The second one is over what holds by then. */
		assert_int_equal(out.event, WS_EV_FAIL);
		assert_int_equal(out.code, WS_CLOSE_TOO_BIG);
		ws_in_fini(&in, &limits);
		assert_int_equal(budget.used_bytes, 0);
		free(s.p);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_message_is_not_copied),
		cmocka_unit_test(taking_a_large_message),
		cmocka_unit_test(memory_follows_what_arrives),
		cmocka_unit_test(a_spent_budget_blocks_only_large_ones),
		cmocka_unit_test(a_budget_is_shared_out),
		cmocka_unit_test(a_waiter_is_owed_its_share),
		cmocka_unit_test(oversize_messages),
		cmocka_unit_test(holding_an_oversize_head_costs_no_budget),
		cmocka_unit_test(a_limit_that_comes_down_while_reading),
	};

	return cmocka_run_group_tests_name("wsframe_memory", tests, NULL, NULL);
}
