/* test_upload.c — uploads, on disk and in memory: what goes on, what resumes, what a crash or a full disk leaves. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include "blob_fixture.h"

static char piece[300000];

static void send(struct blobs *b, uint64_t who, const char *key, uint64_t size, uint64_t from, uint64_t to, struct upload **out)
{
	struct upload_state st;

	assert_int_equal(upload_begin(b, who, s_of(key), size, from, out, &st), 0);
	assert_non_null(*out);
	assert_int_equal(st.offset, from);
	assert_int_equal(st.size, size);
	for (uint64_t at = from; at < to;) {
		size_t n = (size_t)WC_MIN(to - at, 70000ull);

		assert_int_equal(upload_write(*out, piece + at, n), 0);
		at += n;
	}
}

static void whole_upload(struct blobs *b, uint64_t who, const char *key, uint64_t size, struct upload_state *st)
{
	struct upload *u;

	send(b, who, key, size, 0, size, &u);
	assert_int_equal(upload_finish(u, st), 0);
	assert_int_equal(st->offset, size);
	assert_true(strlen(st->handle) >= 32);
}

static void check_upload(struct blobs *b, uint64_t who, const char *handle, uint64_t n)
{
	uint8_t sha[WC_SHA_BYTES], want[WC_SHA_BYTES];
	uint64_t size = 0;

	assert_int_equal(upload_resolve(b, who, s_of(handle), sha, &size), 0);
	assert_int_equal(size, n);
	sha_of(piece, n, want);
	assert_memory_equal(sha, want, sizeof(sha));
	check_blob(b, sha, piece, n);
}

static void an_upload_becomes_a_blob(void **state)
{
	struct both *t = *state;
	struct upload_state st, again;
	struct upload *u;
	uint8_t sha[WC_SHA_BYTES];
	uint64_t size;
	char handle[64];

	assert_int_equal(upload_find(t->b, 7, STR("key"), &st), -WC_ENOENT);
	whole_upload(t->b, 7, "key", 200001, &st);
	check_upload(t->b, 7, st.handle, 200001);
	/* the answer was lost: it can be asked for, or the same be begun again, from anywhere */
	assert_int_equal(upload_find(t->b, 7, STR("key"), &again), 0);
	assert_string_equal(again.handle, st.handle);
	for (uint64_t offset = 0; offset <= 200001; offset += 200001) {
		assert_int_equal(upload_begin(t->b, 7, STR("key"), 200001, offset, &u, &again), 0);
		assert_null(u);
		assert_string_equal(again.handle, st.handle);
		assert_int_equal(again.offset, 200001);
	}
	/* good for its uploader alone, and only as it was given */
	assert_int_equal(upload_resolve(t->b, 8, s_of(st.handle), sha, &size), -WC_ENOENT);
	assert_int_equal(upload_find(t->b, 8, STR("key"), &again), -WC_ENOENT);
	for (size_t i = 0; i < strlen(st.handle); i++) {
		strcpy(handle, st.handle);
		handle[i] = handle[i] == '0' ? '1' : '0';
		assert_int_equal(upload_resolve(t->b, 7, s_of(handle), sha, &size), -WC_ENOENT);
	}
	strcpy(handle, st.handle);
	for (char *p = handle; *p; p++)
		*p = (char)(*p >= 'a' ? *p - 32 : *p);
	assert_int_equal(upload_resolve(t->b, 7, s_of(handle), sha, &size), -WC_ENOENT);
	assert_int_equal(upload_resolve(t->b, 7, STR(""), sha, &size), -WC_ENOENT);
	assert_int_equal(upload_resolve(t->b, 7, STR("../../../../etc/passwd"), sha, &size), -WC_ENOENT);
	/* the same bytes under another key: another handle, no more room */
	whole_upload(t->b, 7, "other", 200001, &again);
	assert_string_not_equal(again.handle, st.handle);
	assert_int_equal(blobs_bytes(t->b), 200001);
	/* the key used for something else: starts over, the old handle ends */
	whole_upload(t->b, 7, "key", 5, &again);
	assert_int_equal(upload_resolve(t->b, 7, s_of(st.handle), sha, &size), -WC_ENOENT);
	check_upload(t->b, 7, again.handle, 5);
	whole_upload(t->b, 7, "nothing", 0, &again);
	check_upload(t->b, 7, again.handle, 0);
}

