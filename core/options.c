/* options.c — the table of wavechatd's options, and everything that follows from it: parsing, --help, errors, the check of the
 * documentation.
 *
 * Owns the table. Opens nothing and starts nothing: values are checked for form and range; what they name is for those who use it.
 * Main thread, before any other runs. */
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "httpcheck.h"
#include "origin.h"
#include "version.h"

#define PROGRAM "wavechatd"
#define DATA_DEFAULT "./wavechat-data"
/* What files may take in memory, where nothing else bounds them. */
#define MEMORY_STORAGE_MB 256

enum kind {
	KIND_INT,     /* int, low..high */
	KIND_CHOICE,  /* an enum, by the words in `choices`, in the enum's order */
	KIND_DIR,     /* char *, any text but the empty one */
	KIND_FILE,    /* the same, a file's path */
	KIND_ADDRESS, /* char *, a numeric IPv4 or IPv6 address; kept without brackets */
	KIND_PATH,    /* char *, any text but the empty one */
	KIND_ENDPOINT, /* char *, a numeric address, a colon, a port; IPv6 in brackets */
	KIND_NETS,    /* struct ip_nets; of these two kinds a value may have several, and each further one adds to them */
	KIND_ORIGINS, /* char **, normalized */
	KIND_FLAG,    /* bool; takes no value as an option, yes or no as a variable */
	KIND_VERSION, /* these end the program; take no value */
	KIND_HELP,
	KIND_TABLE,
};

