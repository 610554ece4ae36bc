/* test_store_faults.c — what a failing disk, a kill and many threads do to the store: every time, the state afterwards is the one of before
 * the batch or the one after it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/logmsg.h"
#include "store_test.h"

static int set_up_quiet(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT);
	return 0;
}

/* --- Every step of a batch failing, with every code. */

/* A batch as the room makes it: events under savepoints, one with a cid that is there already. 0 if it was committed. *kept: the events
 * that were not undone. */
static int batch(struct store *s, uint64_t first_id, int *kept)
{
	struct identity who = { .id = first_id, .name = STR("n"), .created_ms = 1, .seen_ms = 1 };
	uint8_t hash[WC_SHA_BYTES] = { 0 };
	char key[32], cid[32];

	*kept = 0;
	snprintf(key, sizeof(key), "k%llu", (unsigned long long)first_id);
	snprintf(cid, sizeof(cid), "c%llu", (unsigned long long)first_id);
	who.key = s_of(key);
	memcpy(hash, &first_id, sizeof(first_id));
	if (store_begin(s) != 0)
		return -WC_ESTORAGE;
	for (uint64_t i = 0; i < 4; i++) {
		struct msg m = i == 2 ? file_msg(first_id + i, 1, 2, (uint8_t)first_id, 10)
		                      : text_msg(first_id + i, 1, i == 1 ? 2 : 0, i == 3 ? cid : "");
		int rc = store_savepoint(s);

		if (rc == 0)
			rc = store_put_msg(s, &m);
		if (rc == 0 && i == 0)
			rc = store_put_identity(s, &who);
		if (rc == 0 && i == 0)
			rc = store_put_token(s, first_id, hash, 1);
		if (rc == 0 && i == 3)
			rc = store_set_counter(s, "next", first_id + 4);
		if (rc == 0)
			rc = store_release(s);
		if (rc == 0)
			++*kept;
		else
			store_rollback_to(s);
	}
	return store_commit(s);
}

static void a_failure_anywhere_is_all_or_nothing(void **state)
{
	static const int codes[] = { SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_READONLY, SQLITE_BUSY, SQLITE_NOMEM, SQLITE_CORRUPT };
	static struct ids ids;

	(void)state;
	for (int is_memory = 0; is_memory < 2; is_memory++) {
		for (size_t c = 0; c < WC_LEN(codes); c++) {
			char *dir = is_memory ? NULL : make_dir();
			struct store *s = open_store(dir);
			struct store_reader *r = open_reader(s);
			int kept, total = 0, commits = 0, failures = 0;

			for (int nth = 1; nth <= 40; nth++) {
				bool has_failed = false;
				int rc;

				store_test_fail_after(s, nth, codes[c]);
				rc = batch(s, (uint64_t)nth * 10, &kept);
				has_failed = s->fail_after == 0;
				store_test_fail_after(s, 0, 0);
				if (rc == 0)
					total += kept, commits++;
				if (rc != 0 || kept < 4)
					failures++;
				assert_true(has_failed == (rc != 0 || kept < 4) || nth > 20 /* the error fell on a rollback, or on none */);
				ids.count = 0;
				assert_int_equal(store_read_since(r, 1, 0, UINT64_MAX, 4096, collect_id, &ids), total);
				/* and the next batch works */
				assert_int_equal(batch(s, (uint64_t)nth * 10 + 5, &kept), 0);
				assert_int_equal(kept, 4);
				total += 4;
			}
			assert_true(failures >= 15);
			assert_true(commits > 0);
			if (codes[c] == SQLITE_READONLY) /* does not end the transaction: one event is lost, not the batch */
				assert_true(total > 40 * 4 + 4 * (40 - failures));
			/* what it says of itself is true after all that */
			assert_int_equal(store_trim(s, 0, 100000, NULL, NULL), total);
			assert_int_equal(store_evict_files(s, 0, 100, NULL, NULL), 0);
			store_reader_close(r);
			store_close(s);
			if (dir) {
				char *cause = NULL;

				assert_int_equal(store_check(dir, &cause), 0);
				remove_tree(dir);
			}
		}
	}
}

