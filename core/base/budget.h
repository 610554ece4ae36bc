/* budget.h — how much memory this process may use, and how it is shared out.
 *
 * The limit is the smaller of the cgroup's and the machine's memory. The cgroup's is the least of v2 memory.max and memory.high, or v1
 * memory.limit_in_bytes, in the own group and all above it. From it follows every budget that no option names. With 1.7 GB and more they
 * are what they always were. Main thread, before the sandbox: afterwards none of these files can be read. */
#ifndef WC_BUDGET_H
#define WC_BUDGET_H

#include "base/buf.h"
#include "base/wc.h"

#define BUDGET_SOURCE_BYTES 320

struct memory_limit {
	uint64_t bytes;                   /* 0: nothing says it */
	char source[BUDGET_SOURCE_BYTES]; /* where that stands, for people */
};

/* root: "" for the machine itself, a folder with a tree of its own for a test. Cannot fail: what cannot be read limits nothing. */
void memory_limit_read(struct memory_limit *out, const char *root);

/* In bytes, but for the connections. */
struct budgets {
	struct memory_limit limit;
	uint64_t fixed;             /* what the program takes by itself: code, logs, stacks, the database's caches */
	uint64_t margin;            /* left free of the limit */
	uint64_t pending_in;        /* large messages being received, until they are stored */
	uint64_t pending_out;       /* private output that waits for those who do not read */
	uint64_t large;             /* large frames and pages of history: being made, and waiting for those */
	uint64_t files;             /* files and parts of uploads, with data in memory; else 0 */
	uint64_t messages;          /* the database, with data in memory; else 0 */
	uint64_t recent;            /* newest public messages, ready to be sent */
	uint64_t inbox;             /* events that wait for the room */
	int connections;            /* 0: memory does not bound them */
	uint64_t connections_bytes; /* what these are expected to take */
	uint64_t frame;             /* the longest message in one WebSocket frame that pending_in carries; 0: no bound of its own */
	bool is_scarce;             /* memory bounds more than it always did: sockets get small buffers as well */
	bool is_over;               /* named by options, all together are more than the limit */
};

/* The budgets that options set. In megabytes, where -1 stands for "not named" and 0 for "no bound". */
struct budget_opts {
	bool in_memory; /* the data */
	bool has_tls;
	size_t frame_bytes;  /* the longest message that is allowed */
	int max_connections; /* 0: not named */
	int memory_mb;       /* 0: what the kernel says */
	int pending_in_mb, pending_out_mb, recent_mb, inbox_mb, memory_messages_mb, max_storage_mb;
};

/* Shares the limit out. */
void budgets_plan(struct budgets *out, const struct budget_opts *o, const struct memory_limit *limit);
uint64_t budgets_sum(const struct budgets *b);               /* all of it, fixed and connections included */
void budgets_json(const struct budgets *b, struct buf *out); /* an object */
void budgets_log(const struct budgets *b);                   /* one line at info, and one at warn where they are more than there is */

#endif
