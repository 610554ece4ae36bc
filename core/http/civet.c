/* civet.c — civetweb, included whole and cut off from its sockets. Owns its context and workers. Threads: civetweb's.
 *
 * All of this is done through civetweb's own callbacks and a few macros before the include:
 *
 *  - It insists on a listener. So bind() and listen() are no-ops here, and before the threads start an eventfd takes the unbound socket's
 *    place. At the stop, that eventfd wakes civetweb's acceptor from its poll.
 *  - A request enters through civetweb's own queue (produce_socket). The opaque pointer travels in the local address, which civetweb only
 *    copies.
 *  - init_connection puts the header into conn->buf: get_request finds it complete and reads nothing.
 *  - send() collects civetweb's words in the worker's memory. For a WebSocket that is the 101. Anything else is an error page: its status
 *    is used, and our own answer replaces it.
 *  - begin_request takes every request but a handshake. must_close ends civetweb's interest in the connection. */
#include "http/civet.h"

#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "http/httpcheck.h"

static ssize_t caught_send(const void *data, size_t n);

#define bind(fd, address, len) (0)
#define listen(fd, backlog) (0)
#define send(fd, data, n, flags) caught_send((data), (n))
/* Names are never looked up; the static C library could not, and says so at link time. */
#define getaddrinfo(node, service, hints, out) ((void)(hints), *(out) = NULL, EAI_FAIL)
#define getpwnam(name) ((struct passwd *)NULL)

/* TLS ends at the gate, so none of it is compiled in here (SHA-1 for the handshake is then its own). Its stop flag is made a proper
 * atomic. */
#undef NO_SSL_DL
#ifndef NO_SSL
#define NO_SSL
#endif
#ifndef STOP_FLAG_NEEDS_LOCK
#define STOP_FLAG_NEEDS_LOCK
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-value"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wwrite-strings"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wcast-function-type"
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wnull-pointer-subtraction"
#pragma GCC diagnostic ignored "-Wincompatible-pointer-types-discards-qualifiers"
#else
#pragma GCC diagnostic ignored "-Wdiscarded-qualifiers"
#pragma GCC diagnostic ignored "-Wformat-truncation"
#pragma GCC diagnostic ignored "-Wstringop-truncation"
#endif
#include "civetweb.c"
#pragma GCC diagnostic pop

#undef bind
#undef listen
#undef send
/* It forbids these in its own text. */
#undef free
#undef snprintf

#if defined(__SANITIZE_THREAD__)
#define WC_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WC_TSAN
#endif
#endif
#ifdef WC_TSAN
/* It sets its stop flag by compare-and-swap, and reads the expected value plainly before: a race by the letter, harmless since one thread
 * ever sets it. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:STOP_FLAG_ASSIGN\n";
}
#endif

_Static_assert(MG_MAX_HEADERS >= HTTP_HEAD_LINES, "a header that httpcheck passes must fit civetweb's table");
/* Headers waiting for a worker, which has one done in 20 µs: the gate all but never waits for room. */
#define QUEUE "256"

struct civet {
	struct civet_ops ops;
	struct mg_context *ctx;
	int wake; /* civetweb's "listening socket"; closed by its acceptor */
	bool has_path;
	struct mg_websocket_subprotocols no_protocols; /* none is spoken, so none is ever agreed to */
};

/* The bytes that civetweb sent for the request at hand. A 101 has 130 bytes; error pages may be cut. */
static _Thread_local struct {
	size_t len;
	char bytes[1024];
} caught;

static ssize_t caught_send(const void *data, size_t n)
{
	size_t take = WC_MIN(n, sizeof(caught.bytes) - caught.len);
	memcpy(caught.bytes + caught.len, data, take);
	caught.len += take;
	return (ssize_t)n;
}

