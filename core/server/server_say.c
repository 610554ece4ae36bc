/* server_say.c — the log's lines on what the server found at its start or at SIGHUP.
 *
 * Owns nothing and changes nothing but a metric. Thread: main. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "base/metrics.h"
#include "files/space.h"
#include "net/tls.h"
#include "server/impl.h"

/* Quotes in the cause would end the value. */
void server_say_complaint(const char *event, const char *cause, const char *kept)
{
	char *text = xstrdup(cause ? cause : "no memory");

	for (char *p = text; *p; p++)
		*p = *p == '"' ? '\'' : *p;
	log_error(event, "error=\"%s\" kept=\"%s\"", text, kept);
	free(text);
}

void server_say_connections(const struct server *s)
{
	const struct descriptors *d = &s->plan->descriptors;
	if (s->o->max_connections > d->connections_max)
		log_warn("max-connections lowered",
		         "asked=%d allowed=%d descriptors=%d remedy=\"raise the limit of open files (ulimit -n, LimitNOFILE=)\"",
		         s->o->max_connections, d->connections_max, d->limit);
}

void server_say_sandbox(const struct sandbox *box)
{
	log_info("sandbox", "user=%u:%u no_new_privs=%s seccomp=%s landlock=%d core=off", (unsigned)geteuid(), (unsigned)getegid(),
	         box->no_new_privs ? "on" : "off", box->seccomp ? "on" : "off", box->landlock);
}

/* Names, sizes and times are nobody else's to see, and one file with a wrong mode would be read. */
void server_say_open_folder(const char *dir)
{
	char quoted[512];
	struct stat st;

	if (stat(dir, &st) == 0 && (st.st_mode & 077))
		log_warn("data folder open to others", "data=%s mode=%03o remedy=\"chmod 700, as its owner\"",
		         log_quote(quoted, (struct str){ dir, strlen(dir) }), (unsigned)st.st_mode & 0777);
}

void server_say_certificate(struct server *s)
{
	struct tls *t = s->tls;
	char fingerprint[TLS_FINGERPRINT_BYTES];
	int64_t days = tls_days_left(t);

	tls_fingerprint(t, fingerprint);
	metric_set(M_CERTIFICATE_EXPIRY, (uint64_t)WC_MAX(tls_expiry_s(t), 0));
	log_info("certificate", "sha256=%s days=%lld", fingerprint, (long long)days);
	if (days < 14 && !tls_is_own(t))
		log_warn("certificate runs out", "days=%lld remedy=\"renew it, then send SIGHUP\"", (long long)days);
}

void server_say_room(struct space *space)
{
	struct space_state n;

	space_look(space, &n);
	if (n.disk_bytes)
		log_info("room for files", "bound_mb=%llu given=%s used_mb=%llu free_mb=%llu reserve_mb=%llu",
		         (unsigned long long)n.bound_bytes >> 20, n.is_bound_given ? "yes" : "no", (unsigned long long)n.used_bytes >> 20,
		         (unsigned long long)n.free_bytes >> 20, (unsigned long long)n.reserve_bytes >> 20);
}
