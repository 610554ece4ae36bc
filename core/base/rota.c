/* rota.c — a tree of three floors: networks, their households, their people. Each node has its children in the order of their turns; a
 * node without items does not exist, so memory follows from what waits. Thread: the rota's one. */
#include "base/rota.h"

#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/map.h"

enum floor { ALL, NETWORK, HOUSEHOLD, PERSON, FLOORS };

#define NETWORK_BYTES 6 /* of IPv6: the /48 that one customer may have */

struct key {
	uint8_t net[16];
	uint64_t person, floor;
};

struct node {
	struct key key;
	struct node *next; /* whose turn is after this one's */
	struct node *first, *last;
	struct rota_item *first_item, **items_end; /* of a person */
	size_t count;                              /* of items, here and below */
};

struct rota {
	struct node all;
	struct map nodes;
};

static struct key key_of(const struct rota_owner *o, enum floor floor)
{
	struct key k = { .floor = floor, .person = floor == PERSON ? o->person : 0 };
	(void)ip_household(o->addr, k.net);
	if (floor == NETWORK && !ip_is_v4(o->addr))
		memset(k.net + NETWORK_BYTES, 0, sizeof(k.net) - NETWORK_BYTES);
	return k;
}

static void push(struct node *parent, struct node *child)
{
	child->next = NULL;
	if (parent->first)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

static struct node *pop(struct node *parent)
{
	struct node *child = parent->first;
	parent->first = child->next;
	return child;
}

struct rota *rota_new(void)
{
	struct rota *r = xcalloc(1, sizeof(*r));
	map_init(&r->nodes);
	return r;
}

void rota_free(struct rota *r)
{
	if (!r)
		return;
	WC_ASSERT(!r->all.count);
	map_fini(&r->nodes);
	free(r);
}

static struct node *node_of(struct rota *r, struct node *parent, const struct rota_owner *owner, enum floor floor)
{
	const struct key key = key_of(owner, floor);
	struct node *n = map_get(&r->nodes, &key, sizeof(key));
	if (n)
		return n;
	n = xcalloc(1, sizeof(*n));
	n->key = key;
	n->items_end = &n->first_item;
	map_put(&r->nodes, &n->key, sizeof(n->key), n);
	push(parent, n);
	return n;
}

void rota_put(struct rota *r, const struct rota_owner *owner, struct rota_item *item)
{
	struct node *n = &r->all;
	n->count++;
	for (int floor = NETWORK; floor < FLOORS; floor++) {
		n = node_of(r, n, owner, floor);
		n->count++;
	}
	item->next = NULL;
	*n->items_end = item;
	n->items_end = &item->next;
}

struct rota_item *rota_take(struct rota *r)
{
	struct node *path[FLOORS] = { &r->all };
	if (!r->all.count)
		return NULL;
	for (int floor = NETWORK; floor < FLOORS; floor++)
		path[floor] = pop(path[floor - 1]);
	struct node *person = path[PERSON];
	struct rota_item *item = person->first_item;
	person->first_item = item->next;
	if (!person->first_item)
		person->items_end = &person->first_item;
	r->all.count--;
	for (int floor = PERSON; floor > ALL; floor--) {
		struct node *n = path[floor];
		if (--n->count) {
			push(path[floor - 1], n);
			continue;
		}
		(void)map_del(&r->nodes, &n->key, sizeof(n->key));
		free(n);
	}
	item->next = NULL;
	return item;
}

size_t rota_count(const struct rota *r)
{
	return r->all.count;
}

bool rota_has(const struct rota *r, const struct rota_owner *owner)
{
	const struct key key = key_of(owner, PERSON);
	return map_get(&r->nodes, &key, sizeof(key)) != NULL;
}

size_t rota_count_of(const struct rota *r, const struct rota_owner *owner)
{
	const struct key key = key_of(owner, NETWORK);
	const struct node *n = map_get(&r->nodes, &key, sizeof(key));
	return n ? n->count : 0;
}
