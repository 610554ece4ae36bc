/* listener.c — makes listening sockets and says in one line what to do when it cannot. Owns nothing. Main thread. */
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The kernel cuts it to net.core.somaxconn. A crowd reconnecting after a restart arrives within one wake of the gate. */
#define BACKLOG 4096

static const char *remedy(int error)
{
	switch (error) {
	case EADDRINUSE: return "another program listens there; stop it or choose another port with --port";
	case EACCES:
	case EPERM: return "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher one with --port";
	case EADDRNOTAVAIL: return "no interface of this machine has that address; choose another with --listen";
	case EINVAL:
		return "an address of one link alone, such as fe80::1, or IPv4 written as IPv6 cannot be listened on; "
		       "choose another with --listen";
	case EAFNOSUPPORT: return "this machine has no such address family; choose another address with --listen";
	case EMFILE:
	case ENFILE: return "no descriptor is left; raise the limit (ulimit -n)";
	default: return strerror(error);
	}
}

/* A bound socket. Returns 0 or an errno. */
static int open_tcp(const struct sockaddr_storage *a, socklen_t len, bool is_any, int *out)
{
	int on = 1, off = 0, error;
	int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Accepted sockets inherit it: one system call here instead of one a connection. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (a->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_any ? &off : &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)a, len)) {
		error = errno;
		close(fd);
		return error;
	}
	*out = fd;
	return 0;
}

static socklen_t fill_in(struct sockaddr_storage *a, int port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;
	*a = (struct sockaddr_storage){ .ss_family = AF_INET };
	v4->sin_port = htons((uint16_t)port);
	return sizeof(*v4);
}

static socklen_t fill_in6(struct sockaddr_storage *a, int port)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;
	*a = (struct sockaddr_storage){ .ss_family = AF_INET6 };
	v6->sin6_port = htons((uint16_t)port);
	return sizeof(*v6);
}

static int bound_port(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	if (getsockname(fd, (struct sockaddr *)&a, &len))
		return 0;
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port : ((struct sockaddr_in *)&a)->sin_port);
}

int listener_bind(const char *address, int port, int *fd, char **cause)
{
	struct sockaddr_storage a;
	socklen_t len;
	int error;
	if (!address) {
		len = fill_in6(&a, port);
		error = open_tcp(&a, len, true, fd);
		/* No IPv6 in the kernel, or switched off by sysctl: then bind() says the address is not there. */
		if (error == EAFNOSUPPORT || error == EADDRNOTAVAIL) {
			len = fill_in(&a, port);
			error = open_tcp(&a, len, true, fd);
		}
	} else {
		len = fill_in(&a, port);
		if (inet_pton(AF_INET, address, &((struct sockaddr_in *)&a)->sin_addr) != 1) {
			len = fill_in6(&a, port);
			if (inet_pton(AF_INET6, address, &((struct sockaddr_in6 *)&a)->sin6_addr) != 1) {
				wc_cause(cause,
				         "cannot listen on %s: not a numeric address; give one such as 127.0.0.1 or ::1 with --listen",
				         address);
				return -WC_EBAD;
			}
		}
		error = open_tcp(&a, len, false, fd);
	}
	if (error) {
		wc_cause(cause, "cannot listen on %s port %d: %s", address ? address : "any address", port, remedy(error));
		errno = error;
		return -WC_EIO;
	}
	return 0;
}

#define PORT_TRIES 50

int listener_bind_all(char *const *addresses, int port, int *fds, int room, char **cause)
{
	const int wanted = port;
	int n = 0, rc = 0;
	if (!addresses || !addresses[0])
		return room < 1 ? -WC_ETOOBIG : (rc = listener_bind(NULL, port, &fds[0], cause)) < 0 ? rc : 1;
	/* A port that is free at one address may be taken at the next: then another one. */
	for (int tries = 0; tries < PORT_TRIES; tries++) {
		port = wanted;
		for (n = 0, rc = 0; addresses[n] && n < room && rc == 0; n += rc == 0) {
			rc = listener_bind(addresses[n], port, &fds[n], cause);
			if (rc == 0 && port == 0)
				port = bound_port(fds[n]);
		}
		if (rc == 0 && !addresses[n])
			return n;
		const bool is_taken = errno == EADDRINUSE;
		while (n > 0)
			close(fds[--n]);
		if (wanted != 0 || !is_taken)
			break;
	}
	return rc ? rc : -WC_ETOOBIG;
}

int listener_listen(int fd, int *port, char **cause)
{
	*port = bound_port(fd);
	/* Two sockets may be bound to one port as long as neither listens. */
	if (listen(fd, BACKLOG) == 0)
		return 0;
	wc_cause(cause, "cannot listen on port %d: %s", *port, remedy(errno));
	return -WC_EIO;
}

/* A socket file that refuses connections was left by a process that is gone. */
static bool is_stale(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bool stale = connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

/* *a: the address of path. *exists: a stale socket is there, or one of ours. */
static int look_at_path(const char *path, bool is_mine, struct sockaddr_un *a, bool *exists, char **cause)
{
	struct stat st;
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a->sun_path)) {
		wc_cause(cause, "cannot listen on %s: a socket's path has at most %zu bytes; choose a shorter one", path,
		         sizeof(a->sun_path) - 1);
		return -WC_ETOOBIG;
	}
	memcpy(a->sun_path, path, strlen(path));
	*exists = lstat(path, &st) == 0;
	if (*exists && !S_ISSOCK(st.st_mode)) {
		wc_cause(cause, "cannot listen on %s: it exists and is not a socket; remove it or choose another path", path);
		return -WC_EEXIST;
	}
	if (*exists && !is_mine && !is_stale(a)) {
		wc_cause(cause, "cannot listen on %s: a running server answers there; stop it first", path);
		return -WC_EEXIST;
	}
	return 0;
}

int listener_unix_check(const char *path, bool is_mine, char **cause)
{
	struct sockaddr_un a;
	bool ignored;
	return look_at_path(path, is_mine, &a, &ignored, cause);
}

int listener_unix(const char *path, int *out, char **cause)
{
	struct sockaddr_un a;
	bool exists;
	mode_t mask;
	int fd, error = look_at_path(path, false, &a, &exists, cause);

	if (error)
		return error;
	if (exists)
		unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		wc_cause(cause, "cannot listen on %s: %s", path, remedy(errno));
		return -WC_EIO;
	}
	/* The file is born with its mode: no moment in which others may connect. The mask is the process's, hence only at start. */
	mask = umask(0177);
	error = bind(fd, (const struct sockaddr *)&a, sizeof(a)) || listen(fd, BACKLOG) ? errno : 0;
	umask(mask);
	if (error) {
		close(fd);
		wc_cause(cause, "cannot listen on %s: %s", path, strerror(error));
		return -WC_EIO;
	}
	*out = fd;
	return 0;
}

void address_unmap(struct sockaddr_storage *a)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	if (a->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		return;
	v4.sin_port = v6->sin6_port;
	memcpy(&v4.sin_addr, v6->sin6_addr.s6_addr + 12, 4);
	memset(a, 0, sizeof(*a));
	memcpy(a, &v4, sizeof(v4));
}
