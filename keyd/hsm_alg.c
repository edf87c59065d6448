/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_alg.h"

#include <assert.h>

#include "../lib/bytes.h"

/* Object identifiers of the curves (RFC 5480, section 2.1.1.1; RFC 8410,
 * section 3), as CKA_EC_PARAMS wants them. */
static const uint8_t p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
	0x01, 0x07 };
static const uint8_t p384[] = { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22 };
static const uint8_t p521[] = { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23 };
static const uint8_t ed25519[] = { 0x06, 0x03, 0x2b, 0x65, 0x70 };

#define AEAD (USE_ENCRYPT | USE_DECRYPT)
#define RSA (USE_DECRYPT | USE_SIGN)

/* clang-format off */
#define OID(x) { x, sizeof(x) }
static const struct hsm_alg algs[] = {
	{ KEY_AES256_GCM96, CKK_AES,            CKO_SECRET_KEY,  CKM_AES_KEY_GEN,             AEAD,     { NULL, 0 }, USE_SIGN,   HSM_CAN_CMAC },
	{ KEY_AES192_GCM96, CKK_AES,            CKO_SECRET_KEY,  CKM_AES_KEY_GEN,             AEAD,     { NULL, 0 }, USE_SIGN,   HSM_CAN_CMAC },
	{ KEY_AES128_GCM96, CKK_AES,            CKO_SECRET_KEY,  CKM_AES_KEY_GEN,             AEAD,     { NULL, 0 }, USE_SIGN,   HSM_CAN_CMAC },
	{ KEY_ECDSA_P256,   CKK_EC,             CKO_PRIVATE_KEY, CKM_EC_KEY_PAIR_GEN,         USE_SIGN, OID(p256),   USE_DERIVE, HSM_CAN_ECDH },
	{ KEY_ECDSA_P384,   CKK_EC,             CKO_PRIVATE_KEY, CKM_EC_KEY_PAIR_GEN,         USE_SIGN, OID(p384),   USE_DERIVE, HSM_CAN_ECDH },
	{ KEY_ECDSA_P521,   CKK_EC,             CKO_PRIVATE_KEY, CKM_EC_KEY_PAIR_GEN,         USE_SIGN, OID(p521),   USE_DERIVE, HSM_CAN_ECDH },
	{ KEY_ED25519,      CKK_EC_EDWARDS,     CKO_PRIVATE_KEY, CKM_EC_EDWARDS_KEY_PAIR_GEN, USE_SIGN, OID(ed25519), 0, 0 },
	{ KEY_RSA_2048,     CKK_RSA,            CKO_PRIVATE_KEY, CKM_RSA_PKCS_KEY_PAIR_GEN,   RSA,      { NULL, 0 }, 0, 0 },
	{ KEY_RSA_3072,     CKK_RSA,            CKO_PRIVATE_KEY, CKM_RSA_PKCS_KEY_PAIR_GEN,   RSA,      { NULL, 0 }, 0, 0 },
	{ KEY_RSA_4096,     CKK_RSA,            CKO_PRIVATE_KEY, CKM_RSA_PKCS_KEY_PAIR_GEN,   RSA,      { NULL, 0 }, 0, 0 },
	{ KEY_HMAC,         CKK_GENERIC_SECRET, CKO_SECRET_KEY,  CKM_GENERIC_SECRET_KEY_GEN,  USE_SIGN, { NULL, 0 }, 0, 0 },
	{ KEY_AES128_CMAC,  CKK_AES,            CKO_SECRET_KEY,  CKM_AES_KEY_GEN,             USE_SIGN, { NULL, 0 }, 0, 0 },
	{ KEY_AES192_CMAC,  CKK_AES,            CKO_SECRET_KEY,  CKM_AES_KEY_GEN,             USE_SIGN, { NULL, 0 }, 0, 0 },
	{ KEY_AES256_CMAC,  CKK_AES,            CKO_SECRET_KEY,  CKM_AES_KEY_GEN,             USE_SIGN, { NULL, 0 }, 0, 0 },
};

