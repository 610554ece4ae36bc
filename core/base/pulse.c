/* pulse.c — a slot a thread (see pulse.h). Owns the slots; one that ended is taken again. */
#include "base/pulse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fault.h"
#include "base/metrics.h"

#define PATIENCE_MS 3000
#define HELPER_PATIENCE_MS 60000 /* hashing or copying something large */

#define SLOTS 128 /* 64 I/O threads, two a door, the room, the helpers; a thread past that is not watched */

static struct slot {
	atomic_bool is_taken;
	_Atomic int64_t since_ms;    /* monotonic: at work since then; 0: at rest */
	_Atomic int64_t patience_ms; /* of this turn; 0: its role's */
	enum wc_role role;
	char name[16];
} slots[SLOTS];

static _Thread_local struct slot *mine;

static void take_slot(void)
{
	for (size_t i = 0; i < SLOTS && !mine; i++) {
		bool was_taken = false;

		if (!atomic_compare_exchange_strong(&slots[i].is_taken, &was_taken, true))
			continue;
		mine = &slots[i];
		/* read only while since_ms is not 0, which is stored after them */
		mine->role = wc_role;
		if (pthread_getname_np(pthread_self(), mine->name, sizeof(mine->name)))
			mine->name[0] = '\0';
	}
}

void pulse_rest(void)
{
	int64_t since;

	if (!mine)
		take_slot();
	if (!mine)
		return;
	since = atomic_load_explicit(&mine->since_ms, memory_order_relaxed);
	atomic_store_explicit(&mine->since_ms, 0, memory_order_relaxed);
	atomic_store_explicit(&mine->patience_ms, 0, memory_order_relaxed);
	if (since && mono_ms() - since >= PULSE_STALL_MS)
		metric_add(M_THREAD_STALLS, 1);
}

void pulse_work(void)
{
	if (mine)
		atomic_store_explicit(&mine->since_ms, mono_ms(), memory_order_release);
}

void pulse_patience(int64_t ms)
{
	if (mine)
		atomic_store_explicit(&mine->patience_ms, ms, memory_order_relaxed);
}

void pulse_end(void)
{
	if (!mine)
		return;
	atomic_store(&mine->since_ms, 0);
	atomic_store(&mine->is_taken, false);
	mine = NULL;
}

int64_t pulse_longest(bool only_vital, char name[16])
{
	int64_t longest = 0, now = mono_ms();

	name[0] = '\0';
	for (size_t i = 0; i < SLOTS; i++) {
		int64_t since = atomic_load_explicit(&slots[i].since_ms, memory_order_acquire);

		if (!since || now - since <= longest || (only_vital && slots[i].role == ROLE_HELPER))
			continue;
		longest = now - since;
		memcpy(name, slots[i].name, 16);
	}
	return longest;
}

static int64_t patience_of(const struct slot *s)
{
	const int64_t given = atomic_load_explicit(&s->patience_ms, memory_order_relaxed);
	const int64_t helper_ms = fault_value(FAULT_HELPER_PATIENCE_MS) ? fault_value(FAULT_HELPER_PATIENCE_MS) : HELPER_PATIENCE_MS;

	return given ? given : s->role == ROLE_HELPER ? helper_ms : PATIENCE_MS;
}

int64_t pulse_hangs(char name[16])
{
	int64_t longest = 0, now = mono_ms();

	name[0] = '\0';
	for (size_t i = 0; i < SLOTS; i++) {
		int64_t since = atomic_load_explicit(&slots[i].since_ms, memory_order_acquire);

		if (!since || now - since <= longest || slots[i].role == ROLE_ROOM || now - since < patience_of(&slots[i]))
			continue;
		longest = now - since;
		memcpy(name, slots[i].name, 16);
	}
	return longest;
}
