/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_OP_P11_H
#define KEYD_OP_P11_H

#include "key.h"
#include "keyuse.h"
#include "request.h"

/*
 * What the files behind the p11.* operations share: op_p11.c lists objects,
 * op_p11_use.c and op_p11_crypt.c use keys, op_p11_make.c makes them,
 * op_p11_wrap.c wraps and unwraps, op_p11_change.c changes and destroys.
 */

/*
 * What the caller may do with a version of a key, as bits of enum hf_p11_use:
 * what its type can do, it was made for, its state allows, and policy grants
 * on the paths of the ordinary transit operations.
 */
uint64_t p11_uses(
    struct request *rq, const struct key *key, const struct key_version *v);

/*
 * Whether a request may do as much as that use, when it is not the one that its
 * own operation stands for: under the rules of that path about parameters, too,
 * and with those of the request. p11_uses() alone is for lists.
 */
bool p11_allows(struct request *rq, enum hf_p11_use use, const struct key *key,
    const struct key_version *v);

/* Whether policy grants `cap` on prefix + key's name + suffix, for a version of
 * this level. */
bool p11_may(struct request *rq, const char *prefix, const char *suffix,
    const struct key *key, const struct key_version *v, unsigned cap);

/* The stable id of an object (16 bytes) and the CKA_ID that it has by default
 * (16 more), in the arena. */
enum hf_err p11_object_ids(struct request *rq, const struct key *key,
    const struct key_version *v, uint8_t **out);

/* keyuse_of() without a context: PKCS#11 knows no derived keys. */
struct keyuse p11_keyuse(const struct request *rq);
/* For a request that uses a private key once, and nothing else that takes
 * long: an I/O thread may linger for it. */
struct keyuse p11_keyuse_once(const struct request *rq);
/* HF_ERR_BAD_ALGORITHM, with `what` as the sentence. */
enum hf_err p11_refuse(struct request *rq, const char *what);

/* The version of rq->key that is asked for: select_new() and select_old(). */
enum hf_err p11_version_new(struct request *rq, uint64_t number,
    const char *what, const struct key_version **v);
enum hf_err p11_version_old(struct request *rq, uint64_t number,
    const char *what, const struct key_version **v);

/* The operations, on a version of rq->key that may be used so. */
enum hf_err p11_sign_with(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out);
enum hf_err p11_mac_with(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out);
enum hf_err p11_verify_with(struct request *rq,
    const struct hf_p11_verify_in *in, const struct key_version *v,
    bool *valid);
enum hf_err p11_encrypt_with(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out);
enum hf_err p11_decrypt_with(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out);

/* RSA: a number of the size of the modulus, and the private operation on it. */
enum hf_err p11_raw_number(struct request *rq, struct hf_bytes *data);
enum hf_err p11_raw_private(struct request *rq, const struct key_version *v,
    enum usage_class class, struct hf_bytes data, struct hf_p11_use_out *out);

/* RSA-OAEP by the names of `how`, without asking what the key is for. */
enum hf_err p11_oaep_encrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out);
enum hf_err p11_oaep_decrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out);

/*
 * A session key of material that was derived, unwrapped or brought, for what
 * `make` says; `inside` as in key_purpose_new. The material is checked.
 */
enum hf_err p11_make_session(struct request *rq, const struct hf_p11_make *make,
    bool inside, struct hf_bytes material, struct hf_p11_made *out);

/* A key that stays, of new material or of what was brought. */
enum hf_err p11_make_stay(struct request *rq, struct hf_text name,
    const struct hf_p11_make *make, const struct hf_p11_stay *stay,
    struct hf_bytes material, struct hf_bytes public_key,
    struct hf_p11_made *out);

#endif
