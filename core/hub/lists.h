/* lists.h — the lists of a hub's connections that rounds go along, and the queues for turns. Thread: the hub's. */
#ifndef WC_HUB_LISTS_H
#define WC_HUB_LISTS_H

#include "hub/impl.h"

/* The end of a list: the connection is visited last. */
void list_add(struct hub *h, struct conn *c, int list);
/* Takes c out of its list. The list stays sorted by rank, and the visited connections stay in front of the others. */
void list_remove(struct hub *h, struct conn *c);

/* Queues are used for every message, so they are inline. */
static inline int wait_of(enum queue_name q)
{
	return q == QUEUE_FLUSH ? WAIT_FLUSH : q == QUEUE_FLUSH_MUCH ? WAIT_FLUSH_MUCH : WAIT_READ;
}

static inline void queue_add(enum queue_name name, struct conn *c)
{
	struct queue *q = &c->hub->queues[name];
	const int wait = wait_of(name);
	if (c->is_dead || c->waits & 1 << wait)
		return;
	c->waits |= (uint8_t)(1 << wait);
	c->next[wait] = NULL;
	if (q->last)
		q->last->next[wait] = c;
	else
		q->first = c;
	q->last = c;
}

/* The first in the queue, dead or alive; NULL: it is empty. */
static inline struct conn *queue_take(struct hub *h, enum queue_name name)
{
	struct queue *q = &h->queues[name];
	const int wait = wait_of(name);
	struct conn *c = q->first;
	if (!c)
		return NULL;
	q->first = c->next[wait];
	if (!q->first)
		q->last = NULL;
	c->waits &= (uint8_t) ~(1 << wait);
	return c;
}

/* To be read. */
static inline void conn_mark_ready(struct conn *c)
{
	queue_add(c->list == LIST_NEW ? QUEUE_READ_NEW : c->is_heavy ? QUEUE_READ_MUCH : QUEUE_READ, c);
}

static inline bool conn_is_behind(const struct conn *c)
{
	return c->waits & 1 << WAIT_FLUSH_MUCH;
}

/* To be flushed. */
static inline void conn_mark_dirty(struct conn *c)
{
	if (!conn_is_behind(c))
		queue_add(QUEUE_FLUSH, c);
}

/* To be flushed, a part in each turn. */
static inline void conn_mark_behind(struct conn *c)
{
	queue_add(QUEUE_FLUSH_MUCH, c);
}

#endif
