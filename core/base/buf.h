/* buf.h — a growable byte buffer for building frames, replies and log lines.
 *
 * Never grows past cap_bytes: an append that would is remembered in `failed` and ignored, so that a caller checks once,
 * at the end. One thread at a time. */
#ifndef WC_BUF_H
#define WC_BUF_H

#include "base/shbuf.h"
#include "base/wc.h"

struct buf {
	char *p;
	size_t len, room, cap_bytes;
	size_t counted; /* of its room, with large buffers (shbuf.h) */
	size_t front;   /* bytes kept before p, for the head of a shared buffer */
	shbuf_owner owner;
	bool failed, is_sure, is_counted;
};

void buf_init(struct buf *b, size_t cap_bytes);
/* One that fails at its cap alone: where there is no memory for it the program ends. For what is bounded and must not be missing, such as
 * what is said of a message that is committed: who was not told would never miss it, while after a restart everybody is. */
void buf_init_sure(struct buf *b, size_t cap_bytes);
/* One whose memory is counted from SHBUF_LARGE on, for this owner, and that fails where the bound on large buffers does not allow more.
 * buf_fini gives it back, unless buf_share took it. */
void buf_init_counted(struct buf *b, size_t cap_bytes, shbuf_owner owner);
void buf_fini(struct buf *b);
void buf_reset(struct buf *b);                /* empty, memory kept */
bool buf_reserve(struct buf *b, size_t more); /* room for `more` bytes after len, or sets failed */
void buf_put(struct buf *b, const void *data, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) WC_PRINTF(2, 3);
void buf_u64(struct buf *b, uint64_t n); /* decimal; faster than printf */
/* Moves the bytes out as a terminated string the caller frees; *len may be NULL. NULL if failed. */
char *buf_take(struct buf *b, size_t *len);
/* Makes a shared buffer of a counted one's bytes, without a copy; the caller has the reference. NULL if failed. Empties b. */
struct shbuf *buf_share(struct buf *b);

/* JSON output. A string is quoted and escaped: `"`, `\`, control characters, U+2028 and U+2029; `<` as \u003c is not needed
 * and not done. Input is valid UTF-8; a byte that is not becomes U+FFFD. Everything else is buf_puts. */
void json_str(struct buf *b, struct str s);
size_t json_str_len(struct str s);      /* of what json_str writes, quotes included */
void json_num(struct buf *b, double n); /* the shortest of %.15g/%.17g that reads back; not finite: 0 */

#endif
