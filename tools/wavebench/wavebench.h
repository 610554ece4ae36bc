/* wavebench.h — the shared part of the load generator: options, a run's state, clients, statistics.
 *
 * A run: workers (threads, each with an epoll and a share of the clients) connect, join, talk and read. The main thread moves them from
 * phase to phase and reports. Every message carries a marker in its text, fixed in width and of plain ASCII, so that a delivery is
 * recognised without parsing JSON:
 *
 *   ~wbK.RRRR.SSSSSS.NNNNNNNN.TTTTTTTTTTTT~   K: P public or D direct, R: run, S: sender, N: its sequence, T: microseconds
 *
 * T is the time at which the message was due, not written: in an open loop a late sender must not hide its delay. */
#ifndef WAVEBENCH_H
#define WAVEBENCH_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/wc.h"

enum workload { LOAD_TEXT, LOAD_DM, LOAD_IDLE, LOAD_STORM, LOAD_STALL, LOAD_CHURN, LOAD_FILE, LOAD_FETCH, LOAD_HOSTILE };

struct bench_options {
	struct sockaddr_in addr;
	char host[64];
	enum workload workload;
	int clients, senders, window, threads, size, dialect, burst;
	int stalled;  /* of the clients, never reading */
	int chatters; /* storm: clients there before, among them the senders */
	int churners; /* churn: connections that come and go beside the clients */
	int connects; /* churn: how often in all */
	int preload;  /* messages said before anything is measured, so that there is a history */
	int sources;  /* hostile: addresses the crowd comes from */
	int kind;     /* hostile: of all of them, hostile_kind(); -1: mixed */
	int readers;  /* file: connections of dialect 1 beside the clients that get each file whole; the first of them sends it */
	int file_mb, files;
	const char *path; /* fetch: what is asked for */
	bool is_rejoin;   /* storm: everyone was there before, and comes back with token and since */
	double rate;      /* messages a second in all; 0: closed loop */
	double seconds, warmup, drain, settle;
	pid_t pid; /* the server's; 0: unknown, its figures are left out */
	bool is_json;
};

/* --- stats.c */
#define HIST_SUB 64 /* buckets per power of two: values are kept to 1.6 % */
#define HIST_LEN (40 * HIST_SUB)
struct hist {
	uint64_t count, sum, max;
	uint64_t bucket[HIST_LEN];
};
void hist_add(struct hist *h, uint64_t us);
void hist_merge(struct hist *into, const struct hist *from);
uint64_t hist_at(const struct hist *h, double quantile); /* upper edge of the bucket it falls in; 0 if empty */

struct proc_mem {
	bool is_known;
	double pss_kb, private_kb;
};
struct proc_mem proc_mem(pid_t pid);
/* CPU time used so far, user and system, in seconds; negative if unknown. */
double proc_cpu(pid_t pid);

/* --- order.c: the one order that all must see. Any thread. */
#define MARKER_LEN 40
#define TEXT_MIN MARKER_LEN
struct marker {
	char kind;
	uint32_t sender, seq;
	int64_t due_us;
};
void marker_write(char out[MARKER_LEN], unsigned run, const struct marker *m);
/* First (or last) marker of this run in a payload. */
bool marker_find(struct marker *m, unsigned run, const char *p, size_t n);
bool marker_find_last(struct marker *m, unsigned run, const char *p, size_t n);

enum order_verdict { ORDER_OK, ORDER_WRONG, ORDER_DIFFERENT /* same message, other bytes */, ORDER_MALFORMED };
void order_setup(int senders);
/* Is `payload` byte for byte what the first reader of place k saw? Then *due_us is set. Cheap; false decides nothing. */
bool order_same(uint64_t k, const char *payload, size_t n, int64_t *due_us);
/* Judge or enter place k. is_self: the sender's own copy, whose bytes are its own. */
enum order_verdict order_check(uint64_t k, const struct marker *m, const char *payload, size_t n, bool is_self);
bool order_place(const struct marker *m, uint64_t *k); /* where somebody saw this message */

/* --- client.c */
enum phase { PHASE_CONNECT, PHASE_QUIET, PHASE_TALK, PHASE_MEASURE, PHASE_DRAIN, PHASE_END };

enum client_state { CL_IDLE, CL_CONNECTING, CL_HANDSHAKE, CL_JOINING, CL_READY, CL_FETCHING, CL_CLOSED };
#define PLACE_UNKNOWN UINT64_MAX

