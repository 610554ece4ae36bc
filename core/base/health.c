/* health.c — the watcher, the prober, and the callers that wait for them (see health.h).
 *
 * Owns both threads. Never decides what follows from a verdict: monitors and service managers do. */
#include "base/health.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/pulse.h"

#define TICK_MS 1000
#define FRESH_MS 1000                         /* so old may the probe be that an answer rests on */
#define PROBE_MS 30000                        /* between two that nobody asked for */
#define PROBE_AGAIN_MS 2000                   /* after one that failed: to see when it is over */
#define PROBE_HANGS_MS (HEALTH_WAIT_MS - 100) /* above the 1.5 s that it waits for a lock; who has waited in vain hears why */
#define QUEUE_HANGS_MS 10000                  /* jobs wait, and no helper takes one */
#define WAITERS_MAX 256

static const struct {
	const char *name, *words;
	enum metric metric;
} checks[HEALTH_CHECKS] = {
	[HEALTH_STORAGE] = { "storage", "the storage fails", M_HEALTH_STORAGE },
	[HEALTH_ROOM] = { "room", "the room hangs", M_HEALTH_ROOM },
	[HEALTH_THREADS] = { "threads", "a thread hangs", M_HEALTH_THREADS },
	[HEALTH_DISK] = { "disk", "the disk is below its reserve", M_HEALTH_DISK },
};

struct waiter {
	health_fn fn;
	void *arg;
	int64_t since_ms;
};

struct health {
	struct health_opts o;
	pthread_t watcher, prober;
	bool has_watcher, has_prober;
	_Atomic int64_t room_asked_ms; /* monotonic; 0: it has answered */
	pthread_mutex_t lock;          /* what follows */
	pthread_cond_t wake_watcher, wake_prober;
	bool is_stopping, is_probe_wanted, is_probe_urgent;
	int64_t probe_since_ms;    /* 0: at rest */
	int64_t probed_ms;         /* the last one ended; 0: none did */
	char found[HEALTH_DETAIL]; /* by it; "": nothing */
	struct waiter waiters[WAITERS_MAX];
	int waiter_count;
	struct health_alarm *alarms;
};

const char *health_name(enum health_check check)
{
	return checks[check].name;
}

const char *health_words(enum health_check check)
{
	return checks[check].words;
}

void health_say(const struct health_state *state, bool for_admin, struct buf *out)
{
	const char *between = "";

	for (int i = 0; i < HEALTH_CHECKS; i++) {
		if (!state->fails[i])
			continue;
		buf_puts(out, between);
		buf_puts(out, checks[i].words);
		if (for_admin && state->detail[i][0]) {
			buf_puts(out, ": ");
			buf_puts(out, state->detail[i]);
		}
		between = "; ";
	}
}

/* --- The verdict. With the lock held; waits for nothing. */

static void judge_storage(const struct health *h, int64_t now, char detail[HEALTH_DETAIL])
{
	if (h->probe_since_ms && now - h->probe_since_ms >= PROBE_HANGS_MS)
		snprintf(detail, HEALTH_DETAIL, "the disk of the data folder has not answered for %lld s",
		         (long long)(now - h->probe_since_ms) / 1000);
	else if (h->found[0])
		memcpy(detail, h->found, HEALTH_DETAIL);
	else if (h->o.is_failing(h->o.arg))
		snprintf(detail, HEALTH_DETAIL, "the last write failed: the log says why; it is tried again every 2 s");
}

static void judge_room(const struct health *h, int64_t now, char detail[HEALTH_DETAIL])
{
	const int64_t asked = atomic_load(&h->room_asked_ms);

	if (asked && now - asked >= HEALTH_ROOM_MS)
		snprintf(detail, HEALTH_DETAIL,
		         "it has not answered for %lld s: nobody gets a message; a disk that hangs is the usual reason",
		         (long long)(now - asked) / 1000);
}

static void judge_threads(const struct health *h, char detail[HEALTH_DETAIL])
{
	char name[16];
	const int64_t ms = pulse_hangs(name), queue_ms = helpers_waiting_ms(h->o.helpers);

	if (ms)
		snprintf(detail, HEALTH_DETAIL, "%s has been at work for %lld s", name[0] ? name : "a thread", (long long)ms / 1000);
	else if (queue_ms >= QUEUE_HANGS_MS)
		snprintf(detail, HEALTH_DETAIL, "the helpers have taken no job for %lld s, and jobs wait", (long long)queue_ms / 1000);
}

