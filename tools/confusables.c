/* confusables.c — makes Unicode's list of look-alikes (UTS 39) into a table in C: what reads as letters of Latin, Greek and Cyrillic.
 * A program of the build, single-threaded; nothing of it runs in the server. Usage: confusables FOLDER OUT.c
 *
 * FOLDER has the two files of Debian's package python3-confusable-homoglyphs:
 *
 * - confusables.json: each character with those it looks like, both ways round. A look-alike comes first in the file, and its prototype
 *   right behind. So a key that was nobody's prototype yet is a look-alike, and its one entry is the prototype.
 * - categories.json: which script a code point is of.
 *
 * Kept are the look-alikes, of whatever script, whose prototype has no other letters than those of the three scripts. Look-alikes within
 * another script are not: people who write it tell them apart. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#define ENTRIES_MAX 16384
#define POOL_MAX 60000
#define BAD_POINT UINT32_MAX

struct entry {
	uint32_t from;
	uint32_t at; /* of the prototype in the pool */
};

static struct entry entries[ENTRIES_MAX];
static size_t count, pool_len;
static char pool[POOL_MAX]; /* the prototypes, each terminated, none twice */
static struct json_object *ranges;
static bool is_wanted_script[4096];

static void fail(const char *path, const char *why)
{
	fprintf(stderr, "confusables: %s: %s\n", path, why);
	exit(1);
}

/* The code point at *s, which moves on; BAD_POINT where there is none. The file is UTF-8, as json-c has checked. */
static uint32_t next_point(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	int more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
	uint32_t c = more ? p[0] & (0x3fu >> more) : p[0];
	if (!p[0])
		return BAD_POINT;
	for (int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return BAD_POINT;
		c = c << 6 | (p[i] & 0x3f);
	}
	*s += more + 1;
	return c;
}

/* Characters written from right to left stand between two marks of direction (U+200E), which are no part of them. */
static void without_direction(char out[256], const char *s)
{
	size_t len = 0;
	for (; *s && len < 255; s++) {
		if (strncmp(s, "\xe2\x80\x8e", 3) == 0)
			s += 2;
		else
			out[len++] = *s;
	}
	out[len] = '\0';
}

static bool is_wanted(uint32_t c)
{
	size_t low = 0, high = json_object_array_length(ranges);
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		struct json_object *range = json_object_array_get_idx(ranges, mid);
		if (c < (uint32_t)json_object_get_int(json_object_array_get_idx(range, 0)))
			high = mid;
		else if (c > (uint32_t)json_object_get_int(json_object_array_get_idx(range, 1)))
			low = mid + 1;
		else
			return is_wanted_script[json_object_get_int(json_object_array_get_idx(range, 2)) & 4095];
	}
	return false;
}

static bool is_readable(const char *prototype)
{
	const char *s = prototype;
	while (*s) {
		uint32_t c = next_point(&s);
		if (c == BAD_POINT || !is_wanted(c))
			return false;
	}
	return s != prototype;
}

static uint32_t in_pool(const char *prototype)
{
	size_t len = strlen(prototype) + 1;
	for (size_t at = 0; at < pool_len; at += strlen(pool + at) + 1)
		if (strcmp(pool + at, prototype) == 0)
			return (uint32_t)at;
	if (pool_len + len > POOL_MAX)
		fail("confusables.json", "longer than any known");
	memcpy(pool + pool_len, prototype, len);
	pool_len += len;
	return (uint32_t)(pool_len - len);
}

static struct json_object *read_json(const char *folder, const char *name)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	struct json_object *o = json_object_from_file(path);
	if (!o)
		fail(path, "is missing, or no JSON. Run: make setup");
	return o;
}

static void read_scripts(struct json_object *categories)
{
	static const char *const wanted[] = { "COMMON", "INHERITED", "LATIN", "GREEK", "CYRILLIC" };
	struct json_object *names = NULL;
	if (!json_object_object_get_ex(categories, "iso_15924_aliases", &names) || !json_object_is_type(names, json_type_array) ||
	    !json_object_object_get_ex(categories, "code_points_ranges", &ranges) || !json_object_is_type(ranges, json_type_array))
		fail("categories.json", "of another shape");
	for (size_t i = 0; i < json_object_array_length(names) && i < 4096; i++)
		for (size_t w = 0; w < sizeof(wanted) / sizeof(*wanted); w++)
			if (strcmp(json_object_get_string(json_object_array_get_idx(names, i)), wanted[w]) == 0)
				is_wanted_script[i] = true;
}

static void take(const char *look_alike, const char *prototype)
{
	const char *s = look_alike;
	uint32_t c = next_point(&s);
	if (c == BAD_POINT || *s || !is_readable(prototype))
		return;
	if (count == ENTRIES_MAX)
		fail("confusables.json", "longer than any known");
	entries[count++] = (struct entry){ c, in_pool(prototype) };
}

static void read_confusables(struct json_object *all)
{
	struct json_object *prototypes = json_object_new_object();
	json_object_object_foreach (all, key, value) {
		char look_alike[256], prototype[256];
		struct json_object *c = NULL;
		if (!json_object_is_type(value, json_type_array) || json_object_object_get_ex(prototypes, key, NULL))
			continue;
		if (!json_object_object_get_ex(json_object_array_get_idx(value, 0), "c", &c))
			fail("confusables.json", "of another shape");
		json_object_object_add(prototypes, json_object_get_string(c), NULL);
		without_direction(look_alike, key);
		without_direction(prototype, json_object_get_string(c));
		take(look_alike, prototype);
	}
	json_object_put(prototypes);
}

static int by_point(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return x->from < y->from ? -1 : x->from > y->from;
}

static void print_table(FILE *f)
{
	fputs("/* Generated from Unicode's list of confusables. Not to be edited. */\n#include \"wire/confusables.h\"\n"
	      "const struct confusable wc_confusables[] = {\n",
	      f);
	for (size_t i = 0; i < count; i++)
		fprintf(f, "{0x%x,%u},%s", (unsigned)entries[i].from, (unsigned)entries[i].at, i % 8 == 7 ? "\n" : "");
	fprintf(f, "\n};\nconst size_t wc_confusables_len = %zu;\nconst char wc_prototypes[] = {\n", count);
	for (size_t i = 0; i < pool_len; i++)
		fprintf(f, "%d,%s", pool[i], i % 32 == 31 ? "\n" : "");
	fputs("\n};\n", f);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: confusables FOLDER OUT.c\n", stderr);
		return 2;
	}
	struct json_object *categories = read_json(argv[1], "categories.json"), *all = read_json(argv[1], "confusables.json");
	read_scripts(categories);
	read_confusables(all);
	/* A list that was cut short, or read wrongly, would let look-alikes pass without a word. */
	if (count < 1000)
		fail(argv[1], "too few look-alikes of Latin, Greek and Cyrillic");
	qsort(entries, count, sizeof(*entries), by_point);
	FILE *f = fopen(argv[2], "w");
	if (!f)
		fail(argv[2], strerror(errno));
	print_table(f);
	if (fclose(f) != 0)
		fail(argv[2], strerror(errno));
	json_object_put(all);
	json_object_put(categories);
	return 0;
}
