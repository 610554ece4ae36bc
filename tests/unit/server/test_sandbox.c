/* test_sandbox.c — from inside: what the server does goes on, what it never does is refused. Each look is taken in a child of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <linux/netlink.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/sandbox.h"

static char dir[] = "/tmp/wavechat-sandbox-XXXXXX";
static struct sandbox box; /* what this machine has */

static const char *in(const char *name)
{
	static char paths[8][128];
	static int next;
	char *path = paths[next++ % 8];

	snprintf(path, 128, "%s/%s", dir, name);
	return path;
}

static bool put(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool can_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void enter(void)
{
	struct options o = { .tls_cert = (char *)(uintptr_t)in("tls/live/cert.pem"), .tls_key = (char *)(uintptr_t)in("tls/live/key.pem") };
	struct sandbox_paths paths = { .data = in("data"), .socket_dir = in("run"), .o = &o };
	char *cause = NULL;

	if (sandbox_enter(SANDBOX_ON, &paths, &box, &cause) < 0)
		_exit(254);
}

/* Exit status 0: all held; else the number of the line that did not. */
#define HOLDS(condition) \
	do { \
		if (!(condition)) \
			_exit(__LINE__ % 253 + 1); \
	} while (0)

/* How the child ended that runs look() inside. */
static int end_of(void (*look)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		enter();
		look();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static int set_up(void **state)
{
	int fds[2], status;
	pid_t child;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (const char *const *p = (const char *const[]){ "data", "data/tmp", "run", "tls", "tls/live", "tls/archive", "else", NULL }; *p;
	     p++)
		assert_int_equal(mkdir(in(*p), 0700), 0);
	assert_true(put(in("tls/live/cert.pem")) && put(in("tls/archive/key1.pem")) && put(in("else/secret")));
	assert_int_equal(symlink("../archive/key1.pem", in("tls/live/key.pem")), 0);
	/* What there is here is asked in a child, since nobody comes out again. */
	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		enter();
		_exit(write(fds[1], &box, sizeof(box)) != sizeof(box));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(status == 0 && read(fds[0], &box, sizeof(box)) == sizeof(box));
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* --- Files */

static void look_at_files(void)
{
	HOLDS(put(in("data/wavechat.db")) && can_read(in("data/wavechat.db")) && mkdir(in("data/blobs"), 0700) == 0);
	HOLDS(put(in("data/tmp/a")) && rename(in("data/tmp/a"), in("data/blobs/b")) == 0 && unlink(in("data/blobs/b")) == 0);
	HOLDS(rmdir(in("data/blobs")) == 0 && can_read("/proc/self/statm"));
	/* A certificate, the key behind its symbolic link, and what takes their place. */
	HOLDS(can_read(in("tls/live/cert.pem")) && can_read(in("tls/live/key.pem")));
	HOLDS(!put(in("tls/live/cert.pem")) && errno == EACCES);
	HOLDS(unlink(in("tls/live/cert.pem")) < 0 && errno == EACCES);
	/* Nothing else of the machine. */
	HOLDS(!can_read(in("else/secret")) && errno == EACCES);
	HOLDS(!put(in("else/new")) && errno == EACCES);
	HOLDS(!can_read("/etc/passwd") && errno == EACCES);
	HOLDS(mkdir(in("else/new"), 0700) < 0 && errno == EACCES);
	HOLDS(rename(in("data/wavechat.db"), in("else/stolen")) < 0 && (errno == EACCES || errno == EXDEV));
}

static void look_at_sockets(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, in("run/admin.sock"));
	HOLDS(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1) == 0 && unlink(a.sun_path) == 0);
	if (box.landlock < 4)
		return;
	/* It is called, and calls nobody. */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	HOLDS(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno == EACCES);
}

static void files(void **state)
{
	int status;

	(void)state;
	if (!box.landlock)
		skip();
	assert_int_equal(end_of(look_at_files), 0);
	assert_int_equal(end_of(look_at_sockets), 0);
	/* Renewed while it runs: another file under the same name, and another target of the link. */
	pid_t child = fork();
	if (child == 0) {
		enter();
		raise(SIGSTOP);
		HOLDS(can_read(in("tls/live/cert.pem")) && can_read(in("tls/live/key.pem")));
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	assert_true(put(in("tls/live/new")) && rename(in("tls/live/new"), in("tls/live/cert.pem")) == 0);
	assert_true(put(in("tls/archive/key2.pem")) && symlink("../archive/key2.pem", in("tls/live/key.new")) == 0 &&
	            rename(in("tls/live/key.new"), in("tls/live/key.pem")) == 0);
	assert_int_equal(kill(child, SIGCONT), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* --- Calls */

static void *nothing(void *arg)
{
	return arg;
}

static void look_at_needed_calls(void)
{
	pthread_t thread;
	void *p;
	struct ifaddrs *list = NULL;
	time_t now = time(NULL);
	struct tm tm;

	HOLDS(pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	HOLDS(p != MAP_FAILED && mprotect(p, 4096, PROT_READ) == 0 && munmap(p, 1 << 20) == 0);
	HOLDS(getifaddrs(&list) == 0 && localtime_r(&now, &tm) && usleep(1000) == 0);
	freeifaddrs(list);
	HOLDS(pthread_setname_np(pthread_self(), "x") == 0 && memfd_create("x", MFD_CLOEXEC) >= 0);
}

static void look_at_other_calls(void)
{
	HOLDS(fork() < 0 && errno == EPERM);
	HOLDS(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EPERM);
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	HOLDS(mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EPERM);
	HOLDS(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT) < 0 && errno == EPERM);
	HOLDS(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER) < 0 && errno == EPERM);
	HOLDS(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM);
	HOLDS(kill(getppid(), 0) < 0 && errno == EPERM);
	HOLDS(prctl(PR_SET_DUMPABLE, 1) < 0 && errno == EPERM);
	HOLDS(setuid(1) < 0 && errno == EPERM);
	HOLDS(chroot("/") < 0 && errno == EPERM);
}

static void start_a_program(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

static void calls(void **state)
{
	int status;

	(void)state;
	if (!box.seccomp)
		skip();
	assert_int_equal(end_of(look_at_needed_calls), 0);
	assert_int_equal(end_of(look_at_other_calls), 0);
	status = end_of(start_a_program);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = end_of(abort);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* --- Modes */

static void modes(void **state)
{
	struct options o = { 0 };
	struct sandbox_paths paths = { .o = &o };
	int status;
	pid_t child;

	(void)state;
	for (int mode = SANDBOX_REQUIRE; mode <= SANDBOX_OFF; mode++) {
		child = fork();
		if (child == 0) {
			struct sandbox got;
			char *cause = NULL;
			int rc = sandbox_enter((enum sandbox_mode)mode, &paths, &got, &cause);

			HOLDS(got.no_new_privs);
			if (mode == SANDBOX_OFF)
				HOLDS(rc == 0 && !got.seccomp && !got.landlock && can_read("/etc/passwd"));
			else
				HOLDS((rc == 0) == (box.seccomp && box.landlock) && (rc == 0 || strstr(cause, "--sandbox")));
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(files), cmocka_unit_test(calls), cmocka_unit_test(modes) };

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
