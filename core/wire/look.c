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

	if (c < 0x80) { /* most letters of most names; the table begins with the few of these that it has */
		while (low < high && (int32_t)wc_confusables[low].from < c)
			low++;
		high = low;
	}
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

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* Taken apart into letters and marks, without invisible characters. The caller frees; never NULL. */
static char *apart(struct str s)
{
	utf8proc_uint8_t *out = NULL;
	const utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_IGNORE;

	if (!is_ascii(s) && utf8proc_map((const utf8proc_uint8_t *)s.p, (utf8proc_ssize_t)s.len, &out, how) >= 0)
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

/* Buffers for one name after another spelling of it. */
struct maker {
	struct looks *looks;
	struct buf spelt, skeleton, small, key;
};

static void add(struct looks *l, struct str key)
{
	for (int i = 0; i < l->count; i++)
		if (str_eq(key, str_of(l->key[i])))
			return;
	l->key[l->count++] = apart(key);
}

/* The key is the skeleton in small letters, and the skeleton of that: what looks alike in one size is alike in the key. A capital I looks
 * like a small L, but is an I, where the spelling is in capitals and has no small L. */
static void add_key(struct maker *m, bool is_capitals)
{
	buf_reset(&m->small);
	buf_reset(&m->key);
	put_small(&m->small, of_buf(&m->skeleton), is_capitals);
	put_prototypes(&m->key, of_buf(&m->small));
	add(m->looks, of_buf(&m->key));
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

static void add_spelling(struct maker *m, struct str name, enum spelling how, bool is_wish)
{
	buf_reset(&m->spelt);
	buf_reset(&m->skeleton);
	if (how == TITLE || how == CAPITALS)
		put_capitals(&m->spelt, name, how == CAPITALS);
	else
		buf_put(&m->spelt, name.p, name.len);
	put_prototypes(&m->skeleton, of_buf(&m->spelt));
	add_key(m, how == CAPITALS);
	if (is_wish && how == AS_IT_IS && is_capitals_but_l(&m->skeleton))
		add_key(m, true);
}

static void make_looks(struct looks *l, struct str name, bool is_wish)
{
	struct maker m = { .looks = l };
	struct buf *const buffers[] = { &m.spelt, &m.skeleton, &m.small, &m.key };
	char *folded = name_key(name), *as_it_is = apart(name), *small = apart(str_of(folded));

	l->count = 0;
	for (size_t i = 0; i < WC_LEN(buffers); i++)
		buf_init_sure(buffers[i], SPELLING_MAX);
	add_spelling(&m, str_of(as_it_is), AS_IT_IS, is_wish);
	for (enum spelling how = SMALL; how <= CAPITALS; how++)
		add_spelling(&m, str_of(small), how, is_wish);
	for (size_t i = 0; i < WC_LEN(buffers); i++)
		buf_fini(buffers[i]);
	free(folded);
	free(as_it_is);
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
