/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which programs the command line becomes: those that belong to it. Built here
 * with installed programs in /nowhere and in a folder `installed` of the build.
 */
#include "../../tools/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char own[4096]; /* the folder that this program is in */

static int
find_own_folder(void **state)
{
	(void)state;
	if (!program_self(own, sizeof(own)))
		return -1;
	*strrchr(own, '/') = '\0';
	(void)mkdir(HOLDFAST_SBINDIR, 0755); /* or it is there already */
	return access(HOLDFAST_SBINDIR, W_OK);
}

/* Makes a program, or a file that is none. */
static void
put(const char *folder, const char *name, mode_t mode, char *path, size_t cap)
{
	FILE *f;

	(void)snprintf(path, cap, "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fputs("#!/bin/true\n", f) >= 0, 1);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void
assert_found(const char *name, const char *at)
{
	char found[8192], real_found[4096], real_at[4096];

	assert_true(program_find(name, found, sizeof(found)));
	assert_non_null(realpath(found, real_found));
	assert_non_null(realpath(at, real_at));
	assert_string_equal(real_found, real_at);
}

static void
knows_where_it_is(void **state)
{
	char path[4096], small[8];

	(void)state;
	assert_true(program_self(path, sizeof(path)));
	assert_non_null(strstr(path, "/tests/tools_program_test"));
	assert_false(program_self(small, sizeof(small)));
	assert_false(program_self(path, strlen(path)));
}

static void
finds_what_is_beside_it_first(void **state)
{
	char beside[8192], installed[8192];

	(void)state;
	put(own, "hf-program", 0755, beside, sizeof(beside));
	put(HOLDFAST_SBINDIR, "hf-program", 0755, installed, sizeof(installed));
	assert_found("hf-program", beside);
	/* What cannot be run is none. */
	assert_int_equal(chmod(beside, 0644), 0);
	assert_found("hf-program", installed);
	assert_int_equal(unlink(beside), 0);
	assert_found("hf-program", installed);
	assert_int_equal(unlink(installed), 0);
}

/* $PATH, the folder that somebody stands in, and links to it lead nowhere. */
static void
looks_nowhere_else(void **state)
{
	char path[8192], evil[] = "/tmp/hf-program-XXXXXX", there[8192];

	(void)state;
	assert_non_null(mkdtemp(evil));
	put(evil, "hf-program", 0755, there, sizeof(there));
	assert_int_equal(setenv("PATH", evil, 1), 0);
	assert_int_equal(chdir(evil), 0);
	assert_false(program_find("hf-program", path, sizeof(path)));
	/* It says where it should be. */
	assert_string_equal(path, HOLDFAST_SBINDIR "/hf-program");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(unlink(there), 0);
	assert_int_equal(rmdir(evil), 0);
}

static void
a_path_without_room_is_none(void **state)
{
	char beside[8192], path[16];

	(void)state;
	put(own, "hf-program", 0755, beside, sizeof(beside));
	assert_false(program_find("hf-program", path, sizeof(path)));
	assert_true(strlen(path) < sizeof(path));
	assert_false(program_near(".", "hf-program", path, sizeof(path)));
	assert_true(program_near(".", "hf-program", beside, sizeof(beside)));
	assert_false(program_near("..", "hf-program", beside, sizeof(beside)));
	(void)snprintf(beside, sizeof(beside), "%s/hf-program", own);
	assert_int_equal(unlink(beside), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_where_it_is),
		cmocka_unit_test(finds_what_is_beside_it_first),
		cmocka_unit_test(looks_nowhere_else),
		cmocka_unit_test(a_path_without_room_is_none),
	};

	return cmocka_run_group_tests(tests, find_own_folder, NULL);
}
