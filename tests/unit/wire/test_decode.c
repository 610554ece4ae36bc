/* test_decode.c — frames into events, and the answers to those that are refused. */
#include "decode_fixture.h"

#include <pthread.h>

#include "wire/unread.h"

static void types(void **state)
{
	static const struct frame frames[] = {
		{ "{}", "bad bad_request says=type must be a string" },
		{ "{\"type\":null}", "bad bad_request says=type must be a string" },
		{ "{\"type\":1}", "bad bad_request says=type must be a string" },
		{ "{\"type\":[\"ping\"]}", "bad bad_request says=type must be a string" },
		{ "{\"type\":1,\"cid\":\"c\"}", "bad bad_request says=type must be a string cid=c" },
		{ "{\"type\":\"\"}", "-" },
		{ "{\"type\":\"dance\"}", "-" },
		{ "{\"type\":\"Text\",\"text\":\"a\"}", "-" },
		{ "{\"type\":\"ping\\u0000\"}", "-" },
		{ "{\"type\":\"pin\"}", "-" },
		{ "{\"type\":\"init\",\"my_id\":1}", "-" },
		{ "{\"type\":\"dance\",\"to_id\":\"x\",\"cid\":5}", "-" },
		{ "{\"type\":\"ping\"}", "ping" },
		{ "{\"type\":\"link\"}", "link" },
		{ "{\"type\":\"sign_out\",\"token\":5}", "sign_out" },
		{ "{\"\\u0074ype\":\"\\u0070ing\"}", "ping" },
		{ "{\"type\":\"link\",\"type\":\"ping\"}", "ping" },
		{ "{\"type\":\"ping\",\"cid\":7,\"to_id\":\"x\"}", "ping" },
	};

	(void)state;
	check_frames(frames, WC_LEN(frames));
}

static void joins(void **state)
{
	/* clang-format off */
	static const struct frame frames[] = {
		{ "{\"type\":\"join\"}", "join v=1" }, { "{\"type\":\"join\",\"name\":null}", "join v=1" },
		{ "{\"type\":\"join\",\"name\":\"\"}", "join v=1" },
		{ "{\"type\":\"join\",\"password\":\" p w \"}", "join v=1 password= p w " },
		{ "{\"type\":\"join\",\"name\":\"Ann\"}", "join v=1 name=Ann" },
		{ "{\"type\":\"join\",\"name\":\" A\\u0000n \"}", "join v=1 name=An" },
		{ "{\"type\":\"join\",\"name\":\"\\ud83d\\ude00\\ud83d\"}", "join v=1 name=\xf0\x9f\x98\x80\xef\xbf\xbd" },
		{ "{\"type\":\"join\",\"name\":5}", "bad bad_request says=name must be a string" },
		{ "{\"type\":\"join\",\"name\":[]}", "bad bad_request says=name must be a string" },
		{ "{\"type\":\"join\",\"v\":2}", "join v=2" }, { "{\"type\":\"join\",\"v\":2.0}", "join v=2" },
		{ "{\"type\":\"join\",\"v\":3}", "join v=3" },
		{ "{\"type\":\"join\",\"v\":1}", "join v=1" }, { "{\"type\":\"join\",\"v\":0}", "join v=1" },
		{ "{\"type\":\"join\",\"v\":null}", "join v=1" },
		{ "{\"type\":\"join\",\"v\":\"2\"}", "bad bad_request says=v must be a whole number" },
		{ "{\"type\":\"join\",\"v\":1.5}", "bad bad_request says=v must be a whole number" },
		{ "{\"type\":\"join\",\"v\":-1}", "bad bad_request says=v must be a whole number" },
		{ "{\"type\":\"join\",\"v\":3000000000}", "join v=2147483647" }, { "{\"type\":\"join\",\"v\":1e10}", "join v=2147483647" },
		{ "{\"type\":\"join\",\"v\":1e300}", "join v=2147483647" },
		{ "{\"type\":\"join\",\"v\":99999999999999999999}", "join v=2147483647" },
		{ "{\"type\":\"join\",\"v\":-1e300}", "bad bad_request says=v must be a whole number" },
		{ "{\"type\":\"join\",\"v\":2,\"since\":0}", "join v=2 since=0" }, { "{\"type\":\"join\",\"v\":2,\"since\":null}", "join v=2" },
		{ "{\"type\":\"join\",\"v\":2,\"since\":9007199254740992}", "join v=2 since=9007199254740992" },
		{ "{\"type\":\"join\",\"v\":2,\"since\":\"12\"}", "join v=2 since=12" },
		{ "{\"type\":\"join\",\"v\":2,\"since\":-1}", "bad bad_request says=since must be a positive whole number" },
		{ "{\"type\":\"join\",\"v\":2,\"since\":true}", "bad bad_request says=since must be a positive whole number" },
		{ "{\"type\":\"join\",\"v\":2,\"since\":9007199254740993}", "bad bad_request says=since must be a positive whole number" },
		{ "{\"type\":\"join\",\"v\":2,\"token\":\"t\",\"code\":\"c\",\"name\":\"n\"}", "join v=2 name=n token=t code=c" },
		{ "{\"type\":\"join\",\"token\":1}", "bad bad_request says=token must be a string" },
		{ "{\"type\":\"join\",\"code\":{}}", "bad bad_request says=code must be a string" },
	};
	/* clang-format on */
	char json[400], want[400], token[201];
	struct frame frame = { json, want };

	(void)state;
	check_frames(frames, WC_LEN(frames));
	memset(token, 't', 200);
	token[200] = '\0';
	snprintf(json, sizeof(json), "{\"type\":\"join\",\"token\":\"%s\"}", token);
	snprintf(want, sizeof(want), "join v=1 token=%.128s", token);
	check_frames(&frame, 1);
}

