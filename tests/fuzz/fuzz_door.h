/* fuzz_door.h — what the targets that go through the HTTP door share: one connection to a unix socket, all bytes sent, all answers read,
 * and the answers judged. */
#ifndef FUZZ_DOOR_H
#define FUZZ_DOOR_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/wc.h"

/* A folder that goes with the program. */
static char door_dir[64];

static void door_remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", door_dir);
	if (system(command) != 0)
		perror(door_dir);
}

static void door_make_dir(void)
{
	strcpy(door_dir, "/tmp/wavechat-fuzz-XXXXXX");
	WC_ASSERT(mkdtemp(door_dir));
	atexit(door_remove);
}

/* Sends everything, then says that no more will come, and reads what is answered until the server closes. Who is not answered within 20 s
 * found a server that hangs. */
static size_t door_ask(const char *path, const uint8_t *data, size_t n, char *out, size_t room)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 20 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = 0;
	ssize_t got;

	WC_ASSERT(fd >= 0 && strlen(path) < sizeof(to.sun_path));
	strcpy(to.sun_path, path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	WC_ASSERT(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	/* libFuzzer's timer interrupts both, and a call with a timeout of its own is not gone on with by itself. */
	for (size_t at = 0; at < n; at += (size_t)WC_MAX(got, 0))
		if ((got = send(fd, data + at, n - at, MSG_NOSIGNAL)) <= 0 && errno != EINTR)
			break; /* it has refused, and reads no more */
	shutdown(fd, SHUT_WR);
	while ((got = recv(fd, out + len, room - len, 0)) > 0 || (got < 0 && errno == EINTR))
		len = WC_MIN(len + (size_t)WC_MAX(got, 0), room - 1); /* what is past the room is thrown away */
	WC_ASSERT(got == 0);
	close(fd);
	out[len] = '\0';
	return len;
}

/* Judges the first answer: a status that the door knows, whole lines, and no header that the program does not write itself, which is what
 * somebody who smuggled a line end into one would have made. Returns the status; 0: none came. *body is what follows the head. */
static int door_judge(char *answer, size_t len, const char **body)
{
	static const char *const known[] = { "Date",
		                             "X-Content-Type-Options",
		                             "Content-Type",
		                             "Content-Length",
		                             "Content-Security-Policy",
		                             "Referrer-Policy",
		                             "Permissions-Policy",
		                             "Cross-Origin-Opener-Policy",
		                             "Cross-Origin-Resource-Policy",
		                             "Cache-Control",
		                             "Connection",
		                             "Retry-After",
		                             "ETag",
		                             "Vary",
		                             "Content-Encoding",
		                             "Accept-Ranges",
		                             "Content-Range",
		                             "Content-Disposition",
		                             "WWW-Authenticate",
		                             "Allow",
		                             "Upgrade",
		                             "Sec-WebSocket-Version" };
	int status = 0;
	char *end;

	*body = "";
	if (strncmp(answer, "HTTP/1.1 100 Continue\r\n\r\n", 25) == 0) {
		answer += 25;
		len -= 25;
	}
	if (len == 0)
		return 0;
	end = memmem(answer, len, "\r\n\r\n", 4);
	WC_ASSERT(sscanf(answer, "HTTP/1.1 %d ", &status) == 1 && end && !memchr(answer, '\0', (size_t)(end - answer)));
	WC_ASSERT(status >= 200 && status < 600);
	*body = end + 4;
	for (char *line = strstr(answer, "\r\n"); line < end; line = strstr(line + 2, "\r\n")) {
		size_t name = strcspn(line + 2, ":\r\n");
		bool is_known = false;

		for (size_t i = 0; i < WC_LEN(known) && !is_known; i++)
			is_known = strlen(known[i]) == name && strncasecmp(known[i], line + 2, name) == 0;
		WC_ASSERT(is_known);
	}
	return status;
}

#endif
