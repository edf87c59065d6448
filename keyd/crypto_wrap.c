/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_wrap.h"

#include <string.h>

#include "../lib/bytes.h"
#include "crypto_state.h"

enum {
	TARGET_MAX = 8192, /* RSA-4096 in PKCS#8 has some 2,400 bytes */
	KWP_BLOCK = 8,
};

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
