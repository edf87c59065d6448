/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/bound.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

static struct arena *arena;
static struct hf_why why;

static const struct hf_pair pairs[] = { { { "tenant", 6 }, { "acme", 4 } },
	{ { "a", 1 }, { "", 0 } } };

static struct hf_bytes
bind(const struct hf_pair *context, size_t count, struct hf_bytes aad)
{
	struct hf_bytes out = { 0 };

	assert_int_equal(
	    bound_aad(arena, context, count, aad, &out, &why), HF_OK);
	return out;
}

static void
without_a_context_it_is_the_associated_data(void **state)
{
	(void)state;
	assert_int_equal(bind(NULL, 0, bytes_of(NULL, 0)).len, 0);
	assert_true(
	    bytes_equal(bind(NULL, 0, bytes_of("abc", 3)), bytes_of("abc", 3)));
	assert_true(bytes_equal(
	    bind(pairs, 0, bytes_of("abc", 3)), bytes_of("abc", 3)));
}

/* Made by another program, from docs/transit.md. */
static void
a_context_is_written_as_documented(void **state)
{
	static const uint8_t expected[] = "holdfast-context-v1\0"
					  "\x00\x00\x00\x10"
					  "\xa2\x61"
					  "a\x60\x66"
					  "tenant\x64"
					  "acme"
					  "xyz";
	const struct hf_pair turned[] = { pairs[1], pairs[0] };
	struct hf_bytes want = bytes_of(expected, sizeof(expected) - 1);

	(void)state;
	assert_true(bytes_equal(bind(pairs, 2, bytes_of("xyz", 3)), want));
	assert_true(bytes_equal(bind(turned, 2, bytes_of("xyz", 3)), want));
	assert_true(bytes_equal(bind(pairs, 2, bytes_of(NULL, 0)),
	    bytes_of(want.ptr, want.len - 3)));
}

static void
refuses_associated_data_that_speaks_for_a_context(void **state)
{
	struct hf_bytes forged = bind(pairs, 2, bytes_of(NULL, 0)), out;

	(void)state;
	assert_int_equal(
	    bound_aad(arena, NULL, 0, forged, &out, &why), HF_ERR_BAD_VALUE);
	assert_non_null(strstr(why.text, "encryption_context"));
	assert_int_equal(
	    bound_aad(arena, pairs, 1, forged, &out, &why), HF_ERR_BAD_VALUE);
	forged.len = 20;
	assert_int_equal(
	    bound_aad(arena, NULL, 0, forged, &out, &why), HF_ERR_BAD_VALUE);
	forged.len = 19;
	assert_true(bytes_equal(bind(NULL, 0, forged), forged));
}

static void
refuses_what_has_no_canonical_form(void **state)
{
	const struct hf_pair twice[] = { pairs[0], pairs[0] };
	struct hf_bytes out;

	(void)state;
	assert_int_equal(
	    bound_aad(arena, twice, 2, bytes_of(NULL, 0), &out, &why),
	    HF_ERR_DUPLICATE_FIELD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_context_it_is_the_associated_data),
		cmocka_unit_test(a_context_is_written_as_documented),
		cmocka_unit_test(
		    refuses_associated_data_that_speaks_for_a_context),
		cmocka_unit_test(refuses_what_has_no_canonical_form),
	};
	int failed;

	if (arena_new(8192, 1 << 20, &arena) != HF_OK)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(arena);
	return failed;
}
