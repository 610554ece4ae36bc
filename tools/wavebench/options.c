/* options.c — wavebench's command line: usage, parsing, and what options mean together. Main thread. */
#include "wavebench.h"

#include <getopt.h>
#include <math.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void die(const char *fmt, ...)
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

/* Options that one workload alone has are nothing to the others; and what makes no sense together is refused. */
static void settle(struct bench_options *o)
{
	if (o->workload != LOAD_STALL)
		o->stalled = 0;
	if (o->workload != LOAD_CHURN)
		o->churners = o->connects = 0;
	if (o->workload != LOAD_FILE)
		o->readers = 0;
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

void parse_options(struct bench_options *o, int argc, char **argv)
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
		                     .files = 3,
		                     .stalled = 10,
		                     .churners = 64,
		                     .connects = 10000,
		                     .readers = 100 };
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
		case OPT_STALLED: o->stalled = whole(name, 0, 1000000); break;
		case OPT_CHATTERS: o->chatters = whole(name, 0, 1000000); break;
		case OPT_PRELOAD: o->preload = whole(name, 0, 10000000); break;
		case OPT_REJOIN: o->is_rejoin = true; break;
		case OPT_CHURNERS: o->churners = whole(name, 1, 100000); break;
		case OPT_CONNECTS: o->connects = whole(name, 1, 100000000); break;
		case OPT_SOURCES: o->sources = whole(name, 1, 250); break;
		case OPT_KIND:
			o->kind = hostile_kind(optarg);
			if (o->kind < 0)
				die("--kind %s: --help says which there are", optarg);
			break;
		case OPT_READERS: o->readers = whole(name, 1, 100000); break;
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
	settle(o);
}

const char *workload_name(void)
{
	return workloads[run.opt.workload].name;
}
