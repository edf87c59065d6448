/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/heap.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/secret.h"
#include "../fake/mapping.h"

/* Sanitizers make nothing of mlock(2); of mlock2(2) they do not know. */
enum { MIB = 1 << 20, LIMIT = 64 * MIB };

static struct hf_why why;

static int
open_heap(void **state)
{
	(void)state;
	return heap_open(LIMIT, MIB, &why) == HF_OK ? 0 : -1;
}

static const size_t sizes[] = { 1, 15, 16, 17, 24, 48, 127, 128, 129, 160, 161,
	255, 256, 257, 700, 1024, 1025, 4000, 4096, 4097, 8191, 8192, 8193,
	16385, 16700, 20480, 20481, 24576, 28672, 28673, 32767, 32768, 32769,
	65536, 100000, 1000000 };
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static bool
all(const uint8_t *p, size_t len, uint8_t value)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != value)
			return false;
	return true;
}

/* -- Blocks -- */

static void
blocks_are_zeroed_aligned_and_apart(void **state)
{
	enum { EACH = 40 };
	static uint8_t *blocks[SIZES][EACH];

	(void)state;
	for (size_t i = 0; i < SIZES; i++)
		for (size_t k = 0; k < EACH; k++) {
			uint8_t *p = heap_alloc(sizes[i]);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % 16, 0);
			assert_true(all(p, sizes[i], 0));
			memset(p, (int)(i + k) | 1, sizes[i]);
			blocks[i][k] = p;
		}
	for (size_t i = 0; i < SIZES; i++)
		for (size_t k = 0; k < EACH; k++) {
			assert_true(all(
			    blocks[i][k], sizes[i], (uint8_t)((i + k) | 1)));
			heap_free(blocks[i][k]);
		}
}

static void
lengths_beyond_the_bounds_are_refused(void **state)
{
	(void)state;
	assert_null(heap_alloc(0));
	assert_null(heap_alloc(HEAP_LARGEST + 1));
	assert_null(heap_alloc(SIZE_MAX));
	assert_null(heap_alloc(SIZE_MAX - 15));

	void *p = heap_alloc(1);

	assert_null(heap_realloc(p, SIZE_MAX));
	assert_null(heap_realloc(p, SIZE_MAX - 15));
	assert_null(heap_realloc(p, 0));
	heap_free(p);
	heap_free(NULL);
}

/* What a block held cannot be read where it was, whoever gets it next. */
static void
a_freed_block_is_wiped(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES && sizes[i] <= 32768; i++) {
		volatile uint8_t *p = heap_alloc(sizes[i]);
		void *neighbour = heap_alloc(sizes[i]);

		memset((uint8_t *)(uintptr_t)p, 0xa5, sizes[i]);
		heap_free((uint8_t *)(uintptr_t)p);
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(p[k], 0);
		heap_free(neighbour);
	}
}

static void
moving_a_block_keeps_its_content_and_wipes_the_old_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++)
		for (size_t k = 0; k < SIZES; k++) {
			size_t less = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
			uint8_t *from = heap_alloc(sizes[i]), *to;
			volatile uint8_t *was = from;

			assert_non_null(from);
			memset(from, 0x5a, sizes[i]);
			to = heap_realloc(from, sizes[k]);
			assert_non_null(to);
			assert_true(all(to, less, 0x5a));
			if (to != was && sizes[i] <= 32768)
				assert_int_equal(was[sizes[i] - 1], 0);
			heap_free(to);
		}
}

static void
a_block_made_shorter_in_its_place_loses_its_end(void **state)
{
	uint8_t *p = heap_alloc(160);

	(void)state;
	memset(p, 0x5a, 160);
	assert_ptr_equal(heap_realloc(p, 140), p);
	assert_true(all(p, 140, 0x5a));
	assert_true(all(p + 140, 20, 0));
	assert_ptr_equal(heap_realloc(p, 160), p);
	assert_true(all(p + 140, 20, 0));
	heap_free(p);
}

