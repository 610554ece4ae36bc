/* test_jsonscan.c — the strict scan of JSON: frames that are none, escapes, values without end. */
#include "decode_fixture.h"
#include "wire/jsonscan.h"

static void not_json(void **state)
{
	/* clang-format off */
	static const struct frame frames[] = {
		{ "", NOT_JSON }, { " ", NOT_JSON }, { "{", NOT_JSON }, { "}", NOT_JSON }, { "hello", NOT_JSON }, { "\xef\xbb\xbf{}", NOT_JSON },
		{ "{\"type\":\"ping\"}x", NOT_JSON }, { "{\"type\":\"ping\"}{}", NOT_JSON }, { "{\"type\":\"ping\"},", NOT_JSON },
		{ "{\"type\":\"ping\"}}", NOT_JSON }, { "{\"type\":\"ping\",}", NOT_JSON }, { "{,\"type\":\"ping\"}", NOT_JSON },
		{ "{\"type\":\"ping\"]", NOT_JSON }, { "{\"type\"}", NOT_JSON }, { "{\"type\":}", NOT_JSON }, { "{\"type\",\"ping\"}", NOT_JSON },
		{ "{\"type\":\"ping\"/**/}", NOT_JSON }, { "/**/{\"type\":\"ping\"}", NOT_JSON }, { "{\"type\":\"ping\"}//", NOT_JSON },
		{ "{\"type\":\"ping\"}#", NOT_JSON }, { "{'type':'ping'}", NOT_JSON }, { "{\"type\":'ping'}", NOT_JSON },
		{ "{type:\"ping\"}", NOT_JSON },
		{ "{\"type\":ping}", NOT_JSON }, { "{\"type\":\"ping\" \"a\":1}", NOT_JSON }, { "{\"type\":\"pi\nng\"}", NOT_JSON },
		{ "{\"type\":\"pi\tng\"}", NOT_JSON }, { "{\"type\":\"pi\x1fng\"}", NOT_JSON }, { "{\"type\":\"ping}", NOT_JSON },
		{ "{\"type\":\"ping\",\"a\":\"1234567\x01\"}", NOT_JSON }, { "{\"type\":\"ping\",\"a\":\"\\", NOT_JSON },
		{ "{\"type\":\"ping\",\"a\":\"\\\"}", NOT_JSON }, { "{\"type\":\"ping\",\"a\":\"\\x41\"}", NOT_JSON },
		{ "{\"type\":\"ping\",\"a\":\"\\'\"}", NOT_JSON }, { "{\"type\":\"ping\",\"a\":\"\\u12\"}", NOT_JSON },
		{ "{\"type\":\"ping\",\"a\":\"\\u12G4\"}", NOT_JSON }, { "{\"type\":\"ping\",\"a\":\"\\U0041\"}", NOT_JSON },
		{ "{\"type\":\"ping\",\"a\":\"\\u", NOT_JSON }, { "{\"data\":\"", NOT_JSON }, { "{\"data\":\"AA", NOT_JSON },
		{ "{\"data\":", NOT_JSON },
		{ "{\"data\"", NOT_JSON }, { "{\"data\":\"AA\\", NOT_JSON }, { "{\"data\":\"A\x05\"}", NOT_JSON },
		{ "{\"type\":\"ping\"}\v", NOT_JSON }, { "\f{\"type\":\"ping\"}", NOT_JSON }, { "{\"type\":\xc2\xa0\"ping\"}", NOT_JSON },
		{ "[]", "bad bad_request says=not a JSON object" }, { "1", "bad bad_request says=not a JSON object" },
		{ "null", "bad bad_request says=not a JSON object" }, { " \"x\" ", "bad bad_request says=not a JSON object" },
		{ "{\"type\\u0000\":\"ping\"}", "bad bad_request says=a key has a NUL in it" },
		{ " \t\r\n{ \"type\" : \"ping\" }\r\n\t ", "ping" },
	};
	/* clang-format on */

	(void)state;
	check_frames(frames, WC_LEN(frames));
}

