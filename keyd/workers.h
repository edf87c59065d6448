/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_WORKERS_H
#define KEYD_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

#include <holdfast/err.h>

/*
 * Threads for what may block: a bounded queue, first come, first served. The
 * queue holds what its callers own; nothing is allocated per piece of work.
 *
 * So many run at a time as there are threads. One that waits for the disk
 * (waiting.h) does not count as running: another takes its place, made for it
 * if need be, so that many commits wait for the same sync of the disk. Those
 * that were made so end when nobody needed them for a second.
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

/*
 * Starts `threads` threads, to which at most `more` are added while others
 * wait for the disk; `queue` pieces of work may wait for one.
 */
enum hf_err workers_new(
    unsigned threads, unsigned more, unsigned queue, struct workers **out);

/*
 * HF_ERR_BUSY when the queue is full, HF_ERR_SHUTTING_DOWN after
 * workers_stop(). Never waits. Any thread.
 */
enum hf_err workers_submit(struct workers *w, struct work *work);

/* How many threads there are now. */
unsigned workers_threads(struct workers *w);

/*
 * Takes no more work, lets what was taken finish for at most `ms`, cancels
 * what still waits then, and joins the threads. Work that runs cannot be
 * interrupted: it is waited for, however long it takes.
 */
void workers_stop(struct workers *w, unsigned ms);

/* Stops at once if need be. NULL is fine. */
void workers_free(struct workers *w);

#endif
