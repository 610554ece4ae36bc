/* store_read.c — reading what is stored: pages, resumption, files, tokens; and the checkpoint.
 *
 * Owns a reader's connection and its prepared statements. Never writes a row. Thread: one owner per reader, a helper's or an HTTP
 * worker's; never room or I/O, because a read may wait for a disk.
 *
 * Every page is a bounded walk along an index. `messages_public`, `messages_dm_from`, `messages_dm_to` and `messages_pair` all end in the
 * message's id. So a page costs what it holds, whatever else is stored. The SQL names the indices (INDEXED BY). If one could not serve,
 * preparing would fail at start, and no page turns slow with the years. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/logmsg.h"
#include "store/impl.h"

#define PAIR " m.to_id IS NOT NULL AND min(m.from_id, m.to_id) = ?1 AND max(m.from_id, m.to_id) = ?2 "

const char *const store_reader_sql[R_LAST] = {
	[R_BEGIN] = "BEGIN",
	[R_END] = "COMMIT",
	[R_PEERS] = "SELECT p.peer_id, coalesce(i.name, p.peer_name), p.last_id FROM dm_peers p INDEXED BY dm_peers_last "
		    "LEFT JOIN identities i ON i.id = p.peer_id WHERE p.owner_id = ?1 ORDER BY p.last_id DESC LIMIT ?2",
	[R_TOKEN] = "SELECT identity_id FROM tokens WHERE hash = ?1",
	[R_FILE] = "SELECT " MSG_COLUMNS " FROM files f JOIN messages m ON m.id = f.msg_id WHERE f.secret = ?1 AND f.is_live = 1",
	[R_BLOB_REFS] = "SELECT refs FROM blob_refs WHERE sha = ?1",
	[R_RELEASED] = "SELECT id, sha FROM released WHERE id > ?1 ORDER BY id LIMIT ?2",
	[R_IS_RELEASED] = "SELECT id FROM released WHERE sha = ?1",
	[R_IDENTITY_CREATED] = "SELECT created FROM identities WHERE id = ?1",
	[R_SINCE_PUBLIC] = "SELECT " MSG_COLUMNS MSG_FROM(
		"INDEXED BY messages_public") "WHERE m.to_id IS NULL AND m.id > ?1 AND m.id <= ?2 ORDER BY m.id LIMIT ?3",
	[R_SINCE_ALL] = "SELECT " MSG_COLUMNS MSG_FROM(
		"INDEXED BY messages_dm_to") "WHERE m.to_id IS NOT NULL AND m.to_id = 0 AND m.id > ?1 AND m.id <= ?2 ORDER BY m.id LIMIT ?3",
	[R_SINCE_FROM] = "SELECT " MSG_COLUMNS MSG_FROM(
		"INDEXED BY messages_dm_from") "WHERE m.to_id IS NOT NULL AND m.from_id = ?4 AND m.id > ?1 AND m.id <= ?2 ORDER BY m.id LIMIT ?3",
	[R_SINCE_TO] = "SELECT " MSG_COLUMNS MSG_FROM(
		"INDEXED BY messages_dm_to") "WHERE m.to_id IS NOT NULL AND m.to_id = ?4 AND m.id > ?1 AND m.id <= ?2 ORDER BY m.id LIMIT ?3",
	[R_BACK_PUBLIC] = "SELECT " MSG_COLUMNS MSG_FROM(
		"INDEXED BY messages_public") "WHERE m.to_id IS NULL AND m.id < ?1 ORDER BY m.id DESC LIMIT ?2",
	[R_BACK_PAIR] = "SELECT " MSG_COLUMNS MSG_FROM("INDEXED BY messages_pair") "WHERE" PAIR "AND m.id < ?3 ORDER BY m.id DESC LIMIT ?4",
};

struct store_reader {
	struct store *store; /* for its turns */
	sqlite3 *db;
	sqlite3_stmt *stmt[R_LAST];
	int64_t logged_ms;
};

/* --- The reader. */

static int failed(struct store_reader *r, const char *step, int rc)
{
	int64_t now_ms = mono_ms();

	/* On a full disk this is tried every second. */
	int pause_ms = store_is_full_code(rc, sqlite3_system_errno(r->db)) ? 60000 : 1000;

	if (r->logged_ms == 0 || now_ms - r->logged_ms >= pause_ms) {
		log_error("store", "step=%s error=\"%s\" code=%d", step, sqlite3_errstr(rc), sqlite3_extended_errcode(r->db));
		r->logged_ms = now_ms;
	}
	return -WC_ESTORAGE;
}

