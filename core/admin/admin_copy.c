/* admin_copy.c — the verbs of a backup: a checked copy of the database as of one moment, and the blobs that it refers to (see impl.h).
 *
 * The copy is made on a thread of its own, in the data directory, and handed out by descriptor. Blobs are handed out as they lie; none is
 * collected until the backup is over. One backup at a time. It ends with the request that holds it; one without such a request ends after
 * two minutes of silence. The copy's thread waits for that end, and the admin's own thread then removes the copy. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/impl.h"
#include "base/logmsg.h"
#include "base/metrics.h"
#include "files/file_io.h"

#define IDLE_MS (2 * 60 * 1000) /* after that long without a question, its maker is taken for dead */
#define LOOK_S 1
#define BLOBS_PAGE 1000

enum state { COPYING, READY, FAILED };

struct backup {
	struct admin *a;
	pthread_t thread;
	uint64_t number; /* of the backups of this server's life: what held an earlier one does not end this one */
	char *path;
	pthread_mutex_t lock; /* of ended alone */
	pthread_cond_t ended;
	_Atomic enum state state;
	_Atomic uint64_t done, total;
	_Atomic bool is_ended;
	_Atomic int64_t asked_ms; /* monotonic */
	/* good once state is no longer COPYING */
	char *cause;
	int fd;
	uint64_t size;
	char sha[2 * WC_SHA_BYTES + 1];
};

static bool is_over(struct backup *b)
{
	return atomic_load(&b->is_ended) || mono_ms() - atomic_load(&b->asked_ms) > IDLE_MS;
}

/* Any thread. backup_free clears its things away later. */
static void end_it(struct backup *b)
{
	pthread_mutex_lock(&b->lock);
	atomic_store(&b->is_ended, true);
	pthread_cond_broadcast(&b->ended);
	pthread_mutex_unlock(&b->lock);
}

static int on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct backup *b = arg;
	atomic_store(&b->done, done);
	atomic_store(&b->total, total);
	return is_over(b);
}

static bool on_hashed(void *arg, size_t bytes)
{
	struct backup *b = arg;

	b->size += bytes;
	return !is_over(b);
}

static int hash_copy(struct backup *b)
{
	uint8_t sha[WC_SHA_BYTES];
	uint64_t size;

	if (file_hash(b->fd, UINT64_MAX, on_hashed, b, &size, sha) != 0)
		return -WC_EIO;
	wc_hex(b->sha, sha, WC_SHA_BYTES);
	return 0;
}

/* On the admin's thread: takes the one that is over out of the way. */
static void reap(void *arg, struct store_reader *unused)
{
	struct admin *a = arg;
	struct backup *b = NULL;
	(void)unused;
	pthread_mutex_lock(&a->lock);
	if (a->backup && is_over(a->backup)) {
		b = a->backup;
		a->backup = NULL;
	}
	pthread_mutex_unlock(&a->lock);
	backup_free(b);
}

static void ask_to_reap(struct admin *a)
{
	pthread_mutex_lock(&a->lock);
	if (a->thread) /* else the server stops, and sees to it itself */
		helpers_submit(a->thread, &(struct job){ .kind = JOB_UPKEEP, .run = reap, .arg = a });
	pthread_mutex_unlock(&a->lock);
}

static void make_copy(struct backup *b)
{
	struct store_dump *d = NULL;
	bool is_good = false;
	if (store_dump_open(b->a->o.store, &d) < 0) {
		wc_cause(&b->cause, "cannot open the database once more");
	} else if (store_copy(d, b->path, on_progress, b, &b->cause) == 0) {
		b->fd = open(b->path, O_RDONLY | O_CLOEXEC);
		is_good = b->fd >= 0 && hash_copy(b) == 0;
		if (!is_good)
			wc_cause(&b->cause, "cannot read the copy again: %s", strerror(errno));
	}
	store_dump_close(d);
	if (is_good)
		metric_set(M_BACKUP, (uint64_t)real_ms());
	atomic_store(&b->state, is_good ? READY : FAILED);
}

static void *run_backup(void *arg)
{
	struct backup *b = arg;
	wc_thread_is(ROLE_HELPER, "backup");
	make_copy(b);
	pthread_mutex_lock(&b->lock);
	while (!is_over(b)) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += LOOK_S;
		pthread_cond_timedwait(&b->ended, &b->lock, &until);
	}
	pthread_mutex_unlock(&b->lock);
	ask_to_reap(b->a);
	return NULL;
}

