/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_WORKERS_H
#define KEYD_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

#include <holdfast/err.h>

/*
 * Threads for what may block: a bounded queue, first come, first served. The
 * queue holds what its callers own; nothing is allocated per piece of work.
 */
struct workers;

/*
 * Embedded in what a caller wants done, which must live until `run` was
 * called. That happens exactly once for each piece of work that was taken: on
 * a worker thread, or with `cancelled` on the thread that calls workers_stop.
 */
struct work {
	struct work *next; /* of the queue */
	void (*run)(struct work *work, bool cancelled);
};

/* Starts `threads` threads; `queue` pieces of work may wait for one. */
enum hf_err workers_new(unsigned threads, unsigned queue, struct workers **out);

/*
 * HF_ERR_BUSY when the queue is full, HF_ERR_SHUTTING_DOWN after
 * workers_stop(). Never waits. Any thread.
 */
enum hf_err workers_submit(struct workers *w, struct work *work);

/*
 * Takes no more work, lets what was taken finish for at most `ms`, cancels
 * what still waits then, and joins the threads. Work that runs cannot be
 * interrupted: it is waited for, however long it takes.
 */
void workers_stop(struct workers *w, unsigned ms);

/* Stops at once if need be. NULL is fine. */
void workers_free(struct workers *w);

#endif
