/* lockdown.c — the part of a lockdown that every thread may see (see lockdown.h). Owns two numbers; decides nothing. Any thread. */
#include "state/lockdown.h"

#include <stdatomic.h>

#include "base/metrics.h"

static _Atomic int shown_level;
static _Atomic int64_t shown_ends_ms;

bool lockdown_is_read_only(void)
{
	return atomic_load_explicit(&shown_level, memory_order_relaxed) == LOCKDOWN_READ_ONLY;
}

int64_t lockdown_left_ms(void)
{
	int64_t ends_ms = atomic_load_explicit(&shown_ends_ms, memory_order_relaxed);

	return ends_ms ? WC_MAX(ends_ms - boot_ms(), (int64_t)1) : 0;
}

void lockdown_show(enum lockdown_level level, int64_t ends_ms)
{
	atomic_store_explicit(&shown_ends_ms, level ? ends_ms : 0, memory_order_relaxed);
	atomic_store_explicit(&shown_level, level, memory_order_relaxed);
	metric_set(M_LOCKDOWN, level);
}
