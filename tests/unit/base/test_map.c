/* The map against a plain array, through growth, shrinking and deletion by shifting back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"

#define KEYS 3000

static void test_against_array(void **state)
{
	(void)state;
	struct map m;
	map_init(&m);
	static uint64_t key[KEYS];
	static bool is_in[KEYS];
	size_t n = 0;
	for (int i = 0; i < KEYS; i++)
		key[i] = (uint64_t)i * 4096;
	for (int step = 0; step < 200000; step++) {
		/* Waves, so that it grows and shrinks. */
		int i = rand() % KEYS;
		bool wants_in = rand() % 100 < (step / 20000 % 2 ? 20 : 80);
		assert_int_equal(map_get(&m, &key[i], sizeof(key[i])) == &key[i], is_in[i]);
		if (wants_in && !is_in[i]) {
			map_put(&m, &key[i], sizeof(key[i]), &key[i]);
			n++;
		} else if (!wants_in) {
			assert_ptr_equal(map_del(&m, &key[i], sizeof(key[i])), is_in[i] ? &key[i] : NULL);
			n -= is_in[i];
		}
		is_in[i] = wants_in;
		assert_int_equal(m.n, n);
	}
	size_t at = 0, seen = 0;
	while (map_next(&m, &at))
		seen++;
	assert_int_equal(seen, n);
	for (int i = 0; i < KEYS; i++)
		assert_int_equal(map_get(&m, &key[i], sizeof(key[i])) != NULL, is_in[i]);
	map_fini(&m);
}

static void test_byte_keys(void **state)
{
	(void)state;
	struct map m;
	map_init(&m);
	static const char *const keys[] = { "", "a", "aa", "аня", "abcdefgh", "abcdefghi", "abcdefg" };
	for (size_t i = 0; i < WC_LEN(keys); i++) {
		assert_null(map_get(&m, keys[i], strlen(keys[i])));
		map_put(&m, keys[i], strlen(keys[i]), (void *)keys[i]);
	}
	for (size_t i = 0; i < WC_LEN(keys); i++)
		assert_ptr_equal(map_get(&m, keys[i], strlen(keys[i])), keys[i]);
	assert_null(map_get(&m, "b", 1));
	assert_null(map_del(&m, "b", 1));
	map_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_against_array), cmocka_unit_test(test_byte_keys) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
