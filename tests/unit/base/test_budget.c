/* test_budget.c — the limit on memory, read from trees like the kernel's, and the budgets that follow from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/budget.h"

#define MB ((uint64_t)1 << 20)

static char root[64];

static void put(const char *path, const char *text)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + 1; *p; p++)
		if (*p == '/') {
			*p = '\0';
			mkdir(full, 0700);
			*p = '/';
		}
	FILE *f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void fresh(void)
{
	snprintf(root, sizeof(root), "/tmp/wavechat-budget-XXXXXX");
	assert_non_null(mkdtemp(root));
	put("/proc/meminfo", "MemFree:  1 kB\nMemTotal:        8388608 kB\n");
}

static void gone(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	assert_int_equal(system(command), 0);
}

static void limits(void **state)
{
	static const char v2[] = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
	static const char v1[] = "36 32 0:31 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
				 "37 32 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
	static const char container[] = "50 49 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
	/* clang-format off */
	static const struct {
		const char *cgroup, *mounts, *files[6]; /* a path, then what is in it */
		uint64_t bytes;
		const char *source;
	} rows[] = {
		{ "0::/a/b\n", v2, { "/sys/fs/cgroup/a/b/memory.max", "536870912\n" }, 512 * MB, "/sys/fs/cgroup/a/b/memory.max" },
		{ "0::/a/b\n", v2, { "/sys/fs/cgroup/a/b/memory.max", "max\n", "/sys/fs/cgroup/a/memory.max", "104857600\n" }, 100 * MB, "/sys/fs/cgroup/a/memory.max" },
		{ "0::/a/b\n", v2, { "/sys/fs/cgroup/a/b/memory.max", "536870912\n", "/sys/fs/cgroup/a/b/memory.high", "268435456\n" }, 256 * MB, "/sys/fs/cgroup/a/b/memory.high" },
		{ "0::/\n", v2, { "/sys/fs/cgroup/memory.max", "536870912" }, 512 * MB, "/sys/fs/cgroup/memory.max" },
		{ "0::/a\n", v2, { "/sys/fs/cgroup/b/memory.max", "1\n" }, 8192 * MB, "the machine's memory" },
		{ "0::/a\n", v2, { "/sys/fs/cgroup/a/memory.max", "99999999999999999999999\n" }, 8192 * MB, "the machine's memory" },
		{ "0::/a\n", v2, { "/sys/fs/cgroup/a/memory.max", "12x\n", "/sys/fs/cgroup/a/memory.high", "" }, 8192 * MB, "the machine's memory" },
		{ "0::/../x\n", v2, { "/sys/fs/cgroup/memory.max", "536870912\n" }, 512 * MB, "/sys/fs/cgroup/memory.max" },
		{ "4:memory:/p/q\n0::/u\n", v1, { "/sys/fs/cgroup/memory/p/q/memory.limit_in_bytes", "9223372036854771712\n", "/sys/fs/cgroup/memory/p/memory.limit_in_bytes", "536870912\n" },
		  512 * MB, "/sys/fs/cgroup/memory/p/memory.limit_in_bytes" },
		{ "4:cpu,memory:/p\n", v1, { "/sys/fs/cgroup/memory/p/memory.limit_in_bytes", "536870912\n" }, 512 * MB, "/sys/fs/cgroup/memory/p/memory.limit_in_bytes" },
		{ "4:memory:/docker/abc/in\n", container, { "/sys/fs/cgroup/memory/in/memory.limit_in_bytes", "104857600\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n" },
		  100 * MB, "/sys/fs/cgroup/memory/in/memory.limit_in_bytes" },
		{ "4:memory:/docker/abcd\n", container, { "/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n" }, 512 * MB, "/sys/fs/cgroup/memory/memory.limit_in_bytes" },
		{ "4:memory:/docker/abc\n", container, { "/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n" }, 512 * MB, "/sys/fs/cgroup/memory/memory.limit_in_bytes" },
		{ "garbage\n:\n::\n0:\n", "no mounts - here\n - \n\n1 2 3 - cgroup2\n", { NULL }, 8192 * MB, "the machine's memory" },
		{ "", "", { NULL }, 8192 * MB, "the machine's memory" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct memory_limit l;

		fresh();
		put("/proc/self/cgroup", rows[i].cgroup);
		put("/proc/self/mountinfo", rows[i].mounts);
		for (int k = 0; k < 6 && rows[i].files[k]; k += 2)
			put(rows[i].files[k], rows[i].files[k + 1]);
		memory_limit_read(&l, root);
		if (l.bytes != rows[i].bytes || strcmp(l.source, rows[i].source) != 0)
			fail_msg("row %zu: %llu of %s", i, (unsigned long long)l.bytes, l.source);
		gone();
	}
	struct memory_limit none;
	memory_limit_read(&none, "/nowhere");
	assert_int_equal(none.bytes, 0);
}

