/* store_verify.c — looks at a database and changes nothing (see store_verify.h).
 *
 * Owns a connection of its own. Never writes, and of a folder at rest never makes a file. Thread: one owner at a time. */
#include "store/store_verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/impl.h"

#define FAULTS_MAX 100
#define LOOK_STEPS 100000 /* of SQLite's machine, some ms */

struct store_verify {
	sqlite3 *db;
	int has_released; /* 0: not known yet; 1, -1: the schema has the list of what was released, or is older */
	bool (*is_wanted)(void *arg);
	void *arg;
};

int store_verify_live(struct store *s, struct store_verify **out)
{
	struct store_verify *v = xcalloc(1, sizeof(*v));
	int rc = store_connect(s->path, SQLITE_OPEN_READWRITE | (s->is_memory ? SQLITE_OPEN_URI : 0), &v->db);

	*out = NULL;
	if (rc == SQLITE_OK)
		rc = store_exec(v->db, "PRAGMA cache_size=-1024; PRAGMA query_only=ON");
	if (rc != SQLITE_OK) {
		store_verify_close(v);
		return -WC_ESTORAGE;
	}
	*out = v;
	return 0;
}

int store_verify_rest(const char *dir, struct store_verify **out, char **cause)
{
	struct store_verify *v = xcalloc(1, sizeof(*v));
	char *path = store_path(dir);
	int rc;

	*out = NULL;
	rc = store_connect_at_rest(path, &v->db, cause);
	if (rc)
		store_verify_close(v);
	else
		*out = v;
	free(path);
	return rc;
}

int store_verify_in_use(const char *dir, struct store_verify **out)
{
	struct store_verify *v = xcalloc(1, sizeof(*v));
	char *path = store_path(dir);
	int rc;

	*out = NULL;
	rc = store_connect(path, SQLITE_OPEN_READONLY, &v->db);
	free(path);
	if (rc != SQLITE_OK) {
		store_verify_close(v);
		return -WC_ESTORAGE;
	}
	*out = v;
	return 0;
}

void store_verify_close(struct store_verify *v)
{
	if (!v)
		return;
	sqlite3_close(v->db);
	free(v);
}

const char *store_verify_error(struct store_verify *v)
{
	return sqlite3_errmsg(v->db);
}

/* --- Is it sound? */

static int on_progress(void *arg)
{
	struct store_verify *v = arg;

	return !v->is_wanted(v->arg);
}

/* Each row of sql is a fault, its first column the words. */
static int each_fault(struct store_verify *v, const char *sql, bool tells_ok, store_fault_fn fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int count = 0, rc = sqlite3_prepare_v2(v->db, sql, -1, &stmt, NULL);

	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct str said = store_column_str(stmt, 0);

		rc = SQLITE_OK;
		if (tells_ok && str_eq(said, STR("ok")))
			continue;
		count++;
		fn(arg, said);
	}
	sqlite3_finalize(stmt);
	if (rc == SQLITE_OK || rc == SQLITE_DONE)
		return count;
	if ((rc & 0xff) == SQLITE_INTERRUPT)
		return -WC_ECLOSED;
	if ((rc & 0xff) != SQLITE_CORRUPT && (rc & 0xff) != SQLITE_NOTADB)
		return -WC_ESTORAGE;
	fn(arg, (struct str){ sqlite3_errmsg(v->db), strlen(sqlite3_errmsg(v->db)) });
	return count + 1;
}

int store_verify_database(struct store_verify *v, bool (*is_wanted)(void *arg), store_fault_fn fn, void *arg)
{
	/* The values that triggers keep in step, by the sums: one pass over the rows each. */
	static const char agree[] = "SELECT 'messages stand for ' || a || ' files (different/all), the table of files says ' || b FROM"
				    " (SELECT count(DISTINCT sha) || '/' || count(*) a FROM files WHERE is_live = 1),"
				    " (SELECT count(*) || '/' || coalesce(sum(refs), 0) b FROM blob_refs) WHERE a <> b";
	int count, more;

	v->is_wanted = is_wanted;
	v->arg = arg;
	if (is_wanted)
		sqlite3_progress_handler(v->db, LOOK_STEPS, on_progress, v);
	count = each_fault(v, "PRAGMA integrity_check(100)", true, fn, arg);
	if (count == 0) { /* on broken pages the sums would only say that again */
		more = each_fault(v, agree, false, fn, arg);
		count = more < 0 ? more : count + more;
	}
	sqlite3_progress_handler(v->db, 0, NULL, NULL);
	return count;
}

