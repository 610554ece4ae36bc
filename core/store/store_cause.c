/* store_cause.c — why a database cannot be opened, in one line that says what to do. Owns whether a full disk was among the reasons.
 * Thread: main. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "store/impl.h"

void store_cause_corrupt(char **cause, const char *path, const char *what)
{
	const int dir = (int)(strrchr(path, '/') - path); /* store_path has put one there */

	wc_cause(cause,
	         "%s is damaged (%s): stop the server, keep the folder under another name (mv %.*s %.*s.damaged), then restore a backup "
	         "(wavechatctl restore FILE %.*s); without a backup, `sqlite3 %.*s.damaged/" STORE_FILE " .recover` saves what can be read",
	         path, what, dir, path, dir, path, dir, path, dir, path);
}

void store_cause_newer(char **cause, const char *path, int64_t version)
{
	wc_cause(cause,
	         "%s was written by a newer wavechatd (schema %lld, this one knows %d): run that version, or name another --data directory",
	         path, (long long)version, store_version);
}

static bool met_full_disk; /* since store_cause_begin */

void store_cause_begin(void)
{
	met_full_disk = false;
}

bool store_cause_is_full(void)
{
	return met_full_disk;
}

void store_cause_errno(char **cause, const char *what, const char *path, int err)
{
	met_full_disk |= err == ENOSPC || err == EDQUOT;
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

void store_cause(char **cause, sqlite3 *db, const char *path, int rc)
{
	int err = db ? sqlite3_system_errno(db) : 0;

	if (store_is_full_code(rc, err)) {
		store_cause_errno(cause, "cannot write", path, ENOSPC);
		return;
	}
	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: store_cause_corrupt(cause, path, sqlite3_errstr(rc)); break;
	case SQLITE_READONLY:
	case SQLITE_PERM: store_cause_errno(cause, "cannot write", path, err == EROFS ? EROFS : EACCES); break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		wc_cause(cause, "%s is locked by another program: end it (fuser %s names it) and start again", path, path);
		break;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		if (err) {
			store_cause_errno(cause, "cannot use", path, err);
			break;
		}
		/* fall through */
	default:
		wc_cause(cause, "cannot use %s: %s (%s): run wavechatd --check, or name another directory with --data", path,
		         sqlite3_errstr(rc), db ? sqlite3_errmsg(db) : "no connection");
	}
}
