/* fuzz_config.c — any bytes as a settings file: taken as names and values of plain text, each with a line that is there; or refused with
 * one line that names one. What was taken, written in single quotes, reads back the same.
 *
 * Input: the file as it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "server/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int lines_of(const uint8_t *data, size_t n)
{
	int lines = 1;

	for (size_t i = 0; i < n; i++)
		lines += data[i] == '\n';
	return lines;
}

static void check_again(const struct config *c)
{
	struct buf b;
	struct config again;
	char *cause = NULL;

	buf_init_sure(&b, SIZE_MAX / 4);
	for (size_t i = 0; i < c->n; i++) {
		buf_printf(&b, "%s='", c->v[i].name);
		for (const char *p = c->v[i].value; *p; p++)
			*p == '\'' ? buf_puts(&b, "'\\''") : buf_putc(&b, *p);
		buf_puts(&b, "'\n");
	}
	WC_ASSERT(config_parse(&again, "again", b.p ? b.p : "", b.len, &cause) == 0 && again.n == c->n);
	for (size_t i = 0; i < c->n; i++)
		WC_ASSERT(strcmp(again.v[i].name, c->v[i].name) == 0 && strcmp(again.v[i].value, c->v[i].value) == 0);
	config_fini(&again);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const int lines = lines_of(data, n);
	char *cause = NULL;
	struct config c;
	int at = 0;

	if (config_parse(&c, "f", (const char *)data, n, &cause) < 0) {
		WC_ASSERT(c.n == 0 && !c.v && sscanf(cause, "f:%d: ", &at) == 1 && at >= 1 && at <= lines);
		for (const char *p = cause; *p; p++)
			WC_ASSERT((uint8_t)*p >= ' ' && *p != 0x7f);
		free(cause);
		return 0;
	}
	WC_ASSERT(!cause);
	for (size_t i = 0; i < c.n; i++) {
		WC_ASSERT(c.v[i].line > at && c.v[i].line <= lines && *c.v[i].name && utf8_valid(c.v[i].value, strlen(c.v[i].value)));
		at = c.v[i].line;
		for (const char *p = c.v[i].value; *p; p++)
			WC_ASSERT(((uint8_t)*p >= ' ' || *p == '\t') && *p != 0x7f);
	}
	check_again(&c);
	config_fini(&c);
	return 0;
}