static const struct option_row {
	const char *group;      /* heading in --help; rows of a group stand together */
	const char *name;
	const char *env;        /* variable, or NULL */
	const char *value;      /* what --help calls the value */
	const char *help;       /* NULL: not in --help */
	const char *unset;      /* how --help names the default, where the value does not say it */
	enum kind kind;
	size_t offset;          /* in struct options */
	int low, high;          /* KIND_INT */
	int fallback;           /* KIND_INT, KIND_CHOICE */
	const char *choices[5]; /* KIND_CHOICE, ends with NULL */
} table[] = {
#define AT(field) .offset = offsetof(struct options, field)
	{ "Serving", "port", "PORT", "N", "TCP port; 0 picks a free one", .kind = KIND_INT, AT(port), .high = 65535, .fallback = 8080 },
	{ "Serving", "listen", "LISTEN", "ADDRESS", "numeric IPv4 or IPv6 address to listen on", "every address", KIND_ADDRESS,
	  AT(listen) },
	{ "Serving", "threads", "WAVECHAT_THREADS", "N", "I/O threads; 0: by the number of cores", .kind = KIND_INT, AT(threads),
	  .high = 64 },

	{ "Serving", "tls-cert", "WAVECHAT_TLS_CERT", "FILE", "PEM certificate: serves HTTPS; read again at SIGHUP", "none", KIND_FILE,
	  AT(tls_cert) },
	{ "Serving", "tls-key", "WAVECHAT_TLS_KEY", "FILE", "the certificate's private key, PEM", "none", KIND_FILE, AT(tls_key) },
	{ "Serving", "tls-self-signed", "WAVECHAT_TLS_SELF_SIGNED", NULL, "serve HTTPS with a certificate made and kept here",
	  .kind = KIND_FLAG, AT(tls_self_signed) },
	{ "Serving", "redirect-http", "WAVECHAT_REDIRECT_HTTP", "PORT", "with HTTPS: a second port that sends everyone there; 0: none",
	  .kind = KIND_INT,
	  AT(redirect_port), .high = 65535 },

	{ "Guarding", "trust-proxy", "WAVECHAT_TRUST_PROXY", "CIDR", "take the word of a proxy there for its clients' addresses",
	  "none", KIND_NETS, AT(trust_proxy) },
	{ "Guarding", "allow-origin", "WAVECHAT_ALLOW_ORIGIN", "ORIGIN", "let pages of that origin talk to the server, too",
	  "its own pages alone", KIND_ORIGINS, AT(allow_origin) },
	{ "Guarding", "max-connections", "WAVECHAT_MAX_CONNECTIONS", "N", "connections in all; 0: as many as descriptors allow",
	  .kind = KIND_INT, AT(max_connections), .high = INT_MAX },
	{ "Guarding", "max-connections-per-ip", "WAVECHAT_MAX_CONNECTIONS_PER_IP", "N", "connections from one address; 0: no limit",
	  .kind = KIND_INT, AT(max_connections_per_ip), .high = INT_MAX, .fallback = 1000 },
	{ "Guarding", "handshake-rate", "WAVECHAT_HANDSHAKE_RATE", "N", "connections an address may make a second; 0: no limit",
	  .kind = KIND_INT, AT(handshake_rate), .high = 100000, .fallback = 50 },
	{ "Guarding", "exempt", "WAVECHAT_EXEMPT", "CIDR", "addresses that these two do not limit; \"none\": none", "loopback",
	  KIND_NETS, AT(exempt) },
	{ "Guarding", "max-header-bytes", "WAVECHAT_MAX_HEADER_BYTES", "N", "bytes of a request's header", .kind = KIND_INT,
	  AT(max_header_bytes), .low = 1024, .high = 16384, .fallback = 16384 },
	{ "Guarding", "header-timeout", "WAVECHAT_HEADER_TIMEOUT", "SECONDS", "time for a whole header to arrive", .kind = KIND_INT,
	  AT(header_timeout), .low = 1, .high = 120, .fallback = 5 },
	{ "Guarding", "min-body-rate", "WAVECHAT_MIN_BODY_RATE", "N", "bytes a second that files must move; 0: any", .kind = KIND_INT,
	  AT(min_body_rate), .high = 1048576, .fallback = 1024 },
	{ "Guarding", "max-uploads", "WAVECHAT_MAX_UPLOADS", "N", "uploads at once; 0: no limit", .kind = KIND_INT, AT(max_uploads),
	  .high = INT_MAX, .fallback = 256 },
	{ "Guarding", "max-uploads-per-user", "WAVECHAT_MAX_UPLOADS_PER_USER", "N", "of one person; 0: no limit", .kind = KIND_INT,
	  AT(max_uploads_per_user), .high = INT_MAX, .fallback = 16 },

	{ "Keeping", "data", "WAVECHAT_DATA", "DIR", "folder for all that is kept, made if missing; \":memory:\" keeps nothing",
	  "$STATE_DIRECTORY, else " DATA_DEFAULT, KIND_DIR, AT(data) },
	{ "Keeping", "durability", "WAVECHAT_DURABILITY", "LEVEL", "normal: outlives a crash of the server; full: of the machine too",
	  .kind = KIND_CHOICE, AT(durability), .fallback = DURABILITY_NORMAL, .choices = { "normal", "full" } },
	{ "Keeping", "retain-days", "WAVECHAT_RETAIN_DAYS", "N", "days after which messages are removed; 0: never", .kind = KIND_INT,
	  AT(retain_days),
	  .high = 36500 },
	{ "Keeping", "max-storage-mb", "WAVECHAT_MAX_STORAGE_MB", "N", "megabytes of files kept, oldest removed first; 0: no bound",
	  "10 % of the disk", KIND_INT, AT(max_storage_mb), .high = INT_MAX,
	  .fallback = -1 },
	{ "Keeping", "free-reserve-mb", "WAVECHAT_FREE_RESERVE_MB", "N", "megabytes of the disk that files leave free; 0: none",
	  "5 % of the disk", KIND_INT, AT(free_reserve_mb), .high = INT_MAX, .fallback = -1 },
	{ "Keeping", "name-hold-days", "WAVECHAT_NAME_HOLD_DAYS", "N", "days an unused name stays its owner's", .kind = KIND_INT,
	  AT(name_hold_days),
	  .high = 36500, .fallback = 90 },

	{ "Chatting", "max-file-mb", "MAX_FILE_MB", "N", "megabytes a file may have", .kind = KIND_INT, AT(max_file_mb), .low = 1,
	  .high = 1024, .fallback = 25 },
	{ "Chatting", "history-limit", "HISTORY_LIMIT", "N", "messages that somebody joining is shown, and in a page of history",
	  .kind = KIND_INT, AT(history_limit), .high = 10000, .fallback = 200 },

	{ "Chatting", "join-password-file", "WAVECHAT_JOIN_PASSWORD_FILE", "FILE",
	  "only those join who know its first line; read again at SIGHUP", "none: anybody may join", KIND_FILE, AT(join_password_file) },

	{ "Limits", "message-rate", "WAVECHAT_MESSAGE_RATE", "N", "messages a second from one person; 0, here and below: no limit",
	  .kind = KIND_INT,
	  AT(message_rate), .high = 10000, .fallback = 5 },
	{ "Limits", "message-burst", "WAVECHAT_MESSAGE_BURST", "N", "messages one person may send at once", .kind = KIND_INT,
	  AT(message_burst), .low = 1,
	  .high = 100000, .fallback = 60 },
	{ "Limits", "byte-rate-kb", "WAVECHAT_BYTE_RATE_KB", "N", "kilobytes of texts and files a second from one person", .kind = KIND_INT,
	  AT(byte_rate_kb),
	  .high = 10000000, .fallback = 2048 },
	{ "Limits", "byte-burst-mb", "WAVECHAT_BYTE_BURST_MB", "N", "megabytes one person may send at once", .kind = KIND_INT,
	  AT(byte_burst_mb), .low = 1,
	  .high = 1000000, .fallback = 300 },
	{ "Limits", "max-message-kb", "WAVECHAT_MAX_MESSAGE_KB", "N",
	  "kilobytes of one WebSocket message; 0: what the largest file needs in one", .kind = KIND_INT,
	  AT(max_message_kb), .high = 2000000 },
	{ "Limits", "message-timeout", "WAVECHAT_MESSAGE_TIMEOUT", "SECONDS", "how long a message of a few kilobytes may take to arrive",
	  .kind = KIND_INT,
	  AT(message_timeout_s), .high = 86400, .fallback = 60 },
	{ "Limits", "pending-in-mb", "WAVECHAT_PENDING_IN_MB", "N", "megabytes of large messages being received, in all", .kind = KIND_INT,
	  AT(pending_in_mb),
	  .high = 1000000, .fallback = 256 },
	{ "Limits", "pending-out-mb", "WAVECHAT_PENDING_OUT_MB", "N", "megabytes waiting for those who do not read, in all",
	  .kind = KIND_INT, AT(pending_out_mb),
	  .high = 1000000, .fallback = 256 },
	{ "Limits", "request-rate", "WAVECHAT_REQUEST_RATE", "N",
	  "requests for history and lists a second from one person; tenfold at once", .kind = KIND_INT,
	  AT(request_rate), .high = 10000, .fallback = 20 },
	{ "Limits", "typing-rate", "WAVECHAT_TYPING_RATE", "N", "signs of typing passed on a second from one person", .kind = KIND_INT,
	  AT(typing_rate),
	  .high = 1000, .fallback = 2 },
	{ "Limits", "flood-mute", "WAVECHAT_FLOOD_MUTE", "SECONDS", "how long somebody is muted who ignores these limits", .kind = KIND_INT,
	  AT(flood_mute_s),
	  .high = 86400, .fallback = 30 },
	{ "Limits", "new-people", "WAVECHAT_NEW_PEOPLE", "N", "new people from one address in ten minutes", .kind = KIND_INT,
	  AT(new_people), .high = 1000000,
	  .fallback = 200 },
	{ "Limits", "join-guesses", "WAVECHAT_JOIN_GUESSES", "N", "wrong passwords from one address in a minute", .kind = KIND_INT,
	  AT(join_guesses),
	  .high = 10000, .fallback = 10 },

	{ "Running", "user", "WAVECHAT_USER", "NAME", "user to become once the ports are open; also UID:GID",
	  "stay who started it", KIND_PATH, AT(user) },
	{ "Running", "sandbox", "WAVECHAT_SANDBOX", "MODE", "give up what is not needed; require: or do not start",
	  .kind = KIND_CHOICE, AT(sandbox), .fallback = SANDBOX_ON, .choices = { "on", "require", "off" } },
	{ "Running", "admin-socket", "WAVECHAT_ADMIN_SOCKET", "PATH", "unix socket for wavechatctl; \"none\" opens none",
	  "see wavechatd(8)", KIND_PATH, AT(admin_socket) },
	{ "Running", "metrics", "WAVECHAT_METRICS", "ADDRESS:PORT", "serve Prometheus metrics over plain HTTP, at /metrics",
	  "not over TCP; wavechatctl metrics", KIND_ENDPOINT, AT(metrics) },

	{ "Logging", "log-level", "WAVECHAT_LOG_LEVEL", "LEVEL", "how much is logged, on standard error", .kind = KIND_CHOICE,
	  AT(log_level), .fallback = LOG_INFO, .choices = { "error", "warn", "info", "debug" } },
	{ "Logging", "log-format", "WAVECHAT_LOG_FORMAT", "FORMAT", "what a line of the log looks like", .kind = KIND_CHOICE,
	  AT(log_format), .fallback = LOG_TEXT, .choices = { "text", "json" } },

	{ "Other", "check", NULL, NULL, "check options and data, say what is wrong, exit", .kind = KIND_FLAG, AT(check) },
	{ "Other", "version", NULL, NULL, "print the versions of the program and its libraries, exit", .kind = KIND_VERSION },
	{ "Other", "help", NULL, NULL, "print this, exit", .kind = KIND_HELP },
	{ "Other", "help-table", NULL, NULL, .kind = KIND_TABLE },
#undef AT
};

