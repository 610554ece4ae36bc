/* out.c — output for people: tables that line up, times, sizes, and text that cannot harm a terminal. Owns nothing. */
#include <ctype.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"
#include "ctl.h"

/* --- JSON */

struct json_object *jget(struct json_object *o, const char *name)
{
	struct json_object *v;

	return o && json_object_object_get_ex(o, name, &v) ? v : NULL;
}

const char *jstr(struct json_object *o, const char *name)
{
	struct json_object *v = jget(o, name);

	return v ? json_object_get_string(v) : "";
}

int64_t jint(struct json_object *o, const char *name)
{
	return json_object_get_int64(jget(o, name));
}

bool jbool(struct json_object *o, const char *name)
{
	return json_object_get_boolean(jget(o, name));
}

struct json_object *jarray(struct json_object *o, const char *name)
{
	static struct json_object *empty;
	struct json_object *v = jget(o, name);

	if (json_object_is_type(v, json_type_array))
		return v;
	if (!empty)
		empty = json_object_new_array();
	return empty;
}

/* --- Text from people */

uint32_t code_point(const uint8_t *p, size_t n)
{
	static const uint8_t first[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t cp = p[0] & first[n];

	for (size_t i = 1; i < n; i++)
		cp = cp << 6 | (p[i] & 0x3f);
	return cp;
}

/* Control characters, of which terminals take some even in their two-byte form, separators of lines, and what turns the direction of text
 * around. */
bool is_harmful(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 || cp == 0x061c || cp == 0x200e || cp == 0x200f ||
	       (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff;
}

void put_safe(struct buf *b, const char *s)
{
	size_t left = strlen(s);
	int marks = 0;

	while (left) {
		size_t n = utf8_step((const uint8_t *)s, left);

		if (n == 0) {
			buf_printf(b, "\\x%02x", (unsigned char)*s);
			n = 1;
		} else {
			uint32_t cp = code_point((const uint8_t *)s, n);

			bool is_drawn = utf8_marks_fit(&marks, (int32_t)cp);

			if (!is_harmful(cp))
				buf_put(b, s, is_drawn ? n : 0);
			else if (cp == '\n' || cp == '\t' || cp == '\r')
				buf_puts(b, cp == '\n' ? "\\n" : cp == '\t' ? "\\t" : "\\r");
			else
				buf_printf(b, cp < 0x100 ? "\\x%02x" : "\\u%04x", cp);
		}
		s += n;
		left -= n;
	}
}

void print_safe(FILE *f, const char *s)
{
	struct buf b;

	buf_init(&b, 1 << 24);
	put_safe(&b, s);
	fwrite(b.p ? b.p : "", 1, b.len, f);
	buf_fini(&b);
}

void print_json(struct json_object *o)
{
	const char *s = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	size_t left = strlen(s);

	while (left) {
		size_t n = utf8_step((const uint8_t *)s, left);
		uint32_t cp = n ? code_point((const uint8_t *)s, n) : 0xfffd;

		if (is_harmful(cp)) /* within a string: outside there is nothing of the kind */
			printf("\\u%04x", cp);
		else if (n)
			fwrite(s, 1, n, stdout);
		else
			printf("\\ufffd");
		n += n == 0;
		s += n;
		left -= n;
	}
	putchar('\n');
}

/* --- Tables */

void table_init(struct table *t, const char *heads)
{
	static char words[COLUMNS_MAX][32];

	memset(t, 0, sizeof(*t));
	while (*heads && t->columns < COLUMNS_MAX) {
		size_t n = strcspn(heads, " ");

		t->is_right[t->columns] = *heads == '>';
		snprintf(words[t->columns], sizeof(words[0]), "%.*s", (int)(n - (*heads == '>')), heads + (*heads == '>'));
		t->heads[t->columns] = words[t->columns];
		t->columns++;
		heads += n + strspn(heads + n, " ");
	}
}

void table_cell(struct table *t, const char *text)
{
	struct buf b;

	if (t->count == t->room) {
		t->room = t->room ? t->room * 2 : 256;
		t->cells = xrealloc(t->cells, t->room * sizeof(*t->cells));
	}
	buf_init(&b, 1 << 20);
	put_safe(&b, text);
	t->cells[t->count++] = buf_take(&b, NULL);
}

void table_cell_cut(struct table *t, const char *text, size_t width)
{
	static const char dots[] = "\xe2\x80\xa6";
	char *cell;
	size_t keep = 0;

	table_cell(t, text);
	cell = t->cells[t->count - 1];
	if (!cell || utf8_width((struct str){ cell, strlen(cell) }) <= width)
		return;
	for (size_t n; (n = utf8_step((const uint8_t *)cell + keep, strlen(cell + keep))) > 0; keep += n)
		if (utf8_width((struct str){ cell, keep + n }) >= width)
			break;
	cell = xrealloc(cell, keep + sizeof(dots));
	memcpy(cell + keep, dots, sizeof(dots));
	t->cells[t->count - 1] = cell;
}

void table_cellf(struct table *t, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	table_cell(t, text);
	free(text);
}

static size_t width_of(const char *s)
{
	return utf8_width((struct str){ s, strlen(s) });
}

static void print_row(const struct table *t, const char *const *row, const size_t *widths)
{
	int blanks = 0; /* due before the next text: a line ends with none */

	for (int i = 0; i < t->columns; i++) {
		const char *text = row[i] ? row[i] : "";
		int pad = (int)(widths[i] - width_of(text));

		if (*text)
			printf("%*s%s", blanks + (t->is_right[i] ? pad : 0), "", text);
		blanks = *text ? (t->is_right[i] ? 0 : pad) + 2 : blanks + (int)widths[i] + 2;
	}
	putchar('\n');
}

void table_drop(struct table *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	t->cells = NULL;
	t->count = t->room = 0;
}

void table_print(struct table *t, const char *empty)
{
	size_t widths[COLUMNS_MAX];

	for (int i = 0; i < t->columns; i++)
		widths[i] = width_of(t->heads[i]);
	for (size_t i = 0; i < t->count; i++)
		widths[i % (size_t)t->columns] = WC_MAX(widths[i % (size_t)t->columns], width_of(t->cells[i] ? t->cells[i] : ""));
	if (t->count == 0)
		printf("%s\n", empty);
	else
		print_row(t, t->heads, widths);
	for (size_t i = 0; i + (size_t)t->columns <= t->count; i += (size_t)t->columns)
		print_row(t, (const char *const *)&t->cells[i], widths);
	table_drop(t);
}

/* --- Times and sizes */

const char *time_text(char out[TIME_TEXT], int64_t unix_ms)
{
	time_t t = (time_t)(unix_ms / 1000);
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(out, TIME_TEXT, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(out, TIME_TEXT, "?");
	return out;
}

const char *duration_text(char out[TIME_TEXT], int64_t ms)
{
	long long s = WC_MAX(ms, 0) / 1000;

	if (s < 60)
		snprintf(out, TIME_TEXT, "%llds", s);
	else if (s < 3600)
		snprintf(out, TIME_TEXT, "%lldm %llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, TIME_TEXT, "%lldh %lldm", s / 3600, s % 3600 / 60);
	else
		snprintf(out, TIME_TEXT, "%lldd %lldh", s / 86400, s % 86400 / 3600);
	return out;
}

const char *bytes_text(char out[TIME_TEXT], uint64_t bytes)
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB", "PB" };
	double n = (double)bytes;
	size_t i = 0;

	while (n >= 1000 && i + 1 < WC_LEN(units)) {
		n /= 1024;
		i++;
	}
	snprintf(out, TIME_TEXT, i && n < 10 ? "%.1f %s" : "%.0f %s", n, units[i]);
	return out;
}

/* Read as a file: the resolver's modules are no part of a static program. */
const char *uid_text(char out[TIME_TEXT], int64_t uid)
{
	FILE *f = fopen("/etc/passwd", "re");
	char line[1024];

	snprintf(out, TIME_TEXT, "uid %lld", (long long)uid);
	while (f && fgets(line, sizeof(line), f)) {
		char name[TIME_TEXT];
		long long id;

		if (sscanf(line, "%31[^:]:%*[^:]:%lld", name, &id) == 2 && id == uid) {
			snprintf(out, TIME_TEXT, "%s", name);
			break;
		}
	}
	if (f)
		fclose(f);
	return out;
}

bool duration_parse(const char *s, int64_t *seconds)
{
	int64_t sum = 0;

	if (!isdigit((unsigned char)*s))
		return false;
	while (*s) {
		static const struct {
			char unit;
			int64_t seconds;
		} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 7 * 86400 } };
		char *end;
		int64_t n = strtoll(s, &end, 10), each = 0;

		if (end == s || n > 1000000000 || sum > (int64_t)1 << 50)
			return false;
		if (!*end)
			each = 1; /* bare seconds */
		for (size_t i = 0; i < WC_LEN(units); i++)
			if (*end == units[i].unit)
				each = units[i].seconds;
		if (!each)
			return false;
		sum += n * each;
		s = *end ? end + 1 : end;
	}
	*seconds = sum;
	return sum > 0;
}

bool time_parse(const char *s, int64_t *unix_ms)
{
	struct tm tm = { .tm_isdst = -1 };
	int year, month, day, hour = 0, minute = 0, second = 0, n = 0;
	int64_t ago;

	if (duration_parse(s, &ago) && !strchr(s, '-')) {
		*unix_ms = real_ms() - ago * 1000;
		return true;
	}
	if (sscanf(s, "%4d-%2d-%2d%n", &year, &month, &day, &n) != 3)
		return false;
	s += n;
	if (*s == 'T' || *s == ' ') {
		n = 0;
		if (sscanf(s + 1, "%2d:%2d%n", &hour, &minute, &n) != 2)
			return false;
		s += 1 + n;
		n = 0;
		if (*s == ':' && sscanf(s + 1, "%2d%n", &second, &n) == 1)
			s += 1 + n;
	}
	if (*s || month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || minute > 59 || second > 60)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = second;
	*unix_ms = (int64_t)mktime(&tm) * 1000;
	return tm.tm_mday == day || hour == 24; /* the 31st of a shorter month is no day */
}

bool is_terminal(FILE *f)
{
	return isatty(fileno(f));
}

bool shows_progress(void)
{
	struct stat st;

	return is_terminal(stderr) && fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode);
}