static void goes_on_where_it_stopped(void **state)
{
	struct both *t = *state;
	struct upload_state st;
	struct upload *u;

	send(t->b, 7, "key", 250000, 0, 100000, &u);
	upload_suspend(u);
	assert_int_equal(upload_find(t->b, 7, STR("key"), &st), 0);
	assert_int_equal(st.offset, 100000);
	assert_int_equal(st.size, 250000);
	assert_string_equal(st.handle, "");
	if (t->dir)
		restart(t);
	/* not from elsewhere */
	for (uint64_t offset = 1; offset < 400000; offset += 99999) {
		if (offset == 100000)
			continue;
		assert_int_equal(upload_begin(t->b, 7, STR("key"), 250000, offset, &u, &st), -WC_ECONFLICT);
		assert_null(u);
		assert_int_equal(st.offset, 100000);
	}
	/* not as something of another length */
	assert_int_equal(upload_begin(t->b, 7, STR("key"), 250001, 100000, &u, &st), -WC_ECONFLICT);
	assert_int_equal(st.offset, 0);
	assert_int_equal(upload_begin(t->b, 7, STR("new"), 10, 5, &u, &st), -WC_ECONFLICT);
	assert_int_equal(st.offset, 0);
	send(t->b, 7, "key", 250000, 100000, 180000, &u);
	assert_int_equal(upload_finish(u, &st), -WC_ECONFLICT); /* not all there: nothing is lost by asking */
	assert_int_equal(st.offset, 180000);
	send(t->b, 7, "key", 250000, 180000, 250000, &u);
	assert_int_equal(upload_write(u, "x", 1), -WC_ETOOBIG);
	assert_int_equal(upload_finish(u, &st), 0);
	check_upload(t->b, 7, st.handle, 250000);
	if (t->dir) {
		restart(t);
		check_upload(t->b, 7, st.handle, 250000);
	}
	/* from the start again, although something is there */
	send(t->b, 7, "over", 1000, 0, 900, &u);
	upload_suspend(u);
	send(t->b, 7, "over", 1000, 0, 1000, &u);
	assert_int_equal(upload_finish(u, &st), 0);
	check_upload(t->b, 7, st.handle, 1000);
}

static void the_later_sender_wins(void **state)
{
	struct both *t = *state;
	struct upload *first, *second, *other;
	struct upload_state st;

	send(t->b, 7, "key", 1000, 0, 300, &first);
	send(t->b, 8, "key", 1000, 0, 300, &other); /* somebody else's of the same name */
	send(t->b, 7, "key", 1000, 300, 400, &second);
	assert_int_equal(upload_write(first, piece, 10), -WC_ECLOSED);
	assert_int_equal(upload_finish(first, &st), -WC_ECLOSED);
	assert_int_equal(upload_write(second, piece + 400, 600), 0);
	assert_int_equal(upload_finish(second, &st), 0);
	check_upload(t->b, 7, st.handle, 1000);
	assert_int_equal(upload_write(other, piece + 300, 700), 0);
	send(t->b, 8, "key", 1000, 0, 1000, &second); /* over again, under the feet of the first */
	upload_suspend(other);
	assert_int_equal(upload_finish(second, &st), 0);
	check_upload(t->b, 8, st.handle, 1000);
}

/* Bytes that no message was sent with, announced ones included, are bounded for each person; giving up makes room. */
static void so_much_unsent(void **state)
{
	struct both *t = *state;
	struct upload *u, *other;
	struct upload_state st;
	const uint64_t most = WC_UPLOADS_UNSENT_BYTES;

	whole_upload(t->b, 7, "done", 1000, &st);
	send(t->b, 7, "large", most - 2000, 0, 10, &u);
	assert_int_equal(upload_begin(t->b, 7, STR("more"), 1001, 0, &other, &st), -WC_ETOOBIG);
	send(t->b, 7, "fits", 1000, 0, 10, &other);
	upload_suspend(other);
	send(t->b, 8, "others", 5000, 0, 10, &other);
	upload_suspend(other);
	upload_suspend(u);
	assert_int_equal(upload_drop(t->b, 8, STR("large")), -WC_ENOENT);
	assert_int_equal(upload_drop(t->b, 7, STR("large")), 0);
	send(t->b, 7, "more", 1001, 0, 10, &u);
	upload_suspend(u);
}

