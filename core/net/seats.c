/* seats.c — see seats.h. Owns the table. Never blocks. */
#include "net/seats.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define EVICT_LOOKS 32 /* at unoccupied seats, for one whose bucket is full again; then any of them goes */

struct seat {
	struct seats *all;
	atomic_uint count; /* connections that have this seat */
	uint8_t key[16];
	int64_t milli_tokens; /* handshakes it may make at once, as of filled_ms */
	int64_t filled_ms;
};

struct seats {
	struct seats_opts o;
	atomic_size_t open;
	struct seat apart; /* of proxies and of exempt addresses */
	struct map by_key;
	struct seat **v; /* all in the map; `hand` goes round in it */
	size_t n, room, hand;
};

struct seats *seats_new(const struct seats_opts *opts)
{
	struct seats *s = xcalloc(1, sizeof(*s));
	s->o = *opts;
	s->apart.all = s;
	map_init(&s->by_key);
	return s;
}

void seats_set_opts(struct seats *s, const struct seats_opts *opts)
{
	s->o = *opts;
}

void seats_free(struct seats *s)
{
	if (!s)
		return;
	WC_ASSERT(atomic_load(&s->open) == 0);
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	map_fini(&s->by_key);
	free(s);
}

static int64_t bucket_size(const struct seats *s)
{
	return (int64_t)s->o.rate * SEATS_BURST_S * 1000;
}

static void refill(struct seat *seat, int64_t now)
{
	/* A thousandth of a token a millisecond, times the rate. A bucket is full again after SEATS_BURST_S; more time adds nothing. */
	int64_t ms = WC_MIN(now - seat->filled_ms, SEATS_BURST_S * 1000);

	seat->milli_tokens = WC_MIN(seat->milli_tokens + ms * seat->all->o.rate, bucket_size(seat->all));
	seat->filled_ms = now;
}

/* Makes room for one more, in the place of an address that nobody is connected from. There are at least SEATS_SPARE of those, so the hand
 * passes few others. A thread that leaves a seat does not touch it after the count that is read here. */
static void evict(struct seats *s, int64_t now)
{
	size_t found = s->n;
	int looks = 0;
	for (size_t i = 0; i < s->n && looks < EVICT_LOOKS; i++) {
		struct seat *seat = s->v[s->hand = (s->hand + 1) % s->n];
		if (atomic_load_explicit(&seat->count, memory_order_acquire))
			continue;
		looks++;
		found = s->hand;
		refill(seat, now);
		if (seat->milli_tokens == bucket_size(s))
			break;
	}
	if (found == s->n)
		return;
	map_del(&s->by_key, s->v[found]->key, sizeof(s->v[found]->key));
	free(s->v[found]);
	s->v[found] = s->v[--s->n];
}

/* The address's seat, made if it is new; NULL: no memory. */
static struct seat *seat_of(struct seats *s, const uint8_t addr[16], int64_t now)
{
	uint8_t key[16];
	struct seat *seat;

	ip_household(addr, key);
	seat = map_get(&s->by_key, key, sizeof(key));
	if (seat)
		return seat;
	if (s->n >= atomic_load(&s->open) + SEATS_SPARE)
		evict(s, now);
	seat = calloc(1, sizeof(*seat));
	if (!seat)
		return NULL;
	seat->all = s;
	memcpy(seat->key, key, sizeof(key));
	seat->milli_tokens = bucket_size(s);
	seat->filled_ms = now;
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 64;
		s->v = xrealloc(s->v, s->room * sizeof(struct seat *));
	}
	s->v[s->n++] = seat;
	map_put(&s->by_key, seat->key, sizeof(seat->key), seat);
	return seat;
}

/* Sits down where a belongs, if a may. */
static enum seats_verdict sit(struct seats *s, const struct sockaddr_storage *a, bool is_handshake, struct seat **out)
{
	int64_t now = mono_ms();
	uint8_t addr[16];
	struct seat *seat;
	if ((!s->o.per_address && !s->o.rate) || !a || !ip_bytes(a, addr) || ip_in_nets(addr, &s->o.exempt)) {
		seat = &s->apart;
	} else {
		seat = seat_of(s, addr, now);
		if (!seat)
			return SEATS_FULL;
		if (s->o.per_address && atomic_load_explicit(&seat->count, memory_order_relaxed) >= (unsigned)s->o.per_address)
			return SEATS_ADDRESS_FULL;
		if (s->o.rate && is_handshake) {
			refill(seat, now);
			if (seat->milli_tokens < 1000)
				return SEATS_TOO_FAST;
			seat->milli_tokens -= 1000;
		}
	}
	atomic_fetch_add_explicit(&seat->count, 1, memory_order_relaxed);
	*out = seat;
	return SEATS_GIVEN;
}

bool seats_has_descriptor(const struct seats *s)
{
	const int held = s->o.held ? s->o.held(s->o.held_arg) : 0;
	return !s->o.descriptors || atomic_load(&s->open) + (size_t)held < (size_t)s->o.descriptors;
}

enum seats_verdict seats_take(struct seats *s, const struct sockaddr_storage *a, struct seat **out)
{
	if ((s->o.total && atomic_load(&s->open) >= (size_t)s->o.total) || !seats_has_descriptor(s))
		return SEATS_FULL;
	atomic_fetch_add(&s->open, 1);
	enum seats_verdict verdict = sit(s, a, true, out);
	if (verdict != SEATS_GIVEN)
		atomic_fetch_sub(&s->open, 1);
	return verdict;
}

enum seats_verdict seats_move(struct seat **seat, const struct sockaddr_storage *a, bool is_handshake)
{
	struct seat *old = *seat;
	enum seats_verdict verdict = sit(old->all, a, is_handshake, seat);
	if (verdict == SEATS_GIVEN)
		atomic_fetch_sub_explicit(&old->count, 1, memory_order_release);
	return verdict;
}

struct seat *seats_move_back(struct seat *seat)
{
	struct seat *apart = &seat->all->apart;
	atomic_fetch_add_explicit(&apart->count, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&seat->count, 1, memory_order_release);
	return apart;
}

void seat_leave(struct seat *seat)
{
	if (!seat)
		return;
	struct seats *s = seat->all;

	/* In this order: seats that are sat on are never more than `open`. */
	atomic_fetch_sub_explicit(&seat->count, 1, memory_order_release);
	atomic_fetch_sub(&s->open, 1);
}
