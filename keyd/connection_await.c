/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include "pipeline.h"

void
connection_refuse(struct connection *c, const uint8_t id[FRAME_ID],
    struct request *rq, enum hf_err err)
{
	pipeline_abandon(rq, err);
	turn_want_flush(&c->io->turn, rq->audit_ticket, rq->audit_sync);
	io_count(&c->io->counters.busy, 1);
	if (c->phase != PHASE_CLOSED)
		connection_reply_error(c, id, err);
}

/* Whatever a worker needs is in the exchange. */
void
connection_to_workers(struct connection *c, struct exchange *ex)
{
	enum hf_err err;

	ex->work.run = exchange_run;
	ex->done = c->io->done;
	err = workers_submit(c->io->workers, &ex->work);
	if (err == HF_OK) {
		c->in_flight++;
		c->io->in_flight++;
		io_count(&c->io->counters.deferred, 1);
		return;
	}
	connection_refuse(c, ex->id, &ex->rq, err);
	exchange_give(ex);
}

static void
wait_for_answer(struct connection *c, struct exchange *ex)
{
	struct io *io = c->io;

	ex->next = io->awaiting;
	io->awaiting = ex;
	c->awaits = true;
	c->in_flight++;
	io->in_flight++;
}

void
connection_conclude(struct connection *c, struct exchange *ex, enum hf_err err)
{
	if (err == HF_ERR_DEFER) {
		exchange_set_request(ex, &ex->rq, ex->rq.message);
		connection_to_workers(c, ex);
		return;
	}
	turn_want_flush(&c->io->turn, ex->rq.audit_ticket, ex->rq.audit_sync);
	ex->err = err;
	ex->audited = false;
	c->in_flight++; /* connection_complete() takes it back */
	c->io->in_flight++;
	connection_complete(c, ex);
}

void
connection_await(struct connection *c, struct exchange *ex,
    const struct request *first, struct hf_bytes message)
{
	enum hf_err err;

	exchange_set_request(ex, first, message);
	ex->await =
	    (struct hsm_await){ .state = AWAIT_READY, .port = c->io->port };
	ex->rq.may_block = false;
	ex->rq.await = &ex->await;
	ex->rq.slot = &c->slot;
	ex->rq.lane = c->io->lane;
	err = pipeline_run(&ex->rq);
	if (err == HF_ERR_DEFER && ex->await.state == AWAIT_SENT) {
		wait_for_answer(c, ex);
		return;
	}
	/* Were a job under way, its cell would be kept back for a while: no
	 * handler may answer without the answer that it asked for, but this
	 * need not rest on it. */
	hsm_await_drop(&ex->await);
	c->awaits = false;
	connection_conclude(c, ex, err);
}

static void
resume(struct exchange *ex)
{
	struct connection *c = ex->conn;
	enum hf_err err = pipeline_resume(&ex->rq);

	hsm_await_drop(&ex->await);
	c->in_flight--;
	c->io->in_flight--;
	connection_conclude(c, ex, err);
}

void
connection_resume_all(struct io *io)
{
	struct exchange **at = &io->awaiting, *ready = NULL, **last = &ready;

	if (io->awaiting == NULL)
		return;
	io->look_again = UINT64_MAX;
	while (*at != NULL) {
		struct exchange *ex = *at;

		if (!hsm_await_over(&ex->await, io->now, &io->look_again)) {
			at = &ex->next;
			continue;
		}
		*at = ex->next;
		ex->next = NULL;
		*last = ex;
		last = &ex->next;
	}
	while (ready != NULL) {
		struct exchange *ex = ready;

		ready = ex->next;
		resume(ex);
	}
}

void
connection_abandon_all(struct io *io)
{
	while (io->awaiting != NULL) {
		struct exchange *ex = io->awaiting;

		io->awaiting = ex->next;
		hsm_await_drop(&ex->await);
		pipeline_abandon(&ex->rq, HF_ERR_SHUTTING_DOWN);
		ex->err = HF_ERR_SHUTTING_DOWN;
		connection_complete(ex->conn, ex);
	}
}

bool
connection_has_answer(const struct io *io)
{
	uint64_t next = UINT64_MAX;

	for (struct exchange *ex = io->awaiting; ex != NULL; ex = ex->next)
		if (hsm_await_over(&ex->await, 0, &next))
			return true;
	return false;
}
