/* store_test.h — what the store's and the blobs' tests share: a folder of their own, messages, and what was read collected. */
#ifndef STORE_TEST_H
#define STORE_TEST_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/impl.h"

#define UNUSED __attribute__((unused))

static UNUSED int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static UNUSED void remove_tree(char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

/* A new folder; free with remove_tree. */
static UNUSED char *make_dir(void)
{
	const char *base = getenv("TMPDIR");
	char *path = NULL;

	assert_true(asprintf(&path, "%s/wavechat-test-XXXXXX", base && *base ? base : "/tmp") > 0);
	assert_non_null(mkdtemp(path));
	return path;
}

static UNUSED char *in_dir(const char *dir, const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	return path;
}

static UNUSED struct store *open_store(const char *dir)
{
	struct store *s = NULL;
	char *cause = NULL;

	if (store_open(&s, dir, DURABILITY_NORMAL, &cause) != 0)
		fail_msg("store_open: %s", cause ? cause : "no cause");
	assert_null(cause);
	return s;
}

static UNUSED struct store_reader *open_reader(struct store *s)
{
	struct store_reader *r = NULL;

	assert_int_equal(store_reader_open(s, &r), 0);
	return r;
}

static UNUSED struct str s_of(const char *s)
{
	return (struct str){ s, strlen(s) };
}

static UNUSED struct msg text_msg(uint64_t id, uint64_t from, uint64_t to, const char *cid)
{
	return (struct msg){ .id = id,
		             .at_ms = (int64_t)id * 10,
		             .kind = MSG_TEXT,
		             .from_id = from,
		             .from_name = STR("Аня"),
		             .is_dm = to != 0,
		             .to_id = to,
		             .to_name = STR("Bob"),
		             .cid = s_of(cid),
		             .text = STR("привет 👋") };
}

static UNUSED struct msg file_msg(uint64_t id, uint64_t from, uint64_t to, uint8_t sha, uint64_t size)
{
	struct msg m = text_msg(id, from, to, "");

	m.kind = id % 2 ? MSG_FILE : MSG_VOICE;
	m.text = (struct str){ NULL, 0 };
	m.filename = STR("a.png");
	m.mime = STR("image/png");
	m.waveform = STR("AZaz09");
	m.size = size;
	m.duration = 1.25;
	m.width = 640;
	m.height = 480;
	memset(m.sha, sha, sizeof(m.sha));
	memcpy(m.secret, &id, sizeof(id));
	return m;
}

static UNUSED void put_one(struct store *s, struct msg m)
{
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_put_msg(s, &m), 0);
	assert_int_equal(store_commit(s), 0);
}

/* The ids that a walk told, in its order. */
struct ids {
	uint64_t id[4096];
	int count, stop_after; /* 0: never */
};

static UNUSED int collect_id(void *arg, const struct msg *m)
{
	struct ids *ids = arg;

	assert_true(ids->count < (int)WC_LEN(ids->id));
	ids->id[ids->count++] = m->id;
	return ids->stop_after && ids->count == ids->stop_after;
}

static UNUSED int count_public(struct store_reader *r)
{
	static struct ids ids;

	ids.count = 0;
	return store_read_since(r, 0, 0, INT64_MAX, (int)WC_LEN(ids.id), collect_id, &ids);
}

/* Runs fn in a child and gives its exit status (or 128 + the signal that ended it). A failed assertion in it is status 99. */
static UNUSED int in_child(int (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