static char *copy_path(const struct admin *a, const char *suffix)
{
	char *path;
	if (asprintf(&path, "%s/backup.tmp%s", a->o.data, suffix) < 0)
		abort();
	return path;
}

void backup_clear(const struct admin *a)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
	for (size_t i = 0; i < WC_LEN(suffixes); i++) {
		char *path = copy_path(a, suffixes[i]);
		(void)unlink(path);
		free(path);
	}
}

static struct backup *backup_new(struct admin *a)
{
	struct backup *b = xcalloc(1, sizeof(*b));
	b->a = a;
	b->fd = -1;
	b->path = copy_path(a, "");
	b->number = ++a->backups;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->ended, NULL);
	atomic_store(&b->asked_ms, mono_ms());
	room_keep_blobs(a->o.room, true); /* before the copy's moment */
	int rc = pthread_create(&b->thread, NULL, run_backup, b);
	if (rc) {
		room_keep_blobs(a->o.room, false);
		pthread_mutex_destroy(&b->lock);
		pthread_cond_destroy(&b->ended);
		free(b->path);
		free(b);
		return NULL;
	}
	return b;
}

void backup_free(struct backup *b)
{
	if (!b)
		return;
	end_it(b);
	pthread_join(b->thread, NULL);
	room_keep_blobs(b->a->o.room, false);
	if (b->fd >= 0)
		close(b->fd);
	backup_clear(b->a);
	free(b->path);
	free(b->cause);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->ended);
	free(b);
}

/* The backup under way, under the lock; NULL: answered with an error, not locked. */
static struct backup *enter(struct call *c, bool must_be_ready)
{
	struct admin *a = c->a;
	pthread_mutex_lock(&a->lock);
	struct backup *b = a->backup;
	if (b && is_over(b))
		b = NULL;
	if (b && (!must_be_ready || atomic_load(&b->state) == READY)) {
		atomic_store(&b->asked_ms, mono_ms());
		return b;
	}
	pthread_mutex_unlock(&a->lock);
	call_fail(c, 409, "no_backup",
	          b ? "the copy is not ready" : "no backup is under way: it ended, or its maker was silent for too long");
	return NULL;
}

static void leave(struct call *c)
{
	pthread_mutex_unlock(&c->a->lock);
}

/* --- The beginning, and the request that holds a backup */

struct hold {
	struct admin *a;
	uint64_t number;
};

/* A byte of the request that holds it has come: its maker is alive. */
static int on_beat(void *arg, const void *data, size_t n)
{
	struct hold *h = arg;
	bool is_there;
	(void)data;
	(void)n;
	pthread_mutex_lock(&h->a->lock);
	struct backup *b = h->a->backup;
	is_there = b && b->number == h->number && !atomic_load(&b->is_ended);
	if (is_there)
		atomic_store(&b->asked_ms, mono_ms());
	pthread_mutex_unlock(&h->a->lock);
	return !is_there;
}

/* The request is over, whether whole, broken off or silent for too long: so is the backup. Thread: the door's transfer thread. */
static void hold_done(void *arg, struct http_req *r, bool ok)
{
	struct hold *h = arg;
	pthread_mutex_lock(&h->a->lock);
	struct backup *b = h->a->backup;
	if (b && b->number == h->number)
		end_it(b); /* its own thread then asks for the rest */
	pthread_mutex_unlock(&h->a->lock);
	if (ok)
		http_json(r, 200, "{}");
	free(h);
}

static void start_noted(struct call *c)
{
	struct admin *a = c->a;
	const bool is_held = c->verb->start == verb_backup_hold;
	struct hold *h = NULL;
	pthread_mutex_lock(&a->lock);
	const bool is_busy = a->backup != NULL; /* another one came between */
	struct backup *b = is_busy ? NULL : backup_new(a);
	if (b) {
		a->backup = b;
		h = is_held ? xmalloc(sizeof(*h)) : NULL;
		if (h)
			*h = (struct hold){ a, b->number };
	}
	pthread_mutex_unlock(&a->lock);
	if (!b) {
		call_fail(c, is_busy ? 409 : 503, "busy", is_busy ? "another backup is under way" : "no thread can be started now");
		return;
	}
	if (!h) {
		call_reply(c);
		return;
	}
	struct http_req *r = c->r;
	call_free(c);
	http_receive(r, (uint64_t)http_content_length(r), &(struct http_body){ .write = on_beat, .done = hold_done, .arg = h });
}

