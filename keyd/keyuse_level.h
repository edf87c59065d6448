/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEYUSE_LEVEL_H
#define KEYD_KEYUSE_LEVEL_H

#include "keyuse.h"

/* How each protection level does the work of keyuse.h, and who does it. */

/*
 * One row a protection level. Function pointers, because the levels differ in
 * who does the work, not in data.
 */
struct keyuse_level {
	bool blocks; /* all of it waits for an HSM */
	enum hf_err (*seal)(const struct keyuse *, const struct key *,
	    const struct key_version *, struct hf_bytes nonce,
	    struct hf_bytes aad, struct hf_bytes in, uint8_t *out);
	enum hf_err (*open)(const struct keyuse *, const struct key *,
	    const struct key_version *, struct hf_bytes nonce,
	    struct hf_bytes aad, struct hf_bytes in, uint8_t *out);
	enum hf_err (*decrypt_rsa)(const struct keyuse *,
	    const struct key_version *, struct hf_bytes in, uint8_t *out,
	    size_t *len);
	enum hf_err (*rsa_raw)(const struct keyuse *,
	    const struct key_version *, struct hf_bytes in, uint8_t *out);
	enum hf_err (*sign)(const struct keyuse *, const struct key_version *,
	    const struct sign_how *, struct hf_bytes in, uint8_t *out,
	    size_t *len);
	enum hf_err (*hmac)(const struct keyuse *, const struct key *,
	    const struct key_version *, const struct hash_type *,
	    struct hf_bytes in, uint8_t *out);
	enum hf_err (*cmac)(const struct keyuse *, const struct key_version *,
	    struct hf_bytes in, uint8_t *out);
	enum hf_err (*aes)(const struct keyuse *, const struct key_version *,
	    const struct aes_how *, struct hf_bytes in, uint8_t *out,
	    size_t *len);
	enum hf_err (*ecdh)(const struct keyuse *, const struct key_version *,
	    struct hf_bytes point, struct secret *out);
	enum hf_err (*hkdf)(const struct keyuse *, const struct key_version *,
	    const struct hkdf *, struct secret *out);
};

const struct keyuse_level *keyuse_level(enum key_level level);

/* The HSM that has `k`, one of the keys of that version. */
struct hsm *keyuse_hsm(const struct keyuse *use, const struct key_version *v,
    const struct hsm_key *k);

#endif
