/* server_check.c — --check: takes the steps of a start, with the same functions, up to the first that would change something. There it asks
 * whether the step would be allowed. Fails exactly when a start would, but for what this folder's own running server holds.
 *
 * Makes no file, changes none, accepts no connection. Gives up privileges and enters the sandbox as a start does, for good. Thread: main.
 * */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "admin/admin_socket.h"
#include "files/blob.h"
#include "files/claims.h"
#include "files/space.h"
#include "net/listener.h"
#include "net/tls.h"
#include "server/impl.h"
#include "server/orphan.h"
#include "server/privilege.h"
#include "state/password.h"
#include "store/store.h"

static void forget(char **cause)
{
	free(*cause);
	*cause = NULL;
}

/* A port of our own running server is to be had after it has ended. */
static int check_port(const struct claims *mine, const char *address, int port, char **cause)
{
	int fd = -1, rc = listener_bind(address, port, &fd, cause);

	if (rc == 0)
		close(fd);
	else if (errno == EADDRINUSE && claims_has_address(mine, address, port)) {
		forget(cause);
		rc = 0;
	}
	return rc;
}

static int check_ports(const struct options *o, const struct claims *mine, char **cause)
{
	const int ports[2] = { o->port, o->redirect_port };
	char metrics[64];

	for (int i = 0; i < (o->redirect_port ? 2 : 1); i++) {
		if (!o->listen && check_port(mine, NULL, ports[i], cause) < 0)
			return -WC_EIO;
		for (char *const *address = o->listen; address && *address; address++)
			if (check_port(mine, *address, ports[i], cause) < 0)
				return -WC_EIO;
	}
	return o->metrics ? check_port(mine, metrics, server_metrics_address(o, metrics), cause) : 0;
}

