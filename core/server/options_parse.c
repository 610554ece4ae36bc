/* options_parse.c — the sources of settings: the command line, else the environment, else the file of --config, else the default. Complains
 * of wrong ones. Prints --help. Opens the file and nothing else. Main thread. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "server/config.h"
#include "server/licenses.h"
#include "server/options_impl.h"
#include "server/version.h"

#define LISTEN_MAX 16 /* addresses; each has a socket, and another one for --redirect-http */

/* --- Errors: one line each */

static enum options_result refuse_value(const struct option_row *row, const char *source, const char *value, char **cause)
{
	char quoted[512], range[256];

	wc_cause(cause, "%s %s: must be %s%s", source, log_quote(quoted, (struct str){ value, strlen(value) }),
	         row->kind == KIND_INT ? "a whole number, " : "", option_range(row, range, sizeof(range)));
	return OPTIONS_EXIT_USAGE;
}

static enum options_result refuse_unknown(const char *arg, char **cause)
{
	const char *name = arg + strspn(arg, "-"), *nearest = NULL;
	size_t len = strcspn(name, "="), best = 4; /* further off is no typing error */
	char quoted[512];

	for (size_t i = 0; i < option_count && arg[0] == '-' && len > 0; i++) {
		size_t distance = edit_distance(name, len, option_table[i].name);

		if (option_table[i].help && strncmp(name, option_table[i].name, len) == 0)
			distance = 0;
		if (option_table[i].help && distance < best && distance < len) {
			best = distance;
			nearest = option_table[i].name;
		}
	}
	log_quote(quoted, (struct str){ arg, strlen(arg) });
	if (arg[0] != '-')
		wc_cause(cause, "%s: takes options only; see " PROGRAM " --help", quoted);
	else if (nearest)
		wc_cause(cause, "no option %s; did you mean --%s?", quoted, nearest);
	else
		wc_cause(cause, "no option %s; see " PROGRAM " --help all", quoted);
	return OPTIONS_EXIT_USAGE;
}

static size_t distance_of(const char *a, const char *b)
{
	return edit_distance(a, strlen(a), b);
}

/* The variable that name is likely to be meant for; NULL: none is near. WAVECHAT_PORT is near PORT, which is older than the rule. */
static const char *nearest_variable(const char *name)
{
	const char *nearest = NULL;
	size_t best = 4;

	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		char ruled[64];
		size_t distance;

		if (!row->env)
			continue;
		snprintf(ruled, sizeof(ruled), "WAVECHAT_%s", row->name);
		for (char *p = ruled; *p; p++)
			*p = *p == '-' ? '_' : *p >= 'a' && *p <= 'z' ? (char)(*p & ~0x20) : *p;
		distance = WC_MIN(distance_of(name, row->env), distance_of(name, ruled));
		/* A name that lacks its prefix, or is written as the option is. */
		distance = WC_MIN(distance, distance_of(name, row->name));
		distance = WC_MIN(distance, distance_of(name, ruled + strlen("WAVECHAT_")));
		if (distance < best && distance < strlen(name)) {
			best = distance;
			nearest = row->env;
		}
	}
	return nearest;
}

/* --- Help */

static void describe_default(const struct option_row *row, char *out, size_t room)
{
	if (row->unset)
		snprintf(out, room, "%s", row->unset);
	else if (row->kind == KIND_CHOICE)
		snprintf(out, room, "%s", row->choices[row->fallback]);
	else
		snprintf(out, room, "%d", row->fallback);
}

/* For one screen: what most servers need. */
static void print_help(void)
{
	printf("usage: " PROGRAM " [--OPTION VALUE]...\n"
	       "A chat server in one file: start it, open the address that it prints, talk.\n"
	       "Without options it listens on port 8080 and keeps its data in " DATA_DEFAULT ".\n\n");
	for (const struct option_row *row = option_table; row < option_table + option_count; row++) {
		char left[64], fallback[128] = "";

		if (!row->is_common)
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");
		if (option_takes_value(row))
			describe_default(row, fallback, sizeof(fallback));
		printf("  %-25s %s", left, row->help);
		/* Where the default fits into the line. */
		if (fallback[0] && strncmp(fallback, "none", 4) != 0 && strlen(row->help) + strlen(fallback) <= 49)
			printf(" [%s]", fallback);
		printf("\n");
	}
	printf("[default]; each setting is also a variable, such as PORT or WAVECHAT_DATA\n");
}

