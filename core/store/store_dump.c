/* store_dump.c — reads of any size for the admin: dumps of history, the audit, and online copies (see store_admin.h). One person's
 * messages, and addresses, are store_dump_people.c.
 *
 * Owns a connection of its own. Never writes to the database but for a copy it was asked to make, elsewhere. Thread: one owner per dump,
 * never the room's or an I/O thread.
 *
 * A page is one short read: a reader that stayed in the log for minutes would keep the log from starting over. Only a copy has to, for it
 * must be of one moment. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "store/impl.h"
#include "store/store_admin.h"

#define COPY_STEP_PAGES 256
#define CHECK_STEPS 100000 /* of SQLite's machine, some ms, between two looks whether the copy is still wanted */
/* Between two runs of the server the clock may have been set back: ids rise, times nearly do. Bounds of time are searched with this much to
 * spare. */
#define CLOCK_SLACK_MS (24 * 3600 * 1000LL)

static int failed(const struct store_dump *d, const char *what, int rc)
{
	log_error("store", "step=%s error=\"%s\" code=%d", what, sqlite3_errstr(rc), d->db ? sqlite3_extended_errcode(d->db) : rc);
	return -WC_ESTORAGE;
}

int store_dump_open(struct store *s, struct store_dump **out)
{
	struct store_dump *d = xcalloc(1, sizeof(*d));
	int rc;

	*out = NULL;
	d->store = s;
	rc = store_connect(s->path, SQLITE_OPEN_READWRITE | (s->is_memory ? SQLITE_OPEN_URI : 0), &d->db);
	if (rc == SQLITE_OK)
		rc = store_exec(d->db, "PRAGMA cache_size=-1024; PRAGMA query_only=ON");
	if (rc != SQLITE_OK) {
		failed(d, "open_dump", rc);
		store_dump_close(d);
		return -WC_ESTORAGE;
	}
	*out = d;
	return 0;
}

void store_dump_close(struct store_dump *d)
{
	if (!d)
		return;
	sqlite3_close(d->db);
	free(d);
}

int store_dump_enter(struct store_dump *d)
{
	int rc;

	if (d->store->is_memory)
		turns_read_enter(&d->store->turns);
	rc = store_exec(d->db, "BEGIN");
	if (rc != SQLITE_OK && d->store->is_memory)
		turns_read_leave(&d->store->turns);
	return rc;
}

void store_dump_leave(struct store_dump *d)
{
	if (!sqlite3_get_autocommit(d->db))
		(void)store_exec(d->db, "COMMIT");
	if (d->store->is_memory)
		turns_read_leave(&d->store->turns);
}

static int prepare(struct store_dump *d, const char *sql, sqlite3_stmt **stmt)
{
	return sqlite3_prepare_v2(d->db, sql, -1, stmt, NULL);
}

/* --- History. */

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_same_folded(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fold(a[i]) != fold(b[i]))
			return false;
	return true;
}

static bool contains(struct str s, struct str what)
{
	for (size_t i = 0; i + what.len <= s.len; i++)
		if (fold(s.p[i]) == fold(what.p[0]) && is_same_folded(s.p + i, what.p, what.len))
			return true;
	return false;
}

static bool is_wanted(const struct dump_filter *f, const struct msg *m)
{
	if ((f->since_ms && m->at_ms < f->since_ms) || (f->until_ms && m->at_ms >= f->until_ms))
		return false;
	if (f->user_id && m->from_id != f->user_id)
		return false;
	if (f->user_name.len && !(m->from_name.len == f->user_name.len && is_same_folded(m->from_name.p, f->user_name.p, f->user_name.len)))
		return false;
	return !f->grep.len || contains(m->text, f->grep) || contains(m->filename, f->grep);
}

