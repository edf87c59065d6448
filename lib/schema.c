/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#include <cbor.h>
#include <stdio.h>

#include "bytes.h"
#include "context.h"
#include "name.h"

/* -- Reading: one CBOR item at a time, nothing allocated, nothing copied -- */

enum item_kind {
	ITEM_UINT,
	ITEM_BYTES,
	ITEM_TEXT,
	ITEM_ARRAY,
	ITEM_MAP,
	ITEM_BOOL,
	ITEM_OTHER, /* a definite item that no schema has: a number, null, ...
		     */
	ITEM_BAD,   /* indefinite lengths, tags */
};

struct item {
	enum item_kind kind;
	uint64_t value;     /* UINT, BOOL; ARRAY, MAP: items or pairs */
	const uint8_t *ptr; /* BYTES, TEXT: `value` bytes; else unspecified */
	size_t payload;     /* bytes after the head that belong to it */
};

struct reader {
	const uint8_t *p;
	size_t left;
};

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

/*
 * Reads the heads that requests are made of, in a third of the time that
 * libcbor takes for them: unsigned numbers, strings, arrays and maps with an
 * argument below 65536 in its shortest form. All else is libcbor's, and to say
 * what is wrong with it. False: this is not one of them.
 */
static bool
item_quick(struct reader *r, struct item *out)
{
	static const enum item_kind kinds[8] = { ITEM_UINT, ITEM_BAD,
		ITEM_BYTES, ITEM_TEXT, ITEM_ARRAY, ITEM_MAP, ITEM_BAD,
		ITEM_BAD };
	const uint8_t *p = r->p;
	size_t head = 1, value, payload;
	enum item_kind kind;

	if (r->left < 3)
		return false;
	kind = kinds[p[0] >> 5];
	value = p[0] & 31U;
	if (value == 24 && p[1] >= 24) {
		head = 2;
		value = p[1];
	} else if (value == 25 && p[1] != 0) {
		head = 3;
		value = (size_t)p[1] << 8 | p[2];
	} else if (value >= 24) {
		return false;
	}
	payload = kind == ITEM_BYTES || kind == ITEM_TEXT ? value : 0;
	if (kind == ITEM_BAD || payload > r->left - head)
		return false;
	out->kind = kind;
	out->value = value;
	out->ptr = p + head;
	out->payload = payload;
	r->p = p + head + payload;
	r->left -= head + payload;
	return true;
}

static __attribute__((noinline)) enum hf_err
item_by_libcbor(struct reader *r, struct item *out, struct hf_why *why)
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

static enum hf_err
item_next(struct reader *r, struct item *out, struct hf_why *why)
{
	return item_quick(r, out) ? HF_OK : item_by_libcbor(r, out, why);
}

/* Steps over one item of a reply that this version does not know. */
static enum hf_err
item_skip(struct reader *r, unsigned depth, struct hf_why *why)
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

/* -- Decoding by schema -- */

struct decode {
	struct reader r;
	struct arena *arena;
	struct hf_why *why;
	bool lenient; /* replies: unknown fields are stepped over */
	/* Where we are, for messages: "batch_input[3]." */
	const char *list;
	size_t index;
};

/* How much of a name goes into a message: whole characters of it. */
static int
name_length(const char *name, size_t len)
{
	size_t n = len > 64 ? 64 : len;

	while (n > 0 && n < len && ((unsigned char)name[n] & 0xc0) == 0x80)
		n--;
	return (int)n;
}

static enum hf_err
fail_at(const struct decode *d, enum hf_err err, const char *name, size_t len,
    const char *what)
{
	int n = name_length(name, len);

	if (d->list == NULL)
		return hf_fail(d->why, err, "%.*s: %s", n, name, what);
	return hf_fail(
	    d->why, err, "%s[%zu].%.*s: %s", d->list, d->index, n, name, what);
}

