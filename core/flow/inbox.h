/* inbox.h — the one way into the room: a bounded queue of events, many producers, one consumer.
 *
 * Producers push whole chains with one compare-and-swap and never wait. An I/O thread asks inbox_is_full before it reads its sockets;
 * helpers and the admin may overshoot by what they hold. The consumer takes everything there is: that is the batch. */
#ifndef WC_INBOX_H
#define WC_INBOX_H

#include "wire/event.h"

struct inbox;

struct inbox *inbox_new(size_t cap_bytes);
void inbox_free(struct inbox *in); /* and the events in it */

/* A chain, newest first (each ->next is the event before it; last is the oldest). Takes the events. Any thread. */
void inbox_push(struct inbox *in, struct event *newest, struct event *oldest);
static inline void inbox_push_one(struct inbox *in, struct event *e)
{
	inbox_push(in, e, e);
}
/* An event of `kind`, EV_CALL or EV_ADMIN, that calls fn(arg) on the room's thread. Any thread; never waits. */
void inbox_call(struct inbox *in, enum event_kind kind, void (*fn)(void *arg), void *arg);
bool inbox_is_full(const struct inbox *in);

/* Everything pushed so far, oldest first; NULL if nothing came within timeout_ms. Thread: room. */
struct event *inbox_take(struct inbox *in, int timeout_ms);
/* The batch was worked off, but for events that cost held_bytes. True if producers that saw the inbox full may go on now (wake them).
 * Thread: room. */
bool inbox_done(struct inbox *in, size_t held_bytes);

#endif
