/* jsonscan.c — the strict pass over a frame's JSON (see jsonscan.h).
 *
 * Owns the grammar and the limits. Never allocates, never copies but a number, never knows what a frame means. Any thread.
 * Recursion is bounded by JSON_DEPTH. */
#include "wire/jsonscan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct scan {
	const char *p, *end;
	int depth, values;
	const char *wrong; /* the first thing that was */
	bool has_nul;      /* the string just read has \u0000 */
	struct str data;
};

static bool scan_value(struct scan *s);

static bool refuse(struct scan *s, const char *wrong)
{
	if (!s->wrong)
		s->wrong = wrong;
	return false;
}

static bool malformed(struct scan *s)
{
	return refuse(s, "not valid JSON");
}

static void skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

/* Skips white space, then takes c if it is next. */
static bool take(struct scan *s, char c)
{
	skip_space(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Does a word of eight bytes hold a quote, a backslash or a control character? May say yes wrongly, never no. */
static bool word_is_special(const char *p)
{
	const uint64_t ones = 0x0101010101010101u, highs = ones << 7;
	uint64_t w, quote, slash;

	memcpy(&w, p, sizeof(w));
	quote = w ^ ones * '"';
	slash = w ^ ones * '\\';
	return (((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & highs;
}

static bool scan_escape(struct scan *s)
{
	if (s->p == s->end)
		return malformed(s);
	switch (*s->p++) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't': return true;
	case 'u':
		if (s->end - s->p < 4 || !is_hex(s->p[0]) || !is_hex(s->p[1]) || !is_hex(s->p[2]) || !is_hex(s->p[3]))
			return malformed(s);
		if (memcmp(s->p, "0000", 4) == 0)
			s->has_nul = true;
		s->p += 4;
		return true;
	default: return malformed(s);
	}
}

/* After the opening quote, to after the closing one; *raw is what lies between. */
static bool scan_string(struct scan *s, struct str *raw)
{
	raw->p = s->p;
	s->has_nul = false;
	for (;;) {
		while (s->end - s->p >= 8 && !word_is_special(s->p))
			s->p += 8;
		if (s->p == s->end)
			return malformed(s);
		if (*s->p == '"')
			break;
		if ((unsigned char)*s->p < 0x20)
			return malformed(s);
		if (*s->p++ == '\\' && !scan_escape(s))
			return false;
	}
	raw->len = (size_t)(s->p++ - raw->p);
	return true;
}

static bool scan_digits(struct scan *s)
{
	if (s->p == s->end || !is_digit(*s->p))
		return malformed(s);
	while (s->p < s->end && is_digit(*s->p))
		s->p++;
	return true;
}

static bool scan_number(struct scan *s)
{
	const char *start = s->p;
	char copy[JSON_NUMBER_BYTES + 1];
	size_t len;

	if (*s->p == '-')
		s->p++;
	if (s->p < s->end && *s->p == '0')
		s->p++;
	else if (!scan_digits(s))
		return false;
	if (s->p < s->end && *s->p == '.') {
		s->p++;
		if (!scan_digits(s))
			return false;
	}
	len = (size_t)(s->p - start);
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		if (!scan_digits(s))
			return false;
		len = (size_t)(s->p - start);
		if (len <= JSON_NUMBER_BYTES) { /* without an exponent so few digits are always finite */
			memcpy(copy, start, len);
			copy[len] = '\0';
			if (!isfinite(strtod(copy, NULL)))
				return refuse(s, "a number is too large");
		}
	}
	return len <= JSON_NUMBER_BYTES || refuse(s, "a number is too long");
}

static bool scan_word(struct scan *s, const char *word, size_t len)
{
	if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return malformed(s);
	s->p += len;
	return true;
}

/* Is the key, which may have escapes in it, this ASCII word? */
static bool key_is(struct str key, struct str word)
{
	size_t at = 0;

	for (size_t i = 0; i < word.len; i++) {
		if (at < key.len && key.p[at] != '\\') {
			if (key.p[at++] != word.p[i])
				return false;
			continue;
		}
		uint8_t code[2];
		if (key.len - at < 6 || key.p[at + 1] != 'u' || wc_unhex(code, sizeof(code), (struct str){ key.p + at + 2, 4 }) < 0 ||
		    code[0] != 0 || code[1] != (uint8_t)word.p[i])
			return false;
		at += 6;
	}
	return at == key.len;
}

/* After the opening brace. */
static bool scan_object(struct scan *s)
{
	struct str key, raw;
	bool is_data;

	if (take(s, '}'))
		return true;
	do {
		if (!take(s, '"') || !scan_string(s, &key))
			return malformed(s);
		if (s->has_nul)
			return refuse(s, "a key has a NUL in it");
		if (!take(s, ':'))
			return malformed(s);
		skip_space(s);
		is_data = s->depth == 1 && key_is(key, STR("data"));
		if (is_data)
			s->data = (struct str){ NULL, 0 };
		if (is_data && s->p < s->end && *s->p == '"') {
			s->p++;
			if (++s->values > JSON_VALUES)
				return refuse(s, "too many values");
			if (!scan_string(s, &raw))
				return false;
			s->data = raw;
		} else if (!scan_value(s)) {
			return false;
		}
	} while (take(s, ','));
	return take(s, '}') || malformed(s);
}

static bool scan_array(struct scan *s)
{
	if (take(s, ']'))
		return true;
	do {
		if (!scan_value(s))
			return false;
	} while (take(s, ','));
	return take(s, ']') || malformed(s);
}

static bool scan_value(struct scan *s)
{
	struct str raw;
	bool is_good;

	if (++s->values > JSON_VALUES)
		return refuse(s, "too many values");
	skip_space(s);
	if (s->p == s->end)
		return malformed(s);
	switch (*s->p) {
	case '{':
	case '[':
		if (++s->depth > JSON_DEPTH)
			return refuse(s, "nested too deeply");
		is_good = *s->p++ == '{' ? scan_object(s) : scan_array(s);
		s->depth--;
		return is_good;
	case '"': s->p++; return scan_string(s, &raw);
	case 't': return scan_word(s, "true", 4);
	case 'f': return scan_word(s, "false", 5);
	case 'n': return scan_word(s, "null", 4);
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9': return scan_number(s);
	default: return malformed(s);
	}
}

const char *json_scan(const char *json, size_t len, struct str *data)
{
	struct scan s = { .p = json, .end = json + len };
	bool is_object;

	*data = (struct str){ NULL, 0 };
	skip_space(&s);
	is_object = s.p < s.end && *s.p == '{';
	if (!scan_value(&s))
		return s.wrong;
	skip_space(&s);
	if (s.p != s.end)
		return "not valid JSON";
	if (!is_object)
		return "not a JSON object";
	*data = s.data;
	return NULL;
}