static void retention_fails_whole(void **state)
{
	struct store *s = open_store(NULL);
	struct store_reader *r = open_reader(s);

	(void)state;
	for (uint64_t id = 1; id <= 20; id++)
		put_one(s, id % 2 ? text_msg(id, 1, 2, "") : file_msg(id, 1, 0, (uint8_t)id, 10));
	for (int nth = 1; nth < 60; nth++) {
		store_test_fail_after(s, nth, nth % 2 ? SQLITE_FULL : SQLITE_READONLY);
		if (store_expire(s, INT64_MAX, 10, NULL, NULL) >= 0)
			break;
		store_test_fail_after(s, 0, 0);
		assert_int_equal(store_floor(s), 1);
		assert_int_equal(count_public(r), 10);
	}
	store_test_fail_after(s, 0, 0);
	assert_int_equal(store_floor(s), 10);
	store_test_fail_after(s, 3, SQLITE_FULL);
	assert_int_equal(store_evict_files(s, 0, 10, NULL, NULL), -WC_ESTORAGE);
	assert_int_equal(store_evict_files(s, 0, 10, NULL, NULL), 5);
	store_reader_close(r);
	store_close(s);
}

/* --- A disk that is really full. */

static int put_many(struct store *s, uint64_t *id, int n)
{
	static char text[3000];

	memset(text, 'x', sizeof(text));
	if (store_begin(s) != 0)
		return -WC_ESTORAGE;
	for (int i = 0; i < n; i++) {
		struct msg m = text_msg(*id + (uint64_t)i, 1, i % 2 ? 2 : 0, "");

		m.text = (struct str){ text, sizeof(text) };
		if (store_put_msg(s, &m) != 0) {
			store_rollback(s);
			return -WC_ESTORAGE;
		}
	}
	if (store_commit(s) != 0)
		return -WC_ESTORAGE;
	*id += (uint64_t)n;
	return 0;
}

/* Fills until it is refused, thrice, with room made in between by `relieve`. */
static int fill_up(const char *dir, int (*relieve)(const char *dir))
{
	struct store *s = NULL;
	struct store_reader *r = NULL;
	char *cause = NULL;
	uint64_t id = 1;
	static struct ids ids;
	int turns = 0, rc = 0;

	if (store_open(&s, dir, DURABILITY_FULL, &cause) != 0 || store_reader_open(s, &r) != 0)
		return 1;
	for (int round = 0; round < 3; round++) {
		while ((rc = put_many(s, &id, 20)) == 0 && ++turns < 10000)
			if (turns % 50 == 0)
				(void)store_checkpoint(r);
		if (rc == 0)
			return 2; /* never full */
		for (int i = 0; i < 5; i++)
			if (put_many(s, &id, 20) == 0)
				return 3; /* it was not full after all, or forgot to say so */
		/* it can be read meanwhile, and has what was committed */
		ids.count = 0;
		if (store_read_history(r, false, 0, 0, 0, 30, collect_id, &ids) != 30 || ids.id[0] != id - 2)
			return 4;
		if (relieve(dir) != 0)
			return 5;
		if (put_many(s, &id, 20) != 0)
			return 6;
	}
	/* just what was committed: half of it public, one more than all but one, and no more */
	const int64_t half = (int64_t)id / 2;
	if (store_trim(s, half, 10, NULL, NULL) != 0 || store_trim(s, half - 1, 10, NULL, NULL) != 2 || store_last_id(s) != id - 1)
		return 7;
	store_reader_close(r);
	store_close(s);
	return store_check(dir, &cause) == 0 ? 0 : 8;
}

static int raise_limit(const char *dir)
{
	struct rlimit limit;

	(void)dir;
	if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
		return -1;
	limit.rlim_cur += 2 << 20;
	return setrlimit(RLIMIT_FSIZE, &limit);
}

