/* blob_shelf.c — the blobs of one of the 256 folders, so that a walk over all of them can be made in short steps (see blob.h). Owns nothing.
 * Thread: the admin's own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/impl.h"

int blobs_each_on_shelf(struct blobs *b, uint8_t shelf, blob_fn fn, void *arg)
{
	uint8_t sha[WC_SHA_BYTES] = { shelf };
	struct dirent *e;
	struct stat st;
	char name[3];
	int fd, stop = 0;
	DIR *d;

	WC_ASSERT(!b->is_memory);
	wc_hex(name, &shelf, 1);
	fd = openat(b->blobs_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -WC_ESTORAGE;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -WC_ESTORAGE;
	}
	while (!stop && (e = readdir(d)))
		if (wc_unhex(sha + 1, WC_SHA_BYTES - 1, (struct str){ e->d_name, strlen(e->d_name) }) == 0 &&
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			stop = fn(arg, sha, (uint64_t)st.st_size, real_ms() - (int64_t)st.st_mtim.tv_sec * 1000);
	closedir(d);
	return 0;
}
