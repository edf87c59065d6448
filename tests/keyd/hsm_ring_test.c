/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hsm_ring.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/hsm_job.h"
#include "../../keyd/hsm_ring_memory.h"
#include "../../lib/bytes.h"

/* The daemon's side, while the other one does as it should, and as a library
 * that has gone mad might: all of the memory is its. */

enum { EPOCH = 7, ROOM = 32, BUDGET = 1000, PORT = 2 };

/* As hsm_job.c has it: result, question, inputs, outputs. */
struct reply {
	uint32_t err, found, len[JOB_OUTS];
};

struct fixture {
	struct hsm_ring *ring;
	struct ring_memory *other;
	int fds[RING_FDS];
	uint64_t late_epoch;
	uint8_t in[16], out[ROOM];
	struct hsm_job job;
};

static void
on_late(void *ctx, uint64_t epoch, const char *name, unsigned ms)
{
	struct fixture *f = ctx;

	assert_string_equal(name, "hsm_random");
	assert_int_equal(ms, BUDGET);
	f->late_epoch = epoch;
}

static int
setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	if (hsm_ring_open(on_late, &f, &f.ring) != HF_OK ||
	    !hsm_ring_fds(f.ring, f.fds))
		return -1;
	f.other = ring_map(f.fds[0]);
	memcpy(f.in, "sixteen bytes in", sizeof(f.in));
	f.job = (struct hsm_job){ .op = JOB_RANDOM,
		.in = { { f.in, sizeof(f.in) } },
		.out = { f.out },
		.room = { ROOM } };
	hsm_ring_begin(f.ring, EPOCH);
	*state = &f;
	return f.other == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	(void)munmap(f->other, sizeof(*f->other));
	for (size_t i = 0; i < RING_FDS; i++)
		(void)close(f->fds[i]);
	hsm_ring_close(f->ring);
	return 0;
}

static bool
sent(struct fixture *f, unsigned *cell)
{
	return hsm_ring_send(f->ring, &f->job, EPOCH, BUDGET, PORT, cell);
}

/* What the other side leaves for a job that it did. */
static void
answer(struct fixture *f, unsigned cell, struct reply reply)
{
	memcpy(f->other->cell[cell], &reply, sizeof(reply));
	atomic_store(&f->other->done[cell], 1);
}

static void
hands_over_and_takes_back(void **state)
{
	struct fixture *f = *state;
	const struct reply reply = { .len = { 4 } };
	const uint8_t zeros[RING_ROOM] = { 0 };
	enum hf_err err = HF_ERR_SYSTEM;
	size_t end = job_size(&f->job);
	unsigned cell;

	assert_true(sent(f, &cell));
	assert_int_equal(atomic_load(&f->other->tail), 1);
	assert_int_equal(f->other->queue[0], cell);
	assert_int_equal(f->other->port[cell], PORT);
	assert_memory_equal(f->other->cell[cell] + end - ROOM - sizeof(f->in),
	    f->in, sizeof(f->in));
	assert_false(hsm_ring_done(f->ring, cell));
	memcpy(f->other->cell[cell] + end - ROOM, "abcd", 4);
	answer(f, cell, reply);
	assert_true(hsm_ring_done(f->ring, cell));
	assert_true(hsm_ring_result(f->ring, cell, &f->job, &err));
	assert_int_equal(err, HF_OK);
	assert_int_equal(f->job.len[0], 4);
	assert_memory_equal(f->out, "abcd", 4);
	hsm_ring_give(f->ring, cell, EPOCH, true);
	assert_memory_equal(f->other->cell[cell], zeros, RING_ROOM);
}

static void
takes_no_more_than_there_is_room_for(void **state)
{
	struct fixture *f = *state;
	unsigned cell[RING_CELLS], more;

	for (size_t i = 0; i < RING_CELLS; i++) {
		assert_true(sent(f, &cell[i]));
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(cell[i], cell[j]);
	}
	assert_false(sent(f, &more));
	hsm_ring_give(f->ring, cell[5], EPOCH, true);
	assert_true(sent(f, &more));
	assert_int_equal(more, cell[5]);
	hsm_ring_give(f->ring, more, EPOCH, true);
	f->job.room[0] = RING_ROOM;
	assert_false(sent(f, &more));
	f->job.room[0] = ROOM;
	assert_false(
	    hsm_ring_send(f->ring, &f->job, EPOCH, BUDGET, RING_PORTS, &more));
	assert_false(
	    hsm_ring_send(f->ring, &f->job, EPOCH + 1, BUDGET, PORT, &more));
}

