/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/handlers.h"
#include "../../keyd/request.h"
#include "cost.h"

enum hf_err
cost_handler(struct request *rq)
{
	switch (rq->op->id) {
#define OP(id, symbol, in_, out_, wire, path, cap, flags, verb, sentence) \
	case OP_##symbol:                                                 \
		return op_##symbol(rq, rq->in, rq->out);
#include <holdfast/ops.def>
#undef OP
	}
	return HF_ERR_UNKNOWN_OP;
}
