/* httpcheck.c — the strict reading of a raw request header. Owns nothing, keeps nothing, knows no socket; any thread. */
#include "http/httpcheck.h"

#include <string.h>
#include <strings.h>

#include "http/origin.h"

/* The methods that civetweb routes at all; any other is 501 here rather than an odd 400 there. */
static const char *const known_methods[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH" };

/* The words of the header lines, gathered before they are judged together. */
struct lines {
	int hosts, origins, lengths, encodings, keys, versions;
	struct str key, version, encoding, host;
	struct str site; /* of a target in absolute form: scheme and authority */
	bool says_close, says_keep_alive, says_upgrade, says_websocket;
};

static bool is_token_char(uint8_t c)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && memchr(others, c, sizeof(others) - 1));
}

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_token_char((uint8_t)s.p[i]))
			return false;
	return s.len > 0;
}

/* A target in absolute form, as a client sends it to a proxy and some to a server: the length of scheme and authority; 0: another form. */
static size_t site_length(struct str t)
{
	const size_t scheme = t.len > 7 && strncasecmp(t.p, "http://", 7) == 0    ? 7
	                      : t.len > 8 && strncasecmp(t.p, "https://", 8) == 0 ? 8
	                                                                          : 0;
	size_t n = scheme;

	while (n && n < t.len && t.p[n] != '/' && t.p[n] != '?')
		n++;
	return n;
}

/* Origin form, in ASCII as it must be: browsers encode the rest, and civetweb's signed char would make a control byte of it. That
 * the decoded path is UTF-8 is checked where it is decoded. */
static int check_target(struct str t, bool is_absolute)
{
	bool in_path = true;
	if (t.len > HTTP_TARGET_BYTES)
		return 414;
	if (!t.len || (t.p[0] != '/' && (!is_absolute || t.p[0] != '?')))
		return t.len || !is_absolute ? 400 : 0;
	for (size_t i = 0; i < t.len; i++) {
		uint8_t c = (uint8_t)t.p[i];
		if (c <= ' ' || c >= 0x7f || c == '#')
			return 400;
		if (c == '?')
			in_path = false;
		if (c != '%')
			continue;
		int high = i + 2 < t.len ? wc_hex_digit(t.p[i + 1]) : -1;
		int low = high >= 0 ? wc_hex_digit(t.p[i + 2]) : -1;
		if (low < 0)
			return 400;
		int byte = high << 4 | low;
		if (byte == 0 || (in_path && (byte < ' ' || byte == 0x7f)))
			return 400;
	}
	return 0;
}

/* METHOD SP target SP HTTP/1.x, one space each. */
static int check_request_line(struct str line, struct lines *l, struct http_check *out)
{
	const char *first = memchr(line.p, ' ', line.len);
	const char *last = memrchr(line.p, ' ', line.len);
	bool is_known = false;
	int status;
	if (!first || first == last)
		return 400;
	struct str method = { line.p, (size_t)(first - line.p) };
	struct str target = { first + 1, (size_t)(last - first - 1) };
	struct str version = { last + 1, line.len - (size_t)(last + 1 - line.p) };
	if (!is_token(method))
		return 400;
	if (version.len != 8 || memcmp(version.p, "HTTP/", 5) != 0 || version.p[5] < '0' || version.p[5] > '9' || version.p[6] != '.' ||
	    version.p[7] < '0' || version.p[7] > '9')
		return 400;
	if (version.p[5] != '1' || version.p[7] > '1')
		return 505;
	for (size_t i = 0; i < WC_LEN(known_methods); i++)
		is_known |= method.len == strlen(known_methods[i]) && memcmp(method.p, known_methods[i], method.len) == 0;
	if (!is_known)
		return 501;
	l->site = (struct str){ target.p, site_length(target) };
	if (l->site.len > ORIGIN_BYTES)
		return 400;
	if ((status = check_target((struct str){ target.p + l->site.len, target.len - l->site.len }, l->site.len > 0)))
		return status;
	out->is_http10 = version.p[7] == '0';
	out->is_head = method.len == 4 && memcmp(method.p, "HEAD", 4) == 0;
	/* Kept here until the lines are judged: only a GET may upgrade. */
	out->ws_status = method.len == 3 && memcmp(method.p, "GET", 3) == 0 ? 0 : 400;
	return 0;
}

