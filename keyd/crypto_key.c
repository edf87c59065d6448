/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "../lib/bytes.h"
#include "crypto_memory.h"
#include "crypto_state.h"

enum {
	DER_MAX = 8192, /* RSA-4096 in PKCS#8 has some 2,400 bytes */
	PEM_MAX = 16384,
	/* As Vault has it for keys of type hmac. */
	HMAC_KEY_MIN = 32,
	HMAC_KEY_MAX = 512,
	/*
	 * FIPS 186-5, appendix A.1.1 wants 2^16 < e < 2^256; OpenSSL takes no
	 * more than 64 bits for moduli of more than 3,072.
	 */
	EXPONENT_BITS_MIN = 17,
	EXPONENT_BITS_MAX = 64,
};

static const char pem_label[] = "PUBLIC KEY";

/* clang-format off */
/* What OpenSSL calls the types with two halves. */
static const struct algorithm {
	enum key_type_id id;
	const char *name;
	const char *group;
} algorithms[] = {
	{ KEY_ECDSA_P256, "EC",      "prime256v1" },
	{ KEY_ECDSA_P384, "EC",      "secp384r1"  },
	{ KEY_ECDSA_P521, "EC",      "secp521r1"  },
	{ KEY_ED25519,    "ED25519", NULL         },
	{ KEY_RSA_2048,   "RSA",     NULL         },
	{ KEY_RSA_3072,   "RSA",     NULL         },
	{ KEY_RSA_4096,   "RSA",     NULL         },
};
/* clang-format on */

/* NULL for symmetric types. */
static const struct algorithm *
algorithm_of(const struct key_type *type)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (algorithms[i].id == type->id)
			return &algorithms[i];
	return NULL;
}

/* -- Making keys -- */

static enum hf_err
generate_raw(size_t size, struct secret *material)
{
	AUTO_SECRET key = { 0 };
	enum hf_err err;

	if ((err = secret_alloc(&key, size)) != HF_OK)
		return err;
	if (RAND_priv_bytes_ex(crypto_lib(), key.ptr, size, 0) != 1)
		return crypto_fail(HF_ERR_CRYPTO);
	secret_move(material, &key);
	return HF_OK;
}

static EVP_PKEY *
generate_pair(const struct key_type *type, const struct algorithm *algorithm)
{
	AUTO_PKEY_CTX ctx =
	    EVP_PKEY_CTX_new_from_name(crypto_lib(), algorithm->name, NULL);
	EVP_PKEY *pkey = NULL;

	if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1)
		return NULL;
	if (algorithm->group != NULL &&
	    EVP_PKEY_CTX_set_group_name(ctx, algorithm->group) != 1)
		return NULL;
	if (type->family == FAMILY_RSA &&
	    EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)type->bits) != 1)
		return NULL;
	if (EVP_PKEY_generate(ctx, &pkey) != 1)
		return NULL;
	return pkey;
}

enum hf_err
crypto_pkcs8(const EVP_PKEY *pkey, struct secret *out)
{
	AUTO_PKCS8 info = EVP_PKEY2PKCS8(pkey);
	AUTO_SECRET der = { 0 };
	enum hf_err err;
	uint8_t *end;
	int len;

	if (info == NULL || (len = i2d_PKCS8_PRIV_KEY_INFO(info, NULL)) <= 0)
		return HF_ERR_CRYPTO;
	if ((err = secret_alloc(&der, (size_t)len)) != HF_OK)
		return err;
	end = der.ptr;
	if (i2d_PKCS8_PRIV_KEY_INFO(info, &end) != len)
		return HF_ERR_CRYPTO;
	secret_move(out, &der);
	return HF_OK;
}

enum hf_err
crypto_generate(
    const struct key_type *type, size_t hmac_size, struct secret *material)
{
	const struct algorithm *algorithm = algorithm_of(type);
	enum hf_err err;

	if (type->family == FAMILY_AEAD || type->family == FAMILY_CMAC)
		return generate_raw(type->size, material);
	if (type->family == FAMILY_HMAC)
		return hmac_size < HMAC_KEY_MIN || hmac_size > HMAC_KEY_MAX
		    ? HF_ERR_OUT_OF_BOUNDS
		    : generate_raw(hmac_size, material);
	if (algorithm == NULL)
		return HF_ERR_KEY_TYPE;
	if (crypto_memory_is_tight())
		return HF_ERR_NO_MEMORY;

	AUTO_PKEY pkey = generate_pair(type, algorithm);

	if (pkey == NULL)
		return crypto_fail(HF_ERR_CRYPTO);
	if ((err = crypto_pkcs8(pkey, material)) != HF_OK)
		return crypto_fail(err);
	return HF_OK;
}