static void
refuses_what_is_no_result_of_the_job(void **state)
{
	struct fixture *f = *state;
	static const struct reply mad[] = {
		{ .len = { ROOM + 1 } },
		{ .len = { UINT32_MAX } },
		{ .len = { 0, 1 } },
		{ .found = 2 },
		{ .err = 1000000 },
	};
	enum hf_err err = HF_ERR_SYSTEM;
	unsigned cell;

	assert_true(sent(f, &cell));
	for (size_t i = 0; i < sizeof(mad) / sizeof(mad[0]); i++) {
		answer(f, cell, mad[i]);
		assert_false(hsm_ring_result(f->ring, cell, &f->job, &err));
	}
	answer(f, cell, (struct reply){ .err = HF_ERR_HSM_REFUSED });
	assert_true(hsm_ring_result(f->ring, cell, &f->job, &err));
	assert_int_equal(err, HF_ERR_HSM_REFUSED);
}

/* A result belongs to what was asked, not to what is asked now. */
static void
refuses_the_result_of_another_job(void **state)
{
	struct fixture *f = *state;
	enum hf_err err = HF_ERR_SYSTEM;
	unsigned cell;

	assert_true(sent(f, &cell));
	answer(f, cell, (struct reply){ .len = { 4 } });
	f->in[15]++;
	assert_false(hsm_ring_result(f->ring, cell, &f->job, &err));
	f->in[15]--;
	f->job.key.id[0]++;
	assert_false(hsm_ring_result(f->ring, cell, &f->job, &err));
	f->job.key.id[0]--;
	f->job.op = JOB_SEAL;
	assert_false(hsm_ring_result(f->ring, cell, &f->job, &err));
	f->job.op = JOB_RANDOM;
	f->job.in[0].len--;
	assert_false(hsm_ring_result(f->ring, cell, &f->job, &err));
	f->job.in[0].len++;
	f->job.room[0]--;
	assert_false(hsm_ring_result(f->ring, cell, &f->job, &err));
	f->job.room[0]++;
	assert_int_equal(err, HF_ERR_SYSTEM);
	assert_true(hsm_ring_result(f->ring, cell, &f->job, &err));
}

/* A process that was late may still write to its cell. */
static void
leaves_a_cell_alone_until_its_process_is_gone(void **state)
{
	struct fixture *f = *state;
	unsigned late, kept, cell;

	assert_true(sent(f, &late));
	assert_true(sent(f, &kept));
	hsm_ring_give(f->ring, late, EPOCH, false);
	for (size_t i = 2; i < RING_CELLS; i++) {
		assert_true(sent(f, &cell));
		assert_int_not_equal(cell, late);
	}
	assert_false(sent(f, &cell));
	hsm_ring_end(f->ring);
	assert_false(hsm_ring_lives(f->ring, EPOCH));
	assert_false(sent(f, &cell));
	hsm_ring_begin(f->ring, EPOCH + 1);
	assert_true(hsm_ring_lives(f->ring, EPOCH + 1));
	assert_true(
	    hsm_ring_send(f->ring, &f->job, EPOCH + 1, BUDGET, PORT, &cell));
	assert_int_equal(cell, late);
	assert_false(hsm_ring_done(f->ring, kept));
	hsm_ring_give(f->ring, kept, EPOCH, false);
	assert_true(
	    hsm_ring_send(f->ring, &f->job, EPOCH + 1, BUDGET, PORT, &cell));
	assert_int_equal(cell, kept);
}

/* Who was told nothing any more leaves an answer behind, and a cell. */
static void
takes_a_cell_back_when_its_job_was_answered_after_all(void **state)
{
	struct fixture *f = *state;
	const uint8_t zeros[RING_ROOM] = { 0 };
	unsigned early, late, other, cell;

	assert_true(sent(f, &early));
	assert_true(sent(f, &late));
	assert_true(sent(f, &other));
	answer(f, early, (struct reply){ .len = { 4 } });
	hsm_ring_give(f->ring, early, EPOCH, false);
	assert_memory_equal(f->other->cell[early], zeros, RING_ROOM);
	hsm_ring_give(f->ring, late, EPOCH, false);
	hsm_ring_give(f->ring, other, EPOCH, false);
	for (size_t i = 2; i < RING_CELLS; i++) {
		assert_true(sent(f, &cell));
		assert_int_not_equal(cell, late);
		assert_int_not_equal(cell, other);
	}
	assert_false(sent(f, &cell));
	answer(f, late, (struct reply){ .len = { 4 } });
	answer(f, other, (struct reply){ .len = { 4 } });
	assert_true(sent(f, &cell));
	assert_int_equal(cell, late);
	assert_false(hsm_ring_done(f->ring, cell));
	/* Whichever is taken first, what was left in the others is gone. */
	assert_memory_equal(f->other->cell[other], zeros, RING_ROOM);
	assert_true(sent(f, &cell));
	assert_int_equal(cell, other);
	assert_false(sent(f, &cell));
}

