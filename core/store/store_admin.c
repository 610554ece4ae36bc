/* store_admin.c — the admin's side of the database: bans, mutes, the audit, deletions. Reading dumps and copying is store_dump.c.
 *
 * Owns no state; its statements are prepared where they are used, because an admin acts a few times a day. Never publishes anything.
 * Thread: main until the room runs, then the room, inside its transaction.
 *
 * A deletion is a row of `messages`: it takes its id from the one order, retention ages it, and nothing can use its id again. Its to_id is
 * the person that is told; for everyone it is 0, which is nobody's id. So it lies in the index of a person's own DMs, and in none of those
 * for pages of history. A deleted DM has one for each end. */
#include "store/store_admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/impl.h"

void sanction_free(struct sanction *s)
{
	if (!s)
		return;
	free(s->name);
	free(s->key);
	free(s->reason);
	free(s);
}

/* NULL: *result says how it failed. */
static sqlite3_stmt *prepare(struct store *s, const char *what, const char *sql, int *result)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	*result = -WC_ESTORAGE;
	if (!store_is_usable(s))
		return NULL;
	rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		*result = store_failed(s, what, rc);
	return stmt;
}

/* Runs a statement without rows and ends it. */
static int finish(struct store *s, const char *what, const struct binder *b)
{
	int rc = b->rc == SQLITE_OK ? sqlite3_step(b->stmt) : b->rc;

	sqlite3_finalize(b->stmt);
	return rc == SQLITE_DONE ? 0 : store_failed(s, what, rc);
}

/* --- Bans and mutes. */

int store_put_sanction(struct store *s, struct sanction *t)
{
	int result;
	sqlite3_stmt *stmt = prepare(s, "put_sanction",
	                             "INSERT INTO sanctions (act, kind, user_id, name, key, addr, bits, at, until, reason, uid)"
	                             " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
	                             &result);
	struct binder b = bind_to(stmt);

	if (!stmt)
		return result;
	WC_ASSERT(s->in_txn);
	bind_int(&b, t->act);
	bind_int(&b, t->kind);
	bind_int(&b, (int64_t)t->user_id);
	bind_str_or_null(&b, str_of(t->name));
	bind_str_or_null(&b, str_of(t->key));
	if (t->kind == SANCTION_NET)
		bind_blob(&b, t->addr, sizeof(t->addr));
	else
		bind_null(&b);
	bind_int(&b, t->bits);
	bind_int(&b, t->at_ms);
	bind_int(&b, t->until_ms);
	bind_str_or_null(&b, str_of(t->reason));
	bind_int(&b, t->uid);
	result = finish(s, "put_sanction", &b);
	if (result == 0)
		t->id = (uint64_t)sqlite3_last_insert_rowid(s->db);
	return result;
}

static int run_with_int(struct store *s, const char *what, const char *sql, int64_t value)
{
	int result;
	sqlite3_stmt *stmt = prepare(s, what, sql, &result);
	struct binder b = bind_to(stmt);

	if (!stmt)
		return result;
	WC_ASSERT(s->in_txn);
	bind_int(&b, value);
	return finish(s, what, &b);
}

int store_drop_sanction(struct store *s, uint64_t id)
{
	return run_with_int(s, "drop_sanction", "DELETE FROM sanctions WHERE id = ?", (int64_t)id);
}

int store_move_sanction(struct store *s, uint64_t id, int64_t until_ms)
{
	int result;
	sqlite3_stmt *stmt = prepare(s, "move_sanction", "UPDATE sanctions SET until = ? WHERE id = ?", &result);
	struct binder b = bind_to(stmt);

	if (!stmt)
		return result;
	WC_ASSERT(s->in_txn);
	bind_int(&b, until_ms);
	bind_int(&b, (int64_t)id);
	return finish(s, "move_sanction", &b);
}

static char *column_copy(sqlite3_stmt *stmt, int column)
{
	struct str v = store_column_str(stmt, column);
	char *copy;

	if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
		return NULL;
	copy = xmalloc(v.len + 1);
	if (v.len)
		memcpy(copy, v.p, v.len);
	copy[v.len] = '\0';
	return copy;
}

int store_each_sanction(struct store *s, store_sanction_fn fn, void *arg)
{
	int result, rc;
	sqlite3_stmt *stmt = prepare(s, "each_sanction",
	                             "SELECT id, act, kind, user_id, name, key, addr, bits, at, until, reason, uid FROM sanctions"
	                             " ORDER BY id",
	                             &result);

	if (!stmt)
		return result;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct sanction *t = xcalloc(1, sizeof(*t));

		t->id = (uint64_t)sqlite3_column_int64(stmt, 0);
		t->act = (enum sanction_act)sqlite3_column_int(stmt, 1);
		t->kind = (enum sanction_kind)sqlite3_column_int(stmt, 2);
		t->user_id = (uint64_t)sqlite3_column_int64(stmt, 3);
		t->name = column_copy(stmt, 4);
		t->key = column_copy(stmt, 5);
		(void)store_column_bytes(stmt, 6, t->addr, sizeof(t->addr));
		t->bits = sqlite3_column_int(stmt, 7);
		t->at_ms = sqlite3_column_int64(stmt, 8);
		t->until_ms = sqlite3_column_int64(stmt, 9);
		t->reason = column_copy(stmt, 10);
		t->uid = (uint32_t)sqlite3_column_int64(stmt, 11);
		fn(arg, t);
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : store_failed(s, "each_sanction", rc);
}