/* -- Reading keys -- */

static enum hf_err
rsa_check(const struct key_type *type, const EVP_PKEY *pkey)
{
	AUTO_BN n = NULL;
	AUTO_BN e = NULL;

	if (EVP_PKEY_get_bits(pkey) != (int)type->bits)
		return HF_ERR_KEY_TYPE;
	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) != 1 ||
	    EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
		return HF_ERR_CRYPTO;
	if (!BN_is_odd(n) || !BN_is_odd(e) ||
	    BN_num_bits(e) < EXPONENT_BITS_MIN ||
	    BN_num_bits(e) > EXPONENT_BITS_MAX)
		return HF_ERR_BAD_INPUT;
	return HF_OK;
}

/*
 * A curve spelt out is refused even when it is the right one: CVE-2020-0601
 * lived on that.
 */
static enum hf_err
ec_check(const char *group, EVP_PKEY *pkey)
{
	char name[32];
	size_t len;
	int spelt_out = 1;

	if (EVP_PKEY_get_group_name(pkey, name, sizeof(name), &len) != 1 ||
	    strcmp(name, group) != 0)
		return HF_ERR_KEY_TYPE;
	if (EVP_PKEY_get_int_param(pkey,
		OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
		&spelt_out) != 1 ||
	    spelt_out != 0)
		return HF_ERR_BAD_INPUT;

	AUTO_PKEY_CTX ctx =
	    EVP_PKEY_CTX_new_from_pkey(crypto_lib(), pkey, NULL);

	if (ctx == NULL || EVP_PKEY_public_check_quick(ctx) != 1)
		return HF_ERR_BAD_INPUT;
	return HF_OK;
}

static enum hf_err
pkey_check(const struct key_type *type, EVP_PKEY *pkey)
{
	const struct algorithm *algorithm = algorithm_of(type);

	if (algorithm == NULL || EVP_PKEY_is_a(pkey, algorithm->name) != 1)
		return HF_ERR_KEY_TYPE;
	if (type->family == FAMILY_RSA)
		return rsa_check(type, pkey);
	if (type->family == FAMILY_EC)
		return ec_check(algorithm->group, pkey);
	return HF_OK;
}

/*
 * Whether the halves of a key pair belong together: what one signs the other
 * must verify. An imported key with a wrong public half would otherwise make
 * signatures that nobody can verify, and be noticed late.
 */
static enum hf_err
pair_check(const struct crypto_key *key)
{
	static const enum sign_scheme schemes[] = {
		[FAMILY_RSA] = SIGN_PKCS1V15,
		[FAMILY_EC] = SIGN_ECDSA,
		[FAMILY_EDDSA] = SIGN_EDDSA,
	};
	struct sign_how how = { .scheme = schemes[key->type->family],
		.hash = hash_sha256() };
	struct hf_bytes message = bytes_of(pem_label, sizeof(pem_label));
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	size_t len;

	enum hf_err err = crypto_sign(key, &how, message, signature, &len);

	if (err == HF_OK)
		err =
		    crypto_verify(key, &how, message, bytes_of(signature, len));
	if (err == HF_OK || err == HF_ERR_NO_MEMORY)
		return err;
	return HF_ERR_BAD_INPUT;
}

static enum hf_err
signing_prepare(struct crypto_key *key)
{
	if (key->type->family == FAMILY_EDDSA)
		return HF_OK;
	key->signing =
	    EVP_PKEY_CTX_new_from_pkey(crypto_lib(), key->pkey, NULL);
	if (key->signing == NULL || EVP_PKEY_sign_init(key->signing) != 1)
		return HF_ERR_CRYPTO;
	return HF_OK;
}

/* Takes over `pkey`, also when it fails. */
static enum hf_err
key_new(const struct key_type *type, EVP_PKEY *pkey, bool private,
    struct crypto_key **out)
{
	struct crypto_key *key = malloc(sizeof(*key));
	enum hf_err err;

	if (key == NULL) {
		EVP_PKEY_free(pkey);
		return HF_ERR_NO_MEMORY;
	}
	*key = (struct crypto_key){
		.type = type, .pkey = pkey, .private = private
	};
	err = pkey_check(type, pkey);
	if (err == HF_OK && private)
		err = signing_prepare(key);
	if (err == HF_OK && private)
		err = pair_check(key);
	if (err != HF_OK) {
		crypto_key_free(key);
		return crypto_fail(err);
	}
	*out = key;
	return HF_OK;
}

