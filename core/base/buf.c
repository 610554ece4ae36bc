/* buf.c — the growable byte buffer and what writes JSON text into it.
 *
 * Owns one heap block per buffer; never exceeds its cap, never aborts for want of memory: a peer may have sized what is
 * being built. Knows nothing of what the bytes mean but in json_*. No thread of its own.
 *
 *   0 .. len      written
 *   len .. room   free
 *   room          one byte more is always there, so that buf_take can terminate without growing */
#include "base/buf.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define BUF_FIRST 256

void buf_init(struct buf *b, size_t cap_bytes)
{
	/* room + 1 must not wrap. */
	*b = (struct buf){ .cap_bytes = WC_MIN(cap_bytes, (size_t)PTRDIFF_MAX - 1) };
}

void buf_init_sure(struct buf *b, size_t cap_bytes)
{
	buf_init(b, cap_bytes);
	b->is_sure = true;
}

void buf_init_counted(struct buf *b, size_t cap_bytes, shbuf_owner owner)
{
	buf_init(b, WC_MIN(cap_bytes, (size_t)PTRDIFF_MAX / 2));
	b->is_counted = true;
	b->owner = owner;
	b->front = sizeof(struct shbuf);
}

/* The heap block. */
static char *block_of(const struct buf *b)
{
	return b->p ? b->p - b->front : NULL;
}

/* Empty as at first, of the same kind. The memory is somebody's else, or gone. */
static void begin_again(struct buf *b)
{
	*b = (struct buf){
		.cap_bytes = b->cap_bytes, .front = b->front, .owner = b->owner, .is_sure = b->is_sure, .is_counted = b->is_counted
	};
}

void buf_fini(struct buf *b)
{
	free(block_of(b));
	if (b->counted)
		shbuf_give(b->counted, b->owner);
	begin_again(b);
}

