/* helper.c — the helpers' threads, and a queue for each kind of job. One mutex guards all queues: jobs take from microseconds to a second,
 * so that nothing finer pays. */
#include "base/helper.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/metrics.h"
#include "base/pulse.h"

/* A longer queue means that the disk has fallen behind: a quick refusal serves people better than a place at its end. */
#define NETWORK_QUEUED_MAX 2048
#define QUEUED_MAX 8192

/* Linux has priorities by thread: hashing somebody's file must delay nobody's words. Look-ups are short and go first; pages, of
 * which one person may ask for many, go last. */
static const struct lane_plan {
	int threads, nice;
	bool reads; /* the database */
} plan[JOB_KINDS] = {
	[JOB_LOOK_UP] = { 1, 2, true }, [JOB_PAGE] = { 1, 10, true },  [JOB_JOIN] = { 2, 7, true },
	[JOB_FRAME] = { 2, 7, false },  [JOB_UPLOAD] = { 2, 5, true }, [JOB_UPKEEP] = { 1, 10, true },
};
#define EVERY_KIND_NICE 5

struct queued {
	struct rota_item item; /* first: the rota's */
	struct job job;
};

struct queue {
	struct rota *rota;
	int64_t moved_ms; /* monotonic: a job was taken, or one came where none waited */
};

/* Threads that wait for the same kinds. */
struct lane {
	pthread_cond_t filled;
	int from, kinds; /* the first kind, and how many */
	int turn;        /* the kind after the last that was taken */
};

struct worker {
	struct helpers *all;
	struct lane *lane;
	pthread_t thread;
	struct store_reader *reader;
	int number, nice;
};

struct helpers {
	pthread_mutex_t lock;
	struct queue queue[JOB_KINDS];
	struct lane lane[JOB_KINDS];
	struct lane *lane_of[JOB_KINDS];
	bool is_stopping;
	int64_t drop_from_ms; /* while it stops: monotonic */
	void (*close)(struct store_reader *r);
	int count;
	struct worker v[];
};

/* The next job for this lane, kind by kind in turn; NULL: none waits. Locked. */
static struct queued *take(struct helpers *hs, struct lane *l)
{
	for (int i = 0; i < l->kinds; i++) {
		const int kind = l->from + (l->turn + i) % l->kinds;
		struct queue *q = &hs->queue[kind];
		struct queued *w = (struct queued *)rota_take(q->rota);
		if (!w)
			continue;
		q->moved_ms = mono_ms();
		l->turn = kind - l->from + 1;
		return w;
	}
	return NULL;
}

static void do_job(struct worker *w, const struct job *j, bool drops)
{
	if (j->drop && (drops || (j->is_moot && j->is_moot(j->arg)))) {
		metric_add(M_JOBS_DROPPED, 1);
		j->drop(j->arg);
		return;
	}
	fault_stall(FAULT_HELPER_STALL_MS);
	j->run(j->arg, w->reader);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct helpers *hs = w->all;
	char name[16];
	snprintf(name, sizeof(name), "helper/%d", w->number);
	wc_thread_is(ROLE_HELPER, name);
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), w->nice);
	pulse_rest();
	pthread_mutex_lock(&hs->lock);
	for (;;) {
		struct queued *q = take(hs, w->lane);
		if (q) {
			const bool drops = hs->is_stopping && mono_ms() >= hs->drop_from_ms;
			pthread_mutex_unlock(&hs->lock);
			pulse_work();
			do_job(w, &q->job, drops);
			pulse_rest();
			free(q);
			pthread_mutex_lock(&hs->lock);
			continue;
		}
		if (hs->is_stopping)
			break;
		pthread_cond_wait(&w->lane->filled, &hs->lock);
	}
	pthread_mutex_unlock(&hs->lock);
	pulse_end();
	return NULL;
}

static int start_worker(struct helpers *hs, const struct helpers_opts *o, struct lane *lane, int nice, bool reads, char **cause)
{
	struct worker *w = &hs->v[hs->count];
	*w = (struct worker){ .all = hs, .lane = lane, .number = hs->count, .nice = nice };
	int rc = reads ? o->open(o->store, &w->reader) : 0;
	if (rc < 0) {
		wc_cause(cause, "cannot open the database for reading: %s", wc_strerror(rc));
		return rc;
	}
	rc = pthread_create(&w->thread, NULL, worker_main, w);
	if (rc) {
		if (w->reader)
			hs->close(w->reader);
		wc_cause(cause, "cannot start a helper thread: %s", strerror(rc));
		return -WC_EIO;
	}
	hs->count++;
	return 0;
}

