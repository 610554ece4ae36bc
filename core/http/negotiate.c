/* negotiate.c — the reading of If-None-Match, Accept-Encoding and Range (see negotiate.h). Pure; any thread. */
#include "http/negotiate.h"

#include <string.h>
#include <strings.h>

/* Walks a comma-separated list: the next element without white space around it; false at the end. */
static bool next_item(const char **p, struct str *item)
{
	while (*p && **p) {
		size_t len = strcspn(*p, ",");
		*item = str_trim((struct str){ *p, len });
		*p += len + ((*p)[len] == ',');
		if (item->len)
			return true;
	}
	return false;
}

/* No tag of ours has a comma, so one inside a foreign tag can only make that one miss. */
bool http_etag_matches(const char *header, const char *etag)
{
	struct str item, ours = { etag, strlen(etag) };
	while (next_item(&header, &item)) {
		if (str_eq(item, STR("*")))
			return true;
		if (item.len > 2 && item.p[0] == 'W' && item.p[1] == '/')
			item = (struct str){ item.p + 2, item.len - 2 };
		if (str_eq(item, ours))
			return true;
	}
	return false;
}

/* "0.25" in thousandths. Text that is no weight counts as 0: a doubt then costs bytes, not a page that cannot be read. */
static int parse_weight(struct str s)
{
	int scale = 100;
	if (s.len == 0 || (s.p[0] != '0' && s.p[0] != '1') || (s.len > 1 && s.p[1] != '.'))
		return 0;
	int weight = (s.p[0] - '0') * 1000;
	for (size_t i = 2; i < s.len; i++, scale /= 10) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
		weight += (s.p[i] - '0') * scale;
	}
	return WC_MIN(weight, 1000);
}

/* Splits "gzip;q=0.5" into the word and its weight. */
static struct str split_weight(struct str item, int *weight)
{
	const char *semicolon = memchr(item.p, ';', item.len);
	struct str word = str_trim((struct str){ item.p, semicolon ? (size_t)(semicolon - item.p) : item.len });
	*weight = 1000;
	if (semicolon) {
		struct str q = str_trim((struct str){ semicolon + 1, (size_t)(item.p + item.len - semicolon - 1) });
		if (q.len >= 2 && (q.p[0] | 0x20) == 'q' && q.p[1] == '=')
			*weight = parse_weight(str_trim((struct str){ q.p + 2, q.len - 2 }));
	}
	return word;
}

bool http_accepts_gzip(const char *accept_encoding)
{
	int gzip = -1, any = -1, identity = -1, weight;
	struct str item;
	while (next_item(&accept_encoding, &item)) {
		struct str word = split_weight(item, &weight);
		if (str_is_word(word, "gzip") || str_is_word(word, "x-gzip"))
			gzip = WC_MAX(gzip, weight);
		else if (str_is_word(word, "identity"))
			identity = weight;
		else if (str_is_word(word, "*"))
			any = weight;
	}
	if (gzip < 0)
		gzip = any;
	return gzip > 0 && gzip >= identity;
}

/* Digits at *p; false if there are none. A number past 2^64 is as good as the largest. */
static bool read_digits(const char **p, uint64_t *out)
{
	const char *begin = *p;
	for (*out = 0; **p >= '0' && **p <= '9'; (*p)++) {
		uint64_t digit = (uint64_t)(**p - '0');
		*out = *out > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *out * 10 + digit;
	}
	return *p > begin;
}

enum http_range http_parse_range(const char *header, uint64_t size, uint64_t *from, uint64_t *len)
{
	uint64_t first = 0, last = UINT64_MAX;
	if (!header || strncasecmp(header, "bytes=", 6) != 0)
		return RANGE_WHOLE;
	header += 6;
	header += strspn(header, " \t");
	bool has_first = read_digits(&header, &first);
	if (*header++ != '-')
		return RANGE_WHOLE;
	bool has_last = read_digits(&header, &last);
	if (!has_last)
		last = UINT64_MAX;
	header += strspn(header, " \t");
	if (*header || (!has_first && !has_last) || (has_first && has_last && last < first))
		return RANGE_WHOLE;
	if (!has_first) { /* the last n bytes */
		if (last == 0 || size == 0)
			return RANGE_OUTSIDE;
		first = last < size ? size - last : 0;
		last = UINT64_MAX;
	}
	if (first >= size)
		return RANGE_OUTSIDE;
	*from = first;
	*len = WC_MIN(last, size - 1) - first + 1;
	return RANGE_PART;
}
