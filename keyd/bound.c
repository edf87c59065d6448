/* SPDX-License-Identifier: Apache-2.0 */
#include "bound.h"

#include "../lib/bytes.h"
#include "../lib/context.h"

/* With the NUL at its end, which is part of it. */
static const char label[] = "holdfast-context-v1";

enum { SIZE = 4 };

static bool
speaks_for_context(struct hf_bytes aad)
{
	return aad.len >= sizeof(label) &&
	    memcmp(aad.ptr, label, sizeof(label)) == 0;
}

/* Apart from the way without a context, which has no large array to clear. */
static __attribute__((noinline)) enum hf_err
with_context(struct arena *arena, const struct hf_pair *context, size_t count,
    struct hf_bytes aad, struct hf_bytes *out, struct hf_why *why)
{
	uint8_t canonical[CONTEXT_BYTES], *p;
	size_t head = sizeof(label) + SIZE, len;
	enum hf_err err;

	if ((err = context_encode(context, count, canonical, &len, why)) !=
	    HF_OK)
		return err;
	p = arena_alloc(arena, head + len + aad.len);
	if (p == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(p, label, sizeof(label));
	put_u32(p + sizeof(label), (uint32_t)len);
	memcpy(p + head, canonical, len);
	if (aad.len > 0)
		memcpy(p + head + len, aad.ptr, aad.len);
	*out = bytes_of(p, head + len + aad.len);
	return HF_OK;
}

enum hf_err
bound_aad(struct arena *arena, const struct hf_pair *context, size_t count,
    struct hf_bytes aad, struct hf_bytes *out, struct hf_why *why)
{
	if (speaks_for_context(aad))
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "associated_data: it may not begin as that of a context "
		    "does; give encryption_context");
	if (count > 0)
		return with_context(arena, context, count, aad, out, why);
	*out = aad;
	return HF_OK;
}
