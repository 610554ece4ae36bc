/* helper.c — a mutex, a condition, a list. Jobs here take from microseconds to a second, so that nothing finer pays. */
#include "base/helper.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/pulse.h"

struct job {
	struct job *next;
	job_fn fn;
	void *arg;
};

#define HELPER_NICE 5

struct worker {
	struct helpers *all;
	pthread_t thread;
	struct store_reader *reader;
	int number;
};

struct helpers {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct job *first, **end;
	size_t queued;
	int64_t moved_ms; /* monotonic: a job was taken, or one came where none waited */
	bool is_stopping;
	void (*close)(struct store_reader *r);
	int count;
	struct worker v[];
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct helpers *hs = w->all;
	char name[16];
	snprintf(name, sizeof(name), "helper/%d", w->number);
	wc_thread_is(ROLE_HELPER, name);
	/* Linux has priorities by thread: hashing somebody's file must delay nobody's words. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), HELPER_NICE);
	pulse_rest();
	pthread_mutex_lock(&hs->lock);
	for (;;) {
		struct job *j = hs->first;
		if (j) {
			hs->first = j->next;
			if (!hs->first)
				hs->end = &hs->first;
			hs->queued--;
			hs->moved_ms = mono_ms();
			pthread_mutex_unlock(&hs->lock);
			pulse_work();
			fault_stall(FAULT_HELPER_STALL_MS);
			j->fn(j->arg, w->reader);
			pulse_rest();
			free(j);
			pthread_mutex_lock(&hs->lock);
			continue;
		}
		if (hs->is_stopping)
			break;
		pthread_cond_wait(&hs->filled, &hs->lock);
	}
	pthread_mutex_unlock(&hs->lock);
	pulse_end();
	return NULL;
}

struct helpers *helpers_start(const struct helpers_opts *o, char **cause)
{
	struct helpers *hs = xcalloc(1, sizeof(*hs) + (size_t)o->threads * sizeof(hs->v[0]));
	hs->close = o->close;
	pthread_mutex_init(&hs->lock, NULL);
	pthread_cond_init(&hs->filled, NULL);
	hs->end = &hs->first;
	for (; hs->count < o->threads; hs->count++) {
		struct worker *w = &hs->v[hs->count];
		w->all = hs;
		w->number = hs->count;
		int rc = o->open(o->store, &w->reader);
		if (rc < 0) {
			wc_cause(cause, "cannot open the database for reading: %s", wc_strerror(rc));
			goto fail;
		}
		rc = pthread_create(&w->thread, NULL, worker_main, w);
		if (rc) {
			hs->close(w->reader);
			wc_cause(cause, "cannot start a helper thread: %s", strerror(rc));
			goto fail;
		}
	}
	return hs;
fail:
	helpers_stop(hs);
	return NULL;
}

void helpers_stop(struct helpers *hs)
{
	if (!hs)
		return;
	pthread_mutex_lock(&hs->lock);
	hs->is_stopping = true;
	pthread_cond_broadcast(&hs->filled);
	pthread_mutex_unlock(&hs->lock);
	for (int i = 0; i < hs->count; i++) {
		pthread_join(hs->v[i].thread, NULL);
		hs->close(hs->v[i].reader);
	}
	pthread_mutex_destroy(&hs->lock);
	pthread_cond_destroy(&hs->filled);
	free(hs);
}

void helpers_submit(struct helpers *hs, job_fn fn, void *arg)
{
	struct job *j = xmalloc(sizeof(*j));
	*j = (struct job){ NULL, fn, arg };
	pthread_mutex_lock(&hs->lock);
	*hs->end = j;
	hs->end = &j->next;
	if (!hs->queued++)
		hs->moved_ms = mono_ms();
	pthread_cond_signal(&hs->filled);
	pthread_mutex_unlock(&hs->lock);
}

size_t helpers_queued(struct helpers *hs)
{
	pthread_mutex_lock(&hs->lock);
	size_t n = hs->queued;
	pthread_mutex_unlock(&hs->lock);
	return n;
}

int64_t helpers_waiting_ms(struct helpers *hs)
{
	pthread_mutex_lock(&hs->lock);
	const int64_t ms = hs->queued ? mono_ms() - hs->moved_ms : 0;
	pthread_mutex_unlock(&hs->lock);
	return ms;
}
