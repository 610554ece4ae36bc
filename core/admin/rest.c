/* rest.c — the names that a backup has, and a comparison of a folder's files with its database (see rest.h). Owns nothing. */
#include "admin/rest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/file_io.h"

#define PAGE 256

/* --- Names. */

static bool climbs(const char *name)
{
	for (const char *p = name; *p; p += strcspn(p, "/"), p += *p == '/')
		if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
			return true;
	return false;
}

enum rest_name rest_name(const char *name, bool is_folder, uint8_t sha[WC_SHA_BYTES])
{
	size_t len;

	if (name[0] == '/')
		return REST_ABSOLUTE;
	if (climbs(name))
		return REST_CLIMBS;
	if (strncmp(name, "./", 2) == 0)
		name += 2;
	len = strlen(name);
	if (is_folder) {
		if (len && name[len - 1] == '/')
			len--;
		if (len == 0 || (len == 1 && name[0] == '.') || (len == 5 && memcmp(name, "blobs", 5) == 0) ||
		    (len == 8 && memcmp(name, "blobs/", 6) == 0 && wc_unhex(sha, 1, (struct str){ name + 6, 2 }) == 0))
			return REST_FOLDER;
		return REST_FOREIGN;
	}
	if (strcmp(name, "wavechat.db") == 0)
		return REST_DATABASE;
	if (strcmp(name, REST_BAD_FILES_NAME) == 0)
		return REST_BAD_FILES;
	if (len == 6 + 2 * WC_SHA_BYTES + 1 && !strpbrk(name, "ABCDEF") && memcmp(name, "blobs/", 6) == 0 && name[8] == '/' &&
	    wc_unhex(sha, 1, (struct str){ name + 6, 2 }) == 0 &&
	    wc_unhex(sha + 1, WC_SHA_BYTES - 1, (struct str){ name + 9, 2 * (WC_SHA_BYTES - 1) }) == 0)
		return REST_BLOB;
	return REST_FOREIGN;
}

/* --- Files against rows. */

struct row {
	uint8_t sha[WC_SHA_BYTES];
	uint64_t size;
};

struct page {
	struct row rows[PAGE];
	int count;
};

static int take_row(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size)
{
	struct page *p = arg;

	memcpy(p->rows[p->count].sha, sha, WC_SHA_BYTES);
	p->rows[p->count++].size = size;
	return 0;
}

static bool on_hashed(void *arg, size_t bytes)
{
	struct rest_look *look = arg;

	look->bytes += bytes;
	return !look->moved || look->moved(look->arg, look->bytes);
}

/* 0: the bytes are those of its name; 1: they are not; -1: errno; -2: it was ended. */
static int compare_bytes(int fd, const uint8_t sha[WC_SHA_BYTES], struct rest_look *look)
{
	uint8_t sum[WC_SHA_BYTES];
	uint64_t size;
	int rc = file_hash(fd, UINT64_MAX, on_hashed, look, &size, sum);

	if (rc)
		return rc == -WC_ECLOSED ? -2 : -1;
	return memcmp(sum, sha, WC_SHA_BYTES) != 0;
}