static enum hf_err
fail_field(const struct decode *d, enum hf_err err, const struct field *f,
    const char *what)
{
	return fail_at(d, err, f->name, strlen(f->name), what);
}

/* Whether `t` is one of "a|b|c". */
static bool
among(const char *values, struct hf_text t)
{
	while (*values != '\0') {
		size_t n = strcspn(values, "|");

		if (text_equal(t, (struct hf_text){ values, n }))
			return true;
		values += n;
		if (*values == '|')
			values++;
	}
	return false;
}

static enum hf_err
fail_values(const struct decode *d, const struct field *f)
{
	char what[200];

	(void)snprintf(what, sizeof(what), "must be one of %s", f->values);
	return fail_field(d, HF_ERR_BAD_VALUE, f, what);
}

static enum hf_err
check_text(const struct decode *d, const struct field *f, struct hf_text t)
{
	if (!utf8_valid(t))
		return fail_field(d, HF_ERR_BAD_TYPE, f, "not valid UTF-8");
	if (d->lenient)
		return HF_OK;
	if ((f->flags & (KEYNAME | NAME)) != 0 && !name_valid(t))
		return fail_field(
		    d, HF_ERR_BAD_NAME, f, hf_err_sentence(HF_ERR_BAD_NAME));
	if (f->values == NULL || among(f->values, t))
		return HF_OK;
	return fail_values(d, f);
}

static enum hf_err
fail_bounds(
    const struct decode *d, const struct field *f, uint64_t v, const char *unit)
{
	char what[120];

	(void)snprintf(what, sizeof(what), "%llu%s, must be %llu to %llu",
	    (unsigned long long)v, unit, (unsigned long long)f->min,
	    (unsigned long long)f->max);
	return fail_field(d, HF_ERR_OUT_OF_BOUNDS, f, what);
}

static enum hf_err
check_bounds(
    const struct decode *d, const struct field *f, uint64_t v, const char *unit)
{
	return v >= f->min && v <= f->max ? HF_OK : fail_bounds(d, f, v, unit);
}

static enum hf_err decode_map(
    struct decode *d, const struct schema *schema, void *out);

static enum hf_err
decode_scalar(struct decode *d, const struct field *f, uint8_t *at)
{
	struct item it;
	enum hf_err err = item_next(&d->r, &it, d->why);

	if (err != HF_OK)
		return err;
	if (f->kind == FIELD_BYTES) {
		if (it.kind != ITEM_BYTES)
			return fail_field(
			    d, HF_ERR_BAD_TYPE, f, "must be a byte string");
		*(struct hf_bytes *)(void *)at =
		    (struct hf_bytes){ it.ptr, (size_t)it.value };
		return check_bounds(d, f, it.value, " bytes");
	}
	if (f->kind == FIELD_TEXT) {
		struct hf_text t = { (const char *)it.ptr, (size_t)it.value };

		if (it.kind != ITEM_TEXT)
			return fail_field(
			    d, HF_ERR_BAD_TYPE, f, "must be a text string");
		*(struct hf_text *)(void *)at = t;
		if ((err = check_bounds(d, f, it.value, " bytes")) != HF_OK)
			return err;
		return check_text(d, f, t);
	}
	if (f->kind == FIELD_UINT || f->kind == FIELD_OPT) {
		if (it.kind != ITEM_UINT)
			return fail_field(d, HF_ERR_BAD_TYPE, f,
			    "must be an unsigned integer");
		if (f->kind == FIELD_UINT)
			*(uint64_t *)(void *)at = it.value;
		else
			*(struct hf_uint *)(void *)at =
			    (struct hf_uint){ it.value, true };
		return check_bounds(d, f, it.value, "");
	}
	if (it.kind != ITEM_BOOL)
		return fail_field(
		    d, HF_ERR_BAD_TYPE, f, "must be true or false");
	if (f->kind == FIELD_BOOL)
		*(bool *)(void *)at = it.value != 0;
	else
		*(enum hf_tri *)(void *)at = it.value ? HF_TRUE : HF_FALSE;
	return HF_OK;
}

