/* test_blob.c — blobs, on disk and in memory. */
#include <errno.h>
#include <pthread.h>

#include "blob_fixture.h"

static void stores_bytes_once(void **state)
{
	struct both *t = *state;
	uint8_t a[WC_SHA_BYTES], want[WC_SHA_BYTES], b[WC_SHA_BYTES], none[WC_SHA_BYTES] = { 0 };
	static const char data[] = "some bytes";
	uint64_t size;

	assert_int_equal(blob_put(t->b, data, sizeof(data), a), 0);
	sha_of(data, sizeof(data), want);
	assert_memory_equal(a, want, sizeof(a));
	assert_int_equal(blob_put(t->b, data, sizeof(data), a), 0);
	assert_int_equal(blob_put(t->b, "", 0, b), 0);
	check_blob(t->b, a, data, sizeof(data));
	check_blob(t->b, b, "", 0);
	assert_int_equal(blob_get(t->b, none, &size), -WC_ENOENT);
	assert_int_equal(blobs_bytes(t->b), sizeof(data));
	if (t->dir) {
		assert_int_equal(count_files(t->dir, "tmp"), 0);
		restart(t);
		check_blob(t->b, a, data, sizeof(data));
		assert_int_equal(blobs_bytes(t->b), sizeof(data));
	}
}

static void removes_what_is_old_enough(void **state)
{
	struct both *t = *state;
	uint8_t sha[WC_SHA_BYTES];
	uint64_t size;

	assert_int_equal(blob_put(t->b, "abc", 3, sha), 0);
	sweep(t->b, is_never_used, NULL, false);
	check_blob(t->b, sha, "abc", 3); /* the message it was put for may be under way */
	let_hours_pass(t);
	assert_int_equal(blob_put(t->b, "abc", 3, sha), 0); /* again: young again */
	sweep(t->b, is_never_used, NULL, false);
	check_blob(t->b, sha, "abc", 3);
	let_hours_pass(t);
	int fd = blob_get(t->b, sha, &size);
	sweep(t->b, is_never_used, NULL, false);
	assert_int_equal(blobs_bytes(t->b), 0);
	assert_int_equal(blobs_lost_bytes(t->b), t->dir ? 3 : 0); /* on disk it is only set aside */
	if (!t->dir)
		assert_int_equal(blob_get(t->b, sha, &size), -WC_ENOENT);
	char got[3];
	/* On disk a reader reads on. In memory it finds the end: a slow reader must not keep what is removed. */
	assert_int_equal(pread(fd, got, 3, 0), t->b->ops->keeps_lost ? 3 : 0);
	close(fd);
}

static bool is_first_byte_even(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	++*(int *)arg;
	return sha[0] % 2 == 0;
}

static void collects_what_nobody_uses(void **state)
{
	struct both *t = *state;
	uint8_t sha[40][WC_SHA_BYTES];
	int asked = 0, kept = 0;
	uint64_t size;

	for (int i = 0; i < 40; i++)
		assert_int_equal(blob_put(t->b, &i, sizeof(i), sha[i]), 0);
	sweep(t->b, is_first_byte_even, &asked, true);
	for (int i = 0; i < 40; i++) {
		int fd = blob_get(t->b, sha[i], &size); /* all are young */

		assert_true(fd >= 0);
		close(fd);
	}
	let_hours_pass(t);
	asked = 0;
	sweep(t->b, is_first_byte_even, &asked, true);
	assert_true(asked >= 40); /* of each at least once */
	for (int i = 0; i < 40; i++)
		kept += sha[i][0] % 2 == 0;
	assert_true(kept > 0 && kept < 40);
	assert_int_equal(blobs_bytes(t->b), kept * sizeof(int));
	assert_int_equal(blobs_lost_bytes(t->b), t->dir ? (40 - kept) * sizeof(int) : 0);
	for (int i = 0; i < 40; i++) {
		int fd = blob_get(t->b, sha[i], &size);

		assert_true(sha[i][0] % 2 == 0 || t->dir ? fd >= 0 : fd == -WC_ENOENT); /* what is asked for comes back */
		if (fd >= 0)
			close(fd);
	}
	assert_int_equal(blobs_bytes(t->b), (t->dir ? 40 : kept) * sizeof(int));
	assert_int_equal(blobs_lost_bytes(t->b), 0);
}

