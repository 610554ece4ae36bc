/* options.c — the table of wavechatd's options. Everything follows from it: parsing, --help, errors, what SIGHUP may change, the check of
 * the documentation.
 *
 * Owns the table. Opens nothing and starts nothing: values are checked for form and range, not for the files that they name.
 * Main thread, before any other runs; const functions: any thread. */
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "http/httpcheck.h"
#include "server/options_impl.h"

/* clang-format off */
const struct option_row option_table[] = {
#define AT(field) .offset = offsetof(struct options, field)
#define LIVE .is_live = true
#define COMMON .is_common = true
	{ "Serving", "port", "PORT", "N", "TCP port; 0 picks a free one", .kind = KIND_INT, AT(port), .high = 65535,
	  .fallback = 8080, COMMON },
	{ "Serving", "listen", "LISTEN", "ADDRESS", "IPv4 or IPv6 address to listen on", "every address", KIND_ADDRESSES,
	  AT(listen), COMMON },
	{ "Serving", "threads", "WAVECHAT_THREADS", "N", "I/O threads; 0: by the number of cores", .kind = KIND_INT, AT(threads),
	  .high = 64 },

	{ "Serving", "tls-cert", "WAVECHAT_TLS_CERT", "FILE", "certificate (PEM): serves HTTPS", "none", KIND_FILE,
	  AT(tls_cert), LIVE, COMMON },
	{ "Serving", "tls-key", "WAVECHAT_TLS_KEY", "FILE", "private key of the certificate (PEM)", "none", KIND_FILE, AT(tls_key),
	  LIVE, COMMON },
	{ "Serving", "tls-self-signed", "WAVECHAT_TLS_SELF_SIGNED", NULL, "serve HTTPS with a certificate made here",
	  .kind = KIND_FLAG, AT(tls_self_signed), COMMON },
	{ "Serving", "redirect-http", "WAVECHAT_REDIRECT_HTTP", "PORT", "with HTTPS: port that sends plain HTTP there; 0: none",
	  .kind = KIND_INT, AT(redirect_port), .high = 65535 },

	{ "Guarding", "trust-proxy", "WAVECHAT_TRUST_PROXY", "CIDR", "proxy whose X-Forwarded-For is believed",
	  "none", KIND_NETS, AT(trust_proxy), LIVE, COMMON },
	{ "Guarding", "allow-origin", "WAVECHAT_ALLOW_ORIGIN", "ORIGIN", "let pages of this origin connect, too",
	  "its own pages alone", KIND_ORIGINS, AT(allow_origin), LIVE },
	{ "Guarding", "max-connections", "WAVECHAT_MAX_CONNECTIONS", "N", "connections in all; 0: as many as descriptors allow",
	  .kind = KIND_INT, AT(max_connections), .high = INT_MAX, LIVE },
	{ "Guarding", "max-connections-per-ip", "WAVECHAT_MAX_CONNECTIONS_PER_IP", "N", "connections from one address; 0: no limit",
	  "1000, or a third", KIND_INT, AT(max_connections_per_ip), .high = INT_MAX, .fallback = -1, LIVE },
	{ "Guarding", "handshake-rate", "WAVECHAT_HANDSHAKE_RATE", "N", "new connections a second from one address; 0: no limit",
	  .kind = KIND_INT, AT(handshake_rate), .high = 100000, .fallback = 50, LIVE },
	{ "Guarding", "exempt", "WAVECHAT_EXEMPT", "CIDR", "addresses exempt from limits by address; \"none\" exempts nobody", "loopback",
	  KIND_NETS, AT(exempt), LIVE },
	{ "Guarding", "max-header-bytes", "WAVECHAT_MAX_HEADER_BYTES", "N", "bytes of a request's header", .kind = KIND_INT,
	  AT(max_header_bytes), .low = 1024, .high = 16384, .fallback = 16384, LIVE },
	{ "Guarding", "header-timeout", "WAVECHAT_HEADER_TIMEOUT", "SECONDS", "seconds in which a whole header must arrive",
	  .kind = KIND_INT,
	  AT(header_timeout), .low = 1, .high = 120, .fallback = 5, LIVE },
	{ "Guarding", "min-body-rate", "WAVECHAT_MIN_BODY_RATE", "N",
	  "least bytes a second of an upload or download; 0: any", .kind = KIND_INT,
	  AT(min_body_rate), .high = 1048576, .fallback = 1024, LIVE },
	{ "Guarding", "max-uploads", "WAVECHAT_MAX_UPLOADS", "N", "uploads at once; 0: as many as descriptors allow", .kind = KIND_INT, AT(max_uploads),
	  .high = INT_MAX, .fallback = 256, LIVE },
	{ "Guarding", "max-uploads-per-user", "WAVECHAT_MAX_UPLOADS_PER_USER", "N",
	  "uploads of one person at once; 0: no limit", .kind = KIND_INT,
	  AT(max_uploads_per_user), .high = INT_MAX, .fallback = 16, LIVE },

	{ "Keeping", "data", "WAVECHAT_DATA", "DIR", "folder of all data; \":memory:\" keeps nothing",
	  "$STATE_DIRECTORY, else " DATA_DEFAULT, KIND_DIR, AT(data), COMMON },
	{ "Keeping", "durability", "WAVECHAT_DURABILITY", "LEVEL", "normal survives a crash of the server, full one of the machine",
	  .kind = KIND_CHOICE, AT(durability), .fallback = DURABILITY_NORMAL, .choices = { "normal", "full" } },
	{ "Keeping", "retain-days", "WAVECHAT_RETAIN_DAYS", "N", "days that messages are kept; 0: for ever", .kind = KIND_INT,
	  AT(retain_days),
	  .high = 36500, LIVE, COMMON },
	{ "Keeping", "accept-orphans", "WAVECHAT_ACCEPT_ORPHANS", NULL,
	  "start although the database explains few files; others go to lost/",
	  .kind = KIND_FLAG, AT(accept_orphans) },
	{ "Keeping", "max-storage-mb", "WAVECHAT_MAX_STORAGE_MB", "N", "megabytes of all files; 0: any",
	  "10 % of the disk", KIND_INT, AT(max_storage_mb), .high = INT_MAX, .fallback = -1, LIVE, COMMON },
	{ "Keeping", "free-reserve-mb", "WAVECHAT_FREE_RESERVE_MB", "N", "megabytes of the disk that files leave free; 0: none",
	  "5 % of the disk", KIND_INT, AT(free_reserve_mb), .high = INT_MAX, .fallback = -1, LIVE },
	{ "Keeping", "name-hold-days", "WAVECHAT_NAME_HOLD_DAYS", "N", "days that an unused name stays reserved", .kind = KIND_INT,
	  AT(name_hold_days),
	  .high = 36500, .fallback = 90, LIVE },
	{ "Keeping", "keep-addresses", "WAVECHAT_KEEP_ADDRESSES", "DAYS", "days that the last address of each person is kept; 0: never",
	  .kind = KIND_INT, AT(keep_addresses), .high = 3650, .fallback = 7, LIVE },

	{ "Chatting", "max-file-mb", "MAX_FILE_MB", "N", "megabytes of one file", .kind = KIND_INT, AT(max_file_mb), .low = 1,
	  .high = 1024, .fallback = 25, LIVE, COMMON },
	{ "Chatting", "history-limit", "HISTORY_LIMIT", "N", "messages shown after joining, and in a page of history",
	  .kind = KIND_INT, AT(history_limit), .high = 10000, .fallback = 200, LIVE },

	{ "Chatting", "join-password-file", "WAVECHAT_JOIN_PASSWORD_FILE", "FILE",
	  "its first line is the password of the chat", "none: anybody may join", KIND_FILE, AT(join_password_file),
	  LIVE, COMMON },

	{ "Limits", "message-rate", "WAVECHAT_MESSAGE_RATE", "N", "messages a second from one person; 0, here and below: no limit",
	  .kind = KIND_INT,
	  AT(message_rate), .high = 10000, .fallback = 5, LIVE },
	{ "Limits", "message-burst", "WAVECHAT_MESSAGE_BURST", "N", "messages that one person may send at once", .kind = KIND_INT,
	  AT(message_burst), .low = 1,
	  .high = 100000, .fallback = 60, LIVE },
	{ "Limits", "byte-rate-kb", "WAVECHAT_BYTE_RATE_KB", "N", "kilobytes of text and files a second from one person", .kind = KIND_INT,
	  AT(byte_rate_kb),
	  .high = 10000000, .fallback = 2048, LIVE },
	{ "Limits", "byte-burst-mb", "WAVECHAT_BYTE_BURST_MB", "N", "megabytes that one person may send at once", .kind = KIND_INT,
	  AT(byte_burst_mb), .low = 1,
	  .high = 1000000, .fallback = 300, LIVE },
	{ "Limits", "max-message-kb", "WAVECHAT_MAX_MESSAGE_KB", "N",
	  "kilobytes of one WebSocket message; 0: enough for the largest file", .kind = KIND_INT,
	  AT(max_message_kb), .high = 2000000, LIVE },
	{ "Limits", "message-timeout", "WAVECHAT_MESSAGE_TIMEOUT", "SECONDS", "seconds in which a message of a few kilobytes must arrive",
	  .kind = KIND_INT,
	  AT(message_timeout_s), .high = 86400, .fallback = 60, LIVE },
	{ "Limits", "request-rate", "WAVECHAT_REQUEST_RATE", "N",
	  "requests for pages and lists a second from one person; bursts tenfold", .kind = KIND_INT,
	  AT(request_rate), .high = 10000, .fallback = 20, LIVE },
	{ "Limits", "typing-rate", "WAVECHAT_TYPING_RATE", "N", "typing notices a second passed on for one person", .kind = KIND_INT,
	  AT(typing_rate),
	  .high = 1000, .fallback = 2, LIVE },
	{ "Limits", "flood-mute", "WAVECHAT_FLOOD_MUTE", "SECONDS",
	  "seconds of mute for anyone who keeps exceeding these limits", .kind = KIND_INT,
	  AT(flood_mute_s),
	  .high = 86400, .fallback = 30, LIVE },
	{ "Limits", "address-rate", "WAVECHAT_ADDRESS_RATE", "N", "messages a second from one address",
	  .kind = KIND_INT, AT(address_rate), .high = 100000, .fallback = 40, LIVE },
	{ "Limits", "address-bytes-kb", "WAVECHAT_ADDRESS_BYTES_KB", "N",
	  "kilobytes of text and files a second from one address", .kind = KIND_INT, AT(address_bytes_kb),
	  .high = 10000000, .fallback = 16384, LIVE },
	{ "Limits", "address-requests", "WAVECHAT_ADDRESS_REQUESTS", "N", "requests a second from one address; bursts tenfold",
	  .kind = KIND_INT, AT(address_requests), .high = 100000, .fallback = 200, LIVE },
	{ "Limits", "new-people", "WAVECHAT_NEW_PEOPLE", "N", "new people from one address in ten minutes", .kind = KIND_INT,
	  AT(new_people), .high = 1000000,
	  .fallback = 200, LIVE },
	{ "Limits", "join-guesses", "WAVECHAT_JOIN_GUESSES", "N", "wrong passwords from one address in a minute", .kind = KIND_INT,
	  AT(join_guesses),
	  .high = 10000, .fallback = 10, LIVE },

	{ "Memory", "memory-mb", "WAVECHAT_MEMORY_MB", "N", "megabytes the server may use; 0: all of the cgroup or machine",
	  .kind = KIND_INT, AT(memory_mb), .high = 10000000 },
	{ "Memory", "pending-in-mb", "WAVECHAT_PENDING_IN_MB", "N", "megabytes of large messages on their way in; 0, here and below: any",
	  "256 or less", KIND_INT, AT(pending_in_mb), .high = 1000000, .fallback = -1, LIVE },
	{ "Memory", "pending-out-mb", "WAVECHAT_PENDING_OUT_MB", "N", "megabytes waiting for clients that do not read, in all",
	  "256 or less", KIND_INT, AT(pending_out_mb), .high = 1000000, .fallback = -1, LIVE },
	{ "Memory", "recent-mb", "WAVECHAT_RECENT_MB", "N", "megabytes of the newest messages, kept ready for joins",
	  "by memory", KIND_INT, AT(recent_mb), .high = 1000000, .fallback = -1 },
	{ "Memory", "inbox-mb", "WAVECHAT_INBOX_MB", "N", "megabytes received and not yet processed", "16 or less", KIND_INT,
	  AT(inbox_mb), .high = 1000000, .fallback = -1 },
	{ "Memory", "memory-messages-mb", "WAVECHAT_MEMORY_MESSAGES_MB", "N", "with :memory:, megabytes of messages kept",
	  "256 or less", KIND_INT, AT(memory_messages_mb), .high = 1000000, .fallback = -1 },

	{ "Running", "user", "WAVECHAT_USER", "NAME", "user to become once the ports are open; or UID:GID",
	  "the one that started it", KIND_PATH, AT(user), COMMON },
	{ "Running", "sandbox", "WAVECHAT_SANDBOX", "MODE", "give up unneeded rights; require: all of them, or do not start",
	  .kind = KIND_CHOICE, AT(sandbox), .fallback = SANDBOX_ON, .choices = { "on", "require", "off" } },
	{ "Running", "admin-socket", "WAVECHAT_ADMIN_SOCKET", "PATH", "unix socket for wavechatctl; \"none\" opens none",
	  "in the data folder, see wavechatd(8)", KIND_PATH, AT(admin_socket) },
	{ "Running", "metrics", "WAVECHAT_METRICS", "ADDRESS:PORT", "serve Prometheus metrics over plain HTTP, at /metrics",
	  "none; see wavechatctl metrics", KIND_ENDPOINT, AT(metrics) },

	{ "Logging", "log-level", "WAVECHAT_LOG_LEVEL", "LEVEL", "amount of log on standard error", .kind = KIND_CHOICE,
	  AT(log_level), .fallback = LOG_INFO, .choices = { "error", "warn", "info", "debug" }, LIVE, COMMON },
	{ "Logging", "log-format", "WAVECHAT_LOG_FORMAT", "FORMAT", "form of a line of the log", .kind = KIND_CHOICE,
	  AT(log_format), .fallback = LOG_TEXT, .choices = { "text", "json" }, LIVE },

	{ "Other", "config", "WAVECHAT_CONFIG", "FILE", "settings, one NAME=VALUE a line; -FILE: if it exists",
	  "none", KIND_CONFIG, AT(config), COMMON },
	{ "Other", "check", NULL, NULL, "check settings and data, say what is wrong, exit", .kind = KIND_FLAG, AT(check), COMMON },
	{ "Other", "version", NULL, NULL, "print the versions of the program and its libraries", .kind = KIND_VERSION, COMMON },
	{ "Other", "licenses", NULL, NULL, "print the licence and the notices of the libraries", .kind = KIND_LICENSES, COMMON },
	{ "Other", "help", NULL, NULL, "print this; --help all: every option, with variables", .kind = KIND_HELP, COMMON },
	{ "Other", "help-table", NULL, NULL, .kind = KIND_TABLE },
#undef AT
#undef LIVE
#undef COMMON
};
/* clang-format on */

