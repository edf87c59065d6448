/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CRYPTO_WRAP_H
#define KEYD_CRYPTO_WRAP_H

#include "crypto.h"

/*
 * Keys that travel, wrapped by other keys. Part of the door to OpenSSL.
 */

/*
 * AES-KWP (RFC 5649) with a key of 32 or 24 bytes. wrap writes in.len rounded
 * up to 8, and 8 more; HF_ERR_BAD_INPUT when `in` is empty. unwrap gives
 * HF_ERR_AUTH_FAILED for what that key did not wrap.
 */
enum { CRYPTO_KWP_EXTRA = 15, CRYPTO_KWP_KEY = 32 };
enum hf_err crypto_kwp_wrap(
    struct hf_bytes kek, struct hf_bytes in, uint8_t *out, size_t *len);
enum hf_err crypto_kwp_unwrap(
    struct hf_bytes kek, struct hf_bytes in, struct secret *out);

/*
 * CKM_RSA_AES_KEY_WRAP (PKCS#11 2.40, section 2.1.18): a fresh AES-256 key
 * under RSA-OAEP with SHA-256, then AES-KWP(target). `out` takes the modulus
 * size, target.len and CRYPTO_KWP_EXTRA.
 */
enum hf_err crypto_rsa_wrap(const struct crypto_key *wrapping,
    struct hf_bytes target, uint8_t *out, size_t *len);

#endif
