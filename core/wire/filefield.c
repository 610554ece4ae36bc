/* filefield.c — a peer's description of a file, made fit to be stored and shown (see filefield.h).
 *
 * Owns nothing. Never allocates, never refuses: what makes no sense becomes the default. Any thread. */
#include "wire/filefield.h"

#include <string.h>

#include "base/utf8.h"

/* Control characters, and those that reorder a line so that "exe.txt" reads "txt.exe". */
static bool is_unsafe_in_filename(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static uint32_t code_point(const char *s, size_t *len)
{
	const unsigned char *p = (const unsigned char *)s;

	if (p[0] < 0x80) {
		*len = 1;
		return p[0];
	}
	if (p[0] < 0xe0) {
		*len = 2;
		return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	}
	if (p[0] < 0xf0) {
		*len = 3;
		return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	}
	*len = 4;
	return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}

struct str filename_clean(char out[WC_FILENAME_BYTES], struct str raw)
{
	size_t points = 0, len = 0, n;
	struct str name;

	for (size_t i = raw.len; i > 0; i--) {
		if (raw.p[i - 1] == '/' || raw.p[i - 1] == '\\') {
			raw.p += i;
			raw.len -= i;
			break;
		}
	}
	raw = utf8_trim(raw);
	for (size_t i = 0; i < raw.len && points < WC_FILENAME_POINTS; i += n) {
		if (is_unsafe_in_filename(code_point(raw.p + i, &n)))
			continue;
		memcpy(out + len, raw.p + i, n);
		len += n;
		points++;
	}
	name = utf8_trim((struct str){ out, len });
	if (name.len == 0 || str_eq(name, STR(".")) || str_eq(name, STR("..")))
		return STR("file");
	return name;
}

struct str mime_clean(char out[WC_MIME_BYTES], struct str raw, struct str fallback)
{
	const char *params = raw.len ? memchr(raw.p, ';', raw.len) : NULL;
	size_t slash = 0;

	if (params)
		raw.len = (size_t)(params - raw.p);
	raw = utf8_trim(raw);
	if (raw.len > WC_MIME_BYTES)
		return fallback;
	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == '/' && slash == 0 && i > 0)
			slash = i;
		else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$&-^_.+", c))))
			return fallback;
		out[i] = c;
	}
	if (slash == 0 || slash + 1 == raw.len)
		return fallback;
	return (struct str){ out, raw.len };
}

struct str waveform_clean(struct str s)
{
	if (s.len > WC_WAVEFORM_BYTES)
		return (struct str){ NULL, 0 };
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
			return (struct str){ NULL, 0 };
	}
	return s;
}

size_t base64_unescape(char *out, struct str s)
{
	const char *p = s.p, *end = s.p + s.len, *slash;
	char *at = out;

	while (p < end) {
		slash = memchr(p, '\\', (size_t)(end - p));
		if (!slash)
			slash = end;
		memcpy(at, p, (size_t)(slash - p));
		at += slash - p;
		p = slash;
		if (p == end)
			break;
		switch (p[1]) {
		case '/': *at++ = '/'; break;
		case 'n': *at++ = '\n'; break;
		case 'r': *at++ = '\r'; break;
		case 't': *at++ = '\t'; break;
		case 'u': {
			uint8_t code[2];

			*at++ = wc_unhex(code, 2, (struct str){ p + 2, 4 }) == 0 && code[0] == 0 && code[1] > 0 && code[1] < 0x80
			                ? (char)code[1]
			                : '*';
			p += 4;
			break;
		}
		default: *at++ = '*';
		}
		p += 2;
	}
	return (size_t)(at - out);
}