static void ids(void **state)
{
	/* clang-format off */
	static const struct {
		const char *value;
		long long id; /* -1: refused */
	} cases[] = {
		{ "null", 0 }, { "0", 0 }, { "-0", 0 }, { "0.0", 0 }, { "-0.0", 0 }, { "\"0\"", 0 }, { "1", 1 }, { "3.0", 3 }, { "1e3", 1000 },
		{ "\"12\"", 12 }, { "\" 12\\n\"", 12 }, { "\"\\u00a012\\u3000\"", 12 }, { "\"007\"", 7 }, { "\"1\\u00002\"", 12 },
		{ "9007199254740992", 9007199254740992 }, { "\"9007199254740992\"", 9007199254740992 },
		{ "9007199254740992.0", 9007199254740992 },
		{ "9007199254740993", -1 }, { "\"9007199254740993\"", -1 }, { "1e16", -1 }, { "18446744073709551617", -1 },
		{ "\"18446744073709551617\"", -1 }, { "-9223372036854775809", -1 }, { "1e308", -1 },
		{ "\"x\"", -1 }, { "-1", -1 }, { "-1.0", -1 }, { "1.5", -1 }, { "true", -1 }, { "false", -1 }, { "[]", -1 },
		{ "{}", -1 }, { "[1]", -1 },
		{ "\"\"", -1 }, { "\" \"", -1 }, { "\"1.0\"", -1 }, { "\"-1\"", -1 }, { "\"+1\"", -1 }, { "\"1 2\"", -1 }, { "\"0x1\"", -1 },
		{ "\"\xd9\xa1\"", -1 },
	};
	/* clang-format on */
	static const struct {
		const char *name, *rest, *field;
		bool is_needed;
	} forms[] = {
		{ "text", "\"text\":\"a\",", "to_id", false },
		{ "typing", "", "to_id", false },
		{ "file", "\"data\":\"AA\",", "to_id", false },
		{ "voice", "\"data\":\"AA\",", "to_id", false },
		{ "history", "", "peer_id", false },
		{ "dm_history", "", "peer_id", true },
	};
	char json[128], want[128];
	struct line line;
	struct event *e;

	(void)state;
	for (size_t f = 0; f < WC_LEN(forms); f++) {
		for (size_t i = 0; i < WC_LEN(cases); i++) {
			snprintf(json, sizeof(json), "{\"type\":\"%s\",%s\"%s\":%s}", forms[f].name, forms[f].rest, forms[f].field,
			         cases[i].value);
			e = decode(json, strlen(json));
			describe(&line, e);
			if (cases[i].id < 0 || (cases[i].id == 0 && forms[f].is_needed)) {
				snprintf(want, sizeof(want), "bad bad_request says=%s must be a positive whole number", forms[f].field);
				assert_string_equal(line.text, want);
			} else {
				snprintf(want, sizeof(want), cases[i].id ? "%s to=%lld" : "%s%.0lld", forms[f].name, cases[i].id);
				if (strncmp(line.text, want, strlen(want)) != 0)
					fail_msg("%s became %s and not %s", json, line.text, want);
				assert_int_equal(e->to_id, cases[i].id);
			}
			event_free(e);
		}
	}
}

