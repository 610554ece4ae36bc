/* upload_disk.c — the records of uploads on disk, which outlive a kill: DIR/uploads/<identity>/<name>.open, .part, .done and .used.
 *
 * Owns DIR/uploads. Both numbers in a path are hex made here. Thread: as upload.c.
 *   .open   an upload began; its size
 *   .part   its bytes; the file's length is the offset to resume from
 *   .done   the blob that it became, and its handle
 *   .used   the same, once a message was committed with the handle: it no longer keeps the blob
 *   .gone   the same, once it was given up or its message deleted: the handle is good for nothing any more
 *
 * The steps that end an upload, and the state that a kill leaves after each:
 *   sync .part            an upload to resume; all bytes are there, and it is finished again
 *   rename .done in       finished; disk_record_recover moves the part at the next start
 *   move .part to blobs   finished
 *   unlink .open          finished
 *
 * After a power cut the length of .part is right: journalling filesystems lengthen a file only after its data is written. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "files/impl.h"

#define DIR_NAME_BYTES (16 + 1)
#define PATH_BYTES (DIR_NAME_BYTES + 2 * UPLOAD_NAME_BYTES + 8)

static void dir_name(char out[DIR_NAME_BYTES], uint64_t identity_id)
{
	snprintf(out, DIR_NAME_BYTES, "%016llx", (unsigned long long)identity_id);
}

static void make_path(char out[PATH_BYTES], uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], const char *kind)
{
	char hex[2 * UPLOAD_NAME_BYTES + 1];

	wc_hex(hex, name, UPLOAD_NAME_BYTES);
	snprintf(out, PATH_BYTES, "%016llx/%s.%s", (unsigned long long)identity_id, hex, kind);
}

/* --- A record as text. */

static int write_record(struct blobs *b, const struct upload_record *rec, const char *kind)
{
	char text[256], sha[2 * WC_SHA_BYTES + 1], path[PATH_BYTES], tmp[FILE_TMP_BYTES];
	int n, fd, rc = -1;

	wc_hex(sha, rec->sha, WC_SHA_BYTES);
	n = snprintf(text, sizeof(text), "wavechat-upload 1\nidentity %llu\nsize %llu\nat %lld\nsha %s\nhandle %s\n",
	             (unsigned long long)rec->identity_id, (unsigned long long)rec->size, (long long)rec->at_ms, sha,
	             rec->is_done ? rec->handle : "-");
	WC_ASSERT(n > 0 && (size_t)n < sizeof(text));
	make_path(path, rec->identity_id, rec->name, kind);
	file_tmp_name(tmp);
	fd = openat(b->tmp_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (file_write_all(fd, text, (size_t)n, 0) == 0 && (!rec->is_done || fsync(fd) == 0) &&
	    renameat(b->tmp_fd, tmp, b->uploads_fd, path) == 0)
		rc = 0;
	n = errno;
	close(fd);
	if (rc)
		(void)unlinkat(b->tmp_fd, tmp, 0);
	errno = n;
	return rc;
}

static int read_record(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], const char *kind,
                       struct upload_record *rec)
{
	char path[PATH_BYTES], text[256], sha[65] = "", handle[64] = "";
	unsigned long long identity, size;
	long long at_ms;
	ssize_t n;
	int fd;

