/* sandbox.c — no new privileges, then files, then system calls (see sandbox.h and syscalls.c). Owns nothing.
 *
 * Landlock's numbers stand here, not in a header: the kernel that runs the program is newer than the one whose headers it was built with.
 * */
#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/syscalls.h"

/* The sanitizers trace, read and write what a server has no business with. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

/* --- Landlock. The same numbers on every architecture. */

#define NR_CREATE_RULESET 444
#define NR_ADD_RULE 445
#define NR_RESTRICT_SELF 446
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_ALL_1 = (1 << 13) - 1,
	FS_REFER = 1 << 13,     /* version 2: to another directory */
	FS_TRUNCATE = 1 << 14,  /* 3 */
	FS_IOCTL_DEV = 1 << 15, /* 5 */
};
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define NET_CONNECT_TCP (1u << 1)     /* 4 */
#define SCOPE_ABSTRACT_UNIX (1u << 0) /* 6 */
#define SCOPE_SIGNAL (1u << 1)

struct ruleset {
	uint64_t fs, net, scoped;
};

struct beneath {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

struct files {
	int fd;
	uint64_t handled;
};

/* A missing path cannot be allowed, and need not be. */
static bool allow(const struct files *f, const char *path, uint64_t access)
{
	struct stat st;
	struct beneath rule = { access & f->handled, open(path, O_PATH | O_CLOEXEC) };
	bool ok;

	if (rule.fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES;
	if (fstat(rule.fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.access &= FS_OF_FILES;
	ok = syscall(NR_ADD_RULE, f->fd, RULE_PATH_BENEATH, &rule, 0) == 0;
	close(rule.fd);
	return ok;
}

static char *dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == path ? xstrdup("/") : slash ? strndup(path, (size_t)(slash - path)) : xstrdup(".");

	WC_ASSERT(dir);
	return dir;
}

/* A file is renewed by putting another in its place, so it is its directory that may be read; and where it is a symbolic link, as a renewed
 * certificate often is, also the directory that it leads to. */
static bool allow_again(void *arg, const char *path)
{
	char *real = realpath(path, NULL), *dirs[2] = { dir_of(path), real ? dir_of(real) : NULL };
	bool ok = true;

	for (int i = 0; i < 2; i++) {
		ok = ok && (!dirs[i] || allow(arg, dirs[i], FS_READ_FILE));
		free(dirs[i]);
	}
	free(real);
	return ok;
}

static bool allow_all(const struct files *f, const struct sandbox_paths *paths)
{
	/* The local time's rules, what SQLite seeds its temporary names with, what the kernel says of this process. */
	static const char *const readable[] = { "/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom", "/proc/self" };
	bool ok = true;

	for (size_t i = 0; i < WC_LEN(readable); i++)
		ok = ok && allow(f, readable[i], FS_READ_FILE);
	ok = ok && allow(f, "/proc/self/fd", FS_READ_DIR); /* older kernels tell the number of descriptors in no other way */
	if (paths->data)
		ok = ok && allow(f, paths->data,
		                 FS_READ_FILE | FS_WRITE_FILE | FS_READ_DIR | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |
		                         FS_MAKE_SOCK | FS_REFER | FS_TRUNCATE);
	if (paths->socket_dir)
		ok = ok && allow(f, paths->socket_dir, FS_MAKE_SOCK | FS_REMOVE_FILE);
	return ok && options_each_file(paths->o, allow_again, (void *)(uintptr_t)f);
}

/* Returns the version in force, or 0. */
static int enter_landlock(const struct sandbox_paths *paths)
{
	const long version = syscall(NR_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
	struct ruleset rules = { .fs = FS_ALL_1 | FS_REFER };
	const char *notify = getenv("NOTIFY_SOCKET");
	struct files f;
	bool ok;

	/* The first version forbids every renaming into another directory, by which a blob gets its name. */
	if (version < 2)
		return 0;
	if (version >= 3)
		rules.fs |= FS_TRUNCATE;
	if (version >= 4)
		rules.net = NET_CONNECT_TCP; /* it is called, and calls nobody */
	if (version >= 5)
		rules.fs |= FS_IOCTL_DEV;
	if (version >= 6)
		rules.scoped = SCOPE_SIGNAL | (notify && *notify == '@' ? 0 : SCOPE_ABSTRACT_UNIX);
	f.handled = rules.fs;
	f.fd = (int)syscall(NR_CREATE_RULESET, &rules, version >= 6 ? sizeof(rules) : version >= 4 ? 16 : 8, 0);
	if (f.fd < 0)
		return 0;
	ok = allow_all(&f, paths) && syscall(NR_RESTRICT_SELF, f.fd, 0) == 0;
	close(f.fd);
	return ok ? (int)version : 0;
}

int sandbox_enter(enum sandbox_mode mode, const struct sandbox_paths *paths, struct sandbox *out, char **cause)
{
	*out = (struct sandbox){ .no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 };
	if (mode != SANDBOX_OFF && !IS_SANITIZED) {
		out->landlock = enter_landlock(paths);
		out->seccomp = syscalls_restrict();
	}
	if (mode != SANDBOX_REQUIRE || (out->no_new_privs && out->landlock && out->seccomp))
		return 0;
	wc_cause(
		cause,
		"--sandbox require: this kernel, or the container, has no %s; a newer kernel has it (Linux 5.19), --sandbox on does without",
		!out->landlock  ? "Landlock of version 2"
		: !out->seccomp ? "seccomp filters"
				: "no_new_privs");
	return -WC_EDENIED;
}
