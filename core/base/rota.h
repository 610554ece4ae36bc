/* rota.h — a queue in which people take turns, not jobs: by network, then by household, then by person.
 *
 * Somebody with a thousand items in it delays others by one item, and so does somebody with a thousand names behind one address. Items of
 * one person keep their order. Never copies or frees an item. One thread at a time. */
#ifndef WC_ROTA_H
#define WC_ROTA_H

#include "base/wc.h"

struct rota;

/* At the beginning of what is queued. */
struct rota_item {
	struct rota_item *next;
};

/* On whose behalf. Zeros: nobody's in particular, which is one more person. */
struct rota_owner {
	uint8_t addr[16]; /* ip_bytes */
	uint64_t person;  /* an id, or what else tells people of one address apart */
};

struct rota *rota_new(void);
void rota_free(struct rota *r); /* which must be empty */
void rota_put(struct rota *r, const struct rota_owner *owner, struct rota_item *item);
struct rota_item *rota_take(struct rota *r); /* whose turn it is; NULL: empty */
size_t rota_count(const struct rota *r);
bool rota_has(const struct rota *r, const struct rota_owner *owner); /* items of this very person, at this household */
/* Items of the owner's network: an IPv4 address, or the /48 of IPv6 that one customer may have. */
size_t rota_count_of(const struct rota *r, const struct rota_owner *owner);

#endif
