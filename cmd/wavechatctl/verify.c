/* verify.c — the verb verify: a check of everything that is kept, by a running server, in a data folder at rest, or in a backup.
 *
 * It checks the database from end to end, and compares every file with the hash that is its name. Files that no message stands for are
 * counted. Changes nothing: a folder at rest may be on a medium that cannot be written. It asks a server for files at most half of the
 * time, so that people come first. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/rest.h"
#include "bad.h"
#include "ctl.h"
#include "unpack.h"

#define LOOK_MS 200
#define SHOW_MS 200
/* A restored or emptied database leaves many files without a message; a few are uploads on their way. The same bound as the server's own
 * sweep. */
#define STRAYS_FROM 20
#define STRAYS_PART 10

struct verify {
	struct ctl *c;
	struct bad_files bad;
	struct json_object *faults; /* of the database, as strings */
	struct store_totals totals;
	uint64_t files, bytes;                         /* read */
	uint64_t strays, old_strays, stray_bytes, odd; /* old: not of the last minutes, when a message may be on its way */
	struct json_object *stray_list;
	bool is_cut_short;
	int64_t shown_ms;
	/* one blob of a server */
	EVP_MD_CTX *md;
	uint64_t want, have;
};

static void show(struct verify *v, const char *what, bool now)
{
	char size[TIME_TEXT];

	if (!is_terminal(stderr) || (!now && mono_ms() - v->shown_ms < SHOW_MS))
		return;
	v->shown_ms = mono_ms();
	fprintf(stderr, "\r\033[K%s", what);
	if (v->files || v->bytes)
		fprintf(stderr, " %llu files, %s", (unsigned long long)v->files, bytes_text(size, v->bytes));
}

static void show_end(void)
{
	if (is_terminal(stderr))
		fputs("\r\033[K", stderr);
}

/* --- What was found */

static bool has_many_strays(const struct verify *v)
{
	return v->old_strays >= STRAYS_FROM && v->old_strays * STRAYS_PART > v->old_strays + v->files;
}

static void say_json(const struct verify *v, bool is_good)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "ok", json_object_new_boolean(is_good));
	json_object_object_add(o, "messages", json_object_new_int64((int64_t)v->totals.messages));
	json_object_object_add(o, "people", json_object_new_int64((int64_t)v->totals.people));
	json_object_object_add(o, "files", json_object_new_int64((int64_t)v->files));
	json_object_object_add(o, "bytes", json_object_new_int64((int64_t)v->bytes));
	json_object_object_add(o, "faults", json_object_get(v->faults));
	json_object_object_add(o, "bad", bad_json(&v->bad));
	json_object_object_add(o, "orphans", json_object_new_int64((int64_t)v->strays));
	json_object_object_add(o, "orphan_bytes", json_object_new_int64((int64_t)v->stray_bytes));
	json_object_object_add(o, "orphan_list", json_object_get(v->stray_list));
	print_json(o);
	json_object_put(o);
}

static int say_it(struct verify *v)
{
	const size_t faults = json_object_array_length(v->faults);
	const bool is_good = !faults && !v->bad.count && !has_many_strays(v) && !v->is_cut_short;
	char size[TIME_TEXT], stray_size[TIME_TEXT];

	show_end();
	for (size_t i = 0; i < faults; i++)
		complain(0, "database: %s", json_object_get_string(json_object_array_get_idx(v->faults, i)));
	bad_print(&v->bad);
	if (v->c->json) {
		say_json(v, is_good);
	} else {
		printf("database  %s: %llu messages, %llu people\n", faults ? "DAMAGED" : "sound", (unsigned long long)v->totals.messages,
		       (unsigned long long)v->totals.people);
		printf("files     %llu compared with their hashes, %s; %zu bad\n", (unsigned long long)v->files, bytes_text(size, v->bytes),
		       v->bad.count);
		printf("orphans   %llu that no message stands for, %s\n", (unsigned long long)v->strays,
		       bytes_text(stray_size, v->stray_bytes));
		if (v->odd)
			printf("others    %llu things in blobs/ that are no files of WaveChat\n", (unsigned long long)v->odd);
	}
	if (has_many_strays(v))
		complain(
			0,
			"%llu of %llu stored files belong to no message: is the database older than the files? Then restore the newest backup",
			(unsigned long long)v->old_strays, (unsigned long long)(v->old_strays + v->files));
	if (faults)
		complain(
			0,
			"the database is damaged: stop the server, keep the folder under another name, then restore a backup (wavechatctl restore FILE DIR); "
			"without a backup, `sqlite3 OLD/wavechat.db .recover` saves what can be read");
	else if (v->bad.count)
		complain(0, "%zu of %llu files are bad: take them out of a backup (tar -xf FILE blobs/…), or ask their senders",
		         v->bad.count, (unsigned long long)v->files);
	return is_good ? 0 : EXIT_REFUSED;
}

