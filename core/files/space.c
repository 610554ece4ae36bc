/* space.c — the free space on the data folder's disk (see space.h).
 *
 * Owns the numbers, the thread that looks, and DIR/reserve. An empty reserve file was given up: until it is filled again, also after a
 * restart, its 32 MB are for an admin's acts alone. Reads and writes no other file. */
#include "files/space.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "base/pulse.h"

#define LOG_FILE "wavechat.db-wal"
#define MB (UINT64_C(1) << 20)
#define LOOK_MS 1000
#define LOOK_LOW_MS 100    /* when there is little: then a second of chat writes much */
#define FOUND_FULL_MS 1000 /* after the disk refused, nothing is tried for that long */
#define RETRY_MS 10000     /* after the reserve could not be made */
#define DEFAULT_BOUND_MAX (10240 * MB)
#define RESERVE_MIN (200 * MB)
#define RESERVE_MAX (2048 * MB)
/* The most that is written between two looks. */
#define FLOOR_MAX (128 * MB)
#define INODES_LOW_MAX 1000

struct space {
	int dir_fd; /* -1: in memory */
	pthread_t thread;
	pthread_mutex_t lock; /* what follows; never held over a call that may wait for a disk */
	pthread_cond_t moved; /* is_stopping, keeps_reserve */
	bool is_stopping, is_running, keeps_reserve;
	struct space_limits limits;
	struct space_state now;
	uint64_t unwritten_bytes; /* taken, not on the disk yet */
	uint64_t disk_inodes, free_inodes;
	uint64_t log_bytes; /* of the database's log: moving it into the database takes as much again */
	bool is_given_up, is_below_floor, is_below_reserve;
	bool is_unseen;        /* full, although the numbers do not show it: a quota. It ends when the reserve file can be made again */
	int64_t found_full_ms; /* monotonic; 0: not */
	pthread_mutex_t reserve_lock; /* making and giving up the reserve file; taken before `lock` */
	bool was_told_no_reserve;
	int64_t reserve_next_ms; /* monotonic; after it could not be made. The thread's */
	_Atomic bool made_reserve;
	_Atomic bool is_low, is_full; /* of `now`, for code that runs often */
};

/* --- Limits */

static void set_limits(struct space *s)
{
	struct space_state *n = &s->now;
	const int bound_mb = s->limits.bound_mb, reserve_mb = s->limits.reserve_mb;

	n->is_bound_given = bound_mb > 0;
	n->bound_bytes = bound_mb >= 0 ? (uint64_t)bound_mb * MB : WC_MIN(n->disk_bytes / 10, DEFAULT_BOUND_MAX);
	n->reserve_bytes = reserve_mb >= 0 ? (uint64_t)reserve_mb * MB : WC_MAX(WC_MIN(n->disk_bytes / 20, RESERVE_MAX), RESERVE_MIN);
	n->floor_bytes = WC_MIN(WC_MIN(n->reserve_bytes / 2, FLOOR_MAX), n->disk_bytes / 20);
}

/* The bytes that files may take before new ones are refused. If the oldest make room, twice the bound is allowed for a while: some files
 * are about to be removed, and to others no message refers yet. */
static uint64_t refused_from(const struct space_state *n)
{
	return n->is_bound_given ? 2 * n->bound_bytes : n->bound_bytes;
}

/* Once below, it takes a twentieth more than the limit to be above again. */
static bool is_below(uint64_t value, uint64_t limit, bool was)
{
	return value < limit + (was ? limit / 20 : 0);
}

/* --- Looking. With the lock held. */

static unsigned long long in_mb(uint64_t bytes)
{
	return bytes / MB;
}

static void tell(const struct space *s, bool was_below_floor, bool was_below_reserve)
{
	const struct space_state *n = &s->now;

	if (s->is_below_floor && !was_below_floor)
		log_warn("storage is full",
		         "free_mb=%llu disk_mb=%llu remedy=\"free disk space: messages and files are refused until then; "
		         "deletions, bans and mutes go on\"",
		         in_mb(n->free_bytes), in_mb(n->disk_bytes));
	else if (s->is_below_reserve && !was_below_reserve)
		log_warn("storage is low",
		         "free_mb=%llu reserve_mb=%llu remedy=\"free disk space: files are refused until then; --free-reserve-mb "
		         "sets the bound\"",
		         in_mb(n->free_bytes), in_mb(n->reserve_bytes));
	if ((was_below_floor || was_below_reserve) && !s->is_below_floor && !s->is_below_reserve)
		log_warn("storage has room again", "free_mb=%llu disk_mb=%llu", in_mb(n->free_bytes), in_mb(n->disk_bytes));
}

