/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_SERVICE_H
#define FAKE_SERVICE_H

#include "../../keyd/request.h"
#include "../../keyd/request_slot.h"
#include "../../keyd/server.h"
#include "softhsm.h"
#include "store_memory.h"

/*
 * The parts of a daemon without its sockets: a real SoftHSM (or none), the
 * store in memory, policies and audit log in a private folder. Requests go
 * straight into the pipeline.
 */
struct service {
	char dir[64], policies[96], audit_file[96];
	struct softhsm soft;
	bool with_hsm;
	struct store_memory *memory;
	struct server server;
	struct identity *who;
	struct request_slot slot; /* of the one connection */
	struct arena *arena, *worker;
	struct request rq;               /* the last one run */
	bool worker_only;                /* requests start on a worker */
	enum lingering lingering;        /* what the last one made of it */
	struct envelope_options options; /* of what service_call sends */
};

/*
 * Starts it, initialised and unlocked. Without an HSM its calls fail, the
 * hierarchy stays without a master key. False when that did not work.
 */
bool service_start(struct service *s, bool with_hsm);
void service_stop(struct service *s);

/* Rules for service_policy. */
#define ALL_CAPABILITIES                                     \
	"capabilities = [\"create\", \"read\", \"update\", " \
	"\"delete\", \"list\", \"sudo\"]"
#define EVERYTHING "path \"*\" { " ALL_CAPABILITIES " }"

/*
 * Puts a policy in force; `rules` is HCL without the bind block, which is made
 * for the caller ("uid:4711"). NULL: no policy at all.
 */
void service_policy(struct service *s, const char *rules);

/* Runs the message of an operation as the transport does: on the I/O thread,
 * and where that defers, there again if that is what it takes, or on a worker.
 * The reply is decoded into `out`. */
enum hf_err service_call(struct service *s, const char *op, const void *in,
    void *out, struct hf_why *why);

/* The same for a message as bytes; the reply is in s->rq.reply. */
enum hf_err service_run(struct service *s, struct hf_bytes message);

/* What stands in the audit log, NUL-terminated and malloc'ed. */
char *service_audit(struct service *s, size_t *len);

/* The reply's memory is gone after this; run before the next message. */
void service_reset(struct service *s);

#endif
