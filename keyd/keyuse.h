/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEYUSE_H
#define KEYD_KEYUSE_H

#include "crypto_derive.h"
#include "crypto_mode.h"
#include "key.h"
#include "request.h"
#include "server.h"

/*
 * What a key version does, whatever its protection level: at level wrapped
 * crypto.c does it here, at level hsm the HSM does. HF_ERR_DEFER when
 * `may_block` is false and it would take a worker (long arithmetic, or a use
 * of the HSM that `await` does not take), HF_ERR_KEY_TYPE for what its type
 * does not do. Sizes and other errors as in crypto.h.
 *
 * What was done is counted (usage.h). What makes something new counts towards
 * the key's limit before it is done: HF_ERR_KEY_EXHAUSTED.
 */
struct keyuse {
	struct server *server;
	bool may_block;
	struct hsm_await *await; /* instead; NULL: nothing of the kind */
	enum lingering *linger;  /* as in struct request; not of keyuse_of() */
	struct hf_bytes context; /* for derived keys, which need one */
	uint64_t caller;         /* as identity->caller */
	bool moving;             /* decrypted only to be encrypted anew */
	bool checking;           /* a MAC is made only to be compared */
	struct arena *arena;     /* for committing keys: room for a plaintext */
};

/* For a request; `context` may be absent. */
struct keyuse keyuse_of(const struct request *rq, struct hf_bytes context);

/* For what is done with the public half without the functions below. */
void keyuse_note(const struct keyuse *use, const struct key_version *v,
    enum usage_class class);

/* Bytes that encrypting `len` bytes gives, nonce and tag included. */
size_t keyuse_sealed_size(
    const struct key *key, const struct key_version *v, size_t len);

/*
 * AEAD: nonce || ciphertext || tag with a fresh random nonce, or one of the
 * formats of key_commit.h. RSA: OAEP.
 */
enum hf_err keyuse_encrypt(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out, size_t *len);

/* AEAD under a nonce of the caller's; `out` takes in.len + tag bytes. Not for
 * keys that commit: HF_ERR_KEY_PURPOSE. */
enum hf_err keyuse_seal(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes nonce, struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out);

/* `out` takes in.len bytes. */
enum hf_err keyuse_decrypt(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out, size_t *len);

/* The modes of crypto_mode.h, with an AES key; `out` takes in.len + AES_EXTRA
 * bytes. At level hsm HF_ERR_HSM_MECHANISM where the HSM has no such mode. */
enum hf_err keyuse_aes(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct aes_how *how, struct hf_bytes in,
    uint8_t *out, size_t *len);
enum hf_err keyuse_aes_cmac(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes in, uint8_t out[16]);

/* As crypto_ecdh and crypto_hkdf; at level hsm HF_ERR_HSM_MECHANISM where the
 * HSM cannot, which for HKDF is extraction. */
enum hf_err keyuse_ecdh(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes point, struct secret *out);
enum hf_err keyuse_hkdf(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct hkdf *how, struct secret *out);

/* RSA's private operation without padding; all sizes are the modulus's.
 * `class` is what it is for: to sign or to decrypt. */
enum hf_err keyuse_rsa_raw(const struct keyuse *use, const struct key *key,
    const struct key_version *v, enum usage_class class, struct hf_bytes in,
    uint8_t *out);

/* `out` takes CRYPTO_SIGNATURE_MAX bytes. */
enum hf_err keyuse_sign(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct sign_how *how, struct hf_bytes in,
    uint8_t *out, size_t *len);

/* The public half that a derived key signs with (Ed25519). */
enum hf_err keyuse_derived_public(
    const struct keyuse *use, const struct key_version *v, uint8_t out[32]);

/* Needs no private part, so never the HSM; a derived key needs it. */
enum hf_err keyuse_verify(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct sign_how *how, struct hf_bytes in,
    struct hf_bytes signature);

/* `out` takes CRYPTO_HASH_MAX bytes. */
enum hf_err keyuse_hmac(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct hash_type *hash,
    struct hf_bytes in, uint8_t *out);

/* `out` takes 16 bytes. */
enum hf_err keyuse_cmac(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes in, uint8_t *out);

#endif