/* --- Which files belong to it? */

int store_verify_blobs(struct store_verify *v, const uint8_t *after, int limit, store_blob_fn fn, void *arg)
{
	return store_each_blob(v->db, after, limit, fn, arg);
}

static int look_up(struct store_verify *v, const char *sql, const uint8_t sha[WC_SHA_BYTES])
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(v->db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		struct binder b = bind_to(stmt);

		bind_blob(&b, sha, WC_SHA_BYTES);
		rc = b.rc;
	}
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -WC_ESTORAGE;
}

int store_verify_has_blob(struct store_verify *v, const uint8_t sha[WC_SHA_BYTES])
{
	return look_up(v, "SELECT 1 FROM blob_refs WHERE sha = ?1", sha);
}

int store_verify_explains(struct store_verify *v, const uint8_t sha[WC_SHA_BYTES])
{
	int has = store_verify_has_blob(v, sha);

	if (v->has_released == 0)
		v->has_released = sqlite3_table_column_metadata(v->db, NULL, "released", "sha", NULL, NULL, NULL, NULL, NULL) == SQLITE_OK
		                          ? 1
		                          : -1;
	return has == 0 && v->has_released > 0 ? look_up(v, "SELECT 1 FROM released WHERE sha = ?1", sha) : has;
}

int store_verify_files(struct store_verify *v, uint64_t after, int limit, store_verify_file_fn fn, void *arg, uint64_t *upto)
{
	sqlite3_stmt *stmt = NULL;
	int count = 0, rc = sqlite3_prepare_v2(
			       v->db, "SELECT msg_id, sha, filename FROM files WHERE is_live = 1 AND msg_id > ?1 ORDER BY msg_id LIMIT ?2",
			       -1, &stmt, NULL);

	*upto = after;
	if (rc == SQLITE_OK) {
		struct binder b = bind_to(stmt);

		bind_int(&b, (int64_t)WC_MIN(after, (uint64_t)INT64_MAX));
		bind_int(&b, limit);
		rc = b.rc;
	}
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const uint8_t *sha = sqlite3_column_blob(stmt, 1);

		rc = SQLITE_OK;
		count++;
		*upto = (uint64_t)sqlite3_column_int64(stmt, 0);
		if (sha && sqlite3_column_bytes(stmt, 1) == WC_SHA_BYTES)
			fn(arg, *upto, sha, store_column_str(stmt, 2));
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_OK || rc == SQLITE_DONE ? count : -WC_ESTORAGE;
}

int store_verify_totals(struct store_verify *v, struct store_totals *out)
{
	static const char sql[] = "SELECT (SELECT count(*) FROM messages WHERE kind <= 3), (SELECT count(*) FROM identities),"
				  " (SELECT count(*) FROM blob_refs), (SELECT coalesce(sum(size), 0) FROM blob_refs),"
				  " (SELECT at FROM messages WHERE kind <= 3 ORDER BY id DESC LIMIT 1)";
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(v->db, sql, -1, &stmt, NULL);

	*out = (struct store_totals){ 0 };
	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		out->messages = (uint64_t)sqlite3_column_int64(stmt, 0);
		out->people = (uint64_t)sqlite3_column_int64(stmt, 1);
		out->blobs = (uint64_t)sqlite3_column_int64(stmt, 2);
		out->blob_bytes = (uint64_t)sqlite3_column_int64(stmt, 3);
		out->newest_ms = sqlite3_column_int64(stmt, 4);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	if (rc == SQLITE_OK && (rc = sqlite3_prepare_v2(v->db, "PRAGMA user_version", -1, &stmt, NULL)) == SQLITE_OK) {
		rc = sqlite3_step(stmt) == SQLITE_ROW ? SQLITE_OK : SQLITE_ERROR;
		out->version = sqlite3_column_int(stmt, 0);
		sqlite3_finalize(stmt);
	}
	return rc == SQLITE_OK ? 0 : -WC_ESTORAGE;
}