static bool takes_value(const struct option_row *row)
{
	return row->kind <= KIND_ORIGINS;
}

static void *field_of(struct options *o, const struct option_row *row)
{
	return (char *)o + row->offset;
}

_Static_assert(HTTP_HEAD_BYTES == 16384, "--max-header-bytes ends where the gate's memory does");
/* Enums are as wide as int with every compiler this is built with; the table writes them as such. */
_Static_assert(sizeof(enum durability) == sizeof(int) && sizeof(enum log_level) == sizeof(int) && sizeof(enum log_format) == sizeof(int) &&
                       sizeof(enum sandbox_mode) == sizeof(int),
               "KIND_CHOICE stores an int");

/* --- Values */

static bool parse_int(const char *s, int low, int high, int *out)
{
	char *end;
	long n;

	/* strtol would take blanks and a plus sign */
	if ((*s < '0' || *s > '9') && *s != '-')
		return false;
	errno = 0;
	n = strtol(s, &end, 10);
	if (errno != 0 || *end != '\0' || end == s || n < low || n > high)
		return false;
	*out = (int)n;
	return true;
}

static bool parse_flag(const char *s, bool *out)
{
	static const char *const words[] = { "yes", "no", "on", "off", "true", "false", "1", "0" };

	for (size_t i = 0; i < WC_LEN(words); i++)
		if (strcmp(s, words[i]) == 0) {
			*out = i % 2 == 0;
			return true;
		}
	return false;
}