static void set_flags(struct space *s)
{
	struct space_state *n = &s->now;
	const bool was_below_floor = s->is_below_floor, was_below_reserve = s->is_below_reserve;
	const uint64_t inodes_low = WC_MIN(s->disk_inodes / 20, (uint64_t)INODES_LOW_MAX);
	uint64_t floor;

	if (s->dir_fd < 0)
		return;
	set_limits(s);
	floor = n->floor_bytes + s->log_bytes + (s->is_given_up ? SPACE_RESERVE_BYTES : 0);
	s->is_below_floor = is_below(n->free_bytes, floor, was_below_floor) || s->free_inodes < inodes_low / 10;
	s->is_below_reserve = s->is_below_floor || is_below(n->free_bytes, n->reserve_bytes, was_below_reserve) ||
	                      s->free_inodes < inodes_low;
	tell(s, was_below_floor, was_below_reserve);
	if (s->found_full_ms && mono_ms() - s->found_full_ms >= FOUND_FULL_MS)
		s->found_full_ms = 0;
	n->is_full = s->is_below_floor || s->found_full_ms || (s->is_unseen && s->is_given_up);
	n->is_low = s->is_below_reserve || n->is_full;
	if (n->used_bytes < refused_from(n) - refused_from(n) / 20)
		n->is_bound_reached = false;
	atomic_store_explicit(&s->is_low, n->is_low, memory_order_relaxed);
	atomic_store_explicit(&s->is_full, n->is_full, memory_order_relaxed);
}

