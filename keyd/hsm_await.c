/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_await.h"

#include "hsm_internal.h"
#include "hsm_job.h"
#include "hsm_process.h"
#include "hsm_ring.h"

/* A job that took so long without an answer may have a stuck thread before it,
 * not one that does it. */
enum { NUDGE_MS = 50 };

/* Of the thread, as in hsm_session.c: the functions of hsm.h stay what they
 * are for whoever waits. */
static _Thread_local struct hsm_await *current;

void
hsm_await_begin(struct hsm_await *await)
{
	current = await;
}

void
hsm_await_end(void)
{
	current = NULL;
}

struct hsm_await *
hsm_await_now(void)
{
	return current != NULL && current->lost ? NULL : current;
}

bool
hsm_await_lost(void)
{
	return current != NULL && current->lost;
}

static struct hsm_ring *
ring_of(const struct hsm *hsm)
{
	if (hsm == NULL)
		return NULL;
	return hsm->process != NULL ? hsm_process_ring(hsm->process)
				    : hsm->ring;
}

bool
hsm_await_offered(const struct hsm *hsm)
{
	return ring_of(hsm) != NULL;
}

int
hsm_await_fd(const struct hsm *hsm, unsigned port)
{
	struct hsm_ring *ring = ring_of(hsm);

	return ring == NULL || port >= RING_PORTS ? -1
						  : hsm_ring_port(ring, port);
}

void
hsm_await_sleep(struct hsm *hsm, unsigned port)
{
	struct hsm_ring *ring = ring_of(hsm);

	if (ring != NULL)
		hsm_ring_sleep(ring, port);
}

void
hsm_await_wake(struct hsm *hsm, unsigned port)
{
	struct hsm_ring *ring = ring_of(hsm);

	if (ring != NULL)
		hsm_ring_wake(ring, port);
}

/* Whatever is tried next is tried by a worker, with a nonce of its own. */
static void
spend(struct hsm_await *a)
{
	a->state = AWAIT_SPENT;
	a->has_nonce = false;
}

static enum hf_err
hand_over(struct hsm_await *a, struct hsm_ring *ring, const struct hsm_job *job,
    uint64_t epoch, unsigned patience, bool good)
{
	uint64_t now = clock_ms();

	/* The process, if it has to wait in its turn, gives up before. */
	if (!good ||
	    !hsm_ring_send(
		ring, job, epoch, patience / 4 * 3, a->port, &a->cell)) {
		spend(a);
		return HF_ERR_DEFER;
	}
	a->ring = ring;
	a->epoch = epoch;
	a->name = job_row(job->op)->name;
	a->patience = patience;
	a->nudge_at = now + NUDGE_MS;
	a->late_at = now + patience;
	a->state = AWAIT_SENT;
	return HF_ERR_DEFER;
}

static enum hf_err
fetch(struct hsm_await *a, struct hsm_job *job)
{
	enum hf_err err = HF_ERR_DEFER;

	(void)hsm_ring_result(a->ring, a->cell, job, &err);
	hsm_ring_give(a->ring, a->cell, a->epoch, true);
	spend(a);
	return err;
}

enum hf_err
hsm_await_do(struct hsm_await *a, struct hsm_ring *ring, struct hsm_job *job,
    uint64_t epoch, unsigned patience, bool good)
{
	if (a->state == AWAIT_READY)
		return hand_over(a, ring, job, epoch, patience, good);
	if (a->state == AWAIT_ANSWERED && a->ring == ring)
		return fetch(a, job);
	if (a->state != AWAIT_LATE || a->ring != ring)
		return HF_ERR_DEFER;
	hsm_await_drop(a);
	return HF_ERR_HSM_STUCK;
}

static bool
is_late(struct hsm_await *a, uint64_t now, uint64_t *next)
{
	if (now >= a->late_at) {
		hsm_ring_late(a->ring, a->epoch, a->name, a->patience);
		a->state = AWAIT_LATE;
		return true;
	}
	if (now >= a->nudge_at) {
		hsm_ring_nudge(a->ring);
		a->nudge_at = now + NUDGE_MS;
	}
	if (a->nudge_at < *next)
		*next = a->nudge_at;
	if (a->late_at < *next)
		*next = a->late_at;
	return false;
}

bool
hsm_await_over(struct hsm_await *a, uint64_t now, uint64_t *next)
{
	if (a->state != AWAIT_SENT)
		return true;
	if (!hsm_ring_lives(a->ring, a->epoch)) {
		a->lost = true;
		hsm_await_drop(a);
		return true;
	}
	if (!hsm_ring_done(a->ring, a->cell))
		return is_late(a, now, next);
	a->state = AWAIT_ANSWERED;
	return true;
}

void
hsm_await_drop(struct hsm_await *a)
{
	if (a->state == AWAIT_SENT || a->state == AWAIT_ANSWERED ||
	    a->state == AWAIT_LATE)
		hsm_ring_give(
		    a->ring, a->cell, a->epoch, a->state == AWAIT_ANSWERED);
	spend(a);
}
