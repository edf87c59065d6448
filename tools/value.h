/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_VALUE_H
#define TOOLS_VALUE_H

#include "../lib/schema.h"

/* Access to the members of a struct by their field, for those who print. */

/* The items of a list; item i of FIELD_LIST is at i * f->item->size. */
static inline const uint8_t *
value_items(const struct field *f, const void *base)
{
	return *(void *const *)field_at(f, base);
}

/* FIELD_BYTES or FIELD_TEXT as bytes. */
struct hf_bytes value_bytes(const struct field *f, const void *base);

/* The text form of what SEALED fields hold: the binary one starts with the
 * high byte of a version number, which is zero. */
static inline bool
sealed_is_text(struct hf_bytes b)
{
	return b.len > 0 && b.ptr[0] != 0;
}

#endif
