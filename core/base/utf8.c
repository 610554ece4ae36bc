/* utf8.c — UTF-8 validation and the few Unicode rules a chat needs.
 *
 * Owns nothing, allocates nothing. Unicode's tables are utf8proc's; the sets kept here are white space and blanks,
 * because utf8proc has no property for them. Any thread. */
#include "base/utf8.h"

#include <endian.h>
#include <string.h>
#include <utf8proc.h>

#define UTF8_DEAD 0xff
#define HIGH_BITS 0x8080808080808080

static inline uint64_t load_le64(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, 8);
	return le64toh(w);
}

static inline bool is_tail(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

size_t utf8_step(const uint8_t *p, size_t n)
{
	if (!n)
		return 0;
	uint8_t c = p[0];
	if (c < 0x80)
		return 1;
	if (c < 0xc2 || n < 2 || !is_tail(p[1]))
		return 0;
	if (c < 0xe0)
		return 2;
	if (n < 3 || !is_tail(p[2]))
		return 0;
	if (c < 0xf0) {
		if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f))
			return 0;
		return 3;
	}
	if (c > 0xf4 || n < 4 || !is_tail(p[3]) || (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
		return 0;
	return 4;
}

static bool feed_byte(struct utf8 *u, uint8_t c)
{
	if (u->need) {
		if (c < u->low || c > u->high)
			goto dead;
		u->need--;
		u->low = 0x80;
		u->high = 0xbf;
		return true;
	}
	if (c < 0x80)
		return true;
	if (c < 0xc2 || c > 0xf4)
		goto dead;
	u->need = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	u->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	u->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	return true;
dead:
	u->need = UTF8_DEAD;
	return false;
}

/* How many of the four two-byte sequences in w are well-formed, counted from its first byte. Cyrillic, Greek, Hebrew and Arabic
 * are made of these, and a branch per letter would cost more than the letter. */
static inline unsigned count_pairs(uint64_t w)
{
	uint64_t bad = (w & 0xc0e0c0e0c0e0c0e0) ^ 0x80c080c080c080c0;
	/* C0 and C1 are overlong: their four upper payload bits are zero, and only then 0x7e + bits stays below 0x80. */
	bad |= ~((w & 0x001e001e001e001e) + 0x007e007e007e007e) & 0x0080008000800080;
	return bad ? (unsigned)__builtin_ctzll(bad) / 16 : 4;
}

/* The longest prefix that is surely valid and whole; stops at most three bytes before an end that cuts a sequence. */
static size_t valid_run(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (n - i >= 8) {
		uint64_t high = load_le64(p + i) & HIGH_BITS;
		if (!high) {
			i += 8;
			while (n - i >= 32 &&
			       !((load_le64(p + i) | load_le64(p + i + 8) | load_le64(p + i + 16) | load_le64(p + i + 24)) & HIGH_BITS))
				i += 32;
			continue;
		}
		i += (unsigned)__builtin_ctzll(high) / 8;
		while (n - i >= 8) {
			unsigned pairs = count_pairs(load_le64(p + i));
			i += 2 * (size_t)pairs;
			if (pairs < 4)
				break;
		}
		while (i < n && p[i] >= 0x80) {
			size_t step = utf8_step(p + i, n - i);
			if (!step)
				return i;
			i += step;
			/* Among longer ones stay here; a pair is the outer loop's. */
			if (step == 2)
				break;
		}
	}
	return i;
}

bool utf8_feed(struct utf8 *u, const void *data, size_t n)
{
	const uint8_t *p = data;
	size_t i = 0;

	if (u->need == UTF8_DEAD)
		return false;
	while (i < n && u->need)
		if (!feed_byte(u, p[i++]))
			return false;
	if (i < n)
		i += valid_run(p + i, n - i);
	while (i < n)
		if (!feed_byte(u, p[i++]))
			return false;
	return true;
}

bool utf8_valid(const void *data, size_t n)
{
	struct utf8 u = { 0 };

	return utf8_feed(&u, data, n) && utf8_done(&u);
}

size_t utf8_count(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t tails = 0, i = 0;

	for (; s.len - i >= 8; i += 8) {
		uint64_t w = load_le64(p + i);
		/* Bit 7 set and bit 6 clear: a continuation byte. */
		tails += (unsigned)__builtin_popcountll(w & ~(w << 1) & HIGH_BITS);
	}
	for (; i < s.len; i++)
		tails += is_tail(p[i]);
	return s.len - tails;
}

struct str utf8_prefix(struct str s, size_t points)
{
	size_t i = 0;

	for (; i < s.len; i++)
		if (!is_tail((uint8_t)s.p[i]) && points-- == 0)
			break;
	return (struct str){ s.p, i };
}

bool utf8_is_white(int32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool utf8_is_blank(int32_t c)
{
	return c == 0x2800 || c == 0x13441 || c == 0x13442 || c == 0x16fe4 || c == 0x1d159 || c == 0xfffc;
}

bool utf8_is_invisible(int32_t c)
{
	/* Those that stand for no character, and those that Unicode keeps for invisible ones to come. */
	if (c < 0 || (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef) || c == 0x2065 || (c >= 0xfff0 && c <= 0xfff8) ||
	    (c >= 0xe0000 && c <= 0xe0fff))
		return true;
	utf8proc_category_t category = utf8proc_category(c);
	return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CS ||
	       utf8proc_get_property(c)->ignorable;
}

bool utf8_is_mark(int32_t c)
{
	if (c < 0x300)
		return false;
	utf8proc_category_t category = utf8proc_category(c);
	return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME;
}

/* A vowel sign with a width of its own, and what is not seen, neither count nor begin a letter: marks go on behind them. */
bool utf8_marks_fit(int *marks, int32_t c)
{
	if (c < 0x300 && c != 0xad) {
		*marks = 0;
		return true;
	}
	if (utf8_is_mark(c))
		return *marks < UTF8_MARKS_MAX && ++*marks;
	if (utf8proc_category(c) != UTF8PROC_CATEGORY_MC && !utf8_is_invisible(c))
		*marks = 0;
	return true;
}

bool utf8_shows(struct str s)
{
	int32_t c;

	for (size_t i = 0; i < s.len;) {
		i += utf8_next(s, i, &c);
		if (!utf8_is_white(c) && !utf8_is_blank(c) && !utf8_is_invisible(c))
			return true;
	}
	return false;
}

/* A byte that begins no code point stands for itself as -1, so that a walk always gets on. */
size_t utf8_next(struct str s, size_t at, int32_t *point)
{
	utf8proc_ssize_t n = utf8proc_iterate((const uint8_t *)s.p + at, (utf8proc_ssize_t)WC_MIN(s.len - at, 4), point);

	if (n > 0)
		return (size_t)n;
	*point = -1;
	return 1;
}

struct str utf8_trim(struct str s)
{
	int32_t c;

	while (s.len) {
		size_t n = utf8_next(s, 0, &c);
		if (!utf8_is_white(c))
			break;
		s.p += n;
		s.len -= n;
	}
	while (s.len) {
		size_t at = s.len - 1;
		while (at && is_tail((uint8_t)s.p[at]))
			at--;
		utf8_next(s, at, &c);
		if (!utf8_is_white(c))
			break;
		s.len = at;
	}
	return s;
}

size_t utf8_width(struct str s)
{
	size_t width = 0;
	int32_t c;

	for (size_t i = 0; i < s.len;) {
		i += utf8_next(s, i, &c);
		int w = c < 0 ? 1 : utf8proc_charwidth(c);
		if (w > 0)
			width += (size_t)w;
	}
	return width;
}
