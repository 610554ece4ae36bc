/* gate.h — the gate: it accepts connections and keeps each until a whole request header is there.
 *
 * One epoll thread. A waiting connection costs a small struct and the bytes of its header so far. It has head_ms for a whole header, and
 * idle_ms between two requests. Only good headers get through to civetweb (httpcheck.h); on_bad answers everything else. The gate also
 * judges clients: by the socket's address at accept, and over a trusted proxy by the named address at each request. */
#ifndef WC_GATE_H
#define WC_GATE_H

#include "base/ip.h"
#include "base/metrics.h"
#include "http/hconn.h"
#include "net/seats.h"

#define GATE_LISTENERS 32  /* one for each address of the door; and with TLS, if wanted, as many for those who come without */
#define GATE_HEAD_MS 5000  /* from accept, or from the first byte of a further request; a phone on a bad line needs about one */
#define GATE_IDLE_MS 30000 /* browsers drop theirs after minutes, but each one costs a descriptor */

struct gate_opts {
	int listeners[GATE_LISTENERS];     /* taken, also on failure */
	int listener_count, redirect_from; /* listeners from redirect_from on send everyone to HTTPS */
	struct tls *tls;                   /* NULL: plain. Else a connection that comes in plain has is_redirect set */
	int head_ms, idle_ms;              /* deadlines; 0: GATE_HEAD_MS, GATE_IDLE_MS */
	int head_bytes;                    /* of a whole header, at most HTTP_HEAD_BYTES; 0: that many */
	int max_connections;               /* at this door, WebSockets handed on not among them; 0: no bound of its own */
	struct seats *seats;               /* borrowed; this gate alone takes seats. NULL: no limits by address, and no bans */
	struct ip_nets proxies;            /* borrowed: proxies trusted to name their clients */
	void *arg;
	/* Both take c. Thread: gate. on_head must not wait long: nobody is let in meanwhile. */
	void (*on_head)(void *arg, struct hconn *c);
	void (*on_bad)(void *arg, struct hconn *c, int status);
	/* Takes fd, of a plain connection that is not let in. Thread: gate. */
	void (*on_turned_away)(void *arg, int fd, int status);
};

/* The settings that may change while it runs. */
struct gate_limits {
	int head_ms, head_bytes; /* as in gate_opts */
	struct ip_nets proxies;  /* borrowed */
	struct seats_opts seats;
};

struct gate;

int gate_start(struct gate **out, const struct gate_opts *opts, char **cause) WC_MUSTCHECK;
void gate_set_limits(struct gate *g, const struct gate_limits *limits); /* returns when they hold. Thread: main */
void gate_pause(struct gate *g); /* closes the listeners; returns when they are closed. Thread: main */
void gate_stop(struct gate *g);  /* ends the thread, closes what it holds; later gifts are closed at once. Thread: main */
void gate_free(struct gate *g);

/* Any thread, from c's owner; c is gone afterwards. */
void gate_give(struct gate *g, struct hconn *c); /* answered: wait for its next request */
void gate_close(struct hconn *c);                /* close and free */
void gate_release(struct hconn *c);              /* free, but the socket and its seat live on elsewhere */

/* Counts a refusal of `peer`; the log tells of it once a minute for each metric. limit: the option that turns it away, or a word for the
 * reason. Any thread. */
void gate_turned_away(const struct sockaddr_storage *peer, enum metric why, const char *limit);

size_t gate_connections(const struct gate *g); /* at the door, whichever thread has them. Any thread */

#endif
