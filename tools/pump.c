/* SPDX-License-Identifier: Apache-2.0 */
#include "pump.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/buffer.h"
#include "../lib/bytes.h"
#include "../lib/fd.h"

/* Enough that neither thread waits for the other when both have work. */
enum { SLOTS = 4 };

/* A block on its way. */
struct slot {
	struct buffer in, out; /* `in` has a byte more than a block */
	size_t in_len, out_len;
	bool last;
};

enum stage { READ, WORK, WRITE, STAGES };

/*
 * Slots go round through the stages. done[s] counts the slots that stage s is
 * through with; busy[s] tells that a thread is at its next one.
 */
struct flow {
	const struct pump *pump;
	struct slot slots[SLOTS];
	uint64_t done[STAGES];
	bool busy[STAGES];
	bool ended; /* nothing more is read */
	enum hf_err err;
	struct hf_why why;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Of the reader. */
	uint8_t ahead; /* the byte that showed that a block was not the last */
	bool has_ahead;
	int stop; /* readable: do not wait for input any more */
	uint64_t total;
};

/* -- The stages -- */

/* Waits for input, but not once the flow has stopped; then there is none. */
static bool
await_input(const struct flow *f)
{
	struct pollfd fds[2] = { { f->pump->in, POLLIN, 0 },
		{ f->stop, POLLIN, 0 } };

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return true; /* read() will tell */
	return fds[1].revents == 0;
}

static enum hf_err
read_slot(struct flow *f, struct slot *s, struct hf_why *why)
{
	size_t want = f->pump->block + 1, at = 0;

	if (f->has_ahead)
		s->in.ptr[at++] = f->ahead;
	while (at < want && await_input(f)) {
		ssize_t n = read(f->pump->in, s->in.ptr + at, want - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return hf_fail(
			    why, HF_ERR_SYSTEM, "reading: %s", strerror(errno));
		if (n == 0)
			break;
		at += (size_t)n;
	}
	s->last = at < want;
	s->in_len = s->last ? at : f->pump->block;
	f->has_ahead = !s->last;
	f->ahead = s->last ? 0 : s->in.ptr[f->pump->block];
	return HF_OK;
}

static enum hf_err
work_slot(struct flow *f, struct slot *s, struct hf_why *why)
{
	s->out_len = 0;
	return f->pump->work(f->pump->ctx, bytes_of(s->in.ptr, s->in_len),
	    s->last, s->out.ptr, &s->out_len, why);
}

static enum hf_err
write_slot(struct flow *f, struct slot *s, struct hf_why *why)
{
	enum hf_err err =
	    fd_write(f->pump->out, bytes_of(s->out.ptr, s->out_len), why);

	if (err != HF_OK)
		return err;
	f->total += s->in_len;
	f->pump->progress(f->pump->watcher, f->pump->before + f->total);
	return HF_OK;
}

static enum hf_err (*const run_stage[STAGES])(
    struct flow *, struct slot *, struct hf_why *) = {
	[READ] = read_slot, [WORK] = work_slot, [WRITE] = write_slot
};

/* -- Who does what; all of this under the lock -- */

static bool
is_ready(const struct flow *f, enum stage s)
{
	if (f->busy[s])
		return false;
	if (s == READ)
		return !f->ended && f->done[READ] - f->done[WRITE] < SLOTS;
	return f->done[s] < f->done[s - 1];
}

/* What is nearest to its end comes first; STAGES when nothing can be done. */
static enum stage
choose(const struct flow *f)
{
	for (enum stage s = STAGES; s > READ; s--)
		if (is_ready(f, s - 1))
			return s - 1;
	return STAGES;
}

static bool
is_finished(const struct flow *f)
{
	return f->ended && f->done[WRITE] == f->done[READ] && !f->busy[READ];
}

/*
 * Keeps the first error. What is before the slot that failed still goes its
 * way, and of that slot what was made; nothing after it does.
 */
static void
stop_with(
    struct flow *f, enum stage s, enum hf_err err, const struct hf_why *why)
{
	static const uint64_t one = 1;

	if (f->err == HF_OK) {
		f->err = err;
		f->why = *why;
	}
	f->ended = true;
	/* Never full, so this does not fail. */
	if (write(f->stop, &one, sizeof(one)) < 0)
		f->err = HF_ERR_SYSTEM;
	if (s == WORK)
		f->done[READ] = f->done[WORK];
	else if (s == WRITE)
		f->done[READ] = f->done[WORK] = f->done[WRITE];
}

/* What follows from a stage that was run on a slot. */
static void
account(struct flow *f, enum stage s, const struct slot *slot, enum hf_err err,
    const struct hf_why *why)
{
	/* The flow stopped meanwhile, at a slot before this one. */
	if (s == READ ? f->ended : f->done[s] == f->done[s - 1])
		return;
	if (err == HF_OK || s != READ)
		f->done[s]++;
	if (err != HF_OK)
		stop_with(f, s, err, why);
	else if (s == READ)
		f->ended = slot->last;
}

/* Runs one stage once, with the lock given back meanwhile. */
static void
step(struct flow *f, enum stage s)
{
	struct slot *slot = &f->slots[f->done[s] % SLOTS];
	struct hf_why why = { "" };
	enum hf_err err;

	f->busy[s] = true;
	(void)pthread_mutex_unlock(&f->lock);
	err = run_stage[s](f, slot, &why);
	(void)pthread_mutex_lock(&f->lock);
	f->busy[s] = false;
	account(f, s, slot, err, &why);
	(void)pthread_cond_broadcast(&f->changed);
}

static void *
run(void *arg)
{
	struct flow *f = arg;

	(void)pthread_mutex_lock(&f->lock);
	while (!is_finished(f)) {
		enum stage s = choose(f);

		if (s != STAGES)
			step(f, s);
		else
			(void)pthread_cond_wait(&f->changed, &f->lock);
	}
	(void)pthread_mutex_unlock(&f->lock);
	return NULL;
}

/* -- All of it -- */

static enum hf_err
flow_init(struct flow *f, const struct pump *p)
{
	enum hf_err err;

	*f = (struct flow){ .pump = p, .stop = eventfd(0, EFD_CLOEXEC) };
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->changed, NULL);
	if (f->stop < 0)
		return HF_ERR_SYSTEM;
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &f->slots[i];

		if ((err = buffer_reserve(&s->in, p->block + 1)) != HF_OK ||
		    (err = buffer_reserve(&s->out, p->result)) != HF_OK)
			return err;
		/* What is to be wiped at the end. */
		s->in.len = s->in.cap;
		s->out.len = s->out.cap;
	}
	return HF_OK;
}

static void
flow_free(struct flow *f)
{
	for (size_t i = 0; i < SLOTS; i++) {
		buffer_free(&f->slots[i].in);
		buffer_free(&f->slots[i].out);
	}
	fd_close(f->stop);
	(void)pthread_cond_destroy(&f->changed);
	(void)pthread_mutex_destroy(&f->lock);
}

enum hf_err
pump_run(const struct pump *p, struct hf_why *why)
{
	struct flow f;
	pthread_t helper;
	bool helped;
	enum hf_err err = flow_init(&f, p);

	if (err != HF_OK) {
		flow_free(&f);
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	}
	/* Without a second thread it is slower, that is all. */
	helped = pthread_create(&helper, NULL, run, &f) == 0;
	(void)run(&f);
	if (helped)
		(void)pthread_join(helper, NULL);
	err = f.err;
	if (err != HF_OK && why != NULL)
		*why = f.why;
	flow_free(&f);
	return err;
}
