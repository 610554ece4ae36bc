/* main.c — wavechatctl: the table of verbs, from which arguments, usage, help and completion follow.
 *
 * A verb is one row here and one function in the file of its group. */
#include <ctype.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"

#define PROGRAM "wavechatctl"
#define TIMEOUT_MS 10000

/* clang-format off */
#define FOR { "for", "TIME", "how long: 90s, 30m, 2h, 7d; without it, for good" }
#define REASON { "reason", "TEXT", "why: told to the person, kept in the audit" }
#define NAME { "name", "NAME", "a name, whoever bears it" }
#define IP { "ip", "ADDRESS", "an address, or a network such as 10.0.0.0/8" }
#define WITH_IP { "with-ip", NULL, "and the addresses this person is connected from, or was last" }
#define FORCE { "force", NULL, "even if it hits others, this machine, or a private network" }
#define REPLACE { "replace", NULL, "even if a longer one is shortened" }
#define DM { "dm", "USER", "one end of a private talk, in place of the public one; written to the audit" }, { "with", "USER", "its other end" }

const struct verb verbs[] = {
	{ "status", "", "how the server is", 0, 0, run_status, { { 0 } } },
	{ "top", "", "how the server is, live, until you press q", 0, 0, run_top, { { "interval", "SECONDS", "between two looks; 1 by default" }, { 0 } } },
	{ "users", "[PART-OF-NAME]", "who is online", 0, 1, run_users,
	  { { "all", NULL, "everybody known, online or not, with their last address" }, { "ip", "ADDRESS", "who is or was connected from an address or network" }, { 0 } } },
	{ "kick", "USER", "close every connection of a person, who may come back", 1, 1, run_kick, { REASON, { 0 } } },
	{ "ban", "[USER]", "keep out a person, a name, an address or a network", 0, 1, run_ban, { NAME, IP, WITH_IP, FOR, REASON, FORCE, REPLACE, { 0 } } },
	{ "unban", "[USER]", "lift a ban", 0, 1, run_unban, { NAME, IP, { "number", "N", "the ban of this number" }, { 0 } } },
	{ "bans", "", "who is banned", 0, 0, run_bans, { { 0 } } },
	{ "mute", "[USER]", "let somebody read but not write", 0, 1, run_mute, { NAME, IP, WITH_IP, FOR, REASON, FORCE, REPLACE, { 0 } } },
	{ "unmute", "[USER]", "lift a mute", 0, 1, run_unmute, { NAME, IP, { "number", "N", "the mute of this number" }, { 0 } } },
	{ "mutes", "", "who is muted", 0, 0, run_mutes, { { 0 } } },
	{ "slow", "[SECONDS]", "one public message a person in so many seconds; 0 ends it", 0, 1, run_slow, { { 0 } } },
	{ "lockdown", "[on|off]", "let no new people in, or let nobody write; without an operand, says how it is", 0, 1, run_lockdown,
	  { { "read-only", NULL, "nobody writes, either" }, { "for", "TIME", "how long: 90s, 30m, 2h, 7d; without it, until it is ended" },
	    { "reason", "TEXT", "why: kept in the audit" }, { 0 } } },
	{ "say", "TEXT...", "tell everyone who is online", 1, -1, run_say, { { 0 } } },
	{ "delete", "MESSAGE-ID...", "delete messages", 1, -1, run_delete, { REASON, { 0 } } },
	{ "purge", "[USER]", "delete all messages and files of a person", 0, 1, run_purge,
	  { { "ip", "ADDRESS", "of everybody whose last address lies in this network" }, { "since", "TIME", "only what was sent since then, as with history" },
	    { "dry-run", NULL, "only count, and delete nothing" }, { "yes", NULL, "do not ask, as a terminal is asked" }, REASON, { 0 } } },
	{ "history", "", "messages, oldest first", 0, 0, run_history,
	  { DM, { "user", "USER", "only this person's" }, { "since", "TIME", "from 2026-01-31, from 2026-01-31T12:30, or how long ago: 2h, 7d" },
	    { "until", "TIME", "up to this time" }, { "grep", "TEXT", "only those that contain it" }, { "last", "N", "only the newest N" },
	    { "format", "FORMAT", "text, jsonl or html" }, { "follow", NULL, "go on with what comes, until interrupted" },
	    { "addresses", NULL, "each author's last address, too; in text alone" }, { 0 } } },
	{ "files", "", "files and voices", 0, 0, run_files,
	  { DM, { "user", "USER", "only this person's" }, { "since", "TIME", "as with history" }, { "until", "TIME", "up to this time" },
	    { "grep", "TEXT", "only those whose name contains it" }, { "last", "N", "only those among the newest N messages" }, { 0 } } },
	{ "audit", "", "what admins did: who, when, why", 0, 0, run_audit, { { "last", "N", "only the newest N" }, { 0 } } },
	{ "backup", "FILE", "all that is kept, as of one moment, in one file; \"-\": to standard output", 1, 1, run_backup,
	  { { "force", NULL, "even if FILE is there already" },
	    { "keep", "N", "FILE is a folder: write a file named by the time, then remove the oldest of these beyond N" }, { 0 } } },
	{ "restore", "FILE DIR", "check a backup and make a data folder of it; \"-\": from standard input", 2, 2, run_restore,
	  { { "partial", NULL, "also what is left of a damaged backup: without the files that are missing or rotten" }, { 0 } } },
	{ "verify", "[DIR|FILE]", "check the server's database and files, or a data folder at rest, or a backup", 0, 1, run_verify, { { 0 } } },
	{ "metrics", "", "counters, as Prometheus reads them", 0, 0, run_metrics, { { 0 } } },
	{ "config", "", "the settings in force, where each came from, and what waits for a restart", 0, 0, run_config, { { 0 } } },
	{ "log-level", "[LEVEL]", "how much is logged: error, warn, info or debug", 0, 1, run_log_level, { { 0 } } },
	{ "completion", "SHELL", "completion for bash, zsh or fish, on standard output", 1, 1, run_completion, { { 0 } } },
	{ "help", "[VERB]", "what a verb does and takes", 0, 1, run_help, { { 0 } } },
	{ NULL, NULL, NULL, 0, 0, NULL, { { 0 } } },
};
/* clang-format on */