/* Reads the head of an array and takes memory for its items. */
static enum hf_err
decode_list_head(struct decode *d, const struct field *f, size_t size,
    size_t *count, void **items)
{
	struct item it;
	enum hf_err err = item_next(&d->r, &it, d->why);

	if (err != HF_OK)
		return err;
	if (it.kind != ITEM_ARRAY)
		return fail_field(d, HF_ERR_BAD_TYPE, f, "must be an array");
	if (it.value > f->max)
		return check_bounds(d, f, it.value, " items");
	/* An item takes a byte at least: a lie about the count ends here. */
	if (it.value > d->r.left)
		return hf_fail(d->why, HF_ERR_BAD_MESSAGE,
		    "the message ends in the middle of %s", f->name);
	*count = (size_t)it.value;
	*items = arena_array(d->arena, *count, size);
	if (*items == NULL)
		return hf_fail(d->why, HF_ERR_TOO_LARGE,
		    "%s: more items than one request may hold", f->name);
	return HF_OK;
}

static enum hf_err
decode_list(struct decode *d, const struct field *f, uint8_t *base)
{
	const char *outer = d->list;
	size_t outer_index = d->index;
	size_t count;
	void *items;
	enum hf_err err = decode_list_head(d, f, f->item->size, &count, &items);

	if (err != HF_OK)
		return err;
	d->list = f->name;
	for (size_t i = 0; i < count; i++) {
		d->index = i;
		err = decode_map(
		    d, f->item, (uint8_t *)items + i * f->item->size);
		if (err != HF_OK)
			return err;
	}
	d->list = outer;
	d->index = outer_index;
	*(void **)(void *)(base + f->offset) = items;
	*(size_t *)(void *)(base + f->count_offset) = count;
	return HF_OK;
}

static enum hf_err
decode_texts(struct decode *d, const struct field *f, uint8_t *base)
{
	struct field each = *f;
	size_t count;
	void *items;
	enum hf_err err =
	    decode_list_head(d, f, sizeof(struct hf_text), &count, &items);

	if (err != HF_OK)
		return err;
	each.kind = FIELD_TEXT;
	each.max = 1024;
	for (size_t i = 0; i < count; i++) {
		err = decode_scalar(
		    d, &each, (uint8_t *)items + i * sizeof(struct hf_text));
		if (err != HF_OK)
			return err;
	}
	*(void **)(void *)(base + f->offset) = items;
	*(size_t *)(void *)(base + f->count_offset) = count;
	return HF_OK;
}

static enum hf_err
decode_string(struct decode *d, const struct field *f, struct hf_text *out)
{
	struct item it;
	enum hf_err err = item_next(&d->r, &it, d->why);

	if (err != HF_OK)
		return err;
	if (it.kind != ITEM_TEXT)
		return fail_field(d, HF_ERR_BAD_TYPE, f,
		    "must be a map of text strings to text strings");
	*out = (struct hf_text){ (const char *)it.ptr, (size_t)it.value };
	return HF_OK;
}

/* A context in whatever order: that it has a canonical form is what it takes
 * to be one. */
static enum hf_err
check_context(const struct decode *d, const struct field *f,
    const struct hf_pair *pairs, size_t count)
{
	uint8_t canonical[CONTEXT_BYTES];
	struct hf_why why = { "" };
	size_t len;
	enum hf_err err = context_encode(pairs, count, canonical, &len, &why);

	return err == HF_OK ? HF_OK : fail_field(d, err, f, why.text);
}

