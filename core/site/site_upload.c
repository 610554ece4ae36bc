/* site_upload.c — /upload: the holder of a token sends a file (POST), asks how far it got (GET), or gives it up (DELETE).
 *
 * Owns an upload from its request to its answer, in a struct of a few hundred bytes. The body goes from the transfer thread's buffer to the
 * disk. Never believes a length before it has compared it; never says why a token is refused.
 *
 *   worker: syntax ──▶ room: token, sanctions, limits ──▶ helper: places, upload_begin ──▶ transfer thread: upload_write … ──▶ helper:
 *   upload_finish
 *
 * Each arrow hands on the struct, so nothing in it is locked. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/sha256.h"
#include "files/blob.h"
#include "files/leave.h"
#include "http/httpcheck.h"
#include "site/impl.h"

#define TOKEN_TEXT_BYTES 256 /* 256 bits in hex are 64; longer than this is no token */
#define LOG_MS (60 * 1000)

struct upload_job {
	struct site *site;
	struct http_req *r;
	struct upload *u;
	struct leave leave;
	struct upload_place place; /* with the key */
	job_fn then;               /* once the room has answered */
	uint64_t size, offset, length;
	int error; /* of upload_write */
};

/* --- Answers. */

static void answer(struct http_req *r, int status, const char *headers, const char *fmt, ...) WC_PRINTF(4, 5);

static void answer(struct http_req *r, int status, const char *headers, const char *fmt, ...)
{
	char json[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(json, sizeof(json), fmt, ap);
	va_end(ap);
	http_reply(r, &(struct http_reply){
			      .status = status,
			      .content_type = "application/json",
			      .headers = headers ? headers : "Cache-Control: no-store\r\n",
			      .body = json,
			      .body_len = strlen(json),
		      });
}

static void answer_bad(struct http_req *r, const char *what)
{
	answer(r, 400, NULL, "{\"error\":\"bad_request\",\"text\":\"%s\"}", what);
}

static void answer_unauthorized(struct http_req *r)
{
	static struct log_gap gap;
	uint64_t missed;
	metric_add(M_REFUSED_TOKEN, 1);
	if (log_gap_is_over(&gap, LOG_MS, &missed))
		log_info("upload refused", "reason=bad_token more=%llu", (unsigned long long)missed);
	answer(r, 401, "Cache-Control: no-store\r\nWWW-Authenticate: Bearer\r\n", "{\"error\":\"bad_token\"}");
}

static void answer_state(struct http_req *r, const struct upload_state *s)
{
	if (*s->handle)
		answer(r, 200, NULL, "{\"blob\":\"%s\",\"size\":%llu,\"offset\":%llu}", s->handle, (unsigned long long)s->size,
		       (unsigned long long)s->offset);
	else
		answer(r, 200, NULL, "{\"size\":%llu,\"offset\":%llu}", (unsigned long long)s->size, (unsigned long long)s->offset);
}

static bool is_read_only(const struct site *site)
{
	return site->is_read_only && site->is_read_only();
}

static void answer_lockdown(const struct site *site, struct http_req *r)
{
	int64_t left_ms = site->read_only_left_ms ? site->read_only_left_ms() : 0;
	char headers[96] = "Cache-Control: no-store\r\n";
	metric_add(M_LOCKDOWN_UPLOADS, 1);
	if (!left_ms) {
		answer(r, 423, headers, "{\"error\":\"lockdown\"}");
		return;
	}
	snprintf(headers, sizeof(headers), "Cache-Control: no-store\r\nRetry-After: %lld\r\n", (long long)(left_ms + 999) / 1000);
	answer(r, 423, headers, "{\"error\":\"lockdown\",\"retry_ms\":%lld}", (long long)left_ms);
}

/* Answers an error of blob.h; -WC_EDENIED: a lockdown. */
static void answer_error(const struct site *site, struct http_req *r, int error, const struct upload_state *s)
{
	switch (-error) {
	case WC_ECONFLICT: answer(r, 409, NULL, "{\"error\":\"conflict\",\"offset\":%llu}", (unsigned long long)s->offset); break;
	case WC_ETOOBIG: answer(r, 429, "Cache-Control: no-store\r\nRetry-After: 10\r\n", "{\"error\":\"busy\"}"); break;
	case WC_EDENIED: answer_lockdown(site, r); break;
	case WC_EFULL:
		metric_add(M_REFUSED_STORAGE, 1);
		answer(r, 507, NULL,
		       "{\"error\":\"storage\",\"text\":\"The server's room for files is used up. "
		       "Its admin can give more or delete some\"}");
		break;
	case WC_ESTORAGE:
		metric_add(M_REFUSED_STORAGE, 1);
		answer(r, 507, NULL,
		       "{\"error\":\"storage\",\"text\":\"The server takes no files now: its disk is full or failing. Tell its admin\"}");
		break;
	default: answer(r, 503, "Cache-Control: no-store\r\nRetry-After: 5\r\n", "{\"error\":\"busy\"}"); break;
	}
}

/* --- What is asked. */

/* Tokens are looked up by their hash: then the time of a look-up says nothing about the beginning of any token. */
static bool read_token(const struct http_req *r, uint8_t hash[WC_SHA_BYTES])
{
	const char *p = http_header(r, "Authorization");
	if (!p || strncasecmp(p, "Bearer ", 7) != 0)
		return false;
	p += 7;
	p += strspn(p, " ");
	size_t len = strcspn(p, " \t");
	if (len == 0 || len > TOKEN_TEXT_BYTES || p[len])
		return false;
	sha256(hash, p, len);
	return true;
}

enum found { FOUND, ABSENT, MALFORMED };

/* A decoded value is never longer than the request's target, so here nothing is too long to be told from what is absent. */
static enum found read_key(const struct http_req *r, char key[UPLOAD_KEY_BYTES + 1])
{
	char raw[HTTP_TARGET_BYTES + 1];
	if (!http_query(r, "key", raw, sizeof(raw)))
		return ABSENT;
	size_t len = strlen(raw);
	if (len == 0 || len > UPLOAD_KEY_BYTES)
		return MALFORMED;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)raw[i]) && raw[i] != '-' && raw[i] != '_')
			return MALFORMED;
	memcpy(key, raw, len + 1);
	return FOUND;
}

