/* blob.c — files and voices on disk, named by their SHA-256, and their collection.
 *
 * Owns DIR/blobs and DIR/tmp. Never follows a name that came from outside: every name below is hex made here. A blob is written under a
 * temporary name, synced, renamed, and its directory synced, so a name in DIR/blobs always has all of its bytes. Thread: helpers, HTTP
 * workers and the transfer thread; never room or I/O. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/logmsg.h"
#include "files/impl.h"

#define MEM_CAP_BYTES (256ull << 20)

void blob_path(char out[BLOB_PATH_BYTES], const uint8_t sha[WC_SHA_BYTES])
{
	wc_hex(out, sha, 1);
	out[2] = '/';
	wc_hex(out + 3, sha + 1, WC_SHA_BYTES - 1);
}

void blob_tmp_name(char out[2 * UPLOAD_NAME_BYTES + 1])
{
	uint8_t name[UPLOAD_NAME_BYTES];

	wc_random(name, sizeof(name));
	wc_hex(out, name, sizeof(name));
}

int blob_write_all(int fd, const void *data, size_t n, uint64_t offset)
{
	const uint8_t *p = data;

	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return -1;
		p += done;
		n -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

void blob_count(struct blobs *b, uint64_t had, uint64_t size)
{
	if (b->space)
		space_set(b->space, had, size);
	else
		b->cost_at_open += space_cost(size) - space_cost(had);
}

static int storage_failed(const char *step)
{
	log_warn("blob", "step=%s error=\"%s\"", step, strerror(errno));
	return -WC_ESTORAGE;
}

/* --- Walks over DIR/blobs. */

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

