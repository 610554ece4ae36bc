/* slow.h — the pace of peers that hold memory, and the choice of those that go when others want it. Thread: the hub's. */
#ifndef WC_HUB_SLOW_H
#define WC_HUB_SLOW_H

#include <stdatomic.h>

#include "base/wc.h"

#define SLOW_LOOK_S 3               /* shorter, and nothing is said of a pace */
#define SLOW_BACK_S 8               /* what was longer ago says nothing */
#define CRAWL_PACE ((uint32_t)4096) /* bytes a second: such a peer hardly moves */

struct conn;

/* Where something was a few seconds ago. Zeros: not looked at yet. */
struct stride {
	uint32_t since_s, from;
};

#define STRIDE_UNKNOWN UINT32_MAX
/* Bytes a second until now; `at` wraps. To be asked once a second: each answer is of the last 3 to 8 seconds. */
uint32_t stride_pace(struct stride *s, uint32_t at, uint32_t now_s);

/* Connections that may have to go, as one round of ticks finds them. */
struct slow_list {
	struct slow_one {
		struct conn *c;
		size_t holds; /* its address, or itself */
		uint32_t pace;
	} * v;
	size_t n, room;
	_Atomic size_t most; /* what the first one holds, for the other hubs; 0: none */
};

void slow_add(struct slow_list *l, struct conn *c, size_t holds, uint32_t pace);
/* Puts those first whose address holds most, the slowest of them at the front, and tells `most`. */
void slow_sort(struct slow_list *l);
void slow_fini(struct slow_list *l);

#endif
