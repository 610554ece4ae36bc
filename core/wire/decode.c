/* decode.c — from a client's JSON frame to an event (see decode.h).
 *
 * Owns one json-c tokener a thread and the words of what it refuses. Never decodes base64, never touches a disk, never knows
 * who is asking. Any thread.
 *
 * Memory, for a frame of n bytes: json_scan takes none. The value of "data" is never given to json-c: the tokener gets the text before it,
 * then the text after it. It is copied once, into the event, or stays in place (decode_frame_in_place). Any other huge string goes through
 * json-c, whose buffer doubles as it grows, and is then copied once. That is less than 5n, within decode_bound, during this call. The rest
 * is bounded: only data is kept beyond its limit. */
#include "wire/decode.h"

#include <json-c/json.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/utf8.h"
#include "wire/filefield.h"
#include "wire/jsonscan.h"
#include "wire/name.h"
#include "wire/unread.h"

#define ID_MAX ((uint64_t)1 << 53) /* what a JavaScript number holds exactly */
#define LIMIT_MAX ((uint64_t)1 << 31)
#define SECRET_BYTES 128 /* of a token, code or handle; real ones are shorter */
#define QUERY_BYTES 64
#define PIXELS_MAX 100000
#define DURATION_MAX_S (24 * 60 * 60.0)

/* One frame on its way. Readers of fields return false when the frame's fate is sealed: event or rc say how. */
struct in {
	struct json_object *o;
	struct conn *conn;
	struct str data; /* in the frame, escaped; p NULL: none, or json-c has it */
	struct str cid;
	struct event *event;
	int rc;
	bool is_ours; /* the frame is the caller's to write to, and outlives the event's data */
};

static _Atomic size_t rest_most = SIZE_MAX;

void decode_bound(size_t bytes)
{
	atomic_store(&rest_most, bytes);
}

static bool refuse(struct in *in, enum error_code code, const char *text)
{
	in->event = event_bad(in->conn, code, (struct str){ text, strlen(text) }, in->cid);
	return false;
}

static bool refuse_field(struct in *in, const char *key, const char *wanted)
{
	char text[96];

	snprintf(text, sizeof(text), "%s must be %s", key, wanted);
	return refuse(in, ERR_BAD_REQUEST, text);
}

/* --- Reading fields. null is as good as absent. */

static struct json_object *field(struct in *in, const char *key)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(in->o, key, &v);
	return v;
}

/* Without its NULs, which no reader of ours can show and C libraries stumble over. */
static bool drop_nuls(struct json_object *v)
{
	size_t len = (size_t)json_object_get_string_len(v), n = 0;
	const char *s = json_object_get_string(v);
	char *copy = malloc(len + 1);
	bool is_done;

	if (!copy)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] != '\0')
			copy[n++] = s[i];
	}
	is_done = json_object_set_string_len(v, copy, (int)n) != 0;
	free(copy);
	return is_done;
}

/* Absent: p NULL. Otherwise the string lives as long as in->o, and has no NUL in it. */
static bool get_str(struct in *in, const char *key, struct str *out)
{
	struct json_object *v = field(in, key);

	*out = (struct str){ NULL, 0 };
	if (!v)
		return true;
	if (!json_object_is_type(v, json_type_string))
		return refuse_field(in, key, "a string");
	if (memchr(json_object_get_string(v), '\0', (size_t)json_object_get_string_len(v)) && !drop_nuls(v)) {
		in->rc = -WC_ENOMEM;
		return false;
	}
	*out = (struct str){ json_object_get_string(v), (size_t)json_object_get_string_len(v) };
	return true;
}

/* A whole number within 0..max, also when written as 3.0. */
static bool whole_number(struct json_object *v, uint64_t max, uint64_t *n)
{
	int64_t i;
	double d;

	if (json_object_is_type(v, json_type_int)) {
		i = json_object_get_int64(v); /* saturates */
		*n = (uint64_t)i;
		return i >= 0 && *n <= max;
	}
	if (!json_object_is_type(v, json_type_double))
		return false;
	d = json_object_get_double(v);
	if (!(d >= 0 && d <= (double)max) || floor(d) != d)
		return false;
	*n = (uint64_t)d;
	return true;
}

