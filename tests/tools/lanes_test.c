/* SPDX-License-Identifier: Apache-2.0 */
/* Several threads at the blocks of one file, and what ends them. */
#include "../../tools/lanes.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

enum { BLOCK = 8192, RESULT = BLOCK + 4, BLOCKS = 200, BEFORE = 100 };

struct work {
	uint64_t next;       /* block */
	uint64_t bad, worse; /* blocks that fail; the later one at once */
	int shrink;          /* descriptor to cut at the first block; -1 */
	unsigned opened, closed, refuse;
	uint64_t told;
};

/* What a lane has to be: each its own. */
struct own {
	struct work *work;
};

static enum hf_err
own_open(void *ctx, void **lane, struct hf_why *why)
{
	struct work *w = ctx;
	struct own *own;

	if (w->opened >= w->refuse)
		return hf_fail(why, HF_ERR_NO_MEMORY, "no lane for you");
	own = malloc(sizeof(*own));
	assert_non_null(own);
	own->work = w;
	w->opened++;
	*lane = own;
	return HF_OK;
}

static void
own_close(void *lane)
{
	struct own *own = lane;

	if (own != NULL)
		own->work->closed++;
	free(own);
}

static enum hf_err
own_next(void *ctx, void *lane, uint64_t *block, struct hf_why *why)
{
	struct work *w = ctx;

	(void)why;
	assert_ptr_equal(((struct own *)lane)->work, w);
	*block = w->next++;
	return HF_OK;
}

/* The number of the block, then all its bytes the other way round. */
static enum hf_err
own_work(void *lane, uint64_t block, struct hf_bytes in, uint8_t *out,
    struct hf_why *why)
{
	const struct work *w = ((const struct own *)lane)->work;

	if (w->shrink >= 0 && ftruncate(w->shrink, BEFORE + BLOCK) != 0)
		return HF_ERR_SYSTEM;
	if (block == w->bad) {
		(void)usleep(20000); /* so that the other comes first */
		return hf_fail(why, HF_ERR_AUTH_FAILED, "the bad one");
	}
	if (block == w->worse)
		return hf_fail(why, HF_ERR_AUTH_FAILED, "the worse one");
	put_u32(out, (uint32_t)block);
	for (size_t i = 0; i < in.len; i++)
		out[4 + i] = (uint8_t)~in.ptr[i];
	return HF_OK;
}

static void
own_progress(void *watcher, uint64_t bytes)
{
	struct work *w = watcher;

	assert_int_equal(bytes, w->told + BLOCK);
	w->told = bytes;
}

/* A file in memory of that many blocks after BEFORE bytes. */
static int
make_input(uint64_t blocks)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	for (size_t i = 0; i < BEFORE + blocks * BLOCK; i += 4) {
		uint8_t word[4];

		put_u32(word, (uint32_t)i);
		assert_int_equal(write(fd, word, 4), 4);
	}
	return fd;
}

static enum hf_err
run(struct work *w, int in, int out, struct hf_why *why)
{
	struct lanes lanes = { .in = in,
		.out = out,
		.in_at = BEFORE,
		.out_at = 2,
		.block = BLOCK,
		.result = RESULT,
		.blocks = BLOCKS,
		.open = own_open,
		.close = own_close,
		.next = own_next,
		.work = own_work,
		.progress = own_progress,
		.watcher = w,
		.ctx = w };
	enum hf_err err = lanes_run(&lanes, why);

	assert_int_equal(w->opened, w->closed);
	return err;
}

static struct work
no_trouble(void)
{
	return (struct work){ .bad = UINT64_MAX,
		.worse = UINT64_MAX,
		.shrink = -1,
		.refuse = LANES_MAX };
}

static void
every_block_is_done_once_and_at_its_place(void **state)
{
	struct work w = no_trouble();
	int in = make_input(BLOCKS), out = memfd_create("out", MFD_CLOEXEC);
	uint8_t was[BLOCK], is[RESULT];

	(void)state;
	assert_int_equal(run(&w, in, out, NULL), HF_OK);
	assert_int_equal(w.next, BLOCKS);
	assert_int_equal(w.told, BLOCKS * BLOCK);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		assert_int_equal(
		    pread(in, was, BLOCK, BEFORE + (off_t)i * BLOCK), BLOCK);
		assert_int_equal(
		    pread(out, is, RESULT, 2 + (off_t)i * RESULT), RESULT);
		assert_int_equal(get_u32(is), i);
		for (size_t k = 0; k < BLOCK; k++)
			assert_int_equal(is[4 + k], (uint8_t)~was[k]);
	}
	assert_int_equal(lseek(out, 0, SEEK_END), 2 + BLOCKS * RESULT);
	(void)close(in);
	(void)close(out);
}

