/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_MESSAGE_H
#define FAKE_MESSAGE_H

/*
 * Makes up the contents of any struct from its schema, and compares two of
 * them: for tests that hold for every row of the tables.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/arena.h"
#include "../../lib/bytes.h"
#include "../../lib/ops.h"

/* Numbers that repeat from run to run (Knuth's MMIX generator). */
static inline uint64_t
message_number(uint64_t *seed, uint64_t lo, uint64_t hi)
{
	uint64_t span = hi - lo + 1;

	*seed = *seed * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return lo + (span == 0 ? *seed >> 33 : (*seed >> 33) % span);
}

static inline void *
message_room(struct arena *arena, size_t len)
{
	void *p = arena_alloc(arena, len == 0 ? 1 : len);

	if (p == NULL)
		abort();
	return p;
}

/* One of "a|b|c". */
static inline struct hf_text
message_choice(const char *values, uint64_t *seed)
{
	unsigned count = 1;
	uint64_t pick;

	for (const char *p = values; *p != '\0'; p++)
		count += *p == '|';
	for (pick = message_number(seed, 0, count - 1); pick > 0; pick--)
		values = strchr(values, '|') + 1;
	return (struct hf_text){ values, strcspn(values, "|") };
}

static inline struct hf_text
message_text(
    const struct field *f, struct arena *arena, size_t len, uint64_t *seed)
{
	char *p = message_room(arena, len);

	for (size_t i = 0; i < len; i++)
		p[i] = (char)message_number(seed, 'a', 'z');
	if (f->values != NULL)
		return message_choice(f->values, seed);
	return (struct hf_text){ p, len };
}

static inline struct hf_bytes
message_bytes(struct arena *arena, size_t len, uint64_t *seed)
{
	uint8_t *p = message_room(arena, len);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)message_number(seed, 0, 255);
	return bytes_of(p, len);
}

static inline void message_fill(const struct schema *schema,
    struct arena *arena, bool all, uint64_t *seed, void *out);

static inline void
message_fill_list(const struct field *f, struct arena *arena, bool all,
    uint64_t *seed, uint8_t *base)
{
	size_t count = (size_t)message_number(seed, 1, 3);
	size_t size =
	    f->kind == FIELD_TEXTS ? sizeof(struct hf_text) : f->item->size;
	uint8_t *items = message_room(arena, count * size);

	for (size_t i = 0; i < count; i++) {
		if (f->kind == FIELD_LIST)
			message_fill(
			    f->item, arena, all, seed, items + i * size);
		else
			((struct hf_text *)(void *)items)[i] = message_text(f,
			    arena, (size_t)message_number(seed, 1, 12), seed);
	}
	*(void **)(void *)(base + f->offset) = items;
	*(size_t *)(void *)(base + f->count_offset) = count;
}

/* In canonical order, as names of growing length. */
static inline void
message_fill_pairs(
    const struct field *f, struct arena *arena, uint64_t *seed, uint8_t *base)
{
	static const struct field plain = { .max = 12 };
	size_t count = (size_t)message_number(seed, 0, 4);
	struct hf_pair *pairs =
	    message_room(arena, (count + 1) * sizeof(*pairs));

	for (size_t i = 0; i < count; i++) {
		pairs[i].name = message_text(&plain, arena, i + 1, seed);
		pairs[i].value = message_text(
		    &plain, arena, (size_t)message_number(seed, 0, 12), seed);
	}
	*(void **)(void *)(base + f->offset) = pairs;
	*(size_t *)(void *)(base + f->count_offset) = count;
}

static inline void
message_fill_field(const struct field *f, struct arena *arena, bool all,
    uint64_t *seed, uint8_t *base)
{
	void *at = base + f->offset;
	uint64_t most = f->max - f->min > 40 ? f->min + 40 : f->max;

	switch (f->kind) {
	case FIELD_BYTES:
		*(struct hf_bytes *)at = message_bytes(
		    arena, (size_t)message_number(seed, f->min, most), seed);
		break;
	case FIELD_TEXT:
		*(struct hf_text *)at = message_text(
		    f, arena, (size_t)message_number(seed, f->min, most), seed);
		break;
	case FIELD_UINT:
		*(uint64_t *)at = message_number(seed, f->min, f->max);
		break;
	case FIELD_OPT:
		*(struct hf_uint *)at =
		    (struct hf_uint){ message_number(seed, f->min, f->max),
			    true };
		break;
	case FIELD_BOOL:
		*(bool *)at = message_number(seed, 0, 1) != 0;
		break;
	case FIELD_TRI:
		*(enum hf_tri *)at =
		    message_number(seed, 0, 1) != 0 ? HF_TRUE : HF_FALSE;
		break;
	case FIELD_LIST:
	case FIELD_TEXTS:
		message_fill_list(f, arena, all, seed, base);
		break;
	case FIELD_PAIRS:
		message_fill_pairs(f, arena, seed, base);
		break;
	}
}

