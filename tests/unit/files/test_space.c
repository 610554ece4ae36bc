/* The room on the disk: what files count for, whatever happens to them, that nobody gets past a bound, and the reserve file. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "blob_fixture.h"

struct disk {
	char *dir;
	struct space *space;
	struct blobs *b;
};

static void open_disk(struct disk *t)
{
	char *cause = NULL;

	if (space_start(&t->space, t->dir, (struct space_limits){ .bound_mb = -1, .reserve_mb = 0 }, &cause) != 0)
		fail_msg("space_start: %s", cause ? cause : "no cause");
	t->b = open_blobs(t->dir);
	blobs_set_space(t->b, t->space);
	space_keep_reserve(t->space);
}

static void close_disk(struct disk *t)
{
	blobs_close(t->b);
	space_stop(t->space);
}

/* As at SIGHUP. */
static void set_bounds(struct disk *t, int max_storage_mb, int free_reserve_mb)
{
	space_set_limits(t->space, (struct space_limits){ .bound_mb = max_storage_mb, .reserve_mb = free_reserve_mb });
}

static int set_up_space(void **state)
{
	struct disk *t = calloc(1, sizeof(*t));

	log_setup(LOG_ERROR, LOG_TEXT);
	t->dir = make_dir();
	open_disk(t);
	*state = t;
	return 0;
}

static int tear_down_space(void **state)
{
	struct disk *t = *state;

	close_disk(t);
	remove_tree(t->dir);
	free(t);
	return 0;
}

static uint64_t used(struct disk *t)
{
	struct space_state n;

	space_look(t->space, &n);
	return n.used_bytes;
}

/* What a server that starts now would find. */
static uint64_t used_afresh(struct disk *t)
{
	struct disk again = *t;
	uint64_t n;

	open_disk(&again);
	n = used(&again);
	close_disk(&again);
	return n;
}

static void test_cost(void **state)
{
	(void)state;
	assert_int_equal(space_cost(0), 0);
	assert_int_equal(space_cost(1), 8192);
	assert_int_equal(space_cost(4096), 8192);
	assert_int_equal(space_cost(4097), 12288);
}

static void test_limits(void **state)
{
	struct disk *t = *state;
	struct space_state n;
	struct statvfs v;

	assert_int_equal(statvfs(t->dir, &v), 0);
	space_look(t->space, &n);
	assert_int_equal(n.disk_bytes, (uint64_t)v.f_blocks * v.f_frsize);
	assert_int_equal(n.bound_bytes, WC_MIN(n.disk_bytes / 10, UINT64_C(10) << 30));
	assert_false(n.is_bound_given);
	assert_int_equal(n.reserve_bytes, 0);
	assert_int_equal(n.floor_bytes, 0);
	/* Options may change while it runs. */
	set_bounds(t, 7, -1);
	space_look(t->space, &n);
	assert_int_equal(n.bound_bytes, 7 << 20);
	assert_true(n.is_bound_given);
	assert_int_equal(n.reserve_bytes, WC_MIN(WC_MAX(n.disk_bytes / 20, UINT64_C(200) << 20), UINT64_C(2048) << 20));
	assert_int_equal(n.floor_bytes, WC_MIN(WC_MIN(n.reserve_bytes / 2, UINT64_C(128) << 20), n.disk_bytes / 20));
	set_bounds(t, 0, -1);
	space_look(t->space, &n);
	assert_int_equal(n.bound_bytes, 0);
	assert_false(n.is_bound_given);
}

/* Without a space, and in memory, everything is granted. */
static void test_no_disk(void **state)
{
	struct space *s = NULL;
	struct space_state n;
	char *cause = NULL;

	(void)state;
	assert_int_equal(space_take(NULL, 0, 1 << 30, 1 << 30), 0);
	assert_false(space_is_full(NULL) || space_is_low(NULL) || space_give_up_reserve(NULL));
	assert_int_equal(space_start(&s, NULL, (struct space_limits){ .bound_mb = 1, .reserve_mb = -1 }, &cause), 0);
	assert_int_equal(space_take(s, 0, 1 << 30, 1 << 30), 0);
	space_wrote(s, 1 << 30);
	space_found_full(s);
	assert_false(space_is_full(s) || space_give_up_reserve(s));
	space_look(s, &n);
	assert_int_equal(n.disk_bytes + n.used_bytes + n.bound_bytes, 0);
	space_stop(s);
}

