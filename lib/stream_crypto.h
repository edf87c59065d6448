/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_STREAM_CRYPTO_H
#define LIB_STREAM_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * The door to OpenSSL for sealed files. It stands apart from the daemon's, and
 * its file apart from libholdfast, which goes into processes that may have
 * another OpenSSL, or none. Every failure of the library is HF_ERR_CRYPTO.
 */
enum {
	STREAM_KEY = 32,   /* bytes of a key of AES-256 */
	STREAM_NONCE = 12, /* of GCM */
	STREAM_TAG = 16,
	STREAM_HASH = 32, /* SHA-256 */
};

/* From OpenSSL's DRBG, which notices a fork. */
enum hf_err stream_random(uint8_t *out, size_t len);

/* HKDF-SHA-256 (RFC 5869) with the SHA-256 of `bound`, after `label`, as its
 * info. */
enum hf_err stream_derive(struct hf_bytes key, struct hf_bytes salt,
    const char *label, struct hf_bytes bound, uint8_t *out, size_t len);

/*
 * AES-256-GCM with one key, for sealing or for opening. The key schedule stands
 * on OpenSSL's heap, and is wiped when it is freed. NULL is fine there.
 */
struct stream_cipher;
enum hf_err stream_cipher_new(
    bool seal, const uint8_t key[STREAM_KEY], struct stream_cipher **out);
void stream_cipher_free(struct stream_cipher *cipher);

/* Writes ciphertext and tag: in.len + STREAM_TAG bytes, in place if it suits.
 * That no nonce comes twice is the caller's duty. */
enum hf_err stream_cipher_seal(struct stream_cipher *cipher,
    const uint8_t nonce[STREAM_NONCE], struct hf_bytes in, uint8_t *out);

/* Writes in.len - STREAM_TAG bytes; HF_ERR_AUTH_FAILED, and `out` wiped, when
 * they are not authentic. `in` has at least STREAM_TAG bytes. */
enum hf_err stream_cipher_open(struct stream_cipher *cipher,
    const uint8_t nonce[STREAM_NONCE], struct hf_bytes in, uint8_t *out);

#endif
