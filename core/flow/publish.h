/* publish.h — the room's one way out: frames into the broadcast logs, private mail to connections, then the release of both.
 *
 * Nothing here is seen by anybody before publish_flush: mail goes first, then the heads (bcast.h says why). Several nodes would be joined
 * here. Thread: room. */
#ifndef WC_PUBLISH_H
#define WC_PUBLISH_H

#include "base/metrics.h"
#include "hub/hub.h"
#include "state/user.h"
#include "wire/encode.h"

struct publisher;

/* readers: how many sessions each dialect has, as it changes; only counted with. */
struct publisher *publisher_new(struct hubs *hubs, const uint32_t readers[DIALECTS]);
void publisher_free(struct publisher *p);

/* Where the next frame of a dialect goes. */
uint64_t publish_position(struct publisher *p, enum dialect d);
/* Behind all that was published so far for this connection. */
uint64_t publish_end(struct publisher *p, const struct conn *c);
/* A text frame with this payload into the log; may release what is there and wait for a sweep. Payload at most publish_frame_max bytes.
 * Returns its position, *len its length with the header. */
uint64_t publish_frame(struct publisher *p, enum dialect d, const void *payload, size_t payload_len, size_t *len);
size_t publish_frame_max(struct publisher *p, enum dialect d);

/* Collects a mail. */
void publish_mail(struct publisher *p, struct mail *m);
/* Up to three parts, in place of `skip` bytes of the session's log at `at`. References are taken over; NULL parts are left out. */
void publish_insert(struct publisher *p, const struct session *s, uint64_t at, size_t skip, struct shbuf *a, struct shbuf *b,
                    struct shbuf *c);
/* A close frame, once all that was published before has gone out. why: M_EVICTED_… or M_LEFT_…, for the metrics. */
void publish_close(struct publisher *p, struct conn *c, enum metric why, int code, const char *reason);

void publish_flush(struct publisher *p);

#endif
