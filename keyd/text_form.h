/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_TEXT_FORM_H
#define KEYD_TEXT_FORM_H

#include "../lib/arena.h"
#include "../lib/bytes.h"
#include <holdfast/err.h>

/*
 * The two forms of what leaves with a key version on it (ciphertexts,
 * signatures, MACs). Binary: version, four bytes, big-endian, then the body.
 * Text, as Vault writes it: PREFIX:vN:BASE64. A version is below 2^24, so the
 * binary form starts with a zero byte and the text form never does.
 */
struct versioned {
	uint64_t version;
	struct hf_bytes body;
};

enum form { FORM_BINARY, FORM_TEXT };

/* Absent means binary. The codec has checked the word. */
enum form form_of(struct hf_text format);

/* Bytes before the body in binary form. */
enum { FORM_HEADER = 4 };

/*
 * `buf` holds FORM_HEADER free bytes and then `len` bytes of body; the result
 * is that same buffer in binary form, or new memory in text form.
 * HF_ERR_NO_MEMORY.
 */
enum hf_err form_write(struct arena *arena, enum form form, const char *prefix,
    uint64_t version, enum base64_kind kind, uint8_t *buf, size_t len,
    struct hf_bytes *out);

/*
 * Reads either form. `what` is "ciphertext" or "signature" for messages, `err`
 * the error to answer: the sentences are Vault's ("invalid ciphertext: no
 * prefix", ...). Text bodies are decoded into the arena. Version 0 counts as 1.
 */
enum hf_err form_read(struct arena *arena, struct hf_bytes in,
    const char *prefix, enum base64_kind kind, const char *what,
    enum hf_err err, struct versioned *out, struct hf_why *why);

#endif
