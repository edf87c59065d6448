/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <inttypes.h>
#include <stdio.h>

#include "../lib/bytes.h"
#include "clean.h"
#include "value.h"

/* The first error sticks; what follows it adds nothing. */
struct json {
	struct buffer *out;
	enum hf_err err;
};

static void
put(struct json *j, const void *p, size_t len)
{
	if (j->err == HF_OK)
		j->err = buffer_add(j->out, bytes_of(p, len));
}

static void
put_literal(struct json *j, const char *s)
{
	put(j, s, strlen(s));
}

/* The text is valid UTF-8: the codec has seen to that. */
static void
put_text(struct json *j, struct hf_text t)
{
	size_t start = 0;

	put_literal(j, "\"");
	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.ptr[i];
		size_t control = clean_control(t, i);
		char escape[8];

		if (control == 0 && c != '"' && c != '\\')
			continue;
		put(j, t.ptr + start, i - start);
		if (control == 2) /* its code is its second byte */
			c = (unsigned char)t.ptr[++i];
		start = i + 1;
		if (c == '"' || c == '\\')
			(void)snprintf(escape, sizeof(escape), "\\%c", c);
		else if (c == '\n')
			(void)snprintf(escape, sizeof(escape), "\\n");
		else
			(void)snprintf(
			    escape, sizeof(escape), "\\u%04x", (unsigned)c);
		put_literal(j, escape);
	}
	if (start < t.len)
		put(j, t.ptr + start, t.len - start);
	put_literal(j, "\"");
}

static void
put_base64(struct json *j, struct hf_bytes b)
{
	size_t len = base64_length(BASE64_STD, b.len);
	size_t room = j->out->len + len + 2;

	put_literal(j, "\"");
	if (j->err == HF_OK && room > j->out->cap)
		j->err = buffer_reserve(j->out, 2 * room);
	if (j->err == HF_OK) {
		base64_encode(BASE64_STD, b, (char *)j->out->ptr + j->out->len);
		j->out->len += len;
	}
	put_literal(j, "\"");
}

static void
put_uint(struct json *j, uint64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, v);
	put_literal(j, text);
}

static void put_struct(
    struct json *j, const struct schema *schema, const void *value);

static void
put_items(struct json *j, const struct field *f, const void *base)
{
	const uint8_t *items = value_items(f, base);
	size_t count = field_count(f, base);

	put_literal(j, "[");
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			put_literal(j, ",");
		if (f->kind == FIELD_LIST)
			put_struct(j, f->item, items + i * f->item->size);
		else
			put_text(j,
			    ((const struct hf_text *)(const void *)items)[i]);
	}
	put_literal(j, "]");
}

static void
put_pairs(struct json *j, const struct field *f, const void *base)
{
	const struct hf_pair *pairs = (const void *)value_items(f, base);
	size_t count = field_count(f, base);

	put_literal(j, "{");
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			put_literal(j, ",");
		put_text(j, pairs[i].name);
		put_literal(j, ":");
		put_text(j, pairs[i].value);
	}
	put_literal(j, "}");
}

static void
put_bytes(struct json *j, const struct field *f, struct hf_bytes b)
{
	struct hf_text t = { (const char *)b.ptr, b.len };

	if ((f->flags & SEALED) != 0 && sealed_is_text(b) && utf8_valid(t))
		put_text(j, t);
	else
		put_base64(j, b);
}

static void
put_value(struct json *j, const struct field *f, const void *base)
{
	const void *at = field_at(f, base);

	switch (f->kind) {
	case FIELD_BYTES:
		put_bytes(j, f, *(const struct hf_bytes *)at);
		break;
	case FIELD_TEXT:
		put_text(j, *(const struct hf_text *)at);
		break;
	case FIELD_UINT:
		put_uint(j, *(const uint64_t *)at);
		break;
	case FIELD_OPT:
		put_uint(j, ((const struct hf_uint *)at)->value);
		break;
	case FIELD_BOOL:
		put_literal(j, *(const bool *)at ? "true" : "false");
		break;
	case FIELD_TRI:
		put_literal(
		    j, *(const enum hf_tri *)at == HF_TRUE ? "true" : "false");
		break;
	case FIELD_LIST:
	case FIELD_TEXTS:
		put_items(j, f, base);
		break;
	case FIELD_PAIRS:
		put_pairs(j, f, base);
		break;
	}
}

static void
put_struct(struct json *j, const struct schema *schema, const void *value)
{
	const char *comma = "";

	put_literal(j, "{");
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		if (!field_present(f, value))
			continue;
		put_literal(j, comma);
		put_text(j, text_of(f->name));
		put_literal(j, ":");
		put_value(j, f, value);
		comma = ",";
	}
	put_literal(j, "}");
}

enum hf_err
json_write(const struct schema *schema, const void *value, struct buffer *out)
{
	struct json j = { .out = out };

	put_struct(&j, schema, value);
	put_literal(&j, "\n");
	return j.err;
}
