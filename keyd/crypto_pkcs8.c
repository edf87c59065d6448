/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_pkcs8.h"

#include <string.h>

#include <openssl/decoder.h>
#include <openssl/pem.h>

#include "../lib/bytes.h"
#include "crypto_state.h"

enum { FILE_LONGEST = 16384 /* bytes */ };

/* clang-format off */
OSSL_CLEANUP(OSSL_DECODER_CTX, OSSL_DECODER_CTX_free)
/* clang-format on */

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
	if (file.len == 0 || file.len > FILE_LONGEST)
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