static void judge(const struct health *h, struct health_state *out)
{
	const int64_t now = mono_ms();

	memset(out, 0, sizeof(*out));
	judge_storage(h, now, out->detail[HEALTH_STORAGE]);
	judge_room(h, now, out->detail[HEALTH_ROOM]);
	judge_threads(h, out->detail[HEALTH_THREADS]);
	h->o.look_at_disk(h->o.arg, out->detail[HEALTH_DISK]);
	out->is_well = true;
	for (int i = 0; i < HEALTH_CHECKS; i++) {
		out->fails[i] = out->detail[i][0] != '\0';
		out->is_well &= !out->fails[i];
		metric_set(checks[i].metric, !out->fails[i]);
	}
}

void health_look(struct health *h, struct health_state *out)
{
	pthread_mutex_lock(&h->lock);
	judge(h, out);
	pthread_mutex_unlock(&h->lock);
}

/* --- The probe */

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t at_ms)
{
	struct timespec t = { at_ms / 1000, at_ms % 1000 * 1000000 };

	pthread_cond_timedwait(cond, lock, &t);
}

static void tell_probe(const char *was, const char *is)
{
	if (*is && strcmp(was, is) != 0)
		log_error("storage check failed", "found=\"%s\"", is);
	else if (!*is && *was)
		log_warn("storage check passes again", "found=nothing");
}

