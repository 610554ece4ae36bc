/* prepare.c — the blocking half of a file or voice message: its bytes into the blob store (see prepare.h).
 *
 * Owns the event while it works on it. Never touches the room or a connection. Thread: helper.
 *
 * Memory, for a file of n bytes sent as base64 (4n/3): it is decoded in place, in its frame, which is counted until then. If
 * readers of the first dialect exist, the canonical base64 joins it, counted with the large buffers. It is one copy, however many messages
 * name the bytes (data64.h). Where there is no room for it, the event goes on without, and is_short. That is 8n/3 at the peak and 4n/3
 * afterwards; without such readers, next to nothing. By handle the blob is read piecewise: 4n/3, or nothing.
 * (In memory mode the store's own copy comes on top.) */
#include "flow/prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/metrics.h"
#include "flow/data64.h"
#include "wire/decode.h"

static void replace_bad(struct event **e, enum error_code code, const char *text)
{
	struct event *bad = event_bad((*e)->conn, code, (struct str){ text, strlen(text) }, (*e)->cid);

	bad->next = (*e)->next;
	bad->holds_conn = (*e)->holds_conn;
	event_free(*e);
	*e = bad;
}

static void replace_storage(struct event **e)
{
	replace_bad(e, ERR_STORAGE, "The server could not store this: its disk is full or failing");
}

/* Why blob_put or an upload refused. */
static void replace_refused(struct event **e, int rc)
{
	if (rc == -WC_EFULL)
		replace_bad(e, ERR_STORAGE, "The server's room for files is used up. Its admin can give more or delete some");
	else
		replace_storage(e);
}

static void replace_memory(struct event **e)
{
	replace_bad(e, ERR_BUSY, "The server is short of memory; try again later");
}

/* Is `size` a size we take? Replaces *e if not. */
static bool check_size(struct event **e, uint64_t size, int max_file_mb)
{
	char text[32];

	if (size == 0) {
		replace_bad(e, ERR_BAD_REQUEST, "empty file");
		return false;
	}
	if ((*e)->kind == EV_VOICE && size > WC_VOICE_BYTES) {
		replace_bad(e, ERR_TOO_LARGE, "Voice max 10MB");
		return false;
	}
	if ((*e)->kind == EV_FILE && size > (uint64_t)max_file_mb * 1024 * 1024) {
		snprintf(text, sizeof(text), "Max %dMB", max_file_mb);
		replace_bad(e, ERR_TOO_LARGE, text);
		return false;
	}
	return true;
}

static struct str move_str(char **at, struct str s)
{
	struct str moved = { *at, s.len };

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return moved;
}

/* The same event without the bytes of its data, which are as good as stored. false: no memory. */
static bool drop_data(struct event **e)
{
	struct event *old = *e, *small;
	size_t extra = old->cid.len + old->file.filename.len + old->file.mime.len + old->file.waveform.len + old->file.blob.len;
	char *at;

	small = event_new(old->kind, old->conn, extra);
	if (!small)
		return false;
	at = (char *)(small + 1);
	small->next = old->next;
	small->has_to = old->has_to;
	small->to_id = old->to_id;
	small->file = old->file;
	small->cid = move_str(&at, old->cid);
	small->file.filename = move_str(&at, old->file.filename);
	small->file.mime = move_str(&at, old->file.mime);
	small->file.waveform = move_str(&at, old->file.waveform);
	small->file.blob = move_str(&at, old->file.blob);
	small->file.data = (struct str){ NULL, 0 };
	old->file.data64 = NULL; /* moved */
	old->file.hold = NULL;
	event_free(old);
	if (small->file.data64)
		small->cost += small->file.data64->len;
	*e = small;
	return true;
}

static void prepare_data(struct event **e, struct blobs *blobs, int max_file_mb, size_t data64_max)
{
	struct str data = (*e)->file.data;
	char *bytes = (char *)(uintptr_t)data.p; /* within *e, or within its frame: ours to write to */
	ssize_t size = 0;
	int rc;

	if (data.len > 0)
		size = base64_decode(bytes, data);
	if (size < 0) {
		replace_bad(e, ERR_BAD_REQUEST, "data is not base64");
		return;
	}
	if (!check_size(e, (uint64_t)size, max_file_mb))
		return;
	(*e)->file.size = (uint64_t)size;
	(*e)->file.end_hold = blob_hold_end;
	rc = blob_put_held(blobs, bytes, (size_t)size, (*e)->file.sha, &(*e)->file.hold);
	if (rc < 0) {
		metric_add(M_REFUSED_STORAGE, 1);
		replace_refused(e, rc);
		return;
	}
	if (BASE64_LEN(size) <= data64_max)
		(*e)->file.is_short = data64_of_bytes(bytes, (uint64_t)size, (*e)->file.sha, (*e)->file.owner, &(*e)->file.data64) < 0;
	if (!drop_data(e))
		replace_memory(e);
}

/* Takes the result of data64_of_blob. */
static void take_data64(struct event **e, int rc)
{
	struct event *ev = *e;

	ev->file.is_short = rc == -WC_ENOMEM;
	if (rc == 0)
		ev->cost += ev->file.data64->len;
	else if (rc == -WC_ESTORAGE || rc == -WC_EIO)
		replace_storage(e);
	else if (rc != -WC_ENOMEM)
		replace_bad(e, ERR_BAD_REQUEST, "unknown upload");
}

static void prepare_blob(struct event **e, struct blobs *blobs, uint64_t identity_id, int max_file_mb, size_t data64_max)
{
	struct event *ev = *e;
	uint64_t size = 0;
	int rc = -WC_ENOENT;

	ev->file.end_hold = blob_hold_end;
	if (identity_id != 0)
		rc = upload_resolve_held(blobs, identity_id, ev->file.blob, ev->file.sha, &size, &ev->file.hold);
	if (rc == -WC_ECLOSED) { /* maybe the message that it was sent with, said again: the room knows */
		ev->file.is_gone = true;
		ev->file.size = size;
		return;
	}
	if (rc == 0 && !check_size(e, size, max_file_mb))
		return;
	ev->file.size = size;
	if (rc == 0 && BASE64_LEN(size) > data64_max)
		return;
	if (rc == 0)
		rc = data64_of_blob(blobs, ev->file.sha, size, ev->file.owner, &ev->file.data64);
	take_data64(e, rc);
}

void prepare_data64(struct event **e, struct blobs *blobs)
{
	struct event *ev = *e;
	int rc;

	ASSERT_THREAD(HELPER);
	rc = data64_of_blob(blobs, ev->file.sha, ev->file.size, ev->file.owner, &ev->file.data64);
	if (rc == -WC_ENOENT)
		rc = -WC_EIO;
	take_data64(e, rc);
}

void prepare_file(struct event **e, struct blobs *blobs, uint64_t identity_id, int max_file_mb, size_t data64_max)
{
	ASSERT_THREAD(HELPER);
	WC_ASSERT((*e)->kind == EV_FILE || (*e)->kind == EV_VOICE);
	if ((*e)->file.blob.len > 0)
		prepare_blob(e, blobs, identity_id, max_file_mb, data64_max);
	else
		prepare_data(e, blobs, max_file_mb, data64_max);
}
