/* SPDX-License-Identifier: Apache-2.0 */
/* Encryption and decryption by PKCS#11 mechanisms. */
#include "op_p11.h"

#include "../lib/bytes.h"
#include "bound.h"

enum { NONCE = 12, TAG = 16 };

/* -- Encryption -- */

/*
 * A caller who chooses the nonce can have the key stream of any message made,
 * and so decrypt: encryption with a chosen nonce needs both permissions.
 * Without a nonce the service draws one, and it comes first in the result.
 */
static enum hf_err
may_choose_nonce(struct request *rq, const struct key_version *v)
{
	if (p11_allows(rq, HF_P11_DECRYPT, rq->key, v))
		return HF_OK;
	return hf_fail(&rq->why, HF_ERR_PERMISSION_DENIED,
	    "encryption under a nonce of the caller's choice needs the "
	    "permission to decrypt");
}

/* PKCS#11 has no contexts, and nothing that looks like one. */
static enum hf_err
gcm_check(
    struct request *rq, const struct hf_p11_how *how, struct hf_bytes *aad)
{
	if (rq->key->type->family != FAMILY_AEAD)
		return HF_ERR_KEY_TYPE;
	if (rq->key->required_context_len > 0)
		return hf_fail(&rq->why, HF_ERR_CONTEXT_REQUIRED,
		    "key %s asks for an encryption context, which PKCS#11 does "
		    "not have",
		    rq->key->name);
	if (rq->key->committing)
		return hf_fail(&rq->why, HF_ERR_KEY_PURPOSE,
		    "key %s commits, and its ciphertexts are none of PKCS#11's",
		    rq->key->name);
	if (how->iv.ptr != NULL && how->iv.len != NONCE)
		return p11_refuse(rq, "GCM: the nonce must have 12 bytes");
	if (how->tag_bits != 8 * TAG)
		return p11_refuse(rq, "GCM: the tag must have 128 bits");
	return bound_aad(
	    rq->arena, NULL, 0, how->associated_data, aad, &rq->why);
}

static enum hf_err
gcm_encrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	struct keyuse use = p11_keyuse(rq);
	uint8_t *buf = request_alloc(rq, NONCE + in->data.len + TAG);
	struct hf_bytes aad = { 0 };
	enum hf_err err = gcm_check(rq, &in->how, &aad);
	size_t len = 0;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (err != HF_OK)
		return err;
	if (in->how.iv.ptr == NULL) {
		err =
		    keyuse_encrypt(&use, rq->key, v, aad, in->data, buf, &len);
		out->data = bytes_of(buf, len);
		return err;
	}
	if ((err = may_choose_nonce(rq, v)) != HF_OK)
		return err;
	err = keyuse_seal(&use, rq->key, v, in->how.iv, aad, in->data, buf);
	out->data = bytes_of(buf, in->data.len + TAG);
	return err;
}

static enum hf_err
gcm_decrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	struct keyuse use = p11_keyuse(rq);
	uint8_t *sealed = request_alloc(rq, NONCE + in->data.len);
	uint8_t *buf = request_alloc(rq, in->data.len);
	struct hf_bytes aad = { 0 };
	size_t len = 0;
	enum hf_err err = gcm_check(rq, &in->how, &aad);

	if (sealed == NULL || buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (err != HF_OK)
		return err;
	if (in->how.iv.ptr == NULL)
		return p11_refuse(rq, "GCM: the nonce is missing");
	memcpy(sealed, in->how.iv.ptr, NONCE);
	memcpy(sealed + NONCE, in->data.ptr, in->data.len);
	err = keyuse_decrypt(&use, rq->key, v, aad,
	    bytes_of(sealed, NONCE + in->data.len), buf, &len);
	out->data = bytes_of(buf, len);
	return err;
}

/* -- Modes without integrity -- */

/*
 * Encryption in any of them decrypts what was encrypted in another (a counter
 * block encrypted alone is the key stream), so all take both permissions.
 */
static enum hf_err
may_use_mode(struct request *rq, const struct key_version *v)
{
	if (p11_allows(rq, HF_P11_RAW, rq->key, v))
		return HF_OK;
	return hf_fail(&rq->why, HF_ERR_PERMISSION_DENIED,
	    "modes without integrity need the permissions to encrypt and to "
	    "decrypt");
}

static enum hf_err
aes_run(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, bool encrypt, struct hf_p11_use_out *out)
{
	struct keyuse use = p11_keyuse(rq);
	uint8_t *buf = request_alloc(rq, in->data.len + AES_EXTRA);
	struct aes_how how = { .encrypt = encrypt,
		.iv = in->how.iv,
		.ctr_bits = (unsigned)in->how.tag_bits };
	size_t len = 0;
	enum hf_err err = may_use_mode(rq, v);

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (!aes_mode_by_name(in->how.mechanism, &how.mode))
		return p11_refuse(rq, "not a mode of AES");
	if (err == HF_OK)
		err = keyuse_aes(&use, rq->key, v, &how, in->data, buf, &len);
	if (err == HF_ERR_HSM_MECHANISM)
		return hf_fail(&rq->why, err, "the HSM does not do %.*s",
		    (int)in->how.mechanism.len, in->how.mechanism.ptr);
	out->data = bytes_of(buf, len);
	return err;
}

static enum hf_err
aes_encrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	return aes_run(rq, in, v, true, out);
}

static enum hf_err
aes_decrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	return aes_run(rq, in, v, false, out);
}

