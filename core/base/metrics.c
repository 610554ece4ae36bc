/* metrics.c — the values, and how they are written down. Any thread. */
#include "base/metrics.h"

#include <string.h>

#include "base/buf.h"

_Atomic uint64_t metric_values[M_COUNT];

static struct {
	_Atomic uint64_t buckets[HISTOGRAM_BUCKETS + 1]; /* the last: more than any of them */
	_Atomic uint64_t sum;
} histograms[H_COUNT];

/* The divisor that brings a row's unit to base units. */
enum unit { UNIT_one = 1, UNIT_bytes = 1, UNIT_seconds = 1, UNIT_ms = 1000, UNIT_us = 1000000 };

static const struct {
	const char *name, *kind, *help;
	enum unit unit;
} metrics[M_COUNT] = {
#define METRIC_ROW(id, kind, unit, name, help) [M_##id] = { name, #kind, help, UNIT_##unit },
	METRICS(METRIC_ROW)
#undef METRIC_ROW
};

static const char *build_version = "unknown", *build_sqlite = "unknown";

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

uint64_t metric_observed(enum histogram h)
{
	return atomic_load_explicit(&histograms[h].sum, memory_order_relaxed);
}

uint64_t metric_sum(enum metric first, enum metric last)
{
	uint64_t sum = 0;
	for (int i = (int)first; i <= (int)last; i++)
		sum += metric_get((enum metric)i);
	return sum;
}

void metrics_set_build(const char *version, const char *sqlite)
{
	build_version = version;
	build_sqlite = sqlite;
	metric_set(M_BUILD, 1);
}

static const char *prefix_of(const char *name)
{
	return strncmp(name, "process_", 8) == 0 ? "" : "wavechat_";
}

static void put_family(struct buf *b, const char *name, size_t len, const char *kind, const char *help)
{
	const char *prefix = prefix_of(name);
	buf_printf(b, "# HELP %s%.*s %s\n# TYPE %s%.*s %s\n", prefix, (int)len, name, help, prefix, (int)len, name, kind);
}

static void put_label(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			buf_putc(b, '\\');
		buf_putc(b, *value);
	}
	buf_putc(b, '"');
}

static void put_value(struct buf *b, enum metric m, uint64_t value)
{
	buf_printf(b, "%s%s", prefix_of(metrics[m].name), metrics[m].name);
	if (m == M_BUILD) {
		buf_putc(b, '{');
		put_label(b, "version", build_version);
		buf_putc(b, ',');
		put_label(b, "sqlite", build_sqlite);
		buf_putc(b, '}');
	}
	buf_printf(b, " %llu", (unsigned long long)(value / metrics[m].unit));
	if (metrics[m].unit == UNIT_ms)
		buf_printf(b, ".%03u", (unsigned)(value % UNIT_ms));
	else if (metrics[m].unit == UNIT_us)
		buf_printf(b, ".%06u", (unsigned)(value % UNIT_us));
	buf_putc(b, '\n');
}

static void put_histogram(struct buf *b, enum histogram h)
{
	const char *name = histogram_rows[h].name;
	const double unit = histogram_rows[h].unit;
	uint64_t total = 0;
	put_family(b, name, strlen(name), "histogram", histogram_rows[h].help);
	for (int i = 0; i <= HISTOGRAM_BUCKETS; i++) {
		total += atomic_load_explicit(&histograms[h].buckets[i], memory_order_relaxed);
		if (i < HISTOGRAM_BUCKETS)
			buf_printf(b, "wavechat_%s_bucket{le=\"%.9g\"} %llu\n", name, (double)(1ull << i) * unit,
			           (unsigned long long)total);
	}
	buf_printf(b, "wavechat_%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)total);
	buf_printf(b, "wavechat_%s_sum %.9g\nwavechat_%s_count %llu\n", name, (double)metric_observed(h) * unit, name,
	           (unsigned long long)total);
}

void metrics_write(struct buf *b)
{
	const char *family = "";
	size_t family_len = 0;
	for (int i = 0; i < M_COUNT; i++) {
		size_t len = strcspn(metrics[i].name, "{"); /* rows that differ in their label alone stand together: one family */
		uint64_t value = metric_get((enum metric)i);
		if (value == METRIC_ABSENT)
			continue;
		if (len != family_len || memcmp(family, metrics[i].name, len) != 0)
			put_family(b, metrics[i].name, len, metrics[i].kind, metrics[i].help);
		family = metrics[i].name;
		family_len = len;
		put_value(b, (enum metric)i, value);
	}
	for (int h = 0; h < H_COUNT; h++)
		put_histogram(b, (enum histogram)h);
}
