/* options.h — every option of wavechatd, declared once: parser, --help, defaults, ranges, errors and the check of the man
 * page all derive from the table in options.c.
 *
 * Flags beat the environment, which beats the file of --config, which beats the default. A set of options never changes once it is handed
 * out. At SIGHUP another one takes its place (options_reread); readers ask for those in force each time. */
#ifndef WC_OPTIONS_H
#define WC_OPTIONS_H

#include "base/ip.h"
#include "base/logmsg.h"
#include "base/wc.h"
#include "store/store.h" /* enum durability */

enum sandbox_mode { SANDBOX_ON, SANDBOX_REQUIRE, SANDBOX_OFF };

#define OPTIONS_MAX 96 /* rows of the table */

enum option_from { FROM_DEFAULT, FROM_OPTION, FROM_ENVIRONMENT, FROM_FILE };
struct option_origin {
	enum option_from from;
	int line; /* FROM_FILE: of --config's */
};

/* Values after parsing; strings belong to the struct. */
struct options {
	char *data;    /* --data DIR | WAVECHAT_DATA | $STATE_DIRECTORY | ./wavechat-data ; ":memory:" keeps nothing */
	char **listen; /* --listen ADDRESS..., repeatable | LISTEN; no two overlap, ends with NULL; NULL: every IPv4 and IPv6 address */
	int port;      /* --port | PORT; 0 picks a free one */
	char *tls_cert, *tls_key;   /* --tls-cert FILE --tls-key FILE; NULL: none */
	bool tls_self_signed;       /* --tls-self-signed */
	int redirect_port;          /* --redirect-http PORT; 0: none */
	struct ip_nets trust_proxy; /* --trust-proxy CIDR..., repeatable | WAVECHAT_TRUST_PROXY */
	char **allow_origin;   /* --allow-origin ORIGIN..., repeatable | WAVECHAT_ALLOW_ORIGIN; normalized, ends with NULL; NULL: none */
	struct ip_nets exempt; /* --exempt CIDR..., repeatable | WAVECHAT_EXEMPT; loopback if not given */
	int max_connections;   /* --max-connections; 0: what the descriptors allow */
	int max_connections_per_ip;            /* --max-connections-per-ip; -1: not given; 0: no bound; so in those that follow */
	int handshake_rate;                    /* --handshake-rate; a second and address */
	int max_header_bytes;                  /* --max-header-bytes, 1024..16384 */
	int header_timeout;                    /* --header-timeout, seconds */
	int min_body_rate;                     /* --min-body-rate, bytes a second */
	int max_uploads, max_uploads_per_user; /* --max-uploads, --max-uploads-per-user; at once */
	int max_file_mb;                       /* --max-file-mb | MAX_FILE_MB, 1..1024 */
	int history_limit;                     /* --history-limit | HISTORY_LIMIT, 0..10000 */
	int threads;                           /* --threads | WAVECHAT_THREADS; I/O threads; 0: chosen from the number of cores */
	enum durability durability;            /* --durability normal|full | WAVECHAT_DURABILITY */
	int retain_days;                       /* --retain-days; 0: for ever */
	int max_storage_mb;                    /* --max-storage-mb; 0: no bound; -1: not given, see space.h (256 with :memory:) */
	int free_reserve_mb;                   /* --free-reserve-mb; 0: none; -1: not given, see space.h */
	bool accept_orphans;                   /* --accept-orphans | WAVECHAT_ACCEPT_ORPHANS */
	int name_hold_days;                    /* --name-hold-days 90 */
	int keep_addresses;                    /* --keep-addresses DAYS | WAVECHAT_KEEP_ADDRESSES; 0: no address of anybody is kept */
	int message_rate,
		message_burst; /* --message-rate N a second, --message-burst N, of one person; rate 0: no limit, as with all below */
	int byte_rate_kb, byte_burst_mb; /* --byte-rate-kb N a second, --byte-burst-mb N: texts and files of one person */
	int max_message_kb;              /* --max-message-kb N; 0: what the largest file needs */
	int message_timeout_s;           /* --message-timeout SECONDS, for one of a few kilobytes */
	int memory_mb;                   /* --memory-mb N; 0: what the cgroup allows, or the machine has */
	/* Of it, where not named (-1) by budget.h's shares; 0: no bound. */
	int pending_in_mb, pending_out_mb; /* --pending-in-mb N, --pending-out-mb N */
	int recent_mb, inbox_mb;           /* --recent-mb N, --inbox-mb N */
	int memory_messages_mb;            /* --memory-messages-mb N, with data in memory */
	int request_rate;                  /* --request-rate N a second: history, who and the like; ten seconds' worth at once */
	int typing_rate;                   /* --typing-rate N a second; three seconds' worth at once */
	int flood_mute_s;                  /* --flood-mute SECONDS */
	int address_rate;                  /* --address-rate N a second, of one address; a minute's worth at once */
	int address_bytes_kb;              /* --address-bytes-kb N a second, of one address; a minute's worth at once */
	int address_requests;              /* --address-requests N a second, of one address; ten seconds' worth at once */
	int new_people;                    /* --new-people N, from one address in ten minutes */
	char *join_password_file;          /* --join-password-file FILE | WAVECHAT_JOIN_PASSWORD_FILE; NULL: anybody may join */
	int join_guesses;                  /* --join-guesses N, wrong ones from one address in a minute */
	enum log_level log_level;          /* --log-level error|warn|info|debug | WAVECHAT_LOG_LEVEL */
	enum log_format log_format;        /* --log-format text|json | WAVECHAT_LOG_FORMAT */
	char *user;                        /* --user NAME|UID[:GROUP|GID] | WAVECHAT_USER; NULL: stay who started it */
	enum sandbox_mode sandbox;         /* --sandbox on|require|off | WAVECHAT_SANDBOX */
	char *admin_socket; /* --admin-socket PATH | WAVECHAT_ADMIN_SOCKET; "none"; NULL: $RUNTIME_DIRECTORY or the data directory */
	char *metrics;      /* --metrics ADDRESS:PORT | WAVECHAT_METRICS; NULL: not on TCP */
	char *config;       /* --config FILE | WAVECHAT_CONFIG; -FILE: may be missing; NULL: none */
	bool check;         /* --check: validate options and data, say so, exit */

