/* bcast.h — the broadcast log: one ring of encoded WebSocket frames that every connection of a dialect reads by a cursor.
 *
 *        swept[i]            head                 tail
 *   ────────┴──────────────────┴────────────────────┴────▶ absolute byte positions, 64 bits, never wrap
 *           │ being swept      │ written, not yet   │ the next frame goes here
 *           │ by I/O thread i  │ released           │
 *
 * The ring is mapped twice, back to back, so any range up to its size is contiguous in memory at position % size.
 * A frame is encoded once and never copied; fanning it out is one send() of [cursor, head) per connection.
 *
 * Why it is right (one writer: the room; one reader per I/O thread; connections' cursors belong to their I/O thread):
 *  1. The room writes frames at tail with plain stores. It posts all private inserts for positions <= tail to the mailboxes, and only
 *     then stores head (release). An I/O thread loads head (acquire) and drains its mailbox after that. So for every position below the
 *     head it saw, it also sees the frame's bytes and every insert there. An insert beyond that head belongs to a later batch, and
 *     waits. That order also makes every insert of a later batch lie at or after that head.
 *  2. The thread visits every connection, those waiting for EPOLLOUT included, and drops each whose cursor is more than half a ring
 *     behind that head. Then it stores the head in swept[i] (release). A long round takes several turns, each with a newer head and mail
 *     of its own, and stores the head it began with. A connection that joined meanwhile did so by mail that came after the round began,
 *     thus at or after that head. The room loads all swept (acquire) before writing, and never lets tail pass min(swept) + size/2. Hence
 *     for any live cursor c: c >= swept - size/2 >= tail - size: what a cursor may still read is never overwritten. While a sweep to a
 *     newer head is under way, swept is the old one, and the same inequality holds.
 *  3. Positions between frames: head is always a frame boundary, a cursor inside a sweep may not be. Inserts are therefore
 *     placed only at positions the room names, or at a head.
 *  The writer waits for sweeps, never for a peer: a sweep does not block on a socket. */
#ifndef WC_BCAST_H
#define WC_BCAST_H

#include <stdatomic.h>

#include "base/wc.h"

#define BCAST_READERS_MAX 64

struct bcast;

/* size_bytes: a power of two, at least 64 KB. readers: I/O threads. Aborts only on programming errors; NULL and errno otherwise. */
struct bcast *bcast_new(size_t size_bytes, int readers);
void bcast_free(struct bcast *b);

/* Frames longer than this do not go through the ring but as shared inserts. */
size_t bcast_frame_max(const struct bcast *b);

/* --- Writer. Thread: room. */
/* Room for len (<= bcast_frame_max) bytes at tail? NULL: not until readers have swept further — release what is written, wake them, and
 * bcast_wait. The pointer is good until bcast_commit. */
uint8_t *bcast_reserve(struct bcast *b, size_t len);
uint64_t bcast_commit(struct bcast *b, size_t len); /* the reserved bytes are a frame; returns its position */
uint64_t bcast_tail(const struct bcast *b);
bool bcast_release(struct bcast *b);                          /* publishes up to tail; true if head moved */
void bcast_wait(struct bcast *b, size_t len, int timeout_ms); /* until len bytes might fit */

uint64_t bcast_lag(const struct bcast *b); /* bytes released that the slowest sweep has not passed yet. Any thread */

/* --- Readers. Thread: I/O, each with its number. */
uint64_t bcast_head(const struct bcast *b);
const uint8_t *bcast_at(const struct bcast *b, uint64_t pos);
size_t bcast_lag_max(const struct bcast *b); /* a cursor further behind a head than this is to be dropped by the sweep */
void bcast_swept(struct bcast *b, int reader, uint64_t head);

#endif