/* A file that a start opens for reading and writing, or makes. */
static int check_file(const char *dir, const char *name, char **cause)
{
	char *path = NULL;
	struct stat st;
	int fd, rc = 0;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		abort();
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | (strcmp(name, "lock") == 0 ? O_NOFOLLOW : 0));
	const int err = errno;

	/* Missing files are made, but not the target of a link. A server that starts just now may make or remove one of them at any
	 * time. */
	if (fd < 0 && (err != ENOENT || (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)))) {
		wc_cause(cause, "cannot write %s: %s: make it writable for user %u, or name another directory with --data", path,
		         strerror(err), (unsigned)geteuid());
		rc = -WC_ESTORAGE;
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

/* The least that a start writes: the log's index, and into a new folder everything it makes. Both were measured. */
#define ROOM_BYTES 40960
#define ROOM_BYTES_NEW 204800
#define ROOM_FILES 2
#define ROOM_FILES_NEW 8

static bool has_file(const char *dir, const char *name)
{
	char *path = NULL;
	bool has;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		abort();
	has = access(path, F_OK) == 0;
	free(path);
	return has;
}

/* A start cannot begin on a disk without room, but for the reserve that it may give up. */
static int check_room(const char *dir, char **cause)
{
	const bool is_new = !has_file(dir, "wavechat.db"), is_root = geteuid() == 0;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    rc = 0; /* one that is missing is on the disk of its parent, of which no more is asked */
	struct statvfs v;

	/* With a log in place opening the database has shown it. */
	if (!has_file(dir, "wavechat.db-wal") && !has_file(dir, SPACE_RESERVE_FILE) && fd >= 0 && fstatvfs(fd, &v) == 0) {
		const uint64_t bytes = (uint64_t)(is_root ? v.f_bfree : v.f_bavail) * v.f_frsize, files = is_root ? v.f_ffree : v.f_favail;

		if (bytes < (is_new ? ROOM_BYTES_NEW : ROOM_BYTES) || (v.f_files && files < (is_new ? ROOM_FILES_NEW : ROOM_FILES))) {
			wc_cause(cause, "cannot write %s/wavechat.db: %s: free some space, or name a directory on another disk with --data",
			         dir, strerror(ENOSPC));
			rc = -WC_ESTORAGE;
		}
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int check_data(const struct options *o, const char *dir, bool is_given, char **cause)
{
	static const char *const files[] = { "lock", "wavechat.db", "wavechat.db-wal", "wavechat.db-shm" };
	struct orphan_look look = { dir, o->accept_orphans, false };

	if (is_given) /* it will be made, or is empty and will be the user's */
		return 0;
	if (store_check(dir, cause) < 0)
		return -WC_ESTORAGE;
	for (size_t i = 0; i < WC_LEN(files); i++)
		if (check_file(dir, files[i], cause) < 0)
			return -WC_ESTORAGE;
	if (blobs_check(dir, cause) < 0)
		return -WC_ESTORAGE;
	return store_look_at(dir, orphan_look, &look, cause);
}

/* The folder above must be there and let the server's user through, once a start has made dir and given it away. */
static int check_way(const char *dir, char **cause)
{
	char *parent = parent_of(dir);
	int rc = 0;

	if (access(parent, X_OK) < 0) {
		wc_cause(cause, "cannot use %s: %s: let user %u pass through %s, or name another directory with --data", dir,
		         strerror(errno), (unsigned)geteuid(), parent);
		rc = -WC_ESTORAGE;
	}
	free(parent);
	return rc;
}

/* The socket's place is the folder that a start has made by then. */
static bool is_to_be_made(const struct options *o, const char *dir)
{
	char *parent = o->admin_socket && dir && access(dir, F_OK) < 0 ? parent_of(o->admin_socket) : NULL;
	const size_t len = dir ? strlen(dir) - (strlen(dir) > 1 && dir[strlen(dir) - 1] == '/') : 0;
	const bool is_same = parent && strlen(parent) == len && strncmp(parent, dir, len) == 0;

	free(parent);
	return is_same;
}

/* Could the admin socket be opened? One of this folder's own running server counts as free. */
static int check_admin(const struct options *o, const struct claims *mine, char **cause)
{
	char *path = admin_socket_path(o->admin_socket, o->data), *bind_path = NULL;
	int dir_fd = -1, rc = path ? admin_socket_place(path, &dir_fd, &bind_path, cause) : 0;

	if (path && rc == 0)
		rc = listener_unix_check(bind_path, claims_has_socket(mine, path), cause);
	/* The socket is made in there. Landlock and the mode have to let the server. */
	if (path && rc == 0 && faccessat(dir_fd, ".", W_OK | X_OK, 0) < 0) {
		wc_cause(cause, "cannot listen on %s: %s", path, strerror(errno));
		rc = -WC_EIO;
	}
	if (rc < 0 && !o->admin_socket) { /* nobody asked for it: a start goes on without it */
		forget(cause);
		rc = 0;
	}
	if (dir_fd >= 0)
		close(dir_fd);
	free(bind_path);
	free(path);
	return rc;
}

int server_check(const struct options *o, char **cause)
{
	struct server *s = xcalloc(1, sizeof(*s));
	const char *dir = strcmp(o->data, ":memory:") == 0 ? NULL : o->data;
	struct claims *mine = xcalloc(1, sizeof(*mine));
	struct password password = { .is_set = false };
	bool is_given = false;
	int rc = -WC_EIO;

	s->o = o;
	claims_read(mine, dir);
	if (server_plan_limits(s, cause) < 0 || check_ports(o, mine, cause) < 0 ||
	    (o->tls_cert && tls_open(&s->tls, o->tls_cert, o->tls_key, cause) < 0) ||
	    server_give_up_privileges(s, dir, &is_given, cause) < 0)
		goto out;
	if (dir && ((is_given ? check_way(dir, cause) : check_data(o, dir, is_given, cause)) < 0 || check_room(dir, cause) < 0))
		goto out;
	if (o->join_password_file && password_read(&password, o->join_password_file, 0, cause) < 0)
		goto out;
	if (o->tls_self_signed && dir && !is_given && tls_check_own(dir, cause) < 0)
		goto out;
	rc = is_to_be_made(o, dir) ? 0 : check_admin(o, mine, cause);
out:
	tls_free(s->tls);
	free(mine);
	free(s);
	return rc;
}
