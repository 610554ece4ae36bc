/* unpack.c — a reader of backups, from the first byte to the last (see unpack.h): the tar, the database, every blob by its hash and row.
 *
 * Trusts nothing: only names of a backup's three forms become paths, and paths are made of hashes, not of names. Owns the files that it
 * makes in the folder that it is given. */
#include "unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/rest.h"
#include "files/tar.h"

#define PIECE_BYTES (256 * 1024)
#define LIST_BYTES (64 << 20) /* of BAD-FILES: half a million lines */
#define DATABASE "wavechat.db"

struct blob {
	uint8_t sha[WC_SHA_BYTES];
	uint64_t size;
	bool is_rotten, is_wanted;
};

struct unpack_state {
	struct tar_reader tar;
	int in;
	const char *name; /* of the archive, for people */
	bool has_database;
	struct blob *blobs;
	size_t count, room;
	uint8_t piece[PIECE_BYTES];
	int64_t shown_ms;
};

static ssize_t read_in(void *arg, void *to, size_t n)
{
	const struct unpack_state *s = arg;

	return read(s->in, to, n);
}

static void show(struct unpack_state *s)
{
	char size[TIME_TEXT];

	if (!is_terminal(stderr) || mono_ms() - s->shown_ms < 200)
		return;
	s->shown_ms = mono_ms();
	fprintf(stderr, "\r\033[Kread and checked: %s", bytes_text(size, s->tar.at));
}

/* Keeps errno, which the next line may be about. */
static void show_end(void)
{
	const int error = errno;

	if (is_terminal(stderr))
		fputs("\r\033[K", stderr);
	errno = error;
}

static int refuse_read(const struct unpack_state *s)
{
	show_end();
	return complain(EXIT_REFUSED, "cannot read %s: %s", s->name, strerror(errno));
}

/* The result of tar_next or tar_read. */
static int refuse_tar(const struct unpack_state *s, int rc)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd }, xz[] = { 0xfd, '7', 'z', 'X', 'Z' };
	uint8_t head[8] = { 0 };

	if (rc == -WC_EIO)
		return refuse_read(s);
	show_end();
	if (s->in != STDIN_FILENO && pread(s->in, head, sizeof(head), 0) > 0 &&
	    (memcmp(head, gzip, sizeof(gzip)) == 0 || memcmp(head, zstd, sizeof(zstd)) == 0 || memcmp(head, xz, sizeof(xz)) == 0))
		return complain(EXIT_REFUSED, "%s is compressed: unpack it into a pipe, as with zstd -dc %s | wavechatctl restore - DIR",
		                s->name, s->name);
	return complain(EXIT_REFUSED, "%s is no whole backup: %s%s", s->name, s->tar.why,
	                s->tar.is_cut_short && s->has_database ? "; --partial takes what is there" : "");
}

/* --- Making files */

static int refuse_write(const struct unpack *u, const char *name)
{
	show_end();
	return complain(EXIT_REFUSED, "cannot write %s/%s: %s", u->folder, name, strerror(errno));
}