/* Without the lock: asks the disk. */
static void measure(struct space *s)
{
	struct statvfs v;
	struct stat st;
	bool has_reserve, is_given_up;
	uint64_t log_bytes;

	if (s->dir_fd < 0 || fstatvfs(s->dir_fd, &v) != 0)
		return;
	log_bytes = fstatat(s->dir_fd, LOG_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size : 0;
	has_reserve = fstatat(s->dir_fd, SPACE_RESERVE_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
	is_given_up = has_reserve && st.st_size == 0;
	/* A copied reserve may have its size and no blocks. Not every filesystem counts blocks, so for one that was made here the size
	 * will do. */
	has_reserve = has_reserve && (uint64_t)st.st_size >= SPACE_RESERVE_BYTES &&
	              (atomic_load(&s->made_reserve) || (uint64_t)st.st_blocks * 512 >= SPACE_RESERVE_BYTES / 8 * 7);
	pthread_mutex_lock(&s->lock);
	s->now.disk_bytes = (uint64_t)v.f_blocks * v.f_frsize;
	s->now.free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	s->disk_inodes = v.f_files;
	s->free_inodes = v.f_files ? v.f_favail : 0;
	s->now.has_reserve_file = has_reserve;
	s->is_given_up = is_given_up;
	s->log_bytes = log_bytes;
	set_flags(s);
	pthread_mutex_unlock(&s->lock);
}

void space_look(struct space *s, struct space_state *out)
{
	pthread_mutex_lock(&s->lock);
	set_flags(s); /* limits may have changed */
	*out = s->now;
	pthread_mutex_unlock(&s->lock);
}

bool space_is_low(const struct space *s)
{
	return s && atomic_load_explicit(&s->is_low, memory_order_relaxed);
}

bool space_is_full(const struct space *s)
{
	return s && atomic_load_explicit(&s->is_full, memory_order_relaxed);
}

/* --- Files */

uint64_t space_cost(uint64_t size)
{
	return size ? (size + SPACE_BLOCK_BYTES - 1) / SPACE_BLOCK_BYTES * SPACE_BLOCK_BYTES + SPACE_BLOCK_BYTES : 0;
}

static void say_bound_reached(struct space_state *n)
{
	if (!n->is_bound_reached)
		log_warn("files reached their bound", "used_mb=%llu bound_mb=%llu remedy=\"%s\"", in_mb(n->used_bytes),
		         in_mb(n->bound_bytes),
		         n->is_bound_given ? "none if it passes: the oldest are being removed; else give more with --max-storage-mb"
		                           : "new files are refused: give more with --max-storage-mb, or delete some with wavechatctl");
	n->is_bound_reached = true;
}

int space_take(struct space *s, uint64_t had, uint64_t size, uint64_t unwritten)
{
	const uint64_t old_cost = space_cost(had), cost = space_cost(size);
	struct space_state *n;
	int rc = 0;

	if (!s || s->dir_fd < 0)
		return 0;
	measure(s);
	pthread_mutex_lock(&s->lock);
	n = &s->now;
	if (n->is_low || (n->reserve_bytes && n->free_bytes < n->reserve_bytes + s->unwritten_bytes + unwritten)) {
		rc = -WC_ESTORAGE;
	} else if (n->bound_bytes && cost > old_cost && n->used_bytes + cost - old_cost > refused_from(n)) {
		say_bound_reached(n);
		rc = -WC_EFULL;
	} else {
		n->used_bytes += cost - old_cost;
		s->unwritten_bytes += unwritten;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void space_wrote(struct space *s, uint64_t bytes)
{
	if (!s || s->dir_fd < 0)
		return;
	pthread_mutex_lock(&s->lock);
	WC_ASSERT(bytes <= s->unwritten_bytes);
	s->unwritten_bytes -= bytes;
	pthread_mutex_unlock(&s->lock);
}

void space_add(struct space *s, uint64_t cost)
{
	if (!s || s->dir_fd < 0)
		return;
	pthread_mutex_lock(&s->lock);
	s->now.used_bytes += cost;
	if (s->now.bound_bytes && s->now.used_bytes > refused_from(&s->now))
		say_bound_reached(&s->now);
	pthread_mutex_unlock(&s->lock);
}

void space_set(struct space *s, uint64_t had, uint64_t size)
{
	if (!s || s->dir_fd < 0)
		return;
	pthread_mutex_lock(&s->lock);
	s->now.used_bytes += space_cost(size);
	s->now.used_bytes -= WC_MIN(space_cost(had), s->now.used_bytes); /* a file may have been put in by hand */
	pthread_mutex_unlock(&s->lock);
}

/* --- The reserve file */

/* For filesystems that cannot set blocks aside, or that compress: random bytes, which cannot be made smaller. */
static int fill(int fd)
{
	enum { PIECE = 1 << 20 };
	uint8_t *piece = malloc(PIECE);
	int rc = piece ? 0 : -1;

	if (piece)
		wc_random(piece, PIECE);
	for (uint64_t at = 0; rc == 0 && at < SPACE_RESERVE_BYTES; at += PIECE)
		for (size_t done = 0; rc == 0 && done < PIECE;) {
			ssize_t n = pwrite(fd, piece + done, PIECE - done, (off_t)(at + done));

			if (n > 0)
				done += (size_t)n;
			else if (n == 0 || errno != EINTR)
				rc = -1;
		}
	free(piece);
	return rc;
}

/* Free bytes that it takes to make the reserve: then it is at most a quarter of the free space, and files may still come. On a small
 * disk, where they may not, half of the disk will do. */
static uint64_t wanted_for_reserve(const struct space_state *n)
{
	return WC_MAX(4 * SPACE_RESERVE_BYTES, WC_MIN(n->reserve_bytes + 2 * SPACE_RESERVE_BYTES, n->disk_bytes / 2));
}

static void set_unseen(struct space *s, bool is_unseen)
{
	pthread_mutex_lock(&s->lock);
	s->is_unseen = is_unseen;
	pthread_mutex_unlock(&s->lock);
}

static bool was_given_up(struct space *s)
{
	bool was;

	pthread_mutex_lock(&s->lock);
	was = s->is_given_up;
	pthread_mutex_unlock(&s->lock);
	return was;
}

/* Thread: its own. */
static void make_reserve(struct space *s)
{
	struct space_state n;
	int fd = -1, rc, err;

	space_look(s, &n);
	if (n.has_reserve_file || mono_ms() < s->reserve_next_ms)
		return;
	if (n.free_bytes < wanted_for_reserve(&n)) {
		set_unseen(s, false);
		if (!s->was_told_no_reserve)
			log_info("no reserve file", "free_mb=%llu wanted_mb=%llu made=\"when there is room\"", in_mb(n.free_bytes),
			         in_mb(wanted_for_reserve(&n)));
		s->was_told_no_reserve = true;
		return;
	}
	pthread_mutex_lock(&s->reserve_lock);
	fd = openat(s->dir_fd, SPACE_RESERVE_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	rc = fd < 0 ? -1 : fallocate(fd, 0, 0, (off_t)SPACE_RESERVE_BYTES);
	if (fd >= 0 && rc != 0 && errno != ENOSPC && errno != EDQUOT)
		rc = fill(fd);
	if (rc == 0)
		rc = fsync(fd);
	err = errno;
	set_unseen(s, rc != 0 && (err == ENOSPC || err == EDQUOT));
	if (rc != 0) {
		if (!s->was_told_no_reserve)
			log_warn("no reserve file",
			         "error=\"%s\" remedy=\"see that the data folder is writable and below its quota; it is tried again\"",
			         strerror(err));
		s->was_told_no_reserve = true;
		s->reserve_next_ms = mono_ms() + RETRY_MS;
		if (fd >= 0 && (!was_given_up(s) || ftruncate(fd, 0) != 0))
			(void)unlinkat(s->dir_fd, SPACE_RESERVE_FILE, 0);
	} else {
		log_info("reserve file", "made_mb=%llu", in_mb(SPACE_RESERVE_BYTES));
		s->was_told_no_reserve = false;
		atomic_store(&s->made_reserve, true);
	}
	if (fd >= 0)
		close(fd);
	pthread_mutex_unlock(&s->reserve_lock);
	measure(s);
}

static bool give_up(int dir_fd)
{
	int fd = openat(dir_fd, SPACE_RESERVE_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	bool is_freed = false;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		/* Some disks need room even to shorten a file. And blocks may be free only once the change is on the disk: hence the
		 * fsync. */
		is_freed = (ftruncate(fd, 0) == 0 || unlinkat(dir_fd, SPACE_RESERVE_FILE, 0) == 0) && fsync(fd) == 0;
	close(fd);
	if (is_freed)
		log_warn("reserve given up",
		         "storage_mb=%llu remedy=\"free disk space: it is kept for deletions, bans and mutes until then\"",
		         in_mb(SPACE_RESERVE_BYTES));
	return is_freed;
}

bool space_give_up_reserve(struct space *s)
{
	bool is_freed;

	/* Busy: it is being made, so there is room. */
	if (!s || s->dir_fd < 0 || pthread_mutex_trylock(&s->reserve_lock) != 0)
		return false;
	is_freed = give_up(s->dir_fd);
	pthread_mutex_unlock(&s->reserve_lock);
	measure(s);
	pthread_mutex_lock(&s->lock);
	if (is_freed && s->now.free_bytes >= wanted_for_reserve(&s->now)) {
		s->is_unseen = true;
		set_flags(s);
	}
	pthread_mutex_unlock(&s->lock);
	return is_freed;
}

bool space_give_up_reserve_of(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_freed = fd >= 0 && give_up(fd);

	if (fd >= 0)
		close(fd);
	return is_freed;
}

void space_found_full(struct space *s)
{
	if (!s || s->dir_fd < 0)
		return;
	pthread_mutex_lock(&s->lock);
	s->found_full_ms = mono_ms();
	set_flags(s);
	pthread_mutex_unlock(&s->lock);
}

/* --- Its thread */

static void *space_main(void *arg)
{
	struct space *s = arg;
	struct timespec until;

	wc_thread_is(ROLE_HELPER, "space");
	pthread_mutex_lock(&s->lock);
	while (!s->is_stopping) {
		int64_t wait_ms = s->now.is_low || s->now.is_full ? LOOK_LOW_MS : LOOK_MS;
		bool keeps_reserve = s->keeps_reserve;

		pthread_mutex_unlock(&s->lock);
		pulse_work();
		measure(s);
		if (keeps_reserve)
			make_reserve(s);
		pulse_rest();
		pthread_mutex_lock(&s->lock);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += wait_ms * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (!s->is_stopping && s->keeps_reserve == keeps_reserve)
			pthread_cond_timedwait(&s->moved, &s->lock, &until);
	}
	pthread_mutex_unlock(&s->lock);
	pulse_end();
	return NULL;
}

int space_start(struct space **out, const char *dir, struct space_limits limits, char **cause)
{
	struct space *s = xcalloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int rc;

	*out = NULL;
	s->limits = limits;
	s->dir_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->reserve_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->moved, &attr);
	pthread_condattr_destroy(&attr);
	if (!dir) {
		*out = s;
		return 0;
	}
	s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0) {
		wc_cause(cause, "cannot use %s: %s: name another directory with --data", dir, strerror(errno));
		space_stop(s);
		return -WC_ESTORAGE;
	}
	measure(s);
	rc = pthread_create(&s->thread, NULL, space_main, s);
	if (rc) {
		wc_cause(cause, "cannot start a thread: %s", strerror(rc));
		space_stop(s);
		return -WC_ESTORAGE;
	}
	s->is_running = true;
	*out = s;
	return 0;
}

void space_set_limits(struct space *s, struct space_limits limits)
{
	pthread_mutex_lock(&s->lock);
	s->limits = limits;
	pthread_mutex_unlock(&s->lock);
}

void space_keep_reserve(struct space *s)
{
	pthread_mutex_lock(&s->lock);
	s->keeps_reserve = true;
	pthread_cond_signal(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

void space_stop(struct space *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->is_stopping = true;
	pthread_cond_signal(&s->moved);
	pthread_mutex_unlock(&s->lock);
	if (s->is_running)
		pthread_join(s->thread, NULL);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	pthread_cond_destroy(&s->moved);
	pthread_mutex_destroy(&s->reserve_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
