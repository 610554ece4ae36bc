/* fuzz_options.c — any words as options and variables: they are taken, and then every value is in its range, or refused with one line.
 *
 * Input: a word a line. "$NAME=VALUE" is a variable. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define WORDS 64

/* What options_parse says goes here. */
static char said_err[64 * 1024], said_out[64 * 1024];

static void judge(enum options_result result, const struct options *o)
{
	size_t len = strlen(said_err);

	if (result == OPTIONS_EXIT_USAGE) {
		WC_ASSERT(len > 0 && strchr(said_err, '\n') == said_err + len - 1 && strncmp(said_err, "wavechatd: ", 11) == 0);
		for (size_t i = 0; i < len - 1; i++) /* what was given is shown as text, whatever it holds */
			WC_ASSERT((uint8_t)said_err[i] >= ' ' && said_err[i] != 0x7f);
		return;
	}
	WC_ASSERT(len == 0 && (result == OPTIONS_EXIT_OK) == (said_out[0] != '\0'));
	if (result == OPTIONS_EXIT_OK)
		return;
	WC_ASSERT(o->data && *o->data);
	WC_ASSERT(o->port >= 0 && o->port <= 65535 && o->redirect_port >= 0 && o->redirect_port <= 65535);
	WC_ASSERT(o->max_file_mb >= 1 && o->max_file_mb <= 1024 && o->history_limit >= 0 && o->history_limit <= 10000);
	WC_ASSERT(o->threads >= 0 && o->threads <= 64 && o->retain_days >= 0 && o->max_storage_mb >= -1 && o->free_reserve_mb >= -1 &&
	          o->name_hold_days >= 0);
	WC_ASSERT(!o->tls_cert == !o->tls_key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = xmalloc(n + 1), *argv[WORDS + 2] = { (char *)"wavechatd" }, *next = text;
	int argc = 1;
	struct options o;

	memcpy(text, data, n);
	text[n] = '\0';
	clearenv();
	for (char *word; argc <= WORDS && (word = strsep(&next, "\n"));) {
		char *equals = strchr(word, '=');

		if (word[0] == '$' && equals && equals > word + 1) {
			*equals = '\0';
			setenv(word + 1, equals + 1, 1);
		} else {
			argv[argc++] = word;
		}
	}
	FILE *out = stdout, *err = stderr;
	memset(said_err, 0, sizeof(said_err));
	memset(said_out, 0, sizeof(said_out));
	stdout = fmemopen(said_out, sizeof(said_out) - 1, "w");
	stderr = fmemopen(said_err, sizeof(said_err) - 1, "w");
	WC_ASSERT(stdout && stderr);
	enum options_result result = options_parse(&o, argc, argv);
	fclose(stdout);
	fclose(stderr);
	stdout = out;
	stderr = err;
	judge(result, &o);
	if (result == OPTIONS_RUN)
		options_fini(&o);
	free(text);
	return 0;
}
