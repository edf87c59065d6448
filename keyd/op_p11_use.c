/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys used by PKCS#11 mechanisms. The module names the mechanism and brings
 * digests where there are any; what policy is asked stands in ops.def.
 */
#include "op_p11.h"

#include "../lib/bytes.h"
#include "handlers.h"
#include "key_select.h"
#include "keyuse.h"

enum { NONCE = 12, TAG = 16 };

static struct keyuse
use_of(const struct request *rq)
{
	struct keyuse use = { .server = rq->server,
		.may_block = rq->may_block };

	return use;
}

static enum hf_err
refuse(struct request *rq, const char *what)
{
	return hf_fail(&rq->why, HF_ERR_BAD_ALGORITHM, "%s", what);
}

static enum hf_err
must_exist(const struct request *rq)
{
	return rq->key == NULL ? HF_ERR_KEY_NOT_FOUND : HF_OK;
}

static enum hf_err
version_new(struct request *rq, uint64_t number, const char *what,
    const struct key_version **v)
{
	enum hf_err err = must_exist(rq);

	return err != HF_OK ? err
			    : select_new(rq, (struct hf_uint){ number, true },
				  what, v, &rq->why);
}

static enum hf_err
version_old(struct request *rq, uint64_t number, const char *what,
    const struct key_version **v)
{
	enum hf_err err = must_exist(rq);

	return err != HF_OK ? err
			    : select_old(rq, number, what,
				  HF_ERR_VERSION_NOT_FOUND, v, &rq->why);
}

/* -- Signatures -- */

static enum hf_err
pss_how(struct request *rq, const struct hf_p11_how *in, struct sign_how *how)
{
	how->scheme = SIGN_PSS;
	how->prehashed = true;
	how->hash = hash_type_by_name(in->hash);
	if (how->hash == NULL || !in->salt_length.present)
		return refuse(rq, "rsa-pss needs hash and salt_length");
	how->salt = (int)in->salt_length.value;
	return HF_OK;
}

static enum hf_err
read_how(struct request *rq, const struct hf_p11_how *in, struct sign_how *how)
{
	*how = (struct sign_how){ .prehashed = true, .encoding = SIGN_JWS };
	if (text_is(in->mechanism, "rsa-pkcs")) {
		how->scheme = SIGN_PKCS1V15;
		return HF_OK;
	}
	if (text_is(in->mechanism, "rsa-pss"))
		return pss_how(rq, in, how);
	if (text_is(in->mechanism, "ecdsa")) {
		how->scheme = SIGN_ECDSA;
		return HF_OK;
	}
	if (text_is(in->mechanism, "eddsa")) {
		how->scheme = SIGN_EDDSA;
		how->prehashed = false;
		return HF_OK;
	}
	return refuse(rq, "not a mechanism for signatures");
}

/*
 * ECDSA takes a hash of any length: the leftmost bits of a longer one, a
 * shorter one as the number that it is (FIPS 186-5, 6.4.1). Brought to the
 * length of the hash that belongs to the curve, it is that number still.
 */
static enum hf_err
fit_hash(struct request *rq, struct sign_how *how, struct hf_bytes *data)
{
	static const char *const names[] = { "sha2-256", "sha2-384",
		"sha2-512" };
	size_t order = rq->key->type->size, i = 0;
	const struct hash_type *hash;
	uint8_t *fitted;

	if (how->scheme != SIGN_ECDSA)
		return HF_OK;
	do
		hash = hash_type_by_name(text_of(names[i++]));
	while (i < 3 && hash->size < order && hash->size < 64);
	how->hash = hash;
	if (data->len == hash->size)
		return HF_OK;
	if (data->len == 0 || (data->len > hash->size && order > hash->size))
		return HF_ERR_BAD_INPUT;
	fitted = request_alloc(rq, hash->size);
	if (fitted == NULL)
		return HF_ERR_NO_MEMORY;
	if (data->len > hash->size)
		memcpy(fitted, data->ptr, hash->size);
	else
		memcpy(fitted + hash->size - data->len, data->ptr, data->len);
	*data = bytes_of(fitted, hash->size);
	return HF_OK;
}

