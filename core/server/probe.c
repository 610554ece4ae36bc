/* probe.c — the callbacks of health.h for this server (see probe.h).
 *
 * Owns the file DIR/tmp/probe while it exists. Never decides whether the server is well: health does. */
#include "server/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store_probe.h"
#include "wire/event.h"

#define SYNC_MS 10000 /* between two files that are written and synced: strangers may ask, disks wear out */
#define PROBE_BYTES 4096

struct probe {
	struct probe_opts o;
	struct store_probe *store;
	struct health *health;
	int64_t synced_ms; /* the prober's own: a file was written and synced last */
};

static int write_probe(const char *path)
{
	static const char zeros[PROBE_BYTES];
	int err = 0, fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return errno;
	for (size_t at = 0; at < sizeof(zeros) && !err;) {
		ssize_t n = write(fd, zeros, sizeof(zeros) - at);

		if (n > 0)
			at += (size_t)n;
		else if (n == 0 || errno != EINTR)
			err = n == 0 ? EIO : errno;
	}
	if (!err && fdatasync(fd) != 0)
		err = errno;
	close(fd);
	(void)unlink(path);
	return err;
}

/* May files be written? Now and then one is, and synced, as a person's would be: a disk that is over its quota, broken or stuck says so
 * then. */
static void probe_folder(struct probe *p, char why[HEALTH_DETAIL])
{
	static const char *const folders[] = { "", "/tmp", "/blobs", "/uploads" };
	const int64_t now = mono_ms();
	char path[4096];
	int err = strlen(p->o.dir) + sizeof("/uploads/probe") > sizeof(path) ? ENAMETOOLONG : 0;
	const char *where = "";

	for (size_t i = 0; i < WC_LEN(folders) && !err; i++) {
		where = folders[i];
		snprintf(path, sizeof(path), "%s%s", p->o.dir, where);
		err = access(path, W_OK | X_OK) != 0 ? errno : 0;
	}
	if (!err && (!p->synced_ms || now - p->synced_ms >= SYNC_MS)) {
		where = "/tmp";
		snprintf(path, sizeof(path), "%s/tmp/probe", p->o.dir);
		err = write_probe(path);
		p->synced_ms = err ? 0 : now;
	}
	if (err)
		snprintf(why, HEALTH_DETAIL, "the data folder%s cannot be written: %s", where, strerror(err));
}

static void try_data(void *arg, char why[HEALTH_DETAIL])
{
	struct probe *p = arg;
	char text[STORE_PROBE_TEXT] = "";

	if (store_probe_run(p->store, text) != 0)
		snprintf(why, HEALTH_DETAIL, "%s", text);
	else if (p->o.dir)
		probe_folder(p, why);
}

static bool is_failing(void *arg)
{
	return store_is_failing(((struct probe *)arg)->o.store);
}

/* Nobody may be writing, so that nobody would find out. Not before the probe has passed: with a lock in its way the room would wait for
 * it. */
static void try_store(void *arg)
{
	struct probe *p = arg;

	inbox_call(p->o.inbox, EV_ADMIN, p->o.try_store, p->o.room);
}

static void look_at_disk(void *arg, char why[HEALTH_DETAIL])
{
	struct probe *p = arg;
	struct space_state s = { 0 };

	if (p->o.space)
		space_look(p->o.space, &s);
	if (s.is_low || s.is_full)
		snprintf(why, HEALTH_DETAIL, "%llu MB are free, %llu MB are its reserve: %s; free some space",
		         (unsigned long long)(s.free_bytes >> 20), (unsigned long long)(s.reserve_bytes >> 20),
		         s.is_full ? "messages and files are refused" : "files are refused");
}

static void call_room(void *arg, void (*fn)(void *), void *fn_arg)
{
	inbox_call(((struct probe *)arg)->o.inbox, EV_CALL, fn, fn_arg);
}

int probe_start(struct probe **out, const struct probe_opts *o, char **cause)
{
	struct probe *p = xcalloc(1, sizeof(*p));

	p->o = *o;
	int rc = store_probe_open(o->store, &p->store, cause) < 0 ? -WC_EIO : 0;
	if (rc == 0) {
		const struct health_opts health = { .arg = p,
			                            .helpers = o->helpers,
			                            .probe = try_data,
			                            .is_failing = is_failing,
			                            .try_store = try_store,
			                            .look_at_disk = look_at_disk,
			                            .call_room = call_room };
		rc = health_start(&p->health, &health, cause);
	}
	if (rc < 0) {
		probe_stop(p);
		probe_free(p);
		return rc;
	}
	*out = p;
	return 0;
}

struct health *probe_health(struct probe *p)
{
	return p->health;
}

void probe_stop(struct probe *p)
{
	if (!p)
		return;
	health_stop(p->health);
	store_probe_close(p->store);
	p->store = NULL;
}

void probe_free(struct probe *p)
{
	if (!p)
		return;
	health_free(p->health);
	free(p);
}
