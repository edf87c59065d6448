/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_derive.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>

#include "../lib/bytes.h"
#include "crypto_state.h"

OSSL_CLEANUP(EVP_KDF, EVP_KDF_free)
OSSL_CLEANUP(EVP_KDF_CTX, EVP_KDF_CTX_free)

enum hf_err
crypto_ecdh(
    const struct crypto_key *key, struct hf_bytes point, struct secret *out)
{
	AUTO_SECRET shared = { 0 };
	uint8_t spki[SPKI_MAX];
	struct crypto_key *peer;
	size_t len = key->type->size;
	enum hf_err err;
	bool ok;

	if (key->type->family != FAMILY_EC)
		return HF_ERR_KEY_TYPE;
	if (!key->private)
		return HF_ERR_NO_PRIVATE_PART;
	if ((err = secret_alloc(&shared, len)) != HF_OK ||
	    (err = crypto_spki_ec(key->type, point, spki, &len)) != HF_OK ||
	    (err = crypto_key_public(key->type, bytes_of(spki, len), &peer)) !=
		HF_OK)
		return err;

	AUTO_PKEY_CTX ctx =
	    EVP_PKEY_CTX_new_from_pkey(crypto_lib(), key->pkey, NULL);

	len = shared.len;
	ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
	    EVP_PKEY_derive_set_peer(ctx, peer->pkey) == 1 &&
	    EVP_PKEY_derive(ctx, shared.ptr, &len) == 1 && len == shared.len;
	crypto_key_free(peer);
	if (!ok)
		return crypto_fail(HF_ERR_CRYPTO);
	secret_move(out, &shared);
	return HF_OK;
}

enum hf_err
crypto_ec_point(const struct key_type *type, struct hf_bytes point,
    uint8_t *out, size_t *len)
{
	size_t size = 1 + 2 * type->size, n;
	uint8_t spki[SPKI_MAX];
	struct crypto_key *key;
	enum hf_err err = crypto_spki_ec(type, point, spki, &n);

	if (err == HF_OK)
		err = crypto_key_public(type, bytes_of(spki, n), &key);
	if (err != HF_OK)
		return err;
	crypto_key_free(key);
	/* SubjectPublicKeyInfo ends with it, of that size: see there. */
	memcpy(out, spki + n - size, size);
	*len = size;
	return HF_OK;
}

/* OSSL_PARAM takes pointers that are not const, and only reads. */
static OSSL_PARAM
param_bytes(const char *name, struct hf_bytes value)
{
	return OSSL_PARAM_construct_octet_string(
	    name, (void *)(uintptr_t)crypto_ptr(value), value.len);
}

static enum hf_err
kdf_run(const char *name, const OSSL_PARAM *params, const struct secret *out)
{
	OSSL_AUTO(EVP_KDF) kdf = EVP_KDF_fetch(crypto_lib(), name, NULL);
	OSSL_AUTO(EVP_KDF_CTX) ctx = EVP_KDF_CTX_new(kdf);

	if (ctx == NULL)
		return crypto_fail(HF_ERR_CRYPTO);
	return EVP_KDF_derive(ctx, out->ptr, out->len, params) == 1
	    ? HF_OK
	    : crypto_fail(HF_ERR_BAD_INPUT);
}

enum hf_err
crypto_x963(const struct hash_type *hash, struct hf_bytes secret,
    struct hf_bytes info, struct secret *out)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)hash->openssl, 0),
		param_bytes(OSSL_KDF_PARAM_KEY, secret),
		param_bytes(OSSL_KDF_PARAM_INFO, info),
		OSSL_PARAM_construct_end(),
	};

	return kdf_run("X963KDF", params, out);
}

enum hf_err
crypto_hkdf(const struct hkdf *how, struct hf_bytes key, struct secret *out)
{
	int mode = how->extract && how->expand
	    ? EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND
	    : how->extract ? EVP_KDF_HKDF_MODE_EXTRACT_ONLY
			   : EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	OSSL_PARAM params[6], *p = params;

	if (!how->extract && !how->expand)
		return HF_ERR_BAD_ALGORITHM;
	if (!how->expand && out->len != how->hash->size)
		return HF_ERR_BAD_INPUT;
	/* Without extraction the key must be a pseudorandom one already. */
	if (key.len == 0 || (!how->extract && key.len < how->hash->size))
		return HF_ERR_BAD_INPUT;
	*p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
	*p++ = OSSL_PARAM_construct_utf8_string(
	    OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)how->hash->openssl, 0);
	*p++ = param_bytes(OSSL_KDF_PARAM_KEY, key);
	if (how->extract && how->salt.len > 0)
		*p++ = param_bytes(OSSL_KDF_PARAM_SALT, how->salt);
	if (how->expand && how->info.len > 0)
		*p++ = param_bytes(OSSL_KDF_PARAM_INFO, how->info);
	*p = OSSL_PARAM_construct_end();
	return kdf_run("HKDF", params, out);
}

enum hf_err
crypto_scrypt(struct hf_bytes pin, struct hf_bytes salt, uint8_t out[32])
{
	uint64_t n = 16384, r = 8, p = 1, most = 64 << 20;
	struct secret view = { out, 32 };
	OSSL_PARAM params[] = {
		param_bytes(OSSL_KDF_PARAM_PASSWORD, pin),
		param_bytes(OSSL_KDF_PARAM_SALT, salt),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_R, &r),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_P, &p),
		OSSL_PARAM_construct_uint64(
		    OSSL_KDF_PARAM_SCRYPT_MAXMEM, &most),
		OSSL_PARAM_construct_end(),
	};

	return kdf_run("SCRYPT", params, &view);
}
