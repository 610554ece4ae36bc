/* top.c — the live view: what the server does a second, until q. Plain ANSI; where there is no terminal, one look. */
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "ctl.h"

#define HISTORY 240

static struct termios saved;
static volatile sig_atomic_t is_over, is_disturbed, is_stopping;

static void on_signal(int sig)
{
	if (sig == SIGWINCH)
		is_disturbed = 1;
	else if (sig == SIGTSTP)
		is_stopping = 1;
	else
		is_over = 1;
}

/* --- The terminal: the other screen, no cursor, no wrapping, keys as they are pressed. Given back however this ends. */

static void raw_mode(void)
{
	struct termios t;

	tcgetattr(STDIN_FILENO, &saved);
	t = saved;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &t);
	fputs("\033[?1049h\033[?25l\033[?7l", stdout);
}

static void restore(void)
{
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

static void take_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH };
	struct sigaction act = { .sa_handler = on_signal };

	for (size_t i = 0; i < WC_LEN(signals); i++)
		sigaction(signals[i], &act, NULL);
}

/* Ctrl+Z: the shell gets its screen; `fg` comes back here. */
static void stop_for_a_while(void)
{
	restore();
	signal(SIGTSTP, SIG_DFL);
	raise(SIGTSTP);
	is_stopping = 0;
	is_disturbed = 1;
	take_signals();
	raw_mode();
}

/* --- What is seen */

static double rate(struct json_object *now, struct json_object *before, const char *name)
{
	int64_t ms = jint(now, "now") - jint(before, "now");

	return before && ms > 0 ? (double)(jint(now, name) - jint(before, name)) * 1000 / (double)ms : 0;
}

struct view {
	struct json_object *now, *before;
	double messages[HISTORY], deliveries[HISTORY]; /* a second, one for each look */
	int n;
	bool is_away; /* the server was, when it was last asked */
};

static void push(struct view *v, double messages, double deliveries)
{
	if (v->n == HISTORY) {
		memmove(v->messages, v->messages + 1, (HISTORY - 1) * sizeof(*v->messages));
		memmove(v->deliveries, v->deliveries + 1, (HISTORY - 1) * sizeof(*v->deliveries));
		v->n--;
	}
	v->messages[v->n] = messages;
	v->deliveries[v->n++] = deliveries;
}

static void put_bar(struct buf *b, const char *name, const double *v, int n, int width)
{
	static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	double most = 0;
	int from = WC_MAX(0, n - WC_MAX(width, 0));

	for (int i = from; i < n; i++)
		most = WC_MAX(most, v[i]);
	buf_printf(b, "%-13s", name);
	for (int i = from; i < n; i++)
		buf_puts(b, blocks[most > 0 ? (int)(WC_MAX(v[i], 0) / most * 8 + 0.5) : 0]);
	if (n)
		buf_printf(b, " of %.0f", most);
	buf_putc(b, '\n');
}

static void put_figures(struct buf *b, const struct view *v)
{
	struct json_object *o = v->now, *before = v->before;
	double commits = rate(o, before, "commits");
	char x[TIME_TEXT], y[TIME_TEXT];

	buf_puts(b, "wavechatd ");
	put_safe(b, jstr(o, "version"));
	buf_printf(b, "  up %s  process %lld\n\n", duration_text(x, jint(o, "uptime_s") * 1000), (long long)jint(o, "pid"));
	buf_printf(b, "people       %10lld   connections %10lld\n", (long long)jint(o, "online"), (long long)jint(o, "connections"));
	buf_printf(b, "messages/s   %10.1f   deliveries/s%10.0f\n", rate(o, before, "messages"), rate(o, before, "deliveries"));
	buf_printf(b, "commits/s    %10.1f   commit      %7.2f ms\n", commits,
	           commits > 0 ? rate(o, before, "commit_us") / commits / 1000 : 0);
	buf_printf(b, "sent/s       %10s   ", bytes_text(x, (uint64_t)WC_MAX(rate(o, before, "sent_bytes"), 0)));
	buf_printf(b, "log lag     %10s\n", bytes_text(y, (uint64_t)jint(o, "log_lag_bytes")));
	buf_printf(b, "memory       %10s   dropped     %10lld\n", bytes_text(x, (uint64_t)jint(o, "resident_bytes")),
	           (long long)jint(o, "evicted"));
	buf_printf(b, "database     %10s   ", bytes_text(x, (uint64_t)jint(o, "store_bytes")));
	buf_printf(b, "files       %10s\n", bytes_text(y, (uint64_t)jint(o, "blob_bytes")));
	buf_printf(b, "errors sent  %10lld   storage     %10s\n", (long long)jint(o, "errors"), jbool(o, "storage_ok") ? "works" : "FAILS");
	for (size_t i = 0; i < json_object_array_length(jarray(o, "trouble")); i++) {
		buf_puts(b, "NOT WELL     ");
		put_safe(b, jstr(json_object_array_get_idx(jarray(o, "trouble"), i), "text"));
		buf_putc(b, '\n');
	}
}