static enum hf_err
decode_pairs(struct decode *d, const struct field *f, uint8_t *base)
{
	struct item it;
	struct hf_pair *pairs;
	enum hf_err err = item_next(&d->r, &it, d->why);

	if (err != HF_OK)
		return err;
	if (it.kind != ITEM_MAP)
		return fail_field(d, HF_ERR_BAD_TYPE, f, "must be a map");
	if (it.value > f->max)
		return check_bounds(d, f, it.value, " pairs");
	pairs = arena_array(d->arena, (size_t)it.value, sizeof(*pairs));
	if (pairs == NULL)
		return hf_fail(d->why, HF_ERR_TOO_LARGE,
		    "%s: more than one request may hold", f->name);
	for (size_t i = 0; i < it.value; i++)
		if ((err = decode_string(d, f, &pairs[i].name)) != HF_OK ||
		    (err = decode_string(d, f, &pairs[i].value)) != HF_OK)
			return err;
	if ((err = check_context(d, f, pairs, (size_t)it.value)) != HF_OK)
		return err;
	*(void **)(void *)(base + f->offset) = pairs;
	*(size_t *)(void *)(base + f->count_offset) = (size_t)it.value;
	return HF_OK;
}

/* The row of that name, looked for from the row after the last one found. */
static const struct field *
field_find(const struct schema *schema, struct hf_text name, size_t *hint)
{
	for (size_t n = 0; n < schema->count; n++) {
		size_t i = *hint + n;

		if (i >= schema->count)
			i -= schema->count;
		if (text_is(name, schema->fields[i].name)) {
			*hint = i + 1 == schema->count ? 0 : i + 1;
			return &schema->fields[i];
		}
	}
	return NULL;
}

static enum hf_err
decode_field(struct decode *d, const struct schema *schema, uint8_t *base,
    uint64_t *seen, size_t *hint)
{
	struct item key;
	const struct field *f;
	enum hf_err err;
	uint64_t bit;

	if ((err = item_next(&d->r, &key, d->why)) != HF_OK)
		return err;
	if (key.kind != ITEM_TEXT)
		return hf_fail(d->why, HF_ERR_BAD_MESSAGE,
		    "a field name must be a text string");
	f = field_find(schema,
	    (struct hf_text){ (const char *)key.ptr, (size_t)key.value }, hint);
	if (f == NULL && d->lenient)
		return item_skip(&d->r, 8, d->why);
	if (f == NULL &&
	    !utf8_valid(
		(struct hf_text){ (const char *)key.ptr, (size_t)key.value }))
		return hf_fail(d->why, HF_ERR_BAD_MESSAGE,
		    "a field name is not valid UTF-8");
	if (f == NULL)
		return fail_at(d, HF_ERR_UNKNOWN_FIELD, (const char *)key.ptr,
		    (size_t)key.value, "the operation has no such field");
	bit = UINT64_C(1) << (f - schema->fields);
	if ((*seen & bit) != 0)
		return fail_field(d, HF_ERR_DUPLICATE_FIELD, f, "given twice");
	*seen |= bit;
	if (f->kind == FIELD_LIST)
		return decode_list(d, f, base);
	if (f->kind == FIELD_TEXTS)
		return decode_texts(d, f, base);
	if (f->kind == FIELD_PAIRS)
		return decode_pairs(d, f, base);
	return decode_scalar(d, f, base + f->offset);
}

static enum hf_err
decode_map(struct decode *d, const struct schema *schema, void *out)
{
	struct item map;
	uint64_t seen = 0;
	size_t hint = 0;
	enum hf_err err;

	memset(out, 0, schema->size);
	if ((err = item_next(&d->r, &map, d->why)) != HF_OK)
		return err;
	if (map.kind != ITEM_MAP)
		return d->list == NULL
		    ? hf_fail(d->why, HF_ERR_BAD_TYPE, "\"in\" must be a map")
		    : hf_fail(d->why, HF_ERR_BAD_TYPE, "%s[%zu] must be a map",
			  d->list, d->index);
	/* A wrong count runs into an unknown or repeated field, or the end. */
	for (uint64_t i = 0; i < map.value; i++)
		if ((err = decode_field(d, schema, out, &seen, &hint)) != HF_OK)
			return err;
	if (d->lenient)
		return HF_OK;
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		if ((f->flags & REQUIRED) != 0 &&
		    (seen & UINT64_C(1) << i) == 0)
			return fail_field(d, HF_ERR_MISSING_FIELD, f,
			    "is required and missing");
	}
	return HF_OK;
}