/* httpcheck has passed the request, so where civetweb ends one without a word it had no memory for it. */
static int caught_status(void)
{
	int status = 0;
	if (caught.len >= 12 && memcmp(caught.bytes, "HTTP/1.1 ", 9) == 0)
		for (int i = 9; i < 12; i++)
			status = status * 10 + (caught.bytes[i] - '0');
	return status >= 400 && status <= 599 ? status : 503;
}

/* The connection that travels in a queue entry, NULL if there is none or it was taken. */
static void *passenger(const struct socket *so)
{
	void *ours;

	memcpy(&ours, so->lsa.sun.sun_path, sizeof(ours));
	return ours;
}

/* --- civetweb's callbacks. */

static void on_init_context(const struct mg_context *ctx)
{
	struct civet *h = mg_get_user_data(ctx);
	close(ctx->listening_sockets[0].sock);
	memset(&ctx->listening_sockets[0], 0, sizeof(ctx->listening_sockets[0]));
	ctx->listening_sockets[0].sock = h->wake;
}

static void *on_init_thread(const struct mg_context *ctx, int type)
{
	(void)ctx;
	wc_thread_is(ROLE_HTTP, type == 1 ? "http" : "http-idle");
	return NULL;
}

static int on_init_connection(const struct mg_connection *given, void **out)
{
	struct mg_connection *conn = (struct mg_connection *)given; /* civetweb's const is a courtesy */
	struct civet *h = mg_get_user_data(conn->phys_ctx);
	const void *head;
	size_t n;
	void *ours = passenger(&conn->client);

	memset(&conn->client.lsa, 0, sizeof(conn->client.lsa)); /* taken: see on_exit_context */
	h->ops.head(h->ops.arg, ours, &head, &n);
	WC_ASSERT(n < (size_t)conn->buf_size);
	memcpy(conn->buf, head, n);
	/* Legal as white space, but civetweb takes every control byte for garbage. */
	for (char *tab = conn->buf; (tab = memchr(tab, '\t', (size_t)(conn->buf + n - tab)));)
		*tab = ' ';
	conn->data_len = (int)n;
	conn->client.sock = INVALID_SOCKET;
	conn->request_info.acceptedWebSocketSubprotocol = NULL;
	caught.len = 0;
	*out = ours;
	return 0;
}

static int on_begin_request(struct mg_connection *conn)
{
	struct civet *h = mg_get_user_data(conn->phys_ctx);
	struct mg_request_info *ri = &conn->request_info;
	void *ours = mg_get_user_connection_data(conn);
	struct civet_header headers[MG_MAX_HEADERS];
	struct civet_request q = {
		.text = conn->buf,
		.text_len = (size_t)conn->request_len,
		.method = ri->request_method,
		.path = ri->local_uri,
		.query = ri->query_string,
		.header_count = ri->num_headers,
		.headers = headers,
		.is_upgrade = h->has_path && conn->protocol_type == PROTOCOL_TYPE_WEBSOCKET,
	};

	for (int i = 0; i < ri->num_headers; i++) {
		/* civetweb keeps the white space at a value's end, and would hash it along with a WebSocket key. */
		char *value = (char *)(uintptr_t)ri->http_headers[i].value, *end = value + strlen(value);

		while (end > value && end[-1] == ' ')
			*--end = '\0';
		headers[i] = (struct civet_header){ ri->http_headers[i].name, value };
	}
	conn->must_close = 1;
	/* From here on the connection may be answered, given back and in another worker's hands at any moment. */
	mg_set_user_connection_data(conn, NULL);
	if (h->ops.request(h->ops.arg, ours, &q))
		return 200;
	mg_set_user_connection_data(conn, ours);
	return 0;
}

static void on_ready(struct mg_connection *conn, void *arg)
{
	struct civet *h = arg;
	void *ours = mg_get_user_connection_data(conn);

	mg_set_user_connection_data(conn, NULL);
	conn->must_close = 1; /* civetweb's own read loop ends before it began */
	h->ops.upgraded(h->ops.arg, ours, caught.bytes, caught.len);
}

