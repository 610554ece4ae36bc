/* store_sql.c — the steps on SQLite that every unit of store/ shares: connections, statements, parameters, rows. Owns nothing. Thread: any
 * that owns the connection. */
#include <errno.h>
#include <string.h>

#include "store/impl.h"

/* --- Connections. */

int store_exec(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

int store_connect(const char *path, int flags, sqlite3 **out)
{
	/* NOMUTEX: a connection has one owner at a time, always. */
	int rc = sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (rc != SQLITE_OK)
		return rc; /* *out holds the errno; store_close and store_reader_close take it */
	sqlite3_busy_timeout(*out, STORE_BUSY_MS);
	sqlite3_db_config(*out, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	return store_exec(*out, "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=ON;"
	                        "PRAGMA secure_delete=ON"); /* a deleted text is overwritten, however SQLite was built */
}

int store_prepare_all(sqlite3 *db, const char *const *sql, int n, sqlite3_stmt **out)
{
	for (int i = 0; i < n; i++) {
		int rc = sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i], NULL);

		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

int store_get_int(sqlite3 *db, const char *sql, int64_t *out)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		*out = sqlite3_column_int64(stmt, 0);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	return rc;
}

bool store_is_full_code(int rc, int err)
{
	/* A quota is an I/O error to SQLite; and the index of the log, of which each page is written once so that touching it cannot fail
	 * later. */
	return (rc & 0xff) == SQLITE_FULL || rc == SQLITE_IOERR_SHMSIZE ||
	       ((rc & 0xff) == SQLITE_IOERR && (err == ENOSPC || err == EDQUOT));
}

/* --- Parameters. */

struct binder bind_to(sqlite3_stmt *stmt)
{
	return (struct binder){ .stmt = stmt, .next = 1, .rc = SQLITE_OK };
}

static void bound(struct binder *b, int rc)
{
	b->next++;
	if (rc != SQLITE_OK)
		b->rc = rc;
}

void bind_int(struct binder *b, int64_t v)
{
	bound(b, sqlite3_bind_int64(b->stmt, b->next, v));
}

void bind_real(struct binder *b, double v)
{
	bound(b, sqlite3_bind_double(b->stmt, b->next, v));
}

void bind_str(struct binder *b, struct str s)
{
	bound(b, sqlite3_bind_text64(b->stmt, b->next, s.p ? s.p : "", s.len, SQLITE_STATIC, SQLITE_UTF8));
}

void bind_str_or_null(struct binder *b, struct str s)
{
	if (s.len == 0)
		bind_null(b);
	else
		bind_str(b, s);
}

void bind_blob(struct binder *b, const void *data, size_t n)
{
	bound(b, sqlite3_bind_blob64(b->stmt, b->next, data, n, SQLITE_STATIC));
}

void bind_null(struct binder *b)
{
	bound(b, sqlite3_bind_null(b->stmt, b->next));
}

/* --- Rows. */

struct str store_column_str(sqlite3_stmt *stmt, int column)
{
	const char *p = (const char *)sqlite3_column_text(stmt, column);

	return p ? (struct str){ p, (size_t)sqlite3_column_bytes(stmt, column) } : (struct str){ "", 0 };
}

bool store_column_bytes(sqlite3_stmt *stmt, int column, void *out, size_t n)
{
	const void *p = sqlite3_column_blob(stmt, column);

	if (!p || (size_t)sqlite3_column_bytes(stmt, column) != n)
		return false;
	memcpy(out, p, n);
	return true;
}

/* A file edited by hand may hold a blob of another length: it reads as zeros. */
void store_row_msg(sqlite3_stmt *stmt, struct msg *m)
{
	memset(m, 0, sizeof(*m));
	m->id = (uint64_t)sqlite3_column_int64(stmt, 0);
	m->at_ms = sqlite3_column_int64(stmt, 1);
	m->kind = (enum msg_kind)sqlite3_column_int(stmt, 2);
	m->flags = (uint32_t)sqlite3_column_int64(stmt, 3);
	m->from_id = (uint64_t)sqlite3_column_int64(stmt, 4);
	m->from_name = store_column_str(stmt, 5);
	m->is_dm = sqlite3_column_type(stmt, 6) != SQLITE_NULL;
	m->to_id = (uint64_t)sqlite3_column_int64(stmt, 6);
	m->to_name = store_column_str(stmt, 7);
	m->cid = store_column_str(stmt, 8);
	m->text = store_column_str(stmt, 9);
	m->filename = store_column_str(stmt, 10);
	m->mime = store_column_str(stmt, 11);
	m->waveform = store_column_str(stmt, 12);
	m->size = (uint64_t)sqlite3_column_int64(stmt, 13);
	m->duration = sqlite3_column_double(stmt, 14);
	m->width = (uint32_t)sqlite3_column_int64(stmt, 15);
	m->height = (uint32_t)sqlite3_column_int64(stmt, 16);
	(void)store_column_bytes(stmt, 17, m->sha, sizeof(m->sha));
	(void)store_column_bytes(stmt, 18, m->secret, sizeof(m->secret));
}

int store_each_blob(sqlite3 *db, const uint8_t *after, int limit, store_blob_fn fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	uint8_t sha[WC_SHA_BYTES];
	int count = 0, rc;

	rc = sqlite3_prepare_v2(db, "SELECT sha, size FROM blob_refs WHERE sha > ?1 ORDER BY sha LIMIT ?2", -1, &stmt, NULL);
	if (rc == SQLITE_OK) {
		struct binder b = bind_to(stmt);

		bind_blob(&b, after ? after : (const uint8_t *)"", after ? WC_SHA_BYTES : 0);
		bind_int(&b, limit);
		rc = b.rc;
	}
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		rc = SQLITE_OK;
		if (!store_column_bytes(stmt, 0, sha, sizeof(sha)))
			continue;
		count++;
		if (fn(arg, sha, (uint64_t)sqlite3_column_int64(stmt, 1)))
			break;
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_OK || rc == SQLITE_DONE ? count : -WC_ESTORAGE;
}
