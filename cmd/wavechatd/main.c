/* wavechatd — the chat server: options, start, a few lines for the admin, signals, stop. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/rest.h"
#include "base/fault.h"
#include "base/logmsg.h"
#include "base/pulse.h"
#include "greeting.h"
#include "net/tls.h"
#include "server/notify.h"
#include "server/options.h"
#include "server/privilege.h"
#include "server/server.h"
#include "state/password.h"
#include "store/store.h"

/* A file that is missing keeps nothing from starting, so it does not fail the check either; but it is said. Not read: `wavechatctl verify`
 * does that. */
static void look_at_files(const char *dir)
{
	struct rest_look look = { .hashes = false };
	struct store_verify *v = NULL;
	char *cause = NULL, *path = NULL;
	bool is_used;
	int lock;

	if (asprintf(&path, "%s/lock", dir) < 0)
		abort();
	lock = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	is_used = lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) < 0;
	if (lock >= 0)
		close(lock); /* a server may start meanwhile: this look takes long, and is no more than that */
	if ((is_used ? store_verify_in_use(dir, &v) : store_verify_rest(dir, &v, &cause)) == 0 && rest_look(dir, v, &look, &cause) == 0 &&
	    look.bad_files)
		fprintf(stderr,
		        "wavechatd: warning: %llu of %llu files are missing or of a wrong length: wavechatctl verify %s names them\n",
		        (unsigned long long)look.bad_files, (unsigned long long)look.files, dir);
	store_verify_close(v);
	free(path);
	free(cause);
}

static int check(const struct options *o)
{
	char *cause = NULL;
	if (server_check(o, &cause) < 0) {
		fprintf(stderr, "wavechatd: %s\n", cause ? cause : "it cannot be checked");
		free(cause);
		return 1;
	}
	if (strcmp(o->data, ":memory:") != 0)
		look_at_files(o->data);
	printf("wavechatd: options and data are in order\n");
	return 0;
}

/* The memory of a large frame goes back to the system at once. Left alone, glibc raises its threshold with the first one freed, and a storm
 * of large frames stays in the heaps for good; a fixed value turns that off. Few arenas: one a busy thread is enough. */
static void tame_malloc(void)
{
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	mallopt(M_TRIM_THRESHOLD, 512 * 1024);
	mallopt(M_ARENA_MAX, 4);
}

/* A descriptor that was closed when we were started would be given to the next file or socket, and the log written into it. */
static void keep_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

#define LOOK_MS 1000
#define HANG_MS 5000 /* a turn that takes so long is worth a line */

/* Says once of a thread that hangs that it does. */
static void look_after_threads(void)
{
	static bool was_said;
	char name[16];
	int64_t ms = pulse_longest(false, name);

	if (ms < HANG_MS)
		was_said = false;
	else if (!was_said) {
		was_said = true;
		log_warn("thread hangs", "thread=%s ms=%lld", name, (long long)ms);
	}
}

/* Is everything alive on which people wait? Within the time since the last question. */
static bool is_alive(struct server *server, int64_t interval_ms)
{
	char name[16];
	int64_t ms = pulse_longest(true, name);

	if (!server_check_room(server))
		log_error("room hangs", "ms=%lld", (long long)interval_ms);
	else if (ms > interval_ms)
		log_error("thread hangs", "thread=%s ms=%lld", name, (long long)ms);
	else
		return true;
	return false;
}

/* The service manager shows the reason to everyone who asks it for the service's status, until a reload succeeds. */
static void reload(struct server *server)
{
	static bool has_status;
	char *cause = NULL, *status = NULL;
	(void)notify_reloading();
	bool is_well = server_reload(server, &cause);
	if (!is_well || has_status) {
		if (asprintf(&status, "STATUS=%s%s", is_well ? "" : "Settings not reloaded: ",
		             is_well ? ""
		             : cause ? cause
		                     : "no memory") < 0)
			abort();
		(void)notify_send(status);
	}
	has_status = !is_well;
	(void)notify_send("READY=1");
	free(status);
	free(cause);
}

/* Waits for a signal to stop, and meanwhile looks after the threads, and tells a service manager that asks for it that they are alive: only
 * while they are, so that one that hangs is ended and started again. Asked thrice as often as the manager wants to know, so that one late
 * answer is forgiven. */
static int run_until_stopped(struct server *server, const sigset_t *set)
{
	const int64_t interval_ms = notify_watchdog_ms() / 3;
	int64_t next_ms = mono_ms() + interval_ms;
	for (;;) {
		int64_t wait_ms = interval_ms ? WC_MIN(WC_MAX(next_ms - mono_ms(), 0), LOOK_MS) : LOOK_MS;
		struct timespec wait = { wait_ms / 1000, wait_ms % 1000 * 1000000 };
		int sig = sigtimedwait(set, NULL, &wait);
		if (sig == SIGHUP) {
			/* Settings are read again; a closed terminal must not end a daemon started from it. */
			reload(server);
		} else if (sig > 0) {
			return sig;
		} else if (errno == EAGAIN) {
			look_after_threads();
		}
		/* Also in a storm of signals. */
		if (interval_ms && mono_ms() >= next_ms) {
			next_ms = mono_ms() + interval_ms;
			if (is_alive(server, interval_ms))
				(void)notify_send("WATCHDOG=1");
		}
	}
}

int main(int argc, char **argv)
{
	umask(077); /* all new files are the server's alone */
	/* Signals are waited for below; no other thread gets them, for they inherit the mask. One that comes while the server starts is
	 * acted on once it runs. */
	sigset_t set, before;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	signal(SIGPIPE, SIG_IGN);
	keep_standard_descriptors();
	fault_open();
	tls_library_init();
	tame_malloc();
	struct options o;
	switch (options_parse(&o, argc, argv)) {
	case OPTIONS_EXIT_OK: options_fini(&o); return 0;
	case OPTIONS_EXIT_USAGE: options_fini(&o); return 2;
	case OPTIONS_RUN: break;
	}
	log_setup(o.log_level, o.log_format);
	options_warn_environment();
	if (o.check) {
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		int status = check(&o);
		options_fini(&o);
		return status;
	}
	wc_thread_is(ROLE_MAIN, "wavechatd");

	struct server *server = NULL;
	char *cause = NULL;
	if (server_start(&server, &o, &cause) < 0) {
		fprintf(stderr, "wavechatd: %s\n", cause ? cause : "cannot start");
		free(cause);
		options_fini(&o);
		return 1;
	}
	greet(&o, server);
	if (notify_send("READY=1") < 0)
		log_warn("notify", "remedy=\"NOTIFY_SOCKET names no socket of a service manager: unset it, or run under one\"");
	int sig = run_until_stopped(server, &set);
	(void)notify_send("STOPPING=1");
	log_info("stopping", "signal=%s", sig == SIGINT ? "SIGINT" : "SIGTERM");
	server_stop(server);
	log_info("stopped", "status=0");
	options_fini(&o);
	return 0;
}
