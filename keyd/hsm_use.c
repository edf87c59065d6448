/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "hsm_internal.h"
#include "hsm_remote.h"

/* What keys at level hsm do. Whatever needs no key (hashing, DigestInfo, DER)
 * is done in software, outside of a session where it takes time. */

enum {
	SIGNATURE_MAX = 512,
	PKCS1_OVERHEAD = 11, /* RFC 8017, section 9.2 */
	PSS_OVERHEAD = 2,    /* section 9.1.1: 0x01 and 0xbc */
};

/* -- Signing -- */

/* The digest of the message, or the message when it is one already. */
static enum hf_err
digest_take(struct signing *s, const struct sign_how *how, struct hf_bytes in)
{
	enum hf_err err;

	if (how->prehashed) {
		s->in = in;
		return in.len == how->hash->size ? HF_OK : HF_ERR_BAD_INPUT;
	}
	err = crypto_hash(how->hash, in, s->buffer);
	s->in = bytes_of(s->buffer, how->hash->size);
	return err;
}

static enum hf_err
prepare_pkcs1(struct signing *s, const struct key_type *type,
    const struct sign_how *how, struct hf_bytes in)
{
	uint8_t info[sizeof(s->buffer)];
	size_t len;
	enum hf_err err;

	s->mechanism = mechanism(CKM_RSA_PKCS);
	if (how->hash == NULL) {
		if (!how->prehashed)
			return HF_ERR_BAD_ALGORITHM;
		s->in = in;
		return in.len > 0 && in.len <= type->size - PKCS1_OVERHEAD
		    ? HF_OK
		    : HF_ERR_BAD_INPUT;
	}
	err = digest_take(s, how, in);
	if (err == HF_OK)
		err = crypto_digest_info(how->hash, s->in, info, &len);
	if (err != HF_OK)
		return err;
	memcpy(s->buffer, info, len);
	s->in = bytes_of(s->buffer, len);
	return HF_OK;
}

/* "auto" is the longest salt that fits, as Vault has it. */
static enum hf_err
salt_length(
    const struct key_type *type, const struct sign_how *how, CK_ULONG *out)
{
	size_t hash = how->hash->size;
	size_t longest = type->size - hash - PSS_OVERHEAD;

	if (how->salt == SALT_AUTO)
		*out = longest;
	else if (how->salt == SALT_HASH)
		*out = hash;
	else if (how->salt >= 0 && (size_t)how->salt <= longest)
		*out = (CK_ULONG)how->salt;
	else
		return HF_ERR_BAD_ALGORITHM;
	return HF_OK;
}

/* SHA-3, which came with PKCS#11 3.0: padded here, and RSA there. */
static enum hf_err
prepare_pss_raw(struct signing *s, const struct key_type *type,
    const struct sign_how *how, struct hf_bytes in)
{
	uint8_t block[sizeof(s->buffer)];
	CK_ULONG salt;
	enum hf_err err = salt_length(type, how, &salt);

	if (err == HF_OK)
		err = digest_take(s, how, in);
	if (err == HF_OK)
		err = crypto_pss_pad(how->hash, s->in, salt, block, type->size);
	if (err != HF_OK)
		return err;
	s->mechanism = mechanism(CKM_RSA_X_509);
	memcpy(s->buffer, block, type->size);
	s->in = bytes_of(s->buffer, type->size);
	return HF_OK;
}

static enum hf_err
prepare_pss(struct signing *s, const struct key_type *type,
    const struct sign_how *how, struct hf_bytes in)
{
	enum hf_err err;

	if (how->hash == NULL)
		return HF_ERR_BAD_ALGORITHM;
	if (how->hash->ckm == 0 || how->hash->mgf == 0)
		return prepare_pss_raw(s, type, how, in);
	s->pss.hashAlg = how->hash->ckm;
	s->pss.mgf = how->hash->mgf;
	err = salt_length(type, how, &s->pss.sLen);
	if (err != HF_OK)
		return err;
	s->mechanism =
	    (CK_MECHANISM){ CKM_RSA_PKCS_PSS, &s->pss, sizeof(s->pss) };
	return digest_take(s, how, in);
}

