/* store_addr.c — the table of addresses: the writer's half (see store_addr.h). The dump's half is store_dump_people.c.
 *
 * Owns no state; its statements are prepared where they are used, for a slice of people at a time. Thread: main until the room runs, then
 * the room. */
#include "store/store_addr.h"

#include <string.h>

#include "store/impl.h"

void store_row_address(sqlite3_stmt *stmt, struct address *a)
{
	*a = (struct address){ .user_id = (uint64_t)sqlite3_column_int64(stmt, 0),
		               .name = store_column_str(stmt, 1),
		               .key = store_column_str(stmt, 2),
		               .is_guest = sqlite3_column_int(stmt, 3) != 0,
		               .at_ms = sqlite3_column_int64(stmt, 5) };
	(void)store_column_bytes(stmt, 4, a->addr, sizeof(a->addr));
}

/* --- Writing. */

static int run(sqlite3_stmt *stmt, const struct address *a)
{
	struct binder b = bind_to(stmt);
	int rc;

	bind_int(&b, (int64_t)a->user_id);
	bind_str(&b, a->name);
	bind_str(&b, a->key);
	bind_int(&b, a->is_guest);
	bind_blob(&b, a->addr, sizeof(a->addr));
	bind_int(&b, a->at_ms);
	rc = b.rc == SQLITE_OK ? sqlite3_step(stmt) : b.rc;
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int store_put_addresses(struct store *s, const struct address *v, size_t n)
{
	sqlite3_stmt *change = NULL, *add = NULL;
	int added = 0, rc;

	WC_ASSERT(s->in_txn);
	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	rc = sqlite3_prepare_v2(s->db, "UPDATE addresses SET name = ?2, key = ?3, is_guest = ?4, addr = ?5, at = ?6 WHERE user_id = ?1", -1,
	                        &change, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(s->db, "INSERT INTO addresses (user_id, name, key, is_guest, addr, at) VALUES (?1,?2,?3,?4,?5,?6)",
		                        -1, &add, NULL);
	for (size_t i = 0; i < n && rc == SQLITE_OK; i++) {
		rc = run(change, &v[i]);
		if (rc == SQLITE_OK && sqlite3_changes(s->db) == 0) {
			rc = run(add, &v[i]);
			added++;
		}
	}
	sqlite3_finalize(change);
	sqlite3_finalize(add);
	return rc == SQLITE_OK ? added : store_failed(s, "put_addresses", rc);
}

int store_expire_addresses(struct store *s, int64_t before_ms, int limit)
{
	sqlite3_stmt *stmt = NULL;
	int rc, n = 0;

	WC_ASSERT(s->in_txn);
	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	/* SQLite leaves deleted bytes in the file until something else is written there, unless it is told to overwrite them. */
	rc = store_exec(s->db, "PRAGMA secure_delete=1");
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(s->db,
		                        "DELETE FROM addresses WHERE user_id IN (SELECT user_id FROM addresses INDEXED BY addresses_at"
		                        " WHERE at < ?1 ORDER BY at LIMIT ?2)",
		                        -1, &stmt, NULL);
	if (rc == SQLITE_OK) {
		struct binder b = bind_to(stmt);

		bind_int(&b, before_ms);
		bind_int(&b, limit);
		rc = b.rc == SQLITE_OK ? sqlite3_step(stmt) : b.rc;
		n = sqlite3_changes(s->db);
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? n : store_failed(s, "expire_addresses", rc);
}

/* --- Reading. */

int64_t store_count_addresses(struct store *s)
{
	sqlite3_stmt *stmt = NULL;
	int64_t n = -1;
	int rc = sqlite3_prepare_v2(s->db, "SELECT count(*) FROM addresses", -1, &stmt, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return n < 0 ? store_failed(s, "count_addresses", rc) : n;
}

static int walk(struct store *s, const char *what, sqlite3_stmt *stmt, int rc, store_address_fn fn, void *arg)
{
	int n = 0;

	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct address a;

		rc = SQLITE_OK;
		store_row_address(stmt, &a);
		n++;
		if (fn(arg, &a))
			break;
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_OK || rc == SQLITE_DONE ? n : store_failed(s, what, rc);
}

int store_each_identity_address(struct store *s, store_address_fn fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(s->db, "SELECT " ADDRESS_COLUMNS " FROM addresses WHERE is_guest = 0", -1, &stmt, NULL);

	return walk(s, "each_address", stmt, rc, fn, arg);
}

int store_find_addresses(struct store *s, uint64_t id, struct str key, int limit, store_address_fn fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc = store_is_usable(s) ? SQLITE_OK : SQLITE_ABORT;

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(s->db,
		                        id ? "SELECT " ADDRESS_COLUMNS " FROM addresses WHERE user_id = ?1 LIMIT ?2"
		                           : "SELECT " ADDRESS_COLUMNS " FROM addresses WHERE key = ?1 ORDER BY at DESC LIMIT ?2",
		                        -1, &stmt, NULL);
	if (rc == SQLITE_OK) {
		struct binder b = bind_to(stmt);

		if (id)
			bind_int(&b, (int64_t)WC_MIN(id, (uint64_t)INT64_MAX));
		else
			bind_str(&b, key);
		bind_int(&b, limit);
		rc = b.rc;
	}
	return walk(s, "find_addresses", stmt, rc, fn, arg);
}
