/* greeting.c — the greeting of a server that has started (see greeting.h). Owns nothing. Main thread.
 *
 * A person at a terminal gets a few lines on standard output: what to open, where the data is, how to stop it. Under a service manager
 * nobody reads those, and the journal would split them into lines without priority. There the log alone says the same. */
#include "greeting.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "files/space.h"
#include "net/tls.h"

/* The variable names the journal's socket as device:inode, and is inherited also by what writes elsewhere. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &st) == 0 && st.st_dev == (dev_t)device &&
	       st.st_ino == (ino_t)inode;
}

static bool is_service(void)
{
	const char *manager = getenv("NOTIFY_SOCKET");

	return !isatty(STDOUT_FILENO) && ((manager && *manager) || is_journal(STDOUT_FILENO) || is_journal(STDERR_FILENO));
}

/* An address to open. `index`: from 0; is_remote: of other machines. */
typedef void (*address_fn)(int index, const char *url, bool is_remote, bool is_secure);

static void give(address_fn fn, int index, const char *host, int port, bool is_remote, bool is_secure)
{
	bool is_v6 = strchr(host, ':') != NULL;
	char url[128];

	snprintf(url, sizeof(url), "%s://%s%s%s:%d", is_secure ? "https" : "http", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
	fn(index, url, is_remote, is_secure);
}

/* localhost and, when every address is listened on, how others on the network reach it. */
static void each_address(const struct options *o, int port, bool is_secure, address_fn fn)
{
	struct ifaddrs *list = NULL;
	int n = 0;

	for (char *const *address = o->listen; address && *address; address++)
		give(fn, n++, *address, port, false, is_secure);
	if (o->listen)
		return;
	give(fn, n++, "localhost", port, false, is_secure);
	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		char text[INET_ADDRSTRLEN];

		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) || !(i->ifa_flags & IFF_UP))
			continue;
		if (inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, text, sizeof(text)))
			give(fn, n++, text, port, true, is_secure);
	}
	freeifaddrs(list);
}

static void print_address(int index, const char *url, bool is_remote, bool is_secure)
{
	printf("  %-9s %s%s%s\n", index ? "" : "open", url, is_remote ? " from other machines" : "",
	       is_remote && !is_secure ? " (no microphone there: browsers want HTTPS for it; --tls-self-signed gives it)" : "");
}

static void log_address(int index, const char *url, bool is_remote, bool is_secure)
{
	(void)index;
	(void)is_secure;
	log_info("listening", "url=%s for=%s", url, is_remote ? "network" : "this_machine");
}

/* How much files may take; nothing in memory. The log has it by itself. */
static void print_room(struct space *space)
{
	struct space_state n;

	space_look(space, &n);
	if (n.is_bound_given)
		printf("  files     at most %llu MB, then the oldest make room\n", (unsigned long long)n.bound_bytes >> 20);
	else if (n.bound_bytes)
		printf("  files     at most %llu MB, then new ones are refused; --max-storage-mb sets another bound\n",
		       (unsigned long long)n.bound_bytes >> 20);
}

static void print_greeting(const struct options *o, const struct server *server)
{
	int port = server_port(server);
	struct tls *tls = server_tls(server);

	printf("WaveChat %s\n", wc_version());
	each_address(o, port, tls != NULL, print_address);
	if (tls && tls_is_own(tls)) {
		char fingerprint[TLS_FINGERPRINT_BYTES];

		tls_fingerprint(tls, fingerprint);
		printf("  trust     browsers warn once: nobody vouches for this certificate; its SHA-256 fingerprint is\n            %s\n",
		       fingerprint);
	}
	printf("  data      %s\n", strcmp(o->data, ":memory:") == 0 ? "in memory: nothing is kept when the server ends" : o->data);
	print_room(server_space(server));
	if (server_admin_path(server))
		printf("  admin     wavechatctl --socket %s status\n", server_admin_path(server));
	if (server_metrics_port(server))
		printf("  metrics   port %d, /metrics\n", server_metrics_port(server));
	printf(isatty(STDOUT_FILENO) ? "  stop      Ctrl+C, or kill %d\n" : "  stop      kill %d\n", (int)getpid());
	fflush(stdout);
}

void greet(const struct options *o, const struct server *server)
{
	const char *admin = server_admin_path(server);
	char data[512], socket[512];

	if (is_service())
		each_address(o, server_port(server), server_tls(server) != NULL, log_address);
	else
		print_greeting(o, server);
	log_info("ready", "port=%d data=%s version=%s%s%s", server_port(server), log_quote(data, (struct str){ o->data, strlen(o->data) }),
	         wc_version(), admin ? " admin=" : "", admin ? log_quote(socket, (struct str){ admin, strlen(admin) }) : "");
}
