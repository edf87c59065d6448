/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CRYPTO_H
#define KEYD_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "../lib/secret.h"
#include "crypto_sha256.h"
#include "key_type.h"

/*
 * The door to OpenSSL: all cryptography that the daemon does itself. Nobody
 * else includes an OpenSSL header but the TLS listener. Everything here is
 * thread-safe; contexts are kept per thread.
 */

/*
 * Once, before any thread and before anything else in the process uses OpenSSL
 * (the library of an HSM does): from then on all of its memory is locked, and
 * wiped when it is freed (crypto_memory.h). When it cannot be locked,
 * secret_require_lock() decides; call it before this. A second call does
 * nothing.
 */
enum hf_err crypto_init(struct hf_why *why);

/* From OpenSSL's DRBG; drawn in bulk per thread for small sizes. */
enum hf_err crypto_random(uint8_t *out, size_t len);

/* `out` takes hash->size bytes. HF_ERR_BAD_INPUT for an empty key. */
enum hf_err crypto_hash(
    const struct hash_type *hash, struct hf_bytes in, uint8_t *out);
enum hf_err crypto_hmac(const struct hash_type *hash, struct hf_bytes key,
    struct hf_bytes in, uint8_t *out);

/*
 * AEAD with a raw key (AES-GCM, ChaCha20-Poly1305 and XChaCha20 by `type`).
 * seal writes ciphertext || tag, in.len + type->tag bytes. open takes that and
 * writes in.len - type->tag bytes; HF_ERR_AUTH_FAILED, with nothing left in
 * `out`, when it is not authentic; HF_ERR_BAD_CIPHERTEXT when it is too short.
 */
enum hf_err crypto_seal(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out);
enum hf_err crypto_open(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out);

/*
 * The same with a key that stays for a while. The context that was made ready
 * for it is kept by the calling thread, for its next call with this owner:
 * expanding a key takes a third of the time of encrypting 1 KiB. `owner` is the
 * address of what holds the key; nothing is read from there. What is kept ends
 * with crypto_forget(), which whoever frees the owner calls, and when another
 * key needs its place: some 16 for each thread, for AES-GCM only.
 */
enum hf_err crypto_seal_kept(const void *owner, const struct key_type *type,
    struct hf_bytes key, struct hf_bytes nonce, struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out);
enum hf_err crypto_open_kept(const void *owner, const struct key_type *type,
    struct hf_bytes key, struct hf_bytes nonce, struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out);

/* No thread keeps anything of this owner's key any more; nobody may be using
 * it. */
void crypto_forget(const void *owner);

/*
 * New key material of a type, as it is sealed and stored: symmetric and HMAC
 * keys raw (HMAC: `hmac_size` bytes, 32 to 512, else HF_ERR_OUT_OF_BOUNDS),
 * asymmetric ones as PKCS#8 DER (RFC 5208).
 */
enum hf_err crypto_generate(
    const struct key_type *type, size_t hmac_size, struct secret *material);

/* An asymmetric key ready for use: a parsed private or public key. */
struct crypto_key;

/*
 * From PKCS#8 DER. HF_ERR_KEY_TYPE when it is another kind, size or curve;
 * HF_ERR_BAD_INPUT when it is no key, when its halves do not belong together
 * (so loading costs a signature), for a curve that is spelt out instead of
 * named, and for an RSA exponent that is even, below 2^16 or above 2^64;
 * HF_ERR_NO_MEMORY when OpenSSL's locked memory is nearly used up.
 */
enum hf_err crypto_key_private(const struct key_type *type,
    struct hf_bytes pkcs8, struct crypto_key **out);

/* From SubjectPublicKeyInfo DER (RFC 5280, section 4.1); errors as above. */
enum hf_err crypto_key_public(
    const struct key_type *type, struct hf_bytes spki, struct crypto_key **out);

/* Whether it has a private half here. */
bool crypto_key_is_private(const struct crypto_key *key);

/* NULL is fine. A key may be used by many threads; free it when none does. */
void crypto_key_free(struct crypto_key *key);

/*
 * SubjectPublicKeyInfo of a key: DER into `out` (SPKI_MAX bytes are always
 * enough, *len is set), or from DER to PEM text with a NUL (SPKI_PEM_MAX are),
 * or from PEM. HF_ERR_BUFFER_TOO_SMALL; HF_ERR_BAD_INPUT for a PEM that is no
 * "PUBLIC KEY" or has something after it. What is in the DER is not looked at:
 * that is crypto_key_public's.
 */
enum hf_err crypto_key_spki(
    const struct crypto_key *key, uint8_t *out, size_t cap, size_t *len);
enum hf_err crypto_spki_pem(struct hf_bytes spki, char *out, size_t cap);
enum hf_err crypto_pem_spki(
    struct hf_text pem, uint8_t *out, size_t cap, size_t *len);

/*
 * RSA-OAEP (RFC 8017, section 7.1), SHA-256 for hash and MGF1, empty label.
 * encrypt writes the modulus size; HF_ERR_BAD_INPUT when `in` is longer than
 * that less 66. decrypt writes at most the modulus size, sets *len, and answers
 * every ciphertext that fails with the one HF_ERR_AUTH_FAILED. A key of another
 * family is HF_ERR_KEY_TYPE, a public one HF_ERR_NO_PRIVATE_PART.
 */
