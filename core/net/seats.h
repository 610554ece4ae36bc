/* seats.h — seats: the number of connections, in all and from each address, the rate of new ones from an address, and the files sent to it.
 *
 * A connection has one seat from accept to close, wherever its socket goes in between. So a WebSocket counts as long as it lives. A
 * connection of a trusted proxy sits apart; for each of its requests it moves to the seat of the client that the proxy names. IPv6 counts
 * by /64, since one household gets that much; and by /48, which one customer may have whole.
 *
 * A peer cannot grow the table. It has the addresses that are connected, and at most SEATS_SPARE others. Those are remembered only so that
 * reconnecting does not refill their bucket.
 *
 * One thread takes seats and owns the table. Leaving is three atomic subtractions, for any thread, the I/O threads included. */
#ifndef WC_SEATS_H
#define WC_SEATS_H

#include <sys/socket.h>

#include "base/ip.h"

#define SEATS_SPARE 8192 /* an IPv6 address has two: of its /64 and of its /48 */
#define SEATS_WIDE 4     /* times what a /64 may, for its /48; of connections never more than half of all, unless one /64 may */
#define SEATS_BURST_S 10 /* seconds; a bucket holds as many handshakes as its rate gives in that time */

struct seats;
struct seat;

struct seats_opts {
	int total;              /* connections in all; 0: no bound */
	int descriptors;        /* connections and the descriptors that `held` counts; 0: no bound */
	int (*held)(void *arg); /* descriptors that transfers hold now; any thread. NULL: none do */
	void *held_arg;
	int files_most;        /* files that are sent at once; 0: no bound */
	int per_address;       /* of them from one IPv4 address or /64; 0: no bound */
	int share;             /* in its place, if it is less, once half of all are taken; 0: none */
	int rate;              /* new connections, or WebSockets through a proxy, of one address a second; 0: no bound */
	struct ip_nets exempt; /* borrowed: addresses exempt from per_address and rate */
};

enum seats_verdict { SEATS_GIVEN, SEATS_FULL, SEATS_ADDRESS_FULL, SEATS_TOO_FAST };

struct seats *seats_new(const struct seats_opts *opts);
void seats_set_opts(struct seats *s, const struct seats_opts *opts); /* seats that are taken stay. Thread: as seats_take */
void seats_free(struct seats *s);                                    /* after every seat was left. NULL is ignored */

/* A new connection from a; NULL: one of a trusted proxy, which counts in all only. Thread: one at a time, as for seats_move. */
enum seats_verdict seats_take(struct seats *s, const struct sockaddr_storage *a, struct seat **out) WC_MUSTCHECK;
/* A request of a, over a proxy's connection that sits in *seat: on success it sits with a. is_handshake: the request opens a WebSocket. */
enum seats_verdict seats_move(struct seat **seat, const struct sockaddr_storage *a, bool is_handshake) WC_MUSTCHECK;
/* The request was answered: back to where the proxy's connections sit. Any thread. */
struct seat *seats_move_back(struct seat *seat);
/* The connection is closed. Any thread; NULL is ignored. */
void seat_leave(struct seat *seat);

bool seats_has_descriptor(const struct seats *s); /* may a transfer take one more? Any thread */

/* May a file be sent to who sits there? Once half of files_most is taken, an address has at most a third of them, a /48 of IPv6 half. NULL:
 * it is not counted. Any thread. */
bool seat_may_have_file(const struct seat *seat);
void seat_count_file(struct seat *seat, int n); /* 1: one begins; -1: it is over. The seat is taken until then. Any thread */

#endif
