/* gate.h — accepts connections and keeps each until a whole request header is there.
 *
 * One epoll thread. A waiting connection costs a small struct and whatever of its header came; it has head_ms for a whole header, and
 * between two requests idle_ms. Only good headers get through to civetweb (httpcheck.h); everything else is answered by on_bad. It also
 * admits or refuses: at accept by the socket's address; over a trusted proxy at each request by the address that the proxy names. */
#ifndef WC_GATE_H
#define WC_GATE_H

#include "base/ip.h"
#include "http/hconn.h"
#include "net/seats.h"

#define GATE_LISTENERS 32  /* one for each address of the door; and with TLS, if wanted, as many for those who come without */
#define GATE_HEAD_MS 5000  /* from accept, or from the first byte of a further request; a phone on a bad line needs about one */
#define GATE_IDLE_MS 30000 /* browsers drop theirs after minutes, but each one costs a descriptor */

struct gate_opts {
	int listeners[GATE_LISTENERS];     /* taken, also on failure */
	int listener_count, redirect_from; /* listeners from redirect_from on send everyone to HTTPS */
	struct tls *tls;                   /* NULL: plain. Else who comes in plain has is_redirect set */
	int head_ms, idle_ms;              /* deadlines; 0: GATE_HEAD_MS, GATE_IDLE_MS */
	int head_bytes;                    /* of a whole header, at most HTTP_HEAD_BYTES; 0: that many */
	int max_connections;               /* at this door, WebSockets handed on not among them; 0: no bound of its own */
	struct seats *seats;               /* borrowed, this gate its one taker; NULL: no limits on who may come in, and no bans */
	struct ip_nets proxies;            /* borrowed: whose word for an address is taken */
	void *arg;
	/* Both take c. Thread: gate. on_head must not wait long: nobody is let in meanwhile. */
	void (*on_head)(void *arg, struct hconn *c);
	void (*on_bad)(void *arg, struct hconn *c, int status);
	/* Takes fd, of a plain connection that is not let in. Thread: gate. */
	void (*on_turned_away)(void *arg, int fd, int status);
};

/* Settings that may change while it runs. */
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

size_t gate_connections(const struct gate *g); /* at the door, whichever thread has them. Any thread */

#endif
