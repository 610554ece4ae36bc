/* impl.h — a hub and its connections from within, for the units of this folder alone. */
#ifndef WC_HUB_IMPL_H
#define WC_HUB_IMPL_H

#include <pthread.h>

#include "base/metrics.h"
#include "hub/hub.h"
#include "hub/toll.h"
#include "net/transport.h"

#define SCRATCH_BYTES (64 * 1024)

/* Why a connection is not read at the moment. */
enum {
	PAUSE_HELPER = 1, /* a helper or the room has its frame: MAIL_RESUME or MAIL_SUBSCRIBE ends it */
	PAUSE_BUDGET = 2, /* the frame budget is spent: tried again on a short timer */
};

/* Lists of a hub's connections; a connection is in exactly one while its socket lives. */
enum { LIST_RING_0, LIST_RING_1, LIST_NEW /* not subscribed */, LISTS };
_Static_assert(HUB_RINGS == 2, "a list a ring");

/* The turns that a connection can wait for. Each kind has a queue, first come, first served; WAIT_READ has three. */
enum { WAIT_READ, WAIT_FLUSH, WAIT_FLUSH_MUCH, WAITS };
enum queue_name {
	QUEUE_READ,       /* there may be input */
	QUEUE_READ_NEW,   /* the same, not subscribed yet */
	QUEUE_READ_MUCH,  /* there is more than a turn took */
	QUEUE_FLUSH,      /* there is output other than the log */
	QUEUE_FLUSH_MUCH, /* more of it than a turn sends: a part each */
	QUEUES
};

struct queue {
	struct conn *first, *last;
};

struct conn {
	/* The members that a sweep touches come first. */
	uint64_t cursor;
	struct mail *first, *last; /* inserts, ordered by `at` */
	struct transport io;
	uint8_t list;
	_Atomic bool is_gone; /* is_dead, for other threads */
	/* Bits are the I/O thread's alone: a write to one is a write to all. */
	bool is_blocked : 1; /* output waits for EPOLLOUT */
	bool is_dead : 1;    /* the socket is gone */
	bool is_ending : 1;  /* the room still answers earlier messages, then posts MAIL_CLOSE; input is thrown away */
	bool is_closing : 1; /* a close frame is queued; input is thrown away */
	bool is_close_sent : 1;
	bool saw_hangup : 1;              /* read until the end even after a short read */
	bool is_held : 1;                 /* its turn to be read came in a pause: there may be input, and no edge will tell */
	bool is_released : 1;             /* free it as soon as no list holds it */
	bool is_counted : 1;              /* the metrics know why it ends */
	bool is_pinged : 1;               /* its next pong answers a ping, and costs nothing */
	bool is_heavy : 1;                /* its last turn left input behind */
	uint8_t pause : 2;                /* PAUSE_… */
	uint8_t refusals;                 /* of its joins; the room's */
	uint8_t waits;                    /* a bit for each kind of queue it waits in */
	uint16_t port;                    /* as addr: of the client */
	uint32_t slot;                    /* index in its list */
	uint32_t insert_bytes;            /* of small parts waiting */
	_Atomic shbuf_owner buffer_owner; /* of the large buffers that are made for it */
	_Atomic uint32_t dues;            /* of frames that came to nothing, still to be paid (toll.h) */
	uint64_t serial;                  /* rank: the number of connections that had subscribed before. A slot in a list keeps its rank */

	struct hub *hub;
	struct conn *next[WAITS];
	struct conn *all_prev, *all_next; /* every connection whose memory lives */
	struct ws_in in;
	uint8_t *stash; /* input that came before a pause and is still to be parsed */
	uint32_t stash_at, stash_len;
	/* Hub seconds: last input, next ping, output stuck since, hard end, big frame since, waiting for the frame budget since. */
	uint32_t rx_s, ping_s, blocked_s, deadline_s, frame_s, budget_s;
	uint64_t identity;
	_Atomic int64_t no_files_until_ms;
	int64_t toll_us;    /* its own bucket of dues */
	void *session;      /* the room's */
	struct seat *seat;  /* left when the socket is closed */
	size_t large_bytes; /* of large parts waiting */
	uint8_t addr[16];   /* of ip_bytes; all 0: it came by a unix socket */
};
_Static_assert(sizeof(struct conn) <= 296, "an idle client costs a kilobyte at most, all in all");

/*   0 ........ at ........ n
 *   visited   to be visited   in the round under way; between rounds at is 0. Removing keeps this, adding adds to the second part. */
struct list {
	struct conn **v;
	uint32_t n, room, at;
	bool is_in_round;
	uint64_t round_head; /* the head when the round began */
	uint64_t front_head; /* what the front was last served for */
};

