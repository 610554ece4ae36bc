/* hconn.c — one HTTP connection's bytes. Never reads or writes the socket; any thread, the connection's owner. */
#include "http/hconn.h"

#include <stdlib.h>
#include <string.h>

bool hconn_append(struct hconn *c, const void *data, size_t n)
{
	if (c->len + n > c->cap) {
		/* Exact at first, since most headers come whole; then by halves, for those that come in pieces. */
		size_t cap = c->len ? c->len + n + c->len / 2 : n;
		uint8_t *grown = realloc(c->buf, cap);

		if (!grown)
			return false;
		c->buf = grown;
		c->cap = (uint32_t)cap;
	}
	memcpy(c->buf + c->len, data, n);
	c->len += (uint32_t)n;
	return true;
}

void hconn_next_request(struct hconn *c)
{
	size_t used = c->head_len + WC_MIN((uint64_t)hconn_extra(c), c->body_left);
	c->len -= (uint32_t)used;
	if (c->len) {
		memmove(c->buf, c->buf + used, c->len);
	} else {
		free(c->buf);
		c->buf = NULL;
		c->cap = 0;
	}
	c->head_len = 0;
	c->pieces = 0;
	c->body_left = 0;
	c->scan = (struct http_scan){ 0 };
	c->check = (struct http_check){ 0 }; /* a next one that cannot be read is not answered as the last one wished */
}