static const struct option common[] = {
	{ "socket", "PATH", "of the server's admin socket" },
	{ "timeout", "SECONDS", "how long to wait for the server's answer, 10 by default; 0: without end" },
	{ "json", NULL, "the server's answer as it is, for scripts" },
	{ "help", NULL, "this" },
	{ "version", NULL, "the version of this program" },
};

static bool hushed;

void hush(bool on)
{
	hushed = on;
}

bool is_hushed(void)
{
	return hushed;
}

int complain(int code, const char *fmt, ...)
{
	va_list ap;
	struct buf b;
	char *line;

	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) < 0)
		abort();
	va_end(ap);
	buf_init(&b, 1 << 20);
	put_safe(&b, line);
	fflush(stdout);
	if (!hushed)
		fprintf(stderr, PROGRAM ": %.*s\n", (int)b.len, b.p ? b.p : "");
	buf_fini(&b);
	free(line);
	return code;
}

const char *option(const struct ctl *c, const char *name)
{
	for (int i = 0; c->verb->options[i].name; i++)
		if (strcmp(c->verb->options[i].name, name) == 0)
			return c->values[i];
	WC_ASSERT(!"the verb has this option");
	return NULL;
}

/* --- The nearest word, for who mistyped one */

static size_t distance(const char *a, const char *b)
{
	enum { LONGEST = 24 };
	size_t row[LONGEST + 1], n = strlen(a), m = strlen(b);

	if (n > LONGEST || m > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t above = row[j], change = diagonal + (a[i - 1] != b[j - 1]);

			row[j] = WC_MIN(change, WC_MIN(above, row[j - 1]) + 1);
			diagonal = above;
		}
	}
	return row[m];
}

struct nearest {
	const char *wanted, *best;
	size_t off;
};

static void consider(struct nearest *n, const char *word)
{
	size_t len = strlen(n->wanted), off = distance(n->wanted, word);

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

/* --- Completion, from the same table */

/* What an operand or an option's value may be, where that is a short list. */
static const struct {
	const char *of, *words;
} choices[] = {
	{ "completion", "bash zsh fish" }, { "log-level", "error warn info debug" }, { "slow", "off" },
	{ "lockdown", "on off" },          { "format", "text jsonl html" },
};

static const char *choice(const char *of)
{
	for (size_t i = 0; i < WC_LEN(choices); i++)
		if (strcmp(choices[i].of, of) == 0)
			return choices[i].words;
	return NULL;
}

/* s inside single quotes of any of the three shells, with a backslash before each of `special`. */
static void print_quoted(const char *s, const char *special)
{
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", stdout);
		else
			printf("%s%c", strchr(special, *s) ? "\\" : "", *s);
	}
}

static void print_words(const char *before, const struct option *o, const char *after)
{
	for (; o->name; o++)
		printf("%s%s%s", before, o->name, after);
}

static int complete_bash(void)
{
	printf("# bash completion for " PROGRAM "; made by `" PROGRAM " completion bash`\n_wavechatctl() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= i words\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in\n\t\t--socket|--timeout) ((i++)) ;;\n\t\t-*) ;;\n"
	       "\t\t*) verb=${COMP_WORDS[i]}; break ;;\n\t\tesac\n\tdone\n"
	       "\t[[ $prev == --socket || ( $verb == backup || $verb == restore || $verb == verify ) && $cur != -* ]] && { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return; }\n"
	       "\t[[ $prev == --format ]] && { mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\"); return; }\n"
	       "\tcase $verb in\n\t'') words='",
	       choice("format"));
	for (const struct verb *v = verbs; v->name; v++)
		printf("%s ", v->name);
	printf("--socket --timeout --json --help --version' ;;\n");
	for (const struct verb *v = verbs; v->name; v++) {
		printf("\t%s) words='", v->name);
		if (choice(v->name))
			printf("%s ", choice(v->name));
		if (strcmp(v->name, "help") == 0)
			for (const struct verb *w = verbs; w->name; w++)
				printf("%s ", w->name);
		print_words("--", v->options, " ");
		printf("--socket --timeout --json --help' ;;\n");
	}
	printf("\tesac\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\ncomplete -F _wavechatctl " PROGRAM "\n");
	return EXIT_DONE;
}