static void values_of_unknown_members(void **state)
{
	/* clang-format off */
	static const struct {
		const char *value;
		const char *wrong; /* NULL: JSON */
	} cases[] = {
		{ "0", NULL }, { "-0", NULL }, { "10", NULL }, { "-1", NULL }, { "1.5", NULL }, { "-0.25", NULL }, { "1e5", NULL },
		{ "1E+5", NULL },
		{ "1.0e-5", NULL }, { "0e0", NULL }, { "1e308", NULL }, { "1e-999", NULL }, { "123456789012345678901234567890", NULL },
		{ "-123456789012345678901234567890", NULL }, { "9223372036854775808", NULL }, { "18446744073709551616", NULL },
		{ "true", NULL }, { "false", NULL }, { "null", NULL }, { "[]", NULL }, { "{}", NULL }, { "[1,[2,{\"a\":[]}],\"\"]", NULL },
		{ "[ 1 , 2 ]", NULL }, { "\"\\u0000\\ud800\\\"\\\\\\/\\b\\f\\n\\r\\t\"", NULL }, { "\"\x7f\"", NULL }, { "{\"\":1}", NULL },
		{ "[[[[[[[]]]]]]]", NULL },
		{ "[[[[[[[[]]]]]]]]", "nested too deeply" }, { "{\"a\":{\"a\":[{\"a\":[{\"a\":[{}]}]}]}}", "nested too deeply" },
		{ "1e999", "a number is too large" }, { "-1e999", "a number is too large" }, { "1.0E+400", "a number is too large" },
		{ "[1e309]", "a number is too large" },
		{ "1234567890123456789012345678901234567890123456789012345678901234", "a number is too long" },
		{ "0.00000000000000000000000000000000000000000000000000000000000001e1", "a number is too long" },
		{ "NaN", "" }, { "nan", "" }, { "-NaN", "" }, { "Infinity", "" }, { "-Infinity", "" }, { "inf", "" }, { "True", "" },
		{ "TRUE", "" },
		{ "NULL", "" }, { "nul", "" }, { "truex", "" }, { "undefined", "" }, { "01", "" }, { "-01", "" }, { "00", "" }, { "+1", "" },
		{ ".5", "" }, { "1.", "" }, { "1.e5", "" }, { "-", "" }, { "--1", "" }, { "1e", "" }, { "1e+", "" }, { "0x10", "" },
		{ "1_0", "" },
		{ "1 2", "" }, { "[1,]", "" }, { "[,1]", "" }, { "[1 2]", "" }, { "[1", "" }, { "[1}", "" }, { "{\"a\"}", "" },
		{ "{\"a\":1,}", "" },
		{ "{1:2}", "" }, { "{\"a\" 1}", "" }, { "\"", "" }, { "", "" },
	};
	/* clang-format on */
	char json[256], want[128];
	struct frame frame = { json, want };

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		const char *wrong = cases[i].wrong;

		snprintf(json, sizeof(json), "{\"type\":\"ping\",\"z\":%s}", cases[i].value);
		snprintf(want, sizeof(want), "%s%s", wrong ? "bad bad_request says=" : "ping",
		         !wrong   ? ""
		         : *wrong ? wrong
		                  : "not valid JSON");
		check_frames(&frame, 1);
		snprintf(json, sizeof(json), "{\"data\":%s,\"type\":\"ping\"}", cases[i].value);
		check_frames(&frame, 1);
	}
}

static void too_many_values(void **state)
{
	char json[4000];
	size_t len;

	(void)state;
	for (int extra = 0; extra < 2; extra++) {
		struct frame frame = { json, extra ? "bad bad_request says=too many values" : "ping" };

		/* the object, type, the array, and what is in it */
		len = (size_t)snprintf(json, sizeof(json), "{\"type\":\"ping\",\"z\":[0");
		for (int i = 0; i < JSON_VALUES - 4 + extra; i++)
			len += (size_t)snprintf(json + len, sizeof(json) - len, ",0");
		snprintf(json + len, sizeof(json) - len, "]}");
		check_frames(&frame, 1);

		len = (size_t)snprintf(json, sizeof(json), "{\"type\":\"ping\"");
		for (int i = 0; i < JSON_VALUES - 2 + extra; i++)
			len += (size_t)snprintf(json + len, sizeof(json) - len, ",\"data\":\"\"");
		snprintf(json + len, sizeof(json) - len, "}");
		check_frames(&frame, 1);
	}
}

