/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_IO_H
#define KEYD_IO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "deadline.h"
#include "exchange.h"
#include "peers.h"
#include "transport.h"
#include "turn.h"
#include "workers.h"

/*
 * What the connections of one I/O thread share. All of it belongs to that
 * thread, but for the counters, which anybody may read.
 */
enum { IO_READ = 64 * 1024 };

enum io_deadline {
	DEADLINE_HANDSHAKE,
	DEADLINE_FRAME,
	DEADLINE_SEND,
	DEADLINE_IDLE,
	DEADLINES,
};

TAILQ_HEAD(connection_list, connection);

/* What decides whether a thread lingers: connection_linger.c. */
struct io_shared {
	unsigned cores;
	_Atomic unsigned lingerers; /* threads that do just now */
	_Atomic uint64_t
	    light_at; /* ms; the last request that did not ask to */
};

/* See struct transport_stats. */
struct io_counters {
	_Atomic uint64_t accepted, refused, requests, deferred, busy;
	_Atomic uint64_t bytes_in, bytes_out, bad_frames, timeouts;
};

struct io {
	struct server *server;
	const struct transport_limits *limits;
	struct peers *peers;
	struct workers *workers;
	void (*done)(struct exchange *ex); /* brings it back to this thread */
	int epoll;
	unsigned lane; /* of server.h */
	uint64_t now;  /* of this turn, in ms */
	bool stopping;
	unsigned in_flight; /* exchanges that workers or HSMs have */

	unsigned port;             /* see hsm_await.h */
	bool awaits;               /* there is such a port */
	struct exchange *awaiting; /* the answers of HSMs, a list */
	uint64_t look_again;       /* when, if no answer comes */

	struct io_shared *shared;
	struct exchange *lingering, **lingering_last; /* a queue */
	unsigned lingering_count;

	uint8_t *read; /* IO_READ bytes, for whoever reads just now */
	struct turn turn;
	struct exchange *current;      /* whose arena requests run in */
	struct exchange_pool currents; /* large arenas, for that */
	struct exchange_pool pool;     /* small ones, for all else */

	struct deadline_queue deadlines[DEADLINES];
	struct connection_list open;
	struct connection_list ready; /* have something to do without epoll */
	unsigned ready_count;
	struct connection_list unread; /* see channel_peek() */
	bool busy;        /* others wait besides the one whose turn it is */
	const void *last; /* connection that was read from, which may be gone */
	uint64_t last_at; /* ... and when: `now` of that turn */
	struct connection_list dead; /* closed, freed at the end of the turn */
	struct io_counters counters;
};

/* One thread writes, so that a read and a write do for an increment. */
static inline void
io_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter,
	    atomic_load_explicit(counter, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

#endif