/* `message` and what may stand there, as _arguments has it. */
static void print_zsh_action(const char *message, const char *words)
{
	putchar(':');
	print_quoted(message, ":");
	if (words)
		printf(":(%s)", words);
	else
		printf(":%s", strstr(message, "FILE") || strcmp(message, "PATH") == 0 ? "_files" : "");
}

static int complete_zsh(void)
{
	printf("#compdef " PROGRAM "\n# zsh completion for " PROGRAM "; made by `" PROGRAM " completion zsh`\n_wavechatctl() {\n"
	       "\tlocal -a verbs common\n\tlocal curcontext=$curcontext state line\n\tverbs=(\n");
	for (const struct verb *v = verbs; v->name; v++) {
		printf("\t\t'%s:", v->name);
		print_quoted(v->help, ":");
		printf("'\n");
	}
	printf("\t)\n\tcommon=('--socket[of the server]:PATH:_files' '--timeout[how long to wait]:SECONDS' '--json[for scripts]' '--help[what there is]')\n"
	       "\t_arguments -C $common '--version[of this program]' '1:verb:->verb' '*::operand:->operand'\n"
	       "\tcase $state in\n\tverb) _describe verb verbs ;;\n\toperand)\n\t\tcase $line[1] in\n");
	for (const struct verb *v = verbs; v->name; v++) {
		printf("\t\t%s) _arguments $common", v->name);
		for (const struct option *o = v->options; o->name; o++) {
			printf(" '--%s[", o->name);
			print_quoted(o->help, "[]");
			putchar(']');
			if (o->value)
				print_zsh_action(o->value, choice(o->name));
			putchar('\'');
		}
		if (strcmp(v->name, "help") == 0) {
			printf(" '1:verb:{_describe verb verbs}'");
		} else if (*v->operands) {
			printf(" '*");
			print_zsh_action(v->operands, choice(v->name));
			putchar('\'');
		}
		printf(" ;;\n");
	}
	printf("\t\tesac ;;\n\tesac\n}\n_wavechatctl \"$@\"\n");
	return EXIT_DONE;
}

static void print_fish(const char *verb, const char *what, const char *help)
{
	printf("complete -c " PROGRAM " -n %s%s%s %s -d '", *verb ? "'__fish_seen_subcommand_from " : "__fish_use_subcommand", verb,
	       *verb ? "'" : "", what);
	print_quoted(help, "");
	printf("'\n");
}

static int complete_fish(void)
{
	char what[128];

	printf("# fish completion for " PROGRAM "; made by `" PROGRAM " completion fish`\ncomplete -c " PROGRAM " -f\n"
	       "complete -c " PROGRAM " -l socket -r -F -d 'of the server'\ncomplete -c " PROGRAM
	       " -l timeout -x -d 'how long to wait'\ncomplete -c " PROGRAM " -l json -d 'for scripts'\n"
	       "complete -c " PROGRAM " -l help -d 'what there is'\n");
	for (const struct verb *v = verbs; v->name; v++) {
		snprintf(what, sizeof(what), "-a %s", v->name);
		print_fish("", what, v->help);
		print_fish("help", what, v->help);
	}
	for (const struct verb *v = verbs; v->name; v++) {
		for (const struct option *o = v->options; o->name; o++) {
			snprintf(what, sizeof(what), "-l %s%s%s%s%s", o->name, o->value ? " -x" : "", choice(o->name) ? " -a '" : "",
			         choice(o->name) ? choice(o->name) : "", choice(o->name) ? "'" : "");
			print_fish(v->name, what, o->help);
		}
		if (choice(v->name))
			printf("complete -c " PROGRAM " -n '__fish_seen_subcommand_from %s' -a '%s'\n", v->name, choice(v->name));
	}
	printf("complete -c " PROGRAM " -n '__fish_seen_subcommand_from backup restore verify' -F\n");
	return EXIT_DONE;
}

int run_completion(struct ctl *c)
{
	const char *shell = c->operands[0];

	if (strcmp(shell, "bash") == 0)
		return complete_bash();
	if (strcmp(shell, "zsh") == 0)
		return complete_zsh();
	if (strcmp(shell, "fish") == 0)
		return complete_fish();
	return complain(EXIT_USAGE, "completion: \"%s\" is none of bash, zsh, fish", shell);
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

/* A descriptor that was closed when we were started would be given to the next socket or file, and a backup written into it. Writing to it fails. */
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
	struct ctl c = { .fd = -1, .hold = -1, .timeout_ms = TIMEOUT_MS };
	int code;

	keep_standard_descriptors();
	umask(077); /* whatever it writes holds private talk */
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
