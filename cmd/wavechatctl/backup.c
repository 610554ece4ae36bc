/* backup.c — the verb backup: one tar (ustar) of the database and every blob that it refers to.
 *
 * Everything is checked on its way: the database by the server's quick_check and its SHA-256, each blob by the hash that is its name. A
 * missing or rotten blob is left out and named; the rest is still saved. The file gets its name last, when it is written and synced, so
 * that half a backup never looks like a whole one. The server ends the backup when this process is gone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/rest.h"
#include "archive.h"
#include "bad.h"

#define LOOK_MS 100
/* A blob up to this size goes into a pipe only once all of it has come and was found good. A larger one that is not is named behind it. */
#define HELD_BYTES (16 << 20)
#define KEEP_MAX 10000

struct backup {
	struct ctl *c;
	struct archive a;
	struct bad_files bad;
	uint64_t files; /* good ones */
	EVP_MD_CTX *md;
	/* the entry being written */
	uint64_t want, have;
	uint8_t *held; /* HELD_BYTES, for a pipe; else NULL */
	const char *name;
};

/* --- Progress, on a terminal */

static void progress(const char *what, uint64_t done, uint64_t total)
{
	char a[TIME_TEXT], b[TIME_TEXT];

	if (!is_terminal(stderr))
		return;
	fprintf(stderr, "\r\033[K%s %s", what, bytes_text(a, done));
	if (total)
		fprintf(stderr, " of %s", bytes_text(b, total));
}

static void progress_end(void)
{
	if (is_terminal(stderr))
		fputs("\r\033[K", stderr);
}

/* --- Entries */

static bool is_held(const struct backup *b)
{
	return b->held && b->want <= HELD_BYTES;
}

/* False: not these bytes, for their length says that they are not what they should be. */
static bool on_begin(void *arg, uint64_t length)
{
	struct backup *b = arg;

	b->have = 0;
	EVP_DigestInit_ex(b->md, EVP_sha256(), NULL);
	if (length != b->want)
		return false;
	if (!is_held(b))
		archive_header(&b->a, b->name, b->want, false);
	return true;
}

static int on_bytes(void *arg, const void *data, size_t n)
{
	struct backup *b = arg;

	client_beat(b->c);
	EVP_DigestUpdate(b->md, data, n);
	if (is_held(b))
		memcpy(b->held + b->have, data, n);
	else
		archive_write(&b->a, data, n);
	b->have += n;
	return b->a.failed || is_stopped();
}

static bool has_hash(struct backup *b, const char *sha)
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	char hex[65];

	EVP_DigestFinal_ex(b->md, sum, NULL);
	wc_hex(hex, sum, 32);
	return strcmp(hex, sha) == 0;
}

static int put_database(struct backup *b, uint64_t size, const char *sha)
{
	struct fetch f = { .begin = on_begin, .sink = on_bytes, .arg = b };
	uint8_t *held = b->held;
	int code;

	b->held = NULL; /* it was checked, and nothing can be said without it */
	b->name = "wavechat.db";
	b->want = size;
	code = api_fetch(b->c, "/v1/backup/database", &f);
	b->held = held;
	if (b->a.failed)
		return archive_complain(&b->a);
	if (code)
		return code;
	if (f.status != 200 || f.is_short || f.length != size || !has_hash(b, sha))
		return complain(EXIT_REFUSED, "the copy of the database is not what it should be: the server's disk is failing");
	archive_pad(&b->a);
	return 0;
}

