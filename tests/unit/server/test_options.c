/* test_options.c — options_parse against argv and environment: values, precedence, every refusal and its one line. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/options.h"

/* What options_parse printed last, both streams. */
static char printed_out[32768], printed_err[2048];

static int capture(FILE *stream, int fd, FILE **file)
{
	int saved;

	fflush(stream);
	*file = tmpfile();
	assert_non_null(*file);
	saved = dup(fd);
	assert_true(saved >= 0 && dup2(fileno(*file), fd) == fd);
	return saved;
}

static void release(FILE *stream, int fd, FILE *file, int saved, char *out, size_t room)
{
	size_t n;

	fflush(stream);
	dup2(saved, fd);
	close(saved);
	rewind(file);
	n = fread(out, 1, room - 1, file);
	out[n] = '\0';
	fclose(file);
}

/* env and args: words apart by blanks; env as NAME=VALUE, a lone NAME= sets it empty. */
static enum options_result parse(struct options *o, const char *env, const char *args)
{
	char env_words[256], arg_words[1024], *argv[32] = { (char *)"wavechatd" }, *save;
	int argc = 1, saved_out, saved_err;
	FILE *out, *err;
	enum options_result result;

	clearenv();
	snprintf(env_words, sizeof(env_words), "%s", env);
	for (char *word = strtok_r(env_words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *equals = strchr(word, '=');

		*equals = '\0';
		setenv(word, equals + 1, 1);
	}
	snprintf(arg_words, sizeof(arg_words), "%s", args);
	for (char *word = strtok_r(arg_words, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;

	saved_out = capture(stdout, STDOUT_FILENO, &out);
	saved_err = capture(stderr, STDERR_FILENO, &err);
	result = options_parse(o, argc, argv);
	release(stderr, STDERR_FILENO, err, saved_err, printed_err, sizeof(printed_err));
	release(stdout, STDOUT_FILENO, out, saved_out, printed_out, sizeof(printed_out));
	return result;
}

static void test_defaults(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "", ""), OPTIONS_RUN);
	assert_string_equal(o.data, "./wavechat-data");
	assert_int_equal(o.address_rate, 40);
	assert_int_equal(o.address_bytes_kb, 16384);
	assert_int_equal(o.address_requests, 200);
	assert_null(o.listen);
	assert_int_equal(o.port, 8080);
	assert_int_equal(o.max_file_mb, 25);
	assert_int_equal(o.history_limit, 200);
	assert_int_equal(o.threads, 0);
	assert_int_equal(o.durability, DURABILITY_NORMAL);
	assert_int_equal(o.retain_days, 0);
	assert_int_equal(o.max_storage_mb, -1);
	assert_int_equal(o.free_reserve_mb, -1);
	assert_int_equal(o.name_hold_days, 90);
	assert_int_equal(o.log_level, LOG_INFO);
	assert_int_equal(o.log_format, LOG_TEXT);
	assert_false(o.check);
	assert_string_equal(printed_out, "");
	assert_string_equal(printed_err, "");
	options_fini(&o);
}

static void test_ports(void **state)
{
	static const struct {
		const char *env, *args;
		int port;
	} rows[] = {
		{ "", "--port 9000", 9000 },
		{ "", "--port=9000", 9000 },
		{ "", "--port 0", 0 },
		{ "", "--port 65535", 65535 },
		{ "", "--port 1 --port 2", 2 },
		{ "PORT=7000", "", 7000 },
		{ "PORT=7000", "--port 9000", 9000 },
		/* a flag beats the variable: what is wrong with it is then nobody's concern */
		{ "PORT=junk", "--port 9000", 9000 },
		{ "PORT=", "", 8080 },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct options o;

		assert_int_equal(parse(&o, rows[i].env, rows[i].args), OPTIONS_RUN);
		assert_int_equal(o.port, rows[i].port);
		options_fini(&o);
	}
}

static void test_every_option(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(
		parse(&o, "",
	              "--data /srv/x --listen ::1 --port 1 --max-file-mb 1024 --history-limit 0 --threads 64 --durability full "
	              "--retain-days 7 --max-storage-mb 2000000000 --name-hold-days 0 --log-level debug --log-format json --check"),
		OPTIONS_RUN);
	assert_string_equal(o.data, "/srv/x");
	assert_string_equal(o.listen[0], "::1");
	assert_int_equal(o.port, 1);
	assert_int_equal(o.max_file_mb, 1024);
	assert_int_equal(o.history_limit, 0);
	assert_int_equal(o.threads, 64);
	assert_int_equal(o.durability, DURABILITY_FULL);
	assert_int_equal(o.retain_days, 7);
	assert_int_equal(o.max_storage_mb, 2000000000);
	assert_int_equal(o.name_hold_days, 0);
	assert_int_equal(o.log_level, LOG_DEBUG);
	assert_int_equal(o.log_format, LOG_JSON);
	assert_true(o.check);
	options_fini(&o);

	assert_int_equal(parse(&o,
	                       "WAVECHAT_DATA=/srv/y LISTEN=10.0.0.1 PORT=2 MAX_FILE_MB=3 HISTORY_LIMIT=4 WAVECHAT_THREADS=5 "
	                       "WAVECHAT_DURABILITY=full WAVECHAT_LOG_LEVEL=error WAVECHAT_LOG_FORMAT=json",
	                       ""),
	                 OPTIONS_RUN);
	assert_string_equal(o.data, "/srv/y");
	assert_string_equal(o.listen[0], "10.0.0.1");
	assert_int_equal(o.port, 2);
	assert_int_equal(o.max_file_mb, 3);
	assert_int_equal(o.history_limit, 4);
	assert_int_equal(o.threads, 5);
	assert_int_equal(o.durability, DURABILITY_FULL);
	assert_int_equal(o.log_level, LOG_ERROR);
	assert_int_equal(o.log_format, LOG_JSON);
	options_fini(&o);
}

/* Every setting has a variable: its own, or one made of its name. Only what ends the program, or asks for an end, has none. */
static void test_every_variable(void **state)
{
	char rows[sizeof(printed_out)], *save;
	struct options o;
	int count = 0;

	(void)state;
	assert_int_equal(parse(&o, "", "--help-table"), OPTIONS_EXIT_OK);
	snprintf(rows, sizeof(rows), "%s", printed_out);
	for (char *row = strtok_r(rows, "\n", &save); row; row = strtok_r(NULL, "\n", &save), count++) {
		char *rest = row, name[64];

		snprintf(name, sizeof(name), "%s", strsep(&rest, "|"));
		const char *env = strsep(&rest, "|");
		if (strcmp(name, "check") == 0 || strcmp(name, "version") == 0 || strcmp(name, "licenses") == 0 ||
		    strcmp(name, "help") == 0)
			continue;
		for (char *p = name; *p; p++)
			*p = *p == '-' ? '_' : (char)(*p & ~0x20);
		assert_true(*env);
		if (strncmp(env, "WAVECHAT_", 9) == 0)
			assert_string_equal(env + 9, name);
		else
			assert_string_equal(env, name); /* older than the rule: PORT, LISTEN, MAX_FILE_MB, HISTORY_LIMIT */
	}
	assert_true(count > 40);

	assert_int_equal(
		parse(&o, "WAVECHAT_MESSAGE_RATE=7 WAVECHAT_RETAIN_DAYS=3 WAVECHAT_TLS_SELF_SIGNED=yes WAVECHAT_REDIRECT_HTTP=81", ""),
		OPTIONS_RUN);
	assert_int_equal(o.message_rate, 7);
	assert_int_equal(o.retain_days, 3);
	assert_true(o.tls_self_signed);
	assert_int_equal(o.redirect_port, 81);
	options_fini(&o);
	assert_int_equal(parse(&o, "WAVECHAT_TLS_SELF_SIGNED=off", ""), OPTIONS_RUN);
	assert_false(o.tls_self_signed);
	options_fini(&o);
	assert_int_equal(parse(&o, "WAVECHAT_TLS_SELF_SIGNED=perhaps", ""), OPTIONS_EXIT_USAGE);
	assert_non_null(strstr(printed_err, "WAVECHAT_TLS_SELF_SIGNED \"perhaps\": must be yes or no"));
}

static void test_data(void **state)
{
	static const struct {
		const char *env, *args, *data;
		int max_storage_mb;
	} rows[] = {
		{ "STATE_DIRECTORY=/var/lib/wavechat", "", "/var/lib/wavechat", -1 },
		{ "STATE_DIRECTORY=/var/lib/a:/var/lib/b", "", "/var/lib/a", -1 },
		{ "STATE_DIRECTORY=", "", "./wavechat-data", -1 },
		{ "STATE_DIRECTORY=/s WAVECHAT_DATA=/w", "", "/w", -1 },
		{ "STATE_DIRECTORY=/s WAVECHAT_DATA=/w", "--data /f", "/f", -1 },
		/* memory is bounded by budget.h, unless somebody says otherwise */
		{ "", "--data :memory:", ":memory:", -1 },
		{ "WAVECHAT_DATA=:memory:", "", ":memory:", -1 },
		{ "", "--data :memory: --max-storage-mb 0", ":memory:", 0 },
		{ "", "--max-storage-mb 10 --data=:memory:", ":memory:", 10 },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct options o;

		assert_int_equal(parse(&o, rows[i].env, rows[i].args), OPTIONS_RUN);
		assert_string_equal(o.data, rows[i].data);
		assert_int_equal(o.max_storage_mb, rows[i].max_storage_mb);
		options_fini(&o);
	}
}

static void test_addresses(void **state)
{
	static const struct {
		const char *given, *kept; /* kept NULL: refused */
	} rows[] = {
		{ "127.0.0.1", "127.0.0.1" },
		{ "0.0.0.0", "0.0.0.0" },
		{ "::", "::" },
		{ "::1", "::1" },
		{ "[::1]", "::1" },
		{ "[fe80::1]", "fe80::1" },
		{ "localhost", NULL },
		{ "1.2.3", NULL },
		{ "1.2.3.256", NULL },
		{ "[127.0.0.1]", NULL },
		{ "[]", NULL },
		{ "::1]", NULL },
		{ "127.0.0.1:80", NULL },
		{ "::g", NULL },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		char args[64];
		struct options o;

		snprintf(args, sizeof(args), "--listen %s", rows[i].given);
		assert_int_equal(parse(&o, "", args), rows[i].kept ? OPTIONS_RUN : OPTIONS_EXIT_USAGE);
		if (!rows[i].kept)
			continue;
		assert_string_equal(o.listen[0], rows[i].kept);
		assert_null(o.listen[1]);
		options_fini(&o);
	}
}

static void check_nets(const struct ip_nets *nets, const char *wanted)
{
	char text[512] = "", one[IP_NET_TEXT];

	for (size_t i = 0; i < nets->n; i++) {
		ip_net_text(nets->v[i].addr, nets->v[i].bits, one);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "", one);
	}
	assert_string_equal(text, wanted);
}