enum hf_err
crypto_key_private(
    const struct key_type *type, struct hf_bytes pkcs8, struct crypto_key **out)
{
	const uint8_t *end = pkcs8.ptr;
	EVP_PKEY *pkey;

	if (pkcs8.len == 0 || pkcs8.len > DER_MAX)
		return HF_ERR_BAD_INPUT;
	if (crypto_memory_is_tight())
		return HF_ERR_NO_MEMORY;

	AUTO_PKCS8 info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &end, (long)pkcs8.len);

	if (info == NULL || end != pkcs8.ptr + pkcs8.len)
		return crypto_fail(HF_ERR_BAD_INPUT);
	pkey = EVP_PKCS82PKEY_ex(info, crypto_lib(), NULL);
	if (pkey == NULL)
		return crypto_fail(HF_ERR_BAD_INPUT);
	return key_new(type, pkey, true, out);
}

enum hf_err
crypto_key_public(
    const struct key_type *type, struct hf_bytes spki, struct crypto_key **out)
{
	const uint8_t *end = spki.ptr;
	EVP_PKEY *pkey;

	if (spki.len == 0 || spki.len > DER_MAX)
		return HF_ERR_BAD_INPUT;
	if (crypto_memory_is_tight())
		return HF_ERR_NO_MEMORY;
	pkey = d2i_PUBKEY_ex(NULL, &end, (long)spki.len, crypto_lib(), NULL);
	if (pkey == NULL)
		return crypto_fail(HF_ERR_BAD_INPUT);
	if (end != spki.ptr + spki.len) {
		EVP_PKEY_free(pkey);
		return HF_ERR_BAD_INPUT;
	}
	return key_new(type, pkey, false, out);
}

bool
crypto_key_is_private(const struct crypto_key *key)
{
	return key->private;
}

void
crypto_key_free(struct crypto_key *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_CTX_free(key->signing);
	EVP_PKEY_free(key->pkey);
	free(key);
}

/* -- Public keys as DER and PEM -- */

static enum hf_err
spki_encode(const EVP_PKEY *pkey, uint8_t *out, size_t cap, size_t *len)
{
	int need = i2d_PUBKEY(pkey, NULL);

	if (need <= 0)
		return crypto_fail(HF_ERR_CRYPTO);
	if ((size_t)need > cap)
		return HF_ERR_BUFFER_TOO_SMALL;
	if (i2d_PUBKEY(pkey, &out) != need)
		return crypto_fail(HF_ERR_CRYPTO);
	*len = (size_t)need;
	return HF_OK;
}

enum hf_err
crypto_key_spki(
    const struct crypto_key *key, uint8_t *out, size_t cap, size_t *len)
{
	return spki_encode(key->pkey, out, cap, len);
}

enum hf_err
crypto_spki_pem(struct hf_bytes spki, char *out, size_t cap)
{
	AUTO_BIO bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	size_t len;

	if (spki.len == 0 || spki.len > SPKI_MAX)
		return HF_ERR_BAD_INPUT;
	if (bio == NULL ||
	    PEM_write_bio(bio, pem_label, "", spki.ptr, (long)spki.len) <= 0)
		return crypto_fail(HF_ERR_CRYPTO);
	len = (size_t)BIO_get_mem_data(bio, &text);
	if (len >= cap)
		return HF_ERR_BUFFER_TOO_SMALL;
	memcpy(out, text, len);
	out[len] = '\0';
	return HF_OK;
}

static bool
is_space(struct hf_text t)
{
	for (size_t i = 0; i < t.len; i++)
		if (strchr(" \t\r\n", t.ptr[i]) == NULL || t.ptr[i] == '\0')
			return false;
	return true;
}

enum hf_err
crypto_pem_spki(struct hf_text pem, uint8_t *out, size_t cap, size_t *len)
{
	char *label = NULL, *header = NULL, *rest = NULL;
	unsigned char *der = NULL;
	enum hf_err err = HF_ERR_BAD_INPUT;
	long der_len = 0;

	if (pem.len == 0 || pem.len > PEM_MAX)
		return HF_ERR_BAD_INPUT;

	AUTO_BIO bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);

	if (bio == NULL)
		return crypto_fail(HF_ERR_NO_MEMORY);
	if (PEM_read_bio(bio, &label, &header, &der, &der_len) == 1) {
		size_t left = (size_t)BIO_get_mem_data(bio, &rest);

		if (strcmp(label, pem_label) == 0 && header[0] == '\0' &&
		    der_len > 0 && is_space((struct hf_text){ rest, left }))
			err = (size_t)der_len <= cap ? HF_OK
						     : HF_ERR_BUFFER_TOO_SMALL;
	}
	if (err == HF_OK) {
		memcpy(out, der, (size_t)der_len);
		*len = (size_t)der_len;
	}
	OPENSSL_free(label);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return err == HF_OK ? HF_OK : crypto_fail(err);
}

