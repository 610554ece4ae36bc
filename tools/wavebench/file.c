/* file.c — files: sent to all as one frame of base64, and fetched over HTTP.
 *
 * Thread: the worker that owns the client. */
#include "wavebench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Its first bytes differ from any other's: a server that keeps one copy of equal files finds none. */
void file_send(struct worker *w, struct client *c)
{
	static unsigned number;
	const size_t size = (size_t)run.opt.file_mb << 20, data = (size + 2) / 3 * 4;
	char *payload = xmalloc(data + 256), *frame = xmalloc(data + 256 + 14);
	int n = snprintf(payload, 256,
	                 "{\"type\":\"file\",\"filename\":\"bench.bin\",\"mime\":\"application/octet-stream\",\"size\":%zu,\"data\":\"",
	                 size);
	memset(payload + n, 'A', data);
	char mark[17];
	snprintf(mark, sizeof(mark), "%08x%08x", run.id, ++number); /* hexadecimal digits are base64, too */
	memcpy(payload + n, mark, 16);
	if (size % 3)
		memset(payload + (size_t)n + data - (3 - size % 3), '=', 3 - size % 3);
	memcpy(payload + (size_t)n + data, "\"}", 2);
	client_send(w, c, frame, frame_write(frame, 1, payload, (size_t)n + data + 2));
	free(payload);
	free(frame);
}

void file_whole(struct client *c)
{
	if (c->is_in_file)
		atomic_fetch_add(&run.file_got, 1);
	c->is_in_file = false;
}

/* --- Downloads: one after another on a connection that is kept */

void fetch_ask(struct worker *w, struct client *c)
{
	char request[1024];
	if (c->join_us && atomic_load(&run.phase) == PHASE_MEASURE) {
		w->tally.fetches++;
		hist_add(&w->latency, (uint64_t)(mono_us() - c->join_us));
	}
	int n = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", run.opt.path, run.opt.host);
	c->join_us = mono_us();
	client_send(w, c, request, (size_t)n);
}

size_t fetch_answer(struct worker *w, struct client *c, const char *p, size_t n, int64_t now)
{
	(void)now;
	const char *end = memmem(p, n, "\r\n\r\n", 4);
	if (!end)
		return 0;
	size_t head = (size_t)(end + 4 - p), length = 0;
	for (const char *line = p; line < end; line = (const char *)memchr(line, '\n', n) + 1)
		if (strncasecmp(line, "content-length:", 15) == 0)
			length = strtoull(line + 15, NULL, 10);
	if (n < 12 || memcmp(p, "HTTP/1.1 200", 12) != 0 || length == 0) {
		clients_say("not an answer of 200 with a length", c);
		errno = EPROTO;
		client_lost(w, c);
		return n;
	}
	size_t have = WC_MIN(n - head, length);
	c->skip = length - have;
	if (c->skip == 0)
		fetch_ask(w, c);
	return head + have;
}
