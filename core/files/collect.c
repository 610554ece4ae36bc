/* collect.c — the removal of blobs that no message stands for: unlinked if the server knows why, else moved to DIR/lost for a day.
 *
 * Owns what struct blobs keeps for it between two sweeps. Asks the database through struct blob_rows, never with b->lock held, because a
 * reader of the database may be waiting for that lock. Thread: a helper's, one at a time.
 *
 * A sweep could do harm: an outdated database, or another chat's, explains few files. So it moves instead of unlinking, and at
 * most a tenth of all. A moved file comes back by itself once something refers to it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "base/steady.h"
#include "files/impl.h"

#define TRIES 20     /* to find a moment in which no hold comes or goes */
#define FEW_FILES 20 /* among fewer files a tenth means nothing */
#define JUMP_MS (10 * 60 * 1000)
#define MTIME_SLACK_MS 2000 /* file times may be that coarse */

/* --- Sets of hashes. */

struct sha_set {
	uint8_t (*sha)[WC_SHA_BYTES];
	size_t count, room;
};

static void sha_set_add(struct sha_set *s, const uint8_t sha[WC_SHA_BYTES])
{
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->sha = xrealloc(s->sha, s->room * WC_SHA_BYTES);
	}
	memcpy(s->sha[s->count++], sha, WC_SHA_BYTES);
}

static int compare_sha(const void *a, const void *b)
{
	return memcmp(a, b, WC_SHA_BYTES);
}

static void sha_set_sort(struct sha_set *s)
{
	if (s->count)
		qsort(s->sha, s->count, WC_SHA_BYTES, compare_sha);
}

static bool sha_set_has(const struct sha_set *s, const uint8_t sha[WC_SHA_BYTES])
{
	return s->count && bsearch(sha, s->sha, s->count, WC_SHA_BYTES, compare_sha);
}

/* --- Handles: uploads that a message may still be sent with. */

struct handles {
	const struct blob_rows *rows;
	int64_t cut_ms; /* those of before are over */
	struct sha_set live, expired;
};

static void note_handle(void *arg, const struct upload_record *rec)
{
	struct handles *h = arg;

	/* A handle of a person unknown to the database explains nothing. */
	if (h->rows->knows(h->rows->arg, rec->identity_id, rec->at_ms))
		sha_set_add(!rec->is_gone && rec->at_ms >= h->cut_ms ? &h->live : &h->expired, rec->sha);
}

/* Uploads that finish between this and handles_fini are held, so their blobs are not free either. */
static void handles_gather(struct handles *h, struct blobs *b, const struct blob_rows *rows)
{
	*h = (struct handles){ .rows = rows, .cut_ms = steady_file_cut_ms(UPLOAD_LIFE_MS) };
	blob_holds_each_fresh(b, true);
	b->ops->record_each_handle(b, note_handle, h);
	sha_set_sort(&h->live);
	sha_set_sort(&h->expired);
}

static void handles_fini(struct handles *h, struct blobs *b)
{
	blob_holds_each_fresh(b, false);
	free(h->live.sha);
	free(h->expired.sha);
}

/* --- One blob that may be free. */

enum fate { FATE_DONE, FATE_TAKEN, FATE_LATER, FATE_FAILED };
enum act { ACT_UNLINK, ACT_UNLINK_PENDING, ACT_MOVE };

static enum fate act_on(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], enum act act, uint64_t *bytes)
{
	struct stat st;

	if (act == ACT_UNLINK_PENDING && !b->ops->is_pending(b, sha))
		return FATE_TAKEN;
	if (act != ACT_MOVE) {
		b->ops->unlink(b, sha);
		return FATE_DONE;
	}
	if (!blob_stat(b, sha, &st))
		return FATE_TAKEN;
	if (lost_take(b, sha, &st) != 0)
		return FATE_FAILED;
	*bytes += (uint64_t)st.st_size;
	return FATE_DONE;
}

/* Acts on a blob if no message stands for it and none on its way will (see blob_hold.c). */
static enum fate act_if_free(struct blobs *b, const struct blob_rows *rows, const uint8_t sha[WC_SHA_BYTES], enum act act, uint64_t *bytes)
{
	for (int i = 0; i < TRIES; i++) {
		uint64_t before, now;
		enum fate fate = FATE_LATER;
		int refs;

		if (blob_is_held(b, sha, &before))
			return FATE_LATER;
		refs = rows->refs(rows->arg, sha);
		if (refs != 0)
			return refs > 0 ? FATE_TAKEN : FATE_LATER;
		if (rows->keeps(rows->arg))
			return FATE_LATER;
		pthread_mutex_lock(&b->lock);
		if (!blob_is_held(b, sha, &now) && now == before)
			fate = act_on(b, sha, act, bytes);
		pthread_mutex_unlock(&b->lock);
		if (fate != FATE_LATER)
			return fate;
	}
	return FATE_LATER;
}

