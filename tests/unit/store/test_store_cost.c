/* test_store_cost.c — a page costs what it holds, whatever else is stored. The test counts SQLite's own steps, which no load on the machine
 * changes; `test_store_cost bench [ROWS]` measures time: insertion, and pages among 200 and ROWS messages in turn. */
#include <pthread.h>
#include <stdatomic.h>

#include "store_test.h"

enum { ME = 3, PEER = 4, PEOPLE = 50 };

/* A cid that begins with the time keeps one sender's entries together in the index; random ones touch another page each. */
static bool is_cid_random;

/* Every 10th message a DM, every 20th of those between ME and PEER; every 7th a file; a cid each. */
static struct msg nth_msg(uint64_t id, char cid[40], const char *text, size_t text_len)
{
	uint64_t noise = id * 0x9E3779B97F4A7C15ull;
	bool is_dm = id % 10 == 0;
	uint64_t from = id % 200 == 0 ? ME : 1 + id * 2654435761u % PEOPLE, to = id % 200 == 0 ? PEER : 1 + id * 40503u % PEOPLE;
	struct msg m = id % 7 ? text_msg(id, from, is_dm ? to : 0, "") : file_msg(id, from, is_dm ? to : 0, (uint8_t)id, 1000);

	snprintf(cid, 40, "%016llx-%016llx", (unsigned long long)(is_cid_random ? noise : id),
	         (unsigned long long)(is_cid_random ? id : noise));
	m.cid = s_of(cid);
	if (m.kind == MSG_TEXT)
		m.text = (struct str){ text, text_len };
	return m;
}

static void fill(struct store *s, uint64_t rows, int batch)
{
	static const char text[200] = "The quick brown fox jumps over the lazy dog. ";
	char cid[40];

	for (uint64_t id = store_last_id(s) + 1, last = id + rows; id < last;) {
		assert_int_equal(store_begin(s), 0);
		for (int i = 0; i < batch && id < last; i++, id++) {
			struct msg m = nth_msg(id, cid, text, sizeof(text));

			assert_int_equal(store_savepoint(s), 0);
			assert_int_equal(store_put_msg(s, &m), 0);
			assert_int_equal(store_release(s), 0);
		}
		assert_int_equal(store_commit(s), 0);
	}
}

/* --- Counted. */

static int64_t steps(sqlite3 *db, const char *text, const int64_t *parameters, int n)
{
	sqlite3_stmt *stmt = NULL;
	int64_t count;
	int rc;

	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_bind_parameter_count(stmt), n);
	for (int i = 0; i < n; i++)
		sqlite3_bind_int64(stmt, i + 1, parameters[i]);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		;
	assert_int_equal(rc, SQLITE_DONE);
	count = sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 0);
	sqlite3_finalize(stmt);
	return count;
}

static void pages_cost_what_they_hold(void **state)
{
	char *dir = make_dir();
	struct store *s = open_store(dir);
	int64_t before[R_LAST] = { 0 };

	(void)state;
	for (int round = 0; round < 2; round++) {
		int64_t head, since;

		fill(s, round ? 60000 : 6000, 1000);
		head = (int64_t)store_last_id(s);
		since = head / 2;
		struct {
			enum reader_stmt which;
			int64_t parameters[5];
			int n;
		} page[] = {
			{ R_SINCE_PUBLIC, { since, head, 20 }, 3 }, { R_SINCE_FROM, { since, head, 5, ME }, 4 },
			{ R_SINCE_TO, { since, head, 5, ME }, 4 },  { R_BACK_PUBLIC, { head, 20 }, 2 },
			{ R_BACK_PAIR, { ME, PEER, head, 10 }, 4 }, { R_PEERS, { ME, 5 }, 2 },
		};

		for (size_t i = 0; i < WC_LEN(page); i++) {
			int64_t now = steps(s->db, store_reader_sql[page[i].which], page[i].parameters, page[i].n),
				was = before[page[i].which];

			assert_true(now > 20);
			if (round && (now > was * 12 / 10 || now < was * 8 / 10))
				fail_msg("%s: %lld steps, with ten times the rows %lld", store_reader_sql[page[i].which], (long long)was,
				         (long long)now);
			before[page[i].which] = now;
		}
	}
	store_close(s);
	remove_tree(dir);
}

/* --- Timed. */

static int read_it(void *arg, const struct msg *m)
{
	*(uint64_t *)arg += m->id + m->text.len + m->filename.len;
	return 0;
}

