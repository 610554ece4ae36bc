/* main.c — a load generator for servers that speak WaveChat's wire: the course of a run, and the report.
 *
 * It checks what it measures: one order at all clients, nothing missing, nothing twice, DMs at their two ends. A run in which a check
 * fails ends with status 1 whatever its figures are. Main thread only; the workers are in client.c. */
#include "wavebench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

static void raise_descriptors(int wanted)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_max != RLIM_INFINITY && (rlim_t)wanted + 64 > r.rlim_max)
		die("%d connections are more than the hard limit on open files, %llu, allows", wanted, (unsigned long long)r.rlim_max);
}

static void nap(double seconds)
{
	usleep((useconds_t)(seconds * 1e6));
}

/* Until `count` clients are ready; false if some were refused or it takes too long. */
static bool wait_ready(int count, double limit_s)
{
	int64_t from = mono_us();
	while (atomic_load(&run.ready) < count) {
		if ((double)(mono_us() - from) > limit_s * 1e6)
			return false;
		usleep(500);
	}
	return true;
}

struct report {
	struct tally t;
	struct hist latency, init_latency, quiet;
	double join_s, measured_s, cpu_s, own_cpu_s;
	uint64_t sent; /* while measuring */
	int missing, missing_files, not_ready, stalled_dropped;
	struct proc_mem before, joined, churned, after;
	double file_s; /* file: from sending to the last reader's last byte, on average */
	double storm_s;
	uint64_t storm_bytes;
	int storm_bytes_clients;
};