static void texts(void **state)
{
	/* clang-format off */
	static const struct frame frames[] = {
		{ "{\"type\":\"text\"}", "-" }, { "{\"type\":\"text\",\"text\":null}", "-" }, { "{\"type\":\"text\",\"text\":\"\"}", "-" },
		{ "{\"type\":\"text\",\"text\":\" \\n\\u00a0\\u3000\\u001f\"}", "-" },
		{ "{\"type\":\"text\",\"text\":\"\\u0000 \\u0000\"}", "-" },
		{ "{\"type\":\"text\",\"text\":\"  a b\\n\"}", "text text=a b" },
		{ "{\"type\":\"text\",\"text\":\"\\u0000a\\u0000b\"}", "text text=ab" },
		{ "{\"type\":\"text\",\"text\":\"<\\/b>\\\"\\\\\"}", "text text=</b>\"\\" },
		{ "{\"type\":\"text\",\"text\":5}", "bad bad_request says=text must be a string" },
		{ "{\"type\":\"text\",\"text\":true,\"cid\":\"c\"}", "bad bad_request says=text must be a string cid=c" },
		{ "{\"cid\":\"c\",\"type\":\"text\",\"text\":\"a\",\"to_id\":\"x\"}",
		  "bad bad_request says=to_id must be a positive whole number cid=c" },
		{ "{\"type\":\"text\",\"text\":\"a\",\"text\":\"b\"}", "text text=b" },
		{ "{\"type\":\"text\",\"text\":\"a\",\"data\":\"QUJD\",\"to_id\":\"\\u0033\"}", "text to=3 text=a" },
		{ "{\"type\":\"text\",\"text\":\"a\",\"size\":\"x\",\"filename\":[],\"duration\":\"x\"}", "text text=a" },
		{ "{\"type\":\"text\",\"text\":\"a\",\"cid\":\"c1\"}", "text text=a cid=c1" },
		{ "{\"type\":\"text\",\"text\":\"a\",\"cid\":null}", "text text=a" },
		{ "{\"type\":\"text\",\"text\":\"a\",\"cid\":\"\"}", "bad bad_request says=cid must be a string of 1 to 64 bytes" },
		{ "{\"type\":\"text\",\"text\":\"a\",\"cid\":7}", "bad bad_request says=cid must be a string of 1 to 64 bytes" },
		{ "{\"type\":\"text\",\"text\":\"a\",\"cid\":\"a\\u0000b\"}", "bad bad_request says=cid must be a string of 1 to 64 bytes" },
		{ "{\"type\":\"text\",\"text\":\"a\",\"cid\":\"\\udc00\"}", "text text=a cid=\xef\xbf\xbd" },
	};
	/* clang-format on */
	char json[400], want[400], cid[66];
	struct frame frame = { json, want };

	(void)state;
	check_frames(frames, WC_LEN(frames));
	memset(cid, 'c', 65);
	cid[65] = '\0';
	snprintf(json, sizeof(json), "{\"type\":\"text\",\"text\":\"a\",\"cid\":\"%s\"}", cid);
	snprintf(want, sizeof(want), "bad bad_request says=cid must be a string of 1 to 64 bytes");
	check_frames(&frame, 1);
	cid[64] = '\0';
	snprintf(json, sizeof(json), "{\"type\":\"text\",\"text\":\"a\",\"cid\":\"%s\"}", cid);
	snprintf(want, sizeof(want), "text text=a cid=%s", cid);
	check_frames(&frame, 1);
}

static void text_lengths(void **state)
{
	static const struct {
		const char *unit, *around;
		int count;
		bool is_good;
	} cases[] = {
		{ "x", "", 3999, true },
		{ "x", "", 4000, true },
		{ "x", "", 4001, false },
		{ "x", " ", 4000, true },
		{ "x", "\\n\\u2003", 4001, false },
		{ "\xf0\x9f\x98\x80", "", 4000, true },
		{ "\xf0\x9f\x98\x80", "", 4001, false },
		{ "\\ud83d\\ude00", "", 4000, true },
		{ "\\ud83d\\ude00", "", 4001, false },
		{ "\\ud800", "", 4000, true },
		{ "\\ud800", "", 4001, false },
		{ "\\u0000", "", 9000, true },
		{ "\\u0000x", "", 4000, true },
		{ "x", "", 3000000, false },
		{ " ", "", 3000000, true },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		char *json = malloc(100 + strlen(cases[i].unit) * (size_t)cases[i].count), *at = json;
		struct line line;
		struct event *e;

		assert_non_null(json);
		at += sprintf(at, "{\"type\":\"text\",\"cid\":\"k\",\"text\":\"%s", cases[i].around);
		for (int n = 0; n < cases[i].count; n++)
			at = stpcpy(at, cases[i].unit);
		at += sprintf(at, "%s\"}", cases[i].around);
		e = decode(json, (size_t)(at - json));
		if (!cases[i].is_good) {
			describe(&line, e);
			assert_string_equal(line.text, "bad too_long says=Text max 4000 characters cid=k");
		} else if (strcmp(cases[i].unit, "\\u0000") == 0 || strcmp(cases[i].unit, " ") == 0) {
			assert_null(e);
		} else {
			assert_int_equal(e->kind, EV_TEXT);
			assert_int_equal(utf8_count(e->text), cases[i].count);
			assert_true(utf8_valid(e->text.p, e->text.len));
			assert_true(e->cost <= sizeof(*e) + e->text.len + 1);
		}
		event_free(e);
		free(json);
	}
}