/* A blob, or why it is none. */
static int put_blob(struct backup *b, const char *sha, uint64_t size)
{
	const uint64_t at = b->a.bytes;
	struct fetch f = { .begin = on_begin, .sink = on_bytes, .arg = b };
	char name[128], path[128], what[128] = "";
	int code;

	snprintf(name, sizeof(name), "blobs/%.2s/%s", sha, sha + 2);
	snprintf(path, sizeof(path), "/v1/backup/blob?sha=%s", sha);
	b->name = name;
	b->want = size;
	code = api_fetch(b->c, path, &f);
	if (code || b->a.failed || is_stopped())
		return b->a.failed ? archive_complain(&b->a) : code ? code : EXIT_REFUSED;
	if (f.status == 404)
		snprintf(what, sizeof(what), "missing");
	else if (f.status != 200)
		snprintf(what, sizeof(what), "cannot be read: the server's log says why");
	else if (f.length != size)
		snprintf(what, sizeof(what), "%llu bytes of %llu", (unsigned long long)f.length, (unsigned long long)size);
	else if (f.is_short)
		snprintf(what, sizeof(what), "cannot be read beyond %llu of %llu bytes", (unsigned long long)b->have,
		         (unsigned long long)size);
	else if (!has_hash(b, sha))
		snprintf(what, sizeof(what), "rotten: its bytes are not those that were stored");
	if (!*what && is_held(b)) {
		archive_header(&b->a, name, size, false);
		archive_write(&b->a, b->held, (size_t)size);
	} else if (*what && !is_held(b) && f.status == 200 && f.length == size) { /* it went out already */
		if (b->a.is_pipe)
			archive_zeros(&b->a, size - b->have);
		else
			archive_cut(&b->a, at);
	}
	archive_pad(&b->a);
	if (*what)
		bad_add(&b->bad, sha, what);
	else
		b->files++;
	return b->a.failed ? archive_complain(&b->a) : 0;
}

/* A list for the person who restores: missing and damaged files. */
static void put_list_of_bad(struct backup *b)
{
	struct buf text;

	if (!b->bad.count)
		return;
	buf_init(&text, SIZE_MAX);
	for (size_t i = 0; i < b->bad.count; i++)
		buf_printf(&text, "%s %s\n", b->bad.v[i].sha, b->bad.v[i].what);
	archive_header(&b->a, REST_BAD_FILES_NAME, text.len, false);
	archive_write(&b->a, text.p, text.len);
	archive_pad(&b->a);
	buf_fini(&text);
}

/* --- The parts */

static int wait_copy(struct ctl *c, uint64_t *size, char sha[65])
{
	for (;;) {
		struct json_object *o;
		const char *state;
		int code = api_get(c, "/v1/backup", &o);

		if (code)
			return code;
		client_beat(c);
		state = jstr(o, "state");
		progress("database", (uint64_t)jint(o, "done"), (uint64_t)jint(o, "total"));
		if (strcmp(state, "ready") == 0) {
			*size = (uint64_t)jint(o, "size");
			snprintf(sha, 65, "%s", jstr(o, "sha256"));
		} else if (strcmp(state, "failed") == 0) {
			progress_end();
			code = complain(EXIT_REFUSED, "%s", jstr(o, "cause"));
		}
		if (code || strcmp(state, "copying") != 0) {
			json_object_put(o);
			return code;
		}
		json_object_put(o);
		if (is_stopped())
			return EXIT_REFUSED;
		usleep(LOOK_MS * 1000);
	}
}

static int put_blobs(struct backup *b)
{
	char after[65] = "", folder[16] = "";
	bool more = true;

	while (more) {
		struct json_object *o, *list;
		char path[128];
		int code;

		snprintf(path, sizeof(path), "/v1/backup/blobs%s%s", *after ? "?after=" : "", after);
		code = api_get(b->c, path, &o);
		if (code)
			return code;
		list = jarray(o, "blobs");
		more = jbool(o, "more");
		if (more && json_object_array_length(list) == 0) {
			json_object_put(o);
			return complain_endless();
		}
		for (size_t i = 0; i < json_object_array_length(list) && code == 0; i++) {
			struct json_object *row = json_object_array_get_idx(list, i);
			char name[128];

			snprintf(after, sizeof(after), "%s", jstr(row, "sha"));
			if (strlen(after) != 64 || after[strspn(after, "0123456789abcdef")]) {
				code = complain(EXIT_REFUSED, "the server's answer makes no sense: is it of another version?");
				break;
			}
			snprintf(name, sizeof(name), "blobs/%.2s/", after);
			if (strcmp(name, folder) != 0)
				archive_header(&b->a, name, 0, true);
			snprintf(folder, sizeof(folder), "%.15s", name);
			code = put_blob(b, after, (uint64_t)jint(row, "size"));
			progress("files, written:", b->a.bytes, 0);
		}
		json_object_put(o);
		if (code)
			return code;
	}
	return 0;
}

static int write_archive(struct backup *b)
{
	uint64_t size = 0;
	char sha[65];
	int code = wait_copy(b->c, &size, sha);

	if (code == 0)
		code = put_database(b, size, sha);
	if (code == 0) {
		archive_header(&b->a, "blobs/", 0, true);
		code = put_blobs(b);
	}
	if (code == 0) {
		put_list_of_bad(b);
		archive_end(&b->a);
	}
	if (code == 0 && b->a.failed)
		code = archive_complain(&b->a);
	return code;
}