static const struct hsm_role_alg roles[] = {
	{ ROLE_MASTER, KEY_AES256_GCM96, AEAD,                  HF_ERR_HSM_UNINITIALIZED },
	{ ROLE_WRAP,   KEY_AES256_GCM96, USE_WRAP | USE_UNWRAP, HF_ERR_HSM_UNINITIALIZED },
	{ ROLE_AUDIT,  KEY_ECDSA_P256,   USE_SIGN,              HF_ERR_NOT_FOUND },
};

static const struct {
	unsigned use;
	CK_ATTRIBUTE_TYPE attribute;
	bool secret_only;
} uses[] = {
	{ USE_ENCRYPT, CKA_ENCRYPT,      true },
	{ USE_DECRYPT, CKA_DECRYPT,      false },
	{ USE_SIGN,    CKA_SIGN,         false },
	{ 0,           CKA_SIGN_RECOVER, false },
	{ 0,           CKA_VERIFY,       true },
	{ USE_WRAP,    CKA_WRAP,         true },
	{ USE_UNWRAP,  CKA_UNWRAP,       false },
	{ USE_DERIVE,  CKA_DERIVE,       false },
};
/* clang-format on */

const struct hsm_alg *
hsm_alg_of(const struct key_type *type)
{
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++)
		if (algs[i].id == type->id)
			return &algs[i];
	return NULL;
}

const struct hsm_role_alg *
hsm_role_alg(enum hsm_role role)
{
	assert(roles[role].role == role);
	return &roles[role];
}

static CK_ATTRIBUTE *
template_next(struct key_template *t, CK_ATTRIBUTE_TYPE type)
{
	assert(t->count < TEMPLATE_MAX);
	t->a[t->count].type = type;
	return &t->a[t->count++];
}

void
template_bool(struct key_template *t, CK_ATTRIBUTE_TYPE type, bool value)
{
	CK_BBOOL *kept = &t->bools[t->count];
	CK_ATTRIBUTE *a = template_next(t, type);

	*kept = value ? CK_TRUE : CK_FALSE;
	a->pValue = kept;
	a->ulValueLen = sizeof(*kept);
}

void
template_number(struct key_template *t, CK_ATTRIBUTE_TYPE type, CK_ULONG value)
{
	CK_ULONG *kept = &t->numbers[t->count];
	CK_ATTRIBUTE *a = template_next(t, type);

	*kept = value;
	a->pValue = kept;
	a->ulValueLen = sizeof(*kept);
}

void
template_bytes(
    struct key_template *t, CK_ATTRIBUTE_TYPE type, struct hf_bytes value)
{
	CK_ATTRIBUTE *a = template_next(t, type);

	a->pValue = unconst(value.ptr);
	a->ulValueLen = value.len;
}

void
template_key(
    struct key_template *t, CK_OBJECT_CLASS class, unsigned use, unsigned flags)
{
	template_bool(t, CKA_TOKEN, (flags & KEY_ON_TOKEN) != 0);
	template_bool(t, CKA_PRIVATE, true);
	template_bool(t, CKA_SENSITIVE, true);
	template_bool(t, CKA_EXTRACTABLE, (flags & KEY_EXTRACTABLE) != 0);
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		bool has = class == CKO_SECRET_KEY
		    ? uses[i].attribute != CKA_SIGN_RECOVER
		    : !uses[i].secret_only;

		if (has)
			template_bool(
			    t, uses[i].attribute, (use & uses[i].use) != 0);
	}
}

void
template_public(struct key_template *t, const struct hsm_alg *alg, size_t bits,
    bool on_token)
{
	static const uint8_t f4[] = { 0x01, 0x00, 0x01 };

	template_bool(t, CKA_TOKEN, on_token);
	template_bool(t, CKA_VERIFY, true);
	if (alg->params.ptr != NULL) {
		template_bytes(t, CKA_EC_PARAMS, alg->params);
		return;
	}
	template_number(t, CKA_MODULUS_BITS, bits);
	template_bytes(t, CKA_PUBLIC_EXPONENT, bytes_of(f4, sizeof(f4)));
}
