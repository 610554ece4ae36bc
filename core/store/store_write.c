/* store_write.c — the writer: transactions, messages, identities, retention.
 *
 * Owns the writer's prepared statements and the state of its transaction. Never publishes anything and never touches a blob. Thread: main
 * until the room runs, then the room; store_read.c is everybody else's.
 *
 * The order of ids is the order of everything: retention takes the lowest ids first, so what is missing is always a prefix, and one
 * number (`floor`) says how far it reaches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/logmsg.h"
#include "store/impl.h"

#define FLOOR "floor" /* in meta: see store_floor */

/* --- The writer's statements. */

/* clang-format off */
const char *const store_writer_sql[W_LAST] = {
	[W_BEGIN] = "BEGIN IMMEDIATE",
	[W_COMMIT] = "COMMIT",
	[W_ROLLBACK] = "ROLLBACK",
	[W_SAVEPOINT] = "SAVEPOINT event",
	[W_RELEASE] = "RELEASE event",
	[W_ROLLBACK_TO] = "ROLLBACK TO event",
	[W_PUT_MSG] = "INSERT INTO messages (id, at, kind, flags, from_id, from_name, to_id, to_name, cid, text) VALUES (?,?,?,?,?,?,?,?,?,?)",
	[W_PUT_FILE] = "INSERT INTO files (msg_id, secret, sha, is_live, size, filename, mime, duration, width, height, waveform)"
	               " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
	[W_PUT_PEER] = "INSERT INTO dm_peers (owner_id, peer_id, peer_name, last_id) VALUES (?,?,?,?)"
	               " ON CONFLICT (owner_id, peer_id) DO UPDATE SET peer_name = excluded.peer_name, last_id = excluded.last_id",
	[W_FIND_CID] = "SELECT " MSG_COLUMNS MSG_FROM("INDEXED BY messages_cid") "WHERE m.cid IS NOT NULL AND m.from_id = ? AND m.cid = ?",
	[W_PUT_IDENTITY] = "INSERT INTO identities (id, name, key, created, seen) VALUES (?,?,?,?,?)"
	                   " ON CONFLICT (id) DO UPDATE SET name = excluded.name, key = excluded.key, seen = excluded.seen",
	[W_PUT_TOKEN] = "INSERT INTO tokens (identity_id, hash, created) VALUES (?,?,?)",
	[W_ADMIT_TOKEN] = "UPDATE tokens SET created = ?2 WHERE hash = ?1",
	[W_TOUCH] = "UPDATE identities SET seen = ?2 WHERE id = ?1",
	[W_DROP_IDENTITY] = "DELETE FROM identities WHERE id = ?",
	[W_GET_META] = "SELECT value FROM meta WHERE name = ?",
	[W_SET_META] = "INSERT INTO meta (name, value) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
	[W_LAST_ID] = "SELECT max(id) FROM messages",
	[W_OLDEST] = "SELECT " MSG_COLUMNS MSG_FROM("") "ORDER BY m.id LIMIT 1",
	[W_DELETE_FILE] = "DELETE FROM files WHERE msg_id = ?",
	[W_DELETE_MSG] = "DELETE FROM messages WHERE id = ?",
	[W_DELETE_PEER] = "DELETE FROM dm_peers WHERE owner_id = ? AND peer_id = ? AND last_id <= ?",
	[W_COUNT_ROWS] = "SELECT count(*) FROM messages",
	[W_OLDEST_FILE] = "SELECT " MSG_COLUMNS " FROM files f INDEXED BY files_live JOIN messages m ON m.id = f.msg_id"
	                  " WHERE f.is_live = 1 ORDER BY f.msg_id LIMIT 1",
	[W_FILE_GONE] = "UPDATE files SET is_live = 0 WHERE msg_id = ?",
	[W_MSG_GONE] = "UPDATE messages SET flags = flags | ?2 WHERE id = ?1",
	[W_FORGET_RELEASED] = "DELETE FROM released WHERE id = ?",
	[W_EACH_IDENTITY] = "SELECT id, name, key, created, seen, EXISTS (SELECT 1 FROM dm_peers WHERE owner_id = identities.id)"
	                    " FROM identities ORDER BY id",
	[W_EACH_TOKEN] = "SELECT identity_id, hash, created FROM tokens",
	[W_TAIL_LOW] = "SELECT min(id) FROM (SELECT m.id FROM messages m INDEXED BY messages_public WHERE m.to_id IS NULL"
	               " ORDER BY m.id DESC LIMIT ?)",
	[W_TAIL] = "SELECT " MSG_COLUMNS MSG_FROM("INDEXED BY messages_public") "WHERE m.to_id IS NULL AND m.id >= ? ORDER BY m.id",
};
/* clang-format on */