static int make_file(const struct unpack *u, const char *name)
{
	int fd = openat(u->folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 && u->gives && fchown(fd, u->uid, u->gid) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int make_folder(const struct unpack *u, const char *name)
{
	if (mkdirat(u->folder_fd, name, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	return u->gives ? fchownat(u->folder_fd, name, u->uid, u->gid, AT_SYMLINK_NOFOLLOW) : 0;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return -1;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

/* --- Entries */

/* Before it is written: is it a database of ours at all? */
static int judge_header(const struct unpack_state *s, const uint8_t *head, size_t n)
{
	unsigned version;

	switch (store_judge_header(head, n, &version)) {
	case STORE_HEADER_NONE: return complain(EXIT_REFUSED, "%s: its " DATABASE " is no SQLite database", s->name);
	case STORE_HEADER_FOREIGN: return complain(EXIT_REFUSED, "%s: its " DATABASE " is an SQLite database of another program", s->name);
	case STORE_HEADER_NEWER:
		return complain(
			EXIT_REFUSED,
			"%s is of a newer version of WaveChat (schema %u, which wavechatctl %s does not know): use the wavechatctl of that version",
			s->name, version, wc_version());
	case STORE_HEADER_OURS: break;
	}
	return 0;
}

static int take_database(struct unpack *u)
{
	struct unpack_state *s = u->state;
	int code = 0, fd = -1;
	bool is_first = true;
	ssize_t n;

	if (s->has_database)
		return complain(EXIT_REFUSED, "%s holds " DATABASE " twice", s->name);
	while ((n = tar_read(&s->tar, s->piece, PIECE_BYTES)) > 0 && code == 0 && !is_stopped()) {
		if (is_first)
			code = judge_header(s, s->piece, (size_t)n);
		if (is_first && code == 0 && (fd = make_file(u, DATABASE)) < 0)
			code = refuse_write(u, DATABASE);
		if (code == 0 && write_all(fd, s->piece, (size_t)n) < 0)
			code = refuse_write(u, DATABASE);
		is_first = false;
		show(s);
	}
	if (fd >= 0)
		close(fd);
	if (code == 0 && n < 0)
		return refuse_tar(s, (int)n);
	if (code == 0 && is_first)
		return complain(EXIT_REFUSED, "%s: its " DATABASE " is empty", s->name);
	s->has_database = true;
	return code;
}

static int keep_blob(struct unpack *u, const uint8_t sha[WC_SHA_BYTES], char path[96], int *fd)
{
	char hex[2 * WC_SHA_BYTES + 1];

	wc_hex(hex, sha, WC_SHA_BYTES);
	snprintf(path, 96, "blobs/%.2s", hex);
	if (make_folder(u, "blobs") < 0 || make_folder(u, path) < 0)
		return refuse_write(u, path);
	snprintf(path, 96, "blobs/%.2s/%s", hex, hex + 2);
	*fd = make_file(u, path);
	if (*fd < 0 && errno == EEXIST)
		return complain(EXIT_REFUSED, "%s holds %s twice", u->state->name, path);
	return *fd < 0 ? refuse_write(u, path) : 0;
}

/* The bytes that come are hashed, and written if fd says where. *code: an exit code. Returns 0, or what tar_read said. */
static ssize_t pass_bytes(struct unpack *u, int fd, const char *path, uint8_t sum[EVP_MAX_MD_SIZE], int *code)
{
	struct unpack_state *s = u->state;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	ssize_t n;

	WC_ASSERT(md && EVP_DigestInit_ex(md, EVP_sha256(), NULL));
	*code = 0;
	while ((n = tar_read(&s->tar, s->piece, PIECE_BYTES)) > 0 && *code == 0 && !is_stopped()) {
		EVP_DigestUpdate(md, s->piece, (size_t)n);
		if (fd >= 0 && write_all(fd, s->piece, (size_t)n) < 0)
			*code = refuse_write(u, path);
		show(s);
	}
	EVP_DigestFinal_ex(md, sum, NULL);
	EVP_MD_CTX_free(md);
	return n < 0 ? n : 0;
}

static int take_blob(struct unpack *u, const uint8_t sha[WC_SHA_BYTES])
{
	struct unpack_state *s = u->state;
	const uint64_t size = s->tar.entry.size;
	uint8_t sum[EVP_MAX_MD_SIZE];
	int fd = -1, code = 0;
	char path[96] = "";
	bool is_rotten;
	ssize_t n;

	if (u->keeps_files && (code = keep_blob(u, sha, path, &fd)) != 0)
		return code;
	n = pass_bytes(u, fd, path, sum, &code);
	is_rotten = n < 0 || memcmp(sum, sha, WC_SHA_BYTES) != 0;
	if (fd >= 0) {
		close(fd);
		if (is_rotten)
			(void)unlinkat(u->folder_fd, path, 0);
	}
	if (code || is_stopped())
		return code ? code : EXIT_REFUSED;
	if (n < 0 && !(u->is_partial && s->tar.is_cut_short))
		return refuse_tar(s, (int)n);
	if (n < 0)
		return 0; /* what is not whole is not there */
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 1024;
		s->blobs = xrealloc(s->blobs, s->room * sizeof(*s->blobs));
	}
	s->blobs[s->count] = (struct blob){ .size = size, .is_rotten = is_rotten };
	memcpy(s->blobs[s->count++].sha, sha, WC_SHA_BYTES);
	return 0;
}

/* "SHA what\n" a line. */
static int take_list(struct unpack *u)
{
	struct unpack_state *s = u->state;
	struct buf text;
	ssize_t n;

	buf_init(&text, LIST_BYTES);
	while ((n = tar_read(&s->tar, s->piece, PIECE_BYTES)) > 0)
		buf_put(&text, s->piece, (size_t)n);
	buf_putc(&text, '\0');
	if (n < 0 || text.failed) {
		buf_fini(&text);
		return n < 0 ? refuse_tar(s, (int)n) : complain(EXIT_REFUSED, "%s: its list of bad files is too long", s->name);
	}
	for (char *line = text.p, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (end - line > 65 && line[64] == ' ' && strspn(line, "0123456789abcdef") == 64) {
			line[64] = '\0';
			bad_add(&u->listed, line, line + 65);
		}
	}
	buf_fini(&text);
	return 0;
}

static int take_entry(struct unpack *u)
{
	struct unpack_state *s = u->state;
	uint8_t sha[WC_SHA_BYTES];
	const char *name = s->tar.entry.name;

	switch (rest_name(name, s->tar.entry.is_folder, sha)) {
	case REST_DATABASE: return take_database(u);
	case REST_BLOB: return take_blob(u, sha);
	case REST_BAD_FILES: return take_list(u);
	case REST_FOLDER: return 0;
	case REST_ABSOLUTE: return complain(EXIT_REFUSED, "%s is no backup of WaveChat: it holds \"%s\", an absolute path", s->name, name);
	case REST_CLIMBS:
		return complain(EXIT_REFUSED, "%s is no backup of WaveChat: it holds \"%s\", a path that climbs out of the folder", s->name,
		                name);
	case REST_FOREIGN: break;
	}
	return complain(EXIT_REFUSED, "%s is no backup of WaveChat: it holds \"%s\"", s->name, name);
}

static int read_archive(struct unpack *u)
{
	struct unpack_state *s = u->state;
	int rc = 0, code = 0;

	while (code == 0 && !is_stopped() && (rc = tar_next(&s->tar)) > 0)
		code = take_entry(u);
	show_end();
	if (code || is_stopped())
		return code ? code : EXIT_REFUSED;
	if (rc < 0 && u->is_partial && s->has_database && s->tar.is_cut_short)
		u->is_cut_short = true;
	else if (rc < 0)
		return refuse_tar(s, rc);
	if (!s->has_database)
		return complain(EXIT_REFUSED, "%s is no backup of WaveChat: it holds no " DATABASE, s->name);
	u->bytes = s->tar.at;
	return 0;
}

/* --- Against the database */

static int compare_blobs(const void *a, const void *b)
{
	return memcmp(((const struct blob *)a)->sha, ((const struct blob *)b)->sha, WC_SHA_BYTES);
}

static int on_row(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size)
{
	struct unpack *u = arg;
	struct unpack_state *s = u->state;
	struct blob wanted = { .size = 0 }, *found;
	char hex[2 * WC_SHA_BYTES + 1], what[96];

	memcpy(wanted.sha, sha, WC_SHA_BYTES);
	wc_hex(hex, sha, WC_SHA_BYTES);
	found = s->count ? bsearch(&wanted, s->blobs, s->count, sizeof(*s->blobs), compare_blobs) : NULL;
	if (!found) {
		bad_add(&u->bad, hex, "missing");
		return 0;
	}
	found->is_wanted = true;
	if (found->size != size) {
		snprintf(what, sizeof(what), "%llu bytes of %llu", (unsigned long long)found->size, (unsigned long long)size);
		bad_add(&u->bad, hex, what);
	} else if (found->is_rotten) {
		bad_add(&u->bad, hex, "rotten: its bytes are not those that were stored");
	} else {
		u->files++;
	}
	return 0;
}

static int compare_rows(struct unpack *u, struct store_verify *v)
{
	struct unpack_state *s = u->state;

	if (s->count)
		qsort(s->blobs, s->count, sizeof(*s->blobs), compare_blobs);
	for (size_t i = 1; i < s->count; i++)
		if (compare_blobs(&s->blobs[i - 1], &s->blobs[i]) == 0)
			return complain(EXIT_REFUSED, "%s holds a file twice", s->name);
	if (store_verify_blobs(v, NULL, INT32_MAX, on_row, u) < 0 || store_verify_totals(v, &u->totals) < 0)
		return complain(EXIT_REFUSED, "%s: its database cannot be read: %s", s->name, store_verify_error(v));
	for (size_t i = 0; i < s->count; i++) {
		u->strays += !s->blobs[i].is_wanted;
		if (!s->blobs[i].is_wanted && s->blobs[i].is_rotten) {
			char hex[2 * WC_SHA_BYTES + 1];

			wc_hex(hex, s->blobs[i].sha, WC_SHA_BYTES);
			bad_add(&u->bad, hex, "rotten: its bytes are not those that were stored");
		}
	}
	bad_name_rest(&u->bad, v);
	return 0;
}

static void on_fault(void *arg, struct str fault)
{
	char **first = arg;

	if (!*first && asprintf(first, "%.*s", (int)WC_MIN(fault.len, (size_t)300), fault.p) < 0)
		abort();
	for (char *p = *first; *p; p++)
		if (*p == '\n')
			*p = ' ';
}

static bool goes_on(void *unused)
{
	(void)unused;
	return !is_stopped();
}

static int check_database(struct unpack *u)
{
	struct unpack_state *s = u->state;
	struct store_verify *v = NULL;
	char *cause = NULL, *fault = NULL;
	int code = 0, rc = store_verify_rest(u->folder, &v, &cause);

	if (rc < 0)
		code = complain(EXIT_REFUSED, "%s: its database is damaged: it cannot be opened", s->name);
	else
		rc = store_verify_database(v, goes_on, on_fault, &fault);
	if (code == 0 && rc == -WC_ECLOSED)
		code = EXIT_REFUSED;
	else if (code == 0 && rc != 0)
		code = complain(EXIT_REFUSED, "%s: its database is damaged: %s", s->name, fault ? fault : store_verify_error(v));
	if (code == 0)
		code = compare_rows(u, v);
	store_verify_close(v);
	free(fault);
	free(cause);
	return code;
}

/* Files are bad: is that borne? */
static int judge_bad(struct unpack *u)
{
	size_t unknown = 0;

	for (size_t i = 0; i < u->bad.count; i++) {
		struct bad_file *f = &u->bad.v[i];
		const char *why = bad_why(&u->listed, f->sha);

		unknown += !why;
		if (why)
			snprintf(f->what, sizeof(f->what), "not in the backup, for it was bad then: %.80s", why);
	}
	if (!unknown || u->is_partial)
		return 0;
	bad_print(&u->bad);
	return complain(EXIT_REFUSED, "%s is damaged: %zu of its files are missing or rotten; --partial takes the rest", u->state->name,
	                unknown);
}

int unpack(struct unpack *u)
{
	struct unpack_state *s = u->state = xcalloc(1, sizeof(*s));
	const bool is_pipe = strcmp(u->file, "-") == 0;
	struct stat st;
	int code;

	s->name = is_pipe ? "standard input" : u->file;
	s->tar = (struct tar_reader){ .read = read_in, .arg = s };
	s->in = is_pipe ? STDIN_FILENO : open(u->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (s->in < 0 || fstat(s->in, &st) < 0)
		return refuse_read(s);
	if (is_pipe && isatty(STDIN_FILENO))
		return complain(EXIT_USAGE, "standard input is a terminal: send a backup into it");
	if (S_ISDIR(st.st_mode))
		return complain(EXIT_REFUSED, "%s is a folder: name a file made by wavechatctl backup", s->name);
	code = read_archive(u);
	if (code == 0)
		code = check_database(u);
	if (code == 0)
		code = judge_bad(u);
	return code;
}

void unpack_fini(struct unpack *u)
{
	if (u->state) {
		if (u->state->in > STDIN_FILENO)
			close(u->state->in);
		free(u->state->blobs);
		free(u->state);
	}
	bad_fini(&u->bad);
	bad_fini(&u->listed);
}

/* --- Away with it */

static void empty_folder(int fd, int depth)
{
	DIR *d = depth ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d) {
		close(fd);
		return;
	}
	while ((e = readdir(d))) {
		int inner;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, e->d_name, 0) == 0)
			continue;
		inner = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (inner >= 0)
			empty_folder(inner, depth - 1);
		(void)unlinkat(fd, e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
}

void remove_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0)
		empty_folder(fd, 4);
	(void)rmdir(path);
}
