/* gate.h — accepts connections and keeps each until a whole request header is there.
 *
 * One epoll thread. A waiting connection costs a small struct and whatever of its header came; it has head_ms for a whole header, and
 * between two requests idle_ms. Only good headers get through to civetweb (httpcheck.h); everything else is answered by on_bad. */
#ifndef WC_GATE_H
#define WC_GATE_H

#include "hconn.h"

#define GATE_LISTENERS 2 /* the door; and with TLS, if wanted, one for those who come without */
#define GATE_HEAD_MS 5000  /* from accept, or from the first byte of a further request; a phone on a bad line needs about one */
#define GATE_IDLE_MS 30000 /* browsers drop theirs after minutes, but each one costs a descriptor */

struct gate_opts {
	int listeners[GATE_LISTENERS]; /* taken, also on failure; -1: none */
	struct tls *tls;               /* NULL: plain. Else who comes in plain has is_redirect set */
	int head_ms, idle_ms;          /* deadlines; 0: GATE_HEAD_MS, GATE_IDLE_MS */
	int max_connections;           /* at the door (handed-on ones count with their taker); 0: no bound of its own */
	void *arg;
	/* Both take c. Thread: gate. on_head must not wait long: nobody is let in meanwhile. */
	void (*on_head)(void *arg, struct hconn *c);
	void (*on_bad)(void *arg, struct hconn *c, int status);
};

struct gate;

int gate_start(struct gate **out, const struct gate_opts *opts, char **cause) WC_MUSTCHECK;
void gate_pause(struct gate *g); /* closes the listeners; returns when they are closed. Thread: main */
void gate_stop(struct gate *g);  /* ends the thread, closes what it holds; later gifts are closed at once. Thread: main */
void gate_free(struct gate *g);

/* May this peer connect? The one place where limits on who may come in stand: connections in all now; per address, handshakes a second and
 * banned addresses belong here too. Every true is paired with one gate_leave. Thread: gate. */
bool gate_admit(struct gate *g, const struct sockaddr_storage *peer) WC_MUSTCHECK;
void gate_leave(struct gate *g, const struct sockaddr_storage *peer); /* any thread */

/* Any thread, from c's owner; c is gone afterwards. */
void gate_give(struct gate *g, struct hconn *c); /* answered: wait for its next request */
void gate_close(struct hconn *c);                /* close and free */
void gate_release(struct hconn *c);              /* free, but the socket lives on elsewhere */

size_t gate_connections(const struct gate *g); /* at the door, wherever they are in it */

#endif
