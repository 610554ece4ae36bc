/* backup.c — one file from which a data directory can be made again: a tar (ustar) of the database and every blob it refers to.
 *
 * What goes into it is checked as it passes: the database by the server's quick_check and its SHA-256, each blob by the hash that is its name. It
 * is written beside FILE, synced, and only then gets its name, so that no half of a backup is ever taken for one. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"

#define BLOCK 512
#define LOOK_MS 100

static volatile sig_atomic_t stopped_by; /* a signal; at the second one of its kind this ends at once */

static void on_signal(int sig)
{
	stopped_by = sig;
}

struct archive {
	int fd;
	uint64_t bytes;
	uint64_t left;    /* of the entry being written */
	EVP_MD_CTX *md;   /* of that entry */
	bool failed;
	int error;
};

static void write_all(struct archive *a, const void *data, size_t n)
{
	const char *p = data;

	while (n && !a->failed) {
		ssize_t done = write(a->fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			a->failed = true;
			a->error = errno;
			return;
		}
		p += done;
		n -= (size_t)done;
		a->bytes += (uint64_t)done;
	}
}

/* ustar has eleven octal digits for a size; a larger one is binary, as GNU tar and libarchive have it. */
static void put_size(uint8_t field[12], uint64_t size)
{
	if (size < 1ull << 33) {
		char digits[16];

		snprintf(digits, sizeof(digits), "%011llo", (unsigned long long)size);
		memcpy(field, digits, 12);
		return;
	}
	memset(field, 0, 12);
	field[0] = 0x80;
	for (int i = 11; i > 3; i--, size >>= 8)
		field[i] = (uint8_t)size;
}

static void put_header(struct archive *a, const char *name, uint64_t size, char type)
{
	uint8_t h[BLOCK] = { 0 };
	unsigned sum = 0;
	char digits[16];

	snprintf((char *)h, 100, "%s", name);
	memcpy(h + 100, type == '5' ? "0000700" : "0000600", 8);
	memcpy(h + 108, "0000000", 8);
	memcpy(h + 116, "0000000", 8);
	put_size(h + 124, size);
	snprintf(digits, sizeof(digits), "%011llo", (unsigned long long)(real_ms() / 1000));
	memcpy(h + 136, digits, 12);
	h[156] = (uint8_t)type;
	memcpy(h + 257, "ustar\00000", 8);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += h[i];
	snprintf(digits, sizeof(digits), "%06o", sum);
	memcpy(h + 148, digits, 7);
	write_all(a, h, BLOCK);
}

static void pad(struct archive *a)
{
	static const uint8_t zeros[BLOCK];

	if (a->bytes % BLOCK)
		write_all(a, zeros, BLOCK - a->bytes % BLOCK);
}

static int sink(void *arg, const void *data, size_t n)
{
	struct archive *a = arg;

	if (n > a->left)
		return 1;
	a->left -= n;
	EVP_DigestUpdate(a->md, data, n);
	write_all(a, data, n);
	return a->failed || stopped_by;
}

/* One entry from the server, with the hash it must have. */
static int put_entry(struct ctl *c, struct archive *a, const char *name, uint64_t size, const char *path, const char *sha)
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	char hex[65];
	int code;

	put_header(a, name, size, '0');
	a->left = size;
	EVP_DigestInit_ex(a->md, EVP_sha256(), NULL);
	code = a->failed ? EXIT_REFUSED : api_stream(c, path, sink, a);
	if (a->failed)
		return complain(EXIT_REFUSED, "cannot write: %s", strerror(a->error));
	if (code)
		return code;
	EVP_DigestFinal_ex(a->md, sum, NULL);
	wc_hex(hex, sum, 32);
	if (a->left || strcmp(hex, sha) != 0)
		return complain(EXIT_REFUSED, "%s is not what it should be: the server's disk, or this one, is failing", name);
	pad(a);
	return 0;
}

/* --- Progress, on a terminal */

static void progress(const char *what, uint64_t done, uint64_t total)
{
	char a[TIME_TEXT], b[TIME_TEXT];

	if (is_terminal(stderr))
		fprintf(stderr, "\r\033[K%s %s of %s", what, bytes_text(a, done), bytes_text(b, total));
}

static void progress_end(void)
{
	if (is_terminal(stderr))
		fputs("\r\033[K", stderr);
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
		if (stopped_by)
			return EXIT_REFUSED;
		usleep(LOOK_MS * 1000);
	}
}