#define FILE_MIME " mime=application/octet-stream"

static void files(void **state)
{
	/* clang-format off */
	static const struct frame frames[] = {
		{ "{\"type\":\"file\"}", "bad bad_request says=data must be there, in base64" },
		{ "{\"type\":\"file\",\"data\":null}", "bad bad_request says=data must be there, in base64" },
		{ "{\"type\":\"file\",\"data\":null,\"blob\":\"\"}", "bad bad_request says=data must be there, in base64" },
		{ "{\"type\":\"file\",\"data\":5,\"cid\":\"c\"}", "bad bad_request says=data must be a string cid=c" },
		{ "{\"type\":\"file\",\"data\":[\"AA\"]}", "bad bad_request says=data must be a string" },
		{ "{\"type\":\"file\",\"blob\":5}", "bad bad_request says=blob must be a string" },
		{ "{\"type\":\"file\",\"data\":\"\"}", "file filename=file" FILE_MIME },
		{ "{\"type\":\"file\",\"data\":\"QUJD\"}", "file filename=file" FILE_MIME " data=QUJD" },
		{ "{\"type\":\"file\",\"d\\u0061ta\":\"QUJD\"}", "file filename=file" FILE_MIME " data=QUJD" },
		{ "{\"type\":\"file\",\"x\":{\"data\":\"no\"},\"data\":\"QUJD\"}", "file filename=file" FILE_MIME " data=QUJD" },
		{ "{\"type\":\"file\",\"x\":{\"data\":\"no\"}}", "bad bad_request says=data must be there, in base64" },
		{ "{\"type\":\"file\",\"data\":\"no\",\"data\":\"QUJD\"}", "file filename=file" FILE_MIME " data=QUJD" },
		{ "{\"type\":\"file\",\"data\":\"no\",\"data\":null}", "bad bad_request says=data must be there, in base64" },
		{ "{\"type\":\"file\",\"data\":null,\"data\":\"QUJD\"}", "file filename=file" FILE_MIME " data=QUJD" },
		{ "{\"type\":\"file\",\"data\":\"no\",\"d\\u0061t\\u0061\":\"QUJD\"}", "file filename=file" FILE_MIME " data=QUJD" },
		{ "{\"type\":\"file\",\"d\\u0061ta\":\"no\",\"data\":\"QUJD\"}", "file filename=file" FILE_MIME " data=QUJD" },
		{ "{\"type\":\"file\",\"data\":\"QUJD\",\"d\\u0061ta\":null}", "bad bad_request says=data must be there, in base64" },
		{ "{\"type\":\"file\",\"data\":\"QUJD\",\"data\\u0061\":1,\"dat\\n\":2,\"dat\":3}", "file filename=file" FILE_MIME " data=QUJD" },
		{ "{\"data\" : \"QUJD\" , \"type\" : \"file\" }", "file filename=file" FILE_MIME " data=QUJD" },
		{ "{\"data\":\"A\\/\\u002b\\u002F\\r\\n\\t=\\u003d\",\"type\":\"file\"}", "file filename=file" FILE_MIME " data=A/+/\r\n\t==" },
		{ "{\"data\":\"A\\\"B\\\\C\\bD\\fE\\u0000F\\u00e9G\\ud83d\\ude00H\\u4141\",\"type\":\"file\"}",
		  "file filename=file" FILE_MIME " data=A*B*C*D*E*F*G**H*" },
		{ "{\"type\":\"file\",\"blob\":\"h\"}", "file filename=file" FILE_MIME " blob=h" },
		{ "{\"type\":\"file\",\"blob\":\"h\",\"data\":\"QUJD\"}", "file filename=file" FILE_MIME " blob=h" },
		{ "{\"type\":\"file\",\"blob\":\"h\",\"d\\u0061ta\":\"QUJD\"}", "file filename=file" FILE_MIME " blob=h" },
		{ "{\"type\":\"file\",\"data\":\"AA\",\"size\":\"lots\",\"duration\":\"x\",\"waveform\":5,\"cid\":\"c\",\"to_id\":4}",
		  "file to=4 filename=file" FILE_MIME " data=AA cid=c" },
		{ "{\"type\":\"file\",\"data\":\"AA\",\"cid\":[],\"to_id\":4}", "bad bad_request says=cid must be a string of 1 to 64 bytes" },
		{ "{\"type\":\"file\",\"data\":\"AA\",\"width\":640,\"height\":480.0}", "file filename=file" FILE_MIME " data=AA 640x480" },
		{ "{\"type\":\"file\",\"data\":\"AA\",\"width\":640}", "file filename=file" FILE_MIME " data=AA" },
		{ "{\"type\":\"file\",\"data\":\"AA\",\"width\":640,\"height\":-1}", "file filename=file" FILE_MIME " data=AA" },
		{ "{\"type\":\"file\",\"data\":\"AA\",\"width\":640.5,\"height\":480}", "file filename=file" FILE_MIME " data=AA" },
		{ "{\"type\":\"file\",\"data\":\"AA\",\"width\":100001,\"height\":480}", "file filename=file" FILE_MIME " data=AA" },
		{ "{\"type\":\"file\",\"data\":\"AA\",\"width\":\"640\",\"height\":480}", "bad bad_request says=width must be a number" },
		{ "{\"type\":\"file\",\"data\":\"AA\",\"filename\":5}", "bad bad_request says=filename must be a string" },
		{ "{\"type\":\"file\",\"data\":\"AA\",\"mime\":5}", "bad bad_request says=mime must be a string" },
	};
	/* clang-format on */

	(void)state;
	check_frames(frames, WC_LEN(frames));
}

