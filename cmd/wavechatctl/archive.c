/* archive.c — writes a backup's tar (see archive.h). While it waits for a pipe it looks at the clock, and tells the server that this
 * process is alive. A pipe that takes nothing for minutes is given up, so that no stopped reader keeps the server's files from being
 * collected. */
#include "archive.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/tar.h"

#define PIPE_PIECE 4096 /* a pipe that polls writable takes so much at once */
#define LOOK_MS 1000
#define STUCK_MS (10 * 60 * 1000)

static void fail(struct archive *a, int error)
{
	a->failed = true;
	a->error = error;
}

static bool wait_for_pipe(struct archive *a)
{
	const int64_t deadline_ms = mono_ms() + STUCK_MS;
	struct pollfd p = { .fd = a->fd, .events = POLLOUT };

	while (!is_stopped()) {
		client_beat(a->c);
		if (poll(&p, 1, LOOK_MS) > 0)
			return true;
		if (mono_ms() > deadline_ms) {
			fail(a, ETIMEDOUT);
			return false;
		}
	}
	fail(a, EINTR);
	return false;
}

void archive_write(struct archive *a, const void *data, size_t n)
{
	const char *p = data;

	while (n && !a->failed) {
		if (a->is_pipe && !wait_for_pipe(a))
			return;
		ssize_t done = write(a->fd, p, a->is_pipe ? WC_MIN(n, (size_t)PIPE_PIECE) : n);

		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (done <= 0) {
			fail(a, done < 0 ? errno : EIO);
			return;
		}
		p += done;
		n -= (size_t)done;
		a->bytes += (uint64_t)done;
	}
}

void archive_header(struct archive *a, const char *name, uint64_t size, bool is_folder)
{
	uint8_t block[TAR_BLOCK];

	tar_format(block, name, size, is_folder, real_ms() / 1000);
	archive_write(a, block, sizeof(block));
}

void archive_zeros(struct archive *a, uint64_t n)
{
	static const uint8_t zeros[64 * TAR_BLOCK];

	while (n && !a->failed) {
		size_t piece = (size_t)WC_MIN(n, (uint64_t)sizeof(zeros));

		archive_write(a, zeros, piece);
		n -= piece;
	}
}

void archive_pad(struct archive *a)
{
	archive_zeros(a, (TAR_BLOCK - a->bytes % TAR_BLOCK) % TAR_BLOCK);
}

void archive_cut(struct archive *a, uint64_t at)
{
	WC_ASSERT(!a->is_pipe);
	if (a->failed)
		return;
	if (ftruncate(a->fd, (off_t)at) < 0 || lseek(a->fd, (off_t)at, SEEK_SET) < 0)
		fail(a, errno);
	else
		a->bytes = at;
}

void archive_end(struct archive *a)
{
	archive_zeros(a, 2 * TAR_BLOCK);
	if (!a->failed && fsync(a->fd) < 0 && errno != EINVAL && errno != ENOTSUP)
		fail(a, errno);
}

int archive_complain(const struct archive *a)
{
	if (a->error == ETIMEDOUT)
		return complain(EXIT_REFUSED, "cannot write: the reader took nothing for %d minutes", STUCK_MS / 60000);
	return complain(EXIT_REFUSED, "cannot write: %s", strerror(a->error));
}