/* --- Steps of the writer. */

void store_test_fail_after(struct store *s, int nth, int rc)
{
	s->fail_after = nth;
	s->fail_rc = rc;
}

static int step(struct store *s, enum writer_stmt which)
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

/* Not for want of memory, not for a row that breaks a rule: the next message would fail as well. */
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

static int failed(struct store *s, const char *what, int rc)
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

static bool is_usable(struct store *s)
{
	if (s->in_txn && sqlite3_get_autocommit(s->db))
		s->is_poisoned = true;
	return !s->is_poisoned;
}

static void done_with(struct store *s, enum writer_stmt which)
{
	sqlite3_reset(s->stmt[which]);
	sqlite3_clear_bindings(s->stmt[which]);
}

/* A statement that returns no rows. Returns an SQLite code, SQLITE_OK for done. */
static int run(struct store *s, enum writer_stmt which, const struct binder *b)
{
	int rc = b && b->rc != SQLITE_OK ? b->rc : step(s, which);

	done_with(s, which);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int store_begin(struct store *s)
{
	int rc;

	WC_ASSERT(wc_role != ROLE_IO && wc_role != ROLE_HELPER && wc_role != ROLE_HTTP);
	WC_ASSERT(!s->in_txn);
	s->is_poisoned = s->was_full = false;
	if (!sqlite3_get_autocommit(s->db))
		(void)store_exec(s->db, "ROLLBACK"); /* a ROLLBACK that failed, of the batch before */
	if (turns_write_enter(&s->turns) != 0)
		return failed(s, "begin", SQLITE_BUSY);
	rc = run(s, W_BEGIN, NULL);
	if (rc != SQLITE_OK) {
		turns_write_leave(&s->turns);
		return failed(s, "begin", rc);
	}
	s->in_txn = true;
	s->rows_at_begin = s->rows_at_savepoint = s->rows;
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
	if (!is_usable(s)) {
		store_rollback(s);
		return -WC_ESTORAGE;
	}
	rc = run(s, W_COMMIT, NULL);
	if (rc != SQLITE_OK) {
		failed(s, "commit", rc);
		store_rollback(s);
		return -WC_ESTORAGE;
	}
	atomic_store_explicit(&s->is_failing, false, memory_order_relaxed);
	atomic_store(&s->rows_committed, s->rows);
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
		int rc = run(s, W_ROLLBACK, NULL);

		if (rc != SQLITE_OK)
			failed(s, "rollback", rc); /* the next store_begin tries again */
	}
	s->rows = s->rows_at_begin;
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
	if (!is_usable(s))
		return -WC_ESTORAGE;
	rc = run(s, W_SAVEPOINT, NULL);
	if (rc != SQLITE_OK)
		return failed(s, "savepoint", rc);
	s->rows_at_savepoint = s->rows;
	return 0;
}

int store_release(struct store *s)
{
	int rc;

	if (!is_usable(s))
		return -WC_ESTORAGE;
	rc = run(s, W_RELEASE, NULL);
	return rc == SQLITE_OK ? 0 : failed(s, "release", rc);
}