static void filenames(void **state)
{
	/* clang-format off */
	static const char *const cases[][2] = {
		{ "a.txt", "a.txt" }, { "", "file" }, { "  ", "file" }, { " a b.txt ", "a b.txt" }, { "/etc/passwd", "passwd" },
		{ "../../x", "x" },
		{ "C:\\\\dir\\\\x.doc", "x.doc" }, { "a/b\\\\c", "c" }, { "dir/", "file" }, { "dir/ x ", "x" }, { "/", "file" },
		{ ".", "file" }, { "..", "file" },
		{ " .. ", "file" }, { "x/..", "file" }, { "...", "..." }, { ".profile", ".profile" }, { "a\\u0000b\\nc\\u007f\\u0085d", "abcd" },
		{ "gpj\\u202eexe", "gpjexe" }, { "\\u2066a\\u2069\\u200e\\u200f\\u061c\\u2028\\ufeff", "a" }, { "\\u0001 a", "a" },
		{ ".\\u0001.", "file" },
		{ "\xd1\x84\xd0\xb0\xd0\xb9\xd0\xbb.\xf0\x9f\x98\x80", "\xd1\x84\xd0\xb0\xd0\xb9\xd0\xbb.\xf0\x9f\x98\x80" },
		{ "\\ud800", "\xef\xbf\xbd" },
		{ "a\\\"<b>&", "a\"<b>&" },
	};
	/* clang-format on */
	static const char *const units[] = { "n", "\xf0\x9f\x98\x80" };
	char json[2000], want[1200], name[1000];
	struct frame frame = { json, want };

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		snprintf(json, sizeof(json), "{\"type\":\"file\",\"data\":\"AA\",\"filename\":\"%s\"}", cases[i][0]);
		snprintf(want, sizeof(want), "file filename=%s" FILE_MIME " data=AA", cases[i][1]);
		check_frames(&frame, 1);
	}
	for (size_t u = 0; u < WC_LEN(units); u++) {
		for (int n = 199; n <= 201; n++) {
			name[0] = '\0';
			for (int i = 0; i < n; i++)
				strcat(name, units[u]);
			snprintf(json, sizeof(json), "{\"type\":\"file\",\"data\":\"AA\",\"filename\":\"x/\\u0001 %s\"}", name);
			/* the space behind the control character counts before it is trimmed */
			snprintf(want, sizeof(want), "file filename=%.*s" FILE_MIME " data=AA", WC_MIN(n, 199) * (int)strlen(units[u]),
			         name);
			check_frames(&frame, 1);
			snprintf(json, sizeof(json), "{\"type\":\"file\",\"data\":\"AA\",\"filename\":\"%s\"}", name);
			snprintf(want, sizeof(want), "file filename=%.*s" FILE_MIME " data=AA", WC_MIN(n, 200) * (int)strlen(units[u]),
			         name);
			check_frames(&frame, 1);
		}
	}
}