/* Records that only recognise a repeated message do not grow without end: the oldest of a person go. */
static void few_used_records_stay(void **state)
{
	enum { COUNT = USED_MOST + USED_MOST / 8 + 20 };
	static struct upload_state st[COUNT];
	struct both *t = *state;
	struct upload_state other, last;
	uint8_t name[31], sha[WC_SHA_BYTES];
	uint64_t size;
	char key[16];
	int gone = 0;

	whole_upload(t->b, 8, "other", 100, &other);
	for (int i = 0; i < COUNT; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		whole_upload(t->b, 7, key, 100, &st[i]);
		assert_int_equal(wc_unhex(name, sizeof(name), str_of(st[i].handle)), 0);
		t->b->ops->record_use(t->b, 7, name, st[i].handle);
	}
	whole_upload(t->b, 7, "last", 100, &last); /* of no message yet */
	assert_int_equal(upload_resolve(t->b, 7, str_of(st[0].handle), sha, &size), -WC_ENOENT);
	for (int i = COUNT - 1; i >= 0; i--)
		gone += upload_resolve(t->b, 7, str_of(st[i].handle), sha, &size) != 0;
	assert_in_range(gone, COUNT - USED_MOST - USED_MOST / 8, COUNT - USED_MOST + 1);
	assert_int_equal(upload_resolve(t->b, 7, str_of(st[COUNT - 1].handle), sha, &size), 0);
	assert_int_equal(upload_resolve(t->b, 7, str_of(last.handle), sha, &size), 0);
	assert_int_equal(upload_resolve(t->b, 8, str_of(other.handle), sha, &size), 0);
}

static void so_many_at_once(void **state)
{
	struct both *t = *state;
	struct upload *u[WC_UPLOADS_OPEN + 1];
	struct upload_state st;
	char key[16];

	for (int i = 0; i < WC_UPLOADS_OPEN; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		send(t->b, 7, key, 100, 0, 10, &u[i]);
	}
	assert_int_equal(upload_begin(t->b, 7, STR("one more"), 100, 0, &u[WC_UPLOADS_OPEN], &st), -WC_ETOOBIG);
	send(t->b, 8, "k0", 100, 0, 10, &u[WC_UPLOADS_OPEN]);
	upload_suspend(u[WC_UPLOADS_OPEN]);
	for (int i = 0; i < WC_UPLOADS_OPEN; i++)
		upload_suspend(u[i]);
	/* those that are open may go on, or start over; one that ends makes room */
	send(t->b, 7, "k3", 100, 10, 100, &u[0]);
	send(t->b, 7, "k4", 100, 0, 100, &u[1]);
	assert_int_equal(upload_begin(t->b, 7, STR("one more"), 100, 0, &u[2], &st), -WC_ETOOBIG);
	assert_int_equal(upload_finish(u[0], &st), 0);
	send(t->b, 7, "one more", 100, 0, 10, &u[2]);
	upload_suspend(u[2]);
	upload_suspend(u[1]);
}

/* Takes a day off what is written down. */
static int age_record(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	char text[512] = "", out[600], *at;
	FILE *f;

	(void)st;
	(void)ftw;
	if (kind != FTW_F || !(f = fopen(path, "r+")) || !strstr(path, ".done"))
		return 0;
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	at = strstr(text, "\nat ");
	assert_non_null(at);
	snprintf(out, sizeof(out), "%.*s\nat %lld%s", (int)(at - text), text, (long long)real_ms() - 25ll * 3600 * 1000,
	         strchr(at + 4, '\n'));
	rewind(f);
	assert_int_equal(fwrite(out, 1, strlen(out), f), strlen(out));
	fclose(f);
	return 0;
}