/* On the admin's thread, where one that is over can be waited for. */
static void begin(struct call *c)
{
	struct admin *a = c->a;
	reap(a, NULL);
	pthread_mutex_lock(&a->lock);
	const bool is_busy = a->backup != NULL;
	pthread_mutex_unlock(&a->lock);
	if (is_busy) {
		call_fail(c, 409, "busy", "another backup is under way");
		return;
	}
	call_note(c, xstrdup("{}"), start_noted);
}

void verb_backup_start(struct call *c)
{
	if (!c->a->o.keeps_data)
		call_fail(c, 409, "nothing_kept", "the server keeps nothing (--data :memory:): there is nothing to back up");
	else
		call_read(c, begin);
}

void verb_backup_hold(struct call *c)
{
	if (http_content_length(c->r) <= 0)
		call_fail(c, 400, "bad_request", "this wants a body that goes on for as long as the backup is wanted");
	else
		verb_backup_start(c);
}

void verb_backup_state(struct call *c)
{
	static const char *const names[] = { "copying", "ready", "failed" };
	struct backup *b = enter(c, false);
	if (!b)
		return;
	struct buf *out = &c->c.out;
	enum state state = atomic_load(&b->state);
	buf_printf(out, "{\"state\":\"%s\",\"done\":%llu,\"total\":%llu", names[state], (unsigned long long)atomic_load(&b->done),
	           (unsigned long long)atomic_load(&b->total));
	if (state == READY)
		buf_printf(out, ",\"size\":%llu,\"sha256\":\"%s\"", (unsigned long long)b->size, b->sha);
	if (state == FAILED) {
		buf_puts(out, ",\"cause\":");
		json_str(out, str_of(b->cause));
	}
	buf_putc(out, '}');
	leave(c);
	c->c.status = 200;
	call_reply(c);
}

void verb_backup_database(struct call *c)
{
	struct backup *b = enter(c, true);
	if (!b)
		return;
	int fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 3);
	uint64_t size = b->size;
	leave(c);
	if (fd < 0)
		call_fail(c, 503, "busy", "no descriptor is left");
	else
		call_reply_fd(c, fd, size);
}

static int put_blob(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size)
{
	struct buf *b = arg;
	char hex[2 * WC_SHA_BYTES + 1];
	wc_hex(hex, sha, WC_SHA_BYTES);
	if (b->p[b->len - 1] != '[')
		buf_putc(b, ',');
	buf_printf(b, "{\"sha\":\"%s\",\"size\":%llu}", hex, (unsigned long long)size);
	return 0;
}

static void list_blobs(struct call *c)
{
	uint8_t after[WC_SHA_BYTES];
	bool has_after = arg_sha(c, "after", after);
	struct backup *b = enter(c, true);
	if (!b)
		return;
	buf_puts(&c->c.out, "{\"blobs\":[");
	int n = store_copy_blobs(b->path, has_after ? after : NULL, BLOBS_PAGE, put_blob, &c->c.out);
	leave(c);
	buf_printf(&c->c.out, "],\"more\":%s}", n == BLOBS_PAGE ? "true" : "false");
	c->c.status = 200;
	if (n < 0)
		call_fail(c, 507, "storage", "the copy cannot be read");
	else
		call_reply(c);
}

void verb_backup_blobs(struct call *c)
{
	call_read(c, list_blobs);
}

static void hand_blob(struct call *c)
{
	uint8_t sha[WC_SHA_BYTES];
	uint64_t size = 0;
	struct backup *b = enter(c, true);
	if (!b)
		return;
	leave(c);
	int fd = arg_sha(c, "sha", sha) ? blob_get(c->a->o.blobs, sha, &size) : -WC_ENOENT;
	if (fd < 0)
		call_fail(c, fd == -WC_ENOENT ? 404 : 507, fd == -WC_ENOENT ? "no_such_blob" : "storage", "these bytes cannot be read");
	else
		call_reply_fd(c, fd, size);
}

void verb_backup_blob(struct call *c)
{
	call_read(c, hand_blob);
}

static void end(struct call *c)
{
	struct backup *b = enter(c, false);
	if (!b)
		return;
	c->a->backup = NULL;
	leave(c);
	backup_free(b); /* a copy that is being made ends at its next step */
	c->c.status = 200;
	buf_puts(&c->c.out, "{}");
	call_reply(c);
}

void verb_backup_end(struct call *c)
{
	call_read(c, end);
}
