/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

static struct arena *
arena_of(size_t first, size_t limit)
{
	struct arena *a = NULL;

	assert_int_equal(arena_new(first, limit, &a), HF_OK);
	return a;
}

static void
assert_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(p[i], 0);
}

static void
memory_is_aligned_zeroed_and_apart(void **state)
{
	struct arena *a = arena_of(256, 1 << 20);
	uint8_t *last = NULL;

	(void)state;
	for (size_t len = 0; len < 300; len++) {
		uint8_t *p = arena_alloc(a, len);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_zero(p, len);
		memset(p, 0xee, len);
		assert_ptr_not_equal(p, last);
		last = p;
	}
	arena_free(a);
}

static void
memory_is_zero_again_after_a_reset(void **state)
{
	struct arena *a = arena_of(4096, 1 << 20);
	uint8_t *first = arena_alloc(a, 1000);

	(void)state;
	memset(first, 0xee, 1000);
	memset(arena_alloc(a, 100000), 0xee, 100000);
	arena_reset(a);
	assert_zero(first, 1000);
	assert_ptr_equal(arena_alloc(a, 1000), first);
	assert_zero(arena_alloc(a, 100000), 100000);
	arena_free(a);
}

static void
what_is_written_into_the_rest_is_kept_and_wiped(void **state)
{
	struct arena *a = arena_of(256, 1 << 20);
	uint8_t *rest, *next;
	size_t cap, left;

	(void)state;
	memset(arena_alloc(a, 100), 0xee, 100);
	rest = arena_rest(a, &cap);
	assert_true(cap > 100);
	assert_zero(rest, cap);
	memset(rest, 0xee, 33);
	arena_keep(a, 33);
	next = arena_rest(a, &left);
	assert_ptr_equal(next, rest + 48);
	assert_int_equal(left, cap - 48);
	assert_ptr_equal(arena_alloc(a, 5), next);
	next = arena_rest(a, &left);
	memset(next, 0xee, left);
	arena_keep(a, left);
	(void)arena_rest(a, &left);
	assert_int_equal(left, 0);
	arena_keep(a, 0);
	/* What does not fit any more is taken elsewhere. */
	assert_zero(arena_alloc(a, 10), 10);
	arena_reset(a);
	assert_zero(rest, cap);
	arena_free(a);
}

static void
the_limit_holds_and_comes_back_with_a_reset(void **state)
{
	struct arena *a = arena_of(4096, 100000);
	size_t taken = 0;

	(void)state;
	assert_null(arena_alloc(a, 100001));
	assert_null(arena_alloc(a, SIZE_MAX));
	while (arena_alloc(a, 1000) != NULL)
		taken += 1000;
	/* The first block, two pages, is on top of the limit. */
	assert_in_range(taken, 80000, 100000 + 8192);
	arena_reset(a);
	assert_non_null(arena_alloc(a, 90000));
	arena_free(a);
}

static void
an_array_whose_size_overflows_is_refused(void **state)
{
	struct arena *a = arena_of(4096, 1 << 20);

	(void)state;
	assert_null(arena_array(a, SIZE_MAX / 2, 3));
	assert_null(arena_array(a, (size_t)1 << 33, (size_t)1 << 33));
	assert_non_null(arena_array(a, 10, 10));
	assert_non_null(arena_array(a, 0, 10));
	arena_free(a);
}

static void
texts_are_terminated(void **state)
{
	struct arena *a = arena_of(4096, 1 << 20);

	(void)state;
	assert_string_equal(
	    arena_text(a, (struct hf_text){ "abcd", 3 }), "abc");
	assert_string_equal(arena_text(a, (struct hf_text){ NULL, 0 }), "");
	assert_string_equal(arena_printf(a, "%s-%d", "k", 7), "k-7");
	arena_free(a);
}

static void
freeing_nothing_does_nothing(void **state)
{
	(void)state;
	arena_free(NULL);
}

/* Pages that this process has, of all kinds. */
static unsigned long
pages(void)
{
	unsigned long n = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &n), 1);
	assert_int_equal(fclose(f), 0);
	return n;
}

static void
gives_its_memory_back(void **state)
{
	enum { ROUNDS = 200, LARGE = 1 << 20, PAGE = 4096 };
	unsigned long before = pages();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct arena *a = arena_of(4096, 16 << 20);

		assert_non_null(arena_alloc(a, LARGE));
		arena_reset(a);
		assert_non_null(arena_alloc(a, LARGE));
		arena_free(a);
	}
	assert_true(pages() < before + 10 * LARGE / PAGE);
}

static void
what_comes_from_the_cache_is_zero(void **state)
{
	struct arena_cache *cache = NULL;
	struct arena *a = NULL, *b = NULL;
	uint8_t *p;

	(void)state;
	assert_int_equal(arena_cache_new(1 << 20, &cache), HF_OK);
	assert_int_equal(arena_new_cached(4096, 1 << 22, cache, &a), HF_OK);
	assert_int_equal(arena_new_cached(4096, 1 << 22, cache, &b), HF_OK);
	p = arena_alloc(a, 300000);
	memset(p, 0xee, 300000);
	arena_reset(a);
	assert_ptr_equal(arena_alloc(b, 200000), p); /* it is that block */
	assert_zero(p, 200000);
	assert_zero(arena_alloc(b, 90000), 90000);
	arena_free(a);
	arena_free(b);
	arena_cache_free(cache);
}

static void
the_cache_keeps_no_more_than_its_limit(void **state)
{
	enum { ROUNDS = 50, LARGE = 1 << 20, PAGE = 4096 };
	struct arena_cache *cache = NULL;
	struct arena *a = NULL;
	unsigned long before = pages();

	(void)state;
	assert_int_equal(arena_cache_new(2 * LARGE, &cache), HF_OK);
	assert_int_equal(
	    arena_new_cached(4096, 2 * ROUNDS * LARGE, cache, &a), HF_OK);
	for (int i = 0; i < ROUNDS; i++)
		assert_non_null(arena_alloc(a, LARGE));
	arena_reset(a);
	assert_true(pages() < before + 4 * LARGE / PAGE);
	arena_free(a);
	arena_cache_free(cache);
	arena_cache_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_aligned_zeroed_and_apart),
		cmocka_unit_test(memory_is_zero_again_after_a_reset),
		cmocka_unit_test(
		    what_is_written_into_the_rest_is_kept_and_wiped),
		cmocka_unit_test(the_limit_holds_and_comes_back_with_a_reset),
		cmocka_unit_test(an_array_whose_size_overflows_is_refused),
		cmocka_unit_test(texts_are_terminated),
		cmocka_unit_test(gives_its_memory_back),
		cmocka_unit_test(what_comes_from_the_cache_is_zero),
		cmocka_unit_test(the_cache_keeps_no_more_than_its_limit),
		cmocka_unit_test(freeing_nothing_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
