/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_mode.h"

#include <limits.h>
#include <stdio.h>

#include <openssl/core_names.h>

#include "../lib/bytes.h"
#include "crypto_state.h"

enum { BLOCK = 16, LONGEST = 64 << 20 };

/* clang-format off */
static const struct mode {
	const char *name;    /* on the wire */
	const char *openssl; /* AES-<bits>-... */
	size_t iv;
	size_t unit;         /* what is encrypted is whole ones of these */
	size_t least;        /* ... and at least so long */
	size_t grows;        /* bytes, when encrypted; padding comes besides */
	bool pads, authentic;
} modes[] = {
	[AES_ECB]     = { "aes-ecb",     "ECB",      0,     BLOCK, 0,  0, false, false },
	[AES_CBC]     = { "aes-cbc",     "CBC",      BLOCK, BLOCK, 0,  0, false, false },
	[AES_CBC_PAD] = { "aes-cbc-pad", "CBC",      BLOCK, 1,     0,  0, true,  false },
	[AES_CTR]     = { "aes-ctr",     "CTR",      BLOCK, 1,     0,  0, false, false },
	[AES_KW]      = { "aes-kw",      "WRAP",     0,     8,     16, 8, false, true },
	[AES_KWP]     = { "aes-kwp",     "WRAP-PAD", 0,     1,     1,  8, false, true },
};
/* clang-format on */

bool
aes_mode_by_name(struct hf_text name, enum aes_mode *out)
{
	for (unsigned i = 0; i < AES_MODES; i++)
		if (text_is(name, modes[i].name)) {
			*out = (enum aes_mode)i;
			return true;
		}
	return false;
}

bool
aes_mode_authentic(enum aes_mode mode)
{
	return modes[mode].authentic;
}

static bool
length_fits(const struct mode *m, bool encrypt, size_t len)
{
	if (len > LONGEST)
		return false;
	if (encrypt)
		return len % m->unit == 0 && len >= m->least;
	if (m->pads)
		return len > 0 && len % BLOCK == 0;
	if (m->authentic)
		return len % 8 == 0 && len >= 16;
	return len % m->unit == 0;
}

/* How many blocks a counter of so many bits still counts: all, or `most`. */
static bool
counter_lasts(struct hf_bytes iv, unsigned bits, size_t len)
{
	uint64_t blocks = (len + BLOCK - 1) / BLOCK;
	uint64_t low = get_u64(iv.ptr + 8), left;

	if (bits < 1 || bits > 128)
		return false;
	/* With 64 bits and more an end cannot be reached: the carry goes up. */
	if (bits > 64)
		return true;
	if (bits < 64)
		low &= (UINT64_C(1) << bits) - 1;
	left = (bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1) - low;
	return blocks == 0 || blocks - 1 <= left;
}

static bool
run(EVP_CIPHER_CTX *ctx, const struct mode *m, struct hf_bytes in, uint8_t *out,
    size_t *len)
{
	int n = 0, last = 0;

	if (EVP_CIPHER_CTX_set_padding(ctx, m->pads) != 1)
		return false;
	if (in.len > 0 &&
	    EVP_CipherUpdate(ctx, out, &n, in.ptr, (int)in.len) != 1)
		return false;
	/* Key wrap ends with its only update. */
	if (!m->authentic && EVP_CipherFinal_ex(ctx, out + n, &last) != 1)
		return false;
	*len = (size_t)n + (size_t)last;
	return true;
}

static enum hf_err
wrong_data(const struct aes_how *how)
{
	return how->encrypt              ? HF_ERR_BAD_INPUT
	    : modes[how->mode].authentic ? HF_ERR_AUTH_FAILED
					 : HF_ERR_BAD_CIPHERTEXT;
}

enum hf_err
crypto_aes_check(const struct aes_how *how, size_t len)
{
	const struct mode *m = &modes[how->mode];

	if (how->iv.len != m->iv)
		return HF_ERR_BAD_INPUT;
	if (how->mode == AES_CTR && !counter_lasts(how->iv, how->ctr_bits, len))
		return HF_ERR_BAD_INPUT;
	return length_fits(m, how->encrypt, len) ? HF_OK : wrong_data(how);
}

enum hf_err
crypto_aes(const struct aes_how *how, struct hf_bytes key, struct hf_bytes in,
    uint8_t *out, size_t *len)
{
	const struct mode *m = &modes[how->mode];
	enum hf_err err = crypto_aes_check(how, in.len);
	EVP_CIPHER_CTX *ctx;
	EVP_CIPHER *cipher;
	char name[32];
	bool ok = false;

	if (key.len != 16 && key.len != 24 && key.len != 32)
		return HF_ERR_BAD_INPUT;
	if (err != HF_OK)
		return err;
	(void)snprintf(
	    name, sizeof(name), "AES-%zu-%s", 8 * key.len, m->openssl);

	cipher = EVP_CIPHER_fetch(crypto_lib(), name, NULL);
	ctx = EVP_CIPHER_CTX_new();
	if (cipher != NULL && ctx != NULL) {
		EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
		ok = EVP_CipherInit_ex2(ctx, cipher, key.ptr,
			 m->iv == 0 ? NULL : how->iv.ptr, how->encrypt,
			 NULL) == 1 &&
		    run(ctx, m, in, out, len);
	}
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	if (ok)
		return HF_OK;
	bytes_wipe(out, in.len + AES_EXTRA);
	return crypto_fail(wrong_data(how));
}

enum hf_err
crypto_cmac(struct hf_bytes key, struct hf_bytes in, uint8_t out[16])
{
	char cipher[32];
	size_t len = 0;
	bool ok;

	if (key.len != 16 && key.len != 24 && key.len != 32)
		return HF_ERR_BAD_INPUT;
	(void)snprintf(cipher, sizeof(cipher), "AES-%zu-CBC", 8 * key.len);

	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(
				    OSSL_MAC_PARAM_CIPHER, cipher, 0),
		OSSL_PARAM_construct_end() };
	EVP_MAC *mac = EVP_MAC_fetch(crypto_lib(), "CMAC", NULL);
	AUTO_MAC_CTX ctx = EVP_MAC_CTX_new(mac);

	EVP_MAC_free(mac);
	if (ctx == NULL)
		return crypto_fail(HF_ERR_CRYPTO);
	ok = EVP_MAC_init(ctx, key.ptr, key.len, params) == 1 &&
	    EVP_MAC_update(ctx, crypto_ptr(in), in.len) == 1 &&
	    EVP_MAC_final(ctx, out, &len, BLOCK) == 1 && len == BLOCK;
	return ok ? HF_OK : crypto_fail(HF_ERR_CRYPTO);
}
