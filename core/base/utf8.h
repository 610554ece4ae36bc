/* utf8.h — UTF-8 validation across fragments, counting and Unicode trimming.
 * Pure functions; any thread. */
#ifndef WC_UTF8_H
#define WC_UTF8_H

#include "base/wc.h"

/* Streaming validation. Zero-initialised state is the start. Overlongs, surrogates and > U+10FFFF are refused at the
 * first byte that makes them impossible. ASCII runs are checked a word at a time. */
struct utf8 {
	uint8_t need;      /* continuation bytes still to come */
	uint8_t low, high; /* what the next one must be within */
};
bool utf8_feed(struct utf8 *u, const void *data, size_t n); /* false: invalid, and stays so */
static inline bool utf8_done(const struct utf8 *u)
{
	return u->need == 0;
}
bool utf8_valid(const void *data, size_t n);
/* Length (1..4) of the valid sequence that begins at p, or 0 if there is none within n bytes. */
size_t utf8_step(const uint8_t *p, size_t n);

/* Input of the rest is valid UTF-8. */
size_t utf8_count(struct str s);                     /* code points */
struct str utf8_prefix(struct str s, size_t points); /* the first `points` code points */
/* Without leading and trailing white space: Unicode White_Space plus U+001C..U+001F, as Python's str.strip(). */
struct str utf8_trim(struct str s);
/* Reads the code point at s.p[at] (at < s.len) into *point, -1 where none is well-formed. Returns its bytes: 1 for a bad one. */
size_t utf8_next(struct str s, size_t at, int32_t *point);
bool utf8_is_white(int32_t point); /* what utf8_trim trims */
/* Looks like a space and is none by category: the empty Braille cell, a note without a head, … */
bool utf8_is_blank(int32_t point);
/* Takes no column, or reorders its neighbours, or is no character at all: controls, formats, halves of pairs, ignorable ones. */
bool utf8_is_invisible(int32_t point);
bool utf8_is_mark(int32_t point); /* combines with the letter before it and takes no column of its own */
#define UTF8_MARKS_MAX 4          /* on one letter, in names and where texts are drawn */
/* Counts the marks on a letter: *marks, 0 at first, goes on from one point to the next. False: one too many, not to be drawn. */
bool utf8_marks_fit(int *marks, int32_t point);
bool utf8_shows(struct str s); /* has anything to be seen: is more than white space, blanks and invisible characters */
/* Terminal columns of s (wide East Asian and emoji two, combining marks none), as utf8proc_charwidth has them. */
size_t utf8_width(struct str s);

#endif