static enum hf_err
decode_whole(const struct schema *schema, struct hf_bytes in,
    struct arena *arena, bool lenient, void *out, struct hf_why *why)
{
	struct decode d = { .r = { in.ptr, in.len },
		.arena = arena,
		.why = why,
		.lenient = lenient };
	enum hf_err err = decode_map(&d, schema, out);

	if (err != HF_OK)
		return err;
	if (d.r.left != 0)
		return hf_fail(why, HF_ERR_BAD_MESSAGE,
		    "%zu bytes too many after the message", d.r.left);
	return HF_OK;
}

enum hf_err
schema_decode(const struct schema *schema, struct hf_bytes in,
    struct arena *arena, void *out, struct hf_why *why)
{
	return decode_whole(schema, in, arena, false, out, why);
}

/* -- Writing: counts what there is no room for -- */

struct writer {
	uint8_t *buf;
	size_t cap, len;
};

static void
put(struct writer *w, const void *p, size_t n)
{
	if (n <= w->cap && w->len <= w->cap - n && n > 0)
		memcpy(w->buf + w->len, p, n);
	w->len += n;
}

static void
put_head(struct writer *w, size_t (*encode)(size_t, unsigned char *, size_t),
    size_t v)
{
	unsigned char head[9];

	put(w, head, encode(v, head, sizeof(head)));
}

static void
put_uint(struct writer *w, uint64_t v)
{
	unsigned char head[9];

	put(w, head, cbor_encode_uint(v, head, sizeof(head)));
}

static void
put_bool(struct writer *w, bool v)
{
	unsigned char head[1];

	put(w, head, cbor_encode_bool(v, head, sizeof(head)));
}

static void
put_bytes(struct writer *w, struct hf_bytes b)
{
	put_head(w, cbor_encode_bytestring_start, b.len);
	put(w, b.ptr, b.len);
}

static void
put_text(struct writer *w, struct hf_text t)
{
	put_head(w, cbor_encode_string_start, t.len);
	put(w, t.ptr, t.len);
}

static enum hf_err
finish(const struct writer *w, size_t *len)
{
	*len = w->len;
	return w->len <= w->cap ? HF_OK : HF_ERR_BUFFER_TOO_SMALL;
}

/* -- Encoding by schema -- */

static const void *
member(const struct field *f, const void *base)
{
	return (const uint8_t *)base + f->offset;
}

static size_t
member_count(const struct field *f, const void *base)
{
	return *(const size_t *)(const void *)((const uint8_t *)base +
	    f->count_offset);
}

bool
field_present(const struct field *f, const void *base)
{
	const void *at = member(f, base);
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
	case FIELD_PAIRS:
		return always || *(void *const *)at != NULL;
	}
	return false;
}

static void encode_map(
    struct writer *w, const struct schema *schema, const void *in);

static void
encode_value(struct writer *w, const struct field *f, const void *base)
{
	const void *at = member(f, base);

	switch (f->kind) {
	case FIELD_BYTES:
		put_bytes(w, *(const struct hf_bytes *)at);
		break;
	case FIELD_TEXT:
		put_text(w, *(const struct hf_text *)at);
		break;
	case FIELD_UINT:
		put_uint(w, *(const uint64_t *)at);
		break;
	case FIELD_OPT:
		put_uint(w, ((const struct hf_uint *)at)->value);
		break;
	case FIELD_BOOL:
		put_bool(w, *(const bool *)at);
		break;
	case FIELD_TRI:
		put_bool(w, *(const enum hf_tri *)at == HF_TRUE);
		break;
	case FIELD_LIST: {
		const uint8_t *items = *(void *const *)at;
		size_t count = member_count(f, base);

		put_head(w, cbor_encode_array_start, count);
		for (size_t i = 0; i < count; i++)
			encode_map(w, f->item, items + i * f->item->size);
		break;
	}
	case FIELD_TEXTS: {
		const struct hf_text *items = *(void *const *)at;
		size_t count = member_count(f, base);

		put_head(w, cbor_encode_array_start, count);
		for (size_t i = 0; i < count; i++)
			put_text(w, items[i]);
		break;
	}
	case FIELD_PAIRS: {
		const struct hf_pair *pairs = *(void *const *)at;
		size_t count = member_count(f, base);

		put_head(w, cbor_encode_map_start, count);
		for (size_t i = 0; i < count; i++) {
			put_text(w, pairs[i].name);
			put_text(w, pairs[i].value);
		}
		break;
	}
	}
}