static int fill_up_to_limit(void *dir)
{
	struct rlimit limit = { .rlim_cur = 2 << 20, .rlim_max = RLIM_INFINITY };

	log_setup(LOG_ERROR, LOG_TEXT);
	signal(SIGXFSZ, SIG_IGN);
	return setrlimit(RLIMIT_FSIZE, &limit) == 0 ? fill_up(dir, raise_limit) : 98;
}

static void a_file_that_may_not_grow_recovers(void **state)
{
	char *dir = make_dir();

	(void)state;
	assert_int_equal(in_child(fill_up_to_limit, dir), 0);
	remove_tree(dir);
}

static int grow_tmpfs(const char *dir)
{
	static int mib = 4;
	char size[32];

	mib += 3;
	snprintf(size, sizeof(size), "size=%dm", mib);
	return mount("wavechat-test", dir, "tmpfs", MS_REMOUNT, size);
}

static int fill_up_tmpfs(void *dir)
{
	char *cause = NULL;
	struct store *s = NULL;
	int rc;

	log_setup(LOG_ERROR, LOG_TEXT);
	/* A mount of this process's own: nobody else sees it, and it ends with it. */
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("wavechat-test", dir, "tmpfs", 0, "size=4m") != 0)
		return 77;
	rc = fill_up(dir, grow_tmpfs);
	if (rc)
		return rc;
	/* And at the start: no room for so much as a first page; a disk that takes no writes at all. */
	if (umount(dir) != 0 || mount("wavechat-test", dir, "tmpfs", 0, "size=8k") != 0)
		return 20;
	if (store_open(&s, dir, DURABILITY_NORMAL, &cause) == 0 || !cause || !strstr(cause, "free some space") || strchr(cause, '\n'))
		return 21;
	if (umount(dir) != 0 || mount("wavechat-test", dir, "tmpfs", MS_RDONLY, "size=1m") != 0)
		return 22;
	if (store_open(&s, dir, DURABILITY_NORMAL, &cause) == 0 || !strstr(cause, "writable") || strchr(cause, '\n'))
		return 23;
	return 0;
}

static void a_full_disk_recovers(void **state)
{
	char *dir = make_dir();
	int rc = in_child(fill_up_tmpfs, dir);

	(void)state;
	remove_tree(dir);
	if (rc == 77)
		skip(); /* may not mount here; a_file_that_may_not_grow_recovers shows the most of it */
	assert_int_equal(rc, 0);
}

/* --- Nothing but memory. */

static int in_empty_root(void *dir)
{
	struct store *s = NULL;
	struct store_reader *r = NULL;
	char *cause = NULL;
	static struct ids ids;
	uint64_t id = 1;

	if (chroot(dir) != 0 || chdir("/") != 0)
		return 77;
	if (store_open(&s, NULL, DURABILITY_NORMAL, &cause) != 0 || store_reader_open(s, &r) != 0)
		return 1;
	if (put_many(s, &id, 1000) != 0 || store_read_history(r, true, 1, 2, 0, 100, collect_id, &ids) != 100)
		return 2;
	if (store_trim(s, 50, 10000, NULL, NULL) != 900 || store_vacuum_some(s, 1000) != 0 || store_checkpoint(r) != 0)
		return 3;
	store_reader_close(r);
	store_close(s);
	return rmdir("/nothing") == 0 || errno != ENOENT ? 4 : 0;
}

static void memory_needs_no_filesystem(void **state)
{
	char *dir = make_dir();
	int rc = in_child(in_empty_root, dir);

	(void)state;
	assert_int_equal(rmdir(dir), 0); /* nothing was made in it */
	free(dir);
	if (rc == 77)
		skip(); /* chroot is root's */
	assert_int_equal(rc, 0);
}

/* --- Killed. */

struct victim {
	const char *dir;
	int pipe[2];
};