/* --- Blobs of which the server knows the reason. */

static void is_stored(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	pthread_mutex_lock(&b->lock);
	b->ops->decide(b, sha);
	pthread_mutex_unlock(&b->lock);
}

/* Bytes of an upload that was given up, unless others have them. False: they have to wait, such as for a hold, and it is tried again. */
static bool settle_given_up(struct blobs *b, const struct blob_rows *rows, const struct handles *handles, const struct blob_hold *h)
{
	struct upload_record rec;

	if (!sha_set_has(&handles->live, h->sha) && act_if_free(b, rows, h->sha, ACT_UNLINK, NULL) == FATE_LATER)
		return false;
	if (b->ops->record_load(b, h->identity_id, h->name, &rec) == 0 && rec.is_gone && strcmp(rec.handle, h->handle) == 0)
		b->ops->record_remove(b, &rec);
	return true;
}

void blobs_settle(struct blobs *b, const struct blob_rows *rows)
{
	struct blob_hold *next;
	struct handles handles;
	bool has_handles = false;

	for (struct blob_hold *h = blob_holds_ended(b); h; h = next) {
		next = LIST_NEXT(h, link);
		if (h->is_given_up) {
			if (!has_handles)
				handles_gather(&handles, b, rows);
			has_handles = true;
			if (!settle_given_up(b, rows, &handles, h)) {
				blob_hold_again(h);
				continue;
			}
		} else if (h->is_upload) {
			if (h->is_used)
				b->ops->record_use(b, h->identity_id, h->name, h->handle);
		} else if (act_if_free(b, rows, h->sha, ACT_UNLINK_PENDING, NULL) == FATE_TAKEN) {
			is_stored(b, h->sha);
		}
		free(h);
	}
	if (has_handles)
		handles_fini(&handles, b);
}

/* --- Handles of deleted messages' authors. */

struct withdraw {
	struct blobs *b;
	const struct blob_withdrawal *v; /* of one person, by hash */
	size_t n;
};

static int compare_withdrawal(const void *a, const void *b)
{
	const struct blob_withdrawal *x = a, *y = b;

	if (x->identity_id != y->identity_id)
		return x->identity_id < y->identity_id ? -1 : 1;
	return memcmp(x->sha, y->sha, WC_SHA_BYTES);
}

static void withdraw_one(void *arg, const struct upload_record *rec)
{
	const struct withdraw *w = arg;

	if (!rec->is_done || rec->is_gone)
		return;
	for (size_t low = 0, high = w->n; low < high;) {
		const size_t mid = (low + high) / 2;
		const int order = memcmp(rec->sha, w->v[mid].sha, WC_SHA_BYTES);

		if (order == 0) {
			/* The same bytes may have been deleted several times. */
			bool is_meant = false;
			for (size_t i = low; i < high && !is_meant; i++)
				is_meant = memcmp(rec->sha, w->v[i].sha, WC_SHA_BYTES) == 0 && rec->at_ms <= w->v[i].at_ms;
			if (is_meant)
				w->b->ops->record_end(w->b, rec);
			return;
		}
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
}

void blobs_withdraw(struct blobs *b, struct blob_withdrawal *v, size_t n)
{
	if (n)
		qsort(v, n, sizeof(*v), compare_withdrawal);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && v[end].identity_id == v[i].identity_id;)
			end++;
		b->ops->record_each_own(b, v[i].identity_id, false, withdraw_one, &(struct withdraw){ b, v + i, end - i });
	}
}

void blobs_release(struct blobs *b, const struct blob_rows *rows, uint8_t (*sha)[WC_SHA_BYTES], size_t n, bool *is_done)
{
	struct handles handles;

	handles_gather(&handles, b, rows);
	for (size_t i = 0; i < n; i++)
		/* Another person's handle keeps it; a sweep sees to the end of that handle. */
		is_done[i] = sha_set_has(&handles.live, sha[i]) || act_if_free(b, rows, sha[i], ACT_UNLINK, NULL) != FATE_LATER;
	handles_fini(&handles, b);
}

/* --- The sweep. */

struct sweep {
	struct blobs *b;
	const struct blob_rows *rows;
	struct blob_sweep *out;
	struct handles handles;
	struct sha_set old, pending, lost; /* candidates */
	struct sha_set unexplained, known; /* of these, to be moved; known: an old upload or a refused message left them */
	int64_t opened_cut_ms;             /* files of before were there before this start */
	bool keeps_handles;                /* blobs of expired handles were not moved */
};