static enum found read_number(const struct http_req *r, const char *name, uint64_t *out)
{
	char raw[HTTP_TARGET_BYTES + 1];
	if (!http_query(r, name, raw, sizeof(raw)))
		return ABSENT;
	size_t len = strlen(raw);
	if (len == 0 || len > 18 || strspn(raw, "0123456789") != len) /* 18 digits cannot overflow */
		return MALFORMED;
	*out = strtoull(raw, NULL, 10);
	return FOUND;
}

static struct str key_of(const struct upload_job *job)
{
	return (struct str){ job->place.key, strlen(job->place.key) };
}

/* --- The room's leave. */

static void free_job(struct upload_job *job)
{
	free(job->leave.words);
	free(job);
}

/* Once a minute: an admin learns that limits or sanctions turn uploads away. */
static void log_refused(const struct upload_job *job, const char *why)
{
	static struct log_gap gap;
	uint64_t missed;

	if (log_gap_is_over(&gap, LOG_MS, &missed))
		log_info("upload refused", "from=%llu reason=%s more=%llu", (unsigned long long)job->leave.identity_id, why,
		         (unsigned long long)missed);
}

static void answer_refused(const struct upload_job *job, int status, const char *error)
{
	const struct leave *l = &job->leave;
	char headers[96] = "Cache-Control: no-store\r\n";
	struct buf b;

	log_refused(job, error);
	buf_init(&b, 16 * 1024);
	buf_printf(&b, "{\"error\":\"%s\"", error);
	if (l->words) {
		buf_puts(&b, ",\"text\":");
		json_str(&b, str_of(l->words));
	}
	if (l->wait_ms) {
		buf_printf(&b, ",\"retry_ms\":%lld", (long long)l->wait_ms);
		snprintf(headers, sizeof(headers), "Cache-Control: no-store\r\nRetry-After: %lld\r\n",
		         (long long)(l->wait_ms + 999) / 1000);
	}
	buf_putc(&b, '}');
	http_reply(job->r, &(struct http_reply){ .status = b.failed ? 503 : status,
	                                         .content_type = "application/json",
	                                         .headers = headers,
	                                         .body = b.failed ? "" : b.p,
	                                         .body_len = b.failed ? 0 : b.len });
	buf_fini(&b);
}

