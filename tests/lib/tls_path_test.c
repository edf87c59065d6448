/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where holdfast-tls.so is looked for. This program is linked with
 * -rpath /first/folder:relative:/second, which is what counts: nobody's
 * environment does.
 */
#include "../../lib/tls_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
looks_in_the_folders_built_in_and_where_it_is_installed(void **state)
{
	char path[4096];

	(void)state;
	assert_true(tls_path(0, path, sizeof(path)));
	assert_string_equal(path, "/first/folder/holdfast-tls.so");
	/* What is relative depends on where somebody stands. */
	assert_true(tls_path(1, path, sizeof(path)));
	assert_string_equal(path, "/second/holdfast-tls.so");
	assert_true(tls_path(2, path, sizeof(path)));
	assert_int_equal(path[0], '/');
	assert_non_null(strstr(path, "/holdfast/holdfast-tls.so"));
	assert_false(tls_path(3, path, sizeof(path)));
	assert_false(tls_path(SIZE_MAX, path, sizeof(path)));
}

static void
no_variable_changes_that(void **state)
{
	char path[4096];

	(void)state;
	(void)setenv("LD_LIBRARY_PATH", "/evil", 1);
	for (size_t i = 0; tls_path(i, path, sizeof(path)); i++)
		assert_null(strstr(path, "evil"));
}

static void
a_path_without_room_is_none(void **state)
{
	char path[64];

	(void)state;
	memset(path, 'x', sizeof(path));
	for (size_t cap = 1; cap <= strlen("/first/folder/holdfast-tls.so");
	     cap++)
		for (size_t i = 0; i < 3; i++) {
			if (tls_path(i, path, cap))
				assert_true(strlen(path) < cap);
			assert_int_equal(path[cap], 'x');
		}
	assert_true(
	    tls_path(0, path, strlen("/first/folder/holdfast-tls.so") + 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    looks_in_the_folders_built_in_and_where_it_is_installed),
		cmocka_unit_test(no_variable_changes_that),
		cmocka_unit_test(a_path_without_room_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