static void mimes(void **state)
{
	/* clang-format off */
	static const char *const cases[][2] = {
		{ "image/png", "image/png" }, { " Image/PNG ", "image/png" }, { "text/plain;charset=utf-8", "text/plain" },
		{ "audio/webm; codecs=opus", "audio/webm" }, { "image/svg+xml", "image/svg+xml" },
		{ "application/vnd.ms-excel.sheet_x-1!#$&^", "application/vnd.ms-excel.sheet_x-1!#$&^" },
		{ "", "" }, { "image", "" }, { "/png", "" }, { "image/", "" }, { "image/png/x", "" }, { "image//png", "" }, { "ima ge/png", "" },
		{ "image/p\\u0000ng", "image/png" }, { "image/png\\r\\nx:y", "" }, { "im\xc3\xa4ge/png", "" }, { "image/\\\"png", "" },
		{ ";image/png", "" },
		{ "image/<png>", "" },
	};
	/* clang-format on */
	char json[400], want[400], mime[140];
	struct frame frame = { json, want };

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		snprintf(json, sizeof(json), "{\"type\":\"file\",\"data\":\"AA\",\"mime\":\"%s\"}", cases[i][0]);
		snprintf(want, sizeof(want), "file filename=file mime=%s data=AA", *cases[i][1] ? cases[i][1] : "application/octet-stream");
		check_frames(&frame, 1);
		snprintf(json, sizeof(json), "{\"type\":\"voice\",\"data\":\"AA\",\"mime\":\"%s\"}", cases[i][0]);
		snprintf(want, sizeof(want), "voice mime=%s data=AA", *cases[i][1] ? cases[i][1] : "audio/webm");
		check_frames(&frame, 1);
	}
	for (int n = 127; n <= 128; n++) {
		memset(mime, 'm', (size_t)n);
		mime[5] = '/';
		mime[n] = '\0';
		snprintf(json, sizeof(json), "{\"type\":\"file\",\"data\":\"AA\",\"mime\":\"%s\"}", mime);
		snprintf(want, sizeof(want), "file filename=file mime=%s data=AA", n == 127 ? mime : "application/octet-stream");
		check_frames(&frame, 1);
	}
}

#define VOICE "voice mime=audio/webm"

static void voices(void **state)
{
	static const struct frame frames[] = {
		{ "{\"type\":\"voice\"}", "bad bad_request says=data must be there, in base64" },
		{ "{\"type\":\"voice\",\"data\":\"AA\"}", VOICE " data=AA" },
		{ "{\"type\":\"voice\",\"blob\":\"h\",\"mime\":null}", VOICE " blob=h" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"mime\":\"audio/mp4\",\"cid\":\"c\",\"to_id\":\"9\"}",
		  "voice to=9 mime=audio/mp4 data=AA cid=c" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"duration\":3}", VOICE " data=AA duration=3" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"duration\":2.75}", VOICE " data=AA duration=2.75" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"duration\":null}", VOICE " data=AA" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"duration\":-0.5}", VOICE " data=AA" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"duration\":1e300}", VOICE " data=AA duration=86400" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"duration\":86401}", VOICE " data=AA duration=86400" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"duration\":\"3\"}", "bad bad_request says=duration must be a number" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"duration\":true}", "bad bad_request says=duration must be a number" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"duration\":NaN}", NOT_JSON },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"waveform\":\"AZaz09+/\"}", VOICE " waveform=AZaz09+/ data=AA" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"waveform\":\"AZ=\"}", VOICE " data=AA" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"waveform\":\"A\\nZ\"}", VOICE " data=AA" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"waveform\":null}", VOICE " data=AA" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"waveform\":[1,2]}", "bad bad_request says=waveform must be a string" },
		{ "{\"type\":\"voice\",\"data\":\"AA\",\"filename\":5,\"width\":\"x\"}", VOICE " data=AA" },
	};
	char json[400], want[400], wave[140];
	struct frame frame = { json, want };

	(void)state;
	check_frames(frames, WC_LEN(frames));
	for (int n = 128; n <= 129; n++) {
		memset(wave, 'w', (size_t)n);
		wave[n] = '\0';
		snprintf(json, sizeof(json), "{\"type\":\"voice\",\"data\":\"AA\",\"waveform\":\"%s\"}", wave);
		snprintf(want, sizeof(want), VOICE "%s%s data=AA", n == 128 ? " waveform=" : "", n == 128 ? wave : "");
		check_frames(&frame, 1);
	}
}

