/* test_collect.c — what becomes of blobs that no message stands for: released, refused, unexplained, lost and found again. */
#include <errno.h>

#include "base/steady.h"
#include "blob_fixture.h"

/* --- A database made to order. */

#define FILES 64

struct world {
	uint8_t used[FILES][WC_SHA_BYTES], released[FILES][WC_SHA_BYTES];
	int used_count, released_count;
	bool fails, keeps, knows_nobody;
	void (*at_refs)(void *arg); /* something happens while the database is asked */
	void *arg;
};

static bool has(uint8_t (*list)[WC_SHA_BYTES], int n, const uint8_t sha[WC_SHA_BYTES])
{
	for (int i = 0; i < n; i++)
		if (memcmp(list[i], sha, WC_SHA_BYTES) == 0)
			return true;
	return false;
}

static int world_refs(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	struct world *w = arg;
	int refs = w->fails ? -WC_ESTORAGE : has(w->used, w->used_count, sha);
	void (*fn)(void *) = w->at_refs;

	w->at_refs = NULL;
	if (fn)
		fn(w->arg);
	return refs;
}

static int world_released(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	struct world *w = arg;

	return has(w->released, w->released_count, sha);
}

static bool world_knows(void *arg, uint64_t identity_id, int64_t at_ms)
{
	(void)identity_id;
	(void)at_ms;
	return !((struct world *)arg)->knows_nobody;
}

static bool world_keeps(void *arg)
{
	return ((struct world *)arg)->keeps;
}

#define ROWS(w) (&(const struct blob_rows){ world_refs, world_released, world_knows, world_keeps, (w) })

static void use(struct world *w, const uint8_t sha[WC_SHA_BYTES])
{
	memcpy(w->used[w->used_count++], sha, WC_SHA_BYTES);
}

static struct blob_sweep run_sweep(struct both *t, struct world *w, bool accepts)
{
	struct blob_sweep out;

	blobs_sweep(t->b, ROWS(w), accepts, &out);
	return out;
}

static bool is_there(struct both *t, const uint8_t sha[WC_SHA_BYTES])
{
	struct {
		const uint8_t *sha;
		bool found;
	} look = { sha, false };
	char path[128], hex[2 * WC_SHA_BYTES + 1];
	struct stat st;

	if (!t->dir) {
		for (size_t i = 0; i < t->b->mem_count; i++)
			look.found |= memcmp(t->b->mem[i].sha, sha, WC_SHA_BYTES) == 0;
		return look.found;
	}
	wc_hex(hex, sha, WC_SHA_BYTES);
	snprintf(path, sizeof(path), "blobs/%.2s/%s", hex, hex + 2);
	return fstatat(t->b->dir_fd, path, &st, 0) == 0;
}

static mode_t mode_of(struct both *t, const uint8_t sha[WC_SHA_BYTES])
{
	char path[128], hex[2 * WC_SHA_BYTES + 1];
	struct stat st;

	wc_hex(hex, sha, WC_SHA_BYTES);
	snprintf(path, sizeof(path), "blobs/%.2s/%s", hex, hex + 2);
	assert_int_equal(fstatat(t->b->dir_fd, path, &st, 0), 0);
	return st.st_mode & 07777;
}

static void put_many(struct both *t, int n, uint8_t sha[][WC_SHA_BYTES])
{
	for (int i = 0; i < n; i++)
		assert_int_equal(blob_put(t->b, &i, sizeof(i), sha[i]), 0);
}

/* As if the server had been restarted a while after. */
static void restart_later(struct both *t)
{
	let_hours_pass(t);
	if (t->dir)
		restart(t);
}

/* --- What the server knows. */

static void released_bytes_go_at_once(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	uint8_t sha[3][WC_SHA_BYTES];
	bool is_done[3];

	put_many(t, 3, sha);
	use(&w, sha[1]); /* sent again meanwhile */
	blobs_release(t->b, ROWS(&w), sha, 3, is_done);
	assert_true(is_done[0] && is_done[1] && is_done[2]);
	assert_false(is_there(t, sha[0]));
	assert_true(is_there(t, sha[1]));
	assert_false(is_there(t, sha[2]));
	assert_int_equal(blobs_bytes(t->b), sizeof(int));
	/* again, as after a kill between the two steps: there is nothing left to do */
	blobs_release(t->b, ROWS(&w), sha, 3, is_done);
	assert_true(is_done[0] && is_done[1] && is_done[2]);
	assert_int_equal(blobs_lost_bytes(t->b), 0);
}

