/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/workers.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "../../keyd/waiting.h"

/* What the pieces of work in these tests do, in the order they ran. */
struct job {
	struct work work; /* first: a job is found from its work */
	sem_t *started, *go;
	_Atomic unsigned *order;
	unsigned place; /* 1 for the first that ran */
	_Atomic unsigned runs, cancels;
};

static void
job_run(struct work *work, bool cancelled)
{
	struct job *job = (struct job *)(void *)work;

	if (cancelled) {
		atomic_fetch_add(&job->cancels, 1);
		return;
	}
	if (job->started != NULL)
		(void)sem_post(job->started);
	if (job->go != NULL)
		(void)sem_wait(job->go);
	if (job->order != NULL)
		job->place = atomic_fetch_add(job->order, 1) + 1;
	atomic_fetch_add(&job->runs, 1);
}

static void
sleep_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

static void
runs_each_piece_of_work_once(void **state)
{
	struct job jobs[100] = { 0 };
	struct workers *w = NULL;

	(void)state;
	assert_int_equal(workers_new(4, 0, 100, &w), HF_OK);
	for (size_t i = 0; i < 100; i++) {
		jobs[i].work.run = job_run;
		assert_int_equal(workers_submit(w, &jobs[i].work), HF_OK);
	}
	workers_stop(w, 10000);
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(atomic_load(&jobs[i].runs), 1);
		assert_int_equal(atomic_load(&jobs[i].cancels), 0);
	}
	workers_free(w);
}

static void
serves_first_come_first(void **state)
{
	struct job jobs[20] = { 0 };
	_Atomic unsigned order = 0;
	struct workers *w = NULL;

	(void)state;
	assert_int_equal(workers_new(1, 0, 20, &w), HF_OK);
	for (size_t i = 0; i < 20; i++) {
		jobs[i].work.run = job_run;
		jobs[i].order = &order;
		assert_int_equal(workers_submit(w, &jobs[i].work), HF_OK);
	}
	workers_stop(w, 10000);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(jobs[i].place, i + 1);
	workers_free(w);
}

static void
is_busy_when_the_queue_is_full(void **state)
{
	sem_t started, go;
	struct job jobs[4] = { 0 };
	struct workers *w = NULL;

	(void)state;
	(void)sem_init(&started, 0, 0);
	(void)sem_init(&go, 0, 0);
	for (size_t i = 0; i < 4; i++)
		jobs[i] = (struct job){
			.work.run = job_run, .started = &started, .go = &go
		};
	assert_int_equal(workers_new(1, 0, 2, &w), HF_OK);
	assert_int_equal(workers_submit(w, &jobs[0].work), HF_OK);
	(void)sem_wait(&started); /* it runs: the queue is empty again */
	assert_int_equal(workers_submit(w, &jobs[1].work), HF_OK);
	assert_int_equal(workers_submit(w, &jobs[2].work), HF_OK);
	assert_int_equal(workers_submit(w, &jobs[3].work), HF_ERR_BUSY);
	for (size_t i = 0; i < 3; i++)
		(void)sem_post(&go);
	workers_stop(w, 10000);
	assert_int_equal(atomic_load(&jobs[2].runs), 1);
	assert_int_equal(atomic_load(&jobs[3].runs), 0);
	workers_free(w);
	(void)sem_destroy(&started);
	(void)sem_destroy(&go);
}

static void
takes_nothing_after_stop(void **state)
{
	struct job job = { .work.run = job_run };
	struct workers *w = NULL;

	(void)state;
	assert_int_equal(workers_new(1, 0, 2, &w), HF_OK);
	workers_stop(w, 0);
	assert_int_equal(workers_submit(w, &job.work), HF_ERR_SHUTTING_DOWN);
	workers_free(w);
	assert_int_equal(atomic_load(&job.runs), 0);
	assert_int_equal(atomic_load(&job.cancels), 0);
}

static void *
post_later(void *go)
{
	sleep_ms(300);
	(void)sem_post(go);
	return NULL;
}

