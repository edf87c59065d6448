/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_OP_TRANSIT_H
#define KEYD_OP_TRANSIT_H

#include "key.h"
#include "request.h"

/* What the transit operations share (op_derive.c). */

/* Bytes of a key of so many bits, 128, 256 or 512; 0 means 256, as in Vault.
 * HF_ERR_BAD_VALUE. */
enum hf_err key_bytes(uint64_t bits, size_t *out, struct hf_why *why);

/* A derived key needs a context, another one takes none. */
enum hf_err check_context(
    const struct request *rq, struct hf_bytes context, struct hf_why *why);

/*
 * A second key that a request names: it must be there, and the caller must be
 * allowed to update `prefix` with its name behind, with the parameters that
 * `in` gives (a struct of `schema`, made when the key is known; NULL when it is
 * not there). *demand_hsm is what policy demands there. HF_ERR_DEFER. The
 * reference is the caller's.
 */
struct other {
	const char *prefix;
	struct hf_text name;
	const struct schema *schema;
	/* Because it depends on the key what a request would say. NULL from it:
	 * no memory. */
	const void *(*in)(
	    struct request *rq, const struct key *key, const void *ctx);
	const void *ctx;
};
enum hf_err other_key(struct request *rq, const struct other *other,
    struct key **out, bool *demand_hsm);

#endif