/*
 * Raw RSA signs and decrypts at once, so it needs both permissions: else who
 * may sign could decrypt, and the other way round.
 */
static enum hf_err
may_use_raw(struct request *rq, const struct key_version *v)
{
	if (rq->key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if ((p11_uses(rq, rq->key, v) & HF_P11_RAW) != 0)
		return HF_OK;
	return hf_fail(&rq->why, HF_ERR_PERMISSION_DENIED,
	    "RSA without "
	    "padding needs the permissions to sign and to decrypt");
}

/* A number of the size of the modulus, with zeros in front. */
static enum hf_err
raw_number(struct request *rq, struct hf_bytes *data)
{
	size_t size = rq->key->type->size;
	uint8_t *number = request_alloc(rq, size);

	if (number == NULL)
		return HF_ERR_NO_MEMORY;
	if (data->len > size)
		return HF_ERR_BAD_INPUT;
	if (data->len > 0)
		memcpy(number + size - data->len, data->ptr, data->len);
	*data = bytes_of(number, size);
	return HF_OK;
}

static enum hf_err
raw_private(struct request *rq, const struct key_version *v,
    struct hf_bytes data, struct hf_p11_use_out *out)
{
	struct keyuse use = use_of(rq);
	uint8_t *buf = request_alloc(rq, CRYPTO_SIGNATURE_MAX);
	enum hf_err err = may_use_raw(rq, v);

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (err == HF_OK)
		err = raw_number(rq, &data);
	if (err == HF_OK)
		err = keyuse_rsa_raw(&use, rq->key, v, data, buf);
	out->data = bytes_of(buf, rq->key->type->size);
	return err;
}

enum hf_err
op_p11_sign(struct request *rq, const struct hf_p11_use_in *in,
    struct hf_p11_use_out *out)
{
	struct keyuse use = use_of(rq);
	struct hf_bytes data = in->data;
	const struct key_version *v;
	struct sign_how how;
	uint8_t *buf = request_alloc(rq, CRYPTO_SIGNATURE_MAX);
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = version_new(rq, in->key_version, "signing", &v)) != HF_OK)
		return err;
	if (text_is(in->how.mechanism, "rsa-raw"))
		return raw_private(rq, v, data, out);
	if ((err = read_how(rq, &in->how, &how)) != HF_OK ||
	    (err = fit_hash(rq, &how, &data)) != HF_OK)
		return err;
	err = keyuse_sign(&use, rq->key, v, &how, data, buf, &out->data.len);
	if (err == HF_OK)
		out->data.ptr = buf;
	return err;
}

/* -- MACs -- */

static enum hf_err
mac(struct request *rq, const struct key_version *v,
    const struct hf_p11_how *how, struct hf_bytes data, uint8_t *out,
    size_t *len)
{
	const struct hash_type *hash = hash_type_by_name(how->hash);
	struct keyuse use = use_of(rq);
	enum hf_err err;

	if (!text_is(how->mechanism, "hmac") || hash == NULL)
		return refuse(rq, "not a mechanism for MACs");
	if (rq->key->type->family != FAMILY_HMAC)
		return HF_ERR_KEY_TYPE;
	if ((err = keyuse_hmac(&use, rq->key, v, hash, data, out)) != HF_OK)
		return err;
	*len = hash->size;
	if (how->output_bytes != 0 && how->output_bytes < *len)
		*len = (size_t)how->output_bytes;
	return HF_OK;
}

enum hf_err
op_p11_mac(struct request *rq, const struct hf_p11_use_in *in,
    struct hf_p11_use_out *out)
{
	const struct key_version *v;
	uint8_t *buf = request_alloc(rq, CRYPTO_HASH_MAX);
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = version_new(rq, in->key_version, "HMAC", &v)) != HF_OK ||
	    (err = mac(rq, v, &in->how, in->data, buf, &out->data.len)) !=
		HF_OK)
		return err;
	out->data.ptr = buf;
	return HF_OK;
}

/* -- Verification -- */

