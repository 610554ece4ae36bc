/* test_privilege.c — users and groups by name and number, from files made here; and becoming one, in a child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/privilege.h"

static char dir[] = "/tmp/wavechat-privilege-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	write_file("passwd", "root:x:0:0:root:/root:/bin/sh\n# a comment\n\n+::::::\nbroken:x:12\nhuge:x:4294967296:1::/:\n"
	                     "chat:x:990:980:WaveChat:/:/usr/sbin/nologin\n1234:x:77:77:a name of digits:/:\nlast:x:991:981::/:/bin/false");
	write_file("group", "root:x:0:\nchat:x:980:a,b\nstaff:x:50:\n");
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static void finds(const char *spec, uid_t uid, gid_t gid, const char *name)
{
	struct runner who;
	char *cause = NULL;

	if (runner_find(&who, spec, dir, &cause))
		fail_msg("%s: %s", spec, cause);
	assert_int_equal(who.uid, uid);
	assert_int_equal(who.gid, gid);
	assert_string_equal(who.name, name);
}

static void refuses(const char *spec, const char *word)
{
	struct runner who;
	char *cause = NULL;

	if (runner_find(&who, spec, dir, &cause) == 0)
		fail_msg("%s: %u:%u", spec, who.uid, who.gid);
	assert_non_null(strstr(cause, word));
	assert_non_null(strstr(cause, "--user"));
	assert_null(strchr(cause, '\n'));
	free(cause);
}

static void names_and_numbers(void **state)
{
	(void)state;
	finds("chat", 990, 980, "chat");
	finds("990", 990, 980, "chat");
	finds("last", 991, 981, "last");
	finds("chat:staff", 990, 50, "chat");
	finds("chat:7", 990, 7, "chat");
	finds("65534", 65534, 65534, "65534");
	finds("65534:65533", 65534, 65533, "65534");
	finds("4294967294:0", 4294967294u, 0, "4294967294");
	/* digits are a number, whatever somebody is called */
	finds("1234", 1234, 1234, "1234");
}

static void refusals(void **state)
{
	(void)state;
	refuses("nobody-here", "no user");
	refuses("chat:nothing", "no group");
	refuses("broken", "no user");
	refuses("huge", "no user");
	refuses("root", "root");
	refuses("0", "root");
	refuses("0:980", "root");
	refuses("", "NAME");
	refuses(":980", "NAME");
	refuses("chat:", "NAME");
	refuses("chat:980:1", "NAME");
	refuses("4294967295", "no user"); /* -1: "leave it as it is" to the kernel */
	refuses("-1", "no user");
	refuses("990x", "no user");
	refuses("an-endless-name-of-more-than-32-bytes", "NAME");
}

/* An empty container has neither file. */
static void no_files(void **state)
{
	struct runner who;
	char *cause = NULL;

	(void)state;
	assert_int_equal(runner_find(&who, "1000:1001", "/nonexistent", &cause), 0);
	assert_true(who.uid == 1000 && who.gid == 1001);
	assert_int_not_equal(runner_find(&who, "chat", "/nonexistent", &cause), 0);
	free(cause);
}

/* Exit status 0: all as it should be; else the number of the line that was not. */
#define HOLDS(condition) \
	do { \
		if (!(condition)) \
			_exit(__LINE__ % 255 + 1); \
	} while (0)

static void becomes(const struct runner *who)
{
	char *cause = NULL;
	gid_t groups[] = { 1, 2, 3 };
	uid_t r, e, s;
	struct rlimit core;

	HOLDS(setgroups(3, groups) == 0);
	HOLDS(privilege_drop(who, &cause) == 0);
	HOLDS(getresuid(&r, &e, &s) == 0 && r == 990 && e == 990 && s == 990 && getegid() == 980 && getgroups(0, NULL) == 0);
	HOLDS(setuid(0) < 0 && setgid(0) < 0 && setgroups(3, groups) < 0 && access("/etc/shadow", R_OK) < 0);
	HOLDS(privilege_drop(who, &cause) == 0); /* it is that one already */
	HOLDS(privilege_drop(&(struct runner){ .uid = 991, .gid = 981, .name = "last" }, &cause) < 0 && strstr(cause, "root"));
	privilege_no_core();
	HOLDS(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur <= 1 && core.rlim_max <= 1);
	_exit(0);
}

static void for_good(void **state)
{
	const struct runner who = { .uid = 990, .gid = 980, .name = "chat" };
	int status;
	pid_t child;

	(void)state;
	if (geteuid() != 0)
		skip();
	child = fork();
	if (child == 0)
		becomes(&who);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void folders(void **state)
{
	const struct runner who = { .uid = 990, .gid = 980, .name = "chat" }, other = { .uid = 991, .gid = 981, .name = "last" };
	char path[128], *cause = NULL;
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	snprintf(path, sizeof(path), "%s/data", dir);
	assert_int_equal(privilege_make_dir(path, &who, &cause), 0);
	assert_true(stat(path, &st) == 0 && st.st_uid == 990 && st.st_gid == 980 && (st.st_mode & 07777) == 0700);
	assert_int_equal(privilege_make_dir(path, &who, &cause), 0);
	/* Another's is not taken from them. */
	assert_int_not_equal(privilege_make_dir(path, &other, &cause), 0);
	assert_non_null(strstr(cause, "chown -R 991:981"));
	/* Root's own: only as long as nothing is in it. */
	assert_int_equal(chown(path, 0, 0), 0);
	assert_int_equal(privilege_make_dir(path, &who, &cause), 0);
	assert_int_equal(chown(path, 0, 0), 0);
	write_file("data/something", "");
	assert_int_not_equal(privilege_make_dir(path, &who, &cause), 0);
	assert_true(stat(path, &st) == 0 && st.st_uid == 0);
	free(cause);
}

/* The look before agrees with the deed, and does nothing. */
static void folders_looked_at(void **state)
{
	const struct runner who = { .uid = 990, .gid = 980, .name = "chat" };
	char path[128], *cause = NULL, *parent;
	struct stat st;
	bool is_given;

	(void)state;
	static const char *const parents[][2] = { { "a/b", "a" }, { "a//b/", "a" },   { "/a", "/" },
		                                  { "a", "." },   { "/a/b//", "/a" }, { "a/b/c", "a/b" } };
	for (size_t i = 0; i < WC_LEN(parents); i++) {
		parent = parent_of(parents[i][0]);
		assert_string_equal(parent, parents[i][1]);
		free(parent);
	}
	if (geteuid() != 0)
		skip();
	snprintf(path, sizeof(path), "%s/looked", dir);
	assert_int_equal(privilege_check_dir(path, &who, &is_given, &cause), 0);
	assert_true(is_given && stat(path, &st) < 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(privilege_check_dir(path, &who, &is_given, &cause), 0);
	assert_true(is_given && stat(path, &st) == 0 && st.st_uid == 0);
	write_file("looked/something", "");
	assert_int_not_equal(privilege_check_dir(path, &who, &is_given, &cause), 0);
	assert_non_null(strstr(cause, "belongs to user 0"));
	assert_int_equal(chown(path, 990, 980), 0);
	assert_int_equal(privilege_check_dir(path, &who, &is_given, &cause), 0);
	assert_false(is_given);
	assert_int_equal(privilege_check_dir(path, NULL, &is_given, &cause), 0);
	assert_false(is_given);
	free(cause);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers), cmocka_unit_test(refusals), cmocka_unit_test(no_files),
		cmocka_unit_test(for_good),          cmocka_unit_test(folders),  cmocka_unit_test(folders_looked_at),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
