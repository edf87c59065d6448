/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_wrap.h"

#include <limits.h>
#include <string.h>

#include <openssl/decoder.h>
#include <openssl/pem.h>

#include "../lib/bytes.h"
#include "crypto_state.h"

enum {
	TARGET_MAX = 8192, /* RSA-4096 in PKCS#8 has some 2,400 bytes */
	KWP_BLOCK = 8,
	FILE_MAX_BYTES = 16384,
};

/* clang-format off */
OSSL_CLEANUP(OSSL_DECODER_CTX, OSSL_DECODER_CTX_free)
/* clang-format on */

/* -- AES-KWP -- */

static bool
kwp_run(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, struct hf_bytes kek,
    struct hf_bytes in, bool wrap, uint8_t *out, size_t *len)
{
	int n = 0, rest = 0;

	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_CipherInit_ex2(ctx, cipher, kek.ptr, NULL, wrap, NULL) != 1 ||
	    EVP_CipherUpdate(ctx, out, &n, in.ptr, (int)in.len) != 1 ||
	    EVP_CipherFinal_ex(ctx, out + n, &rest) != 1)
		return false;
	*len = (size_t)n + (size_t)rest;
	return true;
}

/* `out` takes in.len + 16 bytes: OpenSSL may use so much on the way. */
static enum hf_err
kwp(struct hf_bytes kek, struct hf_bytes in, bool wrap, uint8_t *out,
    size_t *len)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(crypto_lib(),
	    kek.len == CRYPTO_KWP_KEY ? "AES-256-WRAP-PAD" : "AES-192-WRAP-PAD",
	    NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	enum hf_err err = HF_ERR_CRYPTO;

	if (cipher != NULL && ctx != NULL) {
		err = wrap ? HF_ERR_CRYPTO : HF_ERR_AUTH_FAILED;
		if (kwp_run(ctx, cipher, kek, in, wrap, out, len))
			err = HF_OK;
	}
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return err == HF_OK ? HF_OK : crypto_fail(err);
}

/* AES-192 too: the examples of RFC 5649 have it. */
static bool
kek_ok(struct hf_bytes kek)
{
	return kek.len == CRYPTO_KWP_KEY || kek.len == 24;
}

enum hf_err
crypto_kwp_wrap(
    struct hf_bytes kek, struct hf_bytes in, uint8_t *out, size_t *len)
{
	uint8_t room[TARGET_MAX + 2 * KWP_BLOCK];
	size_t n;
	enum hf_err err;

	if (!kek_ok(kek) || in.len == 0 || in.len > TARGET_MAX)
		return HF_ERR_BAD_INPUT;
	if ((err = kwp(kek, in, true, room, &n)) != HF_OK)
		return err;
	memcpy(out, room, n);
	*len = n;
	return HF_OK;
}

enum hf_err
crypto_kwp_unwrap(struct hf_bytes kek, struct hf_bytes in, struct secret *out)
{
	AUTO_SECRET room = { 0 };
	AUTO_SECRET plain = { 0 };
	size_t n;
	enum hf_err err;

	if (!kek_ok(kek))
		return HF_ERR_BAD_INPUT;
	if (in.len < 2 * KWP_BLOCK || in.len % KWP_BLOCK != 0 ||
	    in.len > TARGET_MAX + 2 * KWP_BLOCK)
		return HF_ERR_AUTH_FAILED;
	if ((err = secret_alloc(&room, in.len + 2 * KWP_BLOCK)) != HF_OK ||
	    (err = kwp(kek, in, false, room.ptr, &n)) != HF_OK)
		return err;
	if (n == 0)
		return HF_ERR_AUTH_FAILED;
	if ((err = secret_copy(&plain, bytes_of(room.ptr, n))) != HF_OK)
		return err;
	secret_move(out, &plain);
	return HF_OK;
}

/* -- RSA and AES together -- */

enum hf_err
crypto_rsa_wrap(const struct crypto_key *wrapping, struct hf_bytes target,
    uint8_t *out, size_t *len)
{
	AUTO_SECRET kek = { 0 };
	size_t head, tail;
	enum hf_err err;

	if ((err = secret_alloc(&kek, CRYPTO_KWP_KEY)) != HF_OK ||
	    (err = crypto_random(kek.ptr, kek.len)) != HF_OK ||
	    (err = crypto_oaep_encrypt(
		 wrapping, secret_view(&kek), out, &head)) != HF_OK ||
	    (err = crypto_kwp_wrap(
		 secret_view(&kek), target, out + head, &tail)) != HF_OK)
		return err;
	*len = head + tail;
	return HF_OK;
}

/* -- Private keys in files -- */