static void on_connection_close(const struct mg_connection *conn)
{
	struct civet *h = mg_get_user_data(conn->phys_ctx);
	void *ours = mg_get_user_connection_data(conn);

	if (ours)
		h->ops.refused(h->ops.arg, ours, caught_status());
}

/* All threads are gone, and nobody takes the rest of the queue. A worker that took a request after the stop ended without a look at it,
 * too. */
static void on_exit_context(const struct mg_context *ctx)
{
	struct civet *h = mg_get_user_data(ctx);
	for (int i = ctx->sq_tail; i < ctx->sq_head; i++)
		h->ops.refused(h->ops.arg, passenger(&ctx->squeue[i % ctx->sq_size]), 503);
	for (unsigned i = 0; i < ctx->cfg_worker_threads; i++)
		if (passenger(&ctx->worker_connections[i].client))
			h->ops.refused(h->ops.arg, passenger(&ctx->worker_connections[i].client), 503);
}

static int on_log(const struct mg_connection *conn, const char *message)
{
	char quoted[512];
	(void)conn;
	log_debug("civetweb", "message=%s", log_quote(quoted, (struct str){ message, strlen(message) }));
	return 1;
}

/* --- The door's side. */

static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER; /* civetweb's own start and end are not safe against each other */

int civet_start(struct civet **out, int workers, const char *websocket_path, const struct civet_ops *ops, char **cause)
{
	struct civet *h = xcalloc(1, sizeof(*h));
	char threads[16], text[256] = "";
	const char *options[] = {
		"listening_ports",   "xdoor", "num_threads", threads, "connection_queue", QUEUE, "max_request_size", "20000",
		"enable_keep_alive", "no",    NULL
	};
	struct mg_callbacks callbacks = {
		.begin_request = on_begin_request,
		.log_message = on_log,
		.connection_close = on_connection_close,
		.init_context = on_init_context,
		.exit_context = on_exit_context,
		.init_thread = on_init_thread,
		.init_connection = on_init_connection,
	};
	struct mg_init_data init = { .callbacks = &callbacks, .user_data = h, .configuration_options = options };
	struct mg_error_data error = { .text = text, .text_buffer_size = sizeof(text) };

	h->ops = *ops;
	h->has_path = websocket_path != NULL;
	h->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (h->wake < 0) {
		wc_cause(cause, "cannot start the HTTP workers: %s; raise the limit of open files (ulimit -n)", strerror(errno));
		free(h);
		return -WC_EIO;
	}
	snprintf(threads, sizeof(threads), "%d", workers);
	pthread_mutex_lock(&library);
	mg_init_library(MG_FEATURES_DEFAULT);
	h->ctx = mg_start2(&init, &error);
	if (!h->ctx)
		mg_exit_library();
	pthread_mutex_unlock(&library);
	if (!h->ctx) {
		wc_cause(cause, "cannot start the HTTP workers: %s", text[0] ? text : "civetweb does not say why");
		close(h->wake);
		free(h);
		return -WC_EIO;
	}
	if (websocket_path)
		mg_set_websocket_handler_with_subprotocols(h->ctx, websocket_path, &h->no_protocols, NULL, on_ready, NULL, NULL, h);
	*out = h;
	return 0;
}

void civet_submit(struct civet *h, void *conn)
{
	struct socket so;
	/* No family: civetweb then prints no address, which is ours to know. */
	memset(&so, 0, sizeof(so));
	so.sock = INVALID_SOCKET;
	memcpy(so.lsa.sun.sun_path, &conn, sizeof(conn));
	produce_socket(h->ctx, &so);
}

void civet_stop(struct civet *h)
{
	uint64_t one = 1;
	if (!h)
		return;
	ssize_t ignored = write(h->wake, &one, sizeof(one));
	(void)ignored;
	pthread_mutex_lock(&library);
	mg_stop(h->ctx); /* on_exit_context sees the leftovers */
	mg_exit_library();
	pthread_mutex_unlock(&library);
	free(h);
}
