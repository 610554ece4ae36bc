/* main.c — a load generator for servers that speak WaveChat's wire: options, the course of a run, and the report.
 *
 * It checks what it measures: one order at all clients, nothing missing, nothing twice, DMs at their two ends. A run in which a check
 * fails ends with status 1 whatever its figures are. Main thread only; the workers are in client.c. */
#include "wavebench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
	"wavebench - load for a chat server that speaks WaveChat's wire; checks what it measures\n"
	"\n"
	"  wavebench [options] HOST:PORT\n"
	"\n"
	"  --workload NAME   text (default): some talk to all; dm: pairs talk in private; idle: all are silent;\n"
	"                    storm: all join at once; stall: some never read; churn: some come and go;\n"
	"                    file: files to some while others talk; fetch: one path over HTTP, again and again;\n"
	"                    hostile: nothing is measured, a crowd means harm beside another wavebench\n"
	"  --clients N       connections (1000)           --senders S   how many of them talk (1)\n"
	"  --window W        messages in flight per sender, closed loop (4)\n"
	"  --rate R          messages a second in all, open loop: delays count from when a message was due\n"
	"  --size BYTES      of a message's text (200)    --seconds T   measured (5)    --warmup T (1)    --drain T (10)\n"
	"  --threads N       of this program (1)          --burst N     connections under way at once, per thread (256)\n"
	"  --dialect 1|2     of the wire (1)              --pid PID     the server's: adds its CPU and memory\n"
	"  --settle T        seconds from the last leaving to the last look at memory (2.5)\n"
	"  --stalled N       stall: of the clients, how many never read (10)\n"
	"  --chatters N      storm: clients there before, among them the senders (0); the latency is theirs\n"
	"  --preload N       messages said before, so that there is a history (0)\n"
	"  --rejoin          storm: all were there before and come back with token and since (dialect 2); of what they\n"
	"                    missed, the first page is waited for (1,000 messages)\n"
	"  --churners N      churn: connections at a time (64)    --connects N   in all (10000)\n"
	"  --sources N       hostile: loopback addresses the crowd comes from, 127.0.66.1 and on (50);\n"
	"                    --rate there: connections made a second (1000)\n"
	"  --kind NAME       hostile: all are slowloris, half_open, garbage, stalled, oversized or join_flood; else a sixth each\n"
	"  --readers N       file: connections of dialect 1 beside the clients, that get the files whole (100)\n"
	"  --file-mb N       size (25)                            --files N      how many, one after another (3)\n"
	"  --path PATH       fetch: what each of the clients downloads, for --seconds\n"
	"  --json            one JSON object instead of a table\n"
	"\n"
	"What is measured: deliveries are frames of messages that reached a client; latency runs from when a message was due to when a\n"
	"client had it, so that a late sender hides nothing; CPU is what the server's threads ran, from /proc. Memory is before anyone\n"
	"came, with all joined, and after all have gone (churn: `churned` when those who came and went have gone).\n"
	"What is checked, or the exit status is 1: one order at all clients, the same bytes, no gap, no duplicate, a DM at its two ends alone.\n"
	"Connections to 127.0.0.1 come from 127.0.0.1 to 127.0.0.16, so that ports do not run out. Any server of the wire's Part 1 will do.\n";

