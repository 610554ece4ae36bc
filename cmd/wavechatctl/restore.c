/* restore.c — a data folder made of a backup; needs no server.
 *
 * Everything is unpacked into a fresh folder of its own and judged there. Only good parts are then moved into their place, by renaming. So
 * a backup that is refused has touched nothing, and nobody ever sees half a data folder. Where DIR is there already (empty), as a mount
 * point may be, the fresh folder lies in it and DIR's lock is held. Else it lies beside DIR. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ctl.h"
#include "unpack.h"

struct place {
	char *dir; /* as named, without slashes at its end */
	bool is_there;
	int dir_fd;  /* of DIR, or of the folder that it is to stand in; -1 */
	int lock_fd; /* of DIR/lock, held; -1 */
	bool made_lock;
	char *stage;       /* the fresh folder; NULL: not made */
	struct stat owner; /* of dir_fd */
};

static char *parent_of(const char *dir)
{
	const char *slash = strrchr(dir, '/');
	char *parent = !slash ? xstrdup(".") : slash == dir ? xstrdup("/") : strndup(dir, (size_t)(slash - dir));

	WC_ASSERT(parent);
	return parent;
}

/* --- Is DIR ours to fill? */

static int take_lock(struct place *p)
{
	p->lock_fd = openat(p->dir_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (p->lock_fd < 0 && errno == ENOENT)
		return 0;
	if (p->lock_fd < 0)
		return complain(EXIT_REFUSED, "cannot use %s/lock: %s", p->dir, strerror(errno));
	if (flock(p->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return complain(EXIT_REFUSED,
		                "%s is in use by a running wavechatd: stop it and move the folder aside, or name another folder", p->dir);
	return complain(EXIT_REFUSED, "cannot lock %s: %s", p->dir, strerror(errno));
}

/* A file system's own lost+found is nobody's data. */
static int check_empty(const struct place *p)
{
	int fd = openat(p->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return complain(EXIT_REFUSED, "cannot read %s: %s", p->dir, strerror(errno));
	}
	while (code == 0 && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, "lost+found") != 0 &&
		    !(p->lock_fd >= 0 && strcmp(e->d_name, "lock") == 0))
			code = complain(EXIT_REFUSED, "%s is not empty (it holds %s): move it aside (mv %s %s.old), or name another folder",
			                p->dir, e->d_name, p->dir, p->dir);
	closedir(d);
	return code;
}

static int open_existing(struct place *p)
{
	int code;

	p->is_there = true;
	p->dir_fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir_fd < 0)
		return complain(EXIT_REFUSED, "cannot use %s: %s", p->dir, errno == ENOTDIR ? "it is no folder" : strerror(errno));
	code = take_lock(p);
	if (code == 0)
		code = check_empty(p);
	if (code || p->lock_fd >= 0)
		return code;
	/* From here on no server can begin in it. */
	p->lock_fd = openat(p->dir_fd, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->lock_fd < 0)
		return complain(EXIT_REFUSED, "cannot write in %s: %s", p->dir, strerror(errno));
	p->made_lock = true;
	return flock(p->lock_fd, LOCK_EX | LOCK_NB) == 0
	               ? 0
	               : complain(EXIT_REFUSED, "%s is in use by a wavechatd that has just started", p->dir);
}

static int open_parent(struct place *p)
{
	char *parent = parent_of(p->dir);
	int code = 0;

	p->dir_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir_fd < 0)
		code = complain(EXIT_REFUSED, "cannot make %s: %s: %s", p->dir, parent, strerror(errno));
	free(parent);
	return code;
}

static int open_place(struct place *p)
{
	struct stat st;
	int code;

	if (lstat(p->dir, &st) == 0)
		code = open_existing(p);
	else if (errno == ENOENT)
		code = open_parent(p);
	else
		code = complain(EXIT_REFUSED, "cannot use %s: %s", p->dir, strerror(errno));
	if (code == 0 && fstat(p->dir_fd, &p->owner) < 0)
		code = complain(EXIT_REFUSED, "cannot use %s: %s", p->dir, strerror(errno));
	return code;
}

