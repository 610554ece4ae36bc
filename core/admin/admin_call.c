/* admin_call.c — a request's parameters, its answer, and the ways to have something done on another thread (see impl.h).
 *
 * Knows no verb. Owns nothing but the call itself. Threads: those that have a call, one after another. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/impl.h"
#include "base/steady.h"

#define REASON_BYTES 400
#define FOR_S_MAX (100LL * 366 * 24 * 3600)

/* --- Parameters */

struct json_object *arg_get(const struct call *c, const char *name)
{
	struct json_object *v = NULL;
	return json_object_object_get_ex(c->args, name, &v) ? v : NULL;
}

static bool has_arg(const struct call *c, const char *name)
{
	return json_object_object_get_ex(c->args, name, NULL);
}

const char *arg_str(const struct call *c, const char *name)
{
	struct json_object *v = arg_get(c, name);
	const char *s = v ? json_object_get_string(v) : NULL;
	return s && *s ? s : NULL;
}

bool arg_int(const struct call *c, const char *name, int64_t *out)
{
	struct json_object *v = arg_get(c, name);
	if (!v)
		return false;
	if (json_object_is_type(v, json_type_int)) {
		*out = json_object_get_int64(v);
		return true;
	}
	const char *s = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
	char *end;
	errno = 0;
	*out = strtoll(s, &end, 10);
	return *s && !*end && errno == 0;
}

bool arg_true(const struct call *c, const char *name)
{
	struct json_object *v = arg_get(c, name);
	int64_t n;
	if (v && json_object_is_type(v, json_type_boolean))
		return json_object_get_boolean(v);
	return arg_int(c, name, &n) && n != 0;
}

bool arg_sha(const struct call *c, const char *name, uint8_t sha[WC_SHA_BYTES])
{
	const char *s = arg_str(c, name);
	return s && wc_unhex(sha, WC_SHA_BYTES, str_of(s)) == 0;
}

bool take_int(struct call *c, const char *name, int64_t least, int64_t *out)
{
	char text[128];
	int64_t n;
	if (!has_arg(c, name))
		return true;
	if (arg_int(c, name, &n) && n >= least) {
		*out = n;
		return true;
	}
	snprintf(text, sizeof(text), "%s is a whole number, %lld or more", name, (long long)least);
	call_fail(c, 400, "bad_request", text);
	return false;
}

bool take_reason(struct call *c)
{
	c->c.reason = arg_str(c, "reason");
	if (!c->c.reason || strlen(c->c.reason) <= REASON_BYTES)
		return true;
	call_fail(c, 400, "bad_request", "a reason has at most 400 bytes");
	return false;
}

bool take_for(struct call *c, int64_t *for_ms)
{
	int64_t s;
	if (!has_arg(c, "for_s"))
		return true;
	if (arg_int(c, "for_s", &s) && s > 0 && s <= FOR_S_MAX) {
		*for_ms = s * 1000;
		return true;
	}
	call_fail(c, 400, "bad_request", "a time (for_s) is from 1 second to 36600 days");
	return false;
}

uint64_t bare_id(const char *s)
{
	char *end;
	if (strncmp(s, "id:", 3) == 0)
		s += 3;
	const uint64_t id = *s >= '0' && *s <= '9' ? strtoull(s, &end, 10) : 0;
	return id && !*end && id < INT64_MAX ? id : 0;
}

const char *bare_name(const char *s)
{
	return strncmp(s, "name:", 5) == 0 ? s + 5 : s;
}

/* --- Memory */

void *call_own(struct call *c, size_t size, void (*drop)(void *own))
{
	WC_ASSERT(!c->own);
	c->own = xcalloc(1, size);
	c->drop = drop;
	return c->own;
}

void call_free(struct call *c)
{
	if (c->drop)
		c->drop(c->own);
	free(c->own);
	json_object_put(c->args);
	buf_fini(&c->c.out);
	free(c->note);
	free(c->raw);
	free(c);
}

/* --- Answers */

void call_reply(struct call *c)
{
	const struct buf *out = &c->c.out;
	if (out->failed)
		http_json(c->r, 500, "{\"error\":\"too_large\",\"text\":\"the answer is too large\"}");
	else
		http_reply(c->r, &(struct http_reply){ .status = c->c.status,
		                                       .content_type = "application/json",
		                                       .headers = "Cache-Control: no-store\r\n",
		                                       .body = out->p ? out->p : "",
		                                       .body_len = out->len });
	call_free(c);
}