static void old_uploads_and_handles_go(void **state)
{
	struct both *t = *state;
	struct upload_state done, st;
	struct upload *u, *active;
	uint8_t sha[WC_SHA_BYTES];
	uint64_t size;

	whole_upload(t->b, 7, "done", 1000, &done);
	send(t->b, 7, "dead", 2000, 0, 500, &u);
	upload_suspend(u);
	send(t->b, 7, "active", 2000, 0, 600, &active);
	/* hours later the handle still holds its blob, which no message uses */
	let_hours_pass(t);
	sweep(t->b, is_never_used, NULL, false);
	check_upload(t->b, 7, done.handle, 1000);
	assert_int_equal(upload_find(t->b, 7, STR("dead"), &st), 0);
	/* a day later */
	for (int i = 0; i < 13; i++)
		let_hours_pass(t);
	if (t->dir)
		nftw(t->dir, age_record, 16, FTW_PHYS);
	else
		for (struct mem_upload *m = t->b->mem_uploads; m; m = m->next)
			m->rec.at_ms -= 25ll * 3600 * 1000;
	assert_int_equal(upload_resolve(t->b, 7, s_of(done.handle), sha, &size), -WC_ENOENT);
	assert_int_equal(upload_find(t->b, 7, STR("done"), &st), -WC_ENOENT);
	sweep(t->b, is_never_used, NULL, false);
	assert_int_equal(upload_find(t->b, 7, STR("dead"), &st), -WC_ENOENT);
	assert_int_equal(blobs_bytes(t->b), 0);
	/* but who is at it is left alone */
	assert_int_equal(upload_write(active, piece + 600, 1400), 0);
	assert_int_equal(upload_finish(active, &st), 0);
	check_upload(t->b, 7, st.handle, 2000);
}

struct rivals {
	struct blobs *b;
	_Atomic int finished;
	_Atomic int seed;
};

/* Sends one file under one key, always from where it stands, like a client that reconnects in a hurry. */
static void *rival(void *arg)
{
	struct rivals *r = arg;
	unsigned seed = (unsigned)r->seed++;
	struct upload_state st = { .offset = 0 };
	struct upload *u;

	for (int turn = 0; turn < 3000; turn++) {
		int rc = upload_begin(r->b, 7, STR("k"), 200000, st.offset, &u, &st);

		if (rc == 0 && !u) {
			r->finished++;
			return NULL;
		}
		if (rc == -WC_ECONFLICT)
			continue;
		if (rc)
			return (void *)"begin";
		uint64_t at = st.offset;
		for (int i = 0; i < 4 && at < 200000; i++) {
			uint64_t some = (uint64_t)(rand_r(&seed) % 5000 + 1);
			size_t n = (size_t)WC_MIN(200000 - at, some);

			rc = upload_write(u, piece + at, n);
			if (rc)
				break;
			at += n;
		}
		if (rc && rc != -WC_ECLOSED)
			return (void *)"write";
		if (at == 200000) {
			rc = upload_finish(u, &st);
			if (rc && rc != -WC_ECLOSED)
				return (void *)"finish";
		} else {
			upload_suspend(u);
		}
		if (upload_find(r->b, 7, STR("k"), &st) != 0)
			return (void *)"find";
	}
	return (void *)"never done";
}

static void rivals_make_one_whole_file(void **state)
{
	struct both *t = *state;
	struct rivals r = { .b = t->b };
	struct upload_state st;
	pthread_t thread[4];
	void *said;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, rival, &r), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &said), 0);
		if (said)
			fail_msg("%s", (char *)said);
	}
	assert_int_equal(r.finished, 4);
	assert_int_equal(upload_find(t->b, 7, STR("k"), &st), 0);
	check_upload(t->b, 7, st.handle, 200000);
}

/* --- Kills and full disks. */

struct victim {
	const char *dir;
	int round;
};

static int upload_for_ever(void *arg)
{
	struct victim *v = arg;
	struct blobs *b = open_blobs(v->dir);
	struct upload_state st;
	struct upload *u;
	char key[16];

	for (int i = 0; i < 100000; i++) {
		snprintf(key, sizeof(key), "k%d", i % 10);
		/* another length and other bytes each time */
		uint64_t n = 20000 + (uint64_t)(v->round * 997 + i) % 200000;

		piece[0] = (char)i;
		if (upload_begin(b, 7, s_of(key), n, 0, &u, &st) != 0)
			return 1;
		if (u &&
		    (upload_write(u, piece, n / 2) != 0 || upload_write(u, piece + n / 2, n - n / 2) != 0 || upload_finish(u, &st) != 0))
			return 3;
	}
	return 2;
}