	make_path(path, identity_id, name, kind);
	fd = openat(b->uploads_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? -WC_ENOENT : file_failed("read_upload");
	n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	if (n < 0)
		return file_failed("read_upload");
	text[n] = '\0';
	memset(rec, 0, sizeof(*rec));
	/* A damaged record counts as absent: the client starts over. */
	if (sscanf(text, "wavechat-upload 1\nidentity %llu\nsize %llu\nat %lld\nsha %64s\nhandle %63s\n", &identity, &size, &at_ms, sha,
	           handle) != 5 ||
	    identity != identity_id || wc_unhex(rec->sha, WC_SHA_BYTES, (struct str){ sha, strlen(sha) }) != 0)
		return -WC_ENOENT;
	rec->identity_id = identity_id;
	memcpy(rec->name, name, UPLOAD_NAME_BYTES);
	rec->size = size;
	rec->at_ms = at_ms;
	rec->is_done = strcmp(handle, "-") != 0;
	if (rec->is_done)
		memcpy(rec->handle, handle, sizeof(rec->handle));
	return 0;
}

/* In the order in which it is renamed: a record that is renamed between two looks is found by one of them. */
static const char *const done_kinds[] = { "done", "used", "gone" };

static int read_done(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], struct upload_record *rec)
{
	int rc = -WC_ENOENT;

	for (size_t i = 0; i < WC_LEN(done_kinds) && rc == -WC_ENOENT; i++) {
		rc = read_record(b, identity_id, name, done_kinds[i], rec);
		if (rc == 0)
			rec->is_used = i == 1;
		if (rc == 0)
			rec->is_gone = i == 2;
	}
	return rc;
}

/* --- By name. */