static void released_bytes_wait_for_whoever_counts_on_them(void **state)
{
	struct both *t = *state;
	struct world w = { .keeps = true };
	uint8_t sha[1][WC_SHA_BYTES];
	struct blob_hold *hold;
	bool is_done;

	assert_int_equal(blob_put(t->b, "abc", 3, sha[0]), 0);
	blobs_release(t->b, ROWS(&w), sha, 1, &is_done); /* a backup */
	assert_true(!is_done && is_there(t, sha[0]));
	w.keeps = false;
	w.fails = true; /* a database that does not answer */
	blobs_release(t->b, ROWS(&w), sha, 1, &is_done);
	assert_true(!is_done && is_there(t, sha[0]));
	w.fails = false;
	assert_int_equal(blob_put_held(t->b, "abc", 3, sha[0], &hold), 0); /* the same bytes on their way into a message */
	blobs_release(t->b, ROWS(&w), sha, 1, &is_done);
	assert_true(!is_done && is_there(t, sha[0]));
	blob_hold_end(hold); /* it was refused */
	blobs_release(t->b, ROWS(&w), sha, 1, &is_done);
	assert_true(is_done && !is_there(t, sha[0]));
}

struct meanwhile {
	struct both *t;
	struct world *w;
	struct blob_hold *hold;
	uint8_t sha[WC_SHA_BYTES];
};

static void somebody_puts(void *arg)
{
	struct meanwhile *m = arg;

	assert_int_equal(blob_put_held(m->t->b, "abc", 3, m->sha, &m->hold), 0);
}

static void somebody_puts_and_is_stored(void *arg)
{
	struct meanwhile *m = arg;

	somebody_puts(arg);
	use(m->w, m->sha);
	blob_hold_used(m->hold);
	blob_hold_end(m->hold);
}

static void a_put_between_question_and_unlink_is_seen(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	struct meanwhile m = { .t = t, .w = &w };
	uint8_t sha[1][WC_SHA_BYTES];
	bool is_done;

	w.arg = &m;
	assert_int_equal(blob_put(t->b, "abc", 3, sha[0]), 0);
	w.at_refs = somebody_puts;
	blobs_release(t->b, ROWS(&w), sha, 1, &is_done);
	assert_true(!is_done && is_there(t, sha[0]));
	blob_hold_end(m.hold);
	w.at_refs = somebody_puts_and_is_stored; /* its whole life lies between the two */
	blobs_release(t->b, ROWS(&w), sha, 1, &is_done);
	assert_true(is_done && is_there(t, sha[0]));
	check_blob(t->b, sha[0], "abc", 3);
}

static void what_a_refused_message_brought_goes(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	uint8_t refused[WC_SHA_BYTES], stored[WC_SHA_BYTES], again[WC_SHA_BYTES];
	struct blob_hold *a, *b, *c;

	assert_int_equal(blob_put_held(t->b, "refused", 7, refused, &a), 0);
	assert_int_equal(blob_put_held(t->b, "stored", 6, stored, &b), 0);
	blobs_settle(t->b, ROWS(&w));
	assert_true(is_there(t, refused) && is_there(t, stored)); /* nothing is decided yet */
	if (t->dir)
		assert_int_equal(mode_of(t, stored), BLOB_MODE_PENDING);
	use(&w, stored);
	blob_hold_used(b);
	blob_hold_end(b);
	blob_hold_end(a);
	assert_true(blobs_has_ended(t->b));
	blobs_settle(t->b, ROWS(&w));
	assert_false(blobs_has_ended(t->b));
	assert_false(is_there(t, refused));
	check_blob(t->b, stored, "stored", 6);
	if (t->dir)
		assert_int_equal(mode_of(t, stored), BLOB_MODE);
	/* Bytes that were there before are not the refused message's to take away. */
	w.used_count = 0;
	assert_int_equal(blob_put_held(t->b, "stored", 6, again, &c), 0);
	blob_hold_end(c);
	blobs_settle(t->b, ROWS(&w));
	assert_true(is_there(t, stored));
}

static void upload_whole(struct both *t, uint64_t identity, const char *key, const char *bytes, char handle[64])
{
	struct upload_state st;
	struct upload *u;

	assert_int_equal(upload_begin(t->b, identity, (struct str){ key, strlen(key) }, strlen(bytes), 0, &u, &st), 0);
	assert_int_equal(upload_write(u, bytes, strlen(bytes)), 0);
	assert_int_equal(upload_finish(u, &st), 0);
	memcpy(handle, st.handle, 64);
}

static struct blob_hold *resolve(struct both *t, uint64_t identity, const char *handle, uint8_t sha[WC_SHA_BYTES])
{
	struct blob_hold *hold;
	uint64_t size;