void call_reply_fd(struct call *c, int fd, uint64_t size)
{
	struct http_reply reply = { .status = 200,
		                    .content_type = "application/octet-stream",
		                    .headers = "Cache-Control: no-store\r\n",
		                    .body_fd = fd,
		                    .fd_len = size };
	if (size == 0) {
		close(fd);
		reply.body_fd = 0;
		reply.body = "";
	}
	http_reply(c->r, &reply);
	call_free(c);
}

void call_reply_text(struct call *c, const struct buf *b)
{
	http_reply(c->r, &(struct http_reply){ .status = 200,
	                                       .content_type = "text/plain; version=0.0.4; charset=utf-8",
	                                       .headers = "Cache-Control: no-store\r\n",
	                                       .body = b->p,
	                                       .body_len = b->len });
	call_free(c);
}

/* Begins the answer anew, as an error with this word and sentence. The object is left open. */
static struct buf *begin_error(struct call *c, int status, const char *code, const char *text)
{
	struct buf *b = &c->c.out;
	c->c.status = status;
	buf_reset(b);
	buf_puts(b, "{\"error\":");
	json_str(b, str_of(code));
	buf_puts(b, ",\"text\":");
	json_str(b, str_of(text));
	return b;
}

void call_fail(struct call *c, int status, const char *code, const char *text)
{
	buf_putc(begin_error(c, status, code, text), '}');
	call_reply(c);
}

void call_fail_storage(struct call *c)
{
	call_fail(c, 507, "storage", "the database cannot be read now. The server's log says why");
}

void call_fail_nobody(struct call *c, const char *text, const char *wanted)
{
	struct buf *b = begin_error(c, 404, "no_such_user", text);
	buf_puts(b, ",\"wanted\":");
	json_str(b, str_of(wanted));
	buf_puts(b, ",\"candidates\":[]}");
	call_reply(c);
}

/* --- Work on the room's thread */

static struct call *call_of(struct command *cmd)
{
	return (struct call *)((char *)cmd - offsetof(struct call, c));
}

static void run(struct room *r, struct command *cmd)
{
	struct call *c = call_of(cmd);
	c->act(r, c);
}

static void done(struct command *cmd)
{
	struct call *c = call_of(cmd);
	if (c->then)
		c->then(c);
	else
		call_reply(c);
}

void call_room(struct call *c, void (*act)(struct room *r, struct call *c), void (*then)(struct call *c))
{
	c->c.run = run;
	c->c.done = done;
	c->act = act;
	c->then = then;
	room_command(c->a->o.room, &c->c);
}

static void write_note(struct room *r, struct call *c)
{
	moderate_note(r, &c->c, c->note);
}

static void note_written(struct call *c)
{
	if (c->c.status == 200)
		c->stored(c);
	else
		call_reply(c);
}

void call_note(struct call *c, char *json, void (*then)(struct call *c))
{
	free(c->note);
	c->note = json;
	c->stored = then;
	c->c.status = 0;
	buf_reset(&c->c.out);
	call_room(c, write_note, note_written);
}

static void store_addresses(struct room *r, struct call *c)
{
	const size_t before = c->left;
	c->left = moderate_store_addresses(r, &c->c);
	c->goes_on = c->left && c->left < before;
}

static void addresses_stored(struct call *c)
{
	/* Fewer are left each time, unless the store refuses; then the read finds only those that are stored. */
	if (c->c.status == 200 && c->goes_on)
		call_room(c, store_addresses, addresses_stored);
	else
		c->stored(c);
}

void call_stored(struct call *c, void (*then)(struct call *c))
{
	c->stored = then;
	c->left = SIZE_MAX;
	call_room(c, store_addresses, addresses_stored);
}

bool addresses_since(const struct call *c, int64_t *since_ms)
{
	*since_ms = steady_cut_ms(c->c.keep_days * (24 * 3600 * 1000LL));
	return c->c.keep_days > 0;
}

/* --- Work on the admin's own thread */

static void run_job(void *arg, struct store_reader *unused)
{
	struct call *c = arg;
	(void)unused;
	if (!c->a->dump && store_dump_open(c->a->o.store, &c->a->dump) < 0)
		call_fail_storage(c);
	else
		c->job(c);
}

static void drop_job(void *arg)
{
	call_fail(arg, 503, "stopping", "the server is stopping");
}

void call_read(struct call *c, void (*job)(struct call *c))
{
	struct admin *a = c->a;
	c->job = job;
	pthread_mutex_lock(&a->lock);
	const bool is_open = a->thread != NULL;
	if (is_open)
		helpers_submit(a->thread, &(struct job){ .kind = JOB_UPKEEP, .run = run_job, .arg = c, .drop = drop_job });
	pthread_mutex_unlock(&a->lock);
	if (!is_open)
		call_fail(c, 503, "stopping", "the server is stopping");
}
