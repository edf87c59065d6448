/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto.h"

#include <string.h>

#include "../lib/bytes.h"
#include "crypto_state.h"

enum {
	FIELD_MAX = 66, /* P-521 */
	ED25519_SIGNATURE = 64,
	PKCS1_OVERHEAD = 11, /* RFC 8017, section 9.2 */
	PSS_OVERHEAD = 2,    /* section 9.1.1: 0x01 and 0xbc */
	DER_INTEGER = 0x02,
	DER_SEQUENCE = 0x30,
	DER_LONG = 0x81, /* the length is in the next byte */
};

/* -- ECDSA signatures: two numbers, as DER or side by side -- */

/* One positive INTEGER of at most `field` bytes, in its only DER form. */
static bool
integer_read(struct hf_bytes *in, size_t field, uint8_t *out)
{
	const uint8_t *p = in->ptr;
	size_t len;

	if (in->len < 3 || p[0] != DER_INTEGER)
		return false;
	len = p[1];
	p += 2;
	if (len == 0 || len > in->len - 2 || (p[0] & 0x80) != 0)
		return false;
	*in = bytes_of(p + len, in->len - 2 - len);
	if (p[0] == 0) {
		if (len == 1 || (p[1] & 0x80) == 0)
			return false; /* zero, or a zero too many */
		p++;
		len--;
	}
	if (len > field)
		return false;
	memset(out, 0, field - len);
	memcpy(out + field - len, p, len);
	return true;
}

enum hf_err
crypto_ecdsa_from_der(struct hf_bytes der, size_t field, uint8_t *out)
{
	uint8_t rs[2 * FIELD_MAX];
	size_t head = 2, len;

	if (field == 0 || field > FIELD_MAX || der.len < 2 ||
	    der.ptr[0] != DER_SEQUENCE)
		return HF_ERR_BAD_SIGNATURE;
	len = der.ptr[1];
	if (len == DER_LONG && der.len > 2) {
		head = 3;
		len = der.ptr[2];
		if (len < 128)
			return HF_ERR_BAD_SIGNATURE;
	} else if (len >= 128) {
		return HF_ERR_BAD_SIGNATURE;
	}
	if (der.len != head + len)
		return HF_ERR_BAD_SIGNATURE;

	struct hf_bytes rest = bytes_of(der.ptr + head, len);

	if (!integer_read(&rest, field, rs) ||
	    !integer_read(&rest, field, rs + field) || rest.len != 0)
		return HF_ERR_BAD_SIGNATURE;
	memcpy(out, rs, 2 * field);
	return HF_OK;
}

/* Returns the bytes written; 0 when the number is zero. */
static size_t
integer_write(struct hf_bytes number, uint8_t *out)
{
	while (number.len > 0 && number.ptr[0] == 0) {
		number.ptr++;
		number.len--;
	}
	if (number.len == 0)
		return 0;

	size_t sign = number.ptr[0] >> 7;

	out[0] = DER_INTEGER;
	out[1] = (uint8_t)(number.len + sign);
	out[2] = 0;
	memcpy(out + 2 + sign, number.ptr, number.len);
	return 2 + sign + number.len;
}

enum hf_err
crypto_ecdsa_to_der(struct hf_bytes rs, uint8_t *out, size_t *len)
{
	uint8_t body[2 * (FIELD_MAX + 3)];
	size_t field = rs.len / 2, head = 0;

	if (rs.len == 0 || rs.len % 2 != 0 || field > FIELD_MAX)
		return HF_ERR_BAD_SIGNATURE;

	size_t r = integer_write(bytes_of(rs.ptr, field), body);
	size_t s = integer_write(bytes_of(rs.ptr + field, field), body + r);

	if (r == 0 || s == 0)
		return HF_ERR_BAD_SIGNATURE;
	out[head++] = DER_SEQUENCE;
	if (r + s >= 128)
		out[head++] = DER_LONG;
	out[head++] = (uint8_t)(r + s);
	memcpy(out + head, body, r + s);
	*len = head + r + s;
	return HF_OK;
}

/* -- What is signed, and how -- */

/* Whether what the caller chose fits the key, and each other. */
static enum hf_err
how_check(const struct key_type *type, const struct sign_how *how)
{
	static const enum key_family families[] = {
		[SIGN_PSS] = FAMILY_RSA,
		[SIGN_PKCS1V15] = FAMILY_RSA,
		[SIGN_ECDSA] = FAMILY_EC,
		[SIGN_EDDSA] = FAMILY_EDDSA,
	};

	if (families[how->scheme] != type->family)
		return HF_ERR_BAD_ALGORITHM;
	if (how->scheme == SIGN_EDDSA)
		return how->prehashed ? HF_ERR_BAD_ALGORITHM : HF_OK;
	if (how->hash == NULL)
		return how->scheme == SIGN_PKCS1V15 && how->prehashed
		    ? HF_OK
		    : HF_ERR_BAD_ALGORITHM;
	if (how->scheme != SIGN_PSS || how->salt == SALT_AUTO ||
	    how->salt == SALT_HASH)
		return HF_OK;

	size_t room = type->size - how->hash->size - PSS_OVERHEAD;

	if (how->salt < 0 || (size_t)how->salt > room)
		return HF_ERR_BAD_ALGORITHM;
	return HF_OK;
}

