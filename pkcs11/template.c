/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include <stddef.h>

#include <holdfast/ops.h>

#include "../lib/bytes.h"
#include "attribute.h"

enum wish_kind { WISH_NUMBER, WISH_FLAG, WISH_USE, WISH_BYTES, WISH_IGNORE };

/* clang-format off */
#define W(member) offsetof(struct wishes, member)

static const struct wish {
	CK_ATTRIBUTE_TYPE type;
	enum wish_kind kind;
	size_t where;      /* offset, or a bit of uses */
	enum said said;
} wish_rows[] = {
	{ CKA_CLASS,               WISH_NUMBER, W(class),               SAID_CLASS },
	{ CKA_KEY_TYPE,            WISH_NUMBER, W(key_type),            SAID_KEY_TYPE },
	{ CKA_CERTIFICATE_TYPE,    WISH_NUMBER, W(certificate_type),    SAID_OTHER },
	{ CKA_VALUE_LEN,           WISH_NUMBER, W(value_len),           SAID_VALUE_LEN },
	{ CKA_MODULUS_BITS,        WISH_NUMBER, W(modulus_bits),        SAID_MODULUS_BITS },
	{ CKA_TOKEN,               WISH_FLAG,   W(token),               SAID_TOKEN },
	{ CKA_PRIVATE,             WISH_FLAG,   W(private),             SAID_PRIVATE },
	{ CKA_SENSITIVE,           WISH_FLAG,   W(sensitive),           SAID_SENSITIVE },
	{ CKA_EXTRACTABLE,         WISH_FLAG,   W(extractable),         SAID_EXTRACTABLE },
	{ CKA_ALWAYS_AUTHENTICATE, WISH_FLAG,   W(always_authenticate), SAID_OTHER },
	{ CKA_TRUSTED,             WISH_FLAG,   W(trusted),             SAID_OTHER },
	{ CKA_SIGN,                WISH_USE,    HF_P11_SIGN,            SAID_OTHER },
	{ CKA_VERIFY,              WISH_USE,    HF_P11_VERIFY,          SAID_OTHER },
	{ CKA_ENCRYPT,             WISH_USE,    HF_P11_ENCRYPT,         SAID_OTHER },
	{ CKA_DECRYPT,             WISH_USE,    HF_P11_DECRYPT,         SAID_OTHER },
	{ CKA_DERIVE,              WISH_USE,    HF_P11_DERIVE,          SAID_OTHER },
	{ CKA_WRAP,                WISH_USE,    HF_P11_WRAP,            SAID_OTHER },
	{ CKA_UNWRAP,              WISH_USE,    HF_P11_UNWRAP,          SAID_OTHER },
	{ CKA_LABEL,               WISH_BYTES,  W(label),               SAID_OTHER },
	{ CKA_ID,                  WISH_BYTES,  W(id),                  SAID_OTHER },
	{ CKA_VALUE,               WISH_BYTES,  W(value),               SAID_OTHER },
	{ CKA_MODULUS,             WISH_BYTES,  W(modulus),             SAID_OTHER },
	{ CKA_PUBLIC_EXPONENT,     WISH_BYTES,  W(exponent),            SAID_OTHER },
	{ CKA_PRIVATE_EXPONENT,    WISH_BYTES,  W(private_exponent),    SAID_OTHER },
	{ CKA_PRIME_1,             WISH_BYTES,  W(primes[0]),           SAID_OTHER },
	{ CKA_PRIME_2,             WISH_BYTES,  W(primes[1]),           SAID_OTHER },
	{ CKA_EXPONENT_1,          WISH_BYTES,  W(exponents[0]),        SAID_OTHER },
	{ CKA_EXPONENT_2,          WISH_BYTES,  W(exponents[1]),        SAID_OTHER },
	{ CKA_COEFFICIENT,         WISH_BYTES,  W(coefficient),         SAID_OTHER },
	{ CKA_EC_PARAMS,           WISH_BYTES,  W(ec_params),           SAID_OTHER },
	{ CKA_EC_POINT,            WISH_BYTES,  W(ec_point),            SAID_OTHER },
	/* What is read from the certificate or the key itself, or means nothing
	 * here; hosts give it all the same. */
	{ CKA_SUBJECT,                      WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_ISSUER,                       WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_SERIAL_NUMBER,                WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_CERTIFICATE_CATEGORY,         WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_CHECK_VALUE,                  WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_PUBLIC_KEY_INFO,              WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_START_DATE,                   WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_END_DATE,                     WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_MODIFIABLE,                   WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_COPYABLE,                     WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_DESTROYABLE,                  WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_SIGN_RECOVER,                 WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_VERIFY_RECOVER,               WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_WRAP_WITH_TRUSTED,            WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_URL,                          WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_HASH_OF_SUBJECT_PUBLIC_KEY,   WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_HASH_OF_ISSUER_PUBLIC_KEY,    WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_JAVA_MIDP_SECURITY_DOMAIN,    WISH_IGNORE, 0, SAID_OTHER },
	{ CKA_X_DISTRUSTED,                 WISH_IGNORE, 0, SAID_OTHER },
	{ 0xd5a0db00UL /* NSS: CKA_NETSCAPE_DB */, WISH_IGNORE, 0, SAID_OTHER },
};
/* clang-format on */