int disk_record_load(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], struct upload_record *out)
{
	char path[PATH_BYTES];
	struct stat st;
	int rc;

	rc = read_done(b, identity_id, name, out);
	if (rc == -WC_ENOENT) {
		rc = read_record(b, identity_id, name, "open", out);
		if (rc == -WC_ENOENT) /* .done comes before .open goes: it may have been finished between the two looks */
			return read_done(b, identity_id, name, out);
		if (rc)
			return rc;
		make_path(path, identity_id, name, "part");
		if (fstatat(b->uploads_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			out->stored = WC_MIN((uint64_t)st.st_size, out->size);
			out->at_ms = (int64_t)st.st_mtim.tv_sec * 1000;
		}
	}
	return rc;
}

/* "<name>.<kind>"? */
static bool is_kind(const char *file, const char *kind, uint8_t name[UPLOAD_NAME_BYTES])
{
	size_t n = 2 * UPLOAD_NAME_BYTES;

	return strlen(file) == n + 1 + strlen(kind) && file[n] == '.' && strcmp(file + n + 1, kind) == 0 &&
	       wc_unhex(name, UPLOAD_NAME_BYTES, (struct str){ file, n }) == 0;
}

int disk_record_count_open(struct blobs *b, uint64_t identity_id)
{
	char folder[DIR_NAME_BYTES];
	uint8_t name[UPLOAD_NAME_BYTES];
	struct dirent *e;
	int count = 0;
	DIR *d;

	dir_name(folder, identity_id);
	d = file_open_dir(b->uploads_fd, folder);
	while (d && (e = readdir(d)))
		count += is_kind(e->d_name, "open", name);
	if (d)
		closedir(d);
	return count;
}

static bool unlink_kind(struct blobs *b, const struct upload_record *rec, const char *kind)
{
	char path[PATH_BYTES];

	make_path(path, rec->identity_id, rec->name, kind);
	return unlinkat(b->uploads_fd, path, 0) == 0;
}

/* A record that stays counts as the smallest file does: a block, and one for its name. */
static void unlink_one_done(struct blobs *b, const struct upload_record *rec, const char *kind)
{
	if (unlink_kind(b, rec, kind))
		blob_count(b, 1, 0);
}

static void unlink_done(struct blobs *b, const struct upload_record *rec)
{
	for (size_t i = 0; i < WC_LEN(done_kinds); i++)
		unlink_one_done(b, rec, done_kinds[i]);
}

int disk_record_create(struct blobs *b, const struct upload_record *rec, int *fd)
{
	char folder[DIR_NAME_BYTES], path[PATH_BYTES];
	int rc = 0;

	dir_name(folder, rec->identity_id);
	make_path(path, rec->identity_id, rec->name, "part");
	/* Under the lock, so that the sweep does not remove the folder in between. */
	pthread_mutex_lock(&b->lock);
	unlink_done(b, rec);
	(void)unlink_kind(b, rec, "part"); /* never truncated: a file that is a blob's by now must not change */
	*fd = -1;
	if (mkdirat(b->uploads_fd, folder, 0700) == 0 || errno == EEXIST)
		*fd = openat(b->uploads_fd, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (*fd < 0 || write_record(b, rec, "open") != 0)
		rc = file_failed("create_upload");
	pthread_mutex_unlock(&b->lock);
	if (rc && *fd >= 0) {
		close(*fd);
		*fd = -1;
		(void)unlink_kind(b, rec, "part");
	}
	return rc;
}

int disk_record_resume(struct blobs *b, const struct upload_record *rec, int *fd)
{
	char path[PATH_BYTES];

	make_path(path, rec->identity_id, rec->name, "part");
	*fd = openat(b->uploads_fd, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return *fd >= 0 ? 0 : file_failed("resume_upload");
}

/* The part's own length is what counts. */
int disk_record_grow(struct blobs *b, const struct upload_record *rec, uint64_t more)
{
	(void)b;
	(void)rec;
	(void)more;
	return 0;
}

uint64_t disk_record_came(struct blobs *b, const struct upload_record *rec, int fd)
{
	struct stat st;

	(void)b;
	return fstat(fd, &st) == 0 ? WC_MIN(WC_MAX((uint64_t)st.st_size, rec->stored), rec->size) : rec->stored;
}

int disk_record_finish(struct blobs *b, const struct upload_record *rec, int fd)
{
	char folder[DIR_NAME_BYTES], path[PATH_BYTES];
	int rc;

	dir_name(folder, rec->identity_id);
	make_path(path, rec->identity_id, rec->name, "part");
	if (fsync(fd) != 0)
		return file_failed("sync_upload");
	rc = write_record(b, rec, "done");
	if (rc == 0)
		blob_count(b, 0, 1);
	if (rc != 0 || file_sync_dir(b->uploads_fd, folder) != 0)
		rc = file_failed("finish_upload");
	else
		rc = blob_adopt_file(b, b->uploads_fd, path, rec->sha, rec->size);
	if (rc)
		unlink_one_done(b, rec, "done");
	else
		(void)unlink_kind(b, rec, "open");
	return rc;
}

/* --- All of them. */

static void remove_record(struct blobs *b, const struct upload_record *rec)
{
	char path[PATH_BYTES];
	struct stat st;

	make_path(path, rec->identity_id, rec->name, "part");
	if (fstatat(b->uploads_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		blob_count(b, (uint64_t)st.st_size, 0);
	unlink_done(b, rec);
	(void)unlink_kind(b, rec, "part");
	(void)unlink_kind(b, rec, "open");
}

void disk_record_remove(struct blobs *b, const struct upload_record *rec)
{
	pthread_mutex_lock(&b->lock);
	remove_record(b, rec);
	pthread_mutex_unlock(&b->lock);
}

void disk_record_end(struct blobs *b, const struct upload_record *rec)
{
	char was[PATH_BYTES], gone[PATH_BYTES];
	struct upload_record now;

	make_path(gone, rec->identity_id, rec->name, "gone");
	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i + 1 < WC_LEN(done_kinds); i++) {
		make_path(was, rec->identity_id, rec->name, done_kinds[i]);
		if (read_record(b, rec->identity_id, rec->name, done_kinds[i], &now) == 0 && strcmp(now.handle, rec->handle) == 0)
			(void)renameat(b->uploads_fd, was, b->uploads_fd, gone);
	}
	pthread_mutex_unlock(&b->lock);
}

void disk_record_use(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], const char *handle)
{
	char done[PATH_BYTES], used[PATH_BYTES];
	struct upload_record rec;

	make_path(done, identity_id, name, "done");
	make_path(used, identity_id, name, "used");
	pthread_mutex_lock(&b->lock);
	if (read_record(b, identity_id, name, "done", &rec) == 0 && strcmp(rec.handle, handle) == 0)
		(void)renameat(b->uploads_fd, done, b->uploads_fd, used);
	pthread_mutex_unlock(&b->lock);
}

static bool is_folder(const char *name, uint64_t *identity_id)
{
	uint8_t bytes[8];

	if (strlen(name) != 16 || wc_unhex(bytes, sizeof(bytes), (struct str){ name, 16 }) != 0)
		return false;
	*identity_id = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		*identity_id = *identity_id << 8 | bytes[i];
	return true;
}

/* Calls fn for each file in each identity's folder, and removes folders that are empty. */
static void each_file(struct blobs *b, void (*fn)(struct blobs *b, uint64_t identity_id, const char *file, void *arg), void *arg)
{
	DIR *outer = file_open_dir(b->uploads_fd, "."), *inner;
	struct dirent *o, *i;
	uint64_t identity_id;

	while (outer && (o = readdir(outer))) {
		if (!is_folder(o->d_name, &identity_id) || !(inner = file_open_dir(b->uploads_fd, o->d_name)))
			continue;
		while ((i = readdir(inner)))
			fn(b, identity_id, i->d_name, arg);
		closedir(inner);
		if (b->is_look)
			continue;
		pthread_mutex_lock(&b->lock);
		(void)unlinkat(b->uploads_fd, o->d_name, AT_REMOVEDIR); /* refused unless empty */
		pthread_mutex_unlock(&b->lock);
	}
	if (outer)
		closedir(outer);
}

static bool is_done_kind(const char *file, uint8_t name[UPLOAD_NAME_BYTES])
{
	for (size_t i = 0; i < WC_LEN(done_kinds); i++)
		if (is_kind(file, done_kinds[i], name))
			return true;
	return false;
}

struct sweep {
	bool (*fn)(void *arg, const struct upload_record *rec);
	void *arg;
};

static void sweep_file(struct blobs *b, uint64_t identity_id, const char *file, void *arg)
{
	const struct sweep *w = arg;
	uint8_t name[UPLOAD_NAME_BYTES];
	struct upload_record rec;

	if (!is_kind(file, "open", name) && !is_done_kind(file, name))
		return;
	pthread_mutex_lock(&b->lock);
	if (disk_record_load(b, identity_id, name, &rec) == 0 && w->fn(w->arg, &rec))
		remove_record(b, &rec);
	pthread_mutex_unlock(&b->lock);
}

void disk_record_sweep(struct blobs *b, bool (*fn)(void *arg, const struct upload_record *rec), void *arg)
{
	struct sweep w = { fn, arg };

	each_file(b, sweep_file, &w);
}

struct each_handle {
	void (*fn)(void *arg, const struct upload_record *rec);
	void *arg;
};

static void handle_file(struct blobs *b, uint64_t identity_id, const char *file, void *arg)
{
	const struct each_handle *each = arg;
	uint8_t name[UPLOAD_NAME_BYTES];
	struct upload_record rec;

	if ((is_kind(file, "done", name) || is_kind(file, "gone", name)) && read_done(b, identity_id, name, &rec) == 0 && rec.is_done &&
	    !rec.is_used)
		each->fn(each->arg, &rec);
}

void disk_record_each_own(struct blobs *b, uint64_t identity_id, bool unused, void (*fn)(void *arg, const struct upload_record *rec),
                          void *arg)
{
	char folder[DIR_NAME_BYTES];
	uint8_t name[UPLOAD_NAME_BYTES];
	struct upload_record rec;
	struct dirent *e;
	DIR *d;

	dir_name(folder, identity_id);
	d = file_open_dir(b->uploads_fd, folder);
	while (d && (e = readdir(d)))
		if ((is_kind(e->d_name, "open", name) || (unused ? is_kind(e->d_name, "done", name) : is_done_kind(e->d_name, name))) &&
		    disk_record_load(b, identity_id, name, &rec) == 0)
			fn(arg, &rec);
	if (d)
		closedir(d);
}

void disk_record_each_handle(struct blobs *b, void (*fn)(void *arg, const struct upload_record *rec), void *arg)
{
	struct each_handle each = { fn, arg };

	if (b->uploads_fd >= 0)
		each_file(b, handle_file, &each);
}

/* --- Those that are used or gone: a repeated message is recognised by them, and nothing else needs them. */

struct old {
	int64_t at_ms;
	struct upload_record rec;
	const char *kind;
};

static int compare_age(const void *a, const void *b)
{
	const int64_t x = ((const struct old *)a)->at_ms, y = ((const struct old *)b)->at_ms;

	return (x > y) - (x < y);
}

/* All of one person, malloc'd. */
static size_t old_records(struct blobs *b, uint64_t identity_id, struct old **out)
{
	char folder[DIR_NAME_BYTES];
	struct old one = { .rec.identity_id = identity_id };
	size_t n = 0, room = 0;
	struct dirent *e;
	struct stat st;
	DIR *d;

	*out = NULL;
	dir_name(folder, identity_id);
	d = file_open_dir(b->uploads_fd, folder);
	while (d && (e = readdir(d))) {
		one.kind = is_kind(e->d_name, "used", one.rec.name) ? "used" : is_kind(e->d_name, "gone", one.rec.name) ? "gone" : NULL;
		if (!one.kind || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		one.at_ms = file_mtime_ms(&st);
		if (n == room)
			*out = xrealloc(*out, (room = room ? 2 * room : 64) * sizeof(one));
		(*out)[n++] = one;
	}
	if (d)
		closedir(d);
	return n;
}

void disk_record_trim(struct blobs *b, uint64_t identity_id)
{
	struct old *v;
	const size_t n = old_records(b, identity_id, &v);

	if (n > USED_MOST + USED_MOST / 8) {
		qsort(v, n, sizeof(*v), compare_age);
		pthread_mutex_lock(&b->lock);
		for (size_t i = 0; i < n - USED_MOST; i++)
			unlink_one_done(b, &v[i].rec, v[i].kind);
		pthread_mutex_unlock(&b->lock);
	}
	free(v);
}

static void recover_file(struct blobs *b, uint64_t identity_id, const char *file, void *arg)
{
	struct upload_record rec = { .identity_id = identity_id }, done;
	char path[PATH_BYTES];
	struct stat st;
	bool is_part = is_kind(file, "part", rec.name), has_part;

	(void)arg;
	if (is_done_kind(file, rec.name))
		blob_count(b, 0, 1);
	if (!is_part && !is_kind(file, "open", rec.name))
		return;
	make_path(path, identity_id, rec.name, "part");
	has_part = fstatat(b->uploads_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (has_part && is_part)
		blob_count(b, 0, (uint64_t)st.st_size);
	if (read_done(b, identity_id, rec.name, &done) == 0) {
		if (has_part && (uint64_t)st.st_size == done.size) {
			if (!is_part)
				blob_count(b, 0, done.size);
			if (blob_adopt_file(b, b->uploads_fd, path, done.sha, done.size) != 0) {
				unlink_one_done(b, &rec, "done"); /* it stays an upload to go on with */
				if (!is_part)
					blob_count(b, done.size, 0);
				return;
			}
		}
		(void)unlink_kind(b, &rec, "open");
	} else if (read_record(b, identity_id, rec.name, "open", &done) != 0) {
		if (has_part && !is_part)
			blob_count(b, 0, (uint64_t)st.st_size);
		remove_record(b, &rec); /* bytes without a record */
	}
}

void disk_record_recover(struct blobs *b)
{
	each_file(b, recover_file, NULL);
}
