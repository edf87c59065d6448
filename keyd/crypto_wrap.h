/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CRYPTO_WRAP_H
#define KEYD_CRYPTO_WRAP_H

#include "crypto.h"

/*
 * Keys that travel: wrapped by other keys, and in the forms that files have.
 * Part of the door to OpenSSL.
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

/*
 * A private key as people keep them: PEM (PKCS#8, or the older forms of RSA and
 * EC keys) or DER of either. Gives PKCS#8 DER. HF_ERR_BAD_INPUT when it is no
 * such key, also when it is encrypted.
 */
enum hf_err crypto_private_read(struct hf_bytes file, struct secret *pkcs8);

/* PKCS#8 DER of a private key; HF_ERR_NO_PRIVATE_PART for a public one. */
enum hf_err crypto_key_pkcs8(
    const struct crypto_key *key, struct secret *pkcs8);

/* The 32 bytes of an Ed25519 key (RFC 8032), and those of its public half;
 * HF_ERR_KEY_TYPE for others. */
enum hf_err crypto_ed25519_seed(
    const struct crypto_key *key, struct secret *seed);
enum hf_err crypto_ed25519_public(
    const struct crypto_key *key, uint8_t out[32]);

/* PKCS#8 DER as PEM, with a NUL; `out` owns it. */
enum hf_err crypto_private_pem(struct hf_bytes pkcs8, struct secret *out);

/*
 * Whether one X.509 certificate, DER, is of the key of that
 * SubjectPublicKeyInfo; HF_ERR_BAD_INPUT when `der` is no certificate, or more.
 */
enum hf_err crypto_certificate_matches(
    struct hf_bytes der, struct hf_bytes spki, bool *matches);

#endif
