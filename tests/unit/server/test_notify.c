/* test_notify.c — the service manager's datagrams (notify.c), against a manager played here; what the program that WAVECHATD names tells
 * one in its life; and the server's check of its room, for which server.c is included: the test holds the room up through its inbox. */
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/notify.h"

#include "server/server.c"

/* A manager at a path, or at an abstract name if it begins with '@'. */
static int manager_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval timeout = { .tv_sec = 10 };
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && len < sizeof(address.sun_path));
	memcpy(address.sun_path, name, len);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void expect_state(int fd, const char *want)
{
	char got[256];
	ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, want);
}

static void reaches_a_path(void **state)
{
	char dir[] = "/tmp/wavechat-notify-XXXXXX", path[64], got[256];
	long long reloading_us = 0;
	int64_t before_us = mono_us();
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/manager", dir);
	fd = manager_at(path);
	assert_int_equal(notify_send("READY=1"), 1);
	expect_state(fd, "READY=1");
	assert_int_equal(notify_reloading(), 1);
	memset(got, 0, sizeof(got));
	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_int_equal(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%lld", &reloading_us), 1);
	assert_true(reloading_us >= before_us && reloading_us <= mono_us());
	close(fd);
	assert_int_equal(notify_send("STOPPING=1"), -WC_EIO); /* nobody answers any more */
	unlink(path);
	assert_int_equal(notify_send("STOPPING=1"), -WC_EIO);
	rmdir(dir);
}

static void reaches_an_abstract_name(void **state)
{
	char name[64];
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "@wavechat-notify-%d", (int)getpid());
	fd = manager_at(name);
	assert_int_equal(notify_send("READY=1\nSTATUS=open"), 1);
	expect_state(fd, "READY=1\nSTATUS=open");
	close(fd);
}

static void is_inert_unasked(void **state)
{
	char longest[200];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_send("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
	assert_int_equal(notify_send("READY=1"), -WC_EBAD);
	setenv("NOTIFY_SOCKET", "@", 1);
	assert_int_equal(notify_send("READY=1"), -WC_EBAD);
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longest, 1);
	assert_int_equal(notify_send("READY=1"), -WC_EBAD);
	unsetenv("NOTIFY_SOCKET");
}

static void reads_the_watchdog(void **state)
{
	static const struct {
		const char *usec, *pid; /* "me": ours */
		int64_t ms;
	} rows[] = {
		{ NULL, NULL, 0 },
		{ "60000000", NULL, 60000 },
		{ "60000000", "me", 60000 },
		{ "60000000", "1", 0 },
		{ "60000000", "", 60000 },
		{ "60000000", "x", 0 },
		{ "0", NULL, 0 },
		{ "-5", NULL, 0 },
		{ "5s", NULL, 0 },
		{ "", NULL, 0 },
		{ "99999999999999999999999", NULL, 0 },
	};
	char me[16];

	(void)state;
	snprintf(me, sizeof(me), "%d", (int)getpid());
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		unsetenv("WATCHDOG_USEC");
		unsetenv("WATCHDOG_PID");
		if (rows[i].usec)
			setenv("WATCHDOG_USEC", rows[i].usec, 1);
		if (rows[i].pid)
			setenv("WATCHDOG_PID", strcmp(rows[i].pid, "me") == 0 ? me : rows[i].pid, 1);
		if (notify_watchdog_ms() != rows[i].ms)
			fail_msg("row %zu: %lld ms", i, (long long)notify_watchdog_ms());
	}
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* Skips what says that the server is alive. */
static void expect_next(int fd, const char *want)
{
	char got[256];

	do {
		ssize_t n = recv(fd, got, sizeof(got) - 1, 0);
		assert_true(n >= 0);
		got[n] = '\0';
	} while (strcmp(got, "WATCHDOG=1") == 0);
	assert_memory_equal(got, want, strlen(want));
}

static void the_program_tells_its_life(void **state)
{
	const char *program = getenv("WAVECHATD");
	char name[64];
	int fd, status;
	pid_t pid;

	(void)state;
	assert_non_null(program); /* make unit sets it */
	snprintf(name, sizeof(name), "@wavechat-life-%d", (int)getpid());
	fd = manager_at(name);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("WATCHDOG_USEC", "90000", 1);
		dup2(open("/dev/null", O_RDWR), STDOUT_FILENO);
		execl(program, program, "--listen", "127.0.0.1", "--port", "0", "--data", ":memory:", "--log-level", "error", (char *)NULL);
		_exit(127);
	}
	expect_state(fd, "READY=1");
	for (int i = 0; i < 5; i++)
		expect_state(fd, "WATCHDOG=1");
	kill(pid, SIGHUP);
	expect_next(fd, "RELOADING=1\nMONOTONIC_USEC=");
	expect_next(fd, "READY=1");
	expect_state(fd, "WATCHDOG=1");
	kill(pid, SIGTERM);
	expect_next(fd, "STOPPING=1");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(fd);
	unsetenv("NOTIFY_SOCKET");
}

struct hold {
	sem_t is_held, may_go;
};

static void hold_up(void *arg)
{
	struct hold *h = arg;

	sem_post(&h->is_held);
	sem_wait(&h->may_go);
}

/* The room's answer comes when its thread gets to it. */
static bool answers_in_time(struct server *s)
{
	for (int i = 0; i < 1000; i++) {
		if (server_check_room(s))
			return true;
		usleep(10000);
	}
	return false;
}

static void knows_a_room_that_hangs(void **state)
{
	char *argv[] = { (char *)"wavechatd", (char *)"--listen", (char *)"127.0.0.1", (char *)"--port",
		         (char *)"0",         (char *)"--data",   (char *)":memory:",  NULL };
	struct options o;
	struct server *s = NULL;
	struct hold h;
	char *cause = NULL;
	struct event *e;

	(void)state;
	sem_init(&h.is_held, 0, 0);
	sem_init(&h.may_go, 0, 0);
	assert_int_equal(options_parse(&o, 7, argv), OPTIONS_RUN);
	wc_thread_is(ROLE_MAIN, "wavechatd");
	assert_int_equal(server_start(&s, &o, &cause), 0);
	assert_true(server_check_room(s)); /* nothing was asked yet: it has just started */
	assert_true(answers_in_time(s));

	e = event_new(EV_CALL, NULL, 0);
	assert_non_null(e);
	e->call.fn = hold_up;
	e->call.arg = &h;
	inbox_push_one(s->inbox, e);
	sem_wait(&h.is_held);
	(void)server_check_room(s); /* the answer to what was asked before may still be told, */
	for (int i = 0; i < 20; i++) {
		assert_false(server_check_room(s)); /* but to this one there is none */
		usleep(10000);
	}
	sem_post(&h.may_go);
	assert_true(answers_in_time(s));

	server_stop(s);
	options_fini(&o);
	sem_destroy(&h.is_held);
	sem_destroy(&h.may_go);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reaches_a_path),
		cmocka_unit_test(reaches_an_abstract_name),
		cmocka_unit_test(is_inert_unasked),
		cmocka_unit_test(reads_the_watchdog),
		cmocka_unit_test(the_program_tells_its_life),
		cmocka_unit_test(knows_a_room_that_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