static void check_origins(char *const *list, const char *wanted)
{
	char text[512] = "";

	for (size_t i = 0; list && list[i]; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "", list[i]);
	assert_string_equal(text, wanted);
}

/* Lists add up, on the command line and within one value; a variable counts only where no option does. */
static void test_lists(void **state)
{
	static const struct {
		const char *env, *args, *proxies, *origins, *exempt;
	} rows[] = {
		{ "", "", "", "", "127.0.0.0/8 ::1" },
		{ "", "--trust-proxy 127.0.0.1", "127.0.0.1", "", "127.0.0.0/8 ::1" },
		{ "", "--trust-proxy 10.1.2.3/8,::1 --trust-proxy=2001:db8::/32", "10.0.0.0/8 ::1 2001:db8::/32", "", "127.0.0.0/8 ::1" },
		{ "WAVECHAT_TRUST_PROXY=10.0.0.1,10.0.0.2", "", "10.0.0.1 10.0.0.2", "", "127.0.0.0/8 ::1" },
		{ "WAVECHAT_TRUST_PROXY=10.0.0.1", "--trust-proxy 10.0.0.2", "10.0.0.2", "", "127.0.0.0/8 ::1" },
		{ "", "--trust-proxy none", "", "", "127.0.0.0/8 ::1" },
		{ "", "--allow-origin https://A.example:443 --allow-origin null,http://b:3000", "", "https://a.example null http://b:3000",
		  "127.0.0.0/8 ::1" },
		{ "WAVECHAT_ALLOW_ORIGIN=*", "", "", "*", "127.0.0.0/8 ::1" },
		{ "", "--exempt none", "", "", "" },
		{ "", "--exempt 192.0.2.0/24", "", "", "192.0.2.0/24" },
		{ "WAVECHAT_EXEMPT=none", "", "", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct options o;

		assert_int_equal(parse(&o, rows[i].env, rows[i].args), OPTIONS_RUN);
		check_nets(&o.trust_proxy, rows[i].proxies);
		check_origins(o.allow_origin, rows[i].origins);
		check_nets(&o.exempt, rows[i].exempt);
		options_fini(&o);
	}
}

static void test_refusals(void **state)
{
	static const struct {
		const char *env, *args;
		const char *says[3]; /* each must be in the line */
	} rows[] = {
		{ "", "--port 65536", { "--port ", "\"65536\"", "0 to 65535" } },
		{ "", "--port=-1", { "--port ", "\"-1\"", "0 to 65535" } },
		{ "", "--port 80x", { "--port ", "\"80x\"", "0 to 65535" } },
		{ "", "--port +80", { "--port ", "\"+80\"" } },
		{ "", "--port 0x50", { "--port ", "\"0x50\"" } },
		{ "", "--port=", { "--port ", "\"\"", "0 to 65535" } },
		{ "", "--port 99999999999999999999", { "--port ", "0 to 65535" } },
		{ "", "--port", { "--port ", "needs a value", "0 to 65535" } },
		{ "PORT=http", "", { " PORT ", "\"http\"", "0 to 65535" } },
		{ "MAX_FILE_MB=0", "", { "MAX_FILE_MB", "\"0\"", "1 to 1024" } },
		{ "", "--max-file-mb 1025", { "--max-file-mb", "\"1025\"", "1 to 1024" } },
		{ "HISTORY_LIMIT=10001", "", { "HISTORY_LIMIT", "\"10001\"", "0 to 10000" } },
		{ "", "--threads 65", { "--threads", "0 to 64" } },
		{ "", "--max-storage-mb -5", { "--max-storage-mb", "\"-5\"", "0 or more" } },
		{ "", "--max-storage-mb 2147483648", { "--max-storage-mb", "0 or more" } },
		{ "", "--durability most", { "--durability", "\"most\"", "normal or full" } },
		{ "WAVECHAT_LOG_LEVEL=loud", "", { "WAVECHAT_LOG_LEVEL", "\"loud\"", "error, warn, info or debug" } },
		{ "", "--log-level INFO", { "--log-level", "\"INFO\"" } },
		{ "", "--listen localhost", { "--listen", "\"localhost\"", "127.0.0.1 or ::1" } },
		{ "", "--data=", { "--data", "\"\"", "a folder" } },
		{ "", "--tls-cert c", { "--tls-cert needs --tls-key" } },
		{ "", "--tls-key k", { "--tls-key needs --tls-cert" } },
		{ "", "--tls-cert c --tls-key k --tls-self-signed", { "give one of them" } },
		{ "", "--redirect-http 80", { "--redirect-http needs HTTPS" } },
		{ "", "--trust-proxy localhost", { "--trust-proxy", "\"localhost\"", "10.0.0.0/8 or ::1" } },
		{ "", "--trust-proxy 10.0.0.0/33", { "--trust-proxy", "\"10.0.0.0/33\"" } },
		{ "", "--trust-proxy 10.0.0.1,x", { "--trust-proxy", "\"10.0.0.1,x\"" } },
		{ "", "--trust-proxy ,", { "--trust-proxy", "\",\"" } },
		{ "WAVECHAT_TRUST_PROXY=all", "", { "WAVECHAT_TRUST_PROXY", "\"all\"" } },
		{ "", "--allow-origin chat.example", { "--allow-origin", "\"chat.example\"", "https://chat.example.com" } },
		{ "", "--allow-origin https://chat.example/", { "--allow-origin", "without a path" } },
		{ "", "--exempt /8", { "--exempt", "\"/8\"" } },
		{ "", "--max-header-bytes 1023", { "--max-header-bytes", "1024 to 16384" } },
		{ "", "--header-timeout 0", { "--header-timeout", "1 to 120" } },
		{ "", "--max-connections -1", { "--max-connections", "0 or more" } },
		{ "", "--check=yes", { "--check takes no value" } },
		{ "", "--prot 1", { "\"--prot\"", "did you mean --port?" } },
		{ "", "--max-file 1", { "\"--max-file\"", "did you mean --max-file-mb?" } },
		{ "", "-port 1", { "\"-port\"", "did you mean --port?" } },
		{ "", "--history_limit=1", { "did you mean --history-limit?" } },
		{ "", "--frobnicate", { "\"--frobnicate\"", "see wavechatd --help all" } },
		{ "", "--", { "\"--\"", "see wavechatd --help all" } },
		{ "", "8080", { "\"8080\"", "takes options only" } },
		/* what a terminal would act on is shown, not sent */
		{ "", "--port \x1b[31m", { "\"\\x1b[31m\"" } },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct options o;

		assert_int_equal(parse(&o, rows[i].env, rows[i].args), OPTIONS_EXIT_USAGE);
		assert_string_equal(printed_out, "");
		assert_ptr_equal(strchr(printed_err, '\n'), printed_err + strlen(printed_err) - 1);
		assert_ptr_equal(strstr(printed_err, "wavechatd: "), printed_err);
		for (size_t k = 0; k < WC_LEN(rows[i].says) && rows[i].says[k]; k++)
			if (!strstr(printed_err, rows[i].says[k]))
				fail_msg("%s %s: no %s in: %s", rows[i].env, rows[i].args, rows[i].says[k], printed_err);
	}
}

static char config_path[64];

/* Writes the file that tests name by @ in their arguments. */
static void write_config(const char *text)
{
	FILE *f = fopen(config_path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static enum options_result parse_with_config(struct options *o, const char *env, const char *text, const char *args)
{
	char words[512];

	write_config(text);
	snprintf(words, sizeof(words), "--config %s %s", config_path, args);
	return parse(o, env, words);
}

/* A flag beats a variable beats a line beats the default, and each knows where it came from. */
static void test_config(void **state)
{
	char out[128];
	struct options o;

	(void)state;
	assert_int_equal(parse_with_config(&o, "PORT=2 MAX_FILE_MB=2",
	                                   "PORT=3\n\nMAX_FILE_MB=3\nHISTORY_LIMIT=3\nWAVECHAT_EXEMPT='10.0.0.0/8 ::1'\n"
	                                   "WAVECHAT_TLS_SELF_SIGNED=yes\nWAVECHAT_RETAIN_DAYS=\nWAVECHAT_DATA=/srv/x\n",
	                                   "--port 1"),
	                 OPTIONS_RUN);
	assert_int_equal(o.port, 1);
	assert_int_equal(o.max_file_mb, 2);
	assert_int_equal(o.history_limit, 3);
	assert_int_equal(o.retain_days, 0);
	assert_true(o.tls_self_signed);
	assert_string_equal(o.data, "/srv/x");
	check_nets(&o.exempt, "10.0.0.0/8 ::1");
	assert_string_equal(options_config_path(&o), config_path);
	struct option_origin file = { FROM_FILE, 4 };
	char wanted[96];
	snprintf(wanted, sizeof(wanted), "%s:4", config_path);
	assert_string_equal(option_origin_text(&o, &file, "HISTORY_LIMIT", out, sizeof(out)), wanted);
	options_fini(&o);

	/* The last line of a name counts; for lists, too; an empty one is as none. */
	assert_int_equal(
		parse_with_config(&o, "",
	                          "PORT=1\nPORT=2\nWAVECHAT_EXEMPT=10.0.0.1\nWAVECHAT_EXEMPT=10.0.0.2\nMAX_FILE_MB=7\nMAX_FILE_MB=\n", ""),
		OPTIONS_RUN);
	assert_int_equal(o.port, 2);
	assert_int_equal(o.max_file_mb, 25);
	check_nets(&o.exempt, "10.0.0.2");
	options_fini(&o);

	/* By a variable; a missing file, allowed and not. */
	char env[96];
	snprintf(env, sizeof(env), "WAVECHAT_CONFIG=%s", config_path);
	write_config("PORT=5\n");
	assert_int_equal(parse(&o, env, ""), OPTIONS_RUN);
	assert_int_equal(o.port, 5);
	options_fini(&o);
	assert_int_equal(parse(&o, "", "--config -/nonexistent/file"), OPTIONS_RUN);
	assert_string_equal(options_config_path(&o), "/nonexistent/file");
	options_fini(&o);
	assert_int_equal(parse(&o, "", "--config /nonexistent/file"), OPTIONS_EXIT_USAGE);
	assert_non_null(strstr(printed_err, "/nonexistent/file"));
}

static void test_config_refused(void **state)
{
	static const struct {
		const char *text, *args;
		const char *says[3]; /* each must be in the line; @ stands for the path */
	} rows[] = {
		{ "# x\nPORTS=1\n", "", { "@:2: ", "\"PORTS\"", "did you mean PORT?" } },
		{ "WAVECHAT_PORT=1\n", "", { "@:1: ", "did you mean PORT?" } },
		{ "MESSAGE_RATE=1\n", "", { "did you mean WAVECHAT_MESSAGE_RATE?" } },
		{ "WAVECHAT_MESAGE_RATE=1\n", "", { "did you mean WAVECHAT_MESSAGE_RATE?" } },
		{ "retain-days=1\n", "", { "did you mean WAVECHAT_RETAIN_DAYS?" } },
		{ "HOME=1\n", "", { "@:1: ", "no setting \"HOME\"" } },
		{ "OPTIONS='--port 1'\n", "", { "@:1: ", "WAVECHAT_RETAIN_DAYS=365" } },
		{ "\nPORT=web\n", "", { "@:2: PORT \"web\"", "0 to 65535" } },
		{ "PORT=web\n", "--port 1", { "@:1: PORT \"web\"" } }, /* also where a flag beats it */
		{ "PORT=web\nPORT=1\n", "", { "@:1: PORT \"web\"" } },
		{ "WAVECHAT_LOG_LEVEL=loud\n", "", { "error, warn, info or debug" } },
		{ "WAVECHAT_CONFIG=/x\n", "", { "@:1: ", "cannot name another" } },
		{ "PORT='1\n", "", { "@:1: ", "quote" } },
		{ "\n\nWAVECHAT_TLS_CERT=/x\n", "", { "@:3: ", "--tls-cert needs --tls-key" } },
		{ "LISTEN=127.0.0.1,127.0.0.1\n", "", { "@:1: ", "127.0.0.1 is given twice" } },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct options o;

		assert_int_equal(parse_with_config(&o, "", rows[i].text, rows[i].args), OPTIONS_EXIT_USAGE);
		assert_string_equal(printed_out, "");
		assert_ptr_equal(strchr(printed_err, '\n'), printed_err + strlen(printed_err) - 1);
		for (size_t k = 0; k < WC_LEN(rows[i].says) && rows[i].says[k]; k++) {
			const char *says = rows[i].says[k];
			char needle[160];

			snprintf(needle, sizeof(needle), "%s%s", *says == '@' ? config_path : "", *says == '@' ? says + 1 : says);
			if (!strstr(printed_err, needle))
				fail_msg("%s: no %s in: %s", rows[i].text, needle, printed_err);
		}
	}
}

static void count_changes(void *arg, const struct option_view *v)
{
	int *n = arg;

	n[0] += !v->is_same;
	n[1] += !v->is_same && v->is_live;
	WC_ASSERT(v->name && v->variable && v->unset);
}

/* What is read again: live settings take effect, the others wait; a wrong file changes nothing. */
static void test_reread(void **state)
{
	char *cause = NULL;
	int changes[2] = { 0, 0 };
	struct options o, *wanted, *in_force;

	(void)state;
	assert_int_equal(parse_with_config(&o, "", "PORT=1\nWAVECHAT_MESSAGE_RATE=5\n", "--max-file-mb 3"), OPTIONS_RUN);
	/* parse() owns the words of the command line for its call alone */
	char *argv[] = { (char *)"wavechatd", (char *)"--config", config_path, (char *)"--max-file-mb", (char *)"3", NULL };
	o.argc = 5;
	o.argv = argv;
	write_config("PORT=2\nWAVECHAT_MESSAGE_RATE=9\nMAX_FILE_MB=4\nWAVECHAT_TLS_CERT=c\nWAVECHAT_TLS_KEY=k\n");
	assert_int_equal(options_reread(&o, &wanted, &in_force, &cause), 0);
	assert_int_equal(wanted->port, 2);
	assert_int_equal(in_force->port, 1);
	assert_int_equal(in_force->message_rate, 9);
	assert_int_equal(in_force->max_file_mb, 3);
	assert_string_equal(wanted->tls_cert, "c");
	assert_null(in_force->tls_cert); /* it was started without HTTPS */
	options_each(&o, wanted, count_changes, changes);
	assert_int_equal(changes[0], 4);
	assert_int_equal(changes[1], 1);
	assert_false(options_equal(&o, wanted));
	assert_true(options_equal(wanted, wanted));
	options_free(wanted);
	options_free(in_force);

	write_config("PORT=2\nWAVECHAT_MESSAGE_RATE=99999\n");
	assert_int_equal(options_reread(&o, &wanted, &in_force, &cause), -WC_EBAD);
	assert_non_null(strstr(cause, ":2: WAVECHAT_MESSAGE_RATE"));
	free(cause);
	cause = NULL;
	assert_int_equal(unlink(config_path), 0);
	assert_int_equal(options_reread(&o, &wanted, &in_force, &cause), -WC_EBAD);
	free(cause);
	options_fini(&o);
}

static void test_several_addresses(void **state)
{
	static const struct {
		const char *env, *args, *kept; /* kept NULL: refused */
	} rows[] = {
		{ "", "--listen 127.0.0.1 --listen ::1", "127.0.0.1 ::1" },
		{ "", "--listen 127.0.0.1,[::1],10.0.0.1", "127.0.0.1 ::1 10.0.0.1" },
		{ "LISTEN=127.0.0.1,::1", "", "127.0.0.1 ::1" },
		{ "LISTEN=127.0.0.1", "--listen ::1", "::1" },
		{ "", "--listen 0.0.0.0,::", "0.0.0.0 ::" },
		{ "", "--listen 0.0.0.0,::1", "0.0.0.0 ::1" },
		{ "", "--listen 0:0:0:0:0:0:0:1", "::1" },
		{ "", "--listen 127.0.0.1 --listen 127.0.0.1", NULL },
		{ "", "--listen ::1,0:0:0:0:0:0:0:1", NULL },
		{ "", "--listen 127.0.0.1,0.0.0.0", NULL },
		{ "", "--listen ::,::1", NULL },
		{ "", "--listen 127.0.0.1,localhost", NULL },
		{ "", "--listen ,", NULL },
		{ "",
		  "--listen 127.0.0.1,127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5,127.0.0.6,127.0.0.7,127.0.0.8,127.0.0.9,"
		  "127.0.0.10,127.0.0.11,127.0.0.12,127.0.0.13,127.0.0.14,127.0.0.15,127.0.0.16,127.0.0.17",
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct options o;

		assert_int_equal(parse(&o, rows[i].env, rows[i].args), rows[i].kept ? OPTIONS_RUN : OPTIONS_EXIT_USAGE);
		if (!rows[i].kept)
			continue;
		check_origins(o.listen, rows[i].kept);
		options_fini(&o);
	}
}

/* The short one is of rows that the long one has, and fits a screen of 24 lines of 80. */
static void test_help_short(void **state)
{
	struct options o;
	int lines = 0;

	(void)state;
	assert_int_equal(parse(&o, "PORT=junk", "-h"), OPTIONS_EXIT_OK);
	assert_string_equal(printed_err, "");
	assert_ptr_equal(strstr(printed_out, "usage: wavechatd"), printed_out);
	for (const char *line = printed_out, *end; (end = strchr(line, '\n')); line = end + 1, lines++)
		assert_true(end - line <= 80);
	assert_in_range(lines, 10, 23);
}

/* --help all shows each option that the table for the documentation's check has, in lines of 100 columns at most. */
static void test_help(void **state)
{
	char rows[sizeof(printed_out)], *save;
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "", "--help-table"), OPTIONS_EXIT_OK);
	assert_string_equal(printed_err, "");
	snprintf(rows, sizeof(rows), "%s", printed_out);
	assert_int_equal(parse(&o, "PORT=junk", "--help=all"), OPTIONS_EXIT_OK);
	assert_string_equal(printed_err, "");
	assert_ptr_equal(strstr(printed_out, "usage: wavechatd"), printed_out);
	assert_null(strstr(printed_out, "help-table"));

	int count = 0;
	for (char *row = strtok_r(rows, "\n", &save); row; row = strtok_r(NULL, "\n", &save), count++) {
		char *rest = row, needle[64];
		const char *name = strsep(&rest, "|"), *env = strsep(&rest, "|");

		snprintf(needle, sizeof(needle), "  --%s ", name);
		if (!strstr(printed_out, needle))
			fail_msg("--help all lacks %s", name);
		snprintf(needle, sizeof(needle), "$%s]", env);
		if (*env && !strstr(printed_out, needle))
			fail_msg("--help all lacks the variable of %s", name);
	}
	assert_true(count >= 14);
	for (char *line = strtok_r(printed_out, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		assert_true(strlen(line) <= 100);
}

static void test_version(void **state)
{
	static const char *const parts[] = { "civetweb 1.15", "json-c 0.", "zlib 1.", "SQLite 3.", "OpenSSL 3.", "utf8proc 2." };
	char first[128];
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "", "--version"), OPTIONS_EXIT_OK);
	snprintf(first, sizeof(first), "wavechatd %s\n", wc_version());
	assert_ptr_equal(strstr(printed_out, first), printed_out);
	for (size_t i = 0; i < WC_LEN(parts); i++)
		assert_non_null(strstr(printed_out, parts[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),       cmocka_unit_test(test_ports),    cmocka_unit_test(test_every_option),
		cmocka_unit_test(test_every_variable), cmocka_unit_test(test_data),     cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_lists),          cmocka_unit_test(test_refusals), cmocka_unit_test(test_config),
		cmocka_unit_test(test_config_refused), cmocka_unit_test(test_reread),   cmocka_unit_test(test_several_addresses),
		cmocka_unit_test(test_help),           cmocka_unit_test(test_version),  cmocka_unit_test(test_help_short),
	};

	int status, fd;

	snprintf(config_path, sizeof(config_path), "/tmp/wavechat-options-XXXXXX");
	fd = mkstemp(config_path);
	if (fd < 0)
		return 1;
	close(fd);
	status = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(config_path);
	return status;
}