static void add_stray(struct verify *v, const char *sha)
{
	if (json_object_array_length(v->stray_list) < 1000)
		json_object_array_add(v->stray_list, json_object_new_string(sha));
}

/* --- A server */

static int check_database(struct verify *v)
{
	int code = api_post(v->c, "/v1/verify", NULL, NULL);

	while (code == 0) {
		struct json_object *o;
		const char *state;

		code = api_get(v->c, "/v1/verify", &o);
		if (code)
			break;
		state = jstr(o, "state");
		if (strcmp(state, "done") == 0) {
			json_object_put(v->faults);
			v->faults = json_object_get(jarray(o, "faults"));
			v->totals.messages = (uint64_t)jint(o, "messages");
			v->totals.people = (uint64_t)jint(o, "people");
		} else if (strcmp(state, "failed") == 0) {
			code = complain(EXIT_REFUSED, "the server cannot read its database: its log says why");
		}
		if (code || strcmp(state, "checking") != 0) {
			json_object_put(o);
			return code;
		}
		json_object_put(o);
		show(v, "checking the database", true);
		if (is_stopped())
			return EXIT_REFUSED;
		usleep(LOOK_MS * 1000);
	}
	return code;
}

static bool on_begin(void *arg, uint64_t length)
{
	struct verify *v = arg;

	v->have = 0;
	EVP_DigestInit_ex(v->md, EVP_sha256(), NULL);
	return length == v->want;
}

static int on_bytes(void *arg, const void *data, size_t n)
{
	struct verify *v = arg;

	EVP_DigestUpdate(v->md, data, n);
	v->have += n;
	v->bytes += n;
	show(v, "comparing", false);
	return is_stopped();
}

static int check_blob(struct verify *v, const char *sha, uint64_t size)
{
	struct fetch f = { .begin = on_begin, .sink = on_bytes, .arg = v };
	uint8_t sum[EVP_MAX_MD_SIZE];
	char path[128], hex[65], what[128] = "";
	const int64_t begun_us = mono_us();
	int code;

	v->want = size;
	snprintf(path, sizeof(path), "/v1/verify/blob?sha=%.64s", sha);
	code = api_fetch(v->c, path, &f);
	if (code || is_stopped())
		return code ? code : EXIT_REFUSED;
	if (f.status == 404 && strcmp(f.error, "deleted") == 0)
		return 0; /* since it was listed */
	v->files++;
	if (f.status == 200 && f.length == size && !f.is_short) {
		EVP_DigestFinal_ex(v->md, sum, NULL);
		wc_hex(hex, sum, 32);
		if (strcmp(hex, sha) != 0)
			snprintf(what, sizeof(what), "rotten: its bytes are not those that were stored");
	} else if (f.status == 404) {
		snprintf(what, sizeof(what), "missing");
	} else if (f.status == 200 && f.length != size) {
		snprintf(what, sizeof(what), "%llu bytes of %llu", (unsigned long long)f.length, (unsigned long long)size);
	} else if (f.status == 200) {
		snprintf(what, sizeof(what), "cannot be read beyond %llu of %llu bytes", (unsigned long long)v->have,
		         (unsigned long long)size);
	} else {
		snprintf(what, sizeof(what), "cannot be read: the server's log says why");
	}
	if (*what)
		bad_add(&v->bad, sha, what);
	usleep((useconds_t)WC_MIN(mono_us() - begun_us, 500000));
	return 0;
}

/* Every page of a list; fn is given each of its objects. */
static int each_page(struct verify *v, const char *list, const char *name, int (*fn)(struct verify *v, struct json_object *o),
                     void (*page)(struct verify *v, struct json_object *page))
{
	char path[192];
	bool more = true;
	int code = 0;

	snprintf(path, sizeof(path), "/v1/verify/%s", list);
	while (more && code == 0) {
		struct json_object *o, *items;

		code = api_get(v->c, path, &o);
		if (code)
			return code;
		items = jarray(o, name);
		for (size_t i = 0; i < json_object_array_length(items) && code == 0; i++)
			code = fn(v, json_object_array_get_idx(items, i));
		if (page)
			page(v, o);
		more = jbool(o, "more");
		snprintf(path, sizeof(path), "/v1/verify/%s?after=%.64s", list, jstr(o, "upto"));
		json_object_put(o);
		if (code == 0 && is_stopped())
			code = EXIT_REFUSED;
	}
	return code;
}

