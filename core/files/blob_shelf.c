/* blob_shelf.c — DIR/blobs and its 256 folders ("shelves"): the names of files in them, walks over them, and what they count for.
 *
 * Owns nothing; opens by names made here, never by one from outside. Thread: any that may wait for a disk. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "files/impl.h"

void blob_path(char out[BLOB_PATH_BYTES], const uint8_t sha[WC_SHA_BYTES])
{
	wc_hex(out, sha, 1);
	out[2] = '/';
	wc_hex(out + 3, sha + 1, WC_SHA_BYTES - 1);
}

bool blob_stat(const struct blobs *b, const uint8_t sha[WC_SHA_BYTES], struct stat *st)
{
	char path[BLOB_PATH_BYTES];

	blob_path(path, sha);
	return fstatat(b->blobs_fd, path, st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool blob_mode_is_pending(const struct stat *st)
{
	return (st->st_mode & 07777) == BLOB_MODE_PENDING;
}

/* If it fails, a sweep says "explained" once more and tries again. */
void blob_set_decided(const struct blobs *b, const char path[BLOB_PATH_BYTES])
{
	if (fchmodat(b->blobs_fd, path, BLOB_MODE, 0) != 0)
		(void)file_failed("chmod");
}

void blob_count(struct blobs *b, uint64_t had, uint64_t size)
{
	if (b->space)
		space_set(b->space, had, size);
	else
		b->cost_at_open += space_cost(size) - space_cost(had);
}

/* --- Walks. */

static int walk_shelf(DIR *shelf, uint8_t sha[WC_SHA_BYTES], stat_fn fn, void *arg)
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

int blob_walk(const struct blobs *b, stat_fn fn, void *arg)
{
	DIR *outer = file_open_dir(b->blobs_fd, "."), *shelf;
	uint8_t sha[WC_SHA_BYTES];
	struct dirent *o;
	int stop = 0, err;

	if (!outer)
		return -WC_ESTORAGE;
	while (!stop && (errno = 0, o = readdir(outer))) {
		/* Anything else that lies there is not ours and is left alone. */
		if (wc_unhex(sha, 1, (struct str){ o->d_name, strlen(o->d_name) }) != 0)
			continue;
		shelf = file_open_dir(b->blobs_fd, o->d_name);
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

	return e->fn(e->arg, sha, (uint64_t)st->st_size, real_ms() - file_mtime_ms(st));
}

int blobs_each_on_shelf(struct blobs *b, uint8_t shelf, blob_fn fn, void *arg)
{
	uint8_t sha[WC_SHA_BYTES] = { shelf };
	char name[3];
	DIR *d;

	WC_ASSERT(b->blobs_fd >= 0);
	wc_hex(name, &shelf, 1);
	d = file_open_dir(b->blobs_fd, name);
	if (!d)
		return errno == ENOENT ? 0 : -WC_ESTORAGE;
	(void)walk_shelf(d, sha, each_one, &(struct each){ fn, arg });
	closedir(d);
	return 0;
}

/* --- Why it cannot be used, in one line. */

int blob_cause_folder(const char *dir, const char *name, char **cause)
{
	wc_cause(cause, "cannot use %s/%s: %s: make it a writable directory, or name another one with --data", dir, name, strerror(errno));
	return -WC_ESTORAGE;
}

int blob_cause_unreadable(const char *dir, char **cause)
{
	wc_cause(cause, "cannot read all of %s/blobs: %s: make it readable for user %u, or name another directory with --data", dir,
	         strerror(errno), (unsigned)geteuid());
	return -WC_ESTORAGE;
}
