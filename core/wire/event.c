/* event.c — making and ending events (see event.h).
 *
 * Owns nothing between calls. Never looks into a frame. Any thread. */
#include "wire/event.h"

#include <stdlib.h>
#include <string.h>

static const char *const code_names[ERR_COUNT] = {
	[ERR_BAD_REQUEST] = "bad_request",   [ERR_TOO_LONG] = "too_long",
	[ERR_TOO_LARGE] = "too_large",       [ERR_BAD_TOKEN] = "bad_token",
	[ERR_BAD_CODE] = "bad_code",         [ERR_PASSWORD_REQUIRED] = "password_required",
	[ERR_BAD_PASSWORD] = "bad_password", [ERR_NO_SUCH_USER] = "no_such_user",
	[ERR_CID_REUSED] = "cid_reused",     [ERR_STORAGE] = "storage",
	[ERR_RATE_LIMITED] = "rate_limited", [ERR_MUTED] = "muted",
	[ERR_LOCKDOWN] = "lockdown",         [ERR_BUSY] = "busy",
};

const char *error_code_name(enum error_code code)
{
	WC_ASSERT((unsigned)code < ERR_COUNT && code_names[code]);
	return code_names[code];
}

static struct event *begin(struct event *e, enum event_kind kind, struct conn *conn, size_t extra)
{
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->conn = conn;
	e->cost = sizeof(*e) + extra;
	return e;
}

struct event *event_new(enum event_kind kind, struct conn *conn, size_t extra)
{
	struct event *e;

	if (extra > SIZE_MAX - sizeof(*e))
		return NULL;
	e = malloc(sizeof(*e) + extra); /* not calloc: what lies behind may be 35 MB, about to be written anyway */
	return e ? begin(e, kind, conn, extra) : NULL;
}

struct event *event_new_small(enum event_kind kind, struct conn *conn, size_t extra)
{
	return begin(xmalloc(sizeof(struct event) + extra), kind, conn, extra);
}

struct event *event_bad(struct conn *conn, enum error_code code, struct str text, struct str cid)
{
	size_t cid_len = WC_MIN(cid.len, (size_t)WC_CID_BYTES);
	struct event *e = event_new_small(EV_BAD, conn, text.len + cid_len);
	char *at;

	at = (char *)(e + 1);
	if (text.len > 0)
		memcpy(at, text.p, text.len);
	e->bad.code = code;
	e->bad.text = (struct str){ at, text.len };
	if (cid_len > 0) {
		memcpy(at + text.len, cid.p, cid_len);
		e->cid = (struct str){ at + text.len, cid_len };
	}
	return e;
}

void event_free(struct event *e)
{
	if (!e)
		return;
	if (e->kind == EV_FILE || e->kind == EV_VOICE) {
		shbuf_unref(e->file.data64);
		if (e->file.hold)
			e->file.end_hold(e->file.hold);
	}
	free(e);
}
