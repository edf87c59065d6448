/* SPDX-License-Identifier: Apache-2.0 */
#include "param.h"

#include "../lib/bytes.h"
#include "mechanism.h"

static CK_RV
refuse(struct hf_why *why, const char *what)
{
	(void)hf_fail(
	    why, HF_ERR_BAD_ALGORITHM, "mechanism parameter: %s", what);
	return CKR_MECHANISM_PARAM_INVALID;
}

/* Copies bytes that the host points to. */
static CK_RV
copy(struct buffer *to, const void *from, CK_ULONG len, size_t max,
    struct hf_why *why, const char *what)
{
	if (len > max || (from == NULL && len > 0))
		return refuse(why, what);
	if (buffer_add(to, bytes_of(from, len)) != HF_OK)
		return CKR_HOST_MEMORY;
	return CKR_OK;
}

/*
 * The struct that the parameter must be. Copied, because hosts put parameters
 * at odd addresses.
 */
static bool
take(const CK_MECHANISM *from, void *to, size_t size)
{
	if (from->pParameter == NULL || from->ulParameterLen != size)
		return false;
	memcpy(to, from->pParameter, size);
	return true;
}

static CK_RV
load_none(const struct mech *mech, const CK_MECHANISM *from, struct param *out,
    struct hf_why *why)
{
	(void)mech;
	(void)out;
	/* Some callers give a pointer and no length, or the other way. */
	if (from->pParameter != NULL && from->ulParameterLen != 0)
		return refuse(why, "this mechanism has none");
	return CKR_OK;
}

static CK_RV
load_pss(const struct mech *mech, const CK_MECHANISM *from, struct param *out,
    struct hf_why *why)
{
	CK_RSA_PKCS_PSS_PARAMS p;

	if (!take(from, &p, sizeof(p)))
		return refuse(why, "needs CK_RSA_PKCS_PSS_PARAMS");
	out->hash = digest_by_mech(p.hashAlg);
	if (out->hash == NULL || out->hash->wire == NULL)
		return refuse(why, "PSS: unknown hash");
	if (mech->hash != 0 && mech->hash != p.hashAlg)
		return refuse(why, "PSS: not the hash of the mechanism");
	if (digest_by_mgf(p.mgf) != out->hash)
		return refuse(why, "PSS: MGF1 must use the same hash");
	if (p.sLen > 512)
		return refuse(why, "PSS: the salt is too long");
	out->number = p.sLen;
	return CKR_OK;
}

static CK_RV
load_oaep(const struct mech *mech, const CK_MECHANISM *from, struct param *out,
    struct hf_why *why)
{
	CK_RSA_PKCS_OAEP_PARAMS p;

	(void)mech;
	if (!take(from, &p, sizeof(p)))
		return refuse(why, "needs CK_RSA_PKCS_OAEP_PARAMS");
	out->hash = digest_by_mech(p.hashAlg);
	if (out->hash == NULL || out->hash->wire == NULL)
		return refuse(why, "OAEP: unknown hash");
	if (digest_by_mgf(p.mgf) != out->hash)
		return refuse(why, "OAEP: MGF1 must use the same hash");
	/* Without a label some callers leave the source at 0. */
	if (p.source != CKZ_DATA_SPECIFIED &&
	    !(p.source == 0 && p.ulSourceDataLen == 0))
		return refuse(why, "OAEP: unknown source of the label");
	return copy(&out->more, p.pSourceData, p.ulSourceDataLen, AAD_MAX, why,
	    "OAEP: bad label");
}

/*
 * The nonce must be there: an HSM that takes an absent one for zeros would
 * encrypt twice under the same nonce. Short tags are refused when they are
 * shorter than NIST SP 800-38D allows for general use.
 */
static CK_RV
load_gcm(const struct mech *mech, const CK_MECHANISM *from, struct param *out,
    struct hf_why *why)
{
	CK_GCM_PARAMS p;
	CK_RV rv;