static bool numeric_string(struct str s, uint64_t *n)
{
	s = utf8_trim(s);
	*n = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		*n = *n * 10 + (uint64_t)(s.p[i] - '0');
		if (*n > ID_MAX)
			return false;
	}
	return s.len > 0;
}

/* has may be NULL; *n is 0 when there is none. */
static bool get_id(struct in *in, const char *key, uint64_t *n, bool *has)
{
	struct json_object *v = field(in, key);
	struct str s;

	*n = 0;
	if (has)
		*has = v != NULL;
	if (!v)
		return true;
	if (json_object_is_type(v, json_type_string)) {
		if (!get_str(in, key, &s))
			return false;
		if (numeric_string(s, n))
			return true;
	} else if (whole_number(v, ID_MAX, n)) {
		return true;
	}
	return refuse_field(in, key, "a positive whole number");
}

static bool get_limit(struct in *in, uint32_t *limit)
{
	struct json_object *v = field(in, "limit");
	uint64_t n = 0;

	if (v && !whole_number(v, ID_MAX, &n))
		return refuse_field(in, "limit", "a whole number");
	*limit = (uint32_t)WC_MIN(n, LIMIT_MAX);
	return true;
}

/* A size in pixels is a hint: a number that is none is as good as absent. */
static bool get_pixels(struct in *in, const char *key, uint32_t *out)
{
	struct json_object *v = field(in, key);
	uint64_t n = 0;

	if (v && !json_object_is_type(v, json_type_int) && !json_object_is_type(v, json_type_double))
		return refuse_field(in, key, "a number");
	*out = v && whole_number(v, PIXELS_MAX, &n) ? (uint32_t)n : 0;
	return true;
}

/* Whole numbers beyond INT32_MAX are versions as well, that one in their place. */
static bool get_version(struct in *in, int *version)
{
	struct json_object *v = field(in, "v");
	uint64_t n = 1;
	bool is_number = v && (json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double));

	if (is_number && json_object_get_double(v) > (double)ID_MAX) /* no fraction is left up there */
		n = ID_MAX;
	else if (v && !whole_number(v, ID_MAX, &n))
		return refuse_field(in, "v", "a whole number");
	*version = (int)WC_MIN(WC_MAX(n, 1), (uint64_t)INT32_MAX);
	return true;
}

/* A clock set back while recording makes old clients send less than nothing: that is 0, not a voice lost. */
static bool get_duration(struct in *in, double *out)
{
	struct json_object *v = field(in, "duration");
	double d = 0;

	if (v && !json_object_is_type(v, json_type_int) && !json_object_is_type(v, json_type_double))
		return refuse_field(in, "duration", "a number");
	if (v)
		d = json_object_get_double(v); /* json_scan let no infinity pass */
	*out = d > 0 ? WC_MIN(d, DURATION_MAX_S) : 0;
	return true;
}

/* Before anything that may be refused: a page marks its message as failed by the cid. A bad one is check_cid's to refuse. */
static void peek_cid(struct in *in)
{
	struct json_object *v = field(in, "cid");
	struct str s;

	if (!v || !json_object_is_type(v, json_type_string))
		return;
	s = (struct str){ json_object_get_string(v), (size_t)json_object_get_string_len(v) };
	if (s.len >= 1 && s.len <= WC_CID_BYTES && !memchr(s.p, '\0', s.len))
		in->cid = s;
}

static bool check_cid(struct in *in)
{
	return !field(in, "cid") || in->cid.p || refuse_field(in, "cid", "a string of 1 to 64 bytes");
}

/* --- Building events. */

static struct event *make(struct in *in, enum event_kind kind, size_t extra)
{
	in->event = event_new(kind, in->conn, extra);
	if (!in->event)
		in->rc = -WC_ENOMEM;
	return in->event;
}

/* Copies s to *at, within what event_new was asked for. */
static struct str place(char **at, struct str s)
{
	struct str copy = { *at, s.len };

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return copy;
}

static struct str cut_bytes(struct str s, size_t max)
{
	if (s.len <= max)
		return s;
	while (max > 0 && ((unsigned char)s.p[max] & 0xc0) == 0x80)
		max--;
	s.len = max;
	return s;
}

