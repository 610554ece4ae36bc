/* store_addr.h — the addresses that people were last connected from, one a person, guests included.
 *
 * Kept for a few days so that somebody who left can be found and kept out. Two halves, as in store_admin.h. The writer's functions run
 * inside the caller's transaction (reads need none), on the room's thread, or main's before it runs. A dump's run on the dump's own thread.
 * Personal data: what is removed is overwritten in the file, too. */
#ifndef WC_STORE_ADDR_H
#define WC_STORE_ADDR_H

#include "store/store_admin.h"

struct ip_net;

struct address {
	uint64_t user_id;
	struct str name, key; /* of the person then; key: name_key() */
	bool is_guest;        /* stored nowhere else */
	uint8_t addr[16];     /* IPv4 as ::ffff:a.b.c.d */
	int64_t at_ms;        /* Unix: when the person last came or went */
};
/* Borrowed for the call; non-zero ends the walk. */
typedef int (*store_address_fn)(void *arg, const struct address *a);

/* Each address replaces the same person's older one. Returns how many people are new to the table, or -WC_ESTORAGE. */
int store_put_addresses(struct store *s, const struct address *v, size_t n) WC_MUSTCHECK;
/* Removes addresses older than before_ms (INT64_MAX: all), the oldest first, at most limit. Returns how many. */
int store_expire_addresses(struct store *s, int64_t before_ms, int limit) WC_MUSTCHECK;
int64_t store_count_addresses(struct store *s); /* below 0: failed */
/* The addresses of people with an identity. */
int store_each_identity_address(struct store *s, store_address_fn fn, void *arg) WC_MUSTCHECK;
/* The address of one person (id), or of people that had this key (id 0), newest first, at most limit. Returns how many. */
int store_find_addresses(struct store *s, uint64_t id, struct str key, int limit, store_address_fn fn, void *arg) WC_MUSTCHECK;

/* People with after < id, by id, at most limit; net NULL: any address, else those in it. Only what is not older than since_ms. Returns how
 * many. */
int store_dump_addresses(struct store_dump *d, uint64_t after, int64_t since_ms, const struct ip_net *net, int limit, store_address_fn fn,
                         void *arg) WC_MUSTCHECK;
/* Of one person; -WC_ENOENT: none is known. */
int store_dump_address(struct store_dump *d, uint64_t id, int64_t since_ms, store_address_fn fn, void *arg) WC_MUSTCHECK;

#endif