static void
nothing_is_moved_from_nowhere(void **state)
{
	uint8_t *p = heap_realloc(NULL, 100);

	(void)state;
	assert_non_null(p);
	heap_free(p);
}

/* -- Bounds -- */

static void
what_is_freed_goes_back_to_the_system(void **state)
{
	enum { COUNT = 20000 };
	static void *blocks[COUNT];
	struct heap_use before, most, after;

	(void)state;
	for (size_t size = 16; size <= 2048; size *= 2) {
		before = heap_use();
		for (size_t i = 0; i < COUNT; i++)
			assert_non_null(blocks[i] = heap_alloc(size));
		most = heap_use();
		assert_true(most.held - before.held >= COUNT / 2 * size);
		for (size_t i = 0; i < COUNT; i++)
			heap_free(blocks[i]);
		after = heap_use();
		/* A thread keeps 8 KiB of a size, and one slab stays. */
		assert_true(after.out <= before.out + 8192);
		assert_true(after.held <= before.held + 3 * 16384);
		assert_true(after.grown > before.grown);
	}
}

static void
a_block_used_again_and_again_takes_nothing_from_the_system(void **state)
{
	uint64_t before;

	(void)state;
	for (size_t i = 0; i < SIZES && sizes[i] <= 32768; i++) {
		heap_free(heap_alloc(sizes[i]));
		before = heap_use().grown;
		for (int k = 0; k < 1000; k++) {
			void *two[] = { heap_alloc(sizes[i]),
				heap_alloc(sizes[i]) };

			heap_free(two[0]);
			heap_free(two[1]);
		}
		assert_true(heap_use().grown - before <= 1);
	}
}

/* Runs `fn` in a child; its exit status, or 128 and more for a signal. */
static int
in_child(int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)signal(SIGABRT, SIG_DFL);
		(void)signal(SIGSEGV, SIG_DFL);
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int
fill(void)
{
	struct heap_use use;
	size_t taken = 0;
	uint8_t *last = NULL, *p;

	while ((p = heap_alloc(10000)) != NULL) {
		memcpy(p, &last, sizeof(last));
		last = p;
		taken += 10000;
	}
	use = heap_use();
	if (use.held > LIMIT || taken > LIMIT || taken < LIMIT / 2)
		return 1;
	/* Another size gets what a slab of it has left, no more. */
	for (taken = 0; heap_alloc(20000) != NULL; taken++)
		;
	if (taken > 4 || heap_alloc(2 * MIB) != NULL)
		return 2;
	while (last != NULL) {
		memcpy(&p, last, sizeof(p));
		heap_free(last);
		last = p;
	}
	return heap_alloc(20000) != NULL && heap_alloc(2 * MIB) != NULL ? 0 : 3;
}

static void
the_limit_holds_and_what_is_freed_can_be_used_for_all(void **state)
{
	(void)state;
	assert_int_equal(in_child(fill), 0);
}

/* -- Locked -- */

static void
memory_is_locked_and_left_out_of_dumps(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		void *p = heap_alloc(sizes[i]);

		assert_true(mapping_has(p, " dd"));
		assert_true(mapping_has(p, " lo"));
		heap_free(p);
	}
}

/* Root may lock whatever the limit is; 0 when this process may lock nothing. */
static int
lock_nothing(void)
{
	struct rlimit none = { 0, 0 };

	return setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
	    (geteuid() == 0 && setuid(65534) != 0);
}

static int
grow_without_lock(void)
{
	void *p = NULL;

	if (lock_nothing() != 0)
		return 1;
	secret_require_lock(true);
	if (heap_alloc(MIB) != NULL)
		return 2;
	for (int i = 0; i < 100000 && (p = heap_alloc(3000)) != NULL; i++)
		;
	if (p != NULL)
		return 3;
	secret_require_lock(false);
	p = heap_alloc(MIB);
	return p != NULL && !mapping_has(p, " lo") && mapping_has(p, " dd") ? 0
									    : 4;
}

static void
memory_that_cannot_be_locked_is_refused_where_that_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(in_child(grow_without_lock), 0);
}

