/* archive.h — a backup's tar on its way to a file or a pipe. A failed write ends it: `failed`, and `error` says why. */
#ifndef CTL_ARCHIVE_H
#define CTL_ARCHIVE_H

#include "ctl.h"

struct archive {
	struct ctl *c; /* whose connection is kept alive while a pipe takes nothing */
	int fd;
	bool is_pipe;   /* or something else that cannot be cut back */
	uint64_t bytes; /* written */
	bool failed;
	int error; /* an errno; ETIMEDOUT: a pipe took nothing for minutes */
};

void archive_write(struct archive *a, const void *data, size_t n);
void archive_header(struct archive *a, const char *name, uint64_t size, bool is_folder);
void archive_pad(struct archive *a);               /* after an entry's bytes */
void archive_zeros(struct archive *a, uint64_t n); /* in place of bytes that did not come */
void archive_cut(struct archive *a, uint64_t at);  /* takes back what is behind; not of a pipe */
void archive_end(struct archive *a);               /* the end, synced */
int archive_complain(const struct archive *a);     /* EXIT_REFUSED, after it was said */

#endif
