/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two decoders on the same bytes: what ours takes as a request libcbor must
 * read too, whole, and find in it the same values. Ours is stricter: what it
 * refuses is not asked about.
 */
#include <cbor.h>

#include "../../lib/envelope.h"
#include "../fake/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t encoded[1 << 20];

static cbor_item_t *
load(struct hf_bytes in)
{
	struct cbor_load_result result;
	cbor_item_t *item = cbor_load(in.ptr, in.len, &result);

	if (item == NULL || result.read != in.len)
		abort();
	return item;
}

static bool same(const cbor_item_t *a, const cbor_item_t *b);

/* What an absent field means may be said, or left out. */
static bool
is_nothing(const cbor_item_t *item)
{
	switch (cbor_typeof(item)) {
	case CBOR_TYPE_UINT:
		return cbor_get_int(item) == 0;
	case CBOR_TYPE_BYTESTRING:
		return cbor_bytestring_length(item) == 0;
	case CBOR_TYPE_STRING:
		return cbor_string_length(item) == 0;
	case CBOR_TYPE_ARRAY:
		return cbor_array_size(item) == 0;
	case CBOR_TYPE_MAP:
		return cbor_map_size(item) == 0;
	case CBOR_TYPE_FLOAT_CTRL:
		return cbor_is_bool(item) && !cbor_get_bool(item);
	case CBOR_TYPE_NEGINT:
	case CBOR_TYPE_TAG:
		break;
	}
	return false;
}

/* Each pair of `a` is in `b`, or says nothing. */
static bool
within(const cbor_item_t *a, const cbor_item_t *b)
{
	const struct cbor_pair *x = cbor_map_handle(a), *y = cbor_map_handle(b);

	for (size_t i = 0; i < cbor_map_size(a); i++) {
		size_t k = 0;

		while (k < cbor_map_size(b) && !same(x[i].key, y[k].key))
			k++;
		if (k == cbor_map_size(b) ? !is_nothing(x[i].value)
					  : !same(x[i].value, y[k].value))
			return false;
	}
	return true;
}

static bool
same_items(const cbor_item_t *a, const cbor_item_t *b)
{
	if (cbor_array_size(a) != cbor_array_size(b))
		return false;
	for (size_t i = 0; i < cbor_array_size(a); i++)
		if (!same(cbor_array_handle(a)[i], cbor_array_handle(b)[i]))
			return false;
	return true;
}

static bool
same(const cbor_item_t *a, const cbor_item_t *b)
{
	if (cbor_typeof(a) != cbor_typeof(b))
		return false;
	switch (cbor_typeof(a)) {
	case CBOR_TYPE_UINT:
		return cbor_get_int(a) == cbor_get_int(b);
	case CBOR_TYPE_BYTESTRING:
		return bytes_equal(bytes_of(cbor_bytestring_handle(a),
				       cbor_bytestring_length(a)),
		    bytes_of(
			cbor_bytestring_handle(b), cbor_bytestring_length(b)));
	case CBOR_TYPE_STRING:
		return bytes_equal(
		    bytes_of(cbor_string_handle(a), cbor_string_length(a)),
		    bytes_of(cbor_string_handle(b), cbor_string_length(b)));
	case CBOR_TYPE_ARRAY:
		return same_items(a, b);
	case CBOR_TYPE_MAP:
		return within(a, b) && within(b, a);
	case CBOR_TYPE_FLOAT_CTRL:
		return cbor_is_bool(a) && cbor_is_bool(b) &&
		    cbor_get_bool(a) == cbor_get_bool(b);
	case CBOR_TYPE_NEGINT:
	case CBOR_TYPE_TAG:
		break;
	}
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *arena;
	const struct op *op;
	struct envelope e;
	size_t len;
	void *in;

	if (size > 65536)
		return 0;
	if (arena == NULL && arena_new(1 << 16, 16 << 20, &arena) != HF_OK)
		abort();
	arena_reset(arena);
	if (envelope_open(bytes_of(data, size), &e, NULL) != HF_OK ||
	    (op = op_by_name(e.op)) == NULL)
		return 0;
	in = message_room(arena, op->in->size);
	if (schema_decode(op->in, e.in, arena, in, NULL) != HF_OK)
		return 0;
	if (envelope_request_with(e.op, &e.options, op->in, in, encoded,
		sizeof(encoded), &len) != HF_OK)
		abort();

	cbor_item_t *theirs = load(bytes_of(data, size));
	cbor_item_t *ours = load(bytes_of(encoded, len));

	if (!same(theirs, ours))
		abort();
	cbor_decref(&theirs);
	cbor_decref(&ours);
	return 0;
}
