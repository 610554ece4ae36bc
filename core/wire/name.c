/* name.c — names cleaned and folded (name.h). Owns nothing; allocates in name_key alone. Any thread. */
#include "wire/name.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "wire/joining.h"

#define ZWNJ 0x200c
#define ZWJ 0x200d
#define EMOJI_STYLE 0xfe0f
#define KEYCAP 0x20e3
#define VIRAMA_CLASS 9

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

/* A name being cleaned: the part that is kept so far. */
struct cleaning {
	char *out;
	size_t len, points;
	int32_t prev;   /* the last one; -1 at the beginning */
	int32_t base;   /* the last one that is no emoji style and no skin tone, which a joiner may follow */
	int32_t letter; /* the last one that is no mark */
	int marks;      /* on it */
	bool is_virama; /* prev is one: it asks for another shape of its letter, which a joiner may choose */
	bool is_open;   /* prev is a joiner that needs something behind it */
	bool space_is_due;
};

static void keep(struct cleaning *n, int32_t c)
{
	n->len += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)n->out + n->len);
	n->points++;
	n->prev = c;
	n->is_open = (c == ZWJ || c == ZWNJ) && !n->is_virama;
	n->is_virama = utf8proc_get_property(c)->combining_class == VIRAMA_CLASS;
	if (c != EMOJI_STYLE && c != ZWJ && !is_skin_tone(c))
		n->base = c;
	if (!utf8_is_mark(c))
		n->letter = c;
}

/* The next point of raw that may be kept, from i on; -1 at the end. */
static int32_t next_seen(struct str raw, size_t i)
{
	int32_t c = -1;

	while (i < raw.len) {
		i += utf8_next(raw, i, &c);
		if (c == ZWJ || c == ZWNJ || utf8_is_white(c) || !utf8_is_invisible(c))
			return c;
	}
	return -1;
}

/* c is at raw.p[i - 1] and before. */
static bool stays(struct cleaning *n, int32_t c, struct str raw, size_t i)
{
	int32_t next = -1;

	if (i < raw.len)
		utf8_next(raw, i, &next);
	if (c == ZWJ)
		return !n->space_is_due && (n->is_virama || (is_pictograph(n->base) && is_pictograph(next)));
	if (c == ZWNJ)
		return !n->space_is_due && (n->is_virama || (joins_forward(n->letter) && joins_backward(next_seen(raw, i))));
	if (c == EMOJI_STYLE)
		return !n->space_is_due && (is_pictograph(n->prev) || (is_keycap_base(n->prev) && next == KEYCAP));
	if (utf8_is_invisible(c))
		return false;
	/* A mark at the beginning would sit upon whatever is printed before the name. */
	return !utf8_is_mark(c) || n->points > 0;
}

size_t name_clean(char out[WC_NAME_BYTES + 1], struct str raw)
{
	struct cleaning n = { .out = out, .prev = -1, .base = -1, .letter = -1 };
	int32_t c;

	for (size_t i = 0; i < raw.len && n.points < WC_NAME_POINTS;) {
		i += utf8_next(raw, i, &c);
		if (utf8_is_white(c) || utf8_is_blank(c)) {
			n.space_is_due = n.points > 0;
			continue;
		}
		if (!stays(&n, c, raw, i))
			continue;
		if (n.space_is_due) {
			n.space_is_due = false;
			n.marks = 0;
			keep(&n, ' ');
			if (n.points == WC_NAME_POINTS)
				break;
		}
		if (c == EMOJI_STYLE || utf8_marks_fit(&n.marks, c))
			keep(&n, c);
	}
	/* The cut may have left a space, a joiner or half a keycap with nothing behind it. */
	if (n.prev == ' ')
		n.len--;
	else if (n.is_open || (n.prev == EMOJI_STYLE && is_keycap_base(n.base)))
		n.len -= 3;
	out[n.len] = '\0';
	return n.len;
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
