/* test_prepare.c — files and voices on their way into the blob store, with the real store, on disk and in memory. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"
#include "files/blob.h"
#include "flow/prepare.h"
#include "wire/decode.h"

#define MB (1024 * 1024)

static struct conn *const some_conn = (struct conn *)0x1000;

struct fixture {
	struct blobs *blobs;
	char dir[64]; /* empty: in memory */
};

static int open_fixture(void **state, bool is_disk)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char *cause = NULL;

	assert_non_null(f);
	if (is_disk) {
		strcpy(f->dir, "/tmp/wavechat-prepare-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
	}
	if (blobs_open(&f->blobs, is_disk ? f->dir : NULL, 0, &cause) != 0)
		fail_msg("%s", cause);
	*state = f;
	return 0;
}

static int open_disk(void **state)
{
	return open_fixture(state, true);
}

static int open_memory(void **state)
{
	return open_fixture(state, false);
}

static int close_fixture(void **state)
{
	struct fixture *f = *state;
	char command[128];

	blobs_close(f->blobs);
	if (*f->dir) {
		snprintf(command, sizeof(command), "rm -r %s", f->dir);
		assert_int_equal(system(command), 0);
	}
	free(f);
	return 0;
}

/* n bytes that compress to nothing and differ by seed. */
static char *some_bytes(size_t n, uint32_t seed)
{
	char *bytes = malloc(n + 1);

	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = (char)(seed >> 24);
	}
	return bytes;
}

static struct event *decode(const char *type, const char *field, const char *value)
{
	char *json = malloc(strlen(value) + 200);
	struct event *e;
	int n;

	assert_non_null(json);
	n = sprintf(
		json,
		"{\"type\":\"%s\",\"filename\":\"a.bin\",\"mime\":\"x/y\",\"waveform\":\"wave\",\"cid\":\"c1\",\"to_id\":7,\"duration\":2,"
		"\"width\":4,\"height\":3,\"%s\":\"%s\"}",
		type, field, value);
	assert_int_equal(decode_frame(json, (size_t)n, some_conn, &e), 0);
	free(json);
	assert_true(e->kind == EV_FILE || e->kind == EV_VOICE);
	return e;
}

/* The base64 of n bytes, as a peer without padding and with lines would send it. */
static char *as_base64(const char *bytes, size_t n)
{
	char *text = malloc(BASE64_LEN(n) + 1);
	size_t len = BASE64_LEN(n);

	assert_non_null(text);
	base64_encode(text, bytes, n);
	while (len > 0 && text[len - 1] == '=')
		len--;
	text[len] = '\0';
	return text;
}

static void assert_bad(struct event *e, enum error_code code, const char *text)
{
	assert_int_equal(e->kind, EV_BAD);
	assert_ptr_equal(e->conn, some_conn);
	if (e->bad.code != code || !str_eq(e->bad.text, (struct str){ text, strlen(text) }))
		fail_msg("%s: %.*s, and not %s", error_code_name(e->bad.code), (int)e->bad.text.len, e->bad.text.p, text);
	assert_true(str_eq(e->cid, STR("c1")));
	assert_true(e->cost < 1000);
	event_free(e);
}

static void assert_stored(struct blobs *blobs, struct event *e, enum event_kind kind, const char *bytes, size_t n, bool want_data64)
{
	char *back = malloc(n + 1), *text;
	uint64_t size = 0;
	int fd;

	assert_non_null(back);
	if (e->kind == EV_BAD)
		fail_msg("%.*s", (int)e->bad.text.len, e->bad.text.p);
	assert_int_equal(e->kind, kind);
	assert_int_equal(e->file.size, n);
	assert_int_equal(e->file.data.len, 0);
	assert_true(e->has_to && e->to_id == 7);
	assert_true(str_eq(e->cid, STR("c1")));
	assert_true(str_eq(e->file.mime, STR("x/y")));
	if (kind == EV_FILE) {
		assert_true(str_eq(e->file.filename, STR("a.bin")));
		assert_true(e->file.width == 4 && e->file.height == 3);
	} else {
		assert_true(str_eq(e->file.waveform, STR("wave")));
		assert_true(e->file.duration > 1.9 && e->file.duration < 2.1);
	}
	fd = blob_get(blobs, e->file.sha, &size);
	assert_true(fd >= 0);
	assert_int_equal(size, n);
	for (size_t have = 0; have < n;) {
		ssize_t got = pread(fd, back + have, n - have, (off_t)have);

		assert_true(got > 0);
		have += (size_t)got;
	}
	close(fd);
	assert_memory_equal(back, bytes, n);
	assert_int_equal(e->file.data64 != NULL, want_data64);
	if (want_data64) {
		assert_int_equal(e->file.data64->len, BASE64_LEN(n));
		text = malloc(BASE64_LEN(n) + 1);
		assert_non_null(text);
		base64_encode(text, bytes, n);
		assert_memory_equal(e->file.data64->data, text, BASE64_LEN(n));
		free(text);
	}
	assert_in_range(e->cost, sizeof(*e), sizeof(*e) + 200 + (want_data64 ? BASE64_LEN(n) : 0));
	assert_true(!want_data64 || e->cost >= BASE64_LEN(n));
	event_free(e);
	free(back);
}