DIR *blob_open_dir(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

int64_t blob_age_ms(const struct stat *st)
{
	return real_ms() - ((int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000);
}

typedef int (*walk_fn)(void *arg, const uint8_t sha[WC_SHA_BYTES], const struct stat *st);

static int walk_shelf(DIR *shelf, uint8_t sha[WC_SHA_BYTES], walk_fn fn, void *arg)
{
	struct dirent *e;
	struct stat st;
	int stop = 0;

	while (!stop && (errno = 0, e = readdir(shelf)))
		if (wc_unhex(sha + 1, WC_SHA_BYTES - 1, (struct str){ e->d_name, strlen(e->d_name) }) == 0 &&
		    fstatat(dirfd(shelf), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			stop = fn(arg, sha, &st);
	return !stop && !e && errno ? -WC_ESTORAGE : stop;
}

int blob_walk(struct blobs *b, walk_fn fn, void *arg)
{
	DIR *outer = blob_open_dir(b->blobs_fd, "."), *shelf;
	uint8_t sha[WC_SHA_BYTES];
	struct dirent *o;
	int stop = 0, err;

	if (!outer)
		return -WC_ESTORAGE;
	while (!stop && (errno = 0, o = readdir(outer))) {
		/* Anything else that lies there is not ours and is left alone. */
		if (wc_unhex(sha, 1, (struct str){ o->d_name, strlen(o->d_name) }) != 0)
			continue;
		shelf = blob_open_dir(b->blobs_fd, o->d_name);
		if (shelf) {
			stop = walk_shelf(shelf, sha, fn, arg);
			err = errno;
			closedir(shelf);
			errno = err;
		} else if (errno != ENOTDIR && errno != ELOOP && errno != ENOENT) {
			stop = -WC_ESTORAGE; /* what it holds is not known */
		}
	}
	if (!stop && errno)
		stop = -WC_ESTORAGE;
	err = errno;
	closedir(outer);
	errno = err;
	return stop == -WC_ESTORAGE ? -WC_ESTORAGE : 0;
}

struct each {
	blob_fn fn;
	void *arg;
};

static int each_one(void *arg, const uint8_t sha[WC_SHA_BYTES], const struct stat *st)
{
	const struct each *e = arg;

	return e->fn(e->arg, sha, (uint64_t)st->st_size, blob_age_ms(st));
}

int blobs_each(struct blobs *b, blob_fn fn, void *arg)
{
	return b->is_memory ? mem_each(b, fn, arg) : blob_walk(b, each_one, &(struct each){ fn, arg });
}

uint64_t blobs_bytes(struct blobs *b)
{
	return atomic_load_explicit(&b->bytes, memory_order_relaxed);
}

/* --- Opening. */

static void cause_unreadable(const char *dir, char **cause)
{
	wc_cause(cause, "cannot read all of %s/blobs: %s: make it readable for user %u, or name another directory with --data", dir,
	         strerror(errno), (unsigned)geteuid());
}

static int open_one(int dir_fd, const char *dir, const char *name, int *fd, char **cause)
{
	if (mkdirat(dir_fd, name, 0700) == 0 || errno == EEXIST)
		*fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	wc_cause(cause, "cannot use %s/%s: %s: make it a writable directory, or name another one with --data", dir, name, strerror(errno));
	return -WC_ESTORAGE;
}

static void clean_tmp(struct blobs *b)
{
	DIR *d = blob_open_dir(b->tmp_fd, ".");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (!is_dots(e->d_name))
			(void)unlinkat(b->tmp_fd, e->d_name, 0);
	if (d)
		closedir(d);
}

static int add_size(void *arg, const uint8_t sha[WC_SHA_BYTES], const struct stat *st)
{
	(void)sha;
	struct blobs *b = arg;

	atomic_fetch_add(&b->bytes, (uint64_t)st->st_size);
	blob_count(b, 0, (uint64_t)st->st_size);
	return 0;
}

int blobs_check(const char *dir, char **cause)
{
	static const char *const names[] = { "blobs", "tmp", "uploads" };
	struct blobs *b = xcalloc(1, sizeof(*b));
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	struct stat link;

	b->blobs_fd = -1;
	for (size_t i = 0; dir_fd >= 0 && i < WC_LEN(names) && rc == 0; i++) {
		int fd = openat(dir_fd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		/* A link to what is not there, such as a disk that is not mounted, is not made anew. */
		if (fd < 0 && (errno != ENOENT || fstatat(dir_fd, names[i], &link, AT_SYMLINK_NOFOLLOW) == 0)) {
			wc_cause(cause, "cannot use %s/%s: %s: make it a writable directory, or name another one with --data", dir,
			         names[i], strerror(errno));
			rc = -WC_ESTORAGE;
		} else if (i == 0) {
			b->blobs_fd = fd;
		} else if (fd >= 0) {
			close(fd);
		}
	}
	if (rc == 0 && b->blobs_fd >= 0 && blob_walk(b, add_size, b) != 0) {
		cause_unreadable(dir, cause);
		rc = -WC_ESTORAGE;
	}
	if (b->blobs_fd >= 0)
		close(b->blobs_fd);
	if (dir_fd >= 0)
		close(dir_fd);
	free(b);
	return rc;
}

static int open_on_disk(struct blobs *b, const char *dir, char **cause)
{
	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		b->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dir_fd < 0) {
		wc_cause(cause, "cannot use %s: %s: name another directory with --data", dir, strerror(errno));
		return -WC_ESTORAGE;
	}
	if (open_one(b->dir_fd, dir, "blobs", &b->blobs_fd, cause) != 0 || open_one(b->dir_fd, dir, "tmp", &b->tmp_fd, cause) != 0 ||
	    open_one(b->dir_fd, dir, "uploads", &b->uploads_fd, cause) != 0)
		return -WC_ESTORAGE;
	clean_tmp(b);
	if (blob_walk(b, add_size, b) != 0) {
		cause_unreadable(dir, cause);
		return -WC_ESTORAGE;
	}
	lost_open(b);
	record_recover(b);
	return 0;
}

static struct blobs *blobs_new(bool is_memory)
{
	struct blobs *b = xcalloc(1, sizeof(*b));

	pthread_mutex_init(&b->lock, NULL);
	pthread_mutex_init(&b->create_lock, NULL);
	pthread_mutex_init(&b->holds_lock, NULL);
	LIST_INIT(&b->held);
	LIST_INIT(&b->ended);
	b->dir_fd = b->blobs_fd = b->tmp_fd = b->uploads_fd = b->lost_fd = -1;
	b->is_memory = is_memory;
	b->opened_ms = real_ms();
	return b;
}

void blobs_set_cap(struct blobs *b, uint64_t cap_bytes)
{
	b->cap_bytes = cap_bytes ? cap_bytes : MEM_CAP_BYTES;
}

int blobs_open(struct blobs **out, const char *dir, uint64_t cap_bytes, char **cause)
{
	struct blobs *b = blobs_new(!dir);
	int rc = 0;

	*out = NULL;
	b->cap_bytes = cap_bytes ? cap_bytes : MEM_CAP_BYTES;
	b->files_max = MEM_FILES_MAX;
	if (dir)
		rc = open_on_disk(b, dir, cause);
	if (rc)
		blobs_close(b);
	else
		*out = b;
	return rc;
}

void blobs_bound_files(struct blobs *b, int max)
{
	b->files_max = (size_t)WC_MIN(max, MEM_FILES_MAX);
}

uint64_t blobs_memory_cap(const struct blobs *b)
{
	return b->is_memory ? b->cap_bytes : 0;
}

int blobs_look(struct blobs **out, const char *dir, char **cause)
{
	static const char *const names[] = { "blobs", "uploads", "lost" };
	struct blobs *b = blobs_new(false);
	int *const fds[] = { &b->blobs_fd, &b->uploads_fd, &b->lost_fd };

	*out = NULL;
	b->is_look = true;
	b->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; b->dir_fd >= 0 && i < WC_LEN(names); i++) {
		*fds[i] = openat(b->dir_fd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (*fds[i] < 0 && errno != ENOENT) {
			wc_cause(cause, "cannot use %s/%s: %s: make it a writable directory, or name another one with --data", dir,
			         names[i], strerror(errno));
			blobs_close(b);
			return -WC_ESTORAGE;
		}
	}
	*out = b;
	return 0;
}

void blobs_set_space(struct blobs *b, struct space *s)
{
	b->space = s;
	space_add(s, b->cost_at_open);
}

void blobs_close(struct blobs *b)
{
	if (!b)
		return;
	WC_ASSERT(!b->active); /* every upload is finished or suspended first */
	mem_close(b);
	blob_holds_close(b);
	for (int i = 0; i < 5; i++) {
		int fd = (int[]){ b->dir_fd, b->blobs_fd, b->tmp_fd, b->uploads_fd, b->lost_fd }[i];

		if (fd >= 0)
			close(fd);
	}
	pthread_mutex_destroy(&b->lock);
	pthread_mutex_destroy(&b->create_lock);
	pthread_mutex_destroy(&b->holds_lock);
	free(b);
}

/* --- One blob. */

static int sync_dir(struct blobs *b, const char *name)
{
	int fd = openat(b->blobs_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

/* If it fails, a sweep says "explained" once more and tries again. */
void blob_is_decided(struct blobs *b, const char path[BLOB_PATH_BYTES])
{
	if (fchmodat(b->blobs_fd, path, BLOB_MODE, 0) != 0)
		(void)storage_failed("chmod");
}

static int adopt(struct blobs *b, int dir_fd, const char *name, const uint8_t sha[WC_SHA_BYTES], uint64_t size, bool is_pending)
{
	char path[BLOB_PATH_BYTES], shelf[3];
	struct stat st;
	bool is_new_shelf, is_there;
	int rc = 0;

	blob_path(path, sha);
	memcpy(shelf, path, 2);
	shelf[2] = '\0';
	is_new_shelf = mkdirat(b->blobs_fd, shelf, 0700) == 0;
	/* Under the lock, so that two threads with the same bytes count them once, and the collector sees either the blob of before, put
	 * now, or none. */
	pthread_mutex_lock(&b->lock);
	is_there = fstatat(b->blobs_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	/* The new one takes the place of the old one, which may have rotted since. A blob that a message has stays decided. */
	if ((is_pending && is_there && (st.st_mode & 07777) != BLOB_MODE_PENDING && fchmodat(dir_fd, name, BLOB_MODE, 0) != 0) ||
	    utimensat(dir_fd, name, NULL, AT_SYMLINK_NOFOLLOW) != 0 || renameat(dir_fd, name, b->blobs_fd, path) != 0) {
		rc = -1;
	} else {
		atomic_fetch_add(&b->bytes, size - (is_there ? (uint64_t)st.st_size : 0));
		if (is_there)
			blob_count(b, (uint64_t)st.st_size, 0);
	}
	if (rc == 0)
		lost_forget(b, sha);
	pthread_mutex_unlock(&b->lock);
	if (rc == 0)
		rc = sync_dir(b, shelf); /* also if it was there: who made it may not have come to this yet */
	if (rc == 0 && is_new_shelf)
		rc = fsync(b->blobs_fd);
	return rc == 0 ? 0 : storage_failed("adopt");
}

int blob_adopt_file(struct blobs *b, int dir_fd, const char *name, const uint8_t sha[WC_SHA_BYTES], uint64_t size)
{
	return adopt(b, dir_fd, name, sha, size, false);
}

/* The same bytes again are written again: how long it takes must not tell whether the server had them. */
static int put_on_disk(struct blobs *b, const void *data, size_t n, const uint8_t sha[WC_SHA_BYTES], bool is_pending)
{
	char name[2 * UPLOAD_NAME_BYTES + 1];
	int fd, rc;

	blob_tmp_name(name);
	fd = openat(b->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, is_pending ? BLOB_MODE_PENDING : BLOB_MODE);
	if (fd < 0)
		return storage_failed("create");
	if (blob_write_all(fd, data, n, 0) != 0 || fsync(fd) != 0)
		rc = storage_failed("write");
	else
		rc = adopt(b, b->tmp_fd, name, sha, n, is_pending);
	close(fd);
	if (rc)
		(void)unlinkat(b->tmp_fd, name, 0);
	return rc;
}

static int put(struct blobs *b, const void *data, size_t n, const uint8_t sha[WC_SHA_BYTES], bool is_pending)
{
	int rc;

	if (b->is_memory)
		return mem_put(b, data, n, sha, is_pending);
	rc = space_take(b->space, 0, n, n);
	if (rc)
		return rc;
	rc = put_on_disk(b, data, n, sha, is_pending);
	space_wrote(b->space, n);
	if (rc)
		space_set(b->space, n, 0);
	return rc;
}

int blob_put_held(struct blobs *b, const void *data, size_t n, uint8_t sha[WC_SHA_BYTES], struct blob_hold **hold)
{
	int rc;

	*hold = NULL;
	if (EVP_Digest(data, n, sha, NULL, EVP_sha256(), NULL) != 1)
		return -WC_ENOMEM;
	*hold = blob_hold_new(b, sha, NULL); /* first: from now on nobody takes it away */
	rc = put(b, data, n, sha, true);
	if (rc) {
		blob_hold_drop(*hold);
		*hold = NULL;
	}
	return rc;
}

int blob_put(struct blobs *b, const void *data, size_t n, uint8_t sha[WC_SHA_BYTES])
{
	if (EVP_Digest(data, n, sha, NULL, EVP_sha256(), NULL) != 1)
		return -WC_ENOMEM;
	return put(b, data, n, sha, false);
}

int blob_get(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size)
{
	char path[BLOB_PATH_BYTES];
	struct stat st;
	int fd;

	if (b->is_memory)
		return mem_get(b, sha, size);
	blob_path(path, sha);
	fd = openat(b->blobs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && atomic_load(&b->lost_files)) { /* it was taken for lost, and is asked for */
		pthread_mutex_lock(&b->lock);
		(void)lost_return_one(b, sha);
		pthread_mutex_unlock(&b->lock);
		fd = openat(b->blobs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	}
	if (fd < 0) /* NONBLOCK: a pipe that lies in its place would be waited for */
		return errno == ENOENT ? -WC_ENOENT : storage_failed("open");
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -WC_ESTORAGE;
	}
	*size = (uint64_t)st.st_size;
	return fd;
}

int blob_touch(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size)
{
	char path[BLOB_PATH_BYTES];
	struct stat st;
	int rc = 0;

	if (b->is_memory)
		return mem_touch(b, sha, size);
	blob_path(path, sha);
	pthread_mutex_lock(&b->lock);
	rc = fstatat(b->blobs_fd, path, &st, AT_SYMLINK_NOFOLLOW);
	if (rc != 0 && errno == ENOENT && lost_return_one(b, sha))
		rc = fstatat(b->blobs_fd, path, &st, AT_SYMLINK_NOFOLLOW);
	if (rc == 0)
		rc = utimensat(b->blobs_fd, path, NULL, AT_SYMLINK_NOFOLLOW);
	if (rc != 0)
		rc = errno == ENOENT ? -WC_ENOENT : -WC_ESTORAGE;
	pthread_mutex_unlock(&b->lock);
	if (rc == 0)
		*size = (uint64_t)st.st_size;
	return rc;
}

void blob_unlink(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	char path[BLOB_PATH_BYTES];
	struct stat st;

	if (b->is_memory) {
		mem_unlink(b, sha);
		return;
	}
	blob_path(path, sha);
	if (fstatat(b->blobs_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && unlinkat(b->blobs_fd, path, 0) == 0) {
		atomic_fetch_sub(&b->bytes, (uint64_t)st.st_size);
		blob_count(b, (uint64_t)st.st_size, 0);
	}
	lost_forget(b, sha);
}
