/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_REQUEST_H
#define KEYD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "../lib/arena.h"
#include "../lib/envelope.h"
#include "../lib/ops.h"
#include "identity.h"
#include "policy.h"

struct hsm_await;
struct audit_batch;
struct key;
struct once;
struct request_memo;
struct request_slot;
struct server;

/*
 * What takes a while, but not for ever, and waits for nothing, may run on an
 * I/O thread that has nothing else to do (connection_linger.c).
 *
 *	OFFERED  by the transport: would this be such a request?
 *	WANTED   it would
 *	NOW      so it may be done here
 */
enum lingering { LINGER_OFFERED, LINGER_WANTED, LINGER_NOW };

/*
 * One request on its way through the daemon. The transport makes it, owns it
 * and sends its reply; pipeline.c fills the rest, stage by stage; a handler
 * reads `in`, writes `out`, and takes memory from `arena`.
 *
 * A request first runs on the I/O thread that read it, with may_block false.
 * Where that is not the place (HSM, disk, long computation) pipeline_run()
 * answers HF_ERR_DEFER before anything was changed, and the transport runs it
 * again on a worker with may_block true, with a copy of the message and an
 * arena of its own. Where only the answer of an HSM is missing, it stays as it
 * is, and pipeline_resume() goes on when the answer has come (hsm_await.h).
 */
struct request {
	/* From the transport. */
	struct server *server;
	const struct identity *who;
	struct request_slot *slot; /* of the connection; I/O thread only */
	struct arena *arena;
	struct hf_bytes message; /* the CBOR of the request */
	bool may_block;
	unsigned lane; /* of server.h: that of the I/O thread, or 0 */
	struct audit_batch *lines; /* of the I/O thread; NULL: a worker's
				      lines go to the log one by one */
	struct hsm_await *await;   /* NULL: the HSM is to be waited for */
	enum lingering *linger;    /* NULL: what takes long is deferred */

	/* For the transport: valid when pipeline_run() returned HF_OK. */
	struct hf_bytes reply; /* the CBOR of the reply, in the arena */
	uint64_t audit_ticket; /* flush this before the reply leaves; 0: none */
	bool audit_sync;       /* ... to the disk */

	/* Filled by the pipeline. */
	struct policy_grant *grant; /* a reference of its own */
	const struct op *op;
	struct hf_bytes input; /* "in", as it came */
	struct envelope_options options;
	void *in, *out;
	bool decoded;              /* `in` is checked */
	const char *path;          /* what policy was asked */
	struct request_memo *memo; /* what the slot knows about the path; or
				      NULL */
	struct key *key;    /* a reference; NULL: there is none of that name */
	enum hf_err lookup; /* why there is none */
	bool upsert;        /* may create the key */
	bool may_use;       /* may do this with a key that is there */
	bool allowed;       /* policy said yes */
	bool demand_hsm;    /* policy allows keys of level hsm only */
	struct key *spent;  /* reached its limit, if it is not `key`; a
			       reference */
	bool moving;        /* what is decrypted is encrypted anew */
	bool awaits;        /* the handler, run again, does the same again */
	struct hf_why why;
	uint64_t audit_id;    /* joins intent and outcome */
	uint64_t key_version; /* used, for the audit; 0: none */
	bool intent_written;
	/* The key that it is about, for when it is run again; a reference. */
	struct key *intended;
	struct once *once; /* NULL: no idempotency key */
	bool replayed;     /* it was done before, under that key */
};

/* Encodes rq->out as rq->reply. */
enum hf_err request_reply(struct request *rq);

/* Memory from the request's arena, or HF_ERR_NO_MEMORY's NULL. */
static inline void *
request_alloc(struct request *rq, size_t len)
{
	return arena_alloc(rq->arena, len);
}

#endif
