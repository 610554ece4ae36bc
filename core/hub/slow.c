/* slow.c — see slow.h. Never ends a connection itself. */
#include "hub/slow.h"

#include <stdlib.h>

uint32_t stride_pace(struct stride *s, uint32_t at, uint32_t now_s)
{
	if (!s->since_s) {
		*s = (struct stride){ now_s, at };
		return STRIDE_UNKNOWN;
	}
	const uint32_t took_s = now_s - s->since_s;
	if (took_s < SLOW_LOOK_S)
		return STRIDE_UNKNOWN;
	const uint32_t pace = (at - s->from) / took_s;
	if (took_s >= SLOW_BACK_S) /* the look stays as long as it was: else the next seconds would be blind */
		*s = (struct stride){ now_s - SLOW_LOOK_S, at - pace * SLOW_LOOK_S };
	return pace;
}

void slow_add(struct slow_list *l, struct conn *c, size_t holds, uint32_t pace)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	l->v[l->n++] = (struct slow_one){ c, holds, pace };
}

static int compare(const void *a, const void *b)
{
	const struct slow_one *x = a, *y = b;
	if (x->holds != y->holds)
		return x->holds > y->holds ? -1 : 1;
	return (x->pace > y->pace) - (x->pace < y->pace);
}

void slow_sort(struct slow_list *l)
{
	if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), compare);
	atomic_store_explicit(&l->most, l->n ? l->v[0].holds : 0, memory_order_relaxed);
}

void slow_fini(struct slow_list *l)
{
	free(l->v);
	l->v = NULL;
	l->n = l->room = 0;
}