/* A digest longer than the curve's order counts with its first bits only (FIPS
 * 186-5, section 6.4.1); not every HSM cuts it. Whole bytes for all of ours. */
static enum hf_err
prepare_ecdsa(struct signing *s, const struct key_type *type,
    const struct sign_how *how, struct hf_bytes in)
{
	enum hf_err err;

	if (how->hash == NULL)
		return HF_ERR_BAD_ALGORITHM;
	s->mechanism = mechanism(CKM_ECDSA);
	err = digest_take(s, how, in);
	if (err == HF_OK && s->in.len > type->size)
		s->in.len = type->size;
	return err;
}

static enum hf_err
prepare_eddsa(struct signing *s, const struct key_type *type,
    const struct sign_how *how, struct hf_bytes in)
{
	(void)type;
	if (how->prehashed)
		return HF_ERR_BAD_ALGORITHM;
	s->mechanism = mechanism(CKM_EDDSA);
	s->in = in;
	return HF_OK;
}

/* A function per row: each scheme pads in its own way. */
static const struct {
	enum key_family family;
	enum hf_err (*prepare)(struct signing *s, const struct key_type *type,
	    const struct sign_how *how, struct hf_bytes in);
} schemes[] = {
	[SIGN_PSS] = { FAMILY_RSA, prepare_pss },
	[SIGN_PKCS1V15] = { FAMILY_RSA, prepare_pkcs1 },
	[SIGN_ECDSA] = { FAMILY_EC, prepare_ecdsa },
	[SIGN_EDDSA] = { FAMILY_EDDSA, prepare_eddsa },
};

enum hf_err
signing_prepare(struct signing *s, const struct key_type *type,
    const struct sign_how *how, struct hf_bytes in)
{
	if ((size_t)how->scheme >= sizeof(schemes) / sizeof(schemes[0]) ||
	    schemes[how->scheme].family != type->family)
		return HF_ERR_BAD_ALGORITHM;
	return schemes[how->scheme].prepare(s, type, how, in);
}

enum hf_err
signing_do(struct signing *s, struct hsm_call *call,
    const struct key_type *type, const struct sign_how *how,
    CK_OBJECT_HANDLE key, uint8_t *out, size_t *len)
{
	bool der = how->scheme == SIGN_ECDSA && how->encoding == SIGN_ASN1;
	size_t want = type->family == FAMILY_RSA ? type->size : 2 * type->size;
	uint8_t raw[SIGNATURE_MAX];
	size_t n = sizeof(raw);
	enum hf_err err =
	    call_crypt(call, CRYPT_SIGN, &s->mechanism, key, s->in, raw, &n);

	if (err != HF_OK)
		return err;
	if (n != want)
		return HF_ERR_HSM_REFUSED;
	if (der)
		return crypto_ecdsa_to_der(bytes_of(raw, n), out, len);
	memcpy(out, raw, n);
	*len = n;
	return HF_OK;
}

struct sign_work {
	const struct hsm_key *key;
	const struct sign_how *how;
	struct signing signing;
	uint8_t *out;
	size_t len;
};

static enum hf_err
sign_work(struct hsm_call *call, void *arg)
{
	struct sign_work *w = arg;
	CK_OBJECT_HANDLE key;
	enum hf_err err = handle_of_key(call, w->key, &key);

	if (err != HF_OK)
		return err;
	return signing_do(
	    &w->signing, call, w->key->type, w->how, key, w->out, &w->len);
}

enum hf_err
hsm_key_sign(struct hsm *hsm, const struct hsm_key *key,
    const struct sign_how *how, struct hf_bytes in, uint8_t *out, size_t *len)
{
	struct sign_work w = { .key = key, .how = how, .out = out };
	enum hf_err err;

	if (hsm_is_remote(hsm))
		return remote_sign(hsm, key, how, in, out, len);
	err = signing_prepare(&w.signing, key->type, how, in);
	if (err == HF_OK)
		err = hsm_run(hsm, RUN_SAFE, sign_work, &w);
	if (err == HF_OK)
		*len = w.len;
	return err;
}

