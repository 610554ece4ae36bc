/* seats.c — see seats.h. Owns the table. Never blocks. */
#include "net/seats.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define WIDE_BITS 48   /* of IPv6: what one customer may be given */
#define EVICT_LOOKS 32 /* at unoccupied seats, for one whose bucket is full again; then any of them goes */

struct seat {
	struct seats *all;
	struct seat *wide; /* of its /48, while somebody sits here; NULL: there is none */
	atomic_uint count; /* connections that have this seat, or one below it */
	atomic_int files;  /* that are sent to them */
	bool is_wide;
	uint8_t key[16];
	int64_t milli_tokens; /* handshakes it may make at once, as of filled_ms */
	int64_t filled_ms;
};

struct seats {
	struct seats_opts o;
	atomic_size_t open;
	atomic_int files;  /* that are sent */
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

static int64_t rate_of(const struct seat *seat)
{
	return (int64_t)seat->all->o.rate * (seat->is_wide ? SEATS_WIDE : 1);
}

static int64_t bucket_size(const struct seat *seat)
{
	return rate_of(seat) * SEATS_BURST_S * 1000;
}

/* Connections; 0: no bound. */
static unsigned most_of(const struct seat *seat)
{
	const struct seats_opts *o = &seat->all->o;
	const bool is_scarce = o->share && atomic_load(&seat->all->open) > (size_t)o->total / 2; /* with this one */
	const int64_t narrow = is_scarce ? WC_MIN(o->per_address, o->share) : o->per_address, wide = narrow * SEATS_WIDE;
	if (!seat->is_wide || !narrow)
		return (unsigned)narrow;
	return (unsigned)WC_MAX(o->total ? WC_MIN(wide, (int64_t)o->total / 2) : WC_MIN(wide, (int64_t)INT_MAX), narrow);
}

static void refill(struct seat *seat, int64_t now)
{
	/* A thousandth of a token a millisecond, times the rate. A bucket is full again after SEATS_BURST_S; more time adds nothing. */
	int64_t ms = WC_MIN(now - seat->filled_ms, SEATS_BURST_S * 1000);

	seat->milli_tokens = WC_MIN(seat->milli_tokens + ms * rate_of(seat), bucket_size(seat));
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
		if (seat->milli_tokens == bucket_size(seat))
			break;
	}
	if (found == s->n)
		return;
	map_del(&s->by_key, s->v[found]->key, sizeof(s->v[found]->key));
	free(s->v[found]);
	s->v[found] = s->v[--s->n];
}

/* The seat of that key, made if it is new; NULL: no memory. */
static struct seat *seat_of(struct seats *s, const uint8_t key[16], bool is_wide, int64_t now)
{
	struct seat *seat = map_get(&s->by_key, key, sizeof(seat->key));
	if (seat)
		return seat;
	if (s->n >= 2 * atomic_load(&s->open) + SEATS_SPARE) /* each connection has two at most */
		evict(s, now);
	seat = calloc(1, sizeof(*seat));
	if (!seat)
		return NULL;
	seat->all = s;
	seat->is_wide = is_wide;
	memcpy(seat->key, key, sizeof(seat->key));
	seat->milli_tokens = bucket_size(seat);
	seat->filled_ms = now;
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 64;
		s->v = xrealloc(s->v, s->room * sizeof(struct seat *));
	}
	s->v[s->n++] = seat;
	map_put(&s->by_key, seat->key, sizeof(seat->key), seat);
	return seat;
}

static bool has_token(struct seat *seat, int64_t now)
{
	refill(seat, now);
	return seat->milli_tokens >= 1000;
}

static enum seats_verdict judge(struct seat *seat, bool is_handshake, int64_t now)
{
	struct seat *v[] = { seat, seat->wide };
	const size_t n = seat->wide ? 2 : 1;
	is_handshake = is_handshake && seat->all->o.rate;
	for (size_t i = 0; i < n; i++) {
		const unsigned most = most_of(v[i]);
		if (most && atomic_load_explicit(&v[i]->count, memory_order_relaxed) > most)
			return SEATS_ADDRESS_FULL;
	}
	for (size_t i = 0; is_handshake && i < n; i++)
		if (!has_token(v[i], now))
			return SEATS_TOO_FAST;
	for (size_t i = 0; is_handshake && i < n; i++)
		v[i]->milli_tokens -= 1000;
	return SEATS_GIVEN;
}

