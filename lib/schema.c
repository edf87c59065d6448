/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "context.h"
#include "name.h"

enum {
	UNKNOWN_DEPTH = 8,   /* of a field of a newer version */
	TEXTS_LONGEST = 1024 /* bytes of each text of FIELD_TEXTS */
};

/* -- Decoding -- */

struct decode {
	struct item_reader r;
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
	each.max = TEXTS_LONGEST;
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
		return item_skip(&d->r, UNKNOWN_DEPTH, d->why);
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
schema_decode_reply(const struct schema *schema, struct hf_bytes in,
    struct arena *arena, void *out)
{
	return decode_whole(schema, in, arena, true, out, NULL);
}

enum hf_err
schema_decode(const struct schema *schema, struct hf_bytes in,
    struct arena *arena, void *out, struct hf_why *why)
{
	return decode_whole(schema, in, arena, false, out, why);
}

/* -- Encoding -- */

bool
field_present(const struct field *f, const void *base)
{
	const void *at = field_at(f, base);
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

static void
encode_value(struct item_writer *w, const struct field *f, const void *base)
{
	const void *at = field_at(f, base);

	switch (f->kind) {
	case FIELD_BYTES:
		item_put_bytes(w, *(const struct hf_bytes *)at);
		break;
	case FIELD_TEXT:
		item_put_text(w, *(const struct hf_text *)at);
		break;
	case FIELD_UINT:
		item_put_uint(w, *(const uint64_t *)at);
		break;
	case FIELD_OPT:
		item_put_uint(w, ((const struct hf_uint *)at)->value);
		break;
	case FIELD_BOOL:
		item_put_bool(w, *(const bool *)at);
		break;
	case FIELD_TRI:
		item_put_bool(w, *(const enum hf_tri *)at == HF_TRUE);
		break;
	case FIELD_LIST: {
		const uint8_t *items = *(void *const *)at;
		size_t count = field_count(f, base);

		item_put_array(w, count);
		for (size_t i = 0; i < count; i++)
			schema_put(w, f->item, items + i * f->item->size);
		break;
	}
	case FIELD_TEXTS: {
		const struct hf_text *items = *(void *const *)at;
		size_t count = field_count(f, base);

		item_put_array(w, count);
		for (size_t i = 0; i < count; i++)
			item_put_text(w, items[i]);
		break;
	}
	case FIELD_PAIRS: {
		const struct hf_pair *pairs = *(void *const *)at;
		size_t count = field_count(f, base);

		item_put_map(w, count);
		for (size_t i = 0; i < count; i++) {
			item_put_text(w, pairs[i].name);
			item_put_text(w, pairs[i].value);
		}
		break;
	}
	}
}

void
schema_put(struct item_writer *w, const struct schema *schema, const void *in)
{
	size_t present = 0;

	for (size_t i = 0; i < schema->count; i++)
		present += field_present(&schema->fields[i], in);
	item_put_map(w, present);
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		if (!field_present(f, in))
			continue;
		item_put_text(w, text_of(f->name));
		encode_value(w, f, in);
	}
}

enum hf_err
schema_encode(const struct schema *schema, const void *in, uint8_t *buf,
    size_t cap, size_t *len)
{
	struct item_writer w = { buf, cap, 0 };

	schema_put(&w, schema, in);
	return item_finish(&w, len);
}