enum { WISH_ROWS = sizeof(wish_rows) / sizeof(wish_rows[0]) };

_Static_assert(WISH_ROWS <= 64, "template_read keeps them in 64 bits");

static CK_RV
read_one(const CK_ATTRIBUTE *a, const struct wish *row, struct wishes *out)
{
	uint8_t *at = (uint8_t *)out + row->where;
	struct hf_bytes view = bytes_of(a->pValue, a->ulValueLen);
	CK_BBOOL flag = CK_FALSE;

	if (row->kind == WISH_IGNORE)
		return CKR_OK;
	if (row->kind == WISH_BYTES) {
		memcpy(at, &view, sizeof(view));
		return CKR_OK;
	}
	if (row->kind == WISH_NUMBER) {
		if (a->ulValueLen != sizeof(CK_ULONG))
			return CKR_ATTRIBUTE_VALUE_INVALID;
		memcpy(at, a->pValue, sizeof(CK_ULONG));
		return CKR_OK;
	}
	if (a->ulValueLen != sizeof(flag))
		return CKR_ATTRIBUTE_VALUE_INVALID;
	memcpy(&flag, a->pValue, sizeof(flag));
	if (row->kind == WISH_FLAG) {
		*(bool *)at = flag != CK_FALSE;
		return CKR_OK;
	}
	out->uses_said = true;
	if (flag != CK_FALSE)
		out->uses |= row->where;
	return CKR_OK;
}

/* Attributes that exist, and that no host sets. */
static bool
is_known(CK_ATTRIBUTE_TYPE type)
{
	for (size_t i = 0; i < attributes_count; i++)
		if (attributes[i].type == type)
			return true;
	return false;
}

CK_RV
template_read(const CK_ATTRIBUTE *template, CK_ULONG count, struct wishes *out)
{
	uint64_t seen = 0;
	CK_RV rv = template_check(template, count);

	*out = (struct wishes){ 0 };
	for (CK_ULONG i = 0; i < count && rv == CKR_OK; i++) {
		size_t r = 0;

		while (r < WISH_ROWS && wish_rows[r].type != template[i].type)
			r++;
		if (r == WISH_ROWS)
			return is_known(template[i].type)
			    ? CKR_ATTRIBUTE_READ_ONLY
			    : CKR_ATTRIBUTE_TYPE_INVALID;
		if ((seen >> r & 1) != 0)
			return CKR_TEMPLATE_INCONSISTENT;
		seen |= UINT64_C(1) << r;
		out->said |= wish_rows[r].said;
		rv = read_one(&template[i], &wish_rows[r], out);
	}
	return rv;
}

/* -- Types -- */

/* clang-format off */
/* RFC 5480 and RFC 8410; PKCS#11 3.0 names Edwards curves by a string, too. */
static const struct {
	const char *type;
	uint8_t params[16];
	size_t len;
} curves[] = {
	{ "ecdsa-p256", { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 }, 10 },
	{ "ecdsa-p384", { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22 }, 7 },
	{ "ecdsa-p521", { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23 }, 7 },
	{ "ed25519",    { 0x06, 0x03, 0x2b, 0x65, 0x70 }, 5 },
	{ "ed25519",    { 0x13, 0x0c, 'e', 'd', 'w', 'a', 'r', 'd', 's', '2', '5', '5', '1', '9' }, 14 },
};