static int note_blob(void *arg, const uint8_t sha[WC_SHA_BYTES], const struct stat *st)
{
	struct sweep *w = arg;
	int64_t mtime_ms = file_mtime_ms(st);

	w->out->files++;
	/* No message that was on its way before this start is waited for. */
	if (mtime_ms <= steady_file_cut_ms(BLOB_GRACE_MS) || mtime_ms < w->opened_cut_ms)
		sha_set_add(blob_mode_is_pending(st) ? &w->pending : &w->old, sha);
	return 0;
}

static int note_lost(void *arg, const uint8_t sha[WC_SHA_BYTES], const struct stat *st)
{
	(void)st;
	sha_set_add(&((struct sweep *)arg)->lost, sha);
	return 0;
}

/* 0: nothing needs it; 1: something does; negative: not known. */
static int is_needed(const struct sweep *w, const uint8_t sha[WC_SHA_BYTES])
{
	int refs = sha_set_has(&w->handles.live, sha) ? 1 : w->rows->refs(w->rows->arg, sha);

	return WC_MIN(refs, 1);
}

static void bring_back(struct sweep *w)
{
	for (size_t i = 0; i < w->lost.count; i++) {
		const uint8_t *sha = w->lost.sha[i];

		if (is_needed(w, sha) <= 0)
			continue;
		pthread_mutex_lock(&w->b->lock);
		w->out->returned += lost_return_one(w->b, sha);
		pthread_mutex_unlock(&w->b->lock);
	}
	if (w->out->returned)
		log_info("files returned", "files=%zu from=lost", w->out->returned);
}

/* Blobs that are about to be unlinked count as explained, too. */
static int is_explained(const struct sweep *w, const uint8_t sha[WC_SHA_BYTES])
{
	int needed = is_needed(w, sha);

	return needed ? needed : w->rows->is_released(w->rows->arg, sha);
}

/* Sorts the candidates. False: the database does not answer, so nothing is moved. */
static bool sort_out(struct sweep *w, const struct sha_set *from, bool was_pending)
{
	for (size_t i = 0; i < from->count; i++) {
		const uint8_t *sha = from->sha[i];
		int explained = is_explained(w, sha);
		uint64_t moves;

		if (explained < 0)
			return false;
		if (explained && was_pending)
			is_stored(w->b, sha);
		if (!explained && !blob_is_held(w->b, sha, &moves))
			sha_set_add(was_pending || sha_set_has(&w->handles.expired, sha) ? &w->known : &w->unexplained, sha);
	}
	return true;
}

/* Moves them all. False: the disk refused, or a backup began. */
static bool move_all(struct sweep *w, const struct sha_set *from)
{
	for (size_t i = 0; i < from->count; i++) {
		enum fate fate = act_if_free(w->b, w->rows, from->sha[i], ACT_MOVE, &w->out->moved_bytes);

		w->out->moved += fate == FATE_DONE;
		if (fate == FATE_FAILED)
			log_error("lost cannot be used",
			          "error=\"%s\" files=%zu remedy=\"make lost in the data folder a writable directory; the files stay\"",
			          strerror(errno), from->count);
		if (fate == FATE_FAILED || (fate == FATE_LATER && w->rows->keeps(w->rows->arg)))
			return false;
	}
	return true;
}

static void say_stopped(struct blobs *b, const struct blob_sweep *out)
{
	if (!b->stop_was_said)
		log_error("sweep stopped",
		          "files=%zu unexplained=%zu reason=\"no row of the database explains these, more than a tenth of all files\""
		          " remedy=\"put back the database that knows them (wavechatctl restore FILE DIR), or restart with "
		          "--accept-orphans to move them to lost\"",
		          out->files, out->unexplained);
	b->stop_was_said = true;
}

static void move_out(struct sweep *w, bool accepts)
{
	struct blob_sweep *out = w->out;
	uint64_t bytes;
	size_t moved;

	out->unexplained = w->unexplained.count;
	out->is_stopped = !accepts && out->files >= FEW_FILES && out->unexplained * 10 > out->files;
	w->keeps_handles = true;
	if (out->is_stopped) {
		say_stopped(w->b, out);
		return;
	}
	w->b->stop_was_said = false;
	w->keeps_handles = !move_all(w, &w->known);
	moved = out->moved;
	bytes = out->moved_bytes;
	if (moved)
		log_info("files moved", "files=%zu bytes=%llu to=lost reason=\"uploaded or sent, and never part of a message\"", moved,
		         (unsigned long long)bytes);
	w->keeps_handles |= !move_all(w, &w->unexplained);
	if (out->moved > moved)
		log_warn(
			"files moved",
			"files=%zu bytes=%llu of=%zu to=lost reason=\"no row explains them\" remedy=\"within a day, put back the database that"
			" knows them\"",
			out->moved - moved, (unsigned long long)(out->moved_bytes - bytes), out->files);
}

