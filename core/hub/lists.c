/* lists.c — a hub's lists of connections, in the order in which a round visits them. Thread: the hub's. */
#include "hub/lists.h"

#include <stdlib.h>

void list_add(struct hub *h, struct conn *c, int list)
{
	struct list *l = &h->lists[list];
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 64;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	c->list = (uint8_t)list;
	c->slot = l->n;
	l->v[l->n++] = c;
}

/* A connection put into a slot inherits that slot's rank, which keeps the list sorted by serial. Returns the rank that c had before. */
static uint64_t put_at(struct list *l, uint32_t slot, struct conn *c, uint64_t serial)
{
	const uint64_t was = c->serial;
	l->v[slot] = c;
	c->slot = slot;
	c->serial = serial;
	return was;
}

void list_remove(struct hub *h, struct conn *c)
{
	struct list *l = &h->lists[c->list];
	WC_ASSERT(c->slot < l->n && l->v[c->slot] == c);
	uint32_t hole = c->slot;
	uint64_t serial = c->serial;
	if (hole < l->at) { /* the last visited connection fills it, and leaves a hole before those still to be visited */
		l->at--;
		serial = put_at(l, hole, l->v[l->at], serial);
		hole = l->at;
	}
	l->n--;
	if (hole != l->n) /* the hole is not at the end */
		put_at(l, hole, l->v[l->n], serial);
	if (l->n == 0) { /* a list that was once long gives its memory back */
		free(l->v);
		l->v = NULL;
		l->room = 0;
	}
}