static struct budget_opts opts_of(bool in_memory)
{
	return (struct budget_opts){ .in_memory = in_memory,
		                     .frame_bytes = 36 * MB,
		                     .pending_in_mb = -1,
		                     .pending_out_mb = -1,
		                     .recent_mb = -1,
		                     .inbox_mb = -1,
		                     .memory_messages_mb = -1,
		                     .max_storage_mb = -1 };
}

/* Whatever the limit: what is worked out stays below it, with room, as soon as the program itself fits. */
static void shares(void **state)
{
	const size_t frame = 36 * MB;

	(void)state;
	for (int d = 0; d < 2; d++) {
		struct budget_opts o = opts_of(d == 0);

		for (uint64_t mb = 135; mb < 40000; mb += mb / 10) {
			struct memory_limit l = { .bytes = mb * MB };
			struct budgets b;

			budgets_plan(&b, &o, &l);
			if (budgets_sum(&b) > l.bytes - l.bytes / 8)
				fail_msg("%s, %llu MB: the sum is %llu", d == 0 ? "in memory" : "on disk", (unsigned long long)mb,
				         (unsigned long long)(budgets_sum(&b) / MB));
			assert_false(b.is_over);
			assert_true(b.frame ? b.frame <= b.pending_in && b.frame <= b.large / 4 * 3
			                    : b.pending_in >= frame && b.large / 4 * 3 >= frame);
			assert_int_equal(b.is_scarce, b.connections > 0);
			if (mb >= 1800) {
				assert_int_equal(b.pending_in, 256 * MB);
				assert_int_equal(b.pending_out, 256 * MB);
				assert_int_equal(b.large, 256 * MB);
				assert_int_equal(b.files, d == 0 ? 256 * MB : 0);
				assert_int_equal(b.inbox, 16 * MB);
				assert_int_equal(b.frame, 0);
			}
		}
	}
}

static void named(void **state)
{
	struct memory_limit l = { .bytes = 512 * MB };
	struct budget_opts o = opts_of(true);
	struct budgets b;

	(void)state;
	o.pending_in_mb = 1; /* one of the largest always fits */
	o.pending_out_mb = 100;
	o.inbox_mb = 3;
	o.recent_mb = 4;
	o.memory_messages_mb = 5;
	o.max_storage_mb = 6;
	budgets_plan(&b, &o, &l);
	assert_int_equal(b.pending_in, 36 * MB);
	assert_int_equal(b.pending_out, 100 * MB);
	assert_int_equal(b.large, 100 * MB);
	assert_int_equal(b.frame, 0);
	assert_int_equal(b.inbox, 3 * MB);
	assert_int_equal(b.recent, 4 * MB);
	assert_int_equal(b.messages, 5 * MB);
	assert_int_equal(b.files, 6 * MB);
	assert_false(b.is_over);
	o.pending_out_mb = 500;
	budgets_plan(&b, &o, &l);
	assert_true(b.is_over);
	o.pending_out_mb = 0;
	budgets_plan(&b, &o, &l);
	assert_true(b.pending_out == SIZE_MAX);
	o.memory_mb = 4096; /* beats what the kernel says */
	o.pending_out_mb = -1;
	budgets_plan(&b, &o, &l);
	assert_int_equal(b.limit.bytes, 4096 * MB);
	assert_string_equal(b.limit.source, "--memory-mb");
	assert_int_equal(b.pending_out, 256 * MB);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(limits), cmocka_unit_test(shares), cmocka_unit_test(named) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