static int one_int(struct store_dump *d, const char *sql, uint64_t arg, int64_t *out)
{
	sqlite3_stmt *stmt = NULL;
	int rc = prepare(d, sql, &stmt);

	*out = 0;
	if (rc == SQLITE_OK && sqlite3_bind_parameter_count(stmt) > 0)
		rc = sqlite3_bind_int64(stmt, 1, (int64_t)arg);
	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		*out = sqlite3_column_int64(stmt, 0);
		rc = SQLITE_OK;
	} else if (rc == SQLITE_DONE) {
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* The highest id all of whose predecessors are older than at_ms, found by halves: ids and times rise together. */
int store_dump_skip_older(struct store_dump *d, int64_t at_ms, uint64_t *after)
{
	int64_t high, at;
	uint64_t low = *after, mid;
	int rc;

	if (at_ms <= CLOCK_SLACK_MS)
		return SQLITE_OK;
	at_ms -= CLOCK_SLACK_MS;
	rc = one_int(d, "SELECT max(id) FROM messages", 0, &high);
	while (rc == SQLITE_OK && low < (uint64_t)high) {
		mid = low + ((uint64_t)high - low) / 2;
		rc = one_int(d, "SELECT at FROM messages WHERE id > ? ORDER BY id LIMIT 1", mid, &at);
		if (at < at_ms)
			low = mid + 1;
		else
			high = (int64_t)mid;
	}
	if (rc == SQLITE_OK)
		*after = low;
	return rc;
}

#define PAIR " m.to_id IS NOT NULL AND min(m.from_id, m.to_id) = ?2 AND max(m.from_id, m.to_id) = ?3 "
#define NOT_PAIR " AND ?2 IS NOT 0 AND ?3 IS NOT 0 " /* the same parameters in every statement */

static const char *page_sql(const struct dump_filter *f)
{
	if (f->files_only)
		return f->is_dm ? "SELECT " MSG_COLUMNS MSG_FROM(
					  "INDEXED BY messages_pair") "WHERE" PAIR
		                                                      "AND f.msg_id IS NOT NULL AND m.id > ?1 ORDER BY m.id LIMIT ?4"
		                : "SELECT " MSG_COLUMNS " FROM files f JOIN messages m ON m.id = f.msg_id"
		                  " WHERE f.msg_id > ?1 AND m.to_id IS NULL" NOT_PAIR "ORDER BY f.msg_id LIMIT ?4";
	return f->is_dm ? "SELECT " MSG_COLUMNS MSG_FROM("INDEXED BY messages_pair") "WHERE" PAIR "AND m.id > ?1 ORDER BY m.id LIMIT ?4"
	                : "SELECT " MSG_COLUMNS MSG_FROM("INDEXED BY messages_public") "WHERE m.to_id IS NULL AND m.id > ?1" NOT_PAIR
	                                                                               "ORDER BY m.id LIMIT ?4";
}

static void bind_page(struct binder *b, const struct dump_filter *f, uint64_t after)
{
	bind_int(b, (int64_t)WC_MIN(after, (uint64_t)INT64_MAX));
	bind_int(b, f->is_dm ? (int64_t)WC_MIN(f->a, f->b) : 1);
	bind_int(b, f->is_dm ? (int64_t)WC_MAX(f->a, f->b) : 1);
	bind_int(b, f->scan_limit);
}

int store_dump_page(struct store_dump *d, const struct dump_filter *f, store_msg_fn fn, void *arg, uint64_t *upto, bool *more)
{
	uint64_t after = f->after, last = f->after;
	int scanned = 0, count = 0, rc = store_dump_enter(d);
	bool is_over = false, is_full = false;
	sqlite3_stmt *stmt = NULL;
	struct binder b;

	*upto = last;
	*more = false;
	if (rc != SQLITE_OK)
		return failed(d, "dump_page", rc);
	rc = store_dump_skip_older(d, f->since_ms, &after);
	if (rc == SQLITE_OK)
		rc = prepare(d, page_sql(f), &stmt);
	if (rc == SQLITE_OK) {
		b = bind_to(stmt);
		bind_page(&b, f, after);
		rc = b.rc;
	}
	while (rc == SQLITE_OK && !is_over && !is_full && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct msg m;

		rc = SQLITE_OK;
		store_row_msg(stmt, &m);
		last = m.id;
		scanned++;
		is_over = f->until_ms && m.at_ms >= f->until_ms + CLOCK_SLACK_MS;
		if (is_over || !is_wanted(f, &m))
			continue;
		is_full = fn(arg, &m) != 0 || ++count == f->limit;
	}
	sqlite3_finalize(stmt);
	store_dump_leave(d);
	if (rc != SQLITE_OK && rc != SQLITE_DONE)
		return failed(d, "dump_page", rc);
	*upto = last;
	*more = !is_over && (is_full || scanned == f->scan_limit);
	return count;
}

int store_dump_last(struct store_dump *d, const struct dump_filter *f, int n, uint64_t *after)
{
	static const char public_sql[] = "SELECT min(id) FROM (SELECT m.id FROM messages m INDEXED BY messages_public"
					 " WHERE m.to_id IS NULL AND m.id > ?1" NOT_PAIR "ORDER BY m.id DESC LIMIT ?4)";
	static const char pair_sql[] = "SELECT min(id) FROM (SELECT m.id FROM messages m INDEXED BY messages_pair WHERE" PAIR
				       "AND m.id > ?1 ORDER BY m.id DESC LIMIT ?4)";
	struct dump_filter range = *f;
	sqlite3_stmt *stmt = NULL;
	struct binder b;
	int rc = store_dump_enter(d);

	if (rc != SQLITE_OK)
		return failed(d, "dump_last", rc);
	range.scan_limit = n;
	rc = prepare(d, f->is_dm ? pair_sql : public_sql, &stmt);
	if (rc == SQLITE_OK) {
		b = bind_to(stmt);
		bind_page(&b, &range, f->after);
		rc = b.rc;
	}
	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (sqlite3_column_type(stmt, 0) != SQLITE_NULL)
			*after = (uint64_t)sqlite3_column_int64(stmt, 0) - 1;
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	store_dump_leave(d);
	return rc == SQLITE_OK ? 0 : failed(d, "dump_last", rc);
}

/* --- The audit. */

int store_dump_audit(struct store_dump *d, uint64_t after, int last, int limit, store_audit_fn fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int count = 0, rc = store_dump_enter(d);

	if (rc != SQLITE_OK)
		return failed(d, "dump_audit", rc);
	rc = prepare(
		d,
		"SELECT id, at, uid, pid, verb, args, reason, via FROM audit WHERE id > max(?1, (SELECT coalesce(max(id), 0) FROM audit) - ?2)"
		" ORDER BY id LIMIT ?3",
		&stmt);
	if (rc == SQLITE_OK) {
		struct binder b = bind_to(stmt);

		bind_int(&b, (int64_t)after);
		bind_int(&b, last > 0 ? last : INT64_MAX);
		bind_int(&b, limit);
		rc = b.rc;
	}
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const struct audit a = {
			.id = (uint64_t)sqlite3_column_int64(stmt, 0),
			.at_ms = sqlite3_column_int64(stmt, 1),
			.uid = (uint32_t)sqlite3_column_int64(stmt, 2),
			.pid = (int32_t)sqlite3_column_int64(stmt, 3),
			.verb = store_column_str(stmt, 4),
			.args = store_column_str(stmt, 5),
			.reason = store_column_str(stmt, 6),
			.via = store_column_str(stmt, 7),
		};

		rc = SQLITE_OK;
		count++;
		if (fn(arg, &a))
			break;
	}
	sqlite3_finalize(stmt);
	store_dump_leave(d);
	return rc == SQLITE_OK || rc == SQLITE_DONE ? count : failed(d, "dump_audit", rc);
}

