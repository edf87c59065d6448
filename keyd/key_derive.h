/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEY_DERIVE_H
#define KEYD_KEY_DERIVE_H

#include "key.h"

/*
 * Derived keys: what is used is HKDF-SHA256 (RFC 5869) of the key version,
 * without salt and with the caller's context as info, as Vault's transit does
 * it. The level is wrapped. HF_ERR_MISSING_CONTEXT without a context.
 */

/*
 * The key that a context leads to, of the type's size. For convergent
 * encryption (version 3) the next 32 bytes make the nonce: the same plaintext
 * under the same context has the same one.
 */
struct derived {
	struct secret both;
	struct hf_bytes key, nonce_key; /* views into it */
};

#define AUTO_DERIVED __attribute__((__cleanup__(derived_free))) struct derived
void derived_free(struct derived *d);

/* `out` is all zero before, and freed by the caller whatever comes of it. */
enum hf_err derived_aead(const struct key *key, const struct key_version *v,
    struct hf_bytes context, struct derived *out);

/* The first bytes of HMAC-SHA256(nonce key, plaintext). */
enum hf_err derived_nonce(const struct derived *d, struct hf_bytes plaintext,
    uint8_t *out, size_t len);

/* Ed25519: HKDF of seed and public half, 64 bytes, gives the seed. */
enum hf_err derived_pair(const struct key_version *v, struct hf_bytes context,
    struct crypto_key **out);

#endif
