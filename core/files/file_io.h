/* file_io.h — small steps on open files and folders: whole writes, hashes, names. Keeps nothing. Thread: any that may wait for a disk. */
#ifndef WC_FILE_IO_H
#define WC_FILE_IO_H

#include <dirent.h>
#include <sys/stat.h>

#include "wire/msg.h"

int file_write_all(int fd, const void *data, size_t n, uint64_t offset) WC_MUSTCHECK; /* -1 with errno: not all of it was written */
/* SHA-256 of the first `most` bytes of a file, or of all if it has fewer; *size says how many were read. moved (may be NULL) is told of
 * each piece and ends it by returning false. 0, -WC_ECLOSED (ended), -WC_EIO with errno, -WC_ENOMEM. */
typedef bool (*file_moved_fn)(void *arg, size_t bytes);
int file_hash(int fd, uint64_t most, file_moved_fn moved, void *arg, uint64_t *size, uint8_t sha[WC_SHA_BYTES]) WC_MUSTCHECK;
int file_sync_dir(int dir_fd, const char *name) WC_MUSTCHECK; /* -1 with errno */
DIR *file_open_dir(int dir_fd, const char *name);             /* not through a symbolic link; NULL and errno */

#define FILE_TMP_BYTES (2 * 15 + 1)
void file_tmp_name(char out[FILE_TMP_BYTES]); /* random, in hex, terminated */
int64_t file_mtime_ms(const struct stat *st); /* Unix, by the machine's clock: steady_file_cut_ms says what is old */
int file_failed(const char *step);            /* logs errno; returns -WC_ESTORAGE */

#endif
