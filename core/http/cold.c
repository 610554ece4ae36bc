/* cold.c — see cold.h. Owns its threads and the queue before them. Never touches a connection. Two threads, so that a disk may sort what it
 * is asked for, and one bad sector does not hold up all files. */
#include "http/cold.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/pulse.h"

#define THREADS 2
#define STEP_BYTES (64 * 1024) /* the page cache is filled and emptied in runs of pages, not page by page */
#define READ_BYTES (64 * 1024)
#define TELL_GAP_MS 60000

struct cold {
	void (*done)(struct cold_piece *p, void *arg);
	void *arg;
	pthread_t threads[THREADS];
	int thread_count;
	pthread_mutex_t lock; /* the rest */
	pthread_cond_t changed;
	struct rota *queue;
	bool wants_stop;
};

bool cold_is(int fd, uint64_t offset, size_t len)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	for (size_t at = 0; at < len; at += STEP_BYTES)
		if (preadv2(fd, &iov, 1, (off_t)(offset + at), RWF_NOWAIT) < 0)
			return errno == EAGAIN; /* any other error: it does not tell */
	return false;
}

static void tell_unread(int error)
{
	static struct log_gap gap;
	uint64_t missed;
	if (log_gap_is_over(&gap, TELL_GAP_MS, &missed))
		log_warn("file unread", "error=%s others=%llu", strerror(error), (unsigned long long)missed);
}

static void fetch(struct cold_piece *p, uint8_t *scrap)
{
	size_t at = 0;
	ssize_t n = 1;
	errno = 0; /* a file that is too short sets none */
	while (at < p->len && n > 0) {
		n = fault_value(FAULT_COLD_BROKEN) ? -1
		                                   : pread(p->fd, scrap, WC_MIN(p->len - at, (size_t)READ_BYTES), (off_t)(p->offset + at));
		if (n > 0)
			at += (size_t)n;
	}
	p->has_failed = at < p->len;
	p->len = at;
	if (p->has_failed)
		tell_unread(errno ? errno : EIO);
}

static void *cold_main(void *arg)
{
	struct cold *cold = arg;
	uint8_t *scrap = xmalloc(READ_BYTES);
	wc_thread_is(ROLE_HELPER, "cold");
	pulse_rest();
	pthread_mutex_lock(&cold->lock);
	while (!cold->wants_stop) {
		struct cold_piece *p = (struct cold_piece *)rota_take(cold->queue);
		if (!p) {
			pthread_cond_wait(&cold->changed, &cold->lock);
			continue;
		}
		pthread_mutex_unlock(&cold->lock);
		pulse_work();
		metric_add(M_COLD_READS, 1);
		fault_stall(FAULT_COLD_STALL_MS);
		fetch(p, scrap);
		cold->done(p, cold->arg);
		pulse_rest();
		pthread_mutex_lock(&cold->lock);
	}
	pthread_mutex_unlock(&cold->lock);
	pulse_end();
	free(scrap);
	return NULL;
}

int cold_start(struct cold **out, void (*done)(struct cold_piece *p, void *arg), void *arg, char **cause)
{
	struct cold *cold = xcalloc(1, sizeof(*cold));
	cold->done = done;
	cold->arg = arg;
	cold->queue = rota_new();
	pthread_mutex_init(&cold->lock, NULL);
	pthread_cond_init(&cold->changed, NULL);
	for (; cold->thread_count < THREADS; cold->thread_count++)
		if (pthread_create(&cold->threads[cold->thread_count], NULL, cold_main, cold) != 0) {
			wc_cause(cause, "cannot start the threads that read files; raise the limit of processes (ulimit -u)");
			cold_stop(cold);
			return -WC_EIO;
		}
	*out = cold;
	return 0;
}

void cold_read(struct cold *cold, struct cold_piece *p, const struct rota_owner *owner)
{
	pthread_mutex_lock(&cold->lock);
	rota_put(cold->queue, owner, &p->item);
	pthread_cond_signal(&cold->changed);
	pthread_mutex_unlock(&cold->lock);
}

void cold_stop(struct cold *cold)
{
	struct rota_item *item;
	if (!cold)
		return;
	pthread_mutex_lock(&cold->lock);
	cold->wants_stop = true;
	pthread_cond_broadcast(&cold->changed);
	pthread_mutex_unlock(&cold->lock);
	for (int i = 0; i < cold->thread_count; i++)
		pthread_join(cold->threads[i], NULL);
	while ((item = rota_take(cold->queue)))
		cold->done((struct cold_piece *)item, cold->arg);
	rota_free(cold->queue);
	pthread_mutex_destroy(&cold->lock);
	pthread_cond_destroy(&cold->changed);
	free(cold);
}
