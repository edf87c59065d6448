/* SPDX-License-Identifier: Apache-2.0 */
#include "stream_crypto.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include "bytes.h"

enum { LABEL_MAX = 64 };

enum hf_err
stream_random(uint8_t *out, size_t len)
{
	return len <= INT_MAX && RAND_bytes(out, (int)len) == 1 ? HF_OK
								: HF_ERR_CRYPTO;
}

static OSSL_PARAM
param_of(const char *name, struct hf_bytes value)
{
	/* OpenSSL's structure is for both ways; here it is only read. */
	return OSSL_PARAM_construct_octet_string(
	    name, (void *)(uintptr_t)value.ptr, value.len);
}

static enum hf_err
hkdf(struct hf_bytes key, struct hf_bytes salt, struct hf_bytes info,
    uint8_t *out, size_t len)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_KDF_PARAM_DIGEST, digest, 0),
		param_of(OSSL_KDF_PARAM_KEY, key),
		param_of(OSSL_KDF_PARAM_SALT, salt),
		param_of(OSSL_KDF_PARAM_INFO, info),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
	EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
	bool ok = ctx != NULL && EVP_KDF_derive(ctx, out, len, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok ? HF_OK : HF_ERR_CRYPTO;
}

enum hf_err
stream_derive(struct hf_bytes key, struct hf_bytes salt, const char *label,
    struct hf_bytes bound, uint8_t *out, size_t len)
{
	uint8_t info[LABEL_MAX + STREAM_HASH];
	size_t label_len = strlen(label);

	assert(label_len <= LABEL_MAX);
	memcpy(info, label, label_len);
	if (EVP_Digest(bound.ptr, bound.len, info + label_len, NULL,
		EVP_sha256(), NULL) != 1)
		return HF_ERR_CRYPTO;
	return hkdf(
	    key, salt, bytes_of(info, label_len + STREAM_HASH), out, len);
}

/* A struct stream_cipher is an EVP_CIPHER_CTX that others cannot reach into. */
static EVP_CIPHER_CTX *
context_of(struct stream_cipher *cipher)
{
	return (EVP_CIPHER_CTX *)(void *)cipher;
}

enum hf_err
stream_cipher_new(
    bool seal, const uint8_t key[STREAM_KEY], struct stream_cipher **out)
{
	EVP_CIPHER *gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	EVP_CIPHER_CTX *ctx = gcm == NULL ? NULL : EVP_CIPHER_CTX_new();
	bool ok = ctx != NULL &&
	    EVP_CipherInit_ex2(ctx, gcm, key, NULL, seal, NULL) == 1;

	EVP_CIPHER_free(gcm);
	if (!ok) {
		EVP_CIPHER_CTX_free(ctx);
		return HF_ERR_CRYPTO;
	}
	*out = (struct stream_cipher *)(void *)ctx;
	return HF_OK;
}

void
stream_cipher_free(struct stream_cipher *cipher)
{
	EVP_CIPHER_CTX_free(context_of(cipher));
}

enum hf_err
stream_cipher_seal(struct stream_cipher *cipher,
    const uint8_t nonce[STREAM_NONCE], struct hf_bytes in, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = context_of(cipher);
	uint8_t none[1];
	int n = 0, m = 0;

	if (in.len > INT_MAX ||
	    EVP_EncryptInit_ex2(ctx, NULL, NULL, nonce, NULL) != 1 ||
	    (in.len > 0 &&
		EVP_EncryptUpdate(ctx, out, &n, in.ptr, (int)in.len) != 1) ||
	    EVP_EncryptFinal_ex(ctx, none, &m) != 1 ||
	    (size_t)n + (size_t)m != in.len ||
	    EVP_CIPHER_CTX_ctrl(
		ctx, EVP_CTRL_AEAD_GET_TAG, STREAM_TAG, out + in.len) != 1)
		return HF_ERR_CRYPTO;
	return HF_OK;
}

enum hf_err
stream_cipher_open(struct stream_cipher *cipher,
    const uint8_t nonce[STREAM_NONCE], struct hf_bytes in, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = context_of(cipher);
	size_t len = in.len - STREAM_TAG;
	uint8_t tag[STREAM_TAG], none[1];
	int n = 0, m = 0;

	assert(in.len >= STREAM_TAG);
	memcpy(tag, in.ptr + len, sizeof(tag));
	if (len > INT_MAX ||
	    EVP_DecryptInit_ex2(ctx, NULL, NULL, nonce, NULL) != 1 ||
	    (len > 0 &&
		EVP_DecryptUpdate(ctx, out, &n, in.ptr, (int)len) != 1) ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, STREAM_TAG, tag) !=
		1)
		return HF_ERR_CRYPTO;
	if (EVP_DecryptFinal_ex(ctx, none, &m) != 1) {
		bytes_wipe(out, len);
		return HF_ERR_AUTH_FAILED;
	}
	return HF_OK;
}
