/* SPDX-License-Identifier: Apache-2.0 */
#include "context_names.h"

#include "../lib/bytes.h"

static enum hf_err
check(const char *field, const struct hf_text *names, size_t count, size_t i,
    struct hf_why *why)
{
	if (names[i].len == 0 || names[i].len > CONTEXT_NAME_MAX)
		return hf_fail(why, HF_ERR_OUT_OF_BOUNDS,
		    "%s: a name in a context takes 1 to %d bytes", field,
		    CONTEXT_NAME_MAX);
	for (size_t k = i + 1; k < count; k++)
		if (text_equal(names[i], names[k]))
			return hf_fail(why, HF_ERR_DUPLICATE_FIELD,
			    "%s: '%.*s' is given twice", field,
			    (int)names[i].len, names[i].ptr);
	return HF_OK;
}

enum hf_err
context_names_pack(struct arena *arena, const char *field,
    const struct hf_text *names, size_t count, struct hf_bytes *out,
    struct hf_why *why)
{
	size_t len = 0;
	enum hf_err err;
	uint8_t *p;

	if (count == 1 && names[0].len == 0)
		count = 0;
	for (size_t i = 0; i < count; i++) {
		if ((err = check(field, names, count, i, why)) != HF_OK)
			return err;
		len += names[i].len + 1;
	}
	p = arena_alloc(arena, len); /* zeroed */
	if (p == NULL)
		return HF_ERR_NO_MEMORY;
	*out = bytes_of(p, len);
	for (size_t i = 0; i < count; i++) {
		memcpy(p, names[i].ptr, names[i].len);
		p += names[i].len + 1;
	}
	return HF_OK;
}

bool
context_names_next(struct hf_bytes *rest, struct hf_text *out)
{
	const uint8_t *end =
	    rest->len == 0 ? NULL : memchr(rest->ptr, 0, rest->len);
	size_t len;

	if (end == NULL)
		return false;
	len = (size_t)(end - rest->ptr);
	*out = (struct hf_text){ (const char *)rest->ptr, len };
	*rest = bytes_of(end + 1, rest->len - len - 1);
	return true;
}

struct hf_text *
context_names_list(struct arena *arena, struct hf_bytes packed, size_t *count)
{
	struct hf_text *list = arena_array(arena, CONTEXT_PAIRS, sizeof(*list));

	for (*count = 0; list != NULL && *count < CONTEXT_PAIRS; (*count)++)
		if (!context_names_next(&packed, &list[*count]))
			break;
	return list;
}

bool
context_names_have(struct hf_bytes packed, struct hf_text name)
{
	struct hf_text one;

	while (context_names_next(&packed, &one))
		if (text_equal(one, name) || text_is(one, "*"))
			return true;
	return false;
}
