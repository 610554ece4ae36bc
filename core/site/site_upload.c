/* site_upload.c — /upload: the holder of a token sends a file (POST), resumes after a broken connection, or asks for the offset (GET).
 *
 * Owns an upload from its request to its answer, in a struct of a few hundred bytes. The body goes from the transfer thread's buffer to the
 * disk. Never believes a length before it has compared it; never says why a token is refused.
 *
 *   worker: syntax ──▶ helper: token, limit, upload_begin ──▶ transfer thread: upload_write … ──▶ helper: upload_finish
 *
 * Each arrow hands on the struct, so nothing in it is locked. */
#include <ctype.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/sha256.h"
#include "files/blob.h"
#include "http/httpcheck.h"
#include "site/impl.h"
#include "store/store.h"

#define KEY_BYTES 64
#define TOKEN_TEXT_BYTES 256 /* 256 bits in hex are 64; longer than this is no token */

struct upload_job {
	struct site *site;
	struct http_req *r;
	struct upload *u;
	uint8_t token[WC_SHA_BYTES]; /* its hash */
	char key[KEY_BYTES + 1];
	uint64_t identity_id, size, offset, length;
	int error;               /* of upload_write */
	struct upload_job *next; /* in site->uploads */
};

/* --- How many at once. Each takes a descriptor, and the disk. */

static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER; /* site->uploads and its count */

/* A connection that resumes an upload takes the place of the broken one, which may not have been noticed yet. So one upload with the same
 * key does not count; further ones do. Returns 0 and counts it; 429: this person has too many; 503: there are too many in all. */
static int count_upload(struct upload_job *job)
{
	const struct site *site = job->site;
	const int max = site->max_uploads, max_own = site->max_uploads_per_user;
	int own = 0, same = 0, status = 0;
	pthread_mutex_lock(&count_lock);
	for (const struct upload_job *other = job->site->uploads; other; other = other->next)
		if (other->identity_id == job->identity_id)
			own += strcmp(other->key, job->key) != 0 || same++ > 0;
	if (max_own && own >= max_own)
		status = 429;
	else if ((max && site->upload_count >= max) || !http_has_descriptor(job->r))
		status = 503;
	if (!status) {
		job->next = job->site->uploads;
		job->site->uploads = job;
		job->site->upload_count++;
		atomic_fetch_add(&job->site->upload_descriptors, 1);
	}
	pthread_mutex_unlock(&count_lock);
	return status;
}

/* Before the answer, so that a client that waits for the answer finds the place free. */
static void uncount_upload(struct upload_job *job)
{
	struct upload_job **at = &job->site->uploads;
	pthread_mutex_lock(&count_lock);
	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	job->site->upload_count--;
	atomic_fetch_sub(&job->site->upload_descriptors, 1);
	pthread_mutex_unlock(&count_lock);
}

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
static enum found read_key(const struct http_req *r, char key[KEY_BYTES + 1])
{
	char raw[HTTP_TARGET_BYTES + 1];
	if (!http_query(r, "key", raw, sizeof(raw)))
		return ABSENT;
	size_t len = strlen(raw);
	if (len == 0 || len > KEY_BYTES)
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
	return (struct str){ job->key, strlen(job->key) };
}

/* Whose upload is it? Answers and frees job if it is nobody's. Thread: helper. */
static bool identify(struct upload_job *job, struct store_reader *reader)
{
	int rc = store_read_token(reader, job->token, &job->identity_id);
	if (rc == 0)
		return true;
	if (rc == -WC_ENOENT)
		answer_unauthorized(job->r);
	else
		answer_error(job->site, job->r, -WC_EAGAIN, NULL); /* the database does not answer: not the token's fault, so try again */
	free(job);
	return false;
}

static void fail(struct upload_job *job, int error, const struct upload_state *state)
{
	answer_error(job->site, job->r, error, state);
	free(job);
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
	fail(job, -WC_EAGAIN, NULL);
}

/* People of one address are told apart by their tokens, before anything is known of them. */
static bool submit_first(struct upload_job *job, job_fn run)
{
	struct job j = { .kind = JOB_UPLOAD, .run = run, .arg = job, .drop = drop, .is_moot = is_moot };
	memcpy(&j.owner.person, job->token, sizeof(j.owner.person));
	return site_submit(job->site, job->r, j);
}

/* Of an upload whose bytes are here: it ends, also when its client is gone. */
static void submit_last(struct upload_job *job, job_fn run)
{
	struct job j = { .kind = JOB_UPLOAD, .run = run, .arg = job, .drop = drop };
	http_address(job->r, j.owner.addr);
	memcpy(&j.owner.person, job->token, sizeof(j.owner.person));
	helpers_submit(job->site->helpers, &j);
}

/* --- POST. */