/* May it go on? Answers and frees job if not. Thread: helper or transfer. */
static bool has_leave(struct upload_job *job)
{
	switch (job->leave.verdict) {
	case LEAVE_GIVEN: return true;
	case LEAVE_NOBODY: answer_unauthorized(job->r); break;
	case LEAVE_BANNED: answer_refused(job, 403, "banned"); break;
	case LEAVE_PASSWORD: answer_refused(job, 403, "password_required"); break;
	case LEAVE_MUTED: answer_refused(job, 403, "muted"); break;
	case LEAVE_WAIT: answer_refused(job, 429, "rate_limited"); break;
	}
	free_job(job);
	return false;
}

/* Bytes that did not come, or came to nothing through no fault of their sender's, are not held against the sender. */
static void give_back(const struct upload_job *job, uint64_t bytes)
{
	if (bytes)
		job->site->give_back(job->site->room, &job->leave, bytes);
}

static void fail(struct upload_job *job, int error, const struct upload_state *state)
{
	answer_error(job->site, job->r, error, state);
	free_job(job);
}

/* --- Its jobs. */

static bool is_moot(const void *arg)
{
	const struct upload_job *job = arg;
	return http_is_gone(job->r);
}

/* The bytes that arrived are kept, and the upload can be gone on with. */
static void drop(void *arg)
{
	struct upload_job *job = arg;
	if (job->u)
		upload_suspend(job->u);
	if (job->leave.verdict == LEAVE_GIVEN)
		give_back(job, job->length - job->place.came);
	fail(job, -WC_EAGAIN, NULL);
}

/* People of one address are told apart by their tokens. */
static struct job job_of(struct upload_job *job, job_fn run)
{
	struct job j = { .kind = JOB_UPLOAD, .run = run, .arg = job, .drop = drop };
	memcpy(&j.owner.person, job->leave.token, sizeof(j.owner.person));
	return j;
}

/* Of an upload whose bytes are here: it ends, also when its client is gone. */
static void submit_last(struct upload_job *job, job_fn run)
{
	struct job j = job_of(job, run);
	http_address(job->r, j.owner.addr);
	helpers_submit(job->site->helpers, &j);
}

/* Thread: room. */
static void leave_answered(struct leave *l)
{
	struct upload_job *job = (struct upload_job *)((char *)l - offsetof(struct upload_job, leave));
	struct job j = job_of(job, job->then);
	http_address(job->r, j.owner.addr);
	j.is_moot = is_moot;
	helpers_submit(job->site->helpers, &j);
}

/* Asks the room, and goes on with `then` on a helper. */
static void ask_leave(struct upload_job *asked, bool writes, job_fn then)
{
	static const uint8_t none[16];
	struct upload_job *job;
	struct job j = job_of(asked, then);
	if (!site_has_time(asked->site, asked->r, &j))
		return;
	job = xmalloc(sizeof(*job));
	*job = *asked;
	job->then = then;
	job->leave.writes = writes;
	job->leave.bytes = job->length;
	memcpy(job->leave.address, j.owner.addr, sizeof(job->leave.address));
	job->leave.has_address = memcmp(j.owner.addr, none, sizeof(none)) != 0;
	job->leave.done = leave_answered;
	job->site->ask_leave(job->site->room, &job->leave);
}

/* --- POST. */