static void decode_join(struct in *in)
{
	struct str name, token, code, password;
	struct event *e;
	bool has_since;
	uint64_t since;
	int version = 1;
	char *at;

	if (!get_version(in, &version) || !get_str(in, "name", &name) || !get_str(in, "token", &token) || !get_str(in, "code", &code) ||
	    !get_str(in, "password", &password) || !get_id(in, "since", &since, &has_since))
		return;
	/* Of a name name_clean keeps 32 code points; more than this many bytes of rubbish before them is not worth carrying. */
	name = cut_bytes(utf8_trim(name), 16 * WC_NAME_BYTES);
	token = cut_bytes(token, SECRET_BYTES);
	code = cut_bytes(code, SECRET_BYTES);
	password.len = WC_MIN(password.len, (size_t)WC_PASSWORD_BYTES + 1);
	e = make(in, EV_JOIN, name.len + token.len + code.len + password.len);
	if (!e)
		return;
	at = (char *)(e + 1);
	e->join.version = version;
	e->join.name = place(&at, name);
	e->join.token = place(&at, token);
	e->join.code = place(&at, code);
	e->join.password = place(&at, password);
	e->join.has_since = has_since;
	e->join.since = since;
}

static void decode_text(struct in *in)
{
	struct str text;
	struct event *e;
	uint64_t to_id;
	char *at;

	if (!get_str(in, "text", &text) || !get_id(in, "to_id", &to_id, NULL) || !check_cid(in))
		return;
	text = utf8_trim(text);
	if (!utf8_shows(text))
		return;
	if (text.len > WC_TEXT_POINTS * 4 || utf8_count(text) > WC_TEXT_POINTS) {
		refuse(in, ERR_TOO_LONG, "Text max 4000 characters");
		return;
	}
	e = make(in, EV_TEXT, text.len + in->cid.len);
	if (!e)
		return;
	at = (char *)(e + 1);
	e->text = place(&at, text);
	e->cid = place(&at, in->cid);
	e->to_id = to_id;
	e->has_to = to_id != 0;
}

static void decode_file(struct in *in, enum event_kind kind)
{
	bool is_voice = kind == EV_VOICE, has_data = in->data.p != NULL;
	char name_out[WC_FILENAME_BYTES], mime_out[WC_MIME_BYTES];
	struct str filename = { NULL, 0 }, mime, waveform = { NULL, 0 }, data = in->data, blob;
	uint32_t width = 0, height = 0;
	double duration = 0;
	struct event *e;
	uint64_t to_id;
	char *at;

	if (!get_id(in, "to_id", &to_id, NULL) || !check_cid(in) || !get_str(in, "mime", &mime) || !get_str(in, "blob", &blob))
		return;
	if (!has_data && !get_str(in, "data", &data))
		return;
	if (is_voice && (!get_duration(in, &duration) || !get_str(in, "waveform", &waveform)))
		return;
	if (!is_voice && (!get_str(in, "filename", &filename) || !get_pixels(in, "width", &width) || !get_pixels(in, "height", &height)))
		return;
	blob = cut_bytes(blob, SECRET_BYTES);
	if (!data.p && blob.len == 0) {
		refuse_field(in, "data", "there, in base64");
		return;
	}
	if (blob.len > 0)
		data = (struct str){ NULL, 0 };
	filename = is_voice ? filename : filename_clean(name_out, filename);
	mime = mime_clean(mime_out, mime, is_voice ? STR("audio/webm") : STR("application/octet-stream"));
	waveform = waveform_clean(waveform);

	/* Two more, so that the base64 can be decoded where it lies. In the frame, a quote and a brace stand behind it. */
	e = make(in, kind, in->cid.len + filename.len + mime.len + waveform.len + blob.len + (in->is_ours && has_data ? 0 : data.len) + 2);
	if (!e)
		return;
	at = (char *)(e + 1);
	e->cid = place(&at, in->cid);
	e->to_id = to_id;
	e->has_to = to_id != 0;
	e->file.filename = place(&at, filename);
	e->file.mime = place(&at, mime);
	e->file.waveform = place(&at, waveform);
	e->file.blob = place(&at, blob);
	if (in->is_ours && has_data && data.p) {
		char *there = (char *)(uintptr_t)data.p;
		e->file.data = (struct str){ there, base64_unescape(there, data) };
	} else if (has_data && data.p)
		e->file.data = (struct str){ at, base64_unescape(at, data) };
	else
		e->file.data = place(&at, data);
	e->file.duration = duration;
	if (width > 0 && height > 0) {
		e->file.width = width;
		e->file.height = height;
	}
}