	bool has_file; /* there was one, by config */
	int argc;      /* the command line, borrowed */
	char **argv;
	struct option_origin origin[OPTIONS_MAX]; /* by the table's rows */
};

enum options_result { OPTIONS_RUN, OPTIONS_EXIT_OK, OPTIONS_EXIT_USAGE };

/* Reads argv and the environment. --help and --version print to stdout and give OPTIONS_EXIT_OK. A bad value is one line on
 * stderr naming the option (or variable, or the file's line), the value and the range, with the nearest option for an unknown one; exit
 * status 2. */
enum options_result options_parse(struct options *o, int argc, char **argv);
void options_fini(struct options *o);

const char *options_config_path(const struct options *o); /* without the -; NULL: none */

/* Logs a warning for each WAVECHAT_… of the environment that is no variable of ours, with the nearest that is. After log_setup. */
void options_warn_environment(void);

/* Reads all sources again. *wanted: what they say now; *in_force: the same, but for what needs a restart, which is as in `now`. Both are
 * the caller's (options_free). On an error neither is set, and *cause is one line, which names a file's line. A file that is gone is an
 * error, also one that need not have been there. Thread: main. */
int options_reread(const struct options *now, struct options **wanted, struct options **in_force, char **cause) WC_MUSTCHECK;
void options_free(struct options *o); /* NULL is ignored */

/* One setting in two sets of options. */
struct option_view {
	const char *name, *variable;
	const char *unset;   /* what it means to have no value */
	const char *text[2]; /* as it could be given; NULL: it has no value */
	struct option_origin origin[2];
	bool is_same; /* the values */
	bool is_live; /* SIGHUP can change it */
};
/* Calls fn for every setting in the table's order; the view lives for the call. a and b may be the same. Any thread. */
void options_each(const struct options *a, const struct options *b, void (*fn)(void *arg, const struct option_view *v), void *arg);
/* "default", "command line", "$VARIABLE" or "FILE:LINE"; in out where it is no constant. */
const char *option_origin_text(const struct options *o, const struct option_origin *origin, const char *variable, char *out, size_t room);
bool options_equal(const struct options *a, const struct options *b); /* values and where they came from */

/* Calls fn with the path of every file that options name and that may be read again while the server runs; false: fn said so, and none
 * follows. */
bool options_each_file(const struct options *o, bool (*fn)(void *arg, const char *path), void *arg);

/* The table for tools that check documentation, on stdout: name|variable|kind|low|high|default|choices|live, one option a line. "live":
 * SIGHUP changes it. By --help-table, which --help does not show. */
void options_print_table(void);

#endif
