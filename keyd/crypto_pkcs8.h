/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CRYPTO_PKCS8_H
#define KEYD_CRYPTO_PKCS8_H

#include "crypto.h"

/*
 * The forms that private keys have in files and on the wire: PKCS#8 (RFC 5208),
 * and what else there is. Part of the door to OpenSSL.
 */

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

#endif
