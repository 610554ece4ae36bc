/* server_plan.c — the settings of each part: shares of memory and descriptors, and the options in the terms of that part.
 *
 * Owns nothing. Starts and changes no part: server.c and server_reload.c do. Thread: main. */
#include <string.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/base64.h"
#include "base/shbuf.h"
#include "flow/ingest.h"
#include "net/seats.h"
#include "server/impl.h"

#define RING_BYTES (8u * 1024 * 1024) /* a dialect */
#define PER_ADDRESS 1000              /* connections */
#define JOIN_TIMEOUT_MS 15000
#define PING_MS 30000
#define INSERT_CAP_BYTES (1024u * 1024) /* small private output waiting on one connection */
#define FRAME_SLACK (64u * 1024)        /* JSON around a file's base64 */

static int io_threads(const struct options *o)
{
	if (o->threads)
		return o->threads;
	/* One I/O thread fans out more than a network takes; more pay when cores are plenty and TLS or many readers keep it busy. */
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores >= 8 ? 4 : cores >= 4 ? 2 : 1;
}

/* A file of the limit passes as base64, padded or not; a voice has its own limit. */
static size_t longest_message(const struct options *o)
{
	size_t file = BASE64_LEN((size_t)o->max_file_mb * 1024 * 1024);
	size_t voice = BASE64_LEN((size_t)10 * 1024 * 1024);
	size_t longest = WC_MAX(file, voice) + FRAME_SLACK;
	return o->max_message_kb ? WC_MIN(longest, WC_MAX((size_t)o->max_message_kb * 1024, (size_t)FRAME_SLACK)) : longest;
}

/* A longer message is read to its end and refused, up to twice the longest; beyond that the connection closes. */
static struct ws_limits frame_limits(struct server *s)
{
	size_t hard = 2 * longest_message(s->o), soft = longest_message(s->o);
	soft = WC_MIN(soft, (size_t)WS_MESSAGE_MAX);
	if (s->plan->budgets.frame)
		soft = WC_MIN(soft, (size_t)s->plan->budgets.frame);
	s->budget.cap_bytes = s->plan->budgets.pending_in;
	return (struct ws_limits){ .soft_bytes = soft, .hard_bytes = hard, .budget = &s->budget };
}

/* Looks at what this process may have, before the sandbox hides it. */
int server_plan(struct plan *out, const struct options *o, const struct memory_limit *limit, int inherited, char **cause)
{
	int addresses = 0;
	while (o->listen && o->listen[addresses])
		addresses++;
	const struct descriptor_opts descriptors = {
		.in_memory = strcmp(o->data, ":memory:") == 0,
		.threads = io_threads(o),
		.listeners = WC_MAX(addresses, 1) * (o->redirect_port ? 2 : 1),
		.has_admin = !o->admin_socket || strcmp(o->admin_socket, "none") != 0,
		.metrics_connections = o->metrics ? ADMIN_METRICS_CONNECTIONS : 0,
		.max_connections = o->max_connections,
		.inherited = inherited,
	};
	out->inherited = inherited;
	if (descriptors_plan(&out->descriptors, &descriptors, cause) < 0)
		return -WC_EBAD;
	const struct budget_opts budgets = {
		.in_memory = strcmp(o->data, ":memory:") == 0,
		.has_tls = o->tls_cert || o->tls_self_signed,
		.frame_bytes = longest_message(o),
		.max_connections = o->max_connections,
		.memory_mb = o->memory_mb,
		.pending_in_mb = o->pending_in_mb,
		.pending_out_mb = o->pending_out_mb,
		.recent_mb = o->recent_mb,
		.inbox_mb = o->inbox_mb,
		.memory_messages_mb = o->memory_messages_mb,
		.max_storage_mb = o->max_storage_mb,
	};
	budgets_plan(&out->budgets, &budgets, limit);
	out->connections_max = out->descriptors.connections;
	if (!o->max_connections && out->budgets.connections)
		out->connections_max = WC_MIN(out->connections_max, out->budgets.connections);
	return 0;
}

