/* test_cold.c — pieces of files that lie on the disk alone: told from others, and read in turns of addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/cold.h"

#define PIECE_BYTES (256 * 1024)
#define PIECES 8

static atomic_int done_count;

static void done(struct cold_piece *p, void *arg)
{
	assert_ptr_equal(arg, &done_count);
	assert_non_null(p);
	atomic_fetch_add(&done_count, 1);
}

static void wait_for(int count)
{
	for (int i = 0; i < 10000 && atomic_load(&done_count) < count; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&done_count), count);
}

/* A file of PIECES pieces, beside the programs: /tmp may be memory. */
static int new_file(void)
{
	char name[] = "build/cold-XXXXXX";
	static uint8_t bytes[PIECE_BYTES];
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	unlink(name);
	memset(bytes, 7, sizeof(bytes));
	for (int i = 0; i < PIECES; i++)
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(fsync(fd), 0);
	return fd;
}

static void is_cold_until_it_is_read(void **state)
{
	static const struct rota_owner somebody = { .person = 1 };
	struct cold_piece piece = { .fd = new_file(), .offset = PIECE_BYTES, .len = PIECE_BYTES };
	struct cold *cold;
	char *cause = NULL;
	(void)state;
	assert_false(cold_is(piece.fd, 0, (size_t)PIECES * PIECE_BYTES));
	assert_int_equal(posix_fadvise(piece.fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	if (!cold_is(piece.fd, piece.offset, piece.len)) {
		close(piece.fd);
		skip(); /* this file system does not tell */
	}
	atomic_store(&done_count, 0);
	assert_int_equal(cold_start(&cold, done, &done_count, &cause), 0);
	cold_read(cold, &piece, &somebody);
	wait_for(1);
	assert_false(piece.has_failed);
	assert_int_equal(piece.len, PIECE_BYTES);
	assert_false(cold_is(piece.fd, piece.offset, piece.len));
	cold_stop(cold);
	close(piece.fd);
}

/* Where nothing can be told, nothing is cold; and what cannot be read comes back all the same. */
static void is_never_lost(void **state)
{
	static struct cold_piece pieces[200];
	struct cold_piece broken = { .fd = -1, .len = PIECE_BYTES };
	struct cold *cold;
	char *cause = NULL;
	int memory = memfd_create("m", MFD_CLOEXEC), file = new_file();
	struct cold_piece cut = { .fd = file, .offset = (uint64_t)(PIECES - 1) * PIECE_BYTES + 1000, .len = PIECE_BYTES };
	(void)state;
	assert_false(cold_is(memory, 0, PIECE_BYTES));
	assert_false(cold_is(-1, 0, PIECE_BYTES));
	assert_false(cold_is(file, (uint64_t)PIECES * PIECE_BYTES, PIECE_BYTES)); /* behind the end */
	atomic_store(&done_count, 0);
	assert_int_equal(cold_start(&cold, done, &done_count, &cause), 0);
	cold_read(cold, &broken, &(struct rota_owner){ 0 });
	cold_read(cold, &cut, &(struct rota_owner){ 0 });
	wait_for(2);
	assert_true(broken.has_failed && cut.has_failed);
	assert_int_equal(broken.len, 0);
	assert_int_equal(cut.len, PIECE_BYTES - 1000); /* that much can be sent */
	for (size_t i = 0; i < WC_LEN(pieces); i++) {
		struct rota_owner owner = { .addr = { [15] = (uint8_t)(i % 7) } };
		pieces[i] = (struct cold_piece){ .fd = i % 3 == 0   ? file
			                               : i % 3 == 1 ? -1
			                                            : memory,
			                         .offset = i * 1000,
			                         .len = (size_t)PIECES * PIECE_BYTES };
		cold_read(cold, &pieces[i], &owner);
	}
	cold_stop(cold); /* which gives back what was not read */
	assert_int_equal(atomic_load(&done_count), 2 + WC_LEN(pieces));
	cold_stop(NULL);
	close(memory);
	close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_cold_until_it_is_read),
		cmocka_unit_test(is_never_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
