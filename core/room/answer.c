/* answer.c — refusals and closes: what one connection is told instead of what it asked for, and the release of its memory.
 *
 * Below every unit that decides; owns no state. Thread: room. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/logmsg.h"
#include "base/metrics.h"
#include "room/impl.h"

#define MEMORY_LOG_MS 60000    /* between two lines about refusals for want of memory */
#define CLOSE_REASON_BYTES 123 /* what a close frame can carry */

/* --- Decided, not yet said */

void refuse(struct action *a, enum error_code code)
{
	a->rc = -WC_EBAD;
	a->error = code;
	a->words = NULL;
	a->retry_ms = 0;
}

void refuse_saying(struct action *a, enum error_code code, int64_t retry_ms, char *words)
{
	refuse(a, code);
	a->retry_ms = retry_ms;
	free(a->copy);
	a->words = a->copy = words;
}

void refuse_for(struct action *a, enum error_code code, int64_t ms, const char *what)
{
	char *words = NULL;
	if (asprintf(&words, "%s: wait %lld s", what, (long long)(ms + 999) / 1000) < 0)
		abort();
	refuse_saying(a, code, ms, words);
}

/* --- Said */

void answer_count_error(enum error_code code)
{
	_Static_assert(M_ERROR_BUSY - M_ERROR_BAD_REQUEST + 1 == ERR_COUNT, "a metric for each code, in the same order");
	metric_add(M_ERRORS, 1);
	metric_add((enum metric)(M_ERROR_BAD_REQUEST + code), 1);
}

void answer_count_memory(struct room *r)
{
	metric_add(M_REFUSED_MEMORY, 1);
	if (r->mono_now_ms < r->memory_log_ms)
		return;
	r->memory_log_ms = r->mono_now_ms + MEMORY_LOG_MS;
	log_info("memory refused", "large_mb=%zu remedy=\"clients that do not read hold it; more with --pending-out-mb\"",
	         shbuf_large_bytes() >> 20);
}

static struct str default_words(enum error_code code)
{
	switch (code) {
	case ERR_STORAGE:
		return STR("The server cannot save messages now: its disk is full or failing. Tell its admin, and send again later");
	case ERR_BAD_TOKEN: return STR("This sign-in is not known here. Join as new");
	case ERR_BAD_CODE: return STR("This sign-in link was used already or has expired. Make a new one on the other device");
	case ERR_PASSWORD_REQUIRED: return STR("This chat has a password. Say it as \"password\" in join");
	case ERR_BAD_PASSWORD: return STR("That is not this chat's password");
	case ERR_NO_SUCH_USER: return STR("There is nobody with this id");
	case ERR_CID_REUSED: return STR("This cid was used for another message; that one stands");
	case ERR_RATE_LIMITED: return STR("Too much at once. Wait a little");
	case ERR_LOCKDOWN: return STR("An admin has locked this chat down. Try again later");
	case ERR_BUSY: return STR("Too many requests at once. Wait for the answers");
	default: return STR("Bad request");
	}
}

void answer_error(struct room *r, struct conn *c, enum error_code code, struct str text, struct str cid)
{
	answer_error_retry(r, c, code, text, cid, 0);
}

void answer_error_retry(struct room *r, struct conn *c, enum error_code code, struct str text, struct str cid, int64_t retry_ms)
{
	const struct session *s = conn_session(c);
	struct buf b;
	buf_init_sure(&b, 4096);
	/* Before a join nothing says which dialect it is; `code` is what a dialect-2 client needs then, and an old one ignores it. */
	encode_error_retry(&b, s ? s->dialect : DIALECT_2, code, text.len ? text : default_words(code), cid, retry_ms);
	struct mail *m = mail_new(MAIL_INSERT, c);
	m->at = publish_end(r->pub, c);
	mail_part(m, frame_of_buf(&b));
	publish_mail(r->pub, m);
	buf_fini(&b);
	answer_count_error(code);
}

void answer_not_joined(struct room *r, struct conn *c)
{
	publish_close(r->pub, c, M_EVICTED_NOT_JOINED, WS_CLOSE_POLICY, "join first");
}

void answer_turn_away(struct room *r, struct conn *c, bool is_dialect_1, int code, const char *words)
{
	struct str reason = str_of(words);
	if (is_dialect_1) {
		struct buf b, text;
		buf_init(&text, 8192);
		buf_puts(&text, code == CLOSE_BANNED ? "You are banned: " : "You were sent out: ");
		buf_put(&text, reason.p, reason.len);
		buf_init(&b, 64 * 1024);
		encode_error(&b, DIALECT_1, ERR_BAD_REQUEST, (struct str){ text.p, text.len }, STR(""));
		struct mail *m = mail_new(MAIL_INSERT, c);
		m->at = publish_end(r->pub, c);
		mail_part(m, frame_of_buf(&b));
		publish_mail(r->pub, m);
		buf_fini(&b);
		buf_fini(&text);
	}
	size_t len = WC_MIN(reason.len, (size_t)CLOSE_REASON_BYTES);
	while (len < reason.len && len && ((unsigned char)reason.p[len] & 0xc0) == 0x80)
		len--;
	char cut[CLOSE_REASON_BYTES + 1];
	memcpy(cut, reason.p, len);
	cut[len] = 0;
	publish_close(r->pub, c, code == CLOSE_BANNED ? M_EVICTED_BANNED : M_EVICTED_KICKED, code, cut);
}

void answer_release(struct room *r, struct conn *c)
{
	publish_mail(r->pub, mail_new(MAIL_RELEASE, c));
}

void session_done(struct room *r, struct session *s)
{
	if (--s->jobs > 0 || !s->is_closed)
		return;
	answer_release(r, s->conn);
	free(s);
}
