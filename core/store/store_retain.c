/* store_retain.c — removals from the database: old messages, the oldest files, free pages.
 *
 * Owns nothing. Never touches a blob: it says which messages lost theirs. Thread: the writer's.
 *
 * The order of ids is the order of everything. Retention takes the lowest ids first, so the missing ones are always a prefix. It is one of
 * all events, by age. By number and bytes it is one of the public events, and another of the private ones. One number (STORE_FLOOR) says
 * how far the removals reach. Clients are judged by others: of public events, and of each person's direct messages. */
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

/* Removes the oldest message, of those that `which` gives, if it is older than before_ms. *id is its id, or 0 if there was none to
 * remove. */
static int remove_oldest(struct store *s, enum writer_stmt which, int64_t before_ms, store_msg_fn fn, void *arg, uint64_t *id,
                         uint64_t *public_id)
{
	uint64_t from = 0, to = 0;
	bool is_dm = false;
	struct msg m;
	int rc = SQLITE_OK;

	*id = 0;
	if (which == W_OLDEST_PRIVATE)
		rc = sqlite3_bind_int64(s->stmt[which], 1, (int64_t)s->tally.private_through);
	if (rc == SQLITE_OK)
		rc = store_step(s, which);
	if (rc == SQLITE_ROW) {
		store_row_msg(s->stmt[which], &m);
		if (m.at_ms < before_ms) {
			*id = m.id;
			from = m.from_id;
			to = m.to_id;
			is_dm = m.is_dm;
			store_tally_add(s, &m, -1);
			if (fn)
				(void)fn(arg, &m);
		}
	}
	store_done_with(s, which);
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
	if (!is_dm || !to)
		*public_id = *id;
	else
		s->tally.private_through = WC_MAX(s->tally.private_through, *id);
	return rc;
}

static int remove_slice(struct store *s, const char *what, enum writer_stmt which, int64_t before_ms, int limit, store_msg_fn fn, void *arg)
{
	uint64_t id, last = 0, last_public = 0, was = 0;
	bool is_own;
	int count = 0, rc = SQLITE_OK;

	if (store_enter_slice(s, &is_own) != 0)
		return -WC_ESTORAGE;
	while (count < limit && (rc = remove_oldest(s, which, before_ms, fn, arg, &id, &last_public)) == SQLITE_OK && id) {
		last = id;
		count++;
	}
	if (rc == SQLITE_OK && last)
		rc = store_get_meta(s, STORE_FLOOR, &was);
	if (rc == SQLITE_OK && last > was) /* of the other sort more may be gone */
		rc = store_set_meta(s, STORE_FLOOR, last);
	if (rc == SQLITE_OK && last_public)
		rc = store_set_meta(s, STORE_PUBLIC_FLOOR, last_public);
	return store_leave_slice(s, is_own, what, rc, count);
}

int store_expire(struct store *s, int64_t before_ms, int limit, store_msg_fn fn, void *arg)
{
	return remove_slice(s, "expire", W_OLDEST, before_ms, limit, fn, arg);
}

/* Of one sort: removes the oldest, at most `limit`, until `keep` are there. */
static int trim_sort(struct store *s, bool is_private, int64_t there, int64_t keep, int limit, store_msg_fn fn, void *arg)
{
	const int64_t over = WC_MIN(there - keep, (int64_t)limit);

	return over > 0 ? remove_slice(s, "trim", is_private ? W_OLDEST_PRIVATE : W_OLDEST_PUBLIC, INT64_MAX, (int)over, fn, arg) : 0;
}

static int trim_both(struct store *s, const int64_t there[2], const int64_t keep[2], int limit, store_msg_fn fn, void *arg)
{
	const int n = trim_sort(s, false, there[0], keep[0], limit, fn, arg);
	const int m = n < 0 ? n : trim_sort(s, true, there[1], keep[1], limit - n, fn, arg);

	return m < 0 ? m : n + m;
}

int store_trim(struct store *s, int64_t keep_messages, int limit, store_msg_fn fn, void *arg)
{
	int64_t there[2] = { s->tally.rows[0], s->tally.rows[1] };

	if (!s->is_memory) {
		int rc = store_step(s, W_COUNT_ROWS);

		for (int i = 0; i < 2 && rc == SQLITE_ROW; i++)
			there[i] = sqlite3_column_int64(s->stmt[W_COUNT_ROWS], i); /* with what this transaction has put */
		store_done_with(s, W_COUNT_ROWS);
		if (rc != SQLITE_ROW)
			return store_failed(s, "trim", rc);
	}
	return trim_both(s, there, (int64_t[]){ keep_messages, keep_messages }, limit, fn, arg);
}

int store_trim_bytes(struct store *s, uint64_t max_bytes, int limit, store_msg_fn fn, void *arg)
{
	const struct store_tally *t = &s->tally;
	const double sum = (double)(t->bytes[0] + t->bytes[1]), half = (double)max_bytes / 2;
	int64_t pages = 0, unused = 0, keep[2];
	double used;
	int rc = store_get_int(s->db, "PRAGMA page_count", &pages);

	if (rc == SQLITE_OK)
		rc = store_get_int(s->db, "PRAGMA freelist_count", &unused);
	if (rc != SQLITE_OK)
		return store_failed(s, "trim", rc);
	used = (double)(pages - unused) * STORE_PAGE_BYTES;
	for (int i = 0; i < 2; i++) {
		/* With more pages than there should be, each sort answers for its part of them. */
		const double bytes = (double)t->bytes[i] * (used > (double)max_bytes && used > sum && sum > 0 ? used / sum : 1);

		/* As if all were equally large; the next time sees the rest. */
		keep[i] = bytes > half ? (int64_t)((double)t->rows[i] * (half / bytes)) : t->rows[i];
	}
	return trim_both(s, t->rows, keep, limit, fn, arg);
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