	assert_int_equal(upload_resolve_held(t->b, identity, (struct str){ handle, strlen(handle) }, sha, &size, &hold), 0);
	return hold;
}

static void a_used_handle_keeps_nothing_and_an_unused_one_does(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	char mine[64], theirs[64];
	uint8_t sha[1][WC_SHA_BYTES];
	struct blob_hold *hold;
	uint64_t size;
	bool is_done;

	upload_whole(t, 7, "mine", "same bytes", mine);
	upload_whole(t, 8, "theirs", "same bytes", theirs);
	/* Mine became a message, which is deleted; theirs is still to be sent. */
	hold = resolve(t, 7, mine, sha[0]);
	blob_hold_used(hold);
	blob_hold_end(hold);
	blobs_settle(t->b, ROWS(&w));
	blobs_release(t->b, ROWS(&w), sha, 1, &is_done);
	assert_true(is_done && is_there(t, sha[0]));
	check_blob(t->b, sha[0], "same bytes", 10);
	/* A refused message uses no handle up. */
	blob_hold_end(resolve(t, 8, theirs, sha[0]));
	blobs_settle(t->b, ROWS(&w));
	blobs_release(t->b, ROWS(&w), sha, 1, &is_done);
	assert_true(is_there(t, sha[0]));
	hold = resolve(t, 8, theirs, sha[0]);
	blob_hold_used(hold);
	blob_hold_end(hold);
	blobs_settle(t->b, ROWS(&w));
	if (t->dir)
		restart(t); /* that it was used outlives a restart */
	blobs_release(t->b, ROWS(&w), sha, 1, &is_done);
	assert_true(is_done && !is_there(t, sha[0]));
	/* The message said again: there are no bytes, but it can be recognised. Others learn nothing. */
	memset(sha[0], 0, WC_SHA_BYTES);
	assert_int_equal(upload_resolve_held(t->b, 8, (struct str){ theirs, strlen(theirs) }, sha[0], &size, &hold), -WC_ECLOSED);
	assert_null(hold);
	assert_int_equal(size, 10);
	uint8_t want[WC_SHA_BYTES];
	sha_of("same bytes", 10, want);
	assert_memory_equal(sha[0], want, WC_SHA_BYTES);
	assert_int_equal(upload_resolve_held(t->b, 7, (struct str){ theirs, strlen(theirs) }, sha[0], &size, &hold), -WC_ENOENT);
}

static void an_upload_finished_while_handles_are_gathered_is_kept(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	uint8_t sha[1][WC_SHA_BYTES];
	char handle[64];
	uint64_t moves;

	/* As if the gathering had looked into that folder just before. */
	blob_holds_each_fresh(t->b, true);
	upload_whole(t, 7, "k", "bytes", handle);
	sha_of("bytes", 5, sha[0]);
	assert_true(blob_is_held(t->b, sha[0], &moves));
	blob_holds_each_fresh(t->b, false);
	assert_true(blob_is_held(t->b, sha[0], &moves));
	bool is_done;
	blobs_release(t->b, ROWS(&w), sha, 1, &is_done);
	assert_true(is_there(t, sha[0]));
	assert_false(blob_is_held(t->b, sha[0], &moves)); /* its handle was gathered now */
}

/* --- Sweeps, on disk. */

