/* store.c — opening and closing the database, its schema and migrations, and why it does not open.
 *
 * Owns the lock on the data directory and the making of connections. Reads and writes no message: the writer is store_write.c, readers
 * are store_read.c. Thread: main. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/logmsg.h"
#include "store/impl.h"
#include "store/store_verify.h"

/* At start a database up to this size is checked page by page (about 0.1 s); for a larger one the schema, both ends of every table and
 * what SQLite itself notices (magic, a file shorter than it should be) must do, and `--check` looks at all of it. */
#define CHECK_AT_OPEN_BYTES (16 << 20)

const char *store_sqlite_version(void)
{
	return sqlite3_libversion();
}

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
	return store_exec(*out, "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=ON");
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

static int get_int(sqlite3 *db, const char *sql, int64_t *out)
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
	/* A quota is an I/O error to SQLite; and the index of the log, of which each page is written once so that touching it cannot fail later. */
	return (rc & 0xff) == SQLITE_FULL || rc == SQLITE_IOERR_SHMSIZE ||
	       ((rc & 0xff) == SQLITE_IOERR && (err == ENOSPC || err == EDQUOT));
}

/* --- Why it does not start, in one line that says what to do. */

static void cause_corrupt(char **cause, const char *path, const char *what)
{
	const int dir = (int)(strrchr(path, '/') - path); /* make_path has put one there */

	wc_cause(cause,
	         "%s is damaged (%s): stop the server, keep the folder under another name (mv %.*s %.*s.damaged), then restore a backup "
	         "(wavechatctl restore FILE %.*s); without a backup, `sqlite3 %.*s.damaged/" STORE_FILE " .recover` saves what can be read",
	         path, what, dir, path, dir, path, dir, path, dir, path);
}

static void cause_newer(char **cause, const char *path, int64_t version)
{
	wc_cause(cause,
	         "%s was written by a newer wavechatd (schema %lld, this one knows %d): run that version, or name another --data directory",
	         path, (long long)version, store_version);
}

static bool open_met_full_disk; /* since store_open began. Thread: main */

static void cause_errno(char **cause, const char *what, const char *path, int err)
{
	open_met_full_disk |= err == ENOSPC || err == EDQUOT;
	if (err == EACCES || err == EPERM || err == EROFS)
		wc_cause(cause, "%s %s: %s: make it writable for user %u, or name another directory with --data", what, path, strerror(err),
		         (unsigned)geteuid());
	else if (err == ENOSPC || err == EDQUOT)
		wc_cause(cause, "%s %s: %s: free some space, or name a directory on another disk with --data", what, path, strerror(err));
	else if (err == ENOENT)
		wc_cause(cause, "%s %s: its parent directory does not exist: make it first, or name another directory with --data", what,
		         path);
	else
		wc_cause(cause, "%s %s: %s: name another directory with --data", what, path, strerror(err));
}

static void cause_sqlite(char **cause, sqlite3 *db, const char *path, int rc)
{
	int err = db ? sqlite3_system_errno(db) : 0;

	if (store_is_full_code(rc, err)) {
		cause_errno(cause, "cannot write", path, ENOSPC);
		return;
	}
	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: cause_corrupt(cause, path, sqlite3_errstr(rc)); break;
	case SQLITE_READONLY:
	case SQLITE_PERM: cause_errno(cause, "cannot write", path, err == EROFS ? EROFS : EACCES); break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		wc_cause(cause, "%s is locked by another program: end it (fuser %s names it) and start again", path, path);
		break;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		if (err) {
			cause_errno(cause, "cannot use", path, err);
			break;
		}
		/* fall through */
	default:
		wc_cause(cause, "cannot use %s: %s (%s): run wavechatd --check, or name another directory with --data", path,
		         sqlite3_errstr(rc), db ? sqlite3_errmsg(db) : "no connection");
	}
}

/* --- The directory and the file, before SQLite sees them. */

