/* privilege.c — the user that the server runs as (see privilege.h). Owns nothing. */
#include "server/privilege.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

/* --- Names and numbers */

/* A whole decimal number that an id may be; the largest means "nobody" to the kernel. */
static bool parse_id(const char *s, uint32_t *out)
{
	char *end;
	unsigned long long n;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	n = strtoull(s, &end, 10);
	if (errno || *end || n >= UINT32_MAX)
		return false;
	*out = (uint32_t)n;
	return true;
}

/* The fields of "name:x:1000:1000:…", in place. Returns how many; those asked for and missing are empty. */
static int split_fields(char *line, char *fields[], int most)
{
	int n = 0;

	line[strcspn(line, "\r\n")] = '\0';
	for (int i = 0; i < most; i++) {
		char *field = line ? strsep(&line, ":") : NULL;

		fields[i] = field ? field : (char *)"";
		n += field != NULL;
	}
	return n;
}

enum { NAME, PASSWORD, ID, GROUP, FIELDS };

/* The first line of DIR/file whose name or, if that is a number, whose id is `wanted`. Returns 1 with *id (and *group, for passwd), 0: no
 * such line. A file that is not there, as in an empty container, has none. */
static int look_up(const char *dir, const char *file, const char *wanted, char name[RUNNER_NAME_BYTES], uint32_t *id, uint32_t *group)
{
	char path[4096], *line = NULL, *fields[FIELDS];
	uint32_t number, found_id = 0, found_group = 0;
	const bool by_number = parse_id(wanted, &number);
	size_t room = 0;
	int found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "re");
	while (f && !found && getline(&line, &room, f) > 0) {
		const int n = split_fields(line, fields, FIELDS);

		if (n <= (group ? GROUP : ID) || !parse_id(fields[ID], &found_id) || (group && !parse_id(fields[GROUP], &found_group)))
			continue; /* a comment, or a line of NIS */
		found = by_number ? found_id == number : strcmp(fields[NAME], wanted) == 0;
	}
	if (found) {
		*id = found_id;
		if (group)
			*group = found_group;
		if (name)
			snprintf(name, RUNNER_NAME_BYTES, "%s", fields[NAME]);
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

int runner_find(struct runner *out, const char *spec, const char *files, char **cause)
{
	const size_t user_len = strcspn(spec, ":");
	const char *group = spec[user_len] ? spec + user_len + 1 : NULL;
	char user[RUNNER_NAME_BYTES];
	uint32_t uid = 0, gid = 0;

	*out = (struct runner){ 0 };
	if (user_len == 0 || user_len >= sizeof(user) || (group && (!*group || strchr(group, ':')))) {
		wc_cause(cause, "--user %s: give NAME or UID, or with a group NAME:GROUP or UID:GID", spec);
		return -WC_EBAD;
	}
	snprintf(user, sizeof(user), "%.*s", (int)user_len, spec);
	if (!look_up(files, "passwd", user, out->name, &uid, &gid)) {
		if (!parse_id(user, &uid)) {
			wc_cause(cause, "--user %s: no user %s in %s/passwd; make one (useradd --system %s), or give a number", spec, user,
			         files, user);
			return -WC_ENOENT;
		}
		gid = uid;
		snprintf(out->name, sizeof(out->name), "%s", user);
	}
	if (group && !look_up(files, "group", group, NULL, &gid, NULL) && !parse_id(group, &gid)) {
		wc_cause(cause, "--user %s: no group %s in %s/group; make one (groupadd --system %s), or give a number", spec, group, files,
		         group);
		return -WC_ENOENT;
	}
	if (uid == 0) {
		wc_cause(cause, "--user %s: that is root, whom nothing is taken from; name another, or leave --user away", spec);
		return -WC_EDENIED;
	}
	out->uid = uid;
	out->gid = gid;
	return 0;
}

/* --- The folder that will be theirs */

static bool is_empty(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return false;
	}
	while (n < 3 && readdir(d))
		n++;
	closedir(d);
	return n == 2; /* . and .. */
}

