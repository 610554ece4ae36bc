/* admin_socket.c — the place of the admin's socket (see admin_socket.h). Owns nothing; binds nothing. Thread: main. */
#include "admin/admin_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/admin_place.h"
#include "base/logmsg.h"

char *admin_socket_path(const char *given, const char *data)
{
	if (given)
		return strcmp(given, "none") == 0 ? NULL : xstrdup(given);
	const char *run = getenv("RUNTIME_DIRECTORY");
	char *path = NULL;
	/* systemd separates several by colons; the first is the one. */
	if (run && *run) {
		if (asprintf(&path, "%.*s/wavechat.sock", (int)strcspn(run, ":"), run) < 0)
			abort();
	} else if (strcmp(data, ":memory:") == 0) {
		path = admin_place_path();
	} else if (asprintf(&path, "%s/admin.sock", data) < 0) {
		abort();
	}
	return path;
}

void admin_socket_prepare(const char *given, const char *data)
{
	const char *run = getenv("RUNTIME_DIRECTORY");
	char *cause = NULL;
	if (given || (run && *run) || strcmp(data, ":memory:") != 0 || admin_place_make(&cause) == 0)
		return;
	log_warn("no admin socket", "cause=\"%s\"", cause ? cause : "no memory");
	free(cause);
}

/* Anyone who can write in the directory can put another socket in this one's place, and be taken for the server. The sticky bit only keeps
 * others from removing it: the place is free again at every restart. */
static int check_dir(const char *dir, int fd, char **cause)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		wc_cause(cause, "cannot use %s for the admin socket: %s", dir, strerror(errno));
		return -WC_EIO;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		wc_cause(cause,
		         "the admin socket's directory %s belongs to user %u, not to this one (%u): name another with --admin-socket", dir,
		         (unsigned)st.st_uid, (unsigned)geteuid());
		return -WC_EDENIED;
	}
	if (st.st_mode & 022) {
		/* Of a folder that is meant to be shared, nobody is to take the others' right away. */
		const char *chmod = st.st_mode & S_ISVTX ? "" : "chmod go-w it, or ";
		wc_cause(cause, "others can write in the admin socket's directory %s: %sname another with --admin-socket", dir, chmod);
		return -WC_EDENIED;
	}
	return 0;
}

int admin_socket_place(const char *path, int *dir_fd, char **bind_path, char **cause)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char *dir = slash == path ? xstrdup("/") : slash ? strndup(path, (size_t)(slash - path)) : xstrdup(".");
	int rc = -WC_EIO;
	WC_ASSERT(dir);
	*dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir_fd < 0)
		wc_cause(cause, "cannot use %s for the admin socket: %s: name another place with --admin-socket", dir, strerror(errno));
	else
		rc = check_dir(dir, *dir_fd, cause);
	if (rc == 0 && strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path))
		*bind_path = xstrdup(path);
	else if (rc == 0 && asprintf(bind_path, "/proc/self/fd/%d/%s", *dir_fd, name) < 0)
		abort();
	const size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("/proc/self/fd/999999/");
	if (rc == 0 && *bind_path && strcmp(*bind_path, path) != 0 && strlen(name) > most) {
		wc_cause(cause, "cannot listen on %s: the name of a socket in so long a path has at most %zu bytes; choose a shorter one",
		         path, most);
		rc = -WC_ETOOBIG;
	}
	free(dir);
	return rc;
}
