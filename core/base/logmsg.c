/* logmsg.c — the log's lines (see logmsg.h): made in a buffer on the stack, written by one write(2).
 *
 * Owns level and format. Never allocates and never fails: a line that cannot be written is gone. Waits for standard error alone, and not in
 * threads that serve people. Any thread. */
#include "base/logmsg.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/metrics.h"
#include "base/utf8.h"

/* A caller's text is cut at PAIRS_BYTES. A line has room for that text with each byte escaped (at most six for one), so no escape and no
 * JSON is ever cut short. */
#define PAIRS_BYTES 2048
#define LINE_BYTES (6 * PAIRS_BYTES + 512)
#define QUOTE_BYTES 120

static const struct {
	const char *name;
	const char *padded; /* for columns in the text format */
	int priority;       /* syslog's, which is what <N> means to journald */
} levels[] = {
	[LOG_ERROR] = { "error", "error", 3 },
	[LOG_WARN] = { "warn", "warn ", 4 },
	[LOG_INFO] = { "info", "info ", 6 },
	[LOG_DEBUG] = { "debug", "debug", 7 },
};

static _Atomic int current_level = LOG_INFO;
static _Atomic int current_format = LOG_TEXT;
static _Atomic bool to_journal;
static _Atomic uint64_t lost_lines;

/* systemd names the journal's socket as device:inode; the variable is inherited also by what has its stderr elsewhere. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == (dev_t)device && st.st_ino == (ino_t)inode;
}

void log_setup(enum log_level level, enum log_format format)
{
	atomic_store(&current_level, level);
	atomic_store(&current_format, format);
	atomic_store(&to_journal, stderr_is_journal());
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}

bool log_level_parse(const char *s, enum log_level *out)
{
	for (size_t i = 0; i < WC_LEN(levels); i++)
		if (strcmp(s, levels[i].name) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	return false;
}

/* --- A line in the making. The last byte is kept for the newline. */
struct line {
	char text[LINE_BYTES];
	size_t len;
};

static void line_add(struct line *l, const char *s, size_t n)
{
	n = WC_MIN(n, sizeof(l->text) - 1 - l->len);
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

static void line_str(struct line *l, const char *s)
{
	line_add(l, s, strlen(s));
}

static void line_time(struct line *l, char separator)
{
	char stamp[40];
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(stamp + n, sizeof(stamp) - n, ".%03dZ%c", (int)(now.tv_nsec / 1000000), separator);
	line_add(l, stamp, n);
}

/* The pairs of the text format as they stand; a control byte that a caller forgot to quote does not get through. */
static void line_escaped(struct line *l, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		char hex[5];

		if (c >= 0x20 && c != 0x7f) {
			line_add(l, &s[i], 1);
			continue;
		}
		snprintf(hex, sizeof(hex), "\\x%02x", c);
		line_str(l, hex);
	}
}

/* s as the inside of a JSON string. Valid whatever s is: bytes that are no UTF-8 become U+FFFD. */
static void line_json(struct line *l, const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		unsigned char c = (unsigned char)s[i];
		size_t step = utf8_step((const uint8_t *)s + i, n - i);
		char hex[8];

		if (step == 0) {
			line_str(l, "\xef\xbf\xbd");
			step = 1;
		} else if (c == '"' || c == '\\') {
			line_str(l, c == '"' ? "\\\"" : "\\\\");
		} else if (c < 0x20 || c == 0x7f) {
			snprintf(hex, sizeof(hex), "\\u%04x", c);
			line_str(l, hex);
		} else {
			line_add(l, s + i, step);
		}
		i += step;
	}
}

/* The end of the value at s: a quoted one ends with its quote (log_quote escapes those inside), another at a space. */
static size_t value_end(const char *s, size_t n)
{
	if (n > 0 && s[0] == '"') {
		for (size_t i = 1; i < n; i++) {
			if (s[i] == '\\')
				i++;
			else if (s[i] == '"')
				return i + 1;
		}
		return n;
	}
	for (size_t i = 0; i < n; i++)
		if (s[i] == ' ')
			return i;
	return n;
}

/* `key=value key="quoted value"` as JSON members. Undoes log_quote's \" and \\; text that is no pair is kept as "note". */
static void line_json_pairs(struct line *l, const char *s, size_t n)
{
	while (n > 0) {
		const char *equals;
		size_t key, end;

		if (*s == ' ') {
			s++, n--;
			continue;
		}
		equals = memchr(s, '=', n);
		key = equals ? (size_t)(equals - s) : n;
		if (!equals || memchr(s, ' ', key)) {
			line_str(l, ",\"note\":\"");
			line_json(l, s, n);
			line_str(l, "\"");
			return;
		}
		line_str(l, ",\"");
		line_json(l, s, key);
		line_str(l, "\":\"");
		s += key + 1, n -= key + 1;
		end = value_end(s, n);
		if (end >= 2 && s[0] == '"' && s[end - 1] == '"') {
			for (size_t i = 1, run; i < end - 1; i += run) {
				if (s[i] == '\\' && i + 1 < end - 1 && (s[i + 1] == '"' || s[i + 1] == '\\'))
					i++;
				/* an escape is one byte here, anything else runs up to the next one */
				for (run = 1; i + run < end - 1 && s[i + run] != '\\'; run++)
					;
				line_json(l, s + i, run);
			}
		} else {
			line_json(l, s, end);
		}
		line_str(l, "\"");
		s += end, n -= end;
	}
}