/* Commits 5 batches, writes a sixth, says so, and waits to be killed. */
static int die_before_commit(void *arg)
{
	struct victim *v = arg;
	struct store *s = open_store(v->dir);
	uint64_t id = 1;

	for (int i = 0; i < 5; i++)
		if (put_many(s, &id, 10) != 0)
			return 1;
	if (store_begin(s) != 0)
		return 2;
	for (uint64_t i = 0; i < 5000; i++) { /* more than the page cache: part of it lies in the log already */
		struct msg m = text_msg(id + i, 1, 0, "");

		if (store_put_msg(s, &m) != 0)
			return 3;
	}
	if (write(v->pipe[1], "w", 1) != 1)
		return 4;
	for (;;)
		pause();
}

/* Commits for ever and tells the last id of each batch after its commit. */
static int write_for_ever(void *arg)
{
	struct victim *v = arg;
	struct store *s = open_store(v->dir);
	struct store_reader *r = open_reader(s);
	uint64_t id = store_last_id(s) + 1;

	for (int i = 0;; i++) {
		if (put_many(s, &id, 7) != 0)
			return 1;
		if (i % 20 == 0 && store_checkpoint(r) != 0)
			return 2;
		if (write(v->pipe[1], &(uint64_t){ id - 1 }, sizeof(id)) != sizeof(id))
			return 3;
	}
}

static pid_t start(int (*fn)(void *arg), struct victim *v)
{
	pid_t pid;

	assert_int_equal(pipe(v->pipe), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(v->pipe[0]);
		_exit(fn(v));
	}
	close(v->pipe[1]);
	return pid;
}

