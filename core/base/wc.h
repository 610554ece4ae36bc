/* wc.h — error codes, attributes, thread roles and small helpers for every unit.
 * Includes nothing of the project. Owns no state but the thread's role. */
#ifndef WC_H
#define WC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define WC_MUSTCHECK __attribute__((warn_unused_result))
#define WC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define WC_NORETURN __attribute__((noreturn))

#define WC_MIN(a, b) ((a) < (b) ? (a) : (b))
#define WC_MAX(a, b) ((a) > (b) ? (a) : (b))
#define WC_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* Functions return 0 (or a count) or one of these, negated. */
enum wc_error {
	WC_EAGAIN = 1, /* not now: more input, more room or more time is needed */
	WC_ENOMEM,     /* memory a peer asked for could not be had */
	WC_ETOOBIG,    /* over a limit */
	WC_EBAD,       /* malformed input */
	WC_EUTF8,      /* not valid UTF-8 */
	WC_ENOENT,     /* no such thing */
	WC_EEXIST,     /* already there */
	WC_EDENIED,    /* not yours */
	WC_ESTORAGE,   /* the disk or the database refused */
	WC_EIO,        /* a socket or a file failed; errno says how */
	WC_ECLOSED,    /* the other side is gone */
	WC_EFULL,      /* no room: a bound on what is stored, or a full disk */
	WC_ECONFLICT,  /* the same key with other content, or the wrong offset */
};
const char *wc_strerror(int error); /* accepts -WC_E… and WC_E… */

/* "0.1.0", or between releases "0.1.0+g1a2b3c4", with "-dirty" if the tree was changed. */
const char *wc_version(void);

/* A borrowed piece of text: not terminated, not owned. */
struct str {
	const char *p;
	size_t len;
};
#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })
static inline struct str str_of(const char *s) /* NULL: an empty one */
{
	return s ? (struct str){ s, strlen(s) } : STR("");
}
bool str_eq(struct str a, struct str b);
bool str_is_word(struct str s, const char *word); /* ASCII case does not matter */
struct str str_trim(struct str s);                /* without blanks and tabs around it */

/* Memory for small, bounded, fixed things: aborts when there is none, because nothing sensible is left to do.
 * Memory that a peer can size uses malloc, under a cap, and fails softly. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *s);
/* For `char **cause` of start-up functions: replaces *cause with a formatted message the caller frees. */
void wc_cause(char **cause, const char *fmt, ...) WC_PRINTF(2, 3);

/* Broken internal invariant: says where and aborts. Never reachable from what a peer sends. */
#define WC_ASSERT(cond) ((cond) ? (void)0 : wc_assert_failed(#cond, __FILE__, __LINE__))
void wc_assert_failed(const char *what, const char *file, int line) WC_NORETURN;

/* Each thread says once what it is; functions with a "Thread:" line assert it. */
enum wc_role { ROLE_NONE, ROLE_MAIN, ROLE_ROOM, ROLE_IO, ROLE_HELPER, ROLE_HTTP };
void wc_thread_is(enum wc_role role, const char *name); /* also names the thread for top(1); 15 bytes at most */
extern _Thread_local enum wc_role wc_role;
#define ASSERT_THREAD(role) WC_ASSERT(wc_role == ROLE_##role)

/* Clocks. mono_* and boot_ms never step; boot_ms also counts while the machine sleeps. real_ms is Unix time as the machine has it: what is
 * stored or expires asks base/steady.h instead. */
int64_t mono_ms(void);
int64_t mono_us(void);
int64_t boot_ms(void);
uint64_t mono_fine(void); /* in units of 2^-20 s */
int64_t real_ms(void);

/* len bytes from the kernel's generator; aborts if it has none. */
void wc_random(void *out, size_t len);
/* Lower-case hex, terminated: out has 2*n + 1 bytes. */
void wc_hex(char *out, const void *data, size_t n);
int wc_hex_digit(char c);                                       /* 0 to 15, of either case; -1: it is none */
int wc_unhex(void *out, size_t n, struct str hex) WC_MUSTCHECK; /* exactly 2*n digits, or -WC_EBAD */
/* For qsort and bsearch: orders elements by the uint64_t that each begins with. Pure. */
int wc_by_id(const void *a, const void *b);
/* Equal, in time that depends on n alone. */
bool wc_equal_ct(const void *a, const void *b, size_t n);

#endif
