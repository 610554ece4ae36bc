/* orphan.h — does the database explain the files beside it? (see orphan.c) */
#ifndef WC_ORPHAN_H
#define WC_ORPHAN_H

#include "base/wc.h"
#include "store/store.h"

struct orphan_look {
	const char *dir;
	bool accepts; /* --accept-orphans */
	bool logs;    /* says in the log what it found and does not refuse for */
};

/* For store_open_after and store_look_at, with a struct orphan_look: refuses a database that explains none or few of the files in
 * DIR/blobs, in one line that says what was found and what helps. Makes nothing; a log without its database is kept under another name, if
 * that is accepted and it logs. Thread: main. */
int orphan_look(void *arg, struct store_look *look, char **cause);

#endif
