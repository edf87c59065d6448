/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hsm_job.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/hsm_internal.h"
#include "../../keyd/hsm_process.h"
#include "../../lib/bytes.h"

/* What a worker answers is not to be trusted: a vendor's library lives there.
 * The replies here are as hsm_job.c writes them, and as it never would. */

struct reply {
	uint32_t err, found, len[JOB_OUTS];
	uint8_t bytes[64];
};

struct fixture {
	int ours, theirs;
	uint8_t out[16], other[16];
	struct hsm_job job;
	enum hf_err err;
};

static int
setup(void **state)
{
	static struct fixture f;
	const struct timeval tick = { .tv_usec = 10000 };
	int ends[2];

	memset(&f, 0, sizeof(f));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 ||
	    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) !=
		0)
		return -1;
	f.ours = ends[0];
	f.theirs = ends[1];
	f.job = (struct hsm_job){
		.op = JOB_RANDOM, .out = { f.out }, .room = { sizeof(f.out) }
	};
	*state = &f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	(void)close(f->ours);
	if (f->theirs >= 0)
		(void)close(f->theirs);
	return 0;
}

static enum job_outcome
answered(struct fixture *f, const struct reply *reply, size_t bytes)
{
	size_t head = sizeof(*reply) - sizeof(reply->bytes);

	assert_int_equal(write(f->theirs, reply, head + bytes), head + bytes);
	return job_result(f->ours, &f->job, clock_ms() + 100, &f->err);
}

static void
takes_what_fits(void **state)
{
	struct fixture *f = *state;
	const struct reply reply = { .len = { 4 }, .bytes = "abcd" };

	assert_int_equal(answered(f, &reply, 4), JOB_DONE);
	assert_int_equal(f->err, HF_OK);
	assert_int_equal(f->job.len[0], 4);
	assert_memory_equal(f->out, "abcd", 4);
}

static void
takes_two_results(void **state)
{
	struct fixture *f = *state;
	const struct reply reply = { .len = { 4, 3 }, .bytes = "abcdefg" };

	f->job.out[1] = f->other;
	f->job.room[1] = sizeof(f->other);
	assert_int_equal(answered(f, &reply, 7), JOB_DONE);
	assert_int_equal(f->job.len[1], 3);
	assert_memory_equal(f->other, "efg", 3);
}

static void
takes_an_error_of_an_hsm(void **state)
{
	struct fixture *f = *state;
	const struct reply known = { .err = HF_ERR_AUTH_FAILED };
	const struct reply unknown = { .err = 54321 };

	assert_int_equal(answered(f, &known, 0), JOB_DONE);
	assert_int_equal(f->err, HF_ERR_AUTH_FAILED);
	assert_int_equal(answered(f, &unknown, 0), JOB_LOST);
}

/* The pipeline runs a request again, calls it a success, or writes no line to
 * the audit log when it sees one of these. */
static void
takes_no_error_that_means_something_to_the_daemon(void **state)
{
	static const enum hf_err errors[] = { HF_ERR_DEFER, HF_ERR_DRY_RUN,
		HF_ERR_AUDIT, HF_ERR_IN_PROGRESS };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		const struct reply reply = { .err = errors[i] };

		assert_int_equal(answered(f, &reply, 0), JOB_DONE);
		assert_int_equal(f->err, HF_ERR_HSM_REFUSED);
	}
}

/* A byte now and then keeps a socket's time-out from ever passing. */
static void *
trickle(void *arg)
{
	struct fixture *f = arg;
	const struct reply reply = { .len = { sizeof(f->out) } };
	size_t head = sizeof(reply) - sizeof(reply.bytes);

	for (size_t i = 0; i < head + sizeof(f->out); i++) {
		if (send(f->theirs, (const uint8_t *)&reply + i, 1,
			MSG_NOSIGNAL) != 1)
			break;
		(void)usleep(5000);
	}
	return NULL;
}

static void
an_answer_bit_by_bit_is_late_all_the_same(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, trickle, f), 0);
	assert_int_equal(
	    job_result(f->ours, &f->job, clock_ms() + 20, &f->err), JOB_LATE);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Takes a little of what it is sent, again and again, until it may not. */
static void *
sip(void *arg)
{
	struct fixture *f = arg;
	static uint8_t bytes[65536];

	while (recv(f->theirs, bytes, sizeof(bytes), 0) > 0)
		(void)usleep(5000);
	return NULL;
}

