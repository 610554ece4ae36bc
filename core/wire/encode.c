/* encode.c — see encode.h. */
#include "wire/encode.h"

#include <string.h>
#include <time.h>

/* Local time of a message, dialect 1's two ways. localtime_r takes a lock and reads a zone file's table: once a minute is enough. */
static void put_local_time(struct buf *b, int64_t at_ms, bool with_iso)
{
	static _Thread_local int64_t minute = -1;
	static _Thread_local struct tm tm;
	int64_t s = at_ms / 1000;
	if (s / 60 != minute) {
		time_t t = (time_t)s;
		localtime_r(&t, &tm);
		minute = s / 60;
	}
	buf_printf(b, ",\"ts\":\"%02d:%02d\"", tm.tm_hour, tm.tm_min);
	if (with_iso)
		buf_printf(b, ",\"iso\":\"%04d-%02d-%02dT%02d:%02d:%02d\"", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		           tm.tm_min, (int)(s % 60));
}

static void put_key(struct buf *b, const char *key)
{
	buf_puts(b, ",\"");
	buf_puts(b, key);
	buf_puts(b, "\":");
}

static void put_u64(struct buf *b, const char *key, uint64_t n)
{
	put_key(b, key);
	buf_u64(b, n);
}

static void put_str(struct buf *b, const char *key, struct str s)
{
	put_key(b, key);
	json_str(b, s);
}

static void put_num(struct buf *b, const char *key, double n)
{
	put_key(b, key);
	json_num(b, n);
}

static void put_ends(struct buf *b, const struct msg *m)
{
	buf_puts(b, m->is_dm ? ",\"dm\":true" : ",\"dm\":false");
	put_u64(b, "from_id", m->from_id);
	put_str(b, "from_name", m->from_name);
	if (m->is_dm) {
		put_u64(b, "to_id", m->to_id);
		put_str(b, "to_name", m->to_name);
	}
}

static const char *kind_name(enum msg_kind kind)
{
	switch (kind) {
	case MSG_FILE: return "{\"type\":\"file\"";
	case MSG_VOICE: return "{\"type\":\"voice\"";
	case MSG_DELETE: return "{\"type\":\"delete\"";
	case MSG_TEXT: break;
	}
	return "{\"type\":\"text\"";
}

/* Dialect 1 up to and without `data`'s value. */
static void put_before_data(struct buf *b, const struct msg *m)
{
	buf_puts(b, kind_name(m->kind));
	put_ends(b, m);
	if (m->kind == MSG_FILE) {
		put_str(b, "filename", m->filename);
		put_str(b, "mime", m->mime);
	}
	put_key(b, "data");
}

static void put_after_data(struct buf *b, const struct msg *m, bool self)
{
	if (m->kind == MSG_FILE)
		put_u64(b, "size", m->size);
	else
		put_num(b, "duration", m->duration);
	put_local_time(b, m->at_ms, true);
	buf_puts(b, self ? ",\"self\":true}" : "}");
}

void encode_msg_around(struct buf *before, struct buf *after, const struct msg *m, bool self)
{
	put_before_data(before, m);
	buf_putc(before, '"');
	buf_putc(after, '"');
	put_after_data(after, m, self);
}

static void encode_1(struct buf *b, const struct msg *m, bool self, const struct str *data64)
{
	if (m->kind == MSG_TEXT) {
		buf_puts(b, kind_name(m->kind));
		put_ends(b, m);
		put_str(b, "text", m->flags & MSG_DELETED ? STR("") : m->text);
		put_local_time(b, m->at_ms, true);
		buf_puts(b, self ? ",\"self\":true}" : "}");
		return;
	}
	put_before_data(b, m);
	if (data64) {
		buf_putc(b, '"');
		buf_put(b, data64->p, data64->len); /* base64 needs no escaping */
		buf_putc(b, '"');
	} else {
		buf_puts(b, "null");
	}
	put_after_data(b, m, self);
}

void encode_file_url(struct buf *b, const struct msg *m)
{
	static const char hex[] = "0123456789ABCDEF";
	char secret[2 * WC_SECRET_BYTES + 1];
	wc_hex(secret, m->secret, WC_SECRET_BYTES);
	buf_puts(b, "/f/");
	buf_puts(b, secret);
	buf_putc(b, '/');
	struct str name = m->kind == MSG_VOICE ? STR("voice") : m->filename;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i];
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_') {
			buf_putc(b, (char)c);
		} else {
			buf_putc(b, '%');
			buf_putc(b, hex[c >> 4]);
			buf_putc(b, hex[c & 15]);
		}
	}
}