enum hf_err crypto_oaep_encrypt(const struct crypto_key *key,
    struct hf_bytes in, uint8_t *out, size_t *len);
enum hf_err crypto_oaep_decrypt(const struct crypto_key *key,
    struct hf_bytes in, uint8_t *out, size_t *len);

/*
 * Removes OAEP-SHA-256 padding from a block of modulus size that an HSM
 * decrypted raw (CKM_RSA_X_509); constant time, one error for all failures.
 */
enum hf_err crypto_oaep_unpad(struct hf_bytes block, uint8_t *out, size_t *len);

/*
 * The same for any hash (MGF1 uses it too) and label; and for PKCS#1 v1.5
 * (RFC 8017, section 7.2.2). `out` takes the size of the block.
 */
enum hf_err crypto_oaep_unpad_as(const struct hash_type *hash,
    struct hf_bytes label, struct hf_bytes block, uint8_t *out, size_t *len);
enum hf_err crypto_pkcs1_unpad(
    struct hf_bytes block, uint8_t *out, size_t *len);

/*
 * The block that is a PSS signature once RSA's private operation is done to it
 * (RFC 8017, section 9.1.1), for HSMs that do not know the hash. `out` takes
 * `size` bytes, as the modulus; HF_ERR_BAD_INPUT when the salt does not fit.
 */
enum hf_err crypto_pss_pad(const struct hash_type *hash, struct hf_bytes digest,
    size_t salt_len, uint8_t *out, size_t size);

/*
 * RSA without padding: in and out have the size of the modulus;
 * HF_ERR_BAD_INPUT when the number is not below it. Encryption with OAEP, or
 * PKCS#1 v1.5 when `oaep` is NULL, writes as many bytes.
 */
enum hf_err crypto_rsa_private(
    const struct crypto_key *key, struct hf_bytes in, uint8_t *out);
enum hf_err crypto_rsa_public(
    const struct crypto_key *key, struct hf_bytes in, uint8_t *out);
enum hf_err crypto_rsa_encrypt(const struct crypto_key *key,
    const struct hash_type *oaep, struct hf_bytes label, struct hf_bytes in,
    uint8_t *out);

/*
 * Longest signature or MAC that anything here makes: RSA-4096.
 */
enum { CRYPTO_SIGNATURE_MAX = 512, CRYPTO_HASH_MAX = 64 };

/*
 * sign: `in` is the message, or its digest when how->prehashed. ECDSA comes
 * out as how->encoding says. HF_ERR_BAD_INPUT when a digest has the wrong
 * length, HF_ERR_BAD_ALGORITHM when `how` does not fit the key (Ed25519 takes
 * whole messages only, and no hash goes with prehashed PKCS#1 v1.5 only),
 * HF_ERR_NO_PRIVATE_PART for a public key. `out` takes CRYPTO_SIGNATURE_MAX.
 * verify: HF_OK, or HF_ERR_SIGNATURE_WRONG when it does not match;
 * HF_ERR_BAD_SIGNATURE when it cannot be one.
 */
enum hf_err crypto_sign(const struct crypto_key *key,
    const struct sign_how *how, struct hf_bytes in, uint8_t *out, size_t *len);
enum hf_err crypto_verify(const struct crypto_key *key,
    const struct sign_how *how, struct hf_bytes in, struct hf_bytes signature);

/*
 * ECDSA between PKCS#11's r || s (each the field size) and DER (RFC 3279,
 * section 2.2.3). `out` takes CRYPTO_SIGNATURE_MAX.
 */
enum hf_err crypto_ecdsa_to_der(struct hf_bytes rs, uint8_t *out, size_t *len);
enum hf_err crypto_ecdsa_from_der(
    struct hf_bytes der, size_t field, uint8_t *out);

/*
 * What an HSM that only has CKM_RSA_PKCS must be given: the DigestInfo of
 * RFC 8017, section 9.2 around a digest. `out` takes 128 bytes.
 */
enum hf_err crypto_digest_info(const struct hash_type *hash,
    struct hf_bytes digest, uint8_t *out, size_t *len);

/*
 * SubjectPublicKeyInfo from what an HSM tells of a public key: RSA modulus and
 * exponent (big-endian), or CKA_EC_POINT (a DER OCTET STRING; some HSMs give
 * the bare point: both are taken). `out` takes SPKI_MAX bytes.
 */
enum hf_err crypto_spki_rsa(struct hf_bytes modulus, struct hf_bytes exponent,
    uint8_t *out, size_t *len);
enum hf_err crypto_spki_ec(const struct key_type *type, struct hf_bytes point,
    uint8_t *out, size_t *len);

/*
 * P-256 verification of an audit checkpoint: r || s over the SHA-256 of `in`.
 */
enum hf_err crypto_verify_p256(
    struct hf_bytes spki, struct hf_bytes in, struct hf_bytes rs);

#endif
