/* blob.c — files and voices, named by their SHA-256: opening them, and the way to those on disk or in memory.
 *
 * Owns struct blobs. Its parts on disk are blob_disk.c, upload_disk.c and lost.c, in memory blob_mem.c. Thread: helpers,
 * HTTP workers and the transfer thread; never room or I/O. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "files/impl.h"

#define MEM_CAP_BYTES (256ull << 20)

/* clang-format off */
static const struct blob_ops on_disk = {
	.keeps_lost = true,
	.put = disk_put, .get = disk_get, .touch = disk_touch, .unlink = disk_unlink, .is_pending = disk_is_pending, .decide = disk_decide,
	.record_load = disk_record_load, .record_count_open = disk_record_count_open, .record_create = disk_record_create,
	.record_resume = disk_record_resume, .record_grow = disk_record_grow, .record_came = disk_record_came,
	.record_finish = disk_record_finish, .record_use = disk_record_use, .record_end = disk_record_end,
	.record_remove = disk_record_remove, .record_each_own = disk_record_each_own, .record_each_handle = disk_record_each_handle,
	.record_sweep = disk_record_sweep, .record_trim = disk_record_trim,
};
static const struct blob_ops in_memory = {
	.put = mem_put, .get = mem_get, .touch = mem_touch, .unlink = mem_unlink, .is_pending = mem_is_pending, .decide = mem_decide,
	.each = mem_each, .mark_used = mem_mark_used,
	.record_load = mem_record_load, .record_count_open = mem_record_count_open, .record_create = mem_record_create,
	.record_resume = mem_record_resume, .record_grow = mem_record_grow, .record_came = mem_record_came,
	.record_finish = mem_record_finish, .record_use = mem_record_use, .record_end = mem_record_end,
	.record_remove = mem_record_remove, .record_each_own = mem_record_each_own, .record_each_handle = mem_record_each_handle,
	.record_sweep = mem_record_sweep, .record_trim = mem_record_trim,
};
/* clang-format on */

/* --- Opening. */

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int open_one(int dir_fd, const char *dir, const char *name, int *fd, char **cause)
{
	if (mkdirat(dir_fd, name, 0700) == 0 || errno == EEXIST)
		*fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	return blob_cause_folder(dir, name, cause);
}

static void clean_tmp(struct blobs *b)
{
	DIR *d = file_open_dir(b->tmp_fd, ".");
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
	if (blob_walk(b, add_size, b) != 0)
		return blob_cause_unreadable(dir, cause);
	lost_open(b);
	disk_record_recover(b);
	return 0;
}

struct blobs *blobs_new(bool is_memory)
{
	struct blobs *b = xcalloc(1, sizeof(*b));

	pthread_mutex_init(&b->lock, NULL);
	for (size_t i = 0; i < WC_LEN(b->create_locks); i++)
		pthread_mutex_init(&b->create_locks[i], NULL);
	pthread_mutex_init(&b->holds_lock, NULL);
	LIST_INIT(&b->held);
	LIST_INIT(&b->ended);
	b->dir_fd = b->blobs_fd = b->tmp_fd = b->uploads_fd = b->lost_fd = -1;
	b->ops = is_memory ? &in_memory : &on_disk;
	b->opened_ms = boot_ms();
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
	return b->ops->keeps_lost ? 0 : b->cap_bytes;
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
	WC_ASSERT(!b->sending); /* every upload is finished or suspended first */
	mem_close(b);
	blob_holds_close(b);
	for (int i = 0; i < 5; i++) {
		int fd = (int[]){ b->dir_fd, b->blobs_fd, b->tmp_fd, b->uploads_fd, b->lost_fd }[i];

		if (fd >= 0)
			close(fd);
	}
	pthread_mutex_destroy(&b->lock);
	for (size_t i = 0; i < WC_LEN(b->create_locks); i++)
		pthread_mutex_destroy(&b->create_locks[i]);
	pthread_mutex_destroy(&b->holds_lock);
	free(b);
}

/* --- One blob, or all. */

int blob_put_held(struct blobs *b, const void *data, size_t n, uint8_t sha[WC_SHA_BYTES], struct blob_hold **hold)
{
	int rc;

	*hold = NULL;
	if (EVP_Digest(data, n, sha, NULL, EVP_sha256(), NULL) != 1)
		return -WC_ENOMEM;
	*hold = blob_hold_new(b, sha, NULL); /* first: from now on nobody takes it away */
	rc = b->ops->put(b, data, n, sha, true);
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
	return b->ops->put(b, data, n, sha, false);
}

int blob_get(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size)
{
	return b->ops->get(b, sha, size);
}

uint64_t blobs_bytes(struct blobs *b)
{
	return atomic_load_explicit(&b->bytes, memory_order_relaxed);
}
