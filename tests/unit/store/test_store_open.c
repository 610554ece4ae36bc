/* test_store_open.c — starting: the directory, migrations, what is refused and what the one line says; and that no page needs a scan. */
#include <fcntl.h>
#include <sys/file.h>

#include "store_test.h"

/* --- Files of this test's making. */

static void sql(const char *path, const char *text)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t sql_int(const char *path, const char *text)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = NULL;
	int64_t value;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return value;
}

static char *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *bytes = malloc(64 << 20);

	assert_non_null(f);
	assert_non_null(bytes);
	*n = fread(bytes, 1, 64 << 20, f);
	fclose(f);
	return bytes;
}

static void write_at(const char *path, off_t at, const char *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

/* Refused, in one line that has all of these words. */
static void check_refused(const char *dir, const char *const *words)
{
	struct store *s = NULL;
	char *cause = NULL;

	assert_int_equal(store_open(&s, dir, DURABILITY_NORMAL, &cause), -WC_ESTORAGE);
	assert_null(s);
	assert_non_null(cause);
	assert_null(strchr(cause, '\n'));
	for (; *words; words++)
		if (!strstr(cause, *words))
			fail_msg("no \"%s\" in \"%s\"", *words, cause);
	free(cause);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void fill(const char *dir, int n)
{
	struct store *s = open_store(dir);

	assert_int_equal(store_begin(s), 0);
	for (int i = 1; i <= n; i++) {
		struct msg m = text_msg((uint64_t)i, 1, i % 3 ? 0 : 2, "");

		assert_int_equal(store_put_msg(s, &m), 0);
	}
	assert_int_equal(store_commit(s), 0);
	store_close(s);
}

/* --- The directory. */

static void makes_what_is_missing(void **state)
{
	char *dir = make_dir(), *data = in_dir(dir, "data"), *file = in_dir(data, STORE_FILE), *wal = in_dir(data, STORE_FILE "-wal");
	struct store *s;
	struct stat st;

	(void)state;
	umask(0);
	s = open_store(data);
	umask(022);
	assert_int_equal(stat(data, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	store_close(s);
	assert_int_equal(stat(wal, &st), -1); /* closing moved the log into the file */
	free(file);
	free(wal);
	free(data);
	remove_tree(dir);
}

static void only_one_server_a_directory(void **state)
{
	char *dir = make_dir();
	struct store *s = open_store(dir);

	(void)state;
	check_refused(dir, WORDS("in use by another wavechatd", dir, "--data"));
	store_close(s);
	store_close(open_store(dir));
	remove_tree(dir);
}

static int refused_as_nobody(void *arg)
{
	char *cause = NULL;
	struct store *s = NULL;

	if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
		return 98;
	if (store_open(&s, arg, DURABILITY_NORMAL, &cause) != -WC_ESTORAGE || !cause)
		return 1;
	return strstr(cause, "writable for user") && !strchr(cause, '\n') ? 0 : 2;
}

static void says_what_is_wrong_with_the_directory(void **state)
{
	char *dir = make_dir(), *file = in_dir(dir, "file"), *below = in_dir(dir, "file/data"), *deep = in_dir(dir, "no/data"),
	     *data = in_dir(dir, "data"), *inside = in_dir(dir, "closed/data"), *closed = in_dir(dir, "closed");

	(void)state;
	write_at(file, 0, "x", 1);
	check_refused(file, WORDS("not a directory", "--data"));
	check_refused(below, WORDS("is a file", "--data"));
	check_refused(deep, WORDS("parent directory does not exist", "--data"));
	/* not ours to write in, one level deeper, and with a database in it already */
	assert_int_equal(chmod(dir, 0755), 0);
	fill(data, 10);
	assert_int_equal(chmod(data, 0555), 0);
	assert_int_equal(mkdir(closed, 0555), 0);
	assert_int_equal(in_child(refused_as_nobody, data), 0);
	assert_int_equal(in_child(refused_as_nobody, inside), 0);
	assert_int_equal(chmod(data, 0755), 0);
	assert_int_equal(in_child(refused_as_nobody, data), geteuid() == 0 ? 0 : 1);
	free(file);
	free(below);
	free(deep);
	free(data);
	free(inside);
	free(closed);
	remove_tree(dir);
}

/* --- Files that are not what they should be. */

static void says_what_is_wrong_with_the_file(void **state)
{
	static const char noise[4096] = "This is not a database, it is a letter.";
	char *dir = make_dir(), *file = in_dir(dir, STORE_FILE), *cause = NULL;
	size_t n;
	char *bytes;

	(void)state;
	write_at(file, 0, noise, sizeof(noise));
	check_refused(dir, WORDS("damaged", "stop the server", "wavechatctl restore FILE", ".recover"));
	assert_int_equal(store_check(dir, &cause), -WC_ESTORAGE);
	assert_non_null(strstr(cause, "wavechatctl restore FILE"));

	/* cut short */
	remove(file);
	fill(dir, 5000);
	bytes = read_file(file, &n);
	assert_int_equal(truncate(file, (off_t)n / 2), 0);
	check_refused(dir, WORDS("damaged", "wavechatctl restore FILE"));
	assert_int_equal(truncate(file, 50), 0);
	check_refused(dir, WORDS("damaged", "wavechatctl restore FILE"));
	assert_int_equal(store_check(dir, &cause), -WC_ESTORAGE);

	/* whole again: it was only looked at */
	remove(file);
	write_at(file, 0, bytes, n);
	assert_int_equal(store_check(dir, &cause), 0);
	/* a page in the middle overwritten */
	for (size_t at = 4096 * 20; at < 4096 * 40; at += 4096)
		write_at(file, (off_t)at, noise, sizeof(noise));
	check_refused(dir, WORDS("damaged", "wavechatctl restore FILE"));
	assert_int_equal(store_check(dir, &cause), -WC_ESTORAGE);
	free(bytes);

	/* somebody else's */
	remove(file);
	sql(file, "CREATE TABLE notes (id INTEGER PRIMARY KEY); PRAGMA user_version=3; PRAGMA application_id=77");
	check_refused(dir, WORDS("another program", "--data"));
	remove(file);
	sql(file, "CREATE TABLE notes (id INTEGER PRIMARY KEY); PRAGMA user_version=3");
	check_refused(dir, WORDS("another program", "--data"));

	/* none, or an empty one from a start that was cut off: made anew */
	remove(file);
	assert_int_equal(store_check(dir, &cause), 0);
	write_at(file, 0, "", 0);
	assert_int_equal(store_check(dir, &cause), 0);
	store_close(open_store(dir));
	free(cause);
	free(file);
	remove_tree(dir);
}

static void a_copy_in_the_place_of_a_damaged_file_is_whole(void **state)
{
	char *dir = make_dir(), *file = in_dir(dir, STORE_FILE), *copy = in_dir(dir, "backup"), *wal = in_dir(dir, STORE_FILE "-wal"),
	     *shm = in_dir(dir, STORE_FILE "-shm"), *bytes;
	struct store_reader *r;
	struct store *s;
	char text[512];
	size_t n;

	(void)state;
	fill(dir, 300);
	snprintf(text, sizeof(text), "VACUUM INTO '%s'", copy);
	sql(file, text);
	write_at(file, 4096, "damage", 6);
	write_at(wal, 0, "stale", 5);
	remove(wal);
	remove(shm);
	bytes = read_file(copy, &n);
	assert_int_equal(truncate(file, 0), 0);
	write_at(file, 0, bytes, n);
	s = open_store(dir);
	r = open_reader(s);
	assert_int_equal(count_public(r), 200);
	put_one(s, text_msg(1000, 1, 0, ""));
	store_reader_close(r);
	store_close(s);
	/* what makes the database shrink is a property of the file, and came along */
	assert_int_equal(sql_int(file, "PRAGMA auto_vacuum"), 2);
	free(bytes);
	free(file);
	free(copy);
	free(wal);
	free(shm);
	remove_tree(dir);
}

/* --- Versions. */

static void a_newer_file_is_left_alone(void **state)
{
	char *dir = make_dir(), *file = in_dir(dir, STORE_FILE), *wal = in_dir(dir, STORE_FILE "-wal"),
	     *shm = in_dir(dir, STORE_FILE "-shm");
	char *before, *after, *log_before, *log_after, text[64];
	size_t n, m, log_n, log_m;
	struct stat was, is;
	sqlite3 *db = NULL;

	(void)state;
	fill(dir, 100);
	snprintf(text, sizeof(text), "PRAGMA user_version=%d", store_version + 1);
	sql(file, text);
	before = read_file(file, &n);
	assert_int_equal(stat(file, &was), 0);
	snprintf(text, sizeof(text), "schema %d", store_version + 1);
	check_refused(dir, WORDS("newer wavechatd", text, "--data"));
	after = read_file(file, &m);
	assert_int_equal(stat(file, &is), 0);
	assert_int_equal(n, m);
	assert_memory_equal(before, after, n);
	assert_true(was.st_mtim.tv_sec == is.st_mtim.tv_sec && was.st_mtim.tv_nsec == is.st_mtim.tv_nsec);
	assert_int_equal(access(wal, F_OK), -1);
	free(before);
	free(after);

	/* as a newer server that was killed leaves it: the version is in the log alone */
	snprintf(text, sizeof(text), "PRAGMA user_version=%d", store_version);
	sql(file, text);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	snprintf(text, sizeof(text), "PRAGMA journal_mode=WAL; PRAGMA user_version=%d", store_version + 1);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	before = read_file(file, &n);
	log_before = read_file(wal, &log_n);
	assert_true(log_n > 0);
	check_refused(dir, WORDS("newer wavechatd"));
	after = read_file(file, &m);
	log_after = read_file(wal, &log_m);
	assert_int_equal(n, m);
	assert_memory_equal(before, after, n);
	assert_int_equal(log_n, log_m);
	assert_memory_equal(log_before, log_after, log_n);
	free(before);
	free(after);
	free(log_before);
	free(log_after);
	free(file);
	free(wal);
	free(shm);
	remove_tree(dir);
}

static void migrations_are_whole_or_nothing(void **state)
{
	const char *list[16] = { NULL };
	const int n = store_version + 2;
	char *dir = make_dir(), *file = in_dir(dir, STORE_FILE), *cause = NULL, text[64];
	sqlite3 *db = NULL;

	(void)state;
	assert_true(n <= (int)WC_LEN(list));
	for (int i = 0; i < store_version; i++)
		list[i] = store_migrations[i];
	list[n - 2] = "ALTER TABLE messages ADD COLUMN edited INTEGER; CREATE TABLE bans (id INTEGER PRIMARY KEY)";
	list[n - 1] = "CREATE TABLE mutes (id INTEGER PRIMARY KEY); CREATE TABLE mutes (id INTEGER PRIMARY KEY)";
	fill(dir, 30); /* this version, with messages */
	assert_int_equal(sql_int(file, "PRAGMA user_version"), store_version);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	/* the last step is wrong: neither it nor the one before happened */
	assert_int_equal(store_migrate(db, list, n, file, &cause), -WC_ESTORAGE);
	assert_non_null(cause);
	assert_true(sqlite3_get_autocommit(db));
	assert_int_equal(sql_int(file, "PRAGMA user_version"), store_version);
	assert_int_equal(sql_int(file, "SELECT count(*) FROM sqlite_schema WHERE name IN ('bans', 'mutes')"), 0);
	list[n - 1] = "CREATE TABLE mutes (id INTEGER PRIMARY KEY)";
	assert_int_equal(store_migrate(db, list, n, file, &cause), 0);
	assert_int_equal(store_migrate(db, list, n, file, &cause), 0); /* again: nothing to do */
	sqlite3_close(db);
	assert_int_equal(sql_int(file, "PRAGMA user_version"), n);
	assert_int_equal(sql_int(file, "SELECT count(*) FROM sqlite_schema WHERE name IN ('bans', 'mutes')"), 2);
	assert_int_equal(sql_int(file, "SELECT count(*) FROM messages WHERE edited IS NULL"), 30);
	assert_int_equal(sql_int(file, "PRAGMA application_id"), STORE_APPLICATION_ID);
	snprintf(text, sizeof(text), "schema %d", n);
	check_refused(dir, WORDS("newer wavechatd", text)); /* by the server that knows two steps less */

	/* the same from nothing */
	remove(file);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(store_migrate(db, list, n, file, &cause), 0);
	sqlite3_close(db);
	assert_int_equal(sql_int(file, "SELECT count(*) FROM sqlite_schema WHERE name IN ('bans', 'mutes', 'messages')"), 3);
	free(cause);
	free(file);
	remove_tree(dir);
}

/* A released migration is history: whoever edits one breaks the files that have taken it. The sum is changed by adding a step, never
 * else. */
static void released_migrations_are_never_edited(void **state)
{
	static const uint64_t released[] = { 0x0c81b8b30a8a903aull, 0x82e13a4b472727c3ull, 0xfe8a1171f46a8e9dull, 0xbfff59fb0705ed00ull };

	(void)state;
	assert_int_equal(store_version, WC_LEN(released));
	for (int i = 0; i < store_version; i++) {
		uint64_t sum = 0xcbf29ce484222325ull; /* FNV-1a */

		for (const char *p = store_migrations[i]; *p; p++)
			sum = (sum ^ (uint8_t)*p) * 0x100000001b3ull;
		if (sum != released[i])
			fail_msg("migration %d was edited (0x%016llxull)", i + 1, (unsigned long long)sum);
	}
}

static int64_t pragma(sqlite3 *db, const char *name)
{
	sqlite3_stmt *stmt = NULL;
	char text[64];
	int64_t value;

	snprintf(text, sizeof(text), "PRAGMA %s", name);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	value = sqlite3_column_type(stmt, 0) == SQLITE_TEXT ? strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") == 0
	                                                    : sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

static void settings_are_as_promised(void **state)
{
	const enum durability kinds[] = { DURABILITY_NORMAL, DURABILITY_FULL };
	char *dir = make_dir(), *cause = NULL;
	struct store *s = NULL;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(store_open(&s, dir, kinds[i], &cause), 0);
		assert_int_equal(pragma(s->db, "synchronous"), kinds[i] == DURABILITY_FULL ? 2 : 1);
		assert_int_equal(pragma(s->db, "journal_mode"), 1);
		assert_int_equal(pragma(s->db, "foreign_keys"), 1);
		assert_int_equal(pragma(s->db, "auto_vacuum"), 2);
		assert_int_equal(pragma(s->db, "mmap_size"), 0);
		assert_int_equal(pragma(s->db, "wal_autocheckpoint"), 0);
		assert_int_equal(pragma(s->db, "page_size"), STORE_PAGE_BYTES);
		store_close(s);
	}
	assert_non_null(store_sqlite_version());
	remove_tree(dir);
}

/* --- What the pages cost. */

static void check_plan(sqlite3 *db, const char *text, bool may_scan, bool may_sort)
{
	sqlite3_stmt *stmt = NULL;
	char *explain = NULL;

	assert_true(asprintf(&explain, "EXPLAIN QUERY PLAN %s", text) > 0);
	if (sqlite3_prepare_v2(db, explain, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		const char *detail = (const char *)sqlite3_column_text(stmt, 3);

		if ((!may_sort && strstr(detail, "TEMP B-TREE")) ||
		    (!may_scan && strncmp(detail, "SCAN", 4) == 0 && strcmp(detail, "SCAN (subquery-1)") != 0))
			fail_msg("%s\n    %s", text, detail);
	}
	sqlite3_finalize(stmt);
	free(explain);
}

static void no_page_scans_or_sorts(void **state)
{
	char *dir = make_dir();
	struct store *s = open_store(dir);

	(void)state;
	for (int i = R_PEERS; i < R_LAST; i++)
		check_plan(s->db, store_reader_sql[i], false, false);
	for (int i = W_PUT_MSG; i < W_LAST; i++)
		/* those that are meant to go through all, in the order of a key or from one end of it */
		check_plan(s->db, store_writer_sql[i],
		           i == W_EACH_IDENTITY || i == W_EACH_TOKEN || i == W_COUNT_ROWS || i == W_OLDEST || i == W_OLDEST_FILE,
		           i == W_EACH_TOKEN /* once, at start */);
	store_close(s);
	remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_what_is_missing),
		cmocka_unit_test(only_one_server_a_directory),
		cmocka_unit_test(says_what_is_wrong_with_the_directory),
		cmocka_unit_test(says_what_is_wrong_with_the_file),
		cmocka_unit_test(a_copy_in_the_place_of_a_damaged_file_is_whole),
		cmocka_unit_test(a_newer_file_is_left_alone),
		cmocka_unit_test(migrations_are_whole_or_nothing),
		cmocka_unit_test(released_migrations_are_never_edited),
		cmocka_unit_test(settings_are_as_promised),
		cmocka_unit_test(no_page_scans_or_sorts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