static enum hf_err
verify_mac(struct request *rq, const struct hf_p11_verify_in *in,
    const struct key_version *v)
{
	uint8_t buf[CRYPTO_HASH_MAX];
	size_t len;
	enum hf_err err = mac(rq, v, &in->how, in->data, buf, &len);

	if (err == HF_OK && !bytes_equal_ct(bytes_of(buf, len), in->signature))
		err = HF_ERR_SIGNATURE_WRONG;
	bytes_wipe(buf, sizeof(buf)); /* else a wrong guess would leave it */
	return err;
}

static enum hf_err
verify_raw(struct request *rq, const struct hf_p11_verify_in *in,
    const struct key_version *v)
{
	uint8_t block[CRYPTO_SIGNATURE_MAX];
	struct hf_bytes data = in->data;
	enum hf_err err;

	if (rq->key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if ((err = raw_number(rq, &data)) != HF_OK)
		return err;
	if (in->signature.len != data.len ||
	    crypto_rsa_public(v->pair, in->signature, block) != HF_OK)
		return HF_ERR_BAD_SIGNATURE;
	return bytes_equal(data, bytes_of(block, data.len))
	    ? HF_OK
	    : HF_ERR_SIGNATURE_WRONG;
}

static enum hf_err
verify_signature(struct request *rq, const struct hf_p11_verify_in *in,
    const struct key_version *v)
{
	struct keyuse use = use_of(rq);
	struct hf_bytes data = in->data;
	struct sign_how how;
	enum hf_err err;

	if (!rq->key->type->signs)
		return HF_ERR_KEY_TYPE;
	if ((err = read_how(rq, &in->how, &how)) != HF_OK ||
	    (err = fit_hash(rq, &how, &data)) != HF_OK)
		return err;
	return keyuse_verify(&use, rq->key, v, &how, data, in->signature);
}

enum hf_err
op_p11_verify(struct request *rq, const struct hf_p11_verify_in *in,
    struct hf_p11_verify_out *out)
{
	const struct key_version *v;
	enum hf_err err = version_old(rq, in->key_version, "signature", &v);

	if (err != HF_OK)
		return err;
	if (text_is(in->how.mechanism, "hmac"))
		err = verify_mac(rq, in, v);
	else if (text_is(in->how.mechanism, "rsa-raw"))
		err = verify_raw(rq, in, v);
	else
		err = verify_signature(rq, in, v);
	out->valid = err == HF_OK;
	return err == HF_ERR_SIGNATURE_WRONG ? HF_OK : err;
}

/* -- Encryption -- */

/*
 * A caller who chooses the nonce can have the key stream of any message made,
 * and so decrypt: encryption with a chosen nonce needs both permissions.
 * Without a nonce the service draws one, and it comes first in the result.
 */
static enum hf_err
may_choose_nonce(struct request *rq, const struct key_version *v)
{
	if ((p11_uses(rq, rq->key, v) & HF_P11_DECRYPT) != 0)
		return HF_OK;
	return hf_fail(&rq->why, HF_ERR_PERMISSION_DENIED,
	    "encryption under a "
	    "nonce of the caller's choice needs the permission to decrypt");
}

static enum hf_err
gcm_check(struct request *rq, const struct hf_p11_how *how)
{
	if (rq->key->type->family != FAMILY_AEAD)
		return HF_ERR_KEY_TYPE;
	if (how->iv.ptr != NULL && how->iv.len != NONCE)
		return refuse(rq, "GCM: the nonce must have 12 bytes");
	if (how->tag_bits != 8 * TAG)
		return refuse(rq, "GCM: the tag must have 128 bits");
	return HF_OK;
}

static enum hf_err
gcm_encrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	struct keyuse use = use_of(rq);
	uint8_t *buf = request_alloc(rq, NONCE + in->data.len + TAG);
	enum hf_err err = gcm_check(rq, &in->how);
	size_t len = 0;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (err != HF_OK)
		return err;
	if (in->how.iv.ptr == NULL) {
		err = keyuse_encrypt(&use, rq->key, v, in->how.associated_data,
		    in->data, buf, &len);
		out->data = bytes_of(buf, len);
		return err;
	}
	if ((err = may_choose_nonce(rq, v)) != HF_OK)
		return err;
	err = keyuse_seal(&use, rq->key, v, in->how.iv, in->how.associated_data,
	    in->data, buf);
	out->data = bytes_of(buf, in->data.len + TAG);
	return err;
}

