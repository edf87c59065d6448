/* SPDX-License-Identifier: Apache-2.0 */
#include "text_form.h"

#include <stdio.h>

enum form
form_of(struct hf_text format)
{
	return format.ptr != NULL && text_is(format, "text") ? FORM_TEXT
							     : FORM_BINARY;
}

enum hf_err
form_write(struct arena *arena, enum form form, const char *prefix,
    uint64_t version, enum base64_kind kind, uint8_t *buf, size_t len,
    struct hf_bytes *out)
{
	size_t chars = base64_length(kind, len);
	char head[64];
	int n;
	char *text;

	if (form == FORM_BINARY) {
		put_u32(buf, (uint32_t)version);
		*out = bytes_of(buf, FORM_HEADER + len);
		return HF_OK;
	}
	n = snprintf(head, sizeof(head), "%s:v%llu:", prefix,
	    (unsigned long long)version);
	if (n < 0 || (size_t)n >= sizeof(head))
		return HF_ERR_NO_MEMORY;
	text = arena_alloc(arena, (size_t)n + chars);
	if (text == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(text, head, (size_t)n);
	base64_encode(kind, bytes_of(buf + FORM_HEADER, len), text + n);
	*out = bytes_of(text, (size_t)n + chars);
	return HF_OK;
}

static enum hf_err
read_binary(struct hf_bytes in, const char *what, enum hf_err err,
    struct versioned *out, struct hf_why *why)
{
	if (in.len < FORM_HEADER)
		return hf_fail(
		    why, err, "invalid %s: shorter than its version", what);
	out->version = get_u32(in.ptr);
	out->body = bytes_of(in.ptr + FORM_HEADER, in.len - FORM_HEADER);
	return HF_OK;
}

/* Decimal digits up to eight; false for anything else. */
static bool
read_number(struct hf_text t, uint64_t *out)
{
	uint64_t v = 0;

	if (t.len < 1 || t.len > 8)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		if (t.ptr[i] < '0' || t.ptr[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(t.ptr[i] - '0');
	}
	*out = v;
	return true;
}

static enum hf_err
read_text(struct arena *arena, struct hf_text in, const char *prefix,
    enum base64_kind kind, const char *what, enum hf_err err,
    struct versioned *out, struct hf_why *why)
{
	size_t skip = strlen(prefix);
	const char *colon;
	struct hf_text number, body;
	uint8_t *buf;

	if (!text_starts(in, text_of(prefix)) || in.len < skip + 2 ||
	    in.ptr[skip] != ':' || in.ptr[skip + 1] != 'v')
		return hf_fail(why, err, "invalid %s: no prefix", what);
	number.ptr = in.ptr + skip + 2;
	colon = memchr(number.ptr, ':', in.len - skip - 2);
	if (colon == NULL)
		return hf_fail(
		    why, err, "invalid %s: wrong number of fields", what);
	number.len = (size_t)(colon - number.ptr);
	if (!read_number(number, &out->version))
		return hf_fail(why, err,
		    "invalid %s: version number could not be decoded", what);
	body = (struct hf_text){ colon + 1,
		in.len - (size_t)(colon + 1 - in.ptr) };
	buf = arena_alloc(arena, body.len / 4 * 3 + 3);
	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (!base64_decode(kind, body, buf, &out->body.len))
		return hf_fail(
		    why, err, "invalid %s: could not decode base64", what);
	out->body.ptr = buf;
	return HF_OK;
}

enum hf_err
form_read(struct arena *arena, struct hf_bytes in, const char *prefix,
    enum base64_kind kind, const char *what, enum hf_err err,
    struct versioned *out, struct hf_why *why)
{
	enum hf_err got;

	if (in.len > 0 && in.ptr[0] == 0)
		got = read_binary(in, what, err, out, why);
	else
		got = read_text(arena,
		    (struct hf_text){ (const char *)in.ptr, in.len }, prefix,
		    kind, what, err, out, why);
	if (got == HF_OK && out->version == 0)
		out->version = 1;
	return got;
}