static int open_dir(const char *dir, int *lock_fd, char **cause)
{
	char *lock_path = NULL;
	struct stat st;
	int fd = -1, err;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		err = errno;
		if (err == ENOTDIR)
			wc_cause(cause, "cannot make %s: a part of that path is a file: name another directory with --data", dir);
		else
			cause_errno(cause, "cannot make", dir, err);
		return -WC_ESTORAGE;
	}
	if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		wc_cause(cause, "%s is not a directory: name one with --data", dir);
		return -WC_ESTORAGE;
	}
	if (asprintf(&lock_path, "%s/lock", dir) < 0)
		abort();
	fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	err = errno;
	free(lock_path);
	if (fd < 0) {
		cause_errno(cause, "cannot write in", dir, err);
		return -WC_ESTORAGE;
	}
	/* A look at it by --check lasts no longer than that. */
	for (int tries = 0; (err = flock(fd, LOCK_EX | LOCK_NB) != 0 ? errno : 0) == EWOULDBLOCK && tries < 5; tries++)
		usleep(20000);
	if (err) {
		close(fd);
		if (err == EWOULDBLOCK)
			wc_cause(cause, "%s is in use by another wavechatd: stop that one, or name another directory with --data", dir);
		else
			cause_errno(cause, "cannot lock", dir, err);
		return -WC_ESTORAGE;
	}
	if (ftruncate(fd, 0) != 0) /* what the last server claimed there */
		log_debug("lock", "error=\"%s\"", strerror(errno));
	*lock_fd = fd;
	return 0;
}

void store_claim(struct store *s, const char *text, size_t len)
{
	if (s->lock_fd >= 0 && pwrite(s->lock_fd, text, len, 0) != (ssize_t)len && ftruncate(s->lock_fd, 0) != 0)
		log_debug("lock", "error=\"%s\"", strerror(errno));
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

enum store_header store_judge_header(const uint8_t *head, size_t n, unsigned *version)
{
	*version = 0;
	if (n < STORE_HEADER_BYTES || memcmp(head, "SQLite format 3", 16) != 0)
		return STORE_HEADER_NONE;
	*version = be32(head + 60);
	if (be32(head + 68) != STORE_APPLICATION_ID && (be32(head + 68) != 0 || *version != 0))
		return STORE_HEADER_FOREIGN;
	return *version > (unsigned)store_version ? STORE_HEADER_NEWER : STORE_HEADER_OURS;
}

/* Looks at the header with plain reads, so that a file which is not ours, not sound or too new is refused without SQLite having made
 * or changed anything beside it. `make`: an absent file is created (0600; SQLite gives its -wal and -shm the same mode). */
static int check_header(const char *path, bool make, int64_t *bytes, char **cause)
{
	uint8_t head[STORE_HEADER_BYTES] = { 0 };
	struct stat st;
	unsigned version;
	ssize_t n = -1;
	int fd, err;

	*bytes = 0;
	fd = open(path, (make ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NONBLOCK, 0600); /* of a pipe it would wait for a writer */
	if (fd < 0 && errno == ENOENT && !make && lstat(path, &st) < 0)
		return -WC_ENOENT; /* also no link to a place that is not there */
	if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		close(fd);
		wc_cause(cause,
		         "%s is no regular file: move it aside and put the database in its place, or name another directory with --data",
		         path);
		return -WC_ESTORAGE;
	}
	if (fd >= 0 && fstat(fd, &st) == 0)
		n = pread(fd, head, sizeof(head), 0);
	err = errno;
	if (fd >= 0)
		close(fd);
	if (n < 0) {
		cause_errno(cause, "cannot open", path, err);
		return -WC_ESTORAGE;
	}
	*bytes = st.st_size;
	if (n == 0)
		return 0;
	switch (store_judge_header(head, (size_t)n, &version)) {
	case STORE_HEADER_NONE: cause_corrupt(cause, path, "not a database"); return -WC_ESTORAGE;
	case STORE_HEADER_FOREIGN:
		wc_cause(cause, "%s is an SQLite database of another program: name another directory with --data", path);
		return -WC_ESTORAGE;
	case STORE_HEADER_NEWER: cause_newer(cause, path, version); return -WC_ESTORAGE;
	case STORE_HEADER_OURS: break;
	}
	return 0;
}

static int quick_check(sqlite3 *db, const char *path, char **cause)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
	int result = -WC_ESTORAGE;

	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct str said = store_column_str(stmt, 0);

		if (str_eq(said, STR("ok"))) {
			result = 0;
		} else {
			char line[160];

			snprintf(line, sizeof(line), "%.*s", (int)said.len, said.p);
			for (char *p = line; *p; p++)
				if (*p == '\n')
					*p = ' ';
			cause_corrupt(cause, path, line);
		}
	} else {
		cause_sqlite(cause, db, path, rc);
	}
	sqlite3_finalize(stmt);
	return result;
}