static enum hf_err
gcm_decrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	struct keyuse use = use_of(rq);
	uint8_t *sealed = request_alloc(rq, NONCE + in->data.len);
	uint8_t *buf = request_alloc(rq, in->data.len);
	size_t len = 0;
	enum hf_err err = gcm_check(rq, &in->how);

	if (sealed == NULL || buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (err != HF_OK)
		return err;
	if (in->how.iv.ptr == NULL)
		return refuse(rq, "GCM: the nonce is missing");
	memcpy(sealed, in->how.iv.ptr, NONCE);
	memcpy(sealed + NONCE, in->data.ptr, in->data.len);
	err = keyuse_decrypt(&use, rq->key, v, in->how.associated_data,
	    bytes_of(sealed, NONCE + in->data.len), buf, &len);
	out->data = bytes_of(buf, len);
	return err;
}

/* -- RSA: the number by the key, wherever it is; the padding here -- */

static enum hf_err
rsa_encrypt(struct request *rq, const struct hash_type *oaep,
    const struct hf_p11_use_in *in, const struct key_version *v,
    struct hf_p11_use_out *out)
{
	uint8_t *buf = request_alloc(rq, CRYPTO_SIGNATURE_MAX);

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	out->data = bytes_of(buf, rq->key->type->size);
	return crypto_rsa_encrypt(
	    v->pair, oaep, in->how.associated_data, in->data, buf);
}

/* The block as it was before it was encrypted, in the request's arena. */
static enum hf_err
rsa_open(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_bytes *block)
{
	struct keyuse use = use_of(rq);
	size_t size = rq->key->type->size;
	uint8_t *buf = request_alloc(rq, size);
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (rq->key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if (in->data.len != size)
		return HF_ERR_BAD_CIPHERTEXT;
	err = keyuse_rsa_raw(&use, rq->key, v, in->data, buf);
	*block = bytes_of(buf, size);
	return err == HF_ERR_BAD_INPUT ? HF_ERR_AUTH_FAILED : err;
}

static enum hf_err
oaep_hash(struct request *rq, const struct hf_p11_how *how,
    const struct hash_type **out)
{
	*out = hash_type_by_name(how->hash);
	return *out == NULL ? refuse(rq, "rsa-oaep needs a hash") : HF_OK;
}

static enum hf_err
oaep_encrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	const struct hash_type *hash;
	enum hf_err err = oaep_hash(rq, &in->how, &hash);

	if (err == HF_OK && rq->key->type->family != FAMILY_RSA)
		err = HF_ERR_KEY_TYPE;
	return err != HF_OK ? err : rsa_encrypt(rq, hash, in, v, out);
}

static enum hf_err
oaep_decrypt(struct request *rq, const struct hf_p11_use_in *in,
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
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (rq->key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if ((err = raw_number(rq, &data)) == HF_OK)
		err = crypto_rsa_public(v->pair, data, buf);
	out->data = bytes_of(buf, data.len);
	return err;
}

static enum hf_err
raw_decrypt(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	return raw_private(rq, v, in->data, out);
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
	{ "rsa-oaep", oaep_encrypt, oaep_decrypt },
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
op_p11_encrypt(struct request *rq, const struct hf_p11_use_in *in,
    struct hf_p11_use_out *out)
{
	const struct crypt_mech *mech = crypt_mech(in->how.mechanism);
	const struct key_version *v;
	enum hf_err err = version_new(rq, in->key_version, "encryption", &v);

	if (err != HF_OK)
		return err;
	if (mech == NULL)
		return refuse(rq, "not a mechanism for encryption");
	return mech->encrypt(rq, in, v, out);
}

enum hf_err
op_p11_decrypt(struct request *rq, const struct hf_p11_use_in *in,
    struct hf_p11_use_out *out)
{
	const struct crypt_mech *mech = crypt_mech(in->how.mechanism);
	const struct key_version *v;
	enum hf_err err = version_old(rq, in->key_version, "ciphertext", &v);

	if (err != HF_OK)
		return err;
	if (mech == NULL)
		return refuse(rq, "not a mechanism for encryption");
	return mech->decrypt(rq, in, v, out);
}
