/* The tail: what a joiner gets, in both dialects; sharing; what is inlined; resume pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/tail.h"

static void add_text(struct tail *t, uint64_t id, uint64_t from, const char *text)
{
	struct msg m = {
		.id = id, .kind = MSG_TEXT, .from_id = from, .from_name = STR("n"), .cid = STR("c"), .text = { text, strlen(text) }
	};
	tail_add(t, &m, NULL);
}

static int count(const struct shbuf *b, const char *needle)
{
	char *s = strndup((const char *)b->data, b->len);
	int n = 0;
	for (const char *at = s; (at = strstr(at, needle)); at += strlen(needle))
		n++;
	free(s);
	return n;
}

static int history_count(struct tail *t, enum dialect d, uint64_t me, const char *needle)
{
	struct shbuf *b = tail_history(t, d, me);
	int n = count(b, needle);
	shbuf_unref(b);
	return n;
}

static int since_count(struct tail *t, uint64_t since, const char *needle)
{
	struct shbuf *b = tail_since(t, since, 0, &(bool){ false });
	int n = count(b, needle);
	shbuf_unref(b);
	return n;
}

static void test_limit_and_sharing(void **state)
{
	(void)state;
	struct tail *t = tail_new(3);
	tail_set_complete(t, true);
	struct shbuf *empty = tail_history(t, DIALECT_1, 0);
	assert_int_equal(empty->len, strlen("\"history\":[]}"));
	shbuf_unref(empty);
	for (uint64_t i = 1; i <= 5; i++)
		add_text(t, i * 10, i, "hi");
	assert_int_equal(history_count(t, DIALECT_1, 0, "\"text\":\"hi\""), 3);
	assert_int_equal(history_count(t, DIALECT_2, 0, "\"id\":"), 3);
	assert_int_equal(history_count(t, DIALECT_1, 5, "self"), 0);
	assert_int_equal(history_count(t, DIALECT_2, 5, "\"cid\":\"c\",\"self\":true"), 1);
	assert_int_equal(history_count(t, DIALECT_2, 1, "self"), 0); /* its message is older than the three */
	struct shbuf *a = tail_history(t, DIALECT_2, 1), *b = tail_history(t, DIALECT_2, 99);
	assert_ptr_equal(a, b);
	shbuf_unref(a);
	shbuf_unref(b);
	assert_int_equal(since_count(t, 0, "\"id\":"), 5);
	assert_int_equal(since_count(t, 20, "\"id\":"), 3);
	assert_int_equal(since_count(t, 25, "\"id\":"), 3);
	assert_int_equal(since_count(t, 50, "\"id\":"), 0);
	a = tail_since(t, 20, 0, &(bool){ false });
	b = tail_since(t, 29, 0, &(bool){ false });
	assert_ptr_equal(a, b); /* the same page */
	shbuf_unref(a);
	shbuf_unref(b);
	tail_free(t);
}

static void test_covers(void **state)
{
	(void)state;
	struct tail *t = tail_new(1);
	assert_false(tail_covers(t, 0));
	tail_set_complete(t, true);
	assert_true(tail_covers(t, 0));
	for (uint64_t i = 1; i <= TAIL_PAGE; i++)
		add_text(t, i, 1, "x");
	assert_true(tail_covers(t, 0));
	add_text(t, TAIL_PAGE + 1, 1, "x"); /* pushes the first one out */
	assert_false(tail_covers(t, 0));
	assert_false(tail_covers(t, 1));
	assert_true(tail_covers(t, 2));
	tail_drop_through(t, 500);
	assert_false(tail_covers(t, 500));
	assert_true(tail_covers(t, 501));
	assert_int_equal(tail_last_id(t), TAIL_PAGE + 1);
	tail_free(t);
}

static void test_inlined_data(void **state)
{
	(void)state;
	struct tail *t = tail_new(10);
	for (uint64_t i = 1; i <= 4; i++) {
		struct shbuf *data = shbuf_new(100 * 1024);
		memset(data->data, 'A', data->len);
		struct msg m = { .id = i,
			         .kind = MSG_FILE,
			         .from_id = 1,
			         .from_name = STR("n"),
			         .filename = STR("f"),
			         .mime = STR("a/b"),
			         .size = 76800 };
		tail_add(t, &m, data);
		shbuf_unref(data);
	}
	/* 256 KiB hold two of the four, the newest. */
	assert_int_equal(history_count(t, DIALECT_1, 0, "\"data\":\"AAA"), 2);
	assert_int_equal(history_count(t, DIALECT_1, 0, "\"data\":null"), 2);
	assert_int_equal(history_count(t, DIALECT_2, 0, "\"url\":\"/f/"), 4);
	tail_set_flags(t, 4, MSG_GONE);
	assert_int_equal(history_count(t, DIALECT_1, 0, "\"data\":\"AAA"), 1);
	assert_int_equal(history_count(t, DIALECT_2, 0, "\"url\":null,\"gone\":true"), 1);
	tail_free(t);
}

/* Long texts: a page is cut at about 1 MB, and the rest can be asked for. */
static void test_pages_are_cut_by_bytes(void **state)
{
	(void)state;
	struct tail *t = tail_new(1000);
	tail_set_complete(t, true);
	static char text[16001];
	memset(text, 'x', sizeof(text) - 1);
	for (uint64_t i = 1; i <= 300; i++)
		add_text(t, i, i % 2 + 1, text);
	for (uint64_t me = 0; me <= 1; me++) {
		bool has_more = false;
		int got = 0, pages = 0;
		do {
			struct shbuf *b = tail_since(t, (uint64_t)got, me, &has_more);
			assert_true(b->len < TAIL_PAGE_BYTES + 20000);
			got += count(b, "\"id\":");
			shbuf_unref(b);
		} while (has_more && ++pages < 10);
		assert_int_equal(got, 300);
		assert_int_equal(pages, 4);
		/* The newest are in the history. */
		struct shbuf *b = tail_history(t, DIALECT_2, me);
		assert_true(b->len > TAIL_PAGE_BYTES / 2 && b->len < TAIL_PAGE_BYTES + 20000);
		assert_int_equal(count(b, "\"id\":300,"), 1);
		assert_int_equal(count(b, "\"id\":1,"), 0);
		assert_int_equal(count(b, "\"cid\":\"c\",\"self\":true}"), me ? count(b, "\"from_id\":1,") : 0);
		shbuf_unref(b);
	}
	/* Dialect 1 is frozen: all of them. */
	assert_int_equal(history_count(t, DIALECT_1, 0, "\"type\":\"text\""), 300);
	tail_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_and_sharing),
		cmocka_unit_test(test_covers),
		cmocka_unit_test(test_inlined_data),
		cmocka_unit_test(test_pages_are_cut_by_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
