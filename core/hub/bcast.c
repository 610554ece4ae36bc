/* bcast.c — see bcast.h, whose comment at the top is the argument this file must keep true. */
#include "hub/bcast.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct swept {
	_Alignas(64) _Atomic uint64_t pos;
};

struct bcast {
	uint8_t *base; /* size bytes, twice */
	size_t size;
	int readers;
	/* The writer's own. */
	_Alignas(64) uint64_t tail;
	uint64_t swept_seen; /* the last min(swept); a stale one is only too careful */
	_Alignas(64) _Atomic uint64_t head;
	_Alignas(64) _Atomic bool is_waiting;
	pthread_mutex_t lock; /* only for sleeping in bcast_wait */
	pthread_cond_t swept_moved;
	struct swept swept[BCAST_READERS_MAX];
};

static uint8_t *map_twice(size_t size)
{
	uint8_t *base = MAP_FAILED;
	int fd = memfd_create("wavechat-log", MFD_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)size) < 0)
		goto out;
	base = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		goto out;
	for (int half = 0; half < 2; half++) {
		void *at = mmap(base + (size_t)half * size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
		if (at == MAP_FAILED) {
			int saved = errno;
			munmap(base, 2 * size);
			errno = saved;
			base = MAP_FAILED;
			goto out;
		}
	}
out:
	close(fd);
	return base == MAP_FAILED ? NULL : base;
}

struct bcast *bcast_new(size_t size_bytes, int readers)
{
	WC_ASSERT(size_bytes >= 65536 && (size_bytes & (size_bytes - 1)) == 0);
	WC_ASSERT(readers >= 1 && readers <= BCAST_READERS_MAX);
	struct bcast *b = aligned_alloc(64, (sizeof(*b) + 63) / 64 * 64);
	if (!b)
		return NULL;
	*b = (struct bcast){ .size = size_bytes, .readers = readers };
	b->base = map_twice(size_bytes);
	if (!b->base) {
		free(b);
		return NULL;
	}
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->swept_moved, &attr);
	pthread_condattr_destroy(&attr);
	return b;
}

void bcast_free(struct bcast *b)
{
	if (!b)
		return;
	munmap(b->base, 2 * b->size);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->swept_moved);
	free(b);
}

size_t bcast_frame_max(const struct bcast *b)
{
	return b->size / 8;
}

size_t bcast_lag_max(const struct bcast *b)
{
	return b->size / 2;
}

static uint64_t swept_min(const struct bcast *b)
{
	uint64_t min = UINT64_MAX;
	for (int i = 0; i < b->readers; i++) {
		uint64_t pos = atomic_load_explicit(&b->swept[i].pos, memory_order_acquire);
		min = WC_MIN(min, pos);
	}
	return min;
}

uint64_t bcast_lag(const struct bcast *b)
{
	uint64_t swept = swept_min(b), head = atomic_load_explicit(&b->head, memory_order_acquire);
	return head > swept ? head - swept : 0;
}

static bool fits(struct bcast *b, size_t len)
{
	if (b->tail + len <= b->swept_seen + b->size / 2)
		return true;
	b->swept_seen = swept_min(b);
	return b->tail + len <= b->swept_seen + b->size / 2;
}

uint8_t *bcast_reserve(struct bcast *b, size_t len)
{
	WC_ASSERT(len <= b->size / 8);
	return fits(b, len) ? b->base + b->tail % b->size : NULL;
}

uint64_t bcast_commit(struct bcast *b, size_t len)
{
	uint64_t pos = b->tail;
	b->tail += len;
	return pos;
}

uint64_t bcast_tail(const struct bcast *b)
{
	return b->tail;
}

bool bcast_release(struct bcast *b)
{
	if (atomic_load_explicit(&b->head, memory_order_relaxed) == b->tail)
		return false;
	atomic_store_explicit(&b->head, b->tail, memory_order_release);
	return true;
}

void bcast_wait(struct bcast *b, size_t len, int timeout_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&b->lock);
	/* Sequentially consistent on both sides: either the reader sees is_waiting, or this sees its swept. */
	atomic_store(&b->is_waiting, true);
	atomic_thread_fence(memory_order_seq_cst);
	while (!fits(b, len))
		if (pthread_cond_timedwait(&b->swept_moved, &b->lock, &until) == ETIMEDOUT)
			break;
	atomic_store(&b->is_waiting, false);
	pthread_mutex_unlock(&b->lock);
}

uint64_t bcast_head(const struct bcast *b)
{
	return atomic_load_explicit(&b->head, memory_order_acquire);
}

const uint8_t *bcast_at(const struct bcast *b, uint64_t pos)
{
	return b->base + pos % b->size;
}

void bcast_swept(struct bcast *b, int reader, uint64_t head)
{
	atomic_store_explicit(&b->swept[reader].pos, head, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&b->is_waiting, memory_order_relaxed)) {
		pthread_mutex_lock(&b->lock);
		pthread_cond_signal(&b->swept_moved);
		pthread_mutex_unlock(&b->lock);
	}
}