static void
encode_map(struct writer *w, const struct schema *schema, const void *in)
{
	size_t present = 0;

	for (size_t i = 0; i < schema->count; i++)
		present += field_present(&schema->fields[i], in);
	put_head(w, cbor_encode_map_start, present);
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		if (!field_present(f, in))
			continue;
		put_text(w, text_of(f->name));
		encode_value(w, f, in);
	}
}

enum hf_err
schema_encode(const struct schema *schema, const void *in, uint8_t *buf,
    size_t cap, size_t *len)
{
	struct writer w = { buf, cap, 0 };

	encode_map(&w, schema, in);
	return finish(&w, len);
}

/* -- The frame of requests and replies -- */

static const char not_a_request[] =
    "a request is a map of \"op\", \"in\", \"dry_run\" and "
    "\"idempotency_key\"";

static enum hf_err
open_text(
    struct reader *r, const char *name, struct hf_text *out, struct hf_why *why)
{
	struct item it;
	enum hf_err err;

	if ((err = item_next(r, &it, why)) != HF_OK)
		return err;
	if (it.kind != ITEM_TEXT)
		return hf_fail(why, HF_ERR_BAD_MESSAGE,
		    "\"%s\" must be a text string", name);
	*out = (struct hf_text){ (const char *)it.ptr, (size_t)it.value };
	return HF_OK;
}

static enum hf_err
open_bool(struct reader *r, const char *name, bool *out, struct hf_why *why)
{
	struct item it;
	enum hf_err err;

	if ((err = item_next(r, &it, why)) != HF_OK)
		return err;
	if (it.kind != ITEM_BOOL)
		return hf_fail(why, HF_ERR_BAD_MESSAGE,
		    "\"%s\" must be true or false", name);
	*out = it.value != 0;
	return HF_OK;
}

/* The last pair needs no walk: the decoder of the operation checks where it
 * ends. */
static enum hf_err
open_in(struct reader *r, bool last, struct hf_bytes *out, struct hf_why *why)
{
	const uint8_t *start = r->p;
	enum hf_err err;

	if (last) {
		*out = bytes_of(r->p, r->left);
		r->left = 0;
		return HF_OK;
	}
	if ((err = item_skip(r, 4, why)) != HF_OK)
		return err;
	*out = bytes_of(start, (size_t)(r->p - start));
	return HF_OK;
}

static enum hf_err
check_idempotency_key(struct hf_text key, struct hf_why *why)
{
	bool good = key.len >= 1 && key.len <= IDEMPOTENCY_KEY_MAX;

	for (size_t i = 0; i < key.len && good; i++)
		good = key.ptr[i] >= ' ' && key.ptr[i] <= '~';
	return good ? HF_OK
		    : hf_fail(why, HF_ERR_BAD_VALUE,
			  "idempotency_key must be 1 to %d printable ASCII "
			  "characters",
			  IDEMPOTENCY_KEY_MAX);
}

/* The parts of a request; each bit of `seen` is one of them. */
enum { PART_OP = 1, PART_IN = 2, PART_DRY_RUN = 4, PART_KEY = 8, PARTS = 4 };

