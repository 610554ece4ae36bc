/* conn.h — one WebSocket connection, as the threads outside the hub see it.
 *
 * The pointer is good from the first event that brings it until the room has posted MAIL_RELEASE. Posting mail is the only way to act on a
 * connection; these functions ask it, or keep what the room wants kept with it. */
#ifndef WC_CONN_H
#define WC_CONN_H

#include <sys/socket.h>

#include "base/rota.h"
#include "base/shbuf.h"
#include "base/wc.h"

struct conn;
struct hub;

struct hub *conn_hub(const struct conn *c);                          /* its I/O thread. Any thread */
void conn_peer(const struct conn *c, struct sockaddr_storage *out);  /* the client's address. Any thread */
struct rota_owner conn_owner(const struct conn *c, uint64_t person); /* whose turn a job for it takes; person: 0 if not known. Any thread */
bool conn_is_gone(const struct conn *c);                             /* its socket is closed. Any thread */
uint64_t conn_identity(const struct conn *c);                        /* from MAIL_SUBSCRIBE; 0 before it. Thread: I/O */
bool conn_is_subscribed(const struct conn *c);                       /* Thread: I/O */
void conn_refuse_files(struct conn *c, int64_t until_ms);            /* mono_ms: until then the room would refuse its files. Any thread */
bool conn_files_are_refused(const struct conn *c);                   /* its files need not be stored now. Any thread */
void *conn_session(const struct conn *c);                            /* the room's own pointer. Thread: room */
void conn_set_session(struct conn *c, void *session);                /* Thread: room */
void conn_charge(struct conn *c, uint32_t units);                    /* a frame of its came to nothing (toll.h). Any thread */
void conn_set_buffer_owner(struct conn *c, shbuf_owner owner);       /* whose its large buffers are. Any thread */
shbuf_owner conn_buffer_owner(const struct conn *c, enum shbuf_kind kind); /* Any thread */
int conn_count_refusal(struct conn *c); /* how many of its joins were refused, with this one. Thread: room */

#endif
