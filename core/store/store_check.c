/* store_check.c — `wavechatd --check` of the database: would a start do? Owns nothing. Makes, changes and locks nothing. Thread: main. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/impl.h"

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
			store_cause_errno(cause, "cannot write in", dir, errno);
			return -WC_ESTORAGE;
		}
		return 0;
	}
	err = errno;
	if (err == ENOENT && lstat(dir, &st) == 0 && S_ISLNK(st.st_mode)) { /* a link to a place that is not there */
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
		store_cause_errno(cause, "cannot make", dir, err);
		rc = -WC_ESTORAGE;
	}
	free(parent);
	return rc;
}

static int check_database(const char *path, bool is_at_rest, char **cause)
{
	sqlite3 *db = NULL;
	int64_t version = 0;
	int result = -WC_ESTORAGE, rc = store_connect_to_check(path, is_at_rest, &db);

	if (rc == SQLITE_OK)
		rc = store_get_int(db, "PRAGMA user_version", &version);
	if (rc != SQLITE_OK)
		store_cause(cause, db, path, rc);
	else if (version > store_version)
		store_cause_newer(cause, path, version);
	else
		result = store_check_pages(db, path, cause);
	sqlite3_close(db);
	return result;
}

/* Does another program keep everybody out of the database? SQLite's bytes for that. Immutable connections do not ask. */
static int check_unlocked(const char *path, char **cause)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0x40000000, .l_len = 512 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;

	if (fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
		store_cause(cause, NULL, path, SQLITE_BUSY);
		rc = -WC_ESTORAGE;
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

int store_check(const char *dir, char **cause)
{
	char *path = store_path(dir);
	int64_t bytes = 0;
	bool is_at_rest;
	int rc, result = -WC_ESTORAGE;

	if (check_dir(dir, cause))
		goto out;
	rc = store_read_header(path, false, &bytes, cause);
	if (rc == -WC_ENOENT || (rc == 0 && bytes == 0)) {
		result = 0; /* nothing there yet */
		goto out;
	}
	if (rc)
		goto out;
	is_at_rest = !store_has_log(path);
	if (is_at_rest && check_unlocked(path, cause) != 0)
		goto out;
	result = check_database(path, is_at_rest, cause);
	if (result && is_at_rest && store_has_log(path)) { /* a server has started meanwhile, and wrote under our eyes */
		free(*cause);
		*cause = NULL;
		result = check_database(path, false, cause);
	}
out:
	free(path);
	return result;
}

int store_look_at(const char *dir, store_look_at_fn fn, void *arg, char **cause)
{
	struct store_look *look = NULL;
	char *path = store_path(dir);
	int64_t bytes = 0;
	int rc = store_read_header(path, false, &bytes, cause);

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
