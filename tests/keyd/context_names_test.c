/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/context_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

static struct arena *arena;
static struct hf_why why;

static struct hf_bytes
pack(const struct hf_text *names, size_t count)
{
	struct hf_bytes out = { 0 };

	assert_int_equal(
	    context_names_pack(arena, "f", names, count, &out, &why), HF_OK);
	return out;
}

static void
names_come_back_in_order(void **state)
{
	const struct hf_text names[] = { TEXT("tenant"), TEXT("a") };
	struct hf_bytes packed = pack(names, 2);
	struct hf_text *list;
	size_t count;

	(void)state;
	assert_true(bytes_equal(packed, bytes_of("tenant\0a\0", 9)));
	list = context_names_list(arena, packed, &count);
	assert_int_equal(count, 2);
	assert_true(text_is(list[0], "tenant"));
	assert_true(text_is(list[1], "a"));
}

static void
one_empty_name_is_none(void **state)
{
	const struct hf_text empty[] = { TEXT(""), TEXT("") };
	struct hf_bytes out;

	(void)state;
	assert_int_equal(pack(empty, 0).len, 0);
	assert_non_null(pack(empty, 1).ptr);
	assert_int_equal(pack(empty, 1).len, 0);
	assert_int_equal(context_names_pack(arena, "f", empty, 2, &out, &why),
	    HF_ERR_OUT_OF_BOUNDS);
}

static void
names_have_bounds_and_are_given_once(void **state)
{
	char long_name[129];
	struct hf_text names[] = { TEXT("a"), { long_name, 129 } };
	struct hf_bytes out;

	(void)state;
	memset(long_name, 'n', sizeof(long_name));
	assert_int_equal(context_names_pack(arena, "f", names, 2, &out, &why),
	    HF_ERR_OUT_OF_BOUNDS);
	names[1].len = 128;
	assert_int_equal(pack(names, 2).len, 131);
	names[1] = names[0];
	assert_int_equal(context_names_pack(arena, "f", names, 2, &out, &why),
	    HF_ERR_DUPLICATE_FIELD);
	assert_string_equal(why.text, "f: 'a' is given twice");
}

static void
a_star_has_all_names(void **state)
{
	const struct hf_text some[] = { TEXT("tenant"), TEXT("a") };
	const struct hf_text all[] = { TEXT("*") };

	(void)state;
	assert_true(context_names_have(pack(some, 2), TEXT("a")));
	assert_false(context_names_have(pack(some, 2), TEXT("ten")));
	assert_false(context_names_have(pack(some, 2), TEXT("")));
	assert_false(context_names_have(pack(some, 0), TEXT("a")));
	assert_true(context_names_have(pack(all, 1), TEXT("a")));
}

/* As a record that is damaged might have it. */
static void
what_has_no_end_is_no_name(void **state)
{
	struct hf_bytes rest = bytes_of("tenant", 6);
	struct hf_text name;

	(void)state;
	assert_false(context_names_next(&rest, &name));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_come_back_in_order),
		cmocka_unit_test(one_empty_name_is_none),
		cmocka_unit_test(names_have_bounds_and_are_given_once),
		cmocka_unit_test(a_star_has_all_names),
		cmocka_unit_test(what_has_no_end_is_no_name),
	};
	int failed;

	if (arena_new(8192, 1 << 20, &arena) != HF_OK)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(arena);
	return failed;
}
