/* fault.c — the faults of fault.h. Nothing in it but with -DWC_FAULTS, when the linker puts the functions at the end in libc's place. */
#include "base/fault.h"

#ifdef WC_FAULTS
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t nothing[FAULT_WORDS], *words = nothing;
static _Thread_local int spared;
static _Thread_local bool is_applied;

bool fault(const char *name)
{
	const char *wanted = getenv("WAVECHAT_FAULT");

	return wanted && strcmp(wanted, name) == 0;
}

void fault_open(void)
{
	const char *path = getenv("WAVECHAT_FAULT_CONTROL");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map = fd >= 0 ? mmap(NULL, sizeof(nothing), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (path && map == MAP_FAILED)
		abort();
	if (fd >= 0)
		close(fd);
	if (map != MAP_FAILED)
		words = map;
}

int64_t fault_value(enum fault_word w)
{
	return atomic_load(&words[w]);
}

static void sleep_ms(int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (ms > 0 && nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

void fault_stall(enum fault_word w)
{
	if (fault_value(w))
		sleep_ms(atomic_exchange(&words[w], 0));
}

void fault_apply(bool applies)
{
	is_applied = applies;
}

void fault_spare(int n)
{
	spared += n;
}

/* Is this the one? */
static bool fails(void)
{
	if (!is_applied || spared || fault_value(FAULT_ALLOC_COUNTDOWN) <= 0 || atomic_fetch_sub(&words[FAULT_ALLOC_COUNTDOWN], 1) != 1)
		return false;
	atomic_fetch_add(&words[FAULT_ALLOCS_FAILED], 1);
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

int __wrap_fsync(int fd)
{
	sleep_ms(fault_value(FAULT_SYNC_MS));
	return __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
	sleep_ms(fault_value(FAULT_SYNC_MS));
	return __real_fdatasync(fd);
}
#endif