static const struct {
	CK_KEY_TYPE key_type;
	CK_ULONG size; /* 0: any */
	const char *type;
} sizes[] = {
	{ CKK_RSA,            2048, "rsa-2048" },
	{ CKK_RSA,            3072, "rsa-3072" },
	{ CKK_RSA,            4096, "rsa-4096" },
	{ CKK_AES,            16,   "aes128-gcm96" },
	{ CKK_AES,            24,   "aes192-gcm96" },
	{ CKK_AES,            32,   "aes256-gcm96" },
	{ CKK_GENERIC_SECRET, 0,    "hmac" },
	{ CKK_SHA_1_HMAC,     0,    "hmac" },
	{ CKK_SHA224_HMAC,    0,    "hmac" },
	{ CKK_SHA256_HMAC,    0,    "hmac" },
	{ CKK_SHA384_HMAC,    0,    "hmac" },
	{ CKK_SHA512_HMAC,    0,    "hmac" },
	{ CKK_HKDF,           0,    "hmac" },
};
/* clang-format on */

const char *
curve_by_params(struct hf_bytes params)
{
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
		if (bytes_equal(
			params, bytes_of(curves[i].params, curves[i].len)))
			return curves[i].type;
	return NULL;
}

const char *
type_of_key(CK_KEY_TYPE key_type, CK_ULONG size, struct hf_bytes ec_params)
{
	if (key_type == CKK_EC || key_type == CKK_EC_EDWARDS)
		return curve_by_params(ec_params);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (sizes[i].key_type == key_type &&
		    (sizes[i].size == 0 || sizes[i].size == size))
			return sizes[i].type;
	return NULL;
}

enum {
	USES_RSA =
	    HF_P11_SIGN | HF_P11_VERIFY | HF_P11_ENCRYPT | HF_P11_DECRYPT,
	USES_EC = HF_P11_SIGN | HF_P11_VERIFY | HF_P11_DERIVE,
	USES_MAC = HF_P11_SIGN | HF_P11_VERIFY,
};

/* As key_purpose.c of the daemon has it. */
static const struct {
	const char *type;
	CK_ULONG bits;
	uint64_t uses;
} defaults[] = {
	{ "rsa-2048", 2048, USES_RSA },
	{ "rsa-3072", 3072, USES_RSA },
	{ "rsa-4096", 4096, USES_RSA },
	{ "ecdsa-p256", 256, USES_EC },
	{ "ecdsa-p384", 384, USES_EC },
	{ "ecdsa-p521", 521, USES_EC },
	{ "ed25519", 256, HF_P11_SIGN | HF_P11_VERIFY },
	{ "aes128-gcm96", 128, USES_RSA },
	{ "aes192-gcm96", 192, USES_RSA },
	{ "aes256-gcm96", 256, USES_RSA },
	{ "aes128-cmac", 128, USES_MAC },
	{ "aes192-cmac", 192, USES_MAC },
	{ "aes256-cmac", 256, USES_MAC },
	{ "hmac", 0, USES_EC },
};

const char *
type_for_uses(const char *type, uint64_t uses)
{
	static const struct {
		const char *type, *mac;
	} macs[] = {
		{ "aes128-gcm96", "aes128-cmac" },
		{ "aes192-gcm96", "aes192-cmac" },
		{ "aes256-gcm96", "aes256-cmac" },
	};

	if (uses == 0 || (uses & ~(uint64_t)USES_MAC) != 0)
		return type;
	for (size_t i = 0; i < sizeof(macs) / sizeof(macs[0]); i++)
		if (strcmp(type, macs[i].type) == 0)
			return macs[i].mac;
	return type;
}

CK_ULONG
bits_of_type(const char *type)
{
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (strcmp(type, defaults[i].type) == 0)
			return defaults[i].bits;
	return 0;
}

uint64_t
uses_of_type(const char *type)
{
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (strcmp(type, defaults[i].type) == 0)
			return defaults[i].uses;
	return 0;
}
