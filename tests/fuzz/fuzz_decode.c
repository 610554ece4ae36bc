/* fuzz_decode.c — any bytes as a frame: decode_frame never crashes, leaks or answers with what must not go out.
 *
 * clang -g -O1 -std=gnu11 -D_GNU_SOURCE -DWC_VERSION='"fuzz"' -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
 *     tests/fuzz/fuzz_decode.c core/{decode,unread,filefield,jsonscan,event,utf8,wc,shbuf}.c -o build/fuzz_decode \
 *     -ljson-c -lutf8proc -lm -pthread
 * build/fuzz_decode -max_len=4096 tests/fuzz/corpus/decode
 *
 * Also held: what the strict scan lets pass json-c takes as well, and the data cut out of the frame is what json-c would have read. */
#include <json-c/json.h>
#include <string.h>

#include "base/utf8.h"
#include "wire/decode.h"
#include "wire/jsonscan.h"
#include "wire/name.h"
#include "wire/unread.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_str(struct str s, size_t max)
{
	WC_ASSERT(s.len <= max);
	WC_ASSERT(utf8_valid(s.p, s.len));
	WC_ASSERT(s.len == 0 || !memchr(s.p, '\0', s.len));
}

static void check_data(const char *json, size_t len, struct str data)
{
	struct json_tokener *tok;
	struct json_object *o, *v = NULL;

	/* '*' stands for an escape that is no base64; "d\u0061ta" is another key to the scan */
	if ((data.len > 0 && memchr(data.p, '*', data.len)) || memmem(json, len, "\\u00", 4))
		return;
	tok = json_tokener_new();
	o = json_tokener_parse_ex(tok, json, (int)len);
	WC_ASSERT(o && json_object_object_get_ex(o, "data", &v));
	WC_ASSERT(str_eq(data, (struct str){ json_object_get_string(v), (size_t)json_object_get_string_len(v) }));
	json_object_put(o);
	json_tokener_free(tok);
}

static void check_event(const struct event *e, const char *json, size_t len)
{
	const uint64_t id_max = (uint64_t)1 << 53;

	check_str(e->cid, WC_CID_BYTES);
	WC_ASSERT(e->to_id <= id_max && e->has_to == (e->to_id != 0));
	switch (e->kind) {
	case EV_JOIN:
		check_str(e->join.name, 16 * WC_NAME_BYTES);
		check_str(e->join.token, 128);
		check_str(e->join.code, 128);
		WC_ASSERT(e->join.version >= 1 && e->join.since <= id_max);
		break;
	case EV_TEXT:
		check_str(e->text, WC_TEXT_POINTS * 4);
		WC_ASSERT(e->text.len > 0 && utf8_count(e->text) <= WC_TEXT_POINTS);
		break;
	case EV_FILE:
	case EV_VOICE:
		check_str(e->file.filename, WC_FILENAME_POINTS * 4);
		WC_ASSERT(utf8_count(e->file.filename) <= WC_FILENAME_POINTS && (e->kind == EV_VOICE || e->file.filename.len > 0));
		WC_ASSERT(!memchr(e->file.filename.p, '/', e->file.filename.len));
		check_str(e->file.mime, WC_MIME_BYTES);
		check_str(e->file.waveform, WC_WAVEFORM_BYTES);
		check_str(e->file.blob, 128);
		check_str(e->file.data, len);
		WC_ASSERT(e->file.duration >= 0 && e->file.duration <= 86400);
		if (e->file.blob.len == 0)
			check_data(json, len, e->file.data);
		break;
	case EV_SYNC:
	case EV_HISTORY:
	case EV_WHO:
	case EV_DM_HISTORY:
		check_str(e->page.q, 64);
		WC_ASSERT(e->page.since <= id_max && e->page.before <= id_max && e->page.after <= id_max);
		break;
	case EV_BAD:
		check_str(e->bad.text, 200);
		WC_ASSERT(e->bad.text.len > 0);
		break;
	default: WC_ASSERT(e->kind == EV_TYPING || e->kind == EV_LINK || e->kind == EV_SIGN_OUT || e->kind == EV_PING);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *json = (const char *)bytes;
	struct event *e;
	struct str data;
	const char *wrong;

	e = unread_oversize(json, len, NULL, 25);
	check_event(e, json, len);
	event_free(e);
	if (!utf8_valid(bytes, len)) /* framing lets no other pass */
		return 0;
	wrong = json_scan(json, len, &data);
	WC_ASSERT(!data.p || (!wrong && data.p > json && data.p + data.len < json + len));
	WC_ASSERT(decode_frame(json, len, NULL, &e) == 0);
	if (wrong)
		WC_ASSERT(e && e->kind == EV_BAD && str_eq(e->bad.text, (struct str){ wrong, strlen(wrong) }));
	else
		WC_ASSERT(!e || e->kind != EV_BAD || !str_eq(e->bad.text, STR("not valid JSON")));
	if (e)
		check_event(e, json, len);
	event_free(e);
	return 0;
}