static int put_blobs(struct ctl *c, struct archive *a, uint64_t *count)
{
	char after[65] = "", folder[16] = "";
	bool more = true;

	while (more) {
		struct json_object *o, *list;
		char path[128];
		int code;

		snprintf(path, sizeof(path), "/v1/backup/blobs%s%s", *after ? "?after=" : "", after);
		code = api_get(c, path, &o);
		if (code)
			return code;
		list = jarray(o, "blobs");
		more = jbool(o, "more");
		if (more && json_object_array_length(list) == 0) {
			json_object_put(o);
			return complain_endless();
		}
		for (size_t i = 0; i < json_object_array_length(list) && code == 0; i++) {
			struct json_object *b = json_object_array_get_idx(list, i);
			char name[128];

			snprintf(after, sizeof(after), "%s", jstr(b, "sha"));
			if (strlen(after) != 64 || after[strspn(after, "0123456789abcdef")]) {
				code = complain(EXIT_REFUSED, "the server's answer makes no sense: is it of another version?");
				break;
			}
			snprintf(name, sizeof(name), "blobs/%.2s/", after);
			if (strcmp(name, folder) != 0)
				put_header(a, name, 0, '5');
			snprintf(folder, sizeof(folder), "%.15s", name);
			snprintf(name, sizeof(name), "blobs/%.2s/%s", after, after + 2);
			snprintf(path, sizeof(path), "/v1/backup/blob?sha=%s", after);
			code = put_entry(c, a, name, (uint64_t)jint(b, "size"), path, after);
			++*count;
			progress("files, written:", a->bytes, a->bytes);
		}
		json_object_put(o);
		if (code)
			return code;
	}
	return 0;
}

static int write_archive(struct ctl *c, struct archive *a, uint64_t *blobs)
{
	static const uint8_t end[2 * BLOCK];
	uint64_t size = 0;
	char sha[65];
	int code = wait_copy(c, &size, sha);

	if (code == 0)
		code = put_entry(c, a, "wavechat.db", size, "/v1/backup/database", sha);
	if (code == 0) {
		put_header(a, "blobs/", 0, '5');
		code = put_blobs(c, a, blobs);
	}
	if (code == 0)
		write_all(a, end, sizeof(end));
	if (code == 0 && (a->failed || (fsync(a->fd) != 0 && errno != EINVAL)))
		code = complain(EXIT_REFUSED, "cannot write: %s", strerror(a->failed ? a->error : errno));
	return code;
}

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

int run_backup(struct ctl *c)
{
	const char *file = c->operands[0];
	struct archive a = { .fd = -1 };
	char *part = NULL, size[TIME_TEXT];
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
	struct stat st;
	uint64_t blobs = 0;
	int code = client_connect(c);

	if (code)
		return code;
	if (lstat(file, &st) == 0 && !S_ISREG(st.st_mode))
		return complain(EXIT_REFUSED, "%s is no regular file: a backup is renamed into its place, so name another", file);
	if (access(file, F_OK) == 0 && !option(c, "force"))
		return complain(EXIT_REFUSED, "%s is there already: name another file, or add --force", file);
	if (asprintf(&part, "%s.part", file) < 0)
		abort();
	for (size_t i = 0; i < WC_LEN(signals); i++)
		sigaction(signals[i], &act, NULL);
	/* It holds private talk: nobody else's to read. */
	a.fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a.fd < 0) {
		code = complain(EXIT_REFUSED, "cannot write %s: %s", part, strerror(errno));
		goto out;
	}
	a.md = EVP_MD_CTX_new();
	code = api_post(c, "/v1/backup", NULL, NULL);
	if (code == 0) {
		int ended;

		code = write_archive(c, &a, &blobs);
		progress_end();
		code = code ? code : stopped_by ? EXIT_REFUSED : 0;
		hush(code != 0); /* why it failed was said; the server may be the reason */
		ended = api_post(c, "/v1/backup/end", NULL, NULL);
		hush(false);
		code = code ? code : ended;
	}
	if (code == 0 && rename(part, file) != 0)
		code = complain(EXIT_REFUSED, "cannot rename %s: %s", part, strerror(errno));
	if (code == 0)
		sync_dir(file);
	if (code == 0 && c->json) {
		printf("{\"bytes\":%llu,\"files\":%llu}\n", (unsigned long long)a.bytes, (unsigned long long)blobs);
	} else if (code == 0) {
		printf("backed up: %s, the database checked and %llu files compared with their hashes\nto restore: mkdir DIR && tar -xf ",
		       bytes_text(size, a.bytes), (unsigned long long)blobs);
		print_safe(stdout, file);
		printf(" -C DIR && wavechatd --data DIR\n");
	}
out:
	if (code && a.fd >= 0)
		(void)unlink(part);
	if (a.fd >= 0)
		close(a.fd);
	EVP_MD_CTX_free(a.md);
	free(part);
	if (code && stopped_by) { /* all is tidied up: now as if it had not been caught */
		signal(stopped_by, SIG_DFL);
		raise(stopped_by);
	}
	return code;
}
