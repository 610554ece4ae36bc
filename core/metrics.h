/* metrics.h — every counter and gauge of the server, declared once: name, kind, help.
 *
 * Relaxed atomics; any thread. Hot loops add up locally and call metric_add once a turn. */
#ifndef WC_METRICS_H
#define WC_METRICS_H

#include <stdatomic.h>

#include "wc.h"

#define METRICS(X) \
	X(CONNECTIONS, gauge, "connections", "WebSocket connections open now") \
	X(CONNECTS, counter, "connects_total", "WebSocket connections ever accepted") \
	X(ONLINE, gauge, "online", "people online now") \
	X(MESSAGES_IN, counter, "messages_in_total", "frames received that were whole messages") \
	X(MESSAGES, counter, "messages_total", "messages stored and published") \
	X(DELIVERIES, counter, "deliveries_total", "frames handed out, once for each connection that is to get one") \
	X(PUBLISHED_FRAMES, counter, "published_frames_total", "frames written to the broadcast logs") \
	X(PUBLISHED_BYTES, counter, "published_bytes_total", "bytes written to the broadcast logs") \
	X(INSERTS, counter, "inserts_total", "private frames handed to connections") \
	X(SENDS, counter, "sends_total", "send system calls on WebSocket connections") \
	X(SENT_BYTES, counter, "sent_bytes_total", "bytes sent on WebSocket connections") \
	X(RECEIVED_BYTES, counter, "received_bytes_total", "bytes received on WebSocket connections") \
	X(SWEEPS, counter, "sweeps_total", "passes over all connections of a log") \
	X(BATCHES, counter, "batches_total", "batches the room worked off") \
	X(BATCH_EVENTS, counter, "batch_events_total", "events in those batches") \
	X(COMMITS, counter, "commits_total", "transactions committed") \
	X(COMMIT_US, counter, "commit_microseconds_total", "time spent committing") \
	X(COMMIT_FAILURES, counter, "commit_failures_total", "transactions that failed") \
	X(LOG_WAITS, counter, "log_waits_total", "times the room waited for a sweep to make room in a log") \
	X(EVICTED_LAG, counter, "evicted_lag_total", "connections dropped because the log would have overtaken them") \
	X(EVICTED_INSERTS, counter, "evicted_inserts_total", "connections dropped because too much private output waited") \
	X(EVICTED_STALLED, counter, "evicted_stalled_total", "connections dropped because their output made no progress") \
	X(EVICTED_PENDING, counter, "evicted_pending_total", "connections dropped because memory for output was short and they did not read") \
	X(EVICTED_LARGE, counter, "evicted_large_total", "slow readers of large frames dropped because memory for those ran short") \
	X(UNFINISHED, counter, "unfinished_total", "connections closed because a message of theirs was not finished in time") \
	X(BUDGET_WAITS, counter, "budget_waits_total", "times a connection waited because too many large frames were on their way") \
	X(BUDGET_CLOSES, counter, "budget_closes_total", "connections closed because that took too long") \
	X(EVICTED_SILENT, counter, "evicted_silent_total", "connections dropped because pings went unanswered") \
	X(JOIN_TIMEOUTS, counter, "join_timeouts_total", "connections dropped because they did not join in time") \
	X(PROTOCOL_ERRORS, counter, "protocol_errors_total", "connections closed for breaking RFC 6455") \
	X(TLS_FAILURES, counter, "tls_failures_total", "connections whose TLS handshake failed") \
	X(REFUSED_BANNED, counter, "refused_total{why=\"banned\"}", "connections and requests turned away, by reason") \
	X(REFUSED_FULL, counter, "refused_total{why=\"connections\"}", "") \
	X(REFUSED_ADDRESS_FULL, counter, "refused_total{why=\"address\"}", "") \
	X(REFUSED_TOO_FAST, counter, "refused_total{why=\"handshakes\"}", "") \
	X(REFUSED_ORIGIN, counter, "refused_total{why=\"origin\"}", "") \
	X(REFUSED_HEADER, counter, "refused_total{why=\"header\"}", "") \
	X(REFUSED_HEADER_TIME, counter, "refused_total{why=\"header_time\"}", "") \
	X(REFUSED_SLOW, counter, "refused_total{why=\"slow\"}", "") \
	X(REFUSED_UPLOADS, counter, "refused_total{why=\"uploads\"}", "") \
	X(ERRORS, counter, "errors_total", "error frames sent") \
	/* by code, in the order of enum error_code */ \
	X(ERROR_BAD_REQUEST, counter, "error_codes_total{code=\"bad_request\"}", "error frames sent, by code") \
	X(ERROR_TOO_LONG, counter, "error_codes_total{code=\"too_long\"}", "") \
	X(ERROR_TOO_LARGE, counter, "error_codes_total{code=\"too_large\"}", "") \
	X(ERROR_BAD_TOKEN, counter, "error_codes_total{code=\"bad_token\"}", "") \
	X(ERROR_BAD_CODE, counter, "error_codes_total{code=\"bad_code\"}", "") \
	X(ERROR_PASSWORD_REQUIRED, counter, "error_codes_total{code=\"password_required\"}", "") \
	X(ERROR_BAD_PASSWORD, counter, "error_codes_total{code=\"bad_password\"}", "") \
	X(ERROR_NO_SUCH_USER, counter, "error_codes_total{code=\"no_such_user\"}", "") \
	X(ERROR_CID_REUSED, counter, "error_codes_total{code=\"cid_reused\"}", "") \
	X(ERROR_STORAGE, counter, "error_codes_total{code=\"storage\"}", "") \
	X(ERROR_RATE_LIMITED, counter, "error_codes_total{code=\"rate_limited\"}", "") \
	X(ERROR_MUTED, counter, "error_codes_total{code=\"muted\"}", "") \
	X(ERROR_BUSY, counter, "error_codes_total{code=\"busy\"}", "") \
	X(LIMITED_MESSAGES, counter, "limited_total{limit=\"messages\"}", "what a limit refused, by limit") \
	X(LIMITED_REQUESTS, counter, "limited_total{limit=\"requests\"}", "") \
	X(LIMITED_TYPING, counter, "limited_total{limit=\"typing\"}", "") \
	X(LIMITED_NEW_PEOPLE, counter, "limited_total{limit=\"new_people\"}", "") \
	X(LIMITED_GUESSES, counter, "limited_total{limit=\"guesses\"}", "") \
	X(FLOOD_MUTES, counter, "flood_mutes_total", "people muted for a while because they went on over a limit") \
	X(FLOOD_CLOSES, counter, "flood_closes_total", "connections closed because they went on even so") \
	X(THREAD_STALLS, counter, "thread_stalls_total", "turns of a thread that took over a second") \
	/* set when they are asked for */ \
	X(PENDING_OUT, gauge, "pending_out_bytes", "bytes of private output that wait on connections") \
	X(PENDING_LARGE, gauge, "pending_large_bytes", "bytes of large frames that wait on connections, each once") \
	X(PENDING_IN, gauge, "pending_in_bytes", "bytes of large frames that are being received") \
	X(THREAD_STALL_MS, gauge, "thread_stall_milliseconds", "how long the turn takes that takes longest now, of all threads") \
	X(LOG_LAG, gauge, "log_lag_bytes", "bytes of the broadcast logs that the slowest I/O thread has not passed yet") \
	X(STORE_BYTES, gauge, "store_bytes", "bytes of the database on disk, its log included") \
	X(BLOB_BYTES, gauge, "blob_bytes", "bytes of files and voices stored") \
	X(RESIDENT_BYTES, gauge, "resident_bytes", "memory of the process") \
	X(UPTIME, gauge, "uptime_seconds", "seconds since the start")

/* Distributions: how many values were at most 1, 2, 4 … of the unit. */
#define HISTOGRAMS(X) \
	X(BATCH_SIZE, "batch_size", 1, "events the room worked off at once") \
	X(COMMIT_SECONDS, "commit_seconds", 1e-6, "time a commit took")
#define HISTOGRAM_BUCKETS 24

enum metric {
#define METRIC_ENUM(id, kind, name, help) M_##id,
	METRICS(METRIC_ENUM)
#undef METRIC_ENUM
	M_COUNT
};

extern _Atomic uint64_t metric_values[M_COUNT];

enum histogram {
#define HISTOGRAM_ENUM(id, name, unit, help) H_##id,
	HISTOGRAMS(HISTOGRAM_ENUM)
#undef HISTOGRAM_ENUM
	H_COUNT
};

/* value is in units: microseconds for seconds. Any thread. */
void metric_observe(enum histogram h, uint64_t value);

/* All of it as Prometheus reads it (text format 0.0.4), each name with "wavechat_" before it. */
struct buf;
void metrics_write(struct buf *b);

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