struct hub {
	struct hubs *all;
	int number;
	pthread_t thread;
	int epoll, event; /* event: eventfd that wakes the thread */
	_Alignas(64) _Atomic(struct mail *) mailbox;
	_Atomic bool is_sleeping;
	_Alignas(64) struct list lists[LISTS];
	struct queue queues[QUEUES];
	struct conn *all_conns;
	uint64_t heads[HUB_RINGS]; /* as of this turn */
	uint64_t swept[HUB_RINGS]; /* what every connection has been visited for */
	uint64_t subscribed;       /* ever */
	int64_t front_us;          /* time that may be spent on the front (sweep.c) */
	uint32_t now_s;            /* seconds since start, monotonic */
	uint32_t budget_waiters;
	size_t insert_bytes;   /* of all its connections */
	bool budget_was_freed; /* this tick already ended a connection for it */
	/* As one round of ticks finds them: readers of large buffers whose memory is wanted, senders of large frames whose budget is. */
	struct slow_list slow_readers, slow_senders;
	bool is_stopping;
	int64_t stop_at_ms;
	/* Counted here, added to the metrics once a turn. */
	uint64_t sends, sent_bytes, received_bytes;
	size_t insert_bytes_told;
	uint8_t scratch[SCRATCH_BYTES];
};

struct hubs {
	struct hub_opts o;
	struct hub **v;
	int count;
	struct bcast *rings[HUB_RINGS];
	_Atomic uint32_t next; /* round robin */
	_Atomic bool is_stopped;
	int stop_timeout_ms;
	struct shbuf *ping;
	struct toll *toll;
	struct holdings large; /* that wait, by the address of the reader: a buffer counts for each */
	int64_t start_ms;
};

/* Waiting bytes are counted for each connection and for its hub. */
static inline void count_inserts(struct conn *c, int64_t bytes)
{
	c->insert_bytes = (uint32_t)(c->insert_bytes + bytes);
	c->hub->insert_bytes = (size_t)((int64_t)c->hub->insert_bytes + bytes);
}

/* Bytes that are read and not parsed yet count for the address: the person may become known meanwhile. */
static inline struct ws_share stash_share(const struct conn *c, size_t bytes)
{
	return (struct ws_share){ (uint32_t)bytes, holder_address(c->in.owner) };
}

/* The same of large ones, for each connection and, over all hubs, for its address. */
static inline void count_large(struct conn *c, int64_t bytes)
{
	if (!bytes)
		return;
	c->large_bytes = (size_t)((int64_t)c->large_bytes + bytes);
	holdings_add(&c->hub->all->large, holder_address(c->in.owner), bytes);
}

/* Input is thrown away from now on. */
static inline bool conn_is_deaf(const struct conn *c)
{
	return c->is_ending || c->is_closing;
}

/* --- Each unit calls only those above it. Thread: the hub's, but for conn_new. */

/* conn.c */
struct conn *conn_new(struct hub *h, const struct taken *t); /* takes all of *t. NULL: no memory, and nothing is taken. Any thread */
void conn_discard(struct conn *c);                           /* closes and frees one that was never opened */
void conn_open(struct hub *h, struct conn *c);               /* into epoll and LIST_NEW, its early bytes readable */
void conn_subscribe(struct conn *c, int ring, uint64_t at, uint64_t identity);
void conn_resume(struct conn *c, int pause); /* ends a pause */
void conn_drop_stash(struct conn *c);
void conn_drop_inserts(struct conn *c);
/* why: M_EVICTED_… or M_LEFT_…. Only the first reason of a connection is counted. */
void conn_count_end(struct conn *c, enum metric why);
void conn_kill(struct conn *c, enum metric why, const char *reason); /* the one way a socket ends */
void conn_forget(struct conn *c);                                    /* frees a dead one that the room has released and no queue holds */
void conn_free(struct conn *c);

/* output.c */
void conn_insert(struct conn *c, struct mail *m); /* takes m; ordered; marks dirty */
void conn_fill(struct conn *c, struct mail *m);   /* MAIL_FILL: takes m */
void conn_flush(struct conn *c);
bool conn_is_hoarding(const struct conn *c);
bool conn_pins_what_is_wanted(const struct conn *c); /* large buffers that others, or their owner, want the memory of */
/* The pace of its first waiting mail, as stride_pace; *wanted: the least it should be while others want the memory. Once a second. */
uint32_t conn_reading_pace(struct conn *c, uint32_t *wanted);
/* A close frame, at `at` or behind what is released now; counts why. reason: at most 123 bytes of it are sent. */
void conn_start_close(struct conn *c, enum metric why, int code, const char *reason);
void conn_start_close_at(struct conn *c, enum metric why, uint64_t at, int code, const void *reason, size_t reason_len);

/* input.c */
void conn_pay(struct conn *c);       /* for its frames that came to nothing; may end it */
void conn_read_turn(struct conn *c); /* a part of its input; marks it ready if there is more */

/* tick.c */
/* Once a second: the first, the second for each connection, the last. */
void tick_begin(struct hub *h);
void conn_tick(struct conn *c);
void tick_end(struct hub *h); /* ends those that the ticks found to be in others' way */

/* sweep.c */
void hub_sweep(struct hub *h); /* sends what is new in the logs, for a turn's time */

#endif
