/* forwarded.c — see forwarded.h. Owns nothing. */
#include "http/forwarded.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "http/httpcheck.h"
#include "net/listener.h"

/* The list so far, read from the left. An untrusted address replaces all before it; a trusted one keeps them. Text that is no address ends
 * the trust in everything before it. In the end `found` is the rightmost untrusted address, or else the leftmost trusted one. */
struct chain {
	const struct ip_nets *proxies;
	struct sockaddr_storage found;
	bool has_found;
	bool is_https;
};

static bool parse_port(struct str s, in_port_t *out)
{
	unsigned port = 0;
	if (s.len < 1 || s.len > 5)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		port = port * 10 + (unsigned)(s.p[i] - '0');
	}
	*out = htons((uint16_t)port);
	return port <= 65535;
}

/* 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80. Names, "unknown" and the like are none. */
static bool parse_node(struct str s, struct sockaddr_storage *out)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct str host = s, port = { NULL, 0 };
	char text[INET6_ADDRSTRLEN];
	const char *colon = memchr(s.p, ':', s.len), *end;
	in_port_t number = 0;

	if (s.len && s.p[0] == '[') {
		end = memchr(s.p, ']', s.len);
		if (!end)
			return false;
		host = (struct str){ s.p + 1, (size_t)(end - s.p) - 1 };
		port = (struct str){ end + 1, s.len - host.len - 2 };
		if (port.len && *port.p++ != ':')
			return false;
		if (port.len && !parse_port((struct str){ port.p, port.len - 1 }, &number))
			return false;
	} else if (colon && !memchr(colon + 1, ':', s.len - (size_t)(colon + 1 - s.p))) {
		host.len = (size_t)(colon - s.p);
		if (!parse_port((struct str){ colon + 1, s.len - host.len - 1 }, &number))
			return false;
		colon = NULL;
	}
	if (host.len == 0 || host.len >= sizeof(text))
		return false;
	memcpy(text, host.p, host.len);
	text[host.len] = '\0';
	memset(out, 0, sizeof(*out));
	if (!colon && inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		v4.sin_port = number;
		memcpy(out, &v4, sizeof(v4));
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
		return false;
	v6.sin6_port = number;
	memcpy(out, &v6, sizeof(v6));
	address_unmap(out);
	return true;
}

static void take_node(struct chain *chain, struct str node)
{
	struct sockaddr_storage a;
	uint8_t addr[16];
	if (!parse_node(node, &a) || !ip_bytes(&a, addr)) {
		chain->has_found = false;
		return;
	}
	if (chain->has_found && ip_in_nets(addr, chain->proxies))
		return;
	chain->found = a;
	chain->has_found = true;
}

/* The next piece up to `stop`, without white space around it; false at the end. Quotes do not hold a list together: no proxy puts a comma
 * into them, and a client that opens one must not swallow what the proxy adds behind it. */
static bool next_piece(struct str *rest, char stop, struct str *piece)
{
	const char *end = rest->len ? memchr(rest->p, stop, rest->len) : NULL;
	size_t n = end ? (size_t)(end - rest->p) : rest->len;
	if (!rest->len)
		return false;
	*piece = str_trim((struct str){ rest->p, n });
	n += end != NULL;
	*rest = (struct str){ rest->p + n, rest->len - n };
	return true;
}

static struct str unquote(struct str s)
{
	return s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"' ? (struct str){ s.p + 1, s.len - 2 } : s;
}

/* for=192.0.2.1;proto=https, for="[2001:db8::1]:80" — RFC 7239. */
static void take_forwarded(struct chain *chain, struct str list)
{
	struct str element, pair;
	while (next_piece(&list, ',', &element)) {
		struct str node = { "", 0 };
		if (!element.len)
			continue;
		while (next_piece(&element, ';', &pair)) {
			const char *equals = memchr(pair.p, '=', pair.len);
			if (!equals)
				continue;
			struct str name = { pair.p, (size_t)(equals - pair.p) };
			struct str value = unquote((struct str){ equals + 1, pair.len - name.len - 1 });
			if (str_is_word(name, "for"))
				node = value;
			else if (str_is_word(name, "proto"))
				chain->is_https = str_is_word(value, "https");
		}
		take_node(chain, node);
	}
}

static bool is_same_client(const struct chain *a, const struct chain *b)
{
	uint8_t one[16], other[16];
	return a->has_found == b->has_found &&
	       (!a->has_found || (ip_bytes(&a->found, one) && ip_bytes(&b->found, other) && memcmp(one, other, 16) == 0));
}

int forwarded_read(const uint8_t *p, size_t n, const struct ip_nets *proxies, struct sockaddr_storage *peer, bool *is_https)
{
	struct chain plain = { .proxies = proxies }, standard = { .proxies = proxies };
	bool has_plain = false, has_standard = false, has_proto = false;
	struct str name, value, item;
	size_t at = 0;
	while (httpcheck_field(p, n, &at, &name, &value)) {
		if (str_is_word(name, "X-Forwarded-For")) {
			has_plain = true;
			while (next_piece(&value, ',', &item))
				if (item.len)
					take_node(&plain, item);
		} else if (str_is_word(name, "X-Forwarded-Proto")) {
			has_proto = true;
			while (next_piece(&value, ',', &item))
				plain.is_https = str_is_word(item, "https");
		} else if (str_is_word(name, "Forwarded")) {
			has_standard = true;
			take_forwarded(&standard, value);
		}
	}
	*is_https = has_proto ? plain.is_https : standard.is_https;
	if (has_plain && has_standard && !is_same_client(&plain, &standard))
		return -WC_EBAD;
	const struct chain *chain = has_plain ? &plain : &standard;
	if (chain->has_found)
		*peer = chain->found;
	return chain->has_found;
}
