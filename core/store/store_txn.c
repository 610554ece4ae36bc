/* store_txn.c — the writer's transactions: begin, savepoints, commit, and what a failed step means for all that follow it.
 *
 * Owns the state of the writer's transaction in struct store, with the tally of messages. Knows no table. Thread: main until the room
 * runs, then the room. */
#include "base/logmsg.h"
#include "store/impl.h"

/* --- Steps. */

void store_test_fail_after(struct store *s, int nth, int rc)
{
	s->fail_after = nth;
	s->fail_rc = rc;
}

int store_step(struct store *s, enum writer_stmt which)
{
	if (s->fail_after > 0 && --s->fail_after == 0) {
		int primary = s->fail_rc & 0xff;

		/* On these SQLite may end the transaction by itself, and that is the harder case. */
		if ((primary == SQLITE_FULL || primary == SQLITE_IOERR || primary == SQLITE_NOMEM) && !sqlite3_get_autocommit(s->db))
			(void)store_exec(s->db, "ROLLBACK");
		return s->fail_rc;
	}
	return sqlite3_step(s->stmt[which]);
}

/* Would the next message fail as well? Not for want of memory, nor for a row that breaks a rule. */
static bool is_of_the_disk(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CANTOPEN:
	case SQLITE_BUSY:
	case SQLITE_PROTOCOL: return true;
	default: return false;
	}
}

bool store_is_failing(const struct store *s)
{
	return atomic_load_explicit(&s->is_failing, memory_order_relaxed);
}

int64_t store_rows(const struct store *s)
{
	const int64_t at_start = atomic_load(&s->rows_at_start);

	return at_start < 0 ? -1 : at_start + atomic_load(&s->rows_committed);
}

int store_failed(struct store *s, const char *what, int rc)
{
	int64_t now_ms = mono_ms();

	if (is_of_the_disk(rc))
		atomic_store_explicit(&s->is_failing, true, memory_order_relaxed);
	if (s->in_txn)
		s->is_poisoned = true;
	s->was_full |= store_is_full_code(rc, sqlite3_system_errno(s->db));
	if (s->logged_ms == 0 || now_ms - s->logged_ms >= 1000) {
		log_error("store", "step=%s error=\"%s\" code=%d errno=%d", what, sqlite3_errstr(rc), rc, sqlite3_system_errno(s->db));
		s->logged_ms = now_ms;
	}
	return -WC_ESTORAGE;
}

bool store_is_usable(struct store *s)
{
	if (s->in_txn && sqlite3_get_autocommit(s->db))
		s->is_poisoned = true;
	return !s->is_poisoned;
}

void store_done_with(struct store *s, enum writer_stmt which)
{
	sqlite3_reset(s->stmt[which]);
	sqlite3_clear_bindings(s->stmt[which]);
}

