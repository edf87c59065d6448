/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys used by PKCS#11 mechanisms. The module names the mechanism and brings
 * digests where there are any; what policy is asked stands in ops.def.
 */
#include "op_p11.h"

#include "../lib/bytes.h"
#include "handlers.h"
#include "key_purpose.h"
#include "key_select.h"

struct keyuse
p11_keyuse(const struct request *rq)
{
	return keyuse_of(rq, (struct hf_bytes){ 0 });
}

struct keyuse
p11_keyuse_once(const struct request *rq)
{
	struct keyuse use = p11_keyuse(rq);

	/* A key that the request brought along had to be loaded for it. */
	if (!rq->key->passing)
		use.linger = rq->linger;
	return use;
}

enum hf_err
p11_refuse(struct request *rq, const char *what)
{
	return hf_fail(&rq->why, HF_ERR_BAD_ALGORITHM, "%s", what);
}

static enum hf_err
must_exist(const struct request *rq)
{
	return rq->key == NULL ? HF_ERR_KEY_NOT_FOUND : HF_OK;
}

enum hf_err
p11_version_new(struct request *rq, uint64_t number, const char *what,
    const struct key_version **v)
{
	enum hf_err err = must_exist(rq);

	return err != HF_OK ? err
			    : select_new(rq, (struct hf_uint){ number, true },
				  what, v, &rq->why);
}

enum hf_err
p11_version_old(struct request *rq, uint64_t number, const char *what,
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
		return p11_refuse(rq, "rsa-pss needs hash and salt_length");
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
	return p11_refuse(rq, "not a mechanism for signatures");
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
	if (p11_allows(rq, HF_P11_RAW, rq->key, v))
		return HF_OK;
	return hf_fail(&rq->why, HF_ERR_PERMISSION_DENIED,
	    "RSA without padding needs the permissions to sign and to decrypt");
}

/* A number of the size of the modulus, with zeros in front. */
enum hf_err
p11_raw_number(struct request *rq, struct hf_bytes *data)
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

enum hf_err
p11_raw_private(struct request *rq, const struct key_version *v,
    enum usage_class class, struct hf_bytes data, struct hf_p11_use_out *out)
{
	struct keyuse use = p11_keyuse_once(rq);
	uint8_t *buf = request_alloc(rq, CRYPTO_SIGNATURE_MAX);
	enum hf_err err = may_use_raw(rq, v);

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (err == HF_OK)
		err = p11_raw_number(rq, &data);
	if (err == HF_OK)
		err = keyuse_rsa_raw(&use, rq->key, v, class, data, buf);
	out->data = bytes_of(buf, rq->key->type->size);
	return err;
}

enum hf_err
p11_sign_with(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	struct keyuse use = p11_keyuse_once(rq);
	struct hf_bytes data = in->data;
	struct sign_how how;
	uint8_t *buf = request_alloc(rq, CRYPTO_SIGNATURE_MAX);
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (text_is(in->how.mechanism, "rsa-raw"))
		return p11_raw_private(rq, v, USAGE_SIGN, data, out);
	if ((err = read_how(rq, &in->how, &how)) != HF_OK ||
	    (err = fit_hash(rq, &how, &data)) != HF_OK)
		return err;
	err = keyuse_sign(&use, rq->key, v, &how, data, buf, &out->data.len);
	if (err == HF_OK)
		out->data.ptr = buf;
	return err;
}

enum hf_err
op_p11_sign(struct request *rq, const struct hf_p11_use_in *in,
    struct hf_p11_use_out *out)
{
	const struct key_version *v;
	enum hf_err err = p11_version_new(rq, in->key_version, "signing", &v);

	rq->awaits = true;
	return err != HF_OK ? err : p11_sign_with(rq, in, v, out);
}

/* -- MACs -- */

static enum hf_err
mac_hash(struct request *rq, const struct keyuse *use,
    const struct key_version *v, const struct hf_p11_how *how,
    struct hf_bytes data, uint8_t *out, size_t *len)
{
	const struct hash_type *hash = hash_type_by_name(how->hash);

	if (hash == NULL)
		return p11_refuse(rq, "hmac needs a hash");
	if (rq->key->type->family != FAMILY_HMAC)
		return HF_ERR_KEY_TYPE;
	*len = hash->size;
	return keyuse_hmac(use, rq->key, v, hash, data, out);
}

/*
 * `use` is what the key must have been made for: to make a MAC or check it.
 * Each kind has a path of its own for policy, as in transit.
 */
static enum hf_err
mac(struct request *rq, enum hf_p11_use use, const struct key_version *v,
    const struct hf_p11_how *how, struct hf_bytes data, uint8_t *out,
    size_t *len)
{
	bool hash = text_is(how->mechanism, "hmac");
	struct keyuse keyuse = p11_keyuse(rq);
	enum hf_err err;

	if (!hash && !text_is(how->mechanism, "aes-cmac"))
		return p11_refuse(rq, "not a mechanism for MACs");
	if ((key_purpose(rq->key) & use) == 0)
		return HF_ERR_KEY_PURPOSE;
	keyuse.checking = use == HF_P11_VERIFY;
	*len = 16;
	err = hash ? mac_hash(rq, &keyuse, v, how, data, out, len)
		   : keyuse_aes_cmac(&keyuse, rq->key, v, data, out);
	if (err == HF_OK && how->output_bytes != 0 && how->output_bytes < *len)
		*len = (size_t)how->output_bytes;
	return err;
}