/* -- HMAC -- */

struct hmac_work {
	const struct hsm_key *key;
	const struct hash_type *hash;
	struct hf_bytes in;
	uint8_t *out;
};

static enum hf_err
hmac_work(struct hsm_call *call, void *arg)
{
	struct hmac_work *w = arg;
	CK_MECHANISM m = mechanism(w->hash->ckm_hmac);
	size_t len = w->hash->size;
	CK_OBJECT_HANDLE key;
	enum hf_err err = handle_of_key(call, w->key, &key);

	if (err == HF_OK)
		err =
		    call_crypt(call, CRYPT_SIGN, &m, key, w->in, w->out, &len);
	if (err == HF_OK && len != w->hash->size)
		return HF_ERR_HSM_REFUSED;
	return err;
}

enum hf_err
hsm_key_hmac(struct hsm *hsm, const struct hsm_key *key,
    const struct hash_type *hash, struct hf_bytes in, uint8_t *out)
{
	struct hmac_work w = { key, hash, in, out };

	if (key->type->family != FAMILY_HMAC)
		return HF_ERR_KEY_TYPE;
	if (hash->ckm_hmac == 0)
		return HF_ERR_HSM_MECHANISM;
	if (hsm_is_remote(hsm))
		return remote_key_use(
		    hsm, JOB_HMAC, key, hash, in, out, hash->size, NULL);
	return hsm_run(hsm, RUN_SAFE, hmac_work, &w);
}

/* -- AEAD -- */

struct aead_work {
	const struct hsm_key *key;
	struct hf_bytes nonce, aad, in;
	uint8_t *out;
};

static enum hf_err
encrypt_work(struct hsm_call *call, void *arg)
{
	struct aead_work *w = arg;
	uint8_t nonce[GCM_NONCE];
	CK_OBJECT_HANDLE key;
	enum hf_err err;

	/* Here the nonce is the caller's, and there is no way to give back
	 * another one. */
	if (call->hsm->traits.nonce != NONCE_CALLER)
		return HF_ERR_HSM_MECHANISM;
	err = handle_of_key(call, w->key, &key);
	if (err != HF_OK)
		return err;
	memcpy(nonce, w->nonce.ptr, sizeof(nonce));
	return gcm_encrypt(
	    call, NONCE_CALLER, key, nonce, w->aad, w->in, w->out);
}

static enum hf_err
decrypt_work(struct hsm_call *call, void *arg)
{
	struct aead_work *w = arg;
	CK_OBJECT_HANDLE key;
	enum hf_err err = handle_of_key(call, w->key, &key);

	if (err != HF_OK)
		return err;
	return gcm_decrypt(call, key, w->nonce.ptr, w->aad, w->in, w->out);
}

static enum hf_err
aead_check(const struct aead_work *w)
{
	if (w->key->type->family != FAMILY_AEAD)
		return HF_ERR_KEY_TYPE;
	return w->nonce.len == GCM_NONCE ? HF_OK : HF_ERR_BAD_INPUT;
}

enum hf_err
hsm_key_encrypt(struct hsm *hsm, const struct hsm_key *key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	struct aead_work w = { key, nonce, aad, in, out };
	enum hf_err err = aead_check(&w);

	if (err == HF_OK && hsm_is_remote(hsm))
		return remote_aead(hsm, JOB_ENCRYPT, key, nonce, aad, in, out,
		    in.len + GCM_TAG);
	return err != HF_OK ? err : hsm_run(hsm, RUN_SAFE, encrypt_work, &w);
}