static void
the_first_bad_block_is_told_of(void **state)
{
	struct work w = no_trouble();
	struct hf_why why = { "" };
	int in = make_input(BLOCKS), out = memfd_create("out", MFD_CLOEXEC);

	(void)state;
	w.bad = 10;
	w.worse = 11;
	assert_int_equal(run(&w, in, out, &why), HF_ERR_AUTH_FAILED);
	assert_string_equal(why.text, "the bad one");
	/* And nothing was started after that was known. */
	assert_true(w.next <= 11 + LANES_MAX);
	(void)close(in);
	(void)close(out);
}

static void
a_block_that_failed_is_not_written(void **state)
{
	struct work w = no_trouble();
	int in = make_input(BLOCKS), out = memfd_create("out", MFD_CLOEXEC);
	uint8_t is[RESULT] = { 1 };
	static const uint8_t gap[RESULT];

	(void)state;
	w.bad = 5;
	assert_int_equal(run(&w, in, out, NULL), HF_ERR_AUTH_FAILED);
	(void)pread(out, is, RESULT, 2 + 5 * RESULT);
	assert_true(lseek(out, 0, SEEK_END) <= 2 + 5 * RESULT ||
	    memcmp(is, gap, RESULT) == 0);
	(void)close(in);
	(void)close(out);
}

static void
a_full_device_ends_it(void **state)
{
	struct work w = no_trouble();
	struct hf_why why = { "" };
	int in = make_input(BLOCKS);
	int out = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(out >= 0);
	assert_int_equal(run(&w, in, out, &why), HF_ERR_SYSTEM);
	assert_string_equal(why.text, "writing: No space left on device");
	assert_int_equal(w.told, 0);
	(void)close(in);
	(void)close(out);
}

static void
an_input_that_cannot_be_read_ends_it(void **state)
{
	struct work w = no_trouble();
	struct hf_why why = { "" };
	int in = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int out = memfd_create("out", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(run(&w, in, out, &why), HF_ERR_SYSTEM);
	assert_string_equal(why.text, "reading: Is a directory");
	assert_int_equal(lseek(out, 0, SEEK_END), 0);
	(void)close(in);
	(void)close(out);
}

static void
a_file_that_becomes_shorter_is_noticed(void **state)
{
	struct work w = no_trouble();
	struct hf_why why = { "" };
	int in = make_input(BLOCKS), out = memfd_create("out", MFD_CLOEXEC);

	(void)state;
	w.shrink = in;
	assert_int_equal(run(&w, in, out, &why), HF_ERR_TRUNCATED);
	assert_string_equal(
	    why.text, "the file became shorter while it was read");
	(void)close(in);
	(void)close(out);
}

static void
a_thread_that_cannot_start_ends_it(void **state)
{
	int in = make_input(BLOCKS), out = memfd_create("out", MFD_CLOEXEC);

	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		struct work w = no_trouble();
		struct hf_why why = { "" };

		w.refuse = n;
		/* A machine of one core wants one only. */
		if (run(&w, in, out, &why) == HF_OK) {
			assert_true(
			    n == 1 && sysconf(_SC_NPROCESSORS_ONLN) == 1);
			continue;
		}
		assert_string_equal(why.text, "no lane for you");
		assert_int_equal(w.closed, n);
	}
	(void)close(in);
	(void)close(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_block_is_done_once_and_at_its_place),
		cmocka_unit_test(the_first_bad_block_is_told_of),
		cmocka_unit_test(a_block_that_failed_is_not_written),
		cmocka_unit_test(a_full_device_ends_it),
		cmocka_unit_test(an_input_that_cannot_be_read_ends_it),
		cmocka_unit_test(a_file_that_becomes_shorter_is_noticed),
		cmocka_unit_test(a_thread_that_cannot_start_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
