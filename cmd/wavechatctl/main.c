/* main.c — wavechatctl: arguments, usage and help, all from the table of verbs.
 *
 * A verb is a row in core/admin/verbs.h and a function run_<id> in the file of its group. */
#include <ctype.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/nearest.h"
#include "ctl.h"

#define TIMEOUT_MS 10000

/* clang-format off */
#define NO_REQUEST(...)
#define COMMAND_ROW(id, name, operands, choices, least, most, help, ...) \
	{ name, operands, choices, help, least, most, run_##id, { __VA_ARGS__ } },
static const struct verb verbs[] = {
	ADMIN_VERBS(NO_REQUEST, COMMAND_ROW)
	{ .name = NULL },
};
/* clang-format on */

static const struct option common[] = {
	OPTION("socket", "PATH", "of the server's admin socket"),
	OPTION("timeout", "SECONDS", "longest wait for the server's answer, 10 by default; 0: no limit"),
	OPTION("json", NULL, "the server's answer as it is, for scripts"),
	OPTION("help", NULL, "this"),
	OPTION("version", NULL, "the version of this program"),
};

/* --- The nearest right word to a mistyped one */

struct nearest {
	const char *wanted, *best;
	size_t off;
};

static void consider(struct nearest *n, const char *word)
{
	size_t len = strlen(n->wanted), off = edit_distance(n->wanted, len, word);

	if (len >= 2 && strncmp(word, n->wanted, len) == 0)
		off = 0;
	if (off <= 3 && off < len && off < n->off) {
		n->off = off;
		n->best = word;
	}
}

/* --- Help */

static void print_usage(FILE *f, const struct verb *v)
{
	fprintf(f, "usage: " PROGRAM " %s%s%s%s\n", v->name, *v->operands ? " " : "", v->operands,
	        v->options[0].name ? " [OPTION]..." : "");
}

static void print_option(const struct option *o)
{
	char left[64];

	snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
	printf("  %-22s %s\n", left, o->help);
}

static void print_verb_help(const struct verb *v)
{
	print_usage(stdout, v);
	printf("\n%c%s.\n\n", toupper((unsigned char)v->help[0]), v->help + 1);
	for (const struct option *o = v->options; o->name; o++)
		print_option(o);
	for (size_t i = 0; i < WC_LEN(common); i++)
		print_option(&common[i]);
}

static void print_help(void)
{
	printf("usage: " PROGRAM " VERB [OPTION]... [OPERAND]...\n\n"
	       "Looks after a running wavechatd, through its admin socket.\n\n");
	for (const struct verb *v = verbs; v->name; v++) {
		char left[64];

		snprintf(left, sizeof(left), "%s %s", v->name, v->operands);
		printf("  %-24s %s\n", left, v->help);
	}
	printf("\n");
	for (size_t i = 0; i < WC_LEN(common); i++)
		print_option(&common[i]);
	printf("\n" PROGRAM " help VERB says more. A USER is an id or a name; id:7 and name:7 tell them apart.\n"
	       "The socket: --socket, else $WAVECHAT_SOCKET, else the first that answers of $WAVECHAT_ADMIN_SOCKET,\n"
	       "else $WAVECHAT_DATA/admin.sock, $RUNTIME_DIRECTORY/wavechat.sock, /run/wavechat/wavechat.sock,\n"
	       "$STATE_DIRECTORY/admin.sock, /var/lib/wavechat/admin.sock, ./wavechat-data/admin.sock.\n"
	       "Exit status: 0 done, 1 the server refused or failed, 2 wrong usage, 3 no server there, 4 not permitted,\n"
	       "5 no such person, message or ban, or more than one, 6 status: the server is not well, 7 it did not answer in time.\n");
}

static const struct verb *find_verb(const char *name)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

static int refuse_verb(const char *name)
{
	struct nearest n = { .wanted = name, .off = SIZE_MAX };

	for (const struct verb *v = verbs; v->name; v++)
		consider(&n, v->name);
	if (n.best)
		return complain(EXIT_USAGE, "no verb \"%s\"; did you mean %s?", name, n.best);
	return complain(EXIT_USAGE, "no verb \"%s\"; see " PROGRAM " --help", name);
}

int run_help(struct ctl *c)
{
	const struct verb *v;

	if (c->count == 0) {
		print_help();
		return EXIT_DONE;
	}
	v = find_verb(c->operands[0]);
	if (!v)
		return refuse_verb(c->operands[0]);
	print_verb_help(v);
	return EXIT_DONE;
}

/* --- Arguments */

static int refuse_option(const struct ctl *c, const char *arg, size_t len)
{
	char name[64];
	struct nearest n = { .wanted = name, .off = SIZE_MAX };

	snprintf(name, sizeof(name), "%.*s", (int)WC_MIN(len, sizeof(name) - 1), arg);
	for (const struct option *o = c->verb ? c->verb->options : NULL; o && o->name; o++)
		consider(&n, o->name);
	for (size_t i = 0; i < WC_LEN(common); i++)
		consider(&n, common[i].name);
	if (n.best)
		return complain(EXIT_USAGE, "%s%sno option \"--%s\"; did you mean --%s?", c->verb ? c->verb->name : "", c->verb ? ": " : "",
		                name, n.best);
	return complain(EXIT_USAGE, "%s%sno option \"--%s\"; see " PROGRAM " --help", c->verb ? c->verb->name : "", c->verb ? ": " : "",
	                name);
}

/* One "--name", "--name=value" or "--name value" at argv[*at]. 0, or -1 for the help and version that were printed, or an exit code. */
static int take_option(struct ctl *c, char **argv, int *at)
{
	const char *arg = argv[*at] + 2, *equals = strchr(arg, '='), *value = equals ? equals + 1 : NULL;
	const size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
	const struct option *found = NULL;
	const char **slot = NULL;

	for (int i = 0; c->verb && c->verb->options[i].name; i++)
		if (strlen(c->verb->options[i].name) == len && memcmp(c->verb->options[i].name, arg, len) == 0) {
			found = &c->verb->options[i];
			slot = &c->values[i];
		}
	for (size_t i = 0; i < WC_LEN(common) && !found; i++)
		if (strlen(common[i].name) == len && memcmp(common[i].name, arg, len) == 0)
			found = &common[i];
	if (!found)
		return refuse_option(c, arg, len);
	if (!found->value && value)
		return complain(EXIT_USAGE, "--%s takes no value", found->name);
	if (found->value && !value && !(value = argv[++*at]))
		return complain(EXIT_USAGE, "--%s needs a value: %s", found->name, found->help);
	/* A script's variable that was not set is not "anybody". A reason may be empty: then there is none. */
	if (found->value && !*value && strcmp(found->name, "reason") != 0)
		return complain(EXIT_USAGE, "--%s is empty: leave it out, or give %s", found->name, found->help);
	if (slot)
		*slot = value ? value : "";
	else if (strcmp(found->name, "socket") == 0)
		c->socket = value;
	else if (strcmp(found->name, "timeout") == 0)
		return limit_parse(value, &c->timeout_ms);
	else if (strcmp(found->name, "json") == 0)
		c->json = true;
	else if (strcmp(found->name, "version") == 0)
		printf(PROGRAM " %s\njson-c %s\n", wc_version(), json_c_version());
	else if (c->verb)
		print_verb_help(c->verb);
	else
		print_help();
	return strcmp(found->name, "help") == 0 || strcmp(found->name, "version") == 0 ? -1 : 0;
}

static int take_arguments(struct ctl *c, char **argv)
{
	bool only_operands = false;
	int code;

	for (int at = 1; argv[at]; at++) {
		const char *arg = argv[at];

		if (!only_operands && strcmp(arg, "--") == 0) {
			only_operands = true;
		} else if (!only_operands && (strcmp(arg, "-h") == 0 || strcmp(arg, "-V") == 0)) {
			char *long_form[] = { arg[1] == 'h' ? (char[]){ "--help" } : (char[]){ "--version" }, NULL };
			int first = 0;

			return take_option(c, long_form, &first);
		} else if (!only_operands && strncmp(arg, "--", 2) == 0) {
			if ((code = take_option(c, argv, &at)) != 0)
				return code;
		} else if (!only_operands && arg[0] == '-' && arg[1]) {
			return complain(EXIT_USAGE, "no option \"%s\"; see " PROGRAM " --help", arg);
		} else if (!c->verb) {
			c->verb = find_verb(arg);
			if (!c->verb)
				return refuse_verb(arg);
		} else {
			c->operands[c->count++] = argv[at];
		}
	}
	return 0;
}

/* A descriptor that was closed when we were started would be given to the next socket or file, and a backup written into it. Writing to it
 * fails. */
static void keep_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct ctl c = { .verbs = verbs, .fd = -1, .hold = -1, .timeout_ms = TIMEOUT_MS };
	int code;

	keep_standard_descriptors();
	umask(077); /* its files hold private talk */
	c.operands = xcalloc((size_t)argc + 1, sizeof(*c.operands));
	code = take_arguments(&c, argv);
	if (code == 0 && !c.verb) {
		print_help();
		code = EXIT_USAGE;
	} else if (code == 0 && (c.count < c.verb->least || (c.verb->most >= 0 && c.count > c.verb->most))) {
		code = complain(EXIT_USAGE, "%s: %s", c.verb->name, c.count < c.verb->least ? "something is missing" : "too much");
		print_usage(stderr, c.verb);
	} else if (code == 0) {
		code = c.verb->run(&c);
	}
	client_close(&c);
	free(c.operands);
	if (code < 0)
		code = EXIT_DONE;
	/* A full disk or a closed pipe must not pass for success. */
	if (fflush(stdout) != 0 && code == EXIT_DONE)
		code = EXIT_REFUSED;
	return code;
}