static bool is_dead_record(void *arg, const struct upload_record *rec)
{
	const struct sweep *w = arg;

	if (rec->at_ms >= w->handles.cut_ms)
		return false;
	return rec->is_done ? rec->is_used || !w->keeps_handles : !sending_find(w->b, rec->identity_id, rec->name);
}

/* --- Purging DIR/lost. */

/* Did the clock jump since the last purge? Then the ages of files mean nothing. */
static bool clock_jumped(struct blobs *b)
{
	int64_t real = real_ms(), mono = mono_ms(), drift = b->purged_mono_ms ? (real - b->purged_real_ms) - (mono - b->purged_mono_ms) : 0;

	b->purged_real_ms = real;
	b->purged_mono_ms = mono;
	return drift > JUMP_MS || drift < -JUMP_MS;
}

struct purge {
	struct sweep *w;
	bool begins_anew;
};

static int purge_one(void *arg, const uint8_t sha[WC_SHA_BYTES], const struct stat *st)
{
	const struct purge *p = arg;
	struct blobs *b = p->w->b;
	int64_t mtime_ms = file_mtime_ms(st);
	char name[2 * WC_SHA_BYTES + 1];

	wc_hex(name, sha, WC_SHA_BYTES);
	if (p->begins_anew || mtime_ms > real_ms() + JUMP_MS) {
		(void)utimensat(b->lost_fd, name, NULL, AT_SYMLINK_NOFOLLOW);
	} else if (mtime_ms <= steady_file_cut_ms(LOST_LIFE_MS) && is_needed(p->w, sha) == 0) {
		pthread_mutex_lock(&b->lock);
		lost_forget(b, sha);
		pthread_mutex_unlock(&b->lock);
		p->w->out->removed++;
		p->w->out->removed_bytes += (uint64_t)st->st_size;
	}
	return 0;
}

static void purge(struct sweep *w)
{
	struct purge p = { w, clock_jumped(w->b) };

	(void)lost_walk(w->b, purge_one, &p);
	if (w->out->removed)
		log_info("files removed", "files=%zu bytes=%llu from=lost reason=\"nothing referred to them for a day\"", w->out->removed,
		         (unsigned long long)w->out->removed_bytes);
}

static void sweep_disk(struct sweep *w, bool accepts)
{
	(void)lost_walk(w->b, note_lost, w);
	bring_back(w);
	w->keeps_handles = true;
	if (blob_walk(w->b, note_blob, w) != 0)
		log_error("sweep stopped", "error=\"%s\" remedy=\"make every folder below blobs readable\"", strerror(errno));
	else if (sort_out(w, &w->pending, true) && sort_out(w, &w->old, false))
		move_out(w, accepts);
	if (!w->rows->keeps(w->rows->arg))
		purge(w);
}

/* --- In memory the database and the files end together: nothing can be lost. */

static int sweep_in_memory(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size, int64_t age_ms)
{
	struct sweep *w = arg;
	int needed = is_needed(w, sha);

	w->out->files++;
	w->b->ops->mark_used(w->b, sha, needed != 0);
	if (needed == 0 && age_ms >= BLOB_GRACE_MS && act_if_free(w->b, w->rows, sha, ACT_UNLINK, NULL) == FATE_DONE) {
		w->out->removed++;
		w->out->removed_bytes += size;
	}
	return 0;
}

void blobs_sweep(struct blobs *b, const struct blob_rows *rows, bool accepts, struct blob_sweep *out)
{
	const int64_t opened_ago_ms = boot_ms() - b->opened_ms, cut_ms = steady_file_cut_ms(opened_ago_ms + MTIME_SLACK_MS);
	struct sweep w = { .b = b, .rows = rows, .out = out, .opened_cut_ms = cut_ms };

	*out = (struct blob_sweep){ 0 };
	handles_gather(&w.handles, b, rows);
	if (b->ops->keeps_lost)
		sweep_disk(&w, accepts);
	else
		(void)b->ops->each(b, sweep_in_memory, &w);
	b->ops->record_sweep(b, is_dead_record, &w);
	handles_fini(&w.handles, b);
	free(w.old.sha);
	free(w.pending.sha);
	free(w.lost.sha);
	free(w.unexplained.sha);
	free(w.known.sha);
}
