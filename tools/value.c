/* SPDX-License-Identifier: Apache-2.0 */
#include "value.h"

#include "../lib/bytes.h"

bool
value_present(const struct field *f, const void *base)
{
	const void *at = value_at(f, base);
	bool always = (f->flags & (ALWAYS | REQUIRED)) != 0;

	switch (f->kind) {
	case FIELD_BYTES:
		return ((const struct hf_bytes *)at)->ptr != NULL;
	case FIELD_TEXT:
		return ((const struct hf_text *)at)->ptr != NULL;
	case FIELD_UINT:
		return always || *(const uint64_t *)at != 0;
	case FIELD_OPT:
		return ((const struct hf_uint *)at)->present;
	case FIELD_BOOL:
		return always || *(const bool *)at;
	case FIELD_TRI:
		return *(const enum hf_tri *)at != HF_UNSET;
	case FIELD_LIST:
	case FIELD_TEXTS:
		return always || value_items(f, base) != NULL;
	}
	return false;
}

struct hf_bytes
value_bytes(const struct field *f, const void *base)
{
	const void *at = value_at(f, base);

	if (f->kind == FIELD_TEXT)
		return bytes_of_text(*(const struct hf_text *)at);
	return *(const struct hf_bytes *)at;
}
