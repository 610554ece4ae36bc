/* history.h — the shapes that a dump can have. Each is begun once, given each message in order, and ended; none keeps what it wrote. */
#ifndef CTL_HISTORY_H
#define CTL_HISTORY_H

#include "ctl.h"

struct shape {
	const char *name;
	void (*begin)(const char *title);
	void (*message)(struct json_object *m);
	void (*end)(void);
};

extern const struct shape shape_text, shape_jsonl, shape_html;

#endif
