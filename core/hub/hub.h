/* hub.h — the I/O threads: they own connections, read frames, flush the log. No chat knowledge.
 *
 * In: bytes of a socket become messages (wsframe.h), each handed to ops->message on the I/O thread, which makes an event of it.
 * Out: each connection sends its dialect's log from its cursor to the head, with its private inserts in between; bcast.h proves the order.
 * Everything another thread wants of a connection is a mail.
 *
 * Lifetime: a connection's memory belongs to its I/O thread. ops->closed tells the room that the socket is gone. The room posts
 * MAIL_RELEASE; only then is the memory freed. Until then any thread that got the pointer in an event may post mail for it, which is
 * dropped. */
#ifndef WC_HUB_H
#define WC_HUB_H

#include <sys/socket.h>

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
struct ssl_st;

struct hub_ops {
	/* A whole text message. data lies in scratch memory, valid for the call, unless `owned`: then it is a heap block the callee
	 * frees, whose budget share the callee gives back (ws_budget_give). Returns true if the connection must not be read further until
	 * MAIL_RESUME or MAIL_SUBSCRIBE. Thread: I/O. */
	bool (*message)(void *arg, struct conn *c, uint8_t *data, size_t len, bool owned, size_t reserved);
	bool (*oversize)(void *arg, struct conn *c, const uint8_t *head,
	                 size_t len); /* as message; head: the first bytes of one too long to keep */
	/* A subscribed connection said goodbye or broke the protocol, and is read no further: MAIL_CLOSE with this code and reason (a
	 * literal) is to come once all it sent before is answered. Thread: I/O. NULL: closed without waiting for that. */
	void (*ending)(void *arg, struct conn *c, int code, const char *reason);
	void (*closed)(void *arg, struct conn *c); /* exactly once per connection; nothing follows */
	void (*flush)(void *arg, struct hub *h);   /* all input of one turn was delivered: push the events collected */
	bool (*is_full)(void *arg);                /* the room's inbox is full: stop reading */
	void *arg;
};

struct hub_opts {
	int threads;
	size_t ring_bytes;
	struct ws_limits limits;
	int join_timeout_ms;     /* to the first MAIL_SUBSCRIBE */
	int ping_interval_ms;    /* and a peer silent for twice that is dropped */
	size_t insert_cap_bytes; /* of small inserts waiting on one connection */
	_Atomic size_t
		pending_cap_bytes;     /* of those in all, before connections that do not read and have more than their share are dropped */
	_Atomic int message_timeout_s; /* for a message of up to WS_SMALL, from its first byte; 0: none */
	_Atomic size_t large_cap_bytes; /* of living large buffers in all, before slow readers of them are dropped */
	struct hub_ops ops;
};

struct hubs *hubs_start(const struct hub_opts *opts, char **cause) WC_MUSTCHECK; /* starts the threads */
/* Closes everyone with 1012, at most timeout_ms, and ends the threads. The rings stay until hubs_free, which the room may outlive no more.
 * */
void hubs_stop(struct hubs *hs, int timeout_ms);
void hubs_free(struct hubs *hs);

/* Takes fd, tls and seat in any case. Any thread. -WC_ENOMEM or -WC_ECLOSED: closed already. */
struct taken;
int hubs_adopt(struct hubs *hs, struct taken *t);

/* Changes limits (but for the budget they point to), pending_cap_bytes, large_cap_bytes and message_timeout_s to those of opts. Any thread.
 * */
void hubs_set_limits(struct hubs *hs, const struct hub_opts *opts);
struct bcast *hubs_ring(struct hubs *hs, int ring);
size_t hubs_receiving_bytes(const struct hubs *hs); /* of the frame budget, spent now. Any thread */
int hubs_count(const struct hubs *hs);              /* I/O threads */
int hub_number(const struct hub *h);

#endif
