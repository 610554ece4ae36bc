/* notify.c — datagrams to the service manager (see notify.h). Owns nothing: a socket lives for one datagram. Main thread. */
#include "server/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* A manager that does not read must not keep us from stopping; one that is only busy must not miss that we are ready. */
#define SEND_TIMEOUT_S 5

/* A path, or with '@' for its zero byte a name in the abstract namespace, which has no terminator: its length says where it ends. */
static socklen_t manager_address(const char *name, struct sockaddr_un *out)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(out->sun_path))
		return 0;
	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	memcpy(out->sun_path, name, len);
	if (name[0] == '@') {
		out->sun_path[0] = '\0';
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	}
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

int notify_send(const char *state)
{
	const struct timeval timeout = { .tv_sec = SEND_TIMEOUT_S };
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t address_len;
	size_t len = strlen(state);
	ssize_t sent;
	int fd;

	if (!name || !*name)
		return 0;
	address_len = manager_address(name, &address);
	if (address_len == 0)
		return -WC_EBAD;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -WC_EIO;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	do {
		sent = sendto(fd, state, len, MSG_NOSIGNAL, (const struct sockaddr *)&address, address_len);
	} while (sent < 0 && errno == EINTR);
	close(fd);
	return sent == (ssize_t)len ? 1 : -WC_EIO;
}

int notify_reloading(void)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)mono_us());
	return notify_send(state);
}

/* A whole positive number, or 0. */
static long long positive(const char *s)
{
	char *end = NULL;
	long long n;

	if (!s || *s < '0' || *s > '9')
		return 0;
	errno = 0;
	n = strtoll(s, &end, 10);
	return errno == 0 && *end == '\0' ? n : 0;
}

int64_t notify_watchdog_ms(void)
{
	const char *pid = getenv("WATCHDOG_PID");

	/* Inherited variables may be meant for a parent of ours. */
	if (pid && *pid && positive(pid) != (long long)getpid())
		return 0;
	return positive(getenv("WATCHDOG_USEC")) / 1000;
}
