/* steady.c — see steady.h. Owns the clock's history since the start: a short list of segments, each a time of day less boot_ms.
 *
 * Decides nothing about what expires. A lock guards all but the present difference, which is atomic. Any thread. */
#include "base/steady.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/wc.h"

#define SEGMENTS 32    /* the oldest two become one, the lower: that makes things younger, never older */
#define SAY_MS (60000) /* between two lines of the log */

struct segment {
	int64_t from_ms;  /* boot_ms */
	int64_t ahead_ms; /* the lowest of it: the clock less boot_ms */
};

struct history {
	struct segment v[SEGMENTS];
	int n;
};

static struct {
	pthread_mutex_t lock;
	struct history own, files;              /* of steady_ms; of the lower one of it and the machine's clock */
	int64_t doubt_ahead_ms, doubt_since_ms; /* a step that is not believed yet; since 0: none */
	int64_t stored_ms, stored_at_ms;        /* for steady_to_store: it was stored_ms at that boot_ms */
	int64_t hold_until_ms;                  /* boot_ms; 0: none */
	int64_t files_hold_until_ms;            /* likewise, of files; never before hold_until_ms */
	int64_t doubt_until_ms;                 /* likewise: until then a step may show that the clock was wrong at the start */
	int64_t last_ahead_ms;                  /* of the last time stored before the start */
	bool began_behind, is_mended;           /* for steady_mended */
	int64_t said_ms;                        /* boot_ms */
} st = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Atomic bool has_begun;
static _Atomic int64_t ahead_ms;

/* --- Its history */

static void note(struct history *h, int64_t now_ms, int64_t ahead)
{
	struct segment *last = &h->v[h->n - 1];
	if (llabs(ahead - last->ahead_ms) <= STEADY_STEP_MS) {
		last->ahead_ms = WC_MIN(last->ahead_ms, ahead);
		return;
	}
	if (h->n == SEGMENTS) {
		h->v[1].from_ms = h->v[0].from_ms;
		h->v[1].ahead_ms = WC_MIN(h->v[0].ahead_ms, h->v[1].ahead_ms);
		memmove(h->v, h->v + 1, (SEGMENTS - 1) * sizeof(*h->v));
		h->n--;
	}
	h->v[h->n++] = (struct segment){ now_ms, ahead };
}

/* Before the first segment the clock is taken to have been as in it, or as one that it was set back to (see set_back). */
static int64_t lowest(const struct history *h, int64_t now_ms, int64_t age_ms)
{
	const int64_t begin_ms = now_ms - age_ms;
	int64_t found = INT64_MAX;
	for (int i = 0; i < h->n; i++) {
		const bool is_last = i + 1 == h->n;
		if (!is_last && h->v[i + 1].from_ms <= begin_ms)
			continue;
		found = WC_MIN(found, (i ? WC_MAX(h->v[i].from_ms, begin_ms) : begin_ms) + h->v[i].ahead_ms);
	}
	return found;
}

/* The clock may have been wrong since before the start: what was stamped then is of the lower one. */
static void set_back(struct history *h, int64_t ahead)
{
	h->v[0].ahead_ms = WC_MIN(h->v[0].ahead_ms, ahead);
}

static int64_t cut(const struct history *h, const int64_t *hold_until_ms, int64_t age_ms)
{
	if (!atomic_load(&has_begun))
		return real_ms() - age_ms;
	pthread_mutex_lock(&st.lock);
	const int64_t now_ms = boot_ms(), cut_ms = *hold_until_ms > now_ms ? INT64_MIN : lowest(h, now_ms, age_ms);
	pthread_mutex_unlock(&st.lock);
	return cut_ms;
}

int64_t steady_cut_ms(int64_t age_ms)
{
	return cut(&st.own, &st.hold_until_ms, age_ms);
}

int64_t steady_file_cut_ms(int64_t age_ms)
{
	return cut(&st.files, &st.files_hold_until_ms, age_ms);
}

/* --- The clock */

