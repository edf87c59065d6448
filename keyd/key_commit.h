/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEY_COMMIT_H
#define KEYD_KEY_COMMIT_H

#include "key_type.h"

#include <stdint.h>

#include <holdfast/err.h>

/*
 * The formats of keys that commit: a ciphertext opens under one key only. With
 * AES-GCM and ChaCha20-Poly1305 alone whoever knows two keys can make one that
 * opens under both, to two plaintexts. docs/transit.md has the bytes.
 *
 * Level wrapped: a key for this ciphertext and a commitment are derived
 * together, from the key version, a salt, and all that is authenticated (the
 * transform HtE of Bellare and Hoang, EUROCRYPT 2022, by HKDF).
 *
 *	salt (32) || commitment (32) || ciphertext || tag
 *
 * Level hsm, where no such derivation is to be had: 32 zeros before the
 * plaintext, whose encryption is the commitment (the padding fix of Albertini
 * and others, USENIX Security 2022).
 */
enum { COMMIT_SALT = 32, COMMIT_SIZE = 32, COMMIT_PAD = 32 };

static inline size_t
commit_sealed_size(const struct key_type *type, size_t len)
{
	return COMMIT_SALT + COMMIT_SIZE + len + type->tag;
}

/* `out` takes commit_sealed_size(). */
enum hf_err commit_seal(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes aad, struct hf_bytes in, uint8_t *out);

/* The same with a salt of the caller's, which must not come twice: tests. */
enum hf_err commit_seal_with(const struct key_type *type, struct hf_bytes key,
    const uint8_t salt[COMMIT_SALT], struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out);

/*
 * `out` takes in.len bytes. HF_ERR_BAD_CIPHERTEXT when it is too short;
 * HF_ERR_AUTH_FAILED, before anything is decrypted, when it is of another key
 * or bound to something else.
 */
enum hf_err commit_open(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes aad, struct hf_bytes in, uint8_t *out, size_t *len);

/*
 * What was decrypted, in place: the plaintext moves to the front. When the
 * zeros are not there HF_ERR_AUTH_FAILED, and all is wiped.
 */
enum hf_err commit_unpad(uint8_t *plain, size_t *len);

#endif
