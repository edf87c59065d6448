/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_OP_TRANSIT_H
#define KEYD_OP_TRANSIT_H

#include "key.h"
#include "request.h"

/* What the transit operations share (op_derive.c). */

/* A derived key needs a context, another one takes none. */
enum hf_err check_context(
    const struct request *rq, struct hf_bytes context, struct hf_why *why);

/*
 * A second key that a request names: it must be there, and the caller must be
 * allowed to update `prefix` with its name behind. *demand_hsm is what policy
 * demands there. HF_ERR_DEFER. The reference is the caller's.
 */
enum hf_err other_key(struct request *rq, const char *prefix,
    struct hf_text name, struct key **out, bool *demand_hsm);

#endif