void steady_begin(int64_t last_ms)
{
	pthread_mutex_lock(&st.lock);
	const int64_t now_ms = boot_ms(), real = real_ms();
	const bool is_far = last_ms > 0 && real - last_ms > STEADY_FAR_MS, is_behind = real < last_ms - STEADY_STEP_MS;
	const int64_t ahead = (is_behind ? last_ms : real) - now_ms;
	st.own = st.files = (struct history){ { { now_ms, ahead } }, 1 };
	note(&st.files, now_ms, WC_MIN(ahead, real - now_ms));
	st.doubt_since_ms = st.said_ms = 0;
	st.began_behind = is_behind;
	st.is_mended = false;
	st.stored_at_ms = now_ms;
	st.hold_until_ms = is_far ? now_ms + STEADY_HOLD_MS : 0;
	/* Some files are kept for a day only, so for them an hour ahead is far. A network sets the clock right in minutes. */
	const bool may_be_ahead = last_ms > 0 && real - last_ms > STEADY_DOUBT_MS;
	st.files_hold_until_ms = is_far ? st.hold_until_ms : may_be_ahead ? now_ms + 2 * STEADY_DOUBT_MS : 0;
	st.stored_ms = may_be_ahead ? last_ms : now_ms + ahead;
	st.doubt_until_ms = may_be_ahead || is_behind ? now_ms + STEADY_HOLD_MS : 0;
	st.last_ahead_ms = last_ms - now_ms;
	atomic_store(&ahead_ms, ahead);
	atomic_store(&has_begun, true);
	pthread_mutex_unlock(&st.lock);
	if (is_far)
		log_warn("clock is far ahead",
		         "by_hours=%lld of=\"the last time stored\" expires=\"nothing for an hour\""
		         " remedy=\"none, if the server was down that long; else set the clock within the hour\"",
		         (long long)(real - last_ms) / STEADY_HOLD_MS);
	if (is_behind)
		log_warn("clock is behind",
		         "by_s=%lld of=\"the last time stored\" used=\"that time, until the clock has stood for 5 minutes\""
		         " remedy=\"set the clock\"",
		         (long long)(last_ms - real) / 1000);
}

static void say(int64_t now_ms, int64_t by_ms, bool is_believed)
{
	if (is_believed)
		log_warn("clock followed", "by_ms=%lld expires=\"nothing by it\" remedy=\"restart once the clock is right\"",
		         (long long)by_ms);
	else if (!st.said_ms || now_ms - st.said_ms >= SAY_MS)
		log_warn("clock stepped", "by_ms=%lld followed=\"if it stays so for 5 minutes\" remedy=\"set the clock, or wait\"",
		         (long long)by_ms);
	if (!is_believed)
		st.said_ms = now_ms;
}

/* Advances what is stored: by no more than passed, and never beyond the clock. */
static void advance(int64_t now_ms)
{
	const int64_t clock_ms = now_ms + atomic_load(&ahead_ms);
	st.stored_ms = WC_MIN(st.stored_ms + (now_ms - st.stored_at_ms), clock_ms);
	if (st.files_hold_until_ms && now_ms >= st.files_hold_until_ms) {
		st.stored_ms = clock_ms;
		st.files_hold_until_ms = 0;
	}
	st.stored_at_ms = now_ms;
}

/* Whether a step shows that the clock was wrong at the start: back in the hold, or in the hour and not past the last time stored, or
 * forward after a start behind. Later than that hour a step is the likelier error. A machine whose network comes so late lengthens bans by
 * the time that it was off, and an admin can lift them. A ban that ended by mistake would be gone. */
static bool mends(int64_t now_ms, int64_t raw, int64_t by_ms)
{
	if (st.doubt_until_ms <= now_ms)
		return false;
	return by_ms > 0 ? st.began_behind : st.hold_until_ms > now_ms || raw >= st.last_ahead_ms - STEADY_DOUBT_MS;
}

/* Puts off the end of a hold that has not ended. */
static void put_off(int64_t *until_ms, int64_t now_ms)
{
	if (*until_ms > now_ms)
		*until_ms = WC_MAX(*until_ms, now_ms + 2 * STEADY_DOUBT_MS);
}

