/* admin_verify.c — the verbs of a check: of the database while the server runs, and lists for comparing every file with its name.
 *
 * The database is checked on a thread of its own, at half speed. The check ends when nobody asks for its result any more. Lists are pages
 * of bounded time on the admin's own thread. Changes nothing. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/impl.h"
#include "store/store_verify.h"

#define IDLE_MS (30 * 1000)   /* after that long without a question, nobody wants the result */
#define REST_NS (3 * 1000000) /* after each few ms of work: people come first */
#define PAGE_ROWS 1000
#define PAGE_MS 100
#define SHELVES 256
#define GRACE_MS (10 * 60 * 1000)

struct db_check {
	struct admin *a;
	pthread_t thread;
	_Atomic bool is_ended, is_done;
	_Atomic int64_t asked_ms; /* monotonic */
	/* good once is_done */
	bool is_failed;
	int faults;
	struct buf list; /* their words, as JSON strings with commas between */
	struct store_totals totals;
};

static bool is_wanted(void *arg)
{
	struct db_check *k = arg;
	nanosleep(&(struct timespec){ 0, REST_NS }, NULL);
	return !atomic_load(&k->is_ended) && mono_ms() - atomic_load(&k->asked_ms) < IDLE_MS;
}

static void on_fault(void *arg, struct str fault)
{
	struct db_check *k = arg;
	if (k->list.len)
		buf_putc(&k->list, ',');
	json_str(&k->list, fault);
}

static void *check(void *arg)
{
	struct db_check *k = arg;
	struct store_verify *v = NULL;
	wc_thread_is(ROLE_HELPER, "verify");
	if (store_verify_live(k->a->o.store, &v) == 0) {
		k->faults = store_verify_database(v, is_wanted, on_fault, k);
		k->is_failed = k->faults < 0 || store_verify_totals(v, &k->totals) < 0;
		store_verify_close(v);
	} else {
		k->is_failed = true;
	}
	atomic_store(&k->is_done, true);
	return NULL;
}

void db_check_free(struct db_check *k)
{
	if (!k)
		return;
	atomic_store(&k->is_ended, true);
	pthread_join(k->thread, NULL);
	buf_fini(&k->list);
	free(k);
}

static void start_noted(struct call *c)
{
	struct admin *a = c->a;
	bool is_there = true;
	pthread_mutex_lock(&a->lock);
	if (!a->check) {
		struct db_check *k = xcalloc(1, sizeof(*k));
		k->a = a;
		buf_init(&k->list, 1 << 20);
		atomic_store(&k->asked_ms, mono_ms());
		is_there = pthread_create(&k->thread, NULL, check, k) == 0;
		if (is_there)
			a->check = k;
		else
			free(k);
	}
	pthread_mutex_unlock(&a->lock);
	if (is_there)
		call_reply(c);
	else
		call_fail(c, 503, "busy", "no thread can be started now");
}

/* A check under way is as good as a new one; a result of before is not. */
static void begin(struct call *c)
{
	struct admin *a = c->a;
	struct db_check *old = NULL;
	pthread_mutex_lock(&a->lock);
	if (a->check && (atomic_load(&a->check->is_done) || !is_wanted(a->check))) {
		old = a->check;
		a->check = NULL;
	} else if (a->check) {
		atomic_store(&a->check->asked_ms, mono_ms());
	}
	pthread_mutex_unlock(&a->lock);
	db_check_free(old);
	call_note(c, xstrdup("{}"), start_noted);
}

static bool keeps_something(struct call *c)
{
	if (c->a->o.keeps_data)
		return true;
	call_fail(c, 409, "nothing_kept", "the server keeps nothing (--data :memory:): there is nothing to verify");
	return false;
}

void verb_verify_start(struct call *c)
{
	if (keeps_something(c))
		call_read(c, begin);
}

void verb_verify_state(struct call *c)
{
	struct admin *a = c->a;
	struct buf *out = &c->c.out;
	pthread_mutex_lock(&a->lock);
	struct db_check *k = a->check;
	if (k) {
		const bool is_done = atomic_load(&k->is_done);
		atomic_store(&k->asked_ms, mono_ms());
		buf_printf(out, "{\"state\":\"%s\"", !is_done ? "checking" : k->is_failed ? "failed" : "done");
		if (is_done && !k->is_failed)
			buf_printf(out,
			           ",\"faults\":[%.*s],\"messages\":%llu,\"people\":%llu,\"files\":%llu,\"bytes\":%llu,\"newest_ms\":%lld",
			           (int)k->list.len, k->list.p ? k->list.p : "", (unsigned long long)k->totals.messages,
			           (unsigned long long)k->totals.people, (unsigned long long)k->totals.blobs,
			           (unsigned long long)k->totals.blob_bytes, (long long)k->totals.newest_ms);
		buf_putc(out, '}');
	}
	pthread_mutex_unlock(&a->lock);
	if (!k) {
		call_fail(c, 409, "no_check", "no check of the database was begun: POST /v1/verify begins one");
		return;
	}
	c->c.status = 200;
	call_reply(c);
}

/* --- Lists, on the admin's thread */

static struct store_verify *reader(struct call *c)
{
	struct admin *a = c->a;
	if (!a->verify && store_verify_live(a->o.store, &a->verify) < 0)
		call_fail_storage(c);
	return a->verify;
}

static void put_hex(struct buf *b, const uint8_t sha[WC_SHA_BYTES])
{
	char hex[2 * WC_SHA_BYTES + 1];
	wc_hex(hex, sha, WC_SHA_BYTES);
	buf_printf(b, "%s{\"sha\":\"%s\"", b->p[b->len - 1] == '[' ? "" : ",", hex);
}

