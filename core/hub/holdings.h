/* holdings.h — bytes that are held for people and for addresses, in a table of fixed size.
 *
 * An address stands for its household: an IPv4 address, or an IPv6 network of /64. An IPv6 one stands for its /48 as well. Peers who share
 * a place share what is counted there; a secret seed keeps that from being chosen. Never refuses anything itself. Any thread. */
#ifndef WC_HUB_HOLDINGS_H
#define WC_HUB_HOLDINGS_H

#include <stdatomic.h>

#include "base/wc.h"

#define HOLDER_BITS 10
#define HOLDER_PLACES (1 << HOLDER_BITS)

enum holder_by { HOLDER_PERSON, HOLDER_HOUSEHOLD, HOLDER_SITE /* the /48 */, HOLDER_BYS };

/* A place for each of the three; 0: nobody's, which is not counted. */
typedef uint32_t holder;

struct holdings {
	_Atomic size_t bytes[HOLDER_BYS][HOLDER_PLACES];
};

/* person 0 and addr NULL (else 16 bytes): not counted that way. */
holder holder_of(uint64_t person, const uint8_t *addr);
/* The same without the person. */
static inline holder holder_address(holder who)
{
	return who & ~(holder)(HOLDER_PLACES - 1);
}

/* 0: not counted that way. */
static inline uint32_t holder_place(holder who, enum holder_by by)
{
	return who >> by * HOLDER_BITS & (HOLDER_PLACES - 1);
}

void holdings_add(struct holdings *h, holder who, int64_t bytes); /* negative: they are given back */
size_t holdings_of(const struct holdings *h, holder who, enum holder_by by);
/* The bytes of the address, to compare addresses. A /48 counts with half of its sum: it may have twice as much. */
size_t holdings_of_address(const struct holdings *h, holder who);

#endif
