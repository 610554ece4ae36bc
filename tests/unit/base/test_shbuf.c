/* test_shbuf.c — the sums of large buffers, and what one kind, person or address may have of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/shbuf.h"

#define MB ((size_t)1 << 20)

static int bound(void **state)
{
	(void)state;
	shbuf_bound(64 * MB);
	return 0;
}

static int unbound(void **state)
{
	(void)state;
	assert_int_equal(shbuf_large_bytes(), 0);
	shbuf_bound(SIZE_MAX);
	return 0;
}

static void address(uint8_t addr[16], const char *v4)
{
	memset(addr, 0, 16);
	addr[10] = addr[11] = 0xff;
	memcpy(addr + 12, v4, 4);
}

/* How many buffers of this size the owner gets, at most n. */
static int fill(struct shbuf **v, int n, size_t bytes, shbuf_owner owner)
{
	for (int i = 0; i < n; i++)
		if (!(v[i] = shbuf_new_spare(bytes, owner)))
			return i;
	return n;
}

static void drop(struct shbuf **v, int n)
{
	for (int i = 0; i < n; i++)
		shbuf_unref(v[i]);
}

static void person_has_an_eighth(void **state)
{
	(void)state;
	struct shbuf *mine[20], *others[20];
	const shbuf_owner me = shbuf_for(shbuf_owner_of(7, NULL), SHBUF_FILE);
	assert_int_equal(fill(mine, 20, MB, me), 8);
	assert_false(shbuf_has_room(MB, me));
	assert_true(shbuf_has_room(SHBUF_LARGE - 1, me)); /* small ones are not counted */
	assert_true(shbuf_is_wanted(mine[0]));
	int more = 0;
	for (uint64_t other = 8; other < 12; other++) /* one of them may share my place; then it shares what that may have */
		more += fill(others + more, 1, MB, shbuf_for(shbuf_owner_of(other, NULL), SHBUF_FILE));
	assert_true(more >= 3);
	drop(mine, 8);
	assert_true(shbuf_has_room(MB, me));
	drop(others, more);
}

/* The largest file must go through, whatever the share. */
static void one_alone_may_be_larger(void **state)
{
	(void)state;
	const shbuf_owner me = shbuf_for(shbuf_owner_of(7, NULL), SHBUF_FILE);
	struct shbuf *large = shbuf_new_spare(40 * MB, me), *second;
	assert_non_null(large);
	second = shbuf_new_spare(SHBUF_LARGE, me);
	assert_null(second);
	shbuf_unref(large);
	assert_null(shbuf_new_spare(48 * MB + 1, me)); /* three quarters of all */
}

/* A small picture that the tail holds does not stop its sender's next file. */
static void crumbs_do_not_count(void **state)
{
	(void)state;
	const shbuf_owner me = shbuf_for(shbuf_owner_of(7, NULL), SHBUF_FILE);
	struct shbuf *crumb = shbuf_new_spare(MB, me), *large = shbuf_new_spare(40 * MB, me);
	assert_non_null(large);
	assert_null(shbuf_new_spare(SHBUF_LARGE, me));
	shbuf_unref(large);
	shbuf_unref(crumb);
}

/* How many buffers of 1 MB the people of one address, or of a new /64 of one /48 each, get in all. */
static int fill_at(struct shbuf **v, int people, uint8_t addr[16], bool moves, enum shbuf_kind kind)
{
	int n = 0;
	for (int person = 1; person <= people; person++) {
		if (moves)
			addr[7] = (uint8_t)person;
		n += fill(v + n, 1, MB, shbuf_for(shbuf_owner_of((uint64_t)person, addr), kind));
	}
	return n;
}

static void address_has_half_of_what_a_kind_has(void **state)
{
	(void)state;
	uint8_t addr[16];
	struct shbuf *v[64];
	int n;
	address(addr, "\x0a\x01\x02\x03");
	n = fill_at(v, 40, addr, false, SHBUF_FILE);
	assert_int_equal(n, 16);
	/* One kind takes nothing from another: files that wait for others' slow readers keep nobody from coming back. */
	n += fill_at(v + n, 20, addr, false, SHBUF_PAGE);
	assert_int_equal(n, 16 + 4);
	n += fill_at(v + n, 20, addr, false, SHBUF_JOIN);
	assert_int_equal(n, 16 + 4 + 8);
	drop(v, n);
	/* The /64 of IPv6 is one. */
	uint8_t six[16] = { 0x20, 0x01, 0x0d, 0xb8 }, same[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 9 };
	assert_int_equal(shbuf_owner_of(1, six), shbuf_owner_of(1, same));
}

/* A customer's /48 has 65,536 networks of /64. */
static void networks_of_one_customer_leave_room(void **state)
{
	(void)state;
	uint8_t addr[16] = { 0x20, 0x01, 0x0d, 0xb8, 0, 7 }, other[16] = { 0x20, 0x01, 0x0d, 0xb8, 0, 8 };
	struct shbuf *v[128], *theirs[3];
	int n = fill_at(v, 40, addr, true, SHBUF_FILE);
	assert_int_equal(n, 20);
	n += fill_at(v + n, 30, addr, true, SHBUF_PAGE);
	assert_int_equal(n, 20 + 5);
	n += fill_at(v + n, 30, addr, true, SHBUF_JOIN);
	assert_int_equal(n, 20 + 5 + 10);
	for (int kind = SHBUF_FILE; kind <= SHBUF_JOIN; kind++)
		assert_int_equal(fill(theirs + kind - 1, 1, MB, shbuf_for(shbuf_owner_of(1000, other), (enum shbuf_kind)kind)), 1);
	drop(theirs, 3);
	drop(v, n);
}

