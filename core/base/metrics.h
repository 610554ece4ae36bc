/* metrics.h — every counter, gauge and histogram of the server, declared once: name, kind, unit, help.
 *
 * A row is X(ID, kind, unit, "name{label}", "help"). Rows that differ only in their label stand together, and the first has the help. The
 * unit is what the value counts: `one`, `bytes`, `seconds`; or `ms` or `us`, which are shown as seconds. A name ends in its unit, a
 * counter's then in _total. Every name is shown with "wavechat_" before it, but for those that begin with "process_": all programs call
 * these alike.
 *
 * Relaxed atomics; any thread. Hot loops add up locally and call metric_add once a turn. */
#ifndef WC_METRICS_H
#define WC_METRICS_H

#include <stdatomic.h>

#include "base/wc.h"

#define METRICS(X) \
	X(BUILD, gauge, one, "build_info", "always 1; the labels are the versions of this program and of SQLite") \
	X(CONNECTIONS, gauge, one, "connections", "WebSocket connections open now") \
	X(CONNECTS, counter, one, "connects_total", "WebSocket connections ever accepted") \
	/* Why a connection ended. Each that was ever accepted and is not open now is in exactly one of the two families: conn_kill wants a
	 * reason. */ \
	X(EVICTED_LAG, counter, one, "evicted_total{reason=\"lag\"}", "connections that the server ended, by reason") \
	X(EVICTED_INSERTS, counter, one, "evicted_total{reason=\"inserts\"}", "") \
	X(EVICTED_STALLED, counter, one, "evicted_total{reason=\"stalled\"}", "") \
	X(EVICTED_PENDING, counter, one, "evicted_total{reason=\"pending\"}", "") \
	X(EVICTED_LARGE, counter, one, "evicted_total{reason=\"large\"}", "") \
	X(EVICTED_LATE, counter, one, "evicted_total{reason=\"late\"}", "") \
	X(EVICTED_UNFINISHED, counter, one, "evicted_total{reason=\"unfinished\"}", "") \
	X(EVICTED_BUDGET, counter, one, "evicted_total{reason=\"budget\"}", "") \
	X(EVICTED_SILENT, counter, one, "evicted_total{reason=\"silent\"}", "") \
	X(EVICTED_JOIN_TIMEOUT, counter, one, "evicted_total{reason=\"join_timeout\"}", "") \
	X(EVICTED_NOT_JOINED, counter, one, "evicted_total{reason=\"not_joined\"}", "") \
	X(EVICTED_NOT_LET_IN, counter, one, "evicted_total{reason=\"not_let_in\"}", "") \
	X(EVICTED_PROTOCOL, counter, one, "evicted_total{reason=\"protocol\"}", "") \
	X(EVICTED_FLOOD, counter, one, "evicted_total{reason=\"flood\"}", "") \
	X(EVICTED_KICKED, counter, one, "evicted_total{reason=\"kicked\"}", "") \
	X(EVICTED_BANNED, counter, one, "evicted_total{reason=\"banned\"}", "") \
	X(EVICTED_MEMORY, counter, one, "evicted_total{reason=\"memory\"}", "") \
	X(LEFT_CLOSED, counter, one, "disconnects_total{reason=\"closed\"}", "connections that ended otherwise, by reason") \
	X(LEFT_BROKEN, counter, one, "disconnects_total{reason=\"broken\"}", "") \
	X(LEFT_SHUTDOWN, counter, one, "disconnects_total{reason=\"shutdown\"}", "") \
	X(ONLINE, gauge, one, "online", "people online now") \
	X(SESSIONS_1, gauge, one, "sessions{dialect=\"1\"}", "connections that have joined, by dialect") \
	X(SESSIONS_2, gauge, one, "sessions{dialect=\"2\"}", "") \
	X(MESSAGES_IN, counter, one, "messages_in_total", "frames received that were whole messages") \
	X(MESSAGES, counter, one, "messages_total", "messages stored and published") \
	X(DELIVERIES, counter, one, "deliveries_total", "frames handed out, once for each connection that is to get one") \
	X(PUBLISHED_FRAMES, counter, one, "published_frames_total", "frames written to the broadcast logs") \
	X(PUBLISHED_BYTES, counter, bytes, "published_bytes_total", "bytes written to the broadcast logs") \
	X(INSERTS, counter, one, "inserts_total", "private frames handed to connections") \
	X(SENDS, counter, one, "sends_total", "send system calls on WebSocket connections") \
	X(SENT_BYTES, counter, bytes, "sent_bytes_total", "bytes sent on WebSocket connections") \
	X(RECEIVED_BYTES, counter, bytes, "received_bytes_total", "bytes received on WebSocket connections") \
	X(SWEEPS, counter, one, "sweeps_total", "passes over all connections of a log") \
	X(BATCHES, counter, one, "batches_total", "batches the room worked off") \
	X(BATCH_EVENTS, counter, one, "batch_events_total", "events in those batches") \
	X(COMMITS, counter, one, "commits_total", "transactions committed") \
	X(COMMIT_FAILURES, counter, one, "commit_failures_total", "transactions that failed") \
	X(LOG_WAITS, counter, one, "log_waits_total", "times the room waited for a sweep to make room in a log") \
	X(BUDGET_WAITS, counter, one, "budget_waits_total", "times a connection waited because too many large frames were on their way") \
	X(JOBS_DROPPED, counter, one, "jobs_dropped_total", "jobs of helpers, and joins, that nobody waited for any more") \
	X(COLD_READS, counter, one, "cold_reads_total", "pieces of files that were read from the disk before they were sent") \
	X(TLS_FAILURES, counter, one, "tls_failures_total", "connections whose TLS handshake failed") \
	X(REFUSED_BANNED, counter, one, "refused_total{reason=\"banned\"}", "connections and requests turned away, by reason") \
	X(REFUSED_FULL, counter, one, "refused_total{reason=\"connections\"}", "") \
	X(REFUSED_ADDRESS_FULL, counter, one, "refused_total{reason=\"address\"}", "") \
	X(REFUSED_TOO_FAST, counter, one, "refused_total{reason=\"handshakes\"}", "") \
	X(REFUSED_ORIGIN, counter, one, "refused_total{reason=\"origin\"}", "") \
	X(REFUSED_HEADER, counter, one, "refused_total{reason=\"header\"}", "") \
	X(REFUSED_HEADER_TIME, counter, one, "refused_total{reason=\"header_time\"}", "") \
	X(REFUSED_SLOW, counter, one, "refused_total{reason=\"slow\"}", "") \
	X(REFUSED_QUEUE, counter, one, "refused_total{reason=\"queue\"}", "") \
	X(REFUSED_UPLOADS, counter, one, "refused_total{reason=\"uploads\"}", "") \
	X(REFUSED_UPLOAD_LEAVE, counter, one, "refused_total{reason=\"upload_leave\"}", "") \
	X(REFUSED_TOKEN, counter, one, "refused_total{reason=\"token\"}", "") \
	X(REFUSED_DOWNLOADS, counter, one, "refused_total{reason=\"downloads\"}", "") \
	X(REFUSED_STORAGE, counter, one, "refused_total{reason=\"storage\"}", "") \
	X(REFUSED_MEMORY, counter, one, "refused_total{reason=\"memory\"}", "") \
	X(ERRORS, counter, one, "errors_total", "error frames sent") \
	/* by code, in the order of enum error_code */ \
	X(ERROR_BAD_REQUEST, counter, one, "error_codes_total{code=\"bad_request\"}", "error frames sent, by code") \
	X(ERROR_TOO_LONG, counter, one, "error_codes_total{code=\"too_long\"}", "") \
	X(ERROR_TOO_LARGE, counter, one, "error_codes_total{code=\"too_large\"}", "") \
	X(ERROR_BAD_TOKEN, counter, one, "error_codes_total{code=\"bad_token\"}", "") \
	X(ERROR_BAD_CODE, counter, one, "error_codes_total{code=\"bad_code\"}", "") \
	X(ERROR_PASSWORD_REQUIRED, counter, one, "error_codes_total{code=\"password_required\"}", "") \
	X(ERROR_BAD_PASSWORD, counter, one, "error_codes_total{code=\"bad_password\"}", "") \
	X(ERROR_NO_SUCH_USER, counter, one, "error_codes_total{code=\"no_such_user\"}", "") \
	X(ERROR_CID_REUSED, counter, one, "error_codes_total{code=\"cid_reused\"}", "") \
	X(ERROR_STORAGE, counter, one, "error_codes_total{code=\"storage\"}", "") \
	X(ERROR_RATE_LIMITED, counter, one, "error_codes_total{code=\"rate_limited\"}", "") \
	X(ERROR_MUTED, counter, one, "error_codes_total{code=\"muted\"}", "") \
	X(ERROR_LOCKDOWN, counter, one, "error_codes_total{code=\"lockdown\"}", "") \
	X(ERROR_BUSY, counter, one, "error_codes_total{code=\"busy\"}", "") \
	X(LIMITED_MESSAGES, counter, one, "limited_total{limit=\"messages\"}", "what a limit refused, by limit") \
	X(LIMITED_REQUESTS, counter, one, "limited_total{limit=\"requests\"}", "") \
	X(LIMITED_UPLOADS, counter, one, "limited_total{limit=\"uploads\"}", "") \
	X(LIMITED_TYPING, counter, one, "limited_total{limit=\"typing\"}", "") \
	X(LIMITED_NEW_PEOPLE, counter, one, "limited_total{limit=\"new_people\"}", "") \
	X(LIMITED_GUESSES, counter, one, "limited_total{limit=\"guesses\"}", "") \
	X(LIMITED_ADDRESS_MESSAGES, counter, one, "limited_total{limit=\"address_messages\"}", "") \
	X(LIMITED_ADDRESS_BYTES, counter, one, "limited_total{limit=\"address_bytes\"}", "") \
	X(LIMITED_ADDRESS_REQUESTS, counter, one, "limited_total{limit=\"address_requests\"}", "") \
	X(LIMITED_ADDRESS_TYPING, counter, one, "limited_total{limit=\"address_typing\"}", "") \
	X(LIMITED_DEVICES, counter, one, "limited_total{limit=\"devices\"}", "") \
	X(LIMITED_FRAMES, counter, one, "limited_total{limit=\"frames\"}", "") \
	X(IGNORED_FRAMES, counter, one, "ignored_frames_total", "frames received that did nothing: of an unknown type, or without text") \
	X(LOCKDOWN, gauge, one, "lockdown", "the lockdown that is on: 0 none, 1 no new people, 2 nobody writes") \
	X(LOCKDOWN_JOINS, counter, one, "lockdown_refused_total{what=\"joins\"}", "what a lockdown refused, by kind") \
	X(LOCKDOWN_MESSAGES, counter, one, "lockdown_refused_total{what=\"messages\"}", "") \
	X(LOCKDOWN_UPLOADS, counter, one, "lockdown_refused_total{what=\"uploads\"}", "") \
	X(LOCKDOWN_TYPING, counter, one, "lockdown_refused_total{what=\"typing\"}", "") \
	X(FLOOD_MUTES, counter, one, "flood_mutes_total", "people muted for a while because they went on over a limit") \
	X(CLOCK_STEPS, counter, one, "clock_steps_total", "steps of the machine's clock by more than 2 seconds") \
	X(THREAD_STALLS, counter, one, "thread_stalls_total", "turns of a thread that took over a second") \
	/* in the order of enum log_level */ \
	X(LOG_ERROR_LINES, counter, one, "log_lines_total{level=\"error\"}", "lines written to the log, by level") \
	X(LOG_WARN_LINES, counter, one, "log_lines_total{level=\"warn\"}", "") \
	X(LOG_INFO_LINES, counter, one, "log_lines_total{level=\"info\"}", "") \
	X(LOG_DEBUG_LINES, counter, one, "log_lines_total{level=\"debug\"}", "") \
	/* in the order of enum health_check */ \
	X(HEALTH_STORAGE, gauge, one, "health_ok{check=\"storage\"}", \
	  "1 if all is well, 0 if not, by what is looked at; as /health?deep has it") \
	X(HEALTH_ROOM, gauge, one, "health_ok{check=\"room\"}", "") \
	X(HEALTH_THREADS, gauge, one, "health_ok{check=\"threads\"}", "") \
	X(HEALTH_DISK, gauge, one, "health_ok{check=\"disk\"}", "") \
	/* set when they are asked for */ \
	X(THREAD_STALL, gauge, ms, "thread_stall_seconds", "how long the longest turn of a thread has taken until now") \
	X(PENDING_OUT, gauge, bytes, "pending_out_bytes", "bytes of private output that wait on connections") \
	X(PENDING_LARGE, gauge, bytes, "pending_large_bytes", "bytes of large frames that wait on connections, each once") \
	X(PENDING_IN, gauge, bytes, "pending_in_bytes", "bytes of large frames that are being received") \
	X(LOG_LAG, gauge, bytes, "log_lag_bytes", "bytes of the broadcast logs that the slowest I/O thread has not passed yet") \
	X(STORE_BYTES, gauge, bytes, "store_bytes", "bytes of the database on disk, its log included") \
	X(STORED_MESSAGES, gauge, one, "stored_messages", "messages in the database, deletions' marks included") \
	X(BACKUP, gauge, ms, "backup_timestamp_seconds", "when the last backup was taken, Unix time; absent if there was none") \
	X(BLOB_BYTES, gauge, bytes, "blob_bytes", "bytes of files and voices stored") \
	X(LOST_BYTES, gauge, bytes, "lost_bytes", "bytes of files in lost/, which nothing explains; each stays there for a day") \
	X(FILES_UNEXPLAINED, gauge, one, "files_unexplained", "files that no row explains and that a sweep did not dare to move") \
	/* of the disk that the data lie on; absent with :memory: */ \
	X(DISK_FREE, gauge, bytes, "disk_free_bytes", "bytes free on the disk of the data") \
	X(DISK_SIZE, gauge, bytes, "disk_size_bytes", "bytes of that disk in all") \
	X(DISK_RESERVE, gauge, bytes, "disk_reserve_bytes", "files are refused while less than this is free") \
	X(FILES_USED, gauge, bytes, "files_used_bytes", "bytes that files take on the disk, uploads under way included") \
	X(FILES_BOUND, gauge, bytes, "files_bound_bytes", "bytes that files may take; absent without a bound") \
	X(CERTIFICATE_EXPIRY, gauge, seconds, "certificate_expiry_timestamp_seconds", \
	  "when the certificate in use runs out, Unix time; absent without TLS") \
	X(PROCESS_START, gauge, ms, "process_start_time_seconds", "when the process started, Unix time") \
	X(PROCESS_CPU, counter, us, "process_cpu_seconds_total", "processor time used, user and system") \
	X(PROCESS_RESIDENT, gauge, bytes, "process_resident_memory_bytes", "resident memory of the process") \
	X(PROCESS_VIRTUAL, gauge, bytes, "process_virtual_memory_bytes", "address space of the process") \
	X(PROCESS_OPEN_FDS, gauge, one, "process_open_fds", "open file descriptors") \
	X(PROCESS_MAX_FDS, gauge, one, "process_max_fds", "the most file descriptors that may be open")

