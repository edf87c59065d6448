/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that lead to other keys. */
#include "op_transit.h"

#include <stdio.h>

#include "../lib/bytes.h"
#include "keys.h"
#include "server.h"

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

enum hf_err
other_key(struct request *rq, const char *prefix, struct hf_text name,
    struct key **out, bool *demand_hsm)
{
	char path[192];
	struct key *key = NULL;
	enum hf_err err = keys_get(rq->server->keys, name, rq->may_block, &key);
	/* Policy speaks of keys, not of aliases. */
	struct hf_text real = err == HF_OK ? text_of(key->name) : name;
	struct hf_text asked;
	int n;

	if (err == HF_ERR_DEFER)
		return err;
	n = snprintf(
	    path, sizeof(path), "%s%.*s", prefix, (int)real.len, real.ptr);
	asked = (struct hf_text){ path, (size_t)n };
	/* Whoever may not use it does not learn whether it is there. */
	if (!policy_check(rq->grant, asked, HF_CAP_UPDATE, NULL, 0, NULL)) {
		key_unref(key);
		return HF_ERR_PERMISSION_DENIED;
	}
	if (err == HF_ERR_KEY_NOT_FOUND)
		return hf_fail(&rq->why, err, "there is no key %.*s",
		    (int)name.len, name.ptr);
	if (err != HF_OK)
		return err;
	*demand_hsm = policy_demands_hsm(rq->grant, asked);
	*out = key;
	return HF_OK;
}
