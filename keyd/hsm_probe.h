/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_PROBE_H
#define KEYD_HSM_PROBE_H

#include "hsm_internal.h"

/*
 * Between the matrix (hsm_probe.c) and the ways to try a mechanism
 * (hsm_try.c).
 */

/* Of PKCS#11 3.0, which the header does not have. */
#define CKM_HKDF_DERIVE 0x402aUL
#define CKM_SHA3_256 0x2b0UL
#define CKM_SHA3_512 0x2d0UL

struct pair {
	CK_OBJECT_HANDLE public, private;
	uint8_t spki[SPKI_MAX];
	size_t spki_len;
};

struct probe {
	struct hsm *hsm;
	struct hsm_call *keeper; /* owns the keys */
	struct hsm_call call;    /* the row's */
	struct hsm_session slot;
	CK_OBJECT_HANDLE aes;
	struct pair rsa;
	struct hsm_probe *out;
	char note[120];
};

struct check {
	CK_MECHANISM_TYPE type;
	const char *name;
	const char *use;
	/* HF_ERR_HSM_REFUSED with a note, or what the HSM answered. A function
	 * per row: they differ in what they do. */
	enum hf_err (*run)(struct probe *p, const struct check *check);
	const char *arg; /* key type or hash, as the tables name them */
};

/* Keys that never protect anything, so they may do everything. */
enum hf_err secret_make(struct hsm_call *call, CK_MECHANISM_TYPE type,
    size_t len, CK_OBJECT_HANDLE *out);
/* `use` is CKA_SIGN or CKA_DERIVE of the private half; 0: all that RSA can. */
enum hf_err pair_make(struct hsm_call *call, const struct key_type *type,
    CK_ATTRIBUTE_TYPE use, struct pair *pair);

/* The functions for the rows, as struct check has them. */
typedef enum hf_err try_fn(struct probe *p, const struct check *check);
try_fn try_generate_secret, try_generate_pair, try_aes, try_aes_iv, try_aes_ctr,
    try_gcm, try_cmac, try_wrap, try_wrap_type, try_rsa_sign, try_rsa_hashed,
    try_pss_hashed, try_rsa_decrypt, try_rsa_raw, try_oaep, try_rsa_aes_wrap,
    try_ecdsa, try_ecdsa_hashed, try_ecdh, try_hmac, try_digest, try_hkdf;

#endif