void store_rollback_to(struct store *s)
{
	int rc;

	/* Without a transaction there is no savepoint to go back to: the batch is lost, and store_commit will say so. */
	if (sqlite3_get_autocommit(s->db)) {
		s->is_poisoned = true;
		return;
	}
	rc = run(s, W_ROLLBACK_TO, NULL);
	if (rc == SQLITE_OK)
		rc = run(s, W_RELEASE, NULL);
	if (rc != SQLITE_OK) {
		failed(s, "rollback_to", rc);
		return;
	}
	s->rows = s->rows_at_savepoint;
	s->is_poisoned = false;
}

/* --- Messages. */

static int put_peer(struct store *s, uint64_t owner, uint64_t peer, struct str peer_name, uint64_t id)
{
	struct binder b = bind_to(s->stmt[W_PUT_PEER]);

	bind_int(&b, (int64_t)owner);
	bind_int(&b, (int64_t)peer);
	bind_str(&b, peer_name);
	bind_int(&b, (int64_t)id);
	return run(s, W_PUT_PEER, &b);
}

static int put_file(struct store *s, const struct msg *m)
{
	struct binder b = bind_to(s->stmt[W_PUT_FILE]);

	bind_int(&b, (int64_t)m->id);
	bind_blob(&b, m->secret, sizeof(m->secret));
	bind_blob(&b, m->sha, sizeof(m->sha));
	bind_int(&b, !(m->flags & (MSG_GONE | MSG_DELETED)));
	bind_int(&b, (int64_t)m->size);
	bind_str_or_null(&b, m->filename);
	bind_str_or_null(&b, m->mime);
	bind_real(&b, m->duration);
	bind_int(&b, m->width);
	bind_int(&b, m->height);
	bind_str_or_null(&b, m->waveform);
	return run(s, W_PUT_FILE, &b);
}

int store_put_msg(struct store *s, const struct msg *m)
{
	struct binder b;
	int rc;

	WC_ASSERT(s->in_txn && m->id != 0);
	if (!is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_PUT_MSG]);
	bind_int(&b, (int64_t)m->id);
	bind_int(&b, m->at_ms);
	bind_int(&b, m->kind);
	bind_int(&b, m->flags);
	bind_int(&b, (int64_t)m->from_id);
	bind_str(&b, m->from_name);
	if (m->is_dm) {
		bind_int(&b, (int64_t)m->to_id);
		bind_str(&b, m->to_name);
	} else {
		bind_null(&b);
		bind_null(&b);
	}
	bind_str_or_null(&b, m->cid);
	bind_str_or_null(&b, m->text);
	rc = run(s, W_PUT_MSG, &b);
	/* The one unique index of the table; an id used twice is another code, and a failure. */
	if (rc == SQLITE_CONSTRAINT_UNIQUE)
		return -WC_EEXIST;
	if (rc == SQLITE_OK && (m->kind == MSG_FILE || m->kind == MSG_VOICE))
		rc = put_file(s, m);
	if (rc == SQLITE_OK && m->is_dm)
		rc = put_peer(s, m->from_id, m->to_id, m->to_name, m->id);
	if (rc == SQLITE_OK && m->is_dm && m->from_id != m->to_id)
		rc = put_peer(s, m->to_id, m->from_id, m->from_name, m->id);
	if (rc != SQLITE_OK)
		return failed(s, "put_msg", rc);
	s->rows++;
	return 0;
}

int store_find_cid(struct store *s, uint64_t from_id, struct str cid, store_msg_fn fn, void *arg)
{
	struct binder b;
	struct msg m;
	int rc;

	if (!is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_FIND_CID]);
	bind_int(&b, (int64_t)from_id);
	bind_str(&b, cid);
	rc = b.rc == SQLITE_OK ? step(s, W_FIND_CID) : b.rc;
	if (rc == SQLITE_ROW) {
		store_row_msg(s->stmt[W_FIND_CID], &m);
		(void)fn(arg, &m);
	}
	done_with(s, W_FIND_CID);
	return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -WC_ENOENT : failed(s, "find_cid", rc);
}

/* --- Identities, tokens, counters. */