static void
cancels_what_waits_when_time_is_up_and_joins_what_runs(void **state)
{
	sem_t started, go;
	struct job jobs[3] = { 0 };
	struct workers *w = NULL;
	pthread_t poster;

	(void)state;
	(void)sem_init(&started, 0, 0);
	(void)sem_init(&go, 0, 0);
	for (size_t i = 0; i < 3; i++)
		jobs[i] = (struct job){
			.work.run = job_run, .started = &started, .go = &go
		};
	assert_int_equal(workers_new(1, 0, 2, &w), HF_OK);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(workers_submit(w, &jobs[i].work), HF_OK);
		if (i == 0)
			(void)sem_wait(&started);
	}
	assert_int_equal(pthread_create(&poster, NULL, post_later, &go), 0);
	workers_stop(w, 50);
	assert_int_equal(atomic_load(&jobs[0].runs), 1);
	for (size_t i = 1; i < 3; i++) {
		assert_int_equal(atomic_load(&jobs[i].runs), 0);
		assert_int_equal(atomic_load(&jobs[i].cancels), 1);
	}
	(void)pthread_join(poster, NULL);
	workers_free(w);
	(void)sem_destroy(&started);
	(void)sem_destroy(&go);
}

static void
look_at_signals(struct work *work, bool cancelled)
{
	sigset_t mask;

	(void)cancelled;
	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	if (sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGHUP) == 1)
		job_run(work, false);
}

static void
leaves_signals_to_the_main_thread(void **state)
{
	struct job job = { .work.run = look_at_signals };
	struct workers *w = NULL;

	(void)state;
	assert_int_equal(workers_new(1, 0, 1, &w), HF_OK);
	assert_int_equal(workers_submit(w, &job.work), HF_OK);
	workers_stop(w, 10000);
	workers_free(w);
	assert_int_equal(atomic_load(&job.runs), 1);
}

/* -- Those that wait for the disk -- */

/* How many are at it at the same time, and the most that ever were. */
struct crowd {
	sem_t arrived, go;
	_Atomic unsigned inside, most;
};

struct waiter {
	struct work work; /* first */
	struct crowd *crowd;
	bool for_disk;
	_Atomic unsigned runs;
};

static void
wait_with_others(struct work *work, bool cancelled)
{
	struct waiter *one = (struct waiter *)(void *)work;
	struct crowd *c = one->crowd;
	unsigned inside = atomic_fetch_add(&c->inside, 1) + 1;
	unsigned most = atomic_load(&c->most);

	(void)cancelled;
	while (inside > most &&
	    !atomic_compare_exchange_weak(&c->most, &most, inside))
		;
	if (one->for_disk)
		waiting_begin();
	(void)sem_post(&c->arrived);
	(void)sem_wait(&c->go);
	if (one->for_disk)
		waiting_end();
	atomic_fetch_sub(&c->inside, 1);
	atomic_fetch_add(&one->runs, 1);
}

enum { CROWD = 40 };

static void
gather(
    struct workers *w, struct crowd *crowd, struct waiter *all, bool for_disk)
{
	(void)sem_init(&crowd->arrived, 0, 0);
	(void)sem_init(&crowd->go, 0, 0);
	for (size_t i = 0; i < CROWD; i++) {
		all[i] = (struct waiter){ .work.run = wait_with_others,
			.crowd = crowd,
			.for_disk = for_disk };
		assert_int_equal(workers_submit(w, &all[i].work), HF_OK);
	}
}

static void
let_go(struct crowd *crowd)
{
	for (size_t i = 0; i < CROWD; i++)
		(void)sem_post(&crowd->go);
}

static void
expect_all_ran(struct waiter *all)
{
	for (size_t i = 0; i < CROWD; i++)
		assert_int_equal(atomic_load(&all[i].runs), 1);
}

