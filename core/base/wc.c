/* wc.c — the small helpers of wc.h: memory that may not fail, clocks, randomness, hex, errors.
 *
 * Owns the thread's role and nothing else. Any thread; nothing here ever waits. */
#include "base/wc.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"

_Thread_local enum wc_role wc_role;

const char *wc_strerror(int error)
{
	static const char *const text[] = {
		[0] = "no error",        [WC_EAGAIN] = "not now",          [WC_ENOMEM] = "out of memory",   [WC_ETOOBIG] = "too big",
		[WC_EBAD] = "malformed", [WC_EUTF8] = "not valid UTF-8",   [WC_ENOENT] = "no such thing",   [WC_EEXIST] = "already there",
		[WC_EDENIED] = "denied", [WC_ESTORAGE] = "storage failed", [WC_EIO] = "input/output error", [WC_ECLOSED] = "closed",
		[WC_EFULL] = "no room",  [WC_ECONFLICT] = "conflict",
	};
	unsigned code = error < 0 ? 0u - (unsigned)error : (unsigned)error;

	return code < WC_LEN(text) && text[code] ? text[code] : "unknown error";
}

const char *wc_version(void)
{
	return WC_VERSION;
}

bool str_eq(struct str a, struct str b)
{
	/* an empty str may have a NULL pointer, which memcmp may not be given */
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool str_is_word(struct str s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

struct str str_trim(struct str s)
{
	while (s.len && (*s.p == ' ' || *s.p == '\t')) {
		s.p++;
		s.len--;
	}
	while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* Not the log: it may hold what just failed, and these are the last words. */
static void WC_NORETURN last_words(const char *what, const char *file, int line)
{
	char text[256];
	int n = file ? snprintf(text, sizeof(text), "wavechat: %s:%d: broken invariant: %s\n", file, line, what)
	             : snprintf(text, sizeof(text), "wavechat: %s\n", what);

	if (n > 0) {
		ssize_t ignored = write(STDERR_FILENO, text, WC_MIN((size_t)n, sizeof(text) - 1));
		(void)ignored;
	}
	abort();
}

void wc_assert_failed(const char *what, const char *file, int line)
{
	last_words(what, file, line);
}

void *xmalloc(size_t size)
{
	fault_spare(+1);
	void *p = malloc(size ? size : 1);
	fault_spare(-1);

	if (!p)
		last_words("out of memory", NULL, 0);
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	fault_spare(+1);
	void *p = calloc(count ? count : 1, size ? size : 1);
	fault_spare(-1);

	if (!p)
		last_words("out of memory", NULL, 0);
	return p;
}

void *xrealloc(void *old, size_t size)
{
	fault_spare(+1);
	void *p = realloc(old, size ? size : 1);
	fault_spare(-1);

	if (!p)
		last_words("out of memory", NULL, 0);
	return p;
}

char *xstrdup(const char *s)
{
	size_t size = strlen(s) + 1;

	return memcpy(xmalloc(size), s, size);
}

void wc_cause(char **cause, const char *fmt, ...)
{
	va_list args;
	char *text = NULL;

	if (!cause)
		return;
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		last_words("out of memory", NULL, 0);
	va_end(args);
	/* only now: the old message may be among the arguments of the new one */
	free(*cause);
	*cause = text;
}

void wc_thread_is(enum wc_role role, const char *name)
{
	fault_apply(role != ROLE_NONE && role != ROLE_MAIN); /* acts of main are no peer's doing */
	wc_role = role;
	if (name && *name) {
		char cut[16];

		snprintf(cut, sizeof(cut), "%s", name);
		/* the main thread's name is the process's: ps and pidof keep finding the program by it */
		if (role != ROLE_MAIN)
			pthread_setname_np(pthread_self(), cut);
	}
}

static int64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t mono_ms(void)
{
	return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

int64_t boot_ms(void)
{
	return clock_us(CLOCK_BOOTTIME) / 1000;
}

uint64_t mono_fine(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((uint64_t)now.tv_sec << 20) + (((uint64_t)now.tv_nsec << 20) / 1000000000);
}

int64_t real_ms(void)
{
	return clock_us(CLOCK_REALTIME) / 1000 + fault_value(FAULT_CLOCK_MS);
}

void wc_random(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			last_words("the kernel gives no random bytes (getrandom)", NULL, 0);
		p += n;
		len -= (size_t)n;
	}
}

void wc_hex(char *out, const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

int wc_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int wc_unhex(void *out, size_t n, struct str hex)
{
	uint8_t *p = out;

	if (hex.len % 2 != 0 || hex.len / 2 != n)
		return -WC_EBAD;
	for (size_t i = 0; i < n; i++) {
		int high = wc_hex_digit(hex.p[2 * i]), low = wc_hex_digit(hex.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return -WC_EBAD;
		p[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int wc_by_id(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

bool wc_equal_ct(const void *a, const void *b, size_t n)
{
	/* volatile: a compiler that sees through it may stop at the first difference */
	const volatile uint8_t *x = a, *y = b;
	uint8_t differ = 0;

	for (size_t i = 0; i < n; i++)
		differ |= x[i] ^ y[i];
	return differ == 0;
}
