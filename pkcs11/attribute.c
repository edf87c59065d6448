/* SPDX-License-Identifier: Apache-2.0 */
#include "attribute.h"

#include <stddef.h>

#include "../lib/bytes.h"
#include "mechanism.h"

enum {
	IN_KEYS = IN_PUB | IN_PRIV | IN_SECR,
	IN_ALL = IN_CERT | IN_KEYS | IN_PROF | IN_DATA,
};

/* clang-format off */
#define AT(member) offsetof(struct object, member)

const struct attribute attributes[] = {
	{ CKA_CLASS,                         IN_ALL,                    SRC_NUMBER, AT(class) },
	{ CKA_TOKEN,                         IN_ALL,                    SRC_FLAG,   AT(token) },
	{ CKA_PRIVATE,                       IN_ALL,                    SRC_FLAG,   AT(private) },
	{ CKA_LABEL,                         IN_ALL,                    SRC_BYTES,  AT(label) },
	{ CKA_UNIQUE_ID,                     IN_ALL,                    SRC_BYTES,  AT(unique_id) },
	{ CKA_MODIFIABLE,                    IN_ALL,                    SRC_USE,    HF_P11_MODIFY },
	{ CKA_COPYABLE,                      IN_ALL,                    SRC_FALSE,  0 },
	{ CKA_DESTROYABLE,                   IN_ALL,                    SRC_USE,    HF_P11_DESTROY },
	{ CKA_PROFILE_ID,                    IN_PROF,                   SRC_NUMBER, AT(profile) },

	{ CKA_ID,                            IN_CERT | IN_KEYS,         SRC_BYTES,  AT(id) },
	{ CKA_SUBJECT,                       IN_CERT | IN_PUB | IN_PRIV, SRC_BYTES,  AT(subject) },
	{ CKA_START_DATE,                    IN_CERT | IN_KEYS,         SRC_EMPTY,  0 },
	{ CKA_END_DATE,                      IN_CERT | IN_KEYS,         SRC_EMPTY,  0 },
	{ CKA_PUBLIC_KEY_INFO,               IN_CERT | IN_PUB | IN_PRIV, SRC_BYTES,  AT(public_key_info) },
	{ CKA_TRUSTED,                       IN_CERT | IN_PUB | IN_SECR, SRC_FALSE,  0 },

	{ CKA_CERTIFICATE_TYPE,              IN_CERT,                   SRC_NUMBER, AT(certificate_type) },
	{ CKA_CERTIFICATE_CATEGORY,          IN_CERT,                   SRC_ZERO,   0 },
	{ CKA_CHECK_VALUE,                   IN_CERT,                   SRC_BYTES,  AT(check_value) },
	{ CKA_ISSUER,                        IN_CERT,                   SRC_BYTES,  AT(issuer) },
	{ CKA_SERIAL_NUMBER,                 IN_CERT,                   SRC_BYTES,  AT(serial) },
	{ CKA_VALUE,                         IN_CERT,                   SRC_BYTES,  AT(certificate) },
	{ CKA_URL,                           IN_CERT,                   SRC_EMPTY,  0 },
	{ CKA_HASH_OF_SUBJECT_PUBLIC_KEY,    IN_CERT,                   SRC_EMPTY,  0 },
	{ CKA_HASH_OF_ISSUER_PUBLIC_KEY,     IN_CERT,                   SRC_EMPTY,  0 },
	{ CKA_JAVA_MIDP_SECURITY_DOMAIN,     IN_CERT,                   SRC_ZERO,   0 },
	{ CKA_X_DISTRUSTED,                  IN_CERT,                   SRC_FALSE,  0 },

	{ CKA_KEY_TYPE,                      IN_KEYS,                   SRC_NUMBER, AT(key_type) },
	{ CKA_DERIVE,                        IN_KEYS,                   SRC_USE,    HF_P11_DERIVE },
	{ CKA_LOCAL,                         IN_KEYS,                   SRC_FLAG,   AT(local) },
	{ CKA_KEY_GEN_MECHANISM,             IN_KEYS,                   SRC_NUMBER, AT(gen_mechanism) },
	{ CKA_ALLOWED_MECHANISMS,            IN_KEYS,                   SRC_MECHS,  0 },
	{ CKA_PARAMETER_SET,                 IN_KEYS,                   SRC_EMPTY,  0 },

	{ CKA_ENCRYPT,                       IN_PUB | IN_SECR,          SRC_USE,    HF_P11_ENCRYPT },
	{ CKA_VERIFY,                        IN_PUB | IN_SECR,          SRC_USE,    HF_P11_VERIFY },
	{ CKA_VERIFY_RECOVER,                IN_PUB,                    SRC_FALSE,  0 },
	{ CKA_WRAP,                          IN_PUB | IN_SECR,          SRC_USE,    HF_P11_WRAP },
	{ CKA_WRAP_TEMPLATE,                 IN_PUB | IN_SECR,          SRC_EMPTY,  0 },
	{ CKA_MODULUS_BITS,                  IN_PUB,                    SRC_NUMBER, AT(bits) },

	{ CKA_MODULUS,                       IN_PUB | IN_PRIV,          SRC_BYTES,  AT(modulus) },
	{ CKA_PUBLIC_EXPONENT,               IN_PUB | IN_PRIV,          SRC_BYTES,  AT(exponent) },
	{ CKA_EC_PARAMS,                     IN_PUB | IN_PRIV,          SRC_BYTES,  AT(ec_params) },
	{ CKA_EC_POINT,                      IN_PUB | IN_PRIV,          SRC_BYTES,  AT(ec_point) },

	{ CKA_SENSITIVE,                     IN_PRIV | IN_SECR,         SRC_FLAG,   AT(sensitive) },
	{ CKA_ALWAYS_SENSITIVE,              IN_PRIV | IN_SECR,         SRC_FLAG,   AT(always_sensitive) },
	{ CKA_EXTRACTABLE,                   IN_PRIV | IN_SECR,         SRC_FLAG,   AT(extractable) },
	{ CKA_NEVER_EXTRACTABLE,             IN_PRIV | IN_SECR,         SRC_FLAG,   AT(never_extractable) },
	{ CKA_DECRYPT,                       IN_PRIV | IN_SECR,         SRC_USE,    HF_P11_DECRYPT },
	{ CKA_SIGN,                          IN_PRIV | IN_SECR,         SRC_USE,    HF_P11_SIGN },
	{ CKA_UNWRAP,                        IN_PRIV | IN_SECR,         SRC_USE,    HF_P11_UNWRAP },
	{ CKA_UNWRAP_TEMPLATE,               IN_PRIV | IN_SECR,         SRC_EMPTY,  0 },
	{ CKA_DERIVE_TEMPLATE,               IN_PRIV | IN_SECR,         SRC_EMPTY,  0 },
	{ CKA_WRAP_WITH_TRUSTED,             IN_PRIV | IN_SECR,         SRC_FALSE,  0 },
	{ CKA_ALWAYS_AUTHENTICATE,           IN_PRIV,                   SRC_FALSE,  0 },
	{ CKA_SIGN_RECOVER,                  IN_PRIV,                   SRC_FALSE,  0 },
	{ CKA_PRIVATE_EXPONENT,              IN_PRIV,                   SRC_SECRET, AT(value) },
	{ CKA_PRIME_1,                       IN_PRIV,                   SRC_SECRET, AT(value) },
	{ CKA_PRIME_2,                       IN_PRIV,                   SRC_SECRET, AT(value) },
	{ CKA_EXPONENT_1,                    IN_PRIV,                   SRC_SECRET, AT(value) },
	{ CKA_EXPONENT_2,                    IN_PRIV,                   SRC_SECRET, AT(value) },
	{ CKA_COEFFICIENT,                   IN_PRIV,                   SRC_SECRET, AT(value) },
	{ CKA_VALUE,                         IN_PRIV | IN_SECR,         SRC_SECRET, AT(value) },
	{ CKA_VALUE_LEN,                     IN_SECR,                   SRC_NUMBER, AT(value_len) },
	{ CKA_CHECK_VALUE,                   IN_SECR,                   SRC_EMPTY,  0 },
};
/* clang-format on */