const size_t option_count = WC_LEN(option_table);

_Static_assert(WC_LEN(option_table) <= OPTIONS_MAX, "struct options remembers where each came from");
_Static_assert(HTTP_HEAD_BYTES == 16384, "--max-header-bytes ends where the gate's memory does");
/* Enums are as wide as int with every compiler this is built with; the table writes them as such. */
_Static_assert(sizeof(enum durability) == sizeof(int) && sizeof(enum log_level) == sizeof(int) && sizeof(enum log_format) == sizeof(int) &&
                       sizeof(enum sandbox_mode) == sizeof(int),
               "KIND_CHOICE stores an int");

const struct option_row *option_find(const char *name, size_t len)
{
	for (size_t i = 0; i < option_count; i++)
		if (strlen(option_table[i].name) == len && memcmp(option_table[i].name, name, len) == 0)
			return &option_table[i];
	return NULL;
}

const struct option_row *option_of_variable(const char *name)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].env && strcmp(option_table[i].env, name) == 0)
			return &option_table[i];
	return NULL;
}

bool option_takes_value(const struct option_row *row)
{
	return row->kind <= KIND_ORIGINS;
}

bool option_is_setting(const struct option_row *row)
{
	return row->kind <= KIND_FLAG;
}

const char *options_config_path(const struct options *o)
{
	return o->config && o->config[0] == '-' ? o->config + 1 : o->config;
}

bool options_each_file(const struct options *o, bool (*fn)(void *arg, const char *path), void *arg)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		const char *path = row->kind == KIND_FILE ? *(char *const *)((const char *)o + row->offset) : NULL;

		if (row->kind == KIND_CONFIG)
			path = options_config_path(o);
		if (path && !fn(arg, path))
			return false;
	}
	return true;
}

void options_fini(struct options *o)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_is_setting(&option_table[i]))
			option_clear(o, &option_table[i]);
}
