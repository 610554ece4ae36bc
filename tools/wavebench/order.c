/* order.c — the one order of public messages, as the first reader of each place saw it, and the judgement of every other client.
 *
 * Place k holds which message stands there and, in a ring of recent bytes, its payload. Every other client's k-th public message must be
 * the same bytes. Only a sender's own copy differs (it has `self`) and is judged by its marker. Most deliveries end in one memcmp against
 * bytes that are still in the cache. So one thread can check millions of them a second.
 *
 * Any thread: places are entered under a mutex, twice a message at most, and read without it once `state` says so. */
#include "wavebench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/utf8.h"
#include "wire/jsonscan.h"

#define PLACES ((uint64_t)1 << 26) /* address space alone; a page is taken when the order reaches it */
#define RING_BYTES ((uint64_t)1 << 27)
#define RING_MARGIN ((uint64_t)1 << 24) /* what writers may overtake while a reader compares */

enum place_state { PLACE_EMPTY, PLACE_KEY, PLACE_BYTES };

struct place {
	_Atomic uint32_t state;
	uint32_t len;
	uint64_t key; /* sender and sequence */
	int64_t due_us;
	uint64_t at;
};

static struct {
	pthread_mutex_t lock;
	struct place *place;
	char *ring;
	_Atomic uint64_t head;
	struct seen {
		uint32_t *k; /* by sequence; 0: not seen, else k + 1 */
		size_t len;
	} * by_sender;
	int senders;
} order = { .lock = PTHREAD_MUTEX_INITIALIZER };

static char hex_digit(unsigned v)
{
	return "0123456789abcdef"[v & 15];
}

static char *hex_put(char *p, uint64_t v, int digits)
{
	for (int i = digits - 1; i >= 0; i--)
		*p++ = hex_digit((unsigned)(v >> (4 * i)));
	*p++ = '.';
	return p;
}

void marker_write(char out[MARKER_LEN], unsigned id, const struct marker *m)
{
	char *p = out;
	memcpy(p, "~wb", 3);
	p += 3;
	*p++ = m->kind;
	*p++ = '.';
	p = hex_put(p, id, 4);
	p = hex_put(p, m->sender, 6);
	p = hex_put(p, m->seq, 8);
	p = hex_put(p, (uint64_t)m->due_us, 12);
	p[-1] = '~';
	WC_ASSERT(p - out <= MARKER_LEN);
	while (p < out + MARKER_LEN)
		*p++ = '~';
}

static bool hex_get(const char **p, int digits, char end, uint64_t *out)
{
	uint64_t v = 0;
	for (int i = 0; i < digits; i++) {
		unsigned char c = (unsigned char)*(*p)++;
		unsigned d = c >= '0' && c <= '9' ? c - (unsigned)'0' : c >= 'a' && c <= 'f' ? c - 'a' + 10u : 16u;
		if (d > 15)
			return false;
		v = v << 4 | d;
	}
	*out = v;
	return *(*p)++ == end;
}

static bool marker_at(struct marker *m, unsigned id, const char *p, size_t n)
{
	if (n < MARKER_LEN || (p[3] != 'P' && p[3] != 'D') || p[4] != '.')
		return false;
	m->kind = p[3];
	p += 5;
	uint64_t r, sender, seq, due;
	if (!hex_get(&p, 4, '.', &r) || r != id || !hex_get(&p, 6, '.', &sender) || !hex_get(&p, 8, '.', &seq) ||
	    !hex_get(&p, 12, '~', &due))
		return false;
	m->sender = (uint32_t)sender;
	m->seq = (uint32_t)seq;
	m->due_us = (int64_t)due;
	return true;
}

bool marker_find(struct marker *m, unsigned id, const char *p, size_t n)
{
	const char *end = p + n;
	while ((p = memmem(p, (size_t)(end - p), "~wb", 3))) {
		if (marker_at(m, id, p, (size_t)(end - p)))
			return true;
		p += 3;
	}
	return false;
}

bool marker_find_last(struct marker *m, unsigned id, const char *p, size_t n)
{
	for (size_t i = n; i >= MARKER_LEN; i--) {
		const char *q = p + i - MARKER_LEN;
		if (q[0] == '~' && q[1] == 'w' && q[2] == 'b' && marker_at(m, id, q, MARKER_LEN))
			return true;
	}
	return false;
}

