/* test_logmsg.c — the log's lines as they leave: levels, both formats, the journal's prefix, and that nothing raw gets through. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/logmsg.h"

static char printed[32768];
static FILE *file;
static int saved;

static void begin(enum log_level level, enum log_format format)
{
	file = tmpfile();
	assert_non_null(file);
	saved = dup(STDERR_FILENO);
	assert_true(saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
	log_setup(level, format);
}

static const char *end(void)
{
	size_t n;

	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	n = fread(printed, 1, sizeof(printed) - 1, file);
	printed[n] = '\0';
	fclose(file);
	return printed;
}

static void test_quote(void **state)
{
	static const struct {
		struct str in;
		const char *out;
	} rows[] = {
		{ { NULL, 0 }, "\"\"" },
		{ STR("plain text"), "\"plain text\"" },
		{ STR("a\"b\\c"), "\"a\\\"b\\\\c\"" },
		{ STR("a\nb\tc\x7f\x1b[1m\0z"), "\"a\\x0ab\\x09c\\x7f\\x1b[1m\\x00z\"" },
		{ STR("Аня 🌊"), "\"Аня 🌊\"" },
		{ STR("\xff\xc0\xaf\xed\xa0\x80 cut \xd0"), "\"\\xff\\xc0\\xaf\\xed\\xa0\\x80 cut \\xd0\"" },
		/* C1 controls, a right-to-left override, an isolate, a line separator; but no-break space is text */
		{ STR("\xc2\x9b|\xe2\x80\xae|\xe2\x81\xa6|\xe2\x80\xa8|\xc2\xa0"),
		  "\"\\xc2\\x9b|\\xe2\\x80\\xae|\\xe2\\x81\\xa6|\\xe2\\x80\\xa8|\xc2\xa0\"" },
	};
	char out[512], text[1000];

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++)
		assert_string_equal(log_quote(out, rows[i].in), rows[i].out);

	/* the cut: 120 bytes stay whole, one more does not, and no letter is halved */
	memset(text, 'x', sizeof(text));
	assert_int_equal(strlen(log_quote(out, (struct str){ text, 120 })), 122);
	assert_null(strstr(out, "…"));
	assert_int_equal(strlen(log_quote(out, (struct str){ text, 121 })), 122 + strlen("…"));
	assert_non_null(strstr(out, "x…\""));
	memcpy(text + 119, "я", 2);
	assert_int_equal(strlen(log_quote(out, (struct str){ text, 500 })), 121 + strlen("…"));
	/* the worst case fills the buffer and no more */
	memset(text, '\x01', sizeof(text));
	assert_int_equal(strlen(log_quote(out, (struct str){ text, sizeof(text) })), 4 * 120 + 2 + strlen("…"));
}

static void test_levels(void **state)
{
	enum log_level level = LOG_DEBUG;

	(void)state;
	assert_true(log_level_parse("warn", &level));
	assert_int_equal(level, LOG_WARN);
	assert_false(log_level_parse("WARN", &level));
	assert_false(log_level_parse("", &level));
	assert_int_equal(level, LOG_WARN);

	begin(LOG_WARN, LOG_TEXT);
	log_error("one", "n=%d", 1);
	log_warn("two", "n=%d", 2);
	log_info("three", "n=%d", 3);
	log_debug("four", "n=%d", 4);
	log_set_level(LOG_DEBUG);
	assert_int_equal(log_get_level(), LOG_DEBUG);
	log_debug("five", "n=%d", 5);
	end();
	assert_non_null(strstr(printed, "Z error one n=1\n"));
	assert_non_null(strstr(printed, "Z warn  two n=2\n"));
	assert_null(strstr(printed, "three"));
	assert_null(strstr(printed, "four"));
	assert_non_null(strstr(printed, "Z debug five n=5\n"));
}