static void leave(struct seat *seat)
{
	struct seat *wide = seat->wide; /* it lives while somebody sits there */
	atomic_fetch_sub_explicit(&seat->count, 1, memory_order_release);
	if (wide)
		atomic_fetch_sub_explicit(&wide->count, 1, memory_order_release);
}

static void occupy(struct seat *seat)
{
	atomic_fetch_add_explicit(&seat->count, 1, memory_order_relaxed);
}

/* Sits down at addr's seat, and in that of its /48. An occupied seat stays in the table. */
static enum seats_verdict sit_at(struct seats *s, const uint8_t addr[16], bool is_handshake, struct seat **out)
{
	const int64_t now = mono_ms();
	uint8_t key[16];
	struct seat *seat, *wide = NULL;
	if (ip_household(addr, key) < 128) {
		uint8_t net[16] = { 0 };
		memcpy(net, addr, WIDE_BITS / 8);
		net[15] = WIDE_BITS; /* is no household of its own */
		wide = seat_of(s, net, true, now);
		if (!wide)
			return SEATS_FULL;
		occupy(wide);
	}
	seat = seat_of(s, key, false, now);
	if (!seat) {
		if (wide)
			leave(wide);
		return SEATS_FULL;
	}
	if (seat->wide != wide) /* nobody sits here, so nobody reads it */
		seat->wide = wide;
	occupy(seat);
	enum seats_verdict verdict = judge(seat, is_handshake, now);
	if (verdict == SEATS_GIVEN)
		*out = seat;
	else
		leave(seat);
	return verdict;
}

/* Sits down where a belongs, if a may. */
static enum seats_verdict sit(struct seats *s, const struct sockaddr_storage *a, bool is_handshake, struct seat **out)
{
	uint8_t addr[16];
	if ((s->o.per_address || s->o.rate) && a && ip_bytes(a, addr) && !ip_in_nets(addr, &s->o.exempt))
		return sit_at(s, addr, is_handshake, out);
	occupy(&s->apart);
	*out = &s->apart;
	return SEATS_GIVEN;
}

bool seats_has_descriptor(const struct seats *s)
{
	const int held = s->o.held ? s->o.held(s->o.held_arg) : 0;
	return !s->o.descriptors || atomic_load(&s->open) + (size_t)held < (size_t)s->o.descriptors;
}

bool seat_may_have_file(const struct seat *seat)
{
	if (!seat || !seat->all->o.files_most)
		return true;
	const struct seats *s = seat->all;
	const int most = s->o.files_most, sent = atomic_load(&s->files);
	if (sent < most / 2 || (seat == &s->apart && sent < most))
		return true;
	const bool is_wide_at_most = seat->wide && atomic_load(&seat->wide->files) >= most / 2;
	return sent < most && atomic_load(&seat->files) < WC_MAX(most / 3, 1) && !is_wide_at_most;
}

void seat_count_file(struct seat *seat, int n)
{
	if (!seat)
		return;
	atomic_fetch_add(&seat->all->files, n);
	atomic_fetch_add(&seat->files, n);
	if (seat->wide)
		atomic_fetch_add(&seat->wide->files, n);
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
		leave(old);
	return verdict;
}

struct seat *seats_move_back(struct seat *seat)
{
	struct seat *apart = &seat->all->apart;
	occupy(apart);
	leave(seat);
	return apart;
}

void seat_leave(struct seat *seat)
{
	if (!seat)
		return;
	struct seats *s = seat->all;

	/* In this order: seats that are sat on are never more than `open`. */
	leave(seat);
	atomic_fetch_sub(&s->open, 1);
}