/* Digits alone, at most INT64_MAX: no sign, no list, no space inside. */
static int check_length(struct str value, int64_t *out)
{
	int64_t sum = 0;
	if (!value.len)
		return 400;
	for (size_t i = 0; i < value.len; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return 400;
		if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, value.p[i] - '0', &sum))
			return 413;
	}
	*out = sum;
	return 0;
}

/* Is the word in this list of words, with commas between them? */
static bool list_has(struct str list, const char *wanted)
{
	while (list.len) {
		const char *comma = memchr(list.p, ',', list.len);
		size_t n = comma ? (size_t)(comma - list.p) : list.len;
		if (str_is_word(str_trim((struct str){ list.p, n }), wanted))
			return true;
		list.p += n + (comma != NULL);
		list.len -= n + (comma != NULL);
	}
	return false;
}

static int check_line(struct str line, struct lines *l, struct http_check *out)
{
	const char *colon = memchr(line.p, ':', line.len);
	/* A line that begins with white space is the obsolete folding; a space before the colon fails as a token. */
	if (!colon)
		return 400;
	struct str name = { line.p, (size_t)(colon - line.p) };
	struct str value = str_trim((struct str){ colon + 1, line.len - name.len - 1 });
	if (!is_token(name))
		return 400;

	if (str_is_word(name, "Host")) {
		struct host host;
		l->hosts++;
		l->host = value;
		out->is_host_bad = !host_parse(value, &host);
		if (out->is_host_bad)
			return 400;
		out->is_local = host_is_local(host.name);
		return 0;
	}
	if (str_is_word(name, "Content-Length")) {
		l->lengths++;
		return check_length(value, &out->content_length);
	}
	if (str_is_word(name, "Transfer-Encoding")) {
		l->encodings++;
		l->encoding = value;
	} else if (str_is_word(name, "Connection")) {
		l->says_close |= list_has(value, "close");
		l->says_keep_alive |= list_has(value, "keep-alive");
		l->says_upgrade |= list_has(value, "upgrade");
	} else if (str_is_word(name, "Upgrade")) {
		l->says_websocket |= list_has(value, "websocket");
	} else if (str_is_word(name, "Origin")) {
		l->origins++;
	} else if (str_is_word(name, "Expect")) {
		if (!str_is_word(value, "100-continue"))
			return 417;
		out->expects_continue = true;
	} else if (str_is_word(name, "Sec-WebSocket-Key")) {
		l->keys++;
		l->key = value;
	} else if (str_is_word(name, "Sec-WebSocket-Version")) {
		l->versions++;
		l->version = value;
	}
	return 0;
}