/* Another connection goes on with this upload, and this one hears how far that got; or it was given up. */
static void answer_taken(struct upload_job *job)
{
	struct upload_state state;
	int rc = upload_find(job->site->blobs, job->leave.identity_id, key_of(job), &state);
	fail(job, rc == 0 || rc == -WC_ENOENT ? -WC_ECONFLICT : rc, &state);
}

static void finish_upload(void *arg, struct store_reader *reader)
{
	struct upload_job *job = arg;
	struct upload_state state;
	(void)reader;
	if (leave_is_withdrawn(&job->leave)) {
		upload_suspend(job->u);
		(void)has_leave(job);
		return;
	}
	int rc = upload_finish(job->u, &state);
	if (rc == -WC_ECLOSED) {
		answer_taken(job);
		return;
	}
	if (rc) {
		fail(job, rc, &state);
		return;
	}
	log_debug("upload", "from=%llu bytes=%llu", (unsigned long long)job->leave.identity_id, (unsigned long long)state.size);
	answer_state(job->r, &state);
	free_job(job);
}

static void tell_taken(void *arg, struct store_reader *reader)
{
	(void)reader;
	answer_taken(arg);
}

static int write_body(void *arg, const void *data, size_t n)
{
	struct upload_job *job = arg;
	const bool may_write = !is_read_only(job->site) && !leave_is_withdrawn(&job->leave);
	if (atomic_load(&job->place.is_over))
		job->error = -WC_EAGAIN;
	else
		job->error = may_write ? upload_write(job->u, data, n) : -WC_EDENIED;
	if (!job->error)
		atomic_fetch_add(&job->place.came, n);
	return job->error;
}

/* Thread: transfer. Not ok: r is dead when this returns. */
static void body_done(void *arg, struct http_req *r, bool ok)
{
	struct upload_job *job = arg;
	(void)r;
	places_leave(job->site, &job->place);
	give_back(job, job->length - job->place.came);
	job->length = job->place.came;
	if (ok && !job->error) {
		submit_last(job, finish_upload);
		return;
	}
	upload_suspend(job->u);
	job->u = NULL;
	if (atomic_load(&job->place.is_over)) {
		metric_add(M_REFUSED_UPLOADS, 1);
		log_refused(job, "displaced");
	}
	if (!ok)
		free_job(job);
	else if (job->error == -WC_ECLOSED)
		submit_last(job, tell_taken);
	else if (has_leave(job)) /* it may have been withdrawn */
		fail(job, job->error, NULL);
}

/* The three lengths of a request against each other; NULL: they agree. */
static const char *what_is_wrong(const struct upload_job *job)
{
	if (job->size == 0)
		return "an empty file";
	if (job->offset > job->size)
		return "offset is past the end";
	if (job->length != job->size - job->offset)
		return "Content-Length is not size - offset";
	return NULL;
}

/* The sizes, once it is known that a person of this chat asks. Answers if they are refused. */
static bool has_good_sizes(const struct upload_job *job)
{
	const int max_file_mb = job->site->max_file_mb;
	const char *wrong = what_is_wrong(job);
	if (job->size > (uint64_t)max_file_mb << 20)
		answer(job->r, 413, NULL, "{\"error\":\"too_large\",\"max_file_mb\":%d}", max_file_mb);
	else if (wrong)
		answer_bad(job->r, wrong);
	else
		return true;
	return false;
}

/* Takes a place and begins. 0: the body may come, or *state is whole already; else why not. */
static int begin(struct upload_job *job, struct upload_state *state)
{
	struct upload_place *p = &job->place;
	p->identity_id = job->leave.identity_id;
	p->is_counted = !job->leave.is_exempt;
	memcpy(p->address, job->leave.address, sizeof(p->address));
	int status = places_take(job->site, p, http_has_descriptor(job->r));
	if (status) {
		metric_add(M_REFUSED_UPLOADS, 1);
		log_refused(job, "places");
		return status == 429 ? -WC_ETOOBIG : -WC_EAGAIN;
	}
	int rc = upload_begin(job->site->blobs, p->identity_id, key_of(job), job->size, job->offset, &job->u, state);
	if (rc == -WC_ETOOBIG) { /* too many of this person are unfinished */
		metric_add(M_REFUSED_UPLOADS, 1);
		log_refused(job, "unfinished");
	}
	if (rc || !job->u)
		places_leave(job->site, p);
	return rc;
}

