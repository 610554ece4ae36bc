/* metrics.c — the values, and how they are written down. Any thread. */
#include "metrics.h"

#include <string.h>

#include "buf.h"

_Atomic uint64_t metric_values[M_COUNT];

static struct {
	_Atomic uint64_t buckets[HISTOGRAM_BUCKETS + 1]; /* the last: more than any of them */
	_Atomic uint64_t sum;
} histograms[H_COUNT];

static const struct {
	const char *name, *kind, *help;
} metrics[M_COUNT] = {
#define METRIC_ROW(id, kind, name, help) [M_##id] = { name, #kind, help },
	METRICS(METRIC_ROW)
#undef METRIC_ROW
};

static const struct {
	const char *name, *help;
	double unit;
} histogram_rows[H_COUNT] = {
#define HISTOGRAM_ROW(id, name, unit, help) [H_##id] = { name, help, unit },
	HISTOGRAMS(HISTOGRAM_ROW)
#undef HISTOGRAM_ROW
};

void metric_observe(enum histogram h, uint64_t value)
{
	int i = value <= 1 ? 0 : 64 - __builtin_clzll(value - 1); /* the power of two that holds it */
	if (i > HISTOGRAM_BUCKETS)
		i = HISTOGRAM_BUCKETS;
	atomic_fetch_add_explicit(&histograms[h].buckets[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histograms[h].sum, value, memory_order_relaxed);
}

static void put_family(struct buf *b, const char *name, size_t len, const char *kind, const char *help)
{
	buf_printf(b, "# HELP wavechat_%.*s %s\n# TYPE wavechat_%.*s %s\n", (int)len, name, help, (int)len, name, kind);
}

void metrics_write(struct buf *b)
{
	const char *family = "";
	size_t family_len = 0;
	for (int i = 0; i < M_COUNT; i++) {
		size_t len = strcspn(metrics[i].name, "{"); /* rows that differ in their label alone stand together: one family */
		if (len != family_len || memcmp(family, metrics[i].name, len) != 0)
			put_family(b, metrics[i].name, len, metrics[i].kind, metrics[i].help);
		family = metrics[i].name;
		family_len = len;
		buf_printf(b, "wavechat_%s %llu\n", metrics[i].name, (unsigned long long)metric_get((enum metric)i));
	}
	for (int h = 0; h < H_COUNT; h++) {
		const char *name = histogram_rows[h].name;
		uint64_t total = 0;
		put_family(b, name, strlen(name), "histogram", histogram_rows[h].help);
		for (int i = 0; i <= HISTOGRAM_BUCKETS; i++) {
			total += atomic_load_explicit(&histograms[h].buckets[i], memory_order_relaxed);
			if (i < HISTOGRAM_BUCKETS)
				buf_printf(b, "wavechat_%s_bucket{le=\"%.9g\"} %llu\n", name, (double)(1ull << i) * histogram_rows[h].unit, (unsigned long long)total);
		}
		buf_printf(b, "wavechat_%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)total);
		buf_printf(b, "wavechat_%s_sum %.9g\nwavechat_%s_count %llu\n", name,
		           (double)atomic_load_explicit(&histograms[h].sum, memory_order_relaxed) * histogram_rows[h].unit, name, (unsigned long long)total);
	}
}
