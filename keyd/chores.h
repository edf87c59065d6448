/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CHORES_H
#define KEYD_CHORES_H

#include <holdfast/err.h>

#include "timeline.h"

struct server;
struct settings;

/*
 * What the daemon does over time, on its main thread: opening keyrings when
 * the HSM comes, syncing the audit log, checkpoints, writing down counters,
 * what is due (destructions, rotations), the watchdog. It sleeps until
 * something is to be done: one timer stands at the next time, set by the wall
 * clock so that a change of that clock wakes it too, and others wake it by
 * chores_wake(). Where nothing happens nothing wakes up.
 */
struct chores;

enum chore {
	CHORE_HSM = 1,       /* the HSM's state changed */
	CHORE_AUDIT = 2,     /* the audit log has lines that are not synced */
	CHORE_USAGE = 4,     /* something was counted */
	CHORE_DUE = 8,       /* a destruction is due at another time */
	CHORE_PLAN = 16,     /* what a key wants by itself is */
	CHORE_SCRUB = 32,    /* the store could not be cleared just now */
	CHORE_ONCE = 64,     /* an idempotency key was used */
	CHORE_CONFIRM = 128, /* the wall clock is right */
};

/* Blocks the signals that stop the daemon. */
enum hf_err chores_open(
    const struct settings *settings, struct chores **out, struct hf_why *why);
/* NULL is fine. */
void chores_close(struct chores *c);

/* From any thread; NULL is fine. */
void chores_wake(struct chores *c, enum chore what);

/* First, when the parts of the server are there: the HSM as it is. */
void chores_begin(struct chores *c, struct server *server);

/* Until SIGTERM or SIGINT. */
void chores_run(struct chores *c);

/* Somebody says that the clock is right. From any thread; NULL is fine. */
void chores_confirm(struct chores *c);

/* How the clock stands, for whoever asks. NULL is fine. */
struct chores_info {
	uint64_t lag;  /* seconds by which what cannot be undone is late */
	uint64_t left; /* seconds until that is over */
	uint64_t next; /* seconds since 1970: the next thing due; 0: nothing */
};
void chores_info(struct chores *c, struct chores_info *out);

#endif