/* 16 bytes in base64: 22 letters and two pads. */
static bool is_ws_key(struct str key)
{
	if (key.len != 24 || key.p[22] != '=' || key.p[23] != '=')
		return false;
	for (size_t i = 0; i < 22; i++) {
		char c = key.p[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
			return false;
	}
	return true;
}

static int check_websocket(const struct lines *l, const struct http_check *c)
{
	if (c->ws_status)
		return c->ws_status;
	if (c->is_http10 || c->content_length > 0)
		return 400;
	if (l->versions != 1 || !str_is_word(l->version, "13"))
		return 426;
	return l->keys == 1 && is_ws_key(l->key) ? 0 : 400;
}

int httpcheck_head(const uint8_t *bytes, size_t n, struct http_check *out)
{
	const char *p = (const char *)bytes;
	const char *end = p + n - 2; /* the blank line */
	struct lines l = { 0 };
	int status, count = 0;

	*out = (struct http_check){ .content_length = -1 };
	if (n > HTTP_HEAD_BYTES)
		return 431;
	for (const char *next; p < end; p = next + 2) {
		next = memmem(p, (size_t)(end - p) + 2, "\r\n", 2);
		if (!next)
			return 400;
		struct str line = { p, (size_t)(next - p) };
		status = count == 0 ? check_request_line(line, &l, out) : check_line(line, &l, out);
		if (status)
			return status;
		if (count++ > HTTP_HEAD_LINES)
			return 431;
	}
	out->is_host_bad = l.hosts > 1 || (l.hosts == 0 && !out->is_http10);
	if (l.hosts > 1 || (l.hosts == 0 && !out->is_http10) || l.lengths > 1 || l.origins > 1)
		return 400;
	/* One that names another host than Host does is read differently by whoever looks at the other one. */
	if (l.site.len && !origin_may(l.site, l.hosts ? l.host : STR(""), false, NULL))
		return 400;
	/* RFC 9112 6.1: a length beside an encoding is an attack or a bug. Bodies without a length are not taken at all. */
	if (l.encodings)
		return l.lengths || out->is_http10 ? 400 : l.encodings == 1 && str_is_word(l.encoding, "chunked") ? 411 : 501;
	out->keeps_alive = !l.says_close && (!out->is_http10 || l.says_keep_alive);
	out->expects_continue &= !out->is_http10;
	out->is_websocket = l.says_upgrade && l.says_websocket;
	out->ws_status = out->is_websocket ? (uint16_t)check_websocket(&l, out) : 0;
	return 0;
}

size_t httpcheck_simplify(char *head, size_t n, bool is_websocket)
{
	char *target = (char *)memchr(head, ' ', n) + 1;
	struct str name, value;
	size_t at = 0,
	       site = site_length((struct str){ target, (size_t)((char *)memchr(target, ' ', n - (size_t)(target - head)) - target) });

	if (site) {
		if (target[site] != '/')
			target[--site] = '/';
		memmove(target, target + site, n - (size_t)(target - head) - site);
		n -= site;
	}
	while (httpcheck_field((uint8_t *)head, n, &at, &name, &value)) {
		const bool is_upgrade = str_is_word(name, "Upgrade");
		if (!is_upgrade && !str_is_word(name, "Connection"))
			continue;
		if (!is_websocket || !list_has(value, is_upgrade ? "websocket" : "upgrade"))
			head[name.p - head] = '-';
	}
	return n;
}

bool httpcheck_field(const uint8_t *bytes, size_t n, size_t *at, struct str *name, struct str *value)
{
	const char *p = (const char *)bytes, *end;
	if (*at == 0) { /* past the request line */
		end = memmem(p, n, "\r\n", 2);
		*at = end ? (size_t)(end - p) + 2 : n;
	}
	end = *at < n ? memmem(p + *at, n - *at, "\r\n", 2) : NULL;
	struct str line = { p + *at, end ? (size_t)(end - p) - *at : 0 };
	const char *colon = line.len ? memchr(line.p, ':', line.len) : NULL;
	if (!colon) /* the blank line */
		return false;
	*at += line.len + 2;
	*name = (struct str){ line.p, (size_t)(colon - line.p) };
	*value = str_trim((struct str){ colon + 1, line.len - name->len - 1 });
	return true;
}

int httpcheck_scan(struct http_scan *scan, const uint8_t *p, size_t n)
{
	struct http_check ignored;
	struct lines ignored_too;
	size_t i = scan->at;
	int status;
	for (; i < n && i < HTTP_HEAD_BYTES; i++) {
		uint8_t c = p[i];
		if (i && p[i - 1] == '\r' && c != '\n')
			return -400;
		if ((c >= ' ' && c != 0x7f) || c == '\t' || c == '\r')
			continue;
		if (c != '\n' || i == 0 || p[i - 1] != '\r')
			return -400;
		if (!scan->has_line) {
			if ((status = check_request_line((struct str){ (const char *)p, i - 1 }, &ignored_too, &ignored)))
				return -status;
			scan->has_line = true;
		} else if (p[i - 2] == '\n') {
			return (int)i + 1;
		}
	}
	scan->at = (uint32_t)i;
	return i >= HTTP_HEAD_BYTES ? -431 : 0;
}

const char *http_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 422, "Unprocessable Content" },
		{ 423, "Locked" },
		{ 426, "Upgrade Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
		{ 507, "Insufficient Storage" },
	};

	for (size_t i = 0; i < WC_LEN(phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Error";
}