	(void)mech;
	if (!take(from, &p, sizeof(p)))
		return refuse(why, "needs CK_GCM_PARAMS");
	if (p.pIv == NULL || p.ulIvLen == 0)
		return refuse(why, "GCM: the nonce is missing");
	/* 2.40 had no agreement on ulIvBits; 0 and what fits are taken. */
	if (p.ulIvBits != 0 && p.ulIvBits != 8 * p.ulIvLen)
		return refuse(why,
		    "GCM: the size of the nonce in bits is not "
		    "that in bytes");
	if (p.ulTagBits < 96 || p.ulTagBits > 128 || p.ulTagBits % 8 != 0)
		return refuse(why, "GCM: the tag must have 96 to 128 bits");
	out->number = p.ulTagBits;
	rv = copy(&out->iv, p.pIv, p.ulIvLen, GCM_IV_MAX, why,
	    "GCM: the nonce is too long");
	if (rv != CKR_OK)
		return rv;
	return copy(&out->more, p.pAAD, p.ulAADLen, AAD_MAX, why,
	    "GCM: bad associated data");
}

static CK_RV
load_iv(const struct mech *mech, const CK_MECHANISM *from, struct param *out,
    struct hf_why *why)
{
	(void)mech;
	if (from->pParameter == NULL || from->ulParameterLen != 16)
		return refuse(why, "needs an IV of 16 bytes");
	return copy(&out->iv, from->pParameter, 16, 16, why, "bad IV");
}

static CK_RV
load_ctr(const struct mech *mech, const CK_MECHANISM *from, struct param *out,
    struct hf_why *why)
{
	CK_AES_CTR_PARAMS p;

	(void)mech;
	if (!take(from, &p, sizeof(p)))
		return refuse(why, "needs CK_AES_CTR_PARAMS");
	if (p.ulCounterBits < 1 || p.ulCounterBits > 128)
		return refuse(why, "CTR: the counter has 1 to 128 bits");
	out->number = p.ulCounterBits;
	return copy(&out->iv, p.cb, sizeof(p.cb), 16, why, "bad counter");
}

static CK_RV
load_length(const struct mech *mech, const CK_MECHANISM *from,
    struct param *out, struct hf_why *why)
{
	const struct digest_type *hash = digest_by_mech(mech->hash);
	size_t most = hash == NULL ? 16 : hash->size;
	CK_ULONG len;

	if (!take(from, &len, sizeof(len)))
		return refuse(why, "needs the length of the MAC");
	if (len < 4 || len > most)
		return refuse(why, "no such length of a MAC");
	out->number = len;
	return CKR_OK;
}

static CK_RV
load_eddsa(const struct mech *mech, const CK_MECHANISM *from, struct param *out,
    struct hf_why *why)
{
	CK_EDDSA_PARAMS p;

	(void)mech;
	(void)out;
	if (from->pParameter == NULL || from->ulParameterLen == 0)
		return CKR_OK;
	if (!take(from, &p, sizeof(p)))
		return refuse(why, "needs CK_EDDSA_PARAMS or nothing");
	if (p.phFlag != CK_FALSE || p.ulContextDataLen != 0)
		return refuse(why, "EdDSA: only plain Ed25519");
	return CKR_OK;
}

static CK_RV
load_ecdh(const struct mech *mech, const CK_MECHANISM *from, struct param *out,
    struct hf_why *why)
{
	CK_ECDH1_DERIVE_PARAMS p;
	CK_RV rv;

	(void)mech;
	if (!take(from, &p, sizeof(p)))
		return refuse(why, "needs CK_ECDH1_DERIVE_PARAMS");
	if (p.kdf != CKD_NULL) {
		out->hash = digest_by_kdf(p.kdf);
		if (out->hash == NULL)
			return refuse(why, "ECDH: unknown KDF");
	} else if (p.ulSharedDataLen != 0) {
		return refuse(why, "ECDH: shared data without a KDF");
	}
	if (p.ulPublicDataLen == 0)
		return refuse(why, "ECDH: the other public key is missing");
	rv = copy(&out->iv, p.pPublicData, p.ulPublicDataLen, 512, why,
	    "ECDH: bad public key");
	if (rv != CKR_OK)
		return rv;
	return copy(&out->more, p.pSharedData, p.ulSharedDataLen, AAD_MAX, why,
	    "ECDH: bad shared data");
}

static CK_RV
load_hkdf(const struct mech *mech, const CK_MECHANISM *from, struct param *out,
    struct hf_why *why)
{
	CK_HKDF_PARAMS p;
	CK_RV rv;