static void *take_many(void *arg)
{
	struct space *s = arg;
	uintptr_t taken = 0;

	for (int i = 0; i < 200; i++)
		taken += space_take(s, 0, 100000, 0) == 0;
	return (void *)taken;
}

static void test_bound_holds(void **state)
{
	struct disk *t = *state;
	uint64_t taken = 0, bound;
	struct space_state n;
	pthread_t threads[8];

	set_bounds(t, 16, 0); /* given: new ones are refused past twice that */
	space_look(t->space, &n);
	bound = 2 * n.bound_bytes;
	for (size_t i = 0; i < WC_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_many, t->space), 0);
	for (size_t i = 0; i < WC_LEN(threads); i++) {
		void *result;

		pthread_join(threads[i], &result);
		taken += (uintptr_t)result;
	}
	assert_int_equal(taken, bound / space_cost(100000));
	assert_int_equal(used(t), taken * space_cost(100000));
	assert_int_equal(space_take(t->space, 0, 100000, 0), -WC_EFULL);
	space_look(t->space, &n);
	assert_true(n.is_bound_reached);
	/* in place of one as large, or to shrink one, there always is room */
	assert_int_equal(space_take(t->space, 100000, 99000, 0), 0);
	assert_int_equal(space_take(t->space, 100000, 99000, 0), 0);
	for (uint64_t i = 0; i < taken / 10; i++)
		space_set(t->space, 100000, 0);
	space_look(t->space, &n);
	assert_false(n.is_bound_reached);
	assert_int_equal(space_take(t->space, 0, 100000, 0), 0);
}

/* Whatever becomes of files and uploads, what counts is what is there; and all that is announced, while it comes. */
static void test_files_count(void **state)
{
	enum { KEYS = 6, PIECE = 5000 };
	struct disk *t = *state;
	struct upload *open[KEYS] = { NULL };
	struct upload_state st;
	uint8_t data[PIECE], sha[WC_SHA_BYTES];
	unsigned seed = 7;

	for (int i = 0; i < 1500; i++) {
		int k = (int)((unsigned)rand_r(&seed) % KEYS), size = PIECE * (1 + k), act = (int)((unsigned)rand_r(&seed) % 8);
		char key[2] = { (char)('a' + k), '\0' };

		memset(data, (int)((unsigned)rand_r(&seed) % 40), sizeof(data));
		if (act == 0) {
			assert_int_equal(blob_put(t->b, data, 1 + (size_t)((unsigned)rand_r(&seed) % PIECE), sha), 0);
		} else if (act == 1) { /* begun anew, also over another connection's head */
			struct upload *taken = open[k];

			assert_int_equal(upload_begin(t->b, 1, s_of(key), (uint64_t)size, 0, &open[k], &st), 0);
			upload_suspend(taken);
		} else if (act == 2 && !open[k]) {
			if (upload_find(t->b, 1, s_of(key), &st) == 0 && !*st.handle)
				assert_int_equal(upload_begin(t->b, 1, s_of(key), (uint64_t)size, st.offset, &open[k], &st), 0);
		} else if (act == 3) {
			upload_suspend(open[k]);
			open[k] = NULL;
		} else if (act == 4 && open[k]) {
			int rc = upload_finish(open[k], &st);

			assert_true(rc == 0 || rc == -WC_ECONFLICT);
			open[k] = NULL;
		} else if (open[k]) {
			int rc = upload_write(open[k], data, sizeof(data));

			assert_true(rc == 0 || rc == -WC_ETOOBIG);
		}
		if (i % 100 == 99) {
			for (int j = 0; j < KEYS; j++) {
				upload_suspend(open[j]);
				open[j] = NULL;
			}
			assert_int_equal(used(t), used_afresh(t));
		}
	}
	for (int j = 0; j < KEYS; j++)
		upload_suspend(open[j]);
	uint64_t at_rest = used(t);
	assert_true(at_rest > 0);
	assert_int_equal(upload_begin(t->b, 2, STR("x"), 10 << 20, 0, &open[0], &st), 0);
	assert_int_equal(used(t), at_rest + space_cost(10 << 20));
	assert_int_equal(upload_write(open[0], data, sizeof(data)), 0);
	assert_int_equal(used(t), at_rest + space_cost(10 << 20));
	upload_suspend(open[0]);
	assert_int_equal(used(t), at_rest + space_cost(sizeof(data)));
	close_disk(t);
	open_disk(t);
	assert_int_equal(used(t), at_rest + space_cost(sizeof(data)));
}

