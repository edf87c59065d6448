/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_xchacha.h"

#include <string.h>

#include "../lib/bytes.h"
#include "crypto_state.h"

enum { KEY = 32, NONCE = 24, HEAD = 16, BLOCK = 64 };

static uint32_t
get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

static void
put_le32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* One block of ChaCha20 (RFC 8439, section 2.3); `iv` is counter and nonce. */
static enum hf_err
chacha20_block(const uint8_t key[KEY], const uint8_t iv[HEAD], uint8_t *out)
{
	static const uint8_t zeros[BLOCK];
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(crypto_lib(), "ChaCha20", NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;
	bool ok = cipher != NULL && ctx != NULL &&
	    EVP_EncryptInit_ex2(ctx, cipher, key, iv, NULL) == 1 &&
	    EVP_EncryptUpdate(ctx, out, &n, zeros, BLOCK) == 1 && n == BLOCK;

	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return ok ? HF_OK : crypto_fail(HF_ERR_CRYPTO);
}

/*
 * A block is the state after the rounds, added to the state before them.
 * HChaCha20 is the first and last row of the former: what was added there, the
 * constants and the nonce, is known and taken off again.
 */
enum hf_err
crypto_hchacha20(const uint8_t key[32], const uint8_t nonce[16], uint8_t *out)
{
	static const uint8_t constants[] = "expand 32-byte k";
	uint8_t block[BLOCK];
	enum hf_err err = chacha20_block(key, nonce, block);

	for (size_t i = 0; i < HEAD && err == HF_OK; i += 4) {
		const uint8_t *last = block + BLOCK - HEAD;

		put_le32(
		    out + i, get_le32(block + i) - get_le32(constants + i));
		put_le32(
		    out + HEAD + i, get_le32(last + i) - get_le32(nonce + i));
	}
	bytes_wipe(block, sizeof(block));
	return err;
}

enum hf_err
crypto_xchacha_key(struct hf_bytes key, struct hf_bytes nonce,
    struct secret *sub_key, uint8_t sub_nonce[12])
{
	AUTO_SECRET sub = { 0 };
	enum hf_err err;

	if (key.len != KEY || nonce.len != NONCE)
		return HF_ERR_BAD_INPUT;
	if ((err = secret_alloc(&sub, KEY)) != HF_OK ||
	    (err = crypto_hchacha20(key.ptr, nonce.ptr, sub.ptr)) != HF_OK)
		return err;
	memset(sub_nonce, 0, 4);
	memcpy(sub_nonce + 4, nonce.ptr + HEAD, NONCE - HEAD);
	secret_move(sub_key, &sub);
	return HF_OK;
}