/* Every way a frame can be cut short, and every byte of it made wrong: an answer each time, and never a touch outside. */
static void mangled(void **state)
{
	static const char json[] =
		"{\"type\":\"file\",\"data\":\"QUJD\\/\\u0041\",\"filename\":\"\\ud83d\\ude00.txt\",\"to_id\":\"7\",\"size\":-1.5e3,"
		"\"x\":[true,false,null,{}],\"cid\":\"c\"}";
	static const char wrong[] = { '\0', '"', '\\', '{', '}', '[', ',', ':', '\n', '9', 'x' };
	char copy[sizeof(json)];
	struct line line;
	struct event *e;

	(void)state;
	for (size_t len = 0; len < sizeof(json) - 1; len++) {
		e = decode(json, len);
		describe(&line, e);
		assert_string_equal(line.text, len == sizeof(json) - 2 ? NOT_JSON " cid=c" : NOT_JSON); /* only the brace is cut off */
		event_free(e);
	}
	for (size_t at = 0; at < sizeof(json) - 1; at++) {
		for (size_t w = 0; w < sizeof(wrong); w++) {
			memcpy(copy, json, sizeof(json));
			copy[at] = wrong[w];
			e = decode(copy, sizeof(json) - 1);
			describe(&line, e);
			event_free(e);
		}
	}
}

/* --- Surrogate escapes: every sequence of four out of these, against a decoder of our own. */

static size_t put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 63));
		out[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63));
	out[3] = (char)(0x80 | (c & 63));
	return 4;
}