/* --- Copies. */

/* Asks now and then, while the copy is checked, whether it is still wanted. */
struct check {
	store_progress_fn progress;
	void *arg;
	uint64_t bytes;
};

static int on_check(void *arg)
{
	const struct check *c = arg;

	return c->progress(c->arg, c->bytes, c->bytes);
}

/* *cause gets what is wrong, if anything. */
static int check_copy(sqlite3 *db, struct check *check, char **cause)
{
	char what[160];
	int rc, result = -WC_ESTORAGE;

	if (check->progress)
		sqlite3_progress_handler(db, CHECK_STEPS, on_check, check);
	rc = store_quick_check(db, what, sizeof(what));
	if (rc == SQLITE_OK) {
		result = 0;
	} else if ((rc & 0xff) == SQLITE_INTERRUPT) {
		wc_cause(cause, "ended before it was done");
		result = -WC_ECLOSED;
	} else {
		wc_cause(cause, "the copy is not sound (%s): the database itself may be damaged; stop the server and run wavechatd --check",
		         what[0] ? "quick_check" : sqlite3_errmsg(db));
	}
	sqlite3_progress_handler(db, 0, NULL, NULL);
	return result;
}

/* Made before SQLite opens it, which would give it the mode of any new file: it holds private talk. */
static int make_private(const char *path)
{
	int fd;

	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : -WC_ESTORAGE;
}

