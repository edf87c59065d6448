/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/secret.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../fake/mapping.h"

/* The sanitizers make mlock() do nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MLOCK_WORKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MLOCK_WORKS 0
#endif
#endif
#ifndef MLOCK_WORKS
#define MLOCK_WORKS 1
#endif

static const size_t sizes[] = { 1, 16, 32, 33, 64, 100, 2048, 2049, 4096, 65536,
	100000 };
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void
memory_is_zeroed_and_as_long_as_asked_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		AUTO_SECRET s = { 0 };

		assert_int_equal(secret_alloc(&s, sizes[i]), HF_OK);
		assert_int_equal(s.len, sizes[i]);
		for (size_t k = 0; k < s.len; k++)
			assert_int_equal(s.ptr[k], 0);
		memset(s.ptr, 0xee, s.len);
	}
}

static void
sizes_beyond_the_bounds_are_refused(void **state)
{
	struct secret s = { 0 };

	(void)state;
	assert_int_not_equal(secret_alloc(&s, 0), HF_OK);
	assert_int_not_equal(secret_alloc(&s, (64 << 20) + 1), HF_OK);
	assert_int_not_equal(secret_alloc(&s, SIZE_MAX), HF_OK);
	assert_null(s.ptr);
}

static void
a_copy_is_apart_from_its_source(void **state)
{
	uint8_t source[] = { 1, 2, 3 };
	AUTO_SECRET s = { 0 };
	struct secret moved = { 0 };

	(void)state;
	assert_int_equal(
	    secret_copy(&s, (struct hf_bytes){ source, 3 }), HF_OK);
	source[0] = 9;
	assert_int_equal(secret_view(&s).ptr[0], 1);
	secret_move(&moved, &s);
	assert_null(s.ptr);
	assert_int_equal(moved.len, 3);
	secret_free(&moved);
	assert_null(moved.ptr);
	secret_free(&moved);
	secret_free(NULL);
}

/* The pages of small secrets stay, so what was there can be looked at. */
static void
leaving_the_scope_wipes(void **state)
{
	AUTO_SECRET neighbour = { 0 };
	volatile uint8_t *left;

	(void)state;
	assert_int_equal(secret_alloc(&neighbour, 40), HF_OK);
	{
		AUTO_SECRET s = { 0 };

		assert_int_equal(secret_alloc(&s, 40), HF_OK);
		memset(s.ptr, 0xee, s.len);
		left = s.ptr;
	}
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(left[i], 0);
}

static void
many_small_secrets_do_not_overlap(void **state)
{
	static struct secret all[5000];

	(void)state;
	for (size_t i = 0; i < 5000; i++) {
		assert_int_equal(secret_alloc(&all[i], 32), HF_OK);
		memset(all[i].ptr, (int)(i % 251), 32);
	}
	for (size_t i = 0; i < 5000; i += 2)
		secret_free(&all[i]);
	for (size_t i = 1; i < 5000; i += 2)
		for (size_t k = 0; k < 32; k++)
			assert_int_equal(all[i].ptr[k], i % 251);
	for (size_t i = 1; i < 5000; i += 2)
		secret_free(&all[i]);
}

static void
memory_is_locked_and_left_out_of_dumps(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		AUTO_SECRET s = { 0 };

		secret_require_lock(true);
		assert_int_equal(secret_alloc(&s, sizes[i]), HF_OK);
		secret_require_lock(false);
		assert_true(mapping_has(s.ptr, " dd"));
		assert_true(!MLOCK_WORKS || mapping_has(s.ptr, " lo"));
	}
}

/* Runs fn in a child; its exit status, or 128 and more for a signal. */
static int
in_child(int (*fn)(const struct secret *), const struct secret *s)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL); /* cmocka takes it */
		_exit(fn(s));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int
is_zero(const struct secret *s)
{
	for (size_t i = 0; i < s->len; i++)
		if (s->ptr[i] != 0)
			return 1;
	return 0;
}

static void
a_child_finds_zeros(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		AUTO_SECRET s = { 0 };

		assert_int_equal(secret_alloc(&s, sizes[i]), HF_OK);
		memset(s.ptr, 0xee, s.len);
		assert_int_equal(in_child(is_zero, &s), 0);
		assert_int_equal(s.ptr[0], 0xee);
	}
}

static int
write_beyond(const struct secret *s)
{
	volatile uint8_t *p = s->ptr;

	p[s->len] = 1;
	return 0;
}

static int
write_before(const struct secret *s)
{
	volatile uint8_t *p = s->ptr;

	p[-1] = 1;
	return 0;
}

static void
guard_pages_stop_an_overrun(void **state)
{
	AUTO_SECRET s = { 0 };

	(void)state;
	assert_int_equal(secret_alloc(&s, 8192), HF_OK);
	assert_int_not_equal(in_child(write_beyond, &s), 0);
	assert_int_not_equal(in_child(write_before, &s), 0);
}

static int
alloc_without_lock(const struct secret *unused)
{
	struct rlimit none = { 0, 0 };
	struct secret s = { 0 };

	(void)unused;
	/* Root may lock whatever the limit is. */
	if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
	    (geteuid() == 0 && setuid(65534) != 0))
		return 1;
	secret_require_lock(true);
	if (secret_alloc(&s, 100000) != HF_ERR_MEMORY_LOCK || s.ptr != NULL)
		return 2;
	secret_require_lock(false);
	return secret_alloc(&s, 100000) == HF_OK ? 0 : 3;
}

static void
memory_that_cannot_be_locked_is_an_error_where_asked_for(void **state)
{
	(void)state;
	if (!MLOCK_WORKS)
		skip();
	assert_int_equal(in_child(alloc_without_lock, NULL), 0);
}

static void *
churn(void *arg)
{
	struct secret held[16] = { 0 };
	size_t seed = (size_t)(uintptr_t)arg;

	for (size_t i = 0; i < 3000; i++) {
		struct secret *s = &held[(i * 7 + seed) % 16];

		secret_free(s);
		if (secret_alloc(s, sizes[(i + seed) % 7]) != HF_OK)
			return arg;
		memset(s->ptr, (int)seed, s->len);
	}
	for (size_t i = 0; i < 16; i++) {
		for (size_t k = 0; k < held[i].len; k++)
			if (held[i].ptr[k] != (uint8_t)seed)
				return arg;
		secret_free(&held[i]);
	}
	return NULL;
}

static void
threads_do_not_get_in_each_others_way(void **state)
{
	pthread_t threads[4];
	void *result;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn,
				     (void *)(uintptr_t)(i + 1)),
		    0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_null(result);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_and_as_long_as_asked_for),
		cmocka_unit_test(sizes_beyond_the_bounds_are_refused),
		cmocka_unit_test(a_copy_is_apart_from_its_source),
		cmocka_unit_test(leaving_the_scope_wipes),
		cmocka_unit_test(many_small_secrets_do_not_overlap),
		cmocka_unit_test(memory_is_locked_and_left_out_of_dumps),
		cmocka_unit_test(a_child_finds_zeros),
		cmocka_unit_test(guard_pages_stop_an_overrun),
		cmocka_unit_test(
		    memory_that_cannot_be_locked_is_an_error_where_asked_for),
		cmocka_unit_test(threads_do_not_get_in_each_others_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
