/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_COST_H
#define TOOLS_BENCH_COST_H

#include <holdfast/err.h>

/* The stages of a request, as role_cost tells them. */
enum cost_stage {
	STAGE_DECODE,
	STAGE_IDENTIFY, /* and find the key */
	STAGE_POLICY,
	STAGE_INTENT,
	STAGE_WORK,
	STAGE_ENCODE,
	STAGE_OUTCOME,
	STAGE_WRITE, /* of the log; one for all requests of a turn */
	STAGE_RELEASE,
	STAGES,
};

enum { COST_CLOCKS = STAGES + 2 };

struct request;

/* The handler of a request's operation, of those that are measured. */
enum hf_err cost_handler(struct request *rq);

#endif