/* -- RSA: the number by the key, wherever it is; the padding here -- */

static enum hf_err
rsa_encrypt(struct request *rq, const struct hash_type *oaep,
    const struct hf_p11_use_in *in, const struct key_version *v,
    struct hf_p11_use_out *out)
{
	uint8_t *buf = request_alloc(rq, CRYPTO_SIGNATURE_MAX);
	struct keyuse use = p11_keyuse(rq);
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	out->data = bytes_of(buf, rq->key->type->size);
	err = crypto_rsa_encrypt(
	    v->pair, oaep, in->how.associated_data, in->data, buf);
	if (err == HF_OK)
		keyuse_note(&use, v, USAGE_ENCRYPT);
	return err;
}

/* The block as it was before it was encrypted, in the request's arena. */
static enum hf_err
rsa_open(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_bytes *block)
{
	struct keyuse use = p11_keyuse_once(rq);
	size_t size = rq->key->type->size;
	uint8_t *buf = request_alloc(rq, size);
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (rq->key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if (in->data.len != size)
		return HF_ERR_BAD_CIPHERTEXT;
	err = keyuse_rsa_raw(&use, rq->key, v, USAGE_DECRYPT, in->data, buf);
	*block = bytes_of(buf, size);
	return err == HF_ERR_BAD_INPUT ? HF_ERR_AUTH_FAILED : err;
}

static enum hf_err
oaep_hash(struct request *rq, const struct hf_p11_how *how,
    const struct hash_type **out)
{
	*out = hash_type_by_name(how->hash);
	return *out == NULL ? p11_refuse(rq, "rsa-oaep needs a hash") : HF_OK;
}

enum hf_err
p11_oaep_encrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	const struct hash_type *hash;
	enum hf_err err = oaep_hash(rq, &in->how, &hash);

	if (err == HF_OK && rq->key->type->family != FAMILY_RSA)
		err = HF_ERR_KEY_TYPE;
	return err != HF_OK ? err : rsa_encrypt(rq, hash, in, v, out);
}

enum hf_err
p11_oaep_decrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	uint8_t *buf = request_alloc(rq, CRYPTO_SIGNATURE_MAX);
	const struct hash_type *hash;
	struct hf_bytes block;
	size_t len = 0;
	enum hf_err err = oaep_hash(rq, &in->how, &hash);

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (err == HF_OK)
		err = rsa_open(rq, in, v, &block);
	if (err == HF_OK)
		err = crypto_oaep_unpad_as(
		    hash, in->how.associated_data, block, buf, &len);
	out->data = bytes_of(buf, len);
	return err;
}

static enum hf_err
pkcs1_encrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	if (rq->key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	return rsa_encrypt(rq, NULL, in, v, out);
}

static enum hf_err
pkcs1_decrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	uint8_t *buf = request_alloc(rq, CRYPTO_SIGNATURE_MAX);
	struct hf_bytes block;
	size_t len = 0;
	enum hf_err err = rsa_open(rq, in, v, &block);

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (err == HF_OK)
		err = crypto_pkcs1_unpad(block, buf, &len);
	out->data = bytes_of(buf, len);
	return err;
}

static enum hf_err
raw_encrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	uint8_t *buf = request_alloc(rq, CRYPTO_SIGNATURE_MAX);
	struct hf_bytes data = in->data;
	struct keyuse use = p11_keyuse(rq);
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (rq->key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if ((err = p11_raw_number(rq, &data)) == HF_OK)
		err = crypto_rsa_public(v->pair, data, buf);
	if (err == HF_OK)
		keyuse_note(&use, v, USAGE_ENCRYPT);
	out->data = bytes_of(buf, data.len);
	return err;
}

static enum hf_err
raw_decrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	return p11_raw_private(rq, v, USAGE_DECRYPT, in->data, out);
}

/*
 * Functions, because each mechanism is another piece of cryptography.
 */
typedef enum hf_err crypt_fn(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out);

static const struct crypt_mech {
	const char *name;
	crypt_fn *encrypt, *decrypt;
} crypt_mechs[] = {
	{ "aes-gcm", gcm_encrypt, gcm_decrypt },
	{ "aes-cbc", aes_encrypt, aes_decrypt },
	{ "aes-cbc-pad", aes_encrypt, aes_decrypt },
	{ "aes-ctr", aes_encrypt, aes_decrypt },
	{ "aes-ecb", aes_encrypt, aes_decrypt },
	{ "rsa-oaep", p11_oaep_encrypt, p11_oaep_decrypt },
	{ "rsa-pkcs", pkcs1_encrypt, pkcs1_decrypt },
	{ "rsa-raw", raw_encrypt, raw_decrypt },
};

static const struct crypt_mech *
crypt_mech(struct hf_text name)
{
	for (size_t i = 0; i < sizeof(crypt_mechs) / sizeof(crypt_mechs[0]);
	     i++)
		if (text_is(name, crypt_mechs[i].name))
			return &crypt_mechs[i];
	return NULL;
}

enum hf_err
p11_encrypt_with(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	const struct crypt_mech *mech = crypt_mech(in->how.mechanism);

	if (mech == NULL)
		return p11_refuse(rq, "not a mechanism for encryption");
	return mech->encrypt(rq, in, v, out);
}

enum hf_err
p11_decrypt_with(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	const struct crypt_mech *mech = crypt_mech(in->how.mechanism);

	if (mech == NULL)
		return p11_refuse(rq, "not a mechanism for encryption");
	return mech->decrypt(rq, in, v, out);
}