static int threads_planned(void)
{
	int n = 0;
	for (int k = 0; k < JOB_KINDS; k++)
		n += plan[k].threads;
	return n;
}

struct helpers *helpers_start(const struct helpers_opts *o, char **cause)
{
	const bool is_shared = o->threads > 0;
	const int threads = is_shared ? o->threads : threads_planned();
	struct helpers *hs = xcalloc(1, sizeof(*hs) + (size_t)threads * sizeof(hs->v[0]));
	hs->close = o->close;
	pthread_mutex_init(&hs->lock, NULL);
	for (int k = 0; k < JOB_KINDS; k++) {
		hs->queue[k].rota = rota_new();
		pthread_cond_init(&hs->lane[k].filled, NULL);
		hs->lane[k].from = is_shared ? 0 : k;
		hs->lane[k].kinds = is_shared ? JOB_KINDS : 1;
		hs->lane_of[k] = &hs->lane[is_shared ? 0 : k];
	}
	int rc = 0;
	for (int i = 0; is_shared && i < threads && rc == 0; i++)
		rc = start_worker(hs, o, &hs->lane[0], EVERY_KIND_NICE, true, cause);
	for (int k = 0; !is_shared && k < JOB_KINDS; k++)
		for (int i = 0; i < plan[k].threads && rc == 0; i++)
			rc = start_worker(hs, o, &hs->lane[k], plan[k].nice, plan[k].reads, cause);
	if (rc == 0)
		return hs;
	helpers_stop(hs, 0);
	return NULL;
}

void helpers_stop(struct helpers *hs, int patience_ms)
{
	if (!hs)
		return;
	pthread_mutex_lock(&hs->lock);
	hs->is_stopping = true;
	hs->drop_from_ms = mono_ms() + patience_ms;
	for (int k = 0; k < JOB_KINDS; k++)
		pthread_cond_broadcast(&hs->lane[k].filled);
	pthread_mutex_unlock(&hs->lock);
	for (int i = 0; i < hs->count; i++) {
		pthread_join(hs->v[i].thread, NULL);
		if (hs->v[i].reader)
			hs->close(hs->v[i].reader);
	}
	for (int k = 0; k < JOB_KINDS; k++) {
		rota_free(hs->queue[k].rota);
		pthread_cond_destroy(&hs->lane[k].filled);
	}
	pthread_mutex_destroy(&hs->lock);
	free(hs);
}

void helpers_submit(struct helpers *hs, const struct job *job)
{
	struct queued *q = xmalloc(sizeof(*q));
	q->job = *job;
	pthread_mutex_lock(&hs->lock);
	struct queue *to = &hs->queue[job->kind];
	if (!rota_count(to->rota))
		to->moved_ms = mono_ms();
	rota_put(to->rota, &job->owner, &q->item);
	pthread_cond_signal(&hs->lane_of[job->kind]->filled);
	pthread_mutex_unlock(&hs->lock);
}

bool helpers_are_full(struct helpers *hs, enum job_kind kind, const struct rota_owner *owner)
{
	pthread_mutex_lock(&hs->lock);
	const struct rota *r = hs->queue[kind].rota;
	const bool is_full = rota_count(r) >= QUEUED_MAX || rota_count_of(r, owner) >= NETWORK_QUEUED_MAX;
	pthread_mutex_unlock(&hs->lock);
	return is_full;
}

int64_t helpers_waiting_ms(struct helpers *hs)
{
	int64_t longest_ms = 0;
	pthread_mutex_lock(&hs->lock);
	const int64_t now_ms = mono_ms();
	for (int k = 0; k < JOB_KINDS; k++)
		if (rota_count(hs->queue[k].rota))
			longest_ms = WC_MAX(longest_ms, now_ms - hs->queue[k].moved_ms);
	pthread_mutex_unlock(&hs->lock);
	return longest_ms;
}
