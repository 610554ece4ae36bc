/* seats.h — how many connections there are, in all and from each address, and how fast an address makes new ones.
 *
 * A connection has one seat from accept to close, wherever its socket goes in between; so a WebSocket counts as long as it lives. A
 * connection of a trusted proxy sits apart, and moves for each of its requests to the seat of the client that the proxy names. IPv6 counts
 * by /64: that is what one household gets.
 *
 * A peer cannot grow the table: it has the connected addresses and at most SEATS_SPARE others. Those are remembered so that reconnecting
 * does not fill their bucket again.
 *
 * One thread takes seats and owns the table; leaving is two atomic subtractions, for any thread, the I/O threads included. */
#ifndef WC_SEATS_H
#define WC_SEATS_H

#include <sys/socket.h>

#include "base/ip.h"

#define SEATS_SPARE 4096
#define SEATS_BURST_S 10 /* a bucket holds what its rate gives in so long */

struct seats;
struct seat;

struct seats_opts {
	int total;              /* connections in all; 0: no bound */
	int descriptors;        /* connections and whatever else `held` counts; 0: no bound */
	int (*held)(void *arg); /* descriptors that transfers hold now; any thread. NULL: none do */
	void *held_arg;
	int per_address;       /* of them from one address; 0: no bound */
	int rate;              /* new connections, or WebSockets through a proxy, of one address a second; 0: no bound */
	struct ip_nets exempt; /* borrowed: addresses that the last two do not meet */
};

enum seats_verdict { SEATS_GIVEN, SEATS_FULL, SEATS_ADDRESS_FULL, SEATS_TOO_FAST };

struct seats *seats_new(const struct seats_opts *opts);
void seats_set_opts(struct seats *s, const struct seats_opts *opts); /* seats that are taken stay. Thread: as seats_take */
void seats_free(struct seats *s);                                    /* every seat was left. NULL is ignored */

/* A new connection from a; NULL: one of a trusted proxy, which counts in all only. Thread: one at a time, as for seats_move. */
enum seats_verdict seats_take(struct seats *s, const struct sockaddr_storage *a, struct seat **out) WC_MUSTCHECK;
/* A request of a, over a proxy's connection that sits in *seat: on success it sits with a. is_handshake: the request opens a WebSocket. */
enum seats_verdict seats_move(struct seat **seat, const struct sockaddr_storage *a, bool is_handshake) WC_MUSTCHECK;
/* The request was answered: back to where the proxy's connections sit. Any thread. */
struct seat *seats_move_back(struct seat *seat);
/* The connection is closed. Any thread; NULL is ignored. */
void seat_leave(struct seat *seat);

bool seats_has_descriptor(const struct seats *s); /* one more for a transfer? Any thread */

#endif
