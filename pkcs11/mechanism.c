/* SPDX-License-Identifier: Apache-2.0 */
#include "mechanism.h"

/* clang-format off */

#define SV  (CKF_SIGN | CKF_VERIFY)
#define ED  (CKF_ENCRYPT | CKF_DECRYPT)
#define WU  (CKF_WRAP | CKF_UNWRAP)
#define ECF (CKF_EC_F_P | CKF_EC_NAMEDCURVE | CKF_EC_UNCOMPRESS)
#define GCM_MESSAGES (CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT)

/* M(type, wire, key, hash, parameter, traits, least, most, flags) */
#define M(type, wire, key, hash, param, traits, lo, hi, flags) \
	{ type, wire, key, hash, PARAM_##param, traits, { lo, hi, flags } }

/* RSA sizes and EC sizes are bits, AES sizes are bytes (PKCS#11 3.0). */
#define RSA(type, wire, hash, param, traits, flags) \
	M(type, wire, CKK_RSA, hash, param, traits, 2048, 4096, flags)
#define EC(type, hash) \
	M(type, "ecdsa", CKK_EC, hash, NONE, 0, 256, 521, SV | ECF)
#define AES(type, wire, param, traits, flags) \
	M(type, wire, CKK_AES, 0, param, traits, 16, 32, flags)
#define HMAC(type, hash, param) \
	M(type, "hmac", CKK_GENERIC_SECRET, hash, param, MECH_MAC, 1, 512, SV)
/* PKCS#11 2.40, which HSMs speak, has no HMAC with SHA-3. */
#define HMAC3(type, hash) \
	M(type, "hmac", CKK_GENERIC_SECRET, hash, NONE, MECH_MAC | MECH_SOFT, 1, 512, SV)
#define DIGEST(type) \
	M(type, NULL, 0, type, NONE, 0, 0, 0, CKF_DIGEST)

const struct mech mechs[] = {
	RSA(CKM_RSA_PKCS,              "rsa-pkcs", 0,            NONE, 0,         SV | ED),
	RSA(CKM_RSA_X_509,             "rsa-raw",  0,            NONE, MECH_RAW,  SV | ED),
	RSA(CKM_SHA1_RSA_PKCS,         "rsa-pkcs", CKM_SHA_1,    NONE, MECH_INFO, SV),
	RSA(CKM_SHA224_RSA_PKCS,       "rsa-pkcs", CKM_SHA224,   NONE, MECH_INFO, SV),
	RSA(CKM_SHA256_RSA_PKCS,       "rsa-pkcs", CKM_SHA256,   NONE, MECH_INFO, SV),
	RSA(CKM_SHA384_RSA_PKCS,       "rsa-pkcs", CKM_SHA384,   NONE, MECH_INFO, SV),
	RSA(CKM_SHA512_RSA_PKCS,       "rsa-pkcs", CKM_SHA512,   NONE, MECH_INFO, SV),
	RSA(CKM_SHA3_224_RSA_PKCS,     "rsa-pkcs", CKM_SHA3_224, NONE, MECH_INFO, SV),
	RSA(CKM_SHA3_256_RSA_PKCS,     "rsa-pkcs", CKM_SHA3_256, NONE, MECH_INFO, SV),
	RSA(CKM_SHA3_384_RSA_PKCS,     "rsa-pkcs", CKM_SHA3_384, NONE, MECH_INFO, SV),
	RSA(CKM_SHA3_512_RSA_PKCS,     "rsa-pkcs", CKM_SHA3_512, NONE, MECH_INFO, SV),
	RSA(CKM_RSA_PKCS_PSS,          "rsa-pss",  0,            PSS,  0,         SV),
	RSA(CKM_SHA1_RSA_PKCS_PSS,     "rsa-pss",  CKM_SHA_1,    PSS,  0,         SV),
	RSA(CKM_SHA224_RSA_PKCS_PSS,   "rsa-pss",  CKM_SHA224,   PSS,  0,         SV),
	RSA(CKM_SHA256_RSA_PKCS_PSS,   "rsa-pss",  CKM_SHA256,   PSS,  0,         SV),
	RSA(CKM_SHA384_RSA_PKCS_PSS,   "rsa-pss",  CKM_SHA384,   PSS,  0,         SV),
	RSA(CKM_SHA512_RSA_PKCS_PSS,   "rsa-pss",  CKM_SHA512,   PSS,  0,         SV),
	RSA(CKM_RSA_PKCS_OAEP,         "rsa-oaep", 0,            OAEP, 0,         ED | WU),

	RSA(CKM_SHA3_224_RSA_PKCS_PSS, "rsa-pss",  CKM_SHA3_224, PSS,  0,         SV),
	RSA(CKM_SHA3_256_RSA_PKCS_PSS, "rsa-pss",  CKM_SHA3_256, PSS,  0,         SV),
	RSA(CKM_SHA3_384_RSA_PKCS_PSS, "rsa-pss",  CKM_SHA3_384, PSS,  0,         SV),
	RSA(CKM_SHA3_512_RSA_PKCS_PSS, "rsa-pss",  CKM_SHA3_512, PSS,  0,         SV),
	RSA(CKM_RSA_AES_KEY_WRAP,      "rsa-aes-kwp", 0,         RSA_AES, 0,      WU),
	RSA(CKM_RSA_PKCS_KEY_PAIR_GEN, NULL,       0,            NONE, 0,         CKF_GENERATE_KEY_PAIR),

	EC(CKM_ECDSA,          0),
	EC(CKM_ECDSA_SHA1,     CKM_SHA_1),
	EC(CKM_ECDSA_SHA224,   CKM_SHA224),
	EC(CKM_ECDSA_SHA256,   CKM_SHA256),
	EC(CKM_ECDSA_SHA384,   CKM_SHA384),
	EC(CKM_ECDSA_SHA512,   CKM_SHA512),
	EC(CKM_ECDSA_SHA3_224, CKM_SHA3_224),
	EC(CKM_ECDSA_SHA3_256, CKM_SHA3_256),
	EC(CKM_ECDSA_SHA3_384, CKM_SHA3_384),
	EC(CKM_ECDSA_SHA3_512, CKM_SHA3_512),
	M(CKM_EDDSA, "eddsa", CKK_EC_EDWARDS, 0, EDDSA, 0, 255, 256, SV | ECF),

	M(CKM_EC_KEY_PAIR_GEN,         NULL,   CKK_EC,         0, NONE, 0, 256, 521, CKF_GENERATE_KEY_PAIR | ECF),
	M(CKM_EC_EDWARDS_KEY_PAIR_GEN, NULL,   CKK_EC_EDWARDS, 0, NONE, 0, 255, 256, CKF_GENERATE_KEY_PAIR | ECF),
	M(CKM_ECDH1_DERIVE,            "ecdh", CKK_EC,         0, ECDH, 0, 256, 521, CKF_DERIVE | ECF),

	AES(CKM_AES_GCM,          "aes-gcm",     GCM,    0, ED | GCM_MESSAGES),
	AES(CKM_AES_CBC,          "aes-cbc",     IV,     MECH_RAW | MECH_BLOCKS, ED),
	AES(CKM_AES_CBC_PAD,      "aes-cbc-pad", IV,     MECH_RAW | MECH_PAD, ED),
	AES(CKM_AES_CTR,          "aes-ctr",     CTR,    MECH_RAW, ED),
	AES(CKM_AES_ECB,          "aes-ecb",     NONE,   MECH_RAW | MECH_BLOCKS, ED),
	AES(CKM_AES_CMAC,         "aes-cmac",    NONE,   MECH_MAC, SV),
	AES(CKM_AES_CMAC_GENERAL, "aes-cmac",    LENGTH, MECH_MAC, SV),
	AES(CKM_AES_KEY_WRAP,     "aes-kw",      NONE,   0, WU),
	AES(CKM_AES_KEY_WRAP_PAD, "aes-kwp",     NONE,   0, WU),
	AES(CKM_AES_KEY_WRAP_KWP, "aes-kwp",     NONE,   0, WU),
	AES(CKM_AES_KEY_GEN,      NULL,          NONE,   0, CKF_GENERATE),

	M(CKM_GENERIC_SECRET_KEY_GEN, NULL,   CKK_GENERIC_SECRET, 0, NONE, 0, 32, 512, CKF_GENERATE),
	M(CKM_HKDF_DERIVE,            "hkdf", CKK_GENERIC_SECRET, 0, HKDF, 0, 1, 512, CKF_DERIVE),

	HMAC(CKM_SHA_1_HMAC,             CKM_SHA_1,  NONE),
	HMAC(CKM_SHA224_HMAC,            CKM_SHA224, NONE),
	HMAC(CKM_SHA256_HMAC,            CKM_SHA256, NONE),
	HMAC(CKM_SHA384_HMAC,            CKM_SHA384, NONE),
	HMAC(CKM_SHA512_HMAC,            CKM_SHA512, NONE),
	HMAC3(CKM_SHA3_224_HMAC, CKM_SHA3_224),
	HMAC3(CKM_SHA3_256_HMAC, CKM_SHA3_256),
	HMAC3(CKM_SHA3_384_HMAC, CKM_SHA3_384),
	HMAC3(CKM_SHA3_512_HMAC, CKM_SHA3_512),
	HMAC(CKM_SHA_1_HMAC_GENERAL,     CKM_SHA_1,  LENGTH),
	HMAC(CKM_SHA224_HMAC_GENERAL,    CKM_SHA224, LENGTH),
	HMAC(CKM_SHA256_HMAC_GENERAL,    CKM_SHA256, LENGTH),
	HMAC(CKM_SHA384_HMAC_GENERAL,    CKM_SHA384, LENGTH),
	HMAC(CKM_SHA512_HMAC_GENERAL,    CKM_SHA512, LENGTH),

	DIGEST(CKM_SHA_1),
	DIGEST(CKM_SHA224),
	DIGEST(CKM_SHA256),
	DIGEST(CKM_SHA384),
	DIGEST(CKM_SHA512),
	DIGEST(CKM_SHA512_224),
	DIGEST(CKM_SHA512_256),
	DIGEST(CKM_SHA3_224),
	DIGEST(CKM_SHA3_256),
	DIGEST(CKM_SHA3_384),
	DIGEST(CKM_SHA3_512),
};
/* clang-format on */

const size_t mechs_count = sizeof(mechs) / sizeof(mechs[0]);

const struct mech *
mech_find(CK_MECHANISM_TYPE type)
{
	for (size_t i = 0; i < mechs_count; i++)
		if (mechs[i].type == type)
			return &mechs[i];
	return NULL;
}

/* Hosts give secrets the type of what they use them for. */
static bool
is_generic(CK_KEY_TYPE key)
{
	static const CK_KEY_TYPE generic[] = { CKK_GENERIC_SECRET,
		CKK_SHA_1_HMAC, CKK_SHA224_HMAC, CKK_SHA256_HMAC,
		CKK_SHA384_HMAC, CKK_SHA512_HMAC, CKK_HKDF };

	for (size_t i = 0; i < sizeof(generic) / sizeof(generic[0]); i++)
		if (generic[i] == key)
			return true;
	return false;
}

bool
mech_takes_key(const struct mech *mech, CK_KEY_TYPE key)
{
	return mech->key == key ||
	    (mech->key == CKK_GENERIC_SECRET && is_generic(key));
}
