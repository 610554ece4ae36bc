/* store_rest.c — a database at rest: its header read without SQLite, and connections that change nothing.
 *
 * Owns nothing. Makes a file only if store_read_header is told to. Thread: main, or the thread that looks. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "store/impl.h"
#include "store/store_verify.h"

char *store_path(const char *dir)
{
	char *path = NULL;
	/* A name that starts with "file:" would be taken for a URI. */
	int n = asprintf(&path, "%s%s/%s", dir[0] == '/' ? "" : "./", dir, STORE_FILE);

	if (n < 0)
		abort();
	return path;
}

/* --- The header. */

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

int store_read_header(const char *path, bool make, int64_t *bytes, char **cause)
{
	uint8_t head[STORE_HEADER_BYTES] = { 0 };
	struct stat st;
	unsigned version;
	ssize_t n = -1;
	int fd, err;

	*bytes = 0;
	fd = open(path, (make ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NONBLOCK, 0600); /* of a pipe it would wait for a writer */
	if (fd < 0 && errno == ENOENT && !make && (lstat(path, &st) < 0 || !S_ISLNK(st.st_mode)))
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
		store_cause_errno(cause, "cannot open", path, err);
		return -WC_ESTORAGE;
	}
	*bytes = st.st_size;
	if (n == 0)
		return 0;
	switch (store_judge_header(head, (size_t)n, &version)) {
	case STORE_HEADER_NONE: store_cause_corrupt(cause, path, "not a database"); return -WC_ESTORAGE;
	case STORE_HEADER_FOREIGN:
		wc_cause(cause, "%s is an SQLite database of another program: name another directory with --data", path);
		return -WC_ESTORAGE;
	case STORE_HEADER_NEWER: store_cause_newer(cause, path, version); return -WC_ESTORAGE;
	case STORE_HEADER_OURS: break;
	}
	return 0;
}

int store_quick_check(sqlite3 *db, char *what, size_t n)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);

	what[0] = '\0';
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		struct str said = store_column_str(stmt, 0);

		rc = str_eq(said, STR("ok")) ? SQLITE_OK : SQLITE_CORRUPT;
		snprintf(what, n, "%.*s", rc == SQLITE_OK ? 0 : (int)said.len, said.p);
		for (char *p = what; *p; p++)
			if (*p == '\n')
				*p = ' ';
	}
	sqlite3_finalize(stmt);
	return rc;
}

int store_check_pages(sqlite3 *db, const char *path, char **cause)
{
	char what[160];
	int rc = store_quick_check(db, what, sizeof(what));

	if (rc == SQLITE_OK)
		return 0;
	if (what[0])
		store_cause_corrupt(cause, path, what);
	else
		store_cause(cause, db, path, rc);
	return -WC_ESTORAGE;
}

/* --- Connections. */

bool store_has_log(const char *path)
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
int store_connect_to_check(const char *path, bool is_at_rest, sqlite3 **db)
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

/* A log that a crash left is read with its index in memory, by a VFS that changes nothing: neither the index nor the end of the reading
 * leaves a trace. */
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
	return store_has_log(path) ? connect_with_log(path, db) : store_connect_to_check(path, true, db);
}

int store_connect_at_rest(const char *path, sqlite3 **db, char **cause)
{
	int64_t bytes = 0, version = 0;
	int rc = store_read_header(path, false, &bytes, cause);

	*db = NULL;
	if (rc == -WC_ENOENT || (rc == 0 && bytes == 0)) {
		wc_cause(cause, rc ? "%s is missing" : "%s is empty", path);
		return -WC_ENOENT;
	}
	if (rc)
		return rc;
	rc = store_connect_alone(path, db);
	if (rc == SQLITE_OK)
		rc = store_get_int(*db, "PRAGMA user_version", &version);
	if (rc == SQLITE_OK && version > 0 && version <= store_version)
		return 0;
	if (rc == SQLITE_OK && version == 0)
		wc_cause(cause, "%s holds no messages' tables: it is no database of wavechatd", path);
	else if (rc == SQLITE_OK)
		store_cause_newer(cause, path, version);
	else
		store_cause(cause, *db, path, rc);
	sqlite3_close(*db);
	*db = NULL;
	return -WC_ESTORAGE;
}