/* --- Migrations. Step i brings the schema from version i to i + 1; a step that was released is never edited. */

const char *const store_migrations[] = {
	/* 1 */
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO meta VALUES ('blob_bytes', 0);"

	"CREATE TABLE identities (id INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,"
	" seen INTEGER NOT NULL);"
	"CREATE TABLE tokens (hash BLOB PRIMARY KEY, identity_id INTEGER NOT NULL REFERENCES identities(id) ON DELETE CASCADE,"
	" created INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX tokens_identity ON tokens(identity_id);"

	/* kind tells what an event is; later kinds (edits, deletions, reactions) take ids from the same order and get tables of their own.
	 * Ids of people are no foreign keys: a guest's messages outlive the guest. to_id NULL: to everyone. */
	"CREATE TABLE messages (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL, flags INTEGER NOT NULL,"
	" from_id INTEGER NOT NULL, from_name TEXT NOT NULL, to_id INTEGER, to_name TEXT, cid TEXT, text TEXT);"
	/* Each ends in the rowid, that is in the message's id: a page is one range of one index. */
	"CREATE INDEX messages_public ON messages(to_id) WHERE to_id IS NULL;"
	"CREATE INDEX messages_dm_from ON messages(from_id) WHERE to_id IS NOT NULL;"
	"CREATE INDEX messages_dm_to ON messages(to_id) WHERE to_id IS NOT NULL;"
	"CREATE INDEX messages_pair ON messages(min(from_id, to_id), max(from_id, to_id)) WHERE to_id IS NOT NULL;"
	"CREATE UNIQUE INDEX messages_cid ON messages(from_id, cid) WHERE cid IS NOT NULL;"

	"CREATE TABLE dm_peers (owner_id INTEGER NOT NULL, peer_id INTEGER NOT NULL, peer_name TEXT NOT NULL, last_id INTEGER NOT NULL,"
	" PRIMARY KEY (owner_id, peer_id)) WITHOUT ROWID;"
	"CREATE INDEX dm_peers_last ON dm_peers(owner_id, last_id);"

	/* is_live: the message still stands for the bytes. blob_refs and its sum follow by triggers, so that whatever ends a file later
	 * (retention, a moderator) cannot forget them. */
	"CREATE TABLE files (msg_id INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE, secret BLOB NOT NULL UNIQUE,"
	" sha BLOB NOT NULL, is_live INTEGER NOT NULL, size INTEGER NOT NULL, filename TEXT, mime TEXT, duration REAL, width INTEGER,"
	" height INTEGER, waveform TEXT);"
	"CREATE INDEX files_live ON files(msg_id) WHERE is_live = 1;"
	"CREATE TABLE blob_refs (sha BLOB PRIMARY KEY, size INTEGER NOT NULL, refs INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TRIGGER files_added AFTER INSERT ON files WHEN new.is_live = 1 BEGIN"
	" INSERT INTO blob_refs (sha, size, refs) VALUES (new.sha, new.size, 1) ON CONFLICT (sha) DO UPDATE SET refs = refs + 1; END;"
	"CREATE TRIGGER files_gone AFTER UPDATE OF is_live ON files WHEN old.is_live = 1 AND new.is_live = 0 BEGIN"
	" UPDATE blob_refs SET refs = refs - 1 WHERE sha = old.sha; DELETE FROM blob_refs WHERE sha = old.sha AND refs <= 0; END;"
	"CREATE TRIGGER files_removed AFTER DELETE ON files WHEN old.is_live = 1 BEGIN"
	" UPDATE blob_refs SET refs = refs - 1 WHERE sha = old.sha; DELETE FROM blob_refs WHERE sha = old.sha AND refs <= 0; END;"
	"CREATE TRIGGER blob_added AFTER INSERT ON blob_refs BEGIN"
	" UPDATE meta SET value = value + new.size WHERE name = 'blob_bytes'; END;"
	"CREATE TRIGGER blob_removed AFTER DELETE ON blob_refs BEGIN"
	" UPDATE meta SET value = value - old.size WHERE name = 'blob_bytes'; END;",

	/* 2: the admin's side. act: 1 a ban, 2 a mute; kind: 1 an identity, 2 a name, 3 a network. */
	"CREATE TABLE sanctions (id INTEGER PRIMARY KEY AUTOINCREMENT, act INTEGER NOT NULL, kind INTEGER NOT NULL, user_id INTEGER NOT NULL,"
	" name TEXT, key TEXT, addr BLOB, bits INTEGER NOT NULL, at INTEGER NOT NULL, until INTEGER NOT NULL, reason TEXT, uid INTEGER NOT NULL);"
	"CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, uid INTEGER NOT NULL, pid INTEGER NOT NULL,"
	" verb TEXT NOT NULL, args TEXT NOT NULL, reason TEXT);"
	"CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit is only added to'); END;"
	"CREATE TRIGGER audit_remains BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'the audit is only added to'); END;",

	/* 3: addresses: where each person was last connected from. No foreign key: a guest is stored nowhere else. addr: 16 bytes, IPv4 as
	 * ::ffff:a.b.c.d, so that a network is one range of the index; key: name_key(). via: on whose behalf root acted. */
	"CREATE TABLE addresses (user_id INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL, is_guest INTEGER NOT NULL, addr BLOB NOT NULL,"
	" at INTEGER NOT NULL);"
	"CREATE INDEX addresses_at ON addresses(at);"
	"CREATE INDEX addresses_addr ON addresses(addr);"
	"CREATE INDEX addresses_key ON addresses(key);"
	"ALTER TABLE audit ADD COLUMN via TEXT;"

	/* released: bytes that no message stands for any more, until they are unlinked. An id is never used twice: a hash that is taken and
	 * released again meanwhile is another row. What was released before this list was kept goes onto it now. */
	"CREATE TABLE released (id INTEGER PRIMARY KEY AUTOINCREMENT, sha BLOB NOT NULL UNIQUE);"
	"CREATE TRIGGER blob_released AFTER DELETE ON blob_refs BEGIN INSERT INTO released (sha) VALUES (old.sha); END;"
	"CREATE TRIGGER blob_taken AFTER INSERT ON blob_refs BEGIN DELETE FROM released WHERE sha = new.sha; END;"
	"INSERT INTO released (sha) SELECT DISTINCT sha FROM files WHERE is_live = 0 AND sha NOT IN (SELECT sha FROM blob_refs);",
};
const int store_version = WC_LEN(store_migrations);