static bool count(struct buf *b, size_t room)
{
	if (!b->is_counted || room < SHBUF_LARGE)
		return true;
	if (!shbuf_take_more(room - b->counted, b->counted, b->owner))
		return false;
	b->counted = room;
	return true;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

bool buf_reserve(struct buf *b, size_t more)
{
	if (b->failed)
		return false;
	if (more <= b->room - b->len && b->p)
		return true;
	if (more > b->cap_bytes - b->len)
		goto fail;
	size_t room = WC_MAX(b->len + more, BUF_FIRST);
	/* Doubling keeps appends linear; a single large one gets just what it asked for. */
	if (b->room <= b->cap_bytes / 2)
		room = WC_MAX(room, b->room * 2);
	else
		room = b->cap_bytes;
	room = WC_MIN(room, b->cap_bytes);
	if (!count(b, room))
		goto fail;
	char *p = block_of(b);
	p = b->is_sure ? xrealloc(p, b->front + room + 1) : realloc(p, b->front + room + 1);
	if (!p)
		goto fail;
	b->p = p + b->front;
	b->room = room;
	return true;
fail:
	b->failed = true;
	return false;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
	if (!buf_reserve(b, n) || !n)
		return;
	memcpy(b->p + b->len, data, n);
	b->len += n;
}

void buf_puts(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
	if (buf_reserve(b, 1))
		b->p[b->len++] = c;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	if (!buf_reserve(b, 0))
		return;
	size_t left = b->room - b->len + 1;
	va_start(ap, fmt);
	int n = vsnprintf(b->p + b->len, left, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	if ((size_t)n >= left) {
		if (!buf_reserve(b, (size_t)n))
			return;
		va_start(ap, fmt);
		vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
}

void buf_u64(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	buf_put(b, digits + at, sizeof(digits) - at);
}

char *buf_take(struct buf *b, size_t *len)
{
	if (!buf_reserve(b, 0)) {
		buf_fini(b);
		return NULL;
	}
	WC_ASSERT(!b->front);
	char *p = b->p;
	p[b->len] = '\0';
	if (len)
		*len = b->len;
	b->p = NULL;
	buf_fini(b);
	return p;
}

struct shbuf *buf_share(struct buf *b)
{
	WC_ASSERT(b->is_counted);
	if (!buf_reserve(b, 0)) {
		buf_fini(b);
		return NULL;
	}
	char *p = realloc(block_of(b), b->front + b->len + 1); /* what was room for more goes back */
	struct shbuf *shared = shbuf_adopt(p ? p : block_of(b), b->len, b->counted, b->owner);
	begin_again(b);
	return shared;
}

/* How many bytes at p need no escape and no second look: printable ASCII but `"` and `\`. */
static size_t plain_run(const uint8_t *p, size_t n)
{
	const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
	size_t i = 0;

	for (; n - i >= 8; i += 8) {
		uint64_t w;
		memcpy(&w, p + i, 8);
		uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';
		/* A borrow may flag a byte above a true hit, never without one: good enough to leave the loop. */
		if ((w | (w - ones * 0x20) | (quote - ones) | (slash - ones)) & highs)
			break;
	}
	while (i < n && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
		i++;
	return i;
}

/* U+2028 or U+2029: end a line in JavaScript. */
static bool is_line_end(const uint8_t *p, size_t n)
{
	return n >= 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] & 0xfe) == 0xa8;
}

/* How many bytes at p are written as they are. */
static size_t as_is_run(const uint8_t *p, size_t n)
{
	size_t i = 0;
	for (;;) {
		i += plain_run(p + i, n - i);
		/* Letters of two bytes come in rows, and none of them is special. */
		while (n - i >= 2 && p[i] >= 0xc2 && p[i] < 0xe0 && (p[i + 1] & 0xc0) == 0x80)
			i += 2;
		if (i == n)
			return i;
		size_t step = p[i] >= 0x20 && p[i] != '"' && p[i] != '\\' ? utf8_step(p + i, n - i) : 0;
		if (step == 0 || is_line_end(p + i, n - i))
			return i;
		i += step;
	}
}

/* The text for what is at p and not written as it is, `step` bytes there. u: room for it. */
static struct str escape_of(const uint8_t *p, size_t n, char u[6], size_t *step)
{
	static const char hex[] = "0123456789abcdef";

	*step = 1;
	switch (*p) {
	case '"': return STR("\\\"");
	case '\\': return STR("\\\\");
	case '\b': return STR("\\b");
	case '\f': return STR("\\f");
	case '\n': return STR("\\n");
	case '\r': return STR("\\r");
	case '\t': return STR("\\t");
	default: break;
	}
	if (*p < 0x20) {
		memcpy(u, "\\u00", 4);
		u[4] = hex[*p >> 4];
		u[5] = hex[*p & 15];
		return (struct str){ u, 6 };
	}
	if (!is_line_end(p, n))
		return STR("\xef\xbf\xbd");
	*step = 3;
	return p[2] == 0xa8 ? STR("\\u2028") : STR("\\u2029");
}

void json_str(struct buf *b, struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	char u[6];

	if (s.len > SIZE_MAX - 2) {
		b->failed = true;
		return;
	}
	/* One growth for the usual case: nothing to escape. */
	if (!buf_reserve(b, s.len + 2))
		return;
	buf_putc(b, '"');
	for (size_t i = 0, step; i < s.len; i += step) {
		const size_t run = as_is_run(p + i, s.len - i);
		buf_put(b, p + i, run);
		i += run;
		if (i == s.len)
			break;
		struct str escape = escape_of(p + i, s.len - i, u, &step);
		buf_put(b, escape.p, escape.len);
	}
	buf_putc(b, '"');
}

size_t json_str_len(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	char u[6];
	size_t len = 2;

	for (size_t i = 0, step; i < s.len; i += step) {
		const size_t run = as_is_run(p + i, s.len - i);
		len += run;
		i += run;
		if (i == s.len)
			break;
		len += escape_of(p + i, s.len - i, u, &step).len;
	}
	return len;
}

void json_num(struct buf *b, double n)
{
	char text[40];

	if (!isfinite(n)) {
		buf_putc(b, '0');
		return;
	}
	snprintf(text, sizeof(text), "%.15g", n);
	if (strtod(text, NULL) != n)
		snprintf(text, sizeof(text), "%.17g", n);
	/* JSON has a point whatever LC_NUMERIC says. */
	char *comma = strchr(text, ',');
	if (comma)
		*comma = '.';
	buf_puts(b, text);
}