int store_put_identity(struct store *s, const struct identity *who)
{
	struct binder b;
	int rc;

	if (!is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_PUT_IDENTITY]);
	bind_int(&b, (int64_t)who->id);
	bind_str(&b, who->name);
	bind_str(&b, who->key);
	bind_int(&b, who->created_ms);
	bind_int(&b, who->seen_ms);
	rc = run(s, W_PUT_IDENTITY, &b);
	if (rc == SQLITE_CONSTRAINT_UNIQUE)
		return -WC_EEXIST;
	return rc == SQLITE_OK ? 0 : failed(s, "put_identity", rc);
}

int store_put_token(struct store *s, uint64_t identity_id, const uint8_t hash[WC_SHA_BYTES], int64_t now_ms)
{
	struct binder b;
	int rc;

	if (!is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_PUT_TOKEN]);
	bind_int(&b, (int64_t)identity_id);
	bind_blob(&b, hash, WC_SHA_BYTES);
	bind_int(&b, now_ms);
	rc = run(s, W_PUT_TOKEN, &b);
	return rc == SQLITE_OK ? 0 : failed(s, "put_token", rc);
}

int store_admit_token(struct store *s, const uint8_t hash[WC_SHA_BYTES], int64_t at_ms)
{
	struct binder b;
	int rc;

	if (!is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_ADMIT_TOKEN]);
	bind_blob(&b, hash, WC_SHA_BYTES);
	bind_int(&b, at_ms);
	rc = run(s, W_ADMIT_TOKEN, &b);
	return rc == SQLITE_OK ? 0 : failed(s, "admit_token", rc);
}

int store_touch(struct store *s, uint64_t identity_id, int64_t now_ms)
{
	struct binder b;
	int rc;

	if (!is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_TOUCH]);
	bind_int(&b, (int64_t)identity_id);
	bind_int(&b, now_ms);
	rc = run(s, W_TOUCH, &b);
	return rc == SQLITE_OK ? 0 : failed(s, "touch", rc);
}

int store_drop_identity(struct store *s, uint64_t identity_id)
{
	struct binder b;
	int rc;

	if (!is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_DROP_IDENTITY]);
	bind_int(&b, (int64_t)identity_id);
	rc = run(s, W_DROP_IDENTITY, &b);
	return rc == SQLITE_OK ? 0 : failed(s, "drop_identity", rc);
}

