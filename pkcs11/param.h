/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_PARAM_H
#define PKCS11_PARAM_H

#include <holdfast/err.h>
#include <holdfast/ops.h>

#include "../lib/buffer.h"
#include "cryptoki.h"
#include "digest.h"

/*
 * The parameter of a mechanism: checked, and copied out of the host's memory,
 * so that nothing points there once the Init function has returned.
 */
enum param_kind {
	PARAM_NONE,    /* must be absent or empty */
	PARAM_PSS,     /* CK_RSA_PKCS_PSS_PARAMS */
	PARAM_OAEP,    /* CK_RSA_PKCS_OAEP_PARAMS */
	PARAM_GCM,     /* CK_GCM_PARAMS */
	PARAM_IV,      /* 16 bytes */
	PARAM_CTR,     /* CK_AES_CTR_PARAMS */
	PARAM_LENGTH,  /* CK_MAC_GENERAL_PARAMS */
	PARAM_EDDSA,   /* absent, or CK_EDDSA_PARAMS for plain Ed25519 */
	PARAM_ECDH,    /* CK_ECDH1_DERIVE_PARAMS */
	PARAM_HKDF,    /* CK_HKDF_PARAMS */
	PARAM_RSA_AES, /* CK_RSA_AES_KEY_WRAP_PARAMS */
	PARAM_KINDS,
};

enum { GCM_IV_MAX = 256, AAD_MAX = 65536 };

struct param {
	enum param_kind kind;
	const struct digest_type *hash;
	CK_ULONG number;    /* PSS: salt; LENGTH: bytes; GCM: tag bits */
	struct buffer iv;   /* GCM, IV, CTR; ECDH: the peer's point */
	struct buffer more; /* GCM: AAD; OAEP: label; ECDH: shared data */
	struct buffer salt; /* HKDF */
	bool extract, expand;
};

struct mech;

/*
 * CKR_MECHANISM_PARAM_INVALID, with what is wrong in `why`, unless the
 * parameter is one for this mechanism. `out` must be all zero.
 */
CK_RV param_load(const struct mech *mech, const CK_MECHANISM *from,
    struct param *out, struct hf_why *why);

/* Wipes. An all-zero one is fine. */
void param_free(struct param *param);

/* What the daemon is told; views into `param`. */
void param_fill(
    const struct mech *mech, const struct param *param, struct hf_p11_how *out);

#endif
