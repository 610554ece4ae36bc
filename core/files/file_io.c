/* file_io.c — small steps on open files and folders (see file_io.h). */
#include "files/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/logmsg.h"

int file_write_all(int fd, const void *data, size_t n, uint64_t offset)
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

int file_hash(int fd, uint64_t most, file_moved_fn moved, void *arg, uint64_t *size, uint8_t sha[WC_SHA_BYTES])
{
	enum { PIECE = 256 * 1024 };
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t *piece = malloc(PIECE);
	int rc = md && piece && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 ? 0 : -WC_ENOMEM;

	*size = 0;
	while (rc == 0 && *size < most) {
		ssize_t n = pread(fd, piece, (size_t)WC_MIN((uint64_t)PIECE, most - *size), (off_t)*size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			break;
		if (n < 0)
			rc = -WC_EIO;
		else if (EVP_DigestUpdate(md, piece, (size_t)n) != 1)
			rc = -WC_ENOMEM;
		else
			*size += (uint64_t)n;
		if (rc == 0 && moved && !moved(arg, (size_t)n))
			rc = -WC_ECLOSED;
	}
	if (rc == 0 && EVP_DigestFinal_ex(md, sha, NULL) != 1)
		rc = -WC_ENOMEM;
	EVP_MD_CTX_free(md);
	free(piece);
	return rc;
}

int file_sync_dir(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

DIR *file_open_dir(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

void file_tmp_name(char out[FILE_TMP_BYTES])
{
	uint8_t name[(FILE_TMP_BYTES - 1) / 2];

	wc_random(name, sizeof(name));
	wc_hex(out, name, sizeof(name));
}

int64_t file_mtime_ms(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
}

int file_failed(const char *step)
{
	log_warn("blob", "step=%s error=\"%s\"", step, strerror(errno));
	return -WC_ESTORAGE;
}