int store_migrate(sqlite3 *db, const char *const *list, int n, const char *path, char **cause)
{
	char pragma[96];
	int64_t version = 0;
	int rc = get_int(db, "PRAGMA user_version", &version);

	if (rc == SQLITE_OK && version == n)
		return 0;
	if (rc == SQLITE_OK && (version < 0 || version > n)) {
		cause_newer(cause, path, version);
		return -WC_ESTORAGE;
	}
	if (rc == SQLITE_OK)
		rc = store_exec(db, "BEGIN IMMEDIATE");
	for (int64_t i = version; rc == SQLITE_OK && i < n; i++)
		rc = store_exec(db, list[i]);
	snprintf(pragma, sizeof(pragma), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", STORE_APPLICATION_ID, n);
	if (rc == SQLITE_OK)
		rc = store_exec(db, pragma);
	if (rc == SQLITE_OK)
		return 0;
	cause_sqlite(cause, db, path, rc);
	if (!sqlite3_get_autocommit(db))
		(void)store_exec(db, "ROLLBACK");
	return -WC_ESTORAGE;
}

/* --- Opening and closing. */

static int set_up(struct store *s, enum durability durability, char **cause)
{
	enum { INCREMENTAL = 2 };
	char pragmas[256];
	int64_t ids = 0, vacuum = 0;
	int rc;

	/* auto_vacuum only takes before the first table, and before WAL is on. Set again it would write, and a full disk takes nothing. */
	rc = get_int(s->db, "PRAGMA auto_vacuum", &vacuum);
	if (rc == SQLITE_OK && vacuum != INCREMENTAL)
		rc = store_exec(s->db, "PRAGMA auto_vacuum=INCREMENTAL");
	snprintf(pragmas, sizeof(pragmas),
	         "PRAGMA cache_size=-4096; PRAGMA journal_mode=%s; PRAGMA synchronous=%s;"
	         "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=%d",
	         s->is_memory ? "MEMORY" : "WAL",
	         s->is_memory                    ? "OFF"
	         : durability == DURABILITY_FULL ? "FULL"
	                                         : "NORMAL",
	         STORE_WAL_RESTART_BYTES);
	if (rc == SQLITE_OK)
		rc = store_exec(s->db, pragmas);
	if (rc != SQLITE_OK) {
		cause_sqlite(cause, s->db, s->path, rc);
		return -WC_ESTORAGE;
	}
	rc = store_migrate(s->db, store_migrations, store_version, s->path, cause);
	if (rc)
		return rc;
	/* What a migration or the last run left in the log goes into the file now: it also proves that the disk takes writes. */
	rc = s->is_memory ? SQLITE_OK : sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (store_is_full_code(rc, sqlite3_system_errno(s->db))) /* it is all there, and can be read */
		rc = SQLITE_OK;
	if (rc == SQLITE_OK)
		rc = store_prepare_all(s->db, store_writer_sql, W_LAST, s->stmt);
	/* Two subqueries: one with both ends in it would walk from one to the other. */
	if (rc == SQLITE_OK)
		rc = get_int(s->db, "SELECT (SELECT max(id) FROM messages) + (SELECT min(id) FROM messages) + (SELECT count(*) FROM meta)",
		             &ids);
	if (rc != SQLITE_OK) {
		cause_sqlite(cause, s->db, s->path, rc);
		return -WC_ESTORAGE;
	}
	return 0;
}

/* A small one is looked at as a whole before anything is changed in it: what is damaged is left as it was found. */
static int refuse_damaged(struct store *s, char **cause)
{
	int64_t pages = 0;
	int rc = s->is_memory ? SQLITE_OK : get_int(s->db, "PRAGMA page_count", &pages);

	if (rc == SQLITE_OK && (pages == 0 || pages * STORE_PAGE_BYTES > CHECK_AT_OPEN_BYTES || quick_check(s->db, s->path, cause) == 0))
		return 0;
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (rc != SQLITE_OK)
		cause_sqlite(cause, s->db, s->path, rc);
	return -WC_ESTORAGE;
}

/* Refuses a database whose log says that it is newer, before anything is written; closing must then not move the log either. */
static int refuse_newer(struct store *s, char **cause)
{
	int64_t version = 0;
	int rc = get_int(s->db, "PRAGMA user_version", &version);

	if (rc == SQLITE_OK && version <= store_version)
		return 0;
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (rc == SQLITE_OK)
		cause_newer(cause, s->path, version);
	else
		cause_sqlite(cause, s->db, s->path, rc);
	return -WC_ESTORAGE;
}

static char *make_path(const char *dir)
{
	char *path = NULL;
	/* A name that starts with "file:" would be taken for a URI. */
	int n = asprintf(&path, "%s%s/%s", dir[0] == '/' ? "" : "./", dir, STORE_FILE);

	if (n < 0)
		abort();
	return path;
}

/* What can be said before anything is changed; then the copy that an update leaves. */
static int look_first(struct store *s, store_look_at_fn fn, void *arg, int64_t *version, char **cause)
{
	struct store_look *look = NULL;
	int64_t bytes = 0;
	int rc = check_header(s->path, false, &bytes, cause);

	*version = 0;
	if (rc == -WC_ENOENT)
		rc = 0;
	else if (rc == 0 && bytes > 0)
		rc = store_look_open(&look, s->path, true, cause);
	if (rc == 0 && fn)
		rc = fn(arg, look, cause);
	if (rc == 0 && look)
		*version = look->version;
	if (rc == 0 && look)
		rc = store_keep_copy(look, cause);
	store_look_close(look);
	return rc;
}

int store_open(struct store **out, const char *dir, enum durability durability, char **cause)
{
	return store_open_after(out, dir, durability, NULL, NULL, cause);
}

int store_open_after(struct store **out, const char *dir, enum durability durability, store_look_at_fn fn, void *arg, char **cause)
{
	struct store *s = xcalloc(1, sizeof(*s));
	int rc, result = -WC_ESTORAGE;
	struct stat st;
	int64_t bytes, version = 0;

	*out = NULL;
	open_met_full_disk = false;
	s->lock_fd = -1;
	atomic_init(&s->rows_at_start, dir ? -1 : 0);
	s->is_memory = !dir;
	turns_init(&s->turns);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* a lock less per allocation; refused, harmlessly, once SQLite runs */
	if (dir) {
		s->path = make_path(dir);
		if (open_dir(dir, &s->lock_fd, cause) != 0 || look_first(s, fn, arg, &version, cause) != 0 ||
		    check_header(s->path, true, &bytes, cause) != 0)
			goto out;
	} else {
		uint8_t name[16];
		char hex[2 * sizeof(name) + 1];

		wc_random(name, sizeof(name));
		wc_hex(hex, name, sizeof(name));
		if (asprintf(&s->path, "file:/wavechat-%s?vfs=memdb", hex) < 0)
			abort();
	}
	rc = store_connect(s->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | (dir ? 0 : SQLITE_OPEN_URI), &s->db);
	if (rc != SQLITE_OK) {
		cause_sqlite(cause, s->db, s->path, rc);
		goto out;
	}
	if (dir) { /* absolute, for readers opened after a chdir */
		free(s->path);
		s->path = xstrdup(sqlite3_db_filename(s->db, "main"));
		if (stat(s->path, &st) == 0) {
			s->dev = st.st_dev;
			s->ino = st.st_ino;
		}
	}
	if (refuse_newer(s, cause) != 0 || refuse_damaged(s, cause) != 0 || set_up(s, durability, cause) != 0)
		goto out;
	if (dir && version > 0 && version < store_version)
		log_info("database migrated", "from=%lld to=%d", (long long)version, store_version);
	if (dir)
		store_keep_clean(s->path, version < store_version ? version : 0);
	*out = s;
	result = 0;
out:
	if (result)
		store_close(s);
	return result && open_met_full_disk ? -WC_EFULL : result;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	store_count_stop(s);
	for (int i = 0; i < W_LAST; i++)
		sqlite3_finalize(s->stmt[i]);
	sqlite3_close(s->db); /* an open transaction is rolled back; the last connection moves the log into the file */
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	turns_fini(&s->turns);
	free(s->path);
	free(s);
}

/* Would a start find or make the directory, and write in it? Makes nothing. */
static int check_dir(const char *dir, char **cause)
{
	struct stat st;
	int rc = 0, err;

	if (stat(dir, &st) == 0) {
		if (!S_ISDIR(st.st_mode)) {
			wc_cause(cause, "%s is not a directory: name one with --data", dir);
			return -WC_ESTORAGE;
		}
		if (access(dir, W_OK | X_OK) != 0) {
			cause_errno(cause, "cannot write in", dir, errno);
			return -WC_ESTORAGE;
		}
		return 0;
	}
	err = errno;
	if (err == ENOENT && lstat(dir, &st) == 0) { /* a link to a place that is not there */
		wc_cause(cause, "%s is not a directory: name one with --data", dir);
		return -WC_ESTORAGE;
	}
	/* mkdir makes one level: what stands above must be there. */
	char *parent = xstrdup(dir);
	size_t len = strlen(parent);
	while (len > 1 && parent[len - 1] == '/')
		len--;
	while (len > 0 && parent[len - 1] != '/')
		len--;
	parent[len] = 0;
	if (err == ENOENT && access(len ? parent : ".", W_OK | X_OK) != 0)
		err = errno;
	else if (err == ENOENT)
		err = 0;
	if (err) {
		cause_errno(cause, "cannot make", dir, err);
		rc = -WC_ESTORAGE;
	}
	free(parent);
	return rc;
}

static bool has_log(const char *path)
{
	char *log = NULL;
	bool has;

	if (asprintf(&log, "%s-wal", path) < 0)
		abort();
	has = access(log, F_OK) == 0;
	free(log);
	return has;
}

/* A database at rest is opened as one that nobody changes: a mere reader would leave a log and its index beside it, for good. */
static int connect_to_check(const char *path, bool is_at_rest, sqlite3 **db)
{
	static const char hex[] = "0123456789ABCDEF";
	struct buf uri;
	int rc;

	if (!is_at_rest)
		return store_connect(path, SQLITE_OPEN_READONLY, db);
	buf_init(&uri, 3 * PATH_MAX + 64);
	buf_puts(&uri, "file:");
	for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
		if (strchr("%?#", *p)) {
			buf_putc(&uri, '%');
			buf_putc(&uri, hex[*p >> 4]);
			buf_putc(&uri, hex[*p & 15]);
		} else {
			buf_putc(&uri, (char)*p);
		}
	}
	buf_puts(&uri, "?immutable=1");
	buf_putc(&uri, '\0');
	rc = uri.failed ? SQLITE_CANTOPEN : store_connect(uri.p, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, db);
	buf_fini(&uri);
	return rc;
}