static void
a_question_that_is_taken_bit_by_bit_is_given_up(void **state)
{
	enum { LARGE = 32 << 20 };
	struct fixture *f = *state;
	uint8_t *large = calloc(1, LARGE);
	pthread_t thread;

	assert_non_null(large);
	f->job.in[0] = bytes_of(large, LARGE);
	assert_int_equal(pthread_create(&thread, NULL, sip, f), 0);
	assert_false(job_send(f->ours, &f->job, 100, clock_ms() + 20));
	assert_int_equal(shutdown(f->ours, SHUT_RDWR), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	free(large);
}

static void
takes_texts_that_end_and_move_no_cursor(void **state)
{
	struct worker_news news;

	(void)state;
	memset(&news, 'x', sizeof(news));
	memcpy(news.info.reason, "a\x1b[2J\n\x7f", 7);
	worker_news_tame(&news);
	assert_memory_equal(news.info.reason, "a?[2J??x", 8);
	assert_int_equal(strlen(news.info.token), sizeof(news.info.token) - 1);
	assert_int_equal(strlen(news.why.text), sizeof(news.why.text) - 1);
	assert_int_equal(news.err, HF_ERR_HSM_REFUSED);
	assert_int_equal(news.info.state, HSM_ABSENT);
}

static void
takes_no_more_than_there_is_room_for(void **state)
{
	struct fixture *f = *state;
	const struct reply long_first = { .len = { 17 } };

	assert_int_equal(answered(f, &long_first, 17), JOB_LOST);
	for (size_t i = 0; i < sizeof(f->other); i++)
		assert_int_equal(f->other[i], 0);
}

static void
takes_nothing_for_what_has_no_room(void **state)
{
	struct fixture *f = *state;
	const struct reply second = { .len = { 4, 1 } };

	assert_int_equal(answered(f, &second, 5), JOB_LOST);
}

/* More bytes than announced would be taken for the next reply. */
static void
takes_no_more_than_was_announced(void **state)
{
	struct fixture *f = *state;
	const struct reply reply = { .len = { 2 } };

	assert_int_equal(answered(f, &reply, 9), JOB_LOST);
}

static void
knows_yes_and_no_only(void **state)
{
	struct fixture *f = *state;
	const struct reply reply = { .found = 2 };

	assert_int_equal(answered(f, &reply, 0), JOB_LOST);
}

static void
is_late_when_bytes_are_missing(void **state)
{
	struct fixture *f = *state;
	const struct reply reply = { .len = { 16 } };

	assert_int_equal(answered(f, &reply, 3), JOB_LATE);
}

static void
is_lost_when_the_worker_is(void **state)
{
	struct fixture *f = *state;

	(void)close(f->theirs);
	f->theirs = -1;
	assert_false(job_send(f->ours, &f->job, 10, clock_ms() + 100));
	assert_int_equal(
	    job_result(f->ours, &f->job, clock_ms() + 100, &f->err), JOB_LOST);
}

static void *
serve(void *arg)
{
	const struct fixture *f = arg;

	job_serve(f->theirs, NULL);
	return NULL;
}

/* More than locked memory can be had for. What comes after is understood. */
static void
answers_what_is_too_large_and_stays_in_step(void **state)
{
	enum { LARGE = 65 << 20, LIMIT_MS = 60000 };
	struct fixture *f = *state;
	uint8_t *large = calloc(1, LARGE);
	struct hsm_job job = { .op = JOB_DECRYPT,
		.key = { .type = key_type_by_id(KEY_AES256_GCM96) },
		.in = { { NULL, 0 }, { NULL, 0 }, { large, LARGE } },
		.out = { f->out },
		.room = { sizeof(f->out) } };
	/* Refused before any HSM is asked: it has no hash. */
	struct hsm_job next = { .op = JOB_HMAC,
		.key = { .type = key_type_by_id(KEY_HMAC) } };
	pthread_t thread;

	assert_non_null(large);
	assert_int_equal(pthread_create(&thread, NULL, serve, f), 0);
	assert_true(job_send(f->ours, &job, 1000, clock_ms() + LIMIT_MS));
	assert_int_equal(
	    job_result(f->ours, &job, clock_ms() + LIMIT_MS, &f->err),
	    JOB_DONE);
	assert_int_not_equal(f->err, HF_OK);
	assert_true(job_send(f->ours, &next, 1000, clock_ms() + LIMIT_MS));
	assert_int_equal(
	    job_result(f->ours, &next, clock_ms() + LIMIT_MS, &f->err),
	    JOB_DONE);
	assert_int_equal(f->err, HF_ERR_BAD_ALGORITHM);
	assert_int_equal(shutdown(f->ours, SHUT_RDWR), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	free(large);
}

static void
every_job_has_a_row(void **state)
{
	(void)state;
	for (int op = 0; op < JOB_OPS; op++) {
		assert_non_null(job_row((enum job_op)op)->name);
		assert_non_null(job_row((enum job_op)op)->run);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(takes_what_fits),
		TEST(takes_two_results),
		TEST(takes_an_error_of_an_hsm),
		TEST(takes_no_error_that_means_something_to_the_daemon),
		TEST(an_answer_bit_by_bit_is_late_all_the_same),
		TEST(a_question_that_is_taken_bit_by_bit_is_given_up),
		TEST(takes_texts_that_end_and_move_no_cursor),
		TEST(takes_no_more_than_there_is_room_for),
		TEST(takes_nothing_for_what_has_no_room),
		TEST(takes_no_more_than_was_announced),
		TEST(knows_yes_and_no_only),
		TEST(is_late_when_bytes_are_missing),
		TEST(is_lost_when_the_worker_is),
		TEST(answers_what_is_too_large_and_stays_in_step),
		TEST(every_job_has_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