const size_t attributes_count = sizeof(attributes) / sizeof(attributes[0]);

/* Attributes that only some key types have; the others must not show them. */
static bool
fits_key_type(CK_ATTRIBUTE_TYPE type, const struct object *o)
{
	bool rsa = type == CKA_MODULUS || type == CKA_MODULUS_BITS ||
	    type == CKA_PUBLIC_EXPONENT || type == CKA_PRIVATE_EXPONENT ||
	    (type >= CKA_PRIME_1 && type <= CKA_COEFFICIENT);
	bool ec = type == CKA_EC_PARAMS || type == CKA_EC_POINT;

	if (rsa)
		return o->key_type == CKK_RSA;
	if (ec)
		return o->key_type != CKK_RSA;
	return true;
}

static unsigned
class_bit(CK_OBJECT_CLASS class)
{
	static const struct {
		CK_OBJECT_CLASS class;
		unsigned bit;
	} bits[] = { { CKO_CERTIFICATE, IN_CERT }, { CKO_PUBLIC_KEY, IN_PUB },
		{ CKO_PRIVATE_KEY, IN_PRIV }, { CKO_SECRET_KEY, IN_SECR },
		{ CKO_PROFILE, IN_PROF }, { CKO_DATA, IN_DATA } };

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (bits[i].class == class)
			return bits[i].bit;
	return 0;
}