static int copy_pages(struct store_dump *d, sqlite3 *to, store_progress_fn progress, void *arg, char **cause)
{
	sqlite3_backup *b = sqlite3_backup_init(to, "main", d->db, "main");
	int rc = b ? SQLITE_OK : sqlite3_errcode(to);
	bool is_ended = false;

	while (b && !is_ended && (rc = sqlite3_backup_step(b, COPY_STEP_PAGES)) == SQLITE_OK) {
		int total = sqlite3_backup_pagecount(b);

		is_ended = progress && progress(arg, (uint64_t)(total - sqlite3_backup_remaining(b)) * STORE_PAGE_BYTES,
		                                (uint64_t)total * STORE_PAGE_BYTES);
	}
	if (b)
		sqlite3_backup_finish(b);
	if (is_ended) {
		wc_cause(cause, "ended before it was done");
		return -WC_ECLOSED;
	}
	if (rc == SQLITE_DONE)
		return 0;
	wc_cause(cause, "cannot copy the database: %s%s", sqlite3_errstr(rc),
	         (rc & 0xff) == SQLITE_FULL ? ": the data directory's disk has no room for a second one" : "");
	return -WC_ESTORAGE;
}

int store_copy(struct store_dump *d, const char *path, store_progress_fn progress, void *arg, char **cause)
{
	sqlite3 *to = NULL;
	uint64_t bytes = 0;
	int64_t pages = 0;
	int rc, result = -WC_ESTORAGE;

	if (d->store->is_memory) {
		wc_cause(cause, "the server keeps nothing (--data :memory:), so there is nothing to back up");
		return -WC_EDENIED;
	}
	if (make_private(path) < 0) {
		wc_cause(cause, "cannot make a copy at %s: %s", path, strerror(errno));
		return -WC_ESTORAGE;
	}
	rc = store_connect(path, SQLITE_OPEN_READWRITE, &to);
	/* Nobody reads the copy before it is whole: its journal would only cost time. */
	if (rc == SQLITE_OK)
		rc = store_exec(to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF");
	/* The read that begins here stays open, so that every step copies from the same moment, whatever is written meanwhile. */
	if (rc == SQLITE_OK)
		rc = store_dump_enter(d);
	if (rc != SQLITE_OK) {
		wc_cause(cause, "cannot make a copy at %s: %s", path, sqlite3_errstr(rc));
		goto out;
	}
	rc = one_int(d, "SELECT count(*) FROM meta", 0, &pages);
	if (rc == SQLITE_OK)
		rc = one_int(d, "PRAGMA page_count", 0, &pages);
	bytes = (uint64_t)pages * STORE_PAGE_BYTES;
	result = rc == SQLITE_OK ? copy_pages(d, to, progress, arg, cause) : -WC_ESTORAGE;
	store_dump_leave(d);
	if (result == 0) /* one file by itself, also for the next program that opens it */
		(void)store_exec(to, "PRAGMA journal_mode=DELETE");
	if (result == 0)
		result = check_copy(to, &(struct check){ progress, arg, bytes }, cause);
out:
	sqlite3_close(to);
	if (result)
		(void)unlink(path);
	return result;
}

int store_copy_blobs(const char *path, const uint8_t *after, int limit, store_blob_fn fn, void *arg)
{
	sqlite3 *db = NULL;
	int count = store_connect(path, SQLITE_OPEN_READONLY, &db) == SQLITE_OK ? store_each_blob(db, after, limit, fn, arg) : -WC_ESTORAGE;

	sqlite3_close(db);
	return count;
}