/* What goes into the padding or the curve; `buffer` takes CRYPTO_HASH_MAX. */
static enum hf_err
digest_of(const struct key_type *type, const struct sign_how *how,
    struct hf_bytes in, uint8_t *buffer, struct hf_bytes *digest)
{
	enum hf_err err;

	if (how->hash == NULL) {
		if (in.len == 0 || in.len > type->size - PKCS1_OVERHEAD)
			return HF_ERR_BAD_INPUT;
		*digest = in;
		return HF_OK;
	}
	if (how->prehashed) {
		if (in.len != how->hash->size)
			return HF_ERR_BAD_INPUT;
		*digest = in;
		return HF_OK;
	}
	if ((err = crypto_hash(how->hash, in, buffer)) != HF_OK)
		return err;
	*digest = bytes_of(buffer, how->hash->size);
	return HF_OK;
}

/*
 * OpenSSL's salt length: -2 signs with the longest and verifies any, as
 * Vault's auto does; -1 is the length of the hash.
 */
static int
salt_length(int salt)
{
	if (salt == SALT_AUTO)
		return RSA_PSS_SALTLEN_AUTO;
	return salt == SALT_HASH ? RSA_PSS_SALTLEN_DIGEST : salt;
}

static bool
padding_set(EVP_PKEY_CTX *ctx, const struct sign_how *how)
{
	bool pss = how->scheme == SIGN_PSS;
	int padding = pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;

	/* ECDSA takes a digest as it is. */
	if (how->scheme == SIGN_ECDSA)
		return true;
	if (EVP_PKEY_CTX_set_rsa_padding(ctx, padding) != 1)
		return false;
	if (how->hash != NULL &&
	    EVP_PKEY_CTX_set_signature_md(ctx, crypto_md(how->hash)) != 1)
		return false;
	return !pss ||
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt_length(how->salt)) == 1;
}

/* -- Signing -- */

static enum hf_err
eddsa_sign(
    const struct crypto_key *key, struct hf_bytes in, uint8_t *out, size_t *len)
{
	EVP_MD_CTX *ctx = crypto_md_ctx();
	size_t n = ED25519_SIGNATURE;
	bool ok;

	if (ctx == NULL)
		return HF_ERR_CRYPTO;
	ok = EVP_DigestSignInit_ex(
		 ctx, NULL, NULL, crypto_lib(), NULL, key->pkey, NULL) == 1 &&
	    EVP_DigestSign(ctx, out, &n, crypto_ptr(in), in.len) == 1;
	(void)EVP_MD_CTX_reset(ctx);
	if (!ok)
		return crypto_fail(HF_ERR_CRYPTO);
	*len = n;
	return HF_OK;
}

static enum hf_err
digest_sign(const struct crypto_key *key, const struct sign_how *how,
    struct hf_bytes digest, uint8_t *out, size_t *len)
{
	AUTO_PKEY_CTX ctx = EVP_PKEY_CTX_dup(key->signing);
	size_t n = CRYPTO_SIGNATURE_MAX;

	if (ctx == NULL || !padding_set(ctx, how) ||
	    EVP_PKEY_sign(ctx, out, &n, digest.ptr, digest.len) != 1)
		return crypto_fail(HF_ERR_CRYPTO);
	*len = n;
	return HF_OK;
}

enum hf_err
crypto_sign(const struct crypto_key *key, const struct sign_how *how,
    struct hf_bytes in, uint8_t *out, size_t *len)
{
	uint8_t buffer[CRYPTO_HASH_MAX];
	uint8_t der[CRYPTO_SIGNATURE_MAX];
	struct hf_bytes digest;
	size_t der_len;
	enum hf_err err;

	if ((err = how_check(key->type, how)) != HF_OK)
		return err;
	if (!key->private)
		return HF_ERR_NO_PRIVATE_PART;
	if (how->scheme == SIGN_EDDSA)
		return eddsa_sign(key, in, out, len);
	if ((err = digest_of(key->type, how, in, buffer, &digest)) != HF_OK)
		return err;
	if (how->scheme != SIGN_ECDSA || how->encoding == SIGN_ASN1)
		return digest_sign(key, how, digest, out, len);
	if ((err = digest_sign(key, how, digest, der, &der_len)) != HF_OK)
		return err;
	err =
	    crypto_ecdsa_from_der(bytes_of(der, der_len), key->type->size, out);
	if (err == HF_OK)
		*len = 2 * key->type->size;
	return err;
}

/* -- Verifying -- */