	(void)mech;
	if (!take(from, &p, sizeof(p)))
		return refuse(why, "needs CK_HKDF_PARAMS");
	out->hash = digest_by_mech(p.prfHashMechanism);
	if (out->hash == NULL || out->hash->wire == NULL)
		return refuse(why, "HKDF: unknown hash");
	out->extract = p.bExtract != CK_FALSE;
	out->expand = p.bExpand != CK_FALSE;
	if (!out->extract && !out->expand)
		return refuse(why, "HKDF: neither extract nor expand");
	if (p.ulSaltType == CKF_HKDF_SALT_DATA) {
		rv = copy(&out->salt, p.pSalt, p.ulSaltLen, 8192, why,
		    "HKDF: bad salt");
		if (rv != CKR_OK)
			return rv;
	} else if (p.ulSaltType != CKF_HKDF_SALT_NULL) {
		return refuse(why, "HKDF: a salt is data or absent");
	}
	return copy(
	    &out->more, p.pInfo, p.ulInfoLen, AAD_MAX, why, "HKDF: bad info");
}

static CK_RV
load_rsa_aes(const struct mech *mech, const CK_MECHANISM *from,
    struct param *out, struct hf_why *why)
{
	CK_RSA_AES_KEY_WRAP_PARAMS p;
	CK_MECHANISM oaep = { 0 };
	CK_RV rv;

	if (!take(from, &p, sizeof(p)) || p.pOAEPParams == NULL)
		return refuse(why, "needs CK_RSA_AES_KEY_WRAP_PARAMS");
	if (p.ulAESKeyBits != 128 && p.ulAESKeyBits != 192 &&
	    p.ulAESKeyBits != 256)
		return refuse(why, "the AES key has 128, 192 or 256 bits");
	oaep.pParameter = p.pOAEPParams;
	oaep.ulParameterLen = sizeof(*p.pOAEPParams);
	rv = load_oaep(mech, &oaep, out, why);
	out->number = p.ulAESKeyBits / 8;
	return rv;
}

/*
 * Functions, because each reads a struct of its own.
 */
typedef CK_RV load_fn(const struct mech *mech, const CK_MECHANISM *from,
    struct param *out, struct hf_why *why);

static load_fn *const loaders[PARAM_KINDS] = {
	[PARAM_NONE] = load_none,
	[PARAM_PSS] = load_pss,
	[PARAM_OAEP] = load_oaep,
	[PARAM_GCM] = load_gcm,
	[PARAM_IV] = load_iv,
	[PARAM_CTR] = load_ctr,
	[PARAM_LENGTH] = load_length,
	[PARAM_EDDSA] = load_eddsa,
	[PARAM_ECDH] = load_ecdh,
	[PARAM_HKDF] = load_hkdf,
	[PARAM_RSA_AES] = load_rsa_aes,
};

CK_RV
param_load(const struct mech *mech, const CK_MECHANISM *from, struct param *out,
    struct hf_why *why)
{
	CK_RV rv;

	out->kind = mech->param;
	if (mech->hash != 0)
		out->hash = digest_by_mech(mech->hash);
	rv = loaders[mech->param](mech, from, out, why);
	if (rv != CKR_OK)
		param_free(out);
	return rv;
}

void
param_free(struct param *param)
{
	buffer_free(&param->iv);
	buffer_free(&param->more);
	buffer_free(&param->salt);
	*param = (struct param){ 0 };
}

/* Absent when it is empty. */
static struct hf_bytes
optional(const struct buffer *b)
{
	if (b->len == 0)
		return (struct hf_bytes){ 0 };
	return buffer_view(b);
}

void
param_fill(
    const struct mech *mech, const struct param *param, struct hf_p11_how *out)
{
	*out = (struct hf_p11_how){ .mechanism = text_of(mech->wire) };
	if (param->hash != NULL && param->hash->wire != NULL)
		out->hash = text_of(param->hash->wire);
	if (param->kind == PARAM_PSS)
		out->salt_length = (struct hf_uint){ param->number, true };
	if (param->kind == PARAM_GCM || param->kind == PARAM_CTR)
		out->tag_bits = param->number;
	if (param->kind == PARAM_HKDF && !param->expand)
		out->steps = TEXT("extract");
	if (param->kind == PARAM_HKDF && !param->extract)
		out->steps = TEXT("expand");
	if (param->kind == PARAM_LENGTH || param->kind == PARAM_RSA_AES)
		out->output_bytes = param->number;
	if (param->kind == PARAM_ECDH)
		out->peer = optional(&param->iv);
	else
		out->iv = optional(&param->iv);
	out->associated_data = optional(&param->more);
	out->salt = optional(&param->salt);
}