/* -- Public keys as an HSM tells them -- */

static enum hf_err
spki_from_params(
    const char *algorithm, OSSL_PARAM *params, uint8_t *out, size_t *len)
{
	AUTO_PKEY_CTX ctx =
	    EVP_PKEY_CTX_new_from_name(crypto_lib(), algorithm, NULL);
	EVP_PKEY *made = NULL;

	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1)
		return crypto_fail(HF_ERR_CRYPTO);
	if (EVP_PKEY_fromdata(ctx, &made, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return crypto_fail(HF_ERR_BAD_INPUT);

	AUTO_PKEY pkey = made;

	return spki_encode(pkey, out, SPKI_MAX, len);
}

enum hf_err
crypto_spki_rsa(struct hf_bytes modulus, struct hf_bytes exponent, uint8_t *out,
    size_t *len)
{
	if (modulus.len == 0 || modulus.len > CRYPTO_SIGNATURE_MAX + 1 ||
	    exponent.len == 0 || exponent.len > CRYPTO_SIGNATURE_MAX)
		return HF_ERR_BAD_INPUT;

	AUTO_BN n = BN_bin2bn(modulus.ptr, (int)modulus.len, NULL);
	AUTO_BN e = BN_bin2bn(exponent.ptr, (int)exponent.len, NULL);
	AUTO_PARAM_BLD build = OSSL_PARAM_BLD_new();

	if (n == NULL || e == NULL || build == NULL)
		return crypto_fail(HF_ERR_NO_MEMORY);
	if (!BN_is_odd(n) || !BN_is_odd(e))
		return HF_ERR_BAD_INPUT;
	if (OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) != 1)
		return crypto_fail(HF_ERR_CRYPTO);

	AUTO_PARAM params = OSSL_PARAM_BLD_to_param(build);

	if (params == NULL)
		return crypto_fail(HF_ERR_CRYPTO);
	return spki_from_params("RSA", params, out, len);
}

/*
 * The point itself out of CKA_EC_POINT. A bare point starts with 0x04 too, so
 * the length decides: the size of a point is known.
 */
static enum hf_err
point_unwrap(struct hf_bytes in, size_t size, struct hf_bytes *point)
{
	const uint8_t shorter[] = { 0x04, (uint8_t)size };
	const uint8_t longer[] = { 0x04, 0x81, (uint8_t)size };
	struct hf_bytes head = size < 128 ? bytes_of(shorter, sizeof(shorter))
					  : bytes_of(longer, sizeof(longer));

	if (in.len == size) {
		*point = in;
		return HF_OK;
	}
	if (in.len != head.len + size ||
	    !bytes_equal(bytes_of(in.ptr, head.len), head))
		return HF_ERR_BAD_INPUT;
	*point = bytes_of(in.ptr + head.len, size);
	return HF_OK;
}

enum hf_err
crypto_spki_ec(const struct key_type *type, struct hf_bytes point, uint8_t *out,
    size_t *len)
{
	const struct algorithm *algorithm = algorithm_of(type);
	bool edwards = type->family == FAMILY_EDDSA;
	uint8_t copy[1 + 2 * 66];
	char group[32] = "";
	enum hf_err err;

	if (algorithm == NULL || (type->family != FAMILY_EC && !edwards))
		return HF_ERR_KEY_TYPE;
	err = point_unwrap(
	    point, edwards ? type->size : 1 + 2 * type->size, &point);
	if (err != HF_OK)
		return err;
	/* OSSL_PARAM takes pointers that are not const, and only reads. */
	memcpy(copy, point.ptr, point.len);
	if (algorithm->group != NULL)
		(void)snprintf(group, sizeof(group), "%s", algorithm->group);

	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
		    OSSL_PKEY_PARAM_PUB_KEY, copy, point.len),
		algorithm->group == NULL
		    ? OSSL_PARAM_construct_end()
		    : OSSL_PARAM_construct_utf8_string(
			  OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_end(),
	};

	return spki_from_params(algorithm->name, params, out, len);
}
