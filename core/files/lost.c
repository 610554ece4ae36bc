/* lost.c — DIR/lost: files that nothing explains, kept for a day in case the database that knows them comes back.
 *
 * Owns DIR/lost (mode 0700, flat, each file under its hash) and the count of files in it. Decides nothing: collect.c does. A file's
 * modification time says when it came. Thread: any but room and I/O, with b->lock held unless a function says otherwise. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "files/impl.h"

#define LOST_NAME_BYTES (2 * WC_SHA_BYTES + 1)

static void counted(struct blobs *b, const struct stat *st, bool is_in)
{
	if (is_in) {
		atomic_fetch_add(&b->lost_files, 1);
		atomic_fetch_add(&b->lost_bytes, (uint64_t)st->st_size);
	} else if (atomic_load(&b->lost_files)) {
		atomic_fetch_sub(&b->lost_files, 1);
		atomic_fetch_sub(&b->lost_bytes, (uint64_t)st->st_size);
	}
}

static int count_one(void *arg, const uint8_t sha[WC_SHA_BYTES], const struct stat *st)
{
	(void)sha;
	counted(arg, st, true);
	blob_count(arg, 0, (uint64_t)st->st_size);
	return 0;
}

/* At start: counts the files that lie there. Makes nothing yet. */
void lost_open(struct blobs *b)
{
	b->lost_fd = openat(b->dir_fd, "lost", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->lost_fd >= 0)
		(void)lost_walk(b, count_one, b);
	else if (errno != ENOENT)
		log_warn("lost cannot be used", "error=\"%s\" remedy=\"make lost in the data folder a writable directory\"",
		         strerror(errno));
}

int lost_walk(struct blobs *b, stat_fn fn, void *arg)
{
	DIR *d = b->lost_fd >= 0 ? file_open_dir(b->lost_fd, ".") : NULL;
	uint8_t sha[WC_SHA_BYTES];
	struct dirent *e;
	struct stat st;
	int stop = 0;

	if (!d)
		return b->lost_fd >= 0 ? -WC_ESTORAGE : 0;
	while (!stop && (e = readdir(d)))
		if (wc_unhex(sha, WC_SHA_BYTES, (struct str){ e->d_name, strlen(e->d_name) }) == 0 &&
		    fstatat(b->lost_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			stop = fn(arg, sha, &st);
	closedir(d);
	return 0;
}

static int make_lost(struct blobs *b)
{
	if (b->lost_fd < 0 && (mkdirat(b->dir_fd, "lost", 0700) == 0 || errno == EEXIST)) {
		b->lost_fd = openat(b->dir_fd, "lost", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (b->lost_fd >= 0)
			(void)fsync(b->dir_fd);
	}
	return b->lost_fd >= 0 ? 0 : -1;
}

int lost_take(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], const struct stat *st)
{
	char path[BLOB_PATH_BYTES], name[LOST_NAME_BYTES];

	blob_path(path, sha);
	wc_hex(name, sha, WC_SHA_BYTES);
	/* Its day begins with the move. The time is set first, so that a kill between the two steps leaves no file that looks a day old. */
	if (make_lost(b) != 0 || utimensat(b->blobs_fd, path, NULL, AT_SYMLINK_NOFOLLOW) != 0)
		return -WC_ESTORAGE;
	lost_forget(b, sha);
	if (renameat(b->blobs_fd, path, b->lost_fd, name) != 0)
		return -WC_ESTORAGE;
	atomic_fetch_sub(&b->bytes, (uint64_t)st->st_size);
	counted(b, st, true);
	return 0;
}

bool lost_return_one(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	char path[BLOB_PATH_BYTES], name[LOST_NAME_BYTES];
	struct stat st, there;

	if (b->is_look || b->lost_fd < 0)
		return false;
	wc_hex(name, sha, WC_SHA_BYTES);
	if (fstatat(b->lost_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return false;
	blob_path(path, sha);
	if (fstatat(b->blobs_fd, path, &there, AT_SYMLINK_NOFOLLOW) == 0)
		return true; /* a blob it is already */
	path[2] = '\0';
	(void)mkdirat(b->blobs_fd, path, 0700); /* the shelf; most are there */
	path[2] = '/';
	if (renameat(b->lost_fd, name, b->blobs_fd, path) != 0) {
		log_warn("blob", "step=return error=\"%s\"", strerror(errno));
		return false;
	}
	blob_set_decided(b, path);
	atomic_fetch_add(&b->bytes, (uint64_t)st.st_size);
	counted(b, &st, false);
	return true;
}

void lost_forget(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	char name[LOST_NAME_BYTES];
	struct stat st;

	if (b->lost_fd < 0)
		return;
	wc_hex(name, sha, WC_SHA_BYTES);
	if (fstatat(b->lost_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && unlinkat(b->lost_fd, name, 0) == 0) {
		counted(b, &st, false);
		blob_count(b, (uint64_t)st.st_size, 0);
	}
}

uint64_t blobs_lost_bytes(struct blobs *b)
{
	return atomic_load_explicit(&b->lost_bytes, memory_order_relaxed);
}
