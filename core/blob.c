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

#include "blob_impl.h"
#include "logmsg.h"

#define MEM_CAP_BYTES (256ull << 20)

/* "ab/cdef…" */
#define BLOB_PATH_BYTES (2 * WC_SHA_BYTES + 2)

static void blob_path(char out[BLOB_PATH_BYTES], const uint8_t sha[WC_SHA_BYTES])
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

static DIR *open_dir_at(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

static int64_t age_of(const struct stat *st)
{
	return real_ms() - ((int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000);
}

static int each_on_disk(struct blobs *b, blob_fn fn, void *arg)
{
	DIR *outer = open_dir_at(b->blobs_fd, "."), *inner;
	struct dirent *o, *i;
	uint8_t sha[WC_SHA_BYTES];
	struct stat st;
	int stop = 0;

	if (!outer)
		return -WC_ESTORAGE;
	while (!stop && (o = readdir(outer))) {
		/* Anything else that lies there is not ours and is left alone. */
		if (wc_unhex(sha, 1, (struct str){ o->d_name, strlen(o->d_name) }) != 0 || !(inner = open_dir_at(b->blobs_fd, o->d_name)))
			continue;
		while (!stop && (i = readdir(inner)))
			if (wc_unhex(sha + 1, WC_SHA_BYTES - 1, (struct str){ i->d_name, strlen(i->d_name) }) == 0 &&
			    fstatat(dirfd(inner), i->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
				stop = fn(arg, sha, (uint64_t)st.st_size, age_of(&st));
		closedir(inner);
	}
	closedir(outer);
	return 0;
}

int blobs_each(struct blobs *b, blob_fn fn, void *arg)
{
	return b->is_memory ? mem_each(b, fn, arg) : each_on_disk(b, fn, arg);
}

uint64_t blobs_bytes(struct blobs *b)
{
	return atomic_load_explicit(&b->bytes, memory_order_relaxed);
}

/* --- Opening. */

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
	DIR *d = open_dir_at(b->tmp_fd, ".");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (!is_dots(e->d_name))
			(void)unlinkat(b->tmp_fd, e->d_name, 0);
	if (d)
		closedir(d);
}

static int add_size(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size, int64_t age_ms)
{
	(void)sha;
	(void)age_ms;
	*(uint64_t *)arg += size;
	return 0;
}

static int open_on_disk(struct blobs *b, const char *dir, char **cause)
{
	uint64_t sum = 0;
	int dir_fd = -1, rc = -WC_ESTORAGE;

	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		wc_cause(cause, "cannot use %s: %s: name another directory with --data", dir, strerror(errno));
		return -WC_ESTORAGE;
	}
	if (open_one(dir_fd, dir, "blobs", &b->blobs_fd, cause) != 0 || open_one(dir_fd, dir, "tmp", &b->tmp_fd, cause) != 0 ||
	    open_one(dir_fd, dir, "uploads", &b->uploads_fd, cause) != 0)
		goto out;
	clean_tmp(b);
	if (each_on_disk(b, add_size, &sum) != 0) {
		wc_cause(cause, "cannot read %s/blobs: %s: make it readable, or name another directory with --data", dir, strerror(errno));
		goto out;
	}
	atomic_store(&b->bytes, sum);
	record_recover(b);
	rc = 0;
out:
	close(dir_fd);
	return rc;
}

int blobs_open(struct blobs **out, const char *dir, uint64_t cap_bytes, char **cause)
{
	struct blobs *b = xcalloc(1, sizeof(*b));
	int rc;

	*out = NULL;
	pthread_mutex_init(&b->lock, NULL);
	pthread_mutex_init(&b->create_lock, NULL);
	b->blobs_fd = b->tmp_fd = b->uploads_fd = -1;
	b->is_memory = !dir;
	b->cap_bytes = cap_bytes ? cap_bytes : MEM_CAP_BYTES;
	b->files_max = MEM_FILES_MAX;
	rc = dir ? open_on_disk(b, dir, cause) : 0;
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

void blobs_close(struct blobs *b)
{
	if (!b)
		return;
	WC_ASSERT(!b->active); /* every upload is finished or suspended first */
	mem_close(b);
	for (int i = 0; i < 3; i++) {
		int fd = (int[]){ b->blobs_fd, b->tmp_fd, b->uploads_fd }[i];

		if (fd >= 0)
			close(fd);
	}
	pthread_mutex_destroy(&b->lock);
	pthread_mutex_destroy(&b->create_lock);
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

int blob_adopt_file(struct blobs *b, int dir_fd, const char *name, const uint8_t sha[WC_SHA_BYTES], uint64_t size)
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
	if (is_there && (uint64_t)st.st_size == size) {
		if (utimensat(b->blobs_fd, path, NULL, AT_SYMLINK_NOFOLLOW) != 0 || unlinkat(dir_fd, name, 0) != 0)
			rc = -1;
	} else {
		if (utimensat(dir_fd, name, NULL, AT_SYMLINK_NOFOLLOW) != 0 || renameat(dir_fd, name, b->blobs_fd, path) != 0)
			rc = -1;
		else
			atomic_fetch_add(&b->bytes, size - (is_there ? (uint64_t)st.st_size : 0));
	}
	pthread_mutex_unlock(&b->lock);
	if (rc == 0)
		rc = sync_dir(b, shelf); /* also if it was there: who made it may not have come to this yet */
	if (rc == 0 && is_new_shelf)
		rc = fsync(b->blobs_fd);
	return rc == 0 ? 0 : storage_failed("adopt");
}

/* The same bytes again are written again and then dropped: how long it takes must not tell whether the server had them. */
static int put_on_disk(struct blobs *b, const void *data, size_t n, const uint8_t sha[WC_SHA_BYTES])
{
	char name[2 * UPLOAD_NAME_BYTES + 1];
	int fd, rc = -WC_ESTORAGE;

	blob_tmp_name(name);
	fd = openat(b->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return storage_failed("create");
	if (blob_write_all(fd, data, n, 0) != 0 || fsync(fd) != 0)
		storage_failed("write");
	else
		rc = blob_adopt_file(b, b->tmp_fd, name, sha, n);
	close(fd);
	if (rc)
		(void)unlinkat(b->tmp_fd, name, 0);
	return rc;
}

int blob_put(struct blobs *b, const void *data, size_t n, uint8_t sha[WC_SHA_BYTES])
{
	if (EVP_Digest(data, n, sha, NULL, EVP_sha256(), NULL) != 1)
		return -WC_ENOMEM;
	return b->is_memory ? mem_put(b, data, n, sha) : put_on_disk(b, data, n, sha);
}

int blob_get(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size)
{
	char path[BLOB_PATH_BYTES];
	struct stat st;
	int fd;

	if (b->is_memory)
		return mem_get(b, sha, size);
	blob_path(path, sha);
	fd = openat(b->blobs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
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
	if (fstatat(b->blobs_fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || utimensat(b->blobs_fd, path, NULL, AT_SYMLINK_NOFOLLOW) != 0)
		rc = errno == ENOENT ? -WC_ENOENT : -WC_ESTORAGE;
	pthread_mutex_unlock(&b->lock);
	if (rc == 0)
		*size = (uint64_t)st.st_size;
	return rc;
}

/* If it is past its grace. */
static void remove_old(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	char path[BLOB_PATH_BYTES];
	struct stat st;

	if (b->is_memory) {
		mem_remove_old(b, sha);
		return;
	}
	blob_path(path, sha);
	pthread_mutex_lock(&b->lock);
	if (fstatat(b->blobs_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && age_of(&st) >= BLOB_GRACE_MS && unlinkat(b->blobs_fd, path, 0) == 0)
		atomic_fetch_sub(&b->bytes, (uint64_t)st.st_size);
	pthread_mutex_unlock(&b->lock);
}

/* --- Collection. */

struct sha_set {
	uint8_t (*sha)[WC_SHA_BYTES];
	size_t count, room;
};

static void sha_set_add(struct sha_set *s, const uint8_t sha[WC_SHA_BYTES])
{
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->sha = xrealloc(s->sha, s->room * WC_SHA_BYTES);
	}
	memcpy(s->sha[s->count++], sha, WC_SHA_BYTES);
}

static int compare_sha(const void *a, const void *b)
{
	return memcmp(a, b, WC_SHA_BYTES);
}

struct sweep {
	struct blobs *b;
	struct sha_set handled; /* blobs a handle stands for: a message may still be sent with it */
	struct sha_set old;     /* candidates */
};

static bool is_dead_record(void *arg, const struct upload_record *rec)
{
	struct sweep *w = arg;

	if (real_ms() - rec->at_ms > UPLOAD_LIFE_MS)
		return rec->is_done || !upload_is_active(w->b, rec->identity_id, rec->name);
	if (rec->is_done)
		sha_set_add(&w->handled, rec->sha);
	return false;
}

static int gather_old(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size, int64_t age_ms)
{
	(void)size;
	if (age_ms >= BLOB_GRACE_MS)
		sha_set_add(&((struct sweep *)arg)->old, sha);
	return 0;
}

static int gather_any(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size, int64_t age_ms)
{
	(void)size;
	(void)age_ms;
	sha_set_add(&((struct sweep *)arg)->old, sha);
	return 0;
}

void blobs_collect(struct blobs *b, bool (*is_used)(void *arg, const uint8_t sha[WC_SHA_BYTES]), void *arg)
{
	struct sweep w = { .b = b };

	record_sweep(b, is_dead_record, &w);
	if (w.handled.count)
		qsort(w.handled.sha, w.handled.count, WC_SHA_BYTES, compare_sha);
	if (blobs_each(b, b->is_memory ? gather_any : gather_old, &w) != 0)
		goto out; /* nothing is removed on half the truth */
	for (size_t i = 0; i < w.old.count; i++) {
		const uint8_t *sha = w.old.sha[i];
		bool used = w.handled.count && bsearch(sha, w.handled.sha, w.handled.count, WC_SHA_BYTES, compare_sha);

		used = used || is_used(arg, sha);
		if (b->is_memory)
			mem_mark_used(b, sha, used);
		/* Asked for its age again, under the lock: it may have been put anew since. */
		if (!used)
			remove_old(b, sha);
	}
out:
	free(w.handled.sha);
	free(w.old.sha);
}
