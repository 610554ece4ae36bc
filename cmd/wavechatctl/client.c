/* client.c — finds the server's socket and speaks HTTP over it; turns what goes wrong into one line and an exit code.
 *
 * Owns the connection. A request that finds the connection closed by the server's patience is sent once more. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/admin_place.h"
#include "ctl.h"

#define HEAD_MAX (16 * 1024)
#define ANSWER_MAX (64 * 1024 * 1024)
#define HOLD_TRIES 10
#define HOLD_PAUSE_MS 100
#define BEAT_MS (10 * 1000)     /* the server waits 60 s for one */
#define HOLD_BYTES (1ull << 40) /* at a byte each time, for ever */
#define ASK_MS 4000             /* for the server's own word on what hangs */
#define BACKLOG_MS 50           /* between two tries to connect to a server that accepts nobody */

/* --- Waiting in vain */

/* The server's own word, on a connection of its own: its door may answer while the room does not. */
static bool say_status(const struct ctl *c, char out[256])
{
	struct ctl second = { .fd = -1, .hold = -1, .verb = c->verb, .timeout_ms = WC_MIN(c->timeout_ms, ASK_MS), .is_asking = true };
	struct json_object *o = NULL, *list;
	bool is_known = false;

	if (c->is_asking || !c->path || strcmp(c->verb->name, "status") == 0 || strcmp(c->verb->name, "top") == 0)
		return false;
	second.path = xstrdup(c->path);
	hush(true);
	if (api_get(&second, "/v1/status", &o) == 0) {
		list = jarray(o, "trouble");
		is_known = json_object_array_length(list) > 0;
		if (is_known)
			snprintf(out, 256, "%s", jstr(json_object_array_get_idx(list, 0), "text"));
	}
	hush(false);
	json_object_put(o);
	client_close(&second);
	return is_known;
}

static int too_late(struct ctl *c, int fd, const char *what)
{
	return limit_over(c, fd, what, say_status);
}

/* --- Finding it */

/* Returns a connected socket, or -errno. A path longer than an address may be goes by way of its directory. */
static int connect_to(const struct ctl *c, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int dir = -1, fd = -1, result = -ENAMETOOLONG;

	if (strlen(path) < sizeof(a.sun_path)) {
		memcpy(a.sun_path, path, strlen(path));
	} else {
		const char *slash = strrchr(path, '/');
		char *parent = slash ? strndup(path, (size_t)(slash - path)) : NULL;

		dir = parent ? open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
		result = dir < 0 ? -errno : result;
		free(parent);
		if (dir < 0 || snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, slash + 1) >= (int)sizeof(a.sun_path))
			goto out;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* EAGAIN: as many wait already as the kernel lets wait, so the server has accepted nobody for a while. */
	while (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0) {
		if (errno == EAGAIN && !limit_is_over(c) && !is_stopped()) {
			usleep(BACKLOG_MS * 1000);
			continue;
		}
		result = -errno;
		close(fd);
		goto out;
	}
	result = fd < 0 ? -errno : fd;
out:
	if (dir >= 0)
		close(dir);
	return result;
}

static char *join_path(const char *dir, const char *name)
{
	char *path;

	if (!dir || !*dir)
		return NULL;
	if (asprintf(&path, "%.*s/%s", (int)strcspn(dir, ":"), dir, name) < 0) /* systemd separates several by colons */
		abort();
	return path;
}

/* Where a server puts its socket that has the same environment, as within a container. */
static char *place_of_variables(void)
{
	const char *socket = getenv("WAVECHAT_ADMIN_SOCKET"), *data = getenv("WAVECHAT_DATA");
	char *path;

	if (socket && *socket)
		return xstrdup(socket);
	if (!data || !*data || strcmp(data, ":memory:") == 0)
		return NULL;
	if (asprintf(&path, "%s/admin.sock", data) < 0)
		abort();
	return path;
}