static int on_blob_listed(struct verify *v, struct json_object *o)
{
	return check_blob(v, jstr(o, "sha"), (uint64_t)jint(o, "size"));
}

static int on_stray_listed(struct verify *v, struct json_object *o)
{
	add_stray(v, jstr(o, "sha"));
	return 0;
}

static void on_stray_page(struct verify *v, struct json_object *page)
{
	v->strays += (uint64_t)jint(page, "count");
	v->old_strays += (uint64_t)jint(page, "old");
	v->stray_bytes += (uint64_t)jint(page, "bytes");
}

static int verify_server(struct verify *v)
{
	int code = check_database(v);

	v->md = EVP_MD_CTX_new();
	if (code == 0)
		code = each_page(v, "blobs", "blobs", on_blob_listed, NULL);
	if (code == 0)
		code = each_page(v, "strays", "strays", on_stray_listed, on_stray_page);
	EVP_MD_CTX_free(v->md);
	if (code == 0)
		bad_name_live(&v->bad, v->c);
	return code;
}

/* --- A folder at rest */

static bool goes_on(void *arg)
{
	show(arg, "checking the database", false);
	return !is_stopped();
}

static void on_fault(void *arg, struct str fault)
{
	struct verify *v = arg;

	json_object_array_add(v->faults, json_object_new_string_len(fault.p, (int)fault.len));
}

static void on_bad(void *arg, const uint8_t sha[WC_SHA_BYTES], const char *what)
{
	struct verify *v = arg;
	char hex[2 * WC_SHA_BYTES + 1];

	wc_hex(hex, sha, WC_SHA_BYTES);
	bad_add(&v->bad, hex, what);
}

static void on_stray(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size)
{
	char hex[2 * WC_SHA_BYTES + 1];

	(void)size;
	wc_hex(hex, sha, WC_SHA_BYTES);
	add_stray(arg, hex);
}

static bool on_moved(void *arg, uint64_t bytes)
{
	struct verify *v = arg;

	v->bytes = bytes;
	show(v, "comparing", false);
	return !is_stopped();
}

static int look_at_folder(struct verify *v, const char *dir, struct store_verify *db)
{
	struct rest_look look = { .hashes = true, .bad = on_bad, .stray = on_stray, .moved = on_moved, .arg = v };
	char *cause = NULL;
	int code = 0, rc = store_verify_database(db, goes_on, on_fault, v);

	if (rc == -WC_ECLOSED)
		return EXIT_REFUSED;
	if (rc < 0)
		return complain(EXIT_REFUSED, "the database in %s cannot be read: %s", dir, store_verify_error(db));
	(void)!store_verify_totals(db, &v->totals); /* of a damaged one they may be zeros */
	rc = rest_look(dir, db, &look, &cause);
	if (rc == -WC_ECLOSED)
		code = EXIT_REFUSED;
	else if (rc < 0 && json_object_array_length(v->faults) == 0)
		code = complain(EXIT_REFUSED, "%s: %s", dir, cause ? cause : "it cannot be read");
	v->files = look.files;
	v->bytes = look.bytes;
	v->strays = v->old_strays = look.strays;
	v->stray_bytes = look.stray_bytes;
	v->odd = look.odd;
	if (code == 0)
		bad_name_rest(&v->bad, db);
	free(cause);
	return code;
}

