/* option_value.c — the values of options: read from text, written as text, copied, freed (see options_impl.h). Pure. Any thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/origin.h"
#include "server/options_impl.h"

bool option_parse_int(const char *s, int low, int high, int *out)
{
	char *end;
	long n;

	/* strtol would take blanks and a plus sign */
	if ((*s < '0' || *s > '9') && *s != '-')
		return false;
	errno = 0;
	n = strtol(s, &end, 10);
	if (errno != 0 || *end != '\0' || end == s || n < low || n > high)
		return false;
	*out = (int)n;
	return true;
}

static bool parse_flag(const char *s, bool *out)
{
	static const char *const words[] = { "yes", "no", "on", "off", "true", "false", "1", "0" };

	for (size_t i = 0; i < WC_LEN(words); i++)
		if (strcmp(s, words[i]) == 0) {
			*out = i % 2 == 0;
			return true;
		}
	return false;
}

/* The address as it is commonly written, without brackets; or NULL. */
static char *parse_address(const char *s)
{
	size_t len = strlen(s);
	bool is_bracketed = len > 2 && s[0] == '[' && s[len - 1] == ']';
	char text[INET6_ADDRSTRLEN] = "", *bare = xstrdup(is_bracketed ? s + 1 : s);
	struct in6_addr scratch;

	if (is_bracketed)
		bare[len - 2] = '\0';
	if (inet_pton(AF_INET6, bare, &scratch) == 1 && IN6_IS_ADDR_V4MAPPED(&scratch))
		inet_ntop(AF_INET, scratch.s6_addr + 12, text, sizeof(text)); /* a socket of IPv6 alone cannot have it */
	else if (inet_pton(AF_INET6, bare, &scratch) == 1)
		inet_ntop(AF_INET6, &scratch, text, sizeof(text));
	else if (!is_bracketed && inet_pton(AF_INET, bare, &scratch) == 1)
		inet_ntop(AF_INET, &scratch, text, sizeof(text));
	free(bare);
	return *text ? xstrdup(text) : NULL;
}

static bool is_endpoint(const char *s)
{
	const char *colon = strrchr(s, ':');
	char *host, *address;
	int port;
	bool is_one;

	if (!colon || !option_parse_int(colon + 1, 0, 65535, &port))
		return false;
	host = strndup(s, (size_t)(colon - s));
	address = host ? parse_address(host) : NULL;
	is_one = address && (s[0] == '[' || !strchr(host, ':')); /* a bare IPv6 address would swallow the port */
	free(host);
	free(address);
	return is_one;
}

const char *option_range(const struct option_row *row, char *out, size_t room)
{
	size_t n = 0;

	switch (row->kind) {
	case KIND_INT:
		if (row->high == INT_MAX)
			snprintf(out, room, "%d or more", row->low);
		else
			snprintf(out, room, "%d to %d", row->low, row->high);
		return out;
	case KIND_CHOICE:
		for (size_t i = 0; row->choices[i] && n < room; i++)
			n += (size_t)snprintf(out + n, room - n, "%s%s",
			                      i == 0                ? ""
			                      : row->choices[i + 1] ? ", "
			                                            : " or ",
			                      row->choices[i]);
		return out;
	case KIND_ADDRESSES: return "numeric addresses such as 127.0.0.1 or ::1";
	case KIND_ENDPOINT: return "a numeric address and a port such as 127.0.0.1:9100 or [::1]:9100";
	case KIND_PATH: return "a file's path, or none";
	case KIND_DIR: return "a folder, or :memory:";
	case KIND_FILE:
	case KIND_CONFIG: return "a file's path";
	case KIND_NETS: return "addresses or networks such as 10.0.0.0/8 or ::1";
	case KIND_FLAG: return "yes or no";
	case KIND_ORIGINS: return "origins such as https://chat.example.com, without a path";
	default: return "";
	}
}

/* A list's next item; blanks and commas part them. */
static bool next_item(const char **s, char out[ORIGIN_BYTES], bool *fits)
{
	size_t n;

	*s += strspn(*s, " \t,");
	n = strcspn(*s, " \t,");
	*fits = n < ORIGIN_BYTES;
	if (*fits) {
		memcpy(out, *s, n);
		out[n] = '\0';
	}
	*s += n;
	return n > 0;
}

bool option_add_nets(struct ip_nets *nets, const char *value)
{
	char item[ORIGIN_BYTES];
	bool fits, has_any = false;

	while (next_item(&value, item, &fits)) {
		struct ip_net net = { .until_ms = 0 };

		has_any = true;
		if (fits && strcmp(item, "none") == 0)
			continue;
		if (!fits || !ip_net_parse(item, net.addr, &net.bits))
			return false;
		nets->v = xrealloc(nets->v, (nets->n + 1) * sizeof(net));
		nets->v[nets->n++] = net;
	}
	return has_any;
}

/* Takes item. */
static void add_string(char ***list, char *item)
{
	size_t n = 0;

	while (*list && (*list)[n])
		n++;
	*list = xrealloc(*list, (n + 2) * sizeof(char *));
	(*list)[n] = item;
	(*list)[n + 1] = NULL;
}

