/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"
#include "pipeline.h"

/*
 * The way to a worker and back is two wake-ups, a tenth of an RSA-2048
 * signature. A thread that has nothing else to do signs itself: one of those
 * that wait in each turn, after the replies of the turn have left. While
 * requests of other kinds come, to whichever thread, they would wait for it or
 * for its core; then workers sign. So they do for the rest of those that wait
 * while a core is left that no thread lingers on.
 */
enum { CALM_MS = 250 };

static bool
is_calm(const struct io *io)
{
	uint64_t light_at =
	    atomic_load_explicit(&io->shared->light_at, memory_order_relaxed);

	/* The other thread's clock may be ahead of ours. */
	return io->now > light_at + CALM_MS && !io->stopping;
}

/* No more wait here than may wait for a worker. */
bool
connection_may_linger(const struct io *io)
{
	return is_calm(io) && io->lingering_count < io->limits->queue;
}

/* Written once in a tick of that clock: all threads look at it. */
void
connection_note_light(struct io *io)
{
	_Atomic uint64_t *at = &io->shared->light_at;

	if (atomic_load_explicit(at, memory_order_relaxed) != io->now)
		atomic_store_explicit(at, io->now, memory_order_relaxed);
}

static struct exchange *
take(struct io *io)
{
	struct exchange *ex = io->lingering;

	io->lingering = ex->next;
	if (io->lingering == NULL)
		io->lingering_last = &io->lingering;
	io->lingering_count--;
	ex->conn->in_flight--;
	io->in_flight--;
	return ex;
}

void
connection_linger(struct connection *c, struct exchange *ex,
    const struct request *first, struct hf_bytes message)
{
	struct io *io = c->io;

	exchange_set_request(ex, first, message);
	ex->next = NULL;
	*io->lingering_last = ex;
	io->lingering_last = &ex->next;
	io->lingering_count++;
	c->in_flight++;
	io->in_flight++;
}

static void
all_to_workers(struct io *io)
{
	while (io->lingering != NULL) {
		struct exchange *ex = take(io);

		connection_to_workers(ex->conn, ex);
	}
}

static void
run(struct exchange *ex)
{
	enum hf_err err;

	ex->linger = LINGER_NOW;
	ex->rq.linger = &ex->linger;
	ex->rq.may_block = false;
	err = pipeline_run(&ex->rq);
	ex->rq.linger = NULL;
	connection_conclude(ex->conn, ex, err);
}

void
connection_linger_once(struct io *io)
{
	struct exchange *ex;

	if (io->lingering == NULL)
		return;
	if (!is_calm(io)) {
		all_to_workers(io);
		/* The turn is over, and the next may be long in coming. */
		connection_settle_turn(io);
		return;
	}
	ex = take(io);
	if (atomic_fetch_add(&io->shared->lingerers, 1) + 1 < io->shared->cores)
		all_to_workers(io);
	run(ex);
	(void)atomic_fetch_sub(&io->shared->lingerers, 1);
	connection_settle_turn(io);
}