static unsigned
part_of(const struct item *key)
{
	struct hf_text name = { (const char *)key->ptr, (size_t)key->value };

	if (key->kind != ITEM_TEXT)
		return 0;
	return text_is(name, "op")             ? PART_OP
	    : text_is(name, "in")              ? PART_IN
	    : text_is(name, "dry_run")         ? PART_DRY_RUN
	    : text_is(name, "idempotency_key") ? PART_KEY
					       : 0;
}

static enum hf_err
open_pair(struct reader *r, unsigned part, bool last, struct envelope *e,
    struct hf_why *why)
{
	struct hf_text *key = &e->options.idempotency_key;
	enum hf_err err;

	if (part == PART_OP)
		return open_text(r, "op", &e->op, why);
	if (part == PART_IN)
		return open_in(r, last, &e->in, why);
	if (part == PART_DRY_RUN)
		return open_bool(r, "dry_run", &e->options.dry_run, why);
	if ((err = open_text(r, "idempotency_key", key, why)) != HF_OK)
		return err;
	return check_idempotency_key(*key, why);
}

enum hf_err
envelope_open(struct hf_bytes message, struct envelope *out, struct hf_why *why)
{
	static const uint8_t empty_map[1] = { 0xa0 };
	struct reader r = { message.ptr, message.len };
	struct envelope e = { .in = { empty_map, 1 } };
	unsigned seen = 0;
	struct item it;
	enum hf_err err;
	uint64_t pairs;

	if ((err = item_next(&r, &it, why)) != HF_OK)
		return err;
	if (it.kind != ITEM_MAP || it.value < 1 || it.value > PARTS)
		return hf_fail(why, HF_ERR_BAD_MESSAGE, "%s", not_a_request);
	pairs = it.value;
	for (uint64_t i = 0; i < pairs; i++) {
		unsigned part;

		if ((err = item_next(&r, &it, why)) != HF_OK)
			return err;
		part = part_of(&it);
		if (part == 0 || (seen & part) != 0)
			return hf_fail(
			    why, HF_ERR_BAD_MESSAGE, "%s", not_a_request);
		seen |= part;
		if ((err = open_pair(&r, part, i + 1 == pairs, &e, why)) !=
		    HF_OK)
			return err;
	}
	if (r.left != 0)
		return hf_fail(why, HF_ERR_BAD_MESSAGE,
		    "%zu bytes too many after the message", r.left);
	if ((seen & PART_OP) == 0)
		return hf_fail(why, HF_ERR_BAD_MESSAGE, "\"op\" is missing");
	*out = e;
	return HF_OK;
}

enum hf_err
envelope_request_with(struct hf_text op, const struct envelope_options *options,
    const struct schema *schema, const void *in, uint8_t *buf, size_t cap,
    size_t *len)
{
	bool keyed = options->idempotency_key.ptr != NULL;
	struct writer w = { buf, cap, 0 };

	put_head(&w, cbor_encode_map_start, 2U + options->dry_run + keyed);
	put_text(&w, TEXT("op"));
	put_text(&w, op);
	if (options->dry_run) {
		put_text(&w, TEXT("dry_run"));
		put_bool(&w, true);
	}
	if (keyed) {
		put_text(&w, TEXT("idempotency_key"));
		put_text(&w, options->idempotency_key);
	}
	put_text(&w, TEXT("in"));
	encode_map(&w, schema, in);
	return finish(&w, len);
}

enum hf_err
envelope_request(struct hf_text op, const struct schema *schema, const void *in,
    uint8_t *buf, size_t cap, size_t *len)
{
	return envelope_request_with(
	    op, &(struct envelope_options){ 0 }, schema, in, buf, cap, len);
}

enum hf_err
envelope_part(struct hf_text part, const struct schema *schema,
    const void *value, uint8_t *buf, size_t cap, size_t *len)
{
	struct writer w = { buf, cap, 0 };

	put_head(&w, cbor_encode_map_start, 1);
	put_text(&w, part);
	encode_map(&w, schema, value);
	return finish(&w, len);
}