static void *prober_main(void *arg)
{
	struct health *h = arg;
	int64_t next_ms = 0;
	char why[HEALTH_DETAIL];

	wc_thread_is(ROLE_HELPER, "probe");
	pthread_mutex_lock(&h->lock);
	while (!h->is_stopping) {
		const int64_t now = mono_ms();

		if (now < next_ms && !h->is_probe_urgent && !(h->is_probe_wanted && now - h->probed_ms >= FRESH_MS)) {
			wait_until(&h->wake_prober, &h->lock, h->is_probe_wanted ? WC_MIN(next_ms, h->probed_ms + FRESH_MS) : next_ms);
			continue;
		}
		h->is_probe_wanted = h->is_probe_urgent = false;
		h->probe_since_ms = now;
		pthread_mutex_unlock(&h->lock);
		why[0] = '\0';
		h->o.probe(h->o.arg, why);
		pthread_mutex_lock(&h->lock);
		tell_probe(h->found, why);
		memcpy(h->found, why, sizeof(why));
		h->probe_since_ms = 0;
		h->probed_ms = mono_ms();
		if (!why[0] && h->o.is_failing(h->o.arg) && !atomic_load(&h->room_asked_ms))
			h->o.try_store(h->o.arg);
		next_ms = h->probed_ms + (why[0] || h->o.is_failing(h->o.arg) ? PROBE_AGAIN_MS : PROBE_MS);
		pthread_cond_signal(&h->wake_watcher);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* --- The watcher */

static void room_answers(void *room_asked_ms)
{
	atomic_store((_Atomic int64_t *)room_asked_ms, 0);
}

static void ask_room(struct health *h)
{
	if (atomic_load(&h->room_asked_ms))
		return;
	atomic_store(&h->room_asked_ms, mono_ms());
	h->o.call_room(h->o.arg, room_answers, &h->room_asked_ms);
}

/* With the lock held: is there a probe that this one may rest on? */
static bool is_fresh(const struct health *h, int64_t since_ms)
{
	return h->probed_ms && h->probed_ms >= since_ms;
}

/* Takes those out whose time has come, or all; returns how many are in out. */
static int take_waiters(struct health *h, struct waiter out[WAITERS_MAX], bool all, int64_t *next_ms)
{
	const int64_t now = mono_ms();
	int n = 0, left = 0;

	for (int i = 0; i < h->waiter_count; i++) {
		struct waiter w = h->waiters[i];

		if (all || is_fresh(h, w.since_ms) || now - w.since_ms >= HEALTH_WAIT_MS) {
			out[n++] = w;
		} else {
			*next_ms = WC_MIN(*next_ms, w.since_ms + HEALTH_WAIT_MS);
			h->waiters[left++] = w;
		}
	}
	h->waiter_count = left;
	return n;
}

/* One that is due, or NULL. */
static struct health_alarm *take_alarm(struct health *h, int64_t *next_ms)
{
	const int64_t now = mono_ms();

	for (struct health_alarm **at = &h->alarms; *at; at = &(*at)->next) {
		struct health_alarm *a = *at;

		if (a->at_ms > now) {
			*next_ms = WC_MIN(*next_ms, a->at_ms);
			continue;
		}
		*at = a->next;
		a->is_set = false;
		return a;
	}
	return NULL;
}

static void answer_waiters(struct health *h, bool all, int64_t *next_ms)
{
	struct waiter due[WAITERS_MAX];
	struct health_state state;
	int n = take_waiters(h, due, all, next_ms);

	if (!n)
		return;
	judge(h, &state);
	pthread_mutex_unlock(&h->lock);
	for (int i = 0; i < n; i++)
		due[i].fn(due[i].arg, &state);
	pthread_mutex_lock(&h->lock);
}

static void *watcher_main(void *arg)
{
	struct health *h = arg;
	int64_t tick_ms = 0;

	wc_thread_is(ROLE_HELPER, "health");
	pthread_mutex_lock(&h->lock);
	while (!h->is_stopping) {
		int64_t next_ms;
		struct health_alarm *a;

		if (mono_ms() >= tick_ms) {
			struct health_state state;

			tick_ms = mono_ms() + TICK_MS;
			ask_room(h);
			judge(h, &state); /* for the metrics */
		}
		next_ms = tick_ms;
		answer_waiters(h, false, &next_ms);
		while ((a = take_alarm(h, &next_ms))) {
			void (*fn)(void *) = a->fn;
			void *alarm_arg = a->arg;

			pthread_mutex_unlock(&h->lock);
			fn(alarm_arg);
			pthread_mutex_lock(&h->lock);
		}
		if (!h->is_stopping)
			wait_until(&h->wake_watcher, &h->lock, next_ms);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

void health_ask(struct health *h, bool for_admin, health_fn fn, void *arg)
{
	const int64_t now = mono_ms();
	struct health_state state;

	pthread_mutex_lock(&h->lock);
	if (!h->is_stopping && h->waiter_count < WAITERS_MAX && !is_fresh(h, for_admin ? now + 1 : now - FRESH_MS)) {
		h->waiters[h->waiter_count++] = (struct waiter){ fn, arg, now };
		h->is_probe_wanted = true;
		h->is_probe_urgent |= for_admin;
		pthread_cond_signal(&h->wake_prober);
		pthread_cond_signal(&h->wake_watcher); /* its next look may be later than this one's deadline */
		pthread_mutex_unlock(&h->lock);
		return;
	}
	judge(h, &state);
	pthread_mutex_unlock(&h->lock);
	fn(arg, &state);
}

void health_set_alarm(struct health *h, struct health_alarm *a, int64_t ms, void (*fn)(void *arg), void *arg)
{
	*a = (struct health_alarm){ .at_ms = mono_ms() + ms, .fn = fn, .arg = arg, .is_set = true };
	pthread_mutex_lock(&h->lock);
	a->next = h->alarms;
	h->alarms = a;
	pthread_cond_signal(&h->wake_watcher);
	pthread_mutex_unlock(&h->lock);
}

bool health_end_alarm(struct health *h, struct health_alarm *a)
{
	pthread_mutex_lock(&h->lock);
	const bool was_set = a->is_set;
	for (struct health_alarm **at = &h->alarms; was_set && *at; at = &(*at)->next)
		if (*at == a) {
			*at = a->next;
			break;
		}
	a->is_set = false;
	pthread_mutex_unlock(&h->lock);
	return was_set;
}

/* --- Life */

static void init_cond(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

int health_start(struct health **out, const struct health_opts *o, char **cause)
{
	struct health *h = xcalloc(1, sizeof(*h));

	h->o = *o;
	pthread_mutex_init(&h->lock, NULL);
	init_cond(&h->wake_watcher);
	init_cond(&h->wake_prober);
	*out = h;
	int rc = pthread_create(&h->prober, NULL, prober_main, h);
	h->has_prober = rc == 0;
	if (rc == 0) {
		rc = pthread_create(&h->watcher, NULL, watcher_main, h);
		h->has_watcher = rc == 0;
	}
	if (rc == 0)
		return 0;
	wc_cause(cause, "cannot start a thread: %s", strerror(rc));
	health_stop(h);
	health_free(h);
	*out = NULL;
	return -WC_EIO;
}

void health_stop(struct health *h)
{
	int64_t unused = INT64_MAX;

	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->is_stopping = true;
	pthread_cond_signal(&h->wake_watcher);
	pthread_cond_signal(&h->wake_prober);
	pthread_mutex_unlock(&h->lock);
	if (h->has_watcher)
		pthread_join(h->watcher, NULL);
	if (h->has_prober)
		pthread_join(h->prober, NULL);
	h->has_watcher = h->has_prober = false;
	pthread_mutex_lock(&h->lock);
	answer_waiters(h, true, &unused);
	pthread_mutex_unlock(&h->lock);
}

void health_free(struct health *h)
{
	if (!h)
		return;
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->wake_watcher);
	pthread_cond_destroy(&h->wake_prober);
	free(h);
}
