/* store_probe.h — would the store take a message now, although nobody writes one? Asked now and then, by a thread that may wait for a
 * disk. */
#ifndef WC_STORE_PROBE_H
#define WC_STORE_PROBE_H

#include "store/store.h"

#define STORE_PROBE_TEXT 200

struct store_probe;

/* Notes which files the store has open. Thread: main. */
int store_probe_open(struct store *s, struct store_probe **out, char **cause) WC_MUSTCHECK;
void store_probe_close(struct store_probe *p); /* NULL is ignored */

/* Looks whether the database's files are still the ones that are open, reads of them past the caches of SQLite, and takes the writer's lock
 * for a moment. Changes nothing. 0, or -WC_ESTORAGE and why[]: what was found and what helps, without a path. May wait for a disk, and for
 * up to 1.5 s for a lock. With :memory: always 0. Thread: one at a time; not the room's, not an I/O thread. */
int store_probe_run(struct store_probe *p, char why[STORE_PROBE_TEXT]) WC_MUSTCHECK;

#endif
