/* store_probe.c — tries what a message would need of the database, and leaves no trace (see store_probe.h).
 *
 * Owns a connection of its own. Never opens a file of the database but through SQLite: closing one would end the locks that this process
 * holds on it. Thread: the health's probe. */
#include "store/store_probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "store/impl.h"

#define LOCK_TRIES 15
#define LOCK_PAUSE_MS 100

/* The database's files. The last one is the log's index, which processes share. */
static const char *const suffixes[] = { "", "-wal", "-shm" };

struct store_probe {
	struct store *store;
	sqlite3 *db;
	sqlite3_stmt *reads, *version;
	struct {
		dev_t dev;
		ino_t ino;
		bool is_known;
	} files[WC_LEN(suffixes)];
};

static int stat_file(const struct store_probe *p, size_t i, struct stat *st)
{
	char path[4096 + 8];
	int n = snprintf(path, sizeof(path), "%s%s", p->store->path, suffixes[i]);

	if (n < 0 || (size_t)n >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return stat(path, st);
}

/* Bytes written to a file that was removed or replaced reach nobody. */
static int check_files(struct store_probe *p, char why[STORE_PROBE_TEXT])
{
	struct stat st;

	for (size_t i = 0; i < WC_LEN(suffixes); i++) {
		if (stat_file(p, i, &st) != 0) {
			int err = errno;

			if (err == ENOENT && !p->files[i].is_known)
				continue; /* not made yet */
			snprintf(why, STORE_PROBE_TEXT, "%s%s %s: stop the server, put the file back or restore a backup, start it",
			         STORE_FILE, suffixes[i], err == ENOENT ? "was removed under the server" : strerror(err));
			return -WC_ESTORAGE;
		}
		if (!p->files[i].is_known) {
			p->files[i].dev = st.st_dev;
			p->files[i].ino = st.st_ino;
			p->files[i].is_known = true;
		} else if (p->files[i].dev != st.st_dev || p->files[i].ino != st.st_ino) {
			snprintf(why, STORE_PROBE_TEXT,
			         "%s%s was replaced under the server: what it stores goes into the old file; restart it", STORE_FILE,
			         suffixes[i]);
			return -WC_ESTORAGE;
		}
	}
	return 0;
}

static int complain(struct store_probe *p, char why[STORE_PROBE_TEXT], const char *what, int rc)
{
	const int err = sqlite3_system_errno(p->db);

	snprintf(why, STORE_PROBE_TEXT, "%s: %s%s%s%s", what, sqlite3_errstr(rc), err ? " (" : "", err ? strerror(err) : "",
	         err ? ")" : "");
	return -WC_ESTORAGE;
}

static int step_all(sqlite3_stmt *stmt)
{
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		;
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Reads from the disk, or at least from the kernel's cache of it: SQLite's own cache is emptied first. */
static int check_reads(struct store_probe *p, char why[STORE_PROBE_TEXT])
{
	int rc;

	sqlite3_db_release_memory(p->db);
	rc = step_all(p->reads);
	return rc == SQLITE_OK ? 0 : complain(p, why, "the database cannot be read", rc);
}

/* Moves on with each commit of another connection. */
static int64_t data_version(struct store_probe *p)
{
	int64_t version = -1;

	if (sqlite3_step(p->version) == SQLITE_ROW)
		version = sqlite3_column_int64(p->version, 0);
	sqlite3_reset(p->version);
	return version;
}

/* The room holds the lock for one commit at a time. A program that holds it while no commit passes keeps the room from it. */
static int check_lock(struct store_probe *p, char why[STORE_PROBE_TEXT])
{
	const struct timespec pause = { 0, LOCK_PAUSE_MS * 1000000L };
	const int64_t before = data_version(p);
	int rc = SQLITE_BUSY;

	for (int i = 0; i < LOCK_TRIES; i++) {
		rc = store_exec(p->db, "BEGIN IMMEDIATE");
		if (rc == SQLITE_OK)
			rc = store_exec(p->db, "ROLLBACK");
		if ((rc & 0xff) != SQLITE_BUSY || data_version(p) != before)
			break;
		nanosleep(&pause, NULL);
	}
	if ((rc & 0xff) == SQLITE_BUSY && data_version(p) == before) {
		snprintf(why, STORE_PROBE_TEXT, "the database is locked: another program holds it (fuser names it), or a commit hangs");
		return -WC_ESTORAGE;
	}
	return rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY ? 0 : complain(p, why, "the database cannot be written", rc);
}

int store_probe_run(struct store_probe *p, char why[STORE_PROBE_TEXT])
{
	int rc;

	if (p->store->is_memory)
		return 0;
	rc = check_files(p, why);
	if (rc == 0)
		rc = check_reads(p, why);
	return rc ? rc : check_lock(p, why);
}

int store_probe_open(struct store *s, struct store_probe **out, char **cause)
{
	struct store_probe *p = xcalloc(1, sizeof(*p));
	char why[STORE_PROBE_TEXT] = "";
	int rc = SQLITE_OK;

	p->store = s;
	*out = p;
	if (s->is_memory)
		return 0;
	rc = store_connect(s->path, SQLITE_OPEN_READWRITE, &p->db);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(p->db, 0);
	if (rc == SQLITE_OK)
		rc = store_exec(p->db, "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-64");
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(p->db, "SELECT (SELECT count(*) FROM meta), (SELECT max(id) FROM messages)", -1, &p->reads, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(p->db, "PRAGMA data_version", -1, &p->version, NULL);
	if (rc == SQLITE_OK)
		rc = step_all(p->reads); /* from here on the log and its index are there */
	if (rc != SQLITE_OK)
		wc_cause(cause, "cannot open the database once more: %s", sqlite3_errstr(rc));
	else if (check_files(p, why) == 0)
		return 0;
	else
		wc_cause(cause, "%s", why);
	store_probe_close(p);
	*out = NULL;
	return -WC_ESTORAGE;
}

void store_probe_close(struct store_probe *p)
{
	if (!p)
		return;
	sqlite3_finalize(p->reads);
	sqlite3_finalize(p->version);
	sqlite3_close(p->db);
	free(p);
}
