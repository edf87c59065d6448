/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_ENVELOPE_H
#define LIB_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "arena.h"
#include "schema.h"

/*
 * What is around the input and the result of an operation (docs/protocol.md):
 *	{"op": tstr, "in": map, "dry_run": bool, "idempotency_key": tstr}
 *	{"out": map} / {"err": {...}} / {"dry_run": {...}}
 * envelope_open finds the parts of a request without looking into "in".
 */
struct envelope_options {
	bool dry_run;
	struct hf_text idempotency_key; /* absent: none */
};

struct envelope {
	struct hf_text op;
	struct hf_bytes in; /* the CBOR map; absent "in" gives an empty map */
	struct envelope_options options;
};

/* Bytes of an idempotency key: printable ASCII. */
enum { IDEMPOTENCY_KEY_MAX = 64 };

enum hf_err envelope_open(
    struct hf_bytes message, struct envelope *out, struct hf_why *why);

/* Writes {"op": op, "in": <in of schema>}; sizes as schema_encode. */
enum hf_err envelope_request(struct hf_text op, const struct schema *schema,
    const void *in, uint8_t *buf, size_t cap, size_t *len);

/* The same with what applies to any operation. */
enum hf_err envelope_request_with(struct hf_text op,
    const struct envelope_options *options, const struct schema *schema,
    const void *in, uint8_t *buf, size_t cap, size_t *len);

/* Writes {"out": <out of schema>}; sizes as schema_encode. */
enum hf_err envelope_reply(const struct schema *schema, const void *out,
    uint8_t *buf, size_t cap, size_t *len);

/* Writes {part: <value of schema>}, and opens one: HF_ERR_BAD_REPLY for
 * anything else. */
enum hf_err envelope_part(struct hf_text part, const struct schema *schema,
    const void *value, uint8_t *buf, size_t cap, size_t *len);
enum hf_err envelope_open_part(struct hf_bytes message, struct hf_text part,
    const struct schema *schema, struct arena *arena, void *out);

/* Bytes that are enough for any error: sentences are those of err.def and of
 * struct hf_why. */
enum { ENVELOPE_ERROR_MAX = 512 };

/*
 * Writes {"err": {"code", "name", "message"}}. `message` NULL: the sentence of
 * the list.
 */
enum hf_err envelope_error(enum hf_err err, const char *message, uint8_t *buf,
    size_t cap, size_t *len);

/*
 * Opens a reply. On {"out"} decodes it and returns HF_OK; on {"err"} returns
 * that error with its message in `why`; on {"dry_run"} HF_ERR_DRY_RUN;
 * HF_ERR_BAD_REPLY on anything else.
 */
enum hf_err envelope_open_reply(struct hf_bytes message,
    const struct schema *schema, struct arena *arena, void *out,
    struct hf_why *why);

#endif
