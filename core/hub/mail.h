/* mail.h — messages from any thread to a connection, and the frames that they carry.
 *
 * A connection belongs to its I/O thread, which alone touches it. Other threads post mail to that thread's mailbox, a list without a lock.
 * The thread empties it once a turn, oldest first. Mail for a connection whose socket is gone is dropped. */
#ifndef WC_MAIL_H
#define WC_MAIL_H

#include <stdlib.h>

#include "base/buf.h"
#include "base/shbuf.h"
#include "base/wc.h"
#include "hub/slow.h"

#define MAIL_PARTS 3
#define MAIL_AT_HEAD UINT64_MAX /* behind everything released so far, on a frame boundary */

struct conn;
struct hub;
struct hubs;

enum mail_kind {
	MAIL_INSERT,    /* send parts at `at`, then skip `skip` bytes of the log */
	MAIL_HOLD,      /* an insert whose parts come later, with MAIL_FILL; the connection sends nothing past it until then */
	MAIL_FILL,      /* parts for the oldest MAIL_HOLD */
	MAIL_SUBSCRIBE, /* read ring number `skip` from `at` on; frames are read again; id is the connection's identity from now on */
	MAIL_RESUME,    /* read frames again: a helper is done with one, or the first one was refused */
	MAIL_CLOSE,     /* send what is due before `at`, then a close frame with code `skip` and parts[0] as reason */
	MAIL_DROP,      /* close the socket at once */
	MAIL_RELEASE,   /* the room is done with the connection: its memory may be freed */
	MAIL_ADOPT,     /* a new connection (the hub's own) */
	MAIL_STOP,      /* close every connection with 1012, then end the thread (the hub's own) */
};

struct mail {
	struct mail *next;
	struct conn *conn;
	uint64_t at;
	union {
		uint64_t id;        /* MAIL_SUBSCRIBE */
		struct stride pace; /* the hub's, while it is the first that waits */
	};
	uint32_t skip;
	uint8_t kind, nparts, part; /* part, sent: how much of an insert has been sent */
	uint8_t why;                /* MAIL_CLOSE: why the connection ends, counted from M_EVICTED_FIRST */
	size_t sent;
	struct shbuf *parts[MAIL_PARTS];
};

/* Never NULL: small and of fixed size, so memory for it is not allowed to fail. Freed by the hub, or by mail_free. Any thread. */
struct mail *mail_new(enum mail_kind kind, struct conn *c);
/* Adds a part, and takes its reference. At most MAIL_PARTS; NULL is ignored. */
void mail_part(struct mail *m, struct shbuf *part);
/* Drops the references to its parts, too. */
static inline void mail_free(struct mail *m)
{
	for (int i = 0; i < m->nparts; i++)
		shbuf_unref(m->parts[i]);
	free(m);
}

/* Posts a list of mail for connections of this hub, newest first: each ->next is the older one. Takes the list. Any thread. */
void hub_post(struct hub *h, struct mail *newest, struct mail *oldest);
void hub_post_one(struct mail *m); /* to its connection's hub */
/* Wakes the I/O threads that sleep: after bcast_release, or when the inbox has room again. Any thread. */
void hubs_wake(struct hubs *hs);

/* A text frame with this payload; NULL without memory. Any thread. */
struct shbuf *frame_of(const void *payload, size_t len);
/* The same; NULL also if the buffer failed. A sure buffer always gives a frame. */
struct shbuf *frame_of_buf(const struct buf *b);

#endif
