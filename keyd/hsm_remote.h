/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_REMOTE_H
#define KEYD_HSM_REMOTE_H

#include "hsm_process.h"

/*
 * The operations of hsm.h where another thread does them, in a process of its
 * own or beside this one: each fills a job. A function of hsm.h asks for
 * hsm_is_remote() first.
 */
/* `wait_ms` as in struct hsm_job. */
enum hf_err remote_random(
    struct hsm *hsm, uint8_t *out, size_t len, unsigned wait_ms);
/* `value` empty: it is made inside. */
enum hf_err remote_object_make(struct hsm *hsm, enum hsm_role role,
    const uint8_t id[HSM_ID], const char *label, struct hf_bytes value);
enum hf_err remote_object_find(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID], bool *found);
enum hf_err remote_object_destroy(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID]);
enum hf_err remote_audit_public(
    struct hsm *hsm, const uint8_t id[HSM_ID], uint8_t *out, size_t *len);
enum hf_err remote_audit_sign(struct hsm *hsm, const uint8_t id[HSM_ID],
    const uint8_t digest[32], uint8_t out[64]);
enum hf_err remote_seal(struct hsm *hsm, const uint8_t id[HSM_ID],
    struct hf_bytes aad, struct hf_bytes in, uint8_t *out);
enum hf_err remote_open_sealed(struct hsm *hsm, const uint8_t id[HSM_ID],
    struct hf_bytes aad, struct hf_bytes in, struct secret *out);
enum hf_err remote_key_make(struct hsm *hsm, const struct key_type *type,
    size_t hmac_size, const uint8_t wrap_id[HSM_ID], const uint8_t id[HSM_ID],
    uint8_t *wrapped, size_t *wrapped_len, uint8_t *spki, size_t *spki_len);
enum hf_err remote_key_import(struct hsm *hsm, const struct key_type *type,
    struct hf_bytes material, struct hf_bytes public_half,
    const uint8_t wrap_id[HSM_ID], const uint8_t id[HSM_ID], uint8_t *wrapped,
    size_t *wrapped_len);
enum hf_err remote_key_drop(struct hsm *hsm, const struct hsm_key *key);
/* JOB_ENCRYPT, JOB_DECRYPT; `room` bytes come out. */
enum hf_err remote_aead(struct hsm *hsm, enum job_op op,
    const struct hsm_key *key, struct hf_bytes nonce, struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out, size_t room);
/* JOB_DECRYPT_OAEP, JOB_HMAC, JOB_CMAC, JOB_ECDH, JOB_RSA_RAW. `len` NULL: all
 * of the room is filled. */
enum hf_err remote_key_use(struct hsm *hsm, enum job_op op,
    const struct hsm_key *key, const struct hash_type *hash, struct hf_bytes in,
    uint8_t *out, size_t room, size_t *len);
/* Of a message only the digest goes over, where that is what is signed. */
enum hf_err remote_sign(struct hsm *hsm, const struct hsm_key *key,
    const struct sign_how *how, struct hf_bytes in, uint8_t *out, size_t *len);
enum hf_err remote_aes(struct hsm *hsm, const struct hsm_key *key,
    const struct aes_how *how, struct hf_bytes in, uint8_t *out, size_t *len);
enum hf_err remote_probe(struct hsm *hsm, struct hsm_probe *out);

#endif
