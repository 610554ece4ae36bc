/* greeting.h — the greeting of a server that has started: a few lines for a person, or lines of the log under a service manager. */
#ifndef GREETING_H
#define GREETING_H

#include "server/options.h"
#include "server/server.h"

/* Once, when all doors are open. Thread: main. */
void greet(const struct options *o, const struct server *server);

#endif
