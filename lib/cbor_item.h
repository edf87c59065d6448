/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_CBOR_ITEM_H
#define LIB_CBOR_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * CBOR (RFC 8949) one item at a time; the door to libcbor. Of it we take
 * definite lengths, heads in their shortest form (section 4.2.1), and no tags.
 */

/* -- Reading: nothing allocated, nothing copied -- */

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

/* What is left to read. */
struct item_reader {
	const uint8_t *p;
	size_t left;
};

/* What item_next() does where item_quick() does not. */
enum hf_err item_by_libcbor(
    struct item_reader *r, struct item *out, struct hf_why *why);

/*
 * Reads the heads that requests are made of, in a third of the time that
 * libcbor takes for them: unsigned numbers, strings, arrays and maps with an
 * argument below 65536 in its shortest form. All else is libcbor's, and to say
 * what is wrong with it. False: this is not one of them.
 */
static inline bool
item_quick(struct item_reader *r, struct item *out)
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

/*
 * The next item; of an array or a map its head, after which its items follow.
 * HF_ERR_BAD_MESSAGE with a sentence in `why` (may be NULL) for what is not
 * such CBOR, or not whole. Never reads outside of what the reader has.
 */
static inline enum hf_err
item_next(struct item_reader *r, struct item *out, struct hf_why *why)
{
	return item_quick(r, out) ? HF_OK : item_by_libcbor(r, out, why);
}

/* Steps over one item with all that is in it, `depth` levels at most. */
enum hf_err item_skip(
    struct item_reader *r, unsigned depth, struct hf_why *why);

/* -- Writing: what there is no room for is counted -- */

struct item_writer {
	uint8_t *buf;
	size_t cap, len; /* len may grow beyond cap: then nothing is written */
};

void item_put_uint(struct item_writer *w, uint64_t v);
void item_put_bool(struct item_writer *w, bool v);
void item_put_bytes(struct item_writer *w, struct hf_bytes b);
void item_put_text(struct item_writer *w, struct hf_text t);
/* Heads; `count` items, or pairs of items, are to follow. */
void item_put_array(struct item_writer *w, size_t count);
void item_put_map(struct item_writer *w, size_t count);

/* HF_ERR_BUFFER_TOO_SMALL when there was no room; *len, the bytes that it
 * takes, is told all the same. */
enum hf_err item_finish(const struct item_writer *w, size_t *len);

#endif