static int refuse_connection(struct ctl *c, const char *path, int error)
{
	if (error == EAGAIN && is_stopped())
		return EXIT_REFUSED;
	if (error == EAGAIN) {
		if (!c->path)
			c->path = xstrdup(path);
		return too_late(c, -1, "accepted no connection");
	}
	if (error == EACCES || error == EPERM)
		return complain(EXIT_DENIED, "not permitted to use %s: run this as the server's user, or as root", path);
	if (error == ECONNREFUSED)
		return complain(EXIT_NO_SERVER, "no server answers at %s: it has ended; start wavechatd", path);
	return complain(EXIT_NO_SERVER, "no server at %s: %s", path, strerror(error));
}

/* Where servers with their data in memory have theirs: in folders of this user's alone. Of several that answer, none is taken for the one
 * that is meant. Sets c->fd and c->path; 0 too where there is none. */
static int connect_in_place(struct ctl *c)
{
	char *dirs[ADMIN_PLACES], *path;
	struct buf several;
	int code = 0, found = 0;

	buf_init(&several, 64 * 1024);
	admin_place_dirs(getenv("XDG_RUNTIME_DIR"), dirs);
	for (int i = 0; i < ADMIN_PLACES; i++) {
		DIR *d = !found && dirs[i] && admin_place_is_ours(dirs[i]) ? opendir(dirs[i]) : NULL;

		for (struct dirent *e; d && (e = readdir(d));) {
			size_t len = strlen(e->d_name), suffix = strlen(ADMIN_PLACE_SUFFIX);

			if (len <= suffix || strcmp(e->d_name + len - suffix, ADMIN_PLACE_SUFFIX) != 0)
				continue;
			if (asprintf(&path, "%s/%s", dirs[i], e->d_name) < 0)
				abort();
			int fd = connect_to(c, path);
			if (fd >= 0) {
				buf_printf(&several, "%s%s", found ? ", " : "", path);
				if (found++ == 0) {
					c->fd = fd;
					c->path = path;
					continue;
				}
				close(fd);
			}
			free(path);
		}
		if (d)
			closedir(d);
		free(dirs[i]);
	}
	if (found > 1) {
		buf_putc(&several, '\0');
		code = complain(EXIT_USAGE, "%d servers answer here; name one with --socket PATH: %s", found,
		                several.failed ? "" : several.p);
		client_close(c);
	}
	buf_fini(&several);
	return code;
}

int client_connect(struct ctl *c)
{
	const char *named = c->socket ? c->socket : getenv("WAVECHAT_SOCKET");
	char *places[6], *denied = NULL;
	int code;

	if (c->fd >= 0)
		return 0;
	if (limit_is_over(c)) /* of a request before this one, or of none: else this is a part of what is under way */
		limit_start(c);
	if (c->path || (named && *named)) {
		const char *path = c->path ? c->path : named;

		c->fd = connect_to(c, path);
		if (c->fd < 0)
			return refuse_connection(c, path, -c->fd);
		if (!c->path)
			c->path = xstrdup(path);
		return 0;
	}
	places[0] = place_of_variables();
	places[1] = join_path(getenv("RUNTIME_DIRECTORY"), "wavechat.sock");
	places[2] = xstrdup("/run/wavechat/wavechat.sock");
	places[3] = join_path(getenv("STATE_DIRECTORY"), "admin.sock");
	places[4] = xstrdup("/var/lib/wavechat/admin.sock");
	places[5] = xstrdup("./wavechat-data/admin.sock");
	for (size_t i = 0; i < WC_LEN(places); i++) {
		if (!places[i] || c->fd >= 0) {
			free(places[i]);
			continue;
		}
		c->fd = connect_to(c, places[i]);
		if (c->fd >= 0) {
			c->path = places[i];
		} else if (-c->fd == EAGAIN) { /* this is the one; the rest is not looked at */
			code = refuse_connection(c, places[i], EAGAIN);
			free(places[i]);
			for (size_t j = i + 1; j < WC_LEN(places); j++)
				free(places[j]);
			free(denied);
			return code;
		} else if (-c->fd == EACCES && !denied) {
			denied = places[i];
		} else {
			free(places[i]);
		}
	}
	code = c->fd < 0 ? connect_in_place(c) : 0;
	if (c->fd >= 0 || code) {
		free(denied);
		return code;
	}
	if (denied) {
		code = refuse_connection(c, denied, EACCES);
		free(denied);
		return code;
	}
	return complain(EXIT_NO_SERVER, "no server found where one usually is: start wavechatd, or name its socket with --socket PATH");
}

