/* config.h — a file of settings, read: lines NAME=VALUE as systemd's EnvironmentFile= and a shell would take them.
 *
 * Knows no option: which names there are, and which values, is for options. Thread: main. */
#ifndef WC_CONFIG_H
#define WC_CONFIG_H

#include "base/wc.h"

#define CONFIG_BYTES (64 * 1024) /* of a whole file: a hundred times what all settings with their comments take */

struct config_line {
	char *name, *value; /* without quotes; text without control characters but tabs */
	int line;           /* from 1 */
};

struct config {
	struct config_line *v; /* in the file's order; a name may come again */
	size_t n;
};

/* Reads len bytes of text. path: for messages alone. Returns 0; or -WC_EBAD and *cause, "PATH:LINE: what is wrong and what to write".
 * Pure. */
int config_parse(struct config *out, const char *path, const char *text, size_t len, char **cause) WC_MUSTCHECK;
/* The same of a file. -WC_ENOENT, with *cause set: there is none. *cause names the path, the reason and the remedy. */
int config_read(struct config *out, const char *path, char **cause) WC_MUSTCHECK;
void config_fini(struct config *c);

#endif
