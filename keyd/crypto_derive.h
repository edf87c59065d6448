/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CRYPTO_DERIVE_H
#define KEYD_CRYPTO_DERIVE_H

#include "crypto.h"

/*
 * Keys from keys: agreement on a curve, and derivation functions. Part of the
 * door to OpenSSL.
 */

/*
 * ECDH (NIST SP 800-56A, 5.7.1.2) with a private key of FAMILY_EC and the
 * other side's point, bare or as a DER OCTET STRING. Gives the x coordinate.
 * HF_ERR_BAD_INPUT for what is no point of the curve, HF_ERR_KEY_TYPE and
 * HF_ERR_NO_PRIVATE_PART for another key.
 */
enum hf_err crypto_ecdh(
    const struct crypto_key *key, struct hf_bytes point, struct secret *out);

/*
 * Such a point, bare or as a DER OCTET STRING, is on the curve: bare, in at
 * most CRYPTO_POINT_MAX bytes. HF_ERR_BAD_INPUT.
 */
enum { CRYPTO_POINT_MAX = 1 + 2 * 66 };
enum hf_err crypto_ec_point(const struct key_type *type, struct hf_bytes point,
    uint8_t *out, size_t *len);

/* The KDF of ANSI X9.63 (SEC 1, section 3.6.1). `out` is allocated: its length
 * is what is asked for. */
enum hf_err crypto_x963(const struct hash_type *hash, struct hf_bytes secret,
    struct hf_bytes info, struct secret *out);

/*
 * HKDF (RFC 5869); one of `extract` and `expand` at least. `out` is allocated;
 * extract alone gives hash->size bytes and HF_ERR_BAD_INPUT for another
 * length, as expand does beyond 255 * hash->size.
 */
struct hkdf {
	const struct hash_type *hash;
	bool extract, expand;
	struct hf_bytes salt, info;
};
enum hf_err crypto_hkdf(
    const struct hkdf *how, struct hf_bytes key, struct secret *out);

/* scrypt (RFC 7914) for PINs: 16 MiB and some 50 ms. */
enum hf_err crypto_scrypt(
    struct hf_bytes pin, struct hf_bytes salt, uint8_t out[32]);

#endif