static int make_stage(struct place *p)
{
	if (asprintf(&p->stage, "%s%s.part-XXXXXX", p->dir, p->is_there ? "/restore" : "") < 0)
		abort();
	if (mkdtemp(p->stage)) /* mode 0700 */
		return 0;
	free(p->stage);
	p->stage = NULL;
	return complain(EXIT_REFUSED, "cannot write beside or in %s: %s", p->dir, strerror(errno));
}

/* A regular file says how much there will be. */
static int check_room(const struct place *p, const char *file)
{
	char need[TIME_TEXT], has[TIME_TEXT];
	struct statvfs disk;
	struct stat st;

	if (strcmp(file, "-") == 0 || stat(file, &st) < 0 || !S_ISREG(st.st_mode) || fstatvfs(p->dir_fd, &disk) < 0)
		return 0;
	if ((uint64_t)st.st_size <= (uint64_t)disk.f_bavail * disk.f_frsize)
		return 0;
	return complain(EXIT_REFUSED,
	                "no room: %s has %s, and the disk of %s has %s left: free some space, or name a folder on another disk", file,
	                bytes_text(need, (uint64_t)st.st_size), p->dir, bytes_text(has, (uint64_t)disk.f_bavail * disk.f_frsize));
}

/* --- Into its place */

static int sync_disk(const struct place *p, int stage_fd)
{
	/* All files at once: one by one, a hundred thousand take minutes. */
	return syncfs(stage_fd) == 0 ? 0 : complain(EXIT_REFUSED, "cannot write %s: %s", p->stage, strerror(errno));
}

static int move_in(struct place *p, int stage_fd)
{
	/* The database last: a folder without one is a folder that nothing was restored into. */
	static const char *const names[] = { "blobs", "wavechat.db" };

	for (size_t i = 0; i < WC_LEN(names); i++)
		if (renameat(stage_fd, names[i], p->dir_fd, names[i]) < 0 && errno != ENOENT) {
			int error = errno;

			if (i > 0)
				(void)renameat(p->dir_fd, names[0], stage_fd, names[0]);
			return complain(EXIT_REFUSED, "cannot move %s into %s: %s", names[i], p->dir, strerror(error));
		}
	(void)fsync(p->dir_fd);
	(void)rmdir(p->stage);
	if ((p->owner.st_mode & 077) && fchmod(p->dir_fd, p->owner.st_mode & 0700) < 0)
		complain(0, "others can enter %s: chmod 700 %s", p->dir, p->dir);
	return 0;
}

static int put_in_place(struct place *p, int stage_fd)
{
	int code = sync_disk(p, stage_fd);

	if (code)
		return code;
	if (p->is_there) {
		code = move_in(p, stage_fd);
	} else if (renameat2(AT_FDCWD, p->stage, AT_FDCWD, p->dir, RENAME_NOREPLACE) < 0 &&
	           (errno != EINVAL || rename(p->stage, p->dir) < 0)) { /* not every file system knows the flag */
		code = complain(EXIT_REFUSED, "cannot rename %s to %s: %s", p->stage, p->dir, strerror(errno));
	} else {
		(void)fsync(p->dir_fd);
	}
	if (code == 0) {
		free(p->stage);
		p->stage = NULL;
		p->made_lock = false; /* it stays, as a server leaves it */
	}
	return code;
}

/* --- What was done */

static bool is_of_service(const char *dir)
{
	char *real = realpath(dir, NULL);
	bool is = real && (strcmp(real, "/var/lib/private/wavechat") == 0 || strcmp(real, "/var/lib/wavechat") == 0);

	free(real);
	return is;
}

static void say_json(const struct unpack *u, const char *dir)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "dir", json_object_new_string(dir));
	json_object_object_add(o, "messages", json_object_new_int64((int64_t)u->totals.messages));
	json_object_object_add(o, "people", json_object_new_int64((int64_t)u->totals.people));
	json_object_object_add(o, "files", json_object_new_int64((int64_t)u->files));
	json_object_object_add(o, "bytes", json_object_new_int64((int64_t)u->bytes));
	json_object_object_add(o, "newest_ms", json_object_new_int64(u->totals.newest_ms));
	json_object_object_add(o, "schema", json_object_new_int(u->totals.version));
	json_object_object_add(o, "cut_short", json_object_new_boolean(u->is_cut_short));
	json_object_object_add(o, "bad", bad_json(&u->bad));
	print_json(o);
	json_object_put(o);
}