/* Length of s without a code point that was cut at its end. */
static size_t whole_points(const char *s, size_t n)
{
	size_t start = n;

	while (start > 0 && n - start < 4 && ((unsigned char)s[start - 1] & 0xc0) == 0x80)
		start--;
	if (start == 0 || ((unsigned char)s[start - 1] & 0x80) == 0)
		return n;
	start--;
	return utf8_step((const uint8_t *)s + start, n - start) == n - start ? n : start;
}

/* A pipe that nobody reads would hold up the room, and with it everybody. With two threads at once one may still wait: for a line's room at
 * most, since a pipe that is writable has a page. */
static bool may_write(void)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (wc_role != ROLE_ROOM && wc_role != ROLE_IO && wc_role != ROLE_HTTP)
		return true;
	return poll(&p, 1, 0) > 0;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	struct line l;
	char pairs[PAIRS_BYTES];
	bool is_json = atomic_load_explicit(&current_format, memory_order_relaxed) == LOG_JSON;
	bool is_journal = atomic_load_explicit(&to_journal, memory_order_relaxed);
	va_list args;
	size_t n;
	int made;
	ssize_t ignored;

	if (level > log_get_level())
		return;
	va_start(args, fmt);
	made = vsnprintf(pairs, sizeof(pairs), fmt, args);
	va_end(args);
	n = made < 0 ? 0 : (size_t)made;
	if (n >= sizeof(pairs))
		n = whole_points(pairs, sizeof(pairs) - 1);

	l.len = 0;
	if (is_journal) {
		char priority[4] = { '<', (char)('0' + levels[level].priority), '>', '\0' };
		line_str(&l, priority);
	}
	if (is_json) {
		line_str(&l, "{\"time\":\"");
		line_time(&l, '"');
		line_str(&l, ",\"level\":\"");
		line_str(&l, levels[level].name);
		line_str(&l, "\",\"event\":\"");
		line_json(&l, event, strlen(event));
		line_str(&l, "\"");
		line_json_pairs(&l, pairs, n);
		line_str(&l, "}");
	} else {
		if (!is_journal)
			line_time(&l, ' ');
		line_str(&l, levels[level].padded);
		line_str(&l, " ");
		line_str(&l, event);
		if (n > 0)
			line_str(&l, " ");
		line_escaped(&l, pairs, n);
	}
	l.text[l.len++] = '\n';
	_Static_assert(M_LOG_DEBUG_LINES - M_LOG_ERROR_LINES == (int)LOG_DEBUG - (int)LOG_ERROR,
	               "a metric for each level, in the same order");
	metric_add((enum metric)(M_LOG_ERROR_LINES + (int)level), 1);
	if (!may_write()) {
		atomic_fetch_add(&lost_lines, 1);
		return;
	}
	ignored = write(STDERR_FILENO, l.text, l.len);
	(void)ignored;
	uint64_t lost = atomic_exchange(&lost_lines, 0);
	if (lost)
		log_info("log lines lost", "count=%llu", (unsigned long long)lost);
}

bool log_gap_is_over(struct log_gap *g, int64_t gap_ms, uint64_t *missed)
{
	int64_t now_ms = mono_ms(), next_ms = atomic_load(&g->next_ms);

	if (now_ms < next_ms || !atomic_compare_exchange_strong(&g->next_ms, &next_ms, now_ms + gap_ms)) {
		atomic_fetch_add(&g->missed, 1);
		return false;
	}
	*missed = atomic_exchange(&g->missed, 0);
	return true;
}

/* Code points that would change how the rest of a line looks in a terminal: C1 controls, line and paragraph separators,
 * bidi marks, embeddings and isolates. */
static bool is_deceptive(const unsigned char *p, size_t step)
{
	if (step == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	if (step != 3 || p[0] != 0xe2)
		return false;
	return (p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae))) ||
	       (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
}

const char *log_quote(char out[512], struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0, o = 0;

	/* at most 4 bytes come from each of QUOTE_BYTES, with the quotes and the ellipsis below 512 */
	_Static_assert(4 * QUOTE_BYTES + sizeof("\"\xe2\x80\xa6\"") <= 512, "log_quote's buffer");
	out[o++] = '"';
	while (i < s.len) {
		size_t step = utf8_step(p + i, s.len - i);
		size_t whole = step ? step : 1;

		if (i + whole > QUOTE_BYTES) {
			memcpy(out + o, "\xe2\x80\xa6", 3);
			o += 3;
			break;
		}
		if (p[i] == '"' || p[i] == '\\') {
			out[o++] = '\\';
			out[o++] = (char)p[i];
		} else if (step == 0 || p[i] < 0x20 || p[i] == 0x7f || is_deceptive(p + i, step)) {
			for (size_t k = 0; k < whole; k++)
				o += (size_t)sprintf(out + o, "\\x%02x", p[i + k]);
		} else {
			memcpy(out + o, p + i, whole);
			o += whole;
		}
		i += whole;
	}
	out[o++] = '"';
	out[o] = '\0';
	return out;
}
