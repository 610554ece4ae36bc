/* collector.c — the collector's turn: asks the database about files for files/collect.c, and notes for the room which are done.
 *
 * Its state lies in struct room. Writes no row: the room forgets a released file once its bytes are gone.
 * Thread: helper, one turn at a time. */
#include "room/collector.h"

#include <stdlib.h>

#include "base/logmsg.h"
#include "base/metrics.h"
#include "room/impl.h"

#define RELEASED_SLICE 2000          /* a turn; a turn a second */
#define STEP_BACK_MS (5 * 60 * 1000) /* that much a clock may be set back between a first visit and an upload */
#define SWEEP_MIN_MS (60 * 1000)
#define SWEEP_MAX_MS (10 * 60 * 1000)
#define SWEEP_SHARE 100 /* a sweep runs at most one hundredth of the time */

struct asker {
	const struct room *room;
	struct store_reader *reader;
};

static int ask_refs(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	const struct asker *a = arg;
	return store_read_blob_refs(a->reader, sha);
}

static int ask_released(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	const struct asker *a = arg;
	return store_read_is_released(a->reader, sha);
}

static bool ask_knows(void *arg, uint64_t identity_id, int64_t at_ms)
{
	const struct asker *a = arg;
	int64_t created_ms = 0;
	int rc = store_read_identity_created(a->reader, identity_id, &created_ms);
	return rc != -WC_ENOENT && created_ms <= at_ms + STEP_BACK_MS;
}

static bool ask_keeps(void *arg)
{
	const struct asker *a = arg;
	return atomic_load(&a->room->keeps_blobs);
}

static bool is_ours(struct store_reader *r, struct collect_turn *t)
{
	if (store_is_in_place(r)) {
		t->state->was_replaced = false;
		return true;
	}
	if (!t->state->was_replaced)
		log_error("database replaced",
		          "remedy=\"restart: the running server still uses the file that was there; until then no file is removed\"");
	t->state->was_replaced = true;
	return false;
}

static void release(const struct room *room, const struct blob_rows *rows, struct store_reader *r, struct collect_turn *t)
{
	uint64_t *ids = xmalloc(RELEASED_SLICE * sizeof(*ids));
	uint8_t(*sha)[WC_SHA_BYTES] = xmalloc(RELEASED_SLICE * sizeof(*sha));
	bool *is_done = xcalloc(RELEASED_SLICE, sizeof(*is_done));
	struct blobs *b = room->o.blobs;
	/* First the list, then the ends of messages: each that a deletion on the list was of has ended before it. */
	int n = store_read_released(r, t->state->released_after, RELEASED_SLICE, ids, sha);

	blobs_settle(b, rows);
	blobs_withdraw(b, t->withdrawn, t->withdrawn_count);
	if (n > 0)
		blobs_release(b, rows, sha, (size_t)n, is_done);
	for (int i = 0; i < n; i++)
		if (is_done[i])
			ids[t->forget_count++] = ids[i];
	/* Files that have to wait are passed over, so that others behind them are not held up; their turn comes again. */
	t->state->has_more = n == RELEASED_SLICE || (n > 0 && t->forget_count < (size_t)n);
	t->state->released_after = n == RELEASED_SLICE && t->forget_count < (size_t)n ? ids[n - 1] : 0;
	t->forget = ids;
	free(sha);
	free(is_done);
}

static void sweep(const struct room *room, const struct blob_rows *rows, struct collect_turn *t)
{
	const int64_t start_ms = mono_ms();
	struct blob_sweep s;

	blobs_sweep(room->o.blobs, rows, t->accepts_orphans && !t->state->was_swept, &s);
	t->state->was_swept = true;
	t->state->sweep_next_ms = mono_ms() + WC_MIN(WC_MAX((mono_ms() - start_ms) * SWEEP_SHARE, SWEEP_MIN_MS), SWEEP_MAX_MS);
	metric_set(M_FILES_UNEXPLAINED, s.is_stopped ? s.unexplained : 0);
}

void collect_run(const struct room *room, struct store_reader *r, struct collect_turn *t)
{
	struct asker asker = { room, r };
	const struct blob_rows rows = { ask_refs, ask_released, ask_knows, ask_keeps, &asker };

	if (!is_ours(r, t))
		return;
	release(room, &rows, r, t);
	if (mono_ms() >= t->state->sweep_next_ms && !ask_keeps(&asker))
		sweep(room, &rows, t);
}

/* --- After the room's end. */

static int last_refs(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	return store_read_blob_refs(arg, sha);
}

static int last_released(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	return store_read_is_released(arg, sha);
}

static bool last_knows(void *arg, uint64_t identity_id, int64_t at_ms)
{
	(void)arg;
	(void)identity_id;
	(void)at_ms;
	return true;
}

static bool last_keeps(void *arg)
{
	return !store_is_in_place(arg);
}

void collect_last(struct store *store, struct blobs *blobs)
{
	struct store_reader *r = NULL;

	if (!store || !blobs || !blobs_has_ended(blobs) || store_reader_open(store, &r) < 0)
		return;
	blobs_settle(blobs, &(const struct blob_rows){ last_refs, last_released, last_knows, last_keeps, r });
	store_reader_close(r);
}

void collect_forget(struct room *room, struct collect_turn *t)
{
	/* A store that refuses now is not asked every second: the list is read again with the next sweep or deletion. */
	if (t->forget_count && store_forget_released(room->o.store, t->forget, t->forget_count) < 0)
		t->state->has_more = false;
	free(t->withdrawn);
	free(t->forget);
	t->withdrawn = NULL;
	t->forget = NULL;
	t->forget_count = 0;
}

bool collect_is_due(const struct room *room, const struct collect_state *state)
{
	return state->has_more || room->mono_now_ms >= state->sweep_next_ms || blobs_has_ended(room->o.blobs);
}
