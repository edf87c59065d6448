/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_AWAIT_H
#define KEYD_HSM_AWAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/err.h>

/*
 * A use of the HSM that no thread waits for, so that a request needs no worker:
 * a job for threads of the library's process, or for some beside this one where
 * the library lives inside (hsm_ring.h). A function of hsm.h that is called
 * between hsm_await_begin() and hsm_await_end() hands its job over and returns
 * HF_ERR_DEFER. When hsm_await_over() says so, the same function, called in
 * the same way with the same input, gives the result at once. What cannot be
 * had so is HF_ERR_DEFER as well, and is done on a worker.
 *
 *	OFFERED  by the transport: would something use it?
 *	WANTED   something would
 *	READY    a job may be handed over
 *	SENT     it was
 *	ANSWERED the result can be fetched
 *	LATE     it took too long: HF_ERR_HSM_STUCK can be
 *	SPENT    fetched, refused, or lost with its process
 */
enum await_state {
	AWAIT_OFFERED,
	AWAIT_WANTED,
	AWAIT_READY,
	AWAIT_SENT,
	AWAIT_ANSWERED,
	AWAIT_LATE,
	AWAIT_SPENT,
};

enum { AWAIT_NONCE = 12 };

struct hsm;
struct hsm_job;
struct hsm_ring;

struct hsm_await {
	enum await_state state;
	unsigned port; /* of the thread that waits */

	/* While it is sent. */
	struct hsm_ring *ring;
	unsigned cell;
	uint64_t epoch;
	const char *name;
	unsigned patience;
	uint64_t nudge_at, late_at; /* clock_ms() */

	/* What is found out once, for all runs of the request. */
	bool lost; /* with its process: it may have been its end */
	bool has_nonce;
	uint8_t nonce[AWAIT_NONCE];
	uint64_t counted; /* usage_serial() of what it counted towards */
};

/*
 * For the functions of hsm.h that this thread calls. NULL: none. With one that
 * was lost they wait, as they do for a worker, but do not try as often again.
 */
void hsm_await_begin(struct hsm_await *await);
void hsm_await_end(void);

/* Inside of a function of hsm.h: what is not waited for, or NULL; and whether
 * one that was lost is done again. */
struct hsm_await *hsm_await_now(void);
bool hsm_await_lost(void);

/* Whether jobs can be handed over to this HSM at all. */
bool hsm_await_offered(const struct hsm *hsm);

/*
 * Whether the request may be run again: ANSWERED, LATE, or SPENT. `now` is
 * clock_ms(), or up to a few ms before it; *next becomes the time to look again
 * if that is earlier. The thread of the port.
 */
bool hsm_await_over(struct hsm_await *await, uint64_t now, uint64_t *next);

/* The request is not run again. Fine in every state. */
void hsm_await_drop(struct hsm_await *await);

/*
 * The descriptor that becomes readable when there are answers for that port;
 * -1: none. Its owner says when it is about to sleep: only then it is woken.
 */
int hsm_await_fd(const struct hsm *hsm, unsigned port);
/* Also for one that has none: the answers may be those of another HSM. */
void hsm_await_sleep(struct hsm *hsm, unsigned port);
void hsm_await_wake(struct hsm *hsm, unsigned port);

/* The job of a call that is not waited for; hsm_process.c, hsm.c. `epoch` and
 * `patience` are for a new one, `good` says whether one may be handed over. */
enum hf_err hsm_await_do(struct hsm_await *await, struct hsm_ring *ring,
    struct hsm_job *job, uint64_t epoch, unsigned patience, bool good);

#endif