static void print_help_all(void)
{
	const char *group = "";

	printf("usage: " PROGRAM " [--OPTION VALUE]...\n\n"
	       "  " PROGRAM "                                   on port 8080, with its data in " DATA_DEFAULT "\n"
	       "  " PROGRAM " --port 80 --data /var/lib/wavechat\n"
	       "  " PROGRAM " --listen 127.0.0.1 --port 0       for this machine alone, on any free port\n");
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		char left[64], range[256], fallback[128];

		if (!row->help)
			continue;
		if (strcmp(group, row->group) != 0)
			printf("\n%s\n", group = row->group);
		snprintf(left, sizeof(left), "--%s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");
		printf("  %-24s %s\n", left, row->help);
		if (row->kind == KIND_FLAG && row->env)
			printf("  %-24s   [yes or no; default no; $%s]\n", "", row->env);
		if (!option_takes_value(row))
			continue;
		describe_default(row, fallback, sizeof(fallback));
		printf("  %-24s   [%s%s", "",
		       row->kind == KIND_INT || row->kind == KIND_CHOICE ? option_range(row, range, sizeof(range)) : "",
		       row->kind == KIND_INT || row->kind == KIND_CHOICE ? "; " : "");
		printf("default %s%s%s]\n", fallback, row->env ? "; $" : "", row->env ? row->env : "");
	}
	printf("\nAn option beats its $VARIABLE. The variable beats a line VARIABLE=VALUE in the file of\n"
	       "--config, and that line beats the default. An empty variable counts as unset.\n"
	       "Exit status: 0 stopped as asked, 1 could not start or run, 2 a wrong option or variable.\n");
}

void options_print_table(void)
{
	static const char *const kinds[] = {
		[KIND_INT] = "INT",       [KIND_CHOICE] = "CHOICE",     [KIND_DIR] = "DIR",           [KIND_FILE] = "FILE",
		[KIND_CONFIG] = "CONFIG", [KIND_PATH] = "PATH",         [KIND_ENDPOINT] = "ENDPOINT", [KIND_ADDRESSES] = "ADDRESSES",
		[KIND_NETS] = "NETS",     [KIND_ORIGINS] = "ORIGINS",   [KIND_FLAG] = "FLAG",         [KIND_VERSION] = "VERSION",
		[KIND_HELP] = "HELP",     [KIND_LICENSES] = "LICENSES", [KIND_TABLE] = "TABLE",
	};

	for (const struct option_row *row = option_table; row < option_table + option_count; row++) {
		char fallback[128] = "";

		if (!row->help)
			continue;
		/* Words for people are no value, but for a number they stand beside one. */
		if (row->kind == KIND_INT)
			snprintf(fallback, sizeof(fallback), "%d", row->fallback);
		else if (!row->unset)
			describe_default(row, fallback, sizeof(fallback));
		printf("%s|%s|%s|%d|%d|%s|", row->name, row->env ? row->env : "", kinds[row->kind], row->low, row->high, fallback);
		for (int i = 0; row->kind == KIND_CHOICE && row->choices[i]; i++)
			printf("%s%s", i ? " " : "", row->choices[i]);
		printf("|%s\n", row->is_live ? "live" : "");
	}
}

/* --- The command line */

/* One argument, and the next if it is its value. */
static enum options_result parse_argument(struct options *o, char **argv, int *at, char **cause)
{
	const char *arg = argv[*at], *value;
	const struct option_row *row = NULL;
	char source[64];
	size_t len;