static const struct attribute *
find(const struct object *o, CK_ATTRIBUTE_TYPE type)
{
	unsigned bit = class_bit(o->class);

	for (size_t i = 0; i < attributes_count; i++)
		if (attributes[i].type == type &&
		    (attributes[i].classes & bit) != 0 &&
		    fits_key_type(type, o))
			return &attributes[i];
	return NULL;
}

/* Room for a value that does not stand in the object as it goes out. */
union scratch {
	CK_BBOOL flag;
	CK_ULONG number;
	CK_MECHANISM_TYPE mechs[64];
};

static const void *
member(const struct object *o, size_t offset)
{
	return (const uint8_t *)o + offset;
}

static struct hf_bytes
flag(union scratch *s, bool value)
{
	s->flag = value ? CK_TRUE : CK_FALSE;
	return bytes_of(&s->flag, sizeof(s->flag));
}

static struct hf_bytes
number(union scratch *s, CK_ULONG value)
{
	s->number = value;
	return bytes_of(&s->number, sizeof(s->number));
}

/* Which of a mechanism's flags this object's uses stand for. */
static CK_FLAGS
flags_of_uses(uint64_t uses)
{
	static const struct {
		enum hf_p11_use use;
		CK_FLAGS flag;
	} pairs[] = { { HF_P11_SIGN, CKF_SIGN }, { HF_P11_VERIFY, CKF_VERIFY },
		{ HF_P11_ENCRYPT, CKF_ENCRYPT },
		{ HF_P11_DECRYPT, CKF_DECRYPT }, { HF_P11_DERIVE, CKF_DERIVE },
		{ HF_P11_WRAP, CKF_WRAP }, { HF_P11_UNWRAP, CKF_UNWRAP } };
	CK_FLAGS flags = 0;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if ((uses & pairs[i].use) != 0)
			flags |= pairs[i].flag;
	return flags;
}

static struct hf_bytes
mechanisms(union scratch *s, const struct object *o)
{
	CK_FLAGS wanted = flags_of_uses(o->uses);
	size_t n = 0;

	for (size_t i = 0; i < mechs_count; i++) {
		const struct mech *m = &mechs[i];

		if (m->wire == NULL || (m->info.flags & wanted) == 0 ||
		    !mech_takes_key(m, o->key_type) ||
		    ((m->traits & MECH_RAW) != 0 &&
			(o->uses & HF_P11_RAW) == 0) ||
		    ((m->traits & MECH_SOFT) != 0 && o->in_hsm))
			continue;
		if (n < sizeof(s->mechs) / sizeof(s->mechs[0]))
			s->mechs[n++] = m->type;
	}
	return bytes_of(s->mechs, n * sizeof(s->mechs[0]));
}