enum hf_err
hsm_key_decrypt(struct hsm *hsm, const struct hsm_key *key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	struct aead_work w = { key, nonce, aad, in, out };
	enum hf_err err = aead_check(&w);

	if (err == HF_OK && in.len < GCM_TAG)
		err = HF_ERR_BAD_CIPHERTEXT;
	if (err == HF_OK && hsm_is_remote(hsm))
		return remote_aead(hsm, JOB_DECRYPT, key, nonce, aad, in, out,
		    in.len - GCM_TAG);
	return err != HF_OK ? err : hsm_run(hsm, RUN_SAFE, decrypt_work, &w);
}

/* -- RSA decryption -- */

enum hf_err
oaep_decrypt(struct hsm_call *call, CK_OBJECT_HANDLE key, struct hf_bytes in,
    uint8_t *out, size_t *len)
{
	CK_RSA_PKCS_OAEP_PARAMS params = { CKM_SHA256, CKG_MGF1_SHA256,
		CKZ_DATA_SPECIFIED, NULL, 0 };
	CK_MECHANISM m = { CKM_RSA_PKCS_OAEP, &params, sizeof(params) };

	return call_crypt(call, CRYPT_DECRYPT, &m, key, in, out, len);
}

enum hf_err
oaep_test(struct hsm_call *call, const struct key_type *type,
    CK_OBJECT_HANDLE key, struct hf_bytes spki, bool *works)
{
	static const uint8_t text[16] = "holdfast sample";
	uint8_t sealed[SIGNATURE_MAX], plain[SIGNATURE_MAX];
	size_t sealed_len = sizeof(sealed), len = sizeof(plain);
	struct crypto_key *public = NULL;
	enum hf_err err = crypto_key_public(type, spki, &public);

	if (err == HF_OK)
		err = crypto_oaep_encrypt(
		    public, bytes_of(text, sizeof(text)), sealed, &sealed_len);
	crypto_key_free(public);
	if (err != HF_OK)
		return err;
	err =
	    oaep_decrypt(call, key, bytes_of(sealed, sealed_len), plain, &len);
	*works = err == HF_OK && len == sizeof(text) &&
	    memcmp(plain, text, len) == 0;
	if (err == HF_OK ||
	    (call->class != CLASS_DATA && call->class != CLASS_AMBIGUOUS))
		return err;
	call_forgive(call);
	return call->active ? call_renew(call) : HF_OK;
}

/* Found out with the first key that decrypts, once for a connection. */
static enum hf_err
oaep_mode_find(struct hsm_call *call, const struct key_type *type,
    CK_OBJECT_HANDLE key, int *mode)
{
	uint8_t spki[SPKI_MAX];
	size_t len;
	bool works;
	enum hf_err err;

	*mode = atomic_load(&call->hsm->oaep);
	if (*mode != OAEP_UNKNOWN)
		return HF_OK;
	err = object_spki(call, key, type, spki, &len);
	if (err == HF_OK)
		err = oaep_test(call, type, key, bytes_of(spki, len), &works);
	if (err != HF_OK)
		return err;
	*mode = works ? OAEP_WORKS : OAEP_RAW;
	atomic_store(&call->hsm->oaep, *mode);
	return HF_OK;
}

/* Some HSMs leave out leading zeros of a number. */
static enum hf_err
raw_block(struct hsm_call *call, const struct key_type *type,
    CK_OBJECT_HANDLE key, struct hf_bytes in, uint8_t *out)
{
	CK_MECHANISM m = mechanism(CKM_RSA_X_509);
	size_t n = type->size;
	enum hf_err err = call_crypt(call, CRYPT_DECRYPT, &m, key, in, out, &n);

	if (err != HF_OK)
		return err;
	memmove(out + type->size - n, out, n);
	memset(out, 0, type->size - n);
	return HF_OK;
}

static enum hf_err
raw_decrypt(struct hsm_call *call, const struct key_type *type,
    const struct hash_type *hash, CK_OBJECT_HANDLE key, struct hf_bytes in,
    uint8_t *out, size_t *len)
{
	AUTO_SECRET block = { 0 };
	enum hf_err err = secret_alloc(&block, type->size);

	if (err == HF_OK)
		err = raw_block(call, type, key, in, block.ptr);
	if (err != HF_OK)
		return err;
	return crypto_oaep_unpad_as(
	    hash, (struct hf_bytes){ NULL, 0 }, secret_view(&block), out, len);
}

