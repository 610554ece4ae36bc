/* store_count.c — the number of stored messages and the time of the last backup, without anybody waiting. A thread of its own counts the
 * messages once, in the state of the start. The writer counts additions and removals meanwhile.
 *
 * Owns the thread and its connection. Only reads. Thread: main starts and ends it. */
#include <string.h>

#include "base/logmsg.h"
#include "base/metrics.h"
#include "store/impl.h"

#define SQL "SELECT count(*) FROM messages"
#define BACKUP_SQL "SELECT at FROM audit WHERE verb = 'backup' ORDER BY id DESC LIMIT 1"

/* When the last backup began; later backups are noted where they are made. */
static void look_for_backup(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(db, BACKUP_SQL, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW &&
	    metric_get(M_BACKUP) == METRIC_ABSENT)
		metric_set(M_BACKUP, (uint64_t)sqlite3_column_int64(stmt, 0));
	sqlite3_finalize(stmt);
}

static void *count(void *arg)
{
	struct store *s = arg;
	sqlite3_stmt *stmt = NULL;
	int rc;

	wc_thread_is(ROLE_HELPER, "count");
	look_for_backup(s->counter);
	rc = sqlite3_prepare_v2(s->counter, SQL, -1, &stmt, NULL);
	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		atomic_store(&s->rows_at_start, sqlite3_column_int64(stmt, 0));
	else if (rc != SQLITE_INTERRUPT)
		log_warn("messages not counted", "error=\"%s\"", sqlite3_errstr(rc));
	sqlite3_finalize(stmt);
	(void)store_exec(s->counter, "COMMIT"); /* a snapshot that stays open keeps the log from being started over */
	return NULL;
}

void store_count_start(struct store *s)
{
	int rc;

	if (s->is_memory)
		return;
	rc = store_connect(s->path, SQLITE_OPEN_READONLY, &s->counter);
	/* The first read fixes the state that is counted; the writer's own count begins with the next transaction. */
	if (rc == SQLITE_OK)
		rc = store_exec(s->counter, "BEGIN; SELECT count(*) FROM meta");
	if (rc == SQLITE_OK) {
		s->tally = (struct store_tally){ 0 };
		atomic_store(&s->rows_committed, 0);
		if (pthread_create(&s->count_thread, NULL, count, s) == 0)
			return;
	}
	sqlite3_close(s->counter);
	s->counter = NULL;
	log_warn("messages not counted", "error=\"%s\"", rc == SQLITE_OK ? "no thread" : sqlite3_errstr(rc));
}

void store_count_stop(struct store *s)
{
	if (!s->counter)
		return;
	sqlite3_interrupt(s->counter);
	pthread_join(s->count_thread, NULL);
	sqlite3_close(s->counter);
	s->counter = NULL;
}
