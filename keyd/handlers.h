/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HANDLERS_H
#define KEYD_HANDLERS_H

#include "request.h"

/*
 * One handler for each row of ops.def: op_<symbol>(). It gets checked input
 * and an allowed caller, does one thing, and writes `out`, with memory from
 * the request's arena. HF_ERR_DEFER, before anything is changed, when it needs
 * a worker. rq->why may hold a sentence about the error. A handler that is
 * missing is a link error.
 */
#define OP(id, symbol, in, out, wire, path, cap, flags, verb, sentence) \
	enum hf_err op_##symbol(                                        \
	    struct request *rq, const struct hf_##in *, struct hf_##out *);
#include <holdfast/ops.def>
#undef OP

#endif
