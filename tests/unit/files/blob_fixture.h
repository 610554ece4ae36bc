/* blob_fixture.h — what the tests of blobs and of uploads share: a store of files on disk and one in memory, and looks at what is in it. */
#include <dirent.h>
#include <fcntl.h>

#include <openssl/evp.h>

#include "../store/store_test.h"
#include "base/logmsg.h"
#include "files/impl.h"

struct both {
	char *dir;
	struct blobs *b;
};

static inline struct blobs *open_blobs(const char *dir)
{
	struct blobs *b = NULL;
	char *cause = NULL;

	if (blobs_open(&b, dir, dir ? 0 : 8 << 20, &cause) != 0)
		fail_msg("blobs_open: %s", cause ? cause : "no cause");
	return b;
}

static inline int set_up(void **state, bool is_memory)
{
	struct both *t = calloc(1, sizeof(*t));

	log_setup(LOG_ERROR, LOG_TEXT);
	if (!is_memory)
		t->dir = make_dir();
	t->b = open_blobs(t->dir);
	*state = t;
	return 0;
}

static inline int set_up_disk(void **state)
{
	return set_up(state, false);
}

static inline int set_up_memory(void **state)
{
	return set_up(state, true);
}

static inline int tear_down(void **state)
{
	struct both *t = *state;

	blobs_close(t->b);
	if (t->dir)
		remove_tree(t->dir);
	free(t);
	return 0;
}

static inline void restart(struct both *t)
{
	blobs_close(t->b);
	t->b = open_blobs(t->dir);
}

static inline void sha_of(const void *data, size_t n, uint8_t sha[WC_SHA_BYTES])
{
	assert_int_equal(EVP_Digest(data, n, sha, NULL, EVP_sha256(), NULL), 1);
}

static inline void check_blob(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], const void *data, size_t n)
{
	uint64_t size = 0;
	int fd = blob_get(b, sha, &size);
	char *got = malloc(n + 1);

	assert_true(fd >= 0);
	assert_int_equal(size, n);
	assert_int_equal(pread(fd, got, n + 1, 0), n);
	assert_memory_equal(got, data, n);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_true(pwrite(fd, "x", 1, 0) < 0); /* for reading alone */
	close(fd);
	free(got);
}

static inline int count_files(const char *dir, const char *name)
{
	char *path = in_dir(dir, name);
	DIR *d = opendir(path);
	struct dirent *e;
	int count = 0;

	while (d && (e = readdir(d)))
		count += e->d_name[0] != '.';
	if (d)
		closedir(d);
	free(path);
	return count;
}

/* As if hours had gone by since everything there was last touched, and a second: the server's time may lag by some milliseconds. */
#define HOURS_S (2 * 3600 + 1)

static inline int age_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	(void)ftw;
	times[1].tv_sec -= HOURS_S;
	return kind == FTW_F ? utimensat(AT_FDCWD, path, times, 0) : 0;
}

static inline void let_hours_pass(struct both *t)
{
	if (t->dir)
		assert_int_equal(nftw(t->dir, age_one, 16, FTW_PHYS), 0);
	else
		for (size_t i = 0; i < t->b->mem_count; i++)
			t->b->mem[i].put_ms -= HOURS_S * 1000;
}

/* A database for the collector: it asks is_used, knows everybody, lists nothing as released, and no backup is under way. */
struct rows_of {
	bool (*is_used)(void *arg, const uint8_t sha[WC_SHA_BYTES]);
	void *arg;
};

static inline int fake_refs(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	const struct rows_of *r = arg;

	return r->is_used(r->arg, sha);
}

static inline int fake_released(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	(void)arg;
	(void)sha;
	return 0;
}

static inline bool fake_knows(void *arg, uint64_t identity_id, int64_t at_ms)
{
	(void)arg;
	(void)identity_id;
	(void)at_ms;
	return true;
}

static inline bool fake_keeps(void *arg)
{
	(void)arg;
	return false;
}

static inline struct blob_sweep sweep(struct blobs *b, bool (*is_used)(void *arg, const uint8_t sha[WC_SHA_BYTES]), void *arg, bool accepts)
{
	struct rows_of of = { is_used, arg };
	const struct blob_rows rows = { fake_refs, fake_released, fake_knows, fake_keeps, &of };
	struct blob_sweep out;

	blobs_sweep(b, &rows, accepts, &out);
	return out;
}

static inline bool is_never_used(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	(void)arg;
	(void)sha;
	return false;
}

static inline bool is_always_used(void *arg, const uint8_t sha[WC_SHA_BYTES])
{
	(void)arg;
	(void)sha;
	return true;
}

#define BOTH(test) \
	{ #test, test, set_up_disk, tear_down, NULL }, \
	{ \
#test "_in_memory", test, set_up_memory, tear_down, NULL \
	}
