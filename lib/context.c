/* SPDX-License-Identifier: Apache-2.0 */
#include "context.h"

#include <stdlib.h>

#include "bytes.h"

/* Initial bytes of CBOR: the major type in the upper three bits. */
enum { MAP = 0xa0, TEXT_STRING = 0x60, ONE_BYTE = 24, TWO_BYTES = 25 };

/* -- Writing -- */

static size_t
head_write(uint8_t *out, unsigned major, size_t v)
{
	if (v < ONE_BYTE) {
		out[0] = (uint8_t)(major | v);
		return 1;
	}
	if (v <= 0xff) {
		out[0] = (uint8_t)(major | ONE_BYTE);
		out[1] = (uint8_t)v;
		return 2;
	}
	out[0] = (uint8_t)(major | TWO_BYTES);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
	return 3;
}

static size_t
text_size(struct hf_text t)
{
	return (t.len < ONE_BYTE ? 1 : t.len <= 0xff ? 2 : 3) + t.len;
}

static size_t
text_write(uint8_t *out, struct hf_text t)
{
	size_t head = head_write(out, TEXT_STRING, t.len);

	if (t.len > 0)
		memcpy(out + head, t.ptr, t.len);
	return head + t.len;
}

/* The order of the encodings: the head, that is the length, comes first. */
static int
name_order(struct hf_text a, struct hf_text b)
{
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return memcmp(a.ptr, b.ptr, a.len);
}

static int
pair_order(const void *a, const void *b)
{
	const struct hf_pair *x = a, *y = b;

	return name_order(x->name, y->name);
}

static enum hf_err
pair_check(const struct hf_pair *pair, struct hf_why *why)
{
	if (pair->name.len == 0 || pair->name.len > CONTEXT_NAME_MAX)
		return hf_fail(why, HF_ERR_OUT_OF_BOUNDS,
		    "a name in a context takes 1 to %d bytes",
		    CONTEXT_NAME_MAX);
	if (pair->value.len > CONTEXT_VALUE_MAX)
		return hf_fail(why, HF_ERR_OUT_OF_BOUNDS,
		    "a value in a context takes up to %d bytes",
		    CONTEXT_VALUE_MAX);
	if (!utf8_valid(pair->name) || !utf8_valid(pair->value))
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "a context holds names and values in UTF-8");
	return HF_OK;
}

/* Puts `pairs` into `sorted`, checked. */
static enum hf_err
pairs_sort(const struct hf_pair *pairs, size_t count,
    struct hf_pair sorted[CONTEXT_PAIRS], struct hf_why *why)
{
	enum hf_err err;

	if (count > CONTEXT_PAIRS)
		return hf_fail(why, HF_ERR_OUT_OF_BOUNDS,
		    "a context has up to %d names", CONTEXT_PAIRS);
	for (size_t i = 0; i < count; i++) {
		if ((err = pair_check(&pairs[i], why)) != HF_OK)
			return err;
		sorted[i] = pairs[i];
	}
	qsort(sorted, count, sizeof(*sorted), pair_order);
	for (size_t i = 1; i < count; i++)
		if (text_equal(sorted[i - 1].name, sorted[i].name))
			return hf_fail(why, HF_ERR_DUPLICATE_FIELD,
			    "the context names '%.*s' twice",
			    (int)sorted[i].name.len, sorted[i].name.ptr);
	return HF_OK;
}

enum hf_err
context_encode(const struct hf_pair *pairs, size_t count,
    uint8_t out[CONTEXT_BYTES], size_t *len, struct hf_why *why)
{
	struct hf_pair sorted[CONTEXT_PAIRS];
	size_t at = 0;
	enum hf_err err;

	if (count > 0 && (err = pairs_sort(pairs, count, sorted, why)) != HF_OK)
		return err;
	if (count > 0)
		at = head_write(out, MAP, count);
	for (size_t i = 0; i < count; i++) {
		if (text_size(sorted[i].name) + text_size(sorted[i].value) >
		    CONTEXT_BYTES - at)
			return hf_fail(why, HF_ERR_OUT_OF_BOUNDS,
			    "the context is longer than %d bytes",
			    CONTEXT_BYTES);
		at += text_write(out + at, sorted[i].name);
		at += text_write(out + at, sorted[i].value);
	}
	*len = at;
	return HF_OK;
}

/* -- Reading -- */

/* Takes a head of that type in its shortest form. */
static bool
head_read(struct hf_bytes *in, unsigned major, size_t *v)
{
	unsigned more, kind;

	if (in->len == 0 || (in->ptr[0] & 0xe0) != major)
		return false;
	kind = in->ptr[0] & 0x1f;
	if (kind > TWO_BYTES)
		return false;
	more = kind < ONE_BYTE ? 0 : kind - ONE_BYTE + 1;
	if (in->len < 1 + more)
		return false;
	*v = more == 0  ? kind
	    : more == 1 ? in->ptr[1]
			: (size_t)in->ptr[1] << 8 | in->ptr[2];
	if ((more == 1 && *v < ONE_BYTE) || (more == 2 && *v <= 0xff))
		return false;
	*in = bytes_of(in->ptr + 1 + more, in->len - 1 - more);
	return true;
}

static bool
text_read(struct hf_bytes *in, struct hf_text *out)
{
	size_t len;

	if (!head_read(in, TEXT_STRING, &len) || len > in->len)
		return false;
	*out = (struct hf_text){ (const char *)in->ptr, len };
	*in = bytes_of(in->ptr + len, in->len - len);
	return true;
}

static enum hf_err
not_canonical(struct hf_why *why)
{
	return hf_fail(why, HF_ERR_BAD_MESSAGE,
	    "the context is not a map of strings in canonical CBOR");
}

enum hf_err
context_decode(struct hf_bytes in, struct hf_pair out[CONTEXT_PAIRS],
    size_t *count, struct hf_why *why)
{
	size_t pairs = 0;

	if (in.len > CONTEXT_BYTES)
		return not_canonical(why);
	if (in.len > 0 &&
	    (!head_read(&in, MAP, &pairs) || pairs == 0 ||
		pairs > CONTEXT_PAIRS))
		return not_canonical(why);
	for (size_t i = 0; i < pairs; i++) {
		if (!text_read(&in, &out[i].name) ||
		    !text_read(&in, &out[i].value) ||
		    pair_check(&out[i], NULL) != HF_OK)
			return not_canonical(why);
		if (i > 0 && name_order(out[i - 1].name, out[i].name) >= 0)
			return not_canonical(why);
	}
	if (in.len > 0)
		return not_canonical(why);
	*count = pairs;
	return HF_OK;
}

const struct hf_text *
context_value(const struct hf_pair *pairs, size_t count, struct hf_text name)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal(pairs[i].name, name))
			return &pairs[i].value;
	return NULL;
}