static uint64_t digits(struct str s)
{
	uint64_t n = 0;
	for (size_t i = 0; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	return n;
}

/* At the end of an object, so that encode_own can append it. */
static void put_own(struct buf *b, const struct msg *m)
{
	if (m->cid.len)
		put_str(b, "cid", m->cid);
	buf_puts(b, ",\"self\":true");
}

static void encode_2(struct buf *b, const struct msg *m, bool self)
{
	buf_puts(b, kind_name(m->kind));
	put_u64(b, "id", m->id);
	put_key(b, "at");
	buf_u64(b, (uint64_t)m->at_ms);
	if (m->kind == MSG_DELETE) {
		put_u64(b, "target", digits(m->text));
		buf_putc(b, '}');
		return;
	}
	put_ends(b, m);
	if (m->flags & MSG_DELETED) {
		buf_puts(b, ",\"deleted\":true");
	} else if (m->kind == MSG_TEXT) {
		put_str(b, "text", m->text);
	} else {
		if (m->kind == MSG_FILE)
			put_str(b, "filename", m->filename);
		else
			put_num(b, "duration", m->duration);
		put_str(b, "mime", m->mime);
		put_u64(b, "size", m->size);
		put_key(b, "url");
		if (m->flags & MSG_GONE) {
			buf_puts(b, "null,\"gone\":true");
		} else {
			buf_putc(b, '"');
			encode_file_url(b, m);
			buf_putc(b, '"');
		}
		if (m->width && m->height) {
			put_u64(b, "width", m->width);
			put_u64(b, "height", m->height);
		}
		if (m->waveform.len)
			put_str(b, "waveform", m->waveform);
	}
	if (self)
		put_own(b, m);
	buf_putc(b, '}');
}

void encode_own(struct buf *b, const struct msg *m, struct str others)
{
	buf_put(b, others.p, others.len - 1); /* all but the closing brace */
	put_own(b, m);
	buf_putc(b, '}');
}

void encode_msg(struct buf *b, enum dialect d, const struct msg *m, bool self, const struct str *data64)
{
	if (d == DIALECT_1)
		encode_1(b, m, self, data64);
	else
		encode_2(b, m, self);
}

void encode_user(struct buf *b, uint64_t id, struct str name)
{
	buf_puts(b, "{\"id\":");
	buf_u64(b, id);
	put_str(b, "name", name);
	buf_putc(b, '}');
}

void encode_error(struct buf *b, enum dialect d, enum error_code code, struct str text, struct str cid)
{
	buf_puts(b, "{\"type\":\"error\"");
	if (d == DIALECT_2)
		put_str(b, "code", (struct str){ error_code_name(code), strlen(error_code_name(code)) });
	put_str(b, "text", text);
	if (d == DIALECT_2 && cid.len)
		put_str(b, "cid", cid);
	buf_putc(b, '}');
}

void encode_error_retry(struct buf *b, enum dialect d, enum error_code code, struct str text, struct str cid, int64_t retry_ms)
{
	encode_error(b, d, code, text, cid);
	if (d != DIALECT_2 || retry_ms <= 0 || b->failed)
		return;
	b->len--; /* the closing brace */
	buf_printf(b, ",\"retry_ms\":%lld}", (long long)retry_ms);
}

void encode_delete(struct buf *b, uint64_t id, int64_t at_ms, uint64_t target)
{
	buf_printf(b, "{\"type\":\"delete\",\"id\":%llu,\"at\":%lld,\"target\":%llu}", (unsigned long long)id, (long long)at_ms,
	           (unsigned long long)target);
}

void encode_system(struct buf *b, enum dialect d, struct str text, int64_t at_ms)
{
	buf_puts(b, "{\"type\":\"system\"");
	put_str(b, "text", text);
	if (d == DIALECT_1)
		put_local_time(b, at_ms, false);
	else
		put_u64(b, "at", (uint64_t)at_ms);
	buf_putc(b, '}');
}

void encode_typing(struct buf *b, uint64_t from_id, struct str from_name, bool is_dm)
{
	buf_puts(b, "{\"type\":\"typing\"");
	put_u64(b, "from_id", from_id);
	put_str(b, "from_name", from_name);
	buf_puts(b, is_dm ? ",\"dm\":true}" : "}");
}