static void finish_upload(void *arg, struct store_reader *reader)
{
	struct upload_job *job = arg;
	struct upload_state state;
	int rc = upload_finish(job->u, &state);
	(void)reader;
	if (rc == -WC_ECLOSED && upload_find(job->site->blobs, job->identity_id, key_of(job), &state) == 0)
		rc = -WC_ECONFLICT;
	if (rc) {
		fail(job, rc, &state);
		return;
	}
	log_debug("upload", "from=%llu bytes=%llu", (unsigned long long)job->identity_id, (unsigned long long)state.size);
	answer_state(job->r, &state);
	free(job);
}

/* Another connection goes on with this upload; this one hears how far that got. */
static void tell_taken(void *arg, struct store_reader *reader)
{
	struct upload_job *job = arg;
	struct upload_state state;
	int rc = upload_find(job->site->blobs, job->identity_id, key_of(job), &state);
	(void)reader;
	fail(job, rc == 0 ? -WC_ECONFLICT : rc, &state);
}

static int write_body(void *arg, const void *data, size_t n)
{
	struct upload_job *job = arg;
	job->error = is_read_only(job->site) ? -WC_EDENIED : upload_write(job->u, data, n);
	return job->error;
}

/* Thread: transfer. Not ok: r is dead when this returns. */
static void body_done(void *arg, struct http_req *r, bool ok)
{
	struct upload_job *job = arg;
	(void)r;
	uncount_upload(job);
	if (ok && !job->error) {
		submit_last(job, finish_upload);
		return;
	}
	upload_suspend(job->u);
	job->u = NULL;
	if (!ok)
		free(job);
	else if (job->error == -WC_ECLOSED)
		submit_last(job, tell_taken);
	else
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

static void begin_upload(void *arg, struct store_reader *reader)
{
	struct upload_job *job = arg;
	const int max_file_mb = job->site->max_file_mb;
	struct upload_state state;
	if (!identify(job, reader))
		return;
	if (job->size > (uint64_t)max_file_mb << 20) {
		answer(job->r, 413, NULL, "{\"error\":\"too_large\",\"max_file_mb\":%d}", max_file_mb);
		free(job);
		return;
	}
	const char *wrong = what_is_wrong(job);
	if (wrong) {
		answer_bad(job->r, wrong);
		free(job);
		return;
	}
	int status = count_upload(job);
	if (status) {
		metric_add(M_REFUSED_UPLOADS, 1);
		answer_error(job->site, job->r, status == 429 ? -WC_ETOOBIG : -WC_EAGAIN, NULL);
		free(job);
		return;
	}
	int rc = upload_begin(job->site->blobs, job->identity_id, key_of(job), job->size, job->offset, &job->u, &state);
	if (rc || !job->u)
		uncount_upload(job);
	if (rc) {
		fail(job, rc, &state);
	} else if (!job->u) {
		answer_state(job->r, &state); /* it was complete; only the answer had got lost */
		free(job);
	} else {
		http_receive(job->r, job->length, &(struct http_body){ .write = write_body, .done = body_done, .arg = job });
	}
}

void site_upload_post(void *arg, struct http_req *r)
{
	struct upload_job asked = { .site = arg, .r = r }, *job;
	int64_t length = http_content_length(r);
	uint8_t key[KEY_BYTES / 2];
	if (!read_token(r, asked.token)) {
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
	enum found has_key = read_key(r, asked.key);
	if (has_key == MALFORMED || read_number(r, "size", &asked.size) != FOUND || read_number(r, "offset", &asked.offset) == MALFORMED) {
		answer_bad(r, "key, size or offset");
		return;
	}
	if (has_key == ABSENT) {
		wc_random(key, sizeof(key));
		wc_hex(asked.key, key, sizeof(key));
	}
	job = xmalloc(sizeof(*job));
	*job = asked;
	if (!submit_first(job, begin_upload))
		free(job);
}

/* --- GET. */

static void find_upload(void *arg, struct store_reader *reader)
{
	struct upload_job *job = arg;
	struct upload_state state;
	if (!identify(job, reader))
		return;
	int rc = upload_find(job->site->blobs, job->identity_id, key_of(job), &state);
	if (rc == 0)
		answer_state(job->r, &state);
	else if (rc == -WC_ENOENT)
		answer(job->r, 404, NULL, "{\"error\":\"not_found\"}");
	else
		answer_error(job->site, job->r, rc, &state);
	free(job);
}

void site_upload_get(void *arg, struct http_req *r)
{
	struct upload_job asked = { .site = arg, .r = r }, *job;
	if (!read_token(r, asked.token)) {
		answer_unauthorized(r);
		return;
	}
	if (read_key(r, asked.key) != FOUND) {
		answer_bad(r, "key");
		return;
	}
	job = xmalloc(sizeof(*job));
	*job = asked;
	if (!submit_first(job, find_upload))
		free(job);
}
