/* The tail: what a joiner gets, in both dialects; sharing; what is inlined; resume pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/wc.h"
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
	struct shbuf *b = tail_history(t, d, me, 0);
	int n = count(b, needle);
	shbuf_unref(b);
	return n;
}

static int since_count(struct tail *t, uint64_t since, const char *needle)
{
	struct shbuf *b = tail_since(t, since, 0, 0, &(bool){ false });
	int n = count(b, needle);
	shbuf_unref(b);
	return n;
}

static void test_limit_and_sharing(void **state)
{
	(void)state;
	struct tail *t = tail_new(3);
	tail_set_complete(t, true);
	struct shbuf *empty = tail_history(t, DIALECT_1, 0, 0);
	assert_int_equal(empty->len, strlen("\"history\":[]}"));
	shbuf_unref(empty);
	for (uint64_t i = 1; i <= 5; i++)
		add_text(t, i * 10, i, "hi");
	assert_int_equal(history_count(t, DIALECT_1, 0, "\"text\":\"hi\""), 3);
	assert_int_equal(history_count(t, DIALECT_2, 0, "\"id\":"), 3);
	assert_int_equal(history_count(t, DIALECT_1, 5, "self"), 0);
	assert_int_equal(history_count(t, DIALECT_2, 5, "\"cid\":\"c\",\"self\":true"), 1);
	assert_int_equal(history_count(t, DIALECT_2, 1, "self"), 0); /* its message is older than the three */
	struct shbuf *a = tail_history(t, DIALECT_2, 1, 0), *b = tail_history(t, DIALECT_2, 99, 0);
	assert_ptr_equal(a, b);
	shbuf_unref(a);
	shbuf_unref(b);
	assert_int_equal(since_count(t, 0, "\"id\":"), 5);
	assert_int_equal(since_count(t, 20, "\"id\":"), 3);
	assert_int_equal(since_count(t, 25, "\"id\":"), 3);
	assert_int_equal(since_count(t, 50, "\"id\":"), 0);
	a = tail_since(t, 20, 0, 0, &(bool){ false });
	b = tail_since(t, 29, 0, 0, &(bool){ false });
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
			struct shbuf *b = tail_since(t, (uint64_t)got, me, 0, &has_more);
			assert_true(b->len < TAIL_PAGE_BYTES + 20000);
			got += count(b, "\"id\":");
			shbuf_unref(b);
		} while (has_more && ++pages < 10);
		assert_int_equal(got, 300);
		assert_int_equal(pages, 4);
		/* The newest are in the history. */
		struct shbuf *b = tail_history(t, DIALECT_2, me, 0);
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

/* What dialect 1 gets is what encode_msg makes of each message. */
static void test_dialect_1_is_made_of_ready_parts(void **state)
{
	(void)state;
	struct tail *t = tail_new(4);
	struct shbuf *data = shbuf_copy("QUJD", 4);
	const struct msg m[] = {
		{ .id = 1, .kind = MSG_TEXT, .from_id = 7, .from_name = STR("A\"nn"), .text = STR("one\n") },
		{ .id = 2, .kind = MSG_TEXT, .from_id = 7, .from_name = STR("Ann"), .text = STR("two"), .at_ms = 1800000000000 },
		{ .id = 3,
		  .kind = MSG_FILE,
		  .from_id = 8,
		  .from_name = STR("B"),
		  .filename = STR("f\"null\""),
		  .mime = STR("a/b"),
		  .size = 3 },
		{ .id = 4, .kind = MSG_VOICE, .from_id = 8, .from_name = STR("B"), .mime = STR("audio/x"), .duration = 1.5 },
		{ .id = 5, .kind = MSG_FILE, .from_id = 8, .from_name = STR("B"), .filename = STR("g"), .mime = STR("a/b"), .size = 3 },
	};
	for (size_t upto = 1; upto <= WC_LEN(m); upto++) {
		tail_add(t, &m[upto - 1], m[upto - 1].kind == MSG_TEXT || upto == 5 ? NULL : data);
		struct buf want;
		buf_init_sure(&want, 1 << 20);
		buf_puts(&want, "\"history\":[");
		for (size_t i = upto > 4 ? upto - 4 : 0; i < upto; i++) {
			if (want.p[want.len - 1] != '[')
				buf_putc(&want, ',');
			const bool has_data = m[i].kind != MSG_TEXT && i < 4;
			encode_msg(&want, DIALECT_1, &m[i], false, has_data ? &STR("QUJD") : NULL);
		}
		buf_puts(&want, "]}");
		for (int again = 0; again < 2; again++) {
			struct shbuf *b = tail_history(t, DIALECT_1, 7, 0);
			assert_int_equal(b->len, want.len);
			assert_memory_equal(b->data, want.p, want.len);
			shbuf_unref(b);
		}
		buf_fini(&want);
	}
	tail_set_flags(t, 3, MSG_GONE);
	tail_set_flags(t, 2, MSG_DELETED);
	assert_int_equal(history_count(t, DIALECT_1, 0, "\"data\":null"), 2);
	assert_int_equal(history_count(t, DIALECT_1, 0, "\"data\":\"QUJD\""), 1);
	assert_int_equal(history_count(t, DIALECT_1, 0, "two"), 0);
	tail_set_history_limit(t, 1);
	assert_int_equal(history_count(t, DIALECT_1, 0, "\"type\""), 1);
	shbuf_unref(data);
	tail_free(t);
}

