/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_CONTEXT_H
#define LIB_CONTEXT_H

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * A context is a map of strings. Its bytes are authenticated, so there is one
 * form only: CBOR, core deterministic encoding (RFC 8949, section 4.2.1), that
 * is definite lengths, heads in their shortest form, names in the bytewise
 * order of their encodings. No pairs at all is no bytes at all.
 */
enum {
	CONTEXT_PAIRS = 32,
	CONTEXT_NAME_MAX = 128,
	CONTEXT_VALUE_MAX = 1024,
	CONTEXT_BYTES = 4096,
};

/*
 * Writes `pairs`, in whatever order they are, to `out`. HF_ERR_OUT_OF_BOUNDS
 * beyond a limit, HF_ERR_BAD_VALUE for what is not UTF-8 (or holds a NUL),
 * HF_ERR_DUPLICATE_FIELD for a name that is given twice.
 */
enum hf_err context_encode(const struct hf_pair *pairs, size_t count,
    uint8_t out[CONTEXT_BYTES], size_t *len, struct hf_why *why);

/*
 * Reads what context_encode writes, and nothing else: HF_ERR_BAD_MESSAGE for
 * other bytes, even if they are the same map. Views point into `in`.
 */
enum hf_err context_decode(struct hf_bytes in,
    struct hf_pair out[CONTEXT_PAIRS], size_t *count, struct hf_why *why);

/* The value of that name; NULL when there is none. */
const struct hf_text *context_value(
    const struct hf_pair *pairs, size_t count, struct hf_text name);

#endif
