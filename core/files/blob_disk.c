/* blob_disk.c — single blobs on disk: written, opened, removed.
 *
 * Owns the files in DIR/blobs, and those in DIR/tmp that are to become blobs. A blob is written under a temporary name, synced, renamed,
 * and its folder synced, so a name in DIR/blobs always has all of its bytes. Thread: helpers, HTTP workers and the transfer thread;
 * never room or I/O. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files/impl.h"

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
	if ((is_pending && is_there && !blob_mode_is_pending(&st) && fchmodat(dir_fd, name, BLOB_MODE, 0) != 0) ||
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
		rc = file_sync_dir(b->blobs_fd, shelf); /* also if it was there: who made it may not have come to this yet */
	if (rc == 0 && is_new_shelf)
		rc = fsync(b->blobs_fd);
	return rc == 0 ? 0 : file_failed("adopt");
}

int blob_adopt_file(struct blobs *b, int dir_fd, const char *name, const uint8_t sha[WC_SHA_BYTES], uint64_t size)
{
	return adopt(b, dir_fd, name, sha, size, false);
}

/* The same bytes again are written again: how long it takes must not tell whether the server had them. */
static int write_new(struct blobs *b, const void *data, size_t n, const uint8_t sha[WC_SHA_BYTES], bool is_pending)
{
	char name[FILE_TMP_BYTES];
	int fd, rc;

	file_tmp_name(name);
	fd = openat(b->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, is_pending ? BLOB_MODE_PENDING : BLOB_MODE);
	if (fd < 0)
		return file_failed("create");
	if (file_write_all(fd, data, n, 0) != 0 || fsync(fd) != 0)
		rc = file_failed("write");
	else
		rc = adopt(b, b->tmp_fd, name, sha, n, is_pending);
	close(fd);
	if (rc)
		(void)unlinkat(b->tmp_fd, name, 0);
	return rc;
}

int disk_put(struct blobs *b, const void *data, size_t n, const uint8_t sha[WC_SHA_BYTES], bool is_pending)
{
	int rc = space_take(b->space, 0, n, n);

	if (rc)
		return rc;
	rc = write_new(b, data, n, sha, is_pending);
	space_wrote(b->space, n);
	if (rc)
		space_set(b->space, n, 0);
	return rc;
}

int disk_get(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size)
{
	char path[BLOB_PATH_BYTES];
	struct stat st;
	int fd;

	blob_path(path, sha);
	fd = openat(b->blobs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && atomic_load(&b->lost_files)) { /* it was taken for lost, and is asked for */
		pthread_mutex_lock(&b->lock);
		(void)lost_return_one(b, sha);
		pthread_mutex_unlock(&b->lock);
		fd = openat(b->blobs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	}
	if (fd < 0) /* NONBLOCK: a pipe that lies in its place would be waited for */
		return errno == ENOENT ? -WC_ENOENT : file_failed("open");
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -WC_ESTORAGE;
	}
	*size = (uint64_t)st.st_size;
	return fd;
}

int disk_touch(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size)
{
	char path[BLOB_PATH_BYTES];
	struct stat st;
	int rc = 0;

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

bool disk_is_pending(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	struct stat st;

	return blob_stat(b, sha, &st) && blob_mode_is_pending(&st);
}

void disk_decide(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	char path[BLOB_PATH_BYTES];

	blob_path(path, sha);
	if (disk_is_pending(b, sha))
		blob_set_decided(b, path);
}

void disk_unlink(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	char path[BLOB_PATH_BYTES];
	struct stat st;

	blob_path(path, sha);
	if (fstatat(b->blobs_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && unlinkat(b->blobs_fd, path, 0) == 0) {
		atomic_fetch_sub(&b->bytes, (uint64_t)st.st_size);
		blob_count(b, (uint64_t)st.st_size, 0);
	}
	lost_forget(b, sha);
}