/* -- Mistakes of others -- */

static int
free_twice(void)
{
	void *p = heap_alloc(100);

	heap_free(p);
	heap_free(p);
	return 0;
}

static int
free_twice_with_others_between(void)
{
	void *held[200], *p = heap_alloc(100);

	heap_free(p);
	for (size_t i = 0; i < 200; i++)
		held[i] = heap_alloc(64);
	for (size_t i = 0; i < 200; i++)
		heap_free(held[i]);
	heap_free(p);
	return 0;
}

static int
free_large_twice(void)
{
	void *p = heap_alloc(100000);

	heap_free(p);
	heap_free(p);
	return 0;
}

static void *
free_elsewhere(void *p)
{
	heap_free(p);
	return NULL;
}

static int
free_twice_in_two_threads(void)
{
	void *p = heap_alloc(100);
	pthread_t thread;

	if (pthread_create(&thread, NULL, free_elsewhere, p) != 0)
		return 1;
	(void)pthread_join(thread, NULL);
	heap_free(p);
	return 0;
}

static int
free_inside(void)
{
	heap_free((uint8_t *)heap_alloc(100) + 16);
	return 0;
}

static int
free_unaligned(void)
{
	heap_free((uint8_t *)heap_alloc(100) + 1);
	return 0;
}

static int
free_inside_large(void)
{
	heap_free((uint8_t *)heap_alloc(100000) + 16384);
	return 0;
}

static int
free_a_stranger(void)
{
	char here[64];
	/* The compiler knows that this is wrong, unless it does not know. */
	void *volatile p = here;

	heap_free(p);
	return 0;
}

static int
free_what_was_never_taken(void)
{
	uint8_t *p = heap_alloc(2048), *next;

	/* The rest of a slab, some blocks on, is of the same size. */
	next = p + 2048;
	heap_free(next);
	heap_free(next);
	return 0;
}

static int
move_what_is_free(void)
{
	void *p = heap_alloc(100);

	heap_free(p);
	return heap_realloc(p, 90) == p;
}

static int
write_after_free(void)
{
	volatile uint8_t *p = heap_alloc(700);

	heap_free((uint8_t *)(uintptr_t)p);
	p[650] = 1;
	for (int i = 0; i < 100; i++)
		if (heap_alloc(700) == NULL)
			return 1;
	return 0;
}

static int
write_to_what_went_back(void)
{
	/* Its end lies beyond what is reserved. */
	volatile uint8_t *p = heap_alloc(2 * MIB);

	heap_free((uint8_t *)(uintptr_t)p);
	p[2 * MIB - 1] = 1;
	return 0;
}

static int
write_before_the_heap(void)
{
	uint8_t *lowest = heap_alloc(16), *p = lowest;

	for (int i = 0; i < 1000; i++)
		if ((p = heap_alloc(16)) < lowest)
			lowest = p;
	for (volatile uint8_t *q = lowest;; q -= 16)
		*q = 0;
	return 0;
}

static void
mistakes_end_the_process(void **state)
{
	static int (*const aborts[])(void) = { free_twice,
		free_twice_with_others_between, free_large_twice,
		free_twice_in_two_threads, free_inside, free_unaligned,
		free_inside_large, free_a_stranger, free_what_was_never_taken,
		move_what_is_free, write_after_free };
	static int (*const faults[])(
	    void) = { write_to_what_went_back, write_before_the_heap };

	(void)state;
	for (size_t i = 0; i < sizeof(aborts) / sizeof(aborts[0]); i++)
		assert_int_equal(in_child(aborts[i]), 128 + SIGABRT);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		assert_int_not_equal(in_child(faults[i]), 0);
}

/* -- Threads -- */

enum { THREADS = 4, ROUNDS = 20000, PLACES = 64 };

/* Blocks change hands here: who comes next frees what is there. */
static _Atomic(uint8_t *) places[PLACES];

