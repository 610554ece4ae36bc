/* leave.c — see leave.h. Owns the snapshot of the bans that end a leave. */
#include "files/leave.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/metrics.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct leave_bans bans;
static _Atomic uint64_t generation = 1; /* of the snapshot */

static bool is_in_force(int64_t until_ms)
{
	return until_ms == 0 || until_ms > boot_ms();
}

static bool is_banned(const struct leave *l)
{
	for (size_t i = 0; i < bans.person_count; i++)
		if (bans.persons[i].id == l->identity_id && is_in_force(bans.persons[i].until_ms))
			return true;
	for (size_t i = 0; l->has_address && i < bans.net_count; i++)
		if (ip_in_net(l->address, bans.nets[i].addr, bans.nets[i].bits) && is_in_force(bans.nets[i].until_ms))
			return true;
	return false;
}

bool leave_is_withdrawn(struct leave *l)
{
	/* A ban may come with every piece of a body, but mostly none has come since the last. */
	const uint64_t now = atomic_load_explicit(&generation, memory_order_acquire);
	if (l->generation == now)
		return false;
	pthread_rwlock_rdlock(&lock);
	const bool is_over = is_banned(l);
	pthread_rwlock_unlock(&lock);
	l->generation = now;
	if (!is_over)
		return false;
	l->verdict = LEAVE_BANNED;
	free(l->words);
	l->words = xstrdup("You are banned from this chat");
	metric_add(M_REFUSED_UPLOAD_LEAVE, 1);
	return true;
}

void leave_replace_bans(struct leave_bans b)
{
	pthread_rwlock_wrlock(&lock);
	const struct leave_bans old = bans;
	bans = b;
	pthread_rwlock_unlock(&lock);
	atomic_fetch_add_explicit(&generation, 1, memory_order_release);
	free(old.persons);
	free(old.nets);
}

uint64_t leave_generation(void)
{
	return atomic_load_explicit(&generation, memory_order_acquire);
}
