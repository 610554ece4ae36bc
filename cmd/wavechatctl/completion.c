/* completion.c — completion scripts for bash, zsh and fish, made from the table of verbs. Prints alone. */
#include <string.h>

#include "ctl.h"

/* The words for FORMAT, of whichever verb has it. */
static const char *choices_of_format(const struct ctl *c)
{
	for (const struct verb *v = c->verbs; v->name; v++)
		for (const struct option *o = v->options; o->name; o++)
			if (strcmp(o->name, "format") == 0)
				return o->choices;
	return "";
}

/* The verbs whose operands are files: each after `before`, with `between` between two. */
static void print_file_verbs(const struct ctl *c, const char *before, const char *between)
{
	const char *separator = "";

	for (const struct verb *v = c->verbs; v->name; v++) {
		if (!strstr(v->operands, "FILE"))
			continue;
		printf("%s%s%s", separator, before, v->name);
		separator = between;
	}
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

static int complete_bash(const struct ctl *c)
{
	printf("# bash completion for " PROGRAM "; made by `" PROGRAM " completion bash`\n_wavechatctl() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= i words\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in\n\t\t--socket|--timeout) ((i++)) ;;\n\t\t-*) ;;\n"
	       "\t\t*) verb=${COMP_WORDS[i]}; break ;;\n\t\tesac\n\tdone\n"
	       "\t[[ $prev == --socket || ( ");
	print_file_verbs(c, "$verb == ", " || ");
	printf(" ) && $cur != -* ]] && { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return; }\n"
	       "\t[[ $prev == --format ]] && { mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\"); return; }\n"
	       "\tcase $verb in\n\t'') words='",
	       choices_of_format(c));
	for (const struct verb *v = c->verbs; v->name; v++)
		printf("%s ", v->name);
	printf("--socket --timeout --json --help --version' ;;\n");
	for (const struct verb *v = c->verbs; v->name; v++) {
		printf("\t%s) words='", v->name);
		if (v->choices)
			printf("%s ", v->choices);
		if (strcmp(v->name, "help") == 0)
			for (const struct verb *w = c->verbs; w->name; w++)
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

static int complete_zsh(const struct ctl *c)
{
	printf("#compdef " PROGRAM "\n# zsh completion for " PROGRAM "; made by `" PROGRAM " completion zsh`\n_wavechatctl() {\n"
	       "\tlocal -a verbs common\n\tlocal curcontext=$curcontext state line\n\tverbs=(\n");
	for (const struct verb *v = c->verbs; v->name; v++) {
		printf("\t\t'%s:", v->name);
		print_quoted(v->help, ":");
		printf("'\n");
	}
	printf("\t)\n\tcommon=('--socket[of the server]:PATH:_files' '--timeout[how long to wait]:SECONDS' '--json[for scripts]' '--help[what there is]')\n"
	       "\t_arguments -C $common '--version[of this program]' '1:verb:->verb' '*::operand:->operand'\n"
	       "\tcase $state in\n\tverb) _describe verb verbs ;;\n\toperand)\n\t\tcase $line[1] in\n");
	for (const struct verb *v = c->verbs; v->name; v++) {
		printf("\t\t%s) _arguments $common", v->name);
		for (const struct option *o = v->options; o->name; o++) {
			printf(" '--%s[", o->name);
			print_quoted(o->help, "[]");
			putchar(']');
			if (o->value)
				print_zsh_action(o->value, o->choices);
			putchar('\'');
		}
		if (strcmp(v->name, "help") == 0) {
			printf(" '1:verb:{_describe verb verbs}'");
		} else if (*v->operands) {
			printf(" '*");
			print_zsh_action(v->operands, v->choices);
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

static int complete_fish(const struct ctl *c)
{
	char what[128];

	printf("# fish completion for " PROGRAM "; made by `" PROGRAM " completion fish`\ncomplete -c " PROGRAM " -f\n"
	       "complete -c " PROGRAM " -l socket -r -F -d 'of the server'\ncomplete -c " PROGRAM
	       " -l timeout -x -d 'how long to wait'\ncomplete -c " PROGRAM " -l json -d 'for scripts'\n"
	       "complete -c " PROGRAM " -l help -d 'what there is'\n");
	for (const struct verb *v = c->verbs; v->name; v++) {
		snprintf(what, sizeof(what), "-a %s", v->name);
		print_fish("", what, v->help);
		print_fish("help", what, v->help);
	}
	for (const struct verb *v = c->verbs; v->name; v++) {
		for (const struct option *o = v->options; o->name; o++) {
			snprintf(what, sizeof(what), "-l %s%s%s%s%s", o->name, o->value ? " -x" : "", o->choices ? " -a '" : "",
			         o->choices ? o->choices : "", o->choices ? "'" : "");
			print_fish(v->name, what, o->help);
		}
		if (v->choices)
			printf("complete -c " PROGRAM " -n '__fish_seen_subcommand_from %s' -a '%s'\n", v->name, v->choices);
	}
	printf("complete -c " PROGRAM " -n '__fish_seen_subcommand_from ");
	print_file_verbs(c, "", " ");
	printf("' -F\n");
	return EXIT_DONE;
}

int run_completion(struct ctl *c)
{
	const char *shell = c->operands[0];

	if (strcmp(shell, "bash") == 0)
		return complete_bash(c);
	if (strcmp(shell, "zsh") == 0)
		return complete_zsh(c);
	if (strcmp(shell, "fish") == 0)
		return complete_fish(c);
	return complain(EXIT_USAGE, "completion: \"%s\" is none of bash, zsh, fish", shell);
}