static void end_page(struct call *c, int rc, const char *upto, bool more)
{
	if (rc < 0) {
		call_fail(c, 507, "storage", "what is stored cannot be read now. The server's log says why");
		return;
	}
	buf_printf(&c->c.out, ",\"upto\":\"%s\",\"more\":%s}", upto, more ? "true" : "false");
	c->c.status = 200;
	call_reply(c);
}

struct page {
	struct buf *out;
	uint8_t last[WC_SHA_BYTES];
};

static int put_blob(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size)
{
	struct page *p = arg;
	put_hex(p->out, sha);
	buf_printf(p->out, ",\"size\":%llu}", (unsigned long long)size);
	memcpy(p->last, sha, WC_SHA_BYTES);
	return 0;
}

static void list_blobs(struct call *c)
{
	struct page p = { .out = &c->c.out };
	const bool has_after = arg_sha(c, "after", p.last);
	struct store_verify *v = reader(c);
	char upto[2 * WC_SHA_BYTES + 1];
	if (!v)
		return;
	buf_puts(p.out, "{\"blobs\":[");
	int n = store_verify_blobs(v, has_after ? p.last : NULL, PAGE_ROWS, put_blob, &p);
	wc_hex(upto, p.last, WC_SHA_BYTES);
	buf_putc(p.out, ']');
	end_page(c, n, upto, n == PAGE_ROWS);
}

void verb_verify_blobs(struct call *c)
{
	if (keeps_something(c))
		call_read(c, list_blobs);
}

static void hand_blob(struct call *c)
{
	uint8_t sha[WC_SHA_BYTES];
	uint64_t size = 0;
	struct store_verify *v = reader(c);
	if (!v)
		return;
	if (!arg_sha(c, "sha", sha)) {
		call_fail(c, 400, "bad_request", "sha is 64 digits of a file's SHA-256, in hex");
		return;
	}
	int fd = blob_get(c->a->o.blobs, sha, &size);
	if (fd >= 0)
		call_reply_fd(c, fd, size);
	else if (store_verify_has_blob(v, sha) == 0)
		call_fail(c, 404, "deleted", "no message stands for these bytes any more");
	else
		call_fail(c, fd == -WC_ENOENT ? 404 : 507, fd == -WC_ENOENT ? "no_such_blob" : "storage", "these bytes cannot be read");
}

void verb_verify_blob(struct call *c)
{
	if (keeps_something(c))
		call_read(c, hand_blob);
}

static void put_file(void *arg, uint64_t msg_id, const uint8_t sha[WC_SHA_BYTES], struct str filename)
{
	struct buf *b = arg;
	put_hex(b, sha);
	buf_printf(b, ",\"message\":%llu,\"filename\":", (unsigned long long)msg_id);
	json_str(b, filename);
	buf_putc(b, '}');
}

static void list_files(struct call *c)
{
	struct store_verify *v = reader(c);
	int64_t after = 0;
	uint64_t last = 0;
	char upto[32];
	if (!v)
		return;
	(void)arg_int(c, "after", &after);
	buf_puts(&c->c.out, "{\"files\":[");
	int n = store_verify_files(v, (uint64_t)WC_MAX(after, 0), PAGE_ROWS, put_file, &c->c.out, &last);
	snprintf(upto, sizeof(upto), "%llu", (unsigned long long)last);
	buf_putc(&c->c.out, ']');
	end_page(c, n, upto, n == PAGE_ROWS);
}

void verb_verify_files(struct call *c)
{
	if (keeps_something(c))
		call_read(c, list_files);
}

struct strays {
	struct store_verify *v;
	struct buf *out;
	int listed;
	uint64_t files, count, old, bytes; /* old: past the time in which a message may still be on its way */
};

static int on_stored(void *arg, const uint8_t sha[WC_SHA_BYTES], uint64_t size, int64_t age_ms)
{
	struct strays *s = arg;
	int has = store_verify_explains(s->v, sha);
	s->files++;
	if (has != 0)
		return 0; /* in doubt it is wanted */
	s->count++;
	s->old += age_ms >= GRACE_MS;
	s->bytes += size;
	if (s->listed++ < PAGE_ROWS) {
		put_hex(s->out, sha);
		buf_printf(s->out, ",\"size\":%llu,\"age_s\":%lld}", (unsigned long long)size, (long long)WC_MAX(age_ms / 1000, 0));
	}
	return 0;
}

/* Folder by folder, for as long as a page may take. */
static void list_strays(struct call *c)
{
	struct strays s = { .v = reader(c), .out = &c->c.out };
	const int64_t deadline_ms = mono_ms() + PAGE_MS;
	int64_t shelf = 0;
	char upto[32];
	int rc = 0;
	if (!s.v)
		return;
	shelf = arg_int(c, "after", &shelf) ? WC_MAX(shelf, -1) + 1 : 0;
	buf_puts(s.out, "{\"strays\":[");
	do
		rc = shelf < SHELVES ? blobs_each_on_shelf(c->a->o.blobs, (uint8_t)shelf, on_stored, &s) : 0;
	while (rc == 0 && ++shelf < SHELVES && s.listed < PAGE_ROWS && mono_ms() < deadline_ms);
	buf_printf(s.out, "],\"files\":%llu,\"count\":%llu,\"old\":%llu,\"bytes\":%llu", (unsigned long long)s.files,
	           (unsigned long long)s.count, (unsigned long long)s.old, (unsigned long long)s.bytes);
	snprintf(upto, sizeof(upto), "%lld", (long long)shelf - 1);
	end_page(c, rc, upto, shelf < SHELVES);
}

void verb_verify_strays(struct call *c)
{
	if (keeps_something(c))
		call_read(c, list_strays);
}