enum hf_err
p11_mac_with(struct request *rq, const struct hf_p11_use_in *in,
    const struct key_version *v, struct hf_p11_use_out *out)
{
	uint8_t *buf = request_alloc(rq, CRYPTO_HASH_MAX);
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	err = mac(rq, HF_P11_SIGN, v, &in->how, in->data, buf, &out->data.len);
	if (err == HF_OK)
		out->data.ptr = buf;
	return err;
}

static enum hf_err
mac_of_kind(struct request *rq, const struct hf_p11_use_in *in,
    const char *mechanism, struct hf_p11_use_out *out)
{
	const struct key_version *v;
	enum hf_err err = p11_version_new(rq, in->key_version, "MAC", &v);

	rq->awaits = true;
	if (err == HF_OK && !text_is(in->how.mechanism, mechanism))
		err = p11_refuse(rq, "not the mechanism of this operation");
	return err != HF_OK ? err : p11_mac_with(rq, in, v, out);
}

enum hf_err
op_p11_mac(struct request *rq, const struct hf_p11_use_in *in,
    struct hf_p11_use_out *out)
{
	return mac_of_kind(rq, in, "hmac", out);
}

enum hf_err
op_p11_cmac(struct request *rq, const struct hf_p11_use_in *in,
    struct hf_p11_use_out *out)
{
	return mac_of_kind(rq, in, "aes-cmac", out);
}

/* -- Verification -- */

/*
 * Who may verify but not make a MAC could have a short one guessed right, and
 * then ask with a byte more, 256 guesses a byte, until it is whole. Eight bytes
 * are what SP 800-38B wants of a MAC; transit.cmac makes none shorter.
 */
enum { MAC_LEAST = 8 };

static enum hf_err
verify_mac(struct request *rq, const struct hf_p11_verify_in *in,
    const struct key_version *v)
{
	uint8_t buf[CRYPTO_HASH_MAX];
	size_t len;
	struct keyuse use = p11_keyuse(rq);
	enum hf_err err;

	if (in->how.output_bytes != 0 && in->how.output_bytes < MAC_LEAST)
		return p11_refuse(
		    rq, "a MAC of less than 8 bytes is not verified");
	err = mac(rq, HF_P11_VERIFY, v, &in->how, in->data, buf, &len);
	if (err == HF_OK && !bytes_equal_ct(bytes_of(buf, len), in->signature))
		err = HF_ERR_SIGNATURE_WRONG;
	if (err == HF_OK)
		keyuse_note(&use, v, USAGE_VERIFY);
	bytes_wipe(buf, sizeof(buf)); /* else a wrong guess would leave it */
	return err;
}

static enum hf_err
verify_raw(struct request *rq, const struct hf_p11_verify_in *in,
    const struct key_version *v)
{
	uint8_t block[CRYPTO_SIGNATURE_MAX];
	struct keyuse use = p11_keyuse(rq);
	struct hf_bytes data = in->data;
	enum hf_err err;

	if (rq->key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if ((err = p11_raw_number(rq, &data)) != HF_OK)
		return err;
	if (in->signature.len != data.len ||
	    crypto_rsa_public(v->pair, in->signature, block) != HF_OK)
		return HF_ERR_BAD_SIGNATURE;
	if (!bytes_equal(data, bytes_of(block, data.len)))
		return HF_ERR_SIGNATURE_WRONG;
	keyuse_note(&use, v, USAGE_VERIFY);
	return HF_OK;
}

static enum hf_err
verify_signature(struct request *rq, const struct hf_p11_verify_in *in,
    const struct key_version *v)
{
	struct keyuse use = p11_keyuse(rq);
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
p11_verify_with(struct request *rq, const struct hf_p11_verify_in *in,
    const struct key_version *v, bool *valid)
{
	enum hf_err err;

	if (text_is(in->how.mechanism, "hmac") ||
	    text_is(in->how.mechanism, "aes-cmac"))
		err = verify_mac(rq, in, v);
	else if (text_is(in->how.mechanism, "rsa-raw"))
		err = verify_raw(rq, in, v);
	else
		err = verify_signature(rq, in, v);
	*valid = err == HF_OK;
	return err == HF_ERR_SIGNATURE_WRONG ? HF_OK : err;
}

enum hf_err
op_p11_verify(struct request *rq, const struct hf_p11_verify_in *in,
    struct hf_p11_verify_out *out)
{
	const struct key_version *v;
	enum hf_err err = p11_version_old(rq, in->key_version, "signature", &v);

	rq->awaits = true;
	return err != HF_OK ? err : p11_verify_with(rq, in, v, &out->valid);
}

/* -- Encryption: op_p11_crypt.c -- */

enum hf_err
op_p11_encrypt(struct request *rq, const struct hf_p11_use_in *in,
    struct hf_p11_use_out *out)
{
	const struct key_version *v;
	enum hf_err err =
	    p11_version_new(rq, in->key_version, "encryption", &v);

	rq->awaits = true;
	return err != HF_OK ? err : p11_encrypt_with(rq, in, v, out);
}

enum hf_err
op_p11_decrypt(struct request *rq, const struct hf_p11_use_in *in,
    struct hf_p11_use_out *out)
{
	const struct key_version *v;
	enum hf_err err =
	    p11_version_old(rq, in->key_version, "ciphertext", &v);

	rq->awaits = true;
	return err != HF_OK ? err : p11_decrypt_with(rq, in, v, out);
}