/* The address without brackets, or NULL. */
static char *parse_address(const char *s)
{
	size_t len = strlen(s);
	bool is_bracketed = len > 2 && s[0] == '[' && s[len - 1] == ']';
	struct in6_addr scratch;
	char *bare = xstrdup(is_bracketed ? s + 1 : s);

	if (is_bracketed)
		bare[len - 2] = '\0';
	if (inet_pton(AF_INET6, bare, &scratch) == 1 || (!is_bracketed && inet_pton(AF_INET, bare, &scratch) == 1))
		return bare;
	free(bare);
	return NULL;
}

static bool is_endpoint(const char *s)
{
	const char *colon = strrchr(s, ':');
	char *host, *address;
	int port;
	bool is_one;

	if (!colon || !parse_int(colon + 1, 0, 65535, &port))
		return false;
	host = strndup(s, (size_t)(colon - s));
	address = host ? parse_address(host) : NULL;
	is_one = address && (s[0] == '[' || !strchr(host, ':')); /* a bare IPv6 address would swallow the port */
	free(host);
	free(address);
	return is_one;
}

/* What a value has to be, in words, for errors and --help. */
static const char *describe_range(const struct option_row *row, char *out, size_t room)
{
	size_t n = 0;

	switch (row->kind) {
	case KIND_INT:
		if (row->high == INT_MAX)
			snprintf(out, room, "%d or more", row->low);
		else
			snprintf(out, room, "%d to %d", row->low, row->high);
		return out;
	case KIND_CHOICE:
		for (size_t i = 0; row->choices[i] && n < room; i++)
			n += (size_t)snprintf(out + n, room - n, "%s%s", i == 0 ? "" : row->choices[i + 1] ? ", " : " or ", row->choices[i]);
		return out;
	case KIND_ADDRESS:
		return "a numeric address such as 127.0.0.1 or ::1";
	case KIND_ENDPOINT:
		return "a numeric address and a port such as 127.0.0.1:9100 or [::1]:9100";
	case KIND_PATH:
		return "a file's path, or none";
	case KIND_DIR:
		return "a folder, or :memory:";
	case KIND_FILE:
		return "a file's path";
	case KIND_NETS:
		return "addresses or networks such as 10.0.0.0/8 or ::1";
	case KIND_FLAG:
		return "yes or no";
	case KIND_ORIGINS:
		return "origins such as https://chat.example.com, without a path";
	default:
		return "";
	}
}

