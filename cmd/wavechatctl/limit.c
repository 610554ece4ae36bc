/* limit.c — the time limit of a request, and what hangs when it is over.
 *
 * The limit is for a request as a whole; with `is_long`, for requests without a known end, it is for the silence between two bytes. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ctl.h"

#define LOOK_MS 500 /* a signal may come just before the wait */

void limit_start(struct ctl *c)
{
	c->until_ms = c->timeout_ms ? mono_ms() + c->timeout_ms : INT64_MAX;
}

void limit_heard(struct ctl *c)
{
	if (c->is_long)
		limit_start(c);
}

bool limit_is_over(const struct ctl *c)
{
	return mono_ms() >= c->until_ms;
}

bool limit_wait(const struct ctl *c, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		const int64_t left = c->until_ms - mono_ms();
		int n;

		if (is_stopped()) {
			errno = EINTR;
			return false;
		}
		/* The last look does not wait: this process itself may have been stopped, and what it waits for may be there. */
		n = poll(&p, 1, (int)WC_MAX(WC_MIN(left, (int64_t)LOOK_MS), 0));
		if (n > 0)
			return true;
		if (n == 0 && left <= 0) {
			errno = EAGAIN;
			return false;
		}
		if (n < 0 && errno != EINTR)
			return false;
	}
}

/* --- What hangs. The kernel's word on the listening process; of another user's, or in another container, it may have none. */

/* The state's letter of /proc/PID/stat or of a thread, and its name. '\0': not to be had. */
static char state_of(const char *path, char name[17])
{
	char line[512], *open, *close;
	FILE *f = fopen(path, "re");
	char state = '\0';

	if (f && fgets(line, sizeof(line), f) && (open = strchr(line, '(')) && (close = strrchr(line, ')')) && close > open &&
	    close[1] == ' ') {
		snprintf(name, 17, "%.*s", (int)(close - open - 1), open + 1);
		state = close[2];
	}
	if (f)
		fclose(f);
	return state;
}

/* A thread that waits for a disk without being interruptible: "room" … */
static bool find_disk_sleeper(pid_t pid, char name[17])
{
	char path[96];
	bool is_found = false;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && !is_found && (e = readdir(d))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/stat", (int)pid, e->d_name);
		is_found = state_of(path, name) == 'D';
	}
	if (d)
		closedir(d);
	return is_found;
}

static pid_t peer_of(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 ? cred.pid : 0;
}

/* "process 7 is stopped …"; false: nothing is known. */
static bool say_process(pid_t pid, char out[256])
{
	char path[64], name[17];
	char state;

	if (pid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	state = state_of(path, name);
	if (state == 'T' || state == 't')
		snprintf(out, 256, "process %d is stopped; go on with: kill -CONT %d", (int)pid, (int)pid);
	else if (find_disk_sleeper(pid, name))
		snprintf(out, 256, "thread %s of process %d waits for a disk that does not answer", name, (int)pid);
	else
		return false;
	return true;
}

int limit_over(struct ctl *c, int fd, const char *what, bool (*ask)(const struct ctl *c, char out[256]))
{
	char why[256] = "it hangs; its log (journalctl -u wavechatd) may say why";
	char seconds[32];

	snprintf(seconds, sizeof(seconds), "%.15g", (double)c->timeout_ms / 1000);
	c->is_lost = true;
	if (!is_hushed() && !say_process(peer_of(fd), why) && !ask(c, why) && strcmp(c->verb->name, "status") != 0)
		snprintf(why, sizeof(why), "its room may hang; see wavechatctl status, and its log (journalctl -u wavechatd)");
	return complain(EXIT_LATE, "the server at %s %s within %s s: %s", c->path ? c->path : "the socket", what, seconds, why);
}

int limit_parse(const char *text, int64_t *ms)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0 && seconds <= 86400) || (seconds > 0 && seconds < 0.001))
		return complain(EXIT_USAGE, "--timeout \"%s\": a number of seconds up to 86400, or 0 for no limit", text);
	*ms = (int64_t)(seconds * 1000 + 0.5);
	return 0;
}