static void test_refused_files_leave_nothing(void **state)
{
	struct disk *t = *state;
	struct upload *u = NULL;
	struct upload_state st;
	uint8_t sha[WC_SHA_BYTES];
	char *big = calloc(1, 3 << 20);

	set_bounds(t, 1, 0);
	assert_int_equal(blob_put(t->b, big, 3 << 20, sha), -WC_EFULL);
	assert_int_equal(upload_begin(t->b, 1, STR("k"), 3 << 20, 0, &u, &st), -WC_EFULL);
	assert_null(u);
	assert_int_equal(upload_find(t->b, 1, STR("k"), &st), -WC_ENOENT);
	assert_int_equal(used(t), 0);
	assert_int_equal(used_afresh(t), 0);
	free(big);
}

static bool has_reserve(struct disk *t)
{
	struct space_state n;

	for (int i = 0; i < 100; i++) {
		space_look(t->space, &n);
		if (n.has_reserve_file)
			return true;
		usleep(100000);
	}
	return false;
}

static void test_reserve(void **state)
{
	struct disk *t = *state;
	char path[4200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", t->dir, SPACE_RESERVE_FILE);
	if (!has_reserve(t))
		skip(); /* less than 128 MB are free here */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, SPACE_RESERVE_BYTES);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true((uint64_t)st.st_blocks * 512 >= SPACE_RESERVE_BYTES / 8 * 7);
	assert_true(space_give_up_reserve(t->space));
	assert_true(space_is_full(t->space) ||
	            has_reserve(t)); /* the numbers say that there is room: until it is had, that is not believed */
	assert_true(space_give_up_reserve(t->space) == false || stat(path, &st) == 0); /* given up once; it may be there again by now */
	assert_true(has_reserve(t));
	assert_false(space_is_full(t->space));
	/* Before the server runs; what is given up stays known by its name. */
	close_disk(t);
	assert_true(space_give_up_reserve_of(t->dir));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_false(space_give_up_reserve_of(t->dir));
	open_disk(t);
	assert_true(has_reserve(t));
}

/* A link that somebody put there is not followed. */
static void test_reserve_is_no_link(void **state)
{
	struct disk *t = *state;
	char path[4200], other[4200];
	struct stat st;

	close_disk(t);
	snprintf(path, sizeof(path), "%s/%s", t->dir, SPACE_RESERVE_FILE);
	snprintf(other, sizeof(other), "%s/other", t->dir);
	FILE *f = fopen(other, "w");
	assert_non_null(f);
	fputs("mine", f);
	fclose(f);
	(void)unlink(path);
	assert_int_equal(symlink("other", path), 0);
	assert_false(space_give_up_reserve_of(t->dir));
	open_disk(t);
	usleep(200000);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_size, 4);
}

static void test_found_full(void **state)
{
	struct disk *t = *state;
	struct space_state n;

	space_found_full(t->space);
	assert_true(space_is_full(t->space) && space_is_low(t->space));
	for (int i = 0; i < 100 && space_is_full(t->space); i++)
		usleep(100000);
	assert_false(space_is_full(t->space));
	space_look(t->space, &n);
	assert_false(n.is_full || n.is_low);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_no_disk),
		cmocka_unit_test_setup_teardown(test_limits, set_up_space, tear_down_space),
		cmocka_unit_test_setup_teardown(test_bound_holds, set_up_space, tear_down_space),
		cmocka_unit_test_setup_teardown(test_files_count, set_up_space, tear_down_space),
		cmocka_unit_test_setup_teardown(test_refused_files_leave_nothing, set_up_space, tear_down_space),
		cmocka_unit_test_setup_teardown(test_reserve, set_up_space, tear_down_space),
		cmocka_unit_test_setup_teardown(test_reserve_is_no_link, set_up_space, tear_down_space),
		cmocka_unit_test_setup_teardown(test_found_full, set_up_space, tear_down_space),
	};

	wc_thread_is(ROLE_MAIN, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
