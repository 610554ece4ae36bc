/* inbox.c — a Treiber stack that the consumer takes whole and reverses, with a futex to sleep on. */
#include "flow/inbox.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct inbox {
	_Alignas(64) _Atomic(struct event *) top;
	_Atomic size_t bytes;                      /* cost of what is queued or being worked on */
	_Alignas(64) _Atomic uint32_t is_sleeping; /* the futex word */
	_Atomic bool was_full;                     /* a producer was turned away since the last inbox_done */
	size_t cap_bytes;
	size_t taken_bytes; /* the consumer's own: cost of what it holds */
};

struct inbox *inbox_new(size_t cap_bytes)
{
	struct inbox *in = aligned_alloc(64, (sizeof(*in) + 63) / 64 * 64);
	WC_ASSERT(in);
	*in = (struct inbox){ .cap_bytes = cap_bytes };
	return in;
}

void inbox_free(struct inbox *in)
{
	if (!in)
		return;
	for (struct event *e = atomic_load(&in->top), *next; e; e = next) {
		next = e->next;
		event_free(e);
	}
	free(in);
}

void inbox_push(struct inbox *in, struct event *newest, struct event *oldest)
{
	size_t cost = 0;
	for (struct event *e = newest;; e = e->next) {
		cost += e->cost;
		if (e == oldest)
			break;
	}
	atomic_fetch_add_explicit(&in->bytes, cost, memory_order_relaxed);
	struct event *top = atomic_load_explicit(&in->top, memory_order_relaxed);
	do {
		oldest->next = top;
	} while (!atomic_compare_exchange_weak_explicit(&in->top, &top, newest, memory_order_seq_cst, memory_order_relaxed));
	if (atomic_load(&in->is_sleeping) && atomic_exchange(&in->is_sleeping, 0))
		syscall(SYS_futex, &in->is_sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void inbox_call(struct inbox *in, enum event_kind kind, void (*fn)(void *arg), void *arg)
{
	struct event *e = event_new_small(kind, NULL, 0);

	e->call.fn = fn;
	e->call.arg = arg;
	inbox_push_one(in, e);
}

bool inbox_is_full(const struct inbox *in)
{
	if (atomic_load_explicit(&in->bytes, memory_order_relaxed) < in->cap_bytes)
		return false;
	/* The flag first, then a second look: the consumer clears bytes before it reads the flag, so one of the two sees the other. */
	atomic_store((_Atomic bool *)&in->was_full, true);
	return atomic_load(&in->bytes) >= in->cap_bytes;
}

struct event *inbox_take(struct inbox *in, int timeout_ms)
{
	struct event *top = atomic_exchange(&in->top, NULL);
	if (!top && timeout_ms != 0) {
		atomic_store(&in->is_sleeping, 1);
		if (!atomic_load(&in->top)) {
			struct timespec t = { timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000 };
			syscall(SYS_futex, &in->is_sleeping, FUTEX_WAIT_PRIVATE, 1, timeout_ms < 0 ? NULL : &t, NULL, 0);
		}
		atomic_store(&in->is_sleeping, 0);
		top = atomic_exchange(&in->top, NULL);
	}
	struct event *oldest_first = NULL;
	while (top) {
		struct event *next = top->next;
		in->taken_bytes += top->cost;
		top->next = oldest_first;
		oldest_first = top;
		top = next;
	}
	return oldest_first;
}

bool inbox_done(struct inbox *in, size_t held_bytes)
{
	atomic_fetch_sub(&in->bytes, in->taken_bytes - held_bytes);
	in->taken_bytes = held_bytes;
	return atomic_load(&in->bytes) < in->cap_bytes && atomic_exchange(&in->was_full, false);
}