/* There may be none for hours. */
static void
wipes_what_a_process_leaves_behind_when_it_is_gone(void **state)
{
	struct fixture *f = *state;
	const uint8_t zeros[RING_ROOM] = { 0 };
	unsigned before, after;

	assert_true(sent(f, &before));
	assert_true(sent(f, &after));
	hsm_ring_give(f->ring, before, EPOCH, false);
	assert_memory_not_equal(f->other->cell[before], zeros, RING_ROOM);
	hsm_ring_end(f->ring);
	assert_memory_equal(f->other->cell[before], zeros, RING_ROOM);
	assert_memory_not_equal(f->other->cell[after], zeros, RING_ROOM);
	hsm_ring_give(f->ring, after, EPOCH, false);
	assert_memory_equal(f->other->cell[after], zeros, RING_ROOM);
}

/* Ports are open files that both sides have: the process can fill them, and
 * have whoever writes there wait for ever. */
static void
the_end_of_a_process_waits_for_nothing_that_it_had(void **state)
{
	struct fixture *f = *state;
	const uint64_t full = UINT64_MAX - 1;
	unsigned cell;

	assert_true(sent(f, &cell));
	for (unsigned i = 0; i < RING_PORTS; i++) {
		assert_int_equal(fcntl(f->fds[1 + i], F_SETFL, 0), 0);
		assert_int_equal(
		    write(f->fds[1 + i], &full, sizeof(full)), sizeof(full));
	}
	(void)alarm(10); /* ends the test, if need be */
	hsm_ring_end(f->ring);
	hsm_ring_begin(f->ring, EPOCH + 1);
	(void)alarm(0);
	assert_false(hsm_ring_lives(f->ring, EPOCH));
	hsm_ring_give(f->ring, cell, EPOCH, false);
}

static void
says_who_is_late(void **state)
{
	struct fixture *f = *state;

	hsm_ring_late(f->ring, EPOCH, "hsm_random", BUDGET);
	assert_int_equal(f->late_epoch, EPOCH);
}

static void
memory_keeps_its_size(void **state)
{
	struct fixture *f = *state;

	assert_int_not_equal(ftruncate(f->fds[0], 0), 0);
	assert_int_not_equal(
	    ftruncate(f->fds[0], 2 * (off_t)sizeof(struct ring_memory)), 0);
}

static uint32_t
next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static void
scribble(struct fixture *f, uint32_t *seed, size_t count)
{
	uint8_t *all = (uint8_t *)f->other;

	for (size_t i = 0; i < count; i++)
		all[next_random(seed) % sizeof(*f->other)] =
		    (uint8_t)next_random(seed);
	for (size_t i = 0; i < count; i++)
		all[next_random(seed) % offsetof(struct ring_memory, cell)] =
		    (uint8_t)next_random(seed);
}

/* It may lie about anything at any time: nothing is written or read where it
 * should not be (sanitizers look), and the daemon knows its cells. */
static void
survives_scribbles(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch = EPOCH;
	uint32_t seed = 12345;
	uint8_t guard[2][ROOM];
	unsigned sent_count = 0;

	for (unsigned round = 0; round < 3000; round++) {
		struct hsm_job job = f->job;
		enum hf_err err = HF_OK;
		unsigned cell = 0;
		bool got;

		if (round % 100 == 99) {
			hsm_ring_end(f->ring);
			hsm_ring_begin(f->ring, ++epoch);
		}
		memset(guard, 0xa5, sizeof(guard));
		job.out[0] = guard[0];
		scribble(f, &seed, 100);
		/* None when all are kept back, until the next process. */
		if (!hsm_ring_send(f->ring, &job, epoch, BUDGET,
			round % RING_PORTS, &cell))
			continue;
		sent_count++;
		assert_true(cell < RING_CELLS);
		scribble(f, &seed, 100);
		f->other->cell[cell][next_random(&seed) % 24] =
		    (uint8_t)next_random(&seed);
		got = hsm_ring_result(f->ring, cell, &job, &err);
		if (got)
			assert_true(job.len[0] <= ROOM && job.len[1] == 0);
		for (size_t i = 0; i < ROOM; i++)
			assert_int_equal(guard[1][i], 0xa5);
		hsm_ring_give(f->ring, cell, epoch, round % 3 != 0);
	}
	assert_true(sent_count > 1500);
}

int
main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(hands_over_and_takes_back),
		CASE(takes_no_more_than_there_is_room_for),
		CASE(refuses_what_is_no_result_of_the_job),
		CASE(refuses_the_result_of_another_job),
		CASE(leaves_a_cell_alone_until_its_process_is_gone),
		CASE(takes_a_cell_back_when_its_job_was_answered_after_all),
		CASE(wipes_what_a_process_leaves_behind_when_it_is_gone),
		CASE(the_end_of_a_process_waits_for_nothing_that_it_had),
		CASE(says_who_is_late),
		CASE(memory_keeps_its_size),
		CASE(survives_scribbles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
