/* options_impl.h — the shared part of options.c (the table), option_value.c (values), options_parse.c (arguments, environment, file) and
 * options_reload.c (reading again). Nobody else includes it. */
#ifndef WC_OPTIONS_IMPL_H
#define WC_OPTIONS_IMPL_H

#include "base/buf.h"
#include "server/options.h"

#define PROGRAM "wavechatd"
#define DATA_DEFAULT "./wavechat-data"

enum kind {
	KIND_INT,      /* int, low..high */
	KIND_CHOICE,   /* an enum, by the words in `choices`, in the enum's order */
	KIND_DIR,      /* char *, any text but the empty one */
	KIND_FILE,     /* the same, a file's path */
	KIND_CONFIG,   /* the same; a - before it: there need not be one */
	KIND_PATH,     /* char *, any text but the empty one */
	KIND_ENDPOINT, /* char *, a numeric address, a colon, a port; IPv6 in brackets */
	/* A value of these three kinds may have several members, and each value adds to those before. */
	KIND_ADDRESSES, /* char **, numeric IPv4 or IPv6, without brackets */
	KIND_NETS,      /* struct ip_nets */
	KIND_ORIGINS,   /* char **, normalized */
	KIND_FLAG,      /* bool; takes no value as an option, yes or no as a variable */
	KIND_VERSION,   /* these end the program; take no value */
	KIND_HELP,
	KIND_LICENSES,
	KIND_TABLE,
};

struct option_row {
	const char *group; /* heading in --help; rows of a group stand together */
	const char *name;
	const char *env;   /* variable, or NULL */
	const char *value; /* what --help calls the value */
	const char *help;  /* NULL: not in --help */
	const char *unset; /* how --help names the default, where the value does not say it */
	enum kind kind;
	size_t offset;          /* in struct options */
	int low, high;          /* KIND_INT */
	int fallback;           /* KIND_INT, KIND_CHOICE */
	const char *choices[5]; /* KIND_CHOICE, ends with NULL */
	bool is_common;         /* also in the short --help */
	bool is_live;           /* takes effect when it is read again at SIGHUP; false: needs a restart */
};
extern const struct option_row option_table[];
extern const size_t option_count;

const struct option_row *option_find(const char *name, size_t len); /* NULL: none of that name */
const struct option_row *option_of_variable(const char *name);      /* the same by its variable */
bool option_takes_value(const struct option_row *row);              /* on the command line */
bool option_is_setting(const struct option_row *row);               /* it has a value at all */

/* option_value.c. Pure. */
bool option_set(struct options *o, const struct option_row *row,
                const char *value);                                 /* false: not in its range; a list may have part of it */
void option_clear(struct options *o, const struct option_row *row); /* frees what the field owns; zero */
void option_copy(struct options *to, const struct options *from, const struct option_row *row);
/* As it could be given again. False: it has no value, and nothing was appended. */
bool option_text(const struct options *o, const struct option_row *row, struct buf *out);
const char *option_range(const struct option_row *row, char *out, size_t room); /* what a value has to be, in words */
bool option_parse_int(const char *s, int low, int high, int *out);
bool option_add_nets(struct ip_nets *nets, const char *value);

/* options_parse.c. Fills *o from all sources; prints what --help and the like ask for. OPTIONS_EXIT_USAGE: *cause says why, one line. */
enum options_result options_build(struct options *o, int argc, char **argv, char **cause);

#endif
