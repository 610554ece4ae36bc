/* stats.c — latency histograms, and the server's figures in /proc.
 *
 * A histogram belongs to one thread; main merges them when the threads have ended. */
#include "wavebench.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Values below HIST_SUB have a bucket each; above, every power of two is split into HIST_SUB / 2. */
static size_t hist_index(uint64_t us)
{
	if (us < HIST_SUB)
		return (size_t)us;
	int top = 63 - __builtin_clzll(us);
	int shift = top - 5;
	size_t i = (size_t)(shift * (HIST_SUB / 2)) + (size_t)(us >> shift);
	return WC_MIN(i, (size_t)HIST_LEN - 1);
}

static uint64_t hist_upper(size_t i)
{
	if (i < HIST_SUB)
		return i;
	int shift = (int)(i / (HIST_SUB / 2)) - 1;
	uint64_t mantissa = i - (size_t)(shift * (HIST_SUB / 2));
	return ((mantissa + 1) << shift) - 1;
}

void hist_add(struct hist *h, uint64_t us)
{
	h->count++;
	h->sum += us;
	if (us > h->max)
		h->max = us;
	h->bucket[hist_index(us)]++;
}

void hist_merge(struct hist *into, const struct hist *from)
{
	into->count += from->count;
	into->sum += from->sum;
	into->max = WC_MAX(into->max, from->max);
	for (size_t i = 0; i < HIST_LEN; i++)
		into->bucket[i] += from->bucket[i];
}

uint64_t hist_at(const struct hist *h, double quantile)
{
	if (h->count == 0)
		return 0;
	uint64_t rank = (uint64_t)(quantile * (double)h->count + 0.5), seen = 0;
	rank = WC_MAX(rank, (uint64_t)1);
	for (size_t i = 0; i < HIST_LEN; i++) {
		seen += h->bucket[i];
		if (seen >= rank)
			return WC_MIN(hist_upper(i), h->max);
	}
	return h->max;
}

struct proc_mem proc_mem(pid_t pid)
{
	struct proc_mem m = { 0 };
	if (pid <= 0)
		return m;
	char path[64], line[256];
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return m;
	while (fgets(line, sizeof(line), f)) {
		double kb;
		if (sscanf(line, "Pss: %lf kB", &kb) == 1)
			m.pss_kb = kb, m.is_known = true;
		else if (sscanf(line, "Private_Clean: %lf kB", &kb) == 1 || sscanf(line, "Private_Dirty: %lf kB", &kb) == 1)
			m.private_kb += kb;
	}
	fclose(f);
	return m;
}

/* The sum of the threads' run times, in ns: /proc/PID/stat counts in hundredths of a second, which is coarse for a short run. Threads that
 * have ended are missing from it, but a chat server's do not end. */
double proc_cpu(pid_t pid)
{
	if (pid <= 0)
		return -1;
	char path[320];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *d = opendir(path);
	if (!d)
		return -1;
	double seconds = 0;
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, e->d_name);
		FILE *f = fopen(path, "re");
		double ns;
		if (f && fscanf(f, "%lf", &ns) == 1)
			seconds += ns / 1e9;
		if (f)
			fclose(f);
	}
	closedir(d);
	return seconds;
}