/* Distributions: how many values were at most 1, 2, 4 … of the unit. */
#define HISTOGRAMS(X) \
	X(BATCH_SIZE, "batch_size", 1, "events the room worked off at once") \
	X(COMMIT_SECONDS, "commit_seconds", 1e-6, "time a commit took")
#define HISTOGRAM_BUCKETS 24

/* clang-format off */
enum metric {
#define METRIC_ENUM(id, kind, unit, name, help) M_##id,
	METRICS(METRIC_ENUM)
#undef METRIC_ENUM
	M_COUNT,
	/* ranges of the table */
	M_EVICTED_FIRST = M_EVICTED_LAG,
	M_EVICTED_LAST = M_EVICTED_MEMORY,
	M_END_LAST = M_LEFT_SHUTDOWN,
};
/* clang-format on */

/* The value of a gauge that there is nothing to say of: its row is not shown. */
#define METRIC_ABSENT UINT64_MAX

extern _Atomic uint64_t metric_values[M_COUNT];

/* clang-format off */
enum histogram {
#define HISTOGRAM_ENUM(id, name, unit, help) H_##id,
	HISTOGRAMS(HISTOGRAM_ENUM)
#undef HISTOGRAM_ENUM
	H_COUNT
};
/* clang-format on */

/* value is in units: microseconds for seconds. Any thread. */
void metric_observe(enum histogram h, uint64_t value);
uint64_t metric_observed(enum histogram h); /* the sum of all values */

/* The labels of build_info. Both live as long as the program. Thread: main, before others ask. */
void metrics_set_build(const char *version, const char *sqlite);
/* All of it as Prometheus reads it (text format 0.0.4). */
struct buf;
void metrics_write(struct buf *b);

uint64_t metric_sum(enum metric first, enum metric last); /* of a range of rows, both ends included */

static inline void metric_add(enum metric m, uint64_t n)
{
	atomic_fetch_add_explicit(&metric_values[m], n, memory_order_relaxed);
}

static inline void metric_sub(enum metric m, uint64_t n)
{
	atomic_fetch_sub_explicit(&metric_values[m], n, memory_order_relaxed);
}

static inline void metric_set(enum metric m, uint64_t n)
{
	atomic_store_explicit(&metric_values[m], n, memory_order_relaxed);
}

static inline uint64_t metric_get(enum metric m)
{
	return atomic_load_explicit(&metric_values[m], memory_order_relaxed);
}

#endif