static void *
churn(void *arg)
{
	uint64_t number = (uintptr_t)arg;

	for (size_t i = 0; i < ROUNDS; i++) {
		size_t len, place;
		uint8_t *p;

		number = number * UINT64_C(6364136223846793005) + 1;
		len = sizes[(number >> 33) % SIZES];
		place = (number >> 50) % PLACES;
		if (len > 32769)
			len = 40;
		p = heap_alloc(len + 9);
		if (p == NULL || !all(p, len + 9, 0))
			return arg;
		memcpy(p, &len, sizeof(len));
		memset(p + sizeof(len), (int)place | 1, len);
		p = atomic_exchange(&places[place], p);
		if (p == NULL)
			continue;
		memcpy(&len, p, sizeof(len));
		if (!all(p + sizeof(len), len, (uint8_t)(place | 1)))
			return arg;
		heap_free(p);
	}
	return NULL;
}

static void
threads_free_what_others_took(void **state)
{
	size_t before = heap_use().out;
	pthread_t threads[THREADS];
	void *result;

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn,
				     (void *)(uintptr_t)(i + 1)),
		    0);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_null(result);
	}
	for (size_t i = 0; i < PLACES; i++)
		heap_free(atomic_exchange(&places[i], NULL));
	/* What the threads kept came back when they ended; this one keeps
	 * some. */
	assert_true(heap_use().out < before + 512 * 1024);
}

static pthread_key_t late;

static void
free_late(void *p)
{
	void *again;

	heap_free(p);
	again = heap_alloc(300);
	assert_non_null(again);
	heap_free(again);
}

static void *
leave_for_later(void *unused)
{
	/* In this order, so that the heap's own end comes first. */
	heap_free(heap_alloc(300));
	assert_int_equal(pthread_setspecific(late, heap_alloc(300)), 0);
	return unused;
}

static void
a_thread_may_free_at_its_very_end(void **state)
{
	size_t before = heap_use().out;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_key_create(&late, free_late), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(
		    pthread_create(&thread, NULL, leave_for_later, NULL), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	(void)pthread_key_delete(late);
	assert_int_equal(heap_use().out, before);
}

static int
use_in_child(void)
{
	for (size_t i = 0; i < SIZES; i++)
		heap_free(heap_alloc(sizes[i]));
	return 0;
}

static atomic_bool enough;

static void *
churn_on(void *unused)
{
	while (!atomic_load(&enough)) {
		void *blocks[100];

		for (size_t i = 0; i < 100; i++)
			blocks[i] = heap_alloc(500);
		for (size_t i = 0; i < 100; i++)
			heap_free(blocks[i]);
	}
	return unused;
}

static void
a_child_can_go_on_using_it(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, churn_on, NULL), 0);
	for (int i = 0; i < 30; i++)
		assert_int_equal(in_child(use_in_child), 0);
	atomic_store(&enough, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: others take more than a user may lock. */
		cmocka_unit_test(memory_is_locked_and_left_out_of_dumps),
		cmocka_unit_test(blocks_are_zeroed_aligned_and_apart),
		cmocka_unit_test(lengths_beyond_the_bounds_are_refused),
		cmocka_unit_test(a_freed_block_is_wiped),
		cmocka_unit_test(
		    moving_a_block_keeps_its_content_and_wipes_the_old_one),
		cmocka_unit_test(
		    a_block_made_shorter_in_its_place_loses_its_end),
		cmocka_unit_test(nothing_is_moved_from_nowhere),
		cmocka_unit_test(what_is_freed_goes_back_to_the_system),
		cmocka_unit_test(
		    a_block_used_again_and_again_takes_nothing_from_the_system),
		cmocka_unit_test(
		    the_limit_holds_and_what_is_freed_can_be_used_for_all),
		cmocka_unit_test(
		    memory_that_cannot_be_locked_is_refused_where_that_is_asked_for),
		cmocka_unit_test(mistakes_end_the_process),
		cmocka_unit_test(threads_free_what_others_took),
		cmocka_unit_test(a_thread_may_free_at_its_very_end),
		cmocka_unit_test(a_child_can_go_on_using_it),
	};

	return cmocka_run_group_tests(tests, open_heap, NULL);
}