static void begin_upload(void *arg, struct store_reader *reader)
{
	struct upload_job *job = arg;
	struct upload_state state;
	(void)reader;
	if (!has_leave(job))
		return;
	if (!has_good_sizes(job)) {
		give_back(job, job->length);
		free_job(job);
		return;
	}
	int rc = begin(job, &state);
	if (rc || !job->u)
		give_back(job, job->length);
	if (rc) {
		fail(job, rc, &state);
	} else if (!job->u) {
		answer_state(job->r, &state); /* it was complete; only the answer had got lost */
		free_job(job);
	} else {
		http_receive(job->r, job->length, &(struct http_body){ .write = write_body, .done = body_done, .arg = job });
	}
}

void site_upload_post(void *arg, struct http_req *r)
{
	struct upload_job asked = { .site = arg, .r = r };
	int64_t length = http_content_length(r);
	uint8_t key[UPLOAD_KEY_BYTES / 2];
	if (!read_token(r, asked.leave.token)) {
		answer_unauthorized(r);
		return;
	}
	if (is_read_only(arg)) {
		answer_lockdown(arg, r);
		return;
	}
	if (length < 0) {
		answer(r, 411, NULL, "{\"error\":\"bad_request\",\"text\":\"Content-Length is missing\"}");
		return;
	}
	asked.length = (uint64_t)length;
	enum found has_key = read_key(r, asked.place.key);
	if (has_key == MALFORMED || read_number(r, "size", &asked.size) != FOUND || read_number(r, "offset", &asked.offset) == MALFORMED) {
		answer_bad(r, "key, size or offset");
		return;
	}
	if (has_key == ABSENT) {
		wc_random(key, sizeof(key));
		wc_hex(asked.place.key, key, sizeof(key));
	}
	ask_leave(&asked, true, begin_upload);
}

/* --- GET and DELETE. */

static void answer_not_found(struct http_req *r)
{
	answer(r, 404, NULL, "{\"error\":\"not_found\"}");
}

static void find_upload(void *arg, struct store_reader *reader)
{
	struct upload_job *job = arg;
	struct upload_state state;
	(void)reader;
	if (!has_leave(job))
		return;
	int rc = upload_find(job->site->blobs, job->leave.identity_id, key_of(job), &state);
	if (rc == 0)
		answer_state(job->r, &state);
	else if (rc == -WC_ENOENT)
		answer_not_found(job->r);
	else
		answer_error(job->site, job->r, rc, &state);
	free_job(job);
}

static void drop_upload(void *arg, struct store_reader *reader)
{
	struct upload_job *job = arg;
	(void)reader;
	if (!has_leave(job))
		return;
	int rc = upload_drop(job->site->blobs, job->leave.identity_id, key_of(job));
	if (rc == 0)
		http_reply(job->r, &(struct http_reply){ .status = 204, .headers = "Cache-Control: no-store\r\n", .body = "" });
	else if (rc == -WC_ENOENT)
		answer_not_found(job->r);
	else
		answer_error(job->site, job->r, rc, NULL);
	free_job(job);
}

static void ask_about(void *arg, struct http_req *r, job_fn then)
{
	struct upload_job asked = { .site = arg, .r = r };
	if (!read_token(r, asked.leave.token))
		answer_unauthorized(r);
	else if (read_key(r, asked.place.key) != FOUND)
		answer_bad(r, "key");
	else
		ask_leave(&asked, false, then);
}

void site_upload_get(void *arg, struct http_req *r)
{
	ask_about(arg, r, find_upload);
}

void site_upload_delete(void *arg, struct http_req *r)
{
	ask_about(arg, r, drop_upload);
}
