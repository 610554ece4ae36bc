/* bad.h — the files that a backup, a restore or a check found missing or rotten: collected, named by the messages that stand for them,
 * printed. */
#ifndef CTL_BAD_H
#define CTL_BAD_H

#include "ctl.h"
#include "store/store_verify.h"

struct bad_file {
	char sha[2 * WC_SHA_BYTES + 1];
	char what[128];
	/* the messages that stand for it; none: not known */
	uint64_t message; /* the first */
	char *filename;   /* its; empty: a voice; NULL: no message is known */
	uint64_t messages;
};

struct bad_files {
	struct bad_file *v;
	size_t count, room;
};

void bad_add(struct bad_files *b, const char *sha, const char *what);
const char *bad_why(const struct bad_files *b, const char *sha); /* or NULL: it is not among them */
/* Adds the messages that stand for them, by asking the server or a database. Unknown fields stay empty. */
void bad_name_live(struct bad_files *b, struct ctl *c);
void bad_name_rest(struct bad_files *b, struct store_verify *v);
void bad_print(const struct bad_files *b); /* a line each, on stderr */
struct json_object *bad_json(const struct bad_files *b);
void bad_fini(struct bad_files *b);

#endif