struct race {
	struct blobs *b;
	const uint8_t *data;
	size_t n;
	int rounds;
};

static void *put_again_and_again(void *arg)
{
	struct race *r = arg;
	uint8_t sha[WC_SHA_BYTES];

	for (int i = 0; i < r->rounds; i++)
		for (size_t size = 1000; size <= r->n; size += 1000)
			if (blob_put(r->b, r->data, size, sha) != 0)
				return (void *)"put";
	return NULL;
}

static void the_same_bytes_from_many_threads(void **state)
{
	struct both *t = *state;
	static uint8_t data[10000];
	struct race r = { t->b, data, sizeof(data), 10 };
	uint8_t sha[WC_SHA_BYTES];
	pthread_t thread[4];
	void *said;

	wc_random(data, sizeof(data));
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, put_again_and_again, &r), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &said), 0);
		assert_null(said);
	}
	assert_int_equal(blobs_bytes(t->b), 55000);
	sha_of(data, 10000, sha);
	check_blob(t->b, sha, data, 10000);
	if (t->dir)
		assert_int_equal(count_files(t->dir, "tmp"), 0);
}

static void memory_is_bounded(void **state)
{
	struct both *t = *state;
	uint8_t sha[20][WC_SHA_BYTES];
	char *data = calloc(1, 9 << 20);
	uint64_t size;
	int kept = 0;
	struct upload *u;
	struct upload_state st;

	assert_int_equal(blob_put(t->b, data, 9 << 20, sha[0]), -WC_ESTORAGE); /* more than there is in all */
	for (int i = 0; i < 20; i++) {
		data[0] = (char)(i + 1);
		assert_int_equal(blob_put(t->b, data, 1 << 20, sha[i]), 0);
		assert_true(blobs_bytes(t->b) <= 8 << 20);
		t->b->mem[t->b->mem_count - 1].put_ms += i; /* one after the other */
	}
	for (int i = 0; i < 20; i++) {
		int fd = blob_get(t->b, sha[i], &size);

		assert_true((fd >= 0) == (i >= 12)); /* the newest stay */
		if (fd >= 0)
			close(fd), kept++;
	}
	assert_int_equal(kept, 8);
	/* of the old, those that no message uses go first */
	let_hours_pass(t);
	mem_mark_used(t->b, sha[12], true);
	assert_int_equal(upload_begin(t->b, 7, STR("k"), 2 << 20, 0, &u, &st), 0);
	assert_int_equal(upload_write(u, data, 2 << 20), 0);
	assert_true(blob_get(t->b, sha[13], &size) == -WC_ENOENT && blob_get(t->b, sha[14], &size) == -WC_ENOENT);
	int fd = blob_get(t->b, sha[12], &size);
	assert_true(fd >= 0);
	close(fd);
	/* many small ones do not eat all descriptors */
	upload_suspend(u);
	for (int i = 0; i < 3000; i++)
		assert_int_equal(blob_put(t->b, &i, sizeof(i), sha[0]), 0);
	assert_true(t->b->mem_count <= 1000);
	free(data);
}

static bool takes_one_piece(void *arg, size_t bytes)
{
	*(uint64_t *)arg += bytes;
	return *(uint64_t *)arg <= bytes;
}