	if (strcmp(arg, "-h") == 0)
		arg = "--help";
	if (strcmp(arg, "-V") == 0)
		arg = "--version";
	len = strcspn(arg, "=");
	if (strncmp(arg, "--", 2) == 0 && len > 2)
		row = option_find(arg + 2, len - 2);
	if (!row)
		return refuse_unknown(arg, cause);
	value = arg[len] == '=' ? arg + len + 1 : NULL;

	snprintf(source, sizeof(source), "--%s", row->name);
	if (row->kind == KIND_HELP && !value)
		value = argv[*at + 1];
	if (row->kind == KIND_HELP && value && strcmp(value, "all") == 0) {
		print_help_all();
		return OPTIONS_EXIT_OK;
	}
	if (!option_takes_value(row)) {
		if (value && arg[len] == '=') {
			wc_cause(cause, "%s takes no value%s", source, row->kind == KIND_HELP ? " but all: the long list" : "");
			return OPTIONS_EXIT_USAGE;
		}
		switch (row->kind) {
		case KIND_HELP: print_help(); return OPTIONS_EXIT_OK;
		case KIND_VERSION: version_print(PROGRAM); return OPTIONS_EXIT_OK;
		case KIND_LICENSES: licenses_print(); return OPTIONS_EXIT_OK;
		case KIND_TABLE: options_print_table(); return OPTIONS_EXIT_OK;
		default:
			(void)option_set(o, row, "yes");
			o->origin[row - option_table].from = FROM_OPTION;
			return OPTIONS_RUN;
		}
	}
	if (!value && !(value = argv[*at + 1])) {
		char range[256];

		wc_cause(cause, "%s needs a value: %s", source, option_range(row, range, sizeof(range)));
		return OPTIONS_EXIT_USAGE;
	}
	if (arg[len] != '=')
		++*at;
	if (!option_set(o, row, value))
		return refuse_value(row, source, value, cause);
	o->origin[row - option_table].from = FROM_OPTION;
	return OPTIONS_RUN;
}

/* --- The environment */

static enum options_result parse_environment(struct options *o, char **cause)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		const char *value = row->env && o->origin[i].from == FROM_DEFAULT ? getenv(row->env) : NULL;

		if (!value || !*value)
			continue;
		if (!option_set(o, row, value))
			return refuse_value(row, row->env, value, cause);
		o->origin[i].from = FROM_ENVIRONMENT;
	}
	return OPTIONS_RUN;
}

void options_warn_environment(void)
{
	/* wavechatctl's, and those of a build for tests. */
	static const char *const others[] = { "WAVECHAT_SOCKET", "WAVECHAT_FAULT", "WAVECHAT_FAULT_CONTROL" };
	char quoted[512];

	for (char **entry = environ; entry && *entry; entry++) {
		struct str name = { *entry, strcspn(*entry, "=") };
		char *bare;
		bool is_known;

		if (strncmp(name.p, "WAVECHAT_", 9) != 0)
			continue;
		bare = strndup(name.p, name.len);
		WC_ASSERT(bare);
		is_known = option_of_variable(bare) != NULL;
		for (size_t i = 0; i < WC_LEN(others); i++)
			is_known |= strcmp(bare, others[i]) == 0;
		if (!is_known) {
			const char *nearest = nearest_variable(bare);

			log_warn("unknown variable", "name=%s remedy=\"%s%s\"", log_quote(quoted, name),
			         nearest ? "did you mean " : "see wavechatd --help all", nearest ? nearest : "");
		}
		free(bare);
	}
}

/* --- The file */

static enum options_result refuse_name(const struct config_line *line, const char *path, char **cause)
{
	const char *nearest = nearest_variable(line->name);
	char quoted[512];

	log_quote(quoted, (struct str){ line->name, strlen(line->name) });
	if (strcmp(line->name, "OPTIONS") == 0)
		wc_cause(cause, "%s:%d: no setting %s: give each option its variable, such as WAVECHAT_RETAIN_DAYS=365", path, line->line,
		         quoted);
	else if (nearest)
		wc_cause(cause, "%s:%d: no setting %s; did you mean %s?", path, line->line, quoted, nearest);
	else
		wc_cause(cause, "%s:%d: no setting %s; " PROGRAM " --help all names them", path, line->line, quoted);
	return OPTIONS_EXIT_USAGE;
}