static double own_cpu(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void talk_phase(void)
{
	atomic_store(&run.is_talking, true);
	atomic_store(&run.phase, PHASE_TALK);
	nap(run.opt.warmup);
}

static void measure_begin(struct report *r, int64_t *from)
{
	*from = mono_us();
	r->sent = atomic_load(&run.sent);
	r->cpu_s = proc_cpu(run.opt.pid);
	r->own_cpu_s = own_cpu();
	atomic_store(&run.measure_from_us, *from);
	atomic_store(&run.phase, PHASE_MEASURE);
}

static void measure_end(struct report *r, int64_t from)
{
	atomic_store(&run.is_talking, false);
	r->measured_s = (double)(mono_us() - from) / 1e6;
	double cpu = proc_cpu(run.opt.pid);
	r->cpu_s = r->cpu_s >= 0 && cpu >= 0 ? cpu - r->cpu_s : -1;
	r->own_cpu_s = own_cpu() - r->own_cpu_s;
	r->sent = atomic_load(&run.sent) - r->sent;
}

/* Until everyone has everything. */
static void drain(struct report *r)
{
	nap(0.01); /* the workers have seen that the talk is over */
	for (int i = 0; i < run.threads; i++)
		atomic_store(&run.workers[i].missing, -1);
	atomic_store(&run.phase, PHASE_DRAIN);
	int64_t from = mono_us();
	do {
		usleep(2000);
		r->missing = 0;
		for (int i = 0; i < run.threads; i++)
			r->missing += abs(atomic_load(&run.workers[i].missing));
	} while (r->missing && (double)(mono_us() - from) < run.opt.drain * 1e6);
}

static void preload(void)
{
	atomic_store(&run.is_preloading, true);
	while (atomic_load(&run.sent) < (uint64_t)run.opt.preload && atomic_load(&run.ready) > 0)
		usleep(1000);
	nap(0.3);
	atomic_store(&run.is_preloading, false);
}

static void storm(struct report *r)
{
	int k = run.opt.chatters, all = run.total;
	if (run.opt.is_rejoin) { /* everyone is known before the storm */
		atomic_store(&run.connect_limit, all);
		if (!wait_ready(all, 120))
			r->not_ready = all - run.ready;
		atomic_store(&run.connect_limit, k);
		atomic_store(&run.is_parting, true);
		for (int i = 0; i < run.threads; i++)
			while (!atomic_load(&run.workers[i].has_parted))
				usleep(1000);
		nap(1);
	} else if (k) {
		atomic_store(&run.connect_limit, k);
		wait_ready(k, 30);
	}
	if (run.opt.preload)
		preload();
	if (run.opt.senders)
		talk_phase();
	for (int i = 0; i < run.threads; i++)
		memset(&run.workers[i].init_latency, 0, sizeof(struct hist)); /* nobody connects now */
	r->joined = proc_mem(run.opt.pid);
	int64_t from;
	measure_begin(r, &from);
	uint64_t bytes = 0;
	for (int i = 0; i < run.threads; i++)
		bytes += run.workers[i].tally.all_bytes;
	atomic_store(&run.connect_limit, all);
	if (!wait_ready(all, WC_MAX(run.opt.seconds, 60.0)))
		r->not_ready = all - run.ready;
	r->storm_s = (double)(mono_us() - from) / 1e6;
	measure_end(r, from);
	nap(2); /* lists of who is there come after the joins */
	r->storm_bytes_clients = all - k;
	for (int i = 0; i < run.threads; i++)
		r->storm_bytes += run.workers[i].tally.all_bytes;
	r->storm_bytes -= bytes;
	drain(r);
}

/* One after another, each when everyone has the one before. */
static void send_files(struct report *r)
{
	atomic_store(&run.is_loaded, true);
	int64_t from = mono_us();
	for (int i = 0; i < run.opt.files; i++) {
		atomic_store(&run.is_file_due, true);
		for (int64_t sent = mono_us(); atomic_load(&run.file_got) < (i + 1) * run.opt.readers;) {
			if (mono_us() - sent > 60000000) {
				r->missing_files = (i + 1) * run.opt.readers - atomic_load(&run.file_got);
				return;
			}
			usleep(1000);
		}
	}
	r->file_s = (double)(mono_us() - from) / 1e6 / run.opt.files;
}

static void steady(struct report *r)
{
	int base = run.opt.clients + run.opt.readers;
	int64_t from = mono_us();
	atomic_store(&run.connect_limit, base);
	if (!wait_ready(base, 120)) {
		r->not_ready = base - atomic_load(&run.ready);
		return;
	}
	r->join_s = (double)(mono_us() - from) / 1e6;
	atomic_store(&run.phase, PHASE_QUIET);
	nap(run.opt.workload == LOAD_IDLE ? 2 : 0.6);
	if (run.opt.preload)
		preload();
	r->joined = proc_mem(run.opt.pid);
	if (run.opt.workload != LOAD_IDLE)
		talk_phase();
	measure_begin(r, &from);
	if (run.opt.workload == LOAD_CHURN) {
		while (atomic_load(&run.connects) < (uint64_t)run.opt.connects && (double)(mono_us() - from) < 1e9)
			usleep(10000);
		nap(0.5);
	} else if (run.opt.workload == LOAD_FILE) {
		nap(run.opt.seconds);
		send_files(r);
	} else {
		nap(run.opt.seconds);
	}
	measure_end(r, from);
	if (run.opt.workload == LOAD_IDLE)
		r->joined = proc_mem(run.opt.pid); /* what a storm of joins needed for a moment has gone back */
	else if (run.opt.workload != LOAD_FETCH)
		drain(r);
	if (run.opt.workload == LOAD_CHURN) {
		nap(run.opt.settle); /* the server has seen the last of them go */
		r->churned = proc_mem(run.opt.pid);
	}
}

static double per(double a, double b)
{
	return b > 0 ? a / b : 0;
}

static uint64_t failures(const struct report *r)
{
	const struct tally *t = &r->t;
	uint64_t n = t->misordered + t->different + t->malformed + t->duplicate_or_gap + t->privacy + t->errors + t->closed + t->refused;
	n += (uint64_t)r->missing + (uint64_t)r->missing_files + (uint64_t)r->not_ready;
	if (run.opt.workload == LOAD_IDLE || run.opt.workload == LOAD_STORM)
		return n;
	return n + (r->t.deliveries == 0 && run.opt.senders > 0);
}

static void print_json(const struct report *r)
{
	const struct bench_options *o = &run.opt;
	const struct tally *t = &r->t;
	printf("{\"workload\":\"%s\",\"clients\":%d,\"senders\":%d,\"window\":%d,\"rate\":%g,\"size\":%d,\"dialect\":%d,\"threads\":%d,\"seconds\":%.3f,",
	       workload_name(), o->clients, o->senders, o->window, o->rate, o->size, o->dialect, o->threads, r->measured_s);
	printf("\"sent_per_s\":%.1f,\"deliveries\":%llu,\"deliveries_per_s\":%.0f,\"bytes_per_s\":%.0f,",
	       per((double)r->sent, r->measured_s), (unsigned long long)t->deliveries, per((double)t->deliveries, r->measured_s),
	       per((double)t->bytes, r->measured_s));
	static const struct {
		const char *name;
		double q;
	} q[] = { { "p50", .5 }, { "p90", .9 }, { "p99", .99 }, { "p99.9", .999 }, { "p99.99", .9999 } };
	const struct hist *hists[] = { &r->latency, &r->init_latency, &r->quiet };
	static const char *const names[] = { "latency_ms", "init_ms", "quiet_ms" };
	for (size_t k = 0; k < WC_LEN(hists); k++) {
		const struct hist *h = hists[k];
		printf("\"%s\":{\"count\":%llu", names[k], (unsigned long long)h->count);
		for (size_t i = 0; i < WC_LEN(q); i++)
			printf(",\"%s\":%.3f", q[i].name, (double)hist_at(h, q[i].q) / 1e3);
		printf(",\"max\":%.3f},", (double)h->max / 1e3);
	}
	printf("\"join_s\":%.3f,\"storm_s\":%.3f,\"storm_bytes_per_client\":%.0f,\"list_bytes\":%llu,\"connects\":%llu,", r->join_s,
	       r->storm_s, per((double)r->storm_bytes, r->storm_bytes_clients), (unsigned long long)t->list_bytes,
	       (unsigned long long)t->connects);
	if (r->cpu_s >= 0)
		printf("\"server_cpu\":%.3f,\"cpu_us_per_delivery\":%.4f,", per(r->cpu_s, r->measured_s),
		       per(r->cpu_s * 1e6, (double)t->deliveries));
	printf("\"own_cpu\":%.3f,", per(r->own_cpu_s, r->measured_s));
	if (r->joined.is_known)
		printf("\"pss_kb\":{\"before\":%.0f,\"joined\":%.0f,\"after\":%.0f},\"private_kb\":{\"before\":%.0f,\"joined\":%.0f,\"after\":%.0f},",
		       r->before.pss_kb, r->joined.pss_kb, r->after.pss_kb, r->before.private_kb, r->joined.private_kb,
		       r->after.private_kb);
	if (r->churned.is_known)
		printf("\"churned_kb\":{\"pss\":%.0f,\"private\":%.0f},", r->churned.pss_kb, r->churned.private_kb);
	if (o->workload == LOAD_FILE)
		printf("\"files\":%d,\"file_mb\":%d,\"readers\":%d,\"file_s\":%.3f,", o->files, o->file_mb, o->readers, r->file_s);
	if (o->workload == LOAD_FETCH)
		printf("\"fetches\":%llu,", (unsigned long long)t->fetches);
	printf("\"all_sent\":%llu,\"all_deliveries\":%llu,", (unsigned long long)atomic_load(&run.sent),
	       (unsigned long long)t->all_deliveries);
	if (o->workload == LOAD_STALL)
		printf("\"stalled\":%d,\"stalled_dropped\":%d,", o->stalled, r->stalled_dropped);
	printf("\"misordered\":%llu,\"different\":%llu,\"malformed\":%llu,\"duplicate_or_gap\":%llu,\"privacy\":%llu,\"errors\":%llu,\"closed\":%llu,"
	       "\"refused\":%llu,\"missing\":%d,\"not_ready\":%d,\"ok\":%s}\n",
	       (unsigned long long)t->misordered, (unsigned long long)t->different, (unsigned long long)t->malformed,
	       (unsigned long long)t->duplicate_or_gap, (unsigned long long)t->privacy, (unsigned long long)t->errors,
	       (unsigned long long)t->closed, (unsigned long long)t->refused, r->missing, r->not_ready, failures(r) ? "false" : "true");
}

static void print_hist(const char *name, const struct hist *h)
{
	if (h->count == 0)
		return;
	printf("%-13s p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  p99.99 %.2f  max %.2f ms  (%llu)\n", name, (double)hist_at(h, .5) / 1e3,
	       (double)hist_at(h, .9) / 1e3, (double)hist_at(h, .99) / 1e3, (double)hist_at(h, .999) / 1e3, (double)hist_at(h, .9999) / 1e3,
	       (double)h->max / 1e3, (unsigned long long)h->count);
}

static void print_table(const struct report *r)
{
	const struct bench_options *o = &run.opt;
	const struct tally *t = &r->t;
	printf("%-13s %s, %d clients, %d senders, ", "workload", workload_name(), o->clients, o->senders);
	if (o->rate > 0)
		printf("%g messages/s", o->rate);
	else
		printf("window %d", o->window);
	printf(", %d bytes, dialect %d, %.1f s\n", o->size, o->dialect, r->measured_s);
	if (r->join_s > 0)
		printf("%-13s %.3f s for %d clients\n", "joined", r->join_s, o->clients);
	if (o->workload == LOAD_STORM)
		printf("%-13s %.3f s until the last of %d had init; %.1f KB a client\n", "storm", r->storm_s, r->storm_bytes_clients,
		       per((double)r->storm_bytes, r->storm_bytes_clients) / 1024);
	print_hist("init after", &r->init_latency);
	if (o->workload == LOAD_CHURN)
		printf("%-13s %llu connections, %.0f/s\n", "churn", (unsigned long long)t->connects, per((double)t->leaves, r->measured_s));
	if (t->deliveries) {
		printf("%-13s %.0f/s, deliveries %.0f/s, %.1f MB/s\n", "messages", per((double)r->sent, r->measured_s),
		       per((double)t->deliveries, r->measured_s), per((double)t->bytes, r->measured_s) / 1e6);
		print_hist("latency", &r->latency);
	}
	if (o->workload == LOAD_FILE) {
		print_hist("without files", &r->quiet);
		printf("%-13s %d of %d MB, each %.2f s until %d had it\n", "files", o->files, o->file_mb, r->file_s, o->readers);
	}
	if (o->workload == LOAD_FETCH) {
		printf("%-13s %.1f/s, %.0f MB/s\n", "fetched", per((double)t->fetches, r->measured_s),
		       per((double)t->bytes, r->measured_s) / 1e6);
		print_hist("each", &r->latency);
	}
	if (r->cpu_s >= 0)
		printf("%-13s %.2f cores of the server, %.3f us a delivery; %.2f cores of wavebench\n", "cpu", per(r->cpu_s, r->measured_s),
		       per(r->cpu_s * 1e6, (double)t->deliveries), per(r->own_cpu_s, r->measured_s));
	if (r->joined.is_known) {
		printf("%-13s PSS %.1f MB before, %.1f joined, %.1f after; private %.1f, %.1f, %.1f", "memory", r->before.pss_kb / 1024,
		       r->joined.pss_kb / 1024, r->after.pss_kb / 1024, r->before.private_kb / 1024, r->joined.private_kb / 1024,
		       r->after.private_kb / 1024);
		if (o->workload != LOAD_STORM)
			printf("; %.2f KB a client", (r->joined.private_kb - r->before.private_kb) / o->clients);
		if (r->churned.is_known)
			printf("; churned %.1f, private %.1f", r->churned.pss_kb / 1024, r->churned.private_kb / 1024);
		putchar('\n');
	}
	if (o->workload == LOAD_STALL)
		printf("%-13s %d of %d were let go\n", "stalled", r->stalled_dropped, o->stalled);
	printf("%-13s ", "checks");
	if (failures(r) == 0) {
		puts("one order, no gap, no duplicate, nobody else's DM: all hold");
		return;
	}
	printf("FAILED: order %llu, other bytes %llu, malformed %llu, gaps or duplicates %llu, privacy %llu, errors %llu, closed %llu (last code %llu), "
	       "refused %llu, incomplete %d, not ready %d\n",
	       (unsigned long long)t->misordered, (unsigned long long)t->different, (unsigned long long)t->malformed,
	       (unsigned long long)t->duplicate_or_gap, (unsigned long long)t->privacy, (unsigned long long)t->errors,
	       (unsigned long long)t->closed, (unsigned long long)t->last_code, (unsigned long long)t->refused,
	       r->missing + r->missing_files, r->not_ready);
}

/* Worker `number`'s part of the clients. */
static void share_out(struct worker *w, int number)
{
	const struct bench_options *o = &run.opt;
	int rest = run.total - o->chatters - o->readers;
	*w = (struct worker){ .number = number, .stride = o->threads, .pace_first = number, .pace_step = o->threads };
	w->first = o->chatters + number;
	w->count = (rest - number + o->threads - 1) / o->threads;
	if (number < o->threads)
		return;
	w->stride = w->pace_step = 1;
	w->pace_first = 0;
	w->first = o->readers ? rest : 0;
	w->count = o->readers ? o->readers : o->chatters;
}

static void clients_setup(void)
{
	const struct bench_options *o = &run.opt;
	run.total = o->clients + o->chatters + o->churners + o->readers;
	run.threads = o->threads + (o->readers || o->chatters ? 1 : 0);
	raise_descriptors(run.total);
	run.clients = xcalloc((size_t)run.total, sizeof(*run.clients));
	for (int i = 0; i < run.total; i++) {
		struct client *c = &run.clients[i];
		*c = (struct client){ .fd = -1, .index = (uint32_t)i };
		c->is_stalled = o->stalled && i >= o->clients - o->stalled;
		c->is_reader = i >= run.total - o->readers;
		c->is_churner = o->workload == LOAD_CHURN && i >= o->clients;
		if (c->is_churner)
			c->state = CL_CLOSED; /* churn() opens it */
	}
	run.workers = xcalloc((size_t)run.threads, sizeof(*run.workers));
	for (int i = 0; i < run.threads; i++) {
		struct worker *w = &run.workers[i];
		share_out(w, i);
		run.workers[i].epoll = epoll_create1(EPOLL_CLOEXEC);
		int e = pthread_create(&run.workers[i].thread, NULL, worker_main, &run.workers[i]);
		if (e)
			die("cannot start a thread: %s", strerror(e));
	}
}

static void sum_up(struct report *r)
{
	for (int i = 0; i < run.threads; i++) {
		const uint64_t *from = (const uint64_t *)&run.workers[i].tally;
		uint64_t *to = (uint64_t *)&r->t;
		for (size_t k = 0; k < sizeof(struct tally) / sizeof(uint64_t); k++)
			to[k] += from[k];
		hist_merge(&r->latency, &run.workers[i].latency);
		hist_merge(&r->init_latency, &run.workers[i].init_latency);
		hist_merge(&r->quiet, &run.workers[i].quiet);
	}
	r->stalled_dropped = atomic_load(&run.closed_stalled);
}

int main(int argc, char **argv)
{
	static struct report r;
	signal(SIGPIPE, SIG_IGN);
	parse_options(&run.opt, argc, argv);
	if (run.opt.workload == LOAD_HOSTILE) {
		raise_descriptors(run.opt.clients);
		return hostile_main();
	}
	wc_random(&run.id, sizeof(run.id));
	run.id &= 0xffff;
	order_setup(run.opt.clients + run.opt.chatters);
	r.before = proc_mem(run.opt.pid);
	clients_setup();
	if (run.opt.workload == LOAD_STORM)
		storm(&r);
	else
		steady(&r);
	if (run.opt.workload == LOAD_STALL && run.opt.stalled)
		nap(0.2);
	atomic_store(&run.phase, PHASE_END);
	for (int i = 0; i < run.threads; i++)
		pthread_join(run.workers[i].thread, NULL);
	if (run.opt.pid) {
		nap(run.opt.settle); /* the server has seen them go */
		r.after = proc_mem(run.opt.pid);
	}
	sum_up(&r);
	if (run.opt.is_json)
		print_json(&r);
	else
		print_table(&r);
	return failures(&r) ? 1 : 0;
}
