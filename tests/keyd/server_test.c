/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { THREADS = 4, EACH = 10000 };

static struct server server;

struct task {
	unsigned lane;
	uint64_t ids[EACH];
};

static void *
run(void *arg)
{
	struct task *t = arg;

	for (size_t i = 0; i < EACH; i++) {
		t->ids[i] = server_audit_id(&server, t->lane);
		server_count(&server, t->lane, 1, OUTCOME_OK);
		if (i % 2 == 0)
			server_count(&server, t->lane, 1, OUTCOME_REFUSED);
	}
	return NULL;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Two threads of the common lane, and two with a lane of their own. */
static void
no_id_is_given_twice_and_nothing_is_counted_twice(void **state)
{
	static struct task tasks[THREADS];
	static uint64_t all[THREADS * EACH];
	pthread_t threads[THREADS];
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		tasks[i].lane = i < 2 ? 0 : i;
		assert_int_equal(
		    pthread_create(&threads[i], NULL, run, &tasks[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		for (size_t k = 0; k < EACH; k++)
			all[n++] = tasks[i].ids[k];
	qsort(all, n, sizeof(all[0]), compare);
	assert_true(all[0] > 0); /* 0 is none */
	for (size_t i = 1; i < n; i++)
		assert_true(all[i] > all[i - 1]);
	assert_int_equal(server_counted(&server, 1, OUTCOME_OK), n);
	assert_int_equal(server_counted(&server, 1, OUTCOME_REFUSED), n / 2);
	assert_int_equal(server_counted(&server, 1, OUTCOME_FAILED), 0);
	assert_int_equal(server_counted(&server, 0, OUTCOME_OK), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    no_id_is_given_twice_and_nothing_is_counted_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