static bool add_addresses(char ***list, const char *value)
{
	char item[ORIGIN_BYTES];
	bool fits, has_any = false;

	while (next_item(&value, item, &fits)) {
		char *address = fits ? parse_address(item) : NULL;

		if (!address)
			return false;
		add_string(list, address);
		has_any = true;
	}
	return has_any;
}

static bool add_origins(char ***list, const char *value)
{
	char item[ORIGIN_BYTES], normal[ORIGIN_BYTES];
	bool fits, has_any = false;

	while (next_item(&value, item, &fits)) {
		has_any = true;
		if (!fits || !origin_normalize((struct str){ item, strlen(item) }, normal))
			return false;
		add_string(list, xstrdup(normal));
	}
	return has_any;
}

bool option_set(struct options *o, const struct option_row *row, const char *value)
{
	void *field = (char *)o + row->offset;
	char *text;

	switch (row->kind) {
	case KIND_INT: return option_parse_int(value, row->low, row->high, field);
	case KIND_CHOICE:
		for (int i = 0; row->choices[i]; i++)
			if (strcmp(row->choices[i], value) == 0) {
				memcpy(field, &i, sizeof(i));
				return true;
			}
		return false;
	case KIND_CONFIG:
	case KIND_DIR:
	case KIND_PATH:
	case KIND_FILE:
	case KIND_ENDPOINT:
		if (row->kind == KIND_CONFIG && strcmp(value, "-") == 0)
			return false;
		text = *value && (row->kind != KIND_ENDPOINT || is_endpoint(value)) ? xstrdup(value) : NULL;
		if (!text)
			return false;
		free(*(char **)field);
		*(char **)field = text;
		return true;
	case KIND_FLAG: return parse_flag(value, field);
	case KIND_ADDRESSES: return add_addresses(field, value);
	case KIND_NETS: return option_add_nets(field, value);
	case KIND_ORIGINS: return add_origins(field, value);
	default: return false;
	}
}

/* --- Whole fields */

static bool is_text_kind(const struct option_row *row)
{
	return row->kind >= KIND_DIR && row->kind <= KIND_ENDPOINT;
}

static bool is_strings_kind(const struct option_row *row)
{
	return row->kind == KIND_ADDRESSES || row->kind == KIND_ORIGINS;
}

void option_clear(struct options *o, const struct option_row *row)
{
	void *field = (char *)o + row->offset;

	if (is_text_kind(row)) {
		free(*(char **)field);
		*(char **)field = NULL;
	} else if (is_strings_kind(row)) {
		for (char **item = *(char ***)field; item && *item; item++)
			free(*item);
		free(*(char ***)field);
		*(char ***)field = NULL;
	} else if (row->kind == KIND_NETS) {
		free(((struct ip_nets *)field)->v);
		*(struct ip_nets *)field = (struct ip_nets){ 0 };
	} else if (row->kind == KIND_FLAG) {
		*(bool *)field = false;
	} else {
		memset(field, 0, sizeof(int));
	}
}

void option_copy(struct options *to, const struct options *from, const struct option_row *row)
{
	const void *source = (const char *)from + row->offset;
	void *field = (char *)to + row->offset;

	option_clear(to, row);
	if (is_text_kind(row)) {
		*(char **)field = *(char *const *)source ? xstrdup(*(char *const *)source) : NULL;
	} else if (is_strings_kind(row)) {
		for (char *const *item = *(char **const *)source; item && *item; item++)
			add_string(field, xstrdup(*item));
	} else if (row->kind == KIND_NETS) {
		const struct ip_nets *nets = source;
		struct ip_nets *copy = field;

		copy->v = nets->n ? xmalloc(nets->n * sizeof(*nets->v)) : NULL;
		copy->n = nets->n;
		if (nets->n)
			memcpy(copy->v, nets->v, nets->n * sizeof(*nets->v));
	} else if (row->kind == KIND_FLAG) {
		*(bool *)field = *(const bool *)source;
	} else {
		memcpy(field, source, sizeof(int));
	}
}

static void put_item(struct buf *out, const char *item, bool *is_first)
{
	if (!*is_first)
		buf_putc(out, ' ');
	*is_first = false;
	buf_puts(out, item);
}

bool option_text(const struct options *o, const struct option_row *row, struct buf *out)
{
	const void *field = (const char *)o + row->offset;
	char net[IP_NET_TEXT];
	bool is_first = true;

	if (is_text_kind(row)) {
		if (*(char *const *)field)
			buf_puts(out, *(char *const *)field);
		return *(char *const *)field != NULL;
	}
	if (is_strings_kind(row)) {
		for (char *const *item = *(char **const *)field; item && *item; item++)
			put_item(out, *item, &is_first);
		return !is_first;
	}
	if (row->kind == KIND_NETS) {
		const struct ip_nets *nets = field;

		for (size_t i = 0; i < nets->n; i++) {
			ip_net_text(nets->v[i].addr, nets->v[i].bits, net);
			put_item(out, net, &is_first);
		}
		if (is_first)
			buf_puts(out, "none");
		return true;
	}
	if (row->kind == KIND_FLAG)
		buf_puts(out, *(const bool *)field ? "yes" : "no");
	else if (row->kind == KIND_CHOICE)
		buf_puts(out, row->choices[*(const int *)field]);
	else if (*(const int *)field < row->low) /* not given, where no number says so */
		return false;
	else
		buf_printf(out, "%d", *(const int *)field);
	return true;
}
