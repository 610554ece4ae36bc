/* test_wsframe.c — the WebSocket reader: its rules, every split, and a naive reader to agree with. */
#include "wsframe_fixture.h"

static void headers_to_send(void **state)
{
	static const struct {
		enum ws_opcode opcode;
		uint64_t len;
		uint8_t want[WS_HEADER_MAX];
		size_t size;
	} cases[] = {
		{ WS_TEXT, 0, { 0x81, 0 }, 2 },
		{ WS_TEXT, 125, { 0x81, 125 }, 2 },
		{ WS_PING, 4, { 0x89, 4 }, 2 },
		{ WS_CLOSE, 2, { 0x88, 2 }, 2 },
		{ WS_TEXT, 126, { 0x81, 126, 0, 126 }, 4 },
		{ WS_TEXT, 65535, { 0x81, 126, 255, 255 }, 4 },
		{ WS_TEXT, 65536, { 0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0 }, 10 },
		{ WS_BINARY, 0x0123456789abcdef, { 0x82, 127, 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef }, 10 },
	};
	uint8_t out[WS_HEADER_MAX];

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		assert_int_equal(ws_header(out, cases[i].opcode, cases[i].len), cases[i].size);
		assert_memory_equal(out, cases[i].want, cases[i].size);
	}
}

static void close_codes(void **state)
{
	static const int good[] = { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4001, 4999 };
	static const int bad[] = { -1, 0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535, 65536 };

	(void)state;
	for (size_t i = 0; i < WC_LEN(good); i++)
		assert_true(ws_close_code_ok(good[i]));
	for (size_t i = 0; i < WC_LEN(bad); i++)
		assert_false(ws_close_code_ok(bad[i]));
}

static void sizes_and_masks(void **state)
{
	static const size_t sizes[] = { 0,   1,   2,   7,   8,   9,   31,   32,    33,    124,   125,   126,   127,
		                        255, 256, 257, 511, 512, 513, 4096, 65534, 65535, 65536, 65537, 70000, 300000 };
	static const uint8_t masks[][4] = { { 0, 0, 0, 0 }, { 255, 255, 255, 255 }, { 1, 2, 3, 4 }, { 0x80, 0, 0x7f, 0xee } };
	uint8_t *text = xmalloc(300000);

	(void)state;
	fill(text, 300000);
	for (size_t i = 0; i < WC_LEN(sizes); i++) {
		for (size_t k = 0; k < WC_LEN(masks); k++) {
			struct stream s = { 0 };
			frame_as(&s, 0x81, -1, masks[k], text, sizes[i], sizes[i]);
			frame_as(&s, 0x81, -1, masks[k], "after", 5, 5);
			struct log want = { 0 };
			note(&want, "message", 0, text, sizes[i]);
			note(&want, "message", 0, (const uint8_t *)"after", 5);
			check_whole(&s, &roomy, want.p);
			free(want.p);
			check_against_naive(&s, &roomy);
			free(s.p);
		}
	}
	free(text);
}

/* One stream, the last event's name and code. */
struct rule {
	const char *title;
	const char *bytes;
	size_t len;
	const char *last;
	int code;
};
#define M4 "\0\0\0\0"
#define RULE(title, bytes, last, code) \
	{ \
		title, bytes, sizeof(bytes) - 1, last, code \
	}

