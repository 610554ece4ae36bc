/* store_look.c — a look at the database before a start makes or changes anything.
 *
 * Owns a connection of its own that writes nothing: not the log, nor the index beside it. Thread: main. */
#include <stdlib.h>

#include "store/impl.h"

int store_look_open(struct store_look **out, const char *path, bool is_ours, char **cause)
{
	struct store_look *k = xcalloc(1, sizeof(*k));
	int64_t tables = 0;
	int rc;

	*out = NULL;
	k->path = path;
	rc = is_ours ? store_connect_alone(path, &k->db) : store_connect_to_check(path, !store_has_log(path), &k->db);
	if (rc == SQLITE_OK)
		rc = store_get_int(k->db, "PRAGMA user_version", &k->version);
	if (rc == SQLITE_OK)
		rc = store_get_int(k->db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'messages'", &tables);
	if (rc != SQLITE_OK) {
		store_cause(cause, k->db, path, rc);
		store_look_close(k);
		return -WC_ESTORAGE;
	}
	if (k->version > store_version) {
		store_cause_newer(cause, path, k->version);
		store_look_close(k);
		return -WC_ESTORAGE;
	}
	if (tables)
		*out = k;
	else
		store_look_close(k); /* a start that was cut off made the file and no more */
	return 0;
}

void store_look_close(struct store_look *k)
{
	if (!k)
		return;
	sqlite3_close(k->db);
	free(k);
}

int store_look_each(struct store_look *k, enum store_look_set at, store_look_fn fn, void *arg)
{
	static const char *const sql[] = {
		[LOOK_LIVE] = "SELECT sha FROM blob_refs",
		[LOOK_ENDED] = "SELECT sha FROM files WHERE is_live = 0",
		[LOOK_RELEASED] = "SELECT sha FROM released",
	};
	sqlite3_stmt *stmt = NULL;
	int rc;

	if (at == LOOK_RELEASED && k->version < 3)
		return 0;
	rc = sqlite3_prepare_v2(k->db, sql[at], -1, &stmt, NULL);
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const uint8_t *sha = sqlite3_column_blob(stmt, 0);

		if (sha && sqlite3_column_bytes(stmt, 0) == WC_SHA_BYTES)
			fn(arg, sha);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -WC_ESTORAGE;
}

int store_look_identity(struct store_look *k, uint64_t identity_id, int64_t *created_ms)
{
	sqlite3_stmt *stmt = NULL;
	struct binder b;
	int rc = sqlite3_prepare_v2(k->db, "SELECT created FROM identities WHERE id = ?", -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		b = bind_to(stmt);
		bind_int(&b, (int64_t)identity_id);
		rc = b.rc == SQLITE_OK ? sqlite3_step(stmt) : b.rc;
	}
	if (rc == SQLITE_ROW)
		*created_ms = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -WC_ENOENT : -WC_ESTORAGE;
}