/* Wherever the kill fell: each key is unknown, goes on from what it says, or is finished with the bytes its blob's name promises. */
static void killed_anywhere_it_resumes_or_is_done(void **state)
{
	struct both *t = *state;
	int open = 0, done = 0;

	for (int round = 0; round < 60; round++) {
		struct victim v = { t->dir, round };
		struct upload_state st;
		struct upload *u;
		char key[16];
		pid_t pid;

		blobs_close(t->b);
		fflush(NULL);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(upload_for_ever(&v));
		usleep((useconds_t)(3000 + round * 97));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		t->b = open_blobs(t->dir);
		assert_int_equal(count_files(t->dir, "tmp"), 0);
		for (int i = 0; i < 10; i++) {
			snprintf(key, sizeof(key), "k%d", i);
			if (upload_find(t->b, 7, s_of(key), &st) != 0)
				continue;
			if (*st.handle) {
				uint8_t sha[WC_SHA_BYTES], got[WC_SHA_BYTES];
				uint64_t size;
				int fd;

				assert_int_equal(upload_resolve(t->b, 7, s_of(st.handle), sha, &size), 0);
				assert_int_equal(size, st.size);
				fd = blob_get(t->b, sha, &size);
				assert_true(fd >= 0);
				char *bytes = malloc(size);
				assert_int_equal(pread(fd, bytes, size, 0), size);
				sha_of(bytes, size, got);
				assert_memory_equal(sha, got, sizeof(got));
				free(bytes);
				close(fd);
				done++;
			} else {
				assert_true(st.offset <= st.size);
				assert_int_equal(upload_begin(t->b, 7, s_of(key), st.size, st.offset, &u, &st), 0);
				assert_non_null(u);
				assert_int_equal(upload_write(u, piece, st.size - st.offset), 0);
				assert_int_equal(upload_finish(u, &st), 0);
				open++;
			}
		}
	}
	print_message("%d found finished, %d gone on with\n", done, open);
	assert_true(done > 0 && open > 0);
}

/* Finds the one file below dir that ends so. */
static char found[4096];
static const char *wanted;
static int find_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	size_t n = strlen(path), k = strlen(wanted);

	(void)st;
	(void)ftw;
	if (kind == FTW_F && n > k && strcmp(path + n - k, wanted) == 0)
		snprintf(found, sizeof(found), "%s", path);
	return 0;
}

static char *find_file(const char *dir, const char *end)
{
	found[0] = '\0';
	wanted = end;
	nftw(dir, find_one, 16, FTW_PHYS);
	return found[0] ? strdup(found) : NULL;
}

/* The end of an upload, cut off after each of its steps (see upload_disk.c). */
static void cut_off_at_each_step(void **state)
{
	struct both *t = *state;
	struct upload_state st, again;
	struct upload *u;
	char hex[2 * WC_SHA_BYTES + 1], *blob, *done, *part, *open;
	uint8_t sha[WC_SHA_BYTES];

	/* all bytes there, and no more */
	send(t->b, 7, "a", 1000, 0, 1000, &u);
	upload_suspend(u);
	restart(t);
	send(t->b, 7, "a", 1000, 1000, 1000, &u);
	assert_int_equal(upload_finish(u, &st), 0);
	check_upload(t->b, 7, st.handle, 1000);

	/* .done is there, the part was not moved: put it back to where it was */
	sha_of(piece, 1000, sha);
	wc_hex(hex, sha, WC_SHA_BYTES);
	blob = find_file(t->dir, hex + 2);
	done = find_file(t->dir, ".done");
	part = strdup(done);
	open = strdup(done);
	strcpy(strrchr(part, '.'), ".part");
	strcpy(strrchr(open, '.'), ".open");
	assert_int_equal(rename(blob, part), 0);
	assert_int_equal(link(done, open), 0);
	restart(t);
	assert_int_equal(upload_find(t->b, 7, STR("a"), &again), 0);
	assert_string_equal(again.handle, st.handle);
	check_upload(t->b, 7, st.handle, 1000);
	assert_int_equal(access(part, F_OK), -1);
	assert_int_equal(access(open, F_OK), -1);

	/* moved, and .open still there */
	assert_int_equal(link(done, open), 0);
	restart(t);
	check_upload(t->b, 7, st.handle, 1000);
	assert_int_equal(access(open, F_OK), -1);
	assert_int_equal(t->b->ops->record_count_open(t->b, 7), 0);

	/* a record cut to nothing, as a power cut may leave it, is no record */
	assert_int_equal(truncate(done, 10), 0);
	assert_int_equal(upload_find(t->b, 7, STR("a"), &again), -WC_ENOENT);
	whole_upload(t->b, 7, "a", 1000, &st);
	check_upload(t->b, 7, st.handle, 1000);
	free(blob);
	free(done);
	free(part);
	free(open);
}

