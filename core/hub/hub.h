/* hub.h — the I/O threads, which own connections, read frames and flush the logs. No chat knowledge.
 *
 * In: wsframe.h makes messages of a socket's bytes. ops->message gets each on the I/O thread, and makes an event of it.
 * Out: each connection sends its dialect's log from its cursor to the head. Its private mail goes in between; bcast.h says why the order is
 * exact. Other threads act on a connection by mail alone.
 *
 * Lifetime: a connection's memory belongs to its I/O thread. ops->closed tells the room that the socket is gone. The room then posts
 * MAIL_RELEASE; only after that the memory is freed. Until then, mail for the connection may still be posted, and is dropped. */
#ifndef WC_HUB_H
#define WC_HUB_H

#include <sys/socket.h>

#include "base/ip.h"
#include "base/shbuf.h"
#include "base/wc.h"
#include "hub/bcast.h"
#include "hub/conn.h"
#include "hub/mail.h"
#include "hub/wsframe.h"

#define HUB_RINGS 2 /* one a dialect */

struct hubs;
struct hub;
struct conn;
struct taken;

/* Calls into the layer above. Thread: I/O. */
struct hub_ops {
	/* A whole text message. data lies in scratch memory, valid for the call. With is_owned it is a heap block: the callee frees it, and
	 * gives `share` back with ws_budget_give. Else share has no bytes, but its owner. True: the connection is not read further until
	 * MAIL_RESUME or MAIL_SUBSCRIBE. */
	bool (*message)(void *arg, struct conn *c, uint8_t *data, size_t len, bool is_owned, struct ws_share share);
	/* A message too long to keep. head: its first bytes. The result is that of message. */
	bool (*oversize)(void *arg, struct conn *c, const uint8_t *head, size_t len);
	/* A subscribed connection said goodbye or broke the protocol; it is read no further. The callee answers everything that came
	 * before, then posts MAIL_CLOSE with this code and reason (a literal). NULL: the hub closes without waiting for those answers. */
	void (*ending)(void *arg, struct conn *c, int code, const char *reason);
	void (*closed)(void *arg, struct conn *c); /* exactly once for each connection; no other call follows */
	void (*flush)(void *arg, struct hub *h);   /* all input of one turn was delivered: the events collected are to be pushed */
	bool (*is_full)(void *arg);                /* the room's inbox is full, and reading stops */
	void *arg;
};

struct hub_opts {
	int threads;
	size_t ring_bytes;
	struct ws_limits limits;
	int join_timeout_ms;     /* from the start to the first MAIL_SUBSCRIBE */
	int ping_interval_ms;    /* a peer that is silent for twice as long is dropped */
	size_t insert_cap_bytes; /* small inserts that may wait on one connection */
	_Atomic size_t
		pending_cap_bytes; /* the same in all. Above it, connections that do not read and hold more than their share are dropped */
	_Atomic int message_timeout_s;  /* for a message of up to WS_SMALL, from its first byte; 0: no limit */
	_Atomic size_t large_cap_bytes; /* living large buffers in all. Above it, slow readers of them are dropped */
	struct ip_nets exempt;          /* from limits by address; borrowed until the hubs end or others are set */
	struct hub_ops ops;
};

/* Starts the threads. NULL and one line in *cause on failure. Thread: main. */
struct hubs *hubs_start(const struct hub_opts *opts, char **cause) WC_MUSTCHECK;
/* Closes every connection with 1012 and ends the threads, within timeout_ms. The rings stay until hubs_free. Thread: main. */
void hubs_stop(struct hubs *hs, int timeout_ms);
void hubs_free(struct hubs *hs); /* after the room has ended */

/* Makes a connection of the socket. Takes fd, tls, early bytes and seat in any case. -WC_ENOMEM or -WC_ECLOSED: it is closed. Any
 * thread. */
int hubs_adopt(struct hubs *hs, struct taken *t);

/* Takes from opts: limits (but not the budget they point to), pending_cap_bytes, large_cap_bytes, message_timeout_s, exempt. Any thread. */
void hubs_set_limits(struct hubs *hs, const struct hub_opts *opts);
struct bcast *hubs_ring(struct hubs *hs, int ring);
size_t hubs_receiving_bytes(const struct hubs *hs); /* of the frame budget, spent now. Any thread */
int hubs_count(const struct hubs *hs);              /* I/O threads */
int hub_number(const struct hub *h);                /* from 0 on */

#endif