static int get_meta(struct store *s, const char *name, uint64_t *out)
{
	struct binder b = bind_to(s->stmt[W_GET_META]);
	int rc;

	*out = 0;
	bind_str(&b, (struct str){ name, strlen(name) });
	rc = b.rc == SQLITE_OK ? step(s, W_GET_META) : b.rc;
	if (rc == SQLITE_ROW)
		*out = (uint64_t)sqlite3_column_int64(s->stmt[W_GET_META], 0);
	done_with(s, W_GET_META);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int set_meta(struct store *s, const char *name, uint64_t value)
{
	struct binder b = bind_to(s->stmt[W_SET_META]);

	bind_str(&b, (struct str){ name, strlen(name) });
	bind_int(&b, (int64_t)value);
	return run(s, W_SET_META, &b);
}

/* Apart from the store's own numbers in the same table. */
static const char *counter_name(char out[80], const char *name)
{
	int n = snprintf(out, 80, "counter.%s", name);

	WC_ASSERT(n > 0 && n < 80);
	return out;
}

uint64_t store_counter(struct store *s, const char *name)
{
	char full[80];
	uint64_t value;
	int rc = get_meta(s, counter_name(full, name), &value);

	if (rc != SQLITE_OK)
		failed(s, "counter", rc);
	return value;
}

int store_set_counter(struct store *s, const char *name, uint64_t value)
{
	char full[80];
	int rc;

	if (!is_usable(s))
		return -WC_ESTORAGE;
	rc = set_meta(s, counter_name(full, name), value);
	return rc == SQLITE_OK ? 0 : failed(s, "set_counter", rc);
}

uint64_t store_last_id(struct store *s)
{
	uint64_t id = 0;
	int rc = step(s, W_LAST_ID);

	if (rc == SQLITE_ROW)
		id = (uint64_t)sqlite3_column_int64(s->stmt[W_LAST_ID], 0);
	done_with(s, W_LAST_ID);
	if (rc != SQLITE_ROW)
		failed(s, "last_id", rc);
	return id;
}

uint64_t store_floor(struct store *s)
{
	uint64_t id;
	int rc = get_meta(s, FLOOR, &id);

	if (rc != SQLITE_OK)
		failed(s, "floor", rc);
	return WC_MAX(id, 1u);
}

/* --- Retention. */

static int delete_by_id(struct store *s, enum writer_stmt which, uint64_t id)
{
	struct binder b = bind_to(s->stmt[which]);

	bind_int(&b, (int64_t)id);
	return run(s, which, &b);
}

static int delete_peer(struct store *s, uint64_t owner, uint64_t peer, uint64_t upto_id)
{
	struct binder b = bind_to(s->stmt[W_DELETE_PEER]);

	bind_int(&b, (int64_t)owner);
	bind_int(&b, (int64_t)peer);
	bind_int(&b, (int64_t)upto_id);
	return run(s, W_DELETE_PEER, &b);
}

/* Removes the oldest message if it is older than before_ms. *id is its id, or 0 if there was none to remove. */
static int remove_oldest(struct store *s, int64_t before_ms, store_msg_fn fn, void *arg, uint64_t *id)
{
	uint64_t from = 0, to = 0;
	bool is_dm = false;
	struct msg m;
	int rc = step(s, W_OLDEST);

	*id = 0;
	if (rc == SQLITE_ROW) {
		store_row_msg(s->stmt[W_OLDEST], &m);
		if (m.at_ms < before_ms) {
			*id = m.id;
			from = m.from_id;
			to = m.to_id;
			is_dm = m.is_dm;
			if (fn)
				(void)fn(arg, &m);
		}
	}
	done_with(s, W_OLDEST);
	if (*id == 0)
		return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
	rc = delete_by_id(s, W_DELETE_FILE, *id);
	if (rc == SQLITE_OK)
		rc = delete_by_id(s, W_DELETE_MSG, *id);
	/* The lowest go first: when a pair's newest goes, all of it has gone. */
	if (rc == SQLITE_OK && is_dm)
		rc = delete_peer(s, from, to, *id);
	if (rc == SQLITE_OK && is_dm && from != to)
		rc = delete_peer(s, to, from, *id);
	if (rc == SQLITE_OK)
		s->rows--;
	return rc;
}

/* Within the caller's transaction, or in one of its own. */
static int enter_slice(struct store *s, bool *is_own)
{
	*is_own = !s->in_txn;
	if (*is_own)
		return store_begin(s);
	return is_usable(s) ? 0 : -WC_ESTORAGE;
}

static int leave_slice(struct store *s, bool is_own, const char *what, int rc, int count)
{
	int result = rc == SQLITE_OK ? 0 : failed(s, what, rc);

	if (is_own)
		result = store_finish(s, result);
	return result == 0 ? count : result;
}

static int remove_slice(struct store *s, const char *what, int64_t before_ms, int limit, store_msg_fn fn, void *arg)
{
	uint64_t id, last = 0;
	bool is_own;
	int count = 0, rc = SQLITE_OK;

	if (enter_slice(s, &is_own) != 0)
		return -WC_ESTORAGE;
	while (count < limit && (rc = remove_oldest(s, before_ms, fn, arg, &id)) == SQLITE_OK && id) {
		last = id;
		count++;
	}
	if (rc == SQLITE_OK && last)
		rc = set_meta(s, FLOOR, last);
	return leave_slice(s, is_own, what, rc, count);
}

int store_expire(struct store *s, int64_t before_ms, int limit, store_msg_fn fn, void *arg)
{
	return remove_slice(s, "expire", before_ms, limit, fn, arg);
}

int store_trim(struct store *s, int64_t keep_messages, int limit)
{
	int64_t there = atomic_load(&s->rows_at_start) + s->rows;

	if (there < s->rows) {
		int rc = step(s, W_COUNT_ROWS);

		if (rc == SQLITE_ROW)
			there = sqlite3_column_int64(s->stmt[W_COUNT_ROWS], 0); /* with what this transaction has put */
		done_with(s, W_COUNT_ROWS);
		if (rc != SQLITE_ROW)
			return failed(s, "trim", rc);
		atomic_store(&s->rows_at_start, there - s->rows);
	}
	if (there <= keep_messages)
		return 0;
	return remove_slice(s, "trim", INT64_MAX, (int)WC_MIN(there - keep_messages, (int64_t)limit), NULL, NULL);
}

static int first_int(void *arg, int columns, char **values, char **names)
{
	(void)names;
	if (columns > 0 && values[0])
		*(int64_t *)arg = strtoll(values[0], NULL, 10);
	return 0;
}

int store_trim_bytes(struct store *s, uint64_t max_bytes, int limit)
{
	int64_t pages = 0, unused = 0, rows;
	uint64_t used;
	int rc = sqlite3_exec(s->db, "PRAGMA page_count", first_int, &pages, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, "PRAGMA freelist_count", first_int, &unused, NULL);
	if (rc != SQLITE_OK)
		return failed(s, "trim", rc);
	used = (uint64_t)(pages - unused) * STORE_PAGE_BYTES;
	if (used <= max_bytes || store_trim(s, INT64_MAX, 0) < 0) /* this counts them, the first time */
		return used <= max_bytes ? 0 : -WC_ESTORAGE;
	/* As if all were equally large; what is left is seen the next time. */
	rows = (int64_t)((double)s->rows * ((double)max_bytes / (double)used));
	return rows < s->rows ? store_trim(s, rows, limit) : 0;
}

void store_bound_memory(struct store *s, uint64_t bytes)
{
	sqlite3_int64 most = (sqlite3_int64)bytes;

	if (s->is_memory)
		sqlite3_file_control(s->db, "main", SQLITE_FCNTL_SIZE_LIMIT, &most);
}

static int lose_oldest_file(struct store *s, store_msg_fn fn, void *arg, bool *is_none)
{
	struct binder b;
	struct msg m;
	uint64_t id = 0;
	int rc = step(s, W_OLDEST_FILE);

	if (rc == SQLITE_ROW) {
		store_row_msg(s->stmt[W_OLDEST_FILE], &m);
		id = m.id;
		m.flags |= MSG_GONE;
		if (fn)
			(void)fn(arg, &m);
	}
	done_with(s, W_OLDEST_FILE);
	*is_none = rc == SQLITE_DONE;
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? SQLITE_OK : rc;
	rc = delete_by_id(s, W_FILE_GONE, id);
	if (rc != SQLITE_OK)
		return rc;
	b = bind_to(s->stmt[W_MSG_GONE]);
	bind_int(&b, (int64_t)id);
	bind_int(&b, MSG_GONE);
	return run(s, W_MSG_GONE, &b);
}

int store_evict_files(struct store *s, uint64_t max_bytes, int limit, store_msg_fn fn, void *arg)
{
	uint64_t bytes = 0;
	bool is_own, is_none = false;
	int count = 0, rc;

	if (enter_slice(s, &is_own) != 0)
		return -WC_ESTORAGE;
	while ((rc = get_meta(s, "blob_bytes", &bytes)) == SQLITE_OK && bytes > max_bytes && count < limit) {
		rc = lose_oldest_file(s, fn, arg, &is_none);
		if (rc != SQLITE_OK || is_none)
			break;
		count++;
	}
	return leave_slice(s, is_own, "evict_files", rc, count);
}

int store_forget_released(struct store *s, const uint64_t *ids, size_t n)
{
	bool is_own;
	int rc = SQLITE_OK;

	if (enter_slice(s, &is_own) != 0)
		return -WC_ESTORAGE;
	for (size_t i = 0; i < n && rc == SQLITE_OK; i++)
		rc = delete_by_id(s, W_FORGET_RELEASED, ids[i]);
	return leave_slice(s, is_own, "forget_released", rc, 0);
}

static int take_count(void *arg, int columns, char **values, char **names)
{
	(void)names;
	if (columns > 0 && values[0])
		*(int *)arg = (int)strtol(values[0], NULL, 10);
	return 0;
}

void store_release_memory(struct store *s)
{
	(void)sqlite3_db_release_memory(s->db);
}

int store_vacuum_some(struct store *s, int pages)
{
	char pragma[64];
	int rc, free_pages = 0;

	WC_ASSERT(!s->in_txn);
	snprintf(pragma, sizeof(pragma), "PRAGMA incremental_vacuum(%d)", WC_MAX(pages, 1));
	if (turns_write_enter(&s->turns) != 0)
		return failed(s, "vacuum", SQLITE_BUSY);
	rc = store_exec(s->db, pragma);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, "PRAGMA freelist_count", take_count, &free_pages, NULL);
	turns_write_leave(&s->turns);
	return rc == SQLITE_OK ? free_pages : failed(s, "vacuum", rc);
}

