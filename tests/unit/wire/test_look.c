/* test_look.c — which names look alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "wire/look.h"

static bool is_taken_for(const char *wish, const char *held)
{
	struct looks w, h;
	bool is_one = false;

	looks_of_wish(&w, str_of(wish));
	looks_of_name(&h, str_of(held));
	for (int i = 0; i < w.count; i++)
		for (int k = 0; k < h.count; k++)
			is_one |= strcmp(w.key[i], h.key[k]) == 0;
	looks_fini(&w);
	looks_fini(&h);
	return is_one;
}

static void look_alikes(void **state)
{
	/* clang-format off */
	static const char *const pairs[][2] = {
		/* Cyrillic and Greek letters in a Latin name, whatever the case of either */
		{ "Mаrk", "Mark" }, { "mаrk", "Mark" }, { "МARK", "Mark" }, { "МАРК", "MAPK" }, { "Маrк", "Mark" }, { "Вob", "Bob" },
		{ "Вob", "bob" }, { "Βob", "Bob" }, { "Аnn", "ann" }, { "аnn", "ANN" }, { "Νick", "Nick" }, { "Νick", "nick" },
		{ "Вrυce", "bruce" }, { "jοhn", "John" }, { "Ѕаm", "Sam" }, { "Јоhn", "John" }, { "РЕТЕ", "Pete" }, { "pete", "РЕТЕ" },
		{ "Alехander", "Alexander" }, { "Ηelen", "Helen" }, { "Кate", "Kate" }, { "Тom", "tom" }, { "сhris", "Chris" },
		{ "Ёva", "Ëva" }, { "аdmіn", "admin" }, { "ΑDMΙN", "Admin" },
		/* Latin letters in a Cyrillic or a Greek one */
		{ "Cаша", "Саша" }, { "Caша", "саша" }, { "Boвa", "вова" }, { "BOBA", "Вова" }, { "Oлeг", "Олег" }, { "Nικος", "Νικος" },
		{ "Oλγα", "Ολγα" }, { "Κoστας", "Κοστας" },
		/* letters and digits within one script */
		{ "lvan", "Ivan" }, { "lvan", "ivan" }, { "lVAN", "Ivan" }, { "lVlN", "Ivin" }, { "AnnO", "Ann0" }, { "Bi1l", "Bill" },
		{ "KarI", "Karl" }, { "іvan", "Ivan" }, { "Rnark", "Mark" }, { "mаrk Ivanov", "Mark Ivanov" }, { "3оя", "Зоя" },
		/* other scripts' letters that read as Latin ones; styled ones */
		{ "ᎷᎪᎡᏦ", "MARK" }, { "ꓟꓮꓣꓗ", "Mark" }, { "𝐌𝐚𝐫𝐤", "Mark" }, { "Ⓜаrk", "mark" }, { "Ｍаｒｋ", "Mark" }, { "Jeſſ", "Jeff" },
		{ "Jeſſ", "Jess" }, { "օlga", "olga" },
		/* dashes and quotes */
		{ "Ann–Marie", "Ann-Marie" }, { "O’Brien", "O'Brien" }, { "Аnn 2", "Ann 2" }, { "Аnn l0", "Ann 10" },
		/* and one name is like itself, in either case, with or without joiners */
		{ "MARK", "mark" }, { "Straße", "STRASSE" }, { "می\u200cخواهم", "میخواهم" }, { "ｶﾞ", "ガ" },
	};
	static const char *const others[][2] = {
		{ "Neil", "Nell" }, { "Vick", "Nick" }, { "Vera", "Nera" }, { "Ron", "Yov" }, { "Ali", "Ail" }, { "Karl", "Kari" },
		{ "Аня", "Ann" }, { "Anna", "Анна" }, { "Иван", "Ivan" }, { "Марк", "Mark" }, { "Елена", "Elena" }, { "Лев", "Lev" },
		{ "Ирина", "Арина" }, { "Николай", "Никола" }, { "Márk", "Mark" }, { "Ann 2", "Ann 3" }, { "Ann 10", "Ann 1" }, { "José", "Jose" },
		{ "Юлия", "Юля" }, { "Γιαννης", "Γιαννα" }, { "王", "玉" }, { "محمد", "محمود" }, { "", "a" }, { "Нина", "Hиhb" },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < WC_LEN(pairs); i++)
		if (!is_taken_for(pairs[i][0], pairs[i][1]))
			fail_msg("\"%s\" is not taken for \"%s\"", pairs[i][0], pairs[i][1]);
	for (size_t i = 0; i < WC_LEN(others); i++)
		if (is_taken_for(others[i][0], others[i][1]))
			fail_msg("\"%s\" is taken for \"%s\"", others[i][0], others[i][1]);
}

/* A wish has the keys of the name and perhaps one more: so a name that is free can be taken once. */
static void a_wish_has_the_keys_of_the_name(void **state)
{
	static const char *const names[] = { "Mark", "Ivan", "lVAN", "Аня", "", "ΣΑΣ", "m", "👨‍👩‍👧", "\xff", "Ann 10" };

	(void)state;
	for (size_t i = 0; i < WC_LEN(names); i++) {
		struct looks w, h;
		looks_of_wish(&w, str_of(names[i]));
		looks_of_name(&h, str_of(names[i]));
		assert_true(h.count >= 1 && h.count <= LOOKS_OF_NAME && w.count >= h.count && w.count <= LOOKS_MAX);
		for (int k = 0; k < h.count; k++) {
			bool is_in = false;
			for (int j = 0; j < w.count; j++)
				is_in |= strcmp(w.key[j], h.key[k]) == 0;
			assert_true(is_in);
		}
		looks_fini(&w);
		looks_fini(&h);
	}
}

/* "NAME 17" has the keys of NAME, each with a number behind it that reads as 17. */
static void numbers_are_read_from_keys(void **state)
{
	static const char *const names[] = { "Ann", "Аня", "Ivan", "lVAN", "Νικος", "ann 2", "王 l" };
	static const uint32_t numbers[] = { 2, 9, 10, 11, 17, 100, 1023, 1024, 20001, 9999999 };
	size_t head;

	(void)state;
	for (size_t i = 0; i < WC_LEN(names); i++)
		for (size_t k = 0; k < WC_LEN(numbers); k++) {
			char text[64];
			struct looks plain, numbered;
			snprintf(text, sizeof(text), "%s %u", names[i], numbers[k]);
			looks_of_wish(&plain, str_of(names[i]));
			looks_of_wish(&numbered, str_of(text));
			for (int j = 0; j < numbered.count; j++) {
				bool is_in = false;
				assert_int_equal(look_number(numbered.key[j], &head), numbers[k]);
				for (int m = 0; m < plain.count; m++)
					is_in |= strlen(plain.key[m]) == head && memcmp(plain.key[m], numbered.key[j], head) == 0;
				assert_true(is_in);
			}
			looks_fini(&plain);
			looks_fini(&numbered);
		}
	static const char *const none[] = { "", "ann", "ann ", " 2", "ann l", "ann 02", "ann 2x", "ann 12345678", "ann o", "2" };
	for (size_t i = 0; i < WC_LEN(none); i++)
		assert_int_equal(look_number(none[i], &head), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(look_alikes),
		cmocka_unit_test(a_wish_has_the_keys_of_the_name),
		cmocka_unit_test(numbers_are_read_from_keys),
	};

	return cmocka_run_group_tests_name("look", tests, NULL, NULL);
}