static void pages(void **state)
{
	/* clang-format off */
	static const struct frame frames[] = {
		{ "{\"type\":\"dm_history\",\"peer_id\":3}", "dm_history to=3" },
		{ "{\"type\":\"dm_history\"}", "bad bad_request says=peer_id must be a positive whole number" },
		{ "{\"type\":\"sync\",\"since\":5}", "sync since=5" }, { "{\"type\":\"sync\",\"since\":0}", "sync" },
		{ "{\"type\":\"sync\"}", "bad bad_request says=since must be a whole number" },
		{ "{\"type\":\"sync\",\"since\":null}", "bad bad_request says=since must be a whole number" },
		{ "{\"type\":\"sync\",\"since\":{}}", "bad bad_request says=since must be a positive whole number" },
		{ "{\"type\":\"history\"}", "history" },
		{ "{\"type\":\"history\",\"before\":9,\"limit\":50,\"peer_id\":2}", "history to=2 before=9 limit=50" },
		{ "{\"type\":\"history\",\"before\":\"x\"}", "bad bad_request says=before must be a positive whole number" },
		{ "{\"type\":\"history\",\"limit\":3000000000}", "history limit=2147483648" },
		{ "{\"type\":\"history\",\"limit\":2147483649}", "history limit=2147483648" },
		{ "{\"type\":\"history\",\"limit\":null}", "history" },
		{ "{\"type\":\"history\",\"limit\":-1}", "bad bad_request says=limit must be a whole number" },
		{ "{\"type\":\"history\",\"limit\":\"5\"}", "bad bad_request says=limit must be a whole number" },
		{ "{\"type\":\"history\",\"limit\":1.5}", "bad bad_request says=limit must be a whole number" },
		{ "{\"type\":\"who\"}", "who" },
		{ "{\"type\":\"who\",\"q\":\"  a  b\\u0000\\u202e \",\"after\":7,\"limit\":10}", "who after=7 limit=10 q=a b" },
		{ "{\"type\":\"who\",\"q\":null}", "who" }, { "{\"type\":\"who\",\"q\":\"\"}", "who" },
		{ "{\"type\":\"who\",\"q\":\" \\u00a0\"}", "who" }, { "{\"type\":\"who\",\"q\":\" \\u200b\"}", "who q= \xe2\x80\x8b" },
		{ "{\"type\":\"who\",\"q\":5}", "bad bad_request says=q must be a string" },
		{ "{\"type\":\"who\",\"after\":-5}", "bad bad_request says=after must be a positive whole number" },
		/* 64 bytes hold 21 of these, cut between code points */
		{ "{\"type\":\"who\",\"q\":\"\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00"
		  "\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\\u4e00\"}",
		  "who q=一一一一一一一一一一一一一一一一一一一一一" },
		{ "{\"type\":\"typing\"}", "typing" }, { "{\"type\":\"typing\",\"to_id\":2}", "typing to=2" },
		{ "{\"type\":\"typing\",\"to_id\":{}}", "bad bad_request says=to_id must be a positive whole number" },
	};
	/* clang-format on */

	(void)state;
	check_frames(frames, WC_LEN(frames));
}

static void *decode_some(void *arg)
{
	static const char *const json[] = { "{\"type\":\"text\",\"text\":\"a\"}", "{\"type\":\"te",
		                            "{\"data\":\"AA\",\"type\":\"voice\"}" };

	for (int i = 0; i < 2000; i++) {
		struct event *e = NULL;

		if (decode_frame(json[i % 3], strlen(json[i % 3]), some_conn, &e) != 0 || e->kind != (i % 3 == 0   ? EV_TEXT
		                                                                                      : i % 3 == 1 ? EV_BAD
		                                                                                                   : EV_VOICE))
			*(bool *)arg = false;
		event_free(e);
	}
	return NULL;
}

/* Each has its own tokener, freed at its end: the leak checker has the last word. */
static void threads(void **state)
{
	pthread_t thread[4];
	bool is_good[4] = { true, true, true, true };

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, decode_some, &is_good[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		assert_true(is_good[i]);
	}
}

static void oversize(void **state)
{
	/* clang-format off */
	static const struct {
		const char *head;
		bool is_voice;
		const char *cid;
	} cases[] = {
		{ "{\"type\":\"file\",\"cid\":\"a-1\",\"data\":\"AAAA", false, "a-1" }, { "{\"cid\" : \"x\",\"type\":\"voice\"", true, "x" },
		{ "{\"type\":\"file\",\"cid\":\"cut o", false, "" }, { "{\"type\":\"file\",\"cid\":5,\"data\":\"", false, "" },
		{ "{\"type\":\"file\",\"cid\":\"a\\u0031\",\"data\":\"", false, "" }, { "{\"type\":\"text\",\"text\":\"\\\"cid\\\":\\\"no\\\"", false, "" },
		{ "{\"cid\":\"ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\",\"type\":\"file\"", false, "" },
		{ "", false, "" }, { "{\"type\":\"file\",\"data\":\"AAAA", false, "" }, { "{\"type\":\"voice\",\"data\":\"AAAA", true, "" },
		{ "{\"duration\":3, \"type\" : \n\"voice\" , \"data\":\"", true, "" }, { "{\"type\":\"type\",\"type\":\"voice\"", true, "" },
		{ "{\"type\":\"voice", false, "" },
		{ "{\"type\"", false, "" }, { "{\"type\":", false, "" }, { "\"type\" \"voice\"", false, "" }, { "{\"filename\":\"voice\"", false, "" },
	};
	/* clang-format on */
	char far[400];
	struct event *e;

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		size_t n = strlen(cases[i].head);
		char *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, cases[i].head, n);
		e = unread_oversize(copy, n, some_conn, 25);
		free(copy);
		assert_int_equal(e->kind, EV_BAD);
		assert_ptr_equal(e->conn, some_conn);
		assert_int_equal(e->bad.code, ERR_TOO_LARGE);
		assert_true(str_eq(e->bad.text, cases[i].is_voice ? STR("Voice max 10MB") : STR("Max 25MB")));
		assert_true(str_eq(e->cid, (struct str){ cases[i].cid, strlen(cases[i].cid) }));
		event_free(e);
	}
	memset(far, ' ', sizeof(far));
	memcpy(far + 256 - 14, "\"type\":\"voice\"", 14);
	e = unread_oversize(far, sizeof(far), some_conn, 7);
	assert_true(str_eq(e->bad.text, STR("Voice max 10MB")));
	event_free(e);
	memset(far, '\0', sizeof(far));
	memcpy(far + 256 - 13, "\"type\":\"voice\"", 14);
	e = unread_oversize(far, sizeof(far), some_conn, 7);
	assert_true(str_eq(e->bad.text, STR("Max 7MB")));
	event_free(e);
}