/* A list's next item; blanks and commas part them. */
static bool next_item(const char **s, char out[ORIGIN_BYTES], bool *fits)
{
	size_t n;

	*s += strspn(*s, " \t,");
	n = strcspn(*s, " \t,");
	*fits = n < ORIGIN_BYTES;
	if (*fits) {
		memcpy(out, *s, n);
		out[n] = '\0';
	}
	*s += n;
	return n > 0;
}

static bool add_nets(struct ip_nets *nets, const char *value)
{
	char item[ORIGIN_BYTES];
	bool fits, has_any = false;

	while (next_item(&value, item, &fits)) {
		struct ip_net net = { .until_ms = 0 };

		has_any = true;
		if (fits && strcmp(item, "none") == 0)
			continue;
		if (!fits || !ip_net_parse(item, net.addr, &net.bits))
			return false;
		nets->v = xrealloc(nets->v, (nets->n + 1) * sizeof(net));
		nets->v[nets->n++] = net;
	}
	return has_any;
}

static bool add_origins(char ***list, const char *value)
{
	char item[ORIGIN_BYTES], normal[ORIGIN_BYTES];
	bool fits, has_any = false;
	size_t n = 0;

	while (*list && (*list)[n])
		n++;
	while (next_item(&value, item, &fits)) {
		has_any = true;
		if (!fits || !origin_normalize((struct str){ item, strlen(item) }, normal))
			return false;
		*list = xrealloc(*list, (n + 2) * sizeof(char *));
		(*list)[n++] = xstrdup(normal);
		(*list)[n] = NULL;
	}
	return has_any;
}

/* False: the value is not in the row's range, and nothing was changed. */
static bool set_value(struct options *o, const struct option_row *row, const char *value)
{
	void *field = field_of(o, row);
	char *text;

	switch (row->kind) {
	case KIND_INT:
		return parse_int(value, row->low, row->high, field);
	case KIND_CHOICE:
		for (int i = 0; row->choices[i]; i++)
			if (strcmp(row->choices[i], value) == 0) {
				memcpy(field, &i, sizeof(i));
				return true;
			}
		return false;
	case KIND_ADDRESS:
	case KIND_DIR:
	case KIND_PATH:
	case KIND_FILE:
	case KIND_ENDPOINT:
		if (row->kind == KIND_ADDRESS)
			text = parse_address(value);
		else
			text = *value && (row->kind != KIND_ENDPOINT || is_endpoint(value)) ? xstrdup(value) : NULL;
		if (!text)
			return false;
		free(*(char **)field);
		*(char **)field = text;
		return true;
	case KIND_FLAG:
		return parse_flag(value, field);
	case KIND_NETS:
		return add_nets(field, value);
	case KIND_ORIGINS:
		return add_origins(field, value);
	default:
		return false;
	}
}

/* --- Errors: one line each */

static enum options_result refuse_value(const struct option_row *row, const char *source, const char *value)
{
	char quoted[512], range[128];

	fprintf(stderr, PROGRAM ": %s %s: must be %s%s\n", source, log_quote(quoted, (struct str){ value, strlen(value) }),
	        row->kind == KIND_INT ? "a whole number, " : "", describe_range(row, range, sizeof(range)));
	return OPTIONS_EXIT_USAGE;
}

/* Edits that make a into b (Levenshtein). Only as far as any option's name is long; what is longer is not near. */
static size_t edit_distance(const char *a, size_t a_len, const char *b)
{
	enum { LONGEST = 32 };
	size_t b_len = strlen(b), row[LONGEST + 1];

	if (a_len > LONGEST || b_len > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t above = row[j], change = diagonal + (a[i - 1] != b[j - 1]);

			row[j] = WC_MIN(change, WC_MIN(above, row[j - 1]) + 1);
			diagonal = above;
		}
	}
	return row[b_len];
}

static enum options_result refuse_unknown(const char *arg)
{
	const char *name = arg + strspn(arg, "-"), *nearest = NULL;
	size_t len = strcspn(name, "="), best = 4; /* further off is no typing error */
	char quoted[512];