/* clang-format off */
static const struct rule rules[] = {
	RULE("plain", "\x81\x82" M4 "hi", "message", 0),
	RULE("empty", "\x81\x80" M4, "message", 0),
	RULE("reserved bit 1", "\xc1\x80" M4, "fail", 1002),
	RULE("reserved bit 2", "\xa1\x80" M4, "fail", 1002),
	RULE("reserved bit 3", "\x91\x80" M4, "fail", 1002),
	RULE("reserved bit on a ping", "\xc9\x80" M4, "fail", 1002),
	RULE("reserved bit on a continuation", "\x01\x81" M4 "a\xc0\x80" M4, "fail", 1002),
	RULE("opcode 3", "\x83\x80" M4, "fail", 1002),
	RULE("opcode 7", "\x87\x80" M4, "fail", 1002),
	RULE("opcode 11", "\x8b\x80" M4, "fail", 1002),
	RULE("opcode 15", "\x8f\x80" M4, "fail", 1002),
	RULE("opcode 5 within a message", "\x01\x81" M4 "a\x05\x80" M4, "fail", 1002),
	RULE("fragmented ping", "\x09\x80" M4, "fail", 1002),
	RULE("fragmented pong", "\x0a\x80" M4, "fail", 1002),
	RULE("fragmented close", "\x08\x80" M4, "fail", 1002),
	RULE("ping of 126", "\x89\xfe\0\x7e" M4, "fail", 1002),
	RULE("ping of 125 in a long form", "\x89\xfe\0\x7d" M4, "fail", 1002),
	RULE("ping with a 64-bit length", "\x89\xff\0\0\0\0\0\0\0\0" M4, "fail", 1002),
	RULE("unmasked text", "\x81\x02hi", "fail", 1002),
	RULE("unmasked ping", "\x89\x00", "fail", 1002),
	RULE("unmasked close", "\x88\x00", "fail", 1002),
	RULE("continuation of nothing", "\x80\x80" M4, "fail", 1002),
	RULE("continuation of nothing, not final", "\x00\x80" M4, "fail", 1002),
	RULE("continuation after a whole message", "\x81\x81" M4 "a\x80\x81" M4 "b", "fail", 1002),
	RULE("continuation after a fragmented message", "\x01\x81" M4 "a\x80\x81" M4 "b\x80\x81" M4 "c", "fail", 1002),
	RULE("text within a message", "\x01\x81" M4 "a\x81\x81" M4 "b", "fail", 1002),
	RULE("text within a message begun empty", "\x01\x80" M4 "\x81\x80" M4, "fail", 1002),
	RULE("binary within a message", "\x01\x81" M4 "a\x82\x81" M4 "b", "fail", 1002),
	RULE("binary", "\x82", "fail", 1003),
	RULE("fragmented binary", "\x02", "fail", 1003),
	RULE("two bytes for 125", "\x81\xfe\0\x7d" M4, "fail", 1002),
	RULE("two bytes for 0", "\x81\xfe\0\0" M4, "fail", 1002),
	RULE("eight bytes for 65535", "\x81\xff\0\0\0\0\0\0\xff\xff" M4, "fail", 1002),
	RULE("eight bytes for 0", "\x81\xff\0\0\0\0\0\0\0\0" M4, "fail", 1002),
	RULE("highest bit of the length", "\x81\xff\x80\0\0\0\0\1\0\0" M4, "fail", 1002),
	RULE("all bits of the length", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff" M4, "fail", 1002),
	RULE("the longest lawful length", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M4, "fail", 1009),
	RULE("longest length as a continuation", "\x01\x81" M4 "a\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M4, "fail", 1009),
	RULE("just over hard_bytes", "\x81\xff\0\0\0\0\0\x20\0\1" M4, "fail", 1009),
	RULE("fragmented", "\x01\x82" M4 "ab\x00\x80" M4 "\x00\x82" M4 "cd\x80\x81" M4 "e", "message", 0),
	RULE("all fragments empty", "\x01\x80" M4 "\x00\x80" M4 "\x80\x80" M4, "message", 0),
	RULE("ping within a message", "\x01\x82" M4 "ab\x89\x81" M4 "!\x80\x81" M4 "e", "message", 0),
	RULE("empty pong within a message", "\x01\x82" M4 "ab\x8a\x80" M4 "\x80\x80" M4, "message", 0),
	RULE("close within a message", "\x01\x82" M4 "ab\x88\x82" M4 "\x03\xe8\x80\x81" M4 "e", "close", 1000),
	RULE("close without a code", "\x88\x80" M4, "close", 1005),
	RULE("close of one byte", "\x88\x81" M4 "\x03", "fail", 1002),
	RULE("close 1000", "\x88\x82" M4 "\x03\xe8", "close", 1000),
	RULE("close 4999 with a reason", "\x88\x86" M4 "\x13\x87" "bye!", "close", 4999),
	RULE("close 0", "\x88\x82" M4 "\0\0", "fail", 1002),
	RULE("close 999", "\x88\x82" M4 "\x03\xe7", "fail", 1002),
	RULE("close 1004", "\x88\x82" M4 "\x03\xec", "fail", 1002),
	RULE("close 1005", "\x88\x82" M4 "\x03\xed", "fail", 1002),
	RULE("close 1006", "\x88\x82" M4 "\x03\xee", "fail", 1002),
	RULE("close 1015", "\x88\x82" M4 "\x03\xf7", "fail", 1002),
	RULE("close 2999", "\x88\x82" M4 "\x0b\xb7", "fail", 1002),
	RULE("close 65535", "\x88\x82" M4 "\xff\xff", "fail", 1002),
	RULE("close reason not UTF-8", "\x88\x84" M4 "\x03\xe8\xc0\xaf", "fail", 1007),
	RULE("close reason cut", "\x88\x83" M4 "\x03\xe8\xd0", "fail", 1007),
	RULE("nothing after close", "\x88\x82" M4 "\x03\xe8\x81\x81" M4 "a\xff\xff", "close", 1000),
	RULE("bad byte", "\x81\x83" M4 "a\xff", "fail", 1007),
	RULE("bad before the rest has come", "\x81\xfe\x10\0" M4 "\xed\xa0", "fail", 1007),
	RULE("text ends inside a character", "\x81\x81" M4 "\xd0", "fail", 1007),
	RULE("character across fragments", "\x01\x81" M4 "\xd0\x80\x81" M4 "\xb6", "message", 0),
	RULE("character across three, a ping between", "\x01\x81" M4 "\xf0\x00\x82" M4 "\x9f\x8c\x89\x81" M4 "\xff\x80\x81" M4 "\x8a", "message", 0),
	RULE("bad across fragments", "\x01\x81" M4 "\xed\x00\x81" M4 "\xa0", "fail", 1007),
	RULE("bad across an empty fragment", "\x01\x81" M4 "\xd0\x00\x80" M4 "\x00\x81" M4 "a", "fail", 1007),
	RULE("fragments end inside a character", "\x01\x82" M4 "a\xe2\x80\x80" M4, "fail", 1007),
	RULE("a message does not inherit the last one's text state", "\x81\x82" M4 "\xd0\xb6\x81\x81" M4 "\xb6", "fail", 1007),
	RULE("ping payload may be anything", "\x89\x82" M4 "\xff\xfe", "ping", 0),
};
/* clang-format on */

static void rule_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < WC_LEN(rules); i++) {
		const struct rule *r = &rules[i];
		struct stream s = { 0 };
		struct log want = { 0 };
		char begins[40];
		put(&s, r->bytes, r->len);
		naive_read(s.p, s.len, &roomy, &want);
		snprintf(begins, sizeof(begins), "%s %d ", r->last, r->code);
		/* The naive reader must hold to the table, and the real one to the naive one. */
		const char *last = log_text(&want);
		for (const char *nl = last; (nl = strchr(nl, '\n')) && nl[1];)
			last = ++nl;
		if (strncmp(last, begins, strlen(begins)) != 0)
			fail_msg("%s: want %s, have %s", r->title, begins, log_text(&want));
		check_against_naive(&s, &roomy);
		free(want.p);
		free(s.p);
	}
}