/* What is shared by all joiners: old versions that slow readers hold have a share, and leave each joiner its own. */
static void what_is_for_all_has_a_share(void **state)
{
	(void)state;
	struct shbuf *v[40], *mine;
	const int n = fill(v, 40, MB, SHBUF_FOR_ALL);
	assert_int_equal(n, 4);
	assert_false(shbuf_is_wanted(v[0])); /* a slow network is no reason to be dropped, as long as others have memory */
	assert_int_equal(fill(&mine, 1, MB, shbuf_for(shbuf_owner_of(7, NULL), SHBUF_JOIN)), 1);
	drop(&mine, 1);
	drop(v, n);
}

/* A page of 1 MB also where a share is less, as long as it is its owner's only one. */
static void only_buffer_may_grow(void **state)
{
	(void)state;
	shbuf_bound(12 * MB);
	const shbuf_owner me = shbuf_for(shbuf_owner_of(7, NULL), SHBUF_PAGE);
	struct buf b, second;
	buf_init_counted(&b, 32 * MB, me);
	buf_init_counted(&second, 32 * MB, me);
	while (b.len < MB + 1000)
		buf_puts(&b, "0123456789");
	assert_false(b.failed);
	while (!second.failed)
		buf_puts(&second, "0123456789");
	assert_true(second.len <= SHBUF_LARGE);
	buf_fini(&second);
	while (!b.failed)
		buf_puts(&b, "0123456789");
	assert_true(b.len <= 4 * MB);
	buf_fini(&b);
}

/* Unread files and pages together leave a quarter for joins. */
static void kinds(void **state)
{
	(void)state;
	struct shbuf *v[200];
	int n = 0, files, pages, joins;
	for (uint64_t person = 1; person <= 60; person++)
		n += fill(v + n, 1, MB, shbuf_for(shbuf_owner_of(person, NULL), SHBUF_FILE));
	files = n;
	for (uint64_t person = 1; person <= 60; person++)
		n += fill(v + n, 1, MB, shbuf_for(shbuf_owner_of(person, NULL), SHBUF_PAGE));
	pages = n - files;
	for (uint64_t person = 1; person <= 60; person++)
		n += fill(v + n, 1, MB, shbuf_for(shbuf_owner_of(person, NULL), SHBUF_JOIN));
	joins = n - files - pages;
	assert_int_equal(files, 32);
	assert_int_equal(pages, 16);
	assert_int_equal(joins, 16);
	assert_true(shbuf_is_wanted(v[0])); /* of a kind that was refused more */
	drop(v, n);
}

static void buffer_is_shared_without_a_copy(void **state)
{
	(void)state;
	const shbuf_owner me = shbuf_for(shbuf_owner_of(7, NULL), SHBUF_PAGE);
	struct buf b;
	buf_init_counted(&b, 32 * MB, me);
	while (b.len < 3 * MB)
		buf_puts(&b, "0123456789");
	const size_t len = b.len;
	assert_true(shbuf_large_bytes() >= len);
	struct shbuf *s = buf_share(&b);
	assert_non_null(s);
	assert_int_equal(s->len, len);
	assert_memory_equal(s->data + len - 10, "0123456789", 10);
	assert_int_equal(shbuf_large_bytes(), len); /* the room for more went back */
	assert_int_equal(b.len, 0);
	buf_puts(&b, "small"); /* and it can be used again */
	struct shbuf *small = buf_share(&b);
	assert_int_equal(small->len, 5);
	assert_memory_equal(small->data, "small", 5);
	shbuf_unref(small);
	shbuf_unref(s);
	while (!b.failed) /* past the owner's share */
		buf_puts(&b, "0123456789");
	assert_true(b.len <= 8 * MB);
	assert_null(buf_share(&b));
	assert_false(b.failed);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_for_all_has_a_share, bound, unbound), /* first: nothing was refused yet */
		cmocka_unit_test_setup_teardown(person_has_an_eighth, bound, unbound),
		cmocka_unit_test_setup_teardown(one_alone_may_be_larger, bound, unbound),
		cmocka_unit_test_setup_teardown(crumbs_do_not_count, bound, unbound),
		cmocka_unit_test_setup_teardown(address_has_half_of_what_a_kind_has, bound, unbound),
		cmocka_unit_test_setup_teardown(networks_of_one_customer_leave_room, bound, unbound),
		cmocka_unit_test_setup_teardown(only_buffer_may_grow, bound, unbound),
		cmocka_unit_test_setup_teardown(kinds, bound, unbound),
		cmocka_unit_test_setup_teardown(buffer_is_shared_without_a_copy, bound, unbound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