struct client {
	int fd;
	uint32_t index;
	uint8_t state;
	bool is_stalled, is_churner, is_reader, is_late; /* late: joined while others talked */
	bool is_in_file;                                 /* reader: what is passed over is a file */
	bool wants_out, was_ready;
	uint16_t close_code;
	uint64_t id;
	uint64_t place;    /* in the order, of the next public message */
	uint64_t unplaced; /* late: public messages seen before the first could be placed */
	struct marker unplaced_first, unplaced_last, history_last;
	bool has_history_last;
	uint32_t sent, echoed; /* own messages */
	uint32_t dm_next;      /* sequence expected of the one that writes to this client */
	uint32_t in_flight;
	int64_t start_us, join_us, leave_us;
	char *carry; /* the beginning of a frame whose rest has not come */
	size_t carry_len, carry_room;
	uint64_t skip; /* of a frame too large to keep, bytes still to pass over */
	char *out;     /* what the socket would not take yet, from out_at on */
	size_t out_at, out_len, out_room;
	char *token;   /* dialect 2 */
	uint64_t head; /* dialect 2: id of the newest event at init */
};

struct tally {
	uint64_t deliveries, bytes, frames; /* while measuring */
	uint64_t all_bytes;                 /* ever */
	uint64_t list_bytes;                /* of users, presence and system frames */
	uint64_t inits, connects, leaves, fetches;
	uint64_t all_deliveries; /* ever */
	uint64_t misordered, different, malformed, duplicate_or_gap, privacy, errors, closed, refused;
	uint64_t last_code;
};

struct worker {
	pthread_t thread;
	int number, epoll;
	int first, stride, count;  /* its clients */
	int pace_first, pace_step; /* open loop: of all messages, those that its clients send */
	char *buffer;
	struct hist latency, init_latency;
	struct hist quiet; /* file: while none was under way */
	struct tally tally;
	int connecting, next_client;
	int64_t paced_from; /* open loop: when its schedule began; 0: not yet */
	uint64_t due_count;
	_Atomic int missing; /* while draining: clients that have not got everything; -1: not counted yet */
	_Atomic bool has_parted;
};

struct run {
	struct bench_options opt;
	unsigned id;
	struct client *clients;
	int total;   /* clients, chatters, churners and readers, in this order */
	int threads; /* the clients', and one more for readers or chatters: what is measured is not delayed by what loads */
	_Atomic int phase;
	_Atomic int connect_limit; /* clients with a lower index may connect */
	_Atomic int ready;
	_Atomic int closed_stalled;
	_Atomic uint64_t connects; /* churn */
	_Atomic int64_t measure_from_us;
	_Atomic bool is_talking, is_preloading, is_parting;
	_Atomic uint64_t sent;               /* messages, ever */
	_Atomic bool is_loaded, is_file_due; /* file: files are under way; one is to be sent */
	_Atomic int file_got;                /* readers that have it whole */
	struct worker *workers;
};
extern struct run run;

/* --- options.c */
void die(const char *fmt, ...) WC_PRINTF(1, 2) WC_NORETURN;         /* one line, and status 2 */
void parse_options(struct bench_options *o, int argc, char **argv); /* ends the program for --help, and for what cannot be */
const char *workload_name(void);

/* --- hostile.c */
int hostile_kind(const char *name); /* -1: none of that name */
int hostile_main(void);             /* the whole run; the exit status */

void *worker_main(void *arg);
void client_send(struct worker *w, struct client *c, const char *p, size_t n);
void client_lost(struct worker *w, struct client *c);
size_t frame_write(char *out, int opcode, const char *payload, size_t n); /* masked; out has room for n + 14 */
void clients_say(const char *what_went_wrong, const struct client *c);    /* the first few are printed */

/* --- judge.c */
void judge_text(struct worker *w, struct client *c, const char *p, size_t n,
                int64_t now); /* a text frame, or the beginning of a large one */
void try_place(struct worker *w, struct client *c);

/* --- file.c: files to all, and downloads */
void file_send(struct worker *w, struct client *c);
void file_whole(struct client *c); /* what a reader passed over has ended */
void fetch_ask(struct worker *w, struct client *c);
size_t fetch_answer(struct worker *w, struct client *c, const char *p, size_t n, int64_t now); /* a response's head; 0: not whole yet */

#endif