/* As many lines as the terminal has; it cuts them at its edge itself. */
static void draw(const struct view *v)
{
	struct winsize w = { .ws_row = 24, .ws_col = 80 };
	struct buf b;
	int row = 1;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || !w.ws_row || !w.ws_col)
		w = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	buf_init(&b, 1 << 16);
	put_figures(&b, v);
	buf_putc(&b, '\n');
	put_bar(&b, "messages/s", v->messages, v->n, (int)w.ws_col - 24);
	put_bar(&b, "deliveries/s", v->deliveries, v->n, (int)w.ws_col - 24);
	buf_puts(&b, v->is_away ? "\nno server answers; waiting for it. q ends\n" : "\nq ends\n");
	buf_putc(&b, '\0');
	fputs("\033[H", stdout);
	for (size_t at = 0; at + 1 < b.len && row <= w.ws_row; row++) {
		size_t n = strcspn(b.p + at, "\n");

		printf("%s%.*s\033[K", row > 1 ? "\r\n" : "", (int)n, b.p + at);
		at += n + 1;
	}
	fputs("\033[J", stdout);
	fflush(stdout);
	buf_fini(&b);
}

enum wake { IT_IS_TIME, IT_IS_ENOUGH, SCREEN_CHANGED };

static enum wake wait_key(int64_t until_ms)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	for (;;) {
		int64_t left = until_ms - mono_ms();
		char key;

		if (is_over)
			return IT_IS_ENOUGH;
		if (is_stopping)
			stop_for_a_while();
		if (is_disturbed) {
			is_disturbed = 0;
			return SCREEN_CHANGED;
		}
		if (left <= 0)
			return IT_IS_TIME;
		if (poll(&p, 1, (int)left) > 0 && (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q' || key == 27))
			return IT_IS_ENOUGH;
	}
}

/* Asks how it is. A server that was restarted is found again; its counters begin anew. */
static void look(struct ctl *c, struct view *v)
{
	struct json_object *o = NULL;

	hush(true);
	v->is_away = api_get(c, "/v1/status", &o) != 0;
	hush(false);
	if (v->is_away)
		return;
	json_object_put(v->before);
	v->before = v->now;
	v->now = o;
	if (jint(v->before, "pid") != jint(o, "pid") || jint(v->before, "started") != jint(o, "started")) {
		json_object_put(v->before);
		v->before = NULL;
		return;
	}
	push(v, rate(o, v->before, "messages"), rate(o, v->before, "deliveries"));
}

static void watch(struct ctl *c, struct view *v, int64_t every_ms)
{
	int64_t next_ms = mono_ms() + WC_MIN(every_ms, 300); /* rates need two looks: the first two are close together */

	take_signals();
	raw_mode();
	draw(v);
	for (enum wake wake; (wake = wait_key(next_ms)) != IT_IS_ENOUGH; draw(v)) {
		if (wake != IT_IS_TIME)
			continue;
		look(c, v);
		next_ms = mono_ms() + every_ms;
	}
	restore();
}

/* Where nothing can be drawn over: one look. Rates need two. */
static int look_once(struct ctl *c, struct view *v, int64_t ms)
{
	struct buf b;
	int code;

	usleep((useconds_t)ms * 1000);
	v->before = v->now;
	v->now = NULL;
	code = api_get(c, "/v1/status", &v->now);
	if (code)
		return code;
	if (c->json) {
		print_json(v->now);
		return 0;
	}
	buf_init(&b, 1 << 16);
	put_figures(&b, v);
	fwrite(b.p, 1, b.len, stdout);
	buf_fini(&b);
	return 0;
}

int run_top(struct ctl *c)
{
	const char *interval = option(c, "interval"), *term = getenv("TERM");
	struct view *v;
	double seconds = 1;
	char *end;
	int code;

	if (interval) {
		seconds = strtod(interval, &end);
		if (end == interval || *end || !(seconds >= 0.1 && seconds <= 3600))
			return complain(EXIT_USAGE, "--interval \"%s\": a number of seconds from 0.1 to 3600", interval);
	}
	v = xcalloc(1, sizeof(*v));
	code = api_get(c, "/v1/status", &v->now);
	if (code == 0 && (c->json || !is_terminal(stdout) || !is_terminal(stdin) || !term || !*term || strcmp(term, "dumb") == 0))
		code = look_once(c, v, (int64_t)(seconds * 1000));
	else if (code == 0)
		watch(c, v, (int64_t)(seconds * 1000));
	json_object_put(v->before);
	json_object_put(v->now);
	free(v);
	return code;
}