/* Every line must be sound, also one that something else beats. Of a name that comes again the last line counts. */
static enum options_result parse_lines(struct options *o, const struct config *file, const char *path, char **cause)
{
	const struct config_line *last[OPTIONS_MAX] = { NULL };

	for (const struct config_line *line = file->v; line < file->v + file->n; line++) {
		const struct option_row *row = option_of_variable(line->name);
		struct options scratch = { 0 };
		char *source = NULL;
		bool is_good;

		if (!row)
			return refuse_name(line, path, cause);
		if (row->kind == KIND_CONFIG) {
			wc_cause(cause, "%s:%d: a file of settings cannot name another one: take the line out", path, line->line);
			return OPTIONS_EXIT_USAGE;
		}
		last[row - option_table] = line;
		if (!*line->value)
			continue;
		is_good = option_set(&scratch, row, line->value);
		options_fini(&scratch);
		if (is_good)
			continue;
		if (asprintf(&source, "%s:%d: %s", path, line->line, row->env) < 0)
			abort();
		refuse_value(row, source, line->value, cause);
		free(source);
		return OPTIONS_EXIT_USAGE;
	}
	for (size_t i = 0; i < option_count; i++) {
		if (!last[i] || !*last[i]->value || o->origin[i].from != FROM_DEFAULT)
			continue;
		WC_ASSERT(option_set(o, &option_table[i], last[i]->value));
		o->origin[i] = (struct option_origin){ FROM_FILE, last[i]->line };
	}
	return OPTIONS_RUN;
}

static enum options_result parse_file(struct options *o, char **cause)
{
	const char *path = options_config_path(o);
	enum options_result result;
	struct config file;
	int rc;

	if (!path)
		return OPTIONS_RUN;
	rc = config_read(&file, path, cause);
	if (rc == -WC_ENOENT && o->config[0] == '-') {
		free(*cause);
		*cause = NULL;
		return OPTIONS_RUN;
	}
	if (rc < 0)
		return OPTIONS_EXIT_USAGE;
	o->has_file = true;
	result = parse_lines(o, &file, path, cause);
	config_fini(&file);
	return result;
}

/* --- All together */

/* Where --data and its variable say nothing. systemd may name several folders, apart by colons: the first is ours. */
static char *default_data(void)
{
	const char *state = getenv("STATE_DIRECTORY");
	char *dir;

	if (state)
		state += strspn(state, ":");
	if (!state || !*state)
		return xstrdup(DATA_DEFAULT);
	dir = xstrdup(state);
	dir[strcspn(dir, ":")] = '\0';
	return dir;
}

static const struct option_origin *origin_of(const struct options *o, const char *name)
{
	return &o->origin[option_find(name, strlen(name)) - option_table];
}

/* One of name's values, and where it stands. */
static bool disagree(const struct options *o, const char *name, char **cause, const char *what)
{
	const struct option_origin *origin = origin_of(o, name);

	if (origin->from == FROM_FILE)
		wc_cause(cause, "%s:%d: %s", options_config_path(o), origin->line, what);
	else
		wc_cause(cause, "%s", what);
	return false;
}

static bool addresses_agree(const struct options *o, char **cause)
{
	char what[160];
	size_t n = 0;

	for (char *const *a = o->listen; a && *a; a++, n++)
		for (char *const *b = o->listen; b < a; b++) {
			const char *wide = strcmp(*a, "0.0.0.0") == 0 || strcmp(*a, "::") == 0 ? *a : *b, *narrow = wide == *a ? *b : *a;

			snprintf(what, sizeof(what), "--listen %s is given twice: leave one out", *a);
			if (strcmp(*a, *b) == 0)
				return disagree(o, "listen", cause, what);
			snprintf(what, sizeof(what), "--listen %s includes %s: give one of them", wide, narrow);
			if ((strcmp(wide, "0.0.0.0") == 0 && !strchr(narrow, ':')) || (strcmp(wide, "::") == 0 && strchr(narrow, ':')))
				return disagree(o, "listen", cause, what);
		}
	snprintf(what, sizeof(what), "--listen: %zu addresses; give at most %d, or none to listen on every one", n, LISTEN_MAX);
	return n <= LISTEN_MAX || disagree(o, "listen", cause, what);
}