	for (size_t i = 0; i < WC_LEN(table) && arg[0] == '-' && len > 0; i++) {
		size_t distance = edit_distance(name, len, table[i].name);

		if (table[i].help && strncmp(name, table[i].name, len) == 0)
			distance = 0;
		if (table[i].help && distance < best && distance < len) {
			best = distance;
			nearest = table[i].name;
		}
	}
	log_quote(quoted, (struct str){ arg, strlen(arg) });
	if (arg[0] != '-')
		fprintf(stderr, PROGRAM ": %s: takes options only; see " PROGRAM " --help\n", quoted);
	else if (nearest)
		fprintf(stderr, PROGRAM ": no option %s; did you mean --%s?\n", quoted, nearest);
	else
		fprintf(stderr, PROGRAM ": no option %s; see " PROGRAM " --help\n", quoted);
	return OPTIONS_EXIT_USAGE;
}

/* --- Help */

static void describe_default(const struct option_row *row, char *out, size_t room)
{
	if (row->unset)
		snprintf(out, room, "%s", row->unset);
	else if (row->kind == KIND_CHOICE)
		snprintf(out, room, "%s", row->choices[row->fallback]);
	else
		snprintf(out, room, "%d", row->fallback);
}

static void print_help(void)
{
	const char *group = "";

	printf("usage: " PROGRAM " [--OPTION VALUE]...\n\n"
	       "A chat in one program: start it, open the address it prints, talk.\n\n"
	       "  " PROGRAM "                                   on port 8080, keeping all in " DATA_DEFAULT "\n"
	       "  " PROGRAM " --port 80 --data /var/lib/wavechat\n"
	       "  " PROGRAM " --listen 127.0.0.1 --port 0       only for this machine, on any free port\n");
	for (size_t i = 0; i < WC_LEN(table); i++) {
		const struct option_row *row = &table[i];
		char left[64], range[128], fallback[128];

		if (!row->help)
			continue;
		if (strcmp(group, row->group) != 0)
			printf("\n%s\n", group = row->group);
		snprintf(left, sizeof(left), "--%s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");
		printf("  %-24s %s\n", left, row->help);
		if (row->kind == KIND_FLAG && row->env)
			printf("  %-24s   [yes or no; default no; $%s]\n", "", row->env);
		if (!takes_value(row))
			continue;
		describe_default(row, fallback, sizeof(fallback));
		printf("  %-24s   [%s%s", "", row->kind == KIND_INT || row->kind == KIND_CHOICE ? describe_range(row, range, sizeof(range)) : "",
		       row->kind == KIND_INT || row->kind == KIND_CHOICE ? "; " : "");
		printf("default %s%s%s]\n", fallback, row->env ? "; $" : "", row->env ? row->env : "");
	}
	printf("\nAn option beats its $VARIABLE, which beats the default. An empty variable counts as unset.\n"
	       "Exit status: 0 stopped as asked, 1 could not start or run, 2 a wrong option or variable.\n");
}

void options_print_table(void)
{
	for (size_t i = 0; i < WC_LEN(table); i++)
		if (table[i].help)
			printf("--%s%s%s%s%s\n", table[i].name, table[i].value ? " " : "", table[i].value ? table[i].value : "",
			       table[i].env ? " " : "", table[i].env ? table[i].env : "");
}

/* --- Parsing */

static const struct option_row *find_row(const char *name, size_t len)
{
	for (size_t i = 0; i < WC_LEN(table); i++)
		if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
			return &table[i];
	return NULL;
}

/* One argument, and the next if it is its value. given[i]: row i was set, so its variable is not looked at. */
static enum options_result parse_argument(struct options *o, char **argv, int *at, bool given[WC_LEN(table)])
{
	const char *arg = argv[*at], *value;
	const struct option_row *row = NULL;
	char source[64];
	size_t len;

	if (strcmp(arg, "-h") == 0)
		arg = "--help";
	if (strcmp(arg, "-V") == 0)
		arg = "--version";
	len = strcspn(arg, "=");
	if (strncmp(arg, "--", 2) == 0 && len > 2)
		row = find_row(arg + 2, len - 2);
	if (!row)
		return refuse_unknown(arg);
	value = arg[len] == '=' ? arg + len + 1 : NULL;