/* A value; absent ptr with len 0 is the empty value. */
static CK_RV
value(const struct object *o, CK_ATTRIBUTE_TYPE type, union scratch *s,
    struct hf_bytes *out)
{
	const struct attribute *a = find(o, type);

	if (a == NULL)
		return CKR_ATTRIBUTE_TYPE_INVALID;
	switch (a->source) {
	case SRC_EMPTY:
		*out = (struct hf_bytes){ 0 };
		break;
	case SRC_BYTES:
		*out = *(const struct hf_bytes *)member(o, a->where);
		break;
	case SRC_SECRET:
		*out = *(const struct hf_bytes *)member(o, a->where);
		if (out->ptr == NULL)
			return CKR_ATTRIBUTE_SENSITIVE;
		break;
	case SRC_NUMBER:
		*out = number(s, *(const CK_ULONG *)member(o, a->where));
		break;
	case SRC_FLAG:
		*out = flag(s, *(const bool *)member(o, a->where));
		break;
	case SRC_USE:
		*out = flag(s, (o->uses & a->where) != 0);
		break;
	case SRC_TRUE:
		*out = flag(s, true);
		break;
	case SRC_FALSE:
		*out = flag(s, false);
		break;
	case SRC_ZERO:
		*out = number(s, 0);
		break;
	case SRC_MECHS:
		*out = mechanisms(s, o);
		break;
	}
	return CKR_OK;
}

CK_RV
template_check(const CK_ATTRIBUTE *template, CK_ULONG count)
{
	enum { TEMPLATE_MAX = 256, VALUE_MAX = 1 << 20 };

	if (count > TEMPLATE_MAX || (template == NULL && count > 0))
		return CKR_ARGUMENTS_BAD;
	for (CK_ULONG i = 0; i < count; i++)
		if (template[i].ulValueLen > VALUE_MAX ||
		    (template[i].pValue == NULL && template[i].ulValueLen > 0))
			return CKR_ATTRIBUTE_VALUE_INVALID;
	return CKR_OK;
}

bool
attribute_match(
    const struct object *object, const CK_ATTRIBUTE *template, CK_ULONG count)
{
	union scratch scratch;
	struct hf_bytes v;

	for (CK_ULONG i = 0; i < count; i++)
		if (value(object, template[i].type, &scratch, &v) != CKR_OK ||
		    !bytes_equal(v,
			bytes_of(template[i].pValue, template[i].ulValueLen)))
			return false;
	return true;
}

static CK_RV
get_one(const struct object *object, CK_ATTRIBUTE *a)
{
	union scratch scratch;
	struct hf_bytes v;
	CK_ULONG room = a->ulValueLen;
	CK_RV rv = value(object, a->type, &scratch, &v);

	a->ulValueLen = CK_UNAVAILABLE_INFORMATION;
	if (rv != CKR_OK)
		return rv;
	if (a->pValue != NULL && room < v.len)
		return CKR_BUFFER_TOO_SMALL;
	if (a->pValue != NULL && v.len > 0)
		memcpy(a->pValue, v.ptr, v.len);
	a->ulValueLen = v.len;
	return CKR_OK;
}

CK_RV
attribute_get(
    const struct object *object, CK_ATTRIBUTE *template, CK_ULONG count)
{
	CK_RV result = CKR_OK;

	if (template == NULL && count > 0)
		return CKR_ARGUMENTS_BAD;
	for (CK_ULONG i = 0; i < count; i++) {
		CK_RV rv = get_one(object, &template[i]);

		if (rv != CKR_OK)
			result = rv;
	}
	return result;
}
