/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that lead to other keys. */
#include "op_transit.h"

enum hf_err
check_context(
    const struct request *rq, struct hf_bytes context, struct hf_why *why)
{
	const struct key *key = rq->key;

	if (key->derived && context.len == 0)
		return HF_ERR_MISSING_CONTEXT;
	if (!key->derived && context.len > 0)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "context: key %s is not a derived key", key->name);
	return HF_OK;
}
