/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_MECHANISM_H
#define PKCS11_MECHANISM_H

#include <stdbool.h>
#include <stddef.h>

#include "cryptoki.h"
#include "param.h"

/*
 * Every mechanism, once: what C_GetMechanismList lists, what C_GetMechanismInfo
 * tells, what each Init function checks, and what the daemon is asked for.
 */
enum mech_trait {
	MECH_MAC = 1,    /* by a secret key: p11.mac or p11.cmac */
	MECH_INFO = 2,   /* the digest goes into a DigestInfo (PKCS#1 v1.5) */
	MECH_RAW = 4,    /* no integrity, no padding of its own: HF_P11_RAW */
	MECH_BLOCKS = 8, /* the data must be whole blocks of 16 bytes */
	MECH_PAD = 16,   /* the result is up to a block longer */
	MECH_SOFT = 32,  /* not with keys of level hsm */
};

struct mech {
	CK_MECHANISM_TYPE type;
	const char *wire; /* of struct hf_p11_how; NULL: done here */
	CK_KEY_TYPE key;
	CK_MECHANISM_TYPE hash; /* 0: the caller brings the digest, or none */
	enum param_kind param;
	unsigned traits;
	CK_MECHANISM_INFO info; /* flags say which Init functions take it */
};

extern const struct mech mechs[];
extern const size_t mechs_count;

/* NULL when there is none. */
const struct mech *mech_find(CK_MECHANISM_TYPE type);

/* Whether keys of that type go with it (HMAC takes generic secrets too). */
bool mech_takes_key(const struct mech *mech, CK_KEY_TYPE key);

#endif
