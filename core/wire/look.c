/* look.c — see look.h. Skeletons are made of Unicode's confusables, which are a table of the build (confusables.h).
 *
 * Owns nothing; allocates the keys alone. Any thread. */
#include "wire/look.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "wire/confusables.h"
#include "wire/name.h"

#define SPELLING_MAX 16384 /* a name is at most 128 bytes, and no character of it becomes more than 18 of three bytes, twice over */

enum spelling { AS_IT_IS, SMALL, TITLE, CAPITALS };

static void put_point(struct buf *b, int32_t c)
{
	utf8proc_uint8_t bytes[4];

	buf_put(b, bytes, (size_t)utf8proc_encode_char(c, bytes));
}

static struct str of_buf(const struct buf *b)
{
	return (struct str){ b->p, b->len };
}

static const char *prototype_of(int32_t c)
{
	size_t low = 0, high = wc_confusables_len;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if ((int32_t)wc_confusables[mid].from < c)
			low = mid + 1;
		else
			high = mid;
	}
	return low < wc_confusables_len && (int32_t)wc_confusables[low].from == c ? wc_prototypes + wc_confusables[low].at : NULL;
}

/* Appends s with every look-alike replaced by its prototype. */
static void put_prototypes(struct buf *out, struct str s)
{
	int32_t c;

	for (size_t i = 0, n; i < s.len; i += n) {
		n = utf8_next(s, i, &c);
		const char *prototype = c < 0 ? NULL : prototype_of(c);
		if (prototype)
			buf_puts(out, prototype);
		else
			buf_put(out, s.p + i, n);
	}
}

/* Appends s in small letters; with i_for_l, what is a small L so far becomes an I first. */
static void put_small(struct buf *out, struct str s, bool i_for_l)
{
	int32_t c;

	for (size_t i = 0; i < s.len;) {
		i += utf8_next(s, i, &c);
		if (c >= 0)
			put_point(out, i_for_l && c == 'l' ? 'i' : utf8proc_tolower(c));
	}
}

/* Taken apart into letters and marks, without invisible characters. The caller frees; never NULL. */
static char *apart(struct str s)
{
	utf8proc_uint8_t *out = NULL;
	const utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_IGNORE;

	if (s.len && utf8proc_map((const utf8proc_uint8_t *)s.p, (utf8proc_ssize_t)s.len, &out, how) >= 0)
		return (char *)out;
	free(out);
	char *own = xmalloc(s.len + 1);
	if (s.len)
		memcpy(own, s.p, s.len);
	own[s.len] = '\0';
	return own;
}

/* Capitals: of all letters, or of the first one of each word. */
static void put_capitals(struct buf *out, struct str s, bool of_all)
{
	int32_t c, before = ' ';

	for (size_t i = 0; i < s.len; before = c) {
		i += utf8_next(s, i, &c);
		if (c >= 0)
			put_point(out, of_all || before == ' ' || before == '-' ? utf8proc_toupper(c) : c);
	}
}

/* A skeleton in small letters, and the skeleton of that: what looks alike in one size is alike in the key. A capital I looks like a small L,
 * but is an I, where the spelling is in capitals and has no small L. */
static char *key_of_skeleton(const struct buf *skeleton, bool is_capitals)
{
	struct buf small, key;

	buf_init_sure(&small, SPELLING_MAX);
	buf_init_sure(&key, SPELLING_MAX);
	put_small(&small, of_buf(skeleton), is_capitals);
	put_prototypes(&key, of_buf(&small));
	char *done = apart(of_buf(&key));
	buf_fini(&small);
	buf_fini(&key);
	return done;
}

static bool is_capitals_but_l(const struct buf *skeleton)
{
	struct str s = of_buf(skeleton);
	int32_t c;

	for (size_t i = 0; i < s.len;) {
		i += utf8_next(s, i, &c);
		if (c >= 0 && c != 'l' && utf8proc_toupper(c) != c)
			return false;
	}
	return true;
}

static void add(struct looks *l, char *key)
{
	for (int i = 0; i < l->count; i++)
		if (strcmp(l->key[i], key) == 0) {
			free(key);
			return;
		}
	l->key[l->count++] = key;
}

static void add_spelling(struct looks *l, struct str name, enum spelling how, bool is_wish)
{
	char *parts = apart(name);
	struct buf spelt, skeleton;

	buf_init_sure(&spelt, SPELLING_MAX);
	buf_init_sure(&skeleton, SPELLING_MAX);
	if (how == TITLE || how == CAPITALS)
		put_capitals(&spelt, str_of(parts), how == CAPITALS);
	else
		buf_puts(&spelt, parts);
	put_prototypes(&skeleton, of_buf(&spelt));
	add(l, key_of_skeleton(&skeleton, how == CAPITALS));
	if (is_wish && how == AS_IT_IS && is_capitals_but_l(&skeleton))
		add(l, key_of_skeleton(&skeleton, true));
	buf_fini(&spelt);
	buf_fini(&skeleton);
	free(parts);
}

static void make_looks(struct looks *l, struct str name, bool is_wish)
{
	char *small = name_key(name);

	l->count = 0;
	add_spelling(l, name, AS_IT_IS, is_wish);
	for (enum spelling how = SMALL; how <= CAPITALS; how++)
		add_spelling(l, str_of(small), how, is_wish);
	free(small);
}

void looks_of_name(struct looks *l, struct str name)
{
	make_looks(l, name, false);
}

void looks_of_wish(struct looks *l, struct str name)
{
	make_looks(l, name, true);
}

void looks_fini(struct looks *l)
{
	for (int i = 0; i < l->count; i++)
		free(l->key[i]);
	l->count = 0;
}

/* Digits in a key: 0 has become an O there, and 1 an L, or an I where the spelling was in capitals. */
static int digit_of(char c)
{
	return c >= '2' && c <= '9' ? c - '0' : c == 'l' || c == 'i' ? 1 : c == 'o' ? 0 : -1;
}

uint32_t look_number(const char *key, size_t *head)
{
	const char *space = strrchr(key, ' ');
	uint32_t n = 0;

	if (!space || space == key || strlen(space + 1) > 7 || digit_of(space[1]) <= 0)
		return 0;
	for (const char *p = space + 1; *p; p++) {
		if (digit_of(*p) < 0)
			return 0;
		n = n * 10 + (uint32_t)digit_of(*p);
	}
	*head = (size_t)(space - key);
	return n > 1 ? n : 0;
}
