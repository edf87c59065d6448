/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "log.h"

void
exchange_pool_init(struct exchange_pool *pool, unsigned keep, size_t first,
    size_t limit, struct arena_cache *cache, struct peers *peers)
{
	*pool = (struct exchange_pool){ .keep = keep,
		.first = first,
		.limit = limit,
		.cache = cache,
		.peers = peers };
}

static void
exchange_free(struct exchange *ex)
{
	arena_free(ex->arena);
	free(ex);
}

void
exchange_pool_clear(struct exchange_pool *pool)
{
	while (pool->free != NULL) {
		struct exchange *next = pool->free->next;

		exchange_free(pool->free);
		pool->free = next;
	}
	pool->kept = 0;
}

static struct exchange *
exchange_new(struct exchange_pool *pool)
{
	struct exchange *ex = calloc(1, sizeof(*ex));

	if (ex == NULL)
		return NULL;
	if (arena_new_cached(
		pool->first, pool->limit, pool->cache, &ex->arena) != HF_OK) {
		free(ex);
		return NULL;
	}
	ex->pool = pool;
	return ex;
}

struct exchange *
exchange_take(struct exchange_pool *pool, struct connection *conn)
{
	struct exchange *ex = pool->free;

	if (ex == NULL) {
		ex = exchange_new(pool);
	} else {
		pool->free = ex->next;
		pool->kept--;
	}
	if (ex != NULL) {
		ex->next = NULL;
		ex->conn = conn;
	}
	return ex;
}

/* The arena wipes itself; the rest holds no more than sentences of errors. */
void
exchange_give(struct exchange *ex)
{
	struct exchange_pool *pool = ex->pool;
	struct arena *arena = ex->arena;

	if (ex->charged > 0)
		peers_discharge(pool->peers, ex->peer, ex->charged);
	if (pool->kept == pool->keep) {
		exchange_free(ex);
		return;
	}
	arena_reset(arena);
	*ex = (struct exchange){
		.pool = pool, .arena = arena, .next = pool->free
	};
	pool->free = ex;
	pool->kept++;
}

bool
exchange_charge(struct exchange *ex, struct peer *peer, size_t len, bool forced)
{
	if (!peers_charge(ex->pool->peers, peer, len, forced))
		return false;
	ex->peer = peer;
	ex->charged += len;
	return true;
}

/*
 * What the first run found out pointed into the arena of the I/O thread and is
 * found out again; what it left behind outside (a reference, an audit line)
 * goes along. The slot of the connection stays with its thread.
 */
void
exchange_set_request(
    struct exchange *ex, const struct request *first, struct hf_bytes message)
{
	ex->rq = (struct request){
		.server = first->server,
		.who = first->who,
		.arena = ex->arena,
		.message = message,
		.may_block = true,
		.await = first->await == &ex->await ? &ex->await : NULL,
		.audit_ticket = first->audit_ticket,
		.audit_sync = first->audit_sync,
		.grant = first->grant,
		.op = first->op,
		.intended = first->intended,
		.audit_id = first->audit_id,
		.intent_written = first->intent_written,
	};
}

static enum hf_err
run_and_flush(struct exchange *ex)
{
	struct request *rq = &ex->rq;
	enum hf_err err = pipeline_run(rq);

	if (err == HF_ERR_DEFER)
		log_error("a request was deferred twice");
	if (err != HF_OK || rq->audit_ticket == 0)
		return err;
	if (pipeline_flush(rq->server, rq->audit_ticket, rq->audit_sync) !=
	    HF_OK)
		rq->reply = bytes_of(ex->small,
		    pipeline_audit_failed(ex->small, sizeof(ex->small)));
	return HF_OK;
}

void
exchange_run(struct work *work, bool cancelled)
{
	struct exchange *ex = (struct exchange *)(void *)work;

	if (cancelled)
		pipeline_abandon(&ex->rq, HF_ERR_SHUTTING_DOWN);
	ex->err = cancelled ? HF_ERR_SHUTTING_DOWN : run_and_flush(ex);
	ex->audited = true;
	ex->done(ex);
}

void
exchange_set_reply(struct exchange *ex, enum frame_kind kind,
    const uint8_t id[FRAME_ID], struct hf_bytes body)
{
	size_t head = frame_header_size(kind);

	frame_header(kind, FRAME_ID + body.len, ex->head);
	memmove(ex->head + head, id, FRAME_ID);
	ex->head_len = head + FRAME_ID;
	ex->body = body;
	ex->sent = 0;
}

void
exchange_set_audit_failed(struct exchange *ex, enum frame_kind kind)
{
	size_t len = pipeline_audit_failed(ex->small, sizeof(ex->small));

	exchange_set_reply(ex, kind, ex->head + frame_header_size(kind),
	    bytes_of(ex->small, len));
}
