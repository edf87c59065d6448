/* SPDX-License-Identifier: Apache-2.0 */
#include "lanes.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

#include "../lib/buffer.h"
#include "../lib/bytes.h"
#include "../lib/fd.h"

/* What the threads share. */
struct crew {
	const struct lanes *lanes;
	pthread_mutex_t lock;
	uint64_t left, done; /* blocks nobody took; that are written */
	uint64_t failed;     /* the block whose error it is */
	enum hf_err err;
	struct hf_why why;
};

/* What is one thread's. */
struct lane {
	void *own;             /* of the caller */
	struct buffer in, out; /* a block each */
};

/* -- One block -- */

static enum hf_err
read_block(
    const struct lanes *l, uint64_t block, uint8_t *out, struct hf_why *why)
{
	size_t got;
	enum hf_err err = fd_pread(
	    l->in, out, l->block, l->in_at + block * l->block, &got, why);

	if (err == HF_OK && got < l->block)
		return hf_fail(why, HF_ERR_TRUNCATED,
		    "the file became shorter while it was read");
	return err;
}

static enum hf_err
do_block(const struct lanes *l, const struct lane *lane, uint64_t block,
    struct hf_why *why)
{
	enum hf_err err = read_block(l, block, lane->in.ptr, why);

	if (err == HF_OK)
		err = l->work(lane->own, block,
		    bytes_of(lane->in.ptr, l->block), lane->out.ptr, why);
	/* Not before all of it was found in order. */
	if (err == HF_OK)
		err = fd_pwrite(l->out, bytes_of(lane->out.ptr, l->result),
		    l->out_at + block * l->result, why);
	return err;
}

/* -- Who does what -- */

/* Keeps the error of the earliest block: all before it were taken before, and
 * are finished. */
static void
keep_error(
    struct crew *c, uint64_t block, enum hf_err err, const struct hf_why *why)
{
	if (c->err != HF_OK && c->failed <= block)
		return;
	c->err = err;
	c->why = *why;
	c->failed = block;
}

/* False when there is nothing left to do. */
static bool
take_block(struct crew *c, const struct lane *lane, uint64_t *block)
{
	const struct lanes *l = c->lanes;
	struct hf_why why = { "" };
	enum hf_err err = HF_OK;
	bool taken;

	(void)pthread_mutex_lock(&c->lock);
	taken = c->left > 0 && c->err == HF_OK;
	if (taken) {
		c->left--;
		err = l->next(l->ctx, lane->own, block, &why);
	}
	if (err != HF_OK)
		keep_error(c, UINT64_MAX, err, &why);
	(void)pthread_mutex_unlock(&c->lock);
	return taken && err == HF_OK;
}

static void
end_block(
    struct crew *c, uint64_t block, enum hf_err err, const struct hf_why *why)
{
	const struct lanes *l = c->lanes;

	(void)pthread_mutex_lock(&c->lock);
	if (err != HF_OK)
		keep_error(c, block, err, why);
	else if (c->err == HF_OK)
		l->progress(l->watcher, ++c->done * l->block);
	(void)pthread_mutex_unlock(&c->lock);
}

static enum hf_err
lane_open(struct crew *c, struct lane *lane, struct hf_why *why)
{
	const struct lanes *l = c->lanes;
	enum hf_err err;

	if ((err = buffer_reserve(&lane->in, l->block)) != HF_OK ||
	    (err = buffer_reserve(&lane->out, l->result)) != HF_OK)
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	/* What is to be wiped at the end. */
	lane->in.len = lane->in.cap;
	lane->out.len = lane->out.cap;
	(void)pthread_mutex_lock(&c->lock);
	err = l->open(l->ctx, &lane->own, why);
	(void)pthread_mutex_unlock(&c->lock);
	return err;
}

static void *
run(void *arg)
{
	struct crew *c = arg;
	struct lane lane = { 0 };
	struct hf_why why = { "" };
	uint64_t block;
	enum hf_err err = lane_open(c, &lane, &why);

	if (err != HF_OK)
		end_block(c, UINT64_MAX, err, &why);
	while (take_block(c, &lane, &block)) {
		err = do_block(c->lanes, &lane, block, &why);
		end_block(c, block, err, &why);
	}
	(void)pthread_mutex_lock(&c->lock);
	c->lanes->close(lane.own);
	(void)pthread_mutex_unlock(&c->lock);
	buffer_free(&lane.in);
	buffer_free(&lane.out);
	return NULL;
}

/* One on a machine of one core: there a second would only be in the way. */
static unsigned
lanes_wanted(const struct lanes *l)
{
	cpu_set_t cores;
	uint64_t most = l->blocks < LANES_MAX ? l->blocks : LANES_MAX;
	int n = sched_getaffinity(0, sizeof(cores), &cores) == 0
	    ? CPU_COUNT(&cores)
	    : LANES_MAX; /* more cores than a cpu_set_t has bits */

	return (uint64_t)n < most ? (unsigned)n : (unsigned)most;
}

enum hf_err
lanes_run(const struct lanes *l, struct hf_why *why)
{
	struct crew c = { .lanes = l, .left = l->blocks };
	pthread_t helpers[LANES_MAX - 1];
	unsigned wanted = lanes_wanted(l), started = 0;

	(void)pthread_mutex_init(&c.lock, NULL);
	(void)posix_fadvise(l->in, 0, 0, POSIX_FADV_SEQUENTIAL);
	/* Without the other threads it is slower, that is all. */
	while (started + 1 < wanted &&
	    pthread_create(&helpers[started], NULL, run, &c) == 0)
		started++;
	if (l->blocks > 0)
		(void)run(&c);
	while (started > 0)
		(void)pthread_join(helpers[--started], NULL);
	(void)pthread_mutex_destroy(&c.lock);
	if (c.err != HF_OK && why != NULL)
		*why = c.why;
	return c.err;
}