enum hf_err
envelope_reply(const struct schema *schema, const void *out, uint8_t *buf,
    size_t cap, size_t *len)
{
	return envelope_part(TEXT("out"), schema, out, buf, cap, len);
}

struct error_body {
	uint64_t code;
	struct hf_text name;
	struct hf_text message;
};

/* clang-format off */
SCHEMA(schema_error, error_body,
	F(error_body, "code",    code,    100, 599, PLAIN | ALWAYS, NULL, "status, as in HTTP"),
	F(error_body, "name",    name,    1, 64, PLAIN, NULL, "name of the error"),
	F(error_body, "message", message, 0, 1024, 0, NULL, "a sentence for a person"));
/* clang-format on */

enum hf_err
envelope_error(
    enum hf_err err, const char *message, uint8_t *buf, size_t cap, size_t *len)
{
	struct error_body body = {
		.code = hf_err_status(err),
		.name = text_of(hf_err_name(err)),
		.message =
		    text_of(message != NULL ? message : hf_err_sentence(err)),
	};

	return envelope_part(TEXT("err"), &schema_error, &body, buf, cap, len);
}

static enum hf_err
open_error(struct hf_bytes in, struct arena *arena, struct hf_why *why)
{
	struct error_body body;
	enum hf_err err =
	    decode_whole(&schema_error, in, arena, true, &body, NULL);

	if (err != HF_OK || body.name.ptr == NULL)
		return hf_fail(why, HF_ERR_BAD_REPLY, "%s",
		    hf_err_sentence(HF_ERR_BAD_REPLY));
	err = hf_err_by_name(body.name.ptr, body.name.len);
	return hf_fail(why, err, "%.*s", (int)body.message.len,
	    body.message.ptr == NULL ? "" : body.message.ptr);
}

static enum hf_err
bad_reply(struct hf_why *why)
{
	return hf_fail(
	    why, HF_ERR_BAD_REPLY, "%s", hf_err_sentence(HF_ERR_BAD_REPLY));
}

/* The one part that a reply is: what it is called, and its map. */
static enum hf_err
reply_part(struct hf_bytes message, struct hf_text *name, struct hf_bytes *map)
{
	struct reader r = { message.ptr, message.len };
	struct item head, key;

	if (item_next(&r, &head, NULL) != HF_OK || head.kind != ITEM_MAP ||
	    head.value != 1 || item_next(&r, &key, NULL) != HF_OK ||
	    key.kind != ITEM_TEXT)
		return HF_ERR_BAD_REPLY;
	*name = (struct hf_text){ (const char *)key.ptr, (size_t)key.value };
	*map = bytes_of(r.p, r.left);
	return HF_OK;
}

enum hf_err
envelope_open_part(struct hf_bytes message, struct hf_text part,
    const struct schema *schema, struct arena *arena, void *out)
{
	struct hf_text name;
	struct hf_bytes map;

	if (reply_part(message, &name, &map) != HF_OK ||
	    !text_equal(name, part) ||
	    decode_whole(schema, map, arena, true, out, NULL) != HF_OK)
		return HF_ERR_BAD_REPLY;
	return HF_OK;
}

enum hf_err
envelope_open_reply(struct hf_bytes message, const struct schema *schema,
    struct arena *arena, void *out, struct hf_why *why)
{
	struct hf_text name;
	struct hf_bytes map;

	if (reply_part(message, &name, &map) != HF_OK)
		return bad_reply(why);
	if (text_is(name, "err"))
		return open_error(map, arena, why);
	if (text_is(name, "dry_run"))
		return hf_fail(
		    why, HF_ERR_DRY_RUN, "%s", hf_err_sentence(HF_ERR_DRY_RUN));
	if (!text_is(name, "out") ||
	    decode_whole(schema, map, arena, true, out, NULL) != HF_OK)
		return bad_reply(why);
	return HF_OK;
}