/* root can make what the server's user cannot read. The service's folder is systemd's to give away. */
static void say_owner(const struct unpack *u, const struct place *p)
{
	if (u->gives)
		printf("owner: user %u, as of %s\n", (unsigned)u->uid, p->is_there ? "the folder" : "the folder around it");
	else if (geteuid() == 0 && !is_of_service(p->dir))
		printf("owner: root; for a server that runs as another user: chown -R USER DIR\n");
}

static int say_it(const struct ctl *c, const struct unpack *u, const struct place *p)
{
	char size[TIME_TEXT], when[TIME_TEXT];

	if (u->bad.count)
		bad_print(&u->bad);
	if (c->json) {
		say_json(u, p->dir);
	} else {
		printf("restored: %llu messages, %llu people, %llu files, %s; ", (unsigned long long)u->totals.messages,
		       (unsigned long long)u->totals.people, (unsigned long long)u->files, bytes_text(size, u->bytes));
		if (u->totals.newest_ms)
			printf("the newest message is of %s\n", time_text(when, u->totals.newest_ms));
		else
			printf("there is no message\n");
		say_owner(u, p);
		if (is_of_service(p->dir)) {
			printf("next: systemctl start wavechatd\n");
		} else {
			printf("next: wavechatd --data ");
			print_safe(stdout, p->dir);
			putchar('\n');
		}
	}
	if (!u->bad.count && !u->is_cut_short)
		return 0;
	return complain(EXIT_REFUSED, "restored, but %zu files are not in it%s: their messages say that the file is gone", u->bad.count,
	                u->is_cut_short ? ", because the backup was cut short" : "");
}

int run_restore(struct ctl *c)
{
	struct place p = { .dir = xstrdup(c->operands[1]), .dir_fd = -1, .lock_fd = -1 };
	struct unpack u = { .file = c->operands[0], .folder_fd = -1, .keeps_files = true, .is_partial = option(c, "partial") };
	size_t len = strlen(p.dir);
	int code;

	while (len > 1 && p.dir[len - 1] == '/')
		p.dir[--len] = '\0';
	catch_signals();
	code = len ? open_place(&p) : complain(EXIT_USAGE, "restore: DIR is empty");
	if (code == 0)
		code = check_room(&p, u.file);
	if (code == 0)
		code = make_stage(&p);
	if (code == 0) {
		u.folder = p.stage;
		u.folder_fd = open(p.stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		u.gives = geteuid() == 0 && p.owner.st_uid != 0;
		u.uid = p.owner.st_uid;
		u.gid = p.owner.st_gid;
		if (u.folder_fd < 0 || (u.gives && fchown(u.folder_fd, u.uid, u.gid) < 0) ||
		    (p.made_lock && u.gives && fchown(p.lock_fd, u.uid, u.gid) < 0))
			code = complain(EXIT_REFUSED, "cannot use %s: %s", p.stage, strerror(errno));
	}
	if (code == 0)
		code = unpack(&u);
	if (code == 0)
		code = put_in_place(&p, u.folder_fd);
	if (code == 0)
		code = say_it(c, &u, &p);
	if (p.stage) { /* nothing was moved out of it */
		remove_folder(p.stage);
		free(p.stage);
	}
	if (p.made_lock)
		(void)unlinkat(p.dir_fd, "lock", 0);
	for (int i = 0; i < 3; i++)
		if ((int[]){ u.folder_fd, p.lock_fd, p.dir_fd }[i] >= 0)
			close((int[]){ u.folder_fd, p.lock_fd, p.dir_fd }[i]);
	unpack_fini(&u);
	free(p.dir);
	if (code)
		end_stopped();
	return code;
}
