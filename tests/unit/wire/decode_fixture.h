/* decode_fixture.h — a frame decoded, and its event as one line, for the tests of decode.c and jsonscan.c. */
#ifndef DECODE_FIXTURE_H
#define DECODE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "wire/decode.h"

static struct conn *const some_conn = (struct conn *)0x1000; /* carried, never looked at */

/* --- Every event as one line, so that a table can say what a frame becomes. */

struct line {
	char text[4096];
	size_t len;
};

static inline void add(struct line *l, const char *fmt, ...) WC_PRINTF(2, 3);
static inline void add(struct line *l, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	l->len += (size_t)vsnprintf(l->text + l->len, sizeof(l->text) - l->len, fmt, args);
	va_end(args);
	assert_true(l->len < sizeof(l->text));
}

static inline void add_str(struct line *l, const char *name, struct str s)
{
	assert_true(utf8_valid(s.p, s.len));
	assert_true(s.len == 0 || !memchr(s.p, '\0', s.len));
	if (s.len > 0)
		add(l, " %s=%.*s", name, (int)s.len, s.p);
}

static inline void add_num(struct line *l, const char *name, uint64_t n)
{
	if (n)
		add(l, " %s=%llu", name, (unsigned long long)n);
}

static inline void describe(struct line *l, const struct event *e)
{
	static const char *const kinds[] = {
		[EV_JOIN] = "join",   [EV_TEXT] = "text",         [EV_FILE] = "file",
		[EV_VOICE] = "voice", [EV_TYPING] = "typing",     [EV_DM_HISTORY] = "dm_history",
		[EV_SYNC] = "sync",   [EV_HISTORY] = "history",   [EV_WHO] = "who",
		[EV_LINK] = "link",   [EV_SIGN_OUT] = "sign_out", [EV_PING] = "ping",
		[EV_BAD] = "bad",
	};

	l->len = 0;
	if (!e) {
		add(l, "-");
		return;
	}
	assert_ptr_equal(e->conn, some_conn);
	assert_true(e->cost >= sizeof(*e));
	assert_int_equal(e->has_to, e->to_id != 0);
	add(l, "%s", kinds[e->kind]);
	add_num(l, "to", e->to_id);
	switch (e->kind) {
	case EV_JOIN:
		add(l, " v=%d", e->join.version);
		add_str(l, "name", e->join.name);
		add_str(l, "token", e->join.token);
		add_str(l, "code", e->join.code);
		add_str(l, "password", e->join.password);
		if (e->join.has_since)
			add(l, " since=%llu", (unsigned long long)e->join.since);
		break;
	case EV_TEXT: add_str(l, "text", e->text); break;
	case EV_FILE:
	case EV_VOICE:
		add_str(l, "filename", e->file.filename);
		add_str(l, "mime", e->file.mime);
		add_str(l, "waveform", e->file.waveform);
		add_str(l, "blob", e->file.blob);
		add_str(l, "data", e->file.data);
		if (e->file.duration != 0)
			add(l, " duration=%g", e->file.duration);
		if (e->file.width || e->file.height)
			add(l, " %ux%u", e->file.width, e->file.height);
		assert_null(e->file.data64);
		break;
	case EV_DM_HISTORY:
	case EV_SYNC:
	case EV_HISTORY:
	case EV_WHO:
		add_num(l, "since", e->page.since);
		add_num(l, "before", e->page.before);
		add_num(l, "after", e->page.after);
		add_num(l, "limit", e->page.limit);
		add_str(l, "q", e->page.q);
		break;
	case EV_BAD:
		add(l, " %s", error_code_name(e->bad.code));
		add_str(l, "says", e->bad.text);
		break;
	default: break;
	}
	add_str(l, "cid", e->cid);
}

/* From a block of exactly its size, so that a sanitizer sees one byte too far. */
static inline struct event *decode(const char *json, size_t len)
{
	char *copy = malloc(len ? len : 1);
	struct event *e;

	assert_non_null(copy);
	memcpy(copy, json, len);
	assert_int_equal(decode_frame(copy, len, some_conn, &e), 0);
	memset(copy, '#', len); /* nothing may point into the frame any more */
	free(copy);
	return e;
}

struct frame {
	const char *json, *want;
};

static inline void check_frames(const struct frame *frames, size_t n)
{
	struct line line;
	struct event *e;

	for (size_t i = 0; i < n; i++) {
		e = decode(frames[i].json, strlen(frames[i].json));
		describe(&line, e);
		if (strcmp(line.text, frames[i].want) != 0)
			fail_msg("%s\n  became   %s\n  and not  %s", frames[i].json, line.text, frames[i].want);
		event_free(e);
	}
}

#define NOT_JSON "bad bad_request says=not valid JSON"

#endif
