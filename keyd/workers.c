/* SPDX-License-Identifier: Apache-2.0 */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "lock.h"
#include "waiting.h"

enum { LINGER = 1 /* seconds that one more thread stays for nothing */ };

/* Of a thread. Those without work lie on a stack: the ones at its bottom are
 * those that nobody needs. */
struct seat {
	enum { SEAT_FREE, SEAT_TAKEN, SEAT_LEFT } state; /* LEFT: to join */
	struct workers *workers;
	pthread_t thread;
	bool rests; /* on the stack */
	struct seat *below;
	struct work *work; /* what it is called for; NULL: to look around */
	sem_t called;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t idle; /* nothing waits and nothing runs */
	struct work *first, **last;
	/*
	 * Who comes and who stands aside look at what the other has changed,
	 * in this order, so that one of them sees both: no work is left lying
	 * though there is a place for it. So `aside` needs no lock.
	 */
	_Atomic unsigned queued;
	_Atomic unsigned aside; /* of `running`, waiting for the disk */
	unsigned running;       /* pieces of work */
	unsigned limit;
	unsigned threads, kept;
	unsigned starting; /* of them have not looked for work yet */
	bool stopping;
	struct waiting told;
	struct seat *resting;
	struct seat *left; /* the last one that left */
	unsigned seats;
	struct seat seat[];
};

static void *worker_main(void *arg);

/* All below with `lock` held, unless they say otherwise. */

/* Signals are the main thread's business. */
static enum hf_err
start_thread(struct workers *w)
{
	struct seat *seat = NULL;
	sigset_t all, before;
	int rc;

	for (unsigned i = 0; i < w->seats && seat == NULL; i++)
		if (w->seat[i].state == SEAT_FREE)
			seat = &w->seat[i];
	if (seat == NULL)
		return HF_ERR_BUSY;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&seat->thread, NULL, worker_main, seat);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return HF_ERR_SYSTEM;
	seat->state = SEAT_TAKEN;
	w->threads++;
	w->starting++;
	return HF_OK;
}

static struct work *
take(struct workers *w)
{
	struct work *work = w->first;

	w->first = work->next;
	if (w->first == NULL)
		w->last = &w->first;
	atomic_fetch_sub(&w->queued, 1);
	w->running++;
	return work;
}

static unsigned
places_taken(const struct workers *w)
{
	return w->running - atomic_load(&w->aside);
}

static bool
may_run(const struct workers *w)
{
	return w->first != NULL && places_taken(w) < w->kept;
}

/*
 * Whoever makes it so that one more may run sees to it that one does: the seat
 * is to be called, after the lock was given back, with what it has to do.
 * Where no thread can be had, the next that is done goes on.
 */
static struct seat *
find_one(struct workers *w)
{
	struct seat *seat = w->resting;

	if (!may_run(w))
		return NULL;
	if (seat == NULL) {
		if (places_taken(w) + w->starting < w->kept)
			(void)start_thread(w);
		return NULL;
	}
	w->resting = seat->below;
	seat->rests = false;
	seat->work = take(w);
	return seat;
}

/* Without the lock. */
static void
call(struct seat *seat)
{
	if (seat != NULL)
		(void)sem_post(&seat->called);
}

static void
run_one(struct workers *w, struct work *work)
{
	(void)pthread_mutex_unlock(&w->lock);
	work->run(work, false);
	(void)pthread_mutex_lock(&w->lock);
	w->running--;
	if (w->running == 0 && w->first == NULL)
		(void)pthread_cond_broadcast(&w->idle);
}

/* On the thread that waits, without the lock. */
static void
stand_aside(void *ctx)
{
	struct workers *w = ctx;
	struct seat *next;

	atomic_fetch_add(&w->aside, 1);
	if (atomic_load(&w->queued) == 0)
		return;
	(void)pthread_mutex_lock(&w->lock);
	next = find_one(w);
	(void)pthread_mutex_unlock(&w->lock);
	call(next);
}

/* Without asking: it has more to lose than one that begins. */
static void
step_back_in(void *ctx)
{
	struct workers *w = ctx;

	atomic_fetch_sub(&w->aside, 1);
}

/*
 * Lets go of the lock until it is called, with work or without. False when it
 * was not called for a second, and there are enough without it; where there
 * are not, it sleeps until it is.
 */
static bool
rest(struct workers *w, struct seat *seat)
{
	bool may_leave = w->threads > w->kept;
	struct timespec until;
	int rc;

	seat->below = w->resting;
	seat->work = NULL;
	seat->rests = true;
	w->resting = seat;
	(void)pthread_mutex_unlock(&w->lock);
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LINGER;
	do
		rc = may_leave
		    ? sem_clockwait(&seat->called, CLOCK_MONOTONIC, &until)
		    : sem_wait(&seat->called);
	while (rc != 0 && errno == EINTR);
	(void)pthread_mutex_lock(&w->lock);
	if (rc == 0)
		return true;
	if (!seat->rests) {
		(void)sem_wait(&seat->called); /* called just now */
		return true;
	}
	for (struct seat **link = &w->resting;; link = &(*link)->below)
		if (*link == seat) {
			*link = seat->below;
			break;
		}
	seat->rests = false;
	return w->stopping || w->threads <= w->kept;
}

