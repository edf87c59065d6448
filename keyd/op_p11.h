/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_OP_P11_H
#define KEYD_OP_P11_H

#include "key.h"
#include "request.h"

/*
 * What the files behind the p11.* operations share: op_p11.c lists objects,
 * op_p11_use.c uses keys.
 */

/*
 * What the caller may do with a version of a key, as bits of enum hf_p11_use:
 * what its type can do, its state allows, and policy grants on the paths of
 * the ordinary transit operations.
 */
uint64_t p11_uses(
    struct request *rq, const struct key *key, const struct key_version *v);

#endif