static int full_disk(void *dir)
{
	struct upload_state st;
	struct upload *u = NULL;
	struct blobs *b = NULL;
	char *cause = NULL, *big = calloc(1, 2 << 20);
	uint8_t sha[WC_SHA_BYTES];
	uint64_t stored;

	log_setup(LOG_ERROR, LOG_TEXT);
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("wavechat-test", dir, "tmpfs", 0, "size=1m") != 0)
		return 77;
	if (blobs_open(&b, dir, 0, &cause) != 0)
		return 1;
	wc_random(piece, sizeof(piece));
	if (blob_put(b, big, 2 << 20, sha) != -WC_ESTORAGE || blobs_bytes(b) != 0 || count_files(dir, "tmp") != 0)
		return 2; /* nothing stays of what did not fit */
	if (upload_begin(b, 7, STR("k"), 2 << 20, 0, &u, &st) != 0)
		return 3;
	for (stored = 0; upload_write(u, piece, sizeof(piece)) == 0; stored += sizeof(piece))
		;
	upload_suspend(u);
	if (upload_find(b, 7, STR("k"), &st) != 0 || st.offset < stored || st.offset == 0)
		return 4;
	if (mount("wavechat-test", dir, "tmpfs", MS_REMOUNT, "size=8m") != 0)
		return 5;
	/* room again: on it goes from whatever byte it stopped at */
	if (upload_begin(b, 7, STR("k"), 2 << 20, st.offset, &u, &st) != 0)
		return 6;
	for (uint64_t at = st.offset; at < 2 << 20;) {
		size_t from = at % sizeof(piece), n = (size_t)WC_MIN((2ull << 20) - at, sizeof(piece) - from);

		if (upload_write(u, piece + from, n) != 0)
			return 7;
		at += n;
	}
	if (upload_finish(u, &st) != 0 || upload_resolve(b, 7, s_of(st.handle), sha, &stored) != 0 || stored != 2 << 20)
		return 8;
	int fd = blob_get(b, sha, &stored);
	for (uint64_t at = 0; at < stored; at += sizeof(piece)) {
		size_t n = (size_t)WC_MIN(stored - at, sizeof(piece));

		if (pread(fd, big, n, (off_t)at) != (ssize_t)n || memcmp(big, piece, n) != 0)
			return 9;
	}
	blobs_close(b);
	return 0;
}

static void a_full_disk_loses_nothing_told(void **state)
{
	struct both *t = *state;
	char *dir = in_dir(t->dir, "mount");
	int rc;

	assert_int_equal(mkdir(dir, 0700), 0);
	rc = in_child(full_disk, dir);
	free(dir);
	if (rc == 77)
		skip(); /* may not mount here */
	assert_int_equal(rc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(an_upload_becomes_a_blob),
		BOTH(goes_on_where_it_stopped),
		BOTH(the_later_sender_wins),
		BOTH(so_many_at_once),
		BOTH(so_much_unsent),
		BOTH(few_used_records_stay),
		BOTH(old_uploads_and_handles_go),
		BOTH(rivals_make_one_whole_file),
		{ "killed_anywhere_it_resumes_or_is_done", killed_anywhere_it_resumes_or_is_done, set_up_disk, tear_down, NULL },
		{ "cut_off_at_each_step", cut_off_at_each_step, set_up_disk, tear_down, NULL },
		{ "a_full_disk_loses_nothing_told", a_full_disk_loses_nothing_told, set_up_disk, tear_down, NULL },
	};

	wc_random(piece, sizeof(piece));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