static void
others_run_while_some_wait_for_the_disk(void **state)
{
	struct workers *w = NULL;
	struct crowd crowd = { 0 };
	struct waiter all[CROWD];

	(void)state;
	assert_int_equal(workers_new(2, CROWD, CROWD, &w), HF_OK);
	gather(w, &crowd, all, true);
	/* With two places all forty come as far as the disk. */
	for (size_t i = 0; i < CROWD; i++)
		(void)sem_wait(&crowd.arrived);
	assert_int_equal(atomic_load(&crowd.inside), CROWD);
	let_go(&crowd);
	workers_stop(w, 10000);
	expect_all_ran(all);
	workers_free(w);
}

static void
no_more_run_than_there_are_threads_for(void **state)
{
	struct workers *w = NULL;
	struct crowd crowd = { 0 };
	struct waiter all[CROWD];

	(void)state;
	assert_int_equal(workers_new(2, CROWD, CROWD, &w), HF_OK);
	gather(w, &crowd, all, false);
	let_go(&crowd);
	workers_stop(w, 10000);
	expect_all_ran(all);
	assert_true(atomic_load(&crowd.most) <= 2);
	workers_free(w);
}

static void
no_more_wait_than_may(void **state)
{
	struct workers *w = NULL;
	struct crowd crowd = { 0 };
	struct waiter all[CROWD];

	(void)state;
	assert_int_equal(workers_new(2, 5, CROWD, &w), HF_OK);
	gather(w, &crowd, all, true);
	for (size_t i = 0; i < 7; i++)
		(void)sem_wait(&crowd.arrived);
	assert_int_equal(workers_threads(w), 7);
	let_go(&crowd);
	workers_stop(w, 10000);
	expect_all_ran(all);
	assert_true(atomic_load(&crowd.most) <= 7);
	workers_free(w);
}

static void
threads_that_nobody_needs_end(void **state)
{
	struct workers *w = NULL;
	struct crowd crowd = { 0 };
	struct waiter all[CROWD];

	(void)state;
	assert_int_equal(workers_new(2, CROWD, CROWD, &w), HF_OK);
	for (unsigned round = 0; round < 2; round++) {
		gather(w, &crowd, all, true);
		for (size_t i = 0; i < CROWD; i++)
			(void)sem_wait(&crowd.arrived);
		assert_true(workers_threads(w) >= CROWD);
		let_go(&crowd);
		while (workers_threads(w) > 2)
			sleep_ms(20);
		expect_all_ran(all);
	}
	workers_stop(w, 10000);
	workers_free(w);
}

static void
cancels_nothing_that_waits_for_the_disk(void **state)
{
	struct workers *w = NULL;
	struct crowd crowd = { 0 };
	struct waiter all[CROWD];
	pthread_t poster;

	(void)state;
	assert_int_equal(workers_new(1, CROWD, CROWD, &w), HF_OK);
	gather(w, &crowd, all, true);
	for (size_t i = 0; i < CROWD; i++)
		(void)sem_wait(&crowd.arrived);
	for (size_t i = 1; i < CROWD; i++)
		(void)sem_post(&crowd.go);
	assert_int_equal(
	    pthread_create(&poster, NULL, post_later, &crowd.go), 0);
	workers_stop(w, 0);
	expect_all_ran(all);
	(void)pthread_join(poster, NULL);
	workers_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_each_piece_of_work_once),
		cmocka_unit_test(serves_first_come_first),
		cmocka_unit_test(is_busy_when_the_queue_is_full),
		cmocka_unit_test(takes_nothing_after_stop),
		cmocka_unit_test(
		    cancels_what_waits_when_time_is_up_and_joins_what_runs),
		cmocka_unit_test(leaves_signals_to_the_main_thread),
		cmocka_unit_test(others_run_while_some_wait_for_the_disk),
		cmocka_unit_test(no_more_run_than_there_are_threads_for),
		cmocka_unit_test(no_more_wait_than_may),
		cmocka_unit_test(threads_that_nobody_needs_end),
		cmocka_unit_test(cancels_nothing_that_waits_for_the_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