static void test_text_line(void **state)
{
	int year, month, day, hour, minute, second, ms;
	char rest[64] = "";

	(void)state;
	begin(LOG_INFO, LOG_TEXT);
	log_info("listening", "address=%s", "127.0.0.1:8080");
	end();
	assert_int_equal(sscanf(printed, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %63[^\n]", &year, &month, &day, &hour, &minute, &second, &ms, rest),
	                 8);
	assert_string_equal(rest, "info  listening address=127.0.0.1:8080");

	/* a caller that forgot to quote: still one line, nothing raw */
	begin(LOG_INFO, LOG_TEXT);
	log_info("bad", "name=%s", "x\r\ny\x1b[31m");
	end();
	assert_non_null(strstr(printed, "name=x\\x0d\\x0ay\\x1b[31m\n"));
	assert_ptr_equal(strchr(printed, '\n'), printed + strlen(printed) - 1);
	assert_null(strchr(printed, '\x1b'));
}

static void test_json_line(void **state)
{
	char quoted[512];
	struct json_object *line, *value;

	(void)state;
	log_quote(quoted, (struct str)STR("say \"hi\" \\ a=b\n🌊"));
	begin(LOG_INFO, LOG_JSON);
	log_info("peer gone", "id=%d name=%s empty= last=%s", 7, quoted, "\xff\"x");
	end();
	assert_ptr_equal(strchr(printed, '\n'), printed + strlen(printed) - 1);
	line = json_tokener_parse(printed);
	assert_non_null(line);
	static const char *const members[][2] = {
		{ "level", "info" }, { "event", "peer gone" },      { "id", "7" }, { "name", "say \"hi\" \\ a=b\\x0a🌊" },
		{ "empty", "" },     { "last", "\xef\xbf\xbd\"x" },
	};
	for (size_t i = 0; i < WC_LEN(members); i++) {
		assert_true(json_object_object_get_ex(line, members[i][0], &value));
		assert_string_equal(json_object_get_string(value), members[i][1]);
	}
	assert_true(json_object_object_get_ex(line, "time", &value));
	assert_int_equal(strlen(json_object_get_string(value)), strlen("2026-01-31T12:00:00.123Z"));
	json_object_put(line);
}

/* However long and hostile, a line stays one line, parses, and is cut between letters. */
static void test_long_lines(void **state)
{
	static const char *const pieces[] = { "x", "я", "\xff", "\x01", "\"", "\\", "a=b ", "=", "🌊", "\"a\" " };
	static char text[8000];

	(void)state;
	for (size_t i = 0; i < WC_LEN(pieces); i++) {
		struct json_object *line;
		size_t n = 0;

		while (n + 8 < sizeof(text))
			n += (size_t)sprintf(text + n, "%s", pieces[i]);
		begin(LOG_INFO, LOG_JSON);
		log_info("long", "v=%s", text);
		end();
		assert_ptr_equal(strchr(printed, '\n'), printed + strlen(printed) - 1);
		line = json_tokener_parse(printed);
		if (!line)
			fail_msg("no JSON for a run of %s", pieces[i]);
		json_object_put(line);

		begin(LOG_INFO, LOG_TEXT);
		log_info("long", "v=%s", text);
		end();
		assert_ptr_equal(strchr(printed, '\n'), printed + strlen(printed) - 1);
	}
	/* 🌊 is four bytes and v= two: 2047 bytes would end within one */
	begin(LOG_INFO, LOG_TEXT);
	for (size_t n = 0; n + 8 < sizeof(text);)
		n += (size_t)sprintf(text + n, "🌊");
	log_info("long", "v=%s", text);
	end();
	assert_string_equal(printed + strlen(printed) - strlen("🌊\n"), "🌊\n");
}

static void test_journal(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	begin(LOG_INFO, LOG_TEXT);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_setup(LOG_DEBUG, LOG_TEXT);
	log_error("one", "n=%d", 1);
	log_debug("two", "n=%d", 2);
	end();
	assert_string_equal(printed, "<3>error one n=1\n<7>debug two n=2\n");

	/* inherited, but standard error is something else: no prefix, and the time is there */
	setenv("JOURNAL_STREAM", "1:1", 1);
	begin(LOG_INFO, LOG_TEXT);
	log_error("one", "n=%d", 1);
	end();
	unsetenv("JOURNAL_STREAM");
	assert_int_equal(printed[4], '-');
}

/* At most one in the time; the next one that passes knows how many did not. */
static void test_gap(void **state)
{
	struct log_gap gap = { 0 };
	uint64_t missed = 99;

	(void)state;
	assert_true(log_gap_is_over(&gap, 60000, &missed));
	assert_int_equal(missed, 0);
	for (int i = 0; i < 3; i++)
		assert_false(log_gap_is_over(&gap, 60000, &missed));
	atomic_store(&gap.next_ms, 0);
	assert_true(log_gap_is_over(&gap, 60000, &missed));
	assert_int_equal(missed, 3);
	assert_false(log_gap_is_over(&gap, 60000, &missed));
	assert_int_equal(missed, 3);
}

/* A pipe that nobody reads: a thread that serves people goes on, and says later how many lines it lost. */
static void test_full_pipe(void **state)
{
	static char bytes[1 << 20];
	int pipe_fds[2], out = dup(STDERR_FILENO);
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
	log_setup(LOG_INFO, LOG_TEXT);
	wc_thread_is(ROLE_ROOM, "room");
	for (int i = 0; i < 3000; i++) /* a pipe has 64 KB */
		log_info("joined", "number=%d", i);
	n = read(pipe_fds[0], bytes, sizeof(bytes) - 1);
	log_info("left", "number=1");
	n += read(pipe_fds[0], bytes + n, sizeof(bytes) - 1 - (size_t)n);
	wc_thread_is(ROLE_NONE, "test");
	dup2(out, STDERR_FILENO);
	close(out);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_true(n > 0);
	bytes[n] = '\0';
	assert_non_null(strstr(bytes, " joined number=0\n"));
	assert_null(strstr(bytes, " joined number=2999\n"));
	assert_non_null(strstr(bytes, " left number=1\n"));
	const char *lost = strstr(bytes, " log lines lost count=");
	assert_non_null(lost);
	int whole = 0;
	for (const char *p = bytes; (p = strstr(p, " joined number=")); p++)
		whole++;
	assert_int_equal(whole + atoi(strchr(lost, '=') + 1), 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quote),     cmocka_unit_test(test_levels),     cmocka_unit_test(test_text_line),
		cmocka_unit_test(test_json_line), cmocka_unit_test(test_long_lines), cmocka_unit_test(test_journal),
		cmocka_unit_test(test_gap),       cmocka_unit_test(test_full_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
