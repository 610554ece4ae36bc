/* blob_look.c — a look at the files of a data folder before a start makes or changes anything.
 *
 * Owns nothing between calls. Makes nothing, cleans nothing, moves nothing. Thread: main. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/impl.h"

static int pass(void *arg, const uint8_t sha[WC_SHA_BYTES], const struct stat *st)
{
	(void)arg;
	(void)sha;
	(void)st;
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
			rc = blob_cause_folder(dir, names[i], cause);
		} else if (i == 0) {
			b->blobs_fd = fd;
		} else if (fd >= 0) {
			close(fd);
		}
	}
	if (rc == 0 && b->blobs_fd >= 0 && blob_walk(b, pass, NULL) != 0)
		rc = blob_cause_unreadable(dir, cause);
	if (b->blobs_fd >= 0)
		close(b->blobs_fd);
	if (dir_fd >= 0)
		close(dir_fd);
	free(b);
	return rc;
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
			(void)blob_cause_folder(dir, names[i], cause);
			blobs_close(b);
			return -WC_ESTORAGE;
		}
	}
	*out = b;
	return 0;
}

struct look {
	blob_look_fn fn;
	void *arg;
};

static int on_blob(void *arg, const uint8_t sha[WC_SHA_BYTES], const struct stat *st)
{
	const struct look *l = arg;

	l->fn(l->arg, sha, blob_mode_is_pending(st) ? BLOB_LOOK_PENDING : BLOB_LOOK_STORED);
	return 0;
}

static int on_lost(void *arg, const uint8_t sha[WC_SHA_BYTES], const struct stat *st)
{
	const struct look *l = arg;

	(void)st;
	l->fn(l->arg, sha, BLOB_LOOK_LOST);
	return 0;
}

int blobs_look_files(struct blobs *b, const char *dir, blob_look_fn fn, void *arg, char **cause)
{
	struct look look = { fn, arg };

	if (b->blobs_fd >= 0 && blob_walk(b, on_blob, &look) != 0)
		return blob_cause_unreadable(dir, cause);
	(void)lost_walk(b, on_lost, &look);
	return 0;
}

struct handles {
	blob_handle_fn fn;
	void *arg;
};

static void on_record(void *arg, const struct upload_record *rec)
{
	const struct handles *h = arg;

	h->fn(h->arg, rec->identity_id, rec->at_ms, rec->sha);
}

void blobs_look_handles(struct blobs *b, blob_handle_fn fn, void *arg)
{
	b->ops->record_each_handle(b, on_record, &(struct handles){ fn, arg });
}