/* OpenSSL says 1 for yes, 0 for no, less when it failed. */
static enum hf_err
verdict(int result)
{
	if (result == 1)
		return HF_OK;
	return crypto_fail(
	    result == 0 ? HF_ERR_SIGNATURE_WRONG : HF_ERR_CRYPTO);
}

static enum hf_err
eddsa_verify(
    const struct crypto_key *key, struct hf_bytes in, struct hf_bytes signature)
{
	EVP_MD_CTX *ctx = crypto_md_ctx();
	int result = -1;

	if (signature.len != ED25519_SIGNATURE)
		return HF_ERR_BAD_SIGNATURE;
	if (ctx == NULL)
		return HF_ERR_CRYPTO;
	if (EVP_DigestVerifyInit_ex(
		ctx, NULL, NULL, crypto_lib(), NULL, key->pkey, NULL) == 1)
		result = EVP_DigestVerify(
		    ctx, signature.ptr, signature.len, crypto_ptr(in), in.len);
	(void)EVP_MD_CTX_reset(ctx);
	return verdict(result);
}

static enum hf_err
digest_verify(const struct crypto_key *key, const struct sign_how *how,
    struct hf_bytes digest, struct hf_bytes signature)
{
	AUTO_PKEY_CTX ctx =
	    EVP_PKEY_CTX_new_from_pkey(crypto_lib(), key->pkey, NULL);

	if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1 ||
	    !padding_set(ctx, how))
		return crypto_fail(HF_ERR_CRYPTO);
	return verdict(EVP_PKEY_verify(
	    ctx, signature.ptr, signature.len, digest.ptr, digest.len));
}

static enum hf_err
ecdsa_verify(const struct crypto_key *key, const struct sign_how *how,
    struct hf_bytes digest, struct hf_bytes signature)
{
	size_t field = key->type->size;
	uint8_t rs[2 * FIELD_MAX];
	uint8_t der[CRYPTO_SIGNATURE_MAX];
	size_t len;
	enum hf_err err;

	if (how->encoding == SIGN_ASN1) {
		err = crypto_ecdsa_from_der(signature, field, rs);
		return err != HF_OK
		    ? err
		    : digest_verify(key, how, digest, signature);
	}
	if (signature.len != 2 * field)
		return HF_ERR_BAD_SIGNATURE;
	if ((err = crypto_ecdsa_to_der(signature, der, &len)) != HF_OK)
		return err;
	return digest_verify(key, how, digest, bytes_of(der, len));
}

enum hf_err
crypto_verify(const struct crypto_key *key, const struct sign_how *how,
    struct hf_bytes in, struct hf_bytes signature)
{
	uint8_t buffer[CRYPTO_HASH_MAX];
	struct hf_bytes digest;
	enum hf_err err;

	if ((err = how_check(key->type, how)) != HF_OK)
		return err;
	if (how->scheme == SIGN_EDDSA)
		return eddsa_verify(key, in, signature);
	if ((err = digest_of(key->type, how, in, buffer, &digest)) != HF_OK)
		return err;
	if (how->scheme == SIGN_ECDSA)
		return ecdsa_verify(key, how, digest, signature);
	if (signature.len != key->type->size)
		return HF_ERR_BAD_SIGNATURE;
	return digest_verify(key, how, digest, signature);
}

enum hf_err
crypto_verify_p256(struct hf_bytes spki, struct hf_bytes in, struct hf_bytes rs)
{
	struct sign_how how = { .scheme = SIGN_ECDSA,
		.encoding = SIGN_JWS,
		.hash = hash_sha256() };
	struct crypto_key *key;
	enum hf_err err;

	err = crypto_key_public(key_type_by_id(KEY_ECDSA_P256), spki, &key);
	if (err != HF_OK)
		return err;
	err = crypto_verify(key, &how, in, rs);
	crypto_key_free(key);
	return err;
}

/* -- PKCS#1 v1.5 for an HSM that only pads -- */

enum hf_err
crypto_digest_info(const struct hash_type *hash, struct hf_bytes digest,
    uint8_t *out, size_t *len)
{
	AUTO_SIG info = X509_SIG_new();
	X509_ALGOR *algorithm;
	ASN1_OCTET_STRING *value;
	int n;

	if (digest.len != hash->size)
		return HF_ERR_BAD_INPUT;
	if (info == NULL)
		return crypto_fail(HF_ERR_NO_MEMORY);
	X509_SIG_getm(info, &algorithm, &value);
	if (X509_ALGOR_set0(algorithm,
		OBJ_nid2obj(EVP_MD_get_type(crypto_md(hash))), V_ASN1_NULL,
		NULL) != 1 ||
	    ASN1_OCTET_STRING_set(value, digest.ptr, (int)digest.len) != 1 ||
	    (n = i2d_X509_SIG(info, &out)) <= 0)
		return crypto_fail(HF_ERR_CRYPTO);
	*len = (size_t)n;
	return HF_OK;
}