static int compare_us(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void read_page(struct store_reader *r, int kind, uint64_t head, uint64_t at, uint64_t *sum)
{
	int n = -1;

	if (kind == 0)
		n = store_read_history(r, false, 0, 0, 0, 100, read_it, sum);
	else if (kind == 1)
		n = store_read_history(r, false, 0, 0, at + 101, 50, read_it, sum);
	else if (kind == 2)
		n = store_read_since(r, ME, at, UINT64_MAX, 50, read_it, sum);
	else if (kind == 3)
		n = store_read_since(r, ME, head - 100, UINT64_MAX, 1000, read_it, sum);
	assert_true(n >= 40);
}

/* Both stores in turn, so that what else the machine does meets both. Medians. */
static void time_pages(struct store *const s[2])
{
	static const char *const name[] = { "the last 100 public", "50 public before any", "50 since any", "all since the last 100" };
	enum { ROUNDS = 1001 };
	static int64_t us[2][ROUNDS];
	struct store_reader *r[2] = { open_reader(s[0]), open_reader(s[1]) };
	uint64_t head[2] = { store_last_id(s[0]), store_last_id(s[1]) }, sum = 0;
	unsigned seed = 1;

	for (int kind = 0; kind < 4; kind++) {
		for (int i = 0; i < ROUNDS; i++) {
			for (int k = 0; k < 2; k++) {
				uint64_t at = 1 + (uint64_t)rand_r(&seed) % (head[k] - 101);
				int64_t start = mono_us();

				for (int j = 0; j < 10; j++)
					read_page(r[k], kind, head[k], at, &sum);
				us[k][i] = mono_us() - start;
			}
		}
		for (int k = 0; k < 2; k++)
			qsort(us[k], ROUNDS, sizeof(us[k][0]), compare_us);
		printf("  %-24s %6.1f us of %llu, %6.1f us of %llu: %.2f\n", name[kind], (double)us[0][ROUNDS / 2] / 10,
		       (unsigned long long)head[0], (double)us[1][ROUNDS / 2] / 10, (unsigned long long)head[1],
		       (double)us[1][ROUNDS / 2] / (double)us[0][ROUNDS / 2]);
	}
	store_reader_close(r[0]);
	store_reader_close(r[1]);
}

struct checkpointer {
	struct store *s;
	_Atomic bool is_over;
};

static void *checkpoint_along(void *arg)
{
	struct checkpointer *c = arg;
	struct store_reader *r = open_reader(c->s);

	while (!c->is_over) {
		usleep(250 * 1000);
		assert_int_equal(store_checkpoint(r), 0);
	}
	store_reader_close(r);
	return NULL;
}

static double timed_fill(struct store *s, uint64_t rows, int batch)
{
	struct checkpointer c = { .s = s };
	int64_t start = mono_us(), took;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, checkpoint_along, &c), 0);
	fill(s, rows, batch);
	took = mono_us() - start;
	c.is_over = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	return (double)rows * 1e6 / (double)took;
}

static void time_inserts(const char *dir, enum durability durability, int batch)
{
	char *sub = in_dir(dir, "insert"), *cause = NULL;
	struct store *s = NULL;
	uint64_t rows = WC_MIN(100000u, (durability == DURABILITY_FULL ? 1000u : 10000u) * (uint64_t)batch);

	assert_int_equal(store_open(&s, sub, durability, &cause), 0);
	printf("  %-6s cids %-7s batches of %4d: %8.0f messages/s\n", durability == DURABILITY_FULL ? "full" : "normal",
	       is_cid_random ? "random" : "by time", batch, timed_fill(s, rows, batch));
	store_close(s);
	remove_tree(sub);
}

static int bench(uint64_t rows)
{
	char *dir = make_dir(), *sub[2] = { in_dir(dir, "few"), in_dir(dir, "many") };
	struct store *s[2];
	int64_t start;

	for (int full = 0; full < 2; full++) {
		for (int random = 0; random < 2; random++) {
			is_cid_random = random;
			for (int batch = 1; batch <= 1000; batch *= 10)
				time_inserts(dir, full ? DURABILITY_FULL : DURABILITY_NORMAL, batch);
		}
	}
	is_cid_random = true;
	for (int i = 0; i < 2; i++)
		s[i] = open_store(sub[i]);
	fill(s[0], 200, 100);
	printf("  %llu messages stored at %.0f/s\n", (unsigned long long)rows, timed_fill(s[1], rows, 1000));
	time_pages(s);
	store_close(s[1]);
	start = mono_us();
	s[1] = open_store(sub[1]);
	printf("  opened again in %.1f ms\n", (double)(mono_us() - start) / 1000);
	for (int i = 0; i < 2; i++) {
		store_close(s[i]);
		remove_tree(sub[i]);
	}
	remove_tree(dir);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_cost_what_they_hold),
	};

	if (argc > 1 && strcmp(argv[1], "bench") == 0)
		return bench(argc > 2 ? strtoull(argv[2], NULL, 10) : 2000000);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
