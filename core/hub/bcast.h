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
 * Why it is right. The room is the one writer; each I/O thread is one reader; a connection's cursor belongs to its I/O thread.
 *  1. The room writes frames at tail with plain stores. Then it posts all private inserts for positions up to tail to the mailboxes.
 *     Only then it stores head (release). An I/O thread loads head (acquire) and drains its mailbox after that.
 *     So the thread sees the bytes of every frame below that head, and every insert for those positions. An insert beyond that head
 *     belongs to a later batch, and waits. Every insert of a later batch lies at or after that head.
 *  2. In a round the thread visits every connection, also those that wait for EPOLLOUT. It drops each connection whose cursor is more
 *     than half a ring behind the head. After the round it stores that head in swept[i] (release).
 *     A long round takes several turns, each with a newer head and mail of its own. At its end the thread stores the head that the round
 *     began with. A connection that joined meanwhile did so by newer mail, so its cursor lies at or after that head.
 *     The room loads all swept (acquire) before it writes, and never lets tail pass min(swept) + size/2. So for any live cursor c: c >=
 *     swept - size/2 >= tail - size. Nothing that a cursor may still read is overwritten. During a round swept is the old head, and the
 *     same inequality holds.
 *  3. head is always a frame boundary. A cursor inside a sweep may not be. Inserts therefore stand only at positions that the room
 *     names, or at a head.
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
/* Space for len bytes at tail, at most bcast_frame_max; good until bcast_commit. NULL: readers must sweep first. Then release what is
 * written, wake them, and call bcast_wait. */
uint8_t *bcast_reserve(struct bcast *b, size_t len);
uint64_t bcast_commit(struct bcast *b, size_t len); /* the reserved bytes are a frame; returns its position */
uint64_t bcast_tail(const struct bcast *b);
bool bcast_release(struct bcast *b);                          /* publishes up to tail; true if head moved */
void bcast_wait(struct bcast *b, size_t len, int timeout_ms); /* until len bytes might fit, or the timeout has passed */

uint64_t bcast_lag(const struct bcast *b); /* bytes released that the slowest sweep has not passed yet. Any thread */

/* --- Readers. Thread: I/O, each with its number. */
uint64_t bcast_head(const struct bcast *b);
const uint8_t *bcast_at(const struct bcast *b, uint64_t pos);
size_t bcast_lag_max(const struct bcast *b); /* bytes; the sweep drops a connection that is further behind */
void bcast_swept(struct bcast *b, int reader, uint64_t head);

#endif