void client_close(struct ctl *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	free(c->path);
	c->path = NULL;
}

/* --- One request */

struct answer {
	int status;
	bool closes;
	size_t length;
	char head[HEAD_MAX];
	size_t have, head_len; /* bytes read so far; of them the head */
};

static bool send_all(struct ctl *c, const char *p, size_t n)
{
	while (n) {
		ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);

		if (sent < 0 && (errno == EINTR || (errno == EAGAIN && limit_wait(c, c->fd, POLLOUT))))
			continue;
		if (sent <= 0)
			return false;
		limit_heard(c);
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* As recv; errno EAGAIN: the limit is over; EINTR: is_stopped. */
static ssize_t receive(struct ctl *c, void *to, size_t n)
{
	ssize_t got;

	errno = 0;
	if (!limit_wait(c, c->fd, POLLIN)) /* asked first: a server that trickles always has something ready */
		return -1;
	do
		got = recv(c->fd, to, n, 0);
	while (got < 0 && (errno == EINTR || (errno == EAGAIN && limit_wait(c, c->fd, POLLIN))));
	if (got > 0)
		limit_heard(c);
	return got;
}

static bool read_head(struct ctl *c, struct answer *a)
{
	const char *end = NULL, *p;

	a->have = 0;
	errno = 0;
	while (!end) {
		ssize_t n = a->have < HEAD_MAX - 1 ? receive(c, a->head + a->have, HEAD_MAX - 1 - a->have) : -1;

		if (n <= 0) {
			errno = a->have < HEAD_MAX - 1 ? errno : EPROTO;
			return false;
		}
		a->have += (size_t)n;
		a->head[a->have] = '\0';
		end = strstr(a->head, "\r\n\r\n");
	}
	a->head_len = (size_t)(end + 4 - a->head);
	if (sscanf(a->head, "HTTP/1.1 %d", &a->status) != 1) {
		errno = EPROTO;
		return false;
	}
	p = strcasestr(a->head, "\r\nContent-Length:");
	a->length = p && p < end ? strtoull(p + 17, NULL, 10) : 0;
	p = strcasestr(a->head, "\r\nConnection: close");
	a->closes = p && p < end;
	return true;
}

static void hang_up(struct ctl *c)
{
	close(c->fd);
	c->fd = -1;
}

static int lost(struct ctl *c, const char *how)
{
	c->is_lost = true;
	return complain(EXIT_REFUSED, "the server at %s %s", c->path, how);
}

/* The user that became root to run this: for the audit, in which every root is the same. The server believes it of root alone. */
static void put_via(struct buf *b)
{
	static const char *const names[] = { "SUDO_USER", "DOAS_USER" };
	const char *via = NULL;

	for (size_t i = 0; i < WC_LEN(names) && geteuid() == 0 && (!via || !*via); i++)
		via = getenv(names[i]);
	if (!via || !*via || strcmp(via, "root") == 0)
		return;
	buf_puts(b, "X-Wavechat-Via: ");
	for (size_t i = 0; via[i] && i < 64; i++)
		buf_putc(b, via[i] > ' ' && via[i] < 0x7f ? via[i] : '?');
	buf_puts(b, "\r\n");
}

/* Sends and reads the answer's head. */
static int exchange(struct ctl *c, const char *method, const char *path, const char *body, struct answer *a)
{
	struct buf b;
	int code = EXIT_REFUSED;
	bool is_late;

	c->is_lost = false;
	a->have = 0;
	buf_init(&b, 1 << 20);
	buf_printf(&b, "%s %s HTTP/1.1\r\nHost: wavechat\r\n", method, path);
	put_via(&b);
	if (body)
		buf_printf(&b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
	buf_puts(&b, "\r\n");
	if (body)
		buf_puts(&b, body);
	limit_start(c);
	for (int attempt = 0; attempt < 2; attempt++) {
		bool is_old = c->fd >= 0;

		code = client_connect(c);
		if (code) {
			c->is_lost = code == EXIT_NO_SERVER;
			goto out;
		}
		if (b.failed) {
			code = complain(EXIT_USAGE, "that is too much for one request");
			goto out;
		}
		if (send_all(c, b.p, b.len) && read_head(c, a))
			goto out;
		is_late = errno == EAGAIN;
		if (is_late) {
			code = too_late(c, c->fd,
			                a->have ? "began its answer but did not finish it" : "accepted the connection but did not answer");
			hang_up(c);
			goto out;
		}
		hang_up(c);
		if (is_stopped()) { /* asked for: nothing is to be said of the server */
			code = EXIT_REFUSED;
			goto out;
		}
		if (!is_old || a->have)
			break; /* only a connection that had waited may have been closed for that */
	}
	code = lost(c, "ended the connection without an answer");
out:
	buf_fini(&b);
	return code;
}

/* The answer's body, in pieces. */
static int read_body(struct ctl *c, const struct answer *a, sink_fn sink, void *arg)
{
	char piece[64 * 1024];
	size_t early = WC_MIN(a->have - a->head_len, a->length), left = a->length - early;
	int code = early && sink(arg, a->head + a->head_len, early) ? EXIT_REFUSED : 0;

	while (left && !code) {
		ssize_t n = receive(c, piece, WC_MIN(left, sizeof(piece)));

		if (n < 0 && errno == EAGAIN) {
			code = too_late(c, c->fd,
			                c->is_long ? "stopped amid its answer: nothing came" : "began its answer but did not finish it");
			hang_up(c);
			return code;
		}
		if (n <= 0) {
			hang_up(c);
			return is_stopped() ? EXIT_REFUSED : lost(c, "ended the connection within its answer");
		}
		left -= (size_t)n;
		if (sink(arg, piece, (size_t)n))
			code = EXIT_REFUSED;
	}
	if (a->closes || code)
		hang_up(c);
	return code;
}

static int keep(void *arg, const void *data, size_t n)
{
	buf_put(arg, data, n);
	return ((struct buf *)arg)->failed;
}

/* All of the body into b, which has a bound: no server says so much at once. */
static int keep_body(struct ctl *c, const struct answer *a, struct buf *b)
{
	int code = read_body(c, a, keep, b);

	return b->failed ? complain(EXIT_REFUSED, "the server's answer makes no sense: it is longer than %d MB; is it of another version?",
	                            ANSWER_MAX >> 20)
	                 : code;
}

/* --- What a refusal means */

static int exit_code(int status, const char *error)
{
	if (status == 403)
		return EXIT_DENIED;
	if (strcmp(error, "ambiguous") == 0 || strncmp(error, "no_such_", 8) == 0 || strcmp(error, "not_online") == 0)
		return strcmp(error, "no_such_verb") == 0 ? EXIT_REFUSED : EXIT_NOT_FOUND;
	return status == 400 ? EXIT_USAGE : EXIT_REFUSED;
}

static int refused(struct ctl *c, int status, struct json_object *o)
{
	struct json_object *people = jarray(o, "candidates");
	const char *error = jstr(o, "error"), *wanted = jstr(o, "wanted");
	int code = exit_code(status, error);

	c->is_lost = status == 503; /* it stops, or is too busy: later it may do */
	if (c->json && o)
		print_json(o);
	if (strcmp(error, "no_such_verb") == 0 || strcmp(error, "method") == 0) {
		complain(code, "the server is of another version and does not know this; wavechatctl is %s", wc_version());
		return code;
	}
	if (*wanted)
		complain(code, "\"%s\": %s", wanted, jstr(o, "text"));
	else
		complain(code, "%s", o ? jstr(o, "text") : "the server's answer makes no sense: is it of another version?");
	for (size_t i = 0; i < json_object_array_length(people); i++) {
		struct json_object *u = json_object_array_get_idx(people, i);
		char id[32];
		struct buf b;

		buf_init(&b, 4096);
		put_safe(&b, jstr(u, "name"));
		snprintf(id, sizeof(id), "%lld", (long long)jint(u, "id"));
		const char *say = jstr(u, "say"); /* an id, where it is not plain which one to say */
		fprintf(stderr, "  %-10s %.*s%s%s%s%s\n", id, (int)b.len, b.p, jbool(u, "online") ? "" : "  (not online)",
		        *say ? "  (say " : "", say, *say ? ")" : "");
		buf_fini(&b);
	}
	return code;
}

static int call(struct ctl *c, const char *method, const char *path, const char *body, struct json_object **out)
{
	struct json_tokener *t;
	struct json_object *o = NULL;
	struct answer a;
	struct buf b;
	int code;

	if (out)
		*out = NULL;
	code = exchange(c, method, path, body, &a);
	if (code)
		return code;
	buf_init(&b, ANSWER_MAX);
	code = keep_body(c, &a, &b);
	if (code == 0) {
		t = json_tokener_new();
		o = b.len ? json_tokener_parse_ex(t, b.p, (int)b.len) : NULL;
		json_tokener_free(t);
		if (!json_object_is_type(o, json_type_object)) {
			json_object_put(o);
			o = NULL;
		}
		if (a.status != 200 || !o)
			code = refused(c, a.status, o);
	}
	buf_fini(&b);
	if (code == 0 && out)
		*out = o;
	else
		json_object_put(o);
	return code;
}

int api_get(struct ctl *c, const char *path, struct json_object **out)
{
	return call(c, "GET", path, NULL, out);
}

int api_post(struct ctl *c, const char *path, struct json_object *body, struct json_object **out)
{
	int code = call(c, "POST", path, body ? json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN) : "{}", out);

	json_object_put(body);
	return code;
}

int api_stream(struct ctl *c, const char *path, sink_fn sink, void *arg)
{
	struct answer a;
	int code = exchange(c, "GET", path, NULL, &a);

	if (code)
		return code;
	if (a.status == 200)
		return read_body(c, &a, sink, arg);

	struct buf b;
	struct json_object *o = NULL;

	buf_init(&b, ANSWER_MAX);
	code = keep_body(c, &a, &b);
	buf_putc(&b, '\0');
	if (code == 0) {
		o = b.p ? json_tokener_parse(b.p) : NULL;
		code = refused(c, a.status, o);
	}
	json_object_put(o);
	buf_fini(&b);
	return code;
}

int api_fetch(struct ctl *c, const char *path, struct fetch *f)
{
	struct answer a;
	int code = exchange(c, "GET", path, NULL, &a);
	struct json_object *o = NULL;
	struct buf b;

	f->is_short = false;
	if (code)
		return code;
	f->status = a.status;
	f->length = a.length;
	if (a.status == 200) {
		if (!f->begin(f->arg, a.length)) {
			hang_up(c);
			return 0;
		}
		hush(true); /* a server that is gone is told of by the next request */
		code = read_body(c, &a, f->sink, f->arg);
		hush(false);
		f->is_short = code && c->fd < 0 && c->is_lost;
		return f->is_short ? 0 : code;
	}
	buf_init(&b, ANSWER_MAX);
	code = keep_body(c, &a, &b);
	buf_putc(&b, '\0');
	if (code == 0) {
		o = b.p ? json_tokener_parse(b.p) : NULL;
		snprintf(f->error, sizeof(f->error), "%s", o ? jstr(o, "error") : "");
		if (a.status != 404 && a.status != 507)
			code = refused(c, a.status, o);
	}
	json_object_put(o);
	buf_fini(&b);
	return code;
}

/* One attempt. *is_busy: refused for now, and nothing was said. */
static int try_hold(struct ctl *c, const char *path, bool *is_busy)
{
	struct ctl second = {
		.fd = -1, .hold = -1, .json = c->json, .path = xstrdup(c->path), .verb = c->verb, .timeout_ms = c->timeout_ms
	};
	struct json_object *o = NULL;
	struct answer a;
	struct buf b, text;
	int code = client_connect(&second);

	*is_busy = false;
	if (code)
		goto out;
	buf_init(&b, 4096);
	buf_init(&text, ANSWER_MAX);
	buf_printf(&b, "POST %s HTTP/1.1\r\nHost: wavechat\r\nContent-Length: %llu\r\nExpect: 100-continue\r\n\r\n", path, HOLD_BYTES);
	if (!send_all(&second, b.p, b.len) || !read_head(&second, &a)) {
		if (errno == EAGAIN)
			code = too_late(c, second.fd, "accepted the connection but did not answer");
		else
			code = is_stopped() ? EXIT_REFUSED : lost(c, "ended the connection without an answer");
	} else if (a.status == 100) {
		c->hold = second.fd;
		c->beat_ms = mono_ms();
		second.fd = -1;
	} else if ((code = keep_body(&second, &a, &text)) == 0) {
		buf_putc(&text, '\0');
		o = text.p ? json_tokener_parse(text.p) : NULL;
		*is_busy = o && strcmp(jstr(o, "error"), "busy") == 0;
		code = *is_busy ? EXIT_REFUSED : refused(c, a.status, o);
	}
	json_object_put(o);
	buf_fini(&text);
	buf_fini(&b);
out:
	client_close(&second);
	return code;
}

int client_hold(struct ctl *c, const char *path)
{
	bool is_busy = false;
	int code = client_connect(c);

	/* A process killed a moment ago may still seem to be there. */
	for (int i = 0; i < HOLD_TRIES && code == 0 && c->hold < 0; i++) {
		if (i)
			usleep(HOLD_PAUSE_MS * 1000);
		code = try_hold(c, path, &is_busy);
		if (is_busy && i + 1 < HOLD_TRIES)
			code = 0;
	}
	return is_busy && code ? complain(code, "another backup is under way") : code;
}

void client_beat(struct ctl *c)
{
	if (c->hold < 0 || mono_ms() - c->beat_ms < BEAT_MS)
		return;
	c->beat_ms = mono_ms();
	(void)send(c->hold, ".", 1, MSG_NOSIGNAL | MSG_DONTWAIT); /* the next request reports a broken connection */
}

void client_release(struct ctl *c)
{
	if (c->hold >= 0)
		close(c->hold);
	c->hold = -1;
}

void put_query(struct buf *b, const char *name, const char *value)
{
	static const char hex[] = "0123456789ABCDEF";

	if (!value)
		return;
	buf_putc(b, b->len && memchr(b->p, '?', b->len) ? '&' : '?');
	buf_puts(b, name);
	buf_putc(b, '=');
	for (; *value; value++) {
		unsigned char ch = (unsigned char)*value;

		if (isalnum(ch) || strchr("-._~", ch)) {
			buf_putc(b, *value);
		} else {
			buf_putc(b, '%');
			buf_putc(b, hex[ch >> 4]);
			buf_putc(b, hex[ch & 15]);
		}
	}
}
