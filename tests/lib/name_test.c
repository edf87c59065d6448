/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

static void
names_are_those_that_err_def_describes(void **state)
{
	static const char *const good[] = { "a", "0", "A-b_c.d9" };
	static const char *const bad[] = { "", ".a", "-a", "_a", "a b", "a/b",
		"\xc3\xa4", "a\n", "a\x7f", "\xff" };
	char text[NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(name_valid(text_of(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(name_valid(text_of(bad[i])));
	memset(text, 'a', sizeof(text));
	assert_true(name_valid((struct hf_text){ text, NAME_LONGEST }));
	assert_false(name_valid((struct hf_text){ text, NAME_SIZE }));
}

static void
no_byte_but_those_of_the_rule_is_in_a_name(void **state)
{
	static const char rule[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	(void)state;
	for (int c = 0; c < 256; c++) {
		const char text[3] = { 'a', (char)c, 'b' };
		bool in_rule = c != 0 && strchr(rule, c) != NULL;

		assert_int_equal(
		    name_valid((struct hf_text){ text, 3 }), in_rule);
		assert_int_equal(name_valid((struct hf_text){ text + 1, 2 }),
		    in_rule && strchr("._-", c) == NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_that_err_def_describes),
		cmocka_unit_test(no_byte_but_those_of_the_rule_is_in_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