struct rsa_work {
	const struct hsm_key *key;
	const struct hash_type *hash; /* NULL: SHA-256, by the HSM if it can */
	struct hf_bytes in;
	uint8_t *out;
	size_t len;
};

/* Everything that is wrong with the ciphertext is one error. */
static enum hf_err
decrypt_rsa_work(struct hsm_call *call, void *arg)
{
	struct rsa_work *w = arg;
	const struct key_type *type = w->key->type;
	const struct hash_type *hash =
	    w->hash != NULL ? w->hash : hash_sha256();
	CK_OBJECT_HANDLE key;
	int mode = OAEP_RAW;
	enum hf_err err = handle_of_key(call, w->key, &key);

	if (err == HF_OK && w->hash == NULL)
		err = oaep_mode_find(call, type, key, &mode);
	if (err != HF_OK)
		return err;
	w->len = type->size;
	err = mode == OAEP_WORKS
	    ? oaep_decrypt(call, key, w->in, w->out, &w->len)
	    : raw_decrypt(call, type, hash, key, w->in, w->out, &w->len);
	if (err != HF_OK && call->class == CLASS_DATA &&
	    err != HF_ERR_HSM_MECHANISM)
		return HF_ERR_AUTH_FAILED;
	return err;
}

enum hf_err
hsm_key_decrypt_rsa(struct hsm *hsm, const struct hsm_key *key,
    struct hf_bytes in, uint8_t *out, size_t *len)
{
	return hsm_key_decrypt_oaep(hsm, key, NULL, in, out, len);
}

enum hf_err
hsm_key_decrypt_oaep(struct hsm *hsm, const struct hsm_key *key,
    const struct hash_type *hash, struct hf_bytes in, uint8_t *out, size_t *len)
{
	struct rsa_work w = { .key = key, .hash = hash, .in = in };
	AUTO_SECRET plain = { 0 };
	enum hf_err err;

	if (key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if (in.len != key->type->size)
		return HF_ERR_AUTH_FAILED;
	if (hsm_is_remote(hsm))
		return remote_key_use(hsm, JOB_DECRYPT_OAEP, key, hash, in, out,
		    key->type->size, len);
	err = secret_alloc(&plain, key->type->size);
	if (err != HF_OK)
		return err;
	w.out = plain.ptr;
	err = hsm_run(hsm, RUN_SAFE, decrypt_rsa_work, &w);
	if (err != HF_OK)
		return err;
	memcpy(out, plain.ptr, w.len);
	*len = w.len;
	return HF_OK;
}

static enum hf_err
rsa_raw_work(struct hsm_call *call, void *arg)
{
	struct rsa_work *w = arg;
	CK_OBJECT_HANDLE key;
	enum hf_err err = handle_of_key(call, w->key, &key);

	if (err != HF_OK)
		return err;
	err = raw_block(call, w->key->type, key, w->in, w->out);
	/* The number is not below the modulus. */
	if (err != HF_OK && call->class == CLASS_DATA &&
	    err != HF_ERR_HSM_MECHANISM)
		return HF_ERR_BAD_INPUT;
	return err;
}

enum hf_err
hsm_key_rsa_raw(struct hsm *hsm, const struct hsm_key *key, struct hf_bytes in,
    uint8_t *out)
{
	struct rsa_work w = { .key = key, .in = in, .out = out };

	if (key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if (in.len != key->type->size)
		return HF_ERR_BAD_INPUT;
	if (hsm_is_remote(hsm))
		return remote_key_use(
		    hsm, JOB_RSA_RAW, key, NULL, in, out, in.len, NULL);
	return hsm_run(hsm, RUN_SAFE, rsa_raw_work, &w);
}
