/* top.c — the live view: what the server does a second, until q. Plain ANSI; where there is no terminal, one look. */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "ctl.h"

#define HISTORY 120

static struct termios saved;
static volatile sig_atomic_t is_over;

static void on_signal(int sig)
{
	(void)sig;
	is_over = 1;
}

static void raw_mode(void)
{
	struct termios t;

	tcgetattr(STDIN_FILENO, &saved);
	t = saved;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &t);
	fputs("\033[?1049h\033[?25l", stdout); /* the other screen, no cursor */
}

static void restore(void)
{
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

static double rate(struct json_object *now, struct json_object *before, const char *name)
{
	int64_t ms = jint(now, "now") - jint(before, "now");

	return before && ms > 0 ? (double)(jint(now, name) - jint(before, name)) * 1000 / (double)ms : 0;
}

static void bar(const double *v, int n, int width)
{
	static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	double most = 1;

	for (int i = 0; i < n; i++)
		most = WC_MAX(most, v[i]);
	for (int i = WC_MAX(0, n - width); i < n; i++)
		fputs(blocks[(int)(v[i] / most * 8 + 0.5)], stdout);
}

struct view {
	double messages[HISTORY], deliveries[HISTORY];
	int n;
};

static void push(double v[HISTORY], int n, double value)
{
	if (n == HISTORY)
		memmove(v, v + 1, (HISTORY - 1) * sizeof(*v));
	v[WC_MIN(n, HISTORY - 1)] = value;
}

static void draw(struct view *v, struct json_object *o, struct json_object *before, bool is_live)
{
	const char *end = is_live ? "\033[K\n" : "\n";
	char a[TIME_TEXT], b[TIME_TEXT];
	double commits = rate(o, before, "commits");
	struct winsize w = { .ws_col = 80 };

	if (is_live) {
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
		push(v->messages, v->n, rate(o, before, "messages"));
		push(v->deliveries, v->n, rate(o, before, "deliveries"));
		v->n = WC_MIN(v->n + 1, HISTORY);
		fputs("\033[H", stdout);
	}
	printf("wavechatd %s  up %s  process %lld%s", jstr(o, "version"), duration_text(a, jint(o, "uptime_s") * 1000), (long long)jint(o, "pid"), end);
	fputs(end, stdout);
	printf("people       %10lld   connections %10lld%s", (long long)jint(o, "online"), (long long)jint(o, "connections"), end);
	printf("messages/s   %10.1f   deliveries/s%10.0f%s", rate(o, before, "messages"), rate(o, before, "deliveries"), end);
	printf("commits/s    %10.1f   commit      %7.2f ms%s", commits, commits > 0 ? rate(o, before, "commit_us") / commits / 1000 : 0, end);
	printf("sent/s       %10s   log lag     %10s%s", bytes_text(a, (uint64_t)rate(o, before, "sent_bytes")), bytes_text(b, (uint64_t)jint(o, "log_lag_bytes")), end);
	printf("memory       %10s   dropped     %10lld%s", bytes_text(a, (uint64_t)jint(o, "resident_bytes")), (long long)jint(o, "evicted"), end);
	printf("database     %10s   files       %10s%s", bytes_text(a, (uint64_t)jint(o, "store_bytes")), bytes_text(b, (uint64_t)jint(o, "blob_bytes")), end);
	printf("errors sent  %10lld   storage     %10s%s", (long long)jint(o, "errors"), jbool(o, "storage_ok") ? "works" : "FAILS", end);
	if (is_live) {
		int width = WC_MIN((int)w.ws_col - 14, HISTORY);

		fputs(end, stdout);
		printf("messages     ");
		bar(v->messages, v->n, width);
		printf("%sdeliveries   ", end);
		bar(v->deliveries, v->n, width);
		printf("%s%sq ends\033[K\033[J", end, end);
	}
	fflush(stdout);
}

/* True: a key says that it is enough. */
static bool wait_key(int ms)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	int64_t until = mono_ms() + ms;
	char key;

	while (!is_over) {
		int left = (int)(until - mono_ms());

		if (left <= 0)
			return false;
		if (poll(&p, 1, left) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q' || key == 3 || key == 27)
			return true;
	}
	return true;
}

int run_top(struct ctl *c)
{
	const char *interval = option(c, "interval");
	struct json_object *o = NULL, *before = NULL;
	struct sigaction act = { .sa_handler = on_signal };
	struct view *v;
	double seconds = 1;
	char *end;
	int code;

	if (interval) {
		seconds = strtod(interval, &end);
		if (end == interval || *end || !(seconds >= 0.1 && seconds <= 3600))
			return complain(EXIT_USAGE, "--interval \"%s\": a number of seconds from 0.1 to 3600", interval);
	}
	code = api_get(c, "/v1/status", &o);
	if (code)
		return code;
	v = xcalloc(1, sizeof(*v));
	if (!is_terminal(stdout) || !is_terminal(stdin) || c->json) {
		/* rates need two looks */
		before = o;
		usleep((useconds_t)(seconds * 1e6));
		code = api_get(c, "/v1/status", &o);
		if (code == 0 && c->json)
			print_json(o);
		else if (code == 0)
			draw(v, o, before, false);
		goto out;
	}
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	raw_mode();
	draw(v, o, NULL, true);
	while (!wait_key((int)(seconds * 1000))) {
		json_object_put(before);
		before = o;
		o = NULL;
		code = client_connect(c);
		if (code == 0)
			code = api_get(c, "/v1/status", &o);
		if (code)
			break;
		draw(v, o, before, true);
	}
	restore();
	if (code)
		complain(code, "the server is gone");
out:
	json_object_put(before);
	json_object_put(o);
	free(v);
	return code;
}
