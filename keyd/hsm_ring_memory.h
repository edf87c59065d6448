/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_RING_MEMORY_H
#define KEYD_HSM_RING_MEMORY_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "hsm_ring.h"

/* What both sides of hsm_ring.h have in common; theirs alone. */

enum { CACHE_LINE = 64 };

struct ring_memory {
	/* Written by the daemon. `tail` counts jobs, and is a futex. */
	alignas(CACHE_LINE) _Atomic uint32_t tail;
	uint32_t queue[RING_CELLS]; /* cells, in order */
	uint32_t port[RING_CELLS];  /* whom to tell */

	/* By both. */
	alignas(CACHE_LINE) _Atomic uint32_t asleep; /* threads at `tail` */
	_Atomic uint32_t nudge; /* a futex: a thread in reserve is wanted */
	alignas(CACHE_LINE) _Atomic uint32_t waiting[RING_PORTS]; /* asleep */
	alignas(CACHE_LINE) _Atomic uint32_t done[RING_CELLS];

	alignas(4096) uint8_t cell[RING_CELLS][RING_ROOM];
};

/* For as long as the process lives, or munmap(2). NULL: cannot. */
struct ring_memory *ring_map(int fd);

/* Wakes as many threads as sleep on that futex, in either process. */
void ring_wake(_Atomic uint32_t *word, int count);
/* One of those that sleep at `tail`, if there are any. */
void ring_wake_one(struct ring_memory *m);

#endif