/* From the beginning to the end on the server's side. */
static int take(struct backup *b)
{
	int code = client_hold(b->c, "/v1/backup/hold"), ended;

	if (code)
		return code;
	b->md = EVP_MD_CTX_new();
	b->held = b->a.is_pipe ? xmalloc(HELD_BYTES) : NULL;
	code = write_archive(b);
	progress_end();
	code = code ? code : is_stopped() ? EXIT_REFUSED : 0;
	if (code == 0)
		bad_name_live(&b->bad, b->c);
	hush(code != 0); /* why it failed was said; the server may be the reason */
	ended = api_post(b->c, "/v1/backup/end", NULL, NULL);
	hush(false);
	client_release(b->c);
	EVP_MD_CTX_free(b->md);
	free(b->held);
	return code ? code : ended;
}

/* --- The file, and what is said */

/* A new name is only safe when its directory is. */
static void sync_dir(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, (size_t)WC_MAX(slash - path, 1)) : xstrdup(".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(dir);
}

/* 0, or EXIT_REFUSED for a backup that is good but lacks files. */
static int say_it(const struct backup *b, const char *file)
{
	FILE *f = file ? stdout : stderr; /* NULL: the backup itself is on standard output */
	char size[TIME_TEXT];

	bad_print(&b->bad);
	if (b->c->json) {
		struct json_object *bad = bad_json(&b->bad);

		fprintf(f, "{\"bytes\":%llu,\"files\":%llu,\"bad\":%s", (unsigned long long)b->a.bytes, (unsigned long long)b->files,
		        json_object_to_json_string_ext(bad, JSON_C_TO_STRING_PLAIN));
		if (file) {
			struct json_object *name = json_object_new_string(file);

			fprintf(f, ",\"file\":%s", json_object_to_json_string_ext(name, JSON_C_TO_STRING_PLAIN));
			json_object_put(name);
		}
		fputs("}\n", f);
		json_object_put(bad);
	} else {
		fprintf(f,
		        "backed up: %s, the database checked and %llu files compared with their hashes\nto restore: wavechatctl restore ",
		        bytes_text(size, b->a.bytes), (unsigned long long)b->files);
		print_safe(f, file ? file : "-");
		fputs(" DIR\n", f);
	}
	if (!b->bad.count)
		return 0;
	return complain(EXIT_REFUSED,
	                "%zu of %llu files are bad and were left out; all else is in the backup. wavechatctl verify looks at them again",
	                b->bad.count, (unsigned long long)(b->files + b->bad.count));
}

