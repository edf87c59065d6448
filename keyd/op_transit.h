/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_OP_TRANSIT_H
#define KEYD_OP_TRANSIT_H

#include "key.h"
#include "request.h"

/* What the transit operations share (op_derive.c). */

/* A derived key needs a context, another one takes none. */
enum hf_err check_context(
    const struct request *rq, struct hf_bytes context, struct hf_why *why);

#endif
