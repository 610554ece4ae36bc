/* utf8.h — UTF-8 validation across fragments, counting, Unicode trimming, and the names people are known by.
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
/* Terminal columns of s (wide East Asian and emoji two, combining marks none), as utf8proc_charwidth has them. */
size_t utf8_width(struct str s);

#define WC_NAME_POINTS 32
#define WC_NAME_BYTES (WC_NAME_POINTS * 4)
/* A display name from what a peer sent: control, invisible (Cf, zero width, variation tag blocks) and bidi control
 * characters removed except U+200D and U+FE0F inside emoji sequences, combining marks with nothing before them too, runs of
 * white space (U+2800, the blank Braille cell, included) made one space, trimmed, cut to WC_NAME_POINTS. Any bytes may come
 * in. Returns its length; 0 if nothing is left. out is terminated. */
size_t name_clean(char out[WC_NAME_BYTES + 1], struct str raw);
/* The key by which names clash: NFKC, case folded, invisible characters dropped (utf8proc NFKC_Casefold). NULL-terminated string
 * the caller frees; never NULL (a name that cannot be folded is its own key). */
char *name_key(struct str name);

#endif
