/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_DEADLINE_H
#define KEYD_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Deadlines of one kind all run for the same time, so the order in which they
 * are armed is the order in which they expire: a list does what a heap would.
 * One thread at a time; milliseconds of any clock that does not go back.
 */
struct deadline {
	struct deadline *prev, *next; /* NULL while not armed */
	uint64_t at;
	void *owner;
};

struct deadline_queue {
	struct deadline head; /* of a ring */
	uint64_t ms;          /* 0: such deadlines never expire */
};

/* `ms`: how long each of them runs; 0: for ever. */
void deadline_queue_init(struct deadline_queue *q, uint64_t ms);

/* Arms it, or arms it anew, to expire `ms` after `now`. */
void deadline_arm(struct deadline_queue *q, struct deadline *d, uint64_t now);
/* One that is not armed is fine. */
void deadline_disarm(struct deadline *d);

static inline bool
deadline_is_armed(const struct deadline *d)
{
	return d->next != NULL;
}

/* One that expired, disarmed; NULL when there is none. */
struct deadline *deadline_expire(struct deadline_queue *q, uint64_t now);

/* When the first one expires; UINT64_MAX when none is armed. */
uint64_t deadline_first(const struct deadline_queue *q);

#endif
