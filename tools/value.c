/* SPDX-License-Identifier: Apache-2.0 */
#include "value.h"

#include "../lib/bytes.h"

struct hf_bytes
value_bytes(const struct field *f, const void *base)
{
	const void *at = field_at(f, base);

	if (f->kind == FIELD_TEXT)
		return bytes_of_text(*(const struct hf_text *)at);
	return *(const struct hf_bytes *)at;
}