static int check_database(const char *path, bool is_at_rest, char **cause)
{
	sqlite3 *db = NULL;
	int64_t version = 0;
	int result = -WC_ESTORAGE, rc = connect_to_check(path, is_at_rest, &db);

	if (rc == SQLITE_OK)
		rc = get_int(db, "PRAGMA user_version", &version);
	if (rc != SQLITE_OK)
		cause_sqlite(cause, db, path, rc);
	else if (version > store_version)
		cause_newer(cause, path, version);
	else
		result = quick_check(db, path, cause);
	sqlite3_close(db);
	return result;
}

/* Does another program keep everybody out of the database? SQLite's bytes for that. Immutable connections do not ask. */
static int check_unlocked(const char *path, char **cause)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0x40000000, .l_len = 512 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;

	if (fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
		cause_sqlite(cause, NULL, path, SQLITE_BUSY);
		rc = -WC_ESTORAGE;
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

int store_check(const char *dir, char **cause)
{
	char *path = make_path(dir);
	int64_t bytes = 0;
	bool is_at_rest;
	int rc, result = -WC_ESTORAGE;

	if (check_dir(dir, cause))
		goto out;
	rc = check_header(path, false, &bytes, cause);
	if (rc == -WC_ENOENT || (rc == 0 && bytes == 0)) {
		result = 0; /* nothing there yet */
		goto out;
	}
	if (rc)
		goto out;
	is_at_rest = !has_log(path);
	if (is_at_rest && check_unlocked(path, cause) != 0)
		goto out;
	result = check_database(path, is_at_rest, cause);
	if (result && is_at_rest && has_log(path)) { /* a server has started meanwhile, and wrote under our eyes */
		free(*cause);
		*cause = NULL;
		result = check_database(path, false, cause);
	}
out:
	free(path);
	return result;
}

/* --- At rest, for those who look and change nothing. */

/* A log that a crash left is read with its index in memory, by a VFS that changes nothing: neither the index nor the end of the reading leaves a trace. */
static int connect_with_log(const char *path, sqlite3 **db)
{
	int rc = sqlite3_initialize();

	if (rc == SQLITE_OK)
		rc = sqlite3_open_v2(path, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, store_vfs_look());

	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	return rc == SQLITE_OK
	               ? store_exec(*db,
	                            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA query_only=ON")
	               : rc;
}

int store_connect_alone(const char *path, sqlite3 **db)
{
	return has_log(path) ? connect_with_log(path, db) : connect_to_check(path, true, db);
}

int store_connect_at_rest(const char *path, sqlite3 **db, char **cause)
{
	int64_t bytes = 0, version = 0;
	int rc = check_header(path, false, &bytes, cause);

	*db = NULL;
	if (rc == -WC_ENOENT || (rc == 0 && bytes == 0)) {
		wc_cause(cause, rc ? "%s is missing" : "%s is empty", path);
		return -WC_ENOENT;
	}
	if (rc)
		return rc;
	rc = store_connect_alone(path, db);
	if (rc == SQLITE_OK)
		rc = get_int(*db, "PRAGMA user_version", &version);
	if (rc == SQLITE_OK && version > 0 && version <= store_version)
		return 0;
	if (rc == SQLITE_OK && version == 0)
		wc_cause(cause, "%s holds no messages' tables: it is no database of wavechatd", path);
	else if (rc == SQLITE_OK)
		cause_newer(cause, path, version);
	else
		cause_sqlite(cause, *db, path, rc);
	sqlite3_close(*db);
	*db = NULL;
	return -WC_ESTORAGE;
}

int store_look_at(const char *dir, store_look_at_fn fn, void *arg, char **cause)
{
	struct store_look *look = NULL;
	char *path = make_path(dir);
	int64_t bytes = 0;
	int rc = check_header(path, false, &bytes, cause);

	if (rc == -WC_ENOENT)
		rc = 0;
	else if (rc == 0 && bytes > 0)
		rc = store_look_open(&look, path, false, cause);
	if (rc == 0)
		rc = fn(arg, look, cause);
	if (rc == 0 && look)
		rc = store_keep_check(look, cause);
	store_look_close(look);
	free(path);
	return rc;
}

/* --- For the store's other units. */

int store_get_int(sqlite3 *db, const char *sql, int64_t *out)
{
	return get_int(db, sql, out);
}

void store_cause(char **cause, sqlite3 *db, const char *path, int rc)
{
	cause_sqlite(cause, db, path, rc);
}

void store_cause_newer(char **cause, const char *path, int64_t version)
{
	cause_newer(cause, path, version);
}

int store_connect_to_check(const char *path, sqlite3 **db)
{
	return connect_to_check(path, !has_log(path), db);
}
