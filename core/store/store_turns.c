/* store_turns.c — turns between the writer's transactions and the work that cannot run beside them (see struct store_turns).
 *
 * Owns no thread and no data but the counts. Thread: any that reads or writes the store; held for one transaction, never across a wait. */
#include <time.h>

#include "store/impl.h"

void turns_init(struct store_turns *g)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->moved, &attr);
	pthread_condattr_destroy(&attr);
}

void turns_fini(struct store_turns *g)
{
	pthread_cond_destroy(&g->moved);
	pthread_mutex_destroy(&g->lock);
}

int turns_write_enter(struct store_turns *g)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STORE_GATE_MS / 1000;
	pthread_mutex_lock(&g->lock);
	g->is_writer_waiting = true;
	while (g->readers > 0 && rc == 0)
		rc = pthread_cond_timedwait(&g->moved, &g->lock, &until);
	g->is_writer_waiting = false;
	g->is_writing = g->readers == 0;
	rc = g->is_writing ? 0 : -WC_ESTORAGE;
	if (rc) { /* readers that came later have waited long enough */
		g->readers += g->readers_waiting;
		g->readers_waiting = 0;
		g->phase++;
		pthread_cond_broadcast(&g->moved);
	}
	pthread_mutex_unlock(&g->lock);
	return rc;
}

void turns_write_leave(struct store_turns *g)
{
	pthread_mutex_lock(&g->lock);
	g->is_writing = false;
	g->readers += g->readers_waiting; /* all waiting readers go before the writer can come again */
	g->readers_waiting = 0;
	g->phase++;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

void turns_read_enter(struct store_turns *g)
{
	pthread_mutex_lock(&g->lock);
	if (!g->is_writing && !g->is_writer_waiting) {
		g->readers++;
	} else {
		uint64_t phase = g->phase;

		g->readers_waiting++;
		while (g->phase == phase)
			pthread_cond_wait(&g->moved, &g->lock);
	}
	pthread_mutex_unlock(&g->lock);
}

void turns_read_leave(struct store_turns *g)
{
	pthread_mutex_lock(&g->lock);
	if (--g->readers == 0)
		pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}
