/* store_vfs.c — files for SQLite through which nothing can change: no locks, no index of a log beside it, the log opened for reading alone.
 *
 * Left to itself SQLite opens a log for writing, and as root gives it the database's owner anew, which shows in its times. Owns the one
 * VFS; registered at its first use. Thread: any that looks at a folder at rest, one at a time. */
#include "store/impl.h"

#define NAME "wavechat-look"

static sqlite3_vfs *below; /* does the work */

static int open_to_read(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	(void)vfs;
	/* Opened as if it were a database, because SQLite sets the owner of a log. */
	if (flags & SQLITE_OPEN_WAL)
		flags = (flags & ~(SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_MAIN_DB |
		        SQLITE_OPEN_READONLY;
	return below->xOpen(below, path, file, flags, out_flags);
}

static int refuse_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
	(void)vfs;
	(void)path;
	(void)sync_dir;
	return SQLITE_IOERR_DELETE;
}

const char *store_vfs_look(void)
{
	static sqlite3_vfs look;

	if (sqlite3_vfs_find(NAME))
		return NAME;
	below = sqlite3_vfs_find("unix-none");
	if (!below)
		return NULL;
	look = *below;
	look.pNext = NULL;
	look.zName = NAME;
	look.xOpen = open_to_read;
	look.xDelete = refuse_delete;
	return sqlite3_vfs_register(&look, 0) == SQLITE_OK ? NAME : NULL;
}
