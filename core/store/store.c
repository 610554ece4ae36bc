/* store.c — opening and closing the database: the lock on its folder, the copy before an update, migrations.
 *
 * Owns the lock on the data folder. Reads and writes no message: the writer is store_write.c, readers are store_read.c. Thread: main. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "store/impl.h"

/* At start a database up to this size is checked page by page (about 0.1 s); for a larger one the schema, both ends of every table and
 * what SQLite itself notices (magic, a file shorter than it should be) must do, and `--check` looks at all of it. */
#define CHECK_AT_OPEN_BYTES (16 << 20)

const char *store_sqlite_version(void)
{
	return sqlite3_libversion();
}

/* --- The folder. */

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
			store_cause_errno(cause, "cannot make", dir, err);
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
		store_cause_errno(cause, "cannot write in", dir, err);
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
			store_cause_errno(cause, "cannot lock", dir, err);
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

/* --- Migrations. */

int store_migrate(sqlite3 *db, const char *const *list, int n, const char *path, char **cause)
{
	char pragma[96];
	int64_t version = 0;
	int rc = store_get_int(db, "PRAGMA user_version", &version);

	if (rc == SQLITE_OK && version == n)
		return 0;
	if (rc == SQLITE_OK && (version < 0 || version > n)) {
		store_cause_newer(cause, path, version);
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
	store_cause(cause, db, path, rc);
	if (!sqlite3_get_autocommit(db))
		(void)store_exec(db, "ROLLBACK");
	return -WC_ESTORAGE;
}

#define CHECKPOINT_TRIES 25

/* --- Opening and closing. */

/* SQLite asks no busy handler where another connection is at its own checkpoint, as that of a --check that closes. It lasts no longer. */
static int truncate_log(struct store *s)
{
	int rc;

	for (int tries = 0;; tries++) {
		rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
		if ((rc & 0xff) != SQLITE_BUSY || tries == CHECKPOINT_TRIES)
			return rc;
		usleep(20000);
	}
}

static int set_up(struct store *s, enum durability durability, char **cause)
{
	enum { INCREMENTAL = 2 };
	char pragmas[256];
	int64_t ids = 0, vacuum = 0;
	int rc;

	/* auto_vacuum only takes before the first table, and before WAL is on. Set again it would write, and a full disk takes nothing. */
	rc = store_get_int(s->db, "PRAGMA auto_vacuum", &vacuum);
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
		store_cause(cause, s->db, s->path, rc);
		return -WC_ESTORAGE;
	}
	rc = store_migrate(s->db, store_migrations, store_version, s->path, cause);
	if (rc)
		return rc;
	/* The log of a migration or of the last run goes into the file now: that also proves that the disk takes writes. */
	rc = s->is_memory ? SQLITE_OK : truncate_log(s);
	if (store_is_full_code(rc, sqlite3_system_errno(s->db))) /* it is all there, and can be read */
		rc = SQLITE_OK;
	if (rc == SQLITE_OK)
		rc = store_prepare_all(s->db, store_writer_sql, W_LAST, s->stmt);
	/* Two subqueries: one with both ends in it would walk from one to the other. */
	if (rc == SQLITE_OK)
		rc = store_get_int(s->db,
		                   "SELECT (SELECT max(id) FROM messages) + (SELECT min(id) FROM messages) + (SELECT count(*) FROM meta)",
		                   &ids);
	if (rc != SQLITE_OK) {
		store_cause(cause, s->db, s->path, rc);
		return -WC_ESTORAGE;
	}
	return 0;
}

/* A small one is looked at as a whole before anything is changed in it: what is damaged is left as it was found. */
static int refuse_damaged(struct store *s, char **cause)
{
	int64_t pages = 0;
	int rc = s->is_memory ? SQLITE_OK : store_get_int(s->db, "PRAGMA page_count", &pages);

	if (rc == SQLITE_OK &&
	    (pages == 0 || pages * STORE_PAGE_BYTES > CHECK_AT_OPEN_BYTES || store_check_pages(s->db, s->path, cause) == 0))
		return 0;
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (rc != SQLITE_OK)
		store_cause(cause, s->db, s->path, rc);
	return -WC_ESTORAGE;
}

/* Refuses a database whose log says that it is newer, before anything is written; closing must then not move the log either. */
static int refuse_newer(struct store *s, char **cause)
{
	int64_t version = 0;
	int rc = store_get_int(s->db, "PRAGMA user_version", &version);

	if (rc == SQLITE_OK && version <= store_version)
		return 0;
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (rc == SQLITE_OK)
		store_cause_newer(cause, s->path, version);
	else
		store_cause(cause, s->db, s->path, rc);
	return -WC_ESTORAGE;
}

/* The refusals, before anything is changed; then the copy that an update leaves. */
static int look_first(struct store *s, store_look_at_fn fn, void *arg, int64_t *version, char **cause)
{
	struct store_look *look = NULL;
	int64_t bytes = 0;
	int rc = store_read_header(s->path, false, &bytes, cause);

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
	store_cause_begin();
	s->lock_fd = -1;
	atomic_init(&s->rows_at_start, dir ? -1 : 0);
	s->is_memory = !dir;
	turns_init(&s->turns);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* a lock less per allocation; refused, harmlessly, once SQLite runs */
	if (dir) {
		s->path = store_path(dir);
		if (open_dir(dir, &s->lock_fd, cause) != 0 || look_first(s, fn, arg, &version, cause) != 0 ||
		    store_read_header(s->path, true, &bytes, cause) != 0)
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
		store_cause(cause, s->db, s->path, rc);
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
	return result && store_cause_is_full() ? -WC_EFULL : result;
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