/* Another backup may have been finished, and got its name, between our opening of its file and our lock on it. */
static bool is_still_named(int fd, const char *part)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 && lstat(part, &named) == 0 && opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static int to_file(struct backup *b, const char *file, const char *part)
{
	int code;

	/* It holds private talk: nobody else's to read. */
	b->a.fd = open(part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (b->a.fd < 0)
		return complain(EXIT_REFUSED, "cannot write %s: %s", part, strerror(errno));
	if (flock(b->a.fd, LOCK_EX | LOCK_NB) < 0 || !is_still_named(b->a.fd, part)) {
		close(b->a.fd);
		return complain(EXIT_REFUSED, "%s is being written by another backup", part);
	}
	if (ftruncate(b->a.fd, 0) < 0 || fchmod(b->a.fd, 0600) < 0)
		code = complain(EXIT_REFUSED, "cannot write %s: %s", part, strerror(errno));
	else
		code = take(b);
	if (code == 0 && rename(part, file) != 0)
		code = complain(EXIT_REFUSED, "cannot rename %s: %s", part, strerror(errno));
	if (code == 0)
		sync_dir(file);
	else
		(void)unlink(part);
	close(b->a.fd);
	return code;
}

/* --- One of many, in a folder */

#define STAMP "wavechat-YYYYMMDD-HHMMSS.tar"

static bool is_our_name(const char *name)
{
	const char *form = STAMP;

	for (; *form; form++, name++)
		if (*form >= 'A' && *form <= 'Z' ? *name < '0' || *name > '9' : *name != *form)
			return false;
	return *name == '\0';
}

static int is_backup(const struct dirent *e)
{
	return is_our_name(e->d_name);
}

/* The oldest by name beyond `keep`, and never the one just made, whatever the clock has done since. */
static void remove_old(const char *dir, const char *made, long keep)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, is_backup, alphasort), fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), files = 0;

	for (int i = 0; i < n; i++) {
		struct stat st;

		if (fd >= 0 && strcmp(names[i]->d_name, made) != 0 && fstatat(fd, names[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			names[files++] = names[i];
		else
			free(names[i]);
	}
	for (int i = 0; i < files; i++) {
		if (files - i > keep - 1 && unlinkat(fd, names[i]->d_name, 0) < 0)
			complain(0, "cannot remove %s/%s: %s", dir, names[i]->d_name, strerror(errno));
		free(names[i]);
	}
	free(names);
	if (fd >= 0)
		close(fd);
}

static char *name_by_time(const char *dir, char stamp[sizeof(STAMP)])
{
	time_t now = time(NULL);
	char *file = NULL;
	struct tm tm;

	do {
		free(file);
		gmtime_r(&now, &tm);
		strftime(stamp, sizeof(STAMP), "wavechat-%Y%m%d-%H%M%S.tar", &tm);
		if (asprintf(&file, "%s/%s", dir, stamp) < 0)
			abort();
		now++;
	} while (access(file, F_OK) == 0);
	return file;
}

static int backup_to_folder(struct backup *b, const char *dir, long keep)
{
	char stamp[sizeof(STAMP)], *file, *part = NULL;
	struct stat st;
	int code;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return complain(EXIT_REFUSED, "cannot make %s: %s", dir, strerror(errno));
	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return complain(EXIT_USAGE, "backup: --keep wants a folder, and %s is none", dir);
	file = name_by_time(dir, stamp);
	/* One name, whatever the time: what a power cut leaves is written over by the next. */
	if (asprintf(&part, "%s/wavechat.tar.part", dir) < 0)
		abort();
	code = to_file(b, file, part);
	if (code == 0)
		code = say_it(b, file);
	if (code == 0)
		remove_old(dir, stamp, keep);
	free(part);
	free(file);
	return code;
}

static int backup_to_pipe(struct backup *b)
{
	int code;

	if (isatty(STDOUT_FILENO))
		return complain(EXIT_USAGE, "backup: standard output is a terminal: send it into a file or a program");
	b->a.fd = STDOUT_FILENO;
	b->a.is_pipe = true;
	signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error to be told, not an end without a word */
	code = take(b);
	return code ? code : say_it(b, NULL);
}

static int backup_to_file(struct backup *b, const char *file)
{
	char *part = NULL;
	struct stat st;
	int code;

	if (lstat(file, &st) == 0 && !S_ISREG(st.st_mode))
		return complain(EXIT_REFUSED, "%s is no regular file: a backup is renamed into its place, so name another%s", file,
		                S_ISDIR(st.st_mode) ? ", or add --keep N for one of many in that folder" : "");
	if (access(file, F_OK) == 0 && !option(b->c, "force"))
		return complain(EXIT_REFUSED, "%s is there already: name another file, or add --force", file);
	if (asprintf(&part, "%s.part", file) < 0)
		abort();
	code = to_file(b, file, part);
	free(part);
	return code ? code : say_it(b, file);
}

int run_backup(struct ctl *c)
{
	const char *file = c->operands[0], *keep = option(c, "keep");
	struct backup b = { .c = c, .a = { .c = c, .fd = -1 } };
	char *end = NULL;
	long n = keep ? strtol(keep, &end, 10) : 0;
	int code;

	c->is_long = true;
	if (keep && (!*keep || *end || n < 1 || n > KEEP_MAX))
		return complain(EXIT_USAGE, "backup: --keep %s: a number from 1 to %d", keep, KEEP_MAX);
	if (keep && strcmp(file, "-") == 0)
		return complain(EXIT_USAGE, "backup: --keep wants a folder, and - is standard output");
	code = client_connect(c);
	if (code)
		return code;
	catch_signals();
	if (strcmp(file, "-") == 0)
		code = backup_to_pipe(&b);
	else
		code = keep ? backup_to_folder(&b, file, n) : backup_to_file(&b, file);
	client_release(c);
	bad_fini(&b.bad);
	if (code)
		end_stopped();
	return code;
}