static void data(void **state)
{
	static const struct {
		const char *type;
		size_t n;
		int max_file_mb;
		const char *wrong; /* NULL: taken */
	} cases[] = {
		{ "file", 1, 25, NULL },
		{ "file", 2, 25, NULL },
		{ "file", 3, 25, NULL },
		{ "file", 100000, 25, NULL },
		{ "voice", 5, 25, NULL },
		{ "file", MB - 1, 1, NULL },
		{ "file", MB, 1, NULL },
		{ "file", MB + 1, 1, "Max 1MB" },
		{ "file", 4 * MB, 3, "Max 3MB" },
		{ "file", 25 * MB, 25, NULL },
		{ "file", 25 * MB + 1, 25, "Max 25MB" },
		{ "voice", 2 * MB, 1, NULL },
		{ "voice", 10 * MB, 1, NULL },
		{ "voice", 10 * MB + 1, 100, "Voice max 10MB" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < WC_LEN(cases); i++) {
		for (int want_data64 = 0; want_data64 < 2; want_data64++) {
			char *bytes = some_bytes(cases[i].n, (uint32_t)i), *text = as_base64(bytes, cases[i].n);
			struct event *e = decode(cases[i].type, "data", text);

			prepare_file(&e, f->blobs, 0, cases[i].max_file_mb, want_data64 ? SIZE_MAX : 0);
			if (cases[i].wrong)
				assert_bad(e, ERR_TOO_LARGE, cases[i].wrong);
			else
				assert_stored(f->blobs, e, *cases[i].type == 'v' ? EV_VOICE : EV_FILE, bytes, cases[i].n, want_data64);
			free(text);
			free(bytes);
		}
	}
}

static void spellings_of_data(void **state)
{
	static const char *const good[] = { "QUJDRA==", "QUJDRA", "QU JD\\r\\nRA==", "Q\\u0055JDRA\\u003d=" };
	static const char *const wrong[] = { "QUJD*", "QUJDR", "Q", "QUJD\\u0000", "QUJD\\u00e9", "QUJD\\\"", "data:x/y;base64,QUJD" };
	static const char *const empty[] = { "", "  ", "\\n" };
	struct fixture *f = *state;
	struct event *e;

	for (size_t i = 0; i < WC_LEN(good); i++) {
		e = decode("file", "data", good[i]);
		prepare_file(&e, f->blobs, 0, 25, SIZE_MAX);
		assert_stored(f->blobs, e, EV_FILE, "ABCD", 4, true);
	}
	for (size_t i = 0; i < WC_LEN(wrong); i++) {
		e = decode("voice", "data", wrong[i]);
		prepare_file(&e, f->blobs, 0, 25, SIZE_MAX);
		assert_bad(e, ERR_BAD_REQUEST, "data is not base64");
	}
	for (size_t i = 0; i < WC_LEN(empty); i++) {
		e = decode("file", "data", empty[i]);
		prepare_file(&e, f->blobs, 0, 25, SIZE_MAX);
		assert_bad(e, ERR_BAD_REQUEST, "empty file");
	}
}

static void upload(struct blobs *blobs, uint64_t identity_id, const char *key, const char *bytes, size_t n, char handle[64])
{
	struct upload_state us;
	struct upload *u;

	assert_int_equal(upload_begin(blobs, identity_id, (struct str){ key, strlen(key) }, n, 0, &u, &us), 0);
	assert_int_equal(upload_write(u, bytes, n), 0);
	assert_int_equal(upload_finish(u, &us), 0);
	assert_true(*us.handle);
	strcpy(handle, us.handle);
}

static void uploads(void **state)
{
	static const size_t sizes[] = { 1, 48 * 1024 - 1, 48 * 1024, 48 * 1024 + 1, 3 * MB + 2 };
	struct fixture *f = *state;
	char handle[64], key[16];
	struct event *e;

	for (size_t i = 0; i < WC_LEN(sizes); i++) {
		char *bytes = some_bytes(sizes[i], (uint32_t)(100 + i));

		snprintf(key, sizeof(key), "key-%zu", i);
		upload(f->blobs, 5, key, bytes, sizes[i], handle);
		for (int want_data64 = 0; want_data64 < 2; want_data64++) {
			e = decode(i % 2 ? "voice" : "file", "blob", handle);
			prepare_file(&e, f->blobs, 5, 25, want_data64 ? SIZE_MAX : 0);
			assert_stored(f->blobs, e, i % 2 ? EV_VOICE : EV_FILE, bytes, sizes[i], want_data64);
		}
		free(bytes);
		for (uint64_t other = 0; other <= 6; other += 6) { /* nobody's, somebody else's */
			e = decode("file", "blob", handle);
			prepare_file(&e, f->blobs, other, 25, SIZE_MAX);
			assert_bad(e, ERR_BAD_REQUEST, "unknown upload");
		}
	}
	e = decode("file", "blob", handle);
	prepare_file(&e, f->blobs, 5, 3, SIZE_MAX);
	assert_bad(e, ERR_TOO_LARGE, "Max 3MB");
	e = decode("file", "blob", "none-such");
	prepare_file(&e, f->blobs, 5, 25, SIZE_MAX);
	assert_bad(e, ERR_BAD_REQUEST, "unknown upload");
}

static void voice_upload_too_large(void **state)
{
	struct fixture *f = *state;
	char *bytes = some_bytes(10 * MB + 1, 7), handle[64];
	struct event *e;

	upload(f->blobs, 5, "exact", bytes, 10 * MB, handle);
	e = decode("voice", "blob", handle);
	prepare_file(&e, f->blobs, 5, 1, 0);
	assert_stored(f->blobs, e, EV_VOICE, bytes, 10 * MB, false);
	upload(f->blobs, 5, "over", bytes, 10 * MB + 1, handle);
	e = decode("voice", "blob", handle);
	prepare_file(&e, f->blobs, 5, 25, 0);
	assert_bad(e, ERR_TOO_LARGE, "Voice max 10MB");
	free(bytes);
}

/* A full disk, as the kernel can play it for one process: no file grows past 1 kB. */
static void storage_refuses(void **state)
{
	struct rlimit before, tight;
	struct fixture *f = *state;
	char *bytes = some_bytes(50000, 1), *text = as_base64(bytes, 50000);
	struct event *e = decode("file", "data", text);

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	tight = before;
	tight.rlim_cur = 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	prepare_file(&e, f->blobs, 0, 25, SIZE_MAX);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_bad(e, ERR_STORAGE, "The server could not store this: its disk is full or failing");
	/* and it recovers */
	e = decode("file", "data", text);
	prepare_file(&e, f->blobs, 0, 25, SIZE_MAX);
	assert_stored(f->blobs, e, EV_FILE, bytes, 50000, true);
	free(text);
	free(bytes);
}

/* Bytes that are gone while their handle lives on, as after somebody tidied up by hand. */
static void blob_vanished(void **state)
{
	struct fixture *f = *state;
	char handle[64], command[128];
	struct event *e;

	upload(f->blobs, 5, "gone", "some bytes", 10, handle);
	e = decode("file", "blob", handle);
	prepare_file(&e, f->blobs, 5, 25, SIZE_MAX);
	assert_stored(f->blobs, e, EV_FILE, "some bytes", 10, true);
	snprintf(command, sizeof(command), "find %s/blobs -type f -delete", f->dir);
	assert_int_equal(system(command), 0);
	e = decode("file", "blob", handle);
	prepare_file(&e, f->blobs, 5, 25, SIZE_MAX);
	assert_bad(e, ERR_BAD_REQUEST, "unknown upload");
}

#define BOTH(test) \
	{ #test "_on_disk", test, open_disk, close_fixture, NULL }, \
	{ \
#test "_in_memory", test, open_memory, close_fixture, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(spellings_of_data),
		BOTH(data),
		BOTH(uploads),
		BOTH(voice_upload_too_large),
		cmocka_unit_test_setup_teardown(blob_vanished, open_disk, close_fixture),
		BOTH(storage_refuses),
	};

	wc_thread_is(ROLE_HELPER, "test");
	return cmocka_run_group_tests_name("prepare", tests, NULL, NULL);
}
