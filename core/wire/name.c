/* name.c — names cleaned and folded (name.h). Owns nothing; allocates in name_key alone. Any thread. */
#include "wire/name.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

#define ZWJ 0x200d
#define EMOJI_STYLE 0xfe0f
#define KEYCAP 0x20e3
#define BRAILLE_BLANK 0x2800 /* a symbol by category, a blank to the eye */

static bool is_pictograph(int32_t c)
{
	return c >= 0 && utf8proc_get_property(c)->boundclass == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC;
}

static bool is_skin_tone(int32_t c)
{
	return c >= 0x1f3fb && c <= 0x1f3ff;
}

static bool is_keycap_base(int32_t c)
{
	return (c >= '0' && c <= '9') || c == '#' || c == '*';
}

/* Takes no column, or reorders its neighbours, or is no character at all. */
static bool is_invisible(int32_t c)
{
	if (c < 0 || (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef))
		return true;
	utf8proc_category_t category = utf8proc_category(c);
	return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CS ||
	       utf8proc_get_property(c)->ignorable;
}

static bool is_mark(int32_t c)
{
	utf8proc_category_t category = utf8proc_category(c);

	return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME;
}

size_t name_clean(char out[WC_NAME_BYTES + 1], struct str raw)
{
	/* prev: the last one kept; base: the same without emoji style and skin tone, which a joiner may follow. */
	int32_t c, next, prev = -1, base = -1;
	size_t len = 0, points = 0;
	bool is_space_due = false;

	for (size_t i = 0; i < raw.len && points < WC_NAME_POINTS;) {
		i += utf8_next(raw, i, &c);
		if (utf8_is_white(c) || c == BRAILLE_BLANK) {
			is_space_due = points > 0;
			continue;
		}
		next = -1;
		if (i < raw.len)
			utf8_next(raw, i, &next);
		if (c == ZWJ) {
			if (is_space_due || !is_pictograph(base) || !is_pictograph(next))
				continue;
		} else if (c == EMOJI_STYLE) {
			if (is_space_due || !(is_pictograph(prev) || (is_keycap_base(prev) && next == KEYCAP)))
				continue;
		} else if (is_invisible(c)) {
			continue;
		} else if (!points && is_mark(c)) {
			/* It would sit upon whatever is printed before the name. */
			continue;
		}
		if (is_space_due) {
			is_space_due = false;
			out[len++] = ' ';
			prev = base = ' ';
			if (++points == WC_NAME_POINTS)
				break;
		}
		len += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out + len);
		points++;
		prev = c;
		if (c != EMOJI_STYLE && c != ZWJ && !is_skin_tone(c))
			base = c;
	}
	/* The cut may have left a space, a joiner or half a keycap with nothing behind it. */
	if (prev == ' ')
		len--;
	else if (prev == ZWJ || (prev == EMOJI_STYLE && is_keycap_base(base)))
		len -= 3;
	out[len] = '\0';
	return len;
}

char *name_key(struct str name)
{
	utf8proc_uint8_t *folded = NULL;
	const utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE;

	if (name.len && utf8proc_map((const utf8proc_uint8_t *)name.p, (utf8proc_ssize_t)name.len, &folded, how) >= 0)
		return (char *)folded;
	free(folded);
	char *own = xmalloc(name.len + 1);
	if (name.len)
		memcpy(own, name.p, name.len);
	own[name.len] = '\0';
	return own;
}