int server_plan_limits(struct server *s, char **cause)
{
	struct memory_limit limit;
	descriptors_raise();
	memory_limit_read(&limit, "");
	s->plan = &s->first_plan;
	return server_plan(&s->first_plan, s->o, &limit, descriptors_inherited(), cause);
}

struct hub_opts server_hub_opts(struct server *s)
{
	shbuf_bound(s->plan->budgets.large);
	const struct options *o = s->o;
	struct ws_limits limits = frame_limits(s);
	return (struct hub_opts){
		.threads = io_threads(o),
		.ring_bytes = RING_BYTES,
		.limits = limits,
		.join_timeout_ms = JOIN_TIMEOUT_MS,
		.ping_interval_ms = PING_MS,
		.insert_cap_bytes = INSERT_CAP_BYTES,
		.pending_cap_bytes = s->plan->budgets.pending_out,
		.message_timeout_s = o->message_timeout_s,
		.large_cap_bytes = s->plan->budgets.large,
		.exempt = o->exempt,
		.ops = ingest_ops(s->ingest),
	};
}

struct space_limits server_space_limits(const struct options *o)
{
	return (struct space_limits){ .bound_mb = o->max_storage_mb, .reserve_mb = o->free_reserve_mb };
}

struct room_settings server_room_settings(const struct options *o)
{
	return (struct room_settings){
		.history_limit = o->history_limit,
		.max_file_mb = o->max_file_mb,
		.retain_days = o->retain_days,
		.max_storage_mb = o->max_storage_mb,
		.name_hold_days = o->name_hold_days,
		.keep_addresses = o->keep_addresses,
		.accepts_orphans = o->accept_orphans,
		.message_rate = o->message_rate,
		.message_burst = o->message_burst,
		.byte_rate_kb = o->byte_rate_kb,
		.byte_burst_mb = o->byte_burst_mb,
		.request_rate = o->request_rate,
		.typing_rate = o->typing_rate,
		.flood_mute_s = o->flood_mute_s,
		.address_rate = o->address_rate,
		.address_bytes_kb = o->address_bytes_kb,
		.address_requests = o->address_requests,
		.new_people = o->new_people,
		.join_guesses = o->join_guesses,
		.exempt = o->exempt,
		.trust_proxy = o->trust_proxy,
	};
}

/* Each upload and each file being sent has one, beside its connection's. */
static int held_by_transfers(void *site)
{
	return atomic_load(&((struct site *)site)->upload_descriptors) + http_files_open();
}

int server_uploads_max(const struct server *s)
{
	const int most = s->plan->descriptors.uploads;
	return s->o->max_uploads ? WC_MIN(s->o->max_uploads, most) : most;
}

/* One address never has most of the connections that memory or descriptors allow, unless the admin gives a number. While there is room, it
 * has what it wants: a class of 40 behind one address with 3 tabs each needs 360. */
static int share_of_address(const struct server *s)
{
	const bool is_given = s->o->max_connections_per_ip >= 0 || s->o->max_connections;
	return is_given ? 0 : WC_MAX(s->plan->connections_max / 3, 1);
}

void server_http_limits(struct server *s, struct httpd_limits *out)
{
	const struct options *o = s->o;

	*out = (struct httpd_limits){
		.gate = { .head_ms = o->header_timeout * 1000,
		          .head_bytes = o->max_header_bytes,
		          .proxies = o->trust_proxy,
		          .seats = { .total = s->plan->connections_max,
		                     .descriptors = s->plan->descriptors.for_peers,
		                     .held = held_by_transfers,
		                     .held_arg = &s->site,
		                     .files_most = s->plan->descriptors.downloads,
		                     .per_address = o->max_connections_per_ip < 0 ? PER_ADDRESS : o->max_connections_per_ip,
		                     .share = share_of_address(s),
		                     .rate = o->handshake_rate,
		                     .exempt = o->exempt } },
		.allow_origin = o->allow_origin,
		.rate = o->min_body_rate,
	};
}