/* While it is looked at no server begins to use it. Without a lock there never was one, or it is a copy. */
static int lock_folder(const char *dir, int *fd)
{
	char *path = NULL;
	int code = 0;

	if (asprintf(&path, "%s/lock", dir) < 0)
		abort();
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (*fd < 0 && errno != ENOENT)
		code = complain(errno == EACCES ? EXIT_DENIED : EXIT_REFUSED, "cannot use %s: %s", path, strerror(errno));
	else if (*fd >= 0 && flock(*fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		code = complain(EXIT_REFUSED,
		                "%s is in use by a running wavechatd: wavechatctl --socket %s/admin.sock verify asks that one", dir, dir);
	free(path);
	return code;
}

/* Before SQLite sees it: whose is it, and may it be read? */
static int judge_file(const char *dir)
{
	uint8_t head[STORE_HEADER_BYTES];
	unsigned version;
	char *path = NULL;
	int fd, code = 0;
	ssize_t n;

	if (asprintf(&path, "%s/wavechat.db", dir) < 0)
		abort();
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	n = fd >= 0 ? pread(fd, head, sizeof(head), 0) : -1;
	if (fd < 0 && errno == ENOENT)
		code = complain(EXIT_REFUSED, "%s is no data folder of WaveChat: it holds no wavechat.db", dir);
	else if (n < 0)
		code = complain(errno == EACCES ? EXIT_DENIED : EXIT_REFUSED, "cannot read %s: %s", path, strerror(errno));
	else if (n > 0 && store_judge_header(head, (size_t)n, &version) == STORE_HEADER_FOREIGN)
		code = complain(EXIT_REFUSED, "%s is an SQLite database of another program", path);
	else if (n > 0 && store_judge_header(head, (size_t)n, &version) == STORE_HEADER_NEWER)
		code = complain(
			EXIT_REFUSED,
			"%s is of a newer version of WaveChat (schema %u, which wavechatctl %s does not know): use the wavechatctl of that version",
			path, version, wc_version());
	if (fd >= 0)
		close(fd);
	free(path);
	return code;
}

static int refuse_folder(const char *dir, int rc, const char *cause)
{
	if (rc == -WC_ENOENT)
		return complain(EXIT_REFUSED, "%s is no data folder of WaveChat: %s", dir, cause);
	return complain(EXIT_REFUSED, "%s", cause ? cause : "it cannot be read");
}

static int verify_folder(struct verify *v, const char *dir)
{
	struct store_verify *db = NULL;
	char *cause = NULL;
	int lock, code, rc;

	if (access(dir, R_OK | X_OK) < 0)
		return complain(errno == EACCES ? EXIT_DENIED : EXIT_REFUSED, "cannot read %s: %s", dir, strerror(errno));
	code = lock_folder(dir, &lock);
	if (code == 0)
		code = judge_file(dir);
	if (code == 0) {
		rc = store_verify_rest(dir, &db, &cause);
		code = rc < 0 ? refuse_folder(dir, rc, cause) : look_at_folder(v, dir, db);
	}
	store_verify_close(db);
	if (lock >= 0)
		close(lock);
	free(cause);
	return code;
}

/* --- A backup */

/* The database must lie in a file to be checked; the others are only read. */
static int verify_backup(struct verify *v, const char *file)
{
	const char *tmp = getenv("TMPDIR");
	struct unpack u = { .file = file, .is_partial = true };
	char *folder = NULL;
	int code;

	if (asprintf(&folder, "%s/wavechatctl-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0)
		abort();
	if (!mkdtemp(folder)) {
		code = complain(EXIT_REFUSED, "cannot write in %s: %s: name another folder in TMPDIR", tmp && *tmp ? tmp : "/tmp",
		                strerror(errno));
		free(folder);
		return code;
	}
	u.folder = folder;
	u.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	code = u.folder_fd < 0 ? complain(EXIT_REFUSED, "cannot use %s: %s", folder, strerror(errno)) : unpack(&u);
	v->bad = u.bad;
	u.bad = (struct bad_files){ .v = NULL };
	v->files = u.files + v->bad.count;
	v->bytes = u.bytes;
	v->strays = v->old_strays = u.strays;
	v->totals = u.totals;
	v->is_cut_short = u.is_cut_short;
	if (code == 0 && u.is_cut_short)
		complain(0, "%s is cut short", file);
	if (u.folder_fd >= 0)
		close(u.folder_fd);
	remove_folder(folder);
	free(folder);
	unpack_fini(&u);
	return code;
}

int run_verify(struct ctl *c)
{
	struct verify v = { .c = c, .faults = json_object_new_array(), .stray_list = json_object_new_array() };
	const char *what = c->count ? c->operands[0] : NULL;
	struct stat st;
	int code;

	c->is_long = true;
	catch_signals();
	if (!what)
		code = verify_server(&v);
	else if (strcmp(what, "-") != 0 && stat(what, &st) < 0)
		code = complain(errno == EACCES ? EXIT_DENIED : EXIT_REFUSED, "cannot read %s: %s", what, strerror(errno));
	else if (strcmp(what, "-") == 0 || !S_ISDIR(st.st_mode))
		code = verify_backup(&v, what);
	else
		code = verify_folder(&v, what);
	show_end();
	if (code == 0)
		code = say_it(&v);
	json_object_put(v.faults);
	json_object_put(v.stray_list);
	bad_fini(&v.bad);
	if (code)
		end_stopped();
	return code;
}
