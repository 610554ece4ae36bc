/* test_claims.c — what a server says that it holds, written and read, and what counts as held by it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmocka.h>

#include "files/claims.h"

static void test_addresses(void **state)
{
	static const struct {
		const char *claimed, *asked; /* NULL: every one */
		bool is_held;
	} rows[] = {
		{ "127.0.0.1", "127.0.0.1", true },
		{ "127.0.0.1", "127.0.0.2", false },
		{ "127.0.0.1", "0.0.0.0", true },
		{ "127.0.0.1", NULL, true },
		{ NULL, "127.0.0.1", true },
		{ NULL, "::1", true },
		{ "0.0.0.0", "::1", false },
		{ "::", "::1", true },
		{ "::", "127.0.0.1", false },
		{ "::1", "::", true },
		{ NULL, NULL, true },
		{ "127.0.0.1", "127.0.0.10", false },
	};

	(void)state;
	for (size_t i = 0; i < WC_LEN(rows); i++) {
		struct claims c = { .is_held = true };
		struct buf b;

		buf_init_sure(&b, CLAIMS_BYTES - 1);
		buf_puts(&b, "pid 1\n");
		claims_add_address(&b, "192.0.2.7", 81);
		claims_add_address(&b, rows[i].claimed, 8080);
		claims_add_socket(&b, "/nowhere/a b");
		memcpy(c.text, b.p, b.len);
		buf_fini(&b);
		assert_int_equal(claims_has_address(&c, rows[i].asked, 8080), rows[i].is_held);
		assert_false(claims_has_address(&c, rows[i].asked, 8081));
		assert_true(claims_has_socket(&c, "/nowhere/a b"));
		assert_false(claims_has_socket(&c, "/nowhere/a"));
		c.is_held = false;
		assert_false(claims_has_address(&c, rows[i].asked, 8080));
		assert_false(claims_has_socket(&c, "/nowhere/a b"));
	}
}

/* Only what a living holder of the lock wrote means anything; and any text may be there. */
static void test_lock(void **state)
{
	char dir[] = "/tmp/wavechat-claims-XXXXXX", path[64];
	struct claims c;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/lock", dir);
	claims_read(&c, NULL);
	assert_false(c.is_held);
	claims_read(&c, dir);
	assert_false(c.is_held);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(dprintf(fd, "pid 7\nlisten * 8080\n"), 20);
	claims_read(&c, dir);
	assert_false(c.is_held || claims_has_address(&c, NULL, 8080));
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	claims_read(&c, dir);
	assert_true(c.is_held && claims_has_address(&c, "::1", 8080));
	assert_int_equal(ftruncate(fd, 0), 0);
	for (int i = 0; i < CLAIMS_BYTES; i++)
		assert_int_equal(pwrite(fd, i % 100 ? "l" : "\n", 1, i), 1);
	claims_read(&c, dir);
	assert_true(c.is_held && strlen(c.text) < CLAIMS_BYTES);
	assert_false(claims_has_address(&c, NULL, 8080) || claims_has_socket(&c, "/x"));
	close(fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
