/* The metrics' table keeps the rules of Prometheus, and its text says what was counted. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/metrics.h"

static const struct row {
	const char *id, *kind, *unit, *name, *help;
} rows[] = {
#define ROW(id, kind, unit, name, help) { #id, #kind, #unit, name, help },
	METRICS(ROW)
#undef ROW
};

static bool ends_in(const char *s, size_t len, const char *end)
{
	size_t n = strlen(end);
	return len >= n && memcmp(s + len - n, end, n) == 0;
}

/* A counter's ending is looked through: what stands before it must be the unit. */
static void check_name(const struct row *r)
{
	size_t len = strcspn(r->name, "{");
	bool is_counter = strcmp(r->kind, "counter") == 0, is_total = ends_in(r->name, len, "_total");
	assert_true(len && r->name[strspn(r->name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == (r->name[len] ? '{' : '\0'));
	assert_true(is_counter || strcmp(r->kind, "gauge") == 0);
	assert_int_equal(is_counter, is_total);
	if (is_total)
		len -= strlen("_total");
	bool is_time = strcmp(r->unit, "seconds") == 0 || strcmp(r->unit, "ms") == 0 || strcmp(r->unit, "us") == 0;
	assert_int_equal(ends_in(r->name, len, "_seconds"), is_time);
	assert_int_equal(ends_in(r->name, len, "_bytes"), strcmp(r->unit, "bytes") == 0);
	for (const char *const *bad =
	             (const char *const[]){ "_count", "_sum", "_bucket", "_milliseconds", "_microseconds", "_ms", "_kb", "_mb", NULL };
	     *bad; bad++)
		assert_false(ends_in(r->name, len, *bad));
}

static void table(void **state)
{
	const char *family = "";
	size_t family_len = 0;
	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		const struct row *r = &rows[i];
		size_t len = strcspn(r->name, "{");
		check_name(r);
		bool is_first = len != family_len || memcmp(family, r->name, len) != 0;
		if (is_first)
			for (size_t j = 0; j < i; j++) /* a family stands in one piece */
				assert_false(strcspn(rows[j].name, "{") == len && memcmp(rows[j].name, r->name, len) == 0);
		else
			assert_string_equal(r->kind, rows[i - 1].kind);
		assert_int_equal(is_first, r->help[0] != '\0');
		assert_null(strpbrk(r->help, "\n\\"));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(rows[j].name, r->name);
		family = r->name;
		family_len = len;
	}
}

static char *text(void)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	metrics_write(&b);
	char *s = buf_take(&b, NULL);
	assert_non_null(s);
	return s;
}

static void expect(const char *line)
{
	char *s = text(), *at = strstr(s, line);
	if (!at || (at > s && at[-1] != '\n'))
		fail_msg("no line \"%s\"", line);
	free(s);
}

static void values(void **state)
{
	(void)state;
	metric_add(M_COMMITS, 3);
	expect("wavechat_commits_total 3\n");
	metric_set(M_THREAD_STALL, 1207);
	expect("wavechat_thread_stall_seconds 1.207\n");
	metric_set(M_PROCESS_CPU, 61000042);
	expect("process_cpu_seconds_total 61.000042\n");
	metric_set(M_PROCESS_START, 1700000000005);
	expect("process_start_time_seconds 1700000000.005\n");
	metric_set(M_PROCESS_RESIDENT, (uint64_t)5 << 40);
	expect("process_resident_memory_bytes 5497558138880\n");
	metrics_set_build("1.0+\"a\\b\"", "3.40.1");
	expect("wavechat_build_info{version=\"1.0+\\\"a\\\\b\\\"\",sqlite=\"3.40.1\"} 1\n");
}

static void absent(void **state)
{
	(void)state;
	metric_set(M_CERTIFICATE_EXPIRY, METRIC_ABSENT);
	char *s = text();
	assert_null(strstr(s, "certificate_expiry")); /* no value, and no help of it either */
	free(s);
	metric_set(M_CERTIFICATE_EXPIRY, 1800000000);
	expect("wavechat_certificate_expiry_timestamp_seconds 1800000000\n");
}

static void families(void **state)
{
	(void)state;
	char *s = text();
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		char want[256];
		const char *prefix = strncmp(rows[i].name, "process_", 8) == 0 ? "" : "wavechat_";
		snprintf(want, sizeof(want), "# TYPE %s%.*s %s\n", prefix, (int)strcspn(rows[i].name, "{"), rows[i].name, rows[i].kind);
		char *at = strstr(s, want);
		assert_non_null(at);
		assert_null(strstr(at + 1, want)); /* said once */
	}
	free(s);
}

static void every_end_is_an_eviction_or_not(void **state)
{
	(void)state;
	uint64_t before = metric_sum(M_EVICTED_FIRST, M_EVICTED_LAST);
	for (int i = 0; i < M_COUNT; i++) {
		bool is_evicted = strncmp(rows[i].name, "evicted_total{", 14) == 0,
		     is_end = is_evicted || strncmp(rows[i].name, "disconnects_total{", 18) == 0;
		assert_int_equal(is_evicted, i >= M_EVICTED_FIRST && i <= M_EVICTED_LAST);
		assert_int_equal(is_end, i >= M_EVICTED_FIRST && i <= M_END_LAST);
		if (is_evicted)
			metric_add((enum metric)i, 1);
	}
	assert_int_equal(metric_sum(M_EVICTED_FIRST, M_EVICTED_LAST) - before, M_EVICTED_LAST - M_EVICTED_FIRST + 1);
	assert_true(M_END_LAST - M_EVICTED_FIRST <= UINT8_MAX); /* a mail carries it in a byte */
}

static void histogram(void **state)
{
	(void)state;
	const uint64_t us[] = { 0, 1, 2, 3, 1000, 1024, 1025, 5000000, 1ull << 40 };
	for (size_t i = 0; i < WC_LEN(us); i++)
		metric_observe(H_COMMIT_SECONDS, us[i]);
	expect("wavechat_commit_seconds_bucket{le=\"1e-06\"} 2\n");
	expect("wavechat_commit_seconds_bucket{le=\"2e-06\"} 3\n");
	expect("wavechat_commit_seconds_bucket{le=\"4e-06\"} 4\n");
	expect("wavechat_commit_seconds_bucket{le=\"0.001024\"} 6\n");
	expect("wavechat_commit_seconds_bucket{le=\"0.002048\"} 7\n");
	expect("wavechat_commit_seconds_bucket{le=\"8.388608\"} 8\n");
	expect("wavechat_commit_seconds_bucket{le=\"+Inf\"} 9\n");
	expect("wavechat_commit_seconds_count 9\n");
	assert_int_equal(metric_observed(H_COMMIT_SECONDS), 1ull + 2 + 3 + 1000 + 1024 + 1025 + 5000000 + (1ull << 40));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(values),
		cmocka_unit_test(absent),
		cmocka_unit_test(families),
		cmocka_unit_test(every_end_is_an_eviction_or_not),
		cmocka_unit_test(histogram),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
