/* plainfile.h — a look at a file's kind before it is read: at a pipe that nobody writes to a reader would wait for ever.
 *
 * For files that are named by an admin and read again while the server runs. Any thread. */
#ifndef WC_PLAINFILE_H
#define WC_PLAINFILE_H

#include "base/wc.h"

/* True: a regular file, or one of which the reader will say best what is wrong; also a descriptor that this process was started with, such
 * as /dev/fd/63, which a shell's <(…) gives and writes to. False: a folder, a pipe, a device; *what says which, static. Never waits. */
bool file_is_plain(const char *path, const char **what);

#endif