static void hashes_a_part_or_all_of_a_file(void **state)
{
	struct both *t = *state;
	const size_t n = 600000;
	char *data = calloc(1, n);
	uint8_t want[WC_SHA_BYTES], got[WC_SHA_BYTES];
	uint64_t size, told = 0;
	int fd;

	memset(data + n / 2, 'x', n / 2);
	assert_int_equal(blob_put(t->b, data, n, want), 0);
	fd = blob_get(t->b, want, &size);
	assert_true(fd >= 0);
	assert_int_equal(file_hash(fd, UINT64_MAX, NULL, NULL, &size, got), 0);
	assert_int_equal(size, n);
	assert_memory_equal(got, want, sizeof(want));
	sha_of(data, 10, want);
	assert_int_equal(file_hash(fd, 10, NULL, NULL, &size, got), 0);
	assert_int_equal(size, 10);
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(file_hash(fd, UINT64_MAX, takes_one_piece, &told, &size, got), -WC_ECLOSED);
	assert_true(told < n && size == told);
	close(fd);
	assert_int_equal(file_hash(-1, UINT64_MAX, NULL, NULL, &size, got), -WC_EIO);
	free(data);
}

struct looked {
	int count[3];
	int handles;
};

static void on_file(void *arg, const uint8_t sha[WC_SHA_BYTES], enum blob_look where)
{
	struct looked *l = arg;

	(void)sha;
	l->count[where]++;
}

static void on_handle(void *arg, uint64_t identity_id, int64_t at_ms, const uint8_t sha[WC_SHA_BYTES])
{
	struct looked *l = arg;

	(void)sha;
	assert_int_equal(identity_id, 7);
	assert_true(at_ms > 0 && at_ms <= real_ms());
	l->handles++;
}

/* A look tells stored files from those on their way into a message and those in DIR/lost, and makes nothing. */
static void a_look_changes_nothing(void **state)
{
	struct both *t = *state;
	struct looked l = { .handles = 0 };
	struct blobs *look = NULL;
	struct blob_hold *hold;
	struct upload_state us;
	struct upload *u;
	uint8_t sha[WC_SHA_BYTES];
	char *cause = NULL, *none = in_dir(t->dir, "none");

	assert_int_equal(blob_put(t->b, "lost", 4, sha), 0);
	let_hours_pass(t);
	sweep(t->b, is_never_used, NULL, true);
	assert_int_equal(blob_put(t->b, "stored", 6, sha), 0);
	assert_int_equal(blob_put_held(t->b, "pending", 7, sha, &hold), 0);
	assert_int_equal(upload_begin(t->b, 7, STR("key"), 3, 0, &u, &us), 0);
	assert_int_equal(upload_write(u, "abc", 3), 0);
	assert_int_equal(upload_finish(u, &us), 0);
	assert_int_equal(blobs_look(&look, t->dir, &cause), 0);
	assert_int_equal(blobs_look_files(look, t->dir, on_file, &l, &cause), 0);
	blobs_look_handles(look, on_handle, &l);
	blobs_close(look);
	assert_int_equal(l.count[BLOB_LOOK_STORED], 2); /* the upload, too */
	assert_int_equal(l.count[BLOB_LOOK_PENDING], 1);
	assert_int_equal(l.count[BLOB_LOOK_LOST], 1);
	assert_int_equal(l.handles, 1);
	blob_hold_end(hold);
	assert_int_equal(blobs_look(&look, none, &cause), 0); /* no folder: nothing to find, and nothing is made */
	assert_int_equal(blobs_look_files(look, none, on_file, &l, &cause), 0);
	blobs_close(look);
	assert_true(access(none, F_OK) < 0);
	free(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(stores_bytes_once),
		BOTH(removes_what_is_old_enough),
		BOTH(collects_what_nobody_uses),
		BOTH(the_same_bytes_from_many_threads),
		BOTH(hashes_a_part_or_all_of_a_file),
		{ "a_look_changes_nothing", a_look_changes_nothing, set_up_disk, tear_down, NULL },
		{ "memory_is_bounded", memory_is_bounded, set_up_memory, tear_down, NULL },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