/* makes false: only looks, and *is_given says whether it would be who's by a gift. */
static int claim_dir(const char *dir, const struct runner *who, bool makes, bool *is_given, char **cause)
{
	struct stat st;
	int fd, rc = 0;

	if (!who || geteuid() != 0)
		return 0;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		wc_cause(cause, "cannot use %s: %s: name another directory with --data", dir, strerror(errno));
		rc = -WC_ESTORAGE;
	} else if (st.st_uid == geteuid() && is_empty(fd)) {
		*is_given = true;
		if (makes && fchown(fd, who->uid, who->gid) < 0) {
			wc_cause(cause, "cannot give %s to %s: %s: name another directory with --data", dir, who->name, strerror(errno));
			rc = -WC_ESTORAGE;
		}
	} else if (st.st_uid != who->uid) {
		wc_cause(
			cause,
			"%s belongs to user %u, and the server is to run as %s (%u): chown -R %u:%u %s, or name another directory with --data",
			dir, (unsigned)st.st_uid, who->name, (unsigned)who->uid, (unsigned)who->uid, (unsigned)who->gid, dir);
		rc = -WC_EDENIED;
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

char *parent_of(const char *dir)
{
	char *parent = xstrdup(dir);
	size_t len = strlen(dir);

	while (len > 1 && parent[len - 1] == '/')
		len--;
	while (len > 0 && parent[len - 1] != '/')
		len--;
	while (len > 1 && parent[len - 1] == '/')
		len--;
	parent[len] = '\0';
	if (len)
		return parent;
	free(parent);
	return xstrdup(".");
}

int privilege_make_dir(const char *dir, const struct runner *who, char **cause)
{
	bool ignored;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return 0; /* who opens it says best what is wrong */
	return claim_dir(dir, who, true, &ignored, cause);
}

int privilege_check_dir(const char *dir, const struct runner *who, bool *is_given, char **cause)
{
	struct stat st;
	char *parent;

	*is_given = false;
	if (!who || geteuid() != 0)
		return 0;
	if (lstat(dir, &st) == 0 || errno != ENOENT)
		return claim_dir(dir, who, false, is_given, cause);
	parent = parent_of(dir);
	*is_given = access(parent, W_OK | X_OK) == 0; /* else who looks at the data says best what is wrong */
	free(parent);
	return 0;
}

/* --- For good */

static bool has_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	return syscall(SYS_capget, &head, data) < 0 || data[0].effective || data[1].effective || data[0].permitted || data[1].permitted;
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	(void)syscall(SYS_capset, &head, none); /* whether it did is looked at afterwards */
}

static bool is_all(const struct runner *who)
{
	uid_t real, effective, saved;
	gid_t group, effective_group, saved_group;

	return getresuid(&real, &effective, &saved) == 0 && getresgid(&group, &effective_group, &saved_group) == 0 && real == who->uid &&
	       effective == who->uid && saved == who->uid && group == who->gid && effective_group == who->gid && saved_group == who->gid;
}

int privilege_drop(const struct runner *who, char **cause)
{
	if (!who) {
		if (geteuid() != 0)
			drop_capabilities();
		return 0;
	}
	if (geteuid() != 0) {
		if (is_all(who)) {
			drop_capabilities();
			return 0;
		}
		wc_cause(cause,
		         "--user %s: only root can become somebody else, and this is user %u: start it as root, or leave --user away",
		         who->name, (unsigned)geteuid());
		return -WC_EDENIED;
	}
	if (setgroups(0, NULL) < 0 || setresgid(who->gid, who->gid, who->gid) < 0 || setresuid(who->uid, who->uid, who->uid) < 0) {
		wc_cause(
			cause,
			"cannot become %s (%u:%u): %s: the user namespace may not know that number, or CAP_SETUID and CAP_SETGID are missing",
			who->name, (unsigned)who->uid, (unsigned)who->gid, strerror(errno));
		return -WC_EDENIED;
	}
	drop_capabilities();
	/* Believed only when seen: a securebit or a filter can have kept something. */
	if (!is_all(who) || getgroups(0, NULL) != 0 || has_capabilities() || setuid(0) == 0 || seteuid(0) == 0 ||
	    (who->gid != 0 && (setgid(0) == 0 || setegid(0) == 0))) {
		wc_cause(cause, "became %s, but could become root again: not started", who->name);
		return -WC_EDENIED;
	}
	return 0;
}

void privilege_no_core(void)
{
	/* 0 still hands the image to a program that core_pattern names; 1 the kernel takes for "to nobody", in either case. A process that
	 * may not go from 0 to 1 was given 0 on purpose. */
	if (setrlimit(RLIMIT_CORE, &(struct rlimit){ 1, 1 }) < 0)
		(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
}