/* The own sockets must not be in each other's way. Until one of them listens, the kernel would let them. */
static bool ports_agree(const struct options *o, char **cause)
{
	const char *colon = o->metrics ? strrchr(o->metrics, ':') : NULL;
	const int metrics = colon ? atoi(colon + 1) : 0;
	bool is_shared = !o->listen;

	if (o->redirect_port && o->redirect_port == o->port)
		return disagree(o, "redirect-http", cause, "--redirect-http and --port are the same: give it a port of its own");
	if (!metrics || (metrics != o->port && metrics != o->redirect_port))
		return true;
	const bool is_v6 = o->metrics[0] == '[', is_any = strncmp(o->metrics, "[::]:", 5) == 0 || strncmp(o->metrics, "0.0.0.0:", 8) == 0;
	for (char *const *a = o->listen; a && *a; a++)
		is_shared |= (strchr(*a, ':') != NULL) == is_v6 &&
		             (is_any || strcmp(*a, "::") == 0 || strcmp(*a, "0.0.0.0") == 0 ||
		              (strncmp(o->metrics + is_v6, *a, strlen(*a)) == 0 && strchr(":]", o->metrics[is_v6 + strlen(*a)])));
	return !is_shared ||
	       disagree(o, "metrics", cause, "--metrics has a port that the chat listens on at the same address: give it one of its own");
}

/* Those that make sense together only. False: *cause says what is wrong. */
static bool options_agree(const struct options *o, char **cause)
{
	if (o->tls_cert && !o->tls_key)
		return disagree(o, "tls-cert", cause, "--tls-cert needs --tls-key, the certificate's private key");
	if (o->tls_key && !o->tls_cert)
		return disagree(o, "tls-key", cause, "--tls-key needs --tls-cert, the key's certificate");
	if (o->tls_cert && o->tls_self_signed)
		return disagree(o, "tls-self-signed", cause, "--tls-self-signed and --tls-cert: give one of them");
	if (o->redirect_port && !o->tls_cert && !o->tls_self_signed)
		return disagree(o, "redirect-http", cause,
		                "--redirect-http needs HTTPS to send people to: --tls-cert and --tls-key, or --tls-self-signed");
	return addresses_agree(o, cause) && ports_agree(o, cause);
}

enum options_result options_build(struct options *o, int argc, char **argv, char **cause)
{
	enum options_result result = OPTIONS_RUN;

	*o = (struct options){ .argc = argc, .argv = argv };
	for (const struct option_row *row = option_table; row < option_table + option_count; row++)
		if (row->kind == KIND_INT || row->kind == KIND_CHOICE)
			memcpy((char *)o + row->offset, &row->fallback, sizeof(row->fallback));
	for (int at = 1; at < argc && result == OPTIONS_RUN; at++)
		result = parse_argument(o, argv, &at, cause);
	if (result == OPTIONS_RUN)
		result = parse_environment(o, cause);
	if (result == OPTIONS_RUN)
		result = parse_file(o, cause);
	if (result == OPTIONS_RUN && !options_agree(o, cause))
		result = OPTIONS_EXIT_USAGE;
	if (result != OPTIONS_RUN) {
		options_fini(o);
		return result;
	}
	if (!o->data)
		o->data = default_data();
	if (origin_of(o, "exempt")->from == FROM_DEFAULT)
		option_add_nets(&o->exempt, "127.0.0.0/8 ::1");
	return OPTIONS_RUN;
}

enum options_result options_parse(struct options *o, int argc, char **argv)
{
	char *cause = NULL;
	enum options_result result = options_build(o, argc, argv, &cause);

	if (cause)
		fprintf(stderr, PROGRAM ": %s\n", cause);
	free(cause);
	return result;
}
