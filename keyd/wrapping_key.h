/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_WRAPPING_KEY_H
#define KEYD_WRAPPING_KEY_H

#include "../lib/secret.h"
#include "server.h"

/*
 * The key that others wrap keys with to bring them in: RSA-4096, made in the
 * HSM at first use, never rotated. Like every key at level hsm it is kept
 * wrapped by the HSM (or resident in it), under wrapping-key in the store. What
 * is here blocks and belongs on a worker.
 */
enum { WRAPPING_KEY_BYTES = 512 };

/* SubjectPublicKeyInfo, SPKI_MAX bytes. *made: it is new. */
enum hf_err wrapping_key_public(
    struct server *server, uint8_t *out, size_t *len, bool *made);

/*
 * Opens what was wrapped with it (CKM_RSA_AES_KEY_WRAP, crypto_wrap.h): the AES
 * key by the HSM, the material here in locked memory. One error for whatever is
 * wrong with it, HF_ERR_AUTH_FAILED; `hash` is that of OAEP.
 */
enum hf_err wrapping_key_unwrap(struct server *server,
    const struct hash_type *hash, struct hf_bytes blob, struct secret *out);

/* Which HSMs hold it; HF_ERR_NOT_FOUND when it was never made. */
enum hf_err wrapping_key_holders(
    struct server *server, char out[HSM_DEVICES][HSM_NAME], size_t *count);
/* What was wrapped with it cannot be brought any more; the next to ask gets a
 * new one. */
enum hf_err wrapping_key_forget(struct server *server);

/* One block of RSA-OAEP with SHA-256, WRAPPING_KEY_BYTES; the same error. */
enum hf_err wrapping_key_decrypt(
    struct server *server, struct hf_bytes block, struct secret *out);

#endif
