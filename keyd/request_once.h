/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_REQUEST_ONCE_H
#define KEYD_REQUEST_ONCE_H

#include "effects.h"
#include "request.h"

/*
 * Requests with an idempotency key (once.h): stages of the pipeline that do
 * nothing for others.
 */

/*
 * Whether this caller's key was used, and for what: rq->once. Before policy is
 * asked, because who may create may also hear again what they created.
 * HF_ERR_DEFER.
 */
enum hf_err request_once_find(struct request *rq);

/*
 * Before the handler. HF_OK and *again: it was done, and rq->reply is what it
 * gave. HF_ERR_IDEMPOTENCY: for another request.
 */
enum hf_err request_once_replay(struct request *rq, bool *again);

/* Lets the record of what is about to be done go with the change. */
enum hf_err request_once_ride(struct request *rq, struct effects *effects);

/*
 * After the handler, which gave `result`. A request that found the same done
 * by another one meanwhile gets that one's reply and HF_OK, with *again. Else
 * `result`; where that is HF_OK the record is there when this returns.
 */
enum hf_err request_once_settle(struct request *rq,
    const struct effects *effects, enum hf_err result, bool *again);

/* Completes the record with rq->reply. That may fail: then a repeated request
 * is told how things are, not how they were. */
void request_once_keep(struct request *rq);

#endif