/* A statement that returns no rows. Returns an SQLite code, SQLITE_OK for done. */
int store_run(struct store *s, enum writer_stmt which, const struct binder *b)
{
	int rc = b && b->rc != SQLITE_OK ? b->rc : store_step(s, which);

	store_done_with(s, which);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* --- How much there is. */

/* About as much as a message takes in the database: its indices, too, and the rest of a page that is too small for another. */
static int64_t msg_bytes(const struct msg *m)
{
	const size_t n = 512 + m->from_name.len + (m->is_dm ? m->to_name.len : 0) + m->cid.len + m->text.len +
	                 (m->kind == MSG_FILE || m->kind == MSG_VOICE ? m->filename.len + m->waveform.len : 0);

	return (int64_t)(n <= STORE_PAGE_BYTES / 2 ? n : (n + STORE_PAGE_BYTES - 1) / STORE_PAGE_BYTES * STORE_PAGE_BYTES);
}

void store_tally_add(struct store *s, const struct msg *m, int n)
{
	const bool is_private = m->is_dm && m->to_id; /* a deletion that everybody is told of is to 0 */

	s->tally.rows[is_private] += n;
	if (s->is_memory)
		s->tally.bytes[is_private] += n * msg_bytes(m);
}

/* --- Transactions. */

int store_begin(struct store *s)
{
	int rc;

	WC_ASSERT(wc_role != ROLE_IO && wc_role != ROLE_HELPER && wc_role != ROLE_HTTP);
	WC_ASSERT(!s->in_txn);
	s->is_poisoned = s->was_full = false;
	if (!sqlite3_get_autocommit(s->db))
		(void)store_exec(s->db, "ROLLBACK"); /* a ROLLBACK that failed, of the batch before */
	if (turns_write_enter(&s->turns) != 0)
		return store_failed(s, "begin", SQLITE_BUSY);
	rc = store_run(s, W_BEGIN, NULL);
	if (rc != SQLITE_OK) {
		turns_write_leave(&s->turns);
		return store_failed(s, "begin", rc);
	}
	s->in_txn = true;
	s->tally_at_begin = s->tally_at_savepoint = s->tally;
	return 0;
}

static void end_txn(struct store *s)
{
	s->in_txn = false;
	s->is_poisoned = false;
	turns_write_leave(&s->turns);
}

int store_commit(struct store *s)
{
	int rc;

	WC_ASSERT(s->in_txn);
	if (!store_is_usable(s)) {
		store_rollback(s);
		return -WC_ESTORAGE;
	}
	rc = store_run(s, W_COMMIT, NULL);
	if (rc != SQLITE_OK) {
		store_failed(s, "commit", rc);
		store_rollback(s);
		return -WC_ESTORAGE;
	}
	atomic_store_explicit(&s->is_failing, false, memory_order_relaxed);
	atomic_store(&s->rows_committed, s->tally.rows[0] + s->tally.rows[1]);
	end_txn(s);
	return 0;
}

bool store_was_full(const struct store *s)
{
	return s->was_full;
}

void store_rollback(struct store *s)
{
	if (!s->in_txn)
		return;
	if (!sqlite3_get_autocommit(s->db)) {
		int rc = store_run(s, W_ROLLBACK, NULL);

		if (rc != SQLITE_OK)
			store_failed(s, "rollback", rc); /* the next store_begin tries again */
	}
	s->tally = s->tally_at_begin;
	end_txn(s);
}

int store_finish(struct store *s, int rc)
{
	if (rc >= 0)
		return store_commit(s);
	store_rollback(s);
	return rc;
}

int store_savepoint(struct store *s)
{
	int rc;

	WC_ASSERT(s->in_txn);
	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	rc = store_run(s, W_SAVEPOINT, NULL);
	if (rc != SQLITE_OK)
		return store_failed(s, "savepoint", rc);
	s->tally_at_savepoint = s->tally;
	return 0;
}

int store_release(struct store *s)
{
	int rc;

	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	rc = store_run(s, W_RELEASE, NULL);
	return rc == SQLITE_OK ? 0 : store_failed(s, "release", rc);
}

void store_rollback_to(struct store *s)
{
	int rc;

	/* Without a transaction there is no savepoint to go back to: the batch is lost, and store_commit will say so. */
	if (sqlite3_get_autocommit(s->db)) {
		s->is_poisoned = true;
		return;
	}
	rc = store_run(s, W_ROLLBACK_TO, NULL);
	if (rc == SQLITE_OK)
		rc = store_run(s, W_RELEASE, NULL);
	if (rc != SQLITE_OK) {
		store_failed(s, "rollback_to", rc);
		return;
	}
	s->tally = s->tally_at_savepoint;
	s->is_poisoned = false;
}

/* --- Within the caller's transaction, or in one of its own. */

int store_enter_slice(struct store *s, bool *is_own)
{
	*is_own = !s->in_txn;
	if (*is_own)
		return store_begin(s);
	return store_is_usable(s) ? 0 : -WC_ESTORAGE;
}

int store_leave_slice(struct store *s, bool is_own, const char *what, int rc, int count)
{
	int result = rc == SQLITE_OK ? 0 : store_failed(s, what, rc);

	if (is_own)
		result = store_finish(s, result);
	return result == 0 ? count : result;
}
