/* test_config.c — the grammar of a settings file: what is taken, and what is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/config.h"

static void test_taken(void **state)
{
	static const struct {
		const char *text, *settings; /* "LINE:NAME=VALUE|" each */
	} rows[] = {
		{ "", "" },
		{ "\n\n  \t\n", "" },
		{ "# a comment\n; another\n  # and one\nA=1", "4:A=1|" },
		{ "A=1\nB=2\n", "1:A=1|2:B=2|" },
		{ "A=1\r\nB=2\r\n", "1:A=1|2:B=2|" },
		{ "\xef\xbb\xbf"
		  "A=1\n",
		  "1:A=1|" },
		{ "A=\nB=''\n", "1:A=|2:B=|" },
		{ "  A = 1  \n", "1:A=1|" },
		{ "A=one two\t\n", "1:A=one two|" },
		{ "A='one two '\n", "1:A=one two |" },
		{ "A=\"one \\\"two\\\" \\$x \\\\ \\n\"\n", "1:A=one \"two\" $x \\ \\n|" },
		{ "A='$x \"y\" `z` \\'\n", "1:A=$x \"y\" `z` \\|" },
		{ "A=a'b c'\"d e\"f\n", "1:A=ab cd ef|" },
		{ "A=a\\ \\\"b\\\\ \n", "1:A=a \"b\\|" },
		{ "A=a\\ \n", "1:A=a |" },
		{ "A=x#y\n", "1:A=x#y|" },
		{ "A='# y'\n", "1:A=# y|" },
		{ "A=b=c\n", "1:A=b=c|" },
		{ "A=1\nA=2\n", "1:A=1|2:A=2|" },
		{ "a-b_C9=\xc3\xa4\n", "1:a-b_C9=\xc3\xa4|" },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		char *cause = NULL, shown[512] = "";
		struct config c;

		if (config_parse(&c, "f", rows[i].text, strlen(rows[i].text), &cause) < 0)
			fail_msg("%s: %s", rows[i].text, cause);
		for (size_t k = 0; k < c.n; k++)
			snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), "%d:%s=%s|", c.v[k].line, c.v[k].name, c.v[k].value);
		assert_string_equal(shown, rows[i].settings);
		config_fini(&c);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *says[2];
	} rows[] = {
		{ "A\n", { "f:1: ", "NAME=VALUE" } },
		{ "\nexport A=1\n", { "f:2: ", "NAME=VALUE" } },
		{ "=1\n", { "f:1: ", "NAME=VALUE" } },
		{ "A=1\n\n#\nB.C=1\n", { "f:4: ", "NAME=VALUE" } },
		{ "A='x\nB=1\n", { "f:1: ", "single quote" } },
		{ "A=\"x\\\"\n", { "f:1: ", "double quote" } },
		{ "A=x\\\ny\n", { "f:1: ", "one line" } },
		{ "A=1 # one\n", { "f:1: ", "line of its own" } },
		{ "A=#1\n", { "f:1: ", "line of its own" } },
		{ "A=$HOME\n", { "f:1: ", "nothing is expanded" } },
		{ "A=\"$HOME\"\n", { "f:1: ", "nothing is expanded" } },
		{ "A=`x`\n", { "f:1: ", "nothing is expanded" } },
		{ "A=1\nB=\x1b[31m\n", { "f:2: ", "control character" } },
		{ "A=\xff\n", { "f:1: ", "UTF-8" } },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		char *cause = NULL;
		struct config c;

		assert_int_equal(config_parse(&c, "f", rows[i].text, strlen(rows[i].text), &cause), -WC_EBAD);
		for (int k = 0; k < 2; k++)
			if (!strstr(cause, rows[i].says[k]))
				fail_msg("%s: no %s in: %s", rows[i].text, rows[i].says[k], cause);
		assert_int_equal(c.n, 0);
		free(cause);
	}
	/* A zero byte does not hide what is behind it. */
	char *cause = NULL;
	struct config c;
	assert_int_equal(config_parse(&c, "f", "A=1\0B", 5, &cause), -WC_EBAD);
	free(cause);
}

static void test_files(void **state)
{
	char dir[] = "/tmp/wavechat-config-XXXXXX", path[64];
	char *cause = NULL;
	struct config c;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(config_read(&c, dir, &cause), -WC_EIO);
	assert_non_null(strstr(cause, "it is no file"));
	snprintf(path, sizeof(path), "%s/f", dir);
	assert_int_equal(config_read(&c, path, &cause), -WC_ENOENT);
	assert_non_null(strstr(cause, path));
	assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes: it must not wait */
	assert_int_equal(config_read(&c, path, &cause), -WC_EIO);
	assert_int_equal(unlink(path), 0);

	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fprintf(f, "A=1\n") > 0 && fclose(f) == 0);
	assert_int_equal(config_read(&c, path, &cause), 0);
	assert_int_equal(c.n, 1);
	config_fini(&c);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < CONFIG_BYTES / 2; i++)
		fputs("#\n", f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(config_read(&c, path, &cause), 0);
	f = fopen(path, "a");
	assert_non_null(f);
	assert_true(fputs("\n", f) >= 0 && fclose(f) == 0);
	assert_int_equal(config_read(&c, path, &cause), -WC_EIO);
	assert_non_null(strstr(cause, "more than"));
	free(cause);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