/* --- At start. */

int store_each_identity(struct store *s, store_identity_fn fn, void *arg)
{
	sqlite3_stmt *stmt = s->stmt[W_EACH_IDENTITY];
	int rc;

	while ((rc = step(s, W_EACH_IDENTITY)) == SQLITE_ROW) {
		struct identity who = {
			.id = (uint64_t)sqlite3_column_int64(stmt, 0),
			.name = store_column_str(stmt, 1),
			.key = store_column_str(stmt, 2),
			.created_ms = sqlite3_column_int64(stmt, 3),
			.seen_ms = sqlite3_column_int64(stmt, 4),
			.has_dms = sqlite3_column_int(stmt, 5) != 0,
		};

		if (fn(arg, &who))
			break;
	}
	done_with(s, W_EACH_IDENTITY);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : failed(s, "each_identity", rc);
}

int store_each_token(struct store *s, store_token_fn fn, void *arg)
{
	sqlite3_stmt *stmt = s->stmt[W_EACH_TOKEN];
	int rc;

	while ((rc = step(s, W_EACH_TOKEN)) == SQLITE_ROW) {
		const uint8_t *hash = sqlite3_column_blob(stmt, 1);

		if (hash && sqlite3_column_bytes(stmt, 1) == WC_SHA_BYTES &&
		    fn(arg, (uint64_t)sqlite3_column_int64(stmt, 0), hash, sqlite3_column_int64(stmt, 2)))
			break;
	}
	done_with(s, W_EACH_TOKEN);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : failed(s, "each_token", rc);
}

int store_tail(struct store *s, int limit, store_msg_fn fn, void *arg)
{
	struct binder b = bind_to(s->stmt[W_TAIL_LOW]);
	int64_t low = 0;
	struct msg m;
	int count = 0, rc;

	if (limit <= 0)
		return 0;
	bind_int(&b, limit);
	rc = b.rc == SQLITE_OK ? step(s, W_TAIL_LOW) : b.rc;
	if (rc == SQLITE_ROW)
		low = sqlite3_column_int64(s->stmt[W_TAIL_LOW], 0);
	done_with(s, W_TAIL_LOW);
	if (rc != SQLITE_ROW)
		return failed(s, "tail", rc);
	b = bind_to(s->stmt[W_TAIL]);
	bind_int(&b, low);
	for (rc = b.rc; rc == SQLITE_OK && (rc = step(s, W_TAIL)) == SQLITE_ROW; rc = SQLITE_OK) {
		store_row_msg(s->stmt[W_TAIL], &m);
		count++;
		if (fn(arg, &m)) {
			rc = SQLITE_DONE;
			break;
		}
	}
	done_with(s, W_TAIL);
	return rc == SQLITE_DONE ? count : failed(s, "tail", rc);
}