/* Fields within their bounds; `all` of them, or those that are required and a
 * random half of the others. */
static inline void
message_fill(const struct schema *schema, struct arena *arena, bool all,
    uint64_t *seed, void *out)
{
	memset(out, 0, schema->size);
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		if (all || (f->flags & REQUIRED) != 0 ||
		    message_number(seed, 0, 1) != 0)
			message_fill_field(f, arena, all, seed, out);
	}
}

static inline bool message_equal(
    const struct schema *schema, const void *a, const void *b);

static inline bool
message_equal_list(const struct field *f, const uint8_t *a, const uint8_t *b)
{
	size_t count = *(const size_t *)(const void *)(a + f->count_offset);
	const uint8_t *x = *(void *const *)(const void *)(a + f->offset);
	const uint8_t *y = *(void *const *)(const void *)(b + f->offset);
	bool always = (f->flags & (ALWAYS | REQUIRED)) != 0;

	if (*(const size_t *)(const void *)(b + f->count_offset) != count ||
	    (!always && (x == NULL) != (y == NULL)))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (f->kind == FIELD_LIST &&
		    !message_equal(
			f->item, x + i * f->item->size, y + i * f->item->size))
			return false;
		if (f->kind == FIELD_TEXTS &&
		    !text_equal(((const struct hf_text *)(const void *)x)[i],
			((const struct hf_text *)(const void *)y)[i]))
			return false;
	}
	return true;
}

static inline bool
message_equal_pairs(const struct field *f, const uint8_t *a, const uint8_t *b)
{
	size_t count = *(const size_t *)(const void *)(a + f->count_offset);
	const struct hf_pair *x =
	    *(const struct hf_pair *const *)(const void *)(a + f->offset);
	const struct hf_pair *y =
	    *(const struct hf_pair *const *)(const void *)(b + f->offset);

	if (*(const size_t *)(const void *)(b + f->count_offset) != count ||
	    (x == NULL) != (y == NULL))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!text_equal(x[i].name, y[i].name) ||
		    !text_equal(x[i].value, y[i].value))
			return false;
	return true;
}

static inline bool
message_equal_field(const struct field *f, const uint8_t *a, const uint8_t *b)
{
	const void *x = a + f->offset;
	const void *y = b + f->offset;

	switch (f->kind) {
	case FIELD_BYTES: {
		const struct hf_bytes *v = x, *w = y;

		return (v->ptr == NULL) == (w->ptr == NULL) &&
		    bytes_equal(*v, *w);
	}
	case FIELD_TEXT: {
		const struct hf_text *v = x, *w = y;

		return (v->ptr == NULL) == (w->ptr == NULL) &&
		    text_equal(*v, *w);
	}
	case FIELD_UINT:
		return *(const uint64_t *)x == *(const uint64_t *)y;
	case FIELD_OPT: {
		const struct hf_uint *v = x, *w = y;

		return v->present == w->present && v->value == w->value;
	}
	case FIELD_BOOL:
		return *(const bool *)x == *(const bool *)y;
	case FIELD_TRI:
		return *(const enum hf_tri *)x == *(const enum hf_tri *)y;
	case FIELD_LIST:
	case FIELD_TEXTS:
		return message_equal_list(f, a, b);
	case FIELD_PAIRS:
		return message_equal_pairs(f, a, b);
	}
	return false;
}

static inline bool
message_equal(const struct schema *schema, const void *a, const void *b)
{
	for (size_t i = 0; i < schema->count; i++)
		if (!message_equal_field(&schema->fields[i], a, b))
			return false;
	return true;
}

#endif