/* Nobody is there to be asked: an encrypted key is none. */
static int
no_password(char *buf, int size, int writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

static EVP_PKEY *
private_decode(struct hf_bytes file)
{
	EVP_PKEY *pkey = NULL;
	const unsigned char *at = file.ptr;
	size_t left = file.len;
	OSSL_AUTO(OSSL_DECODER_CTX)
	ctx = OSSL_DECODER_CTX_new_for_pkey(&pkey, NULL, NULL, NULL,
	    OSSL_KEYMGMT_SELECT_PRIVATE_KEY, crypto_lib(), NULL);

	if (ctx == NULL ||
	    OSSL_DECODER_CTX_set_pem_password_cb(ctx, no_password, NULL) != 1)
		return NULL;
	if (OSSL_DECODER_from_data(ctx, &at, &left) != 1) {
		EVP_PKEY_free(pkey);
		return NULL;
	}
	return pkey;
}

enum hf_err
crypto_private_read(struct hf_bytes file, struct secret *pkcs8)
{
	if (file.len == 0 || file.len > FILE_MAX_BYTES)
		return HF_ERR_BAD_INPUT;

	AUTO_PKEY pkey = private_decode(file);

	if (pkey == NULL)
		return crypto_fail(HF_ERR_BAD_INPUT);
	return crypto_pkcs8(pkey, pkcs8);
}

enum hf_err
crypto_key_pkcs8(const struct crypto_key *key, struct secret *pkcs8)
{
	enum hf_err err;

	if (!key->private)
		return HF_ERR_NO_PRIVATE_PART;
	err = crypto_pkcs8(key->pkey, pkcs8);
	return err == HF_OK ? HF_OK : crypto_fail(err);
}

enum hf_err
crypto_ed25519_seed(const struct crypto_key *key, struct secret *seed)
{
	AUTO_SECRET out = { 0 };
	size_t len = 32;
	enum hf_err err;

	if (key->type->family != FAMILY_EDDSA)
		return HF_ERR_KEY_TYPE;
	if (!key->private)
		return HF_ERR_NO_PRIVATE_PART;
	if ((err = secret_alloc(&out, len)) != HF_OK)
		return err;
	if (EVP_PKEY_get_raw_private_key(key->pkey, out.ptr, &len) != 1 ||
	    len != out.len)
		return crypto_fail(HF_ERR_CRYPTO);
	secret_move(seed, &out);
	return HF_OK;
}

enum hf_err
crypto_ed25519_public(const struct crypto_key *key, uint8_t out[32])
{
	size_t len = 32;

	if (key->type->family != FAMILY_EDDSA)
		return HF_ERR_KEY_TYPE;
	if (EVP_PKEY_get_raw_public_key(key->pkey, out, &len) != 1 || len != 32)
		return crypto_fail(HF_ERR_CRYPTO);
	return HF_OK;
}

enum hf_err
crypto_private_pem(struct hf_bytes pkcs8, struct secret *out)
{
	AUTO_BIO bio = BIO_new(BIO_s_secmem());
	AUTO_SECRET text = { 0 };
	char *at = NULL;
	enum hf_err err;
	size_t len;

	if (bio == NULL ||
	    PEM_write_bio(
		bio, PEM_STRING_PKCS8INF, "", pkcs8.ptr, (long)pkcs8.len) <= 0)
		return crypto_fail(HF_ERR_CRYPTO);
	len = (size_t)BIO_get_mem_data(bio, &at);
	if ((err = secret_alloc(&text, len + 1)) != HF_OK)
		return err;
	memcpy(text.ptr, at, len);
	secret_move(out, &text);
	return HF_OK;
}

/* -- Certificates -- */

static X509 *
certificate_read(struct hf_bytes in, size_t *size)
{
	const uint8_t *end = in.ptr;
	X509 *x;

	if (in.len == 0 || in.len > INT_MAX)
		return NULL;
	x = X509_new_ex(crypto_lib(), NULL);
	if (x == NULL)
		return NULL;
	/* It frees what it was given when it fails. */
	if (d2i_X509(&x, &end, (long)in.len) == NULL)
		return NULL;
	*size = (size_t)(end - in.ptr);
	return x;
}

enum hf_err
crypto_certificate_matches(
    struct hf_bytes der, struct hf_bytes spki, bool *matches)
{
	size_t size = 0;
	X509 *x = certificate_read(der, &size);
	uint8_t *own = NULL;
	int len;

	if (x == NULL || size != der.len) {
		X509_free(x);
		return crypto_fail(HF_ERR_BAD_INPUT);
	}
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &own);
	*matches = len > 0 && bytes_equal(bytes_of(own, (size_t)len), spki);
	OPENSSL_free(own);
	X509_free(x);
	return crypto_fail(HF_OK);
}