static void a_dead_reader_stays_dead(void **state)
{
	struct ws_in in = { 0 };
	struct ws_out out;
	size_t used;
	uint8_t bad[] = "\xff\xff", good[] = "\x81\x81" M4 "a", close_it[] = "\x88\x80" M4;
	(void)state;
	assert_int_equal(ws_in_feed(&in, &roomy, bad, 2, &used, &out), WS_EV_FAIL);
	assert_int_equal(used, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ws_in_feed(&in, &roomy, good, 7, &used, &out), WS_EV_FAIL);
		assert_int_equal(out.code, 1002);
		assert_int_equal(used, 7);
	}
	ws_in_fini(&in, &roomy);
	/* Closed: nothing of an unfinished message is kept, and nothing more is read. */
	in = (struct ws_in){ 0 };
	uint8_t begun[] = "\x01\x81" M4 "a";
	assert_int_equal(ws_in_feed(&in, &roomy, begun, 7, &used, &out), WS_EV_MORE);
	assert_non_null(in.msg);
	assert_int_equal(ws_in_feed(&in, &roomy, close_it, 6, &used, &out), WS_EV_CLOSE);
	assert_null(in.msg);
	assert_int_equal(ws_in_feed(&in, &roomy, bad, 2, &used, &out), WS_EV_MORE);
	assert_int_equal(used, 2);
	ws_in_fini(&in, &roomy);
}

