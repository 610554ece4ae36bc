/* orphan.c — a look before the start: a database that is missing, older than its files or another's explains none or few of them.
 *
 * Owns nothing between calls. Makes nothing; moves a log that is left alone, if that is accepted. Thread: main.
 *
 * A row explains a file, also a row of a deleted message or of the list of files to unlink. So does an upload that its owner, if the
 * database knows them, may still send. Files that were on their way into a message when the server was killed count for neither side. Where
 * the database is missing, so may be the right one for the log that is left. */
#include "server/orphan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "files/blob.h"

#define HANDFUL 5                    /* from this many unexplained files on, more of them than explained ones are too many; */
#define FEW 3                        /* from this many on, more than twice as many */
#define STEP_BACK_MS (5 * 60 * 1000) /* that much a clock may be set back between a first visit and an upload */

struct file {
	uint8_t sha[WC_SHA_BYTES];
	bool is_explained, is_pending, is_lost;
};

struct files {
	struct store_look *look;
	struct file *v;
	size_t count, room;
	size_t rows, missing; /* blobs that messages stand for; of them, those that are not there */
};

static void add_file(void *arg, const uint8_t sha[WC_SHA_BYTES], enum blob_look where)
{
	struct files *f = arg;

	if (f->count == f->room) {
		f->room = f->room ? 2 * f->room : 256;
		f->v = xrealloc(f->v, f->room * sizeof(*f->v));
	}
	f->v[f->count] = (struct file){ .is_pending = where == BLOB_LOOK_PENDING, .is_lost = where == BLOB_LOOK_LOST };
	memcpy(f->v[f->count++].sha, sha, WC_SHA_BYTES);
}

static int compare(const void *a, const void *b)
{
	return memcmp(((const struct file *)a)->sha, ((const struct file *)b)->sha, WC_SHA_BYTES);
}

static struct file *find(const struct files *f, const uint8_t sha[WC_SHA_BYTES])
{
	struct file key;

	memcpy(key.sha, sha, WC_SHA_BYTES);
	return f->count ? bsearch(&key, f->v, f->count, sizeof(key), compare) : NULL;
}

static void explain(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	struct file *file = find(arg, sha);

	if (file)
		file->is_explained = true;
}

static void explain_live(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	struct files *f = arg;

	f->rows++;
	f->missing += !find(f, sha);
	explain(arg, sha);
}

static void explain_upload(void *arg, uint64_t identity_id, int64_t at_ms, const uint8_t sha[WC_SHA_BYTES])
{
	struct files *f = arg;
	int64_t created_ms;

	if (store_look_identity(f->look, identity_id, &created_ms) == 0 && created_ms <= at_ms + STEP_BACK_MS)
		explain(arg, sha);
}

static int gather(struct files *f, const struct orphan_look *o, char **cause)
{
	struct blobs *b = NULL;
	int rc = blobs_look(&b, o->dir, cause);

	if (rc)
		return rc;
	rc = blobs_look_files(b, o->dir, add_file, f, cause);
	if (f->count)
		qsort(f->v, f->count, sizeof(*f->v), compare);
	if (rc == 0 && f->look) {
		if (store_look_each(f->look, LOOK_LIVE, explain_live, f) != 0 || store_look_each(f->look, LOOK_ENDED, explain, f) != 0 ||
		    store_look_each(f->look, LOOK_RELEASED, explain, f) != 0) {
			wc_cause(cause, "cannot read %s/wavechat.db: run wavechatd --check", o->dir);
			rc = -WC_ESTORAGE;
		}
		blobs_look_handles(b, explain_upload, f);
	}
	blobs_close(b);
	return rc;
}

static bool is_far_from(size_t explained, size_t orphans)
{
	return !explained || (orphans >= HANDFUL && orphans > explained) || (orphans >= FEW && orphans > 2 * explained);
}

static char *path_of(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		abort();
	return path;
}

static bool has_log(const char *dir)
{
	char *log = path_of(dir, "wavechat.db-wal");
	struct stat st;
	bool has = stat(log, &st) == 0 && st.st_size > 0;

	free(log);
	return has;
}