static void decode_typing(struct in *in)
{
	uint64_t to_id;

	if (!get_id(in, "to_id", &to_id, NULL) || !make(in, EV_TYPING, 0))
		return;
	in->event->to_id = to_id;
	in->event->has_to = to_id != 0;
}

/* EV_DM_HISTORY, EV_SYNC, EV_HISTORY and EV_WHO share their fields; each reads those it has. */
static void decode_page(struct in *in, enum event_kind kind)
{
	uint64_t peer_id = 0, since = 0, before = 0, after = 0;
	struct str q = { NULL, 0 };
	char clean[WC_NAME_BYTES + 1];
	uint32_t limit = 0;
	bool has_since = true;
	struct event *e;
	char *at;

	if ((kind == EV_DM_HISTORY || kind == EV_HISTORY) && !get_id(in, "peer_id", &peer_id, NULL))
		return;
	if (kind == EV_SYNC && !get_id(in, "since", &since, &has_since))
		return;
	if (kind == EV_HISTORY && (!get_id(in, "before", &before, NULL) || !get_limit(in, &limit)))
		return;
	if (kind == EV_WHO && (!get_str(in, "q", &q) || !get_id(in, "after", &after, NULL) || !get_limit(in, &limit)))
		return;
	if (kind == EV_DM_HISTORY && peer_id == 0) {
		refuse_field(in, "peer_id", "a positive whole number");
		return;
	}
	if (!has_since) {
		refuse_field(in, "since", "a whole number");
		return;
	}
	/* Text of which nothing may be in a name stays as it is, since nobody's name contains it; spaces are no text. */
	if (utf8_trim(q).len) {
		size_t n = name_clean(clean, q);
		q = cut_bytes(n ? (struct str){ clean, n } : q, QUERY_BYTES);
	} else {
		q.len = 0;
	}
	e = make(in, kind, q.len);
	if (!e)
		return;
	at = (char *)(e + 1);
	e->to_id = peer_id;
	e->has_to = peer_id != 0;
	e->page.since = since;
	e->page.before = before;
	e->page.after = after;
	e->page.limit = limit;
	e->page.q = place(&at, q);
}

static void decode_bare(struct in *in, enum event_kind kind)
{
	(void)make(in, kind, 0);
}

static const struct {
	const char *type;
	enum event_kind kind;
} types[] = {
	{ "text", EV_TEXT },       { "typing", EV_TYPING },     { "file", EV_FILE },
	{ "voice", EV_VOICE },     { "join", EV_JOIN },         { "dm_history", EV_DM_HISTORY },
	{ "history", EV_HISTORY }, { "sync", EV_SYNC },         { "who", EV_WHO },
	{ "link", EV_LINK },       { "sign_out", EV_SIGN_OUT }, { "ping", EV_PING },
};

static void decode_object(struct in *in)
{
	struct json_object *type = field(in, "type");
	struct str name;

	peek_cid(in);
	if (!type || !json_object_is_type(type, json_type_string)) {
		refuse_field(in, "type", "a string");
		return;
	}
	name = (struct str){ json_object_get_string(type), (size_t)json_object_get_string_len(type) };
	for (size_t i = 0; i < WC_LEN(types); i++) {
		enum event_kind kind = types[i].kind;

		if (!str_eq(name, (struct str){ types[i].type, strlen(types[i].type) }))
			continue;
		switch (kind) {
		case EV_JOIN: decode_join(in); return;
		case EV_TEXT: decode_text(in); return;
		case EV_FILE:
		case EV_VOICE: decode_file(in, kind); return;
		case EV_TYPING: decode_typing(in); return;
		case EV_DM_HISTORY:
		case EV_HISTORY:
		case EV_SYNC:
		case EV_WHO: decode_page(in, kind); return;
		default: decode_bare(in, kind); return;
		}
	}
}

