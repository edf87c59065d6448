/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_SCHEMA_H
#define LIB_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "arena.h"
#include "cbor_item.h"
#include "context.h"

/*
 * A schema says how a plain C struct stands as a CBOR map (RFC 8949): one row
 * a field. The C type of the member decides the wire type, so the two cannot
 * disagree. The same rows drive decoding, bounds, encoding, wiping, the audit
 * line, the command line and the documents.
 *
 * On the wire: definite lengths, heads in their shortest form (section 4.2.1),
 * every key at most once and known; the order is free. Encoding writes the
 * order of the rows and leaves out absent optional fields.
 */
enum field_kind {
	FIELD_BYTES, /* struct hf_bytes  bstr */
	FIELD_TEXT,  /* struct hf_text   tstr */
	FIELD_UINT,  /* uint64_t         uint */
	FIELD_OPT,   /* struct hf_uint   uint, may be absent */
	FIELD_BOOL,  /* bool             bool */
	FIELD_TRI,   /* enum hf_tri      bool, may be absent */
	FIELD_LIST,  /* T *x; size_t x_count    [* map of the item schema] */
	FIELD_TEXTS, /* struct hf_text *x; size_t x_count    [* tstr] */
	FIELD_PAIRS, /* struct hf_pair *x; size_t x_count    {* tstr => tstr} */
};

enum field_flag {
	REQUIRED = 1, /* absent is an error */
	SECRET = 2,   /* wiped after use; the audit tells its length only */
	PLAIN = 4,    /* the audit tells it in clear; others are hashed */
	KEYNAME = 8,  /* stands for {name} in the path; checked as a name */
	NAME = 16,    /* a name, checked as one, but not in the path */
	DATA = 32,    /* the command line reads or writes it as a file */
	ALWAYS = 64,  /* encoded even when it is zero or empty */
	HIDDEN = 128, /* no command line option: a command gives it itself */
	SEALED = 256, /* a ciphertext, signature or MAC: binary or text form */
	TIME = 512,   /* seconds since 1970-01-01 UTC */
	SECONDS = 1024, /* a stretch of time */
	CONTEXT = 2048, /* the context that policy and the audit speak about */
};

struct schema;

struct field {
	const char *name;
	enum field_kind kind;
	unsigned flags;
	size_t offset;
	size_t count_offset;       /* lists: where the number of items is */
	uint64_t min, max;         /* bytes, value, or number of items */
	const char *values;        /* FIELD_TEXT: "a|b|c", or NULL for any */
	const struct schema *item; /* FIELD_LIST */
	const char *doc;           /* half a sentence */
	const char *option; /* on the command line; NULL: the name, with "-" */
};

struct schema {
	const char *name;
	size_t size; /* of the struct */
	const struct field *fields;
	size_t count;
};

#define FIELD_KIND(type, member)                      \
	_Generic(((type *)0)->member, struct hf_bytes \
		 : FIELD_BYTES, struct hf_text        \
		 : FIELD_TEXT, uint64_t               \
		 : FIELD_UINT, struct hf_uint         \
		 : FIELD_OPT, _Bool                   \
		 : FIELD_BOOL, enum hf_tri            \
		 : FIELD_TRI)

/* F(struct, "wire name", member, min, max, flags, "a|b" or NULL, doc) */
#define F(type, wire, member, lo, hi, flag, vals, text)                   \
	{                                                                 \
		.name = (wire), .kind = FIELD_KIND(struct type, member),  \
		.flags = (flag), .offset = offsetof(struct type, member), \
		.min = (lo), .max = (hi), .values = (vals), .doc = (text) \
	}

/* F_AS(...): the same, with another name on the command line. */
#define F_AS(type, wire, member, lo, hi, flag, vals, text, as)             \
	{                                                                  \
		.name = (wire), .kind = FIELD_KIND(struct type, member),   \
		.flags = (flag), .offset = offsetof(struct type, member),  \
		.min = (lo), .max = (hi), .values = (vals), .doc = (text), \
		.option = (as)                                             \
	}

