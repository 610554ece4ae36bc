/* store_retain.c — removals from the database: old messages, the oldest files, free pages.
 *
 * Owns nothing. Never touches a blob: it says which messages lost theirs. Thread: the writer's.
 *
 * The order of ids is the order of everything. Retention takes the lowest ids first, so the missing ones are always a prefix. One number
 * (STORE_FLOOR) says how far it reaches. Clients are judged by others: of public events, and of each person's direct messages. */
#include <stdio.h>
#include <stdlib.h>

#include "store/impl.h"

static int delete_by_id(struct store *s, enum writer_stmt which, uint64_t id)
{
	struct binder b = bind_to(s->stmt[which]);

	bind_int(&b, (int64_t)id);
	return store_run(s, which, &b);
}

static int delete_peer(struct store *s, uint64_t owner, uint64_t peer, uint64_t upto_id)
{
	struct binder b = bind_to(s->stmt[W_DELETE_PEER]);

	bind_int(&b, (int64_t)owner);
	bind_int(&b, (int64_t)peer);
	bind_int(&b, (int64_t)upto_id);
	return store_run(s, W_DELETE_PEER, &b);
}

/* Nobody learns of other people's direct messages, also not by how far the removals reach. */
static int set_floor(struct store *s, uint64_t person, uint64_t id)
{
	struct binder b = bind_to(s->stmt[W_SET_FLOOR]);

	bind_int(&b, (int64_t)person);
	bind_int(&b, (int64_t)id);
	return store_run(s, W_SET_FLOOR, &b);
}

/* Removes the oldest message if it is older than before_ms. *id is its id, or 0 if there was none to remove. */
static int remove_oldest(struct store *s, int64_t before_ms, store_msg_fn fn, void *arg, uint64_t *id, uint64_t *public_id)
{
	uint64_t from = 0, to = 0;
	bool is_dm = false;
	struct msg m;
	int rc = store_step(s, W_OLDEST);

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
	store_done_with(s, W_OLDEST);
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
	if (rc == SQLITE_OK && is_dm && from)
		rc = set_floor(s, from, *id);
	if (rc == SQLITE_OK && is_dm && to && from != to)
		rc = set_floor(s, to, *id);
	if (!is_dm || !to) /* a deletion that everybody is told of is to 0 */
		*public_id = *id;
	if (rc == SQLITE_OK)
		s->rows--;
	return rc;
}

static int remove_slice(struct store *s, const char *what, int64_t before_ms, int limit, store_msg_fn fn, void *arg)
{
	uint64_t id, last = 0, last_public = 0;
	bool is_own;
	int count = 0, rc = SQLITE_OK;

	if (store_enter_slice(s, &is_own) != 0)
		return -WC_ESTORAGE;
	while (count < limit && (rc = remove_oldest(s, before_ms, fn, arg, &id, &last_public)) == SQLITE_OK && id) {
		last = id;
		count++;
	}
	if (rc == SQLITE_OK && last)
		rc = store_set_meta(s, STORE_FLOOR, last);
	if (rc == SQLITE_OK && last_public)
		rc = store_set_meta(s, STORE_PUBLIC_FLOOR, last_public);
	return store_leave_slice(s, is_own, what, rc, count);
}

int store_expire(struct store *s, int64_t before_ms, int limit, store_msg_fn fn, void *arg)
{
	return remove_slice(s, "expire", before_ms, limit, fn, arg);
}

int store_trim(struct store *s, int64_t keep_messages, int limit, store_msg_fn fn, void *arg)
{
	int64_t there = atomic_load(&s->rows_at_start) + s->rows;

	if (there < s->rows) {
		int rc = store_step(s, W_COUNT_ROWS);

		if (rc == SQLITE_ROW)
			there = sqlite3_column_int64(s->stmt[W_COUNT_ROWS], 0); /* with what this transaction has put */
		store_done_with(s, W_COUNT_ROWS);
		if (rc != SQLITE_ROW)
			return store_failed(s, "trim", rc);
		atomic_store(&s->rows_at_start, there - s->rows);
	}
	if (there <= keep_messages)
		return 0;
	return remove_slice(s, "trim", INT64_MAX, (int)WC_MIN(there - keep_messages, (int64_t)limit), fn, arg);
}