static void kill_loses_the_uncommitted_batch_alone(void **state)
{
	struct victim v = { .dir = make_dir() };
	struct store_reader *r;
	struct store *s;
	char c;
	pid_t pid = start(die_before_commit, &v);

	(void)state;
	assert_int_equal(read(v.pipe[0], &c, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(v.pipe[0]);
	s = open_store(v.dir); /* its lock went with it */
	r = open_reader(s);
	assert_int_equal(store_last_id(s), 50);
	assert_int_equal(count_public(r), 25);
	store_reader_close(r);
	store_close(s);
	remove_tree((char *)(uintptr_t)v.dir);
}

static void kill_at_any_moment_keeps_what_was_told(void **state)
{
	struct victim v = { .dir = make_dir() };

	(void)state;
	for (int round = 0; round < 12; round++) {
		pid_t pid = start(write_for_ever, &v);
		uint64_t told = 0, id, last;
		struct store *s;
		char *cause = NULL;

		/* one sure sign of life, then anywhere */
		assert_int_equal(read(v.pipe[0], &told, sizeof(told)), sizeof(told));
		usleep((useconds_t)(round * 3000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		while (read(v.pipe[0], &id, sizeof(id)) == sizeof(id))
			told = id;
		close(v.pipe[0]);
		s = open_store(v.dir);
		last = store_last_id(s);
		/* all that was told, and at most the one batch committed after; whole batches, nothing missing in between */
		assert_true(last == told || last == told + 7);
		const int64_t to_everybody = (int64_t)last / 7 * 4;
		assert_int_equal(store_trim(s, to_everybody, 1000, NULL, NULL), 0);
		assert_int_equal(store_trim(s, to_everybody - 1, 1000, NULL, NULL), 1);
		put_one(s, text_msg(last + 1, 1, 0, ""));
		store_close(s);
		assert_int_equal(store_check(v.dir, &cause), 0);
		/* the next round counts from one again */
		s = open_store(v.dir);
		while (store_trim(s, 0, 1000, NULL, NULL) > 0)
			;
		store_close(s);
	}
	remove_tree((char *)(uintptr_t)v.dir);
}

/* --- Many threads. */

struct crowd {
	struct store *s;
	_Atomic uint64_t head; /* committed */
	_Atomic bool is_over;
	_Atomic int reads, most_ms;
};

static int check_order(void *arg, const struct msg *m)
{
	uint64_t *last = arg;

	if (m->id != *last + 1)
		return 1;
	*last = m->id;
	return 0;
}

/* Reads what is committed, in pages: no gap, nothing beyond the head it asked for. */
static void *read_along(void *arg)
{
	struct crowd *c = arg;
	struct store_reader *r = NULL;
	uint64_t at = 0;

	wc_thread_is(ROLE_HELPER, "reader");
	if (store_reader_open(c->s, &r) != 0)
		return (void *)"open";
	while (!c->is_over || at < c->head) {
		uint64_t head = c->head, want = WC_MIN(at + 100, head), last = at;
		int64_t start_ms = mono_ms();
		int n = store_read_since(r, 1, at, head, 100, check_order, &last);

		if (n < 0 || (uint64_t)n != want - at || last != want)
			return (void *)"a gap, or too much";
		at = want;
		c->reads++;
		c->most_ms = WC_MAX(c->most_ms, (int)(mono_ms() - start_ms));
		if (n == 0)
			usleep(200);
	}
	store_reader_close(r);
	return NULL;
}

static void *checkpoint_along(void *arg)
{
	struct crowd *c = arg;
	struct store_reader *r = NULL;

	wc_thread_is(ROLE_HELPER, "checkpoint");
	if (store_reader_open(c->s, &r) != 0)
		return (void *)"open";
	while (!c->is_over) {
		if (store_checkpoint(r) != 0)
			return (void *)"checkpoint";
		usleep(100 * 1000);
	}
	store_reader_close(r);
	return NULL;
}

/* Writes without a rest while three read and one checkpoints: for ms, and until the log has shrunk as often as asked. */
static void run_crowd(const char *dir, int64_t ms, uint64_t messages, int shrinks)
{
	struct crowd c = { .s = open_store(dir) };
	char *wal = dir ? in_dir(dir, STORE_FILE "-wal") : NULL;
	int64_t start_ms = mono_ms(), took_ms = 0;
	off_t most = 0, was = 0;
	pthread_t thread[4];
	struct stat st;
	uint64_t id = 1;
	int shrunk = 0;
	void *said;

	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, read_along, &c), 0);
	assert_int_equal(pthread_create(&thread[3], NULL, checkpoint_along, &c), 0);
	while (took_ms < ms || id <= messages || (shrunk < shrinks && took_ms < 60000)) {
		if (put_many(c.s, &id, 20) != 0)
			fail_msg("a batch was refused");
		c.head = id - 1;
		if (wal && stat(wal, &st) == 0) {
			shrunk += st.st_size < was;
			most = WC_MAX(most, st.st_size);
			was = st.st_size;
		}
		took_ms = mono_ms() - start_ms;
	}
	c.is_over = true;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &said), 0);
		if (said)
			fail_msg("%s", (char *)said);
	}
	print_message("%llu messages, %d pages read (longest %d ms), log at most %lld MB, shrunk %d times\n", (unsigned long long)id - 1,
	              c.reads, c.most_ms, (long long)most >> 20, shrunk);
	assert_true(c.reads > 30);
	assert_true(shrunk >= shrinks);
	store_close(c.s);
	free(wal);
}

/* With PASSIVE checkpoints alone, or with RESTART left to poll for the lock, this log only grows: the writer never rests, and the readers
 * are never all away. */
static void the_log_stays_bounded(void **state)
{
	char *dir = make_dir();

	(void)state;
	run_crowd(dir, 1000, 0, 2);
	remove_tree(dir);
}

static void memory_readers_and_writer_take_turns(void **state)
{
	(void)state;
	run_crowd(NULL, 0, 5000, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_anywhere_is_all_or_nothing),
		cmocka_unit_test(retention_fails_whole),
		cmocka_unit_test(a_file_that_may_not_grow_recovers),
		cmocka_unit_test(a_full_disk_recovers),
		cmocka_unit_test(memory_needs_no_filesystem),
		cmocka_unit_test(kill_loses_the_uncommitted_batch_alone),
		cmocka_unit_test(kill_at_any_moment_keeps_what_was_told),
		cmocka_unit_test(the_log_stays_bounded),
		cmocka_unit_test(memory_readers_and_writer_take_turns),
	};

	return cmocka_run_group_tests(tests, set_up_quiet, NULL);
}