/* --- json-c. */

static pthread_once_t tokener_once = PTHREAD_ONCE_INIT;
static pthread_key_t tokener_key; /* only so that a thread's end frees its tokener */
static _Thread_local struct json_tokener *thread_tokener;

static void tokener_free(void *tok)
{
	json_tokener_free(tok);
}

static void tokener_key_make(void)
{
	WC_ASSERT(pthread_key_create(&tokener_key, tokener_free) == 0);
}

static struct json_tokener *tokener_new(void)
{
	struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH + 2);

	if (tok)
		json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	return tok;
}

static struct json_tokener *tokener_of_thread(void)
{
	if (thread_tokener)
		return thread_tokener;
	thread_tokener = tokener_new();
	pthread_once(&tokener_once, tokener_key_make);
	pthread_setspecific(tokener_key, thread_tokener);
	return thread_tokener;
}

#define JSON_MEMORY 256 /* bytes that json-c takes at most for one of text */

/* json-c does not bear being refused memory: it goes on with a name that is not there, or with half a string. So as much as it may come to
 * need, which for small empty objects is hundreds of times their text, is asked for first, and given back to be had by it. */
static bool has_memory(size_t len)
{
	void *volatile p = malloc(512 + JSON_MEMORY * len); /* volatile: the compiler would see to it that nothing is asked for */
	bool is_there = p != NULL;

	free(p);
	return is_there;
}

/* json without what `data` spans: a tokener goes on in mid-string where the last piece ended. */
static struct json_object *parse(struct json_tokener *tok, const char *json, size_t len, struct str data)
{
	const char *rest = json;

	if (data.p) {
		if (json_tokener_parse_ex(tok, json, (int)(data.p - json)) || json_tokener_get_error(tok) != json_tokener_continue)
			return NULL;
		rest = data.p + data.len;
	}
	return json_tokener_parse_ex(tok, rest, (int)(len - (size_t)(rest - json)));
}

static int decode(const char *json, size_t len, struct conn *conn, bool is_ours, struct event **out)
{
	struct in in = { .conn = conn, .is_ours = is_ours };
	struct json_tokener *tok = NULL;
	const char *wrong;
	bool is_short;

	*out = NULL;
	if (len > INT32_MAX) {
		*out = unread_bad(json, len, conn, ERR_TOO_LARGE, "Frame too large");
		return 0;
	}
	wrong = json_scan(json, len, &in.data);
	if (wrong) {
		*out = unread_bad(json, len, conn, ERR_BAD_REQUEST, wrong);
		return 0;
	}
	if (len - in.data.len > atomic_load_explicit(&rest_most, memory_order_relaxed)) {
		*out = unread_bad(json, len, conn, ERR_TOO_LARGE, "Frame too large");
		return 0;
	}
	/* A tokener keeps the buffer of the longest string it ever saw: those of long frames are not kept. */
	is_short = len - in.data.len <= WC_DECODE_INLINE;
	tok = is_short ? tokener_of_thread() : tokener_new();
	if (!tok)
		return -WC_ENOMEM;
	if (!has_memory(len - in.data.len)) {
		in.rc = -WC_ENOMEM;
		goto out;
	}
	fault_spare(+1);
	in.o = parse(tok, json, len, in.data);
	fault_spare(-1);
	if (in.o)
		decode_object(&in);
	else
		in.event = unread_bad(json, len, conn, ERR_BAD_REQUEST, "not valid JSON");
	json_object_put(in.o);
out:
	if (is_short)
		json_tokener_reset(tok);
	else
		json_tokener_free(tok);
	*out = in.event;
	return in.rc;
}

int decode_frame(const char *json, size_t len, struct conn *conn, struct event **out)
{
	return decode(json, len, conn, false, out);
}

int decode_frame_in_place(char *json, size_t len, struct conn *conn, struct event **out)
{
	return decode(json, len, conn, true, out);
}
