/* test_data64.c — the base64 of a blob exists once, as long as somebody has it. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "flow/data64.h"

#define SIZE 100000

static struct blobs *blobs;
static char bytes[2][SIZE];
static uint8_t sha[2][WC_SHA_BYTES];

static int open_blobs(void **state)
{
	(void)state;
	char *cause = NULL;
	assert_int_equal(blobs_open(&blobs, NULL, 0, &cause), 0);
	for (int i = 0; i < 2; i++) {
		memset(bytes[i], 'a' + i, SIZE);
		assert_int_equal(blob_put(blobs, bytes[i], SIZE, sha[i]), 0);
	}
	return 0;
}

static int close_blobs(void **state)
{
	(void)state;
	assert_int_equal(data64_count(), 0);
	assert_int_equal(shbuf_large_bytes(), 0);
	shbuf_bound(SIZE_MAX);
	blobs_close(blobs);
	return 0;
}

static void exists_once(void **state)
{
	(void)state;
	struct shbuf *a, *b, *other, *again;
	assert_int_equal(data64_of_blob(blobs, sha[0], SIZE, 0, &a), 0);
	assert_int_equal(data64_of_blob(blobs, sha[0], SIZE, 0, &b), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(data64_of_bytes(bytes[0], SIZE, sha[0], 0, &b), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(shbuf_large_bytes(), BASE64_LEN(SIZE));
	assert_int_equal(data64_of_blob(blobs, sha[1], SIZE, 0, &other), 0);
	assert_ptr_not_equal(a, other);
	assert_int_equal(data64_count(), 2);
	char *text = malloc(BASE64_LEN(SIZE));
	assert_non_null(text);
	base64_encode(text, bytes[0], SIZE);
	assert_memory_equal(a->data, text, BASE64_LEN(SIZE));
	free(text);
	for (int i = 0; i < 3; i++)
		shbuf_unref(a);
	assert_int_equal(data64_count(), 1); /* the last one is gone, and nothing keeps it */
	assert_int_equal(data64_of_bytes(bytes[0], SIZE, sha[0], 0, &again), 0);
	shbuf_unref(again);
	shbuf_unref(other);
}

static void refusals(void **state)
{
	(void)state;
	struct shbuf *a, *b;
	uint8_t none[WC_SHA_BYTES] = { 1 };
	assert_int_equal(data64_of_blob(blobs, none, SIZE, 0, &a), -WC_ENOENT);
	assert_null(a);
	assert_int_equal(data64_of_blob(blobs, sha[0], SIZE + 1, 0, &a), -WC_EIO);
	assert_null(a);
	shbuf_bound(200000);
	assert_int_equal(data64_of_blob(blobs, sha[0], SIZE, 0, &a), 0);
	assert_int_equal(data64_of_blob(blobs, sha[1], SIZE, 0, &b), -WC_ENOMEM);
	assert_null(b);
	assert_int_equal(data64_of_blob(blobs, sha[0], SIZE, 0, &b), 0); /* that costs nothing */
	shbuf_unref(a);
	shbuf_unref(b);
	assert_int_equal(data64_of_blob(blobs, sha[1], SIZE, 0, &b), 0);
	shbuf_unref(b);
}

static void *take_and_drop(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		struct shbuf *b;
		int which = i % 3 == 0;
		if (data64_of_bytes(bytes[which], 300, sha[which], 0, &b) < 0)
			continue; /* another thread is making it */
		WC_ASSERT(b->len == BASE64_LEN(300) && b->data[0] == 'Y');
		shbuf_unref(b);
	}
	return NULL;
}

static void many_threads(void **state)
{
	(void)state;
	pthread_t thread[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take_and_drop, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(exists_once, open_blobs, close_blobs),
		cmocka_unit_test_setup_teardown(refusals, open_blobs, close_blobs),
		cmocka_unit_test_setup_teardown(many_threads, open_blobs, close_blobs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