/* --- The audit. */

int store_put_audit(struct store *s, const struct audit *a)
{
	int result;
	sqlite3_stmt *stmt = prepare(s, "put_audit", "INSERT INTO audit (at, uid, pid, verb, args, reason, via) VALUES (?,?,?,?,?,?,?)",
	                             &result);
	struct binder b = bind_to(stmt);

	if (!stmt)
		return result;
	WC_ASSERT(s->in_txn);
	bind_int(&b, a->at_ms);
	bind_int(&b, a->uid);
	bind_int(&b, a->pid);
	bind_str(&b, a->verb);
	bind_str(&b, a->args);
	bind_str_or_null(&b, a->reason);
	bind_str_or_null(&b, a->via);
	return finish(s, "put_audit", &b);
}

/* --- Deletions. */

int store_get_msg(struct store *s, uint64_t id, store_msg_fn fn, void *arg)
{
	int result, rc;
	sqlite3_stmt *stmt = prepare(s, "get_msg", "SELECT " MSG_COLUMNS MSG_FROM("") "WHERE m.id = ?", &result);
	struct binder b = bind_to(stmt);

	if (!stmt)
		return result;
	bind_int(&b, (int64_t)WC_MIN(id, (uint64_t)INT64_MAX));
	rc = b.rc == SQLITE_OK ? sqlite3_step(stmt) : b.rc;
	if (rc == SQLITE_ROW) {
		struct msg m;

		store_row_msg(stmt, &m);
		(void)fn(arg, &m);
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -WC_ENOENT : store_failed(s, "get_msg", rc);
}

static int take_out(void *arg, const struct msg *m)
{
	store_tally_add(arg, m, -1);
	return 0;
}

static int put_back(void *arg, const struct msg *m)
{
	store_tally_add(arg, m, 1);
	return 0;
}

int store_delete_msg(struct store *s, uint64_t id)
{
	const int there = s->is_memory ? store_get_msg(s, id, take_out, s) : -WC_ENOENT;
	int rc = run_with_int(s, "delete_msg", "UPDATE messages SET flags = flags | 2, text = NULL WHERE id = ?", (int64_t)id);

	_Static_assert(MSG_DELETED == 2, "the number in the statement");
	/* The file's name is content too. The row stays: it knows the hash by which a repeated send is recognised. */
	if (rc == 0)
		rc = run_with_int(s, "delete_msg", "UPDATE files SET is_live = 0, filename = NULL, waveform = NULL WHERE msg_id = ?",
		                  (int64_t)id);
	if (rc == 0 && there == 0)
		rc = store_get_msg(s, id, put_back, s); /* it is smaller now */
	return rc;
}

int store_put_deletion(struct store *s, uint64_t id, int64_t at_ms, uint64_t target, uint64_t viewer)
{
	int result;
	char digits[24];
	const int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)target); /* as the column keeps it */
	sqlite3_stmt *stmt = prepare(s, "put_deletion",
	                             "INSERT INTO messages (id, at, kind, flags, from_id, from_name, to_id, to_name, text)"
	                             " VALUES (?,?,?,0,0,'',?,'',?)",
	                             &result);
	struct binder b = bind_to(stmt);

	if (!stmt)
		return result;
	WC_ASSERT(s->in_txn);
	bind_int(&b, (int64_t)id);
	bind_int(&b, at_ms);
	bind_int(&b, MSG_DELETE);
	bind_int(&b, (int64_t)viewer);
	bind_str(&b, (struct str){ digits, (size_t)n });
	result = finish(s, "put_deletion", &b);
	if (result == 0)
		store_tally_add(s, &(struct msg){ .is_dm = true, .to_id = viewer, .text = { digits, (size_t)n } }, 1);
	return result;
}

int store_recent_deletions(struct store *s, int limit, uint64_t *before, store_deletion_fn fn, void *arg)
{
	int result, rc, n = 0;
	sqlite3_stmt *stmt = prepare(s, "recent_deletions",
	                             "SELECT id, at, text FROM messages INDEXED BY messages_dm_to"
	                             " WHERE to_id IS NOT NULL AND to_id = 0 ORDER BY id DESC LIMIT ?",
	                             &result);
	struct binder b = bind_to(stmt);
	struct {
		uint64_t id, target;
		int64_t at_ms;
	} * found;

	*before = 0;
	if (!stmt)
		return result;
	found = xcalloc((size_t)limit + 1, sizeof(*found));
	bind_int(&b, limit + 1);
	for (rc = b.rc; rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW; rc = SQLITE_OK) {
		found[n].id = (uint64_t)sqlite3_column_int64(stmt, 0);
		found[n].at_ms = sqlite3_column_int64(stmt, 1);
		found[n++].target = (uint64_t)sqlite3_column_int64(stmt, 2);
	}
	sqlite3_finalize(stmt);
	if (n > limit)
		*before = found[--n].id;
	while (rc == SQLITE_DONE && n-- > 0)
		fn(arg, found[n].id, found[n].at_ms, found[n].target);
	free(found);
	return rc == SQLITE_DONE ? 0 : store_failed(s, "recent_deletions", rc);
}
