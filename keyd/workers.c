/* SPDX-License-Identifier: Apache-2.0 */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t wanted; /* there is work, or none will come */
	pthread_cond_t idle;   /* nothing waits and nothing runs */
	struct work *first, **last;
	unsigned waiting, limit;
	unsigned running;
	bool stopping;
	unsigned threads; /* started and not joined */
	pthread_t thread[];
};

static struct work *
take(struct workers *w)
{
	struct work *work = w->first;

	w->first = work->next;
	if (w->first == NULL)
		w->last = &w->first;
	w->waiting--;
	return work;
}

static void *
worker_main(void *arg)
{
	struct workers *w = arg;

	(void)pthread_mutex_lock(&w->lock);
	for (;;) {
		struct work *work;

		while (w->first == NULL && !w->stopping)
			(void)pthread_cond_wait(&w->wanted, &w->lock);
		if (w->first == NULL)
			break;
		work = take(w);
		w->running++;
		(void)pthread_mutex_unlock(&w->lock);
		work->run(work, false);
		(void)pthread_mutex_lock(&w->lock);
		w->running--;
		if (w->running == 0 && w->first == NULL)
			(void)pthread_cond_broadcast(&w->idle);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Signals are the main thread's business. */
static enum hf_err
start_threads(struct workers *w, unsigned threads)
{
	sigset_t all, before;
	int rc = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	while (w->threads < threads && rc == 0) {
		rc = pthread_create(
		    &w->thread[w->threads], NULL, worker_main, w);
		if (rc != 0)
			break;
		(void)pthread_setname_np(w->thread[w->threads], "worker");
		w->threads++;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0 ? HF_OK : HF_ERR_SYSTEM;
}

static void
init_locks(struct workers *w)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->wanted, NULL);
	(void)pthread_cond_init(&w->idle, &attr);
	(void)pthread_condattr_destroy(&attr);
}

enum hf_err
workers_new(unsigned threads, unsigned queue, struct workers **out)
{
	struct workers *w =
	    calloc(1, sizeof(*w) + threads * sizeof(w->thread[0]));
	enum hf_err err;

	if (w == NULL)
		return HF_ERR_NO_MEMORY;
	w->last = &w->first;
	w->limit = queue;
	init_locks(w);
	err = start_threads(w, threads);
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
	enum hf_err err = HF_OK;

	(void)pthread_mutex_lock(&w->lock);
	if (w->stopping)
		err = HF_ERR_SHUTTING_DOWN;
	else if (w->waiting == w->limit)
		err = HF_ERR_BUSY;
	if (err == HF_OK) {
		work->next = NULL;
		*w->last = work;
		w->last = &work->next;
		w->waiting++;
		(void)pthread_cond_signal(&w->wanted);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return err;
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
	(void)pthread_cond_broadcast(&w->wanted);
	while ((w->first != NULL || w->running > 0) && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&w->idle, &w->lock, &until);
	left = w->first;
	w->first = NULL;
	w->last = &w->first;
	w->waiting = 0;
	(void)pthread_mutex_unlock(&w->lock);
	return left;
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
	while (w->threads > 0)
		(void)pthread_join(w->thread[--w->threads], NULL);
}

void
workers_free(struct workers *w)
{
	if (w == NULL)
		return;
	workers_stop(w, 0);
	(void)pthread_cond_destroy(&w->idle);
	(void)pthread_cond_destroy(&w->wanted);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}