/* Beyond the limits of JSON, or none: at the frame's beginning or at its end, before and behind what was too much. */
static void cid_of_a_frame_that_is_not_read(void **state)
{
	static const struct {
		const char *before, *behind, *cid;
	} cases[] = {
		{ "\"cid\":\"a\",", "", "a" },
		{ "", ",\"cid\":\"b\"", "b" },
		{ "\"cid\":\"a\",", ",\"cid\":5", "a" },
		{ "\"text\":\"\\\"cid\\\":\\\"no\\\"\",", "", "" },
		{ "", "", "" },
		{ "\"cid\":\"a\\u0031\",", "", "" },
	};
	char json[4000], want[200];

	(void)state;
	for (size_t i = 0; i < WC_LEN(cases); i++) {
		struct frame frame = { json, want };
		size_t len = (size_t)snprintf(json, sizeof(json), "{\"type\":\"text\",%s\"z\":[0", cases[i].before);

		for (int n = 0; n < 300; n++)
			len += (size_t)snprintf(json + len, sizeof(json) - len, ",0");
		snprintf(json + len, sizeof(json) - len, "]%s}", cases[i].behind);
		snprintf(want, sizeof(want), "bad bad_request says=too many values%s%s", *cases[i].cid ? " cid=" : "", cases[i].cid);
		check_frames(&frame, 1);
		struct event *e = unread_no_memory(json, strlen(json), some_conn);
		assert_int_equal(e->bad.code, ERR_BUSY);
		assert_true(str_eq(e->cid, (struct str){ cases[i].cid, strlen(cases[i].cid) }));
		event_free(e);
	}
}

static void bad_events_and_codes(void **state)
{
	static const char *const names[] = { "bad_request",       "too_long",     "too_large",    "bad_token",  "bad_code",
		                             "password_required", "bad_password", "no_such_user", "cid_reused", "storage",
		                             "rate_limited",      "muted",        "lockdown",     "busy" };
	char cid[100];
	struct event *e;

	(void)state;
	assert_int_equal(WC_LEN(names), ERR_COUNT);
	for (int i = 0; i < ERR_COUNT; i++)
		assert_string_equal(error_code_name((enum error_code)i), names[i]);
	memset(cid, 'c', sizeof(cid));
	e = event_bad(NULL, ERR_MUTED, STR("You are muted"), (struct str){ cid, sizeof(cid) });
	assert_null(e->conn);
	assert_int_equal(e->cid.len, WC_CID_BYTES);
	assert_true(str_eq(e->bad.text, STR("You are muted")));
	event_free(e);
	e = event_bad(NULL, ERR_BUSY, (struct str){ NULL, 0 }, (struct str){ NULL, 0 });
	assert_int_equal(e->bad.text.len, 0);
	event_free(e);
	event_free(NULL);
	assert_null(event_new(EV_TEXT, NULL, SIZE_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types),
		cmocka_unit_test(joins),
		cmocka_unit_test(ids),
		cmocka_unit_test(texts),
		cmocka_unit_test(text_lengths),
		cmocka_unit_test(files),
		cmocka_unit_test(filenames),
		cmocka_unit_test(mimes),
		cmocka_unit_test(voices),
		cmocka_unit_test(pages),
		cmocka_unit_test(threads),
		cmocka_unit_test(oversize),
		cmocka_unit_test(cid_of_a_frame_that_is_not_read),
		cmocka_unit_test(bad_events_and_codes),
	};

	return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
