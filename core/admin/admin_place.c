/* admin_place.c — the folder for sockets of servers without a data folder (see admin_place.h). Owns its path. Never follows a symbolic
 * link that somebody else may have put there. */
#include "admin/admin_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *print(const char *fmt, ...) WC_PRINTF(1, 2);

static char *print(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	return text;
}

/* Of a server that root started and that became somebody else, the variable is still root's. */
static bool is_usable(const char *runtime)
{
	struct stat st;

	return runtime && *runtime == '/' && lstat(runtime, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       !(st.st_mode & 022);
}

void admin_place_dirs(const char *runtime, char *out[ADMIN_PLACES])
{
	out[0] = is_usable(runtime) ? print("%s/wavechat", runtime) : NULL;
	out[1] = print("/tmp/wavechat-%u", (unsigned)geteuid());
}

bool admin_place_is_ours(const char *dir)
{
	struct stat st;

	return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077);
}

static char *made; /* the folder; until the end */

char *admin_place_path(void)
{
	return made ? print("%s/%d" ADMIN_PLACE_SUFFIX, made, (int)getpid()) : NULL;
}

/* "123.sock" of a process that is gone. Whose number another program has by now stays; to connect to it is refused. */
static bool is_left_behind(const char *name)
{
	char *end;
	long pid = strtol(name, &end, 10);

	return *name >= '1' && *name <= '9' && strcmp(end, ADMIN_PLACE_SUFFIX) == 0 && pid != getpid() && kill((pid_t)pid, 0) < 0 &&
	       errno == ESRCH;
}

static void clear(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	for (struct dirent *e; d && (e = readdir(d));)
		if (is_left_behind(e->d_name))
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

/* 0; 1: it cannot be made here, another place may do. */
static int make_in(const char *dir, char **cause)
{
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		wc_cause(cause, "cannot make %s for the admin socket: %s: name another place with --admin-socket", dir, strerror(errno));
		return 1;
	}
	if (!admin_place_is_ours(dir)) {
		wc_cause(cause,
		         "%s is not a folder of user %u alone: remove it, or name another place for the admin socket with --admin-socket",
		         dir, (unsigned)geteuid());
		return -WC_EDENIED;
	}
	return 0;
}

int admin_place_make(char **cause)
{
	char *dirs[ADMIN_PLACES], *why = NULL;
	int rc = 1;

	admin_place_dirs(getenv("XDG_RUNTIME_DIR"), dirs);
	for (int i = 0; i < ADMIN_PLACES; i++) {
		if (dirs[i] && rc > 0) {
			free(why);
			why = NULL;
			rc = make_in(dirs[i], &why);
			if (rc == 0) {
				clear(dirs[i]);
				free(made);
				made = dirs[i];
				continue;
			}
		}
		free(dirs[i]);
	}
	if (rc != 0)
		wc_cause(cause, "%s", why);
	free(why);
	return rc > 0 ? -WC_EIO : rc;
}
