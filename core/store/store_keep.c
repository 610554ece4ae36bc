/* store_keep.c — the way back from an update: before a migration the database is copied beside itself, as wavechat.db.vN.
 *
 * Owns the files wavechat.db.vN and wavechat.db.vN.tmp; N is the schema before the migration. The newest stays until the next migration. A
 * copy gets its name only once it is whole, checked and on the disk. A kill at any moment leaves the database as it was. Thread: main. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "store/impl.h"

#define MIGRATION_BYTES (1 << 20) /* room for the migration itself */

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strndup(path, slash ? (size_t)(slash - path) : 0);
}

/* The schema of a copy's name, or 0. *is_tmp: it was never whole. */
static int64_t version_of(const char *name, bool *is_tmp)
{
	static const char prefix[] = STORE_FILE ".v";
	char *end;
	long long n;

	*is_tmp = false;
	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return 0;
	name += sizeof(prefix) - 1;
	n = strtoll(name, &end, 10);
	if (*name < '1' || *name > '9' || n > INT32_MAX)
		return 0;
	*is_tmp = strncmp(end, ".tmp", 4) == 0; /* SQLite's journal of one, too */
	return *end == '\0' || *is_tmp ? n : 0;
}

/* Removes unfinished copies and, unless keep is 0, all copies but the one of schema `keep`. */
void store_keep_clean(const char *path, int64_t keep)
{
	char *folder = folder_of(path);
	DIR *d = opendir(folder);
	struct dirent *e;
	bool is_tmp;

	while (d && (e = readdir(d))) {
		int64_t version = version_of(e->d_name, &is_tmp);

		if (version && (is_tmp || (keep && version != keep)))
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
	free(folder);
}

static bool is_ahead(const struct store_look *look)
{
	return look->version > 0 && look->version < store_version;
}

static int copy_bytes(const struct store_look *look, uint64_t *bytes, char **cause)
{
	int64_t pages = 0, page_bytes = 0;
	int rc = store_get_int(look->db, "PRAGMA page_count", &pages);

	if (rc == SQLITE_OK)
		rc = store_get_int(look->db, "PRAGMA page_size", &page_bytes);
	if (rc != SQLITE_OK) {
		store_cause(cause, look->db, look->path, rc);
		return -WC_ESTORAGE;
	}
	*bytes = (uint64_t)(pages * page_bytes);
	return 0;
}

int store_keep_check(const struct store_look *look, char **cause)
{
	struct statvfs v;
	uint64_t needed, have;
	char *folder;
	int fd, rc;

	if (!is_ahead(look))
		return 0;
	if (copy_bytes(look, &needed, cause) != 0)
		return -WC_ESTORAGE;
	needed += MIGRATION_BYTES;
	folder = folder_of(look->path);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd >= 0 ? fstatvfs(fd, &v) : -1; /* if it cannot be told, the copy itself will tell */
	if (fd >= 0)
		close(fd);
	have = rc == 0 ? (uint64_t)v.f_bavail * v.f_frsize : UINT64_MAX;
	if (have < needed)
		wc_cause(
			cause,
			"no room for the copy of %s that is kept before its schema goes from %lld to %d: %llu bytes are needed, %llu are free in %s: "
			"free some space and start again; nothing was changed",
			look->path, (long long)look->version, store_version, (unsigned long long)needed, (unsigned long long)have, folder);
	free(folder);
	return have < needed ? -WC_ESTORAGE : 0;
}

static int sync_path(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags), rc;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

/* All pages as of now, its log included, into a file that is complete by itself. */
static int copy_to(sqlite3 *from, const char *tmp, char **cause)
{
	sqlite3 *to = NULL;
	sqlite3_backup *b = NULL;
	char what[160];
	int fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), rc;

	if (fd < 0) {
		wc_cause(cause, "cannot make %s: %s: the database is copied there before its schema changes", tmp, strerror(errno));
		return -WC_ESTORAGE;
	}
	close(fd);
	rc = store_connect(tmp, SQLITE_OPEN_READWRITE, &to);
	if (rc == SQLITE_OK)
		rc = store_exec(to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF"); /* nobody reads it before it is whole */
	if (rc == SQLITE_OK) {
		b = sqlite3_backup_init(to, "main", from, "main");
		rc = b ? sqlite3_backup_step(b, -1) : sqlite3_errcode(to);
		if (b)
			(void)sqlite3_backup_finish(b);
		rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
	}
	if (rc == SQLITE_OK)
		rc = store_exec(to, "PRAGMA journal_mode=DELETE");
	if (rc != SQLITE_OK)
		wc_cause(cause, "cannot copy the database to %s before its schema changes: %s: nothing was changed", tmp,
		         sqlite3_errstr(rc));
	else if (store_quick_check(to, what, sizeof(what)) != SQLITE_OK)
		rc = SQLITE_CORRUPT;
	if (rc == SQLITE_CORRUPT)
		wc_cause(cause,
		         "the copy %s, made before the schema changes, is not sound: the database may be damaged; run wavechatd --check",
		         tmp);
	sqlite3_close(to);
	if (rc == SQLITE_OK && sync_path(tmp, 0) != 0) {
		wc_cause(cause, "cannot write %s to the disk: %s: nothing was changed", tmp, strerror(errno));
		rc = SQLITE_IOERR;
	}
	return rc == SQLITE_OK ? 0 : -WC_ESTORAGE;
}

int store_keep_copy(const struct store_look *look, char **cause)
{
	char *folder, *copy = NULL, *tmp = NULL;
	uint64_t bytes = 0;
	int rc = -WC_ESTORAGE;

	if (!is_ahead(look))
		return 0;
	store_keep_clean(look->path, 0);
	if (store_keep_check(look, cause) != 0 || copy_bytes(look, &bytes, cause) != 0)
		return -WC_ESTORAGE;
	folder = folder_of(look->path);
	if (asprintf(&copy, "%s.v%lld", look->path, (long long)look->version) < 0 || asprintf(&tmp, "%s.tmp", copy) < 0)
		abort();
	if (copy_to(look->db, tmp, cause) != 0)
		goto out;
	if (rename(tmp, copy) != 0 || sync_path(folder, O_DIRECTORY) != 0) {
		wc_cause(cause, "cannot name %s: %s: nothing was changed", copy, strerror(errno));
		goto out;
	}
	log_info("database copied", "file=%s bytes=%llu schema=%lld", copy, (unsigned long long)bytes, (long long)look->version);
	rc = 0;
out:
	if (rc)
		(void)unlink(tmp);
	free(copy);
	free(tmp);
	free(folder);
	return rc;
}
