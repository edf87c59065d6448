/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_PIPELINE_H
#define KEYD_PIPELINE_H

#include "request.h"

/*
 * Runs a request from its bytes to the bytes of its reply. HF_OK: rq->reply is
 * there, be it a result or an error for the caller. HF_ERR_DEFER: run it again
 * with may_block (only when it was false), or resume it (await is AWAIT_SENT),
 * in which case it keeps what it has. HF_ERR_NO_MEMORY: not even an error
 * reply fits; close the connection.
 */
enum hf_err pipeline_run(struct request *rq);

/*
 * Goes on with a request that was deferred while its `await` was sent, when
 * that is over. As pipeline_run().
 */
enum hf_err pipeline_resume(struct request *rq);

/*
 * The reply that goes out instead of `rq->reply` when its audit line could not
 * be written. `buf` takes ENVELOPE_ERROR_MAX bytes.
 */
size_t pipeline_audit_failed(uint8_t *buf, size_t cap);

/*
 * Ends a deferred request that will not be run again: the queue is full, or
 * the service stops. An intent gets its outcome, references are dropped. The
 * transport sends the error itself.
 */
void pipeline_abandon(struct request *rq, enum hf_err result);

/* Adds the collected lines of a turn to the audit log; *ticket is to be
 * flushed. HF_ERR_AUDIT: no reply of the turn may leave. */
enum hf_err pipeline_commit(
    struct server *server, struct audit_batch *lines, uint64_t *ticket);

/* Flushes the audit log up to a ticket; the transport calls it for a batch. */
enum hf_err pipeline_flush(struct server *server, uint64_t ticket, bool sync);

/* Drops what the pipeline hung on a connection. */
void pipeline_connection_closed(struct request_slot *slot);

#endif