int store_trim_bytes(struct store *s, uint64_t max_bytes, int limit, store_msg_fn fn, void *arg)
{
	int64_t pages = 0, unused = 0, rows;
	uint64_t used;
	int rc = store_get_int(s->db, "PRAGMA page_count", &pages);

	if (rc == SQLITE_OK)
		rc = store_get_int(s->db, "PRAGMA freelist_count", &unused);
	if (rc != SQLITE_OK)
		return store_failed(s, "trim", rc);
	used = (uint64_t)(pages - unused) * STORE_PAGE_BYTES;
	if (used <= max_bytes || store_trim(s, INT64_MAX, 0, NULL, NULL) < 0) /* this counts them, the first time */
		return used <= max_bytes ? 0 : -WC_ESTORAGE;
	/* As if all were equally large; the next time sees the rest. */
	rows = (int64_t)((double)s->rows * ((double)max_bytes / (double)used));
	return rows < s->rows ? store_trim(s, rows, limit, fn, arg) : 0;
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
	int rc = store_step(s, W_OLDEST_FILE);

	if (rc == SQLITE_ROW) {
		store_row_msg(s->stmt[W_OLDEST_FILE], &m);
		id = m.id;
		m.flags |= MSG_GONE;
		if (fn)
			(void)fn(arg, &m);
	}
	store_done_with(s, W_OLDEST_FILE);
	*is_none = rc == SQLITE_DONE;
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? SQLITE_OK : rc;
	rc = delete_by_id(s, W_FILE_GONE, id);
	if (rc != SQLITE_OK)
		return rc;
	b = bind_to(s->stmt[W_MSG_GONE]);
	bind_int(&b, (int64_t)id);
	bind_int(&b, MSG_GONE);
	return store_run(s, W_MSG_GONE, &b);
}

int store_evict_files(struct store *s, uint64_t max_bytes, int limit, store_msg_fn fn, void *arg)
{
	uint64_t bytes = 0;
	bool is_own, is_none = false;
	int count = 0, rc;

	if (store_enter_slice(s, &is_own) != 0)
		return -WC_ESTORAGE;
	while ((rc = store_get_meta(s, "blob_bytes", &bytes)) == SQLITE_OK && bytes > max_bytes && count < limit) {
		rc = lose_oldest_file(s, fn, arg, &is_none);
		if (rc != SQLITE_OK || is_none)
			break;
		count++;
	}
	return store_leave_slice(s, is_own, "evict_files", rc, count);
}

int store_forget_released(struct store *s, const uint64_t *ids, size_t n)
{
	bool is_own;
	int rc = SQLITE_OK;

	if (store_enter_slice(s, &is_own) != 0)
		return -WC_ESTORAGE;
	for (size_t i = 0; i < n && rc == SQLITE_OK; i++)
		rc = delete_by_id(s, W_FORGET_RELEASED, ids[i]);
	return store_leave_slice(s, is_own, "forget_released", rc, 0);
}

void store_release_memory(struct store *s)
{
	(void)sqlite3_db_release_memory(s->db);
}

int store_vacuum_some(struct store *s, int pages)
{
	char pragma[64];
	int64_t free_pages = 0;
	int rc;

	WC_ASSERT(!s->in_txn);
	snprintf(pragma, sizeof(pragma), "PRAGMA incremental_vacuum(%d)", WC_MAX(pages, 1));
	if (turns_write_enter(&s->turns) != 0)
		return store_failed(s, "vacuum", SQLITE_BUSY);
	rc = store_exec(s->db, pragma);
	if (rc == SQLITE_OK)
		rc = store_get_int(s->db, "PRAGMA freelist_count", &free_pages);
	turns_write_leave(&s->turns);
	return rc == SQLITE_OK ? (int)free_pages : store_failed(s, "vacuum", rc);
}