static void die(const char *fmt, ...) WC_PRINTF(1, 2) WC_NORETURN;
static void die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("wavebench: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

static const struct {
	const char *name;
	enum workload workload;
} workloads[] = { { "text", LOAD_TEXT },   { "dm", LOAD_DM },       { "idle", LOAD_IDLE },
	          { "storm", LOAD_STORM }, { "stall", LOAD_STALL }, { "churn", LOAD_CHURN },
	          { "file", LOAD_FILE },   { "fetch", LOAD_FETCH }, { "hostile", LOAD_HOSTILE } };

/* clang-format off */
enum { OPT_WORKLOAD = 256, OPT_CLIENTS, OPT_SENDERS, OPT_WINDOW, OPT_RATE, OPT_SIZE, OPT_SECONDS, OPT_WARMUP, OPT_DRAIN, OPT_SETTLE,
       OPT_THREADS, OPT_BURST,
       OPT_DIALECT, OPT_PID, OPT_STALLED, OPT_CHATTERS, OPT_PRELOAD, OPT_REJOIN, OPT_CHURNERS, OPT_CONNECTS, OPT_SOURCES, OPT_KIND,
       OPT_READERS, OPT_FILE_MB, OPT_FILES, OPT_PATH, OPT_JSON, OPT_HELP };

static const struct option longopts[] = {
	{ "workload", 1, NULL, OPT_WORKLOAD }, { "clients", 1, NULL, OPT_CLIENTS },   { "senders", 1, NULL, OPT_SENDERS },
	{ "window", 1, NULL, OPT_WINDOW },     { "rate", 1, NULL, OPT_RATE },         { "size", 1, NULL, OPT_SIZE },
	{ "seconds", 1, NULL, OPT_SECONDS },   { "warmup", 1, NULL, OPT_WARMUP },     { "drain", 1, NULL, OPT_DRAIN },       { "settle", 1, NULL, OPT_SETTLE },
	
	{ "threads", 1, NULL, OPT_THREADS },   { "burst", 1, NULL, OPT_BURST },       { "dialect", 1, NULL, OPT_DIALECT },
	{ "pid", 1, NULL, OPT_PID },           { "stalled", 1, NULL, OPT_STALLED },   { "chatters", 1, NULL, OPT_CHATTERS },
	{ "preload", 1, NULL, OPT_PRELOAD },   { "rejoin", 0, NULL, OPT_REJOIN },     { "churners", 1, NULL, OPT_CHURNERS },
	{ "sources", 1, NULL, OPT_SOURCES },   { "kind", 1, NULL, OPT_KIND },
	{ "connects", 1, NULL, OPT_CONNECTS }, { "json", 0, NULL, OPT_JSON },         { "help", 0, NULL, OPT_HELP },
	{ "readers", 1, NULL, OPT_READERS },   { "file-mb", 1, NULL, OPT_FILE_MB },   { "files", 1, NULL, OPT_FILES },
	{ "path", 1, NULL, OPT_PATH },         { NULL, 0, NULL, 0 },
};
/* clang-format on */

static double number(const char *option, double min, double max)
{
	char *end;
	double v = strtod(optarg, &end);
	if (*end || end == optarg || !(v >= min && v <= max))
		die("--%s %s: a number from %g to %g is wanted", option, optarg, min, max);
	return v;
}

static int whole(const char *option, int min, int max)
{
	double v = number(option, min, max);
	if (v != floor(v))
		die("--%s %s: a whole number is wanted", option, optarg);
	return (int)v;
}

static void parse_address(struct bench_options *o, const char *address)
{
	const char *colon = strrchr(address, ':');
	if (!colon || colon == address || (size_t)(colon - address) >= sizeof(o->host))
		die("%s: HOST:PORT is wanted", address);
	char host[64];
	memcpy(host, address, (size_t)(colon - address));
	host[colon - address] = '\0';
	snprintf(o->host, sizeof(o->host), "%.60s", host);
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found;
	int e = getaddrinfo(host, colon + 1, &hints, &found);
	if (e)
		die("%s: %s", address, gai_strerror(e));
	memcpy(&o->addr, found->ai_addr, sizeof(o->addr));
	freeaddrinfo(found);
}

static void parse_options(struct bench_options *o, int argc, char **argv)
{
	*o = (struct bench_options){ .clients = 1000,
		                     .senders = 1,
		                     .window = 4,
		                     .threads = 1,
		                     .size = 200,
		                     .dialect = 1,
		                     .burst = 256,
		                     .seconds = 5,
		                     .warmup = 1,
		                     .drain = 10,
		                     .sources = 50,
		                     .kind = -1,
		                     .settle = 2.5,
		                     .file_mb = 25,
		                     .files = 3 };
	int stalled = 10, churners = 64, connects = 10000, readers = 100;
	for (int opt, i = 0; (opt = getopt_long(argc, argv, "", longopts, &i)) != -1;) {
		const char *name = opt == '?' ? "" : longopts[i].name;
		switch (opt) {
		case OPT_WORKLOAD:
			for (i = 0; i < (int)WC_LEN(workloads) && strcmp(workloads[i].name, optarg) != 0; i++)
				;
			if (i == (int)WC_LEN(workloads))
				die("--workload %s: text, dm, idle, storm, stall, churn, file, fetch or hostile is wanted", optarg);
			o->workload = workloads[i].workload;
			break;
		case OPT_CLIENTS: o->clients = whole(name, 1, 1000000); break;
		case OPT_SENDERS: o->senders = whole(name, 0, 1000000); break;
		case OPT_WINDOW: o->window = whole(name, 1, 10000); break;
		case OPT_RATE: o->rate = number(name, 0, 1e7); break;
		case OPT_SIZE: o->size = whole(name, TEXT_MIN, 4000); break;
		case OPT_SECONDS: o->seconds = number(name, 0, 1e6); break;
		case OPT_WARMUP: o->warmup = number(name, 0, 1e6); break;
		case OPT_DRAIN: o->drain = number(name, 0, 1e6); break;
		case OPT_SETTLE: o->settle = number(name, 0, 1e6); break;
		case OPT_THREADS: o->threads = whole(name, 1, 64); break;
		case OPT_BURST: o->burst = whole(name, 1, 100000); break;
		case OPT_DIALECT: o->dialect = whole(name, 1, 2); break;
		case OPT_PID: o->pid = whole(name, 1, 1 << 30); break;
		case OPT_STALLED: stalled = whole(name, 0, 1000000); break;
		case OPT_CHATTERS: o->chatters = whole(name, 0, 1000000); break;
		case OPT_PRELOAD: o->preload = whole(name, 0, 10000000); break;
		case OPT_REJOIN: o->is_rejoin = true; break;
		case OPT_CHURNERS: churners = whole(name, 1, 100000); break;
		case OPT_CONNECTS: connects = whole(name, 1, 100000000); break;
		case OPT_SOURCES: o->sources = whole(name, 1, 250); break;
		case OPT_KIND:
			o->kind = hostile_kind(optarg);
			if (o->kind < 0)
				die("--kind %s: --help says which there are", optarg);
			break;
		case OPT_READERS: readers = whole(name, 1, 100000); break;
		case OPT_FILE_MB: o->file_mb = whole(name, 1, 1024); break;
		case OPT_FILES: o->files = whole(name, 1, 10000); break;
		case OPT_PATH: o->path = optarg; break;
		case OPT_JSON: o->is_json = true; break;
		case OPT_HELP: fputs(usage, stdout); exit(0);
		default: exit(2);
		}
	}
	if (optind != argc - 1)
		die("one HOST:PORT is wanted; --help says more");
	parse_address(o, argv[optind]);
	if (o->workload == LOAD_STALL)
		o->stalled = stalled;
	if (o->workload == LOAD_CHURN)
		o->churners = churners, o->connects = connects;
	if (o->workload == LOAD_FILE)
		o->readers = readers;
	if ((o->workload == LOAD_FETCH) != (o->path != NULL))
		die("--path goes with --workload fetch");
	if (o->workload != LOAD_STORM)
		o->chatters = 0;
	else
		o->chatters = WC_MAX(o->chatters, WC_MAX(o->senders, o->preload ? 1 : 0));
	if (o->workload == LOAD_IDLE || o->workload == LOAD_FETCH)
		o->senders = 0;
	if (o->is_rejoin && (o->dialect != 2 || o->workload != LOAD_STORM))
		die("--rejoin needs --workload storm --dialect 2");
	if ((o->workload == LOAD_STORM || o->workload == LOAD_FILE) && o->senders && o->rate == 0)
		o->rate = 50; /* those who talk meet the storm, or the files, at an even pace */
	if (o->workload == LOAD_DM && o->senders * 2 > o->clients)
		die("--senders %d: in pairs, at most half of %d clients talk", o->senders, o->clients);
	if (o->senders + o->stalled > (o->workload == LOAD_STORM ? o->chatters : o->clients))
		die("--senders %d: more than there are clients to talk", o->senders);
	o->threads = WC_MIN(o->threads, o->clients);
}

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

static const char *workload_name(void)
{
	return workloads[run.opt.workload].name;
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
