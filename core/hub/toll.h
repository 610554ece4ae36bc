/* toll.h — the price of frames that do nothing: buckets by connection, by person and by address, shared by the I/O threads.
 *
 * Unknown types, blank texts, small fragments, pings and the like get no answer, or a cheap one, so the room's limits never see them. Here
 * they are paid for, in units of an eighth of a frame. Other frames are the room's to count. Never closes anybody itself. Any thread; it
 * holds a lock for a few look-ups. */
#ifndef WC_HUB_TOLL_H
#define WC_HUB_TOLL_H

#include "base/ip.h"
#include "base/wc.h"

#define TOLL_FRAME 8     /* units of one frame */
#define TOLL_BURST_S 20  /* 1000 frames at once, of a connection and of a person … */
#define TOLL_FRAMES_S 50 /* … then 50 a second */
#define TOLL_CROWD 8     /* times as many from one address */
#define TOLL_QUIET 32    /* frames lately: a connection below it is not closed for what its address sends */
#define TOLL_MOST 8000   /* units of one payment: a burst */

struct toll;

struct toll *toll_new(void);
void toll_free(struct toll *t);
/* Addresses that are not counted; borrowed until the next call. */
void toll_exempt(struct toll *t, struct ip_nets nets);
bool toll_is_exempt(struct toll *t, const uint8_t addr[16]); /* NULL: nobody is */
/* person 0: has not joined. addr NULL: of a unix socket. own_us: the connection's bucket, 0 at first.
 * False: it cannot be paid, and the connection is to be closed. */
bool toll_pay(struct toll *t, int64_t *own_us, uint64_t person, const uint8_t addr[16], uint32_t units, int64_t now_us);

#endif