	snprintf(source, sizeof(source), "--%s", row->name);
	if (!takes_value(row)) {
		if (value) {
			fprintf(stderr, PROGRAM ": %s takes no value\n", source);
			return OPTIONS_EXIT_USAGE;
		}
		switch (row->kind) {
		case KIND_HELP: print_help(); return OPTIONS_EXIT_OK;
		case KIND_VERSION: version_print(PROGRAM); return OPTIONS_EXIT_OK;
		case KIND_TABLE: options_print_table(); return OPTIONS_EXIT_OK;
		default:
			*(bool *)field_of(o, row) = true;
			given[row - table] = true;
			return OPTIONS_RUN;
		}
	}
	if (!value && !(value = argv[*at + 1])) {
		char range[128];

		fprintf(stderr, PROGRAM ": %s needs a value: %s\n", source, describe_range(row, range, sizeof(range)));
		return OPTIONS_EXIT_USAGE;
	}
	if (arg[len] != '=')
		++*at;
	if (!set_value(o, row, value))
		return refuse_value(row, source, value);
	given[row - table] = true;
	return OPTIONS_RUN;
}

/* Where --data and its variable say nothing. systemd may name several folders, apart by colons: the first is ours. */
static char *default_data(void)
{
	const char *state = getenv("STATE_DIRECTORY");
	char *dir;

	if (state)
		state += strspn(state, ":");
	if (!state || !*state)
		return xstrdup(DATA_DEFAULT);
	dir = xstrdup(state);
	dir[strcspn(dir, ":")] = '\0';
	return dir;
}

/* Those that make sense together only. False: said what is wrong. */
static bool options_agree(const struct options *o)
{
	const char *wrong = NULL;

	if (!o->tls_cert != !o->tls_key)
		wrong = o->tls_cert ? "--tls-cert needs --tls-key, the certificate's private key" : "--tls-key needs --tls-cert, the key's certificate";
	else if (o->tls_cert && o->tls_self_signed)
		wrong = "--tls-self-signed and --tls-cert: give one of them";
	else if (o->redirect_port && !o->tls_cert && !o->tls_self_signed)
		wrong = "--redirect-http needs HTTPS to send people to: --tls-cert and --tls-key, or --tls-self-signed";
	if (wrong)
		fprintf(stderr, PROGRAM ": %s\n", wrong);
	return !wrong;
}

enum options_result options_parse(struct options *o, int argc, char **argv)
{
	bool given[WC_LEN(table)] = { false };
	enum options_result result;
	const struct option_row *row;

	memset(o, 0, sizeof(*o));
	for (row = table; row < table + WC_LEN(table); row++)
		if (row->kind == KIND_INT || row->kind == KIND_CHOICE)
			memcpy(field_of(o, row), &row->fallback, sizeof(row->fallback));

	for (int at = 1; at < argc; at++)
		if ((result = parse_argument(o, argv, &at, given)) != OPTIONS_RUN)
			goto out;
	for (row = table; row < table + WC_LEN(table); row++) {
		const char *value = row->env && !given[row - table] ? getenv(row->env) : NULL;

		if (!value || !*value)
			continue;
		if (!set_value(o, row, value)) {
			result = refuse_value(row, row->env, value);
			goto out;
		}
		given[row - table] = true;
	}
	if (!options_agree(o)) {
		result = OPTIONS_EXIT_USAGE;
		goto out;
	}
	if (!o->data)
		o->data = default_data();
	if (!given[find_row("exempt", 6) - table])
		add_nets(&o->exempt, "127.0.0.0/8 ::1");
	if (strcmp(o->data, ":memory:") == 0 && !given[find_row("max-storage-mb", 14) - table])
		o->max_storage_mb = MEMORY_STORAGE_MB;
	return OPTIONS_RUN;
out:
	options_fini(o);
	return result;
}

bool options_each_file(const struct options *o, bool (*fn)(void *arg, const char *path), void *arg)
{
	for (const struct option_row *row = table; row < table + WC_LEN(table); row++) {
		const char *path = row->kind == KIND_FILE ? *(char *const *)((const char *)o + row->offset) : NULL;

		if (path && !fn(arg, path))
			return false;
	}
	return true;
}

void options_fini(struct options *o)
{
	free(o->data);
	free(o->listen);
	free(o->admin_socket);
	free(o->metrics);
	free(o->user);
	free(o->tls_cert);
	free(o->tls_key);
	free(o->trust_proxy.v);
	free(o->exempt.v);
	for (char **origin = o->allow_origin; origin && *origin; origin++)
		free(*origin);
	free(o->allow_origin);
	o->trust_proxy = o->exempt = (struct ip_nets){ 0 };
	o->allow_origin = NULL;
	free(o->join_password_file);
	o->data = o->listen = o->user = o->admin_socket = o->metrics = o->tls_cert = o->tls_key = o->join_password_file = NULL;
}
