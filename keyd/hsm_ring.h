/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_RING_H
#define KEYD_HSM_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/err.h>

/*
 * Jobs on their way to the process of the HSM's library and back through
 * memory that both have. A job lies in a cell; the queue says in which order
 * they are to be done, and a word for each cell that it was done. While both
 * sides have something to do there is no system call: a futex wakes the other
 * side's threads when all of them sleep, an eventfd the thread that handed the
 * job over.
 *
 * The daemon believes nothing that stands in there. Which cells are taken, and
 * by which job, it knows by itself; a result is copied before it is checked,
 * and checked against the job. What a library scribbles can give a wrong
 * answer, which it could anyway, or none.
 *
 * The memory is locked, is not dumped, and a cell is wiped when it is given
 * back. It outlives the processes that serve it: what a cell of a process
 * that is gone is good for is decided by its epoch.
 */
enum {
	RING_CELLS = 64,
	RING_ROOM = 8192, /* bytes of a cell */
	RING_PORTS = 8,   /* threads of the daemon that hand over */
};

struct hsm_ring;
struct hsm_job;
struct hsm;

/* A job took too long; called by the thread that found it. */
typedef void ring_late_fn(
    void *ctx, uint64_t epoch, const char *name, unsigned ms);

/* -- The daemon's side. Any thread. -- */

enum hf_err hsm_ring_open(ring_late_fn *late, void *ctx, struct hsm_ring **out);
void hsm_ring_close(struct hsm_ring *ring); /* NULL is fine */

/* For a new process: memory and ports, to be closed when they are sent. */
enum { RING_FDS = 1 + RING_PORTS };
bool hsm_ring_fds(const struct hsm_ring *ring, int fds[RING_FDS]);

/* A process is about to serve it as that epoch; none other does any more. */
void hsm_ring_begin(struct hsm_ring *ring, uint64_t epoch);
/* It is gone, and what it left unfinished is wiped. Those who wait see it when
 * they look (hsm_await.h). Waits for nothing that the process had. */
void hsm_ring_end(struct hsm_ring *ring);

/* The eventfd of a port, for the poll of its owner; it stays the ring's. */
int hsm_ring_port(const struct hsm_ring *ring, unsigned port);
/* Before and after the owner of the port sleeps. */
void hsm_ring_sleep(struct hsm_ring *ring, unsigned port);
void hsm_ring_wake(struct hsm_ring *ring, unsigned port);

/* False: there is no room, or nobody to do it. */
bool hsm_ring_send(struct hsm_ring *ring, const struct hsm_job *job,
    uint64_t epoch, unsigned budget_ms, unsigned port, unsigned *cell);
/* Whether that process is still there, and whether it is done. */
bool hsm_ring_lives(const struct hsm_ring *ring, uint64_t epoch);
bool hsm_ring_done(const struct hsm_ring *ring, unsigned cell);
/* False: this is not the job, or not a result of it. */
bool hsm_ring_result(const struct hsm_ring *ring, unsigned cell,
    struct hsm_job *job, enum hf_err *err);
/* Wipes. What was not done is kept back, until it is or its process is gone:
 * a late answer would be written over another job. */
void hsm_ring_give(
    struct hsm_ring *ring, unsigned cell, uint64_t epoch, bool done);
/* The oldest has been waiting for long: is somebody stuck? */
void hsm_ring_nudge(struct hsm_ring *ring);
void hsm_ring_late(
    struct hsm_ring *ring, uint64_t epoch, const char *name, unsigned ms);

/* -- The side of the library: in its process, or inside -- */

struct ring_server;

/* Starts threads that do what comes; takes the descriptors. NULL: could not. */
struct ring_server *hsm_ring_serve(
    const int fds[RING_FDS], struct hsm *hsm, unsigned threads);

/* Ends them, when each is done with its job. NULL is fine. */
void hsm_ring_serve_end(struct ring_server *server);

#endif