/* Who leaves joins the one that left before: what a thread that has ended
 * still holds is held by one at most. Gives the lock back. */
static void
leave(struct workers *w, struct seat *seat)
{
	struct seat *before = w->left;
	pthread_t thread = seat->thread;
	bool join = before != NULL;

	w->threads--;
	if (join) {
		thread = before->thread;
		before->state = SEAT_FREE;
	}
	seat->state = SEAT_LEFT;
	w->left = seat;
	(void)pthread_mutex_unlock(&w->lock);
	if (join)
		(void)pthread_join(thread, NULL);
}

static void *
worker_main(void *arg)
{
	struct seat *seat = arg;
	struct workers *w = seat->workers;
	bool needed = true;

	(void)pthread_setname_np(pthread_self(), "worker");
	waiting_tell(&w->told);
	(void)pthread_mutex_lock(&w->lock);
	w->starting--;
	while (needed) {
		if (may_run(w))
			run_one(w, take(w));
		else if (w->stopping && w->first == NULL)
			break;
		else
			needed = rest(w, seat);
		if (seat->work != NULL) {
			run_one(w, seat->work);
			seat->work = NULL;
		}
	}
	if (!needed) {
		leave(w, seat);
		return NULL;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* -- From outside, without the lock -- */

static void
init_locks(struct workers *w)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	lock_init(&w->lock);
	(void)pthread_cond_init(&w->idle, &attr);
	(void)pthread_condattr_destroy(&attr);
}

enum hf_err
workers_new(
    unsigned threads, unsigned more, unsigned queue, struct workers **out)
{
	unsigned seats = threads + more;
	struct workers *w = calloc(1, sizeof(*w) + seats * sizeof(w->seat[0]));
	enum hf_err err = HF_OK;

	if (w == NULL)
		return HF_ERR_NO_MEMORY;
	w->last = &w->first;
	w->limit = queue;
	w->kept = threads;
	w->seats = seats;
	w->told = (struct waiting){ stand_aside, step_back_in, w };
	init_locks(w);
	for (unsigned i = 0; i < seats; i++) {
		w->seat[i].workers = w;
		(void)sem_init(&w->seat[i].called, 0, 0);
	}
	(void)pthread_mutex_lock(&w->lock);
	for (unsigned i = 0; i < threads && err == HF_OK; i++)
		err = start_thread(w);
	(void)pthread_mutex_unlock(&w->lock);
	if (err != HF_OK) {
		workers_free(w);
		return err;
	}
	*out = w;
	return HF_OK;
}

enum hf_err
workers_submit(struct workers *w, struct work *work)
{
	struct seat *next = NULL;
	enum hf_err err = HF_OK;

	(void)pthread_mutex_lock(&w->lock);
	if (w->stopping)
		err = HF_ERR_SHUTTING_DOWN;
	else if (atomic_load(&w->queued) >= w->limit)
		err = HF_ERR_BUSY;
	if (err == HF_OK) {
		work->next = NULL;
		*w->last = work;
		w->last = &work->next;
		atomic_fetch_add(&w->queued, 1);
		next = find_one(w);
	}
	(void)pthread_mutex_unlock(&w->lock);
	call(next);
	return err;
}

unsigned
workers_threads(struct workers *w)
{
	unsigned n;

	(void)pthread_mutex_lock(&w->lock);
	n = w->threads;
	(void)pthread_mutex_unlock(&w->lock);
	return n;
}

static struct timespec
in_ms(unsigned ms)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

/* Waits for the queue to run dry; returns what is left of it, detached. */
static struct work *
drain(struct workers *w, unsigned ms)
{
	struct timespec until = in_ms(ms);
	struct work *left;
	int rc = 0;

	(void)pthread_mutex_lock(&w->lock);
	w->stopping = true;
	while ((w->first != NULL || w->running > 0) && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&w->idle, &w->lock, &until);
	left = w->first;
	w->first = NULL;
	w->last = &w->first;
	atomic_store(&w->queued, 0);
	while (w->resting != NULL) {
		struct seat *seat = w->resting;

		w->resting = seat->below;
		seat->rests = false;
		call(seat);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return left;
}

/* Nobody starts a thread any more, and nobody leaves without the lock. */
static void
join_all(struct workers *w)
{
	for (unsigned i = 0; i < w->seats; i++) {
		bool there;

		(void)pthread_mutex_lock(&w->lock);
		there = w->seat[i].state != SEAT_FREE;
		w->seat[i].state = SEAT_FREE;
		(void)pthread_mutex_unlock(&w->lock);
		if (there)
			(void)pthread_join(w->seat[i].thread, NULL);
	}
	w->threads = 0;
}

void
workers_stop(struct workers *w, unsigned ms)
{
	struct work *left = drain(w, ms);

	while (left != NULL) {
		struct work *next = left->next; /* run() may free it */

		left->run(left, true);
		left = next;
	}
	join_all(w);
}

void
workers_free(struct workers *w)
{
	if (w == NULL)
		return;
	workers_stop(w, 0);
	for (unsigned i = 0; i < w->seats; i++)
		(void)sem_destroy(&w->seat[i].called);
	(void)pthread_cond_destroy(&w->idle);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}