/* a query whose result is empty if all is well. False: it was ended. */
static bool look_at(int blobs_fd, int lost_fd, const struct row *row, struct rest_look *look, char what[REST_WHAT_BYTES])
{
	char path[2 * WC_SHA_BYTES + 2];
	struct stat st;
	int fd, result = 0;

	wc_hex(path, row->sha, 1);
	path[2] = '/';
	wc_hex(path + 3, row->sha + 1, WC_SHA_BYTES - 1);
	what[0] = '\0';
	fd = blobs_fd >= 0 ? openat(blobs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	if (fd < 0 && lost_fd >= 0 && (blobs_fd < 0 || errno == ENOENT)) { /* from there the server fetches it back */
		wc_hex(path, row->sha, WC_SHA_BYTES);
		fd = openat(lost_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	}
	if (fd < 0 && (blobs_fd < 0 || errno == ENOENT)) {
		snprintf(what, REST_WHAT_BYTES, "missing");
		return true;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		snprintf(what, REST_WHAT_BYTES, "cannot be read: %s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		snprintf(what, REST_WHAT_BYTES, "no regular file");
	else if ((uint64_t)st.st_size != row->size)
		snprintf(what, REST_WHAT_BYTES, "%llu bytes of %llu", (unsigned long long)st.st_size, (unsigned long long)row->size);
	else if (look->hashes)
		result = compare_bytes(fd, row->sha, look);
	if (result == 1)
		snprintf(what, REST_WHAT_BYTES, "rotten: its bytes are not those that were stored");
	else if (result == -1)
		snprintf(what, REST_WHAT_BYTES, "cannot be read: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return result != -2;
}

static int look_at_rows(int blobs_fd, int lost_fd, struct store_verify *v, struct rest_look *look, char **cause)
{
	struct page *p = xcalloc(1, sizeof(*p));
	char what[REST_WHAT_BYTES];
	int rc, result = 0;

	do {
		uint8_t after[WC_SHA_BYTES];
		const bool is_first = p->count == 0;

		if (!is_first)
			memcpy(after, p->rows[p->count - 1].sha, WC_SHA_BYTES);
		p->count = 0;
		rc = store_verify_blobs(v, is_first ? NULL : after, PAGE, take_row, p);
		if (rc < 0) {
			wc_cause(cause, "the database cannot be read: %s", store_verify_error(v));
			result = -WC_ESTORAGE;
		}
		for (int i = 0; i < p->count && result == 0; i++) {
			if (!look_at(blobs_fd, lost_fd, &p->rows[i], look, what)) {
				result = -WC_ECLOSED;
				break;
			}
			look->files++;
			/* In a folder whose server runs it may have been deleted meanwhile. */
			if (!what[0] || store_verify_has_blob(v, p->rows[i].sha) == 0)
				continue;
			look->bad_files++;
			if (look->bad)
				look->bad(look->arg, p->rows[i].sha, what);
		}
		if (result == 0 && look->moved && !look->moved(look->arg, look->bytes))
			result = -WC_ECLOSED;
	} while (result == 0 && p->count == PAGE);
	free(p);
	return result;
}

/* --- Files without a row. */

static DIR *open_folder(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int look_at_shelf(DIR *shelf, uint8_t first, struct store_verify *v, struct rest_look *look)
{
	uint8_t sha[WC_SHA_BYTES] = { first };
	struct dirent *e;
	struct stat st;

	while ((errno = 0, e = readdir(shelf))) {
		int has;

		if (is_dots(e->d_name))
			continue;
		if (wc_unhex(sha + 1, WC_SHA_BYTES - 1, (struct str){ e->d_name, strlen(e->d_name) }) != 0 ||
		    fstatat(dirfd(shelf), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) {
			look->odd++;
			continue;
		}
		has = store_verify_explains(v, sha);
		if (has < 0)
			return -WC_ESTORAGE;
		if (has)
			continue;
		look->strays++;
		look->stray_bytes += (uint64_t)st.st_size;
		if (look->stray)
			look->stray(look->arg, sha, (uint64_t)st.st_size);
	}
	return errno ? -WC_ESTORAGE : 0;
}

static int look_at_folders(int blobs_fd, struct store_verify *v, struct rest_look *look, char **cause)
{
	DIR *outer = open_folder(blobs_fd, "."), *inner = NULL;
	struct dirent *e;
	uint8_t first;
	int rc = outer ? 0 : -WC_ESTORAGE;

	while (rc == 0 && (errno = 0, e = readdir(outer))) {
		if (is_dots(e->d_name))
			continue;
		if (wc_unhex(&first, 1, (struct str){ e->d_name, strlen(e->d_name) }) != 0) {
			look->odd++;
			continue;
		}
		inner = open_folder(blobs_fd, e->d_name);
		if (!inner && (errno == ENOTDIR || errno == ELOOP)) {
			look->odd++;
			continue;
		}
		rc = inner ? look_at_shelf(inner, first, v, look) : -WC_ESTORAGE;
		if (rc < 0)
			wc_cause(cause, "blobs/%s cannot be read: %s", e->d_name, strerror(errno));
		if (inner)
			closedir(inner);
	}
	if (!outer)
		wc_cause(cause, "blobs/ cannot be read: %s", strerror(errno));
	if (outer)
		closedir(outer);
	return rc;
}

int rest_look(const char *dir, struct store_verify *v, struct rest_look *look, char **cause)
{
	char *path = NULL;
	int blobs_fd, lost_fd, rc;

	if (asprintf(&path, "%s/lost", dir) < 0)
		abort();
	lost_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(path);
	if (asprintf(&path, "%s/blobs", dir) < 0)
		abort();
	blobs_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (blobs_fd < 0 && errno != ENOENT) {
		wc_cause(cause, "%s cannot be read: %s", path, strerror(errno));
		rc = -WC_ESTORAGE;
	} else {
		rc = look_at_rows(blobs_fd, lost_fd, v, look, cause);
		if (rc == 0 && blobs_fd >= 0)
			rc = look_at_folders(blobs_fd, v, look, cause);
	}
	if (blobs_fd >= 0)
		close(blobs_fd);
	if (lost_fd >= 0)
		close(lost_fd);
	free(path);
	return rc;
}