int complain_endless(void)
{
	return complain(EXIT_REFUSED, "the server's answers have no end: is it of another version?");
}

/* --- Signals */

static volatile sig_atomic_t stopped_by;

static void on_signal(int sig)
{
	stopped_by = sig;
}

void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };

	for (size_t i = 0; i < WC_LEN(signals); i++)
		sigaction(signals[i], &act, NULL);
}

bool is_stopped(void)
{
	return stopped_by != 0;
}

void end_stopped(void)
{
	if (!stopped_by)
		return;
	signal(stopped_by, SIG_DFL);
	raise(stopped_by);
}

const char *file_words(char *out, size_t room, struct json_object *m)
{
	char size[TIME_TEXT];
	const char *lost = jbool(m, "gone") ? ", no longer kept" : "";

	bytes_text(size, (uint64_t)jint(m, "size"));
	if (strcmp(jstr(m, "type"), "voice") == 0)
		snprintf(out, room, "[voice, %.0f s, %s%s]", json_object_get_double(jget(m, "duration")), size, lost);
	else
		snprintf(out, room, "[file %s, %s, %s%s]", jstr(m, "filename"), jstr(m, "mime"), size, lost);
	return out;
}

/* --- Complaints, and what was given */

static bool hushed;

void hush(bool on)
{
	hushed = on;
}

bool is_hushed(void)
{
	return hushed;
}

int complain(int code, const char *fmt, ...)
{
	va_list ap;
	struct buf b;
	char *line;

	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) < 0)
		abort();
	va_end(ap);
	buf_init(&b, 1 << 20);
	put_safe(&b, line);
	fflush(stdout);
	if (!hushed)
		fprintf(stderr, PROGRAM ": %.*s\n", (int)b.len, b.p ? b.p : "");
	buf_fini(&b);
	free(line);
	return code;
}

const char *option(const struct ctl *c, const char *name)
{
	for (int i = 0; c->verb->options[i].name; i++)
		if (strcmp(c->verb->options[i].name, name) == 0)
			return c->values[i];
	WC_ASSERT(!"the verb has this option");
	return NULL;
}