static struct tail *tail_of_long_texts(int limit, int n, char with)
{
	struct tail *t = tail_new(limit);
	static char text[4001];
	memset(text, with, sizeof(text) - 1);
	for (int i = 1; i <= n; i++)
		add_text(t, (uint64_t)i, 1, text);
	return t;
}

static int64_t now_us(void)
{
	struct timespec at;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
	return at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

/* Where memory is tight, guests of dialect 1 cost the others none of the history. */
static void test_dialect_1_keeps_no_text_twice(void **state)
{
	(void)state;
	struct tail *t = tail_of_long_texts(200, 200, 1);
	tail_bound(t, 200 * 28300); /* 24 KB of JSON and 4 KB of text each */
	assert_int_equal(history_count(t, DIALECT_1, 0, "\"type\""), 200);
	tail_set_complete(t, true);
	assert_int_equal(history_count(t, DIALECT_1, 0, "\"type\""), 200);
	assert_int_equal(since_count(t, 199, "\"type\""), 1);
	assert_true(tail_covers(t, 0));
	tail_free(t);
}

/* Somebody joins behind each message: only the new one is encoded. */
static void test_dialect_1_is_not_encoded_anew(void **state)
{
	(void)state;
	struct tail *t = tail_of_long_texts(200, 200, 1);
	static char text[4001];
	memset(text, 1, sizeof(text) - 1);
	int64_t first_us = INT64_MAX, next_us = INT64_MAX;
	for (int round = 0; round < 5; round++) {
		struct tail *fresh = tail_of_long_texts(200, 200, 1);
		const int64_t from_us = now_us();
		struct shbuf *b = tail_history(fresh, DIALECT_1, 0, 0);
		first_us = WC_MIN(first_us, now_us() - from_us);
		assert_int_equal(count(b, "\"type\""), 200);
		shbuf_unref(b);
		tail_free(fresh);
		shbuf_unref(tail_history(t, DIALECT_1, 0, 0));
		add_text(t, (uint64_t)round + 1000, 1, text);
		const int64_t then_us = now_us();
		b = tail_history(t, DIALECT_1, 0, 0);
		next_us = WC_MIN(next_us, now_us() - then_us);
		assert_int_equal(count(b, "\"type\""), 200);
		shbuf_unref(b);
	}
	print_message("all: %lld us, one more: %lld us\n", (long long)first_us, (long long)next_us);
	assert_true(next_us < first_us * 2 / 3);
	tail_free(t);
}

/* Slow readers hold old versions: those who join have a page of their own, as far as their share goes, and others' joins go on. */
static void test_versions_that_are_held_cost_no_one_a_join(void **state)
{
	(void)state;
	shbuf_bound((size_t)64 << 20);
	struct tail *t = tail_of_long_texts(200, 200, 1);
	const shbuf_owner hoarder = shbuf_for(shbuf_owner_of(7, NULL), SHBUF_JOIN), other = shbuf_for(shbuf_owner_of(8, NULL), SHBUF_JOIN);
	struct shbuf *held[100], *mine;
	int n = 0;
	for (; n < 100 && (held[n] = tail_history(t, DIALECT_2, 0, hoarder)); n++)
		add_text(t, 1000 + (uint64_t)n, 1, "one more");
	/* Four megabytes of versions for all, and as much of its own. */
	assert_in_range(n, 6, 8);
	assert_null(tail_since(t, 5, 0, hoarder, &(bool){ false }));
	assert_non_null(mine = tail_history(t, DIALECT_2, 0, other));
	assert_true(mine->len > TAIL_PAGE_BYTES / 2);
	shbuf_unref(mine);
	assert_non_null(mine = tail_history(t, DIALECT_1, 0, other)); /* 4.8 MB */
	shbuf_unref(mine);
	/* A page with one's own messages in it is one's own. */
	for (int i = 0; i < n; i++)
		shbuf_unref(held[i]);
	for (n = 0; n < 100 && (held[n] = tail_history(t, DIALECT_2, 1, hoarder)); n++)
		;
	assert_in_range(n, 3, 4);
	assert_non_null(mine = tail_history(t, DIALECT_2, 1, other));
	shbuf_unref(mine);
	for (int i = 0; i < n; i++)
		shbuf_unref(held[i]);
	tail_free(t);
	assert_int_equal(shbuf_large_bytes(), 0);
	shbuf_bound(SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_and_sharing),
		cmocka_unit_test(test_covers),
		cmocka_unit_test(test_inlined_data),
		cmocka_unit_test(test_pages_are_cut_by_bytes),
		cmocka_unit_test(test_dialect_1_is_made_of_ready_parts),
		cmocka_unit_test(test_dialect_1_keeps_no_text_twice),
		cmocka_unit_test(test_dialect_1_is_not_encoded_anew),
		cmocka_unit_test(test_versions_that_are_held_cost_no_one_a_join),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
