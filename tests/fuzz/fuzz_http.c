/* fuzz_http.c — any bytes as what a peer sends first: judged at once and in pieces alike; what passes goes through civetweb as a request
 * does, in the form for it, and comes out with the number of lines it went in with.
 *
 * Compiled with
 *   clang -std=gnu11 -D_GNU_SOURCE -Icore -g -O1 -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_http.c LIBRARY
 * or with replay_main.c in place of libFuzzer.
 *
 * Input: the bytes as they are. */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "http/civet.h"
#include "http/httpcheck.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct input {
	const uint8_t *p;
	size_t n;
	struct http_check check;
	int lines;
	sem_t done;
};

static void head(void *arg, void *conn, const void **p, size_t *n)
{
	struct input *in = conn;

	(void)arg;
	*p = in->p;
	*n = in->n;
}

static bool request(void *arg, void *conn, const struct civet_request *q)
{
	struct input *in = conn;

	(void)arg;
	WC_ASSERT(q->header_count == in->lines);
	WC_ASSERT(q->path[0] == '/' && strlen(q->path) < in->n);
	WC_ASSERT(q->method >= q->text && q->method < q->text + q->text_len);
	WC_ASSERT(!q->query || (q->query >= q->text && q->query < q->text + q->text_len));
	for (int i = 0; i < q->header_count; i++) {
		const char *value = q->headers[i].value;

		WC_ASSERT(strlen(q->headers[i].name) > 0 && value >= q->text && value + strlen(value) < q->text + q->text_len);
		WC_ASSERT(!strpbrk(value, "\r\n\t"));
	}
	if (q->is_upgrade && in->check.is_websocket && in->check.ws_status == 0 && strcmp(q->path, "/ws") == 0)
		return false;
	sem_post(&in->done);
	return true;
}

static void upgraded(void *arg, void *conn, const void *answer, size_t n)
{
	struct input *in = conn;

	(void)arg;
	WC_ASSERT(n > 100 && n < 1024 && memcmp(answer, "HTTP/1.1 101 ", 13) == 0 && !memmem(answer, n, "Sec-WebSocket-Protocol", 22));
	WC_ASSERT(memmem(answer, n, "\r\n\r\n", 4) == (const char *)answer + n - 4);
	sem_post(&in->done);
}

/* Nothing that we let through may surprise civetweb. */
static void refused(void *arg, void *conn, int status)
{
	(void)arg;
	(void)conn;
	WC_ASSERT(status == 0);
}

/* The bytes in pieces whose lengths come from the bytes themselves, each in a block of just its size. */
static int scan_in_pieces(const uint8_t *data, size_t n)
{
	struct http_scan scan = { 0 };
	int len = 0;

	for (size_t have = 0; have < n && len == 0;) {
		have = WC_MIN(n, have + 1 + data[have] % 64);
		uint8_t *exact = xmalloc(have);

		memcpy(exact, data, have);
		len = httpcheck_scan(&scan, exact, have);
		free(exact);
	}
	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct civet *civet;
	static const struct civet_ops ops = { .head = head, .request = request, .upgraded = upgraded, .refused = refused };
	struct http_scan scan = { 0 };
	struct input in = { .lines = -2 };
	char *cause = NULL;
	int len = httpcheck_scan(&scan, data, n);

	WC_ASSERT(len == scan_in_pieces(data, n));
	WC_ASSERT(len <= HTTP_HEAD_BYTES && (size_t)(len < 0 ? 0 : len) <= n);
	if (len <= 0)
		return 0;
	in.n = (size_t)len;
	if (httpcheck_head(data, in.n, &in.check))
		return 0;
	for (int i = 1; i < len; i++) {
		WC_ASSERT((data[i] == '\n') == (data[i - 1] == '\r'));
		in.lines += data[i] == '\n';
	}
	WC_ASSERT(in.lines >= 0 && in.lines <= HTTP_HEAD_LINES);
	char *plain = xmalloc(in.n);
	memcpy(plain, data, in.n);
	in.n = httpcheck_simplify(plain, in.n, in.check.is_websocket);
	in.p = (const uint8_t *)plain;
	WC_ASSERT(in.n <= (size_t)len && httpcheck_head(in.p, in.n, &in.check) == 0);
	if (!civet)
		WC_ASSERT(civet_start(&civet, 1, "/ws", &ops, &cause) == 0);
	sem_init(&in.done, 0, 0);
	civet_submit(civet, &in);
	while (sem_wait(&in.done) < 0) /* libFuzzer's timer interrupts it */
		WC_ASSERT(errno == EINTR);
	sem_destroy(&in.done);
	free(plain);
	return 0;
}
