/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_PROCESS_H
#define KEYD_HSM_PROCESS_H

#include "hsm.h"
#include "hsm_job.h"
#include "hsm_ring.h"

/*
 * The HSM's client in a process of its own, as the daemon sees it. A vendor's
 * library can hang, crash or write where it should not: there it holds up
 * nobody, cannot reach the daemon's keys, and is killed and replaced.
 *
 *	daemon ── lanes (a socket for each job under way) ──┐
 *	   │  ├── ring (jobs that no thread waits for) ─────┤
 *	   │  └── control (its state, signs of life) ───────┤
 *	   └── host ── fork ───────────────────────────── worker
 *
 * The host (hsm_host.h) starts and kills workers. A worker gets the PIN over
 *the control socket, opens the HSM inside itself with hsm.h, and serves lanes.
 *It is killed when a job takes longer than its deadline, when connecting does,
 *or when it does not answer; jobs under way are done again by the next one,
 *where that does no harm. A state that is final for hsm.h stays so over
 *workers.
 *
 * Where nothing happens nobody wakes up: whoever has a job under way looks at
 * its deadline, the end of a worker or its host ends a poll, and a worker is
 * asked for a sign of life only while it is in doubt: until it is ready, and
 * while it is in the library by itself (hsm_effort_fn).
 */
struct hsm_process;

/*
 * Starts host and worker. Errors of the settings, as hsm_open() gives them,
 * come at once; everything else shows in the state. Takes the PIN.
 */
enum hf_err hsm_process_open(const struct hsm_settings *settings,
    struct secret *pin, hsm_watch_fn *watch, void *ctx,
    struct hsm_process **out, struct hf_why *why);

/* Lets the worker end its connection, or kills it. NULL is fine. */
void hsm_process_close(struct hsm_process *p);

/*
 * Does a job, with the errors of hsm.h, and HF_ERR_HSM_STUCK when it did not
 * come back. Between hsm_await_begin() and hsm_await_end() it does not wait.
 */
enum hf_err hsm_process_do(struct hsm_process *p, struct hsm_job *job);

/* As the functions of hsm.h. */
enum hf_err hsm_process_wait_ready(struct hsm_process *p, unsigned ms);
void hsm_process_info(struct hsm_process *p, struct hsm_info *out);
unsigned hsm_process_can(struct hsm_process *p);
/* Where jobs go that nobody waits for (hsm_ring.h); NULL: nowhere. */
struct hsm_ring *hsm_process_ring(const struct hsm_process *p);

/* -- Between the daemon and a worker (hsm_worker.h) -- */

enum { HSM_LANES_MAX = 64 };

/* First the worker's settings, followed by URI and PIN, in one message. */
enum worker_what {
	WORKER_BEGIN,
	WORKER_BEAT, /* say how you are */
	WORKER_STOP, /* end your connection */
};
struct worker_order {
	uint32_t what; /* all that counts, unless it is WORKER_BEGIN */
	uint32_t sessions, deadline_ms, keepalive_ms;
	uint32_t log_level;
	uint32_t cautious;
	uint32_t ring;   /* there is one */
	char serial[17]; /* that the token must have; empty: any */
	uint32_t uri, pin;
};
enum { WORKER_ORDER_MAX = 4096 };

/* From the worker: at each change of state, when it goes into the library by
 * itself and comes out, and when it is asked. */
struct worker_news {
	uint32_t err;     /* of hsm_open(); not HF_OK: it ends */
	uint32_t busy_ms; /* since when it is in the library; 0: is not */
	uint32_t no_info; /* 1: what follows says nothing */
	struct hsm_info info;
	struct hf_why why;
};

/* Texts and numbers become such as the daemon can go on with. */
void worker_news_tame(struct worker_news *news);

#endif
