/* origin.c — see origin.h. Owns nothing. */
#include "http/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 3986's reg-name without its escapes, which no browser leaves in one, and without what separates things elsewhere. */
static bool is_name_char(char c)
{
	return is_letter(c) || is_digit(c) || (c && strchr("-._~!$&'*+", c));
}

/* The length of the name at its beginning; 0: there is none. */
static size_t name_length(struct str value)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr scratch;
	size_t n = 0;
	if (!value.len)
		return 0;
	if (value.p[0] != '[') {
		while (n < value.len && is_name_char(value.p[n]))
			n++;
		return n;
	}
	const char *end = memchr(value.p, ']', value.len);
	if (!end)
		return 0;
	n = (size_t)(end - value.p) - 1;
	if (n >= sizeof(text))
		return 0;
	memcpy(text, value.p + 1, n);
	text[n] = '\0';
	return inet_pton(AF_INET6, text, &scratch) == 1 ? n + 2 : 0;
}

bool host_parse(struct str value, struct host *out)
{
	size_t n = name_length(value);
	int port = 0;
	if (n == 0 || n > 255)
		return false;
	*out = (struct host){ { value.p, n }, -1 };
	if (n == value.len)
		return true;
	if (value.p[n++] != ':')
		return false;
	if (n == value.len) /* RFC 3986 lets a port be empty */
		return true;
	if (value.len - n > 5) /* zeros before a port would let a value be of any length */
		return false;
	for (; n < value.len; n++) {
		if (!is_digit(value.p[n]))
			return false;
		port = port * 10 + (value.p[n] - '0');
		if (port > 65535)
			return false;
	}
	out->port = port;
	return true;
}

bool host_is_local(struct str name)
{
	static const char suffix[] = ".localhost";
	size_t n = sizeof(suffix) - 1;

	return str_is_word(name, "localhost") || str_is_word(name, "127.0.0.1") || str_is_word(name, "[::1]") ||
	       (name.len > n && strncasecmp(name.p + name.len - n, suffix, n) == 0);
}

static int port_of_scheme(struct str scheme)
{
	return str_is_word(scheme, "https") || str_is_word(scheme, "wss") ? 443
	       : str_is_word(scheme, "http") || str_is_word(scheme, "ws") ? 80
	                                                                  : -1;
}

static bool origin_parse(struct str origin, struct str *scheme, struct host *host)
{
	size_t n = 0;
	while (n < origin.len && (is_letter(origin.p[n]) || (n && (is_digit(origin.p[n]) || strchr("+-.", origin.p[n])))))
		n++;
	*scheme = (struct str){ origin.p, n };
	if (n == 0 || origin.len - n < 4 || memcmp(origin.p + n, "://", 3) != 0)
		return false;
	return host_parse((struct str){ origin.p + n + 3, origin.len - n - 3 }, host);
}

bool origin_normalize(struct str origin, char out[ORIGIN_BYTES])
{
	struct str scheme;
	struct host host;
	if (str_eq(origin, STR("null")) || str_eq(origin, STR("*"))) {
		memcpy(out, origin.p, origin.len);
		out[origin.len] = '\0';
		return true;
	}
	if (!origin_parse(origin, &scheme, &host))
		return false;
	int n = snprintf(out, ORIGIN_BYTES, "%.*s://%.*s", (int)scheme.len, scheme.p, (int)host.name.len, host.name.p);
	if (n >= 0 && n < ORIGIN_BYTES && host.port >= 0 && host.port != port_of_scheme(scheme))
		n += snprintf(out + n, ORIGIN_BYTES - (size_t)n, ":%d", host.port);
	if (n < 0 || n >= ORIGIN_BYTES)
		return false;
	for (char *p = out; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
	return true;
}

bool origin_is_listed(struct str origin, char *const *allowed)
{
	char normal[ORIGIN_BYTES];
	/* "*" in a header is no origin; in the list it is all of them. */
	if (str_eq(origin, STR("*")) || !origin_normalize(origin, normal))
		return false;
	for (; allowed && *allowed; allowed++)
		if (strcmp(*allowed, normal) == 0 || strcmp(*allowed, "*") == 0)
			return true;
	return false;
}

static bool is_own(struct str origin, struct str host_value, bool is_https)
{
	struct str scheme;
	struct host of_page, asked;
	if (!origin_parse(origin, &scheme, &of_page) || !host_parse(host_value, &asked))
		return false;
	if (!str_is_word(scheme, "https") && (is_https || !str_is_word(scheme, "http")))
		return false;
	if (of_page.name.len != asked.name.len || strncasecmp(of_page.name.p, asked.name.p, asked.name.len) != 0)
		return false;
	/* A Host without a port means the scheme's own, and the page's scheme is the request's. */
	int of_scheme = port_of_scheme(scheme);
	return (of_page.port < 0 ? of_scheme : of_page.port) == (asked.port < 0 ? of_scheme : asked.port);
}

bool origin_may(struct str origin, struct str host, bool is_https, char *const *allowed)
{
	return is_own(origin, host, is_https) || origin_is_listed(origin, allowed);
}