/* LIST(struct, "wire name", member, max items, item schema, flags, doc) */
#define LIST(type, wire, member, hi, of, flag, text)                   \
	{                                                              \
		.name = (wire), .kind = FIELD_LIST, .flags = (flag),   \
		.offset = offsetof(struct type, member),               \
		.count_offset = offsetof(struct type, member##_count), \
		.max = (hi), .item = (of), .doc = (text)               \
	}

/* TEXTS(struct, "wire name", member, max items, flags, doc): each 1..1024 */
#define TEXTS(type, wire, member, hi, flag, text)                      \
	{                                                              \
		.name = (wire), .kind = FIELD_TEXTS, .flags = (flag),  \
		.offset = offsetof(struct type, member),               \
		.count_offset = offsetof(struct type, member##_count), \
		.max = (hi), .doc = (text)                             \
	}

/* PAIRS(struct, "wire name", member, flags, doc, option): a context */
#define PAIRS(type, wire, member, flag, text, as)                      \
	{                                                              \
		.name = (wire), .kind = FIELD_PAIRS, .flags = (flag),  \
		.offset = offsetof(struct type, member),               \
		.count_offset = offsetof(struct type, member##_count), \
		.max = CONTEXT_PAIRS, .doc = (text), .option = (as)    \
	}

/* Decoding marks in 64 bits which fields it has seen. */
#define SCHEMA_FIELDS(var, ...)                                           \
	static const struct field var##_fields[] = { __VA_ARGS__ };       \
	_Static_assert(sizeof(var##_fields) / sizeof(struct field) <= 64, \
	    "a schema has 64 fields at most")
#define SCHEMA_BODY(var, type)                                  \
	{                                                       \
#type, sizeof(struct type), var##_fields,       \
		    sizeof(var##_fields) / sizeof(struct field) \
	}

/* SCHEMA(variable, struct, rows...); SCHEMA_PUBLIC for one that others name. */
#define SCHEMA(var, type, ...)           \
	SCHEMA_FIELDS(var, __VA_ARGS__); \
	static const struct schema var = SCHEMA_BODY(var, type)
#define SCHEMA_PUBLIC(var, type, ...)    \
	SCHEMA_FIELDS(var, __VA_ARGS__); \
	const struct schema var = SCHEMA_BODY(var, type)

/*
 * Decodes the one map that `in` must be, to its last byte. `out` (schema->size
 * bytes) is zeroed first. Bytes and text are views into `in`; lists come from
 * the arena. On an error `out` is unspecified and `why` names the field, as in
 * "batch_input[3].plaintext". Never reads outside `in`, whatever it holds.
 */
enum hf_err schema_decode(const struct schema *schema, struct hf_bytes in,
    struct arena *arena, void *out, struct hf_why *why);

/*
 * The same for a reply, whose service may be of another version: fields that
 * this one does not know are stepped over, none is required, and texts may be
 * other words than those of the row. Kinds and bounds hold.
 */
enum hf_err schema_decode_reply(const struct schema *schema, struct hf_bytes in,
    struct arena *arena, void *out);

/*
 * Encodes `in` as one map into `buf`. `*len` gets the bytes needed, also when
 * `cap` is smaller; then nothing useful was written and the error is
 * HF_ERR_BUFFER_TOO_SMALL. `buf` may be NULL when `cap` is 0.
 */
enum hf_err schema_encode(const struct schema *schema, const void *in,
    uint8_t *buf, size_t cap, size_t *len);

/* The same after what was written before. */
void schema_put(
    struct item_writer *w, const struct schema *schema, const void *in);

/* The member of `base` (a struct of the field's schema), and of one that is a
 * list its number of items. */
static inline const void *
field_at(const struct field *f, const void *base)
{
	return (const uint8_t *)base + f->offset;
}

static inline size_t
field_count(const struct field *f, const void *base)
{
	return *(const size_t *)(const void *)((const uint8_t *)base +
	    f->count_offset);
}

/* Whether a member of `base` (a struct of the field's schema) is encoded: an
 * absent or zero one is left out, unless its row says REQUIRED or ALWAYS. */
bool field_present(const struct field *f, const void *base);

#endif