static int judge(const struct files *f, const struct orphan_look *o, char **cause)
{
	size_t explained = 0, orphans = 0, pending = 0;

	for (size_t i = 0; i < f->count; i++) {
		const struct file *file = &f->v[i];

		if (file->is_lost)
			continue; /* it is looked after */
		explained += file->is_explained;
		pending += !file->is_explained && file->is_pending;
		orphans += !file->is_explained && !file->is_pending;
	}
	/* Without a database nothing could tell; and a kill amid this many would have left a log. */
	if (!f->look || (pending >= HANDFUL && !has_log(o->dir)))
		orphans += pending;
	if (o->logs && f->missing)
		log_warn("files missing",
		         "files=%zu of=%zu remedy=\"wavechatctl verify names them; wavechatctl restore brings them back from a backup\"",
		         f->missing, f->rows);
	if (orphans == 0 || !is_far_from(explained, orphans))
		return 0;
	if (o->accepts) {
		if (o->logs)
			log_warn("orphans accepted", "files=%zu explained=%zu to=lost", explained + orphans, explained);
		return 0;
	}
	if (!f->look)
		wc_cause(
			cause,
			"%s/blobs holds %zu files, but %s/wavechat.db is missing or empty: put it back beside them, or bring a backup back with "
			"`wavechatctl restore FILE DIR`; --accept-orphans starts without and moves the files to %s/lost for a day",
			o->dir, orphans, o->dir, o->dir);
	else
		wc_cause(
			cause,
			"%s/wavechat.db explains %zu of the %zu files in %s/blobs: it is older than they are, or another chat's: put the right one back "
			"beside them, or bring a backup back with `wavechatctl restore FILE DIR`; --accept-orphans starts all the same and moves the other %zu to "
			"%s/lost for a day",
			o->dir, explained, explained + orphans, o->dir, orphans, o->dir);
	return -WC_ESTORAGE;
}

/* --- A log without its database: what was written last may be in there alone, and SQLite removes it when a new database is made beside it.
 * */

static int set_aside(const char *log, uint64_t bytes, char **cause)
{
	char stamp[32], *aside;
	time_t now = time(NULL);
	struct tm tm;
	int rc;

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), ".%Y%m%d-%H%M%S", &tm);
	if (asprintf(&aside, "%s%s", log, stamp) < 0)
		abort();
	rc = access(aside, F_OK) == 0 ? -1 : rename(log, aside);
	if (rc == 0)
		log_warn("log set aside", "file=%s bytes=%llu reason=\"wavechat.db is missing or empty\"", aside,
		         (unsigned long long)bytes);
	else
		wc_cause(cause, "cannot move %s aside: move it yourself, or put wavechat.db back beside it", log);
	free(aside);
	return rc == 0 ? 0 : -WC_ESTORAGE;
}

static int judge_log(const struct orphan_look *o, char **cause)
{
	char *database = path_of(o->dir, "wavechat.db"), *log = path_of(o->dir, "wavechat.db-wal");
	struct stat st;
	int rc = 0;

	if ((stat(database, &st) == 0 ? st.st_size == 0 : errno == ENOENT) && stat(log, &st) == 0 && st.st_size > 0) {
		if (!o->accepts) {
			wc_cause(
				cause,
				"%s is missing or empty, but %s-wal holds %lld bytes of what was written to it last: put it back beside the log, or bring a "
				"backup back with `wavechatctl restore FILE DIR`; --accept-orphans begins anew and keeps the log under another name",
				database, database, (long long)st.st_size);
			rc = -WC_ESTORAGE;
		} else if (o->logs) {
			rc = set_aside(log, (uint64_t)st.st_size, cause);
		}
	}
	free(database);
	free(log);
	return rc;
}

int orphan_look(void *arg, struct store_look *look, char **cause)
{
	const struct orphan_look *o = arg;
	struct files f = { .look = look };
	int rc = gather(&f, o, cause);

	if (rc == 0)
		rc = judge(&f, o, cause);
	if (rc == 0 && !look)
		rc = judge_log(o, cause);
	free(f.v);
	return rc;
}
