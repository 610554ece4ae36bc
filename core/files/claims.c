/* claims.c — see claims.h. Owns nothing. */
#include "files/claims.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void claims_add_address(struct buf *b, const char *address, int port)
{
	buf_printf(b, "listen %s %d\n", address ? address : "*", port);
}

void claims_add_socket(struct buf *b, const char *path)
{
	char *real = realpath(path, NULL); /* the process that compares has another working directory */

	if (!strchr(real ? real : path, '\n'))
		buf_printf(b, "socket %s\n", real ? real : path);
	free(real);
}

void claims_read(struct claims *c, const char *dir)
{
	char *path = NULL;
	ssize_t n = 0;
	int fd;

	*c = (struct claims){ .is_held = false };
	if (!dir)
		return;
	if (asprintf(&path, "%s/lock", dir) < 0)
		abort();
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	free(path);
	if (fd < 0)
		return;
	/* If this lock is granted, no server holds the folder. */
	c->is_held = flock(fd, LOCK_SH | LOCK_NB) < 0;
	if (c->is_held)
		n = pread(fd, c->text, sizeof(c->text) - 1, 0);
	c->text[n > 0 ? n : 0] = '\0';
	close(fd);
}

static bool is_any(const char *address)
{
	return strcmp(address, "*") == 0 || strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

static bool overlap(const char *a, const char *b)
{
	const bool is_v6[2] = { strchr(a, ':') != NULL, strchr(b, ':') != NULL };

	if (strcmp(a, b) == 0 || strcmp(a, "*") == 0 || strcmp(b, "*") == 0)
		return true;
	return is_v6[0] == is_v6[1] && (is_any(a) || is_any(b));
}

bool claims_has_address(const struct claims *c, const char *address, int port)
{
	char at[80];
	int number;

	for (const char *line = c->text; *line && c->is_held; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : "")
		if (sscanf(line, "listen %79s %d", at, &number) == 2 && number == port && overlap(at, address ? address : "*"))
			return true;
	return false;
}

bool claims_has_socket(const struct claims *c, const char *path)
{
	for (const char *line = c->text; *line && c->is_held; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : "") {
		struct stat a, b;
		char *claimed;
		bool is_same;

		if (strncmp(line, "socket ", 7) != 0)
			continue;
		claimed = strndup(line + 7, strcspn(line + 7, "\n"));
		WC_ASSERT(claimed);
		is_same = strcmp(claimed, path) == 0 ||
		          (stat(claimed, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino);
		free(claimed);
		if (is_same)
			return true;
	}
	return false;
}
