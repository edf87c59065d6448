/* SPDX-License-Identifier: Apache-2.0 */
#include "cbor_item.h"

#include <cbor.h>
#include <string.h>

/* -- Reading -- */

static void
on_uint8(void *ctx, uint8_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_UINT, .value = v };
}

static void
on_uint16(void *ctx, uint16_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_UINT, .value = v };
}

static void
on_uint32(void *ctx, uint32_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_UINT, .value = v };
}

static void
on_uint64(void *ctx, uint64_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_UINT, .value = v };
}

static void
on_nint8(void *ctx, uint8_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_OTHER, .value = v };
}

static void
on_nint16(void *ctx, uint16_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_OTHER, .value = v };
}

static void
on_nint32(void *ctx, uint32_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_OTHER, .value = v };
}

static void
on_nint64(void *ctx, uint64_t v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_OTHER, .value = v };
}

static void
on_bytes(void *ctx, cbor_data p, size_t len)
{
	*(struct item *)ctx = (struct item){
		.kind = ITEM_BYTES, .value = len, .ptr = p, .payload = len
	};
}

static void
on_text(void *ctx, cbor_data p, size_t len)
{
	*(struct item *)ctx = (struct item){
		.kind = ITEM_TEXT, .value = len, .ptr = p, .payload = len
	};
}

static void
on_array(void *ctx, size_t count)
{
	*(struct item *)ctx =
	    (struct item){ .kind = ITEM_ARRAY, .value = count };
}

static void
on_map(void *ctx, size_t count)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_MAP, .value = count };
}

static void
on_bool(void *ctx, bool v)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_BOOL, .value = v };
}

static void
on_simple(void *ctx)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_OTHER };
}

static void
on_float(void *ctx, float v)
{
	(void)v;
	on_simple(ctx);
}

static void
on_double(void *ctx, double v)
{
	(void)v;
	on_simple(ctx);
}

static void
on_bad(void *ctx)
{
	*(struct item *)ctx = (struct item){ .kind = ITEM_BAD };
}

static void
on_tag(void *ctx, uint64_t v)
{
	(void)v;
	on_bad(ctx);
}

static const struct cbor_callbacks callbacks = {
	.uint8 = on_uint8,
	.uint16 = on_uint16,
	.uint32 = on_uint32,
	.uint64 = on_uint64,
	.negint8 = on_nint8,
	.negint16 = on_nint16,
	.negint32 = on_nint32,
	.negint64 = on_nint64,
	.byte_string = on_bytes,
	.byte_string_start = on_bad,
	.string = on_text,
	.string_start = on_bad,
	.array_start = on_array,
	.indef_array_start = on_bad,
	.map_start = on_map,
	.indef_map_start = on_bad,
	.tag = on_tag,
	.float2 = on_float,
	.float4 = on_float,
	.float8 = on_double,
	.undefined = on_simple,
	.null = on_simple,
	.boolean = on_bool,
	.indef_break = on_bad,
};

/* Bytes that a head with this argument takes in its shortest form. */
static size_t
head_size(uint64_t v)
{
	return v < 24         ? 1
	    : v <= 0xff       ? 2
	    : v <= 0xffff     ? 3
	    : v <= 0xffffffff ? 5
			      : 9;
}

enum hf_err
item_by_libcbor(struct item_reader *r, struct item *out, struct hf_why *why)
{
	struct cbor_decoder_result res;

	*out = (struct item){ .kind = ITEM_BAD };
	res = cbor_stream_decode(r->p, r->left, &callbacks, out);
	if (res.status == CBOR_DECODER_NEDATA)
		return hf_fail(why, HF_ERR_BAD_MESSAGE,
		    "the message ends in the middle of an item");
	if (res.status != CBOR_DECODER_FINISHED || out->kind == ITEM_BAD)
		return hf_fail(why, HF_ERR_BAD_MESSAGE,
		    "the message is not CBOR of definite length without tags");
	if (out->kind <= ITEM_MAP &&
	    res.read - out->payload != head_size(out->value))
		return hf_fail(why, HF_ERR_BAD_MESSAGE,
		    "a number or length is not in its shortest form "
		    "(RFC 8949, 4.2.1)");
	r->p += res.read;
	r->left -= res.read;
	return HF_OK;
}

enum hf_err
item_skip(struct item_reader *r, unsigned depth, struct hf_why *why)
{
	struct item it;
	enum hf_err err = item_next(r, &it, why);
	uint64_t inner;

	if (err != HF_OK)
		return err;
	if (it.kind != ITEM_ARRAY && it.kind != ITEM_MAP)
		return HF_OK;
	if (depth == 0 || it.value > r->left)
		return hf_fail(why, HF_ERR_BAD_MESSAGE, "nested too deep");
	inner = it.kind == ITEM_MAP ? 2 * it.value : it.value;
	for (uint64_t i = 0; i < inner; i++)
		if ((err = item_skip(r, depth - 1, why)) != HF_OK)
			return err;
	return HF_OK;
}

/* -- Writing -- */

static void
put(struct item_writer *w, const void *p, size_t n)
{
	if (n <= w->cap && w->len <= w->cap - n && n > 0)
		memcpy(w->buf + w->len, p, n);
	w->len += n;
}

static void
put_head(struct item_writer *w,
    size_t (*encode)(size_t, unsigned char *, size_t), size_t v)
{
	unsigned char head[9];

	put(w, head, encode(v, head, sizeof(head)));
}

void
item_put_uint(struct item_writer *w, uint64_t v)
{
	unsigned char head[9];

	put(w, head, cbor_encode_uint(v, head, sizeof(head)));
}

void
item_put_bool(struct item_writer *w, bool v)
{
	unsigned char head[1];

	put(w, head, cbor_encode_bool(v, head, sizeof(head)));
}

void
item_put_bytes(struct item_writer *w, struct hf_bytes b)
{
	put_head(w, cbor_encode_bytestring_start, b.len);
	put(w, b.ptr, b.len);
}

void
item_put_text(struct item_writer *w, struct hf_text t)
{
	put_head(w, cbor_encode_string_start, t.len);
	put(w, t.ptr, t.len);
}

void
item_put_array(struct item_writer *w, size_t count)
{
	put_head(w, cbor_encode_array_start, count);
}

void
item_put_map(struct item_writer *w, size_t count)
{
	put_head(w, cbor_encode_map_start, count);
}

enum hf_err
item_finish(const struct item_writer *w, size_t *len)
{
	*len = w->len;
	return w->len <= w->cap ? HF_OK : HF_ERR_BUFFER_TOO_SMALL;
}