/* Long dialogues of every kind of frame, some spoiled in a byte. */
static void random_streams(void **state)
{
	static const struct ws_limits limits[] = {
		{ .soft_bytes = 1 << 20, .hard_bytes = 2 << 20 }, { .soft_bytes = 600, .hard_bytes = 2000 },
		{ .soft_bytes = 100, .hard_bytes = 100 },         { .soft_bytes = 0, .hard_bytes = 50 },
		{ .soft_bytes = 70000, .hard_bytes = 200000 },
	};
	static const char *words[] = { "a", "ж", "世", "🌊", " ", "plain words", "слова и слова" };
	struct stream s = { 0 }, text = { 0 };

	(void)state;
	random_state = 4711;
	for (int round = 0; round < 4000; round++) {
		const struct ws_limits *l = &limits[round % (int)WC_LEN(limits)];
		size_t frames = 1 + random_u32() % 12, most = round % 40 == 39 ? 30000 : round % 4 == 3 ? 300 : 8;
		bool in_message = false;
		s.len = 0;
		text.len = 0;
		while (frames--) {
			uint32_t r = random_u32();
			if (r % 5 == 0) {
				uint8_t body[125];
				for (size_t i = 0; i < sizeof(body); i++)
					body[i] = (uint8_t)random_u32();
				body[0] = 3;
				body[1] = 0xe8;
				frame(&s, r % 200 == 0 ? 0x88 : r % 2 ? 0x89 : 0x8a, body, r % 3 ? r % 7 : r % 126);
				continue;
			}
			/* Characters are cut between fragments as it comes. */
			size_t want = r % 3 ? random_u32() % most : random_u32() % 4;
			while (text.len < want + 8) {
				const char *word = words[random_u32() % WC_LEN(words)];
				put(&text, word, strlen(word));
			}
			bool is_final = random_u32() % 3 == 0;
			size_t n = want;
			if (is_final)
				while (n < text.len && (text.p[n] & 0xc0) == 0x80)
					n++;
			frame(&s, (is_final ? 0x80 : 0) | (in_message ? 0 : 1), text.p, n);
			memmove(text.p, text.p + n, text.len - n);
			text.len -= n;
			in_message = !is_final;
		}
		if (random_u32() % 3 == 0)
			s.p[random_u32() % s.len] ^= (uint8_t)(1u << random_u32() % 8);
		if (random_u32() % 8 == 0)
			s.len -= random_u32() % WC_MIN(s.len, 20);
		check_against_naive(&s, l);
	}
	free(s.p);
	free(text.p);
}

static void random_noise(void **state)
{
	uint8_t noise[64];
	struct stream s = { 0 };
	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = 1 + random_u32() % sizeof(noise);
		for (size_t i = 0; i < n; i++)
			noise[i] = (uint8_t)random_u32();
		/* A first byte that is not refused at once. */
		static const uint8_t firsts[] = { 0x81, 0x01, 0x89, 0x8a, 0x88 };
		noise[0] = firsts[random_u32() % sizeof(firsts)];
		if (n > 1)
			noise[1] |= 0x80;
		s.len = 0;
		put(&s, noise, n);
		struct log want = { 0 };
		naive_read(s.p, s.len, &roomy, &want);
		check_whole(&s, &roomy, log_text(&want));
		check_pieces(&s, &roomy, 1, 0, log_text(&want));
		free(want.p);
	}
	free(s.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_to_send),
		cmocka_unit_test(close_codes),
		cmocka_unit_test(sizes_and_masks),
		cmocka_unit_test(rule_table),
		cmocka_unit_test(a_dead_reader_stays_dead),
		cmocka_unit_test(random_streams),
		cmocka_unit_test(random_noise),
	};

	return cmocka_run_group_tests_name("wsframe", tests, NULL, NULL);
}