static void surrogates(void **state)
{
	static const struct {
		const char *json;
		uint32_t unit; /* of UTF-16, if it is an escape */
		const char *raw;
	} parts[] = {
		{ "", 0, "" },
		{ "a", 0, "a" },
		{ "\xc3\xa9", 0, "\xc3\xa9" },
		{ "\\n", 0, "\n" },
		{ "\\\\", 0, "\\" },
		{ "u", 0, "u" },
		{ "\\ud83d", 0xd83d, NULL },
		{ "\\uDBFF", 0xdbff, NULL },
		{ "\\ud800", 0xd800, NULL },
		{ "\\ude00", 0xde00, NULL },
		{ "\\udfff", 0xdfff, NULL },
		{ "\\uDC00", 0xdc00, NULL },
		{ "\\u0041", 0x41, NULL },
		{ "\\u00e9", 0xe9, NULL },
		{ "\\ue000", 0xe000, NULL },
		{ "\\ud7ff", 0xd7ff, NULL },
		{ "\\u0000", 0, NULL },
	};
	const size_t n = WC_LEN(parts);

	(void)state;
	for (size_t code = 0; code < n * n * n * n; code++) {
		const size_t at[] = { code % n, code / n % n, code / n / n % n, code / n / n / n };
		char json[128], want[64];
		size_t len, used = 0;
		uint32_t high = 0;
		struct event *e;

		len = (size_t)snprintf(json, sizeof(json), "{\"type\":\"text\",\"text\":\"<%s%s%s%s>\"}", parts[at[0]].json,
		                       parts[at[1]].json, parts[at[2]].json, parts[at[3]].json);
		want[used++] = '<';
		for (size_t i = 0; i < 4; i++) {
			uint32_t unit = parts[at[i]].unit;

			if (high && !parts[at[i]].raw && unit >= 0xdc00 && unit < 0xe000) {
				used += put_utf8(want + used, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
				high = 0;
				continue;
			}
			if (high && !(parts[at[i]].raw && !*parts[at[i]].raw)) {
				used += put_utf8(want + used, 0xfffd);
				high = 0;
			}
			if (parts[at[i]].raw)
				used += (size_t)(stpcpy(want + used, parts[at[i]].raw) - (want + used));
			else if (unit >= 0xd800 && unit < 0xdc00)
				high = unit;
			else if (unit >= 0xdc00 && unit < 0xe000)
				used += put_utf8(want + used, 0xfffd);
			else if (unit != 0)
				used += put_utf8(want + used, unit);
		}
		if (high)
			used += put_utf8(want + used, 0xfffd);
		want[used++] = '>';
		e = decode(json, len);
		assert_non_null(e);
		assert_int_equal(e->kind, EV_TEXT);
		if (e->text.len != used || memcmp(e->text.p, want, used) != 0)
			fail_msg("%s: became %.*s", json, (int)e->text.len, e->text.p);
		event_free(e);
	}
}

/* A control character, a quote and an escape at every place of words of eight, so that the quick scan misses none. */
static void string_places(void **state)
{
	char json[128];
	struct str data;

	(void)state;
	for (size_t len = 0; len < 40; len++) {
		for (size_t at = 0; at < len; at++) {
			for (int c = 0; c < 256; c++) {
				size_t n = (size_t)snprintf(json, sizeof(json), "{\"z\":\"%*s\",\"data\":\"%*s\"}", (int)len, "", (int)len,
				                            "");
				const char *wrong;
				char *copy = malloc(n);

				assert_non_null(copy);
				memset(json + 6, 0xe9, len); /* the scan does not care for UTF-8 */
				memset(json + 6 + len + 10, 'x', len);
				json[6 + at] = (char)c;
				memcpy(copy, json, n);
				wrong = json_scan(copy, n, &data);
				if (c < 0x20 || c == '"' || c == '\\') {
					assert_non_null(wrong);
				} else {
					assert_null(wrong);
					assert_int_equal(data.len, len);
					assert_ptr_equal(data.p, copy + n - 2 - len);
				}
				free(copy);
			}
		}
	}
}

static void huge(void **state)
{
	static const char head[] = "{\"type\":\"file\",\"filename\":\"a.bin\",\"data\":\"", tail[] = "\",\"cid\":\"c\",\"size\":1}";
	const size_t n = 35u << 20;
	char *json = malloc(n + 200), *at;
	struct event *e;

	(void)state;
	assert_non_null(json);
	at = stpcpy(json, head);
	memset(at, 'A', n);
	at = stpcpy(at + n, tail);
	assert_int_equal(decode_frame(json, (size_t)(at - json), some_conn, &e), 0);
	assert_int_equal(e->kind, EV_FILE);
	assert_int_equal(e->file.data.len, n);
	assert_true(str_eq(e->cid, STR("c")));
	assert_true(e->cost < n + sizeof(*e) + 100);
	assert_int_equal(e->file.data.p[0], 'A');
	assert_memory_equal(e->file.data.p, e->file.data.p + 1, n - 1);
	event_free(e);

	/* the same as a text, and as rubbish of many values */
	memcpy(json, "{\"type\":\"text\",\"filename\":\"a.bin\",\"text\":\"", sizeof(head) - 1);
	assert_int_equal(decode_frame(json, (size_t)(at - json), some_conn, &e), 0);
	assert_int_equal(e->kind, EV_BAD);
	assert_int_equal(e->bad.code, ERR_TOO_LONG);
	assert_true(str_eq(e->cid, STR("c")));
	event_free(e);
	at = stpcpy(json, "{\"z\":[");
	for (size_t i = 0; i < n; i += 2) {
		at[i] = '0';
		at[i + 1] = ',';
	}
	stpcpy(at + n - 1, "]}");
	assert_int_equal(decode_frame(json, strlen(json), some_conn, &e), 0);
	assert_int_equal(e->kind, EV_BAD);
	event_free(e);
	memset(json, '[', n);
	assert_int_equal(decode_frame(json, n, some_conn, &e), 0);
	assert_int_equal(e->kind, EV_BAD);
	event_free(e);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_json),
		cmocka_unit_test(values_of_unknown_members),
		cmocka_unit_test(too_many_values),
		cmocka_unit_test(mangled),
		cmocka_unit_test(surrogates),
		cmocka_unit_test(string_places),
		cmocka_unit_test(huge),
	};

	return cmocka_run_group_tests_name("jsonscan", tests, NULL, NULL);
}