static int step_done(sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	sqlite3_reset(stmt);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* A reader's calls see one state of the database from start to end, however many statements they take. */
static int read_begin(struct store_reader *r)
{
	int rc;

	if (r->store->is_memory)
		turns_read_enter(&r->store->turns);
	rc = step_done(r->stmt[R_BEGIN]);
	if (rc != SQLITE_OK && r->store->is_memory)
		turns_read_leave(&r->store->turns);
	return rc;
}

static void read_end(struct store_reader *r)
{
	for (int i = 0; i < R_LAST; i++) {
		sqlite3_reset(r->stmt[i]);
		sqlite3_clear_bindings(r->stmt[i]);
	}
	/* An I/O error may have ended it already. */
	if (!sqlite3_get_autocommit(r->db) && step_done(r->stmt[R_END]) != SQLITE_OK)
		(void)store_exec(r->db, "ROLLBACK");
	if (r->store->is_memory)
		turns_read_leave(&r->store->turns);
}

int store_reader_open(struct store *s, struct store_reader **out)
{
	struct store_reader *r = xcalloc(1, sizeof(*r));
	int rc;

	*out = NULL;
	r->store = s;
	/* Opened for writing, or it could not checkpoint; query_only keeps its hands off the rows. */
	rc = store_connect(s->path, SQLITE_OPEN_READWRITE, &r->db);
	if (rc == SQLITE_OK)
		rc = store_exec(r->db, "PRAGMA cache_size=-1024; PRAGMA query_only=ON");
	if (rc == SQLITE_OK)
		rc = store_prepare_all(r->db, store_reader_sql, R_LAST, r->stmt);
	if (rc != SQLITE_OK) {
		log_error("store", "step=open_reader error=\"%s\"", sqlite3_errstr(rc));
		store_reader_close(r);
		return -WC_ESTORAGE;
	}
	*out = r;
	return 0;
}

void store_reader_close(struct store_reader *r)
{
	if (!r)
		return;
	for (int i = 0; i < R_LAST; i++)
		sqlite3_finalize(r->stmt[i]);
	sqlite3_close(r->db);
	free(r);
}

/* Delivers the rows of one statement. Returns SQLITE_OK; *count is how many were delivered. */
static int walk(sqlite3_stmt *stmt, store_msg_fn fn, void *arg, int *count)
{
	struct msg m;
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		store_row_msg(stmt, &m);
		++*count;
		if (fn(arg, &m))
			return SQLITE_OK;
	}
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Up to four walks, each in id order, merged into one. A DM to oneself lies on two of them and is given once. */
struct lane {
	sqlite3_stmt *stmt;
	uint64_t id; /* of the row it stands on; 0: at its end */
};

static int lane_next(struct lane *l)
{
	int rc = sqlite3_step(l->stmt);

	l->id = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(l->stmt, 0) : 0;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int merge(struct lane *lanes, int n, int limit, store_msg_fn fn, void *arg, int *count)
{
	struct msg m;
	int rc;

	for (int i = 0; i < n; i++)
		if ((rc = lane_next(&lanes[i])) != SQLITE_OK)
			return rc;
	while (*count < limit) {
		struct lane *least = NULL;
		uint64_t id;

		for (int i = 0; i < n; i++)
			if (lanes[i].id && (!least || lanes[i].id < least->id))
				least = &lanes[i];
		if (!least)
			break;
		store_row_msg(least->stmt, &m);
		id = least->id;
		++*count;
		if (fn(arg, &m))
			break;
		for (int i = 0; i < n; i++)
			if (lanes[i].id == id && (rc = lane_next(&lanes[i])) != SQLITE_OK)
				return rc;
	}
	return SQLITE_OK;
}

int store_read_since(struct store_reader *r, uint64_t me, uint64_t since, uint64_t upto, int limit, store_msg_fn fn, void *arg)
{
	/* Deletions for everyone lie apart from the messages (store_admin.c). */
	struct lane lanes[] = {
		{ r->stmt[R_SINCE_PUBLIC], 0 }, { r->stmt[R_SINCE_ALL], 0 }, { r->stmt[R_SINCE_FROM], 0 }, { r->stmt[R_SINCE_TO], 0 }
	};
	int n = me ? 4 : 2, count = 0, rc;

	since = WC_MIN(since, (uint64_t)INT64_MAX);
	upto = WC_MIN(upto, (uint64_t)INT64_MAX);
	if (limit <= 0 || since >= upto)
		return 0;
	if ((rc = read_begin(r)) != SQLITE_OK)
		return failed(r, "read_since", rc);
	for (int i = 0; i < n && rc == SQLITE_OK; i++) {
		struct binder b = bind_to(lanes[i].stmt);

		bind_int(&b, (int64_t)since);
		bind_int(&b, (int64_t)upto);
		bind_int(&b, limit);
		if (i > 1)
			bind_int(&b, (int64_t)me);
		rc = b.rc;
	}
	if (rc == SQLITE_OK)
		rc = merge(lanes, n, limit, fn, arg, &count);
	read_end(r);
	return rc == SQLITE_OK ? count : failed(r, "read_since", rc);
}

int store_read_history(struct store_reader *r, bool is_dm, uint64_t me, uint64_t peer, uint64_t before, int limit, store_msg_fn fn,
                       void *arg)
{
	sqlite3_stmt *stmt = r->stmt[is_dm ? R_BACK_PAIR : R_BACK_PUBLIC];
	int count = 0, rc;

	if (limit <= 0)
		return 0;
	if ((rc = read_begin(r)) != SQLITE_OK)
		return failed(r, "read_history", rc);
	struct binder b = bind_to(stmt);
	if (is_dm) {
		bind_int(&b, (int64_t)WC_MIN(me, peer));
		bind_int(&b, (int64_t)WC_MAX(me, peer));
	}
	bind_int(&b, before == 0 || before > INT64_MAX ? INT64_MAX : (int64_t)before);
	bind_int(&b, limit);
	rc = b.rc == SQLITE_OK ? walk(stmt, fn, arg, &count) : b.rc;
	read_end(r);
	return rc == SQLITE_OK ? count : failed(r, "read_history", rc);
}

int store_read_peers(struct store_reader *r, uint64_t me, int limit, store_peer_fn fn, void *arg)
{
	sqlite3_stmt *stmt = r->stmt[R_PEERS];
	struct binder b;
	int count = 0, rc;

	if (limit <= 0)
		return 0;
	if ((rc = read_begin(r)) != SQLITE_OK)
		return failed(r, "read_peers", rc);
	b = bind_to(stmt);
	bind_int(&b, (int64_t)me);
	bind_int(&b, limit);
	for (rc = b.rc; rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW; rc = SQLITE_OK) {
		count++;
		if (fn(arg, (uint64_t)sqlite3_column_int64(stmt, 0), store_column_str(stmt, 1), (uint64_t)sqlite3_column_int64(stmt, 2))) {
			rc = SQLITE_DONE;
			break;
		}
	}
	read_end(r);
	return rc == SQLITE_DONE ? count : failed(r, "read_peers", rc);
}

/* One row by one blob: 0, -WC_ENOENT or -WC_ESTORAGE. The row is read by `use` before the statement is reset. */
static int look_up(struct store_reader *r, enum reader_stmt which, const char *step, const void *key, size_t n,
                   void (*use)(sqlite3_stmt *stmt, void *arg), void *arg)
{
	struct binder b;
	int rc = read_begin(r);

	if (rc != SQLITE_OK)
		return failed(r, step, rc);
	b = bind_to(r->stmt[which]);
	bind_blob(&b, key, n);
	rc = b.rc == SQLITE_OK ? sqlite3_step(r->stmt[which]) : b.rc;
	if (rc == SQLITE_ROW)
		use(r->stmt[which], arg);
	read_end(r);
	return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -WC_ENOENT : failed(r, step, rc);
}

static void use_int(sqlite3_stmt *stmt, void *arg)
{
	*(int64_t *)arg = sqlite3_column_int64(stmt, 0);
}

int store_read_token(struct store_reader *r, const uint8_t hash[WC_SHA_BYTES], uint64_t *identity_id)
{
	int64_t id = 0;
	int rc = look_up(r, R_TOKEN, "read_token", hash, WC_SHA_BYTES, use_int, &id);

	if (rc == 0)
		*identity_id = (uint64_t)id;
	return rc;
}

struct file_use {
	store_msg_fn fn;
	void *arg;
};

static void use_file(sqlite3_stmt *stmt, void *arg)
{
	struct file_use *u = arg;
	struct msg m;

	store_row_msg(stmt, &m);
	(void)u->fn(u->arg, &m); /* one row: there is no walk to stop */
}

int store_read_file(struct store_reader *r, const uint8_t secret[WC_SECRET_BYTES], store_msg_fn fn, void *arg)
{
	struct file_use u = { fn, arg };

	return look_up(r, R_FILE, "read_file", secret, WC_SECRET_BYTES, use_file, &u);
}

int store_read_blob_refs(struct store_reader *r, const uint8_t sha[WC_SHA_BYTES])
{
	int64_t refs = 0;
	int rc = look_up(r, R_BLOB_REFS, "read_blob_refs", sha, WC_SHA_BYTES, use_int, &refs);

	if (rc == -WC_ENOENT)
		return 0;
	return rc == 0 ? (int)WC_MIN(refs, (int64_t)INT32_MAX) : rc;
}

int store_read_released(struct store_reader *r, uint64_t after, int limit, uint64_t *ids, uint8_t (*sha)[WC_SHA_BYTES])
{
	sqlite3_stmt *stmt = r->stmt[R_RELEASED];
	struct binder b;
	int count = 0, rc = read_begin(r);

	if (rc != SQLITE_OK)
		return failed(r, "read_released", rc);
	b = bind_to(stmt);
	bind_int(&b, (int64_t)after);
	bind_int(&b, limit);
	for (rc = b.rc; rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW; rc = SQLITE_OK) {
		ids[count] = (uint64_t)sqlite3_column_int64(stmt, 0);
		memset(sha[count], 0, WC_SHA_BYTES);
		(void)store_column_bytes(stmt, 1, sha[count++], WC_SHA_BYTES);
	}
	read_end(r);
	return rc == SQLITE_DONE ? count : failed(r, "read_released", rc);
}

int store_read_is_released(struct store_reader *r, const uint8_t sha[WC_SHA_BYTES])
{
	int64_t id;
	int rc = look_up(r, R_IS_RELEASED, "read_is_released", sha, WC_SHA_BYTES, use_int, &id);

	return rc == 0 ? 1 : rc == -WC_ENOENT ? 0 : rc;
}

int store_read_identity_created(struct store_reader *r, uint64_t identity_id, int64_t *created_ms)
{
	sqlite3_stmt *stmt = r->stmt[R_IDENTITY_CREATED];
	struct binder b;
	int rc = read_begin(r);

	if (rc != SQLITE_OK)
		return failed(r, "read_identity", rc);
	b = bind_to(stmt);
	bind_int(&b, (int64_t)identity_id);
	rc = b.rc == SQLITE_OK ? sqlite3_step(stmt) : b.rc;
	if (rc == SQLITE_ROW)
		*created_ms = sqlite3_column_int64(stmt, 0);
	read_end(r);
	return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -WC_ENOENT : failed(r, "read_identity", rc);
}

bool store_is_in_place(const struct store_reader *r)
{
	struct stat st;

	return r->store->is_memory || (stat(r->store->path, &st) == 0 && st.st_dev == r->store->dev && st.st_ino == r->store->ino);
}

/* The log is copied while the room goes on writing (PASSIVE takes no lock the writer needs). But with a writer that never rests that
 * alone never comes to the log's end, and the log only starts over from its end. So when it has grown past STORE_WAL_RESTART_BYTES,
 * it is copied until little is left, each time less, and the rest while the writer waits for its turn. Readers still in the log are
 * waited for briefly; if they stay, the next call tries again, with more patience the larger the log is. */
int store_give_back_log(struct store_reader *r)
{
	int rc;

	if (r->store->is_memory)
		return 0;
	turns_read_enter(&r->store->turns);
	sqlite3_busy_timeout(r->db, 20);
	rc = sqlite3_wal_checkpoint_v2(r->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sqlite3_busy_timeout(r->db, STORE_BUSY_MS);
	turns_read_leave(&r->store->turns);
	if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return 1;
	return rc == SQLITE_OK ? 0 : failed(r, "give_back_log", rc);
}

int store_checkpoint(struct store_reader *r)
{
	int frames = 0, copied = 0, rc;
	int64_t start_ms, bytes;

	if (r->store->is_memory)
		return 0;
	for (int pass = 0;; pass++) {
		start_ms = mono_ms();
		rc = sqlite3_wal_checkpoint_v2(r->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
		bytes = (int64_t)frames * STORE_PAGE_BYTES;
		if (rc != SQLITE_OK || bytes <= STORE_WAL_RESTART_BYTES || pass == 4 || mono_ms() - start_ms < 10)
			break;
	}
	if (rc == SQLITE_OK && bytes > STORE_WAL_RESTART_BYTES) {
		turns_read_enter(&r->store->turns);
		sqlite3_busy_timeout(r->db, bytes > 4 * (int64_t)STORE_WAL_RESTART_BYTES ? 250 : 20);
		rc = sqlite3_wal_checkpoint_v2(r->db, NULL, SQLITE_CHECKPOINT_RESTART, &frames, &copied);
		sqlite3_busy_timeout(r->db, STORE_BUSY_MS);
		turns_read_leave(&r->store->turns);
	}
	return rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED ? 0 : failed(r, "checkpoint", rc);
}
