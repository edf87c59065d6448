/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_EXCHANGE_H
#define KEYD_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/arena.h"
#include "../lib/envelope.h"
#include "../lib/frame.h"
#include "hsm_await.h"
#include "peers.h"
#include "pipeline.h"
#include "workers.h"

struct connection;

/*
 * Memory for what does not end where it began: bytes of a frame that is not
 * whole yet, a request on its way through the workers, a reply that the socket
 * did not take at once. One exchange can be all three in turn, so that a large
 * message is never copied. Pooled, with its arena, by the I/O thread that owns
 * its connection; wiped whenever it goes back.
 */
struct exchange {
	struct work work; /* first: found again from there */
	struct exchange_pool *pool;
	struct exchange *next;
	struct connection *conn;
	struct arena *arena;
	struct peer *peer; /* who was charged, */
	size_t charged;    /* and with how much */

	/* Bytes read, not run yet: buf[start..end). */
	uint8_t *buf;
	size_t cap, start, end;

	/* The request, for a worker. */
	struct request rq;
	enum hf_err err;
	bool audited; /* its audit lines were flushed */
	struct hsm_await await;
	enum lingering linger;
	void (*done)(struct exchange *ex); /* called on the worker's thread */

	/* The reply: a frame's head, and a body in the arena or in `small`. */
	uint8_t head[FRAME_HEADER_MAX + FRAME_ID];
	size_t head_len;
	struct hf_bytes body;
	size_t sent;
	uint8_t id[FRAME_ID];
	uint8_t small[ENVELOPE_ERROR_MAX];
};

struct exchange_pool {
	struct exchange *free;
	unsigned kept, keep; /* how many are free; how many may be */
	size_t first, limit; /* of each arena */
	struct arena_cache *cache;
	struct peers *peers;
};

/*
 * `keep`: how many free ones stay. Each has an arena of `first` bytes to begin
 * with and `limit` at most, from `cache`.
 */
void exchange_pool_init(struct exchange_pool *pool, unsigned keep, size_t first,
    size_t limit, struct arena_cache *cache, struct peers *peers);
void exchange_pool_clear(struct exchange_pool *pool);

/* NULL: no memory. */
struct exchange *exchange_take(
    struct exchange_pool *pool, struct connection *conn);
void exchange_give(struct exchange *ex); /* back to where it came from */

/* As peers_charge; discharged when the exchange goes back. */
bool exchange_charge(
    struct exchange *ex, struct peer *peer, size_t len, bool forced);

/*
 * Makes `first`, which was deferred, the request of this exchange: its message
 * must be in ex->arena already.
 */
void exchange_set_request(
    struct exchange *ex, const struct request *first, struct hf_bytes message);

/* Runs the request (a struct work's `run`), flushes its audit line, is done. */
void exchange_run(struct work *work, bool cancelled);

/* Makes `body` the reply that is sent from here. */
void exchange_set_reply(struct exchange *ex, enum frame_kind kind,
    const uint8_t id[FRAME_ID], struct hf_bytes body);

/* The reply when no audit line could be written, whatever it was before. */
void exchange_set_audit_failed(struct exchange *ex, enum frame_kind kind);

#endif