static void what_no_row_explains_is_moved_and_comes_back(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	uint8_t sha[3][WC_SHA_BYTES];
	struct blob_sweep s;
	struct stat st;

	put_many(t, 3, sha);
	use(&w, sha[0]);
	s = run_sweep(t, &w, false); /* too young */
	assert_int_equal(s.moved, 0);
	restart_later(t);
	s = run_sweep(t, &w, false);
	assert_int_equal(s.files, 3);
	assert_int_equal(s.unexplained, 2);
	assert_int_equal(s.moved, 2);
	assert_int_equal(s.moved_bytes, 2 * sizeof(int));
	assert_int_equal(count_files(t->dir, "lost"), 2);
	assert_int_equal(fstatat(t->b->dir_fd, "lost", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(blobs_bytes(t->b), sizeof(int));
	assert_int_equal(blobs_lost_bytes(t->b), 2 * sizeof(int));
	/* hours later they are still there, also for the next server */
	restart_later(t);
	assert_int_equal(blobs_lost_bytes(t->b), 2 * sizeof(int));
	s = run_sweep(t, &w, false);
	assert_int_equal(s.removed, 0);
	/* the database that knows one of them is back */
	use(&w, sha[1]);
	s = run_sweep(t, &w, false);
	assert_int_equal(s.returned, 1);
	assert_true(is_there(t, sha[1]));
	int one = 1;
	check_blob(t->b, sha[1], &one, sizeof(one));
	assert_int_equal(mode_of(t, sha[1]), BLOB_MODE);
	/* and the other is sent once more */
	int two = 2;
	uint8_t again[WC_SHA_BYTES];
	assert_int_equal(blob_put(t->b, &two, sizeof(two), again), 0);
	assert_int_equal(count_files(t->dir, "lost"), 0);
	assert_int_equal(blobs_lost_bytes(t->b), 0);
	assert_int_equal(blobs_bytes(t->b), 3 * sizeof(int));
}

static void nothing_is_old_after_a_start_far_ahead(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	uint8_t sha[2][WC_SHA_BYTES];

	put_many(t, 2, sha);
	for (int i = 0; i < 20; i++)
		let_hours_pass(t);
	restart(t);
	steady_begin(real_ms() - 3 * STEADY_FAR_MS);
	assert_int_equal(run_sweep(t, &w, false).moved, 0);
	steady_begin(real_ms());
	assert_int_equal(run_sweep(t, &w, false).moved, 2);
	for (int i = 0; i < 20; i++)
		let_hours_pass(t);
	steady_begin(real_ms() - 3 * STEADY_FAR_MS);
	assert_int_equal(run_sweep(t, &w, false).removed, 0);
	steady_begin(real_ms());
	assert_int_equal(run_sweep(t, &w, false).removed, 2);
}

static void lost_files_go_after_a_day(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	uint8_t sha[2][WC_SHA_BYTES];
	struct blob_sweep s;

	put_many(t, 2, sha);
	for (int i = 0; i < 20; i++)
		let_hours_pass(t); /* however old it was: its day begins with the move */
	restart(t);
	assert_int_equal(run_sweep(t, &w, false).moved, 2);
	for (int i = 0; i < 11; i++)
		let_hours_pass(t);
	assert_int_equal(run_sweep(t, &w, false).removed, 0);
	let_hours_pass(t);
	t->b->purged_real_ms -= 3600 * 1000; /* the clock was set forward by an hour since: what it says of age is not believed */
	assert_int_equal(run_sweep(t, &w, false).removed, 0);
	for (int i = 0; i < 11; i++)
		let_hours_pass(t);
	assert_int_equal(run_sweep(t, &w, false).removed, 0);
	let_hours_pass(t);
	w.keeps = true; /* a backup is under way */
	assert_int_equal(run_sweep(t, &w, false).removed, 0);
	w.keeps = false;
	use(&w, sha[0]); /* needed again in the last moment */
	s = run_sweep(t, &w, false);
	assert_int_equal(s.returned, 1);
	assert_int_equal(s.removed, 1);
	assert_int_equal(s.removed_bytes, sizeof(int));
	assert_int_equal(count_files(t->dir, "lost"), 0);
	assert_true(is_there(t, sha[0]));
}

static void more_than_a_tenth_is_not_moved(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	uint8_t sha[30][WC_SHA_BYTES];
	struct blob_sweep s;

	put_many(t, 30, sha);
	restart_later(t);
	for (int i = 4; i < 30; i++)
		use(&w, sha[i]);
	log_setup(LOG_ERROR + 0, LOG_TEXT);
	s = run_sweep(t, &w, false); /* four of thirty */
	assert_true(s.is_stopped);
	assert_int_equal(s.unexplained, 4);
	assert_int_equal(s.moved, 0);
	assert_int_equal(count_files(t->dir, "lost"), 0);
	for (int i = 0; i < 30; i++)
		assert_true(is_there(t, sha[i]));
	memcpy(w.released[w.released_count++], sha[0], WC_SHA_BYTES); /* one of them is only waiting to be unlinked: three are a tenth */
	s = run_sweep(t, &w, false);
	assert_false(s.is_stopped);
	assert_int_equal(s.moved, 3);
	assert_true(is_there(t, sha[0]));
	w.used_count = 0;
	s = run_sweep(t, &w, false);
	assert_true(s.is_stopped);
	s = run_sweep(t, &w, true); /* the admin accepted it */
	assert_int_equal(s.moved, 26);
	assert_int_equal(count_files(t->dir, "lost"), 29);
}

static void nineteen_files_have_no_tenth(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	uint8_t sha[20][WC_SHA_BYTES];

	put_many(t, 20, sha);
	restart_later(t);
	use(&w, sha[0]);
	assert_true(run_sweep(t, &w, false).is_stopped);
	blobs_release(t->b, ROWS(&w), &sha[1], 1, &(bool){ false });
	assert_int_equal(run_sweep(t, &w, false).moved, 18);
}

static void nothing_moves_on_half_the_truth(void **state)
{
	struct both *t = *state;
	struct world w = { .fails = true };
	uint8_t sha[3][WC_SHA_BYTES];
	char *lost = in_dir(t->dir, "lost");

	put_many(t, 3, sha);
	restart_later(t);
	assert_int_equal(run_sweep(t, &w, true).moved, 0);
	w.fails = false;
	w.keeps = true;
	assert_int_equal(run_sweep(t, &w, true).moved, 0);
	w.keeps = false;
	FILE *f = fopen(lost, "w"); /* where it would go there is a file: the blobs stay where they are */
	assert_non_null(f);
	fclose(f);
	log_setup(LOG_ERROR, LOG_TEXT);
	assert_int_equal(run_sweep(t, &w, true).moved, 0);
	for (int i = 0; i < 3; i++)
		assert_true(is_there(t, sha[i]));
	assert_int_equal(unlink(lost), 0);
	assert_int_equal(run_sweep(t, &w, false).moved, 3);
	free(lost);
}

static void what_was_on_its_way_when_the_server_was_killed(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	uint8_t sha[25][WC_SHA_BYTES];
	struct blob_hold *hold;

	for (int i = 0; i < 25; i++) {
		assert_int_equal(blob_put_held(t->b, &i, sizeof(i), sha[i], &hold), 0);
		blob_hold_drop(hold);
	}
	use(&w, sha[3]); /* committed, and killed before that was noted */
	let_hours_pass(t);
	restart(t);
	struct blob_sweep s = run_sweep(t, &w, false);
	assert_int_equal(s.unexplained, 0); /* whence they are is clear, however many */
	assert_int_equal(s.moved, 24);
	assert_int_equal(mode_of(t, sha[3]), BLOB_MODE);
}

static void uploads_of_people_nobody_knows_explain_nothing(void **state)
{
	struct both *t = *state;
	struct world w = { 0 };
	char handle[64];

	upload_whole(t, 7, "k", "bytes", handle);
	let_hours_pass(t);
	assert_int_equal(run_sweep(t, &w, false).moved, 0);
	w.knows_nobody = true;
	assert_int_equal(run_sweep(t, &w, false).unexplained, 1);
	assert_int_equal(count_files(t->dir, "lost"), 1);
	w.knows_nobody = false;
	assert_int_equal(run_sweep(t, &w, false).returned, 1);
	blob_hold_end(resolve(t, 7, handle, (uint8_t[WC_SHA_BYTES]){ 0 }));
}

static int refused_as_nobody(void *arg)
{
	struct blobs *b = NULL;
	char *cause = NULL;

	if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
		return 98;
	if (blobs_open(&b, arg, 0, &cause) != -WC_ESTORAGE || !cause)
		return 1;
	return strstr(cause, "cannot read all of") && !strchr(cause, '\n') ? 0 : 2;
}

static int as_nobody(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return geteuid() == 0 ? lchown(path, 65534, 65534) : 0;
}

static void a_folder_that_cannot_be_read_is_not_taken_for_empty(void **state)
{
	struct both *t = *state;
	char *path = in_dir(t->dir, "blobs/ab");

	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	assert_int_equal(nftw(t->dir, as_nobody, 16, FTW_PHYS), 0);
	assert_int_equal(in_child(refused_as_nobody, t->dir), 1);
	assert_int_equal(chmod(path, 0), 0);
	assert_int_equal(in_child(refused_as_nobody, t->dir), 0);
	assert_int_equal(chmod(path, 0700), 0);
	free(path);
}

#define DISK(test) \
	{ \
#test, test, set_up_disk, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(released_bytes_go_at_once),
		BOTH(released_bytes_wait_for_whoever_counts_on_them),
		BOTH(a_put_between_question_and_unlink_is_seen),
		BOTH(what_a_refused_message_brought_goes),
		BOTH(a_used_handle_keeps_nothing_and_an_unused_one_does),
		BOTH(an_upload_finished_while_handles_are_gathered_is_kept),
		DISK(what_no_row_explains_is_moved_and_comes_back),
		DISK(nothing_is_old_after_a_start_far_ahead),
		DISK(lost_files_go_after_a_day),
		DISK(more_than_a_tenth_is_not_moved),
		DISK(nineteen_files_have_no_tenth),
		DISK(nothing_moves_on_half_the_truth),
		DISK(what_was_on_its_way_when_the_server_was_killed),
		DISK(uploads_of_people_nobody_knows_explain_nothing),
		DISK(a_folder_that_cannot_be_read_is_not_taken_for_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