void order_setup(int senders)
{
	order.senders = senders;
	order.by_sender = xcalloc((size_t)senders, sizeof(*order.by_sender));
	order.place = mmap(NULL, PLACES * sizeof(struct place), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	order.ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	WC_ASSERT(order.place != MAP_FAILED && order.ring != MAP_FAILED);
}

static uint64_t key_of(const struct marker *m)
{
	return (uint64_t)m->sender << 32 | m->seq;
}

static bool ring_has(const struct place *s)
{
	return atomic_load_explicit(&order.head, memory_order_acquire) - s->at < RING_BYTES - RING_MARGIN;
}

bool order_same(uint64_t k, const char *payload, size_t n, int64_t *due_us)
{
	const struct place *s = &order.place[k & (PLACES - 1)];
	if (atomic_load_explicit(&s->state, memory_order_acquire) != PLACE_BYTES || s->len != n || !ring_has(s))
		return false;
	if (memcmp(order.ring + s->at % RING_BYTES, payload, n) != 0)
		return false;
	*due_us = s->due_us;
	return true;
}

/* Payloads stand whole in the ring: one that would wrap begins again at its start. Under the lock. */
static void ring_put(struct place *s, const char *payload, size_t n)
{
	uint64_t head = order.head;
	if (head % RING_BYTES + n > RING_BYTES)
		head += RING_BYTES - head % RING_BYTES;
	memcpy(order.ring + head % RING_BYTES, payload, n);
	s->at = head;
	s->len = (uint32_t)n;
	atomic_store_explicit(&order.head, head + n, memory_order_release);
	atomic_store_explicit(&s->state, PLACE_BYTES, memory_order_release);
}

static void seen_put(const struct marker *m, uint64_t k)
{
	struct seen *s = &order.by_sender[m->sender];
	if (m->seq >= s->len) {
		size_t len = WC_MAX((size_t)m->seq + 1, s->len * 2 + 64);
		s->k = xrealloc(s->k, len * sizeof(*s->k));
		memset(s->k + s->len, 0, (len - s->len) * sizeof(*s->k));
		s->len = len;
	}
	s->k[m->seq] = (uint32_t)(k + 1);
}

/* Once a message: is it what the wire promises at all? */
static bool is_well_formed(const char *payload, size_t n, bool is_self)
{
	struct str data;
	if (!utf8_valid(payload, n) || json_scan(payload, n, &data))
		return false;
	bool has_self = memmem(payload, n, "\"self\":true", 11) || memmem(payload, n, "\"self\": true", 12);
	return has_self == is_self;
}

enum order_verdict order_check(uint64_t k, const struct marker *m, const char *payload, size_t n, bool is_self)
{
	if (m->sender >= (uint32_t)order.senders || n > RING_MARGIN)
		return ORDER_MALFORMED;
	struct place *s = &order.place[k & (PLACES - 1)];
	enum order_verdict v = ORDER_OK;
	pthread_mutex_lock(&order.lock);
	if (s->state == PLACE_EMPTY) {
		s->key = key_of(m);
		s->due_us = m->due_us;
		s->state = PLACE_KEY;
		seen_put(m, k);
	}
	if (s->key != key_of(m)) {
		v = ORDER_WRONG;
	} else if (is_self) {
		v = is_well_formed(payload, n, true) ? ORDER_OK : ORDER_MALFORMED;
	} else if (s->state == PLACE_KEY) {
		if (is_well_formed(payload, n, false))
			ring_put(s, payload, n);
		else
			v = ORDER_MALFORMED;
	} else if (ring_has(s)) {
		v = s->len == n && memcmp(order.ring + s->at % RING_BYTES, payload, n) == 0 ? ORDER_OK : ORDER_DIFFERENT;
	}
	pthread_mutex_unlock(&order.lock);
	return v;
}

bool order_place(const struct marker *m, uint64_t *k)
{
	bool found = false;
	pthread_mutex_lock(&order.lock);
	if (m->sender < (uint32_t)order.senders && m->seq < order.by_sender[m->sender].len && order.by_sender[m->sender].k[m->seq] != 0) {
		*k = order.by_sender[m->sender].k[m->seq] - 1;
		found = true;
	}
	pthread_mutex_unlock(&order.lock);
	return found;
}