static void believe(int64_t now_ms, int64_t raw, int64_t by_ms)
{
	st.is_mended = mends(now_ms, raw, by_ms);
	st.began_behind &= by_ms < 0;
	if (st.is_mended && by_ms > 0) /* it may be the wrong one: as after a start far ahead */
		st.hold_until_ms = st.files_hold_until_ms = st.doubt_until_ms = now_ms + STEADY_HOLD_MS;
	if (by_ms < 0) {
		set_back(&st.own, raw);
		set_back(&st.files, raw);
	}
	st.doubt_since_ms = 0;
	atomic_store(&ahead_ms, raw);
	say(now_ms, by_ms, true);
}

bool steady_follow(void)
{
	bool is_believed = false;
	pthread_mutex_lock(&st.lock);
	const int64_t now_ms = boot_ms(), raw = real_ms() - now_ms, was = atomic_load(&ahead_ms), by_ms = raw - was;
	if (llabs(by_ms) <= STEADY_STEP_MS) {
		st.doubt_since_ms = 0;
		atomic_store(&ahead_ms, raw);
	} else if (!st.doubt_since_ms || llabs(raw - st.doubt_ahead_ms) > STEADY_STEP_MS) {
		st.doubt_ahead_ms = raw;
		st.doubt_since_ms = now_ms;
		/* Set right late in the hour, it is believed before the hour is over. */
		put_off(&st.hold_until_ms, now_ms);
		put_off(&st.files_hold_until_ms, now_ms);
		put_off(&st.doubt_until_ms, now_ms);
		metric_add(M_CLOCK_STEPS, 1);
		say(now_ms, by_ms, false);
	} else if (now_ms - st.doubt_since_ms >= STEADY_DOUBT_MS) {
		is_believed = true;
		believe(now_ms, raw, by_ms);
	}
	note(&st.own, now_ms, atomic_load(&ahead_ms));
	note(&st.files, now_ms, WC_MIN(atomic_load(&ahead_ms), raw));
	advance(now_ms);
	pthread_mutex_unlock(&st.lock);
	return is_believed;
}

bool steady_mended(void)
{
	pthread_mutex_lock(&st.lock);
	const bool is_mended = st.is_mended;
	pthread_mutex_unlock(&st.lock);
	return is_mended;
}

int64_t steady_ms(void)
{
	return atomic_load_explicit(&has_begun, memory_order_relaxed) ? boot_ms() + atomic_load_explicit(&ahead_ms, memory_order_relaxed)
	                                                              : real_ms();
}

int64_t steady_deadline_ms(int64_t until_ms)
{
	const int64_t now_ms = boot_ms();
	return WC_MAX(now_ms + WC_MAX(until_ms - steady_ms(), (int64_t)0), steady_hold_until_ms());
}

int64_t steady_until_ms(int64_t deadline_ms)
{
	return deadline_ms + (atomic_load(&has_begun) ? atomic_load(&ahead_ms) : real_ms() - boot_ms());
}

int64_t steady_hold_until_ms(void)
{
	pthread_mutex_lock(&st.lock);
	const int64_t until_ms = st.hold_until_ms > boot_ms() ? st.hold_until_ms : 0;
	pthread_mutex_unlock(&st.lock);
	return until_ms;
}

bool steady_in_doubt(void)
{
	pthread_mutex_lock(&st.lock);
	const bool in_doubt = st.doubt_until_ms > boot_ms();
	pthread_mutex_unlock(&st.lock);
	return in_doubt;
}

bool steady_may_be_behind(void)
{
	pthread_mutex_lock(&st.lock);
	const bool may_be = st.began_behind && st.doubt_until_ms > boot_ms();
	pthread_mutex_unlock(&st.lock);
	return may_be;
}

int64_t steady_to_store(void)
{
	pthread_mutex_lock(&st.lock);
	advance(boot_ms());
	const int64_t ms = st.stored_ms;
	pthread_mutex_unlock(&st.lock);
	return ms;
}
